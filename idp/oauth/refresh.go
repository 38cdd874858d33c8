package oauth

import (
	"errors"
	"strings"
	"time"

	"gatehouse/idp/grants"
	"gatehouse/sp"
	"gatehouse/store"
)

// newRefresh gives a refresh token its first or next value: the family that stays, a dot, and a rest that is new.
func newRefresh(token *grants.RefreshToken) string {
	family := sp.RandomSecret()
	token.Family = grants.Hash(family)
	return rotated(token, family)
}

func rotated(token *grants.RefreshToken, family string) string {
	rest := sp.RandomSecret()
	token.Hash = grants.Hash(rest)
	return refreshPrefix + family + "." + rest
}

// cutRefresh takes the two parts of a refresh token apart.
func cutRefresh(token string) (family, rest string, ok bool) {
	token, prefixed := strings.CutPrefix(token, refreshPrefix)
	family, rest, cut := strings.Cut(token, ".")
	return family, rest, prefixed && cut
}

// keptUntil is when a grant can be swept: when neither its refresh token nor its access token is good any more; zero: never.
func keptUntil(refresh, access time.Time) time.Time {
	if refresh.IsZero() || refresh.After(access) {
		return refresh
	}
	return access
}

// refresh exchanges a refresh token for new tokens, and the old one is good no more (RFC 6749, 6; RFC 9700, 4.14). One that was
// used before tells that somebody else has it: everything of its grant ends.
func (h *Handlers) refresh(tx store.Tx, c *call) (*issue, *Problem, error) {
	if c.form.Get("refresh_token") == "" {
		return nil, refuse(codeInvalidRequest, "no_refresh_token", "The request holds no refresh_token."), nil
	}
	family, rest, ok := cutRefresh(c.form.Get("refresh_token"))
	token, g, err := refreshOf(tx, family)
	switch {
	case err != nil:
		return nil, nil, err
	case !ok || token == nil:
		return nil, badGrant("unknown_refresh_token", "The refresh token is none of ours, was revoked or has expired. Sign in again."), nil
	case g.App != c.app.ID:
		return nil, badGrant("refresh_token_of_other_client", "The refresh token was not given to this client."), nil
	}
	c.facts["grant"] = g.ID
	if problem := boundTo(token.Binding, c.has); problem != nil { // of no use to who lacks the key, so nothing is lost to them yet
		return nil, problem, nil
	}
	if grants.Hash(rest) != token.Hash {
		problem := badGrant("refresh_token_reused", "The refresh token was used before, so it and all that came of it is revoked. Sign in again.")
		return nil, problem, grants.Kill(tx, g, "reused")
	}
	facts, problem, err := h.reconsider(tx, g, c, &sp.Refresh{Issued: token.Issued, Used: token.Used})
	if problem != nil || err != nil {
		return nil, problem, err
	}
	if !offline(facts.App.AllowedScopes()) {
		return nil, badGrant("offline_not_allowed", "The app may not act while people are away any more (offline_access). Sign in again."), nil
	}
	i := &issue{facts: facts, grant: g, refreshed: true}
	if i.scopes, problem = narrowed(c.form.Get("scope"), within(g.Scopes, facts.App.AllowedScopes())); problem != nil {
		return nil, problem, nil
	}
	if i.resources, problem = h.aimed(facts.App, c.form["resource"], g.Resources); problem != nil {
		return nil, problem, nil
	}
	return i, nil, h.rotate(tx, c, i, token, family)
}

// rotate puts the next value in the place of the one that was used.
func (h *Handlers) rotate(tx store.Tx, c *call, i *issue, token *grants.RefreshToken, family string) error {
	i.refresh, token.Used = rotated(token, family), c.now
	token.Until = i.facts.App.Policy.RefreshUntil(token.Issued, c.now)
	if err := grants.RefreshTokens.Put(tx, token); err != nil {
		return err
	}
	until := keptUntil(token.Until, c.now.Add(lifetime(i.facts)))
	if !i.grant.Unused(c.now) && until.Equal(i.grant.Until) {
		return nil
	}
	i.grant.Used, i.grant.Until = c.now, until
	return grants.AllGrants.Put(tx, i.grant)
}

// refreshOf finds a refresh token and its grant; nil: there is none.
func refreshOf(tx store.Tx, family string) (*grants.RefreshToken, *grants.Grant, error) {
	token, _, err := grants.RefreshTokens.Get(tx, grants.Hash(family))
	if err == nil {
		var g grants.Grant
		if g, _, err = grants.AllGrants.Get(tx, token.Grant); err == nil {
			return &token, &g, nil
		}
	}
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil, nil
	}
	return nil, nil, err
}

// narrowed are the scopes of a refreshed access token: those of the grant, or some of them.
func narrowed(text string, bound []string) ([]string, *Problem) {
	asked := words(text)
	if len(asked) == 0 {
		asked = bound
	}
	if scopes := within(asked, bound); len(scopes) == len(asked) && len(scopes) > 0 {
		return scopes, nil
	}
	return nil, refuse(codeInvalidScope, "scope_not_granted", "The token that was shown does not cover these scopes, or covers none: ask for some of those that it covers.").because(strings.Join(bound, " "), text)
}

// endGrant kills a grant by its id, if it is still there.
func endGrant(tx store.Tx, id, reason string) error {
	g, _, err := grants.AllGrants.Get(tx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return grants.Kill(tx, &g, reason)
}

// makeRoom ends what a person gave to an app longest ago when there is too much of it: an app that lets people sign in again and
// again must not fill the disk.
func makeRoom(tx store.Tx, g *grants.Grant) error {
	page := store.Page{Index: "pair", Value: grants.Pair(g.User, g.App)}
	n, err := grants.AllGrants.Count(tx, page, grants.MaxPerPair)
	if err != nil || n < grants.MaxPerPair {
		return err
	}
	var oldest *grants.Grant
	err = grants.AllGrants.Each(tx, page, func(_ string, one *grants.Grant) error {
		if oldest == nil || one.Used.Before(oldest.Used) {
			oldest = one
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := grants.RefreshTokens.Delete(tx, oldest.Refresh); err != nil {
		return err
	}
	return grants.AllGrants.Delete(tx, oldest.ID)
}
