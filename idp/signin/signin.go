// Package signin owns the pages where people prove who they are and agree to what apps are told, and signing out.
//
// A step knows neither the protocol nor the next step: it starts or raises the session, or notes a consent, and sends the
// browser back to the road (/flow/{id}). Read signin.go for the password step, passkey.go and factor.go for passkeys and second
// factors, enrol.go and manage.go for setting them up, consent.go for consent, leave.go for leaving.
package signin

import (
	"errors"
	"net/http"
	"net/url"

	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/idp/recovery"
	"gatehouse/idp/session"
	"gatehouse/idp/web"
	"gatehouse/store"
)

// Handlers serve /login, /account/factors, /consent, /device and /logout. All fields must be set.
type Handlers struct {
	Kit       *web.Kit
	Engine    *flow.Engine
	Store     store.Store
	Directory *directory.Directory
	Factors   *directory.SecondFactors
	Sessions  *session.Keeper
	Audit     *audit.Log
	Desk      *recovery.Desk
	// Ask sends the browser to another identity provider.
	Ask func(w http.ResponseWriter, r *http.Request, upstream string, request *flow.Request, token, next string, again bool) error
	// Device takes a person who typed a user code to the road (RFC 8628); a *web.Error with the field user_code is for the form.
	Device func(w http.ResponseWriter, r *http.Request, typed string) error
}

// Routes are the paths of this package.
func (h *Handlers) Routes() []web.Route {
	return append(h.linkRoutes(), []web.Route{
		{Method: http.MethodGet, Path: "/login", Permission: web.Public, Reads: true, Handle: h.show},
		{Method: http.MethodPost, Path: "/login", Permission: web.Public, Handle: h.submit},
		{Method: http.MethodPost, Path: "/login/passkey", Permission: web.Public, Handle: h.passkey},
		{Method: http.MethodGet, Path: "/login/factor", Permission: web.Public, Handle: h.askFactor},
		{Method: http.MethodPost, Path: "/login/factor", Permission: web.Public, Handle: h.takeCode},
		{Method: http.MethodPost, Path: "/login/factor/passkey", Permission: web.Public, Handle: h.takePasskey},
		{Method: http.MethodGet, Path: "/login/enrol", Permission: web.Public, Handle: h.enrol},
		{Method: http.MethodGet, Path: "/login/enrol/app", Permission: web.Public, Handle: h.enrolApp},
		{Method: http.MethodPost, Path: "/login/enrol/app", Permission: web.Public, Handle: h.addApp},
		{Method: http.MethodPost, Path: "/login/enrol/passkey", Permission: web.Public, Handle: h.addPasskey},
		{Method: http.MethodPost, Path: "/login/enrol/later", Permission: web.Public, Handle: h.putOff},
		{Method: http.MethodGet, Path: "/account/factors/recovery", Permission: web.SignedIn, Handle: h.askRecovery},
		{Method: http.MethodPost, Path: "/account/factors/recovery", Permission: web.SignedIn, Handle: h.recovery},
		{Method: http.MethodPost, Path: "/account/factors/{factor}/rename", Permission: web.SignedIn, Handle: h.rename},
		{Method: http.MethodGet, Path: "/account/factors/{factor}/remove", Permission: web.SignedIn, Handle: h.askRemove},
		{Method: http.MethodPost, Path: "/account/factors/{factor}/remove", Permission: web.SignedIn, Handle: h.remove},
		{Method: http.MethodPost, Path: "/login/upstream/{upstream}", Permission: web.Public, Handle: h.choose},
		{Method: http.MethodGet, Path: "/consent", Permission: web.Public, Handle: h.askConsent},
		{Method: http.MethodPost, Path: "/consent", Permission: web.Public, Handle: h.consent},
		{Method: http.MethodGet, Path: "/device", Permission: web.Public, Handle: h.askDevice},
		{Method: http.MethodPost, Path: "/device", Permission: web.Public, Handle: h.takeDevice},
		{Method: http.MethodGet, Path: "/device/{end}", Permission: web.Public, Handle: h.deviceEnd},
		{Method: http.MethodGet, Path: "/logout", Permission: web.Public, Handle: h.askSignOut},
		{Method: http.MethodPost, Path: "/logout", Permission: web.Public, Handle: h.signOut},
		{Method: http.MethodGet, Path: "/logout/{logout}", Permission: web.Public, Handle: h.leaving},
		{Method: http.MethodGet, Path: "/logout/{logout}/next", Permission: web.Public, Handle: h.leadOn},
	}...)
}

// attempt is a posted sign-in form. It continues a waiting request, or a visit to a path of ours.
type attempt struct {
	flow, next     string
	name, password string
	cancel         bool
	remember       bool // the name, in this browser
}

func (h *Handlers) show(w http.ResponseWriter, r *http.Request) error {
	form := placeOf(r.URL.Query())
	if form.flow == "" && form.next == "" {
		return h.Engine.Begin(w, r, flow.Visit(flow.Portal, "/"))
	}
	request, err := h.waiting(w, r, form)
	if err != nil {
		return err
	}
	form.name = request.LoginHint
	if gone, err := h.straight(w, r, request, form); gone || err != nil {
		return err
	}
	return h.page(w, r, http.StatusOK, request, form, "")
}

// waiting is what the sign-in is for: the waiting request, or a visit to a built-in app, of which the browser keeps the path.
func (h *Handlers) waiting(w http.ResponseWriter, r *http.Request, form attempt) (*flow.Request, error) {
	if form.flow != "" {
		return h.Engine.Waiting(w, r, form.flow)
	}
	visit := flow.Visit(flow.Portal, web.LocalPath(form.next, "/"))
	return &visit, nil
}

func (h *Handlers) submit(w http.ResponseWriter, r *http.Request) error {
	if err := web.ParseForm(r); err != nil {
		return err
	}
	form := attempt{
		flow: r.PostForm.Get("flow"), next: r.PostForm.Get("next"),
		name: r.PostForm.Get("name"), password: r.PostForm.Get("password"), cancel: r.PostForm.Has("cancel"), remember: r.PostForm.Has("remember"),
	}
	if form.cancel {
		return h.Engine.Cancel(w, r, form.flow)
	}
	request, err := h.waiting(w, r, form)
	if err != nil {
		return err
	}
	return h.try(w, r, request, form)
}

// try checks the password and lets the person go on, or shows the form again with what to do.
func (h *Handlers) try(w http.ResponseWriter, r *http.Request, request *flow.Request, form attempt) error {
	if err := h.needPasswords(r); err != nil {
		return err
	}
	if form.name == "" || form.password == "" {
		return h.page(w, r, http.StatusUnprocessableEntity, request, form, "Enter your user name and your password.")
	}
	result, err := h.Directory.Authenticate(r.Context(), form.name, form.password, web.Of(r).Address)
	if errors.Is(err, directory.ErrBusy) {
		return h.page(w, r, http.StatusServiceUnavailable, request, form, "Many people are signing in at this moment. Try again in a few seconds.")
	}
	if err != nil {
		return err
	}
	if !result.OK() {
		return h.refuse(w, r, request, form, &result)
	}
	err = h.enter(w, r, &result)
	if h.notAdopted(&result, err) {
		return h.refuse(w, r, request, form, &result)
	}
	if errors.Is(err, directory.ErrChanged) {
		return h.page(w, r, http.StatusConflict, request, form, "Your account was changed at this moment. Sign in again.")
	}
	if err != nil {
		return err
	}
	h.remember(w, r, form)
	if form.flow == "" {
		web.SeeOther(w, string(request.Payload))
		return nil
	}
	web.SeeOther(w, "/flow/"+url.PathEscape(form.flow))
	return nil
}

// enter starts the session, or raises the one that this browser has of the same person, and sets its cookie.
func (h *Handlers) enter(w http.ResponseWriter, r *http.Request, result *directory.Result) error {
	h.mark(w, r)
	secret, started, err := h.open(r, result, h.Kit.Cookies.Get(r, web.SessionCookie))
	if err == nil {
		h.Kit.Cookies.Set(w, web.SessionCookie, secret, started.Ends.Sub(h.Kit.Now()))
	}
	return err
}

// open starts or raises the session in one Update with its audit entry, and returns its secret.
func (h *Handlers) open(r *http.Request, result *directory.Result, old string) (secret string, started session.Session, err error) {
	err = h.Store.Update(r.Context(), func(tx store.Tx) error {
		if err := result.Commit(tx); err != nil {
			return err
		}
		if secret, started, err = h.start(tx, r, &result.User, session.Method{Name: session.MethodPassword, At: h.Kit.Now()}, old); err != nil {
			return err
		}
		_, err = h.Audit.Append(tx, audit.Event{
			Kind: "signin", Outcome: audit.OK, Actor: result.User.ID, User: result.User.ID,
			Address: web.Of(r).AddressText(), Facts: map[string]string{"method": "password", "session": started.Handle},
		})
		return err
	})
	return secret, started, err
}
