package grants

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"gatehouse/store"
	"gatehouse/store/bolt"
)

// TestHoldings pages through what many people gave an app: each once, with what is open added up, and in bounded steps where nothing
// is left.
func TestHoldings(t *testing.T) {
	s, err := bolt.Open(filepath.Join(t.TempDir(), "gatehouse.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	noon := time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)
	put := func(tx store.Tx, g Grant) {
		g.Epoch, err = EpochOf(tx, g.User, g.App)
		if err == nil {
			err = AllGrants.Put(tx, &g)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	const people = 250
	update := func(fn func(tx store.Tx)) {
		t.Helper()
		if err := s.Update(t.Context(), func(tx store.Tx) error { fn(tx); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	update(func(tx store.Tx) {
		for i := range people {
			user := fmt.Sprintf("usr_%03d", i)
			put(tx, Grant{ID: fmt.Sprintf("gnt_b%d", i), User: user, App: "app_a", Scopes: []string{"openid"}, Created: noon, Used: noon.Add(time.Hour)})
			put(tx, Grant{ID: fmt.Sprintf("gnt_a%d", i), User: user, App: "app_a", Scopes: []string{"email", "openid"}, Created: noon.Add(-time.Hour), Refresh: "r"})
			put(tx, Grant{ID: fmt.Sprintf("gnt_over%d", i), User: user, App: "app_a", Scopes: []string{"phone"}, Created: noon, Until: noon})
			put(tx, Grant{ID: fmt.Sprintf("gnt_dead%d", i), User: user, App: "app_a", Scopes: []string{"phone"}, Created: noon, Dead: "revoked"})
			put(tx, Grant{ID: fmt.Sprintf("gnt_other%d", i), User: user, App: "app_b", Scopes: []string{"phone"}, Created: noon})
		}
		put(tx, Grant{ID: "gnt_near", User: "usr_000", App: "app_aa", Created: noon})
	})
	list := func(page store.Page, limit int) (all []Holding, pages int) {
		t.Helper()
		for {
			err := s.View(t.Context(), func(tx store.Tx) error {
				some, next, err := Holdings(tx, page, limit, noon)
				all, page.After = append(all, some...), next
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if pages++; page.After == "" {
				return all, pages
			}
		}
	}
	all, pages := list(PageOfApp("app_a"), 100)
	if len(all) != people || pages != 3 {
		t.Fatalf("%d people on %d pages", len(all), pages)
	}
	for i, one := range all {
		if one.User != fmt.Sprintf("usr_%03d", i) || one.Count != 2 || !one.Since.Equal(noon.Add(-time.Hour)) || !one.Used.Equal(noon.Add(time.Hour)) || !one.Refresh || !slices.Equal(one.Scopes, []string{"email", "openid"}) {
			t.Fatalf("%+v", one)
		}
	}
	if mine, _ := list(PageOfPerson("usr_007"), 100); len(mine) != 2 || mine[0].App != "app_a" || mine[1].App != "app_b" || mine[1].Count != 1 {
		t.Errorf("%+v", mine)
	}
	if both, _ := list(PageOfBoth("usr_007", "app_b"), 1); len(both) != 1 || both[0].Scopes[0] != "phone" {
		t.Errorf("%+v", both)
	}
	update(func(tx store.Tx) { // what is ended by the million is gone from the list before it is deleted, and holds up no page
		for i := range 2 * MaxLooked {
			put(tx, Grant{ID: fmt.Sprintf("gnt_m%d", i), User: fmt.Sprintf("usr_m%d", i), App: "app_m", Created: noon})
		}
		if err := EndEra(tx, OfApp("app_m")); err != nil {
			t.Fatal(err)
		}
	})
	if left, pages := list(PageOfApp("app_m"), 100); len(left) != 0 || pages != 2 {
		t.Errorf("%d people on %d pages", len(left), pages)
	}
}
