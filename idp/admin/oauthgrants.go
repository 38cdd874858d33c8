package admin

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/idp/grants"
	"gatehouse/store"
)

func (a *Admin) oauthGrantRows() []row {
	do := a.Actions
	return []row{
		{Method: http.MethodGet, Path: "/oauth/grants", Permission: SessionsRead, Action: func(c *call) (any, error) {
			return do.OAuthGrants(c.ctx(), api.RequestQuery{App: c.query("app"), User: c.query("user"), After: c.query("after"), Limit: c.limit()})
		}},
		{Method: http.MethodGet, Path: "/oauth/holdings", Permission: SessionsRead, Action: func(c *call) (any, error) {
			return do.Holdings(c.ctx(), api.RequestQuery{App: c.query("app"), User: c.query("user"), After: c.query("after"), Limit: c.limit()})
		}},
		{Method: http.MethodPost, Path: "/oauth/grants/revoke", Permission: SessionsEnd, Action: with(func(c *call, ask api.RevokeTokens) (any, error) {
			return do.RevokeTokens(c.ctx(), c.by(), ask)
		})},
		{Method: http.MethodPost, Path: "/oauth/grants/{grant}/revoke", Permission: SessionsEnd, Action: func(c *call) (any, error) {
			return do.RevokeOAuthGrant(c.ctx(), c.by(), c.path("grant"))
		}},
	}
}

// OAuthGrants lists what people gave to apps and still gives tokens. App and user are references; those of records that are gone are
// ids.
func (a *Actions) OAuthGrants(ctx context.Context, q api.RequestQuery) (api.List[api.OAuthGrant], error) {
	var list api.List[api.OAuthGrant]
	err := a.view(ctx, func(tx store.Tx) error {
		page, err := grantPage(tx, q)
		if err != nil {
			return err
		}
		page.Limit = grants.MaxLooked
		list, err = collect(tx, grants.AllGrants, page, pageSize(q.Limit), func(g *grants.Grant) (api.OAuthGrant, bool, error) {
			open, err := g.Open(tx, a.Now())
			if err != nil || !open {
				return api.OAuthGrant{}, false, err
			}
			wire, err := wireOAuthGrant(tx, g)
			return wire, true, err
		})
		return err
	})
	return list, err
}

// grantPage is the part of the grants that a query is about.
func grantPage(tx store.Tx, q api.RequestQuery) (store.Page, error) {
	app, err := auditApp(tx, q.App)
	if err != nil {
		return store.Page{}, fieldOf("app", err)
	}
	user, err := auditUser(tx, q.User)
	if err != nil {
		return store.Page{}, fieldOf("user", err)
	}
	page := store.Page{}
	switch {
	case user != "" && app != "":
		page = grants.PageOfBoth(user, app)
	case user != "":
		page = grants.PageOfPerson(user)
	case app != "":
		page = grants.PageOfApp(app)
	}
	page.After = q.After
	return page, nil
}

// Holdings lists what people gave, one line for each person and app: those of an app by person, those of a person by app.
func (a *Actions) Holdings(ctx context.Context, q api.RequestQuery) (api.List[api.Holding], error) {
	list := api.List[api.Holding]{Items: []api.Holding{}}
	if q.App == "" && q.User == "" {
		return list, badValue("app", "Say of which app or of which person: give app, user or both.")
	}
	err := a.view(ctx, func(tx store.Tx) error {
		page, err := grantPage(tx, q)
		if err != nil {
			return err
		}
		held, next, err := grants.Holdings(tx, page, pageSize(q.Limit), a.Now())
		if err != nil {
			return err
		}
		list.Next = next
		for i := range held {
			wire, err := wireHolding(tx, &held[i])
			if err != nil {
				return err
			}
			list.Items = append(list.Items, wire)
		}
		return nil
	})
	return list, err
}

func wireHolding(tx store.Tx, h *grants.Holding) (api.Holding, error) {
	wire := api.Holding{Count: h.Count, Scopes: h.Scopes, Refresh: h.Refresh, Since: h.Since, Used: h.Used}
	var errs [2]error
	wire.User, errs[0] = userRef(tx, h.User)
	wire.App, errs[1] = appRef(tx, h.App)
	return wire, errors.Join(errs[:]...)
}

func wireOAuthGrant(tx store.Tx, g *grants.Grant) (api.OAuthGrant, error) {
	wire := api.OAuthGrant{
		ID: g.ID, Type: g.Type, Scopes: g.Scopes, Refresh: g.Refresh != "", Created: g.Created, Used: g.Used, Until: g.Until,
	}
	var errs [2]error
	wire.User, errs[0] = userRef(tx, g.User)
	wire.App, errs[1] = appRef(tx, g.App)
	return wire, errors.Join(errs[:]...)
}

// RevokeOAuthGrant ends a grant, and with it all its tokens.
func (a *Actions) RevokeOAuthGrant(ctx context.Context, by By, id string) (api.OAuthGrant, error) {
	var wire api.OAuthGrant
	err := a.change(ctx, by, func(tx store.Tx) (audit.Event, error) {
		g, _, err := grants.AllGrants.Get(tx, id)
		if errors.Is(err, store.ErrNotFound) {
			return audit.Event{}, unknown("grant", id)
		}
		if err != nil {
			return audit.Event{}, err
		}
		if err := mayRevoke(tx, by, g.User); err != nil {
			return audit.Event{}, err
		}
		if wire, err = wireOAuthGrant(tx, &g); err != nil {
			return audit.Event{}, err
		}
		event := audit.Event{Kind: "grant.revoke", User: g.User, App: g.App, Facts: map[string]string{"grant": g.ID}}
		return event, grants.Kill(tx, &g, "revoked")
	})
	return wire, err
}

// mayRevoke lets those who look after apps end what any person gave, and those who look after people what the people gave whom they
// may handle.
func mayRevoke(tx store.Tx, by By, user string) error {
	if by.all() || by.allows(AppsWrite) {
		return nil
	}
	if user == "" || !by.allows(UsersPassword) {
		return refused(http.StatusForbidden, "needs_app_admin", "", "Your role may not end these tokens: ask an app administrator.")
	}
	found, _, err := directory.Users.Get(tx, user)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return mayHandle(by, &found)
}

// RevokeTokens ends all that one person gave an app, or with no person all that anybody did, and the app's tokens of its own too. The
// app leaves the sessions concerned, and is told where it can be.
func (a *Actions) RevokeTokens(ctx context.Context, by By, ask api.RevokeTokens) (api.RevokedTokens, error) {
	var revoked api.RevokedTokens
	if ask.App == "" {
		return revoked, badValue("app", "Say of which app: to end everything that a person gave, end all sessions of that person.")
	}
	err := a.change(ctx, by, func(tx store.Tx) (audit.Event, error) {
		app, err := findApp(tx, ask.App)
		if err != nil {
			return audit.Event{}, fieldOf("app", err)
		}
		scope, event := flow.Scope{App: app.ID}, audit.Event{Kind: "grant.revoke", App: app.ID, Facts: map[string]string{}}
		revoked = api.RevokedTokens{App: api.Ref{ID: app.ID, Name: app.Definition.Name}}
		if ask.User != "" {
			if scope.User, err = auditUser(tx, ask.User); err != nil {
				return event, fieldOf("user", err)
			}
			if revoked.User, err = userRef(tx, scope.User); err != nil {
				return event, err
			}
			held, _, err := grants.Holdings(tx, grants.PageOfBoth(scope.User, app.ID), 1, a.Now())
			if err != nil {
				return event, err
			}
			for _, one := range held {
				revoked.Grants += one.Count
			}
			event.User, event.Facts["grants"] = scope.User, strconv.Itoa(revoked.Grants)
		} else {
			event.Facts["grants"] = "all"
		}
		if err := mayRevoke(tx, by, scope.User); err != nil {
			return event, err
		}
		left, err := flow.Withdraw(tx, scope)
		revoked.Sessions = len(left)
		event.Facts["sessions"] = strconv.Itoa(revoked.Sessions)
		return event, err
	})
	return revoked, err
}
