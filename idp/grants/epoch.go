package grants

import (
	"errors"
	"strings"

	"gatehouse/store"
)

// Epoch says in which times of an app, a person and the organisation a grant was given. When one of the times ends, everything
// that was given in it is dead at once, however much that is: a block may concern a million tokens.
type Epoch struct {
	App  uint64 `json:"app,omitempty"`
	User uint64 `json:"user,omitempty"`
	All  uint64 `json:"all,omitempty"`
}

// Era is how often the times of an app, a person or all were ended.
type Era struct {
	Of string `json:"of"` // OfApp, OfUser or OfAll
	N  uint64 `json:"n"`
	// Left says that grants of times before may still have to be deleted.
	Left bool `json:"left,omitempty"`
}

// Eras is the table of those; what has no record was never ended. The index "left" holds those with something to delete.
var Eras = &store.Table[Era]{
	Name:    "era",
	Version: 1,
	Key:     func(e *Era) string { return e.Of },
	Lists: map[string]func(*Era) []string{"left": func(e *Era) []string {
		if e.Left {
			return []string{"yes"}
		}
		return nil
	}},
}

// The keys of Eras.
const OfAll = "all"

// OfApp is the key of an app's times.
func OfApp(app string) string { return "app/" + app }

// OfUser is the key of a person's times.
func OfUser(user string) string { return "user/" + user }

// EpochOf is the present one of a person at an app.
func EpochOf(tx store.Tx, user, app string) (Epoch, error) {
	var e Epoch
	for _, one := range []struct {
		of string
		n  *uint64
	}{{OfApp(app), &e.App}, {OfUser(user), &e.User}, {OfAll, &e.All}} {
		era, _, err := Eras.Get(tx, one.of)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return e, err
		}
		*one.n = era.N
	}
	return e, nil
}

// EndEra ends a time: nothing that was given before is good any more.
func EndEra(tx store.Tx, of string) error {
	era, _, err := Eras.Get(tx, of)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return Eras.Put(tx, &Era{Of: of, N: era.N + 1, Left: true})
}

// Live tells whether a grant still counts: it is not dead, and nothing has ended the times in which it was given.
func (g *Grant) Live(tx store.Tx) (bool, error) {
	if g.Dead != "" {
		return false, nil
	}
	now, err := EpochOf(tx, g.User, g.App)
	return now == g.Epoch, err
}

// Clear deletes at most limit grants of ended times, with their refresh tokens, and returns how many that were.
func Clear(tx store.Tx, limit int) (int, error) {
	left, _, err := Eras.List(tx, store.Page{Index: "left", Value: "yes", Limit: 1})
	if err != nil || len(left) == 0 {
		return 0, err
	}
	n := 0
	err = AllGrants.Each(tx, left[0].page(), func(_ string, g *Grant) error {
		now, err := EpochOf(tx, g.User, g.App)
		if err != nil || now == g.Epoch {
			return err
		}
		if n == limit {
			return store.ErrStop
		}
		n++
		if g.Refresh != "" {
			if err := RefreshTokens.Delete(tx, g.Refresh); err != nil {
				return err
			}
		}
		return AllGrants.Delete(tx, g.ID)
	})
	if err != nil || n == limit {
		return n, err
	}
	left[0].Left = false
	return max(n, 1), Eras.Put(tx, &left[0])
}

func (e *Era) page() store.Page {
	if app, ok := strings.CutPrefix(e.Of, "app/"); ok {
		return PageOfApp(app)
	}
	if user, ok := strings.CutPrefix(e.Of, "user/"); ok {
		return PageOfPerson(user)
	}
	return store.Page{}
}
