package grants

import (
	"fmt"
	"path/filepath"
	"testing"

	"gatehouse/store"
	"gatehouse/store/bolt"
)

// TestEndedTimes: what was given in times that ended is dead at once, and is deleted later with its refresh tokens; what is given
// afterwards, and to others, lives.
func TestEndedTimes(t *testing.T) {
	s, err := bolt.Open(filepath.Join(t.TempDir(), "gatehouse.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	update := func(fn func(tx store.Tx) error) {
		t.Helper()
		if err := s.Update(t.Context(), fn); err != nil {
			t.Fatal(err)
		}
	}
	give := func(id, user, app string) {
		update(func(tx store.Tx) error {
			epoch, err := EpochOf(tx, user, app)
			if err != nil {
				return err
			}
			if err := RefreshTokens.Put(tx, &RefreshToken{Family: "r" + id, Hash: "h", Grant: id}); err != nil {
				return err
			}
			return AllGrants.Put(tx, &Grant{ID: id, User: user, App: app, Refresh: "r" + id, Epoch: epoch, Created: noon})
		})
	}
	living := func() (ids string) {
		update(func(tx store.Tx) error {
			ids = ""
			return AllGrants.Each(tx, store.Page{}, func(_ string, g *Grant) error {
				if live, err := g.Live(tx); err != nil || !live {
					return err
				}
				ids += g.ID
				return nil
			})
		})
		return ids
	}
	stored := func() (n, tokens int) {
		update(func(tx store.Tx) error {
			n, err = AllGrants.Count(tx, store.Page{}, 0)
			if err == nil {
				tokens, err = RefreshTokens.Count(tx, store.Page{}, 0)
			}
			return err
		})
		return n, tokens
	}
	for i, id := range []string{"a", "b", "c", "d"} {
		give(id, fmt.Sprint("u", i%2), fmt.Sprint("p", i/2))
	}
	for _, step := range []struct{ end, give, want string }{
		{"", "", "abcd"}, {OfApp("p0"), "", "cd"}, {"", "e", "cde"}, {OfUser("u1"), "", "ce"}, {OfUser("u"), "", "ce"}, {OfAll, "", ""}, {"", "f", "f"},
	} {
		if step.end != "" {
			update(func(tx store.Tx) error { return EndEra(tx, step.end) })
		}
		if step.give != "" {
			give(step.give, "u0", "p0")
		}
		if got := living(); got != step.want {
			t.Errorf("after %+v: %q", step, got)
		}
	}
	for n := 1; n > 0; {
		update(func(tx store.Tx) (err error) { n, err = Clear(tx, 2); return err })
	}
	if n, tokens := stored(); n != 1 || tokens != 1 || living() != "f" {
		t.Errorf("%d grants and %d tokens are left: %q", n, tokens, living())
	}
	update(func(tx store.Tx) error {
		g, _, err := AllGrants.Get(tx, "f")
		if err != nil {
			return err
		}
		return Kill(tx, &g, "revoked")
	})
	if n, tokens := stored(); n != 1 || tokens != 0 || living() != "" {
		t.Errorf("killed: %d grants, %d tokens, living %q", n, tokens, living())
	}
}
