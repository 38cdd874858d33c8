// Package admin owns the administration of Gatehouse: one set of Actions, and two thin faces over them, the JSON API (on the
// public listener and on the unix socket) and the console's pages.
//
// A face parses, asks an action and answers; it decides nothing and writes nothing. What a role may do is in roles.go, who
// may call what in the route tables of api.go and console.go. Read actions.go for how a change is made, then the route
// tables.
package admin

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"time"

	"gatehouse/certs"
	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/federation"
	"gatehouse/idp/flow"
	"gatehouse/idp/recovery"
	"gatehouse/idp/session"
	"gatehouse/idp/web"
	"gatehouse/store"
)

// Deps are what the package needs. All must be set, except CheckSource.
type Deps struct {
	Kit          *web.Kit
	Engine       *flow.Engine
	Store        store.Store
	Directory    *directory.Directory
	Factors      *directory.SecondFactors
	Sessions     *session.Keeper
	Audit        *audit.Log
	Keys         *certs.Keyring
	Fetcher      Fetcher
	Sources      *federation.Keeper
	IdP          IDPMetadata
	ProviderKeys func(ctx context.Context, provider *federation.OpenID) (int, error) // counts the keys that it publishes now and that ID tokens could be signed with
	CheckSource  func(source string) error                                           // of a released attribute: is it a name or a sound expression?
	CheckSector  func(ctx context.Context, uri string, redirects []string) error     // does a sector_identifier_uri name them all?
	RenewName    RenewName
	Desk         *recovery.Desk
	Seal         func(context string, plain []byte) []byte
	BaseURL      string // public origin
	Now          func() time.Time
}

// Admin serves the console and the API.
type Admin struct {
	Actions *Actions
	kit     *web.Kit
}

// New builds the package.
func New(d Deps) *Admin {
	return &Admin{kit: d.Kit, Actions: &Actions{
		Store: d.Store, Directory: d.Directory, Factors: d.Factors, Keeper: d.Sessions, Audit: d.Audit, Keyring: d.Keys, Fetcher: d.Fetcher, Sources: d.Sources,
		Metadata: d.IdP, ProviderKeys: d.ProviderKeys, CheckSource: d.CheckSource, CheckSector: d.CheckSector, RenewName: d.RenewName, Desk: d.Desk, Seal: d.Seal, BaseURL: d.BaseURL, Engine: d.Engine, Now: d.Now,
	}}
}

// Routes are the paths of the public listener: the API under /api/v1 and the console under /admin.
func (a *Admin) Routes() []web.Route {
	routes := a.consoleRoutes()
	for _, row := range a.rows() {
		routes = append(routes, web.Route{
			Method: row.Method, Path: api.Root + row.Path, Permission: row.Permission, CrossSite: row.CrossSite,
			MaxBody: row.MaxBody, Errors: web.AsJSON, Handle: row.handle,
		})
	}
	return routes
}

// SocketRoutes are the same API for the unix socket: who may connect to it may do everything, browsers may do nothing.
func (a *Admin) SocketRoutes() []web.Route {
	var routes []web.Route
	for _, row := range a.rows() {
		routes = append(routes, web.Route{
			Method: row.Method, Path: api.Root + row.Path, Permission: web.Public, CrossSite: true,
			MaxBody: row.MaxBody, Errors: web.AsJSON, Handle: onSocket(row.handle),
		})
	}
	return routes
}

// PeerContext is for the ConnContext of the socket's server.
func (a *Admin) PeerContext(ctx context.Context, c net.Conn) context.Context {
	return api.ConnContext(ctx, c)
}

// onSocket makes the user at the other end of the socket the actor, "uid N". A request that did not come through the socket,
// or that a web page caused, is refused.
func onSocket(next web.HandlerFunc) web.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		uid, ok := api.Peer(r.Context())
		if !ok || api.FromBrowser(r) {
			return refused(http.StatusForbidden, "browser", "", "The socket answers the gatehouse command only, not a browser.")
		}
		web.Of(r).Actor = web.Actor{ID: socketActor + strconv.Itoa(uid)}
		return next(w, r)
	}
}

// byOf is who a request acts for.
func byOf(r *http.Request) By {
	info := web.Of(r)
	return By{Actor: info.Actor, Address: info.Address}
}
