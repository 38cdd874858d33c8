package admin

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// reasonsInSource finds every reason that the server can write into the audit: constants of the types Reason and Rule, or with a name
// that begins with Reason or Code, the field Reason or flow.Reason's Type, and what is handed to a parameter called reason.
func reasonsInSource(t *testing.T) []string {
	t.Helper()
	found := map[string]bool{}
	files := token.NewFileSet()
	for _, folder := range []string{"..", "../../sp"} {
		err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil || !entry.IsDir():
				return err
			case entry.Name() == "idptest", entry.Name() == "api":
				return fs.SkipDir
			}
			packages, err := parser.ParseDir(files, path, func(info fs.FileInfo) bool { return !strings.HasSuffix(info.Name(), "_test.go") }, 0)
			for _, one := range packages {
				reasonsOf(one, found)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func reasonsOf(p *ast.Package, found map[string]bool) {
	takes := map[string]int{} // functions of the package, and where their reason stands
	note := func(e ast.Expr) {
		if literal, ok := e.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			if text, _ := strconv.Unquote(literal.Value); text != "" && !strings.Contains(text, " ") { // with spaces: why a setting is refused
				found[text] = true
			}
		}
	}
	for _, file := range p.Files {
		for _, declared := range file.Decls {
			if function, ok := declared.(*ast.FuncDecl); ok {
				if at := reasonAt(function.Type.Params); at >= 0 {
					takes[function.Name.Name] = at
				}
			}
		}
	}
	for _, file := range p.Files {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				kind, _ := n.Type.(*ast.Ident)
				for i, name := range n.Names {
					if i < len(n.Values) && (strings.HasPrefix(name.Name, "Reason") || strings.HasPrefix(name.Name, "Code") || kind != nil && (kind.Name == "Reason" || kind.Name == "Rule")) {
						note(n.Values[i])
					}
				}
			case *ast.CompositeLit:
				reason := isReason(n.Type)
				for _, element := range n.Elts {
					if pair, ok := element.(*ast.KeyValueExpr); ok {
						if key, ok := pair.Key.(*ast.Ident); ok && (key.Name == "Reason" || reason && key.Name == "Type") {
							note(pair.Value)
						}
					}
				}
			case *ast.AssignStmt:
				for i, left := range n.Lhs {
					if field, ok := left.(*ast.SelectorExpr); ok && (field.Sel.Name == "Reason") && i < len(n.Rhs) {
						note(n.Rhs[i])
					}
				}
			case *ast.CallExpr:
				name := ""
				switch called := n.Fun.(type) {
				case *ast.Ident:
					name = called.Name
				case *ast.SelectorExpr:
					name = called.Sel.Name
				}
				if at, ok := takes[name]; ok && at < len(n.Args) {
					note(n.Args[at])
				}
			}
			return true
		})
	}
}

func reasonAt(params *ast.FieldList) int {
	at := 0
	for _, field := range params.List {
		for _, name := range field.Names {
			if name.Name == "reason" {
				return at
			}
			at++
		}
	}
	return -1
}

func isReason(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name == "Reason"
	case *ast.SelectorExpr:
		return e.Sel.Name == "Reason"
	}
	return false
}

// TestEveryReasonHasARemedy: an administrator who looks at any refusal is told what to do.
func TestEveryReasonHasARemedy(t *testing.T) {
	written := reasonsInSource(t)
	if len(written) < 250 {
		t.Fatalf("only %d reasons were found in the source", len(written))
	}
	for _, reason := range written {
		words := Remedy(reason)
		if !strings.HasSuffix(words, ".") && !strings.HasSuffix(words, "…") || strings.ToUpper(words[:1]) != words[:1] || strings.Contains(words, ". ") {
			t.Errorf("%s: %q is no sentence", reason, words)
		}
	}
	for reason := range remedies {
		if !slices.Contains(written, reason) && !strings.HasSuffix(reason, "_") {
			t.Errorf("%s: nothing is refused for that", reason)
		}
	}
	if words := Remedy(""); words != "" {
		t.Errorf("without a reason: %q", words)
	}
}
