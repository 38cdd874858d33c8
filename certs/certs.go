// Package certs owns keys: the ring of signing keys with their certificates, named secrets, and the sealing of all of them
// at rest under a key that lies outside the store.
//
// It must not know protocols or HTTP: SAML metadata, signatures and JWKS are made elsewhere from what the ring hands out.
// Plain private keys exist only in memory. Read seal.go for sealing, keyring.go for the ring.
package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// Algorithm is what a signing key is made for.
type Algorithm string

// RSA signs with every RSA algorithm and is what service providers expect; ECDSA costs a thirtieth where they take it.
// The longer curves are for those who demand them.
const (
	RSA      Algorithm = "rsa-2048"
	ECDSA    Algorithm = "ecdsa-p256"
	ECDSA384 Algorithm = "ecdsa-p384"
	ECDSA521 Algorithm = "ecdsa-p521"
)

// validFor is how long the self-signed certificates hold. Service providers pin them; nothing renews them behind their back.
const validFor = 10 * 365 * 24 * time.Hour

// Material is a fresh key pair that is not in the ring yet.
type Material struct {
	Algorithm   Algorithm
	Certificate []byte // DER, self-signed
	signer      crypto.Signer
}

// Generate makes a key pair with a self-signed certificate that names host. RSA takes about 0.1 s: call it outside
// transactions.
func Generate(algorithm Algorithm, host string, now time.Time) (*Material, error) {
	signer, err := newSigner(algorithm)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("make serial number: %w", err)
	}
	if len(host) > 64 { // the upper bound of a common name (RFC 5280, appendix A)
		host = host[:64]
	}
	template := &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)),
		Subject:      pkix.Name{CommonName: host},
		NotBefore:    now.Add(-time.Hour).UTC(),
		NotAfter:     now.Add(validFor).UTC(),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	return &Material{Algorithm: algorithm, Certificate: der, signer: signer}, nil
}

func newSigner(algorithm Algorithm) (crypto.Signer, error) {
	switch algorithm {
	case RSA:
		return rsa.GenerateKey(rand.Reader, 2048)
	case ECDSA:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ECDSA384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case ECDSA521:
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	}
	return nil, fmt.Errorf("there is no key algorithm %q: use %s, %s, %s or %s", algorithm, RSA, ECDSA, ECDSA384, ECDSA521)
}

// ParseAlgorithm reads the name of an algorithm as people write it: rsa, ecdsa (P-256), ecdsa-p384 or ecdsa-p521; nothing means
// RSA.
func ParseAlgorithm(name string) (Algorithm, error) {
	switch name {
	case "", "rsa", string(RSA):
		return RSA, nil
	case "ecdsa", string(ECDSA):
		return ECDSA, nil
	case string(ECDSA384), string(ECDSA521):
		return Algorithm(name), nil
	}
	return "", fmt.Errorf("there is no key algorithm %.40q: choose rsa, ecdsa, ecdsa-p384 or ecdsa-p521", name)
}

func newID() string { return "key_" + strings.ToLower(rand.Text()) }

// parseSigner reads an unsealed PKCS #8 key.
func parseSigner(der []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("the private key cannot be read") // the cause may quote key bytes
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("the private key cannot sign")
	}
	return signer, nil
}
