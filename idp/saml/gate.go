package saml

import (
	"errors"
	"fmt"
)

// signatureShape is what a message says about its XML signature: read before any key is tried, and trusted for nothing else.
type signatureShape struct {
	node      int32
	canonical string // CanonicalizationMethod
	method    string // SignatureMethod
	digest    string // DigestMethod
	transform []string
	uri       string
}

// gate reads a message and refuses every shape that no genuine message has: see the limits, and signatureOf for the
// signature. What passes may be given to other XML libraries.
func gate(src string) (*tree, *signatureShape, *Problem) {
	t, err := parse(src, messageLimits)
	if errors.Is(err, errTooLarge) {
		return nil, nil, local(ReasonTooLarge, "The app sent a message that is larger or more deeply nested than any genuine one. Ask the app's administrator to check it.")
	}
	if err != nil {
		return nil, nil, malformed(err)
	}
	if err := uniqueID(t); err != nil {
		return nil, nil, malformed(err)
	}
	shape, err := signatureOf(t)
	if err != nil {
		return nil, nil, malformed(err)
	}
	return t, shape, nil
}

func malformed(err error) *Problem {
	return local(ReasonMalformed, "The app sent a message that is not a valid SAML request: "+err.Error()+". Ask the app's administrator to check it.").caused(err)
}

// uniqueID refuses a document in which another element claims the root's ID, in whatever spelling.
func uniqueID(t *tree) error {
	id := t.attrOr(0, "ID")
	for _, a := range t.attrs[t.nodes[0].attrTo:] {
		if a.value == id && (a.name == "ID" || a.name == "Id" || a.name == "id") {
			return errors.New("two elements have the same ID")
		}
	}
	return nil
}

// signatureOf finds the message's signature: at most one in the whole document, a child of the root directly after Issuer.
func signatureOf(t *tree) (*signatureShape, error) {
	found := int32(-1)
	for at := range t.nodes {
		if !t.is(int32(at), nsDSig, "Signature") {
			continue
		}
		if found >= 0 {
			return nil, errors.New("it holds more than one signature")
		}
		found = int32(at)
	}
	if found < 0 {
		return nil, nil
	}
	first := t.nodes[0].first
	if t.nodes[found].parent != 0 || !t.is(first, nsAssertion, "Issuer") || t.nodes[first].next != found {
		return nil, errors.New("its signature is not the element after Issuer")
	}
	return readShape(t, found)
}

func readShape(t *tree, signature int32) (*signatureShape, error) {
	parts, err := t.sequence(signature, nsDSig, "SignedInfo", "SignatureValue", "?KeyInfo")
	if err != nil {
		return nil, err
	}
	info, err := t.sequence(parts[0], nsDSig, "CanonicalizationMethod", "SignatureMethod", "Reference")
	if err != nil {
		return nil, err
	}
	reference, err := t.sequence(info[2], nsDSig, "Transforms", "DigestMethod", "DigestValue")
	if err != nil {
		return nil, err
	}
	for _, leaf := range []int32{parts[1], info[1], reference[1], reference[2]} {
		if t.nodes[leaf].first >= 0 || t.nodes[leaf].hasComment {
			return nil, fmt.Errorf("its signature has an unexpected part in <%s>", t.nodes[leaf].name)
		}
	}
	shape := &signatureShape{
		node:      signature,
		canonical: t.attrOr(info[0], "Algorithm"),
		method:    t.attrOr(info[1], "Algorithm"),
		digest:    t.attrOr(reference[1], "Algorithm"),
		uri:       t.attrOr(info[2], "URI"),
	}
	for at := t.nodes[reference[0]].first; at >= 0; at = t.nodes[at].next {
		if !t.is(at, nsDSig, "Transform") || len(shape.transform) == 2 {
			return nil, errors.New("its signature has transforms that are not allowed")
		}
		for inner := t.nodes[at].first; inner >= 0; inner = t.nodes[inner].next {
			if !t.is(inner, nsExcC14N, "InclusiveNamespaces") || t.nodes[inner].first >= 0 {
				return nil, errors.New("its signature has transforms that are not allowed")
			}
		}
		shape.transform = append(shape.transform, t.attrOr(at, "Algorithm"))
	}
	return shape, nil
}

// sequence demands exactly the named children in this order; a name with a leading "?" may be missing.
func (t *tree) sequence(parent int32, space string, names ...string) ([]int32, error) {
	found := make([]int32, 0, len(names))
	at := t.nodes[parent].first
	for _, name := range names {
		optional := name[0] == '?'
		if optional {
			name = name[1:]
		}
		if at >= 0 && t.is(at, space, name) {
			found = append(found, at)
			at = t.nodes[at].next
		} else if !optional {
			return nil, fmt.Errorf("<%s> must come next in <%s>", name, t.nodes[parent].name)
		}
	}
	if at >= 0 {
		return nil, fmt.Errorf("<%s> is not allowed in <%s>", cut(t.nodes[at].name), t.nodes[parent].name)
	}
	return found, nil
}
