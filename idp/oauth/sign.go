package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"

	"gatehouse/certs"
	"gatehouse/idp/grants"
	"gatehouse/sp"
	"gatehouse/store"
)

// Types of the JWTs that we make (RFC 7519, 5.1; RFC 9068, 2.1). One kind is never taken for another (RFC 8725, 3.11).
const (
	typeIDToken = "JWT"
	typeAccess  = "at+jwt"
	typeLogout  = "logout+jwt"

	// typeUserInfo is nobody's standard; it keeps what is told of a person from being taken for an ID token.
	typeUserInfo = "userinfo+jwt"
)

// algorithms are all that we sign with and verify; a token's own header never adds to them.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256}

// keyKind is the kind of key that signs by an algorithm of a client's registration.
func keyKind(algorithm string) certs.Algorithm {
	if algorithm == sp.AlgorithmES256 {
		return certs.ECDSA
	}
	return certs.RSA
}

func algorithmOf(key *certs.Key) jose.SignatureAlgorithm {
	switch key.Algorithm {
	case certs.ECDSA:
		return jose.ES256
	case certs.ECDSA384:
		return jose.ES384
	case certs.ECDSA521:
		return jose.ES512
	}
	return jose.RS256
}

// signerCache keeps what is made once of each key of the ring and each type of token.
type signerCache struct {
	mu   sync.RWMutex
	made map[signerKey]jose.Signer
}

type signerKey struct {
	key *certs.Key
	typ string
}

// of wraps a key. Keys are shared pointers, new for each revision of the ring, so the cache starts afresh with them.
func (c *signerCache) of(key *certs.Key, typ string) (jose.Signer, error) {
	at := signerKey{key, typ}
	c.mu.RLock()
	signer := c.made[at]
	c.mu.RUnlock()
	if signer != nil {
		return signer, nil
	}
	options := (&jose.SignerOptions{}).WithType(jose.ContentType(typ)).WithHeader("kid", key.ID)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithmOf(key), Key: cryptosigner.Opaque(key.Signer)}, options)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", key.ID, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.made == nil || len(c.made) > 64 {
		c.made = make(map[signerKey]jose.Signer)
	}
	c.made[at] = signer
	return signer, nil
}

// sign makes a compact JWT of claims.
func (h *Handlers) sign(key *certs.Key, typ string, claims any) (string, error) {
	signer, err := h.signers.of(key, typ)
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// signingKey is the active key for a client's algorithm; a problem says that there is none.
func (h *Handlers) signingKey(tx store.Tx, app *sp.App) (*certs.Key, *Problem, error) {
	return h.keyFor(tx, app.Definition.OAuth.SigningAlgorithm())
}

func (h *Handlers) keyFor(tx store.Tx, algorithm string) (*certs.Key, *Problem, error) {
	key, _, err := h.Keys.Active(tx, keyKind(algorithm))
	if errors.Is(err, certs.ErrNoKey) {
		return nil, refuse(codeUnauthorizedClient, "no_signing_key", "There is no active key for the signature algorithm that this app is set to: an administrator can stage and activate one (gatehouse key stage).").because("an active key for "+algorithm, ""), nil
	}
	return key, nil, err
}

var errNotOurs = errors.New("not a token of ours")

// verify reads a JWT that a published key of ours signed, of one type. Time is the caller's to judge.
func (h *Handlers) verify(tx store.Tx, token, typ string, claims any) error {
	parsed, err := jose.ParseSigned(token, algorithms)
	if err != nil || len(parsed.Signatures) != 1 {
		return errNotOurs
	}
	header := parsed.Signatures[0].Protected
	if got, _ := header.ExtraHeaders[jose.HeaderType].(string); got != typ {
		return errNotOurs
	}
	keys, _, err := h.Keys.Published(tx)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if key.ID != header.KeyID || string(algorithmOf(key)) != header.Algorithm {
			continue
		}
		if payload, err := parsed.Verify(key.Signer.Public()); err == nil && json.Unmarshal(payload, claims) == nil {
			return nil
		}
	}
	return errNotOurs
}

// idTokenHint is what an id_token_hint must say.
type idTokenHint struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	Session  string `json:"sid"`
}

// hintOf reads an ID token of ours that somebody shows; it may be long expired.
func (h *Handlers) hintOf(ctx context.Context, token string) (*idTokenHint, error) {
	hint := new(idTokenHint)
	err := h.Store.View(ctx, func(tx store.Tx) error { return h.verify(tx, token, typeIDToken, hint) })
	if err == nil && (hint.Issuer != h.BaseURL || hint.Subject == "" || hint.Audience == "") {
		err = errNotOurs
	}
	return hint, err
}

// hinted is the subject of an ID token that we issued to an app.
func (h *Handlers) hinted(ctx context.Context, app *sp.App, token string) (string, error) {
	hint, err := h.hintOf(ctx, token)
	if err == nil && hint.Audience != app.Credentials.ClientID {
		err = errNotOurs
	}
	return hint.Subject, err
}

// jwks publishes the keys: active ones first, then those that will sign, early enough for everybody to fetch them, then those whose
// tokens may still be about (RFC 7517).
func (h *Handlers) jwks(w http.ResponseWriter, r *http.Request) error {
	var set jose.JSONWebKeySet
	err := h.Store.View(r.Context(), func(tx store.Tx) error {
		set = jose.JSONWebKeySet{}
		keys, _, err := h.Keys.Published(tx)
		for _, key := range keys {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: key.Signer.Public(), KeyID: key.ID, Algorithm: string(algorithmOf(key)), Use: "sig"})
		}
		return err
	})
	if err != nil {
		return err
	}
	return publish(w, "application/jwk-set+json", set)
}

// publish answers with what anybody may read and keep for a few minutes.
func publish(w http.ResponseWriter, contentType string, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Cache-Control", "public, max-age=300")
	header.Set("Access-Control-Allow-Origin", "*")
	_, err = w.Write(body)
	return err
}

// lookupKey is under which hash an access token that somebody shows is stored; empty: it cannot be one of ours. That of a JWT is
// its jti's, which only counts with our signature.
func (h *Handlers) lookupKey(tx store.Tx, token string) (string, error) {
	switch {
	case len(token) > maxParameter:
		return "", nil
	case strings.HasPrefix(token, accessPrefix):
		return grants.Hash(token), nil
	case !isJWT(token):
		return "", nil
	}
	var claims struct {
		ID string `json:"jti"`
	}
	err := h.verify(tx, token, typeAccess, &claims)
	if errors.Is(err, errNotOurs) || err == nil && claims.ID == "" {
		return "", nil
	}
	return jtiHash(claims.ID), err
}

// jtiHash keeps a jti, which is no secret, from being a token itself.
func jtiHash(id string) string { return grants.Hash("jti\x00" + id) }
