package directory

import (
	"crypto/x509"
	"encoding/pem"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"gatehouse/store"
)

// Source is an LDAP directory or Active Directory whose people sign in here with their password there. Its name never changes.
type Source struct {
	Name     string `json:"name"`
	Kind     string `json:"kind"` // KindLDAP or KindAD: what the defaults are
	URL      string `json:"url"`
	Plain    bool   `json:"plain,omitempty"` // ldap:// without StartTLS: passwords travel as they are
	CA       string `json:"ca,omitempty"`    // PEM; empty: the machine's
	BindDN   string `json:"bind_dn,omitempty"`
	Password []byte `json:"password,omitempty"` // of BindDN, sealed

	BaseDN   string            `json:"base_dn"`
	Filter   string            `json:"filter,omitempty"`     // {name} stands for what was typed
	Fields   map[string]string `json:"fields,omitempty"`     // id, name, email, given_name, surname, display_name: attributes there
	Extra    map[string]string `json:"attributes,omitempty"` // attributes here: attributes there
	MemberOf string            `json:"member_of,omitempty"`  // attribute of a person that names groups

	GroupBase   string `json:"group_base,omitempty"` // empty: MemberOf alone
	GroupFilter string `json:"group_filter,omitempty"`
	GroupName   string `json:"group_name,omitempty"`
	GroupMember string `json:"group_member,omitempty"`

	Profile        string    `json:"profile"` // id, of people in no group of Profiles
	Profiles       []Mapping `json:"profiles,omitempty"`
	PermissionSets []Mapping `json:"permission_sets,omitempty"`
	Groups         []Mapping `json:"groups,omitempty"`

	Interval   time.Duration `json:"interval,omitempty"`
	PageSize   int           `json:"page_size,omitempty"`
	MaxRemoved int           `json:"max_removed,omitempty"` // percent
	Paused     bool          `json:"paused,omitempty"`
	Created    time.Time     `json:"created"`
	CreatedBy  string        `json:"created_by"`
	Last       Synced        `json:"last"`
}

// Mapping gives the people of a group there something here: the id of a profile, permission set or group.
type Mapping struct {
	Group string `json:"group"` // its name, or its DN
	ID    string `json:"id"`
}

// Synced is how the last runs went.
type Synced struct {
	Tried    time.Time `json:"tried,omitzero"`
	Good     time.Time `json:"good,omitzero"`
	Next     time.Time `json:"next,omitzero"`
	Failures int       `json:"failures,omitempty"` // in a row
	Error    string    `json:"error,omitempty"`
	Report   Report    `json:"report"` // of the last good one
}

// The kinds of sources.
const (
	KindLDAP = "ldap"
	KindAD   = "ad"
)

// Bounds of sources.
const (
	MaxSources  = 10
	maxMappings = 200
	maxPerson   = 200_000 // people of one source
)

// AllSources is the table of sources.
var AllSources = &store.Table[Source]{Name: "directory_source", Version: 1, Key: func(s *Source) string { return s.Name }}

var sourceName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)

// NewSource makes a source of its settings, in which profiles, permission sets and groups are ids.
func NewSource(name, kind string, values map[string]string, by string, now time.Time) (Source, error) {
	s := Source{Name: name, Kind: kind, Created: now, CreatedBy: by}
	if !sourceName.MatchString(name) {
		return s, refuse("The name of a source is 1 to 40 lower-case letters, digits and hyphens, not %.60q", name)
	}
	if kind != KindLDAP && kind != KindAD {
		return s, refuse("The kind of a source is ldap or ad, not %.40q", kind)
	}
	return s, s.Change(values)
}

// Change sets values: all of them, or none.
func (s *Source) Change(values map[string]string) error {
	next := *s
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if known, err := set(&next, sourceKeys(), name, values[name]); err != nil {
			return &FieldError{name, err}
		} else if !known {
			return &FieldError{name, refuse("There is no setting %.60q of a source: `gatehouse source show` lists them", name)}
		}
	}
	if err := next.check(); err != nil {
		return err
	}
	*s = next
	return nil
}

// FieldError says which value was refused.
type FieldError struct {
	Field string
	Err   error
}

func (e *FieldError) Error() string { return e.Err.Error() }

// Unwrap gives the refusal.
func (e *FieldError) Unwrap() error { return e.Err }

// check holds the settings to what goes together.
func (s *Source) check() error {
	if s.URL == "" || s.BaseDN == "" {
		return &FieldError{"url", refuse("A source needs url and base_dn")}
	}
	u, err := url.Parse(s.URL)
	if err != nil {
		return &FieldError{"url", err}
	}
	if s.Plain && u.Scheme == "ldaps" {
		return &FieldError{"plain", refuse("plain is for ldap:// addresses: ldaps:// is encrypted")}
	}
	return nil
}

// server is the host and port, whether TLS is from the start, and whether StartTLS comes first.
func (s *Source) server() (host, port string, tls, startTLS bool) {
	u, err := url.Parse(s.URL)
	if err != nil {
		return "", "", true, false
	}
	host, port, tls = u.Hostname(), u.Port(), u.Scheme == "ldaps"
	if port == "" {
		port = "389"
		if tls {
			port = "636"
		}
	}
	return host, port, tls, !tls && !s.Plain
}

// SealContext names a source's bind password when it is sealed.
func (s *Source) SealContext() string { return "directory_source:" + s.Name }

// activeSources lists the sources that people may sign in at, in the order of their names.
func activeSources(tx store.Tx) ([]Source, error) {
	var list []Source
	err := AllSources.Each(tx, store.Page{}, func(_ string, s *Source) error {
		if !s.Paused {
			list = append(list, *s)
		}
		return nil
	})
	return list, err
}

// roots are the authorities that a source's certificate must come from; nil: the machine's.
func (s *Source) roots() *x509.CertPool {
	if s.CA == "" {
		return nil
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(s.CA))
	return pool
}

func checkCA(value string) error {
	rest, found := []byte(value), 0
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if _, err := x509.ParseCertificate(block.Bytes); block.Type != "CERTIFICATE" || err != nil {
			return refuse("ca is a file of certificates in PEM form, and one of its parts is none")
		}
		found++
	}
	if found == 0 || strings.TrimSpace(string(rest)) != "" {
		return refuse("ca is a file of certificates in PEM form: ca=@FILE")
	}
	return nil
}

// keepsOwned refuses a change of what a person's source says.
func keepsOwned(old, user *User) error {
	user.Source, user.ExternalID, user.Gone = old.Source, old.ExternalID, old.Gone
	if old.Source == "" {
		return nil
	}
	owned := func(u *User) []string { return []string{u.Name, u.Email, u.GivenName, u.Surname, u.DisplayName} }
	if !slices.Equal(owned(old), owned(user)) {
		return refuse("%s comes from the directory %s: change names and the e-mail address there", old.Name, old.Source)
	}
	return nil
}

// TakesPassword tells, as an error, why a person can have no password here; nil: they can. Who is left of a source that was
// removed may get one.
func TakesPassword(tx store.Tx, user *User) error {
	if user.Source == "" {
		return nil
	}
	revision, err := AllSources.Revision(tx, user.Source)
	if err == nil && revision != 0 {
		err = refuse("%s signs in with the password of the directory %s: it is changed there, and not kept here", user.Name, user.Source)
	}
	return err
}
