package signin

import (
	"net/http"
	"slices"
	"strings"

	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/federation"
	"gatehouse/idp/flow"
	"gatehouse/idp/session"
	"gatehouse/idp/web"
	"gatehouse/store"
	"gatehouse/templates"
)

// ways are how people may sign in.
type ways struct {
	password  bool
	passkey   bool
	upstreams []federation.Upstream
}

func (h *Handlers) ways(r *http.Request) (*ways, error) {
	var w *ways
	err := h.Store.View(r.Context(), func(tx store.Tx) error {
		settings, _, err := directory.LoadSettings(tx)
		if err != nil {
			return err
		}
		w = &ways{password: settings.TakesPasswords(), passkey: settings.TakesPasskeys() && h.Factors.Passkeys()}
		w.upstreams, err = federation.Offered(tx, h.Kit.Now())
		return err
	})
	return w, err
}

// needPasswords refuses a password where nobody signs in by one.
func (h *Handlers) needPasswords(r *http.Request) error {
	w, err := h.ways(r)
	if err != nil || w.password {
		return err
	}
	return &web.Error{Status: http.StatusForbidden, Reason: "no_passwords", Text: "Nobody signs in by a password here. Go back and sign in at your organisation."}
}

// straight goes to the only place where people sign in, without a page. Somebody who has just come back from there sees the page,
// so that an upstream that signs in too weakly does not send the browser round in circles; a passive request never sees one.
func (h *Handlers) straight(w http.ResponseWriter, r *http.Request, request *flow.Request, form attempt) (bool, error) {
	ways, err := h.ways(r)
	if err != nil {
		return false, err
	}
	visitor, err := h.Engine.Visitor(r)
	if err != nil {
		return false, err
	}
	signedIn := visitor.Session != nil && visitor.User != nil
	stale := signedIn && visitor.Session.AuthAt().Before(request.Demand.AuthAfter)
	if !ways.password && !ways.passkey && len(ways.upstreams) == 1 && (!signedIn || stale) {
		return true, h.Ask(w, r, ways.upstreams[0].Name, request, form.flow, form.next, signedIn)
	}
	if request.Passive && form.flow != "" {
		return true, h.Engine.Decline(w, r, form.flow, flow.Reason{
			Type: flow.ReasonNoPassive, Text: "The app asked to sign you in without showing a page, and that is not possible now. Open the app again.",
		})
	}
	return false, nil
}

// choose takes the person to the identity provider that they chose.
func (h *Handlers) choose(w http.ResponseWriter, r *http.Request) error {
	if err := web.ParseForm(r); err != nil {
		return err
	}
	form := placeOf(r.PostForm)
	request, err := h.waiting(w, r, form)
	if err != nil {
		return err
	}
	visitor, err := h.Engine.Visitor(r)
	if err != nil {
		return err
	}
	return h.Ask(w, r, r.PathValue("upstream"), request, form.flow, form.next, visitor.Session != nil)
}

// offer completes the sign-in page with the other ways, and says where the browser may go from it.
func (h *Handlers) offer(w http.ResponseWriter, r *http.Request, page *templates.SignInPage) (web.CSP, error) {
	ways, err := h.ways(r)
	if err != nil {
		return web.CSP{}, err
	}
	page.NoPassword = !ways.password
	if ways.passkey {
		if err := h.offerPasskey(w, r, page); err != nil {
			return web.CSP{}, err
		}
	}
	targets := []string{"'self'"}
	for i := range ways.upstreams {
		u := &ways.upstreams[i]
		page.Upstreams = append(page.Upstreams, templates.SignInUpstream{Title: u.Title(), Action: "/login/upstream/" + u.Name})
		targets = append(targets, web.FormActionFor(u.Address()))
	}
	if len(ways.upstreams) == 0 {
		return web.CSP{}, nil
	}
	slices.Sort(targets)
	return web.CSP{FormAction: strings.Join(slices.Compact(targets), " ")}, nil // browsers hold every redirect to it
}

// Enter starts or raises the session of somebody for whom another identity provider vouches, in one Update with its audit entry
// and with finding them.
func (h *Handlers) Enter(w http.ResponseWriter, r *http.Request, method session.Method, who func(store.Tx) (directory.User, error)) error {
	var secret string
	var started session.Session
	h.mark(w, r)
	err := h.Store.Update(r.Context(), func(tx store.Tx) error {
		user, err := who(tx)
		if err != nil {
			return err
		}
		if secret, started, err = h.start(tx, r, &user, method, h.Kit.Cookies.Get(r, web.SessionCookie)); err != nil {
			return err
		}
		if err := directory.SignedIn(tx, user.ID, h.Kit.Now()); err != nil {
			return err
		}
		_, err = h.Audit.Append(tx, audit.Event{
			Kind: "signin", Outcome: audit.OK, Actor: user.ID, User: user.ID, Address: web.Of(r).AddressText(),
			Facts: map[string]string{"method": method.Name, "session": started.Handle, "upstream": method.From.Upstream, "class": method.From.Class, "level": string(method.Level)},
		})
		return err
	})
	if err == nil {
		h.Kit.Cookies.Set(w, web.SessionCookie, secret, started.Ends.Sub(h.Kit.Now()))
	}
	return err
}
