package metadata

import (
	"bufio"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	_ "crypto/sha256" // the digests on the list
	_ "crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"math/big"
	"slices"
	"strings"
)

// Codes of refused signatures.
const (
	CodeUnsigned  = "unsigned"
	CodeAlgorithm = "refused_algorithm"
	CodeWrapped   = "not_the_root"
	CodeWrongKey  = "wrong_key"
	CodeDigest    = "changed_after_signing"
)

func unsigned() error {
	return &Error{Code: CodeUnsigned, Reason: "the metadata is not signed at its root; give the address of the signed metadata, or pin no key"}
}

func refusedMethod(uri string) error {
	return &Error{Code: CodeAlgorithm, Reason: "the signature uses " + shortURI(uri) + ", which is refused; ask the source for one with RSA or ECDSA and SHA-256"}
}

func notTheRoot(why string) error {
	return &Error{Code: CodeWrapped, Reason: "the signature does not cover the whole document: " + why}
}

// Verify reads a whole document and checks that its root is signed by one of the keys. What the signature says about keys is
// not read. The document is read once, as a stream: memory does not grow with it. Every error is an *Error.
func Verify(in io.Reader, keys []crypto.PublicKey) error {
	r := newRawReader(in)
	root, id, before, err := r.toSignature()
	if err != nil {
		return err
	}
	scope := r.scope
	s, err := r.signature(id)
	if err != nil {
		return err
	}
	if err := s.verify(keys); err != nil {
		return err
	}
	digest := s.digest.New()
	buffered := bufio.NewWriterSize(digest, 64<<10)
	c := s.transform
	c.out = buffered
	rootScope := bindings{list: scope.list[:scope.marks[1]], marks: scope.marks[:1]}
	c.token(root, &rootScope)
	for _, text := range before {
		c.token(text, &rootScope)
	}
	if err := r.rest(&c); err != nil {
		return err
	}
	if err := errors.Join(c.err, buffered.Flush()); err != nil {
		return &Error{Reason: err.Error()}
	}
	if subtle.ConstantTimeCompare(digest.Sum(nil), s.value) != 1 {
		return &Error{Code: CodeDigest, Reason: "the metadata was changed after it was signed; fetch it again, or ask the source"}
	}
	return nil
}

// rest writes what follows the signature, to the end of the document; a second signature of the root is refused.
func (r *rawReader) rest(c *canonical) error {
	for {
		token, err := r.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if t, ok := token.(xml.StartElement); ok && len(r.open) == 2 && r.resolved(t.Name) == (xml.Name{Space: nsDSig, Local: "Signature"}) {
			return notTheRoot("the root has two signatures")
		}
		c.token(token, &r.scope)
	}
}

// toSignature reads up to the signature, which is the first child of the root (saml-metadata-2.0-os, 2.3.1 and 2.3.2).
func (r *rawReader) toSignature() (root xml.StartElement, id string, before []xml.Token, err error) {
	for {
		token, err := r.next()
		if errors.Is(err, io.EOF) {
			return root, id, nil, unsigned()
		}
		if err == nil {
			err = r.early()
		}
		if err != nil {
			return root, id, nil, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			if len(r.open) == 1 {
				root = t.Copy()
				continue
			}
			if r.resolved(t.Name) != (xml.Name{Space: nsDSig, Local: "Signature"}) {
				return root, id, nil, unsigned()
			}
			for _, a := range root.Attr {
				if a.Name.Space == "" && a.Name.Local == "ID" {
					id = a.Value
				}
			}
			return root, id, before, nil
		case xml.CharData:
			before = append(before, t.Copy())
		case xml.EndElement:
			return root, id, nil, unsigned()
		}
	}
}

// signed is a signature that was read: what it says, and the bytes that its value covers.
type signed struct {
	method    *signatureMethod
	signature []byte
	info      []byte // SignedInfo in canonical form
	digest    crypto.Hash
	value     []byte
	transform canonical
}

// maxSignature bounds what a signature may hold, in tokens.
const maxSignature = 2000

// signature reads the Signature element whose start was just read, to its end.
func (r *rawReader) signature(id string) (*signed, error) {
	depth := len(r.open)
	outside := r.scope.clone()
	tree := &node{name: xml.Name{Space: nsDSig, Local: "Signature"}}
	open := []*node{tree}
	var info []xml.Token
	for n := 0; len(r.open) >= depth; n++ {
		token, err := r.next()
		if err == nil {
			err = r.early()
		}
		if err != nil {
			return nil, err
		}
		if n > maxSignature {
			return nil, &Error{Code: CodeAlgorithm, Reason: "the signature is larger than any that is in use"}
		}
		inInfo := len(open) > 1 && open[1].is(nsDSig, "SignedInfo")
		switch t := token.(type) {
		case xml.StartElement:
			child := &node{name: r.resolved(t.Name), attrs: slices.DeleteFunc(slices.Clone(t.Attr), isDeclaration)}
			inInfo = inInfo || len(open) == 1 && child.is(nsDSig, "SignedInfo")
			open[len(open)-1].children = append(open[len(open)-1].children, child)
			open = append(open, child)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			open[len(open)-1].text.Write(t)
		}
		if inInfo {
			info = append(info, xml.CopyToken(token))
		}
	}
	return readSignature(tree, info, &outside, id)
}

// only is the one child with this name.
func (n *node) only(local string) (*node, error) {
	if list := n.all(nsDSig, local); len(list) == 1 {
		return list[0], nil
	}
	return nil, &Error{Code: CodeAlgorithm, Reason: "the signature must have exactly one " + local}
}

func readSignature(tree *node, tokens []xml.Token, outside *bindings, id string) (*signed, error) {
	s := &signed{}
	info, err := tree.only("SignedInfo")
	if err != nil {
		return nil, err
	}
	canonicalisation, err := info.only("CanonicalizationMethod")
	if err != nil {
		return nil, err
	}
	form, err := form(canonicalisation)
	if err != nil {
		return nil, err
	}
	method, err := info.only("SignatureMethod")
	if err != nil {
		return nil, err
	}
	if s.method = methodOf(method.attr("Algorithm")); s.method == nil {
		return nil, refusedMethod(method.attr("Algorithm"))
	}
	value, err := tree.only("SignatureValue")
	if err != nil {
		return nil, err
	}
	if s.signature, err = decode64(value); err != nil {
		return nil, err
	}
	reference, err := info.only("Reference")
	if err != nil {
		return nil, err
	}
	if err := s.reference(reference, id); err != nil {
		return nil, err
	}
	s.info, err = canonicalInfo(form, tokens, outside)
	return s, err
}

// Bounds of a SignedInfo: canonicalising costs the more, the more elements and namespaces there are, and it happens before the
// signature is checked. A genuine one has a dozen elements.
const (
	maxInfoElements     = 40
	maxInfoDeclarations = 64
)

// canonicalInfo replays SignedInfo in the form that it names for itself.
func canonicalInfo(form canonical, tokens []xml.Token, outside *bindings) ([]byte, error) {
	var out strings.Builder
	form.out = &out
	elements, declarations := 0, 0
	for _, token := range tokens {
		if t, ok := token.(xml.StartElement); ok {
			var declared []binding
			for _, a := range t.Attr {
				if a.Name.Space == "xmlns" {
					declared = append(declared, binding{a.Name.Local, a.Value})
				} else if isDeclaration(a) {
					declared = append(declared, binding{"", a.Value})
				}
			}
			outside.push(declared...)
			elements, declarations = elements+1, declarations+len(declared)
		}
		if elements > maxInfoElements || declarations > maxInfoDeclarations {
			return nil, notTheRoot("its SignedInfo has more elements or namespaces than any genuine one")
		}
		form.token(token, outside)
		if _, ok := token.(xml.EndElement); ok {
			outside.pop()
		}
	}
	return []byte(out.String()), form.err
}

// reference reads what is signed: it must be the root, whole but for the signature.
func (s *signed) reference(n *node, id string) error {
	if uri := n.attr("URI"); uri != "" && (id == "" || uri != "#"+id) {
		return notTheRoot("it refers to " + short(uri) + ", the root's ID is " + short(id))
	}
	if !n.has("URI") {
		return notTheRoot("it refers to nothing")
	}
	list := n.one(nsDSig, "Transforms").all(nsDSig, "Transform")
	if len(list) < 1 || len(list) > 2 || list[0].attr("Algorithm") != transformEnveloped {
		return notTheRoot("it must use the enveloped-signature transform, and exclusive canonicalisation")
	}
	s.transform = canonical{inclusive: true}
	if len(list) == 2 {
		var err error
		if s.transform, err = form(list[1]); err != nil {
			return err
		}
	}
	method, err := n.only("DigestMethod")
	if err != nil {
		return err
	}
	digest, listed := digests()[method.attr("Algorithm")]
	if !listed {
		return refusedMethod(method.attr("Algorithm"))
	}
	value, err := n.only("DigestValue")
	if err != nil {
		return err
	}
	s.digest = digest
	s.value, err = decode64(value)
	return err
}

func decode64(n *node) ([]byte, error) {
	raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(n.text.String()), ""))
	if err != nil {
		return nil, &Error{Code: CodeAlgorithm, Reason: n.name.Local + " is not base64"}
	}
	return raw, nil
}

// verify checks the signature's value with each key that suits its method.
func (s *signed) verify(keys []crypto.PublicKey) error {
	h := s.method.hash.New()
	_, _ = h.Write(s.info)
	sum := h.Sum(nil)
	for _, key := range keys {
		switch key := key.(type) {
		case *rsa.PublicKey:
			if !s.method.ec && rsa.VerifyPKCS1v15(key, s.method.hash, sum, s.signature) == nil {
				return nil
			}
		case *ecdsa.PublicKey:
			if half := len(s.signature) / 2; s.method.ec && half == (key.Curve.Params().BitSize+7)/8 && len(s.signature)%2 == 0 &&
				ecdsa.Verify(key, sum, new(big.Int).SetBytes(s.signature[:half]), new(big.Int).SetBytes(s.signature[half:])) {
				return nil
			}
		}
	}
	return &Error{Code: CodeWrongKey, Reason: "the metadata is not signed with a key that is pinned for this source; compare the key with what the source publishes"}
}
