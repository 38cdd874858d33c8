package templates

import "html/template"

var functions = template.FuncMap{
	"asset": AssetPath,
}
