package metadata

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatehouse/sp"
)

// FuzzParse holds the promises for any bytes: no panic, a typed refusal with a reason, and no result that sign-on cannot
// rely on.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("..", "..", "testdata", "metadata", "*.xml"))
	if err != nil || len(files) < 12 {
		f.Fatalf("seeds: %v %v", files, err)
	}
	for _, file := range files {
		f.Add(fixture(f, filepath.Base(file)))
	}
	f.Add([]byte(document))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Parse(data, Options{Now: now})
		if err != nil {
			var refused *Error
			if !errors.As(err, &refused) || refused.Reason == "" {
				t.Fatalf("not a refusal: %v", err)
			}
			return
		}
		checkResult(t, r)
	})
}

func checkResult(t *testing.T, r Result) {
	t.Helper()
	m := r.Metadata
	if entityIDProblem(m.EntityID, "") != "" {
		t.Fatalf("entity id %q", m.EntityID)
	}
	if _, ok := m.DefaultACS(sp.BindingPOST); !ok {
		t.Fatal("no address for the answer")
	}
	for _, e := range slices.Concat(m.ACS, m.SLO) {
		if err := sp.CheckLocation(e.Location, false); err != nil {
			t.Fatalf("%q %v", e.Location, err)
		}
	}
	for _, k := range m.Keys {
		if _, err := k.Public(); err != nil {
			t.Fatal(err)
		}
	}
	encoded, err := json.Marshal(m)
	if err != nil || strings.Contains(codes(r.Warnings), "incomplete") {
		t.Fatalf("%v %s", err, codes(r.Warnings))
	}
	var back sp.Metadata
	if err := json.Unmarshal(encoded, &back); err != nil || len(Diff(m, back)) > 0 {
		t.Fatalf("does not survive the store: %v %v", err, Diff(m, back))
	}
}

// The costliest document that the gate lets in must stay cheap.
func BenchmarkParseLargest(b *testing.B) {
	data := []byte(inRole(strings.Repeat(`<NameIDFormat>urn:x</NameIDFormat>`, 4990)))
	for b.Loop() {
		if _, err := Parse(data, Options{Now: now}); err != nil {
			b.Fatal(err)
		}
	}
}
