package admin

import (
	"context"
	"errors"
	"net/http"

	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/idp/grants"
	"gatehouse/store"
)

func (a *Admin) oauthGrantRows() []row {
	do := a.Actions
	return []row{
		{Method: http.MethodGet, Path: "/oauth/grants", Permission: SessionsRead, Action: func(c *call) (any, error) {
			return do.OAuthGrants(c.ctx(), api.RequestQuery{App: c.query("app"), User: c.query("user"), After: c.query("after"), Limit: c.limit()})
		}},
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
		page, matches, err := chosen(tx, q)
		if err != nil {
			return err
		}
		if page.Index == "user" {
			page.Index, page.Prefix, page.Value = "pair", page.Value+"/", ""
		}
		list, err = collect(tx, grants.AllGrants, page, pageSize(q.Limit), func(g *grants.Grant) (api.OAuthGrant, bool, error) {
			over := !g.Until.IsZero() && !g.Until.After(a.Now())
			live, err := g.Live(tx)
			if err != nil || !live || over || !matches(g.User, g.App) {
				return api.OAuthGrant{}, false, err
			}
			wire, err := wireOAuthGrant(tx, g)
			return wire, true, err
		})
		return err
	})
	return list, err
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
		if wire, err = wireOAuthGrant(tx, &g); err != nil {
			return audit.Event{}, err
		}
		event := audit.Event{Kind: "grant.revoke", User: g.User, App: g.App, Facts: map[string]string{"grant": g.ID}}
		return event, grants.Kill(tx, &g, "revoked")
	})
	return wire, err
}
