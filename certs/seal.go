package certs

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// KeySize is the length of a sealing key in bytes.
const KeySize = 32

// sealVersion opens every sealed value, so that another construction can follow.
const sealVersion = 1

// ErrSealed says that a sealed value is damaged, belongs to another context, or was sealed under another key.
var ErrSealed = errors.New("the sealed value cannot be opened with this sealing key")

// Sealer encrypts secrets for the store: AES-256-GCM with a random nonce. The context (such as "key:ID") is authenticated,
// so that a value moved to another record does not open. Safe for concurrent use.
type Sealer struct {
	aead cipher.AEAD
	id   string
}

// NewSealer makes a Sealer of a key of KeySize bytes.
func NewSealer(key []byte) (*Sealer, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("a sealing key has %d bytes, this one has %d", KeySize, len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	name := hmac.New(sha256.New, key)
	name.Write([]byte("gatehouse sealing key id"))
	return &Sealer{aead: aead, id: hex.EncodeToString(name.Sum(nil)[:6])}, nil
}

// ID names the sealing key without telling it: 12 hex digits.
func (s *Sealer) ID() string { return s.id }

// Seal encrypts plaintext for a context.
func (s *Sealer) Seal(context string, plaintext []byte) []byte {
	return s.aead.Seal([]byte{sealVersion}, nil, plaintext, []byte(context))
}

// Open returns what Seal was given, or ErrSealed.
func (s *Sealer) Open(context string, sealed []byte) ([]byte, error) {
	if len(sealed) < 1 || sealed[0] != sealVersion {
		return nil, fmt.Errorf("%s: %w", context, ErrSealed)
	}
	plaintext, err := s.aead.Open(nil, nil, sealed[1:], []byte(context))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", context, ErrSealed)
	}
	return plaintext, nil
}

// newKey makes a random sealing key.
func newKey() []byte {
	key := make([]byte, KeySize)
	rand.Read(key) // never fails (crypto/rand)
	return key
}
