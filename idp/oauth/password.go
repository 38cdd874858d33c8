package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/netip"

	"gatehouse/idp/directory"
	"gatehouse/idp/grants"
	"gatehouse/idp/session"
	"gatehouse/sp"
	"gatehouse/store"
)

// Passwords checks a password, under the same throttle as the sign-in page; directory.Directory does.
type Passwords interface {
	Authenticate(ctx context.Context, name, password string, address netip.Addr) (directory.Result, error)
}

// readPassword checks what an app was told by a person (RFC 6749, 4.3), where the organisation still allows that
// (oauth.legacy_methods).
func (h *Handlers) readPassword(ctx context.Context, c *call) (*Problem, error) {
	name, password := c.form.Get("username"), c.form.Get("password")
	if name == "" || password == "" {
		return refuse(codeInvalidRequest, "no_password", "The request needs a username and a password."), nil
	}
	settings, err := h.organisation(ctx)
	if err != nil {
		return nil, err
	}
	if !settings.TakesPasswords() {
		return badGrant("no_passwords", "Nobody signs in by a password here (signin.methods)."), nil
	}
	if problem, err := h.readScopes(ctx, c.app, c.form, &c.wanted); problem != nil || err != nil {
		return problem, err
	}
	result, err := h.Passwords.Authenticate(ctx, name, password, c.address)
	c.password = &result
	return nil, err
}

// trust gives tokens for a password that was right. Who has a second factor cannot show it this way, so the password alone is not
// enough; that it was right is not said.
func (h *Handlers) trust(tx store.Tx, c *call) (*issue, *Problem, error) {
	problem, err := h.commitPassword(tx, c)
	if problem != nil || err != nil {
		return nil, problem, err
	}
	g := &grants.Grant{
		ID: grants.NewGrantID(), Type: sp.GrantPassword, App: c.app.ID, User: c.password.User.ID, Scopes: c.wanted.Scopes, Level: string(sp.Standard),
		Class: classStandard, Methods: []string{session.MethodPassword}, AuthAt: c.now, Created: c.now,
	}
	if g.Epoch, err = grants.EpochOf(tx, g.User, g.App); err != nil {
		return nil, nil, err
	}
	facts, problem, err := h.reconsider(tx, g, c, nil)
	if problem != nil || err != nil {
		return nil, problem, err
	}
	if facts.Second {
		return nil, wrongPassword("second_factor"), nil
	}
	if g.Scopes = h.lent(facts.User, g.Scopes); len(g.Scopes) == 0 {
		return nil, cannotLend(), nil
	}
	if g.Resources, problem = h.targets(c.form["resource"], h.allowed(facts.App)); problem != nil {
		return nil, problem, nil
	}
	i := &issue{facts: facts, grant: g, scopes: g.Scopes, resources: g.Resources}
	return i, nil, h.open(tx, c, i)
}

// commitPassword counts the try, whatever came of it.
func (h *Handlers) commitPassword(tx store.Tx, c *call) (*Problem, error) {
	c.facts["account"] = c.password.Account
	err := c.password.Commit(tx)
	var refused *directory.AdoptError
	switch {
	case errors.Is(err, directory.ErrChanged):
		return wrongPassword("changed"), nil
	case errors.As(err, &refused):
		return wrongPassword(string(directory.NotAdopted)), nil
	case err != nil:
		return nil, err
	case c.password.Throttled():
		p := badGrant(string(c.password.Reason), "Too many tries. Wait a moment, then try again.")
		p.Status, p.RetryAfter = http.StatusTooManyRequests, c.password.RetryAfter
		return p, nil
	case !c.password.OK():
		return wrongPassword(string(c.password.Reason)), nil
	}
	return nil, nil
}

func wrongPassword(reason string) *Problem {
	return badGrant(reason, "The user name or the password is wrong, or this person cannot sign in to this app by a password alone.")
}
