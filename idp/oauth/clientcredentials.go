package oauth

import (
	"slices"

	"gatehouse/idp/flow"
	"gatehouse/idp/grants"
	"gatehouse/sp"
	"gatehouse/store"
)

// actAlone gives a client a token by its own credentials alone (RFC 6749, 4.4). It acts as the person of oauth.run_as, whom its
// policy must let in like any other. The client's credentials count as one factor, checked now; there is nobody to ask for more.
func (h *Handlers) actAlone(tx store.Tx, c *call) (*issue, *Problem, error) {
	user := c.app.Policy.RunAs
	if user == "" {
		return nil, refuse(codeUnauthorizedClient, "no_run_as", "This app has nobody to act as: an administrator sets oauth.run_as."), nil
	}
	epoch, err := grants.EpochOf(tx, user, c.app.ID)
	if err != nil {
		return nil, nil, err
	}
	g := &grants.Grant{
		ID: grants.NewGrantID(), Type: sp.GrantClientCredentials, App: c.app.ID, User: user, Level: string(sp.Standard), AuthAt: c.now,
		Epoch: epoch, Created: c.now,
	}
	facts, step, err := h.Engine.Reconsider(tx, standing(g, c.address.String(), nil))
	switch {
	case err != nil:
		return nil, nil, err
	case step.Kind != flow.StepIssue:
		return nil, denied(codeUnauthorizedClient, step), nil
	case facts.App.Definition.OAuth == nil:
		return nil, badClient("unknown_client"), nil
	}
	if g.Scopes = h.lent(facts.User, aloneScopes(facts.App)); c.form.Get("scope") != "" { // none is fine: the token then says who calls, and nothing else
		var problem *Problem
		if g.Scopes, problem = scopesFor(facts.App, c.form.Get("scope"), g.Scopes); problem != nil {
			return nil, problem, nil
		}
	}
	resources, problem := h.targets(c.form["resource"], h.allowed(facts.App))
	if problem != nil {
		return nil, problem, nil
	}
	return &issue{facts: facts, grant: g, scopes: g.Scopes, resources: resources, own: true}, nil, nil
}

// aloneScopes are those that mean something without a person: nobody signs in, and nobody is away.
func aloneScopes(app *sp.App) []string {
	return slices.DeleteFunc(app.AllowedScopes(), func(s string) bool { return slices.Contains(sp.StandardScopes(), s) })
}
