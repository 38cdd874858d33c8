package saml

import (
	"errors"
	"strings"
	"time"
)

// nsASLO is the namespace of asynchronous single logout (saml-async-slo-v1.0).
const nsASLO = "urn:oasis:names:tc:SAML:2.0:protocol:ext:async-slo"

// LogoutRequest is an app's wish to end a person's sessions (core 3.7.1). Strings are as sent.
type LogoutRequest struct {
	Head
	NotOnOrAfter   time.Time // zero: not given
	Name           *SubjectID
	SessionIndexes []string // none: every session of the person that the app knows
	Asynchronous   bool     // no answer is expected

	encrypted *encryptedData // instead of Name
}

// LogoutResponse is an app's answer to our LogoutRequest (core 3.7.2).
type LogoutResponse struct {
	Head
	Status, SubStatus string
}

func readLogoutRequest(t *tree, head Head) *LogoutRequest {
	l := &LogoutRequest{Head: head}
	var err error
	if l.NotOnOrAfter, err = readInstant(t, "NotOnOrAfter"); err != nil {
		l.note(err)
	}
	if err := l.readChildren(t); err != nil {
		l.note(err)
	}
	if l.Name == nil && l.encrypted == nil {
		l.note(errors.New("it names nobody"))
	}
	return l
}

func (l *LogoutRequest) readChildren(t *tree) (err error) {
	for at := t.nodes[0].first; at >= 0 && err == nil; at = t.nodes[at].next {
		switch {
		case t.is(at, nsAssertion, "NameID"), t.is(at, nsAssertion, "EncryptedID"), t.is(at, nsAssertion, "BaseID"):
			err = l.readName(t, at)
		case t.is(at, nsProtocol, "SessionIndex"):
			err = l.readIndex(t, at)
		case t.is(at, nsProtocol, "Extensions"):
			for child := t.nodes[at].first; child >= 0; child = t.nodes[child].next {
				l.Asynchronous = l.Asynchronous || t.is(child, nsASLO, "Asynchronous")
			}
		case t.is(at, nsAssertion, "Issuer"), t.is(at, nsDSig, "Signature"):
		default:
			err = errors.New("<" + cut(t.nodes[at].name) + "> is not allowed in it")
		}
	}
	return err
}

func (l *LogoutRequest) readName(t *tree, at int32) (err error) {
	switch {
	case l.Name != nil || l.encrypted != nil:
		return errors.New("it names somebody twice")
	case t.is(at, nsAssertion, "EncryptedID"):
		l.encrypted, err = readEncrypted(t, at)
		return err
	case !t.is(at, nsAssertion, "NameID"):
		return errors.New("it names nobody by a NameID")
	}
	l.Name, err = readNameID(t, at)
	return err
}

func (l *LogoutRequest) readIndex(t *tree, at int32) error {
	index, err := t.value(at)
	if err != nil {
		return err
	}
	if index = strings.TrimSpace(index); index == "" || len(index) > maxTextLength || len(l.SessionIndexes) >= maxListEntries {
		return errors.New("one of its SessionIndex elements is empty or too long, or there are too many")
	}
	l.SessionIndexes = append(l.SessionIndexes, index)
	return nil
}

func readLogoutResponse(t *tree, head Head) *LogoutResponse {
	l := &LogoutResponse{Head: head}
	var err error
	if l.Status, l.SubStatus, err = readStatus(t); err != nil {
		l.note(err)
	}
	return l
}

// readStatus reads the two codes of a response's status (core 3.2.2.1).
func readStatus(t *tree) (status, sub string, err error) {
	at, err := t.only(0, nsProtocol, "Status")
	if err != nil || at < 0 {
		return "", "", errors.New("it has not one Status")
	}
	code := t.nodes[at].first
	if code < 0 || !t.is(code, nsProtocol, "StatusCode") {
		return "", "", errors.New("its Status has no StatusCode")
	}
	if nested := t.nodes[code].first; nested >= 0 && t.is(nested, nsProtocol, "StatusCode") {
		sub = t.attrOr(nested, "Value")
	}
	return t.attrOr(code, "Value"), sub, nil
}

// readNameID reads a name identifier with its qualifiers.
func readNameID(t *tree, at int32) (*SubjectID, error) {
	value, err := t.value(at)
	if err != nil {
		return nil, err
	}
	if value == "" || len(value) > 4*maxTextLength {
		return nil, errors.New("its NameID is empty or too long")
	}
	return &SubjectID{
		Value: value, Format: t.attrOr(at, "Format"),
		NameQualifier: t.attrOr(at, "NameQualifier"), SPNameQualifier: t.attrOr(at, "SPNameQualifier"), SPProvidedID: t.attrOr(at, "SPProvidedID"),
	}, nil
}
