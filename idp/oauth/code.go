package oauth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"

	"gatehouse/idp/flow"
	"gatehouse/idp/grants"
	"gatehouse/idp/session"
	"gatehouse/sp"
	"gatehouse/store"
)

func badGrant(reason, text string) *Problem { return refuse(codeInvalidGrant, reason, text) }

// redeem exchanges a code (RFC 6749, 4.1.3), once: a second time ends all that came of the first.
func (h *Handlers) redeem(tx store.Tx, c *call) (*issue, *Problem, error) {
	if c.form.Get("code") == "" {
		return nil, refuse(codeInvalidRequest, "no_code", "The request holds no code."), nil
	}
	code, _, err := grants.Codes.Get(tx, grants.Hash(c.form.Get("code")))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, badGrant("unknown_code", "The code is none of ours, or long expired."), nil
	case err != nil:
		return nil, nil, err
	case code.Grant.App != c.app.ID:
		return nil, badGrant("code_of_other_client", "The code was not given to this client."), nil
	case !code.Redeemed.IsZero():
		problem := badGrant("code_replayed", "The code was used before, so everything that it gave is revoked. Sign in again.")
		return nil, problem, endGrant(tx, code.Grant.ID, "replayed")
	}
	c.facts["grant"] = code.Grant.ID
	if problem := h.checkCode(&code, c); problem != nil {
		return nil, problem, nil
	}
	if problem := boundTo(grants.Binding{Key: code.Key}, c.has); problem != nil {
		return nil, problem, nil
	}
	if problem, err := h.stillSignedIn(tx, &code.Grant); problem != nil || err != nil {
		return nil, problem, err
	}
	facts, problem, err := h.reconsider(tx, &code.Grant, c, nil)
	if problem != nil || err != nil {
		return nil, problem, err
	}
	code.Redeemed = c.now
	i := &issue{facts: facts, grant: &code.Grant, nonce: code.Nonce}
	if i.scopes = within(code.Grant.Scopes, facts.App.AllowedScopes()); len(i.scopes) == 0 {
		return nil, refuse(codeInvalidScope, "scope_not_allowed", "The app may have nothing any more of what the person agreed to."), nil
	}
	if i.resources, problem = h.aimed(facts.App, c.form["resource"], i.grant.Resources); problem != nil {
		return nil, problem, nil
	}
	if err := h.open(tx, c, i); err != nil {
		return nil, nil, err
	}
	return i, nil, grants.Codes.Put(tx, &code)
}

// checkCode compares what the code is bound to: time, redirect URI, and the verifier of whoever asked for it (RFC 7636, 4.6).
func (h *Handlers) checkCode(code *grants.Code, c *call) *Problem {
	verifier := c.form.Get("code_verifier")
	switch {
	case !c.now.Before(code.Expires):
		return badGrant("code_expired", "The code has expired: it is good for a minute. Sign in again.")
	case c.form.Get("redirect_uri") != code.Redirect:
		return badGrant("wrong_redirect_uri", "The redirect_uri is not the one that the code was sent to.").because(code.Redirect, c.form.Get("redirect_uri"))
	case code.Challenge == "" && c.app.Definition.OAuth.NeedsPKCE():
		return badGrant("no_code_challenge", "This app must use PKCE now. Sign in again.")
	case code.Challenge == "" && verifier != "":
		return badGrant("pkce_downgrade", "There is a code_verifier, but the sign-in began without a code_challenge. Sign in again.")
	case code.Challenge != "" && verifier == "":
		return badGrant("no_code_verifier", "The code needs its code_verifier.")
	case code.Challenge != "" && !(isVerifier(verifier, 128) && provesChallenge(verifier, code.Challenge)):
		return badGrant("wrong_code_verifier", "The code_verifier is not the one that the sign-in began with.")
	}
	return nil
}

func provesChallenge(verifier, challenge string) bool {
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}

// stillSignedIn refuses what was to end with a session that is over.
func (h *Handlers) stillSignedIn(tx store.Tx, g *grants.Grant) (*Problem, error) {
	if g.Session == "" {
		return nil, nil
	}
	_, err := h.Engine.Sessions.ByHandle(tx, g.Session)
	if errors.Is(err, session.ErrNone) {
		return badGrant("signed_out", "The person has signed out meanwhile. Sign in again."), nil
	}
	return nil, err
}

// reconsider asks whether a grant still counts, and then the policy, as at the sign-in.
func (h *Handlers) reconsider(tx store.Tx, g *grants.Grant, c *call, refresh *sp.Refresh) (*flow.Facts, *Problem, error) {
	live, err := g.Live(tx)
	if err != nil {
		return nil, nil, err
	}
	if !live {
		reason := "ended"
		if g.Dead != "" {
			reason = g.Dead
		}
		return nil, badGrant("grant_"+reason, "What the person had given to this app was ended. Sign in again."), nil
	}
	facts, step, err := h.Engine.Reconsider(tx, standing(g, c.address.String(), refresh))
	switch {
	case err != nil:
		return nil, nil, err
	case step.Kind != flow.StepIssue:
		return nil, denied(codeInvalidGrant, step), nil
	case facts.App.Definition.OAuth == nil:
		return nil, badClient("unknown_client"), nil
	}
	return facts, nil, nil
}

// open stores a grant, with a refresh token if the app may act while the person is away.
func (h *Handlers) open(tx store.Tx, c *call, i *issue) error {
	g, policy := i.grant, &i.facts.App.Policy
	g.Used, g.Until = c.now, c.now.Add(lifetime(i.facts))
	if offline(i.scopes) && policy.Refreshes() {
		if err := makeRoom(tx, g); err != nil {
			return err
		}
		refresh := &grants.RefreshToken{Grant: g.ID, Issued: c.now}
		if c.app.Definition.OAuth.Public() { // others prove themselves at every refresh anyway (RFC 9449, 5)
			refresh.Binding = c.binding()
		}
		i.refresh, refresh.Until = newRefresh(refresh), policy.RefreshUntil(c.now, c.now)
		g.Refresh, g.Until = refresh.Family, keptUntil(refresh.Until, g.Until)
		if err := grants.RefreshTokens.Put(tx, refresh); err != nil {
			return err
		}
	}
	return grants.AllGrants.Put(tx, g)
}
