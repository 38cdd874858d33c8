package grants

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"gatehouse/store"
)

// APIToken lets a program use Gatehouse's own API and SCIM. Whoever shows its secret acts as the token, within its scopes. Of the
// secret, 256 random bits, only the hash is kept, which needs no salt for that reason.
type APIToken struct {
	ID        string         `json:"id"` // "tok_…", the actor in the audit
	Name      string         `json:"name"`
	Hash      string         `json:"hash"`                // SHA-256 of the secret, hex
	Scopes    []string       `json:"scopes"`              // of sp.APIScopes
	Addresses []netip.Prefix `json:"addresses,omitempty"` // from where it may be used; empty: from anywhere
	Creator   string         `json:"creator"`             // user id, or "uid N" of the socket
	Created   time.Time      `json:"created"`
	Expires   time.Time      `json:"expires"`
	LastUsed  time.Time      `json:"last_used,omitzero"` // to the quarter of an hour
	LastFrom  string         `json:"last_from,omitempty"`
}

const (
	apiTokenPrefix = "tok_"
	secretPrefix   = "gha_" // so that a secret that leaks into a repository is found by who looks for such
	keptExpired    = 30 * 24 * time.Hour
	tokenUsedEvery = 15 * time.Minute
)

// APITokens is the table of API tokens. An expired one stays in the list for 30 days, so that it is seen why something stopped.
var APITokens = &store.Table[APIToken]{
	Name:    "api_token",
	Version: 1,
	Key:     func(t *APIToken) string { return t.ID },
	Unique: map[string]func(*APIToken) string{
		"name": func(t *APIToken) string { return strings.ToLower(t.Name) },
		"hash": func(t *APIToken) string { return t.Hash },
	},
	Expires: func(t *APIToken) time.Time { return t.Expires.Add(keptExpired) },
}

// NewAPIToken makes id and secret of a token and returns the secret, which is nowhere else: show it once.
func NewAPIToken(t *APIToken) (secret string) {
	random := make([]byte, 32)
	rand.Read(random)
	secret = secretPrefix + base64.RawURLEncoding.EncodeToString(random)
	t.ID, t.Hash = apiTokenPrefix+strings.ToLower(rand.Text()), hashOf(secret)
	return secret
}

// IsAPIToken tells whether an id is a token's.
func IsAPIToken(id string) bool { return strings.HasPrefix(id, apiTokenPrefix) }

// IsAPISecret tells whether a text has the form of an API token's secret.
func IsAPISecret(secret string) bool { return strings.HasPrefix(secret, secretPrefix) }

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// FindAPIToken returns the token of a secret; without one the error is store.ErrNotFound. Whether it may be used is for the caller
// to ask with Ends and From.
func FindAPIToken(tx store.Tx, secret string) (APIToken, error) {
	if !IsAPISecret(secret) {
		return APIToken{}, store.ErrNotFound
	}
	token, _, err := APITokens.By(tx, "hash", hashOf(secret))
	return token, err
}

// ResolveAPIToken finds a token by id or name.
func ResolveAPIToken(tx store.Tx, ref string) (APIToken, error) {
	token, _, err := APITokens.Get(tx, ref)
	if errors.Is(err, store.ErrNotFound) {
		token, _, err = APITokens.By(tx, "name", strings.ToLower(ref))
	}
	return token, err
}

// Ended tells whether the token is over its time.
func (t *APIToken) Ended(now time.Time) bool { return !now.Before(t.Expires) }

// From tells whether the token may be used from an address.
func (t *APIToken) From(address netip.Addr) bool {
	return len(t.Addresses) == 0 || slices.ContainsFunc(t.Addresses, func(p netip.Prefix) bool { return p.Contains(address) })
}

// Used notes a use and tells whether that is worth writing: at most once in a quarter of an hour.
func (t *APIToken) Used(address netip.Addr, now time.Time) bool {
	if !t.LastUsed.IsZero() && now.Sub(t.LastUsed) < tokenUsedEvery {
		return false
	}
	t.LastUsed, t.LastFrom = now, ""
	if address.IsValid() {
		t.LastFrom = address.String()
	}
	return true
}
