package admin

import (
	"context"
	"encoding/base64"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/idp/api"
	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/idp/grants"
	"gatehouse/sp"
	"gatehouse/store"
)

// Reach asks who can open an app, or what a person can open, from an address at a moment; zero values are none and now.
type Reach struct {
	Address netip.Addr
	At      time.Time
	After   string
	Limit   int // 1 to 1,000; otherwise 100
}

// maxReached is how many people one page looks at, so that it takes no longer in a large directory: it may be short, and its
// cursor goes on.
const maxReached = 2000

// source is one line of an app's policy that lets people in: everybody, the named users, a profile, a permission set, a group, or
// the approved requests.
type source struct{ kind, id string }

func sources(p *sp.Policy) []source {
	if p.PermittedUsers == sp.PermitAll {
		return []source{{kind: "all"}}
	}
	list := []source{{kind: "users"}}
	for _, of := range []struct {
		kind string
		ids  []string
	}{{"profile", p.Profiles}, {"permission_set", p.PermissionSets}, {"group", p.Groups}} {
		for _, id := range of.ids {
			list = append(list, source{of.kind, id})
		}
	}
	return append(list, source{kind: "request"})
}

// holds tells whether a source lets a person in. Nobody is looked for behind the approved requests, which come last.
func (s source) holds(p *sp.Policy, user *directory.User) bool {
	switch s.kind {
	case "users":
		return slices.Contains(p.Users, user.ID)
	case "profile":
		return user.Profile == s.id
	case "permission_set":
		return slices.Contains(user.PermissionSets, s.id)
	case "group":
		return slices.Contains(user.Groups, s.id)
	}
	return true
}

// reachCursor is where a walk through the sources of an app goes on.
type reachCursor struct {
	source int
	after  string
}

func (c reachCursor) String() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(c.source) + ":" + c.after))
}

func parseReachCursor(text string) (reachCursor, error) {
	if text == "" {
		return reachCursor{}, nil
	}
	plain, err := base64.RawURLEncoding.DecodeString(text)
	number, after, found := strings.Cut(string(plain), ":")
	n, numberErr := strconv.Atoi(number)
	if err != nil || !found || numberErr != nil || n < 0 {
		return reachCursor{}, badValue("after", "The cursor is not one of this list: start again without it.")
	}
	return reachCursor{n, after}, nil
}

// WhoOpens lists the people whom an app's policy permits, each once, with what would happen at their click: the same decision
// that a sign-on meets.
func (a *Actions) WhoOpens(ctx context.Context, ref string, ask Reach) (api.List[api.Reach], error) {
	at, err := parseReachCursor(ask.After)
	if err != nil {
		return api.List[api.Reach]{}, err
	}
	var w reachWalk
	err = a.view(ctx, func(tx store.Tx) error {
		app, err := findApp(tx, ref)
		if err != nil {
			return err
		}
		w = reachWalk{actions: a, tx: tx, app: &app, ask: a.filled(ask), from: at, sources: sources(&app.Policy)}
		return w.run()
	})
	return api.List[api.Reach]{Items: w.rows, Next: w.next}, err
}

func (a *Actions) filled(ask Reach) Reach {
	if ask.At.IsZero() {
		ask.At = a.Now()
	}
	if ask.Limit < 1 || ask.Limit > maxPage {
		ask.Limit = 100
	}
	return ask
}

// reachWalk goes through the people of an app's sources.
type reachWalk struct {
	actions *Actions
	tx      store.Tx
	app     *sp.App
	ask     Reach
	from    reachCursor
	sources []source

	looked int
	rows   []api.Reach
	next   string
}

func (w *reachWalk) run() error {
	w.rows = []api.Reach{}
	for i := w.from.source; i < len(w.sources) && w.next == ""; i++ {
		after := ""
		if i == w.from.source {
			after = w.from.after
		}
		if err := w.each(i, after, func(cursor string, user *directory.User) error { return w.add(i, cursor, user) }); err != nil {
			return err
		}
	}
	return nil
}

// each calls fn for the people of one source, with the cursor behind each.
func (w *reachWalk) each(i int, after string, fn func(cursor string, user *directory.User) error) error {
	s := w.sources[i]
	switch s.kind {
	case "all":
		return directory.Users.Each(w.tx, store.Page{After: after}, fn)
	case "users":
		return w.eachOf(w.app.Policy.Users, after, fn)
	case "request":
		return grants.Accesses.Each(w.tx, store.Page{Index: "app", Value: w.app.ID, After: after}, func(cursor string, access *grants.Access) error {
			return w.one(access.User, cursor, fn)
		})
	}
	return directory.Users.Each(w.tx, store.Page{Index: s.kind, Value: s.id, After: after}, fn)
}

func (w *reachWalk) eachOf(ids []string, after string, fn func(cursor string, user *directory.User) error) error {
	begin, err := strconv.Atoi(after)
	if after != "" && (err != nil || begin < 0) {
		return store.ErrCursor
	}
	for i := begin; i < len(ids); i++ {
		if err := w.one(ids[i], strconv.Itoa(i+1), fn); err != nil {
			if errors.Is(err, store.ErrStop) {
				return nil
			}
			return err
		}
	}
	return nil
}

func (w *reachWalk) one(id, cursor string, fn func(cursor string, user *directory.User) error) error {
	user, _, err := directory.Users.Get(w.tx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return fn(cursor, &user)
}

// add notes a person of a source, unless an earlier one lets them in too.
func (w *reachWalk) add(i int, cursor string, user *directory.User) error {
	w.looked++
	first := slices.IndexFunc(w.sources, func(s source) bool { return s.holds(&w.app.Policy, user) })
	if first == i {
		row, err := w.actions.reach(w.tx, user.ID, w.app.ID, w.ask)
		if err != nil {
			return err
		}
		w.rows = append(w.rows, row)
	}
	if len(w.rows) == w.ask.Limit || w.looked == maxReached {
		w.next = reachCursor{i, cursor}.String()
		return store.ErrStop
	}
	return nil
}

// reach decides about one person at one app.
func (a *Actions) reach(tx store.Tx, user, app string, ask Reach) (api.Reach, error) {
	facts, err := a.Engine.Suppose(tx, flow.Supposition{User: user, App: app, Address: ask.Address, At: ask.At})
	if err != nil {
		return api.Reach{}, err
	}
	answer := explain(facts)
	row := api.Reach{User: answer.User, App: answer.App, Outcome: answer.Outcome, Reason: answer.Reason, Text: answer.Text}
	if facts.Access != nil {
		row.Until = facts.Access.Until
	}
	row.Through, err = through(tx, facts)
	return row, err
}

// through names what lets a person in.
func through(tx store.Tx, facts *flow.Facts) (string, error) {
	p := &facts.App.Policy
	for _, s := range sources(p) {
		if !s.holds(p, facts.User) {
			continue
		}
		named := map[string]func(store.Tx, string) (api.Ref, error){"profile": profileRef, "permission_set": setRef, "group": groupRef}[s.kind]
		if named == nil {
			return map[string]string{"all": "everybody", "users": "by name", "request": "on request"}[s.kind], nil
		}
		ref, err := named(tx, s.id)
		return strings.ReplaceAll(s.kind, "_", " ") + " " + ref.Name, err
	}
	return "", nil
}

// WhatOpens lists the active apps that permit a person and that a person can open, with what would happen at their click.
func (a *Actions) WhatOpens(ctx context.Context, ref string, ask Reach) (api.List[api.Reach], error) {
	ask = a.filled(ask)
	list := api.List[api.Reach]{Items: []api.Reach{}}
	err := a.view(ctx, func(tx store.Tx) error {
		user, err := directory.ResolveUser(tx, ref)
		if err != nil {
			return err
		}
		list.Items = list.Items[:0]
		ids, err := a.Engine.Candidates(tx, &user)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if id <= ask.After {
				continue
			}
			if len(list.Items) == ask.Limit {
				list.Next = list.Items[ask.Limit-1].App.ID
				break
			}
			app, _, err := sp.Apps.Get(tx, id)
			if err != nil {
				return err
			}
			if !app.Opens() {
				continue
			}
			row, err := a.reach(tx, user.ID, id, ask)
			if err != nil {
				return err
			}
			list.Items = append(list.Items, row)
		}
		return nil
	})
	return list, err
}
