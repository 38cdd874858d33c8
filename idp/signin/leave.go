package signin

import (
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

// askSignOut shows a button: a link must not sign anybody out.
func (h *Handlers) askSignOut(w http.ResponseWriter, r *http.Request) error {
	return h.AskFor(w, r, "", "/logout", nil, "")
}

// signOut ends the browser's session, if it has one, and leads the browser to the apps that must be told through it.
func (h *Handlers) signOut(w http.ResponseWriter, r *http.Request) error {
	secret := h.Kit.Cookies.Get(r, web.SessionCookie)
	if secret == "" {
		return h.Result(w, r, &flow.Logout{})
	}
	wish := flow.SignOut{
		Sessions: func(tx store.Tx) ([]session.Session, error) {
			current, _, err := h.Sessions.Current(tx, secret)
			return []session.Session{current}, err
		},
		Event: audit.Event{Kind: "signout", Outcome: audit.OK},
	}
	err := h.Engine.Leave(w, r, wish, func(logout *flow.Logout) error { return h.Result(w, r, logout) })
	if errors.Is(err, session.ErrNone) { // it is over already
		h.Kit.Cookies.Clear(w, web.SessionCookie)
		return h.Result(w, r, &flow.Logout{})
	}
	return err
}

// leaving shows how far a sign-out is and takes the browser to the next app; at the end it tells the one that asked, or shows the
// result.
func (h *Handlers) leaving(w http.ResponseWriter, r *http.Request) error {
	logout, err := h.Engine.Leaving(w, r, r.PathValue("logout"))
	if err != nil {
		return err
	}
	if r.Header.Get("Sec-Fetch-Dest") == "iframe" { // the window around it goes on
		web.NoStore(w.Header())
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, err = w.Write([]byte("Noted.\n"))
		return err
	}
	frames, err := h.Engine.Frames(r.Context(), logout)
	if err != nil {
		return err
	}
	if len(frames) > 0 {
		return h.showFrames(w, r, logout, frames)
	}
	app, err := h.Engine.NextApp(r.Context(), logout)
	if err != nil {
		return err
	}
	if app == nil {
		return h.Engine.Conclude(w, r, logout, func(logout *flow.Logout) error { return h.Result(w, r, logout) })
	}
	page, err := h.signedOut(r, logout, "Signing out")
	if err != nil {
		return err
	}
	page.Next = "/logout/" + logout.ID + "/next"
	page.Skip = page.Next + "?skip=yes"
	location, framed := app.LogoutPage()
	if framed {
		page.Frame = page.Next
	}
	page.Probe = origin(location)
	csp := web.CSP{Connect: strings.TrimSuffix(page.Probe, "/")}
	if framed {
		csp.Frame = web.FormActionFor(location)
	}
	return web.Page(w, r, http.StatusOK, csp, func(b *web.Buffer) error { return templates.SignedOut(b, page) })
}

// showFrames tells apps by frames of one page, which may show nothing but their servers.
func (h *Handlers) showFrames(w http.ResponseWriter, r *http.Request, logout *flow.Logout, frames []string) error {
	page, err := h.signedOut(r, logout, "Signing out")
	if err != nil {
		return err
	}
	page.Next, page.Frames = "/logout/"+logout.ID+"/next", frames
	var sources []string
	for _, address := range frames {
		if source := strings.TrimSuffix(origin(address), "/"); !slices.Contains(sources, source) {
			sources = append(sources, source)
		}
	}
	return web.Page(w, r, http.StatusOK, web.CSP{Frame: strings.Join(sources, " ")}, func(b *web.Buffer) error { return templates.SignedOut(b, page) })
}

// AskFor shows what an app asks for when it cannot show that the session is the one it means: a link must not sign anybody out. The
// answer goes to action with the hidden fields, and may lead on to next.
func (h *Handlers) AskFor(w http.ResponseWriter, r *http.Request, app, action string, hidden map[string]string, next string) error {
	page := templates.ConfirmPage{
		Shell: h.Kit.Shell(r, "Sign out"), Cancel: templates.Link{Label: "Stay signed in", Href: "/"}, Question: "Sign out of every app here?",
		Detail: "You will have to sign in again to open your apps.", Action: action, Button: "Sign out", Hidden: hidden,
	}
	if app != "" {
		page.Detail = app + " asks for this. " + page.Detail
	}
	csp := web.CSP{}
	if next != "" {
		csp.FormAction = "'self' " + web.FormActionFor(next)
	}
	return web.Page(w, r, http.StatusOK, csp, func(b *web.Buffer) error { return templates.Confirm(b, page) })
}

// origin is the front page of the server that a location is on: looking there changes nothing.
func origin(location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host + "/"
}

// leadOn sends the browser to the next app of a sign-out.
func (h *Handlers) leadOn(w http.ResponseWriter, r *http.Request) error {
	return h.Engine.LeadOn(w, r, r.PathValue("logout"), r.URL.Query().Has("skip"))
}

// Result is the page at the end of a sign-out.
func (h *Handlers) Result(w http.ResponseWriter, r *http.Request, logout *flow.Logout) error {
	page, err := h.signedOut(r, logout, "Signed out")
	if err != nil {
		return err
	}
	page.SignInHref = "/login"
	return web.Page(w, r, http.StatusOK, web.CSP{}, func(b *web.Buffer) error { return templates.SignedOut(b, page) })
}

// signedOut lists each app once, with the worst that is known of it.
func (h *Handlers) signedOut(r *http.Request, logout *flow.Logout, title string) (templates.SignedOutPage, error) {
	page := templates.SignedOutPage{Shell: h.Kit.Shell(r, title)}
	page.Person = nil
	seen := make(map[string]int)
	for i := range logout.Leaving {
		one := &logout.Leaving[i]
		state := stateOf(one, title == "Signed out")
		if at, ok := seen[one.Reached.App]; ok {
			if page.Apps[at].State == string(flow.LeaveOut) {
				page.Apps[at].State = state
			}
			continue
		}
		app, err := h.Engine.PartyOf(r.Context(), one.Reached.App)
		if err != nil {
			return page, err
		}
		if app == nil || app.State == sp.Removed {
			continue // its name may be somebody else's by now
		}
		seen[one.Reached.App] = len(page.Apps)
		page.Apps = append(page.Apps, templates.SignedOutApp{Name: app.Definition.Name, State: state})
	}
	return page, nil
}

// stateOf is the word for the page: at the end, an app that was asked and did not answer has failed.
func stateOf(one *flow.Leaving, over bool) string {
	switch {
	case one.State == flow.LeaveAsked && over, one.State == flow.LeaveWaiting && over:
		return string(flow.LeaveFailed)
	case one.State == flow.LeaveAsked:
		return string(flow.LeaveWaiting)
	}
	return string(one.State)
}
