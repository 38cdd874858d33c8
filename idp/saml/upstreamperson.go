package saml

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/federation"
	"gatehouse/idp/session"
	"gatehouse/sp"
	"gatehouse/store"
)

// UpstreamLink says who a person of an upstream is here.
type UpstreamLink struct {
	Key  string `json:"key"`
	User string `json:"user"`
}

// UpstreamLinks holds the people whom upstreams brought.
var UpstreamLinks = &store.Table[UpstreamLink]{
	Name: "upstream_link", Version: 1, Key: func(l *UpstreamLink) string { return l.Key },
	Lists: map[string]func(*UpstreamLink) []string{"user": func(l *UpstreamLink) []string { return []string{l.User} }},
}

// noPerson says why an upstream's person is nobody here.
type noPerson struct{ reason, text string }

func (e *noPerson) Error() string { return e.reason }

const askAdmin = " Ask your administrator to give you an account."

// whose finds who a person of an upstream is here, or makes them where the upstream may.
func (h *Handlers) whose(tx store.Tx, u *federation.Upstream, told *Told) (directory.User, error) {
	user, err := matched(tx, u, told)
	if errors.Is(err, store.ErrNotFound) && u.Create {
		return h.create(tx, u, told)
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return user, &noPerson{string(directory.UnknownUser), "You signed in at " + u.Title() + ", but nobody here has that name." + askAdmin}
	case err != nil:
		return user, err
	case user.Disabled:
		return user, &noPerson{string(directory.Disabled), "Your account is disabled. Ask your administrator to enable it."}
	case len(user.Roles) > 0 && !u.Admins:
		return user, &noPerson{"upstream_admin", "People who administer Gatehouse sign in here, not at " + u.Title() + ". Sign in with your password."}
	}
	return user, nil
}

func matched(tx store.Tx, u *federation.Upstream, told *Told) (user directory.User, err error) {
	if u.Match == federation.MatchLink {
		link, _, err := UpstreamLinks.Get(tx, personKey(u, told))
		if err != nil {
			return user, err
		}
		user, _, err = directory.Users.Get(tx, link.User)
		return user, err
	}
	value := told.identifier(u)
	if value == "" {
		return user, &noPerson{"upstream_name", u.Title() + " did not say who you are in a way that is understood here. Ask your administrator."}
	}
	index, value := "name", directory.Normalise(value)
	if u.Match == federation.MatchEmail {
		if index = "email"; !u.Vouches(value) {
			return user, &noPerson{"upstream_domain", u.Title() + " may not sign in people with your e-mail address. Sign in where that address belongs, or ask your administrator."}
		}
	}
	user, _, err = directory.Users.By(tx, index, value)
	return user, err
}

// identifier is what the upstream calls the person: the attribute that was chosen, else a usual one, else the name identifier.
func (t *Told) identifier(u *federation.Upstream) string {
	switch {
	case u.Attribute != "":
		return t.one(u.Attribute)
	case u.Match == federation.MatchEmail:
		return t.email()
	}
	if name := t.one("urn:oid:0.9.2342.19200300.100.1.1", "uid", "username"); name != "" {
		return name
	}
	if t.Name.Format == sp.NameIDUnspecified || t.Name.Format == "" {
		return t.Name.Value
	}
	return ""
}

func (t *Told) email() string {
	if t.Name.Format == sp.NameIDEmail {
		return t.Name.Value
	}
	return t.one("urn:oid:0.9.2342.19200300.100.1.3", "mail", "email", "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress")
}

// one is the single value of the first attribute that is there: of several values nobody could say which is meant, and a lesser
// attribute must not step in.
func (t *Told) one(names ...string) string {
	for _, name := range names {
		switch values := t.Attributes[name]; len(values) {
		case 0:
		case 1:
			return strings.TrimSpace(values[0])
		default:
			return ""
		}
	}
	return ""
}

func personKey(u *federation.Upstream, told *Told) string {
	n := &told.Name
	sum := sha256.Sum256([]byte(strings.Join([]string{u.Provider.EntityID, n.Format, n.NameQualifier, n.SPNameQualifier, n.Value}, "\x00")))
	return u.Name + ":" + hex.EncodeToString(sum[:])
}

// create makes the person whom an upstream vouches for, with the audit entry and, where that is the match, the link.
func (h *Handlers) create(tx store.Tx, u *federation.Upstream, told *Told) (directory.User, error) {
	user := directory.User{
		Name: told.one("urn:oid:0.9.2342.19200300.100.1.1", "uid", "username"), Email: told.email(), Profile: u.Profile,
		DisplayName: told.one("urn:oid:2.16.840.1.113730.3.1.241", "displayName"),
		GivenName:   told.one("urn:oid:2.5.4.42", "givenName"), Surname: told.one("urn:oid:2.5.4.4", "sn"),
	}
	switch {
	case u.Match == federation.MatchEmail:
		user.Email = told.identifier(u)
	case u.Match == federation.MatchUsername:
		user.Name = told.identifier(u)
	case told.Name.Value == "" || told.Name.Format != sp.NameIDPersistent:
		return user, &noPerson{"upstream_name", u.Title() + " did not give you a lasting name, so you could not be known again. Ask your administrator."}
	}
	if !u.Vouches(directory.Normalise(user.Email)) {
		user.Email = ""
	}
	if user.Name == "" {
		user.Name = user.Email
	}
	made, err := h.AddUser(tx, user)
	if err != nil {
		var input *directory.InputError
		var taken *directory.TakenError
		if errors.As(err, &input) || errors.As(err, &taken) {
			return user, &noPerson{"upstream_create", "Your account could not be made from what " + u.Title() + " says about you: the name is taken or cannot be used. Ask your administrator."}
		}
		return user, err
	}
	if u.Match == federation.MatchLink {
		if err := UpstreamLinks.Put(tx, &UpstreamLink{Key: personKey(u, told), User: made.ID}); err != nil {
			return made, err
		}
	}
	return made, h.Engine.Append(tx, audit.Event{
		Kind: "user.add", Outcome: audit.OK, Actor: "system", User: made.ID, Facts: map[string]string{"name": made.Name, "upstream": u.Name},
	})
}

// mayPassOn holds an answer about somebody who signed in elsewhere to what that identity provider and the app allow.
func mayPassOn(broker *session.Brokered, asked *Accepted, app string) *Problem {
	switch {
	case len(asked.IDPs) > 0 && (broker == nil || !slices.Contains(asked.IDPs, broker.Upstream)):
		return requester(ReasonIDPList, StatusNoSupportedIDP, "The app accepts only a sign-in at another organisation. Sign out, open it again and choose that one.")
	case broker == nil:
		return nil
	case asked.ProxyCount != nil && *asked.ProxyCount <= len(broker.Authorities):
		return noProxying()
	case broker.Count != nil && *broker.Count == 0, len(broker.Audiences) > 0 && !slices.Contains(broker.Audiences, app):
		return responder(ReasonUpstream, StatusProxyCountExceeded, "The organisation that you signed in at does not allow its sign-in to be passed on to this app. Sign in here instead, or ask your administrator.")
	}
	return nil
}

// passOn tells who really signed the person in, and hands its limits on.
func (st *Statement) passOn(broker *session.Brokered, tell bool) {
	if broker == nil {
		return
	}
	if tell {
		st.Authorities = append([]string{broker.Upstream}, broker.Authorities...)
	}
	if broker.Count != nil {
		st.ProxyCount = new(*broker.Count - 1)
	}
	st.ProxyAudiences = broker.Audiences
	if !broker.Ends.IsZero() && !st.SessionEnds.IsZero() && broker.Ends.Before(st.SessionEnds) {
		st.SessionEnds = broker.Ends
	}
}

// brokeredMethods are the methods that the class of a brokered sign-in stands for.
func brokeredMethods(broker *session.Brokered) []string {
	if broker == nil {
		return nil
	}
	if c := findClass(broker.Class); c != nil && c.method != "" {
		return []string{c.method}
	}
	return nil
}
