package directory

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"gatehouse/store"
)

// FactorKind is what a person proves themselves with besides a password.
type FactorKind string

// The kinds. A set of recovery codes is no second factor of its own: it stands in for one that is lost.
const (
	FactorTOTP     FactorKind = "totp"    // an authenticator app (RFC 6238)
	FactorPasskey  FactorKind = "passkey" // a passkey or security key (WebAuthn)
	FactorRecovery FactorKind = "recovery"
)

// MaxFactors bounds the factors of one person, the set of recovery codes included.
const MaxFactors = 20

// MaxFactorName bounds the name that a person gives a factor, in bytes.
const MaxFactorName = 60

// Factor is a second factor, or a passkey, of a person. It is apart from Users, so that no list or export of people holds one;
// Seed is sealed, Codes are hashes, and what PublicKey says is public.
type Factor struct {
	ID        string     `json:"id"`   // "fac_…"
	User      string     `json:"user"` // user id
	Kind      FactorKind `json:"kind"`
	Name      string     `json:"name"` // as the person calls it
	Created   time.Time  `json:"created"`
	LastUsed  time.Time  `json:"last_used,omitzero"`
	Seed      []byte     `json:"seed,omitempty"`       // of TOTP
	Step      int64      `json:"step,omitempty"`       // of TOTP: the last step of time whose code was taken
	PublicKey *PublicKey `json:"public_key,omitempty"` // of a passkey
	Codes     []string   `json:"codes,omitempty"`      // of recovery: the hashes of those that are left
}

// PublicKey is a WebAuthn credential (webauthn-3, 4: credential record).
type PublicKey struct {
	ID         []byte   `json:"id"`
	Key        []byte   `json:"key"` // COSE
	Flags      byte     `json:"flags"`
	SignCount  uint32   `json:"sign_count,omitempty"`
	AAGUID     []byte   `json:"aaguid,omitempty"` // the model of the authenticator, if it tells
	Transports []string `json:"transports,omitempty"`
}

// Factors is the table of Factor.
var Factors = &store.Table[Factor]{
	Name:    "factor",
	Version: 1,
	Key:     func(f *Factor) string { return f.ID },
	Lists:   map[string]func(*Factor) []string{"user": func(f *Factor) []string { return []string{f.User} }},
	Unique: map[string]func(*Factor) string{"credential": func(f *Factor) string {
		if f.PublicKey == nil {
			return ""
		}
		return credentialKey(f.PublicKey.ID)
	}},
}

func newFactorID() string { return "fac_" + strings.ToLower(rand.Text()) }

func credentialKey(id []byte) string { return base64.RawURLEncoding.EncodeToString(id) }

// Second tells whether the factor is a second one beside a password.
func (f *Factor) Second() bool { return f.Kind == FactorTOTP || f.Kind == FactorPasskey }

// FactorsOf lists the factors of a person, the oldest first.
func FactorsOf(tx store.Tx, user string) ([]Factor, error) {
	all, _, err := Factors.List(tx, store.Page{Index: "user", Value: user})
	slices.SortFunc(all, func(a, b Factor) int {
		return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
	})
	return all, err
}

// HasSecond tells whether a person has a second factor. Removing the last one removes the recovery codes, so one record tells.
func HasSecond(tx store.Tx, user string) (bool, error) {
	n, err := Factors.Count(tx, store.Page{Index: "user", Value: user}, 1)
	return n > 0, err
}

// FactorOf finds one factor of a person; another person's is not found.
func FactorOf(tx store.Tx, user, id string) (Factor, error) {
	factor, _, err := Factors.Get(tx, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && factor.User != user {
		return Factor{}, &MissingError{"way to sign in", id}
	}
	return factor, err
}

// AddFactor stores a new factor. It refuses the 21st, and a credential that somebody has already.
func AddFactor(tx store.Tx, factor Factor) (Factor, error) {
	if err := checkFactorName(factor.Name); err != nil {
		return factor, err
	}
	n, err := Factors.Count(tx, store.Page{Index: "user", Value: factor.User}, MaxFactors)
	if err != nil {
		return factor, err
	}
	if n >= MaxFactors {
		return factor, refuse("You have %d ways to sign in, which is the most: remove one first", n)
	}
	if factor.ID == "" {
		factor.ID = newFactorID()
	}
	return factor, Factors.Put(tx, &factor)
}

// RenameFactor gives a factor another name.
func RenameFactor(tx store.Tx, user, id, name string) (Factor, error) {
	factor, err := FactorOf(tx, user, id)
	if err != nil {
		return factor, err
	}
	if err := checkFactorName(name); err != nil {
		return factor, err
	}
	factor.Name = name
	return factor, Factors.Put(tx, &factor)
}

// RemoveFactor removes a factor, and with the last second one the recovery codes, which would stand in for nothing.
func RemoveFactor(tx store.Tx, user, id string) (Factor, error) {
	factor, err := FactorOf(tx, user, id)
	if err != nil {
		return factor, err
	}
	if err := Factors.Delete(tx, id); err != nil {
		return factor, err
	}
	left, err := FactorsOf(tx, user)
	if err != nil || slices.ContainsFunc(left, func(f Factor) bool { return f.Second() }) {
		return factor, err
	}
	_, err = RemoveFactors(tx, user)
	return factor, err
}

// RemoveFactors removes every factor of a person, and tells how many there were.
func RemoveFactors(tx store.Tx, user string) (int, error) {
	all, err := FactorsOf(tx, user)
	for i := range all {
		err = errors.Join(err, Factors.Delete(tx, all[i].ID))
	}
	return len(all), err
}

func checkFactorName(name string) error {
	if strings.TrimSpace(name) == "" || len(name) > MaxFactorName {
		return refuse("Give it a name of 1 to %d characters, such as the name of the device", MaxFactorName)
	}
	return checkText("name", name)
}
