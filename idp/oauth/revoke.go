package oauth

import (
	"net/http"

	"gatehouse/idp/audit"
	"gatehouse/idp/grants"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
)

// revoke ends a token of the client, and with it everything of its grant (RFC 7009). One that nobody knows is as good as revoked.
func (h *Handlers) revoke(w http.ResponseWriter, r *http.Request) error {
	values, c, problem, err := h.posted(r)
	if err != nil {
		return err
	}
	if problem == nil && values.Get("token") == "" {
		problem = refuse(codeInvalidRequest, "no_token", "The request holds no token.")
	}
	if problem != nil {
		return h.refused(r, "token.revoke", c.app, problem)
	}
	err = h.Store.Update(r.Context(), func(tx store.Tx) (err error) {
		if problem, err = spend(tx, c.once); problem == nil && err == nil {
			problem, err = h.end(tx, r, c.app, values.Get("token"))
		}
		return err
	})
	if err != nil {
		return err
	}
	if problem != nil {
		return h.refused(r, "token.revoke", c.app, problem)
	}
	web.NoStore(w.Header())
	w.WriteHeader(http.StatusOK)
	return nil
}

func (h *Handlers) end(tx store.Tx, r *http.Request, app *sp.App, token string) (*Problem, error) {
	f, err := h.find(tx, token)
	if err != nil || f == nil {
		return nil, err
	}
	if f.grant.App != app.ID {
		return refuse(codeInvalidGrant, "token_of_other_client", "The token was not given to this client, so it was not revoked."), nil
	}
	if f.own {
		err = grants.AccessTokens.Delete(tx, f.access.Hash)
	} else {
		err = grants.Kill(tx, f.grant, "revoked")
	}
	if err != nil {
		return nil, err
	}
	event := revoked(app, f)
	event.Address = web.Of(r).AddressText()
	return nil, h.Engine.Append(tx, event)
}

func revoked(app *sp.App, f *found) audit.Event {
	return audit.Event{
		Kind: "token.revoke", Outcome: audit.OK, App: app.ID, Actor: app.ID, User: f.grant.User,
		Facts: map[string]string{"grant": f.grant.ID, "token_type": f.kind},
	}
}
