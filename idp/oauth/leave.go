package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"gatehouse/idp/flow"
	"gatehouse/idp/session"
	"gatehouse/sp"
	"gatehouse/store"
)

// Poster posts forms to other servers.
type Poster interface {
	PostForm(ctx context.Context, address string, form url.Values) error
}

// logoutEvents is the one member of a logout token's events.
const logoutEvents = "http://schemas.openid.net/event/backchannel-logout"

// logoutLifetime is how long a logout token may be taken for fresh: two minutes, as the specification advises.
const logoutLifetime = 2 * time.Minute

// logoutToken are the claims of OpenID Connect Back-Channel Logout 1.0, section 2.4. There never is a nonce, by which it could be
// taken for an ID token.
type logoutToken struct {
	Issuer   string              `json:"iss"`
	Subject  string              `json:"sub,omitempty"`
	Audience string              `json:"aud"`
	IssuedAt int64               `json:"iat"`
	Expires  int64               `json:"exp"`
	ID       string              `json:"jti"`
	Events   map[string]struct{} `json:"events"`
	Session  string              `json:"sid"`
}

// Tell ends a person's session at an app by a logout token, each time a fresh one (Back-Channel Logout 1.0, section 2.5).
func (h *Handlers) Tell(ctx context.Context, app *sp.App, left *session.AppReached) error {
	client := app.Definition.OAuth
	if client == nil || client.BackChannelLogoutURI == "" {
		return errors.New("the app has no address for logout tokens")
	}
	token := logoutToken{
		Issuer: h.BaseURL, Subject: left.NameID, Audience: app.Credentials.ClientID, IssuedAt: h.Now().Unix(), Expires: h.Now().Add(logoutLifetime).Unix(),
		ID: sp.NewClientID(), Events: map[string]struct{}{logoutEvents: {}}, Session: left.SessionIndex,
	}
	var signed string
	err := h.Store.View(ctx, func(tx store.Tx) error {
		key, problem, err := h.signingKey(tx, app)
		if problem != nil {
			return errors.New(problem.Text)
		}
		if err == nil {
			signed, err = h.sign(key, typeLogout, token)
		}
		return err
	})
	if err != nil {
		return err
	}
	return h.Post.PostForm(ctx, client.BackChannelLogoutURI, url.Values{"logout_token": {signed}})
}

// Lead is not how an OpenID app is told: it has a frame.
func (h *Handlers) Lead(http.ResponseWriter, *http.Request, *sp.App, *session.AppReached, string) error {
	return errors.New("an OpenID app is told in a frame")
}

// Frame is the app's own address, told whose session it is about (OpenID Connect Front-Channel Logout 1.0, section 2).
func (h *Handlers) Frame(app *sp.App, left *session.AppReached) string {
	client := app.Definition.OAuth
	if client == nil || client.FrontChannelLogoutURI == "" {
		return ""
	}
	return joined(client.FrontChannelLogoutURI, url.Values{"iss": {h.BaseURL}, "sid": {left.SessionIndex}})
}

// Answer sends the person back to the app that asked, if it named a place for that, which must still be registered.
func (h *Handlers) Answer(w http.ResponseWriter, r *http.Request, logout *flow.Logout) error {
	f := new(farewell)
	if err := json.Unmarshal(logout.Payload, f); err != nil {
		return err
	}
	if f.Redirect != "" {
		app, err := h.Engine.AppOf(r.Context(), f.App)
		if err != nil {
			return err
		}
		if app == nil || app.State == sp.Removed || app.Definition.OAuth == nil || !slices.Contains(app.Definition.OAuth.PostLogoutRedirectURIs, f.Redirect) {
			f.Redirect = ""
		}
	}
	return h.part(w, r, f, logout)
}
