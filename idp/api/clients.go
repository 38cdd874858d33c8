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
}

// Secret is one client secret that is good; what it is, nobody can show.
type Secret struct {
	ID       string    `json:"id"`
	Created  time.Time `json:"created"`
	LastUsed time.Time `json:"last_used,omitzero"` // within an hour
}

// RotateSecret asks for a further client secret, or with EndOld for the end of the one before.
type RotateSecret struct {
	EndOld bool `json:"end_old,omitempty"`
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
