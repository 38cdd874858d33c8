package oauth

import (
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"gatehouse/idp/flow"
	"gatehouse/idp/grants"
	"gatehouse/idp/session"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
	"gatehouse/templates"
)

// Asks names what the app will be told or may do, where its policy wants the person's consent: by default for apps that people
// let in themselves.
func (h *Handlers) Asks(facts *flow.Facts) []string {
	app := facts.App
	if app.Definition.OAuth == nil || !asksConsent(&app.Policy) {
		return nil
	}
	a := new(asked)
	if json.Unmarshal(facts.Request.Payload, a) != nil { // of a request that is only supposed
		return standardTexts(h.lent(facts.User, app.AllowedScopes()))
	}
	return h.asks(facts.User, a.Scopes, a.Texts)
}

const consentNever = "never"

// asksConsent tells whether people have to agree to what an app asks for.
func asksConsent(p *sp.Policy) bool {
	return p.Consent == sp.ConsentAlways || p.Consent != consentNever && p.PermittedUsers == sp.PermitAll
}

// Issue makes the code for a person whom flow let in.
func (h *Handlers) Issue(_ context.Context, pass *flow.Pass) (flow.Answer, error) {
	a := new(asked)
	if err := json.Unmarshal(pass.Request.Payload, a); err != nil {
		return flow.Answer{}, err
	}
	if problem := h.cannot(pass, a); problem != nil {
		return flow.Answer{}, &flow.CannotIssue{Reason: problem.reason()}
	}
	secret := codePrefix + sp.RandomSecret()
	code := &grants.Code{
		Hash: grants.Hash(secret), Grant: h.grantOf(pass, a), Redirect: a.Redirect, Challenge: a.Challenge, Nonce: a.Nonce, Key: a.Key,
		Expires: pass.Now.Add(grants.CodeLifetime),
	}
	pass.Reached.SessionIndex, pass.Reached.Protocol, pass.Reached.NameID = code.Grant.SID, Protocol, h.subject(pass.App, pass.User.ID)
	facts := pass.Event.Facts
	facts["redirect_uri"], facts["scope"], facts["grant"] = a.Redirect, strings.Join(code.Grant.Scopes, " "), code.Grant.ID
	answer := h.answer(pass, a, url.Values{"code": {secret}})
	answer.Commit = func(tx store.Tx) (err error) {
		if code.Grant.Epoch, err = grants.EpochOf(tx, code.Grant.User, code.Grant.App); err != nil {
			return err
		}
		return grants.Codes.Put(tx, code)
	}
	return answer, nil
}

// cannot is why nothing can be issued although flow let the person in.
func (h *Handlers) cannot(pass *flow.Pass, a *asked) *Problem {
	switch {
	case !a.stillRegistered(pass.App):
		return refuse("", "bad_redirect_uri", "The app was changed while you signed in. Open the app again.")
	case len(a.granted(pass.App)) == 0:
		return refuse(codeInvalidScope, "scope_not_allowed", "The app may have nothing of what it asks for.")
	case len(h.lent(pass.User, a.granted(pass.App))) == 0:
		return cannotLend()
	case a.Subject != "" && a.Subject != h.subject(pass.App, pass.User.ID):
		return refuse(codeLoginRequired, flow.ReasonWrongSubject, "The app asked for another person than the one who is signed in here. Sign out and open the app again.")
	}
	return nil
}

// grantOf is what the person gives to the app. It ends with the session, unless the app may act while the person is away.
func (h *Handlers) grantOf(pass *flow.Pass, a *asked) grants.Grant {
	g := signedFor(pass, sp.GrantCode, a.Classes)
	g.Scopes, g.Claims, g.Resources, g.SID = h.lent(pass.User, a.granted(pass.App)), a.Claims, a.Resources, sessionID(pass)
	if !offline(g.Scopes) {
		g.Session = pass.Session.Handle
	}
	return g
}

// signedFor is a grant by a person who is signed in, with all that the policy asks of a sign-in later. What it is for, and the session
// that it ends with, is the caller's to say.
func signedFor(pass *flow.Pass, grantType string, classes []string) grants.Grant {
	return grants.Grant{
		ID: grants.NewGrantID(), Type: grantType, App: pass.App.ID, User: pass.User.ID, Address: pass.Address.String(), Created: pass.Now,
		Level: string(pass.Session.Level), AuthAt: pass.Session.AuthAt(), HighAt: pass.Session.ProvedAt(session.High), PutOff: pass.Session.PutOff,
		Class: classOf(sp.Level(pass.Session.Level), classes), Methods: evidence(pass.Session),
	}
}

// sessionID names the session to this app alone: random, and the same for every answer within the session.
func sessionID(pass *flow.Pass) string {
	for i := range pass.Session.Apps {
		if known := &pass.Session.Apps[i]; known.App == pass.App.ID && known.Protocol == Protocol {
			return known.SessionIndex
		}
	}
	return sp.NewClientID()
}

// Refuse tells the client why not, or the person, where there is no address that a refusal may go to.
func (h *Handlers) Refuse(_ context.Context, pass *flow.Pass, reason flow.Reason) (flow.Answer, error) {
	a := new(asked)
	if err := json.Unmarshal(pass.Request.Payload, a); err != nil {
		return flow.Answer{}, err
	}
	code := errorOf(pass, reason)
	if code == "" || pass.App == nil || pass.App.Definition.OAuth == nil || !pass.App.Definition.OAuth.Redirects(a.Redirect) {
		return flow.Page(pass, reason), nil
	}
	pass.Event.Facts["error"], pass.Event.Facts["redirect_uri"] = code, a.Redirect
	return h.answer(pass, a, url.Values{"error": {code}, "error_description": {reason.Text}}), nil
}

// errorOf is the error code for a reason; empty: the client is not told.
func errorOf(pass *flow.Pass, reason flow.Reason) string {
	switch reason.Type {
	case flow.ReasonUnknownApp, flow.ReasonAppPending, "bad_redirect_uri":
		return ""
	case flow.ReasonNoPassive:
		if pass.Session == nil || pass.User == nil || !pass.Session.Live(pass.Now) || pass.Verdict.Outcome == sp.StepUp {
			return codeLoginRequired
		}
		return codeConsentRequired
	case flow.ReasonLevel, string(sp.RuleLevel):
		if pass.Request.Demand.MinLevel != "" {
			return codeUnmetAuthentication
		}
	}
	if reason.Status != "" {
		return reason.Status
	}
	return codeAccessDenied
}

// answer sends the browser to the redirect URI with the parameters, the state as it came, and our name, so that the client sees
// whose answer it is (RFC 9207).
func (h *Handlers) answer(pass *flow.Pass, a *asked, values url.Values) flow.Answer {
	if a.HasState {
		values.Set("state", a.State)
	}
	values.Set("iss", h.BaseURL)
	return flow.Answer{Write: func(w http.ResponseWriter, r *http.Request) error {
		if values.Has("error_description") {
			values.Set("error_description", describe(values.Get("error_description"), pass.Event.Code))
		}
		switch a.Mode {
		case modeFormPost:
			page := templates.AutoPostPage{Action: a.Redirect, App: pass.App.Definition.Name}
			for _, name := range []string{"code", "error", "error_description", "state", "iss"} {
				if values.Has(name) {
					page.Fields = append(page.Fields, templates.Field{Name: name, Value: values.Get(name)})
				}
			}
			return web.AutoPost(w, r, h.BaseURL, &page)
		case modeFragment:
			web.SeeOther(w, a.Redirect+"#"+values.Encode())
		default:
			web.SeeOther(w, joined(a.Redirect, values))
		}
		return nil
	}}
}

// joined adds parameters to an address whose own query stays as it is.
func joined(address string, values url.Values) string {
	separator := "?"
	if strings.Contains(address, "?") {
		separator = "&"
	}
	return address + separator + values.Encode()
}

// standing is what a grant stands for.
func standing(g *grants.Grant, address string, refresh *sp.Refresh) flow.Standing {
	from, err := netip.ParseAddr(address)
	if err != nil {
		from = netip.Addr{} // the policy's ranges do not hold it
	}
	return flow.Standing{User: g.User, App: g.App, Level: sp.Level(g.Level), AuthAt: g.AuthAt, HighAt: g.HighAt, PutOff: g.PutOff, Address: from, Refresh: refresh, Strict: g.Type == sp.GrantJWTBearer}
}

// evidence are the methods of a session, as a grant keeps them.
func evidence(s *session.Session) []string {
	names := make([]string, 0, len(s.Methods))
	for _, method := range s.Methods {
		names = append(names, method.Name)
	}
	return names
}
