package oauth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gatehouse/idp/federation"
	"gatehouse/idp/outbound"
	"gatehouse/sp"
)

// Bounds of the keys of clients.
const (
	keysFresh    = 10 * time.Minute // after which they are fetched again where their server does not say
	keysMost     = 30 * time.Minute // whatever it says
	keysKept     = time.Hour        // how long they count while their address does not answer
	fetchEvery   = time.Minute      // of one address: also for a key that is not known, and whatever its server says
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
	fresh   time.Duration // from then
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

// find gives the keys of an address, fetched anew where they are old or none of them is wanted; nil wants any. They may be used for an
// hour while the address does not answer.
func (k *keptKeys) find(now time.Time, wanted func(*jose.JSONWebKey) bool, fetch func() ([]jose.JSONWebKey, time.Duration, error)) ([]jose.JSONWebKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	known := wanted == nil || slices.ContainsFunc(k.keys, func(key jose.JSONWebKey) bool { return wanted(&key) })
	if (!known || now.Sub(k.fetched) >= k.fresh) && now.Sub(k.tried).Abs() >= fetchEvery {
		k.tried = now
		keys, fresh, err := fetch()
		if k.err = err; err == nil {
			k.keys, k.fetched, k.fresh = keys, now, fresh
		}
	}
	if now.Sub(k.fetched) >= keysKept {
		return nil, k.err
	}
	return k.keys, nil
}

// withID wants the key of an id; where there is none, any will do.
func withID(id string) func(*jose.JSONWebKey) bool {
	if id == "" {
		return nil
	}
	return func(key *jose.JSONWebKey) bool { return key.KeyID == id }
}

// keysOf are the public keys of a client: those of its registration, or those at its address, which only the hardened client
// fetches. The problem has no code yet. It must not be called inside a transaction.
func (h *Handlers) keysOf(ctx context.Context, app *sp.App, wanted func(*jose.JSONWebKey) bool) ([]jose.JSONWebKey, *Problem) {
	client := app.Definition.OAuth
	var keys []jose.JSONWebKey
	var err error
	switch {
	case client.JWKSURI == "":
		keys, err = readKeys(client.JWKS)
	case app.State != sp.Active: // anybody may have registered it
		return nil, refuse("", "app_not_active", "The app waits for approval or is blocked, so its keys (jwks_uri) are not fetched.")
	default:
		keys, err = h.keysAt(ctx, &h.published, client.JWKSURI, wanted)
	}
	if err != nil { // the cause is for the administrator alone: it tells what our network looks like
		return nil, refuse("", "client_keys", "The app's keys (jwks_uri) cannot be had now.").because(client.JWKSURI, err.Error())
	}
	return keys, nil
}

// keysAt are the keys that an address publishes, kept as its server lets us.
func (h *Handlers) keysAt(ctx context.Context, cache *keptAt[keptKeys], address string, wanted func(*jose.JSONWebKey) bool) ([]jose.JSONWebKey, error) {
	now := h.Now()
	return cache.at(address).find(now, wanted, func() ([]jose.JSONWebKey, time.Duration, error) {
		if h.fetches.over(address, now, fetchesPerMinute) {
			return nil, 0, errFetched
		}
		h.fetches.count(address, now)
		return h.fetchKeys(context.WithoutCancel(ctx), address) // who hangs up must not spoil the one try in a minute
	})
}

// fetchKeys reads the keys that an address publishes now, and says how long they may be kept.
func (h *Handlers) fetchKeys(ctx context.Context, address string) ([]jose.JSONWebKey, time.Duration, error) {
	var body bytes.Buffer
	got, err := h.Fetch.Get(ctx, outbound.Ask{URL: address, Accept: "application/jwk-set+json, application/json", Most: maxKeyBytes}, &body)
	if err != nil {
		return nil, 0, err
	}
	keys, err := readKeys(body.Bytes())
	return keys, got.Keep(fetchEvery, keysFresh, keysMost), err
}

// ProviderKeys counts the keys that a provider publishes now and that ID tokens could be signed with. An error is an *outbound.Error: what
// is no key set holds none.
func (h *Relying) ProviderKeys(ctx context.Context, provider *federation.OpenID) (int, error) {
	keys, _, err := h.fetchKeys(ctx, provider.Found.JWKSURI)
	if errors.Is(err, errNoKeySet) {
		return 0, nil
	}
	n := 0
	for i := range keys {
		if slices.ContainsFunc(algorithmsOf(provider.Found.Algorithms), func(algorithm string) bool { return fits(&keys[i], algorithm) }) {
			n++
		}
	}
	return n, err
}

var errNoKeySet = errors.New("this is not a JSON Web Key Set like {\"keys\":[…]}")

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
		return nil, errNoKeySet
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
