package flow

import (
	"context"
	"net/http"

	"gatehouse/idp/web"
	"gatehouse/sp"
)

// The built-in apps, their ids and the protocol that serves them. They are apps like any other: each has a policy, and
// every page of theirs asks it.
const (
	Portal  = "portal"
	Account = "account"
	Console = "console"

	BuiltinProtocol = "builtin"
)

// BuiltinApps are the records that a new store starts with.
func BuiltinApps() []sp.App {
	app := func(id, name string) sp.App {
		return sp.App{ID: id, State: sp.Active, CreatedBy: "system",
			Definition: sp.Definition{Name: name}, Policy: sp.Policy{PermittedUsers: sp.PermitAll}}
	}
	return []sp.App{app(Portal, "Portal"), app(Account, "Account"), app(Console, "Console")}
}

// IsBuiltin tells whether an app id is one of the built-in apps.
func IsBuiltin(id string) bool { return id == Portal || id == Account || id == Console }

// Visit is the request to enter a built-in app and come to a path of it.
func Visit(app, path string) Request {
	return Request{Protocol: BuiltinProtocol, App: app, Start: "portal", Payload: []byte(path)}
}

// Builtin answers for the built-in apps: a redirect to the page that was wanted, or a page that says why not.
type Builtin struct{}

// Asks nothing: the built-in apps are Gatehouse itself.
func (Builtin) Asks(*Facts) []string { return nil }

// Issue sends the browser to the page.
func (Builtin) Issue(_ context.Context, pass *Pass) (Answer, error) {
	pass.Reached = nil // nothing to log out of
	path := web.LocalPath(string(pass.Request.Payload), "/")
	return Answer{Write: func(w http.ResponseWriter, _ *http.Request) error {
		web.SeeOther(w, path)
		return nil
	}}, nil
}

// Refuse shows the reason.
func (Builtin) Refuse(_ context.Context, pass *Pass, reason Reason) (Answer, error) {
	return Page(pass, reason), nil
}

// Routes mounts the one path of the road itself.
func (e *Engine) Routes() []web.Route {
	return []web.Route{{Method: http.MethodGet, Path: "/flow/{id}", Permission: web.Public, Handle: func(w http.ResponseWriter, r *http.Request) error {
		return e.Resume(w, r, r.PathValue("id"))
	}}}
}
