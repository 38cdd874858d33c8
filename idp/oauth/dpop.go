package oauth

import (
	"crypto"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	strict "github.com/go-jose/go-jose/v4/json"
	"github.com/go-jose/go-jose/v4/jwt"

	"gatehouse/idp/grants"
)

// typeDPoP is the type of a proof (RFC 9449, 4.2), in lower case.
const typeDPoP = "dpop+jwt"

// dpopAge is how old a proof may be, and how far ahead a client's clock: so long is it remembered.
const dpopAge = time.Minute

// possession is the key that a request proves to have: its thumbprint (RFC 7638). The zero value proves nothing.
type possession struct {
	key  string
	once single
}

// proofClaims are those of RFC 9449, 4.2.
type proofClaims struct {
	ID     string           `json:"jti"`
	Method string           `json:"htm"`
	URI    string           `json:"htu"`
	Issued *jwt.NumericDate `json:"iat"`
	Access string           `json:"ath"` // hash of the access token that it goes with
}

// possessed reads the DPoP proof of a request, if there is one (RFC 9449, 4.3). With an access token the proof must be for that token.
// What it gives must be spent with the request.
func (h *Handlers) possessed(r *http.Request, access string) (possession, *Problem) {
	headers := r.Header.Values("DPoP")
	if len(headers) == 0 {
		return possession{}, nil
	}
	if len(headers) > 1 || len(headers[0]) > maxParameter {
		return possession{}, badProof("dpop_repeated", "Send one DPoP header, of at most 8,192 bytes.")
	}
	parsed, problem := unverified(headers[0], typeDPoP)
	if problem != nil {
		problem.Code = codeInvalidProof
		return possession{}, problem
	}
	header := parsed.Signatures[0].Protected
	var claims proofClaims
	if header.JSONWebKey == nil || !header.JSONWebKey.IsPublic() || !header.JSONWebKey.Valid() || !fits(header.JSONWebKey, header.Algorithm) {
		return possession{}, badProof("dpop_key", "The DPoP proof must hold the public key (jwk) that it is signed with.")
	}
	payload, err := parsed.Verify(header.JSONWebKey.Key)
	if err != nil || strict.Unmarshal(payload, &claims) != nil {
		return possession{}, badProof("dpop_signature", "The DPoP proof is not signed by its own key, or cannot be read.")
	}
	if problem := h.judgeProof(r, &claims, access); problem != nil {
		return possession{}, problem
	}
	return h.possession(header.JSONWebKey, &claims)
}

func (h *Handlers) possession(key *jose.JSONWebKey, claims *proofClaims) (possession, *Problem) {
	thumb, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return possession{}, badProof("dpop_key", "The key of the DPoP proof is of no known kind.")
	}
	print := base64.RawURLEncoding.EncodeToString(thumb)
	return possession{print, single{
		name: "dpop/" + print + "/" + grants.Hash(claims.ID), until: claims.Issued.Time().Add(dpopAge),
		again: badProof("dpop_replayed", "The DPoP proof was used before: make a new one for each request."),
	}}, nil
}

// mustPossess is what a request to the token endpoint has, which is all that its app's every token must be bound to (RFC 9449, 5.2; RFC
// 8705, 3.4).
func (h *Handlers) mustPossess(r *http.Request, c *identified) (grants.Binding, *Problem) {
	has := grants.Binding{Certificate: certificateOf(r)}
	proven, problem := h.possessed(r, "")
	if problem != nil {
		return has, problem
	}
	if has.Key = proven.key; has.Key != "" {
		c.once = append(c.once, proven.once)
	}
	switch client := c.app.Definition.OAuth; {
	case has.Key == "" && client.NeedsDPoP():
		return has, badProof("dpop_missing", "This app takes bound tokens alone (oauth.dpop_bound_access_tokens): send a DPoP proof.")
	case has.Certificate == "" && client.BindsCertificates():
		return has, refuse(codeInvalidRequest, "no_certificate", "This app takes tokens alone that are bound to its certificate (oauth.tls_client_certificate_bound_access_tokens), and none came: use the mtls_endpoint_aliases of the discovery document.")
	}
	return has, nil
}

func badProof(reason, text string) *Problem { return refuse(codeInvalidProof, reason, text) }

// judgeProof holds a proof against the request that it came with.
func (h *Handlers) judgeProof(r *http.Request, claims *proofClaims, access string) *Problem {
	now := h.Now()
	switch {
	case claims.ID == "" || len(claims.ID) > maxJTI:
		return badProof("dpop_jti", "The DPoP proof needs a jti of at most 256 bytes.")
	case claims.Method != r.Method:
		return badProof("dpop_method", "The DPoP proof is for another method (htm).").because(r.Method, claims.Method)
	case !slices.ContainsFunc(h.addresses(r.URL.EscapedPath()), func(ours string) bool { return sameTarget(claims.URI, ours) }):
		return badProof("dpop_uri", "The DPoP proof is for another address (htu).").because(h.BaseURL+r.URL.EscapedPath(), claims.URI)
	case claims.Issued == nil || !now.Before(claims.Issued.Time().Add(dpopAge)) || claims.Issued.Time().After(now.Add(dpopAge)):
		return badProof("dpop_iat", "The DPoP proof was not made in this minute (iat): make a new one for each request, and set the clock.")
	case access != "" && claims.Access != grants.Hash(access):
		return badProof("dpop_ath", "The DPoP proof is for another access token (ath).")
	}
	return nil
}

// sameTarget compares an htu with our address: without query and fragment, whose scheme and host have no case (RFC 9449, 4.3).
func sameTarget(claimed, ours string) bool {
	c, err := url.Parse(claimed)
	if err != nil || c.User != nil || c.Opaque != "" {
		return false
	}
	o, err := url.Parse(ours)
	return err == nil && strings.EqualFold(c.Scheme, o.Scheme) && strings.EqualFold(withoutPort(c), withoutPort(o)) && c.EscapedPath() == o.EscapedPath()
}

// withoutPort is the host, without the port that its scheme has anyway.
func withoutPort(u *url.URL) string {
	if u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80" {
		return u.Hostname()
	}
	return u.Host
}

// boundTo refuses a request without what the thing that it shows is bound to.
func boundTo(binding, has grants.Binding) *Problem {
	switch {
	case binding.Certificate != "" && binding.Certificate != has.Certificate:
		return badGrant("other_certificate", "What was shown is bound to another client certificate than that of the request, or the request has none.")
	case binding.Key == "" || binding.Key == has.Key:
		return nil
	case has.Key == "":
		return badProof("dpop_missing", "What was shown is bound to a key: send a DPoP proof.")
	}
	return badProof("dpop_other_key", "What was shown is bound to another key than that of the DPoP proof.")
}

// confirmation is how tokens say what they are bound to (RFC 7800; RFC 9449, 6; RFC 8705, 3.1).
type confirmation struct {
	Key         string `json:"jkt,omitempty"`
	Certificate string `json:"x5t#S256,omitempty"`
}

func confirms(b grants.Binding) *confirmation {
	if b == (grants.Binding{}) {
		return nil
	}
	return &confirmation{b.Key, b.Certificate}
}

// tokenType is how a token is to be shown: one that is bound to a certificate alone as any other.
func tokenType(b grants.Binding) string {
	if b.Key == "" {
		return "Bearer"
	}
	return "DPoP"
}
