package oauth

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"

	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/grants"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
)

// method is a way to get tokens. Its run is called inside the one Update of the request, after the client was authenticated; it may
// run more than once. A problem that it returns is committed with what it wrote, so it writes nothing before it is sure, save what
// the problem itself demands. A new grant type is a file of its own and a row in methods.
type method struct {
	name   string
	run    func(tx store.Tx, c *call) (*issue, *Problem, error)
	before func(ctx context.Context, c *call) (*Problem, error) // may be nil: what takes time or asks others, outside the transaction
}

func (h *Handlers) methods() []method {
	return []method{
		{sp.GrantCode, h.redeem, nil},
		{sp.GrantRefresh, h.refresh, nil},
		{sp.GrantClientCredentials, h.actAlone, nil},
		{sp.GrantDevice, h.waited, nil},
		{sp.GrantJWTBearer, h.actFor, h.readBearer},
		{sp.GrantTokenExchange, h.exchange, nil},
		{sp.GrantPassword, h.trust, h.readPassword},
	}
}

// call is one authenticated request to the token endpoint.
type call struct {
	app     *sp.App
	form    url.Values
	address netip.Addr
	has     grants.Binding // what the request proves to have
	now     time.Time
	facts   map[string]string // for the audit entry

	wanted   asked             // of what before reads
	asserted *jwt.Claims       // of a verified assertion
	password *directory.Result // of a password that was checked
}

// binding is what tokens are bound to: the key of any proof, a certificate where the app is set so (RFC 8705, 3).
func (c *call) binding() grants.Binding {
	b := c.has
	if !c.app.Definition.OAuth.BindsCertificates() {
		b.Certificate = ""
	}
	return b
}

// token is the token endpoint: parse, authenticate, one Update, sign, answer.
func (h *Handlers) token(w http.ResponseWriter, r *http.Request) error {
	values, from, problem, err := h.posted(r)
	var way *method
	if problem == nil && err == nil {
		way, problem, err = h.method(r.Context(), from.app, values.Get("grant_type"))
	}
	var has grants.Binding
	if problem == nil && err == nil {
		has, problem = h.mustPossess(r, &from)
	}
	asking := call{app: from.app, form: values, address: web.Of(r).Address, has: has, now: h.Now()}
	if problem == nil && err == nil && way.before != nil {
		problem, err = way.before(r.Context(), &asking)
	}
	if err != nil {
		return err
	}
	if problem != nil {
		return h.refused(r, "token", from.app, problem)
	}
	var issued *issue
	err = h.Store.Update(r.Context(), func(tx store.Tx) (err error) {
		one := asking
		c := &one
		c.facts = map[string]string{"grant_type": values.Get("grant_type")}
		if problem, err = spend(tx, from.once); err == nil && problem == nil {
			issued, problem, err = way.run(tx, c)
		}
		if err != nil {
			return err
		}
		if problem == nil {
			if problem, err = h.give(tx, c, issued); err != nil || problem != nil {
				return errors.Join(err, errUndo)
			}
		}
		return h.note(tx, r, c, issued, problem)
	})
	switch {
	case problem != nil && errors.Is(err, errUndo):
		return h.refused(r, "token", from.app, problem)
	case err != nil:
		return err
	case problem != nil:
		return problem.public()
	}
	return h.hand(w, issued)
}

// errUndo leaves what was to be redeemed as it was, because nothing can be given for it.
var errUndo = errors.New("nothing can be given")

// method finds the grant type, if the client may use it.
func (h *Handlers) method(ctx context.Context, app *sp.App, name string) (*method, *Problem, error) {
	settings, err := h.organisation(ctx)
	if err != nil {
		return nil, nil, err
	}
	methods := h.methods()
	i := slices.IndexFunc(methods, func(m method) bool { return m.name == name })
	switch {
	case name == "":
		return nil, refuse(codeInvalidRequest, "no_grant_type", "The request names no grant_type. Parameters belong in the body."), nil
	case i < 0, name == sp.GrantPassword && !settings.Grants(name):
		return nil, refuse(codeUnsupportedGrantType, "unsupported_grant_type", "This grant_type is not offered.").because("a grant type of the discovery document", name), nil
	case !settings.Grants(name):
		return nil, switchedOff(name), nil
	case !app.Definition.OAuth.Allows(name):
		return nil, refuse(codeUnauthorizedClient, "grant_type_not_allowed", "This app may not use this grant_type: allow it in its oauth.grant_types.").because(strings.Join(app.Definition.OAuth.Grants(), " "), name), nil
	}
	return &methods[i], nil, nil
}

// note writes the audit entry of a token or its refusal.
func (h *Handlers) note(tx store.Tx, r *http.Request, c *call, issued *issue, problem *Problem) error {
	if problem != nil && problem.Quiet {
		return nil
	}
	event := audit.Event{Kind: "token", Outcome: audit.OK, App: c.app.ID, Actor: c.app.ID, Address: web.Of(r).AddressText(), Facts: c.facts}
	if problem != nil {
		problem.describe(&event)
	} else {
		event.User = issued.grant.User
		if len(issued.resources) > 0 {
			event.Facts["resource"] = strings.Join(issued.resources, " ")
		}
		event.Facts["grant"], event.Facts["scope"] = issued.grant.ID, strings.Join(issued.scopes, " ")
	}
	code, err := h.Engine.Traced(tx, event)
	if problem != nil {
		problem.Trace = cmp.Or(code, web.Of(r).ID) // one that was folded is in the log
	}
	return err
}

// describe makes an event that of a refusal.
func (p *Problem) describe(event *audit.Event) {
	event.Outcome, event.Reason = audit.Refused, p.Reason
	if event.Facts == nil {
		event.Facts = map[string]string{}
	}
	for name, value := range map[string]string{"error": p.Code, "expected": p.Expected, "received": p.Received, "rules": p.Rules} {
		if value != "" {
			event.Facts[name] = value
		}
	}
}

// refused notes a request that was refused before its Update, and is what its client is told.
func (h *Handlers) refused(r *http.Request, kind string, app *sp.App, problem *Problem) error {
	event := audit.Event{Kind: kind, Address: web.Of(r).AddressText()}
	if app != nil {
		event.App = app.ID
	}
	problem.describe(&event)
	code, err := h.Engine.Refused(r.Context(), event)
	if err != nil {
		return err
	}
	problem.Trace = cmp.Or(code, web.Of(r).ID) // one that was folded is in the log
	return problem.public()
}
