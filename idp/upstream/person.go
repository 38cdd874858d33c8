package upstream

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/federation"
	"gatehouse/store"
)

// Link says who a person of an upstream is here.
type Link struct {
	Key  string `json:"key"`
	User string `json:"user"`
}

// Links holds the people whom upstreams brought.
var Links = &store.Table[Link]{
	Name: "upstream_link", Version: 1, Key: func(l *Link) string { return l.Key },
	Lists: map[string]func(*Link) []string{"user": func(l *Link) []string { return []string{l.User} }},
}

// Person is what an upstream says of somebody, one value for each. Empty: it does not say, or says several things.
type Person struct {
	Identifier  string // what the upstream's Match looks at, where that is not its lasting name
	Unverified  bool   // it has an e-mail address, which the upstream did not verify and which is therefore not in here
	Lasting     string // by which it always knows this person and nobody else; empty: it gave no such name
	Username    string
	Email       string
	DisplayName string
	GivenName   string
	Surname     string
}

// noPerson says why an upstream's person is nobody here.
type noPerson struct{ reason, text string }

func (e *noPerson) Error() string { return e.reason }

const askAdmin = " Ask your administrator to give you an account."

// whose finds who a person of an upstream is here, or makes them where the upstream may.
func (d *Desk) whose(tx store.Tx, u *federation.Upstream, p *Person) (directory.User, error) {
	user, err := matched(tx, u, p)
	if errors.Is(err, store.ErrNotFound) && u.Create {
		return d.create(tx, u, p)
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

func matched(tx store.Tx, u *federation.Upstream, p *Person) (user directory.User, err error) {
	if u.Match == federation.MatchLink {
		link, _, err := Links.Get(tx, p.key(u))
		if err != nil {
			return user, err
		}
		user, _, err = directory.Users.Get(tx, link.User)
		return user, err
	}
	switch {
	case p.Identifier == "" && p.Unverified:
		return user, &noPerson{"upstream_unverified", u.Title() + " has not verified your e-mail address, so you are not known by it here. Have it verified there, then sign in again."}
	case p.Identifier == "":
		return user, &noPerson{"upstream_name", u.Title() + " did not say who you are in a way that is understood here. Ask your administrator."}
	}
	index, value := "name", directory.Normalise(p.Identifier)
	if u.Match == federation.MatchEmail {
		if index = "email"; !u.Vouches(value) {
			return user, &noPerson{"upstream_domain", u.Title() + " may not sign in people with your e-mail address. Sign in where that address belongs, or ask your administrator."}
		}
	}
	user, _, err = directory.Users.By(tx, index, value)
	if spelt := map[string]string{"name": user.Name, "email": user.Email}[index]; err == nil && !sameName(spelt, p.Identifier) {
		return user, &noPerson{"upstream_name", "Your name at " + u.Title() + " only looks like one that is known here, and may be somebody else's. Ask your administrator."}
	}
	return user, err
}

// sameName tells whether an upstream and we write a name in the same letters, but for their case: what people could take for each other
// is one name here, and may be two elsewhere. So are blanks around it.
func sameName(ours, theirs string) bool {
	plain := func(name string) string { return norm.NFC.String(strings.ToLower(name)) }
	return plain(ours) == plain(theirs) && !strings.ContainsFunc(theirs, posing)
}

// posing tells whether a letter turns into quite another one where its case is folded or its accents are put together, as the Kelvin sign
// into a k.
func posing(r rune) bool {
	return r >= 0x80 && unicode.ToLower(r) < 0x80 || norm.NFC.String(string(r)) != string(r)
}

func (p *Person) key(u *federation.Upstream) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{u.ID(), p.Lasting}, "\x00")))
	return u.Name + ":" + hex.EncodeToString(sum[:])
}

// create makes the person whom an upstream vouches for, with the audit entry and, where that is the match, the link.
func (d *Desk) create(tx store.Tx, u *federation.Upstream, p *Person) (directory.User, error) {
	user := directory.User{Name: p.Username, Email: p.Email, Profile: u.Profile, DisplayName: p.DisplayName, GivenName: p.GivenName, Surname: p.Surname}
	switch {
	case u.Match == federation.MatchEmail:
		user.Email = p.Identifier
	case u.Match == federation.MatchUsername:
		user.Name = p.Identifier
	case p.Lasting == "":
		return user, &noPerson{"upstream_name", u.Title() + " did not give you a lasting name, so you could not be known again. Ask your administrator."}
	}
	if !u.Vouches(directory.Normalise(user.Email)) {
		user.Email = ""
	}
	if user.Name == "" {
		user.Name = user.Email
	}
	made, err := d.AddUser(tx, user)
	if err != nil {
		var input *directory.InputError
		var taken *directory.TakenError
		if errors.As(err, &input) || errors.As(err, &taken) {
			return user, &noPerson{"upstream_create", "Your account could not be made from what " + u.Title() + " says about you: the name is taken or cannot be used. Ask your administrator."}
		}
		return user, err
	}
	if u.Match == federation.MatchLink {
		if err := Links.Put(tx, &Link{Key: p.key(u), User: made.ID}); err != nil {
			return made, err
		}
	}
	return made, d.Engine.Append(tx, audit.Event{
		Kind: "user.add", Outcome: audit.OK, Actor: "system", User: made.ID, Facts: map[string]string{"name": made.Name, "upstream": u.Name},
	})
}
