package oauth

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	strict "github.com/go-jose/go-jose/v4/json"
	"github.com/go-jose/go-jose/v4/jwt"

	"gatehouse/idp/flow"
	"gatehouse/idp/grants"
	"gatehouse/sp"
	"gatehouse/store"
)

// assertionType is the one kind of client_assertion (RFC 7523, 2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// Bounds of what clients sign.
const (
	maxAssertionAge = 10 * time.Minute // from its making to its end
	clockSkew       = time.Minute      // by which a client's clock may be wrong
	maxJTI          = 256              // bytes
)

// single is a name that counts once, until it could not be used any more; again is what a second use is told.
type single struct {
	name  string
	until time.Time
	again *Problem
}

// spend marks the names, inside the transaction that does what they are for.
func spend(tx store.Tx, names []single) (*Problem, error) {
	for _, one := range names {
		err := flow.Once(tx, one.name, one.until)
		if errors.Is(err, flow.ErrReplayed) {
			return one.again, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// claimedSubject is who an assertion says that it is of; nothing of it is proven.
func claimedSubject(assertion string) string {
	parsed, problem := unverified(assertion, assertionTypes()...)
	if problem != nil {
		return ""
	}
	var claims jwt.Claims
	if strict.Unmarshal(parsed.UnsafePayloadWithoutVerification(), &claims) != nil {
		return ""
	}
	return claims.Subject
}

// assertionTypes: no other kind of JWT that the client signs is taken for an assertion (RFC 8725, 3.11).
func assertionTypes() []string { return []string{"", "jwt", "client-authentication+jwt"} }

// checkAssertion holds a client's own JWT against its keys (RFC 7523, section 3; OpenID Connect Core 1.0, section 9). What comes with
// a nil problem must be spent with the request.
func (h *Handlers) checkAssertion(r *http.Request, app *sp.App, assertion string) (single, *Problem) {
	var claims jwt.Claims
	problem := h.signedBy(r.Context(), app, assertion, &claims, assertionTypes()...)
	if problem == nil {
		problem = h.judgeAssertion(r, app.Credentials.ClientID, &claims)
	}
	if problem != nil {
		problem.Code, problem.Status, problem.Challenge = codeInvalidClient, http.StatusUnauthorized, basicChallenge
		return single{}, problem
	}
	return single{
		name: "assertion/" + app.ID + "/" + grants.Hash(claims.ID), until: claims.Expiry.Time().Add(clockSkew),
		again: badClient("assertion_replayed"),
	}, nil
}

func (h *Handlers) judgeAssertion(r *http.Request, id string, claims *jwt.Claims) *Problem {
	switch {
	case claims.Subject != id || claims.Issuer != id:
		return refuse("", "assertion_of_other_client", "The iss and sub of the client_assertion must both be the client_id.").because(id, claims.Issuer+" "+claims.Subject)
	case claims.ID == "" || len(claims.ID) > maxJTI:
		return refuse("", "assertion_jti", "The client_assertion needs a jti of at most 256 bytes.")
	case claims.Expiry == nil:
		return refuse("", "assertion_exp", "The client_assertion needs an exp.")
	}
	if problem := h.meant(claims.Audience, slices.Concat([]string{h.BaseURL}, h.addresses(tokenPath), h.addresses(r.URL.Path))...); problem != nil {
		return problem
	}
	return h.timely(claims)
}

// meant refuses a JWT that is for somebody else too: whoever gets it could show it here (RFC 7523, section 3).
func (h *Handlers) meant(audience jwt.Audience, ours ...string) *Problem {
	if foreign := slices.ContainsFunc(audience, func(one string) bool { return !slices.Contains(ours, one) }); foreign || len(audience) == 0 {
		return refuse("", "jwt_audience", "The aud of the JWT must be the issuer and nobody else.").because(h.BaseURL, strings.Join(audience, " "))
	}
	return nil
}

// timely judges exp, nbf and iat. A missing exp is the caller's to refuse.
func (h *Handlers) timely(claims *jwt.Claims) *Problem {
	now := h.Now()
	switch {
	case claims.Expiry != nil && !now.Before(claims.Expiry.Time().Add(clockSkew)):
		return refuse("", "jwt_expired", "The JWT has expired: make a new one for each request.")
	case claims.Expiry != nil && claims.Expiry.Time().After(now.Add(maxAssertionAge+clockSkew)):
		return refuse("", "jwt_long_lived", "The JWT is good for longer than 10 minutes, which is not taken.")
	case claims.NotBefore != nil && claims.NotBefore.Time().After(now.Add(clockSkew)), claims.IssuedAt != nil && claims.IssuedAt.Time().After(now.Add(clockSkew)):
		return refuse("", "jwt_of_the_future", "The JWT is not good yet: set the clock of the app.")
	case claims.IssuedAt != nil && claims.IssuedAt.Time().Before(now.Add(-maxAssertionAge-clockSkew)):
		return refuse("", "jwt_old", "The JWT was made more than 10 minutes ago: make a new one for each request.")
	}
	return nil
}
