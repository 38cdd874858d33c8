package oauth

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"

	"gatehouse/idp/federation"
)

// providerSkew is how far the clock of another provider may be off, as of SAML's.
const providerSkew = 3 * time.Minute

// idToken are the claims of another provider's ID token that the protocol needs (OpenID Connect Core 1.0, section 2).
type idToken struct {
	Issuer     string           `json:"iss"`
	Subject    string           `json:"sub"`
	Audience   jwt.Audience     `json:"aud"`
	Authorised string           `json:"azp"`
	Expires    *jwt.NumericDate `json:"exp"`
	Issued     *jwt.NumericDate `json:"iat"`
	NotBefore  *jwt.NumericDate `json:"nbf"`
	SignedIn   *jwt.NumericDate `json:"auth_time"`
	Nonce      string           `json:"nonce"`
	Class      string           `json:"acr"`
	Methods    []string         `json:"amr"`
	AccessHash string           `json:"at_hash"`
	Session    string           `json:"sid"`
}

// classes are how the person signed in: the acr first, then the methods.
func (t *idToken) classes() []string {
	var list []string
	if t.Class != "" {
		list = append(list, t.Class)
	}
	for _, method := range t.Methods {
		list = append(list, federation.AMR+method)
	}
	return list
}

// believed reads the claims of a JWT of a provider's, of one of the types, by a key that the provider publishes and an algorithm of those
// that it offers, which it gives.
func (h *Relying) believed(ctx context.Context, provider *federation.OpenID, offered []string, token string, types []string, claims ...any) (algorithm string, err error) {
	if len(token) > maxAnswer {
		return "", errors.New("its JWT is too long")
	}
	parsed, problem := unverified(token, types...)
	if problem != nil {
		return "", errors.New(problem.Text + " " + problem.Received)
	}
	header := parsed.Signatures[0].Protected
	if !slices.Contains(algorithmsOf(offered), header.Algorithm) {
		return "", errors.New("its JWT is signed by an algorithm that it does not offer: " + header.Algorithm)
	}
	keys, err := h.keysAt(ctx, &h.keys, provider.Found.JWKSURI, withID(header.KeyID))
	if err != nil {
		return "", errors.Join(errors.New("its keys cannot be had"), err)
	}
	if problem := openJWT(parsed, keys, claims...); problem != nil {
		return "", errors.New(problem.Text + " " + problem.Received)
	}
	return header.Algorithm, nil
}

// readIDToken believes an ID token after all checks of OpenID Connect Core 1.0, 3.1.3.7, but for the nonce, which is the caller's. It
// gives all claims too.
func (h *Relying) readIDToken(ctx context.Context, provider *federation.OpenID, got *given) (*idToken, map[string]any, error) {
	id, told := new(idToken), map[string]any{}
	algorithm, err := h.believed(ctx, provider, provider.Found.Algorithms, got.IDToken, []string{"", "jwt"}, id, &told)
	if err != nil {
		return nil, nil, err
	}
	if err := id.check(provider, h.Now()); err != nil {
		return nil, nil, err
	}
	if id.AccessHash != "" && id.AccessHash != accessHash(algorithm, got.Access) {
		return nil, nil, errors.New("its ID token belongs to another access token (at_hash)")
	}
	return id, told, nil
}

func (t *idToken) check(provider *federation.OpenID, now time.Time) error {
	switch {
	case t.Issuer != provider.Issuer:
		return errors.New("its ID token is of another issuer: " + cut(t.Issuer))
	case !slices.Contains(t.Audience, provider.ClientID):
		return errors.New("its ID token is for somebody else: " + cut(strings.Join(t.Audience, " ")))
	case len(t.Audience) > 1 && t.Authorised == "", t.Authorised != "" && t.Authorised != provider.ClientID:
		return errors.New("its ID token was given to another client (azp): " + cut(t.Authorised))
	case t.Subject == "" || len(t.Subject) > 255:
		return errors.New("its ID token names nobody (sub)")
	case t.Expires == nil || !now.Before(t.Expires.Time().Add(providerSkew)):
		return errors.New("its ID token has expired")
	case t.Issued == nil || t.Issued.Time().After(now.Add(providerSkew)) || t.Issued.Time().Before(now.Add(-maxAssertionAge-providerSkew)):
		return errors.New("its ID token was not made now (iat): compare the clocks")
	case t.NotBefore != nil && t.NotBefore.Time().After(now.Add(providerSkew)):
		return errors.New("its ID token is not good yet (nbf): compare the clocks")
	case t.SignedIn != nil && t.SignedIn.Time().After(now.Add(providerSkew)):
		return errors.New("its ID token tells a sign-in of the future (auth_time)")
	case t.SignedIn != nil && *t.SignedIn < 0:
		return errors.New("its ID token tells a sign-in before 1970 (auth_time)")
	}
	return nil
}

// accessHash binds an access token to an ID token: the left half of the hash that goes with the ID token's algorithm (3.1.3.6); that of
// EdDSA is the one of Ed25519.
func accessHash(algorithm, access string) string {
	var sum []byte
	switch {
	case strings.HasSuffix(algorithm, "384"):
		full := sha512.Sum384([]byte(access))
		sum = full[:24]
	case strings.HasSuffix(algorithm, "256"):
		full := sha256.Sum256([]byte(access))
		sum = full[:16]
	default:
		full := sha512.Sum512([]byte(access))
		sum = full[:32]
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}
