package idptest

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const module = "gatehouse"

// layers is the import table of the design, section 1: which of our packages each may import (tests excepted).
var layers = map[string][]string{
	"store":     {},
	"templates": {},
	"idp/api":   {},

	"store/bolt":      {"store"},
	"store/postgres":  {"store"},
	"store/storetest": {"store"},
	"certs":           {"store"},
	"sp":              {"store"},
	"idp/audit":       {"store"},
	"idp/directory":   {"store"},
	"idp/session":     {"store"},
	"idp/grants":      {"store"},
	"idp/claims":      {"store"},
	"idp/outbound":    {"store"},

	"sp/metadata": {"store", "sp"},
	"sp/catalog":  {"store", "sp"},
	"idp/web":     {"templates"},
}

var (
	upToOne   = []string{"store", "templates", "idp/api", "certs", "sp", "sp/metadata", "sp/catalog", "idp/audit", "idp/directory", "idp/session", "idp/grants", "idp/claims", "idp/outbound", "idp/web"}
	upToTwo   = append(slices.Clone(upToOne), "idp/flow", "idp/federation", "idp/recovery", "idp/upstream")
	features  = []string{"idp/signin", "idp/saml", "idp/oauth", "idp/scim", "idp/portal", "idp/admin"}
	upToThree = append(slices.Clone(upToTwo), features...)
	commands  = []string{"idp", "idp/api", "store", "store/bolt", "store/postgres", "certs", "cmd/sampleapps"}
)

func allowedImports(pkg string) ([]string, bool) {
	switch {
	case pkg == "idp/idptest":
		return nil, false // tests: anything
	case pkg == "idp/flow", pkg == "idp/federation":
		return upToOne, true
	case pkg == "idp/recovery":
		return append(slices.Clone(upToOne), "idp/flow"), true
	case pkg == "idp/upstream":
		return append(slices.Clone(upToOne), "idp/flow", "idp/federation"), true
	case slices.Contains(features, pkg):
		return upToTwo, true
	case pkg == "idp":
		return upToThree, true
	case strings.HasPrefix(pkg, "cmd/"):
		return commands, true
	}
	allowed, known := layers[pkg]
	if !known {
		return []string{"nothing: the package is not in the import table"}, true
	}
	return allowed, true
}

// homes says where a library may be imported; a trailing slash covers every package below.
var homes = map[string][]string{
	"github.com/crewjam/saml":             {"idp/saml", "sp/metadata", "idp/idptest", "cmd/sampleapps"},
	"github.com/beevik/etree":             {"idp/saml", "sp/metadata", "idp/idptest", "cmd/sampleapps"},
	"github.com/russellhaering/goxmldsig": {"idp/saml", "sp/metadata", "idp/idptest", "cmd/sampleapps"},
	"github.com/elimity-com/scim":         {"idp/scim"},
	"github.com/scim2/filter-parser":      {"idp/scim"},
	"go.etcd.io/bbolt":                    {"store/bolt"},
	"github.com/jackc/pgx":                {"store/postgres"},
	"github.com/gorilla/mux":              {"idp"},
	"github.com/wneessen/go-mail":         {"idp/outbound"},
	"github.com/spf13/cobra":              {"cmd/gatehouse"},
	"cel.dev/cel-go":                      {"idp/claims"},
	"golang.org/x/crypto/argon2":          {"idp/directory"},
	"github.com/go-webauthn/webauthn":     {"idp/directory"},
	"github.com/pquerna/otp":              {"idp/directory"},
	"github.com/boombuler/barcode":        {"idp/directory"},
	"github.com/go-asn1-ber":              {"idp/directory"},
	"github.com/go-ldap/ldap":             {"idp/directory", "idp/idptest"},
	"github.com/go-jose/go-jose":          {"idp/oauth", "idp/idptest"},
	"github.com/coreos/go-oidc":           {"idp/idptest", "cmd/sampleapps"},
	"golang.org/x/oauth2":                 {"idp/idptest", "cmd/sampleapps"},
	"github.com/chromedp/chromedp":        {"idp/idptest"},
	"github.com/rogpeppe/go-internal":     {"cmd/gatehouse", "idp/idptest"},
}

// noHTTP are the packages that must not know net/http.
var noHTTP = []string{"store", "store/bolt", "store/postgres", "certs", "sp", "idp/audit", "idp/directory", "idp/session", "idp/grants"}

type source struct {
	pkg, path string
	test      bool
	file      *ast.File
	fset      *token.FileSet
}

func sources(t *testing.T) []source {
	t.Helper()
	all, err := parsed()
	if err != nil || len(all) < 20 {
		t.Fatalf("read %d source files: %v", len(all), err)
	}
	return all
}

// parsed reads every source file of the repository, once for all tests that look at them.
var parsed = sync.OnceValues(func() (all []source, err error) {
	root, err := filepath.Abs("../..")
	if err != nil {
		return nil, err
	}
	fset := token.NewFileSet()
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != root || d.Name() == "node_modules" || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		all = append(all, source{filepath.ToSlash(filepath.Dir(rel)), rel, strings.HasSuffix(path, "_test.go"), file, fset})
		return err
	})
	return all, err
})

func repositoryRoot(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestImportTable(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		for _, spec := range s.file.Imports {
			path := strings.Trim(spec.Path.Value, `"`)
			if err := checkImport(s.pkg, path); err != nil {
				t.Errorf("%s: %v", s.path, err)
			}
		}
	}
}

func checkImport(pkg, path string) error {
	if own, ok := strings.CutPrefix(path, module+"/"); ok {
		if allowed, bound := allowedImports(pkg); bound && !slices.Contains(allowed, own) {
			return fmt.Errorf("%s must not import %s", pkg, own)
		}
		return nil
	}
	if path == "net/http" && slices.Contains(noHTTP, pkg) {
		return fmt.Errorf("%s must not know net/http", pkg)
	}
	for library, allowed := range homes {
		if (path == library || strings.HasPrefix(path, library+"/")) && !slices.Contains(allowed, pkg) {
			return fmt.Errorf("%s must not import %s", pkg, path)
		}
	}
	return nil
}

func TestEnvironmentAndFlagsOnlyInCmd(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || strings.HasPrefix(s.pkg, "cmd/") || s.pkg == "idp/idptest" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := call.X.(*ast.Ident); ok && (x.Name == "os" && strings.HasSuffix(call.Sel.Name, "env") || x.Name == "os" && call.Sel.Name == "Args" || x.Name == "flag") {
				t.Errorf("%s: %s.%s is for cmd only", s.fset.Position(n.Pos()), x.Name, call.Sel.Name)
			}
			return true
		})
	}
}

func TestEveryPackageHasOneComment(t *testing.T) {
	comments := map[string][]string{}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		if _, seen := comments[s.pkg]; !seen {
			comments[s.pkg] = nil
		}
		if s.file.Doc != nil && len(s.file.Doc.Text()) > 60 {
			comments[s.pkg] = append(comments[s.pkg], s.path)
		}
	}
	for pkg, files := range comments {
		if len(files) != 1 {
			t.Errorf("%s: want one file with the package comment, have %v", pkg, files)
		}
	}
}

func TestForbiddenNamesAndInit(t *testing.T) {
	for _, s := range sources(t) {
		name := filepath.Base(s.pkg)
		if slices.Contains([]string{"util", "utils", "common", "helpers", "pkg", "internal"}, name) {
			t.Errorf("%s: no package may be called %s", s.path, name)
		}
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: no init functions", s.fset.Position(f.Pos()))
			}
		}
	}
}

func TestFunctionAndFileLength(t *testing.T) {
	var lengths []int
	for _, s := range sources(t) {
		if lines := s.fset.Position(s.file.End()).Line; lines > 400 {
			t.Errorf("%s: %d lines, 400 are the bound", s.path, lines)
		}
		for _, decl := range s.file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			n := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1
			if !s.test {
				lengths = append(lengths, n)
			}
			if n > 80 && !isTable(f) {
				t.Errorf("%s: %s has %d lines, 80 are the bound", s.fset.Position(f.Pos()), f.Name.Name, n)
			}
		}
	}
	slices.Sort(lengths)
	median, p95 := lengths[len(lengths)/2], lengths[len(lengths)*95/100]
	t.Logf("functions: %d, median %d lines, 95th percentile %d", len(lengths), median, p95)
	if median > 12 || p95 > 50 {
		t.Errorf("functions: median %d lines (bound 12), 95th percentile %d (bound 50)", median, p95)
	}
}

// isTable tells whether most of a function is one composite literal.
func isTable(f *ast.FuncDecl) bool {
	longest, total := 0, int(f.End()-f.Pos())
	ast.Inspect(f, func(n ast.Node) bool {
		if literal, ok := n.(*ast.CompositeLit); ok {
			longest = max(longest, int(literal.End()-literal.Pos()))
		}
		return true
	})
	return longest*10 > total*6
}

func TestInterfacesAreSmall(t *testing.T) {
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if i, ok := spec.Type.(*ast.InterfaceType); ok && i.Methods.NumFields() > 5 {
				t.Errorf("%s: interface %s has %d methods, 5 are the bound", s.path, spec.Name.Name, i.Methods.NumFields())
			}
			return true
		})
	}
}

func TestTopLevelHoldsOnlyWhatTheDesignNames(t *testing.T) {
	allowed := strings.Fields("cmd idp sp store templates certs testdata docs deploy go.mod go.sum Makefile README.md CHANGELOG.md LICENSE SECURITY.md gatehouse bin")
	entries, err := os.ReadDir(repositoryRoot(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), ".") && !slices.Contains(allowed, entry.Name()) {
			t.Errorf("%s does not belong at the top level", entry.Name())
		}
	}
}

// TestImportTableRefuses proves that the table bites.
func TestImportTableRefuses(t *testing.T) {
	for _, c := range []struct {
		pkg, path string
		ok        bool
	}{
		{"store", module + "/sp", false},
		{"idp/saml", module + "/idp/portal", false},
		{"idp/saml", module + "/idp/flow", true},
		{"sp", "net/http", false},
		{"idp/flow", "go.etcd.io/bbolt", false},
		{"store/bolt", "go.etcd.io/bbolt", true},
		{"idp/new", module + "/store", false},
		{"idp", module + "/store/bolt", false},
		{"cmd/gatehouse", module + "/store/bolt", true},
	} {
		if err := checkImport(c.pkg, c.path); (err == nil) != c.ok {
			t.Errorf("%s importing %s: %v", c.pkg, c.path, cmp.Or(err, fmt.Errorf("no error")))
		}
	}
}
