package api

import (
	"context"
	"net/http"
	"time"
)

// Scope is one that an administrator defined: what an app may do by it, in the words that people read at consent.
type Scope struct {
	Name        string    `json:"name"` // as gateways and apps write it; it never changes
	Description string    `json:"description"`
	Listed      bool      `json:"listed"` // in the discovery document
	Created     time.Time `json:"created"`
	Apps        []Ref     `json:"apps"` // that may ask for it, or whose policy names it
}

// NewScope asks for a new scope.
type NewScope struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Listed      bool   `json:"listed,omitempty"`
}

// Scopes lists the scopes by name.
func (c *Client) Scopes(ctx context.Context) (List[Scope], error) {
	return call[List[Scope]](ctx, c, http.MethodGet, "/scopes", nil, nil)
}

// Scope shows one scope.
func (c *Client) Scope(ctx context.Context, name string) (Scope, error) {
	return call[Scope](ctx, c, http.MethodGet, path("scopes", name), nil, nil)
}

// AddScope adds a scope.
func (c *Client) AddScope(ctx context.Context, n NewScope) (Scope, error) {
	return call[Scope](ctx, c, http.MethodPost, "/scopes", nil, n)
}

// SetScope changes description and listed.
func (c *Client) SetScope(ctx context.Context, name string, change Change) (Scope, error) {
	return call[Scope](ctx, c, http.MethodPatch, path("scopes", name), nil, change)
}

// RemoveScope removes a scope that no app names.
func (c *Client) RemoveScope(ctx context.Context, name string) (Scope, error) {
	return call[Scope](ctx, c, http.MethodDelete, path("scopes", name), nil, nil)
}
