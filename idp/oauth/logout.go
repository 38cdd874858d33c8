package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gatehouse/idp/audit"
	"gatehouse/idp/flow"
	"gatehouse/idp/session"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
	"gatehouse/templates"
)

// logoutEvent is the audit kind of everything about sign-out.
const logoutEvent = "signout"

// farewell is a wish to sign out that was checked, and the payload of the sign-out.
type farewell struct {
	App      string `json:"app,omitempty"`
	Redirect string `json:"redirect,omitempty"` // empty: the person stays here
	State    string `json:"state,omitempty"`
	HasState bool   `json:"has_state,omitempty"`

	app     *sp.App // nil: the request does not say who asks
	session string  // sid of the ID token that came as a hint
}

// farewellNames are all parameters that count here; logout_hint and ui_locales may come and say nothing to us.
func farewellNames() []string {
	return []string{"id_token_hint", "client_id", "post_logout_redirect_uri", "state"}
}

// logout takes a person from an app to the sign-out (OpenID Connect RP-Initiated Logout 1.0, section 2).
func (h *Handlers) logout(w http.ResponseWriter, r *http.Request) error {
	values, err := url.ParseQuery(r.URL.RawQuery)
	problem := once(values)
	if err != nil {
		problem = refuse(codeInvalidRequest, "bad_query", "The address of this sign-out is damaged. You can sign out here instead.")
	}
	return h.depart(w, r, values, problem, false)
}

// logoutPosted turns a form of another website into a visit, which brings our cookie along.
func (h *Handlers) logoutPosted(w http.ResponseWriter, r *http.Request) error {
	values, problem, err := form(r)
	if err != nil {
		return err
	}
	if problem != nil {
		return h.stay(r, "", problem)
	}
	known := url.Values{}
	for name, value := range farewellFields(values) {
		known.Set(name, value)
	}
	web.SeeOther(w, joined(logoutPath, known))
	return nil
}

// logoutConfirmed is the button of our own page.
func (h *Handlers) logoutConfirmed(w http.ResponseWriter, r *http.Request) error {
	values, problem, err := form(r)
	if err != nil {
		return err
	}
	return h.depart(w, r, values, problem, true)
}

func farewellFields(values url.Values) map[string]string {
	fields := map[string]string{}
	for _, name := range farewellNames() {
		if values.Has(name) {
			fields[name] = values.Get(name)
		}
	}
	return fields
}

// depart signs out if the app shows that it means this session, or the person says so; with no session there is nothing to end.
func (h *Handlers) depart(w http.ResponseWriter, r *http.Request, values url.Values, problem *Problem, confirmed bool) error {
	f := new(farewell)
	if problem == nil {
		var err error
		if problem, err = h.readFarewell(r.Context(), values, f); err != nil {
			return err
		}
	}
	if problem != nil {
		return h.stay(r, f.App, problem)
	}
	current, err := h.session(r)
	switch {
	case errors.Is(err, session.ErrNone):
		return h.part(w, r, f, &flow.Logout{})
	case err != nil:
		return err
	case !confirmed && !f.means(&current):
		name := ""
		if f.app != nil {
			name = f.app.Definition.Name
		}
		return h.Confirm(w, r, name, confirmPath, farewellFields(values), f.Redirect)
	}
	return h.signOut(w, r, f, current.ID)
}

// readFarewell finds out who asks, by an ID token of ours, which may have expired, or a client id; they must agree. Only a registered
// address, letter by letter, is ever gone to.
func (h *Handlers) readFarewell(ctx context.Context, values url.Values, f *farewell) (*Problem, error) {
	id, hint := values.Get("client_id"), values.Get("id_token_hint")
	if hint != "" {
		shown, err := h.hintOf(ctx, hint)
		switch {
		case errors.Is(err, errNotOurs):
			return cannotLeave("bad_id_token_hint", "the app showed an ID token that is not from here"), nil
		case err != nil:
			return nil, err
		case id != "" && id != shown.Audience:
			return cannotLeave("other_client", "the app showed an ID token of another app").because(shown.Audience, id), nil
		}
		id, f.session = shown.Audience, shown.Session
	}
	var err error
	if f.app, err = h.clientOf(ctx, id); err != nil {
		return nil, err
	}
	if id != "" && (f.app == nil || f.app.State == sp.Pending) {
		return cannotLeave(flow.ReasonUnknownApp, "the app that asks for it is not connected here").because("a registered client id", id), nil
	}
	if f.app == nil {
		return nil, nil // nobody vouches for an address, so none is gone to
	}
	f.App = f.app.ID
	redirect := values.Get("post_logout_redirect_uri")
	if redirect == "" {
		return nil, nil
	}
	if registered := f.app.Definition.OAuth.PostLogoutRedirectURIs; !slices.Contains(registered, redirect) {
		return cannotLeave("bad_post_logout_redirect_uri", "the app wants to go to an address that is not registered for it").because(strings.Join(registered, " "), redirect), nil
	}
	f.Redirect, f.State, f.HasState = redirect, values.Get("state"), values.Has("state")
	return nil, nil
}

func cannotLeave(reason, why string) *Problem {
	return refuse(codeInvalidRequest, reason, "You are not signed out: "+why+". You can sign out here instead.")
}

// stay is the page of a sign-out that is refused: it leads to our own.
func (h *Handlers) stay(r *http.Request, app string, problem *Problem) error {
	err := h.Engine.Halt(r, app, logoutEvent, problem.reason())
	var page *web.Error
	if errors.As(err, &page) {
		page.Links = []templates.Link{{Label: "Sign out", Href: "/logout"}}
	}
	return err
}

// means tells whether the ID token that came along was issued in this session: nobody else has it.
func (f *farewell) means(s *session.Session) bool {
	return f.session != "" && slices.ContainsFunc(s.Apps, func(a session.AppReached) bool {
		return a.App == f.app.ID && a.Protocol == Protocol && a.SessionIndex == f.session
	})
}

// session is that of the browser; session.ErrNone: it has none.
func (h *Handlers) session(r *http.Request) (current session.Session, err error) {
	err = h.Store.View(r.Context(), func(tx store.Tx) (err error) {
		current, _, err = h.Engine.Sessions.Current(tx, h.Engine.Cookies.Get(r, web.SessionCookie))
		return err
	})
	return current, err
}

// signOut takes the one road of sign-outs. The app that asks is told like all others: it may have ended nothing itself.
func (h *Handlers) signOut(w http.ResponseWriter, r *http.Request, f *farewell, id string) error {
	payload, err := json.Marshal(f)
	if err != nil {
		return err
	}
	wish := flow.SignOut{
		Protocol: Protocol, Payload: payload,
		Sessions: func(tx store.Tx) ([]session.Session, error) {
			current, _, err := session.Table.Get(tx, id)
			if errors.Is(err, store.ErrNotFound) {
				err = session.ErrNone
			}
			return []session.Session{current}, err
		},
		Event: audit.Event{Kind: logoutEvent, Outcome: audit.OK, App: f.App, Facts: map[string]string{"protocol": Protocol, "start": "RP"}},
	}
	err = h.Engine.Leave(w, r, wish, func(logout *flow.Logout) error { return h.Result(w, r, logout) })
	if errors.Is(err, session.ErrNone) { // it ended meanwhile
		return h.part(w, r, f, &flow.Logout{})
	}
	return err
}

// part sends the person to where the app wants them, or shows how it went.
func (h *Handlers) part(w http.ResponseWriter, r *http.Request, f *farewell, logout *flow.Logout) error {
	switch {
	case f.Redirect == "":
		return h.Result(w, r, logout)
	case f.HasState:
		web.SeeOther(w, joined(f.Redirect, url.Values{"state": {f.State}}))
	default:
		web.SeeOther(w, f.Redirect)
	}
	return nil
}
