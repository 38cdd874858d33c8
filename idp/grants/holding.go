package grants

import (
	"slices"
	"time"

	"gatehouse/store"
)

// Holding is what one person has given one app that still gives tokens: all their open grants together.
type Holding struct {
	User, App string
	Count     int
	Scopes    []string  // of any of them
	Since     time.Time // of the oldest
	Used      time.Time // within an hour; zero: never since it was given
	Refresh   bool      // the app can go on by itself
}

// MaxLooked is how many grants one page looks at: what has just been ended by the million, and is not deleted yet, must not hold it up.
const MaxLooked = 5000

// PageOfApp is the page of what people gave an app, by person.
func PageOfApp(app string) store.Page { return store.Page{Index: "holder", Prefix: app + "/"} }

// PageOfPerson is the page of what a person gave, by app.
func PageOfPerson(user string) store.Page { return store.Page{Index: "pair", Prefix: user + "/"} }

// PageOfBoth is the page of what one person gave one app.
func PageOfBoth(user, app string) store.Page {
	return store.Page{Index: "pair", Value: Pair(user, app)}
}

// Holdings lists at most limit of them on one of the pages above, with the cursor of the next, empty at the end. A page may hold
// fewer, even none, and not be the last.
func Holdings(tx store.Tx, page store.Page, limit int, now time.Time) (list []Holding, next string, err error) {
	looked, last := 0, ""
	var current string
	err = AllGrants.Each(tx, page, func(cursor string, g *Grant) error {
		pair := Pair(g.User, g.App)
		if pair != current && (len(list) == limit || looked >= MaxLooked) {
			next = last
			return store.ErrStop
		}
		current, last = pair, cursor
		looked++
		open, err := g.Open(tx, now)
		if err != nil || !open {
			return err
		}
		if len(list) == 0 || Pair(list[len(list)-1].User, list[len(list)-1].App) != pair {
			list = append(list, Holding{User: g.User, App: g.App, Since: g.Created})
		}
		list[len(list)-1].add(g)
		return nil
	})
	return list, next, err
}

func (h *Holding) add(g *Grant) {
	h.Count++
	h.Refresh = h.Refresh || g.Refresh != ""
	for _, scope := range g.Scopes {
		if !slices.Contains(h.Scopes, scope) {
			h.Scopes = append(h.Scopes, scope)
		}
	}
	if g.Created.Before(h.Since) {
		h.Since = g.Created
	}
	if g.Used.After(h.Used) {
		h.Used = g.Used
	}
}

// Open tells whether anything of a grant can still be used: it is live, and its time is not over.
func (g *Grant) Open(tx store.Tx, now time.Time) (bool, error) {
	if !g.Until.IsZero() && !g.Until.After(now) {
		return false, nil
	}
	return g.Live(tx)
}
