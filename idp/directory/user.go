// Package directory owns people: users, profiles, permission sets, groups and their credentials, and Authenticate, the one
// place where a password is checked, throttled and counted.
//
// It must not know HTTP, sessions or apps. Read user.go for the records, authenticate.go for sign-in,
// source.go for LDAP directories, whose passwords are checked there, adopt.go for how their people become people here.
package directory

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"gatehouse/store"
)

// User is the record of a person. Name and Email are unique after normalisation (NFKC and case folding, see Normalise), and
// none is another person's other one.
type User struct {
	ID             string              `json:"id"` // "usr_…", never reused
	Name           string              `json:"name"`
	DisplayName    string              `json:"display_name,omitempty"`
	Email          string              `json:"email,omitempty"`
	GivenName      string              `json:"given_name,omitempty"`
	Surname        string              `json:"surname,omitempty"`
	Disabled       bool                `json:"disabled,omitempty"`
	Profile        string              `json:"profile"` // profile id
	PermissionSets []string            `json:"permission_sets,omitempty"`
	Groups         []string            `json:"groups,omitempty"`
	Roles          []string            `json:"roles,omitempty"` // owner, app_admin, developer, approver, help_desk, auditor
	Attributes     map[string][]string `json:"attributes,omitempty"`
	Created        time.Time           `json:"created"`
	Changed        time.Time           `json:"changed"`
	Source         string              `json:"source,omitempty"`      // name of the directory source; empty: local
	ExternalID     string              `json:"external_id,omitempty"` // there, for good; of a local person, at the program that provisions them
	Gone           bool                `json:"gone,omitempty"`        // disabled because the source has the person no more
}

// FullName is what the person is called: the display name, else the given name and surname, else the user name.
func (u *User) FullName() string {
	return cmp.Or(u.DisplayName, strings.TrimSpace(u.GivenName+" "+u.Surname), u.Name)
}

// Profile is the one profile of a person: address ranges, login hours and session limits that apply to all who hold it. A zero
// value means no limit, or the organisation's.
type Profile struct {
	ID             string         `json:"id"`
	Name           string         `json:"name"`
	IPRanges       []netip.Prefix `json:"ip_ranges,omitempty"`
	LoginHours     *Hours         `json:"login_hours,omitempty"`
	SessionTimeout time.Duration  `json:"session_timeout,omitempty"` // of apps that set none
	SessionIdle    time.Duration  `json:"session_idle,omitempty"`    // of the session here
	SessionMax     time.Duration  `json:"session_max,omitempty"`
}

// PermissionSet is a named set of people, of which a person may hold several.
type PermissionSet struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Group is a named group of people; its name is released to apps as isMemberOf.
type Group struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	ExternalID string `json:"external_id,omitempty"` // at the program that provisions it
}

// Users is the table of people.
var Users = &store.Table[User]{
	Name:    "user",
	Version: 1,
	Key:     func(u *User) string { return u.ID },
	Unique: map[string]func(*User) string{
		"name":     func(u *User) string { return Normalise(u.Name) },
		"email":    func(u *User) string { return Normalise(u.Email) }, // it names the person to apps, and at sign-in
		"external": func(u *User) string { return externalKey(u.Source, u.ExternalID) },
	},
	Lists: map[string]func(*User) []string{
		"skeleton":       skeletons,
		"profile":        func(u *User) []string { return optional(u.Profile) },
		"permission_set": func(u *User) []string { return u.PermissionSets },
		"group":          func(u *User) []string { return u.Groups },
		"role":           func(u *User) []string { return u.Roles },
		"source":         func(u *User) []string { return optional(u.Source) },
	},
}

// Profiles is the table of profiles.
var Profiles = &store.Table[Profile]{
	Name:    "profile",
	Version: 1,
	Key:     func(p *Profile) string { return p.ID },
	Unique:  map[string]func(*Profile) string{"name": func(p *Profile) string { return Normalise(p.Name) }},
}

// PermissionSets is the table of permission sets.
var PermissionSets = &store.Table[PermissionSet]{
	Name:    "permission_set",
	Version: 1,
	Key:     func(p *PermissionSet) string { return p.ID },
	Unique:  map[string]func(*PermissionSet) string{"name": func(p *PermissionSet) string { return Normalise(p.Name) }},
}

// Groups is the table of groups.
var Groups = &store.Table[Group]{
	Name:    "group",
	Version: 1,
	Key:     func(g *Group) string { return g.ID },
	Unique: map[string]func(*Group) string{
		"name":     func(g *Group) string { return Normalise(g.Name) },
		"external": func(g *Group) string { return externalKey("", g.ExternalID) },
	},
}

// Credential is how a person proves who they are: Password is an argon2id hash in PHC form.
type Credential struct {
	User     string    `json:"user"` // user id
	Password string    `json:"password"`
	Changed  time.Time `json:"changed"`
}

// Credentials is the table of credentials; apart from Users, so that no list or export of people can hold a hash.
var Credentials = &store.Table[Credential]{
	Name:    "credential",
	Version: 1,
	Key:     func(c *Credential) string { return c.User },
}

// Activity is what sign-ins leave behind. It is apart from Users, so that a sign-in does not change the revision of the
// person that a sign-on under way has decided on.
type Activity struct {
	User        string    `json:"user"` // user id
	LastSignIn  time.Time `json:"last_sign_in,omitzero"`
	Failures    int       `json:"failures,omitempty"` // in a row
	LastFailure time.Time `json:"last_failure,omitzero"`
	Known       []string  `json:"known,omitempty"`   // networks of the last successful sign-ins, the newest last
	Devices     []string  `json:"devices,omitempty"` // hashes of the cookies of browsers that the person signed in with, the newest last

	WrongCodes    int       `json:"wrong_codes,omitempty"` // of second factors, in a row
	LastWrongCode time.Time `json:"last_wrong_code,omitzero"`
	PutOff        time.Time `json:"put_off,omitzero"` // when the person first put off setting up a second factor
}

// Activities is the table of Activity.
var Activities = &store.Table[Activity]{
	Name:    "activity",
	Version: 1,
	Key:     func(a *Activity) string { return a.User },
}

// ByExternalID finds the person whom a source, or with an empty one the program that provisions local people, calls so. The error
// wraps store.ErrNotFound.
func ByExternalID(tx store.Tx, source, id string) (User, error) {
	user, _, err := Users.By(tx, "external", externalKey(source, id))
	return user, err
}

// GroupByExternalID finds the group that the program which provisions it calls so.
func GroupByExternalID(tx store.Tx, id string) (Group, error) {
	group, _, err := Groups.By(tx, "external", externalKey("", id))
	return group, err
}

// externalKey keeps the names of different sources apart; an id may hold a slash, the name of a source does not.
func externalKey(source, id string) string {
	if id == "" {
		return ""
	}
	return source + "/" + id
}

func optional(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}

// MakesTokens tells whether who made an API token could still make it: an active owner. What was made on the unix socket ("uid N")
// belongs to the machine and does not end with a person.
func MakesTokens(tx store.Tx, creator string) (bool, error) {
	if strings.HasPrefix(creator, "uid ") {
		return true, nil
	}
	user, _, err := Users.Get(tx, creator)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return !user.Disabled && slices.Contains(user.Roles, "owner"), err
}
