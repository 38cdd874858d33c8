package api

import (
	"context"
	"net/http"
	"time"
)

// Upstream is another identity provider where people may sign in. Keys are the fingerprints of those that it may sign with.
type Upstream struct {
	Name       string    `json:"name"`
	EntityID   string    `json:"entity_id"`
	SSO        string    `json:"sso"`
	Keys       []string  `json:"keys"`
	ValidUntil time.Time `json:"valid_until,omitzero"`
	Settings   []Setting `json:"settings"`
	Created    time.Time `json:"created"`
	CreatedBy  string    `json:"created_by"`
}

// NewUpstream asks for a new upstream, by its SAML metadata.
type NewUpstream struct {
	Name     string            `json:"name"`
	Metadata string            `json:"metadata"`
	Set      map[string]string `json:"set"`
}

// UpstreamChange changes settings of an upstream, and its metadata where that is not empty.
type UpstreamChange struct {
	Metadata string            `json:"metadata,omitempty"`
	Set      map[string]string `json:"set"`
}

// Upstreams lists the upstreams.
func (c *Client) Upstreams(ctx context.Context) (List[Upstream], error) {
	return call[List[Upstream]](ctx, c, http.MethodGet, "/upstreams", nil, nil)
}

// Upstream shows one upstream.
func (c *Client) Upstream(ctx context.Context, name string) (Upstream, error) {
	return call[Upstream](ctx, c, http.MethodGet, path("upstreams", name), nil, nil)
}

// AddUpstream adds an upstream; people may sign in there from now on.
func (c *Client) AddUpstream(ctx context.Context, n NewUpstream) (Upstream, error) {
	return call[Upstream](ctx, c, http.MethodPost, "/upstreams", nil, n)
}

// SetUpstream changes an upstream.
func (c *Client) SetUpstream(ctx context.Context, name string, change UpstreamChange) (Upstream, error) {
	return call[Upstream](ctx, c, http.MethodPatch, path("upstreams", name), nil, change)
}

// RemoveUpstream removes an upstream; people who came from there stay, with their sessions.
func (c *Client) RemoveUpstream(ctx context.Context, name string) (Upstream, error) {
	return call[Upstream](ctx, c, http.MethodDelete, path("upstreams", name), nil, nil)
}
