package api

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// In every method app is an id, a unique name or an entity id; other references are ids or names.

// Version asks the server for its version.
func (c *Client) Version(ctx context.Context) (Version, error) {
	return call[Version](ctx, c, http.MethodGet, "/version", nil, nil)
}

// Apps lists the apps; an empty state lists all but the removed ones.
func (c *Client) Apps(ctx context.Context, state, after string) (List[App], error) {
	return call[List[App]](ctx, c, http.MethodGet, "/apps", query("state", state, "after", after), nil)
}

// App shows one app with its settings.
func (c *Client) App(ctx context.Context, app string) (App, error) {
	return callAt[App](ctx, c, http.MethodGet, "apps", app, "", nil)
}

// AddApp adds or replaces an app.
func (c *Client) AddApp(ctx context.Context, n NewApp) (AddedApp, error) {
	return call[AddedApp](ctx, c, http.MethodPost, "/apps", nil, n)
}

// PreviewApp tells what AddApp would make, and changes nothing.
func (c *Client) PreviewApp(ctx context.Context, n NewApp) (AddedApp, error) {
	return call[AddedApp](ctx, c, http.MethodPost, "/apps/preview", nil, n)
}

// SetApp changes settings of an app.
func (c *Client) SetApp(ctx context.Context, app string, change Change) (App, error) {
	return callAt[App](ctx, c, http.MethodPatch, "apps", app, "", change)
}

// MoveApp walks an app's life: block, unblock, approve.
func (c *Client) MoveApp(ctx context.Context, app, action string) (App, error) {
	return callAt[App](ctx, c, http.MethodPost, "apps", app, action, nil)
}

// NewNameID changes or ends a person's persistent name at an app.
func (c *Client) NewNameID(ctx context.Context, app string, ask NewNameID) (RenewedNameID, error) {
	return callAt[RenewedNameID](ctx, c, http.MethodPost, "apps", app, "new-nameid", ask)
}

// RemoveApp removes an app.
func (c *Client) RemoveApp(ctx context.Context, app string) (App, error) {
	return callAt[App](ctx, c, http.MethodDelete, "apps", app, "", nil)
}

// Metadata returns the identity provider's SAML metadata; with an app, the one with that app's keys.
func (c *Client) Metadata(ctx context.Context, app string) ([]byte, error) {
	if app == "" {
		return c.do(ctx, http.MethodGet, "/metadata", nil, nil)
	}
	target, err := c.at(ctx, "apps", app, "idp-metadata")
	if err != nil {
		return nil, err
	}
	return c.do(ctx, http.MethodGet, target, nil, nil)
}

// Attempts lists apps that are not connected and that people came from, the latest first.
func (c *Client) Attempts(ctx context.Context) (List[Attempt], error) {
	return call[List[Attempt]](ctx, c, http.MethodGet, "/attempts", nil, nil)
}

// ExportApp makes the package of an app's definition.
func (c *Client) ExportApp(ctx context.Context, app string) (Package, error) {
	return callAt[Package](ctx, c, http.MethodGet, "apps", app, "export", nil)
}

// WhoOpens lists the people whom an app permits, with what would happen at their click from an address at a moment.
func (c *Client) WhoOpens(ctx context.Context, app, ip string, at time.Time, after string) (List[Reach], error) {
	return c.reach(ctx, "apps", app, "people", query("ip", ip, "at", stamp(at), "after", after, "limit", "1000"))
}

func (c *Client) reach(ctx context.Context, kind, ref, what string, query url.Values) (List[Reach], error) {
	target, err := c.at(ctx, kind, ref, what)
	if err != nil {
		return List[Reach]{}, err
	}
	return call[List[Reach]](ctx, c, http.MethodGet, target, query, nil)
}

// WhatOpens lists the apps that permit a person, likewise.
func (c *Client) WhatOpens(ctx context.Context, user, ip string, at time.Time, after string) (List[Reach], error) {
	return c.reach(ctx, "users", user, "apps", query("ip", ip, "at", stamp(at), "after", after, "limit", "1000"))
}

// Explain tells whether a person would get into an app from an address at a moment; empty values: anywhere, now.
func (c *Client) Explain(ctx context.Context, user, app, ip string, at time.Time) (Explanation, error) {
	return call[Explanation](ctx, c, http.MethodGet, "/explain", query("user", user, "app", app, "ip", ip, "at", stamp(at)), nil)
}

// Users lists people by name; search matches the beginning of names.
func (c *Client) Users(ctx context.Context, search, after string) (List[User], error) {
	return call[List[User]](ctx, c, http.MethodGet, "/users", query("search", search, "after", after), nil)
}

// User shows one person.
func (c *Client) User(ctx context.Context, user string) (User, error) {
	return callAt[User](ctx, c, http.MethodGet, "users", user, "", nil)
}

// AddUser adds a person.
func (c *Client) AddUser(ctx context.Context, n NewUser) (User, error) {
	return call[User](ctx, c, http.MethodPost, "/users", nil, n)
}

// SetUser changes a person.
func (c *Client) SetUser(ctx context.Context, user string, change Change) (User, error) {
	return callAt[User](ctx, c, http.MethodPatch, "users", user, "", change)
}

// EnableUser and its opposite; disabling ends the person's sessions.
func (c *Client) EnableUser(ctx context.Context, user string, enabled bool) (User, error) {
	action := "disable"
	if enabled {
		action = "enable"
	}
	return callAt[User](ctx, c, http.MethodPost, "users", user, action, nil)
}

// ResetPassword sets a password and ends the person's sessions.
func (c *Client) ResetPassword(ctx context.Context, user, password string) (User, error) {
	return callAt[User](ctx, c, http.MethodPost, "users", user, "password", Password{password})
}

// ResetMFA removes all second factors and passkeys of a person and ends their sessions.
func (c *Client) ResetMFA(ctx context.Context, user string) (User, error) {
	return callAt[User](ctx, c, http.MethodPost, "users", user, "reset-mfa", nil)
}

// EnrolTOTP gives a person an authenticator app and returns its seed, once.
func (c *Client) EnrolTOTP(ctx context.Context, user string) (TOTP, error) {
	return callAt[TOTP](ctx, c, http.MethodPost, "users", user, "totp", nil)
}

// RemoveUser removes a person and ends their sessions.
func (c *Client) RemoveUser(ctx context.Context, user string) error {
	_, err := callAt[User](ctx, c, http.MethodDelete, "users", user, "", nil)
	return err
}

// Profile, permission-set and group share the calls below; kind is "profiles", "permission-sets" or "groups". The answer
// has the fields of a Profile; the two others have no Limits.

// NamedList lists them by name.
func (c *Client) NamedList(ctx context.Context, kind, after string) (List[Profile], error) {
	return call[List[Profile]](ctx, c, http.MethodGet, path(kind), query("after", after), nil)
}

// Named shows one.
func (c *Client) Named(ctx context.Context, kind, name string) (Profile, error) {
	return callAt[Profile](ctx, c, http.MethodGet, kind, name, "", nil)
}

// AddNamed adds one.
func (c *Client) AddNamed(ctx context.Context, kind string, n Named) (Profile, error) {
	return call[Profile](ctx, c, http.MethodPost, path(kind), nil, n)
}

// SetNamed changes one: name, and the limits of a profile.
func (c *Client) SetNamed(ctx context.Context, kind, name string, change Change) (Profile, error) {
	return callAt[Profile](ctx, c, http.MethodPatch, kind, name, "", change)
}

// RemoveNamed removes one that nobody holds and no app names.
func (c *Client) RemoveNamed(ctx context.Context, kind, name string) error {
	_, err := callAt[Profile](ctx, c, http.MethodDelete, kind, name, "", nil)
	return err
}

// Sessions lists live sessions, of a person or that reached an app where given.
func (c *Client) Sessions(ctx context.Context, user, app string) (List[Session], error) {
	return call[List[Session]](ctx, c, http.MethodGet, "/sessions", query("user", user, "app", app), nil)
}

// EndSessions ends sessions and says how many.
func (c *Client) EndSessions(ctx context.Context, end EndSessions) (Count, error) {
	return call[Count](ctx, c, http.MethodPost, "/sessions/end", nil, end)
}

// Trace finds the audit entry of a code.
func (c *Client) Trace(ctx context.Context, code string) (AuditEntry, error) {
	return call[AuditEntry](ctx, c, http.MethodGet, path("audit", code), nil, nil)
}

// Settings lists the organisation's settings.
func (c *Client) Settings(ctx context.Context) (List[Setting], error) {
	return call[List[Setting]](ctx, c, http.MethodGet, "/settings", nil, nil)
}

// SetSettings changes the organisation's settings.
func (c *Client) SetSettings(ctx context.Context, change Change) (List[Setting], error) {
	return call[List[Setting]](ctx, c, http.MethodPatch, "/settings", nil, change)
}

// query makes values of pairs, leaving out the empty ones.
func query(pairs ...string) url.Values {
	values := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			values.Set(pairs[i], pairs[i+1])
		}
	}
	return values
}

func stamp(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339Nano)
}

// InviteUser adds a person without a password and returns the link by which they choose one.
func (c *Client) InviteUser(ctx context.Context, n NewUser) (Invitation, error) {
	return call[Invitation](ctx, c, http.MethodPost, "/invitations", nil, n)
}

// Invite returns a new link for a person who has no password yet.
func (c *Client) Invite(ctx context.Context, user string) (Invitation, error) {
	return callAt[Invitation](ctx, c, http.MethodPost, "users", user, "invite", nil)
}

// TestMail sends a mail at once.
func (c *Client) TestMail(ctx context.Context, to string) error {
	_, err := call[struct{}](ctx, c, http.MethodPost, "/settings/test-mail", nil, TestMail{to})
	return err
}
