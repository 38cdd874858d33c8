package oauth

import (
	"net/http"
	"strings"
	"time"

	"gatehouse/certs"
	"gatehouse/idp/flow"
	"gatehouse/idp/grants"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
)

// Prefixes of opaque values, by which people and scanners know what they found.
const (
	codePrefix    = "gac_"
	accessPrefix  = "gat_"
	refreshPrefix = "grt_"
)

// isJWT tells a signed token from an opaque one.
func isJWT(token string) bool { return strings.Count(token, ".") == 2 }

// issue is what a method decided to give: what it fills itself first, then what give makes of it.
type issue struct {
	facts     *flow.Facts
	grant     *grants.Grant
	scopes    []string // of the access token
	resources []string // what the access token is for; nil: Gatehouse
	own       bool     // the grant lies in its one access token
	alone     bool     // nobody signed in for it, so there is no ID token
	refreshed bool
	until     time.Time      // when the access token ends at the latest; zero: open
	from      string         // key of the access token that it was exchanged for
	act       []string       // client ids that act for the person, the latest first
	held      grants.Binding // of the token that it was exchanged for, which binds the new one too
	nonce     string
	refresh   string // the refresh token

	bound   grants.Binding // of the access token
	access  string         // the access token, or the jti of one that will be signed
	issued  time.Time
	expires time.Time
	key     *certs.Key     // nil: there is nothing to sign
	told    map[string]any // claims of the ID token about the person; nil: there is none
}

// give makes the access token and gathers what is signed after the commit.
func (h *Handlers) give(tx store.Tx, c *call, i *issue) (*Problem, error) {
	client := i.facts.App.Definition.OAuth
	identify := openID(i.scopes) && !i.own && !i.alone
	if identify || client.JWTAccess() {
		var problem *Problem
		var err error
		if i.key, problem, err = h.signingKey(tx, i.facts.App); problem != nil || err != nil {
			return problem, err
		}
	}
	if i.bound = c.binding(); i.held.Certificate != "" {
		i.bound.Certificate = i.held.Certificate
	}
	i.access, i.issued, i.expires = sp.RandomSecret(), c.now, c.now.Add(lifetime(i.facts))
	if !i.until.IsZero() && i.until.Before(i.expires) {
		i.expires = i.until
	}
	hash := jtiHash(i.access)
	if !client.JWTAccess() {
		i.access = accessPrefix + i.access
		hash = grants.Hash(i.access)
	}
	token := &grants.AccessToken{
		Hash: hash, Grant: i.grant.ID, Scopes: i.scopes, Resources: i.resources, Address: c.address.String(), Refreshed: i.refreshed, From: i.from, Act: i.act, Binding: i.bound, Issued: c.now, Expires: i.expires,
	}
	if i.own {
		token.Own = i.grant
	}
	if err := grants.AccessTokens.Put(tx, token); err != nil || !identify {
		return nil, err
	}
	t, err := h.tell(tx, i.facts)
	if err != nil {
		return nil, err
	}
	if i.grant.Claims != nil {
		err = t.add(nil, i.grant.Claims.IDToken)
	}
	i.told = t.told
	return nil, err
}

// lifetime is how long an access token is good: as the app is set, no longer than its session timeout where it is opaque.
func lifetime(f *flow.Facts) time.Duration {
	client := f.App.Definition.OAuth
	if timeout := f.SessionTimeout(); timeout > 0 && !client.JWTAccess() {
		return min(timeout, client.AccessLifetime())
	}
	return client.AccessLifetime()
}

// tokens is the answer of the token endpoint (RFC 6749, 5.1).
type tokens struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
	Scope        string `json:"scope,omitempty"`             // of a token that only says who calls there is none
	Issued       string `json:"issued_token_type,omitempty"` // of an exchange (RFC 8693, 2.2.1)
}

// hand signs what has to be signed and answers. Everything is committed by now.
func (h *Handlers) hand(w http.ResponseWriter, i *issue) error {
	answer := tokens{
		AccessToken: i.access, TokenType: tokenType(i.bound), ExpiresIn: int(i.expires.Sub(i.issued).Seconds()), RefreshToken: i.refresh,
		Scope: strings.Join(i.scopes, " "),
	}
	if i.from != "" {
		answer.Issued = typeAccessToken
	}
	var err error
	if i.facts.App.Definition.OAuth.JWTAccess() {
		if answer.AccessToken, err = h.sign(i.key, typeAccess, h.accessClaims(i)); err != nil {
			return err
		}
	}
	if i.told != nil {
		if answer.IDToken, err = h.sign(i.key, typeIDToken, h.idClaims(i, answer.AccessToken)); err != nil {
			return err
		}
	}
	web.WriteJSON(w, http.StatusOK, answer)
	return nil
}

// accessClaims are those of RFC 9068, 2.2. Where the client names no resource the audience is Gatehouse itself, which whoever verifies
// the token knows by its issuer.
func (h *Handlers) accessClaims(i *issue) map[string]any {
	claims := map[string]any{
		"iss": h.BaseURL, "aud": audienceClaim(h.audience(i.resources)), "sub": h.subject(i.facts.App, i.grant.User), "client_id": i.facts.App.Credentials.ClientID,
		"iat": i.issued.Unix(), "exp": i.expires.Unix(), "jti": i.access,
	}
	if len(i.scopes) > 0 {
		claims["scope"] = strings.Join(i.scopes, " ")
	}
	if cnf := confirms(i.bound); cnf != nil {
		claims["cnf"] = cnf
	}
	if actor := actorOf(i.act); actor != nil {
		claims["act"] = actor
	}
	if i.grant.Class != "" {
		claims["auth_time"], claims["acr"], claims["amr"] = i.grant.AuthAt.Unix(), i.grant.Class, references(sp.Level(i.grant.Level), i.grant.Methods)
	}
	return claims
}

// idClaims are those of OpenID Connect Core 1.0, section 2, beside what is told about the person.
func (h *Handlers) idClaims(i *issue, access string) map[string]any {
	claims := i.told
	claims["iss"], claims["sub"], claims["aud"] = h.BaseURL, h.subject(i.facts.App, i.grant.User), i.facts.App.Credentials.ClientID
	claims["iat"], claims["exp"] = i.issued.Unix(), i.issued.Add(i.facts.App.Definition.OAuth.IDLifetime()).Unix()
	claims["auth_time"], claims["acr"] = i.grant.AuthAt.Unix(), i.grant.Class
	claims["at_hash"] = accessHash(string(algorithmOf(i.key)), access)
	if amr := references(sp.Level(i.grant.Level), i.grant.Methods); len(amr) > 0 {
		claims["amr"] = amr
	}
	if i.nonce != "" {
		claims["nonce"] = i.nonce
	}
	if i.grant.SID != "" {
		claims["sid"] = i.grant.SID
	}
	return claims
}
