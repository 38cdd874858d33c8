package api

import (
	"context"
	"net/http"
	"strconv"
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
	values := query("app", q.App, "user", q.User, "after", q.After)
	if q.Limit > 0 {
		values.Set("limit", strconv.Itoa(q.Limit))
	}
	return call[List[OAuthGrant]](ctx, c, http.MethodGet, "/oauth/grants", values, nil)
}

// RevokeOAuthGrant ends a grant and all its tokens.
func (c *Client) RevokeOAuthGrant(ctx context.Context, id string) (OAuthGrant, error) {
	return call[OAuthGrant](ctx, c, http.MethodPost, path("oauth", "grants", id, "revoke"), nil, nil)
}
