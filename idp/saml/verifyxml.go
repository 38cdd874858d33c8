package saml

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
)

// verifyEnveloped checks a message's XML signature: its declared algorithms first, then each key alone through goxmldsig.
// KeyInfo is taken out before, so that it can neither choose the key nor make a good signature fail.
func (m *Message) verifyEnveloped(keys []crypto.PublicKey, legacy bool) *Problem {
	algorithm, problem := m.shape.check(m.Head.ID, legacy)
	if problem != nil {
		return problem
	}
	var verified *etree.Element
	problem = tryKeys(keys, algorithm, func(key crypto.PublicKey) (err error) {
		verified, err = validate(m.source, key)
		return err
	})
	if problem != nil {
		return problem
	}
	return m.readVerified(verified)
}

// check refuses every algorithm and reference that is not on the list, by URI, before any library sees them.
func (s *signatureShape) check(id string, legacy bool) (*algorithm, *Problem) {
	algorithm, problem := acceptable(s.method, legacy)
	if problem != nil {
		return nil, problem
	}
	if algorithm.pss {
		return nil, refusedAlgorithm(s.method, "rsa-sha256")
	}
	switch s.digest {
	case digestSHA256, digestSHA384, digestSHA512:
	case digestSHA1:
		if !legacy {
			return nil, refusedAlgorithm(s.digest, "rsa-sha256 and the digest sha256")
		}
	default:
		return nil, refusedAlgorithm(s.digest, "the digest sha256")
	}
	if !isCanonicalisation(s.canonical) {
		return nil, refusedAlgorithm(s.canonical, "exclusive canonicalisation")
	}
	if len(s.transform) != 2 || s.transform[0] != transformEnveloped || !isCanonicalisation(s.transform[1]) {
		return nil, local(ReasonBadSignature, "The app's signature uses transforms that are refused. It must use the enveloped-signature and exclusive canonicalisation transforms.")
	}
	if s.uri != "#"+id {
		return nil, local(ReasonBadSignature, "The app's signature does not cover its message. Ask the app's administrator to check it.").because("#"+id, s.uri)
	}
	return algorithm, nil
}

// isCanonicalisation lists the forms without comments; some apps sign with the inclusive ones.
func isCanonicalisation(uri string) bool {
	return uri == nsExcC14N || uri == canonicalC14N10 || uri == canonicalC14N11
}

// validate runs goxmldsig with one bare key and returns the element parsed from the bytes that were hashed.
func validate(source string, key crypto.PublicKey) (*etree.Element, error) {
	doc := etree.NewDocument()
	if err := doc.ReadFromString(source); err != nil {
		return nil, err
	}
	return validateElement(doc.Root(), key)
}

// validateElement is validate for an element whose second child is the signature.
func validateElement(root *etree.Element, key crypto.PublicKey) (*etree.Element, error) {
	if root == nil || len(root.ChildElements()) < 2 {
		return nil, errors.New("no signature after Issuer")
	}
	signature := root.ChildElements()[1]
	for _, child := range signature.ChildElements() {
		switch child.Tag {
		case "KeyInfo":
			signature.RemoveChild(child)
		case "SignatureValue":
			if err := normaliseValue(child, key); err != nil {
				return nil, err
			}
		}
	}
	context := dsig.NewDefaultValidationContext(&dsig.MemoryX509CertificateStore{Roots: []*x509.Certificate{wrapKey(key)}})
	return context.Validate(root)
}

// normaliseValue rewrites the signature value as goxmldsig wants it: padded base64 in one line, ECDSA in ASN.1.
func normaliseValue(value *etree.Element, key crypto.PublicKey) error {
	signature, err := decodeSignature(value.Text())
	if err != nil {
		return err
	}
	if ec, ok := key.(*ecdsa.PublicKey); ok {
		if signature, err = rawToASN1(ec, signature); err != nil {
			return err
		}
	}
	value.SetText(base64.StdEncoding.EncodeToString(signature))
	return nil
}

// wrapKey makes the certificate value that goxmldsig wants around a bare key: nothing but key, kind and unlimited dates.
func wrapKey(key crypto.PublicKey) *x509.Certificate {
	kind := x509.RSA
	if kindOf(key) == keyEC {
		kind = x509.ECDSA
	}
	return &x509.Certificate{PublicKey: key, PublicKeyAlgorithm: kind, NotAfter: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}
}

// readVerified replaces the content by what the signed bytes say, and refuses if that is another message.
func (m *Message) readVerified(verified *etree.Element) *Problem {
	doc := etree.NewDocumentWithRoot(verified)
	doc.WriteSettings = etree.WriteSettings{CanonicalEndTags: true, CanonicalText: true, CanonicalAttrVal: true}
	source, err := doc.WriteToString()
	if err != nil {
		return badSignature(err)
	}
	t, shape, problem := gate(source)
	if problem != nil {
		return problem
	}
	read := Message{}
	if problem := read.readContent(t); problem != nil {
		return problem
	}
	if shape != nil || read.kind != m.kind || read.Head.ID != m.Head.ID || read.Head.Issuer != m.Head.Issuer {
		return badSignature(errors.New("the signed element is not the message"))
	}
	m.Head, m.Request, m.Logout, m.LoggedOut, m.Resolve = read.Head, read.Request, read.Logout, read.LoggedOut, read.Resolve
	m.Manage, m.Managed, m.Mapping, m.Query = read.Manage, read.Managed, read.Mapping, read.Query
	return nil
}
