package api

import (
	"context"
	"net/http"
	"time"
)

// Token is an API token. Secret is there once, in the answer to the call that made it.
type Token struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Secret    string    `json:"secret,omitempty"`
	Scopes    []string  `json:"scopes"`
	Addresses []string  `json:"addresses,omitempty"` // CIDR; from where it may be used; empty: from anywhere
	State     string    `json:"state"`               // active, expired, orphaned (who made it is an owner no more)
	Creator   Ref       `json:"creator"`
	Created   time.Time `json:"created"`
	Expires   time.Time `json:"expires"`
	LastUsed  time.Time `json:"last_used,omitzero"` // to the quarter of an hour
	LastFrom  string    `json:"last_from,omitempty"`
}

// NewToken asks for a token. Expires is a duration such as 90d, which is also the default.
type NewToken struct {
	Name      string   `json:"name"`
	Scopes    []string `json:"scopes"`
	Expires   string   `json:"expires,omitempty"`
	Addresses []string `json:"addresses,omitempty"`
}

// Tokens lists the API tokens by name.
func (c *Client) Tokens(ctx context.Context) (List[Token], error) {
	return call[List[Token]](ctx, c, http.MethodGet, "/tokens", nil, nil)
}

// AddToken makes a token; the answer is the only place where its secret is.
func (c *Client) AddToken(ctx context.Context, n NewToken) (Token, error) {
	return call[Token](ctx, c, http.MethodPost, "/tokens", nil, n)
}

// RevokeToken ends a token, by id or name, at once.
func (c *Client) RevokeToken(ctx context.Context, token string) (Token, error) {
	return call[Token](ctx, c, http.MethodDelete, path("tokens", token), nil, nil)
}
