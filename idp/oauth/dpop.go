package oauth

import (
	"crypto"
	"encoding/base64"
	"net/http"
	"net/url"
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

// possession is what a request proves to have: the thumbprint of a key (RFC 7638). The zero value proves nothing.
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

// mustPossess is possessed at the token endpoint, for apps whose every token must be bound too (RFC 9449, 5.2).
func (h *Handlers) mustPossess(r *http.Request, c *identified) (possession, *Problem) {
	has, problem := h.possessed(r, "")
	switch {
	case problem != nil:
		return has, problem
	case has.key != "":
		c.once = append(c.once, has.once)
	case c.app.Definition.OAuth.NeedsDPoP():
		return has, badProof("dpop_missing", "This app takes bound tokens alone (oauth.dpop_bound_access_tokens): send a DPoP proof.")
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
	case !sameTarget(claims.URI, h.BaseURL+r.URL.Path):
		return badProof("dpop_uri", "The DPoP proof is for another address (htu).").because(h.BaseURL+r.URL.Path, claims.URI)
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

// boundTo refuses a request without the key that what it shows is bound to; an empty binding asks for none.
func boundTo(binding, key string) *Problem {
	switch {
	case binding == "" || binding == key:
		return nil
	case key == "":
		return badProof("dpop_missing", "What was shown is bound to a key: send a DPoP proof.")
	}
	return badProof("dpop_other_key", "What was shown is bound to another key than that of the DPoP proof.")
}

// confirmation is how tokens say what they are bound to (RFC 9449, 6; RFC 7800).
type confirmation struct {
	Key string `json:"jkt,omitempty"`
}

func confirms(key string) *confirmation {
	if key == "" {
		return nil
	}
	return &confirmation{Key: key}
}

// tokenType is how a token is to be shown.
func tokenType(key string) string {
	if key == "" {
		return "Bearer"
	}
	return "DPoP"
}
