package saml

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"slices"
	"sync"

	"gatehouse/sp"
)

// Credential is one of our signing keys, with its KeyInfo made once. Read-only and safe for concurrent use.
type Credential struct {
	ID          string
	Certificate []byte // DER
	signer      crypto.Signer
	keyInfo     string
}

// NewCredential wraps a signing key and its certificate.
func NewCredential(id string, signer crypto.Signer, certificate []byte) *Credential {
	info := "<ds:KeyInfo><ds:X509Data><ds:X509Certificate>" + base64.StdEncoding.EncodeToString(certificate) +
		"</ds:X509Certificate></ds:X509Data></ds:KeyInfo>"
	return &Credential{ID: id, Certificate: certificate, signer: signer, keyInfo: info}
}

// Signing is how an answer is signed.
type Signing struct {
	key       *Credential
	algorithm *algorithm
	digest    *digest
	Response  bool
	Assertion bool
}

type digest struct {
	uri  string
	hash crypto.Hash
}

// digests in the order of preference.
var digests = []*digest{{digestSHA256, crypto.SHA256}, {digestSHA512, crypto.SHA512}, {digestSHA384, crypto.SHA384}}

// SigningFor chooses key, algorithm and digest for an app: what its setting names, else the first of ours that its
// metadata lists (alg:SigningMethod), else SHA-256 with the first key. Keys are our active ones, the preferred first.
func SigningFor(app *sp.SAML, keys []*Credential) (Signing, *Problem) {
	s := Signing{}
	s.Response, s.Assertion = app.Sign()
	if s.digest = chooseDigest(app.Metadata.DigestMethods); s.digest == nil {
		return s, cannotSign("no digest that its metadata lists is supported")
	}
	if name := app.SignatureAlgorithm(); name != "" {
		if s.algorithm = algorithmByName(name); s.algorithm == nil {
			return s, cannotSign("saml.signature_algorithm is unknown")
		}
		if s.key = s.algorithm.keyAmong(keys); s.key == nil {
			return s, cannotSign("no signing key fits saml.signature_algorithm=" + name)
		}
		return s, nil
	}
	for _, suited := range []bool{true, false} {
		for _, key := range keys {
			for _, a := range algorithms {
				listed := len(app.Metadata.SigningMethods) == 0 || slices.Contains(app.Metadata.SigningMethods, a.uri)
				if a.fits(key, suited) && a.hash != crypto.SHA1 && listed {
					s.key, s.algorithm = key, a
					return s, nil
				}
			}
		}
	}
	return s, cannotSign("no signing key fits what its metadata lists")
}

func chooseDigest(listed []string) *digest {
	for _, d := range digests {
		if len(listed) == 0 || slices.Contains(listed, d.uri) {
			return d
		}
	}
	return nil
}

// keyAmong is the first key of the algorithm's kind, of a curve as strong as its hash if there is one.
func (a *algorithm) keyAmong(keys []*Credential) *Credential {
	for _, suited := range []bool{true, false} {
		if i := slices.IndexFunc(keys, func(key *Credential) bool { return a.fits(key, suited) }); i >= 0 {
			return keys[i]
		}
	}
	return nil
}

// fits tells whether a key can sign with the algorithm; suited demands that an EC key is as strong as the hash (RFC 5480, 4).
func (a *algorithm) fits(key *Credential, suited bool) bool {
	public := key.signer.Public()
	if kindOf(public) != a.kind {
		return false
	}
	ec, ok := public.(*ecdsa.PublicKey)
	return !ok || !suited || min((ec.Curve.Params().BitSize+7)/8, 64) == a.hash.Size()
}

func cannotSign(detail string) *Problem {
	p := responder(ReasonSigning, "", "The answer to this app cannot be signed as it needs. Ask your administrator to check the app's signing settings.")
	p.Expected = detail
	return p
}

const (
	signedInfoOpen = `<ds:SignedInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#">`
	signatureOpen  = `<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:SignedInfo>`
	methodOpen     = `<ds:CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"></ds:CanonicalizationMethod><ds:SignatureMethod Algorithm="`
	referenceOpen  = `"></ds:SignatureMethod><ds:Reference URI="#`
	transforms     = `"><ds:Transforms><ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"></ds:Transform><ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"></ds:Transform></ds:Transforms><ds:DigestMethod Algorithm="`
	digestOpen     = `"></ds:DigestMethod><ds:DigestValue>`
	infoClose      = `</ds:DigestValue></ds:Reference></ds:SignedInfo>`
)

// scratches are buffers that signatures are written in before they are inserted.
var scratches = sync.Pool{New: func() any {
	scratch := make([]byte, 0, 4<<10)
	return &scratch
}}

// signInto inserts an enveloped signature at offset at over the canonical element doc[from:], whose ID is id.
func (s *Signing) signInto(doc []byte, from, at int, id string) ([]byte, error) {
	h := s.digest.hash.New()
	h.Write(doc[from:])
	var sum [64]byte
	digestValue := h.Sum(sum[:0])

	scratch := scratches.Get().(*[]byte)
	defer scratches.Put(scratch)
	signature := append(append((*scratch)[:0], signatureOpen...), methodOpen...)
	signature = append(append(append(signature, s.algorithm.uri...), referenceOpen...), id...)
	signature = append(append(append(signature, transforms...), s.digest.uri...), digestOpen...)
	signature = append(base64.StdEncoding.AppendEncode(signature, digestValue), infoClose...)

	value, err := s.sign(signature[len(signatureOpen):])
	if err != nil {
		return nil, err
	}
	signature = append(signature, "<ds:SignatureValue>"...)
	signature = base64.StdEncoding.AppendEncode(signature, value)
	signature = append(append(append(signature, "</ds:SignatureValue>"...), s.key.keyInfo...), "</ds:Signature>"...)
	*scratch = signature
	return slices.Insert(doc, at, signature...), nil
}

// sign signs the rest of a SignedInfo element, completed to its own canonical form.
func (s *Signing) sign(info []byte) ([]byte, error) {
	h := s.algorithm.hash.New()
	h.Write([]byte(signedInfoOpen))
	h.Write(info)
	var sum [64]byte
	return s.signSum(h.Sum(sum[:0]))
}

func (s *Signing) signSum(sum []byte) ([]byte, error) {
	var options crypto.SignerOpts = s.algorithm.hash
	if s.algorithm.pss {
		options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: s.algorithm.hash}
	}
	value, err := s.key.signer.Sign(rand.Reader, sum, options)
	if err != nil {
		return nil, fmt.Errorf("sign with key %s: %w", s.key.ID, err)
	}
	if public, ok := s.key.signer.Public().(*ecdsa.PublicKey); ok {
		return asn1ToRaw(public, value)
	}
	return value, nil
}
