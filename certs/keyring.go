package certs

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"gatehouse/store"
)

// State is where a key is in its life.
type State string

// The life of a key: next (published, not used) → active (signs) → retiring (still published, so that what it signed
// verifies) → retired (neither; its private part is gone).
const (
	Next     State = "next"
	Active   State = "active"
	Retiring State = "retiring"
	Retired  State = "retired"
)

// Entry is one key's place in the ring.
type Entry struct {
	ID        string    `json:"id"`
	Algorithm Algorithm `json:"algorithm"`
	State     State     `json:"state"`
	Created   time.Time `json:"created"`
	Activated time.Time `json:"activated,omitzero"`
	Retired   time.Time `json:"retired,omitzero"` // when it became retiring or retired
	NotAfter  time.Time `json:"not_after"`        // of its certificate
}

// Ring is the one record that says which key does what; every change of the ring changes its revision.
type Ring struct {
	Name string  `json:"name"`
	Keys []Entry `json:"keys"`
}

// KeyRecord is the material of one key: Private is PKCS #8, sealed for "key:ID", and empty once the key is retired.
type KeyRecord struct {
	ID          string `json:"id"`
	Certificate []byte `json:"certificate"`
	Private     []byte `json:"private,omitempty"`
}

// Rings holds the one Ring, Keys the material.
var (
	Rings = &store.Table[Ring]{Name: "keyring", Version: 1, Key: func(r *Ring) string { return r.Name }}
	Keys  = &store.Table[KeyRecord]{Name: "key", Version: 1, Key: func(k *KeyRecord) string { return k.ID }}
)

// RingKey is the key of the one record in Rings: its revision covers every stage, activation and retirement.
const RingKey = "signing"

// Bounds and refusals.
const maxLiving = 16 // keys that are not retired; each one makes the metadata longer

var (
	// ErrNoKey says that the ring has no such key, or that it is retired.
	ErrNoKey = errors.New("there is no such signing key; `gatehouse key list` shows them")
	// ErrKeyState says that a key cannot go from where it is to where it should.
	ErrKeyState = errors.New("the key cannot do that now")
)

// Key is a key of the ring, ready for use. Shared and read-only.
type Key struct {
	Entry
	Signer      crypto.Signer
	Certificate []byte // DER
}

// Sealing is what the ring needs of a Sealer.
type Sealing interface {
	Seal(context string, plaintext []byte) []byte
	Open(context string, sealed []byte) ([]byte, error)
}

// Keyring hands out the signing keys. Unsealed keys are kept in memory for one revision of the ring, so that a signature
// costs one small read and no unsealing, and a change holds from its commit. Safe for concurrent use; do not copy.
type Keyring struct {
	Seal Sealing
	Now  func() time.Time

	mu       sync.RWMutex
	revision store.Revision
	loaded   []*Key

	secretsMu sync.RWMutex
	secrets   map[string][]byte
}

// Ensure makes the first key, RSA and active at once, if the ring is empty. Call it at every start.
func (k *Keyring) Ensure(ctx context.Context, s store.Store, host string) error {
	var empty bool
	if err := s.View(ctx, func(tx store.Tx) error {
		ring, err := readRing(tx)
		empty = len(ring.Keys) == 0
		return err
	}); err != nil || !empty {
		return err
	}
	material, err := Generate(RSA, host, k.Now())
	if err != nil {
		return err
	}
	return s.Update(ctx, func(tx store.Tx) error {
		if ring, err := readRing(tx); err != nil || len(ring.Keys) > 0 {
			return err // another node was first
		}
		entry, err := k.Stage(tx, material)
		if err != nil {
			return err
		}
		_, err = k.Activate(tx, entry.ID)
		return err
	})
}

// Revision is the revision of the whole ring: a decision that used a key compares it in its last transaction.
func (k *Keyring) Revision(tx store.Tx) (store.Revision, error) { return Rings.Revision(tx, RingKey) }

// Active returns the key that signs with an algorithm, and the ring's revision.
func (k *Keyring) Active(tx store.Tx, algorithm Algorithm) (*Key, store.Revision, error) {
	keys, revision, err := k.living(tx)
	if err != nil {
		return nil, 0, err
	}
	for _, key := range keys {
		if key.State == Active && key.Algorithm == algorithm {
			return key, revision, nil
		}
	}
	return nil, revision, fmt.Errorf("active %s: %w", algorithm, ErrNoKey)
}

// ByID returns a key that is not retired, and the ring's revision.
func (k *Keyring) ByID(tx store.Tx, id string) (*Key, store.Revision, error) {
	keys, revision, err := k.living(tx)
	if err != nil {
		return nil, 0, err
	}
	for _, key := range keys {
		if key.ID == id {
			return key, revision, nil
		}
	}
	return nil, revision, fmt.Errorf("%q: %w", id, ErrNoKey)
}

// Published returns the keys to publish: active ones first, then next, then retiring.
func (k *Keyring) Published(tx store.Tx) ([]*Key, store.Revision, error) {
	keys, revision, err := k.living(tx)
	keys = slices.Clone(keys)
	order := map[State]int{Active: 0, Next: 1, Retiring: 2}
	slices.SortStableFunc(keys, func(a, b *Key) int { return order[a.State] - order[b.State] })
	return keys, revision, err
}

// List returns every key's place, oldest first, retired ones included.
func (k *Keyring) List(tx store.Tx) ([]Entry, error) {
	ring, err := readRing(tx)
	return ring.Keys, err
}

// Stage adds a key as next: published, so that service providers can learn it before it signs.
func (k *Keyring) Stage(tx store.Tx, material *Material) (Entry, error) {
	ring, err := readRing(tx)
	if err != nil {
		return Entry{}, err
	}
	living := 0
	for _, e := range ring.Keys {
		if e.State != Retired {
			living++
		}
	}
	if living >= maxLiving {
		return Entry{}, fmt.Errorf("%w: %d keys are published already; retire one first", ErrKeyState, living)
	}
	certificate, err := x509.ParseCertificate(material.Certificate)
	if err != nil {
		return Entry{}, fmt.Errorf("stage key: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(material.signer)
	if err != nil {
		return Entry{}, fmt.Errorf("stage key: %w", err)
	}
	entry := Entry{ID: newID(), Algorithm: material.Algorithm, State: Next, Created: k.Now(), NotAfter: certificate.NotAfter}
	record := KeyRecord{ID: entry.ID, Certificate: material.Certificate, Private: k.Seal.Seal("key:"+entry.ID, private)}
	if err := Keys.Put(tx, &record); err != nil {
		return Entry{}, err
	}
	ring.Keys = append(ring.Keys, entry)
	return entry, Rings.Put(tx, &ring)
}

// Activate makes a next or retiring key the one that signs; the one that did becomes retiring.
func (k *Keyring) Activate(tx store.Tx, id string) (Entry, error) {
	ring, entry, err := find(tx, id)
	if err != nil {
		return Entry{}, err
	}
	if entry.State == Active || entry.State == Retired {
		return Entry{}, fmt.Errorf("%w: key %s is %s", ErrKeyState, id, entry.State)
	}
	for i := range ring.Keys {
		if e := &ring.Keys[i]; e.State == Active && e.Algorithm == entry.Algorithm {
			e.State, e.Retired = Retiring, k.Now()
		}
	}
	entry.State, entry.Activated, entry.Retired = Active, k.Now(), time.Time{}
	return *entry, Rings.Put(tx, &ring)
}

// Retire takes a next or retiring key out of the metadata and destroys its private part. The active key is refused: activate
// another first.
func (k *Keyring) Retire(tx store.Tx, id string) (Entry, error) {
	ring, entry, err := find(tx, id)
	if err != nil {
		return Entry{}, err
	}
	if entry.State == Active || entry.State == Retired {
		return Entry{}, fmt.Errorf("%w: key %s is %s; only a next or retiring key can be retired", ErrKeyState, id, entry.State)
	}
	record, _, err := Keys.Get(tx, id)
	if err != nil {
		return Entry{}, err
	}
	record.Private = nil
	if err := Keys.Put(tx, &record); err != nil {
		return Entry{}, err
	}
	entry.State, entry.Retired = Retired, k.Now()
	return *entry, Rings.Put(tx, &ring)
}

func readRing(tx store.Tx) (Ring, error) {
	ring, _, err := Rings.Get(tx, RingKey)
	if errors.Is(err, store.ErrNotFound) {
		return Ring{Name: RingKey}, nil
	}
	return ring, err
}

func find(tx store.Tx, id string) (Ring, *Entry, error) {
	ring, err := readRing(tx)
	if err != nil {
		return ring, nil, err
	}
	i := slices.IndexFunc(ring.Keys, func(e Entry) bool { return e.ID == id })
	if i < 0 {
		return ring, nil, fmt.Errorf("%q: %w", id, ErrNoKey)
	}
	return ring, &ring.Keys[i], nil
}

// living returns the unsealed keys of the ring as it is in this transaction. Revisions are random, so one that was written by
// a transaction that failed is never met again.
func (k *Keyring) living(tx store.Tx) ([]*Key, store.Revision, error) {
	revision, err := k.Revision(tx)
	if err != nil || revision == 0 {
		return nil, revision, err
	}
	k.mu.RLock()
	loaded, at := k.loaded, k.revision
	k.mu.RUnlock()
	if at == revision {
		return loaded, revision, nil
	}
	if loaded, err = k.load(tx); err != nil {
		return nil, 0, err
	}
	k.mu.Lock()
	k.loaded, k.revision = loaded, revision
	k.mu.Unlock()
	return loaded, revision, nil
}

func (k *Keyring) load(tx store.Tx) ([]*Key, error) {
	ring, err := readRing(tx)
	if err != nil {
		return nil, err
	}
	var keys []*Key
	for _, entry := range ring.Keys {
		if entry.State == Retired {
			continue
		}
		key, err := k.unseal(tx, entry)
		if err != nil {
			return nil, fmt.Errorf("signing key %s: %w", entry.ID, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func (k *Keyring) unseal(tx store.Tx, entry Entry) (*Key, error) {
	record, _, err := Keys.Get(tx, entry.ID)
	if err != nil {
		return nil, err
	}
	der, err := k.Seal.Open("key:"+entry.ID, record.Private)
	if err != nil {
		return nil, err
	}
	signer, err := parseSigner(der)
	if err != nil {
		return nil, err
	}
	if err := belong(signer, record.Certificate); err != nil {
		return nil, err
	}
	return &Key{Entry: entry, Signer: signer, Certificate: record.Certificate}, nil
}

// belong refuses a certificate that is not the key's.
func belong(signer crypto.Signer, der []byte) error {
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	same := false
	switch public := signer.Public().(type) {
	case *rsa.PublicKey:
		same = public.Equal(certificate.PublicKey)
	case *ecdsa.PublicKey:
		same = public.Equal(certificate.PublicKey)
	}
	if !same {
		return errors.New("the certificate belongs to another key")
	}
	return nil
}
