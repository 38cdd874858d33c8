package api

import (
	"context"
	"net/http"
	"time"
)

// The kinds of upstreams.
const (
	UpstreamSAML = "saml"
	UpstreamOIDC = "oidc"
)

// Upstream is another identity provider where people may sign in. Keys are the fingerprints of those that one of SAML may sign with.
type Upstream struct {
	Name       string    `json:"name"`
	Title      string    `json:"title"` // as people see it
	Kind       string    `json:"kind"`
	EntityID   string    `json:"entity_id"` // or its issuer
	SSO        string    `json:"sso"`
	SLO        string    `json:"slo,omitempty"` // where it is told of a sign-out; empty: it cannot be told
	Keys       []string  `json:"keys,omitempty"`
	Ours       *Ours     `json:"ours,omitempty"` // what an OpenID provider has to know of us
	ValidUntil time.Time `json:"valid_until,omitzero"`
	From       string    `json:"metadata_url,omitempty"` // where newer metadata is looked for; empty: nowhere
	Tried      time.Time `json:"tried,omitzero"`
	Good       time.Time `json:"good,omitzero"`
	Next       time.Time `json:"next,omitzero"`
	Failures   int       `json:"failures,omitempty"` // in a row
	Reason     string    `json:"reason,omitempty"`   // typed, of the last failure
	Error      string    `json:"error,omitempty"`
	Warnings   []Warning `json:"warnings,omitempty"`
	Settings   []Setting `json:"settings"`
	Created    time.Time `json:"created"`
	CreatedBy  string    `json:"created_by"`
}

// Ours are our addresses towards an OpenID provider, which are registered there, and whether we have a secret of it.
type Ours struct {
	RedirectURI           string    `json:"redirect_uri"`
	PostLogoutURI         string    `json:"post_logout_redirect_uri"`
	BackChannelLogoutURI  string    `json:"backchannel_logout_uri"`
	FrontChannelLogoutURI string    `json:"frontchannel_logout_uri"`
	JWKSURI               string    `json:"jwks_uri"`
	HasSecret             bool      `json:"has_secret"`
	SecretGiven           time.Time `json:"secret_given,omitzero"`
}

// The outcomes of a check: as it should be, worth a look, and nobody can sign in.
const (
	CheckGood = "good"
	CheckWarn = "warn"
	CheckBad  = "bad"
)

// UpstreamCheck is what a look at one side of an upstream came to, in a sentence.
type UpstreamCheck struct {
	What    string `json:"what"`
	Outcome string `json:"outcome"`
	Text    string `json:"text"`
}

// UpstreamTest is a look at everything that a sign-in at an upstream needs. Good says that nothing keeps people out.
type UpstreamTest struct {
	Name   string          `json:"name"`
	Good   bool            `json:"good"`
	Checks []UpstreamCheck `json:"checks"`
}

// NewUpstream asks for a new upstream: by its SAML metadata or the address of that, which is looked at from then on, or by its issuer,
// where it is an OpenID provider, with the secret that it gave us and the setting client_id.
type NewUpstream struct {
	Name     string            `json:"name"`
	Metadata string            `json:"metadata,omitempty"`
	URL      string            `json:"metadata_url,omitempty"`
	Issuer   string            `json:"issuer,omitempty"`
	Secret   string            `json:"client_secret,omitempty"`
	Set      map[string]string `json:"set"`
}

// UpstreamChange changes settings of an upstream, its metadata where that or its address is not empty, and the secret that it gave us
// where there is a new one. After metadata that came from no address, none is looked at any more.
type UpstreamChange struct {
	Metadata string            `json:"metadata,omitempty"`
	URL      string            `json:"metadata_url,omitempty"`
	Secret   string            `json:"client_secret,omitempty"`
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

// RefreshUpstream looks for newer metadata of an upstream at its address, now.
func (c *Client) RefreshUpstream(ctx context.Context, name string) (Upstream, error) {
	return call[Upstream](ctx, c, http.MethodPost, path("upstreams", name, "refresh"), nil, nil)
}

// TestUpstream looks at everything that a sign-in at an upstream needs.
func (c *Client) TestUpstream(ctx context.Context, name string) (UpstreamTest, error) {
	return call[UpstreamTest](ctx, c, http.MethodPost, path("upstreams", name, "test"), nil, nil)
}

// RemoveUpstream removes an upstream; people who came from there stay, with their sessions.
func (c *Client) RemoveUpstream(ctx context.Context, name string) (Upstream, error) {
	return call[Upstream](ctx, c, http.MethodDelete, path("upstreams", name), nil, nil)
}
