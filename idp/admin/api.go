package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"gatehouse/idp/api"
	"gatehouse/idp/web"
	"gatehouse/sp"
)

// row is one line of the API's route table. CrossSite is false everywhere: a browser may only call from our own pages.
type row struct {
	Method     string
	Path       string // below api.Root
	Permission web.Permission
	CrossSite  bool
	MaxBody    int64 // bytes; 0: the kit's default
	Status     int   // of success; 0: 200
	Action     func(c *call) (any, error)
}

// maxAppBody holds 1 MiB of metadata as JSON, which writes angle brackets as six bytes.
const maxAppBody = 7 << 20

func (a *Admin) rows() []row {
	do := a.Actions
	rows := []row{
		{Method: "GET", Path: "/version", Permission: Overview, Action: func(*call) (any, error) { return api.Version{Version: api.BuildVersion()}, nil }},

		{Method: "GET", Path: "/apps", Permission: AppsRead, Action: func(c *call) (any, error) {
			return do.Apps(c.ctx(), AppFilter{State: c.query("state"), Parent: c.query("parent"), Ref: c.query("ref"), After: c.query("after"), Limit: c.limit()})
		}},
		{Method: "POST", Path: "/apps", Permission: AppsRegister, MaxBody: maxAppBody, Status: 201, Action: with(func(c *call, n api.NewApp) (any, error) { return c.added(do.AddApp(c.ctx(), c.by(), n)) })},
		{Method: "POST", Path: "/apps/preview", Permission: AppsRegister, MaxBody: maxAppBody, Action: with(func(c *call, n api.NewApp) (any, error) { return c.added(do.PreviewApp(c.ctx(), c.by(), n)) })},
		{Method: "GET", Path: "/apps/{app}", Permission: AppsRead, Action: func(c *call) (any, error) { return c.shown(do.App(c.ctx(), c.path("app"))) }},
		{Method: "PATCH", Path: "/apps/{app}", Permission: AppsRegister, MaxBody: 1 << 20, Action: with(func(c *call, change api.Change) (any, error) {
			return c.shown(do.SetApp(c.ctx(), c.forced(change), c.path("app"), change.Set))
		})},
		{Method: "DELETE", Path: "/apps/{app}", Permission: AppsWrite, Action: func(c *call) (any, error) { return do.RemoveApp(c.ctx(), c.by(), c.path("app")) }},
		{Method: "GET", Path: "/apps/{app}/people", Permission: UsersRead, Action: func(c *call) (any, error) {
			ask, err := c.reach()
			if err != nil {
				return nil, err
			}
			return do.WhoOpens(c.ctx(), c.path("app"), ask)
		}},
		{Method: "GET", Path: "/users/{user}/apps", Permission: UsersRead, Action: func(c *call) (any, error) {
			ask, err := c.reach()
			if err != nil {
				return nil, err
			}
			return do.WhatOpens(c.ctx(), c.path("user"), ask)
		}},
		{Method: "GET", Path: "/attempts", Permission: AuditRead, Action: func(c *call) (any, error) { return do.Attempts(c.ctx()) }},
		{Method: "GET", Path: "/apps/{app}/export", Permission: AppsRead, Action: func(c *call) (any, error) { return do.ExportApp(c.ctx(), c.path("app")) }},
		{Method: "POST", Path: "/apps/{app}/block", Permission: AppsWrite, Action: func(c *call) (any, error) { return do.BlockApp(c.ctx(), c.by(), c.path("app")) }},
		{Method: "POST", Path: "/apps/{app}/unblock", Permission: AppsWrite, Action: func(c *call) (any, error) { return do.UnblockApp(c.ctx(), c.by(), c.path("app")) }},
		{Method: "POST", Path: "/apps/{app}/approve", Permission: AppsWrite, Action: perhaps(func(c *call, ask api.ApproveApp) (any, error) {
			return do.ApproveApp(c.ctx(), c.by(), c.path("app"), ask)
		})},
		{Method: "POST", Path: "/apps/{app}/new-nameid", Permission: AppsWrite, Action: with(func(c *call, ask api.NewNameID) (any, error) {
			return do.NewNameID(c.ctx(), c.by(), c.path("app"), ask)
		})},
		{Method: "POST", Path: "/apps/{app}/secret", Permission: AppsRegister, Action: with(func(c *call, ask api.RotateSecret) (any, error) {
			return do.RotateSecret(c.ctx(), c.by(), c.path("app"), ask)
		})},
		{Method: "POST", Path: "/apps/{app}/registration-token", Permission: AppsWrite, Status: 201, Action: func(c *call) (any, error) {
			return do.RegistrationToken(c.ctx(), c.by(), c.path("app"))
		}},
		{Method: "GET", Path: "/apps/{app}/idp-metadata", Permission: AppsRead, Action: func(c *call) (any, error) { return do.OwnMetadata(c.ctx(), c.path("app")) }},
		{Method: "GET", Path: "/metadata", Permission: AppsRead, Action: func(c *call) (any, error) { return do.OwnMetadata(c.ctx(), "") }},
		{Method: "GET", Path: "/explain", Permission: UsersRead, Action: a.explain},

		{Method: "GET", Path: "/users", Permission: UsersRead, Action: func(c *call) (any, error) {
			return do.Users(c.ctx(), UserFilter{Search: c.query("search"), Ref: c.query("ref"), After: c.query("after"), Limit: c.limit()})
		}},
		{Method: "POST", Path: "/users", Permission: UsersWrite, Status: 201, Action: with(func(c *call, n api.NewUser) (any, error) { return do.AddUser(c.ctx(), c.by(), n) })},
		{Method: "GET", Path: "/users/{user}", Permission: UsersRead, Action: func(c *call) (any, error) { return do.User(c.ctx(), c.path("user")) }},
		{Method: "PATCH", Path: "/users/{user}", Permission: UsersWrite, Action: with(func(c *call, change api.Change) (any, error) {
			return do.SetUser(c.ctx(), c.forced(change), c.path("user"), change.Set)
		})},
		{Method: "DELETE", Path: "/users/{user}", Permission: UsersWrite, Action: func(c *call) (any, error) { return do.RemoveUser(c.ctx(), c.by(), c.path("user")) }},
		{Method: "POST", Path: "/users/{user}/disable", Permission: UsersWrite, Action: func(c *call) (any, error) { return do.DisableUser(c.ctx(), c.by(), c.path("user")) }},
		{Method: "POST", Path: "/users/{user}/enable", Permission: UsersWrite, Action: func(c *call) (any, error) { return do.EnableUser(c.ctx(), c.by(), c.path("user")) }},
		{Method: "POST", Path: "/users/{user}/password", Permission: UsersPassword, Action: with(func(c *call, p api.Password) (any, error) {
			return do.ResetPassword(c.ctx(), c.by(), c.path("user"), p.Password)
		})},
		{Method: "POST", Path: "/users/{user}/reset-mfa", Permission: UsersPassword, Action: func(c *call) (any, error) { return do.ResetMFA(c.ctx(), c.by(), c.path("user")) }},
		{Method: "POST", Path: "/users/{user}/totp", Permission: UsersWrite, Status: 201, Action: func(c *call) (any, error) { return do.EnrolTOTP(c.ctx(), c.by(), c.path("user")) }},

		{Method: "GET", Path: "/sessions", Permission: SessionsRead, Action: func(c *call) (any, error) { return do.Sessions(c.ctx(), c.query("user"), c.query("app")) }},
		{Method: "POST", Path: "/sessions/end", Permission: SessionsEnd, Action: with(func(c *call, ask api.EndSessions) (any, error) { return do.EndSessions(c.ctx(), c.by(), ask) })},

		{Method: "GET", Path: "/audit", Permission: AuditRead, Action: a.auditList},
		{Method: "GET", Path: "/audit/export", Permission: AuditRead, Action: a.auditExport},
		{Method: "GET", Path: "/audit/verify", Permission: AuditRead, Action: a.auditVerify},
		{Method: "GET", Path: "/audit/{code}", Permission: AuditRead, Action: func(c *call) (any, error) { return do.Trace(c.ctx(), c.path("code")) }},

		{Method: "GET", Path: "/apps/{app}/usage", Permission: AppsRead, Action: func(c *call) (any, error) { return do.AppUsage(c.ctx(), c.path("app")) }},
		{Method: "GET", Path: "/usage", Permission: AppsRead, Action: func(c *call) (any, error) { return do.Usage(c.ctx(), c.query("after"), c.limit()) }},
		{Method: "GET", Path: "/usage/grants", Permission: AuditRead, Action: func(c *call) (any, error) { return do.UnusedGrants(c.ctx(), c.query("app"), c.query("after")) }},

		{Method: "GET", Path: "/settings", Permission: SettingsRead, Action: func(c *call) (any, error) { return do.Settings(c.ctx()) }},
		{Method: "PATCH", Path: "/settings", Permission: SettingsWrite, MaxBody: 1 << 20, Action: with(func(c *call, change api.Change) (any, error) {
			return do.SetSettings(c.ctx(), c.forced(change), change.Set)
		})},
	}
	rows = append(rows, a.keyRows()...)
	rows = append(rows, a.requestRows()...)
	rows = append(rows, a.oauthGrantRows()...)
	rows = append(rows, a.sourceRows()...)
	rows = append(rows, a.upstreamRows()...)
	rows = append(rows, a.inviteRows()...)
	rows = append(rows, a.ldapRows()...)
	rows = append(rows, a.importRows()...)
	rows = append(rows, a.tokenRows()...)
	rows = append(rows, a.scopeRows()...)
	rows = append(rows, profiles.rows(do, "/profiles")...)
	rows = append(rows, permissionSets.rows(do, "/permission-sets")...)
	return append(rows, groups.rows(do, "/groups")...)
}

// rows are the five operations on profiles, permission sets and groups.
func (n *named[T]) rows(do *Actions, path string) []row {
	return []row{
		{Method: "GET", Path: path, Permission: UsersRead, Action: func(c *call) (any, error) {
			return n.list(c.ctx(), do, c.query("ref"), c.query("after"), c.limit())
		}},
		{Method: "POST", Path: path, Permission: UsersWrite, Status: 201, Action: with(func(c *call, ask api.Named) (any, error) { return n.add(c.ctx(), do, c.by(), ask) })},
		{Method: "GET", Path: path + "/{name}", Permission: UsersRead, Action: func(c *call) (any, error) { return n.get(c.ctx(), do, c.path("name")) }},
		{Method: "PATCH", Path: path + "/{name}", Permission: UsersWrite, Action: with(func(c *call, change api.Change) (any, error) {
			return n.set(c.ctx(), do, c.forced(change), c.path("name"), change.Set)
		})},
		{Method: "DELETE", Path: path + "/{name}", Permission: UsersWrite, Action: func(c *call) (any, error) { return n.remove(c.ctx(), do, c.by(), c.path("name")) }},
	}
}

// shown is an answer about one app, without what the asker may not read.
func (c *call) shown(app api.App, err error) (any, error) { return visibleTo(c.by(), app), err }

func (c *call) added(added api.AddedApp, err error) (any, error) {
	added.App = visibleTo(c.by(), added.App)
	return added, err
}

func (a *Admin) explain(c *call) (any, error) {
	ask, err := c.reach()
	if err != nil {
		return nil, err
	}
	return a.Actions.Explain(c.ctx(), c.query("user"), c.query("app"), ask.Address, ask.At)
}

// reach reads from where and when a decision is asked for.
func (c *call) reach() (Reach, error) {
	ask := Reach{After: c.query("after"), Limit: c.limit()}
	var err error
	if ip := c.query("ip"); ip != "" {
		if ask.Address, err = netip.ParseAddr(ip); err != nil {
			return ask, badValue("ip", "%.60q is not an IP address: write it like 192.0.2.7.", ip)
		}
		ask.Address = ask.Address.Unmap()
	}
	ask.At, err = c.time("at")
	return ask, err
}

// call is one request to the API, for its action.
type call struct{ r *http.Request }

func (c *call) ctx() context.Context     { return c.r.Context() }
func (c *call) by() By                   { return byOf(c.r) }
func (c *call) path(name string) string  { return c.r.PathValue(name) }
func (c *call) query(name string) string { return c.r.URL.Query().Get(name) }

func (c *call) forced(change api.Change) By {
	by := c.by()
	by.Force = change.Force
	return by
}

// limit is 0, which actions read as their own bound, where none was asked for.
func (c *call) limit() int {
	n, _ := strconv.Atoi(c.query("limit")) // checkLimit has refused what is no number
	return n
}

// checkLimit refuses a limit that is no number of items; one above an action's own bound means that bound.
func (c *call) checkLimit() error {
	if !c.r.URL.Query().Has("limit") {
		return nil
	}
	if n, err := strconv.Atoi(c.query("limit")); err != nil || n < 1 {
		return badValue("limit", "%.60q is no number of items: give limit a number from 1 to %d, or leave it out.", c.query("limit"), maxPage)
	}
	return nil
}

func (c *call) time(name string) (time.Time, error) {
	text := c.query(name)
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return at, badValue(name, "%.60q is not a time: write it like 2027-01-31T18:00:00Z.", text)
	}
	return at, nil
}

// perhaps is with where there may be no body at all.
func perhaps[T any](action func(*call, T) (any, error)) func(*call) (any, error) {
	read := with(action)
	return func(c *call) (any, error) {
		if c.r.ContentLength == 0 {
			var nothing T
			return action(c, nothing)
		}
		return read(c)
	}
}

// with reads the body into a T first: JSON, one value, no unknown fields.
func with[T any](action func(*call, T) (any, error)) func(*call) (any, error) {
	return func(c *call) (any, error) {
		var body T
		if kind, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
			return nil, refused(http.StatusUnsupportedMediaType, "not_json", "", "Send the request's body as JSON, with Content-Type: application/json.")
		}
		whole, err := io.ReadAll(c.r.Body)
		if err != nil {
			return nil, err
		}
		d := json.NewDecoder(bytes.NewReader(whole))
		d.DisallowUnknownFields()
		if err := d.Decode(&body); err != nil {
			return nil, refused(http.StatusBadRequest, "bad_json", "", "The request's body %.200s.", sp.Unreadable(err))
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			return nil, refused(http.StatusBadRequest, "bad_json", "", "The request's body has something after its JSON: send one object alone.")
		}
		return action(c, body)
	}
}

// handle is the row as a handler: ask, answer.
func (w row) handle(out http.ResponseWriter, r *http.Request) error {
	ask := &call{r}
	if err := ask.checkLimit(); err != nil {
		return err
	}
	answer, err := w.Action(ask)
	if err != nil {
		return worded(err)
	}
	if self, ok := answer.(answers); ok {
		return self(out)
	}
	if raw, ok := answer.([]byte); ok {
		out.Header().Set("Content-Type", "application/samlmetadata+xml")
		web.NoStore(out.Header())
		_, err = out.Write(raw)
		return err
	}
	status := w.Status
	if status == 0 {
		status = http.StatusOK
	}
	web.WriteJSON(out, status, answer)
	return nil
}
