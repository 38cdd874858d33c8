package saml

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Head is what every protocol message begins with (core 3.2.1, 3.2.2). Strings are as sent.
type Head struct {
	ID             string
	InResponseTo   string // of a response
	Version        string
	IssueInstant   time.Time
	Destination    string
	HasDestination bool
	Consent        string
	Issuer         string

	// invalid is the first thing wrong with a part that does not stop us from telling the service provider so.
	invalid *Problem
}

func (h *Head) note(err error) {
	if h.invalid == nil {
		h.invalid = requester(ReasonInvalid, "", "The app sent a message that is not valid: "+err.Error()+". Ask the app's administrator to check it.").caused(err)
	}
}

// readHead reads what all messages share. What is wrong with its identity (id, issuer) is a local problem; the rest is
// remembered for the check, which tells the service provider.
func readHead(t *tree) (Head, *Problem) {
	h := Head{ID: t.attrOr(0, "ID"), InResponseTo: t.attrOr(0, "InResponseTo"), Version: t.attrOr(0, "Version"), Consent: t.attrOr(0, "Consent")}
	if !isNCName(h.ID) || len(h.ID) > 4*maxIDLength {
		return h, malformed(errors.New("its ID is missing or is not an XML name"))
	}
	issuer, err := readIssuer(t)
	if err != nil {
		return h, malformed(err)
	}
	h.Issuer = issuer
	h.Destination, h.HasDestination = t.attr(0, "Destination")
	if len(h.Destination) > 4*maxTextLength {
		h.note(errors.New("its Destination is too long"))
	}
	h.IssueInstant, err = readInstant(t, "IssueInstant")
	if err == nil && h.IssueInstant.IsZero() {
		err = errors.New("its IssueInstant is missing")
	}
	if err != nil {
		h.note(err)
	}
	return h, nil
}

// readInstant reads an instant of the root; zero: absent.
func readInstant(t *tree, name string) (time.Time, error) {
	value, ok := t.attr(0, name)
	if !ok {
		return time.Time{}, nil
	}
	instant, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(value))
	if err != nil {
		return time.Time{}, fmt.Errorf("its %s is not a time in UTC such as 2026-01-31T12:00:00Z", name)
	}
	return instant, nil
}

// readIssuer reads the issuer: required, an entity, compared octet by octet later (profiles 4.1.4.1).
func readIssuer(t *tree) (string, error) {
	at, err := t.only(0, nsAssertion, "Issuer")
	if err != nil {
		return "", err
	}
	if at < 0 {
		return "", errors.New("it has no Issuer")
	}
	if format, ok := t.attr(at, "Format"); ok && format != formatEntity {
		return "", errors.New("the Format of its Issuer is not that of an entity")
	}
	issuer, err := t.value(at)
	if err != nil {
		return "", err
	}
	if issuer == "" || len(issuer) > maxTextLength {
		return "", errors.New("its Issuer is empty or too long")
	}
	return issuer, nil
}
