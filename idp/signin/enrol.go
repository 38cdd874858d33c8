package signin

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/idp/recovery"
	"gatehouse/idp/session"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
	"gatehouse/templates"
)

// enrolling is what the pages of setting up a second factor begin with: a person who has just proved who they are and may set one
// up. Nil means that the browser was sent elsewhere.
func (h *Handlers) enrolling(w http.ResponseWriter, r *http.Request, form attempt) (*flow.Request, *flow.Facts, error) {
	request, err := h.waiting(w, r, form)
	if err != nil {
		return nil, nil, err
	}
	visitor, err := h.Engine.Fresh(w, r, "/login/enrol?"+form.query())
	if visitor == nil {
		return nil, nil, err
	}
	if !visitor.Second && !visitor.Enrols {
		return nil, nil, &web.Error{
			Status: http.StatusForbidden, Reason: "enrolment_by_admin", Heading: "You cannot set up a second factor yourself",
			Text: "In your organisation an administrator gives people their first second factor. Ask yours.",
		}
	}
	return request, visitor, nil
}

// enrol lets a person choose a second factor to set up: GET /login/enrol.
func (h *Handlers) enrol(w http.ResponseWriter, r *http.Request) error {
	form := placeOf(r.URL.Query())
	request, visitor, err := h.enrolling(w, r, form)
	if visitor == nil {
		return err
	}
	return h.enrolPage(w, r, http.StatusOK, request, visitor, form, "")
}

func (h *Handlers) enrolPage(w http.ResponseWriter, r *http.Request, status int, request *flow.Request, visitor *flow.Facts, form attempt, problem string) error {
	page := templates.EnrolPage{
		Shell: h.Kit.Shell(r, "Add a second factor"), Place: form.place(), Error: problem, Name: web.Device(r.UserAgent()),
		AppHref: "/login/enrol/app?" + form.query(),
	}
	switch {
	case form.flow != "":
		page.CancelFlow = "/login"
	case strings.HasPrefix(form.next, "/account"):
		page.Cancel = templates.Link{Label: "Back to your account", Href: form.next}
	}
	var err error
	if page.App, err = h.appName(r, request); err != nil {
		return err
	}
	if page.LaterUntil, err = h.later(r, request, visitor, form); err != nil {
		return err
	}
	if !page.LaterUntil.IsZero() {
		page.LaterAction = "/login/enrol/later"
	}
	if !h.Factors.Passkeys() {
		page.NoPasskeys = noPasskeys
	} else if page.Passkey, err = h.offerRegistration(w, r, visitor); err != nil {
		return err
	}
	return web.Page(w, r, status, leaves(request), func(b *web.Buffer) error { return templates.Enrol(b, page) })
}

// noPasskeys says why none are offered.
const noPasskeys = "Passkeys and security keys do not work here, because this server is opened by an IP address and not by a name."

func (h *Handlers) offerRegistration(w http.ResponseWriter, r *http.Request, visitor *flow.Facts) (*templates.Ceremony, error) {
	factors, err := h.factorsOf(r, visitor.User.ID)
	if err != nil {
		return nil, err
	}
	challenge, err := h.Factors.RegisterChallenge(visitor.User, factors, h.Engine.Browser(w, r), h.Kit.Brand(r.Context()).Name)
	return &templates.Ceremony{Action: "/login/enrol/passkey", Options: challenge.Options, Token: challenge.Token}, err
}

// later is until when setting up a second factor may be put off; zero: not any more, not in this session again, or not for the app
// that waits.
func (h *Handlers) later(r *http.Request, request *flow.Request, visitor *flow.Facts, form attempt) (time.Time, error) {
	grace := visitor.Settings.MFAGrace
	if grace == 0 || visitor.Second || !visitor.Session.PutOff.IsZero() || strings.HasPrefix(form.next, "/account") {
		return time.Time{}, nil
	}
	if form.flow != "" {
		app, err := h.Engine.AppOf(r.Context(), request.App)
		if err != nil || app == nil || app.Policy.OnLowLevel != sp.OnLowGrace || request.Demand.MinLevel == sp.High {
			return time.Time{}, err
		}
	}
	var first time.Time
	err := h.Store.View(r.Context(), func(tx store.Tx) (err error) {
		first, err = directory.FirstPutOff(tx, visitor.User.ID)
		return err
	})
	if first.IsZero() {
		first = visitor.Now
	}
	if until := first.Add(grace); err == nil && until.After(visitor.Now) {
		return until, nil
	}
	return time.Time{}, err
}

// putOff notes that the person does it another time: POST /login/enrol/later.
func (h *Handlers) putOff(w http.ResponseWriter, r *http.Request) error {
	if err := web.ParseForm(r); err != nil {
		return err
	}
	form := placeOf(r.PostForm)
	request, visitor, err := h.step(w, r, form)
	if visitor == nil {
		return err
	}
	until, err := h.later(r, request, visitor, form)
	if err != nil {
		return err
	}
	if until.IsZero() {
		web.SeeOther(w, form.onward())
		return nil
	}
	err = h.Store.Update(r.Context(), func(tx store.Tx) error {
		if _, err := directory.PutOff(tx, visitor.User.ID, visitor.Now); err != nil {
			return err
		}
		if err := h.Sessions.PutOff(tx, visitor.Session.ID); err != nil {
			return err
		}
		return h.noteChange(tx, r, visitor, "factor.later", map[string]string{"until": until.UTC().Format(time.RFC3339), "app": request.App})
	})
	return h.raised(w, form, err)
}

// noteChange appends the audit entry of what a person did to their own ways to sign in.
func (h *Handlers) noteChange(tx store.Tx, r *http.Request, visitor *flow.Facts, kind string, facts map[string]string) error {
	facts["session"] = visitor.Session.Handle
	_, err := h.Audit.Append(tx, audit.Event{
		Kind: kind, Outcome: audit.OK, Actor: visitor.User.ID, User: visitor.User.ID, Address: web.Of(r).AddressText(), Facts: facts,
	})
	return err
}

// enrolApp shows the seed for an authenticator app: GET /login/enrol/app.
func (h *Handlers) enrolApp(w http.ResponseWriter, r *http.Request) error {
	form := placeOf(r.URL.Query())
	request, visitor, err := h.enrolling(w, r, form)
	if visitor == nil {
		return err
	}
	offer, err := h.Factors.OfferTOTP(visitor.User, h.Kit.Brand(r.Context()).Name)
	if err != nil {
		return err
	}
	return h.appPage(w, r, request, http.StatusOK, form, &offer, "Authenticator app", nil)
}

func (h *Handlers) appPage(w http.ResponseWriter, r *http.Request, request *flow.Request, status int, form attempt, offer *directory.TOTPOffer, name string, problems templates.Errors) error {
	page := templates.EnrolAppPage{
		Shell: h.Kit.Shell(r, "Set up an authenticator app"), Place: form.place(), Action: "/login/enrol/app", QR: offer.QR, Size: offer.Size, Secret: offer.Secret,
		URI: offer.URI, Token: offer.Token, Name: name, Errors: problems, Back: "/login/enrol?" + form.query(),
	}
	return web.Page(w, r, status, leaves(request), func(b *web.Buffer) error { return templates.EnrolApp(b, page) })
}

// addApp adds an authenticator app once a code of it was seen: POST /login/enrol/app.
func (h *Handlers) addApp(w http.ResponseWriter, r *http.Request) error {
	if err := web.ParseForm(r); err != nil {
		return err
	}
	form := placeOf(r.PostForm)
	request, visitor, err := h.enrolling(w, r, form)
	if visitor == nil {
		return err
	}
	token, name := r.PostForm.Get("token"), r.PostForm.Get("name")
	factor, err := h.Factors.ConfirmTOTP(visitor.User.ID, token, r.PostForm.Get("code"), name)
	if err == nil {
		return h.addFactor(w, r, visitor, form, factor, session.Method{Name: session.MethodTOTP, At: h.Kit.Now()}, nil)
	}
	organisation := h.Kit.Brand(r.Context()).Name
	if errors.Is(err, directory.ErrOffer) {
		offer, err := h.Factors.OfferTOTP(visitor.User, organisation)
		if err != nil {
			return err
		}
		return h.appPage(w, r, request, http.StatusConflict, form, &offer, name, templates.Errors{{Text: "That took too long, so here is a new code to scan. Remove the old entry from the app."}})
	}
	if !errors.Is(err, directory.ErrWrongCode) {
		return err
	}
	offer, err := h.Factors.SameTOTP(visitor.User, organisation, token)
	if err != nil {
		return err
	}
	return h.appPage(w, r, request, http.StatusUnprocessableEntity, form, &offer, name, templates.Errors{{Field: "code", Text: "That code is not right. Enter the six digits that the app shows now, and check the clock of the phone."}})
}

// addPasskey adds a passkey or security key: POST /login/enrol/passkey.
func (h *Handlers) addPasskey(w http.ResponseWriter, r *http.Request) error {
	if err := web.ParseForm(r); err != nil {
		return err
	}
	form := placeOf(r.PostForm)
	request, visitor, err := h.enrolling(w, r, form)
	if visitor == nil {
		return err
	}
	factors, err := h.factorsOf(r, visitor.User.ID)
	if err != nil {
		return err
	}
	made, err := h.Factors.Register(visitor.User, factors, h.Engine.Shown(r), r.PostForm.Get("name"), answerOf(r))
	if err == nil {
		method := session.Method{Name: session.MethodSecurityKey, At: h.Kit.Now()}
		if made.Verified {
			method.Name = session.MethodPasskey
		}
		return h.addFactor(w, r, visitor, form, made.Factor, method, func(tx store.Tx) error { return flow.Once(tx, made.Once, made.Until) })
	}
	text := "The passkey could not be added. Try again, or choose an authenticator app."
	if errors.Is(err, directory.ErrOffer) {
		text = passkeyText(directory.ExpiredChallenge)
	}
	if err := h.noteFactor(r, visitor.User.ID, session.MethodPasskey, directory.BadPasskey, err.Error(), nil); err != nil {
		return err
	}
	return h.enrolPage(w, r, http.StatusUnprocessableEntity, request, visitor, form, text)
}

// addFactor stores a factor, makes recovery codes with the first one, and raises the session by what was just proved: in one Update
// with the audit entry.
func (h *Handlers) addFactor(w http.ResponseWriter, r *http.Request, visitor *flow.Facts, form attempt, factor directory.Factor, method session.Method, also func(store.Tx) error) error {
	var codes []string
	facts := map[string]string{"method": method.Name, "factor": factor.ID}
	err := h.raise(w, r, visitor, method, facts, func(tx store.Tx) (err error) {
		codes = nil
		if also != nil {
			if err := also(tx); err != nil {
				return err
			}
		}
		added, err := h.store(tx, factor)
		if err != nil {
			return err
		}
		facts["factor"] = added.ID
		if codes, err = h.firstCodes(tx, visitor.User.ID); err != nil {
			return err
		}
		if err := h.Desk.Notify(tx, visitor.User, recovery.FactorAdded(added.Name, browserOf(r), h.Kit.Now(), false)); err != nil {
			return err
		}
		return h.noteChange(tx, r, visitor, "factor.add", map[string]string{"kind": string(factor.Kind), "factor": added.ID, "name": added.Name})
	})
	var input *directory.InputError
	switch {
	case errors.As(err, &input):
		return &web.Error{Status: http.StatusUnprocessableEntity, Reason: "bad_value", Heading: "It was not added", Text: input.Text + ".", Links: []templates.Link{{Label: "Back", Href: "/login/enrol?" + form.query()}}}
	case err != nil || len(codes) == 0:
		return h.raised(w, form, cannotTwice(err))
	}
	return h.showCodes(w, r, visitor, codes, factor.Name, form.onward())
}

// store adds a factor, unless the same form was sent before.
func (h *Handlers) store(tx store.Tx, factor directory.Factor) (directory.Factor, error) {
	if factor.ID != "" {
		if known, _, err := directory.Factors.Get(tx, factor.ID); !errors.Is(err, store.ErrNotFound) {
			return known, err
		}
	}
	return directory.AddFactor(tx, factor)
}

// cannotTwice lets a form that is sent again go on as if it were the first time.
func cannotTwice(err error) error {
	var taken *store.ConflictError
	if errors.Is(err, flow.ErrReplayed) || errors.As(err, &taken) {
		return nil
	}
	return err
}

// firstCodes makes recovery codes where there are none.
func (h *Handlers) firstCodes(tx store.Tx, user string) ([]string, error) {
	factors, err := directory.FactorsOf(tx, user)
	if err != nil || directory.HasRecovery(factors) || len(factors) >= directory.MaxFactors {
		return nil, err
	}
	return h.Factors.NewRecoveryCodes(tx, user)
}

func (h *Handlers) showCodes(w http.ResponseWriter, r *http.Request, visitor *flow.Facts, codes []string, added, onward string) error {
	page := templates.RecoveryPage{Shell: h.Kit.Shell(r, "Your recovery codes"), Codes: codes, Added: added, Continue: onward, User: visitor.User.Name}
	return web.Page(w, r, http.StatusOK, web.CSP{}, func(b *web.Buffer) error { return templates.Recovery(b, page) })
}

func factorPath(id, action string) string {
	return "/account/factors/" + url.PathEscape(id) + "/" + action
}
