package oauth

import (
	"slices"

	"gatehouse/idp/flow"
	"gatehouse/idp/grants"
	"gatehouse/sp"
	"gatehouse/store"
)

// typeAccessToken is the one kind of token that is exchanged, and for which (RFC 8693, 3).
const typeAccessToken = "urn:ietf:params:oauth:token-type:access_token"

// maxActors is how often a token can be handed on.
const maxActors = 5

// exchange gives an app a token of its own for an access token that it was shown (RFC 8693): for the same person, never for more
// and never for longer. The policy of both apps is asked, now and whenever the new token is shown, and the new token is over with
// the old one.
func (h *Handlers) exchange(tx store.Tx, c *call) (*issue, *Problem, error) {
	if problem := h.readExchange(c); problem != nil {
		return nil, problem, nil
	}
	f, err := h.find(tx, c.form.Get("subject_token"))
	if err != nil {
		return nil, nil, err
	}
	var owner *flow.Facts
	if f != nil && f.kind == kindAccess {
		if owner, _, err = h.judge(tx, f); err != nil {
			return nil, nil, err
		}
	}
	switch {
	case owner == nil:
		return nil, refuse(codeInvalidRequest, "bad_subject_token", "The subject_token is not good, has expired, or was revoked."), nil
	case !mayInspect(c.app, owner.App), owner.App.ID != c.app.ID && c.app.Definition.OAuth.Public(): // anybody can say that they are it
		return nil, refuse(codeInvalidRequest, "subject_token_of_other_client", "The subject_token was given to a client whose tokens are not this app's to see (oauth.introspect)."), nil
	case len(f.access.Act) >= maxActors:
		return nil, refuse(codeInvalidRequest, "too_many_actors", "The subject_token was handed on five times already."), nil
	}
	if problem := boundTo(f.access.Binding, c.has); problem != nil { // else it would become a bearer token
		return nil, problem, nil
	}
	c.facts["subject_grant"] = f.grant.ID
	return h.handOn(tx, c, f)
}

// handOn makes the new token's grant, which lies in it.
func (h *Handlers) handOn(tx store.Tx, c *call, f *found) (*issue, *Problem, error) {
	g := &grants.Grant{
		ID: grants.NewGrantID(), Type: sp.GrantTokenExchange, App: c.app.ID, User: f.grant.User, Level: f.grant.Level, Class: f.grant.Class,
		Methods: f.grant.Methods, AuthAt: f.grant.AuthAt, HighAt: f.grant.HighAt, PutOff: f.grant.PutOff, Created: c.now,
	}
	var err error
	if g.Epoch, err = grants.EpochOf(tx, g.User, g.App); err != nil {
		return nil, nil, err
	}
	facts, problem, err := h.reconsider(tx, g, c, nil)
	if problem != nil || err != nil {
		return nil, problem, err
	}
	bound := slices.DeleteFunc(within(f.scopes, facts.App.AllowedScopes()), func(one string) bool { return one == sp.ScopeOffline })
	if g.Scopes, problem = narrowed(c.form.Get("scope"), bound); problem != nil {
		return nil, problem, nil
	}
	resources, problem := h.handedTo(facts.App, c.form["resource"], f.access.Resources)
	if problem != nil {
		return nil, problem, nil
	}
	return &issue{
		facts: facts, grant: g, scopes: g.Scopes, resources: resources, own: true, until: f.expires, from: f.access.Hash,
		act: slices.Concat([]string{c.app.Credentials.ClientID}, f.access.Act), held: f.access.Binding,
	}, nil, nil
}

// handedTo are the resources of an exchanged token: those of the old one, or others that the app may ask for. A token that was not for
// Gatehouse never becomes one for it.
func (h *Handlers) handedTo(app *sp.App, asked, old []string) ([]string, *Problem) {
	if len(asked) == 0 {
		return h.aimed(app, nil, old)
	}
	bound := slices.Clone(app.Policy.Resources)
	if slices.Contains(h.audience(old), h.BaseURL) {
		bound = append(bound, h.BaseURL)
	}
	return h.targets(asked, bound)
}

// readExchange refuses what is not offered, so that nobody takes a token for another kind.
func (h *Handlers) readExchange(c *call) *Problem {
	kind, wanted := c.form.Get("subject_token_type"), c.form.Get("requested_token_type")
	switch {
	case c.form.Get("subject_token") == "":
		return refuse(codeInvalidRequest, "no_subject_token", "The request holds no subject_token.")
	case kind != typeAccessToken:
		return refuse(codeInvalidRequest, "bad_subject_token_type", "Only access tokens are exchanged: send subject_token_type="+typeAccessToken+".").because(typeAccessToken, kind)
	case wanted != "" && wanted != typeAccessToken:
		return refuse(codeInvalidRequest, "bad_requested_token_type", "Only access tokens are given: send requested_token_type="+typeAccessToken+" or none.").because(typeAccessToken, wanted)
	case c.form.Has("actor_token"), c.form.Has("actor_token_type"):
		return refuse(codeInvalidRequest, "actor_token", "The actor is the client itself: send no actor_token.")
	}
	if target := c.form.Get("audience"); target != "" && target != h.BaseURL && target != c.app.Credentials.ClientID {
		return badTarget("The audience of tokens is said by resource: send no audience.").because(h.BaseURL, target)
	}
	return nil
}

// actor is the act claim (RFC 8693, 4.1): who acts now, and within it who handed the token on before.
type actor struct {
	Subject string `json:"sub"`
	Before  *actor `json:"act,omitempty"`
}

func actorOf(clients []string) *actor {
	if len(clients) == 0 {
		return nil
	}
	return &actor{Subject: clients[0], Before: actorOf(clients[1:])}
}
