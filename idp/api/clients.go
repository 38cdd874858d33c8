package api

import (
	"context"
	"net/http"
	"time"
)

// OAuth is what an app proves itself by. Its settings are among those of the app.
type OAuth struct {
	ClientID string   `json:"client_id"`
	Parent   string   `json:"parent,omitempty"` // app id of the gateway that registered it
	Secrets  []Secret `json:"secrets,omitempty"`

	RegistrationToken time.Time `json:"registration_token,omitzero"` // when the initial access token was made
	Children          int       `json:"children,omitempty"`          // clients that registered by it
	Lent              time.Time `json:"lent,omitzero"`               // since when it has its scopes of Gatehouse's own API
	OlderSecrets      int       `json:"older_secrets,omitempty"`     // secrets from before that, which are good all the same
	Gateway           bool      `json:"gateway,omitempty"`           // it may ask about tokens of others, or register clients
}

// RegistrationToken is an initial access token (RFC 7591), shown this once: clients that show it register under the app.
type RegistrationToken struct {
	ID       string `json:"id"` // of the app
	ClientID string `json:"client_id"`
	Token    string `json:"initial_access_token"`
	Endpoint string `json:"registration_endpoint"`
}

// RegistrationToken makes the initial access token of an app; the one before is good no longer.
func (c *Client) RegistrationToken(ctx context.Context, app string) (RegistrationToken, error) {
	return callAt[RegistrationToken](ctx, c, http.MethodPost, "apps", app, "registration-token", nil)
}

// Children lists the clients that registered under an app, or with "open" those that registered under none.
func (c *Client) Children(ctx context.Context, parent, state, after string) (List[App], error) {
	return call[List[App]](ctx, c, http.MethodGet, "/apps", query("parent", parent, "state", state, "after", after), nil)
}

// Secret is one client secret that is good; what it is, nobody can show.
type Secret struct {
	ID       string    `json:"id"`
	Created  time.Time `json:"created"`
	LastUsed time.Time `json:"last_used,omitzero"` // within an hour
}

// RotateSecret asks for a further client secret, with EndOld for the end of the one before instead, or with Replace for both at once. Seen are the
// ids of the secrets that were looked at: where the app has others meanwhile, nothing is done; without it whatever there is counts.
type RotateSecret struct {
	EndOld  bool     `json:"end_old,omitempty"`
	Replace bool     `json:"replace,omitempty"`
	Seen    []string `json:"seen,omitzero"`
}

// ClientSecret is a new client secret, shown this once; or how many old ones were ended.
type ClientSecret struct {
	ID           string `json:"id"` // of the app
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret,omitempty"`
	Ended        int    `json:"ended,omitempty"`
}

// RotateSecret gives an app a further client secret, or ends the old one.
func (c *Client) RotateSecret(ctx context.Context, app string, ask RotateSecret) (ClientSecret, error) {
	return callAt[ClientSecret](ctx, c, http.MethodPost, "apps", app, "secret", ask)
}
