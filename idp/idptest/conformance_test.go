package idptest

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var writeConformance = flag.Bool("write", false, "write docs/conformance.md")

// TestConformance holds docs/conformance.md to the tests, and the tests to the rows.
func TestConformance(t *testing.T) {
	rows, left := readRows(t), readLeftOut(t)
	proved, lost := allProofs(t)
	for _, problem := range append(judge(rows, proved, left), lost...) {
		t.Error(problem)
	}
	path := filepath.Join(repositoryRoot(t), "docs/conformance.md")
	want := document(rows, proved, left)
	if *writeConformance && !t.Failed() {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil || string(have) != want {
		t.Errorf("docs/conformance.md is stale (%v): run make conformance", err)
	}
}

func allProofs(t *testing.T) (proofs, []string) {
	t.Helper()
	packages, read := map[[2]string][]*ast.File{}, sources(t)
	for _, s := range read {
		key := [2]string{s.pkg, s.file.Name.Name} // a folder may hold a second package of tests
		packages[key] = append(packages[key], s.file)
	}
	all, lost := proofs{}, []string(nil)
	for key, files := range packages {
		found, unreached := proofsIn(key[0], read[0].fset, files)
		all.merge(found)
		lost = append(lost, unreached...)
	}
	return all, lost
}

// lines are the fields of a file of testdata/conformance; "## " begins a section, other "#" a comment.
func lines(t *testing.T, name string) [][]string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(repositoryRoot(t), "testdata/conformance", name))
	if err != nil {
		t.Fatal(err)
	}
	var all [][]string
	for line := range strings.Lines(string(raw)) {
		if line = strings.TrimRight(line, "\n"); line != "" && (strings.HasPrefix(line, "## ") || line[0] != '#') {
			all = append(all, strings.Split(line, "\t"))
		}
	}
	return all
}

func readRows(t *testing.T) []requirement {
	t.Helper()
	var rows []requirement
	seen, heading := map[string]bool{}, ""
	for _, f := range lines(t, "rows.tsv") {
		if title, ok := strings.CutPrefix(f[0], "## "); ok {
			heading = title
			continue
		}
		if len(f) < 3 || len(f) > 4 || len(f) == 4 && f[3] != "**" || len(idsOf(f[0])) != 1 || seen[f[0]] {
			t.Fatalf("rows.tsv: %q is not id, modes, requirement and perhaps **, or is there twice", f)
		}
		seen[f[0]] = true
		rows = append(rows, requirement{f[0], f[1], f[2], len(f) == 4, heading})
		heading = ""
	}
	return rows
}

func readLeftOut(t *testing.T) map[string]leftOut {
	t.Helper()
	left := map[string]leftOut{}
	for _, f := range lines(t, "leftout.tsv") {
		if len(f) != 3 || f[1] != "all" && f[1] != "part" || f[2] == "" || left[f[0]].reason != "" {
			t.Fatalf("leftout.tsv: %q is not id, all or part, reason, or is there twice", f)
		}
		left[f[0]] = leftOut{f[1] == "part", f[2]}
	}
	return left
}

// TestConformanceReadsTests proves what counts as the name of a case, and to which test it belongs.
func TestConformanceReadsTests(t *testing.T) {
	const source = `package p
func TestDirect(t *testing.T) {
	t.Run("AAA-01 BBB-02 two at once", nil)
	t.Run("BBB-03 "+name, nil)
	t.Errorf("CCC-01 is no case")
	table = 1
}
func TestTable(t *testing.T) { for range table { w.deep(t) } }
func TestShadow(t *testing.T) { table := 1; _ = table; _ = row{}.deep; other{}.deep() }
var w world
func (w *world) deep(t *testing.T) { for name := range map[string]int{"AAA-02 key": 1, "AAA-03": 2} {} }
func (o other) deep() {}
type world struct{}
type other struct{}
type row struct { name, text string; deep int }
var table = []row{{name: "AAA-04 field"}, {"AAA-05 unnamed", "CCC-02 second"}, {text: "CCC-03"}}
func unused() { t.Run("DDD-01 reached by nobody", nil) }
`
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "p_test.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	found, lost := proofsIn("p", fset, []*ast.File{file})
	const want = "AAA-01 TestDirect\nAAA-02 TestTable\nAAA-03 TestTable\nAAA-04 TestDirect TestTable\nAAA-05 TestDirect TestTable\nBBB-02 TestDirect\nBBB-03 TestDirect\n"
	got := ""
	for _, id := range slices.Sorted(maps.Keys(found)) {
		got += id
		for _, p := range sorted(found[id]) {
			got += " " + p.test
		}
		got += "\n"
	}
	if got != want || len(lost) != 1 || !strings.Contains(lost[0], "DDD-01") {
		t.Errorf("found\n%s\nlost %v", got, lost)
	}
	if found["BBB-02"][0].first || !found["AAA-01"][0].first {
		t.Error("the case of AAA-01 counts as BBB-02's own")
	}
}

func sorted(list []proof) []proof {
	return slices.SortedFunc(slices.Values(list), func(a, b proof) int { return strings.Compare(a.test, b.test) })
}

// TestConformanceRefuses proves that each rule about rows, tests and what is left out bites.
func TestConformanceRefuses(t *testing.T) {
	const one, two = "AAA-01", "AAA-02"
	row := requirement{id: one, text: "x", guarded: true}
	own, shared := []proof{{"p", "TestX", true}}, []proof{{"p", "TestX", false}}
	for _, c := range []struct {
		name   string
		proved proofs
		left   map[string]leftOut
		want   string
	}{
		{"proved", proofs{one: own}, nil, ""},
		{"left out", nil, map[string]leftOut{one: {false, "why"}}, ""},
		{"in part", proofs{one: own}, map[string]leftOut{one: {true, "why"}}, ""},
		{"neither", nil, nil, "does not say why"},
		{"both", proofs{one: own}, map[string]leftOut{one: {false, "why"}}, "left out"},
		{"in part without a test", nil, map[string]leftOut{one: {true, "why"}}, "no test names it"},
		{"no case of its own", proofs{one: shared}, nil, "its own"},
		{"unknown in a test", proofs{one: own, two: own}, nil, "TestX names a requirement"},
		{"unknown left out", proofs{one: own}, map[string]leftOut{two: {false, "why"}}, "leftout.tsv names a requirement"},
	} {
		wrong := strings.Join(judge([]requirement{row}, c.proved, c.left), "\n")
		if (wrong == "") != (c.want == "") || !strings.Contains(wrong, c.want) {
			t.Errorf("%s: %q, want %q", c.name, wrong, c.want)
		}
	}
	written := document([]requirement{row}, proofs{one: own}, map[string]leftOut{one: {true, "the other half"}})
	if !strings.Contains(written, "`p TestX/AAA-01`; not yet: the other half") || !strings.Contains(written, "1 rows: 0 proved, 1 proved in part, 0 left out") {
		t.Error(written)
	}
}
