package saml

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	_ "crypto/sha1" // for apps that an administrator set to rsa-sha1
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/asn1"
	"errors"
	"math/big"
	"strings"

	"gatehouse/sp"
)

type keyKind int

const (
	keyRSA keyKind = iota + 1
	keyEC
)

// algorithm is a signature algorithm: the name of the app key saml.signature_algorithm, and its URI on the wire.
type algorithm struct {
	name string
	uri  string
	kind keyKind
	hash crypto.Hash
	pss  bool
}

// algorithms are all that Gatehouse signs and verifies with. rsa-sha1 counts only for an app that is set to it.
var algorithms = []*algorithm{
	{"rsa-sha256", "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", keyRSA, crypto.SHA256, false},
	{"rsa-sha384", "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384", keyRSA, crypto.SHA384, false},
	{"rsa-sha512", "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512", keyRSA, crypto.SHA512, false},
	{"rsa-pss-sha256", "http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1", keyRSA, crypto.SHA256, true},
	{"ecdsa-sha256", "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256", keyEC, crypto.SHA256, false},
	{"ecdsa-sha384", "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384", keyEC, crypto.SHA384, false},
	{"ecdsa-sha512", "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512", keyEC, crypto.SHA512, false},
	{sp.AlgorithmSHA1, "http://www.w3.org/2000/09/xmldsig#rsa-sha1", keyRSA, crypto.SHA1, false},
}

// Digest and canonicalisation URIs.
const (
	digestSHA1   = "http://www.w3.org/2000/09/xmldsig#sha1"
	digestSHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
	digestSHA384 = "http://www.w3.org/2001/04/xmldsig-more#sha384"
	digestSHA512 = "http://www.w3.org/2001/04/xmlenc#sha512"

	transformEnveloped = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
	canonicalC14N10    = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
	canonicalC14N11    = "http://www.w3.org/2006/12/xml-c14n11"
)

func algorithmByURI(uri string) *algorithm {
	for _, a := range algorithms {
		if a.uri == uri {
			return a
		}
	}
	return nil
}

func algorithmByName(name string) *algorithm {
	for _, a := range algorithms {
		if a.name == name {
			return a
		}
	}
	return nil
}

// shortName is the part of an algorithm URI that people recognise.
func shortName(uri string) string {
	if at := strings.LastIndexByte(uri, '#'); at >= 0 {
		uri = uri[at+1:]
	}
	if uri == "" {
		return "none"
	}
	return cut(uri)
}

// acceptable is the algorithm for a received signature, or the problem that names it. Legacy says that the app is set to
// rsa-sha1 by its administrator.
func acceptable(uri string, legacy bool) (*algorithm, *Problem) {
	a := algorithmByURI(uri)
	if a == nil || a.hash == crypto.SHA1 && !legacy {
		return nil, refusedAlgorithm(uri, "rsa-sha256")
	}
	return a, nil
}

func refusedAlgorithm(received, expected string) *Problem {
	text := "The app signed its request with " + shortName(received) + ", which is refused. Let the app sign with " + expected + "."
	if strings.HasSuffix(received, "sha1") {
		text = "The app signed its request with " + shortName(received) + ", which is refused because SHA-1 is broken. Let the app sign with " + expected +
			", or set saml.signature_algorithm=rsa-sha1 for this app until it can."
	}
	return local(ReasonAlgorithm, text).because(expected, received)
}

func kindOf(public crypto.PublicKey) keyKind {
	switch public.(type) {
	case *rsa.PublicKey:
		return keyRSA
	case *ecdsa.PublicKey:
		return keyEC
	}
	return 0
}

// verify checks a signature over data. ECDSA values are r and s side by side (XML Signature 6.4.3); the ASN.1 form that
// some apps send on Redirect is understood too.
func (a *algorithm) verify(public crypto.PublicKey, data, signature []byte) bool {
	h := a.hash.New()
	h.Write(data)
	sum := h.Sum(nil)
	switch key := public.(type) {
	case *rsa.PublicKey:
		if a.kind != keyRSA {
			return false
		}
		if a.pss {
			return rsa.VerifyPSS(key, a.hash, sum, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
		return rsa.VerifyPKCS1v15(key, a.hash, sum, signature) == nil
	case *ecdsa.PublicKey:
		if a.kind != keyEC {
			return false
		}
		if der, err := rawToASN1(key, signature); err == nil {
			signature = der
		}
		return ecdsa.VerifyASN1(key, sum, signature)
	}
	return false
}

type ecdsaValue struct{ R, S *big.Int }

// rawToASN1 turns r||s into the form that crypto/ecdsa takes.
func rawToASN1(key *ecdsa.PublicKey, raw []byte) ([]byte, error) {
	size := (key.Curve.Params().BitSize + 7) / 8
	if len(raw) != 2*size {
		return nil, errors.New("not a raw ECDSA signature of this key's size")
	}
	return asn1.Marshal(ecdsaValue{new(big.Int).SetBytes(raw[:size]), new(big.Int).SetBytes(raw[size:])})
}

// asn1ToRaw turns what a crypto.Signer gives for ECDSA into r||s.
func asn1ToRaw(key *ecdsa.PublicKey, der []byte) ([]byte, error) {
	var value ecdsaValue
	if rest, err := asn1.Unmarshal(der, &value); err != nil || len(rest) > 0 {
		return nil, errors.New("the signer gave no ECDSA signature")
	}
	size := (key.Curve.Params().BitSize + 7) / 8
	raw := make([]byte, 2*size)
	value.R.FillBytes(raw[:size])
	value.S.FillBytes(raw[size:])
	return raw, nil
}
