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
	a, err := readAnswer(source)
	if err != nil {
		return "", "", err
	}
	return source, a.head.Issuer, nil
}

// VerifyAnswer believes nothing of a Response but what a signature of the upstream's pinned keys covers: of the Response, or
// of its one assertion, which is then read again from the bytes that were hashed. That we can decrypt something proves nothing, for
// our keys are public. The caller takes each InResponseTo once.
func VerifyAnswer(source string, env AnswerEnv) (*Told, error) {
	a, err := readAnswer(source)
	if err != nil {
		return nil, err
	}
	if err := a.check(&env); err != nil {
		return nil, err
	}
	told := &Told{InResponseTo: a.head.InResponseTo, Issuer: env.Upstream, Status: a.status, SubStatus: a.sub}
	keys := publicKeys(env.Keys)
	var verified *etree.Element
	if a.signature != nil {
		if verified, err = verifyPart(source, "", a.head.ID, a.signature, keys); err != nil {
			return nil, err
		}
	}
	if a.status != StatusSuccess {
		if verified == nil {
			return nil, errors.New("it refuses without a signature, so it may be anybody's")
		}
		return told, nil
	}
	if a.encrypted >= 0 {
		if err := a.decrypt(verified, env.Decrypt); err != nil {
			return nil, err
		}
	}
	assertion, err := a.part.verified(verified, keys)
	if err != nil {
		return nil, err
	}
	read, err := (&assertionReader{t: assertion, env: &env, told: Told{Issuer: env.Upstream}}).read()
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
	case a.head.HasDestination && a.head.Destination != env.Recipient, a.signature != nil && !a.head.HasDestination:
		return errors.New("it is addressed to somebody else (Destination)")
	case checkAge(a.head.IssueInstant, env.Now) != nil:
		return errors.New("it is too old, or the clocks differ")
	case a.status == StatusSuccess && a.part.at < 0 && a.encrypted < 0:
		return errors.New("it holds no assertion")
	case a.signature == nil && a.part.signature == nil && a.encrypted < 0:
		return errors.New("neither it nor its assertion is signed")
	}
	return nil
}

// decrypt replaces the part by what is encrypted, read from the bytes that the signature of the Response covers if it has one. The
// same shape is demanded of it: one assertion, and signatures only where a genuine one has them.
func (a *answer) decrypt(response *etree.Element, keys []crypto.Decrypter) error {
	t, at := a.part.t, a.encrypted
	if response != nil {
		text, err := canonicalText(response.Copy())
		if err != nil {
			return err
		}
		if t, err = parse(text, messageLimits); err != nil {
			return err
		}
		if at = t.child(0, nsAssertion, "EncryptedAssertion"); at < 0 {
			return errEncrypted
		}
	}
	data, err := readEncrypted(t, at)
	if err != nil {
		return err
	}
	inner := answer{encrypted: -1, part: part{at: -1}}
	if inner.part.source, inner.part.t, _, err = data.openDocument(keys, nsAssertion, "Assertion"); err != nil {
		return err
	}
	if err := uniqueIDs(inner.part.t); err != nil {
		return err
	}
	if err := inner.readParts(); err != nil || inner.signature != nil || inner.part.at < 0 {
		return errors.Join(errors.New("what is encrypted in it is not one assertion"), err)
	}
	a.part = inner.part
	return nil
}

// verified is the assertion in bytes that a signature covers; every signature that is there must be good.
func (p *part) verified(response *etree.Element, keys []crypto.PublicKey) (*tree, error) {
	var covered *etree.Element
	if response != nil {
		holder := response
		if childNamed(response, "Assertion") == nil { // it was encrypted, and the signature covers what hides it
			doc := etree.NewDocument()
			if err := doc.ReadFromString(p.source); err != nil {
				return nil, err
			}
			holder = doc.Root()
		}
		var err error
		if covered, err = standalone(childNamed(holder, "Assertion")); err != nil {
			return nil, err
		}
	}
	if p.signature != nil {
		id := p.t.attrOr(p.at, "ID")
		if !isNCName(id) {
			return nil, errors.New("its assertion has no ID")
		}
		verified, err := verifyPart(p.source, "Assertion", id, p.signature, keys)
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
