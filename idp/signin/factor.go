package signin

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/idp/recovery"
	"gatehouse/idp/session"
	"gatehouse/idp/web"
	"gatehouse/store"
	"gatehouse/templates"
)

func placeOf(values url.Values) attempt {
	return attempt{flow: values.Get("flow"), next: values.Get("next")}
}

// query carries the place on to another page of the step.
func (a attempt) query() string {
	values := url.Values{}
	if a.flow != "" {
		values.Set("flow", a.flow)
	}
	if a.next != "" {
		values.Set("next", a.next)
	}
	return values.Encode()
}

func (a attempt) place() templates.Place { return templates.Place{Flow: a.flow, Next: a.next} }

// onward is where the browser goes once a step is done.
func (a attempt) onward() string {
	if a.flow != "" {
		return "/flow/" + url.PathEscape(a.flow)
	}
	return web.LocalPath(a.next, "/")
}

// step is what the pages of a second factor begin with: the waiting request, and who is signed in. A nil visitor means that the
// browser was sent elsewhere.
func (h *Handlers) step(w http.ResponseWriter, r *http.Request, form attempt) (*flow.Request, *flow.Facts, error) {
	request, err := h.waiting(w, r, form)
	if err != nil {
		return nil, nil, err
	}
	visitor, err := h.Engine.Visitor(r)
	if err != nil {
		return nil, nil, err
	}
	if visitor.Session == nil || visitor.User == nil {
		web.SeeOther(w, "/login?"+form.query())
		return nil, nil, nil
	}
	return request, visitor, nil
}

// askFactor shows the page that asks for a second factor: GET /login/factor.
func (h *Handlers) askFactor(w http.ResponseWriter, r *http.Request) error {
	form := placeOf(r.URL.Query())
	request, visitor, err := h.step(w, r, form)
	if visitor == nil {
		return err
	}
	if !visitor.Second {
		web.SeeOther(w, form.onward())
		return nil
	}
	return h.factorPage(w, r, http.StatusOK, request, visitor, form, "")
}

func (h *Handlers) factorPage(w http.ResponseWriter, r *http.Request, status int, request *flow.Request, visitor *flow.Facts, form attempt, problem string) error {
	page := templates.FactorPage{
		Shell: h.Kit.Shell(r, "One more step"), Place: form.place(), Action: "/login/factor", Error: problem, Cancel: form.flow != "",
		Switch: "/login?" + url.Values{"switch": {"yes"}, "flow": {form.flow}, "next": {form.next}}.Encode(),
	}
	page.Person = &templates.Person{Name: visitor.User.Name}
	var err error
	if page.App, err = h.appName(r, request); err != nil {
		return err
	}
	factors, err := h.factorsOf(r, visitor.User.ID)
	if err != nil {
		return err
	}
	for i := range factors {
		page.Code = page.Code || factors[i].Kind == directory.FactorTOTP
		page.Codes = page.Codes || len(factors[i].Codes) > 0
	}
	if hasPasskey(factors) && h.Factors.Passkeys() {
		challenge, err := h.Factors.ConfirmChallenge(visitor.User, factors, h.Engine.Browser(w, r))
		if err != nil {
			return err
		}
		page.Passkey = &templates.Ceremony{Action: "/login/factor/passkey", Options: challenge.Options, Token: challenge.Token}
	}
	if page.Passkey == nil && !page.Code && !page.Codes && problem == "" {
		page.Error = "None of your second factors works at this address. Ask your administrator to reset them."
	}
	return web.Page(w, r, status, leaves(request), func(b *web.Buffer) error { return templates.Factor(b, page) })
}

// leaves is the policy of a page with a form whose answer may lead out to the app: browsers hold redirects to form-action.
func leaves(request *flow.Request) web.CSP { return web.CSP{OmitFormAction: request.Redirects} }

// appName is the name of the app that is being opened; empty for Gatehouse itself.
func (h *Handlers) appName(r *http.Request, request *flow.Request) (string, error) {
	app, err := h.Engine.AppOf(r.Context(), request.App)
	if err != nil || app == nil || flow.IsBuiltin(app.ID) {
		return "", err
	}
	return app.Definition.Name, nil
}

func (h *Handlers) factorsOf(r *http.Request, user string) (factors []directory.Factor, err error) {
	err = h.Store.View(r.Context(), func(tx store.Tx) (err error) {
		factors, err = directory.FactorsOf(tx, user)
		return err
	})
	return factors, err
}

func hasPasskey(factors []directory.Factor) bool {
	for i := range factors {
		if factors[i].Kind == directory.FactorPasskey {
			return true
		}
	}
	return false
}

// takeCode checks a code of an authenticator app or a recovery code: POST /login/factor.
func (h *Handlers) takeCode(w http.ResponseWriter, r *http.Request) error {
	if err := web.ParseForm(r); err != nil {
		return err
	}
	form := placeOf(r.PostForm)
	request, visitor, err := h.step(w, r, form)
	if visitor == nil {
		return err
	}
	result, err := h.Factors.CheckCode(r.Context(), visitor.User.ID, r.PostForm.Get("code"))
	if err != nil {
		return err
	}
	if !result.OK() {
		if err := h.noteFactor(r, visitor.User.ID, "code", result.Reason, "", result.Commit); err != nil {
			return err
		}
		status, text := http.StatusForbidden, codeTexts[result.Reason]
		if result.Reason == directory.ThrottledFactor {
			w.Header().Set("Retry-After", strconv.Itoa(int(result.RetryAfter.Seconds())+1))
			status = http.StatusTooManyRequests
		}
		return h.factorPage(w, r, status, request, visitor, form, text)
	}
	facts, commit := map[string]string{"method": string(result.Kind), "factor": result.Factor}, result.Commit
	if result.Kind == directory.FactorRecovery {
		facts["left"] = strconv.Itoa(result.Left)
		commit = func(tx store.Tx) error {
			if err := result.Commit(tx); err != nil {
				return err
			}
			return h.Desk.Notify(tx, visitor.User, recovery.CodeUsed(result.Left, browserOf(r), h.Kit.Now()))
		}
	}
	err = h.raise(w, r, visitor, session.Method{Name: string(result.Kind), At: h.Kit.Now()}, facts, commit)
	if errors.Is(err, directory.ErrUsed) {
		return h.factorPage(w, r, http.StatusConflict, request, visitor, form, codeTexts[directory.UsedCode])
	}
	return h.raised(w, form, err)
}

var codeTexts = map[directory.Reason]string{
	directory.WrongCode:       "That code is not right. Look at the app again and enter the code that it shows now.",
	directory.UsedCode:        "That code was used already. Wait for the next one and enter it.",
	directory.ThrottledFactor: "Too many wrong codes. Wait a little, then try again.",
}

// takePasskey checks the answer of a passkey or security key as a second factor: POST /login/factor/passkey.
func (h *Handlers) takePasskey(w http.ResponseWriter, r *http.Request) error {
	if err := web.ParseForm(r); err != nil {
		return err
	}
	form := placeOf(r.PostForm)
	request, visitor, err := h.step(w, r, form)
	if visitor == nil {
		return err
	}
	result, err := h.Factors.CheckConfirm(r.Context(), visitor.User.ID, h.Engine.Shown(r), answerOf(r))
	if err != nil {
		return err
	}
	if result.OK() {
		err = h.raise(w, r, visitor, passkeyMethod(&result, h.Kit.Now()), passkeyFacts(&result), h.passkeyCommit(&result))
		if !refusedPasskey(err, &result) {
			return h.raised(w, form, err)
		}
	}
	if err := h.notePasskey(r, visitor.User.ID, &result); err != nil {
		return err
	}
	return h.factorPage(w, r, http.StatusForbidden, request, visitor, form, passkeyText(result.Reason))
}

// raise raises the person's session by a second factor, in one Update with what commits the factor and with the audit entry. It
// never starts one: a second factor alone is no sign-in.
func (h *Handlers) raise(w http.ResponseWriter, r *http.Request, visitor *flow.Facts, method session.Method, facts map[string]string, commit func(store.Tx) error) error {
	var secret string
	var raised session.Session
	err := h.Store.Update(r.Context(), func(tx store.Tx) error {
		if err := commit(tx); err != nil {
			return err
		}
		var err error
		if secret, raised, err = h.Sessions.Raise(tx, *visitor.Session, method); err != nil {
			return err
		}
		facts["session"], facts["level"] = raised.Handle, string(raised.Level)
		_, err = h.Audit.Append(tx, audit.Event{
			Kind: "signin", Outcome: audit.OK, Actor: visitor.User.ID, User: visitor.User.ID, Address: web.Of(r).AddressText(), Facts: facts,
		})
		return err
	})
	if err == nil {
		h.Kit.Cookies.Set(w, web.SessionCookie, secret, raised.Ends.Sub(h.Kit.Now()))
	}
	return err
}

// raised goes on, or begins again where the session or the account ended meanwhile.
func (h *Handlers) raised(w http.ResponseWriter, form attempt, err error) error {
	switch {
	case errors.Is(err, session.ErrNone), errors.Is(err, directory.ErrChanged):
		web.SeeOther(w, "/login?"+form.query())
	case err != nil:
		return err
	default:
		web.SeeOther(w, form.onward())
	}
	return nil
}

// noteFactor writes the audit entry of a second factor that was refused, and in the same transaction what else follows from it.
func (h *Handlers) noteFactor(r *http.Request, user, method string, reason directory.Reason, detail string, also func(store.Tx) error) error {
	if also == nil {
		also = func(store.Tx) error { return nil }
	}
	return h.Engine.Note(r.Context(), audit.Event{
		Kind: "signin", Outcome: audit.Refused, Reason: string(reason), User: user, Detail: detail,
		Address: web.Of(r).AddressText(), Facts: map[string]string{"method": method},
	}, also)
}
