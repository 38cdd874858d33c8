// Package oauth owns OAuth 2.0 and OpenID Connect: authorize, the token endpoint and its methods, userinfo, introspection,
// revocation, keys and discovery.
//
// It must not decide who may enter (idp/flow does, at sign-in and again at every token), show pages of its own, or keep a code,
// token or secret: the store knows their hashes. One token request is one Update: what is redeemed, decided, rotated and noted
// happens together or not at all; only signing comes after. Read authorize.go and protocol.go for the way of a person, token.go
// and its methods (code.go, refresh.go, clientcredentials.go) for the way of a client, relying.go for the other side: people who sign
// in at another OpenID provider.
package oauth

import (
	"context"
	"errors"
	"net/http"
	"time"

	"gatehouse/certs"
	"gatehouse/idp/claims"
	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/idp/outbound"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
)

// Protocol is the name under which flow.Engine finds this package.
const Protocol = "oauth"

// Handlers are the endpoints and the flow.Protocol that answers for them. All exported fields must be set.
type Handlers struct {
	Engine    *flow.Engine
	Store     store.Store
	Keys      *certs.Keyring
	Claims    *claims.Evaluator
	Fetch     *outbound.Client
	Passwords Passwords
	// Lends tells whether somebody with roles can give an app a scope of Gatehouse's own API.
	Lends      func(roles []string, scope string) bool
	SubjectKey []byte // of pairwise subjects; whoever has it can link people across apps
	BaseURL    string // public origin: the issuer
	MTLS       MTLS
	Now        func() time.Time

	// Result shows a person how a sign-out went; Confirm asks whether to sign out, for an app of a name: the fields go to action, and
	// the answer may lead on to next.
	Result  func(w http.ResponseWriter, r *http.Request, logout *flow.Logout) error
	Confirm func(w http.ResponseWriter, r *http.Request, app, action string, fields map[string]string, next string) error
	Post    Poster

	clients   recent[string]    // app ids by client id: a hint that is checked at each use
	used      recent[time.Time] // by the id of a secret or an app: when its use was noted
	wrong     throttle
	newcomers throttle
	guesses   throttle // of user codes
	fetches   throttle // of keys, by address
	published keptAt[keptKeys]
	documents keptAt[keptDocument] // of clients in the registry, of which there are no more than are kept
	strangers keptAt[keptDocument] // of others
	groups    store.Cache[directory.Group]
	sets      store.Cache[directory.PermissionSet]
	signers   signerCache

	settings store.Cache[directory.Settings]
}

// The paths of this package.
const (
	authorizePath  = "/oauth/authorize"
	tokenPath      = "/oauth/token"
	userinfoPath   = "/oauth/userinfo"
	introspectPath = "/oauth/introspect"
	revokePath     = "/oauth/revoke"
	logoutPath     = "/oauth/logout"
	confirmPath    = "/oauth/logout/confirm"
	devicePath     = "/oauth/device"
	parPath        = "/oauth/par"
	jwksPath       = "/oauth/jwks"
	registerPath   = "/oauth/register"
	oidcPath       = "/.well-known/openid-configuration"
	metadataPath   = "/.well-known/oauth-authorization-server"
)

// Routes are the paths of this package: pages that people pass through, and endpoints of programs, where errors are JSON. None of them
// trusts a cookie for what it does: flow binds a waiting request to the browser.
func (h *Handlers) Routes() []web.Route {
	page := func(method, path string, handle web.HandlerFunc) web.Route {
		return web.Route{Method: method, Path: path, Permission: web.Public, CrossSite: true, Handle: handle}
	}
	endpoint := func(method, path string, handle web.HandlerFunc) web.Route {
		return web.Route{Method: method, Path: path, Permission: web.Public, CrossSite: true, Errors: Refuse, Handle: handle}
	}
	document := func(path string, handle web.HandlerFunc) web.Route {
		route := endpoint(http.MethodGet, path, handle)
		route.Reads = true
		return route
	}
	routes := []web.Route{
		page(http.MethodGet, authorizePath, h.authorize),
		page(http.MethodPost, authorizePath, h.authorize),
		page(http.MethodGet, logoutPath, h.Engine.Bounded(h.logout)),
		page(http.MethodPost, logoutPath, h.Engine.Bounded(h.logoutPosted)),
		{Method: http.MethodPost, Path: confirmPath, Permission: web.Public, Handle: h.logoutConfirmed},
		endpoint(http.MethodPost, introspectPath, h.introspect),
		endpoint(http.MethodPost, devicePath, h.device),
		document(jwksPath, h.jwks),
		document(oidcPath, h.discovery),
		document(metadataPath, h.discovery),
		document(ResourcePath, h.resource),
		endpoint(http.MethodPost, registerPath, h.register),
		endpoint(http.MethodGet, clientPath, h.managed("client.read", http.StatusOK, h.readClient)),
		endpoint(http.MethodPut, clientPath, h.managed("client.update", http.StatusOK, h.updateClient)),
		endpoint(http.MethodDelete, clientPath, h.managed("client.remove", http.StatusNoContent, h.removeClient)),
	}
	for path, methods := range map[string]map[string]web.HandlerFunc{
		tokenPath:    {http.MethodPost: h.token},
		revokePath:   {http.MethodPost: h.revoke},
		parPath:      {http.MethodPost: h.push},
		userinfoPath: {http.MethodGet: h.userinfo, http.MethodPost: h.userinfo},
	} {
		methods[http.MethodOptions] = preflight
		for method, handle := range methods {
			route := endpoint(method, path, handle)
			route.Prepare = h.allowOrigin
			routes = append(routes, route)
		}
	}
	return routes
}

// clientOf finds the app of a client id; nil: there is none. The index is read only when the hint does not hold.
func (h *Handlers) clientOf(ctx context.Context, id string) (*sp.App, error) {
	if app, ok := h.clients.get(id); ok {
		found, err := h.Engine.AppOf(ctx, app)
		if err != nil || isClient(found, id) {
			return found, err
		}
		h.clients.forget(id)
	}
	var found sp.App
	err := h.Store.View(ctx, func(tx store.Tx) (err error) {
		found, _, err = sp.Apps.By(tx, "client_id", id)
		return err
	})
	if errors.Is(err, store.ErrNotFound) || err == nil && !isClient(&found, id) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	h.clients.put(id, found.ID)
	return &found, nil
}

// organisation are the settings of the organisation.
func (h *Handlers) organisation(ctx context.Context) (*directory.Settings, error) {
	settings := &directory.Settings{}
	err := h.Store.View(ctx, func(tx store.Tx) error {
		stored, _, err := h.settings.Get(tx, directory.SettingsTable, directory.SettingsKey)
		if err == nil {
			settings = stored
		}
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return settings, nil
	}
	return settings, err
}

// switchedOff refuses what the organisation lets nobody do.
func switchedOff(grantType string) *Problem {
	return refuse(codeUnauthorizedClient, "grant_type_switched_off", "This grant_type is switched off for the whole organisation (oauth.disabled_grants).").because("", grantType)
}

func isClient(app *sp.App, id string) bool {
	return app != nil && app.State != sp.Removed && app.Definition.OAuth != nil && app.Credentials.ClientID == id
}
