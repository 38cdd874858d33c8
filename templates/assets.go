package templates

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"path"
	"strings"
	"sync"
)

// asset is one embedded file under the name that carries its hash.
type asset struct {
	path        string
	content     []byte
	contentType string
}

var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// assets holds every asset twice: under its plain name and under its hashed path.
var assets = sync.OnceValue(func() map[string]asset {
	all := make(map[string]asset)
	entries, _ := fs.ReadDir(files, "assets") // embedded: cannot fail
	for _, e := range entries {
		content, _ := fs.ReadFile(files, "assets/"+e.Name())
		ext := path.Ext(e.Name())
		sum := sha256.Sum256(content)
		hashed := strings.TrimSuffix(e.Name(), ext) + "." + hex.EncodeToString(sum[:6]) + ext
		a := asset{"/assets/" + hashed, content, contentTypes[ext]}
		all[e.Name()], all[a.path] = a, a
	}
	return all
})

// AssetPath is the address of an asset by its plain name ("gatehouse.css", "gatehouse.js", "icons.svg"), or empty for an
// unknown one. The address changes with the content, so it may be cached for ever.
func AssetPath(name string) string { return assets()[name].path }

// Asset is the asset at an address that AssetPath gave. The content must not be changed.
func Asset(address string) (content []byte, contentType string, ok bool) {
	if !strings.HasPrefix(address, "/assets/") {
		return nil, "", false
	}
	a, ok := assets()[address]
	return a.content, a.contentType, ok
}
