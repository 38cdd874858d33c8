package saml

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"net/url"
	"strings"
	"time"
)

// logoutLifetime is how long a LogoutRequest of ours may be acted on: a minute beyond the skew that others allow.
const logoutLifetime = 6 * time.Minute

// logoutMessage is the content of a LogoutRequest or LogoutResponse of ours.
type logoutMessage struct {
	ID, Issuer, Destination string
	Now                     time.Time

	Name         NameID     // of a request
	NameTo       *Recipient // not nil: the name is sent as EncryptedID
	SessionIndex string

	InResponseTo      string // of a response
	Status, SubStatus string

	Element string // of another message; empty: LogoutRequest or LogoutResponse
	Body    []byte // what such a message holds, as canonical bytes
}

// build writes the message, enveloped in a signature if sign is set: on Redirect the query is signed instead.
func (m *logoutMessage) build(signing *Signing, sign bool) ([]byte, error) {
	for _, s := range []string{m.ID, m.Issuer, m.Destination, m.InResponseTo, m.Name.Value, m.Name.NameQualifier, m.Name.SPNameQualifier, m.Name.SPProvidedID, m.SessionIndex} {
		if !writable(s) {
			return nil, errUnwritable
		}
	}
	name, logout := m.Element, m.Element == "" && m.InResponseTo == ""
	switch {
	case logout:
		name = "LogoutRequest"
	case name == "":
		name = "LogoutResponse"
	}
	doc := append(make([]byte, 0, 4<<10), `<samlp:`+name+` xmlns:samlp="`+nsProtocol+`"`...)
	doc = appendAttr(appendOptional(doc, "Destination", m.Destination), "ID", m.ID)
	doc = appendOptional(doc, "InResponseTo", m.InResponseTo)
	doc = appendTime(doc, "IssueInstant", m.Now)
	if logout {
		doc = appendTime(doc, "NotOnOrAfter", m.Now.Add(logoutLifetime))
	}
	doc = append(doc, ` Version="2.0"><saml:Issuer xmlns:saml="`+nsAssertion+`">`...)
	doc = append(appendText(doc, m.Issuer), `</saml:Issuer>`...)
	signatureAt := len(doc)
	switch {
	case logout:
		var err error
		if doc, err = m.appendName(doc); err != nil {
			return nil, err
		}
	case m.InResponseTo != "":
		doc = appendStatus(doc, m.Status, m.SubStatus, "")
	}
	doc = append(doc, m.Body...)
	doc = append(doc, `</samlp:`+name+`>`...)
	if !sign {
		return doc, nil
	}
	return signing.signInto(doc, 0, signatureAt, m.ID)
}

func (m *logoutMessage) appendName(doc []byte) ([]byte, error) {
	if m.NameTo == nil {
		doc = m.Name.appendTo(append(doc, `<saml:NameID`+declareAssertion...))
	} else {
		name, err := m.Name.encryptedID(m.NameTo, declareAssertion)
		if err != nil {
			return nil, err
		}
		doc = append(doc, name...)
	}
	if m.SessionIndex == "" { // of an upstream that names none
		return doc, nil
	}
	return append(appendText(append(doc, `<samlp:SessionIndex>`...), m.SessionIndex), `</samlp:SessionIndex>`...), nil
}

// redirectURL puts a message into the query of an address, signed over its octets (bindings 3.4.4.1).
func (s *Signing) redirectURL(location, parameter string, message []byte, relayState string, hasRelayState bool) (string, error) {
	var deflated bytes.Buffer
	w, err := flate.NewWriter(&deflated, flate.DefaultCompression)
	if err != nil {
		return "", err
	}
	if _, err := w.Write(message); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	query := parameter + "=" + url.QueryEscape(base64.StdEncoding.EncodeToString(deflated.Bytes()))
	if hasRelayState {
		query += "&RelayState=" + url.QueryEscape(relayState)
	}
	query += "&SigAlg=" + url.QueryEscape(s.algorithm.uri)
	h := s.algorithm.hash.New()
	h.Write([]byte(query))
	signature, err := s.signSum(h.Sum(nil))
	if err != nil {
		return "", err
	}
	separator := "?"
	if strings.Contains(location, "?") {
		separator = "&"
	}
	return location + separator + query + "&Signature=" + url.QueryEscape(base64.StdEncoding.EncodeToString(signature)), nil
}
