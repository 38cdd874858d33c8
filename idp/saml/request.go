package saml

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// AuthnRequest is what a service provider asks (core 3.4.1). Strings are as sent.
type AuthnRequest struct {
	Head
	ACSURL          string
	ACSIndex        *int
	ProtocolBinding string
	AttributeIndex  *int
	ProviderName    string
	ForceAuthn      bool
	IsPassive       bool
	NameIDPolicy    *NameIDPolicy
	AuthnContext    *RequestedContext
	Subject         *SubjectID
	encrypted       *encryptedData // the Subject, where it is an EncryptedID
	Scoping         *Scoping
	bindings        []ChannelBinding // what the app says of its channel to the client
}

// NameIDPolicy says which name identifier the service provider wants (core 3.4.1.1).
type NameIDPolicy struct {
	Format          string
	SPNameQualifier string
	NoCreate        bool // AllowCreate="false"; an absent one is read as true, because few apps send it
}

// RequestedContext says how the person should have signed in (core 3.3.2.2.1).
type RequestedContext struct {
	Comparison string // exact, minimum, maximum or better
	Classes    []string
	HasDecl    bool // asks for a declaration, which Gatehouse has none of
}

// SubjectID is the name identifier that the answer must be about (core 3.4.1, 3.3.4).
type SubjectID struct {
	Value           string `json:"value"`
	Format          string `json:"format,omitempty"`
	NameQualifier   string `json:"name_qualifier,omitempty"`
	SPNameQualifier string `json:"sp_name_qualifier,omitempty"`
	SPProvidedID    string `json:"sp_provided_id,omitempty"`
}

// Scoping limits who may answer (core 3.4.1.2).
type Scoping struct {
	ProxyCount   *int
	IDPs         []string
	HasIDPList   bool
	RequesterIDs []string
}

const (
	maxIDLength    = 256  // bytes are bounded too: 4 a character
	maxTextLength  = 1024 // entity ids, URLs, formats
	maxListEntries = 64
)

// readRequest reads an AuthnRequest from a gated tree, behind its head.
func readRequest(t *tree, head Head) *AuthnRequest {
	r := &AuthnRequest{Head: head}
	if err := r.readAttributes(t); err != nil {
		r.note(err)
	}
	if err := r.readChildren(t); err != nil {
		r.note(err)
	}
	return r
}

func (r *AuthnRequest) readAttributes(t *tree) error {
	n := &t.nodes[0]
	var first error
	for _, a := range t.attrs[n.attrFrom:n.attrTo] {
		if a.prefix != "" {
			continue // foreign attributes are ignored
		}
		if err := r.readAttribute(a.name, a.value); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (r *AuthnRequest) readAttribute(name, value string) (err error) {
	if len(value) > 4*maxTextLength {
		return fmt.Errorf("its %s is too long", name)
	}
	switch name {
	case "AssertionConsumerServiceURL":
		r.ACSURL = value
	case "AssertionConsumerServiceIndex":
		r.ACSIndex, err = readIndex(name, value)
	case "AttributeConsumingServiceIndex":
		r.AttributeIndex, err = readIndex(name, value)
	case "ProtocolBinding":
		r.ProtocolBinding = value
	case "ProviderName":
		r.ProviderName = value
	case "ForceAuthn":
		r.ForceAuthn, err = readBool(name, value)
	case "IsPassive":
		r.IsPassive, err = readBool(name, value)
	}
	return err
}

// readBool reads an xs:boolean.
func readBool(name, value string) (bool, error) {
	switch strings.Trim(value, " \t\n\r") {
	case "true", "1":
		return true, nil
	case "false", "0":
		return false, nil
	}
	return false, fmt.Errorf("its %s is neither true nor false", name)
}

// readIndex reads an xs:unsignedShort.
func readIndex(name, value string) (*int, error) {
	n, err := strconv.ParseUint(strings.Trim(value, " \t\n\r"), 10, 16)
	if err != nil {
		return nil, fmt.Errorf("its %s is not a number from 0 to 65535", name)
	}
	index := int(n)
	return &index, nil
}

func (r *AuthnRequest) readChildren(t *tree) error {
	seen := make(map[string]bool, 8)
	for at := t.nodes[0].first; at >= 0; at = t.nodes[at].next {
		n := &t.nodes[at]
		if n.space != nsProtocol && n.space != nsAssertion && n.space != nsDSig {
			return fmt.Errorf("<%s> is not allowed in it", cut(n.name))
		}
		if seen[n.name] {
			return fmt.Errorf("<%s> occurs twice", cut(n.name))
		}
		seen[n.name] = true
		var err error
		switch {
		case t.is(at, nsProtocol, "NameIDPolicy"):
			err = r.readNameIDPolicy(t, at)
		case t.is(at, nsProtocol, "RequestedAuthnContext"):
			err = r.readContext(t, at)
		case t.is(at, nsAssertion, "Subject"):
			err = r.readSubject(t, at)
		case t.is(at, nsProtocol, "Scoping"):
			err = r.readScoping(t, at)
		case t.is(at, nsProtocol, "Extensions"):
			err = r.readExtensions(t, at)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *AuthnRequest) readNameIDPolicy(t *tree, at int32) (err error) {
	policy := &NameIDPolicy{Format: t.attrOr(at, "Format"), SPNameQualifier: t.attrOr(at, "SPNameQualifier")}
	if create, ok := t.attr(at, "AllowCreate"); ok {
		var allowed bool
		allowed, err = readBool("AllowCreate", create)
		policy.NoCreate = !allowed
	}
	r.NameIDPolicy = policy
	return err
}

func (r *AuthnRequest) readContext(t *tree, at int32) error {
	asked := &RequestedContext{Comparison: "exact"}
	if comparison, ok := t.attr(at, "Comparison"); ok {
		asked.Comparison = comparison
	}
	switch asked.Comparison {
	case "exact", "minimum", "maximum", "better":
	default:
		return errors.New("the Comparison of its RequestedAuthnContext is unknown")
	}
	for child := t.nodes[at].first; child >= 0; child = t.nodes[child].next {
		class, err := t.value(child)
		if err != nil {
			return err
		}
		class = strings.Trim(class, " \t\n\r")
		switch {
		case class == "" || len(class) > maxTextLength || len(asked.Classes) >= maxListEntries:
			return errors.New("its RequestedAuthnContext has an empty or too long entry")
		case t.is(child, nsAssertion, "AuthnContextClassRef"):
			asked.Classes = append(asked.Classes, class)
		case t.is(child, nsAssertion, "AuthnContextDeclRef"):
			asked.HasDecl = true
		default:
			return errors.New("its RequestedAuthnContext has an unknown entry")
		}
	}
	if asked.HasDecl == (len(asked.Classes) > 0) {
		return errors.New("its RequestedAuthnContext must list classes, or declarations, and not both")
	}
	r.AuthnContext = asked
	return nil
}

func (r *AuthnRequest) readSubject(t *tree, at int32) error {
	for child := t.nodes[at].first; child >= 0; child = t.nodes[child].next {
		switch {
		case t.is(child, nsAssertion, "SubjectConfirmation"):
			return errors.New("its Subject has a SubjectConfirmation")
		case r.Subject != nil || r.encrypted != nil:
			return errors.New("its Subject has two names")
		case t.is(child, nsAssertion, "EncryptedID"):
			var err error
			if r.encrypted, err = readEncrypted(t, child); err != nil {
				return err
			}
			continue
		case !t.is(child, nsAssertion, "NameID"):
			return errors.New("its Subject is not named by a NameID")
		}
		value, err := t.value(child)
		if err != nil {
			return err
		}
		r.Subject = &SubjectID{
			Value:           value,
			Format:          t.attrOr(child, "Format"),
			NameQualifier:   t.attrOr(child, "NameQualifier"),
			SPNameQualifier: t.attrOr(child, "SPNameQualifier"),
		}
	}
	if r.encrypted != nil {
		return nil
	}
	if r.Subject == nil || r.Subject.Value == "" || len(r.Subject.Value) > 4*maxTextLength {
		return errors.New("its Subject has no name")
	}
	return nil
}

func (r *AuthnRequest) readScoping(t *tree, at int32) error {
	scoping := &Scoping{}
	if count, ok := t.attr(at, "ProxyCount"); ok {
		n, err := strconv.ParseUint(strings.Trim(count, " \t\n\r"), 10, 31)
		if err != nil {
			return errors.New("its ProxyCount is not a number")
		}
		proxies := int(n)
		scoping.ProxyCount = &proxies
	}
	for child := t.nodes[at].first; child >= 0; child = t.nodes[child].next {
		switch {
		case t.is(child, nsProtocol, "IDPList"):
			scoping.HasIDPList = true
			for entry := t.nodes[child].first; entry >= 0; entry = t.nodes[entry].next {
				if t.is(entry, nsProtocol, "IDPEntry") {
					scoping.IDPs = append(scoping.IDPs, t.attrOr(entry, "ProviderID"))
				}
			}
		case t.is(child, nsProtocol, "RequesterID"):
			scoping.RequesterIDs = append(scoping.RequesterIDs, t.nodes[child].text)
		}
	}
	r.Scoping = scoping
	return nil
}
