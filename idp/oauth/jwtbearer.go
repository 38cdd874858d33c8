package oauth

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"

	"gatehouse/idp/directory"
	"gatehouse/idp/grants"
	"gatehouse/sp"
	"gatehouse/store"
)

// maxBearerLife is how far ahead the exp of an assertion about a person may lie.
const maxBearerLife = 5 * time.Minute

// readBearer verifies an assertion by which an app acts for a person who is not there (RFC 7523, 2.1 and 3).
func (h *Handlers) readBearer(ctx context.Context, c *call) (*Problem, error) {
	if c.form.Get("assertion") == "" {
		return refuse(codeInvalidRequest, "no_assertion", "The request holds no assertion."), nil
	}
	var claims jwt.Claims
	problem := h.signedBy(ctx, c.app, c.form.Get("assertion"), &claims, "", "jwt")
	if problem == nil {
		problem = h.judgeBearer(c, &claims)
	}
	if problem != nil {
		problem.Code = codeInvalidGrant
		return problem, nil
	}
	c.asserted = &claims
	return h.readScopes(ctx, c.app, c.form, &c.wanted)
}

func (h *Handlers) judgeBearer(c *call, claims *jwt.Claims) *Problem {
	switch {
	case claims.Issuer != c.app.Credentials.ClientID:
		return refuse("", "assertion_of_other_client", "The iss of the assertion must be the client_id.").because(c.app.Credentials.ClientID, claims.Issuer)
	case claims.Subject == "":
		return refuse("", "assertion_sub", "The assertion needs a sub: the user name or the id of the person.")
	case claims.ID == "" || len(claims.ID) > maxJTI:
		return refuse("", "assertion_jti", "The assertion needs a jti of at most 256 bytes.")
	case claims.Expiry == nil:
		return refuse("", "assertion_exp", "The assertion needs an exp.")
	case claims.Expiry.Time().After(c.now.Add(maxBearerLife + clockSkew)):
		return refuse("", "jwt_long_lived", "The assertion is good for longer than 5 minutes, which is not taken.")
	}
	if problem := h.meant(claims.Audience, h.BaseURL, h.BaseURL+tokenPath); problem != nil {
		return problem
	}
	return h.timely(claims)
}

// actFor gives an app tokens for the person of an assertion, whom its policy must let in. Nobody is there to agree or to show a
// second factor: the app is for chosen people, or this one agreed before; and the level is standard.
func (h *Handlers) actFor(tx store.Tx, c *call) (*issue, *Problem, error) {
	user, problem, err := h.bearerSubject(tx, c)
	if problem != nil || err != nil {
		return nil, problem, err
	}
	g, err := standingGrant(tx, user, c)
	if err != nil {
		return nil, nil, err
	}
	facts, problem, err := h.reconsider(tx, g, c, nil)
	if problem != nil || err != nil {
		return nil, problem, err
	}
	scopes := slices.DeleteFunc(h.lent(facts.User, c.wanted.Scopes), func(one string) bool { return one == sp.ScopeOffline })
	if len(scopes) == 0 {
		return nil, refuse(codeInvalidScope, "scope_not_allowed", "An assertion gives no refresh token: ask for another scope than offline_access."), nil
	}
	resources, problem := h.targets(c.form["resource"], h.allowed(facts.App))
	if problem != nil {
		return nil, problem, nil
	}
	problem, err = spend(tx, []single{{
		name: "bearer/" + c.app.ID + "/" + grants.Hash(c.asserted.ID), until: c.asserted.Expiry.Time().Add(clockSkew),
		again: badGrant("assertion_replayed", "The assertion was used before: make a new one for each request."),
	}})
	if problem != nil || err != nil {
		return nil, problem, err
	}
	g.Scopes = words(strings.Join(slices.Concat(g.Scopes, scopes), " "))
	i := &issue{facts: facts, grant: g, scopes: scopes, resources: resources, alone: true}
	return i, nil, h.open(tx, c, i)
}

// bearerSubject is the person that an assertion names, if they need not be asked.
func (h *Handlers) bearerSubject(tx store.Tx, c *call) (string, *Problem, error) {
	name := c.asserted.Subject
	user, _, err := directory.Users.Get(tx, name)
	if errors.Is(err, store.ErrNotFound) {
		user, err = directory.Named(tx, name)
	}
	if errors.Is(err, store.ErrNotFound) {
		return "", badGrant("unknown_subject", "The sub of the assertion is nobody who may use this app.").because("a user name or id", name), nil
	}
	if err != nil || !asksConsent(&c.app.Policy) {
		return user.ID, nil, err
	}
	consent, _, err := grants.Consents.Get(tx, grants.Pair(user.ID, c.app.ID))
	if errors.Is(err, store.ErrNotFound) || err == nil && !consent.Covers(h.asks(&user, c.wanted.Scopes, c.wanted.Texts)) {
		return "", badGrant("no_consent", "The person has not agreed to that, and nobody is there to ask: an administrator sets policy.permitted_users=preauthorized, or the person signs in to the app once."), nil
	}
	return user.ID, nil, err
}

// standingGrant is the one grant that an app's assertions for a person come under, so that it can be seen and withdrawn.
func standingGrant(tx store.Tx, user string, c *call) (*grants.Grant, error) {
	var found *grants.Grant
	err := grants.AllGrants.Each(tx, store.Page{Index: "pair", Value: grants.Pair(user, c.app.ID)}, func(_ string, one *grants.Grant) error {
		if one.Type != sp.GrantJWTBearer {
			return nil
		}
		live, err := one.Live(tx)
		if err != nil || !live {
			return err
		}
		found = one
		return store.ErrStop
	})
	if err != nil {
		return nil, err
	}
	if found == nil {
		found = &grants.Grant{ID: grants.NewGrantID(), Type: sp.GrantJWTBearer, App: c.app.ID, User: user, Created: c.now}
		if found.Epoch, err = grants.EpochOf(tx, user, c.app.ID); err != nil {
			return nil, err
		}
	}
	found.Level, found.AuthAt = string(sp.Standard), c.now
	return found, nil
}
