package saml

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"gatehouse/certs"
	"gatehouse/idp/claims"
	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/idp/upstream"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
)

// Protocol is the name under which flow.Engine finds this package.
const Protocol = "saml"

// Handlers are the SAML endpoints and the flow.Protocol that answers for them. All exported fields must be set.
type Handlers struct {
	Kit       *web.Kit
	Engine    *flow.Engine
	Store     store.Store
	Keys      *certs.Keyring
	BaseURL   string // public origin
	Now       func() time.Time
	Claims    *claims.Evaluator
	NameIDKey []byte // of persistent NameIDs; whoever has it can link people across apps
	SOAP      SOAPClient
	// Basic signs in a client by HTTP Basic and returns the secret of its session; its errors are *web.Error where the client erred.
	Basic func(r *http.Request) (string, error)
	Desk  *upstream.Desk
	// Result shows a person how a sign-out went, where no app waits to be told.
	Result func(w http.ResponseWriter, r *http.Request, logout *flow.Logout) error

	settings store.Cache[directory.Settings]
	groups   store.Cache[directory.Group]
	sets     store.Cache[directory.PermissionSet]
	issuers  sync.Map // entity id → app id, of registered apps: a hint that is checked at each use
	keys     credentialCache
	metadata metadataCache
}

// maxPOST bounds a posted message: 128 KiB of XML in base64, every character escaped.
const maxPOST = 640 << 10

const ssoPath = "/saml/sso"

// Routes are the paths of this package. The sign-on endpoint trusts no cookie for what it does: flow binds a waiting request
// to the browser.
func (h *Handlers) Routes() []web.Route {
	return []web.Route{
		{Method: http.MethodGet, Path: ssoPath, Permission: web.Public, CrossSite: true, Handle: byRedirect(h.begin)},
		{Method: http.MethodPost, Path: ssoPath, Permission: web.Public, CrossSite: true, MaxBody: maxPOST, Handle: byPOST(h.begin)},
		{Method: http.MethodGet, Path: sloPath, Permission: web.Public, CrossSite: true, Handle: h.Engine.Bounded(byRedirect(h.leaving))},
		{Method: http.MethodPost, Path: sloPath, Permission: web.Public, CrossSite: true, MaxBody: maxPOST, Handle: h.Engine.Bounded(byPOST(h.leaving))},
		{Method: http.MethodGet, Path: nidPath, Permission: web.Public, CrossSite: true, Handle: h.Engine.Bounded(byRedirect(h.manageBrowser))},
		{Method: http.MethodPost, Path: nidPath, Permission: web.Public, CrossSite: true, MaxBody: maxPOST, Handle: h.Engine.Bounded(byPOST(h.manageBrowser))},
		{Method: http.MethodPost, Path: soapPath, Permission: web.Public, CrossSite: true, MaxBody: maxSOAP, Errors: Fault, Handle: overSOAP(h.Engine.Bounded(h.soap))},
		{Method: http.MethodPost, Path: artifactPath, Permission: web.Public, CrossSite: true, MaxBody: maxSOAP, Errors: Fault, Handle: overSOAP(h.Engine.Bounded(h.resolve))},
		{Method: http.MethodPost, Path: ecpPath, Permission: web.Public, CrossSite: true, MaxBody: maxSOAP, Errors: Fault, Handle: overSOAP(h.Engine.Bounded(h.ecp))},
		{Method: http.MethodGet, Path: unsolicitedPath, Permission: web.Public, Handle: h.unsolicited},
		{Method: http.MethodGet, Path: "/saml/metadata", Permission: web.Public, Reads: true, Handle: h.ownMetadata},
		{Method: http.MethodGet, Path: "/saml/metadata/{app}", Permission: web.Public, Handle: h.ownMetadata},
		{Method: http.MethodGet, Path: "/saml/certificate.pem", Permission: web.Public, Reads: true, Handle: h.certificate},
		{Method: http.MethodPost, Path: acsPath, Permission: web.Public, CrossSite: true, MaxBody: maxPOST, Handle: h.consume},
		{Method: http.MethodGet, Path: acsPath, Permission: web.Public, Handle: h.claimAnswer},
		{Method: http.MethodGet, Path: spMetadataPath, Permission: web.Public, Reads: true, Handle: h.spMetadata},
		{Method: http.MethodGet, Path: errorPath, Permission: web.Public, Handle: h.errorPage},
	}
}

// taker is an endpoint for messages that a browser carries, whichever way.
type taker func(http.ResponseWriter, *http.Request, *Message, *Problem) error

func byRedirect(take taker) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		m, problem := DecodeRedirect(r.URL.RawQuery)
		return take(w, r, m, problem)
	}
}

func byPOST(take taker) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := r.ParseForm(); err != nil {
			if web.Incomplete(err) {
				return err
			}
			return take(w, r, nil, malformed(errors.New("the form cannot be read")))
		}
		m, problem := DecodePOST(r.PostForm)
		return take(w, r, m, problem)
	}
}

// begin takes a decoded request to the road, or ends it: here, or at the service provider once that is verified.
func (h *Handlers) begin(w http.ResponseWriter, r *http.Request, m *Message, problem *Problem) error {
	request, told, err := h.accept(r, m, problem)
	if err != nil {
		return err
	}
	if told != nil {
		return h.Engine.Reject(w, r, request, told.reason())
	}
	return h.Engine.Begin(w, r, request)
}

// accept verifies and checks a request. A problem that the app may be told comes with the request; any other is the error.
func (h *Handlers) accept(r *http.Request, m *Message, problem *Problem) (request flow.Request, told *Problem, err error) {
	if problem == nil && m.Request == nil {
		problem = wrongMessage(m.kind)
	}
	if problem != nil {
		return request, nil, h.halt(r, "", problem)
	}
	app, err := h.appOf(r.Context(), m.Request.Issuer)
	if err != nil {
		return request, nil, err
	}
	if app == nil {
		return request, nil, h.Engine.HaltUnknown(r, Protocol, m.Request.Issuer, unknownIssuer(m.Request.Issuer).reason())
	}
	if app.State == sp.Pending {
		return request, nil, h.halt(r, "", unknownIssuer(m.Request.Issuer))
	}
	if md := &app.Definition.SAML.Metadata; md.Expired(h.Now()) {
		return request, nil, h.halt(r, app.ID, metadataExpired(md))
	}
	env, err := h.env(r.Context(), m)
	if err != nil {
		return request, nil, err
	}
	accepted, problem := CheckMessage(m, app, env)
	if problem != nil && problem.Local {
		return request, nil, h.halt(r, app.ID, problem)
	}
	request, err = h.request(app, &accepted)
	return request, problem, err
}

// env is what a request is checked against, beside its app.
func (h *Handlers) env(ctx context.Context, m *Message) (Env, error) {
	settings, err := h.loadSettings(ctx)
	if err != nil {
		return Env{}, err
	}
	endpoint := h.BaseURL + ssoPath
	if m.Binding == sp.BindingSOAP {
		endpoint = h.BaseURL + ecpPath
	}
	env := Env{EntityID: h.entityID(settings), Endpoint: endpoint, Now: h.Now(), WantSigned: settings.WantSignedRequests, Contexts: settings.AuthnContexts}
	if m.Request.Scoping != nil && m.Request.Scoping.HasIDPList {
		if env.Upstreams, err = h.reachable(ctx); err != nil {
			return env, err
		}
	}
	if m.Request.encrypted != nil {
		env.Keys, err = h.decrypters(ctx)
	}
	return env, err
}

// request forms what flow decides on. Its payload is the checked request and nothing else.
func (h *Handlers) request(app *sp.App, a *Accepted) (flow.Request, error) {
	payload, err := json.Marshal(a)
	if err != nil {
		return flow.Request{}, err
	}
	now := h.Now()
	request := flow.Request{
		Protocol: Protocol, App: app.ID, Start: "IdP", Passive: a.Passive, Payload: payload,
		Demand: flow.Demand{MinLevel: a.Context.MinLevel},
	}
	if a.ForceAuthn {
		request.Demand.AuthAfter = now
	}
	if a.Subject != nil && !a.SealedSubject && len(a.Subject.Value) <= maxNameID && (a.Subject.Format == "" || a.Subject.Format == sp.NameIDEmail || a.Subject.Format == sp.NameIDUnspecified) {
		request.LoginHint = a.Subject.Value
	}
	if a.ID != "" {
		request.Start, request.Once, request.OnceUntil = "SP", onceName(app, a.ID), now.Add(flow.Lifetime+2*Skew)
	}
	return request, nil
}

// onceName is under which name a message of an app counts once (core 1.3.4).
func onceName(app *sp.App, id string) string {
	sum := sha256.Sum256([]byte(app.EntityID() + "\x00" + id))
	return "saml:" + hex.EncodeToString(sum[:])
}

// badLaunch refuses a launch link with a RelayState that the app does not allow.
const badLaunch = "This link leads to a page of the app that is not allowed here. Ask your administrator to allow it (saml.allowed_relay_states)."

// Launch forms the request that opens an app from the portal (profiles 4.1.5). The error is a sentence for the page.
func (h *Handlers) Launch(app *sp.App, relayState string) (flow.Request, error) {
	settings := app.Definition.SAML
	if !settings.RelayStateAllowed(relayState) || len(relayState) > settings.RelayStateLimit() {
		return flow.Request{}, errors.New(badLaunch)
	}
	if relayState == "" {
		relayState = settings.Settings.DefaultRelayState
	}
	accepted, problem := Unsolicited(settings, relayState)
	if problem != nil {
		return flow.Request{}, errors.New(problem.Text)
	}
	return h.request(app, &accepted)
}

// halt is a refusal that stays here: audited, and shown as a page with the code of the entry.
func (h *Handlers) halt(r *http.Request, app string, problem *Problem) error {
	return h.Engine.Halt(r, app, "signon", problem.reason())
}

// reason is the problem in flow's words. Status holds both codes, the nested one after a space.
func (p *Problem) reason() flow.Reason {
	reason := flow.Reason{Type: p.Reason, Text: p.Text, Status: p.Status + " " + p.SubStatus, Err: p.Err}
	if p.Expected != "" || p.Received != "" {
		reason.Facts = map[string]string{"expected": p.Expected, "received": p.Received}
	}
	if p.Err != nil {
		reason.Detail = cut(p.Err.Error())
	}
	return reason
}

// appOf finds the app of an entity id; nil: there is none. The index is read only when the hint does not hold.
func (h *Handlers) appOf(ctx context.Context, entityID string) (*sp.App, error) {
	if id, ok := h.issuers.Load(entityID); ok {
		app, err := h.Engine.AppOf(ctx, id.(string))
		if err != nil || app != nil && app.State != sp.Removed && app.EntityID() == entityID {
			return app, err
		}
		h.issuers.Delete(entityID)
	}
	var found sp.App
	err := h.Store.View(ctx, func(tx store.Tx) (err error) {
		found, _, err = sp.Apps.By(tx, "entity_id", entityID)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	h.issuers.Store(entityID, found.ID)
	return &found, nil
}

func (h *Handlers) loadSettings(ctx context.Context) (*directory.Settings, error) {
	var settings *directory.Settings
	err := h.Store.View(ctx, func(tx store.Tx) (err error) {
		settings, _, err = h.settings.Get(tx, directory.SettingsTable, directory.SettingsKey)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return &directory.Settings{}, nil
	}
	return settings, err
}

// entityID is ours: as set, else where our metadata is.
func (h *Handlers) entityID(settings *directory.Settings) string {
	if settings != nil && settings.SAMLEntityID != "" {
		return settings.SAMLEntityID
	}
	return h.BaseURL + "/saml/metadata"
}
