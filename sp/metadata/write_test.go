package metadata

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"gatehouse/sp"
)

// TestWrite: what Write makes of any fixture means the same again.
func TestWrite(t *testing.T) {
	files, err := filepath.Glob("../../testdata/metadata/*.xml")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d fixtures, %v", len(files), err)
	}
	opts := Options{Now: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC), AllowHTTP: true, AllowExpired: true}
	written := 0
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		first, err := Parse(content, opts)
		if err != nil {
			continue // a fixture of what is refused
		}
		again := rewrite(t, file, &first.Metadata, opts)
		if !reflect.DeepEqual(first.Metadata, again) {
			t.Errorf("%s means something else:\n%+v\n%+v", file, first.Metadata, again)
		}
		written++
	}
	if written < 10 {
		t.Errorf("only %d fixtures were written", written)
	}
	odd := sp.Metadata{
		EntityID: `https://a.example/?x=1&y="<2>"`, ACS: []sp.Endpoint{{Binding: sp.BindingPOST, Location: "https://a.example/acs?x=1&y=2"}},
		DisplayName: `Ä & "B" <C>`, NameIDFormats: []string{sp.NameIDPersistent}, Contact: "a&b@example.org", ValidUntil: opts.Now.Add(90 * time.Minute),
	}
	if again := rewrite(t, "odd", &odd, opts); !reflect.DeepEqual(odd, again) {
		t.Errorf("odd values mean something else:\n%+v\n%+v", odd, again)
	}
}

func rewrite(t *testing.T, name string, m *sp.Metadata, opts Options) sp.Metadata {
	t.Helper()
	document, err := Write(m)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	result, err := Parse(document, opts)
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, document)
	}
	return result.Metadata
}
