package idptest

import (
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// requirement is a row of testdata/conformance/rows.tsv. A row that is guarded needs a case that names it first.
type requirement struct {
	id, modes, text string
	guarded         bool
	heading         string // the section that begins with this row
}

// leftOut is a row of testdata/conformance/leftout.tsv: what of a requirement is not proved, and why.
type leftOut struct {
	part   bool // the rest of it is proved
	reason string
}

// proof is a test that proves a requirement; first says that a case of it names the requirement before any other.
type proof struct {
	pkg, test string
	first     bool
}

// proofs maps requirements to their tests.
type proofs map[string][]proof

var leadingIDs = regexp.MustCompile(`^([A-Z]{3}-[0-9]{2})(?: ([A-Z]{3}-[0-9]{2}))*(?: |$)`)

// idsOf are the requirements with which the name of a case begins.
func idsOf(name string) []string {
	return strings.Fields(leadingIDs.FindString(name))
}

// declared is a function or variable at the top of a file: the cases in it, and what of its package it uses.
type declared struct {
	cases [][]string
	uses  []types.Object
}

// noImports lets a package be read alone: what others declare is no case.
type noImports struct{}

func (noImports) Import(string) (*types.Package, error) { return nil, errors.New("not read") }

// proofsIn collects what the tests of one package prove, of which files are all files. Lost are cases that no test reaches.
func proofsIn(pkg string, fset *token.FileSet, files []*ast.File) (found proofs, lost []string) {
	found = proofs{}
	all := declarations(fset, files)
	reached := map[types.Object]bool{}
	for test := range all {
		if !isTest(fset, test) {
			continue
		}
		for used := range closure(all, test) {
			reached[used] = true
			for _, ids := range all[used].cases {
				for i, id := range ids {
					found[id] = append(found[id], proof{pkg, test.Name(), i == 0})
				}
			}
		}
	}
	for object, d := range all {
		for _, ids := range d.cases {
			if !reached[object] {
				lost = append(lost, fmt.Sprintf("%s: %s in %s, which no test uses", pkg, strings.Join(ids, " "), object.Name()))
			}
		}
	}
	return found, lost
}

func isTest(fset *token.FileSet, object types.Object) bool {
	f, ok := object.(*types.Func)
	return ok && f.Signature().Recv() == nil && strings.HasPrefix(f.Name(), "Test") && inTestFile(fset, f.Pos())
}

func inTestFile(fset *token.FileSet, at token.Pos) bool {
	return strings.HasSuffix(fset.Position(at).Filename, "_test.go")
}

// closure is everything that a declaration uses, itself included.
func closure(all map[types.Object]*declared, from types.Object) map[types.Object]bool {
	seen, next := map[types.Object]bool{from: true}, []types.Object{from}
	for len(next) > 0 {
		object := next[0]
		next = next[1:]
		for _, used := range all[object].uses {
			if all[used] != nil && !seen[used] {
				seen[used] = true
				next = append(next, used)
			}
		}
	}
	return seen
}

// declarations of a package, with the cases in its test files. What needs other packages to be understood stays unknown.
func declarations(fset *token.FileSet, files []*ast.File) map[types.Object]*declared {
	info := &types.Info{Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: noImports{}, Error: func(error) {}}
	_, _ = config.Check("p", fset, files, info) // imports are missing, so there always is an error
	all := map[types.Object]*declared{}
	add := func(name *ast.Ident, node ast.Node) {
		if object := info.Defs[name]; object != nil {
			d := &declared{}
			d.read(node, info.Uses, inTestFile(fset, name.Pos()))
			all[object] = d
		}
	}
	for _, file := range files {
		for _, decl := range file.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				add(decl.Name, decl)
			case *ast.GenDecl:
				eachVariable(decl, add)
			}
		}
	}
	return all
}

func eachVariable(decl *ast.GenDecl, add func(*ast.Ident, ast.Node)) {
	for _, spec := range decl.Specs {
		if value, ok := spec.(*ast.ValueSpec); ok {
			for _, name := range value.Names {
				add(name, value)
			}
		}
	}
}

// read notes the objects that a declaration uses, and in tests its cases.
func (d *declared) read(node ast.Node, uses map[*ast.Ident]types.Object, test bool) {
	ast.Inspect(node, func(n ast.Node) bool {
		if ident, ok := n.(*ast.Ident); ok && uses[ident] != nil {
			d.uses = append(d.uses, uses[ident])
		}
		if !test {
			return true
		}
		switch n := n.(type) {
		case *ast.CallExpr:
			if run, ok := n.Fun.(*ast.SelectorExpr); ok && run.Sel.Name == "Run" && len(n.Args) == 2 {
				d.note(n.Args[0])
			}
		case *ast.CompositeLit:
			d.noteCases(n)
		}
		return true
	})
}

// noteCases notes the keys of a map, fields called name, and the first of fields without names.
func (d *declared) noteCases(literal *ast.CompositeLit) {
	for i, element := range literal.Elts {
		pair, keyed := element.(*ast.KeyValueExpr)
		switch {
		case !keyed && i == 0:
			d.note(element)
		case !keyed:
		case isName(pair.Key):
			d.note(pair.Value)
		default:
			d.note(pair.Key)
		}
	}
}

func isName(e ast.Expr) bool {
	ident, ok := e.(*ast.Ident)
	return ok && ident.Name == "name"
}

// note keeps the requirements with which a text begins.
func (d *declared) note(e ast.Expr) {
	for {
		sum, ok := e.(*ast.BinaryExpr)
		if !ok {
			break
		}
		e = sum.X
	}
	literal, ok := e.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return
	}
	if text, err := strconv.Unquote(literal.Value); err == nil {
		if ids := idsOf(text); len(ids) > 0 {
			d.cases = append(d.cases, ids)
		}
	}
}

// merge adds what another package proves.
func (p proofs) merge(other proofs) {
	for id, list := range other {
		p[id] = append(p[id], list...)
	}
}

// judge says what is wrong between the requirements, their tests and what is left out.
func judge(rows []requirement, proved proofs, left map[string]leftOut) (wrong []string) {
	known := map[string]bool{}
	for _, row := range rows {
		known[row.id] = true
		tests, out := proved[row.id], left[row.id]
		isFirst := slices.ContainsFunc(tests, func(p proof) bool { return p.first })
		switch {
		case len(tests) == 0 && out.reason == "":
			wrong = append(wrong, row.id+": no test names it, and leftout.tsv does not say why")
		case len(tests) == 0 && out.part:
			wrong = append(wrong, row.id+": leftout.tsv says that a part is proved, and no test names it")
		case len(tests) > 0 && out.reason != "" && !out.part:
			wrong = append(wrong, row.id+": "+tests[0].test+" names it, and leftout.tsv says that it is left out")
		case row.guarded && len(tests) > 0 && !isFirst:
			wrong = append(wrong, row.id+": no case is its own (names it first)")
		}
	}
	for _, id := range slices.Sorted(maps.Keys(proved)) {
		if !known[id] {
			wrong = append(wrong, fmt.Sprintf("%s: %s %s names a requirement that rows.tsv has not", id, proved[id][0].pkg, proved[id][0].test))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(left)) {
		if !known[id] {
			wrong = append(wrong, id+": leftout.tsv names a requirement that rows.tsv has not")
		}
	}
	return wrong
}

// document writes docs/conformance.md.
func document(rows []requirement, proved proofs, left map[string]leftOut) string {
	var body strings.Builder
	whole, part, out := 0, 0, 0
	for _, row := range rows {
		if row.heading != "" {
			fmt.Fprintf(&body, "\n## %s\n\n| ID | modes | requirement | proved by |\n|---|---|---|---|\n", row.heading)
		}
		id := row.id
		if row.guarded {
			id += " \\*\\*"
		}
		fmt.Fprintf(&body, "| %s | %s | %s | %s |\n", id, row.modes, cell(row.text), cell(evidence(row.id, proved[row.id], left[row.id])))
		switch {
		case len(proved[row.id]) == 0:
			out++
		case left[row.id].part:
			part++
		default:
			whole++
		}
	}
	return fmt.Sprintf(preface, len(rows), whole, part, out) + body.String()
}

const preface = `# Conformance

Written by ` + "`make conformance`" + ` from the tests; ` + "`make test`" + ` fails when it is stale. A test proves a row when the name of one of its
cases begins with the row's id; search the tests for an id to see every case. Rows marked \*\* guard against an attack or a
silent failure and have a case of their own.

Modes: L Lite and full identity provider, I full only, X extended, F fedinterop, S saml2int, E an extension, O OAuth 2.0 and OpenID Connect, P a need of the product.

%d rows: %d proved, %d proved in part, %d left out.
`

// evidence names the tests of a row, each once, and what is missing.
func evidence(id string, tests []proof, out leftOut) string {
	var names []string
	for _, p := range tests {
		names = append(names, "`"+p.pkg+" "+p.test+"/"+id+"`")
	}
	slices.Sort(names)
	text := strings.Join(slices.Compact(names), ", ")
	switch {
	case out.reason == "":
		return text
	case out.part:
		return text + "; not yet: " + out.reason
	}
	return "left out: " + out.reason
}

func cell(text string) string { return strings.ReplaceAll(cmp.Or(text, "-"), "|", `\|`) }
