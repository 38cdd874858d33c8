package oauth

import (
	"errors"
	"strings"
	"time"

	"gatehouse/idp/flow"
	"gatehouse/idp/grants"
	"gatehouse/sp"
	"gatehouse/store"
)

// Kinds of tokens (RFC 7009, 2.1).
const (
	kindAccess  = "access_token"
	kindRefresh = "refresh_token"
)

// found is a token that somebody shows, as the store knows it.
type found struct {
	kind     string
	grant    *grants.Grant
	access   *grants.AccessToken  // of an access token
	refresh  *grants.RefreshToken // of a refresh token
	parent   *found               // the token that it was exchanged for; nil: none
	own      bool                 // the grant lies in the access token itself
	from     string               // the address that the policy is asked about: from where it was asked for
	scopes   []string
	audience []string // of an access token that was judged
	issued   time.Time
	expires  time.Time // zero: open
}

// find looks a token up by what it is, whatever the hint said; nil: it is none of ours, or over.
func (h *Handlers) find(tx store.Tx, token string) (*found, error) {
	if strings.HasPrefix(token, refreshPrefix) {
		return findRefresh(tx, token)
	}
	key, err := h.lookupKey(tx, token)
	if err != nil || key == "" {
		return nil, err
	}
	return h.findAccess(tx, key)
}

func findRefresh(tx store.Tx, token string) (*found, error) {
	family, rest, ok := cutRefresh(token)
	refresh, g, err := refreshOf(tx, family)
	if err != nil || !ok || refresh == nil || grants.Hash(rest) != refresh.Hash {
		return nil, err
	}
	return &found{kind: kindRefresh, grant: g, refresh: refresh, from: g.Address, scopes: g.Scopes, issued: refresh.Issued, expires: refresh.Until}, nil
}

func (h *Handlers) findAccess(tx store.Tx, key string) (*found, error) {
	token, _, err := grants.AccessTokens.Get(tx, key)
	own := token.Own != nil
	if err == nil && !own {
		var g grants.Grant
		g, _, err = grants.AllGrants.Get(tx, token.Grant)
		token.Own = &g
	}
	if errors.Is(err, store.ErrNotFound) || err == nil && !h.Now().Before(token.Expires) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var parent *found
	if token.From != "" {
		if parent, err = h.findAccess(tx, token.From); err != nil || parent == nil {
			return nil, err
		}
	}
	return &found{kind: kindAccess, parent: parent, grant: token.Own, own: own, access: &token, from: token.Address, scopes: token.Scopes, issued: token.Issued, expires: token.Expires}, nil
}

// judge asks whether a token that was found is good now: its grant counts, the policy lets the person in from where the token was
// asked for, and something of its scopes is still allowed. A problem says why not, to whoever holds the token.
func (h *Handlers) judge(tx store.Tx, f *found) (*flow.Facts, *Problem, error) {
	live, err := f.grant.Live(tx)
	if err != nil || !live {
		return nil, badToken(), err
	}
	if f.parent != nil {
		if _, problem, err := h.judge(tx, f.parent); err != nil || problem != nil {
			return nil, problem, err
		}
		f.scopes = within(f.scopes, f.parent.scopes)
	}
	var refresh *sp.Refresh
	switch {
	case f.refresh != nil:
		refresh = &sp.Refresh{Issued: f.refresh.Issued, Used: f.refresh.Used}
	case f.access.Refreshed:
		refresh = &sp.Refresh{Issued: f.issued, Used: f.issued}
	}
	facts, step, err := h.Engine.Reconsider(tx, standing(f.grant, f.from, refresh))
	switch {
	case err != nil:
		return nil, nil, err
	case step.Kind != flow.StepIssue:
		return nil, overNow(step), nil
	case facts.App.Definition.OAuth == nil || !f.allowed(facts.App):
		return nil, badToken(), nil
	}
	if f.access != nil {
		if f.audience = within(h.audience(f.access.Resources), h.allowed(facts.App)); len(f.audience) == 0 {
			return nil, badToken(), nil
		}
	}
	had := len(f.scopes)
	if f.scopes = within(f.scopes, facts.App.AllowedScopes()); len(f.scopes) == 0 && had > 0 {
		return nil, badToken(), nil
	}
	return facts, nil, nil
}

// allowed tells whether an app may still have such a token: one of its own for the person of oauth.run_as, and one to refresh with
// while it may act when people are away.
func (f *found) allowed(app *sp.App) bool {
	if f.grant.Type == sp.GrantClientCredentials {
		return f.grant.User == app.Policy.RunAs
	}
	return f.refresh == nil || offline(app.AllowedScopes())
}
