package saml

import (
	"crypto"
	"errors"
	"net/url"
	"time"

	"github.com/beevik/etree"
	"github.com/russellhaering/goxmldsig/etreeutils"

	"gatehouse/sp"
)

// upstreamSkew is how far an upstream's clock may be off (IIP-G01).
const upstreamSkew = 3 * time.Minute

// Reasons of refused answers.
const (
	ReasonUpstream       = "upstream_answer"  // the answer is not believed
	ReasonUpstreamStatus = "upstream_refused" // the upstream did not sign the person in
)

// DecodeAnswer reads the form of a Response by HTTP-POST: its XML and the issuer that it claims, by which its keys are found.
func DecodeAnswer(form url.Values) (source, issuer string, err error) {
	for name, values := range form {
		if len(values) > 1 && isSAMLParameter(name) {
			return "", "", errors.New("it was sent twice at once")
		}
	}
	if !form.Has(inResponse) || form.Has(inRequest) {
		return "", "", errors.New("there is no SAMLResponse")
	}
	source, problem := decodeBody(form.Get(inResponse), true)
	if problem != nil {
		return "", "", problem
	}
	_, a, err := readAnswer(source)
	if err != nil {
		return "", "", err
	}
	return source, a.head.Issuer, nil
}

// VerifyAnswer believes nothing of a Response but what a signature of the upstream's pinned keys covers: of the Response, or
// of its one assertion, which is then read again from the bytes that were hashed. The caller takes each InResponseTo once.
func VerifyAnswer(source string, env AnswerEnv) (*Told, error) {
	t, a, err := readAnswer(source)
	if err != nil {
		return nil, err
	}
	if err := a.check(&env); err != nil {
		return nil, err
	}
	told := &Told{InResponseTo: a.head.InResponseTo, Status: a.status, SubStatus: a.sub}
	keys := publicKeys(env.Keys)
	var verified *etree.Element
	if a.responseSignature != nil {
		if verified, err = verifyPart(source, "", a.head.ID, a.responseSignature, keys); err != nil {
			return nil, err
		}
	}
	if a.status != StatusSuccess {
		if verified == nil {
			return nil, errors.New("it refuses without a signature, so it may be anybody's")
		}
		return told, nil
	}
	assertion, err := a.verifiedAssertion(t, source, verified, keys)
	if err != nil {
		return nil, err
	}
	read, err := (&assertionReader{t: assertion, env: &env}).read()
	switch {
	case err != nil:
		return nil, err
	case read.InResponseTo != a.head.InResponseTo:
		return nil, errors.New("its assertion answers another request than it does")
	}
	return read, nil
}

// check holds the Response itself to profiles 4.1.4.3.
func (a *answer) check(env *AnswerEnv) error {
	switch {
	case a.head.Version != "2.0":
		return errors.New("it is not SAML 2.0")
	case a.head.Issuer != env.Upstream:
		return errors.New("it is issued by somebody else")
	case a.head.InResponseTo == "":
		return errors.New("nobody asked for it (no InResponseTo)")
	case a.head.HasDestination && a.head.Destination != env.Recipient, a.responseSignature != nil && !a.head.HasDestination:
		return errors.New("it is addressed to somebody else (Destination)")
	case checkAge(a.head.IssueInstant, env.Now) != nil:
		return errors.New("it is too old, or the clocks differ")
	case a.encrypted:
		return errors.New("its assertion is encrypted, which is not supported here: let it send the assertion signed and not encrypted")
	case a.status == StatusSuccess && a.assertion < 0:
		return errors.New("it holds no assertion")
	case a.responseSignature == nil && a.assertSignature == nil:
		return errors.New("neither it nor its assertion is signed")
	}
	return nil
}

// verifiedAssertion is the assertion in bytes that a signature covers; every signature that is there must be good.
func (a *answer) verifiedAssertion(t *tree, source string, response *etree.Element, keys []crypto.PublicKey) (*tree, error) {
	covered := response
	if response != nil {
		var err error
		if covered, err = standalone(childNamed(response, "Assertion")); err != nil {
			return nil, err
		}
	}
	if a.assertSignature != nil {
		id := t.attrOr(a.assertion, "ID")
		if !isNCName(id) {
			return nil, errors.New("its assertion has no ID")
		}
		verified, err := verifyPart(source, "Assertion", id, a.assertSignature, keys)
		if err != nil {
			return nil, err
		}
		covered = verified
	}
	if covered == nil {
		return nil, errors.New("no signature covers its assertion")
	}
	text, err := canonicalText(covered)
	if err != nil {
		return nil, err
	}
	return parse(text, messageLimits)
}

// verifyPart checks the signature of the Response (child empty) or of its assertion and returns what was hashed.
func verifyPart(source, child, id string, shape *signatureShape, keys []crypto.PublicKey) (*etree.Element, error) {
	algorithm, problem := shape.check(id, false)
	if problem != nil {
		return nil, problem
	}
	var verified *etree.Element
	problem = tryKeys(keys, algorithm, func(key crypto.PublicKey) error {
		doc := etree.NewDocument()
		err := doc.ReadFromString(source)
		if err != nil {
			return err
		}
		part := doc.Root()
		if child != "" {
			if part, err = standalone(childNamed(part, child)); err != nil {
				return err
			}
		}
		verified, err = validateElement(part, key)
		return err
	})
	if problem != nil {
		return nil, errors.New("its signature does not match a key of the identity provider that you chose: import its current metadata")
	}
	if verified.SelectAttrValue("ID", "") != id {
		return nil, errors.New("the signature covers something else")
	}
	return verified, nil
}

func publicKeys(list []sp.Key) []crypto.PublicKey {
	var keys []crypto.PublicKey
	for i := range list {
		if public, err := list[i].Public(); err == nil {
			keys = append(keys, public)
		}
	}
	return keys
}

func childNamed(parent *etree.Element, name string) *etree.Element {
	for _, child := range parent.ChildElements() {
		if child.Tag == name && child.NamespaceURI() == nsAssertion {
			return child
		}
	}
	return nil
}

// standalone takes an element out of its document, with the namespaces that it needs.
func standalone(element *etree.Element) (*etree.Element, error) {
	if element == nil {
		return nil, errors.New("the part that was signed is missing")
	}
	around, err := etreeutils.NSBuildParentContext(element)
	if err != nil {
		return nil, err
	}
	return etreeutils.NSDetatch(around, element)
}

// canonicalText writes an element so that the strict reader reads what was hashed.
func canonicalText(element *etree.Element) (string, error) {
	doc := etree.NewDocumentWithRoot(element)
	doc.WriteSettings = etree.WriteSettings{CanonicalEndTags: true, CanonicalText: true, CanonicalAttrVal: true}
	return doc.WriteToString()
}
