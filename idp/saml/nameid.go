package saml

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"net/mail"
	"strings"

	"gatehouse/idp/claims"
	"gatehouse/idp/directory"
	"gatehouse/sp"
)

// maxNameID is the longest name identifier that may be sent, in bytes (core 8.3.7: 256 characters).
const maxNameID = 256

// persistent NameIDs are lower case, so that two never differ only by case (IIP-IDP21).
var lowerBase32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Namer makes name identifiers. Key is a sealed secret of at least 32 bytes: whoever has it can link people across apps.
type Namer struct {
	Key    []byte
	Claims *claims.Evaluator
	Link   *Link // of the person and the app; nil: there is none
}

// NameID makes the name of a user at an app in a format that Check accepted (core 8.3). A value that the user does not
// have, or that the format does not allow, is InvalidNameIDPolicy.
func (n *Namer) NameID(entityID string, app *sp.App, user *directory.User, asked *Accepted) (NameID, *Problem) {
	if asked.NameIDFormat == sp.NameIDNone {
		return NameID{}, nil
	}
	settings := app.Definition.SAML
	id := NameID{Format: asked.NameIDFormat}
	source := settings.NameIDSource(id.Format)
	var problem *Problem
	if source != sp.SourceOpaque && !app.Policy.AllowsSource(strings.TrimPrefix(source, "attribute:")) {
		return NameID{}, requester(ReasonNameID, StatusInvalidNameIDPolicy, "This app asks for a name that it may not be told. Ask your administrator to widen policy.attributes, or to change the app's NameID settings.").because("a source within policy.attributes", source)
	}
	if id.Format == sp.NameIDTransient {
		id.Value = "_" + strings.ToLower(rand.Text()+rand.Text()[:6]) // 160 random bits
	} else {
		id.Value, problem = n.value(source, app, user, asked)
	}
	if problem != nil {
		return NameID{}, problem
	}
	if id.Value == "" || len(id.Value) > maxNameID || id.Format == sp.NameIDEmail && !isAddress(id.Value) {
		return NameID{}, noName(source)
	}
	if id.Format == sp.NameIDPersistent || id.Format == sp.NameIDTransient {
		id.NameQualifier, id.SPNameQualifier = entityID, settings.Metadata.EntityID
		n.finish(&id, asked)
	} else if asked.Qualified {
		id.SPNameQualifier = settings.Metadata.EntityID
	}
	return id, nil
}

// finish says of a persistent name whose it is, and what the app calls the person itself (core 3.6.3).
func (n *Namer) finish(id *NameID, asked *Accepted) {
	if id.Format != sp.NameIDPersistent {
		return
	}
	if asked.Affiliation != "" {
		id.SPNameQualifier = asked.Affiliation
	}
	if n.Link != nil {
		id.SPProvidedID = n.Link.SPProvidedID
	}
}

// value is the name itself. One that was ended is followed by an opaque one, whatever the source, so that it never comes again.
func (n *Namer) value(source string, app *sp.App, user *directory.User, asked *Accepted) (string, *Problem) {
	if asked.NameIDFormat == sp.NameIDPersistent {
		salted := n.Link != nil && n.Link.Salt != ""
		if salted || asked.Affiliation != "" {
			source = sp.SourceOpaque
		}
	}
	switch source {
	case sp.SourceOpaque:
		return n.persistent(user.ID, ownerOf(app.ID, asked.Affiliation)), nil
	case sp.SourceEmail:
		return user.Email, nil
	case sp.SourceUsername:
		return user.Name, nil
	}
	name, _ := strings.CutPrefix(source, "attribute:")
	values, err := n.Claims.Values(name, personOf(user))
	if err != nil {
		return "", noName(source).caused(err)
	}
	if len(values) == 0 {
		return "", nil
	}
	return values[0], nil
}

// personOf is the user as attribute sources see it, without what is in other records.
func personOf(u *directory.User) *claims.Person {
	return &claims.Person{
		ID: u.ID, Name: u.Name, DisplayName: u.FullName(), Email: u.Email, GivenName: u.GivenName, Surname: u.Surname,
		Attributes: u.Attributes,
	}
}

// Opaque is the persistent value: pairwise by user id and app id, neither of which is ever used again, so a person or app
// that is made anew under an old name gets new values.
func (n *Namer) Opaque(userID, appID string) string {
	mac := hmac.New(sha256.New, n.Key)
	mac.Write([]byte("nameid\x00" + userID + "\x00" + appID))
	var sum [sha256.Size]byte
	return lowerBase32.EncodeToString(mac.Sum(sum[:0]))
}

// persistent is Opaque, or another value of its kind once that was ended.
func (n *Namer) persistent(userID, owner string) string {
	if n.Link != nil && n.Link.Salt != "" {
		owner += "\x00" + n.Link.Salt
	}
	return n.Opaque(userID, owner)
}

func noName(source string) *Problem {
	p := requester(ReasonNameID, StatusInvalidNameIDPolicy, "Your account lacks what this app knows people by. Ask your administrator to complete your account, or to change the app's NameID settings.")
	return p.because("a value of "+source, "")
}

// isAddress tells whether s is a bare addr-spec (core 8.3.2).
func isAddress(s string) bool {
	address, err := mail.ParseAddress(s)
	return err == nil && address.Name == "" && address.Address == s
}

// matches tells whether a name satisfies the Subject that a request demands (core 3.3.4): equal value and, where the
// request gives them, equal format and qualifiers.
func (s *SubjectID) matches(n *NameID) bool {
	return s.Value == n.Value &&
		(s.Format == "" || s.Format == sp.NameIDUnspecified || s.Format == n.Format) &&
		(s.NameQualifier == "" || s.NameQualifier == n.NameQualifier) &&
		(s.SPNameQualifier == "" || s.SPNameQualifier == n.SPNameQualifier)
}
