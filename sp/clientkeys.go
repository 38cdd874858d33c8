package sp

import (
	"crypto/ecdh"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// maxJWKS bounds a client's keys, in bytes.
const maxJWKS = 32 << 10

func keySet() Setting {
	return Setting{Key: "oauth.jwks", Label: "Keys", Kind: KindJSON, Default: "none", Help: "The app's public keys, as a JSON Web Key Set (RFC 7517).",
		get: func(a *App) string { return string(client(a).JWKS) },
		set: func(a *App, v string) error {
			if v == "" {
				client(a).JWKS = nil
				return nil
			}
			if err := checkKeySet(v); err != nil {
				return err
			}
			client(a).JWKS = json.RawMessage(v)
			return nil
		}}
}

// publicKey are the members of a JSON Web Key that say what it is (RFC 7518, section 6; RFC 8037).
type publicKey struct {
	Kind     string `json:"kty"`
	Curve    string `json:"crv"`
	X        string `json:"x"`
	Y        string `json:"y"`
	Modulus  string `json:"n"`
	Exponent string `json:"e"`
}

// checkKeySet refuses keys that prove nothing: weak ones, shared secrets, and those whose private part is here for all to read.
func checkKeySet(v string) error {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if len(v) > maxJWKS || json.Unmarshal([]byte(v), &set) != nil || set.Keys == nil {
		return errors.New(`is not a JSON Web Key Set like {"keys":[…]} of at most 32 KiB`)
	}
	for i, raw := range set.Keys {
		if err := checkKey(raw); err != nil {
			return fmt.Errorf("key %d %w", i+1, err)
		}
	}
	return nil
}

func checkKey(raw json.RawMessage) error {
	var members map[string]any
	var key publicKey
	if json.Unmarshal(raw, &members) != nil || json.Unmarshal(raw, &key) != nil {
		return errors.New("is no JSON Web Key (RFC 7517)")
	}
	for name := range members { // encoding/json takes any case for the same name, others do not
		if slices.Contains([]string{"d", "p", "q", "dp", "dq", "qi", "oth"}, strings.ToLower(name)) {
			return errors.New("holds its private part: give the public one alone, and make a new key")
		}
	}
	switch key.Kind {
	case "RSA":
		return key.checkRSA()
	case "EC":
		return key.checkEC()
	case "OKP":
		if x, err := base64.RawURLEncoding.DecodeString(key.X); key.Curve != "Ed25519" && key.Curve != "X25519" || err != nil || len(x) != 32 {
			return errors.New("is on a curve that is not known, or is cut off: use P-256, P-384, P-521 or Ed25519")
		}
		return nil
	case "oct":
		return errors.New("is a shared secret (oct): give public keys alone, RSA, EC or OKP, and use this one nowhere any more")
	}
	return errors.New("is neither RSA, EC nor OKP")
}

func (k *publicKey) checkRSA() error {
	n, err := base64.RawURLEncoding.DecodeString(k.Modulus)
	e, wrong := base64.RawURLEncoding.DecodeString(k.Exponent)
	if err != nil || wrong != nil || len(n) == 0 || len(e) == 0 {
		return errors.New("has no modulus (n) or exponent (e) in base64url")
	}
	if bits := new(big.Int).SetBytes(n).BitLen(); bits < StrongRSABits || bits > maxRSABits {
		return fmt.Errorf("is an RSA key of %d bits: make one of 2,048 to 8,192", bits)
	}
	if exponent := new(big.Int).SetBytes(e); exponent.Cmp(big.NewInt(3)) < 0 || exponent.Bit(0) == 0 || exponent.BitLen() > 31 {
		return errors.New("has an exponent that is not odd, or below 3 or above 31 bits: use 65537")
	}
	return nil
}

func (k *publicKey) checkEC() error {
	curves := map[string]ecdh.Curve{"P-256": ecdh.P256(), "P-384": ecdh.P384(), "P-521": ecdh.P521()}
	curve := curves[k.Curve]
	if curve == nil {
		return fmt.Errorf("is on a curve that is not known, %q: use P-256, P-384, P-521 or Ed25519", clip(k.Curve, 20))
	}
	x, err := base64.RawURLEncoding.DecodeString(k.X)
	y, wrong := base64.RawURLEncoding.DecodeString(k.Y)
	if err == nil && wrong == nil {
		_, err = curve.NewPublicKey(slices.Concat([]byte{4}, x, y))
	}
	if err != nil || wrong != nil {
		return errors.New("is no point of its curve: its x and y are wrong or cut off")
	}
	return nil
}
