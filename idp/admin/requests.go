package admin

import (
	"context"
	"errors"
	"slices"
	"strings"

	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/idp/grants"
	"gatehouse/sp"
	"gatehouse/store"
)

// requestRows are the rows of requests for access and of the access that came of them.
func (a *Admin) requestRows() []row {
	do := a.Actions
	ask := func(c *call) api.RequestQuery {
		return api.RequestQuery{State: c.query("state"), App: c.query("app"), User: c.query("user"), After: c.query("after"), Limit: c.limit()}
	}
	return []row{
		{Method: "GET", Path: "/requests", Permission: AccessRead, Action: func(c *call) (any, error) { return do.Requests(c.ctx(), ask(c)) }},
		{Method: "POST", Path: "/requests/{request}/approve", Permission: AccessWrite, Action: with(func(c *call, answer api.Answer) (any, error) {
			return do.ApproveRequest(c.ctx(), c.by(), c.path("request"), answer)
		})},
		{Method: "POST", Path: "/requests/{request}/deny", Permission: AccessWrite, Action: with(func(c *call, answer api.Answer) (any, error) {
			return do.DenyRequest(c.ctx(), c.by(), c.path("request"), answer)
		})},
		{Method: "GET", Path: "/grants", Permission: AccessRead, Action: func(c *call) (any, error) { return do.Grants(c.ctx(), ask(c)) }},
		{Method: "POST", Path: "/grants/revoke", Permission: AccessWrite, Action: with(func(c *call, revoke api.RevokeGrant) (any, error) {
			return do.RevokeGrant(c.ctx(), c.by(), revoke)
		})},
	}
}

// Requests lists requests for access, newest first. App and user are references; those of records that are gone are ids.
func (a *Actions) Requests(ctx context.Context, q api.RequestQuery) (api.List[api.AccessRequest], error) {
	var list api.List[api.AccessRequest]
	if q.State != "" && !slices.Contains(grants.States(), grants.State(q.State)) {
		return list, badValue("state", "There is no state %.40q: choose asked, approved, denied, withdrawn or expired.", q.State)
	}
	err := a.view(ctx, func(tx store.Tx) error {
		page, matches, err := chosen(tx, q)
		if err != nil {
			return err
		}
		if page.Index == "" && q.State != "" && q.State != string(grants.Expired) { // a job comes later than the end of the time
			page.Index, page.Value = "state", q.State
		}
		page.Reverse = true
		list, err = collect(tx, grants.Requests, page, pageSize(q.Limit), func(r *grants.Request) (api.AccessRequest, bool, error) {
			if !matches(r.User, r.App) || q.State != "" && q.State != string(r.StateAt(a.Now())) {
				return api.AccessRequest{}, false, nil
			}
			wire, err := a.wireRequest(tx, r)
			return wire, true, err
		})
		return err
	})
	return list, err
}

// chosen is the page of the best index for the filters user and app, and what to look for in it.
func chosen(tx store.Tx, q api.RequestQuery) (store.Page, func(user, app string) bool, error) {
	page := store.Page{After: q.After}
	app, err := auditApp(tx, q.App)
	if err != nil {
		return page, nil, fieldOf("app", err)
	}
	user, err := auditUser(tx, q.User)
	if err != nil {
		return page, nil, fieldOf("user", err)
	}
	switch {
	case user != "":
		page.Index, page.Value = "user", user
	case app != "":
		page.Index, page.Value = "app", app
	}
	return page, func(u, a string) bool { return (user == "" || u == user) && (app == "" || a == app) }, nil
}

// collect makes a page of the wire form of those records that take finds fit, with the cursor of the next page. It looks at page.Limit
// records at most (0: all), so that a page may hold less and not be the last.
func collect[T, W any](tx store.Tx, table *store.Table[T], page store.Page, limit int, take func(*T) (W, bool, error)) (api.List[W], error) {
	list := api.List[W]{Items: []W{}}
	last, looked := "", 0
	err := table.Each(tx, page, func(cursor string, record *T) error {
		if looked++; page.Limit > 0 && looked > page.Limit {
			list.Next = last
			return store.ErrStop
		}
		wire, fits, err := take(record)
		switch {
		case err != nil:
			return err
		case fits && len(list.Items) == limit:
			list.Next = last
			return store.ErrStop
		case fits:
			list.Items = append(list.Items, wire)
		}
		last = cursor
		return nil
	})
	if errors.Is(err, store.ErrCursor) {
		err = badValue("after", "The cursor is not one of this list: start again without it.")
	}
	return list, err
}

func (a *Actions) wireRequest(tx store.Tx, r *grants.Request) (api.AccessRequest, error) {
	wire := api.AccessRequest{
		ID: r.ID, Why: r.Why, State: string(r.StateAt(a.Now())), Asked: r.Asked, WantedUntil: r.Wanted.Until,
		Decided: r.Decided, Answer: r.Answer, Until: r.Until,
	}
	if r.Wanted.For > 0 {
		wire.WantedFor = sp.FormatDuration(r.Wanted.For)
	}
	var errs [3]error
	wire.User, errs[0] = userRef(tx, r.User)
	wire.App, errs[1] = appRef(tx, r.App)
	wire.By, errs[2] = userRef(tx, r.By)
	return wire, errors.Join(errs[:]...)
}

// ApproveRequest grants what was asked for, for a time; it holds from the person's next request on.
func (a *Actions) ApproveRequest(ctx context.Context, by By, id string, answer api.Answer) (api.AccessRequest, error) {
	span := grants.Span{Until: answer.Until}
	if answer.For != "" {
		var err error
		if span.For, err = sp.ParseDuration(answer.For); err != nil || span.For == 0 {
			return api.AccessRequest{}, badValue("for", "%.40q is not a time: write it like 8h, 7d or 90d.", answer.For)
		}
	}
	return a.decide(ctx, by, flow.Decision{Request: id, Approve: true, Span: span, Text: answer.Text})
}

// DenyRequest refuses what was asked for.
func (a *Actions) DenyRequest(ctx context.Context, by By, id string, answer api.Answer) (api.AccessRequest, error) {
	if answer.For != "" || !answer.Until.IsZero() {
		return api.AccessRequest{}, badValue("for", "A request that is denied has no time: leave it out, or approve the request.")
	}
	return a.decide(ctx, by, flow.Decision{Request: id, Text: answer.Text})
}

func (a *Actions) decide(ctx context.Context, by By, decision flow.Decision) (api.AccessRequest, error) {
	decision.By = by.ID
	var wire api.AccessRequest
	err := a.change(ctx, by, func(tx store.Tx) (audit.Event, error) {
		request, event, err := a.Engine.Decide(tx, decision)
		if err != nil {
			return event, err
		}
		wire, err = a.wireRequest(tx, &request)
		return event, err
	})
	return wire, err
}

// Grants lists the access on request that people have now, by person; q.State is not read.
func (a *Actions) Grants(ctx context.Context, q api.RequestQuery) (api.List[api.Grant], error) {
	var list api.List[api.Grant]
	err := a.view(ctx, func(tx store.Tx) error {
		page, matches, err := chosen(tx, q)
		if err != nil {
			return err
		}
		list, err = collect(tx, grants.Accesses, page, pageSize(q.Limit), func(g *grants.Access) (api.Grant, bool, error) {
			if !matches(g.User, g.App) || !g.Until.After(a.Now()) {
				return api.Grant{}, false, nil
			}
			wire, err := wireGrant(tx, g)
			return wire, true, err
		})
		return err
	})
	return list, err
}

func wireGrant(tx store.Tx, g *grants.Access) (api.Grant, error) {
	wire := api.Grant{From: g.From, Until: g.Until, Request: g.Request}
	var errs [3]error
	wire.User, errs[0] = userRef(tx, g.User)
	wire.App, errs[1] = appRef(tx, g.App)
	wire.By, errs[2] = userRef(tx, g.By)
	return wire, errors.Join(errs[:]...)
}

// RevokeGrant ends access on request before its time, with the app's place in the person's sessions.
func (a *Actions) RevokeGrant(ctx context.Context, by By, revoke api.RevokeGrant) (api.Grant, error) {
	if strings.TrimSpace(revoke.User) == "" || strings.TrimSpace(revoke.App) == "" {
		return api.Grant{}, badValue("user", "Say whose access to which app ends: give the person and the app.")
	}
	var wire api.Grant
	err := a.change(ctx, by, func(tx store.Tx) (audit.Event, error) {
		user, err := directory.ResolveUser(tx, revoke.User)
		if err != nil {
			return audit.Event{}, fieldOf("user", err)
		}
		app, err := findApp(tx, revoke.App)
		if err != nil {
			return audit.Event{}, fieldOf("app", err)
		}
		access, event, err := a.Engine.Revoke(tx, user.ID, app.ID)
		if err != nil {
			return event, err
		}
		access.Until = a.Now()
		wire, err = wireGrant(tx, &access)
		return event, err
	})
	return wire, err
}
