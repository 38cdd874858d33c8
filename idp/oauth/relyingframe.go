package oauth

import (
	"errors"
	"net/http"
	"net/url"
	"slices"

	"gatehouse/idp/audit"
	"gatehouse/idp/federation"
	"gatehouse/idp/flow"
	"gatehouse/idp/session"
	"gatehouse/idp/web"
	"gatehouse/store"
)

// minSID is how long the name of a session at a provider must be, in bytes, to count without our cookie: nobody guesses such a one.
const minSID = 16

// framed ends sessions because a provider's page of a sign-out shows this address in a frame (OpenID Connect Front-Channel Logout 1.0,
// section 3). Browsers keep our cookies from such frames, so iss and sid have to do: the name of the session there, which besides the
// browser only the two of us know.
func (h *Relying) framed(w http.ResponseWriter, r *http.Request) error {
	web.NoStore(w.Header())
	var u federation.Upstream
	problem, err := h.leaving(r.Context(), r.PathValue("upstream"), &u)
	if err != nil {
		return err
	}
	values, damaged := url.ParseQuery(r.URL.RawQuery)
	if problem == nil {
		problem = checkFrame(&u, values, damaged)
	}
	if problem != nil {
		return h.refuseLeave(r, u.Name, problem)
	}
	if err := h.endFramed(r, &u, values.Get("sid")); err != nil {
		return err
	}
	w.Header().Del("X-Frame-Options") // whose page it is in, and in whose that may be, is not ours to know, and this shows nothing
	w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors *")
	w.WriteHeader(http.StatusOK)
	return nil
}

// checkFrame demands the two names that such a request can have.
func checkFrame(u *federation.Upstream, values url.Values, damaged error) *Problem {
	switch {
	case damaged != nil, once(values) != nil:
		return refuse("", "bad_frame", "The address of this sign-out is damaged, or says something twice.")
	case values.Get("iss") != u.OpenID.Issuer:
		return refuse("", "bad_frame", "The sign-out does not say that it is this provider's (iss): have it told there that the session is required (frontchannel_logout_session_required).").because(u.OpenID.Issuer, values.Get("iss"))
	case values.Get("sid") == "":
		return refuse("", "bad_frame", "The sign-out does not say which session ends (sid): have it told there that the session is required (frontchannel_logout_session_required).")
	}
	return nil
}

// endFramed ends the sessions that came from a session there. Apps that only a browser could tell are not told.
func (h *Relying) endFramed(r *http.Request, u *federation.Upstream, sid string) error {
	secret := h.Engine.Cookies.Get(r, web.SessionCookie)
	concerned := func(tx store.Tx) ([]session.Session, error) {
		found, err := h.concerned(tx, u, &leaveToken{Session: sid})
		if err != nil || len(sid) >= minSID {
			return found, err
		}
		own, _, err := h.Engine.Sessions.Current(tx, secret)
		if errors.Is(err, session.ErrNone) {
			return nil, nil
		}
		return slices.DeleteFunc(found, func(s session.Session) bool { return s.ID != own.ID }), err
	}
	var found []session.Session
	err := h.Store.View(r.Context(), func(tx store.Tx) (err error) {
		found, err = concerned(tx)
		return err
	})
	if err != nil || len(found) == 0 { // it is over, or never was: nothing to note
		return err
	}
	_, err = h.Engine.SignOut(r.Context(), flow.SignOut{
		App: session.UpstreamID(u.ID()), NoBrowser: true, Sessions: concerned,
		Event: audit.Event{Kind: logoutEvent, Outcome: audit.OK, Address: web.Of(r).AddressText(), Facts: map[string]string{"protocol": Protocol, "start": "upstream " + cut(u.ID()), "way": "frame"}},
	})
	return err
}
