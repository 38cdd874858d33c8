package saml

import (
	"crypto"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"

	"gatehouse/sp"
)

// Verify checks the message's signature with the app's keys, and demands one if required. It sets Signed. Any signature
// that is present must verify, even where none is required. On POST and SOAP, the content is then read again, from nothing but the
// bytes that the signature covers. The app must be the one found by Head.Issuer.
func (m *Message) Verify(app *sp.SAML, required bool) *Problem {
	legacy := app.SignatureAlgorithm() == sp.AlgorithmSHA1
	var problem *Problem
	switch {
	case m.Binding == sp.BindingRedirect && m.query.hasSignature:
		problem = m.verifyQuery(signingKeys(&app.Metadata), legacy)
	case m.Binding == sp.BindingRedirect && m.shape != nil:
		problem = badSignature(errors.New("an XML signature inside a message sent by HTTP-Redirect (bindings 3.4.4.1)"))
	case m.shape != nil:
		problem = m.verifyEnveloped(signingKeys(&app.Metadata), legacy)
	case required:
		problem = local(ReasonUnsigned, "This app must sign its messages, and this one is not signed. Ask the app's administrator to switch signing on.")
	default:
		return nil
	}
	m.Signed = problem == nil
	return problem
}

// signingKeys are the keys that may have signed a request; one that cannot be read is left out, for another may match.
func signingKeys(md *sp.Metadata) []crypto.PublicKey {
	var keys []crypto.PublicKey
	for _, k := range md.SigningKeys() {
		if public, err := k.Public(); err == nil {
			keys = append(keys, public)
		}
	}
	return keys
}

// badSignature has one text for all causes: which key was tried, or how far it got, is nobody's business.
func badSignature(err error) *Problem {
	return local(ReasonBadSignature, "The signature of the app's message does not match any signing key in its metadata. Import the app's current metadata, or ask the app's administrator.").caused(err)
}

func noKeys() *Problem {
	return local(ReasonBadSignature, "The app signed its message, but its metadata holds no key to check that with. Import metadata with a signing key.")
}

// verifyQuery checks a Redirect signature over the octets as they came, in the order that bindings 3.4.4.1 fixes.
func (m *Message) verifyQuery(keys []crypto.PublicKey, legacy bool) *Problem {
	uri, err := url.QueryUnescape(m.query.sigAlg)
	if err != nil {
		return malformed(errors.New("SigAlg is not URL-encoded correctly"))
	}
	algorithm, problem := acceptable(uri, legacy)
	if problem != nil {
		return problem
	}
	encoded, err := url.PathUnescape(m.query.signature)
	if err != nil {
		return malformed(errors.New("the signature is not URL-encoded correctly"))
	}
	signature, err := decodeSignature(encoded)
	if err != nil {
		return badSignature(err)
	}
	signed := make([]byte, 0, len(m.query.message)+len(m.query.relayState)+len(m.query.sigAlg)+40)
	signed = append(append(append(signed, m.query.parameter...), '='), m.query.message...)
	if m.query.hasRelay {
		signed = append(append(signed, "&RelayState="...), m.query.relayState...)
	}
	signed = append(append(signed, "&SigAlg="...), m.query.sigAlg...)
	return tryKeys(keys, algorithm, func(key crypto.PublicKey) error {
		if !algorithm.verify(key, signed, signature) {
			return errors.New("the query signature does not match")
		}
		return nil
	})
}

// tryKeys gives each key of the algorithm's kind alone to check, until one matches.
func tryKeys(keys []crypto.PublicKey, algorithm *algorithm, check func(crypto.PublicKey) error) *Problem {
	if len(keys) == 0 {
		return noKeys()
	}
	err := errors.New("no key of the app's metadata is of the kind that " + algorithm.name + " needs")
	for _, key := range keys {
		if kindOf(key) != algorithm.kind {
			continue
		}
		if err = check(key); err == nil {
			return nil
		}
	}
	return badSignature(err)
}

// decodeSignature reads base64 with or without line breaks and padding.
func decodeSignature(encoded string) ([]byte, error) {
	signature, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(withoutSpace(encoded), "="))
	if err != nil || len(signature) == 0 {
		return nil, errors.New("the signature value is not base64")
	}
	return signature, nil
}

// withoutSpace drops the white space that XML allows inside base64.
func withoutSpace(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x80 && isSpace(byte(r)) {
			return -1
		}
		return r
	}, s)
}
