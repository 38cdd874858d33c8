package federation

import (
	"slices"
	"strings"
	"time"

	"gatehouse/idp/session"
	"gatehouse/sp"
	"gatehouse/sp/metadata"
	"gatehouse/store"
)

// How the people of an upstream are found among ours.
const (
	MatchLink     = "link"     // by the name identifier that a person was created with
	MatchEmail    = "email"    // by the e-mail address that it tells
	MatchUsername = "username" // by the user name that it tells
)

// Upstream is another identity provider where people may sign in, by SAML or by OpenID Connect, and how far it is believed.
type Upstream struct {
	Name      string              `json:"name"`
	Provider  metadata.Provider   `json:"provider,omitzero"` // of one that speaks SAML
	OpenID    *OpenID             `json:"openid,omitempty"`  // of one that speaks OpenID Connect; nil: it speaks SAML
	Look      Looked              `json:"look,omitzero"`     // where newer metadata is looked for; without an address: nowhere
	Pinned    []sp.Key            `json:"pinned,omitempty"`  // one of which must have signed what comes from there
	Label     string              `json:"label,omitempty"`   // on the sign-in page; empty: as its metadata says
	Match     string              `json:"match"`
	Attribute string              `json:"attribute,omitempty"` // that Match looks at; empty: the usual ones
	Domains   []string            `json:"domains,omitempty"`   // of the e-mail addresses that it may vouch for; empty: of all
	Create    bool                `json:"create,omitempty"`    // people who are not here yet
	Profile   string              `json:"profile,omitempty"`   // id, of those who are created
	Admins    bool                `json:"admins,omitempty"`    // people with a role may sign in there
	Level     sp.Level            `json:"level"`               // of a sign-in whose class Levels does not name
	Levels    map[string]sp.Level `json:"levels,omitempty"`    // by authentication context class; of OpenID Connect, by acr and by AMR and a method
	Quiet     bool                `json:"quiet,omitempty"`     // it is not told for which app people come
	Off       bool                `json:"off,omitempty"`
	Created   time.Time           `json:"created"`
	CreatedBy string              `json:"created_by"`
}

// MaxUpstreams is how many there may be: each is a button on the sign-in page.
const MaxUpstreams = 20

// Upstreams is the table of upstream identity providers.
var Upstreams = &store.Table[Upstream]{
	Name: "upstream", Version: 1, Key: func(u *Upstream) string { return u.Name },
	Unique: map[string]func(*Upstream) string{"entity_id": (*Upstream).ID},
}

// NewUpstream makes an upstream of what was found of it and its settings. Its name never changes.
func NewUpstream(name string, found *Fetched, values map[string]string, by string, now time.Time) (Upstream, error) {
	u := Upstream{Name: name, Provider: found.Provider, OpenID: found.OpenID, Look: found.Look, Match: MatchEmail, Level: sp.Low, Created: now, CreatedBy: by}
	if !sourceName.MatchString(name) {
		return u, &sp.SettingError{Key: "name", Reason: "must be 1 to 40 lower-case letters, digits and hyphens"}
	}
	return u, u.Change(values)
}

// Title is its name for people.
func (u *Upstream) Title() string {
	switch {
	case u.Label != "":
		return u.Label
	case u.Provider.DisplayName != "":
		return u.Provider.DisplayName
	}
	return u.Name
}

// ID is what it calls itself: its entity id, or its issuer.
func (u *Upstream) ID() string {
	if u.OpenID != nil {
		return u.OpenID.Issuer
	}
	return u.Provider.EntityID
}

// Protocol is how it is spoken to, as session.AppReached has it.
func (u *Upstream) Protocol() string {
	if u.OpenID != nil {
		return ProtocolOpenID
	}
	return ""
}

// Address is where the browser goes to sign in there.
func (u *Upstream) Address() string {
	if u.OpenID != nil {
		return u.OpenID.Found.Authorization
	}
	return u.Provider.Redirect()
}

// Usable tells whether people may sign in there now.
func (u *Upstream) Usable(now time.Time) bool { return !u.Off && !u.Provider.Expired(now) }

// LevelOf is what a sign-in counts as here of which the upstream says all these classes: as the highest of those that Levels names.
func (u *Upstream) LevelOf(classes ...string) sp.Level {
	best := sp.Level("")
	for _, class := range classes {
		if level, ok := u.Levels[class]; ok && (best == "" || level.AtLeast(best)) {
			best = level
		}
	}
	if best == "" {
		return u.Level
	}
	return best
}

// Highest is the highest level that a sign-in there can count as.
func (u *Upstream) Highest() sp.Level {
	highest := u.Level
	for _, level := range u.Levels {
		if level.AtLeast(highest) {
			highest = level
		}
	}
	return highest
}

// Classes are those whose sign-ins reach a level and that can be asked for, sorted.
func (u *Upstream) Classes(level sp.Level) []string {
	var classes []string
	for class, reached := range u.Levels {
		if reached.AtLeast(level) && !(u.OpenID != nil && strings.HasPrefix(class, AMR)) {
			classes = append(classes, class)
		}
	}
	slices.Sort(classes)
	return classes
}

// Vouches tells whether it may say that somebody has an e-mail address, in normal form: of several upstreams, none shall speak for
// the people of another.
func (u *Upstream) Vouches(email string) bool {
	return len(u.Domains) == 0 || slices.Contains(u.Domains, email[strings.LastIndexByte(email, '@')+1:])
}

// Party is the upstream as sign-out sees it: told like an app and, like one, able to ask. Through the browser where that is offered,
// because other service providers of it may have to be told so.
func (u *Upstream) Party() *sp.App {
	if u.OpenID != nil {
		return u.openIDParty()
	}
	p := &u.Provider
	front := slices.DeleteFunc(slices.Clone(p.SLO), func(e sp.Endpoint) bool { return e.Binding != sp.BindingRedirect && e.Binding != sp.BindingPOST })
	if len(front) == 0 {
		front = p.SLO
	}
	return &sp.App{ID: session.UpstreamID(p.EntityID), State: sp.Active, Definition: sp.Definition{
		Name: u.Title(), SAML: &sp.SAML{Metadata: sp.Metadata{EntityID: p.EntityID, ValidUntil: p.ValidUntil, Keys: p.Keys, SLO: front}},
	}}
}

// Party finds an upstream by its entity id or issuer, as sign-out sees it; nil: there is none.
func Party(tx store.Tx, entityID string) (*sp.App, error) {
	u, _, err := Upstreams.By(tx, "entity_id", entityID)
	if err != nil {
		return nil, absent(err)
	}
	return u.Party(), nil
}

// Offered are the upstreams that people may sign in at, in the order of their names.
func Offered(tx store.Tx, now time.Time) ([]Upstream, error) {
	var list []Upstream
	err := Upstreams.Each(tx, store.Page{}, func(_ string, u *Upstream) error {
		if u.Usable(now) {
			list = append(list, *u)
		}
		return nil
	})
	return list, err
}
