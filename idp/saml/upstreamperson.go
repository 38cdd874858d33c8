package saml

import (
	"slices"
	"strings"

	"gatehouse/idp/federation"
	"gatehouse/idp/session"
	"gatehouse/idp/upstream"
	"gatehouse/sp"
)

// person is who the answer is about.
func (t *Told) person(u *federation.Upstream) upstream.Person {
	p := upstream.Person{
		Username: t.one("urn:oid:0.9.2342.19200300.100.1.1", "uid", "username"), Email: t.email(),
		DisplayName: t.text("urn:oid:2.16.840.1.113730.3.1.241", "displayName"),
		GivenName:   t.text("urn:oid:2.5.4.42", "givenName"), Surname: t.text("urn:oid:2.5.4.4", "sn"),
	}
	if n := &t.Name; n.Value != "" && n.Format == sp.NameIDPersistent {
		p.Lasting = strings.Join([]string{n.Format, n.NameQualifier, n.SPNameQualifier, n.Value}, "\x00")
	}
	if u.Match != federation.MatchLink {
		p.Identifier = t.identifier(u)
	}
	return p
}

// identifier is what the upstream calls the person: the attribute that was chosen, else a usual one, else the name identifier.
func (t *Told) identifier(u *federation.Upstream) string {
	switch {
	case u.Attribute != "" && u.Match == federation.MatchEmail:
		return t.text(u.Attribute)
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
	return t.text("urn:oid:0.9.2342.19200300.100.1.3", "mail", "email", "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress")
}

// one is the single value of the first attribute that is there: of several values nobody could say which is meant, and a lesser
// attribute must not step in. Blanks around it stay, for "ana" and "ana " may be two people there.
func (t *Told) one(names ...string) string {
	for _, name := range names {
		switch values := t.Attributes[name]; len(values) {
		case 0:
		case 1:
			return values[0]
		default:
			return ""
		}
	}
	return ""
}

// text is the single value without the blanks around it, where nobody is told from another by them.
func (t *Told) text(names ...string) string { return strings.TrimSpace(t.one(names...)) }

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
		return responder(upstream.ReasonAnswer, StatusProxyCountExceeded, "The organisation that you signed in at does not allow its sign-in to be passed on to this app. Sign in here instead, or ask your administrator.")
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
