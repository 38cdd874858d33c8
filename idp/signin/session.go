package signin

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/idp/session"
	"gatehouse/idp/web"
	"gatehouse/store"
	"gatehouse/templates"
)

// start gives the browser a session with a new id: the one it has, raised, if it is the same person's; else a new one, and
// the other person's ends.
func (h *Handlers) start(tx store.Tx, r *http.Request, user *directory.User, method session.Method, oldSecret string) (string, session.Session, error) {
	old, _, err := h.Sessions.Current(tx, oldSecret)
	switch {
	case err == nil && old.User == user.ID:
		return h.Sessions.Raise(tx, old, method)
	case err == nil:
		if _, err := flow.Withdraw(tx, flow.Scope{Session: old.ID}); err != nil {
			return "", old, err
		}
	case !errors.Is(err, session.ErrNone):
		return "", old, err
	}
	settings, _, err := directory.LoadSettings(tx)
	if err != nil {
		return "", old, err
	}
	if err := h.Engine.MakeRoom(tx, user.ID); err != nil {
		return "", old, err
	}
	profile, _, err := directory.Profiles.Get(tx, user.Profile)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return "", old, err
	}
	opening := session.Opening{
		User: user.ID, Methods: []session.Method{method},
		Address: web.Of(r).AddressText(), Agent: r.UserAgent(), Client: oldSecret == ofClient,
		Limits: session.Limits{Idle: profile.IdleLimit(&settings), Max: profile.SessionLimit(&settings)},
	}
	if opening.Client {
		opening.Limits.Max = min(opening.Limits.Max, clientSession)
	}
	if method.From != nil && !method.From.Ends.IsZero() { // no longer than the session that it rests on
		opening.Limits.Max = min(opening.Limits.Max, method.From.Ends.Sub(h.Kit.Now()))
	}
	if err := h.greet(tx, r, user); err != nil {
		return "", old, err
	}
	return h.Sessions.Start(tx, opening)
}

// refuse counts the failed sign-in, writes it to the audit and shows the form again.
func (h *Handlers) refuse(w http.ResponseWriter, r *http.Request, request *flow.Request, form attempt, result *directory.Result) error {
	if err := h.noteRefusal(r, result); err != nil {
		return err
	}
	if result.Throttled() {
		w.Header().Set("Retry-After", strconv.Itoa(int(result.RetryAfter.Seconds())+1))
		return h.page(w, r, http.StatusTooManyRequests, request, form, "Too many tries. Wait a moment, then try again.")
	}
	if result.Reason == directory.NotAdopted {
		return h.page(w, r, http.StatusForbidden, request, form, notAdoptedText)
	}
	if result.Down {
		w.Header().Set("Retry-After", strconv.Itoa(int(downRetry.Seconds())))
		return h.page(w, r, http.StatusServiceUnavailable, request, form, downText)
	}
	return h.page(w, r, http.StatusForbidden, request, form, "The user name or the password is wrong. Check both and try again.")
}

func (h *Handlers) noteRefusal(r *http.Request, result *directory.Result) error {
	event := audit.Event{
		Kind: "signin", Outcome: audit.Refused, Reason: string(result.Reason), User: result.Account,
		Address: web.Of(r).AddressText(), Facts: map[string]string{"method": "password"}, Detail: result.Detail,
	}
	return h.Engine.Note(r.Context(), event, result.Commit)
}

// page shows the sign-in form with the name of the app that is being opened.
func (h *Handlers) page(w http.ResponseWriter, r *http.Request, status int, request *flow.Request, form attempt, problem string) error {
	app, err := h.Engine.AppOf(r.Context(), request.App)
	if err != nil {
		return err
	}
	page := templates.SignInPage{
		Shell: h.Kit.Shell(r, "Sign in"), Action: "/login", Flow: form.flow, Next: form.next, Name: form.name, Error: problem,
	}
	if app != nil && !flow.IsBuiltin(app.ID) {
		page.App, page.About = about(r, app)
	}
	if err := h.again(r, &page); err != nil {
		return err
	}
	csp, err := h.offer(w, r, &page)
	if err != nil {
		return err
	}
	if err := h.complete(r, &page, form); err != nil {
		return err
	}
	csp.OmitFormAction = request.Redirects
	return web.Page(w, r, status, csp, func(b *web.Buffer) error { return templates.SignIn(b, page) })
}

// again tells a person who is signed in why they are asked once more, and holds the name unless they want another account.
func (h *Handlers) again(r *http.Request, page *templates.SignInPage) error {
	visitor, err := h.Engine.Visitor(r)
	if err != nil || visitor.Session == nil || visitor.User == nil || r.URL.Query().Has("switch") {
		return err
	}
	page.Name = visitor.User.Name
	page.ReauthNote = "This needs a fresh sign-in. Sign in again."
	page.SwitchHref = "/login?" + url.Values{"switch": {"yes"}, "flow": {page.Flow}, "next": {page.Next}}.Encode()
	return nil
}
