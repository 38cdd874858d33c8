package oauth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	strict "github.com/go-jose/go-jose/v4/json"

	"gatehouse/sp"
)

// clientAlgorithms are all that clients may sign with: asymmetric ones alone, so that no public key is ever taken for a shared
// secret, and never "none" (RFC 8725, 3.1).
var clientAlgorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

func clientAlgorithmNames() []string {
	names := make([]string, 0, len(clientAlgorithms))
	for _, one := range clientAlgorithms {
		names = append(names, string(one))
	}
	return names
}

// fits tells whether a key is of the kind and strength that an algorithm takes.
func fits(key *jose.JSONWebKey, algorithm string) bool {
	if key.Algorithm != "" && key.Algorithm != algorithm {
		return false
	}
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		return (strings.HasPrefix(algorithm, "RS") || strings.HasPrefix(algorithm, "PS")) && strong(public)
	case *ecdsa.PublicKey:
		return algorithm == map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[public.Curve.Params().Name]
	case ed25519.PublicKey:
		return algorithm == string(jose.EdDSA)
	}
	return false
}

// strong tells whether a key is long enough to be believed; curves are by their kind.
func strong(key any) bool {
	public, ok := key.(*rsa.PublicKey)
	return !ok || public.N.BitLen() >= sp.StrongRSABits
}

// unverified reads a JWT that somebody else signed, of one of the types given in lower case; "" is one that names none. Nothing of
// it counts before its signature does.
func unverified(token string, types ...string) (*jose.JSONWebSignature, *Problem) {
	parsed, err := jose.ParseSigned(token, clientAlgorithms)
	var algorithm *jose.ErrUnexpectedSignatureAlgorithm
	switch {
	case errors.As(err, &algorithm):
		return nil, refuse("", "jwt_algorithm", "The JWT is signed in a way that is not taken.").because(strings.Join(clientAlgorithmNames(), " "), string(algorithm.Got))
	case err != nil || len(parsed.Signatures) != 1:
		return nil, refuse("", "jwt_unreadable", "The JWT cannot be read.")
	}
	kind, _ := parsed.Signatures[0].Protected.ExtraHeaders[jose.HeaderType].(string)
	if !slices.Contains(types, strings.TrimPrefix(strings.ToLower(kind), "application/")) {
		return nil, refuse("", "jwt_type", "The JWT is of another type than is wanted here.").because(strings.Join(types, " "), kind)
	}
	return parsed, nil
}

// signedBy reads the claims of a JWT that a key of the client signed. What the claims say is the caller's to judge; the problem has
// no code yet. It must not be called inside a transaction.
func (h *Handlers) signedBy(ctx context.Context, app *sp.App, token string, claims any, types ...string) *Problem {
	parsed, problem := unverified(token, types...)
	if problem != nil {
		return problem
	}
	header := parsed.Signatures[0].Protected
	keys, problem := h.keysOf(ctx, app, withID(header.KeyID))
	if problem != nil {
		return problem
	}
	return openJWT(parsed, keys, claims)
}

// openJWT reads the claims of a JWT that one of the keys signed.
func openJWT(parsed *jose.JSONWebSignature, keys []jose.JSONWebKey, claims ...any) *Problem {
	header, tried := parsed.Signatures[0].Protected, 0
	for i := range keys {
		key := &keys[i]
		if header.KeyID != "" && key.KeyID != "" && key.KeyID != header.KeyID || !fits(key, header.Algorithm) || tried == maxTries {
			continue
		}
		tried++
		payload, err := parsed.Verify(key.Key)
		if err != nil {
			continue
		}
		for _, one := range claims {
			if strict.Unmarshal(payload, one) != nil {
				return refuse("", "jwt_unreadable", "The claims of the JWT cannot be read.")
			}
		}
		return nil
	}
	if tried == 0 {
		return refuse("", "jwt_key_unknown", "There is no key that the JWT could be signed with.").because("a published key for "+header.Algorithm, header.KeyID)
	}
	return refuse("", "jwt_signature", "The signature of the JWT is not by a published key.")
}
