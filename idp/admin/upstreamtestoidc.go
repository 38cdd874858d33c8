package admin

import (
	"context"
	"slices"
	"strings"

	"gatehouse/idp/api"
	"gatehouse/idp/federation"
	"gatehouse/sp"
)

// testOpenID looks at what a provider says of itself now, at its keys, and at how we prove ourselves there.
func (a *Actions) testOpenID(ctx context.Context, t *upstreamTest, u *federation.Upstream) {
	const what = "discovery"
	found, err := a.Sources.FetchOpenID(ctx, u.OpenID, federation.Looked{})
	switch {
	case err != nil:
		t.note(what, api.CheckBad, "%s", plainText(err))
		return
	case len(u.OpenID.Found.Differs(&found.OpenID.Found)) > 0:
		t.note(what, api.CheckWarn, "The provider says other things of itself than are known here, which are taken at the next look: `gatehouse upstream refresh %s` looks now.", u.Name)
	default:
		t.note(what, api.CheckGood, "%.200s says what is known here.", u.OpenID.Issuer)
	}
	a.testJWKS(ctx, t, found.OpenID)
	testClient(t, found.OpenID)
	testClaims(t, u)
}

// testJWKS looks whether there are keys that ID tokens could be signed with.
func (a *Actions) testJWKS(ctx context.Context, t *upstreamTest, provider *federation.OpenID) {
	const what = "keys"
	n, err := a.ProviderKeys(ctx, provider)
	switch {
	case err != nil:
		t.note(what, api.CheckBad, "Its keys cannot be had, so no sign-in could be believed: %s", plainText(err))
	case n == 0:
		t.note(what, api.CheckBad, "%s holds no key that ID tokens could be signed with, so no sign-in could be believed.", provider.Found.JWKSURI)
	default:
		t.note(what, api.CheckGood, "The keys that it signs with can be had (%d).", n)
	}
}

// testClient looks at how we prove ourselves there. Whether the secret is right shows at the first sign-in alone.
func testClient(t *upstreamTest, provider *federation.OpenID) {
	const what = "client"
	offered := provider.Found.AuthMethods
	if len(offered) > 0 && !slices.Contains(offered, provider.Auth) {
		t.note(what, api.CheckBad, "It does not take %s, but %.200s: set token_endpoint_auth_method.", provider.Auth, strings.Join(offered, ", "))
		return
	}
	if provider.Auth == sp.AuthPrivateKeyJWT {
		t.note(what, api.CheckGood, "Gatehouse signs as %.100s; the provider needs the address of our keys, /oauth/jwks.", provider.ClientID)
		return
	}
	t.note(what, api.CheckGood, "Gatehouse is known there as %.100s and has a secret; whether that is right shows at the first sign-in.", provider.ClientID)
}

// testClaims looks for claims that people may be able to choose for themselves.
func testClaims(t *upstreamTest, u *federation.Upstream) {
	if u.Match == federation.MatchUsername && u.Attribute == "" {
		t.note("claims", api.CheckWarn, "People are found by preferred_username, which some providers let people choose (OpenID Connect Core 5.7): use match=email or match=link unless it is assigned there.")
	}
	if u.Match == federation.MatchEmail && u.Attribute != "" && u.Attribute != "email" {
		t.note("claims", api.CheckWarn, "People are found by the claim %.60q, of which nothing says that it was verified: be sure that people cannot write it there.", u.Attribute)
	}
	if strings.HasPrefix(u.OpenID.Issuer, "http:") {
		t.note("claims", api.CheckWarn, "The provider is reached without encryption, so whoever is on the way can be anybody: use https.")
	}
}
