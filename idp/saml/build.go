package saml

import (
	"slices"
	"strconv"
	"time"
)

// backdate is how much earlier an assertion becomes good than it is made, for service providers whose clocks are behind.
const backdate = time.Minute

// NameID is a name identifier as it is sent (core 2.2.3). The zero value leaves the NameID out.
type NameID struct {
	Value           string
	Format          string
	NameQualifier   string // empty: not sent
	SPNameQualifier string // empty: not sent
	SPProvidedID    string // the app's own name for the person; empty: it gave none
}

// AttributeValues is one released attribute with its values; none, and not Null: the attribute is left out.
type AttributeValues struct {
	Name, Format, FriendlyName string
	Values                     []string
	Null                       bool // a value that is nil (core 2.7.3.1.1)
}

// Statement is everything that an answer says about a person.
type Statement struct {
	Issuer       string // our entity id
	Audience     string // the service provider's
	Recipient    string // the address that it is posted to
	InResponseTo string // empty: unsolicited
	NameID       NameID
	NameTo       *Recipient // not nil: the name is sent as EncryptedID
	Now          time.Time
	Lifetime     time.Duration
	AuthnInstant time.Time
	SessionIndex string
	SessionEnds  time.Time // zero: no SessionNotOnOrAfter
	Class        string    // authentication context class
	Attributes   []AttributeValues
	AttributesTo *Recipient // not nil: each is sent as EncryptedAttribute
	OneTimeUse   bool
	Consent      string // URI of the person's consent; empty: nothing is said of it

	Authorities    []string // where the person signed in, if not here
	ProxyCount     *int     // how often others may pass this on; nil: as they like
	ProxyAudiences []string // to whom alone

	Channel      []ChannelBinding // between app and client, as both have named it
	GeneratedKey string           // that app and client share, in base64; only ever in an assertion that is encrypted
}

// Response is a finished message with the ids that logs and audit name it by.
type Response struct {
	XML         []byte
	ID          string
	AssertionID string // empty for a status response
}

// Build makes a signed Response with one assertion, encrypted if to is not nil (profiles 4.1.4.2). Sign, then encrypt.
func Build(st *Statement, signing *Signing, to *Recipient) (Response, error) {
	if !st.writable() {
		return Response{}, errUnwritable
	}
	out := Response{ID: newID(), AssertionID: newID()}
	doc := make([]byte, 0, 8<<10)
	doc = appendResponseHead(doc, out.ID, st.Consent, st.Recipient, st.InResponseTo, st.Issuer, st.Now)
	signatureAt := len(doc)
	doc = append(doc, `<samlp:Status><samlp:StatusCode Value="`+StatusSuccess+`"></samlp:StatusCode></samlp:Status>`...)
	from := len(doc)
	name, err := st.name()
	if err != nil {
		return Response{}, err
	}
	doc, afterIssuer, err := st.appendAssertion(doc, out.AssertionID, name)
	if err != nil {
		return Response{}, err
	}
	if signing.Assertion {
		if doc, err = signing.signInto(doc, from, afterIssuer, out.AssertionID); err != nil {
			return Response{}, err
		}
	}
	if to != nil {
		if doc, err = to.encryptTail(doc, from); err != nil {
			return Response{}, err
		}
	}
	return finishResponse(out, doc, signatureAt, signing, signing.Response)
}

// Refusal is the content of a Response without assertion (core 3.2.2.2).
type Refusal struct {
	Issuer       string
	Recipient    string
	InResponseTo string
	Now          time.Time
	Status       string // top-level code
	SubStatus    string // nested code, may be empty
	Message      string // for people, without secrets; may be empty
}

// BuildRefusal makes a signed status Response; it is signed whatever the app's setting, for it has nothing else to sign.
func BuildRefusal(r *Refusal, signing *Signing) (Response, error) {
	if !writable(r.Issuer) || !writable(r.Recipient) || !writable(r.InResponseTo) || !writable(r.Message) {
		return Response{}, errUnwritable
	}
	out := Response{ID: newID()}
	doc := make([]byte, 0, 4<<10)
	doc = appendResponseHead(doc, out.ID, "", r.Recipient, r.InResponseTo, r.Issuer, r.Now)
	signatureAt := len(doc)
	doc = appendStatus(doc, r.Status, r.SubStatus, r.Message)
	return finishResponse(out, doc, signatureAt, signing, true)
}

// appendStatus appends a Status (core 3.2.2.1); the nested code and the message may be empty.
func appendStatus(doc []byte, status, sub, message string) []byte {
	doc = append(appendAttr(append(doc, `<samlp:Status><samlp:StatusCode`...), "Value", status), '>')
	if sub != "" {
		doc = append(appendAttr(append(doc, `<samlp:StatusCode`...), "Value", sub), `></samlp:StatusCode>`...)
	}
	doc = append(doc, `</samlp:StatusCode>`...)
	if message != "" {
		doc = append(appendText(append(doc, `<samlp:StatusMessage>`...), message), `</samlp:StatusMessage>`...)
	}
	return append(doc, `</samlp:Status>`...)
}

func finishResponse(out Response, doc []byte, signatureAt int, signing *Signing, sign bool) (Response, error) {
	doc = append(doc, `</samlp:Response>`...)
	if sign {
		var err error
		if doc, err = signing.signInto(doc, 0, signatureAt, out.ID); err != nil {
			return Response{}, err
		}
	}
	out.XML = doc
	return out, nil
}

// writable checks every value once, before anything is written.
func (st *Statement) writable() bool {
	n := &st.NameID
	for _, s := range [...]string{st.Issuer, st.Audience, st.Recipient, st.InResponseTo, st.SessionIndex, st.Class, n.Value, n.Format, n.NameQualifier, n.SPNameQualifier, n.SPProvidedID} {
		if !writable(s) {
			return false
		}
	}
	for _, s := range slices.Concat(st.Authorities, st.ProxyAudiences, []string{bindingTypes(st.Channel)}) {
		if !writable(s) {
			return false
		}
	}
	for i := range st.Attributes {
		a := &st.Attributes[i]
		if !writable(a.Name) || !writable(a.Format) || !writable(a.FriendlyName) {
			return false
		}
		for _, value := range a.Values {
			if !writable(value) {
				return false
			}
		}
	}
	return true
}

func appendResponseHead(doc []byte, id, consent, destination, inResponseTo, issuer string, now time.Time) []byte {
	doc = appendOptional(append(doc, `<samlp:Response xmlns:samlp="`+nsProtocol+`"`...), "Consent", consent)
	doc = appendAttr(doc, "Destination", destination)
	doc = appendAttr(doc, "ID", id)
	if inResponseTo != "" {
		doc = appendAttr(doc, "InResponseTo", inResponseTo)
	}
	doc = appendTime(doc, "IssueInstant", now)
	doc = append(doc, ` Version="2.0"><saml:Issuer xmlns:saml="`+nsAssertion+`">`...)
	return append(appendText(doc, issuer), `</saml:Issuer>`...)
}

// appendAssertion appends the assertion with its own namespaces, so that it can be taken out and verified alone; afterIssuer
// is where its signature goes.
func (st *Statement) appendAssertion(doc []byte, id string, name []byte) (_ []byte, afterIssuer int, err error) {
	doc = append(doc, `<saml:Assertion xmlns:saml="`+nsAssertion+`"`...)
	doc = appendTime(appendAttr(doc, "ID", id), "IssueInstant", st.Now)
	doc = append(doc, ` Version="2.0"><saml:Issuer>`...)
	doc = append(appendText(doc, st.Issuer), `</saml:Issuer>`...)
	afterIssuer = len(doc)
	doc = st.appendSubject(doc, name)
	doc = st.appendConditions(doc)
	doc = st.appendAdvice(doc)
	doc = st.appendAuthn(doc)
	doc, err = st.appendAttributes(doc)
	return append(doc, `</saml:Assertion>`...), afterIssuer, err
}

// name is the NameID, or the EncryptedID that holds it; empty without a name.
func (st *Statement) name() ([]byte, error) {
	n := &st.NameID
	if n.Value == "" {
		return nil, nil
	}
	if st.NameTo == nil {
		return n.appendTo([]byte(`<saml:NameID`)), nil
	}
	return n.encryptedID(st.NameTo, "")
}

// encryptedID is the name as an EncryptedID with these attributes (core 2.2.4); what is decrypted stands alone.
func (n *NameID) encryptedID(to *Recipient, attributes string) ([]byte, error) {
	sealed, err := to.encrypted(n.appendTo([]byte(`<saml:NameID` + declareAssertion)))
	return append(append([]byte(`<saml:EncryptedID`+attributes+`>`), sealed...), `</saml:EncryptedID>`...), err
}

// declareAssertion is for what may stand outside an assertion.
const declareAssertion = ` xmlns:saml="` + nsAssertion + `"`

// appendTo writes what follows the name of the element.
func (n *NameID) appendTo(doc []byte) []byte {
	doc = appendOptional(doc, "Format", n.Format)
	doc = appendOptional(doc, "NameQualifier", n.NameQualifier)
	doc = appendOptional(doc, "SPNameQualifier", n.SPNameQualifier)
	doc = appendOptional(doc, "SPProvidedID", n.SPProvidedID)
	return append(appendText(append(doc, '>'), n.Value), `</saml:NameID>`...)
}

// appendSubject: a bearer confirmation with Recipient and NotOnOrAfter, without NotBefore and Address (profiles 4.1.4.2).
func (st *Statement) appendSubject(doc, name []byte) []byte {
	doc = append(append(doc, `<saml:Subject>`...), name...)
	doc = append(doc, `<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><saml:SubjectConfirmationData`...)
	doc = appendOptional(doc, "InResponseTo", st.InResponseTo)
	doc = appendTime(doc, "NotOnOrAfter", st.Now.Add(st.Lifetime))
	doc = appendAttr(doc, "Recipient", st.Recipient)
	return append(doc, `></saml:SubjectConfirmationData></saml:SubjectConfirmation></saml:Subject>`...)
}

func appendOptional(doc []byte, name, value string) []byte {
	if value == "" {
		return doc
	}
	return appendAttr(doc, name, value)
}

func (st *Statement) appendConditions(doc []byte) []byte {
	doc = appendTime(append(doc, `<saml:Conditions`...), "NotBefore", st.Now.Add(-backdate))
	doc = appendTime(doc, "NotOnOrAfter", st.Now.Add(st.Lifetime))
	doc = append(doc, `><saml:AudienceRestriction><saml:Audience>`...)
	doc = append(appendText(doc, st.Audience), `</saml:Audience></saml:AudienceRestriction>`...)
	if st.OneTimeUse {
		doc = append(doc, `<saml:OneTimeUse></saml:OneTimeUse>`...)
	}
	doc = st.appendProxyRestriction(doc)
	return append(doc, `</saml:Conditions>`...)
}

// appendAdvice: what app and client must find alike (saml-ecp-v2.0, 2.3.6.2), and the key that they share.
func (st *Statement) appendAdvice(doc []byte) []byte {
	if len(st.Channel) == 0 && st.GeneratedKey == "" {
		return doc
	}
	doc = appendBindings(append(doc, `<saml:Advice>`...), st.Channel, "")
	doc = appendGeneratedKey(doc, st.GeneratedKey, "")
	return append(doc, `</saml:Advice>`...)
}

func (st *Statement) appendAuthn(doc []byte) []byte {
	doc = appendTime(append(doc, `<saml:AuthnStatement`...), "AuthnInstant", st.AuthnInstant)
	doc = appendOptional(doc, "SessionIndex", st.SessionIndex)
	if !st.SessionEnds.IsZero() {
		doc = appendTime(doc, "SessionNotOnOrAfter", st.SessionEnds)
	}
	doc = append(doc, `><saml:AuthnContext><saml:AuthnContextClassRef>`...)
	doc = append(appendText(doc, st.Class), `</saml:AuthnContextClassRef>`...)
	for _, authority := range st.Authorities {
		doc = append(appendText(append(doc, `<saml:AuthenticatingAuthority>`...), authority), `</saml:AuthenticatingAuthority>`...)
	}
	return append(doc, `</saml:AuthnContext></saml:AuthnStatement>`...)
}

// appendProxyRestriction: an upstream's limit holds for whoever we pass its word to (core 2.5.1.6).
func (st *Statement) appendProxyRestriction(doc []byte) []byte {
	if st.ProxyCount == nil && len(st.ProxyAudiences) == 0 {
		return doc
	}
	doc = append(doc, `<saml:ProxyRestriction`...)
	if st.ProxyCount != nil {
		doc = appendAttr(doc, "Count", strconv.Itoa(*st.ProxyCount))
	}
	doc = append(doc, '>')
	for _, audience := range st.ProxyAudiences {
		doc = append(appendText(append(doc, `<saml:Audience>`...), audience), `</saml:Audience>`...)
	}
	return append(doc, `</saml:ProxyRestriction>`...)
}

// appendAttributes: one AttributeValue for each value, and no statement at all without attributes (core 2.7.3).
func (st *Statement) appendAttributes(doc []byte) ([]byte, error) {
	opened := false
	for i := range st.Attributes {
		a := &st.Attributes[i]
		if len(a.Values) == 0 && !a.Null {
			continue
		}
		if !opened {
			doc = append(doc, `<saml:AttributeStatement>`...)
			opened = true
		}
		if st.AttributesTo == nil {
			doc = a.appendTo(doc, "")
			continue
		}
		sealed, err := st.AttributesTo.encrypted(a.appendTo(nil, declareAssertion)) // what is decrypted stands alone
		if err != nil {
			return nil, err
		}
		doc = append(append(append(doc, `<saml:EncryptedAttribute>`...), sealed...), `</saml:EncryptedAttribute>`...)
	}
	if opened {
		doc = append(doc, `</saml:AttributeStatement>`...)
	}
	return doc, nil
}

// appendTo writes the attribute with the namespaces that it declares.
func (a *AttributeValues) appendTo(doc []byte, namespaces string) []byte {
	doc = appendOptional(append(doc, `<saml:Attribute`+namespaces...), "FriendlyName", a.FriendlyName)
	doc = appendAttr(doc, "Name", a.Name)
	doc = append(appendOptional(doc, "NameFormat", a.Format), '>')
	for _, value := range a.Values {
		doc = append(appendText(append(doc, `<saml:AttributeValue>`...), value), `</saml:AttributeValue>`...)
	}
	if a.Null {
		doc = append(doc, `<saml:AttributeValue xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:nil="true"></saml:AttributeValue>`...)
	}
	return append(doc, `</saml:Attribute>`...)
}
