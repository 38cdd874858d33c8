package sp

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"gatehouse/store"
)

// Credentials are by what an app proves itself: its client id, and the hashes of the secrets that are good now.
type Credentials struct {
	ClientID string   `json:"client_id,omitempty"`
	Secrets  []Secret `json:"secrets,omitempty"` // the newest last, at most two, so that a rotation has no gap

	Initial    *Secret `json:"initial,omitempty"`    // initial access token, by which clients register under the app
	Management *Secret `json:"management,omitempty"` // registration access token, by which a client manages itself
}

// Secret is one client secret. Its hash is SHA-256, which is right for 256 random bits.
type Secret struct {
	ID      string    `json:"id"`
	Hash    string    `json:"hash"`
	Created time.Time `json:"created"`
}

// maxSecrets is how many secrets are good at once.
const maxSecrets = 2

// NewClientID makes a client id: 26 lower-case base32 characters (130 random bits).
func NewClientID() string { return strings.ToLower(rand.Text()) }

// RandomSecret makes a value of 256 random bits, 43 characters of base64url.
func RandomSecret() string {
	var random [32]byte
	rand.Read(random[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(random[:])
}

func hashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// AddSecret makes a new secret, which is returned and stored nowhere; the oldest of what would be three is good no longer.
func (a *App) AddSecret(now time.Time) string {
	secret := RandomSecret()
	secrets := append(slices.Clone(a.Credentials.Secrets), Secret{ID: "sec_" + strings.ToLower(rand.Text()[:12]), Hash: hashSecret(secret), Created: now})
	a.Credentials.Secrets = secrets[max(len(secrets)-maxSecrets, 0):]
	return secret
}

// EndOldSecrets leaves the newest secret alone, and returns how many were good beside it.
func (a *App) EndOldSecrets() int {
	old := max(len(a.Credentials.Secrets)-1, 0)
	a.Credentials.Secrets = slices.Clone(a.Credentials.Secrets[old:])
	return old
}

// FindSecret returns the secret that a client showed; nil: it is none of the app's. An empty one never is.
func (c *Credentials) FindSecret(shown string) *Secret {
	hash := []byte(hashSecret(shown))
	var found *Secret
	for i := range c.Secrets {
		if subtle.ConstantTimeCompare(hash, []byte(c.Secrets[i].Hash)) == 1 && shown != "" {
			found = &c.Secrets[i]
		}
	}
	return found
}

// SecretUse tells when a secret was shown last. It is apart from the app, whose revision decisions rest on.
type SecretUse struct {
	ID string    `json:"id"` // of the Secret
	At time.Time `json:"at"` // within an hour
}

// SecretUses is the table of those, one record per secret.
var SecretUses = &store.Table[SecretUse]{
	Name:    "secret_use",
	Version: 1,
	Key:     func(u *SecretUse) string { return u.ID },
	Expires: func(u *SecretUse) time.Time { return u.At.Add(400 * 24 * time.Hour) },
}

// useEvery is how often the use of a secret is written again.
const useEvery = time.Hour

// LastUse is when a secret was shown last, zero for one that never was.
func LastUse(tx store.Tx, id string) (time.Time, error) {
	use, _, err := SecretUses.Get(tx, id)
	if errors.Is(err, store.ErrNotFound) {
		return time.Time{}, nil
	}
	return use.At, err
}

// NoteUse records that a secret was shown, if that is worth a write.
func NoteUse(tx store.Tx, id string, now time.Time) error {
	last, err := LastUse(tx, id)
	if err != nil || now.Sub(last) < useEvery {
		return err
	}
	return SecretUses.Put(tx, &SecretUse{ID: id, At: now})
}
