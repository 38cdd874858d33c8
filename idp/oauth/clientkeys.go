package oauth

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	strict "github.com/go-jose/go-jose/v4/json"

	"gatehouse/idp/outbound"
	"gatehouse/sp"
)

// clientAlgorithms are all that clients may sign with: asymmetric ones alone, so that no public key is ever taken for a shared
// secret, and never "none" (RFC 8725, 3.1).
var clientAlgorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

func clientAlgorithmNames() []string {
	names := make([]string, 0, len(clientAlgorithms))
	for _, one := range clientAlgorithms {
		names = append(names, string(one))
	}
	return names
}

// Bounds of the keys of clients.
const (
	keysFresh    = 10 * time.Minute // after which they are fetched again
	keysKept     = time.Hour        // how long they count while their address does not answer
	fetchEvery   = time.Minute      // of one address, also for a key id that is not known
	maxKeyBytes  = 64 << 10
	maxKeys      = 50    // of one client
	maxTries     = 5     // keys tried for one signature
	maxAddresses = 1_000 // of each kind that are kept

	fetchesPerMinute = 2 // of one address that was not kept meanwhile
)

var errFetched = errors.New("this address was asked a moment ago, and what it said is not kept, because many others were needed since")

// keptAt is what was fetched last from addresses that clients named. The zero value is ready; do not copy.
type keptAt[T any] struct {
	mu   sync.Mutex
	kept map[string]*keptOne[T] // by address
	uses int
}

type keptOne[T any] struct {
	what *T
	used int // in the order of uses
}

// keptKeys are the keys that a client publishes at an address.
type keptKeys struct {
	mu      sync.Mutex // held while fetching: one fetch of one address at a time
	keys    []jose.JSONWebKey
	fetched time.Time
	tried   time.Time
	err     error // of the last try
}

// at is what is kept of an address; where there are too many of them, the one that was used longest ago makes room.
func (c *keptAt[T]) at(address string) *T {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept[address] == nil {
		c.put(address, new(T))
	}
	c.uses++
	c.kept[address].used = c.uses
	return c.kept[address].what
}

// adopt takes over what another one kept.
func (c *keptAt[T]) adopt(address string, what *T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(address, what)
}

func (c *keptAt[T]) put(address string, what *T) {
	if c.kept == nil {
		c.kept = map[string]*keptOne[T]{}
	}
	if c.kept[address] == nil && len(c.kept) >= maxAddresses {
		oldest, used := "", c.uses+1
		for one, kept := range c.kept {
			if kept.used < used {
				oldest, used = one, kept.used
			}
		}
		delete(c.kept, oldest)
	}
	c.kept[address] = &keptOne[T]{what, c.uses}
}

// find gives the keys of an address, fetched anew where they are old or hold no key of that id. They may be used for an hour while
// the address does not answer.
func (k *keptKeys) find(now time.Time, id string, fetch func() ([]jose.JSONWebKey, error)) ([]jose.JSONWebKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	known := id == "" || slices.ContainsFunc(k.keys, func(key jose.JSONWebKey) bool { return key.KeyID == id })
	if (!known || now.Sub(k.fetched) >= keysFresh) && now.Sub(k.tried).Abs() >= fetchEvery {
		k.tried = now
		keys, err := fetch()
		if k.err = err; err == nil {
			k.keys, k.fetched = keys, now
		}
	}
	if now.Sub(k.fetched) >= keysKept {
		return nil, k.err
	}
	return k.keys, nil
}

// keysOf are the public keys of a client: those of its registration, or those at its address, which only the hardened client
// fetches. The problem has no code yet. It must not be called inside a transaction.
func (h *Handlers) keysOf(ctx context.Context, app *sp.App, id string) ([]jose.JSONWebKey, *Problem) {
	client := app.Definition.OAuth
	var keys []jose.JSONWebKey
	var err error
	switch {
	case client.JWKSURI == "":
		keys, err = readKeys(client.JWKS)
	case app.State != sp.Active: // anybody may have registered it
		return nil, refuse("", "app_not_active", "The app waits for approval or is blocked, so its keys (jwks_uri) are not fetched.")
	default:
		keys, err = h.keysAt(ctx, &h.published, client.JWKSURI, id)
	}
	if err != nil { // the cause is for the administrator alone: it tells what our network looks like
		return nil, refuse("", "client_keys", "The app's keys (jwks_uri) cannot be had now.").because(client.JWKSURI, err.Error())
	}
	return keys, nil
}

// keysAt are the keys that an address publishes.
func (h *Handlers) keysAt(ctx context.Context, cache *keptAt[keptKeys], address, id string) ([]jose.JSONWebKey, error) {
	now := h.Now()
	return cache.at(address).find(now, id, func() ([]jose.JSONWebKey, error) {
		if h.fetches.over(address, now, fetchesPerMinute) {
			return nil, errFetched
		}
		h.fetches.count(address, now)
		var body bytes.Buffer
		// Not the caller's context: who hangs up must not spoil the one try in a minute.
		_, err := h.Fetch.Get(context.WithoutCancel(ctx), outbound.Ask{URL: address, Accept: "application/jwk-set+json, application/json", Most: maxKeyBytes}, &body)
		if err != nil {
			return nil, err
		}
		return readKeys(body.Bytes())
	})
}

// readKeys reads a JSON Web Key Set (RFC 7517, section 5): keys that are not understood or not for signatures are as if they were
// not there.
func readKeys(text []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if len(text) == 0 {
		return nil, nil
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, errors.New("this is not a JSON Web Key Set like {\"keys\":[…]}")
	}
	var keys []jose.JSONWebKey
	for _, one := range set.Keys[:min(len(set.Keys), maxKeys)] {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(one) == nil && key.IsPublic() && key.Valid() && (key.Use == "" || key.Use == "sig") {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// fits tells whether a key is of the kind and strength that an algorithm takes.
func fits(key *jose.JSONWebKey, algorithm string) bool {
	if key.Algorithm != "" && key.Algorithm != algorithm {
		return false
	}
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		return (strings.HasPrefix(algorithm, "RS") || strings.HasPrefix(algorithm, "PS")) && strong(public)
	case *ecdsa.PublicKey:
		return algorithm == map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[public.Curve.Params().Name]
	case ed25519.PublicKey:
		return algorithm == string(jose.EdDSA)
	}
	return false
}

// strong tells whether a key is long enough to be believed; curves are by their kind.
func strong(key any) bool {
	public, ok := key.(*rsa.PublicKey)
	return !ok || public.N.BitLen() >= sp.StrongRSABits
}

// unverified reads a JWT that somebody else signed, of one of the types given in lower case; "" is one that names none. Nothing of
// it counts before its signature does.
func unverified(token string, types ...string) (*jose.JSONWebSignature, *Problem) {
	parsed, err := jose.ParseSigned(token, clientAlgorithms)
	var algorithm *jose.ErrUnexpectedSignatureAlgorithm
	switch {
	case errors.As(err, &algorithm):
		return nil, refuse("", "jwt_algorithm", "The JWT is signed in a way that is not taken.").because(strings.Join(clientAlgorithmNames(), " "), string(algorithm.Got))
	case err != nil || len(parsed.Signatures) != 1:
		return nil, refuse("", "jwt_unreadable", "The JWT cannot be read.")
	}
	kind, _ := parsed.Signatures[0].Protected.ExtraHeaders[jose.HeaderType].(string)
	if !slices.Contains(types, strings.TrimPrefix(strings.ToLower(kind), "application/")) {
		return nil, refuse("", "jwt_type", "The JWT is of another type than is wanted here.").because(strings.Join(types, " "), kind)
	}
	return parsed, nil
}

// signedBy reads the claims of a JWT that a key of the client signed. What the claims say is the caller's to judge; the problem has
// no code yet. It must not be called inside a transaction.
func (h *Handlers) signedBy(ctx context.Context, app *sp.App, token string, claims any, types ...string) *Problem {
	parsed, problem := unverified(token, types...)
	if problem != nil {
		return problem
	}
	header := parsed.Signatures[0].Protected
	keys, problem := h.keysOf(ctx, app, header.KeyID)
	if problem != nil {
		return problem
	}
	return openJWT(parsed, keys, claims)
}

// openJWT reads the claims of a JWT that one of the keys signed.
func openJWT(parsed *jose.JSONWebSignature, keys []jose.JSONWebKey, claims ...any) *Problem {
	header, tried := parsed.Signatures[0].Protected, 0
	for i := range keys {
		key := &keys[i]
		if header.KeyID != "" && key.KeyID != "" && key.KeyID != header.KeyID || !fits(key, header.Algorithm) || tried == maxTries {
			continue
		}
		tried++
		payload, err := parsed.Verify(key.Key)
		if err != nil {
			continue
		}
		for _, one := range claims {
			if strict.Unmarshal(payload, one) != nil {
				return refuse("", "jwt_unreadable", "The claims of the JWT cannot be read.")
			}
		}
		return nil
	}
	if tried == 0 {
		return refuse("", "jwt_key_unknown", "There is no key that the JWT could be signed with.").because("a published key for "+header.Algorithm, header.KeyID)
	}
	return refuse("", "jwt_signature", "The signature of the JWT is not by a published key.")
}
