package oauth

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"gatehouse/idp/audit"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
)

// shown is how a client proves itself in a request (RFC 6749, 2.3): by one method.
type shown struct {
	id, secret string
	assertion  string
	method     string // sp.AuthSecretBasic, sp.AuthSecretPost, sp.AuthPrivateKeyJWT, sp.AuthNone; none of a client that shows a certificate alone
}

// identified is a client whose proof is good, if what it showed is spent with the request.
type identified struct {
	app  *sp.App
	once []single
}

// The one realm of clients.
const basicChallenge = `Basic realm="Gatehouse"`

func badClient(reason string) *Problem {
	p := refuse(codeInvalidClient, reason, "The client id or its proof is wrong. Check both, and that the secret was not rotated away.")
	p.Status, p.Challenge = http.StatusUnauthorized, basicChallenge
	return p
}

// proof reads how the client proves itself. Another method is another case here and in check.
func proof(r *http.Request, values url.Values) (shown, *Problem) {
	name, password, basic := r.BasicAuth()
	asserted := values.Has("client_assertion") || values.Has("client_assertion_type")
	s := shown{id: values.Get("client_id"), method: sp.AuthNone}
	switch {
	case asserted && (basic || values.Has("client_secret")), basic && values.Has("client_secret"):
		return s, refuse(codeInvalidRequest, "two_authentications", "The client proves itself twice: use one of the Authorization header, client_secret and client_assertion.")
	case asserted && (values.Get("client_assertion_type") != assertionType || values.Get("client_assertion") == ""):
		return s, badClient("bad_assertion_type").because(assertionType, values.Get("client_assertion_type"))
	case asserted:
		s.assertion, s.method = values.Get("client_assertion"), sp.AuthPrivateKeyJWT
		if s.id == "" {
			s.id = claimedSubject(s.assertion)
		}
	case basic:
		id, idErr := url.QueryUnescape(name)
		secret, secretErr := url.QueryUnescape(password)
		if idErr != nil || secretErr != nil || values.Has("client_id") && s.id != id {
			return s, badClient("bad_basic")
		}
		s = shown{id: id, secret: secret, method: sp.AuthSecretBasic}
	case r.Header.Get("Authorization") != "":
		return s, badClient("bad_authorization")
	case values.Has("client_secret"):
		s.secret, s.method = values.Get("client_secret"), sp.AuthSecretPost
	}
	if s.id == "" {
		return s, badClient("no_client_id")
	}
	if s.secret == "" && !asserted { // an empty secret proves nothing
		s.method = sp.AuthNone
	}
	return s, nil
}

// posted reads what a client posts, and finds and checks who it is.
func (h *Handlers) posted(r *http.Request) (url.Values, identified, *Problem, error) {
	values, problem, err := form(r)
	if problem != nil || err != nil {
		return values, identified{}, problem, err
	}
	c, problem, err := h.identify(r, values)
	return values, c, problem, err
}

// authenticate is posted for those who write nothing more.
func (h *Handlers) authenticate(r *http.Request) (url.Values, *sp.App, *Problem, error) {
	values, c, problem, err := h.posted(r)
	if problem == nil && err == nil && len(c.once) > 0 {
		err = h.Store.Update(r.Context(), func(tx store.Tx) (err error) {
			problem, err = spend(tx, c.once)
			return err
		})
	}
	return values, c.app, problem, err
}

// identify finds the client of a request and checks its proof. It is the one place where that is done. A client that may do
// nothing now is a problem too.
func (h *Handlers) identify(r *http.Request, values url.Values) (identified, *Problem, error) {
	s, problem := proof(r, values)
	if problem != nil {
		return identified{}, problem, nil
	}
	app, problem, err := h.clientIn(r, s.id)
	if problem != nil || err != nil {
		return identified{app: app}, problem, err
	}
	if app == nil {
		return identified{}, badClient("unknown_client").because("a registered client id", s.id), nil
	}
	c := identified{app: app}
	problem, err = h.check(r, &c, s)
	switch {
	case err != nil || problem != nil:
		return c, problem, err
	case app.State == sp.Pending:
		return c, refuse(codeUnauthorizedClient, "app_pending", "This app waits for an administrator's approval."), nil
	case app.State != sp.Active:
		return c, refuse(codeUnauthorizedClient, "app_blocked", "This app is blocked by an administrator."), nil
	}
	return c, nil, nil
}

// check holds the proof against the client's registration. Whoever has a secret may show it in the header or the body.
func (h *Handlers) check(r *http.Request, c *identified, s shown) (*Problem, error) {
	client := c.app.Definition.OAuth
	switch {
	case client.Public() && s.method == sp.AuthNone:
		return nil, nil
	case !suits(client, s.method):
		return badClient("wrong_auth_method").because(client.Method(), s.method), nil
	}
	if s.method == sp.AuthNone {
		return h.slowed(r, s.id, h.checkCertificate(r, c.app)), nil
	}
	if s.method == sp.AuthPrivateKeyJWT {
		once, problem := h.checkAssertion(r, c.app, s.assertion)
		c.once = append(c.once, once)
		return h.slowed(r, s.id, problem), nil
	}
	secret := c.app.Credentials.FindSecret(s.secret)
	if secret == nil {
		return h.slowed(r, s.id, badClient("wrong_secret")), nil
	}
	return nil, h.hourly(r.Context(), secret.ID, func(tx store.Tx) error { return sp.NoteUse(tx, secret.ID, h.Now()) })
}

// slowed counts a wrong proof, and tells whoever shows too many of them to wait. A right one is always taken: many may share an
// address, and a neighbour must not shut a client out.
func (h *Handlers) slowed(r *http.Request, id string, wrong *Problem) *Problem {
	from := id + " " + audit.Network(web.Of(r).AddressText())
	switch {
	case wrong == nil:
		return nil
	case h.wrong.full(from, h.Now()):
		p := badClient("too_many_wrong_secrets")
		p.Status, p.Challenge, p.RetryAfter = http.StatusTooManyRequests, "", time.Minute
		return p
	}
	h.wrong.count(from, h.Now())
	return wrong
}

// suits tells whether a client that can keep a secret may prove itself this way.
func suits(client *sp.OAuth, method string) bool {
	switch method {
	case sp.AuthNone:
		return client.ShowsCertificate()
	case sp.AuthPrivateKeyJWT:
		return client.Method() == method
	}
	return client.HasSecret()
}

// hourly writes at most once an hour when a secret was shown last, or an app asked. An id is that of the one or of the other.
func (h *Handlers) hourly(ctx context.Context, id string, note func(store.Tx) error) error {
	now := h.Now()
	if last, ok := h.used.get(id); ok && now.Sub(last) < time.Hour {
		return nil
	}
	h.used.put(id, now)
	return h.Store.Update(ctx, note)
}

// confidential refuses a client that anybody can pretend to be, where what it learns is not its own (RFC 7662, 2.1).
func confidential(app *sp.App) *Problem {
	if app.Definition.OAuth.Public() {
		return badClient("public_client").because("a client that authenticates", sp.AuthNone)
	}
	return nil
}

// preflight answers the question of a browser before such a page may ask.
func preflight(w http.ResponseWriter, _ *http.Request) error {
	if w.Header().Get("Access-Control-Allow-Origin") != "" {
		w.Header().Set("Access-Control-Allow-Methods", "GET, POST")
		w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type, DPoP")
		w.Header().Set("Access-Control-Max-Age", "600")
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// allowOrigin lets the pages of registered public clients read the answer (CORS), refusals too; they send no cookies.
func (h *Handlers) allowOrigin(w http.ResponseWriter, r *http.Request) error {
	origin := r.Header.Get("Origin")
	if origin == "" || strings.ContainsRune(origin, 0) || len(origin) > maxFact {
		return nil
	}
	w.Header().Add("Vary", "Origin")
	return h.Store.View(r.Context(), func(tx store.Tx) error {
		n, err := sp.Apps.Count(tx, store.Page{Index: "web_origin", Value: origin}, 1)
		if n > 0 {
			w.Header().Set("Access-Control-Allow-Origin", origin)
		}
		return err
	})
}
