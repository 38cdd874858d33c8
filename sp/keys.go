package sp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
)

// SigningKeys lists the keys that may have signed a message of the app: those for signing and those without a use.
func (m *Metadata) SigningKeys() []Key { return m.keysFor(ForSigning) }

// EncryptionKeys lists the keys to which an assertion may be encrypted: those for encryption and those without a use.
func (m *Metadata) EncryptionKeys() []Key { return m.keysFor(ForEncryption) }

func (m *Metadata) keysFor(use KeyUse) []Key {
	return slices.DeleteFunc(slices.Clone(m.Keys), func(k Key) bool { return k.Use != use && k.Use != ForBoth })
}

// The sizes of keys that Gatehouse works with, in bits: Go refuses RSA keys below 1,024, and one above 8,192 costs more
// than it is worth to verify.
const (
	minRSABits    = 1024
	maxRSABits    = 8192
	minECBits     = 256
	StrongRSABits = 2048 // less draws a warning
)

// Public returns the key as *rsa.PublicKey or *ecdsa.PublicKey. A certificate's validity, issuer and usage do not matter
// (IIP-MD12).
func (k *Key) Public() (crypto.PublicKey, error) {
	if len(k.Certificate) > 0 {
		cert, err := x509.ParseCertificate(k.Certificate)
		if err != nil {
			return nil, fmt.Errorf("not a certificate: %w", err)
		}
		return checkPublic(cert.PublicKey)
	}
	public, err := x509.ParsePKIXPublicKey(k.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("not a public key: %w", err)
	}
	return checkPublic(public)
}

func checkPublic(public any) (crypto.PublicKey, error) {
	switch key := public.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return nil, fmt.Errorf("the RSA key has %d bits; between 1,024 and 8,192 work", bits)
		}
		if key.E < 3 || key.E%2 == 0 {
			return nil, errors.New("the RSA key's exponent is not an odd number above 1")
		}
		return key, nil
	case *ecdsa.PublicKey:
		if bits := key.Curve.Params().BitSize; bits < minECBits {
			return nil, fmt.Errorf("the EC key has %d bits; 256 or more work", bits)
		}
		return key, nil
	}
	return nil, errors.New("the key is neither RSA nor EC")
}

// Fingerprint is the SHA-256 of the certificate, or of the public key where there is no certificate, in hex.
func (k *Key) Fingerprint() string {
	der := k.Certificate
	if len(der) == 0 {
		der = k.PublicKey
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}
