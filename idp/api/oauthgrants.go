package api

import (
	"context"
	"net/http"
	"time"
)

// OAuthGrant is what a person gave to an app over OAuth 2.0, as long as the app can get or use tokens by it.
type OAuthGrant struct {
	ID      string    `json:"id"`
	Type    string    `json:"grant_type"`
	User    Ref       `json:"user"`
	App     Ref       `json:"app"`
	Scopes  []string  `json:"scopes"`
	Refresh bool      `json:"refresh"` // there is a refresh token
	Created time.Time `json:"created"`
	Used    time.Time `json:"used,omitzero"`  // within an hour
	Until   time.Time `json:"until,omitzero"` // when nothing of it can be used any more; zero: open
}

// OAuthGrants lists the grants that still give tokens; q.State is not read.
func (c *Client) OAuthGrants(ctx context.Context, q RequestQuery) (List[OAuthGrant], error) {
	return call[List[OAuthGrant]](ctx, c, http.MethodGet, "/oauth/grants", q.values(), nil)
}

// RevokeOAuthGrant ends a grant and all its tokens.
func (c *Client) RevokeOAuthGrant(ctx context.Context, id string) (OAuthGrant, error) {
	return call[OAuthGrant](ctx, c, http.MethodPost, path("oauth", "grants", id, "revoke"), nil, nil)
}

// Holding is what one person has given one app that still gives tokens, all grants together.
type Holding struct {
	User    Ref       `json:"user"`
	App     Ref       `json:"app"`
	Count   int       `json:"count"` // of grants
	Scopes  []string  `json:"scopes"`
	Refresh bool      `json:"refresh,omitempty"` // the app can go on by itself
	Since   time.Time `json:"since"`
	Used    time.Time `json:"used,omitzero"` // within an hour
}

// RevokeTokens names what ends: all that a person gave an app, or with no User all that anybody did.
type RevokeTokens struct {
	App  string `json:"app"`
	User string `json:"user,omitempty"`
}

// RevokedTokens says what ended: so many grants of a person, and so many places of the app in sessions.
type RevokedTokens struct {
	App      Ref `json:"app"`
	User     Ref `json:"user,omitzero"`
	Grants   int `json:"grants,omitempty"`
	Sessions int `json:"sessions"`
}

// Holdings lists what people gave an app, or a person gave apps; a page may be short, even empty, while Next is set.
func (c *Client) Holdings(ctx context.Context, q RequestQuery) (List[Holding], error) {
	return call[List[Holding]](ctx, c, http.MethodGet, "/oauth/holdings", q.values(), nil)
}

// RevokeTokens ends what a person gave an app, or all that anybody did.
func (c *Client) RevokeTokens(ctx context.Context, revoke RevokeTokens) (RevokedTokens, error) {
	return call[RevokedTokens](ctx, c, http.MethodPost, "/oauth/grants/revoke", nil, revoke)
}
