package oauth

import (
	"net/http"
	"slices"
	"strings"

	"gatehouse/idp/audit"
	"gatehouse/idp/flow"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
)

// introspection is what a client learns of a token (RFC 7662, 2.2). Of one that is not active it learns nothing else.
type introspection struct {
	Active   bool   `json:"active"`
	Scope    string `json:"scope,omitempty"`
	ClientID string `json:"client_id,omitempty"`
	Username string `json:"username,omitempty"`
	Type     string `json:"token_type,omitempty"`
	Expires  int64  `json:"exp,omitempty"`
	Issued   int64  `json:"iat,omitempty"`
	Before   int64  `json:"nbf,omitempty"`
	Subject  string `json:"sub,omitempty"`
	Audience any    `json:"aud,omitempty"`
	Issuer   string `json:"iss,omitempty"`
	Class    string `json:"acr,omitempty"`
	AuthTime int64  `json:"auth_time,omitempty"`
	Act      *actor `json:"act,omitempty"`

	Confirmation *confirmation `json:"cnf,omitempty"`
}

// introspect tells a client whether a token is good now: every time by the policy of now, from where the token was asked for, so that
// a block bites at a gateway's next call. It writes nothing but, once an hour, that the client is in use.
func (h *Handlers) introspect(w http.ResponseWriter, r *http.Request) error {
	values, app, problem, err := h.authenticate(r)
	if err != nil {
		return err
	}
	if problem == nil {
		problem = confidential(app)
	}
	if problem == nil && values.Get("token") == "" {
		problem = refuse(codeInvalidRequest, "no_token", "The request holds no token.")
	}
	if problem != nil {
		return h.refused(r, "introspect", app, problem)
	}
	var answer introspection
	err = h.Store.View(r.Context(), func(tx store.Tx) (err error) {
		answer, err = h.inspect(tx, app, values.Get("token"))
		return err
	})
	if err == nil {
		err = h.hourly(r.Context(), app.ID, func(tx store.Tx) error { return audit.NoteUse(tx, app.ID, h.Now()) })
	}
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, answer)
	return nil
}

func (h *Handlers) inspect(tx store.Tx, asker *sp.App, token string) (introspection, error) {
	f, err := h.find(tx, token)
	if err != nil || f == nil {
		return introspection{}, err
	}
	facts, problem, err := h.judge(tx, f)
	if problem != nil || err != nil || !mayInspect(asker, facts.App) {
		return introspection{}, err
	}
	answer := introspection{
		Active: true, Scope: strings.Join(f.scopes, " "), ClientID: facts.App.Credentials.ClientID,
		Issued: f.issued.Unix(), Before: f.issued.Unix(), Subject: h.subject(facts.App, facts.User.ID), Issuer: h.BaseURL,
	}
	if !f.expires.IsZero() {
		answer.Expires = f.expires.Unix()
	}
	if named(asker, facts, f) {
		answer.Username = facts.User.Name
	}
	if f.kind == kindAccess {
		answer.Type, answer.Audience, answer.Act = tokenType(f.access.Binding), audienceClaim(f.audience), actorOf(f.access.Act)
		answer.Confirmation = confirms(f.access.Binding)
	}
	if f.grant.Class != "" {
		answer.Class, answer.AuthTime = f.grant.Class, f.grant.AuthAt.Unix()
	}
	return answer, nil
}

// named tells whether the answer says what the person is called: as far as the app's policy lets anybody know. The app itself learns
// it as from userinfo, by the scope profile, or of a person whom the administrator chose for it.
func named(asker *sp.App, facts *flow.Facts, f *found) bool {
	switch {
	case !facts.App.Policy.AllowsSource("username"):
		return false
	case asker.ID != facts.App.ID, asker.Policy.Introspect == sp.IntrospectAll:
		return true
	}
	return f.grant.Type == sp.GrantClientCredentials || f.grant.Type == sp.GrantJWTBearer || slices.Contains(f.scopes, sp.ScopeProfile)
}

// mayInspect tells whether one app may know of another's tokens: its own, those of the clients that it registered, or all.
func mayInspect(asker, owner *sp.App) bool {
	switch {
	case asker.ID == owner.ID, asker.Policy.Introspect == sp.IntrospectAll:
		return true
	}
	return asker.Policy.Introspect == sp.IntrospectChild && owner.Parent == asker.ID
}
