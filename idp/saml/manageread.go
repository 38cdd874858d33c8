package saml

import (
	"crypto"
	"errors"
	"unicode/utf8"
)

// ManageNameID is an app's wish to give a person a name of its own, or to end the name that it was given (core 3.6.1).
type ManageNameID struct {
	Head
	Name      *SubjectID
	NewID     string
	Terminate bool

	encrypted, newEncrypted *encryptedData // instead of Name and NewID
}

func readManage(t *tree, head Head) *ManageNameID {
	m := &ManageNameID{Head: head}
	changes := 0
	for at := t.nodes[0].first; at >= 0; at = t.nodes[at].next {
		var err error
		switch {
		case t.is(at, nsAssertion, "NameID"), t.is(at, nsAssertion, "EncryptedID"):
			err = readWho(t, at, &m.Name, &m.encrypted)
		case t.is(at, nsProtocol, "NewID"):
			changes++
			m.NewID, err = readNewID(t, at)
		case t.is(at, nsProtocol, "NewEncryptedID"):
			changes++
			m.newEncrypted, err = readEncrypted(t, at)
		case t.is(at, nsProtocol, "Terminate"):
			changes++
			m.Terminate = true
		case t.is(at, nsAssertion, "Issuer"), t.is(at, nsDSig, "Signature"), t.is(at, nsProtocol, "Extensions"):
		default:
			err = errors.New("<" + cut(t.nodes[at].name) + "> is not allowed in it")
		}
		if err != nil {
			m.note(err)
		}
	}
	if m.Name == nil && m.encrypted == nil || changes != 1 {
		m.note(errors.New("it must name somebody, and either a new name or the end of the old one"))
	}
	return m
}

// readWho reads the one NameID or EncryptedID of a message.
func readWho(t *tree, at int32, name **SubjectID, sealed **encryptedData) (err error) {
	switch {
	case *name != nil || *sealed != nil:
		return errors.New("it names somebody twice")
	case t.is(at, nsAssertion, "EncryptedID"):
		*sealed, err = readEncrypted(t, at)
	default:
		*name, err = readNameID(t, at)
	}
	return err
}

// readNewID reads a name that an app gives: as long as a name may be (core 8.3.7).
func readNewID(t *tree, at int32) (string, error) {
	value, err := t.value(at)
	if err == nil && (value == "" || utf8.RuneCountInString(value) > maxNameID) {
		err = errors.New("its NewID is empty or longer than 256 characters")
	}
	return value, err
}

// unseal decrypts what came encrypted.
func (m *ManageNameID) unseal(keys []crypto.Decrypter) (err error) {
	if m.encrypted != nil {
		if m.Name, err = m.encrypted.openNameID(keys); err != nil {
			return err
		}
	}
	if m.newEncrypted == nil {
		return nil
	}
	t, at, err := m.newEncrypted.openElement(keys, nsProtocol, "NewID")
	if err == nil {
		m.NewID, err = readNewID(t, at)
	}
	return err
}

// MappingRequest is an app's wish to learn, sealed, what another app calls a person (core 3.8.1).
type MappingRequest struct {
	Head
	Name   *SubjectID
	Policy *NameIDPolicy

	encrypted *encryptedData // instead of Name
}

func readMapping(t *tree, head Head) *MappingRequest {
	m := &MappingRequest{Head: head}
	for at := t.nodes[0].first; at >= 0; at = t.nodes[at].next {
		var err error
		switch {
		case t.is(at, nsAssertion, "NameID"), t.is(at, nsAssertion, "EncryptedID"):
			err = readWho(t, at, &m.Name, &m.encrypted)
		case t.is(at, nsProtocol, "NameIDPolicy"):
			m.Policy = &NameIDPolicy{Format: t.attrOr(at, "Format"), SPNameQualifier: t.attrOr(at, "SPNameQualifier")}
		}
		if err != nil {
			m.note(err)
		}
	}
	if m.Name == nil && m.encrypted == nil || m.Policy == nil {
		m.note(errors.New("it must name somebody, and say by a NameIDPolicy whose name for the person it wants"))
	}
	return m
}

func (m *MappingRequest) unseal(keys []crypto.Decrypter) (err error) {
	if m.encrypted != nil {
		m.Name, err = m.encrypted.openNameID(keys)
	}
	return err
}

// Query is a message that is understood and not offered.
type Query struct{ Head }
