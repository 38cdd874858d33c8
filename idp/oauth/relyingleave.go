package oauth

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/go-jose/go-jose/v4/jwt"

	"gatehouse/idp/audit"
	"gatehouse/idp/federation"
	"gatehouse/idp/flow"
	"gatehouse/idp/grants"
	"gatehouse/idp/session"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
)

// maxLogoutBody bounds a logout token as it is posted, in bytes.
const maxLogoutBody = 64 << 10

// Lead sends the browser to a provider that the person came from (OpenID Connect RP-Initiated Logout 1.0, section 2).
func (h *Relying) Lead(w http.ResponseWriter, r *http.Request, party *sp.App, left *session.AppReached, message string) error {
	issuer, ok := session.UpstreamOf(party.ID)
	if !ok {
		return h.Handlers.Lead(w, r, party, left, message)
	}
	var u federation.Upstream
	err := h.Store.View(r.Context(), func(tx store.Tx) (err error) {
		u, _, err = federation.Upstreams.By(tx, "entity_id", issuer)
		return err
	})
	if err != nil {
		return err
	}
	if u.OpenID == nil || u.OpenID.Found.EndSession == "" {
		return errors.New("the provider takes no sign-out any more")
	}
	values := url.Values{"client_id": {u.OpenID.ClientID}, "post_logout_redirect_uri": {h.BaseURL + at(returnPath, u.Name)}, "state": {message}}
	if hint, err := h.Open(hintContext(&u), left.Hint); err == nil { // without it the provider asks the person
		values.Set("id_token_hint", string(hint))
	}
	web.SeeOther(w, joined(u.OpenID.Found.EndSession, values))
	return nil
}

// returned takes the browser back after a sign-out at a provider, which says by this that it is done.
func (h *Relying) returned(w http.ResponseWriter, r *http.Request) error {
	var u federation.Upstream
	err := h.Store.View(r.Context(), func(tx store.Tx) (err error) {
		u, _, err = federation.Upstreams.Get(tx, r.PathValue("upstream"))
		return err
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	id, known := "", false
	if err == nil && u.OpenID != nil {
		if id, known, err = h.Engine.Left(r.Context(), r.URL.Query().Get("state"), session.UpstreamID(u.ID()), true); err != nil {
			return err
		}
	}
	if !known {
		return h.Engine.Halt(r, "", logoutEvent, flow.Reason{Type: "no_logout", Text: "This sign-out is over. You are signed out here; to be sure about your apps, close all browser windows."})
	}
	web.SeeOther(w, "/logout/"+id)
	return nil
}

// leaveToken are the claims of another provider's logout token (Back-Channel Logout 1.0, section 2.4).
type leaveToken struct {
	Issuer   string                     `json:"iss"`
	Subject  string                     `json:"sub"`
	Audience jwt.Audience               `json:"aud"`
	Issued   *jwt.NumericDate           `json:"iat"`
	Expires  *jwt.NumericDate           `json:"exp"`
	ID       string                     `json:"jti"`
	Events   map[string]json.RawMessage `json:"events"`
	Session  string                     `json:"sid"`
	Nonce    json.RawMessage            `json:"nonce"`
}

// told ends sessions because a provider says that those there have ended (Back-Channel Logout 1.0, section 2.6).
func (h *Relying) told(w http.ResponseWriter, r *http.Request) error {
	web.NoStore(w.Header())
	values, problem, err := form(r)
	if err != nil {
		return err
	}
	var u federation.Upstream
	var token leaveToken
	if problem == nil {
		problem, err = h.readLeave(r.Context(), r.PathValue("upstream"), values.Get("logout_token"), &u, &token)
	}
	if err != nil {
		return err
	}
	if problem != nil {
		return h.refuseLeave(r, u.Name, problem)
	}
	_, err = h.Engine.SignOut(r.Context(), flow.SignOut{
		App: session.UpstreamID(u.ID()), NoBrowser: true, Sessions: func(tx store.Tx) ([]session.Session, error) { return h.concerned(tx, &u, &token) },
		Once: "logout/" + u.Name + "/" + grants.Hash(token.ID), OnceUntil: token.Expires.Time().Add(providerSkew),
		Event: audit.Event{Kind: logoutEvent, Outcome: audit.OK, Address: web.Of(r).AddressText(), Facts: map[string]string{"protocol": Protocol, "start": "upstream " + cut(u.ID())}},
	})
	if err != nil && !errors.Is(err, flow.ErrReplayed) { // what it asks for is done
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func (h *Relying) refuseLeave(r *http.Request, upstream string, problem *Problem) error {
	facts := map[string]string{"protocol": Protocol, "upstream": upstream, "received": problem.Received}
	code, err := h.Engine.Refused(r.Context(), audit.Event{Kind: logoutEvent, Outcome: audit.Refused, Reason: problem.Reason, Address: web.Of(r).AddressText(), Detail: problem.Text, Facts: facts})
	if err != nil {
		return err
	}
	problem.Code, problem.Trace = codeInvalidRequest, cmp.Or(code, web.Of(r).ID)
	return problem.public()
}

// leaving reads the upstream that a path names.
func (h *Relying) leaving(ctx context.Context, name string, u *federation.Upstream) (*Problem, error) {
	err := h.Store.View(ctx, func(tx store.Tx) (err error) {
		*u, _, err = federation.Upstreams.Get(tx, name)
		return err
	})
	if errors.Is(err, store.ErrNotFound) || err == nil && (u.OpenID == nil || u.Off) {
		return refuse("", "no_such_upstream", "Nobody signs in here at such a provider."), nil
	}
	return nil, err
}

// readLeave verifies a logout token of the upstream that a path names.
func (h *Relying) readLeave(ctx context.Context, name, text string, u *federation.Upstream, token *leaveToken) (*Problem, error) {
	if problem, err := h.leaving(ctx, name, u); problem != nil || err != nil {
		return problem, err
	}
	if _, err := h.believed(ctx, u.OpenID, u.OpenID.Found.Algorithms, text, []string{typeLogout, "", "jwt"}, token); err != nil {
		return refuse("", "bad_logout_token", "The logout token is not believed.").because("", err.Error()), nil
	}
	return token.check(h, u.OpenID), nil
}

func (t *leaveToken) check(h *Relying, provider *federation.OpenID) *Problem {
	now := h.Now()
	event, named := t.Events[logoutEvents]
	bad := func(why string) *Problem {
		return refuse("", "bad_logout_token", "The logout token is not one for here and now: "+why+".")
	}
	switch {
	case t.Issuer != provider.Issuer || !slices.Contains(t.Audience, provider.ClientID):
		return bad("iss and aud must be the provider and Gatehouse")
	case !named || len(event) == 0 || event[0] != '{':
		return bad("events must hold " + logoutEvents)
	case t.Nonce != nil:
		return bad("a nonce is that of an ID token")
	case t.Subject == "" && t.Session == "":
		return bad("it needs sub or sid")
	case t.ID == "" || len(t.ID) > maxJTI:
		return bad("it needs a jti of at most 256 bytes")
	case t.Expires == nil || !now.Before(t.Expires.Time().Add(providerSkew)) || t.Expires.Time().After(now.Add(maxAssertionAge+providerSkew)):
		return bad("its exp must be within 10 minutes")
	case t.Issued == nil || t.Issued.Time().After(now.Add(providerSkew)):
		return bad("its iat lies in the future")
	}
	return nil
}

// concerned finds the sessions that a logout token is about: of the person, at the session there that it names, or all of either.
func (h *Relying) concerned(tx store.Tx, u *federation.Upstream, token *leaveToken) ([]session.Session, error) {
	page := store.Page{Index: "index", Value: token.Session}
	if token.Subject != "" {
		page = store.Page{Index: "name", Value: session.NameKey(session.UpstreamID(u.ID()), token.Subject)}
	}
	var found []session.Session
	err := session.Table.Each(tx, page, func(_ string, s *session.Session) error {
		if s.Live(h.Now()) && slices.ContainsFunc(s.From, func(from session.AppReached) bool {
			return from.App == session.UpstreamID(u.ID()) && (token.Subject == "" || from.NameID == token.Subject) && (token.Session == "" || from.SessionIndex == token.Session)
		}) {
			found = append(found, *s)
		}
		return nil
	})
	return found, err
}
