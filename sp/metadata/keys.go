package metadata

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"unicode"

	"gatehouse/sp"
)

// maxKeys bounds the keys of one app: each may have to be tried on every signed request.
const maxKeys = 100

// broken is a key that could not be read.
type broken struct {
	use    sp.KeyUse
	at     *node
	reason error
}

// keys reads every KeyDescriptor. A broken key is only a warning while a good one serves the same use.
func (r *reader) keys(role *node) error {
	var bad []broken
	for _, d := range role.all(nsMetadata, "KeyDescriptor") {
		use := sp.KeyUse(d.attr("use"))
		if use != sp.ForSigning && use != sp.ForEncryption && (use != sp.ForBoth || d.has("use")) {
			return d.fail("use=%q must be signing or encryption; correct it", short(string(use)))
		}
		found, problems := descriptorKeys(d)
		methods := encryptionMethods(d)
		for _, k := range found {
			k.Use, k.EncryptionMethods = use, methods
			r.out.Keys = append(r.out.Keys, k)
		}
		for i := range problems {
			problems[i].use = use
		}
		bad = append(bad, problems...)
		if len(r.out.Keys) > maxKeys {
			return d.fail("there are more than 100 keys; remove the old ones in the app")
		}
		if len(found)+len(problems) == 0 {
			r.warn(Caution, "key_unusable", "The key on line %d is only named, not given, and cannot be used.", d.line)
		}
	}
	for _, b := range bad {
		if !slices.ContainsFunc(r.out.Keys, func(k sp.Key) bool { return serves(k.Use, b.use) }) {
			return b.at.fail("the key in %s cannot be read: %v; ask for a valid certificate", b.at.name.Local, b.reason)
		}
		r.warn(Caution, "key_broken", "The key on line %d is left out: %v.", b.at.line, b.reason)
	}
	return nil
}

func sameKey(a, b sp.Key) bool {
	return bytes.Equal(a.Certificate, b.Certificate) && bytes.Equal(a.PublicKey, b.PublicKey)
}

func serves(have, want sp.KeyUse) bool {
	return have == want || have == sp.ForBoth || want == sp.ForBoth
}

// descriptorKeys reads all certificates of a KeyDescriptor; only where there is no good one, its bare key values.
func descriptorKeys(d *node) (keys []sp.Key, bad []broken) {
	add := func(n *node, k sp.Key, err error) {
		if err == nil {
			_, err = k.Public()
		}
		if err != nil {
			bad = append(bad, broken{at: n, reason: err})
			return
		}
		if !slices.ContainsFunc(keys, func(other sp.Key) bool { return sameKey(other, k) }) {
			keys = append(keys, k)
		}
	}
	for _, info := range d.all(nsDSig, "KeyInfo") {
		for _, data := range info.all(nsDSig, "X509Data") {
			for _, n := range data.all(nsDSig, "X509Certificate") {
				der, err := base64Value(n)
				add(n, sp.Key{Certificate: der}, err)
			}
		}
	}
	if len(keys) > 0 {
		return keys, bad
	}
	for _, info := range d.all(nsDSig, "KeyInfo") {
		for _, n := range info.all(nsDSig, "KeyValue") {
			der, err := keyValue(n)
			add(n, sp.Key{PublicKey: der}, err)
		}
	}
	return keys, bad
}

// keyValue reads a bare RSA or EC key into PKIX DER (xmldsig-core1, 4.5.2).
func keyValue(n *node) ([]byte, error) {
	switch rsaNode, ecNode := n.one(nsDSig, "RSAKeyValue"), n.one(nsDSig11, "ECKeyValue"); {
	case rsaNode != nil:
		return rsaKeyValue(rsaNode)
	case ecNode != nil:
		return ecKeyValue(ecNode)
	}
	return nil, errors.New("the key value is neither RSA nor EC")
}

func rsaKeyValue(n *node) ([]byte, error) {
	modulus, err := base64Value(n.one(nsDSig, "Modulus"))
	if err != nil {
		return nil, fmt.Errorf("modulus: %w", err)
	}
	exponent, err := base64Value(n.one(nsDSig, "Exponent"))
	if err != nil {
		return nil, fmt.Errorf("exponent: %w", err)
	}
	e := new(big.Int).SetBytes(exponent)
	if len(modulus) > 2048 || e.BitLen() > 31 || e.Sign() == 0 {
		return nil, errors.New("the RSA key's numbers are too large")
	}
	return x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: int(e.Int64())})
}

func ecKeyValue(n *node) ([]byte, error) {
	curve := n.one(nsDSig11, "NamedCurve")
	if curve == nil {
		return nil, errors.New("the EC key names no curve")
	}
	named := map[string]elliptic.Curve{
		"urn:oid:1.2.840.10045.3.1.7": elliptic.P256(),
		"urn:oid:1.3.132.0.34":        elliptic.P384(),
		"urn:oid:1.3.132.0.35":        elliptic.P521(),
	}[curve.attr("URI")]
	if named == nil {
		return nil, errors.New("the EC key's curve is not P-256, P-384 or P-521")
	}
	point, err := base64Value(n.one(nsDSig11, "PublicKey"))
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(named, point)
	if err != nil {
		return nil, errors.New("the EC key is not a point on its curve")
	}
	return x509.MarshalPKIXPublicKey(key)
}

// base64Value decodes what an element holds, through white space, PEM armour and missing padding.
func base64Value(n *node) ([]byte, error) {
	if n == nil {
		return nil, errors.New("it is missing")
	}
	text, err := n.value()
	if err != nil {
		return nil, errors.New("it holds elements instead of base64")
	}
	text = strings.NewReplacer("-----BEGIN CERTIFICATE-----", "", "-----END CERTIFICATE-----", "").Replace(text)
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, text)
	if text == "" {
		return nil, errors.New("it is empty")
	}
	der, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		return nil, errors.New("it is not base64")
	}
	return der, nil
}

// encryptionMethods reads what the app can decrypt with a key (saml-metadata-2.0-os, 2.4.1.1; xmlenc-core1, 5.5).
func encryptionMethods(d *node) []sp.EncryptionMethod {
	var list []sp.EncryptionMethod
	for _, n := range d.all(nsMetadata, "EncryptionMethod") {
		m := sp.EncryptionMethod{Algorithm: n.attr("Algorithm")}
		if digest := n.one(nsDSig, "DigestMethod"); digest != nil {
			m.Digest = digest.attr("Algorithm")
		}
		if mgf := n.one(nsXMLEnc11, "MGF"); mgf != nil {
			m.MGF = mgf.attr("Algorithm")
		}
		if m.Algorithm != "" && len(m.Algorithm)+len(m.Digest)+len(m.MGF) <= maxURI && !slices.Contains(list, m) {
			list = append(list, m)
		}
	}
	return list
}
