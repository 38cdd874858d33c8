package sp_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/sp"
	"gatehouse/store"
	"gatehouse/store/bolt"
)

// TestAttemptsAreBounded: 200 rows, the stalest makes room, and what is counted is text of at most 256 bytes.
func TestAttemptsAreBounded(t *testing.T) {
	s, err := bolt.Open(filepath.Join(t.TempDir(), "db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	err = s.Update(t.Context(), func(tx store.Tx) error {
		for i := range 230 {
			identifier := fmt.Sprintf("https://sp-%d.example.org/%s", i, strings.Repeat("ü", 300))
			if err := sp.CountAttempt(tx, "saml", identifier, "u", now.Add(time.Duration(i)*time.Second)); err != nil {
				return err
			}
		}
		return sp.CountAttempt(tx, "saml", "https://sp-229.example.org/"+strings.Repeat("ü", 300), "v", now.Add(time.Hour))
	})
	if err != nil {
		t.Fatal(err)
	}
	var all []sp.Attempt
	err = s.View(t.Context(), func(tx store.Tx) (err error) {
		all, _, err = sp.Attempts.List(tx, store.Page{Index: "last", Limit: 500})
		return err
	})
	if err != nil || len(all) != 200 {
		t.Fatalf("%d rows, %v", len(all), err)
	}
	first, last := all[0], all[len(all)-1]
	if !strings.HasPrefix(first.Identifier, "https://sp-30.") || last.Count != 2 || last.User != "v" {
		t.Errorf("first %.30s, last %+v", first.Identifier, last)
	}
	for _, a := range all {
		if len(a.Identifier) > 256 || strings.ToValidUTF8(a.Identifier, "") != a.Identifier {
			t.Errorf("identifier of %d bytes", len(a.Identifier))
		}
	}
}
