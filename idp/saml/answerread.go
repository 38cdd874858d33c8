package saml

import (
	"crypto"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/sp"
)

// Told is what an upstream identity provider says of a person: verified, and for us.
type Told struct {
	InResponseTo string              `json:"in_response_to"`
	Issuer       string              `json:"issuer"`
	Name         SubjectID           `json:"name"`
	Attributes   map[string][]string `json:"attributes,omitempty"`
	Class        string              `json:"class"`
	AuthnInstant time.Time           `json:"authn_instant"`
	SessionIndex string              `json:"session_index,omitempty"`
	SessionEnds  time.Time           `json:"session_ends,omitzero"`
	Authorities  []string            `json:"authorities,omitempty"` // behind the upstream
	Count        *int                `json:"count,omitempty"`       // of its ProxyRestriction
	Audiences    []string            `json:"audiences,omitempty"`   // of its ProxyRestriction
	Status       string              `json:"status,omitempty"`      // both codes of an answer that is not a success
	SubStatus    string              `json:"sub_status,omitempty"`
}

// answer is a Response as it came, with its one assertion.
type answer struct {
	head        Head
	status, sub string
	signature   *signatureShape // of the Response
	encrypted   int32           // node of the EncryptedAssertion; -1: none
	part        part
}

// part is the one assertion of a Response in the document that it stands in: the Response, or what was decrypted.
type part struct {
	source    string
	t         *tree
	at        int32 // node; -1: none
	signature *signatureShape
}

// readAnswer takes a Response through the gate: at most one assertion, and signatures only where a genuine one has them.
func readAnswer(src string) (*answer, error) {
	t, err := parse(src, messageLimits)
	if err != nil {
		return nil, err
	}
	if !t.is(0, nsProtocol, "Response") {
		return nil, errors.New("it is not a Response")
	}
	if err := uniqueIDs(t); err != nil {
		return nil, err
	}
	a := &answer{encrypted: -1, part: part{source: src, t: t, at: -1}}
	head, problem := readHead(t)
	if problem == nil {
		problem = head.invalid
	}
	if problem != nil {
		return nil, problem
	}
	a.head = head
	if a.status, a.sub, err = readStatus(t); err != nil {
		return nil, err
	}
	return a, a.readParts()
}

// uniqueIDs refuses a document in which any two elements claim one ID, in whatever spelling.
func uniqueIDs(t *tree) error {
	seen := map[string]bool{}
	for _, a := range t.attrs {
		if !strings.EqualFold(a.name, "id") {
			continue
		}
		if seen[a.value] {
			return errors.New("two elements have the same ID")
		}
		seen[a.value] = true
	}
	return nil
}

func (a *answer) readParts() (err error) {
	t := a.part.t
	for at := range t.nodes {
		n := int32(at)
		switch {
		case t.is(n, nsAssertion, "Assertion"), t.is(n, nsAssertion, "EncryptedAssertion"):
			if a.part.at >= 0 || a.encrypted >= 0 || t.nodes[n].parent != 0 {
				return errors.New("it holds more than one assertion, or one in an odd place")
			}
			if a.part.at = n; t.is(n, nsAssertion, "EncryptedAssertion") {
				a.part.at, a.encrypted = -1, n
			}
		case t.is(n, nsDSig, "Signature"):
			if err = a.readSignature(n); err != nil {
				return err
			}
		}
	}
	return nil
}

// readSignature takes a signature of the Response or of its assertion, directly after Issuer, one each.
func (a *answer) readSignature(at int32) (err error) {
	t := a.part.t
	parent := t.nodes[at].parent
	into := &a.signature
	if parent != 0 {
		into = &a.part.signature
	}
	if parent != 0 && parent != a.part.at || *into != nil {
		return errors.New("it has a signature in an odd place")
	}
	first := t.nodes[parent].first
	if !t.is(first, nsAssertion, "Issuer") || t.nodes[first].next != at {
		return errors.New("its signature is not the element after Issuer")
	}
	*into, err = readShape(t, at)
	return err
}

// AnswerEnv is what an upstream's answer is held against.
type AnswerEnv struct {
	Upstream  string             // entity id
	Keys      []sp.Key           // that may sign for it
	EntityID  string             // ours
	Decrypt   []crypto.Decrypter // our keys that it may have encrypted to
	Recipient string             // our assertion consumer service
	Now       time.Time
}

// assertionReader reads a verified assertion, the root of a tree of its own.
type assertionReader struct {
	t    *tree
	env  *AnswerEnv
	told Told
}

func (r *assertionReader) read() (*Told, error) {
	if !r.t.is(0, nsAssertion, "Assertion") || r.t.attrOr(0, "Version") != "2.0" {
		return nil, errors.New("what was signed is not a SAML 2.0 assertion")
	}
	issuer, err := readIssuer(r.t)
	if err != nil || issuer != r.env.Upstream {
		return nil, errors.New("its assertion is issued by somebody else")
	}
	for _, step := range []func() error{r.subject, r.conditions, r.authn, r.attributes} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return &r.told, nil
}

func (r *assertionReader) subject() error {
	at, err := r.t.only(0, nsAssertion, "Subject")
	if err != nil || at < 0 {
		return errors.New("its assertion has no Subject")
	}
	if err := r.name(at); err != nil {
		return err
	}
	for child := r.t.nodes[at].first; child >= 0; child = r.t.nodes[child].next {
		if r.t.is(child, nsAssertion, "SubjectConfirmation") && r.confirms(child) {
			return nil
		}
	}
	return errors.New("no SubjectConfirmation of it is for this address and this time")
}

// name reads the name identifier, in clear or encrypted; none is no error.
func (r *assertionReader) name(subject int32) (err error) {
	var id *SubjectID
	switch clear, sealed := r.t.child(subject, nsAssertion, "NameID"), r.t.child(subject, nsAssertion, "EncryptedID"); {
	case clear >= 0 && sealed >= 0:
		return errors.New("its assertion names somebody twice")
	case clear >= 0:
		id, err = readNameID(r.t, clear)
	case sealed >= 0:
		var data *encryptedData
		if data, err = readEncrypted(r.t, sealed); err == nil {
			id, err = data.openNameID(r.env.Decrypt)
		}
	default:
		return nil
	}
	if err == nil {
		r.told.Name = *id
	}
	return err
}

// confirms holds a bearer confirmation to profiles 4.1.4.3.
func (r *assertionReader) confirms(at int32) bool {
	if r.t.attrOr(at, "Method") != "urn:oasis:names:tc:SAML:2.0:cm:bearer" {
		return false
	}
	data := r.t.child(at, nsAssertion, "SubjectConfirmationData")
	if data < 0 || r.t.attrOr(data, "Recipient") != r.env.Recipient {
		return false
	}
	until, err := r.instant(data, "NotOnOrAfter")
	if _, early := r.t.attr(data, "NotBefore"); early || err != nil || until.IsZero() || !r.env.Now.Before(until.Add(upstreamSkew)) {
		return false
	}
	r.told.InResponseTo = r.t.attrOr(data, "InResponseTo")
	return r.told.InResponseTo != ""
}

func (r *assertionReader) conditions() error {
	at, err := r.t.only(0, nsAssertion, "Conditions")
	if err != nil || at < 0 {
		return errors.New("its assertion has not one Conditions")
	}
	if err := r.within(at); err != nil {
		return err
	}
	audiences := 0
	for child := r.t.nodes[at].first; child >= 0; child = r.t.nodes[child].next {
		switch {
		case r.t.is(child, nsAssertion, "AudienceRestriction"):
			if audiences++; !slices.Contains(r.texts(child, "Audience"), r.env.EntityID) {
				return errors.New("its assertion is for somebody else (Audience)")
			}
		case r.t.is(child, nsAssertion, "OneTimeUse"):
		case r.t.is(child, nsAssertion, "ProxyRestriction"):
			if err := r.proxyRestriction(child); err != nil {
				return err
			}
		default:
			return errors.New("its assertion has a condition that is not known here")
		}
	}
	if audiences == 0 {
		return errors.New("its assertion does not say whom it is for (AudienceRestriction)")
	}
	return nil
}

func (r *assertionReader) proxyRestriction(at int32) error {
	if r.told.Count != nil || r.told.Audiences != nil {
		return errors.New("its assertion has two ProxyRestrictions")
	}
	r.told.Audiences = r.texts(at, "Audience")
	if len(r.told.Audiences) == 0 && r.t.child(at, nsAssertion, "Audience") >= 0 {
		return errors.New("an Audience of its ProxyRestriction cannot be read")
	}
	text, ok := r.t.attr(at, "Count")
	if !ok {
		return nil
	}
	count, err := strconv.ParseUint(strings.TrimSpace(text), 10, 31)
	if err != nil {
		return errors.New("the Count of its ProxyRestriction is not a number")
	}
	r.told.Count = new(int(count))
	return nil
}

// within holds NotBefore and NotOnOrAfter against the clock.
func (r *assertionReader) within(at int32) error {
	from, err := r.instant(at, "NotBefore")
	if err != nil {
		return err
	}
	until, err := r.instant(at, "NotOnOrAfter")
	if err != nil {
		return err
	}
	if !from.IsZero() && r.env.Now.Add(upstreamSkew).Before(from) || !until.IsZero() && !r.env.Now.Before(until.Add(upstreamSkew)) {
		return errors.New("its assertion is not valid at this time: it is too old, or the clocks differ")
	}
	return nil
}

func (r *assertionReader) authn() (err error) {
	at := r.t.child(0, nsAssertion, "AuthnStatement")
	if at < 0 {
		return errors.New("its assertion does not say that the person signed in (AuthnStatement)")
	}
	if r.told.AuthnInstant, err = r.instant(at, "AuthnInstant"); err != nil || r.told.AuthnInstant.IsZero() {
		return errors.New("its assertion does not say when the person signed in")
	}
	if r.told.AuthnInstant.After(r.env.Now.Add(upstreamSkew)) {
		return errors.New("the person signed in later than now: set the clocks")
	}
	r.told.SessionEnds, err = r.instant(at, "SessionNotOnOrAfter")
	if err != nil || !r.told.SessionEnds.IsZero() && !r.env.Now.Before(r.told.SessionEnds) {
		return errors.New("the person's session there is over")
	}
	if index := strings.TrimSpace(r.t.attrOr(at, "SessionIndex")); len(index) <= maxTextLength {
		r.told.SessionIndex = index
	}
	context := r.t.child(at, nsAssertion, "AuthnContext")
	if context < 0 {
		return errors.New("its assertion does not say how the person signed in (AuthnContext)")
	}
	if classes := r.texts(context, "AuthnContextClassRef"); len(classes) > 0 {
		r.told.Class = strings.TrimSpace(classes[0])
	}
	r.told.Authorities = r.texts(context, "AuthenticatingAuthority")
	return nil
}

func (r *assertionReader) attributes() error {
	for at := r.t.nodes[0].first; at >= 0; at = r.t.nodes[at].next {
		if !r.t.is(at, nsAssertion, "AttributeStatement") {
			continue
		}
		for one := r.t.nodes[at].first; one >= 0; one = r.t.nodes[one].next {
			name := r.t.attrOr(one, "Name")
			if !r.t.is(one, nsAssertion, "Attribute") || name == "" {
				continue
			}
			if r.told.Attributes == nil {
				r.told.Attributes = map[string][]string{}
			}
			r.told.Attributes[name] = append(r.told.Attributes[name], r.texts(one, "AttributeValue")...)
		}
	}
	return nil
}

// texts are the texts of the children with a name; what holds more than text, or too much, is left out.
func (r *assertionReader) texts(parent int32, name string) []string {
	var list []string
	for at := r.t.nodes[parent].first; at >= 0; at = r.t.nodes[at].next {
		if !r.t.is(at, nsAssertion, name) {
			continue
		}
		if text, err := r.t.value(at); err == nil && len(text) <= maxTextLength && len(list) < maxListEntries {
			list = append(list, text)
		}
	}
	return list
}

func (r *assertionReader) instant(at int32, name string) (time.Time, error) {
	text, ok := r.t.attr(at, name)
	if !ok {
		return time.Time{}, nil
	}
	instant, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(text))
	if err != nil {
		return time.Time{}, errors.New("its " + name + " is not a time in UTC")
	}
	return instant, nil
}
