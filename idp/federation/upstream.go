package federation

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

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

// Upstream is another identity provider where people may sign in, and how far it is believed.
type Upstream struct {
	Name      string              `json:"name"`
	Provider  metadata.Provider   `json:"provider"`
	Look      Looked              `json:"look,omitzero"`    // where newer metadata is looked for; without an address: nowhere
	Pinned    []sp.Key            `json:"pinned,omitempty"` // one of which must have signed what comes from there
	Label     string              `json:"label,omitempty"`  // on the sign-in page; empty: as its metadata says
	Match     string              `json:"match"`
	Attribute string              `json:"attribute,omitempty"` // that Match looks at; empty: the usual ones
	Domains   []string            `json:"domains,omitempty"`   // of the e-mail addresses that it may vouch for; empty: of all
	Create    bool                `json:"create,omitempty"`    // people who are not here yet
	Profile   string              `json:"profile,omitempty"`   // id, of those who are created
	Admins    bool                `json:"admins,omitempty"`    // people with a role may sign in there
	Level     sp.Level            `json:"level"`               // of a sign-in whose class Levels does not name
	Levels    map[string]sp.Level `json:"levels,omitempty"`    // by authentication context class
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
	Unique: map[string]func(*Upstream) string{"entity_id": func(u *Upstream) string { return u.Provider.EntityID }},
}

// NewUpstream makes an upstream of its metadata and settings. Its name never changes.
func NewUpstream(name string, provider metadata.Provider, values map[string]string, by string, now time.Time) (Upstream, error) {
	u := Upstream{Name: name, Provider: provider, Match: MatchEmail, Level: sp.Low, Created: now, CreatedBy: by}
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

// LevelOf is what a sign-in of a class counts as here.
func (u *Upstream) LevelOf(class string) sp.Level {
	if level, ok := u.Levels[class]; ok {
		return level
	}
	return u.Level
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

// Classes are those whose sign-ins reach a level, sorted.
func (u *Upstream) Classes(level sp.Level) []string {
	var classes []string
	for class, reached := range u.Levels {
		if reached.AtLeast(level) {
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
	p := &u.Provider
	front := slices.DeleteFunc(slices.Clone(p.SLO), func(e sp.Endpoint) bool { return e.Binding != sp.BindingRedirect && e.Binding != sp.BindingPOST })
	if len(front) == 0 {
		front = p.SLO
	}
	return &sp.App{ID: session.UpstreamID(p.EntityID), State: sp.Active, Definition: sp.Definition{
		Name: u.Title(), SAML: &sp.SAML{Metadata: sp.Metadata{EntityID: p.EntityID, ValidUntil: p.ValidUntil, Keys: p.Keys, SLO: front}},
	}}
}

// Party finds an upstream by its entity id, as sign-out sees it; nil: there is none.
func Party(tx store.Tx, entityID string) (*sp.App, error) {
	u, _, err := Upstreams.By(tx, "entity_id", entityID)
	if err != nil {
		return nil, absent(err)
	}
	return u.Party(), nil
}

// UpstreamKeys are the keys of an upstream's settings, in order.
func UpstreamKeys() []string {
	return []string{"label", "match", "attribute", "domains", "create", "profile", "admins", "level", "levels", "requester_id", "metadata_keys", "state"}
}

// Setting is a value in the form that Change takes.
func (u *Upstream) Setting(key string) string {
	switch key {
	case "label":
		return u.Label
	case "match":
		return u.Match
	case "attribute":
		return u.Attribute
	case "domains":
		return strings.Join(u.Domains, ",")
	case "create":
		return strconv.FormatBool(u.Create)
	case "profile":
		return u.Profile
	case "admins":
		return strconv.FormatBool(u.Admins)
	case "level":
		return string(u.Level)
	case "levels":
		var pairs []string
		for _, class := range slices.Sorted(maps.Keys(u.Levels)) {
			pairs = append(pairs, class+"="+string(u.Levels[class]))
		}
		return strings.Join(pairs, ",")
	case "metadata_keys":
		return fingerprints(u.Pinned)
	case "requester_id":
		if u.Quiet {
			return "off"
		}
		return "on"
	case "state":
		if u.Off {
			return "off"
		}
		return "on"
	}
	return ""
}

// Change sets values: all of them, or none. The profile is an id by now.
func (u *Upstream) Change(values map[string]string) error {
	next := *u
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if err := next.set(key, values[key]); err != nil {
			return &sp.SettingError{Key: key, Reason: err.Error()}
		}
	}
	if next.Match == MatchLink && !next.Create {
		return &sp.SettingError{Key: "create", Reason: "must be true with match=link: only people who were created by their first sign-in have a link"}
	}
	if fingerprints(next.Pinned) != fingerprints(u.Pinned) { // what is known was believed for other keys
		next.Look.ETag, next.Look.LastModified, next.Look.Next = "", "", time.Time{}
	}
	*u = next
	return nil
}

func (u *Upstream) set(key, value string) (err error) {
	if value == sp.Undo {
		value = map[string]string{"match": MatchEmail, "create": "false", "admins": "false", "level": string(sp.Low), "requester_id": "on", "state": "on"}[key]
	}
	switch key {
	case "label":
		u.Label, err = value, shortText(value, 60)
	case "match":
		u.Match, err = value, oneOf(value, MatchEmail, MatchUsername, MatchLink)
	case "attribute":
		u.Attribute, err = value, shortText(value, 256)
	case "domains":
		u.Domains, err = parseDomains(value)
	case "create":
		u.Create, err = value == "true", oneOf(value, "false", "true")
	case "profile":
		u.Profile = value
	case "admins":
		u.Admins, err = value == "true", oneOf(value, "false", "true")
	case "level":
		u.Level, err = sp.Level(value), oneOf(value, string(sp.Low), string(sp.Standard), string(sp.High))
	case "levels":
		u.Levels, err = parseLevels(value)
	case "requester_id":
		u.Quiet, err = value == "off", oneOf(value, "on", "off")
	case "metadata_keys":
		u.Pinned, err = nil, nil
		if value != "" {
			u.Pinned, err = metadata.PinnedKeys([]byte(value))
		}
	case "state":
		u.Off, err = value == "off", oneOf(value, "on", "off")
	default:
		err = errors.New("is not a setting of an upstream; they are " + strings.Join(UpstreamKeys(), ", "))
	}
	return err
}

var domainName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?$`)

func parseDomains(value string) ([]string, error) {
	if value == "" {
		return nil, nil
	}
	list := strings.Split(strings.ReplaceAll(value, " ", ""), ",")
	if len(list) > 50 || slices.ContainsFunc(list, func(name string) bool { return !domainName.MatchString(name) }) {
		return nil, errors.New("must be a list of at most 50 domains in lower case, such as example.org, as they stand behind the @")
	}
	return list, nil
}

func parseLevels(value string) (map[string]sp.Level, error) {
	if value == "" {
		return nil, nil
	}
	levels := map[string]sp.Level{}
	for pair := range strings.SplitSeq(value, ",") {
		at := strings.LastIndexByte(pair, '=')
		if at <= 0 || at > 256 || len(levels) >= 20 || oneOf(pair[at+1:], string(sp.Low), string(sp.Standard), string(sp.High)) != nil {
			return nil, errors.New("must be a list of CLASS=low, CLASS=standard or CLASS=high, where CLASS is an authentication context class")
		}
		levels[strings.TrimSpace(pair[:at])] = sp.Level(pair[at+1:])
	}
	return levels, nil
}

func shortText(value string, most int) error {
	if len(value) > most || !utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsGraphic(r) }) {
		return errors.New("must be one line of at most " + strconv.Itoa(most) + " bytes")
	}
	return nil
}

// Offered are the upstreams that people may sign in at, in the order of their names.
func Offered(tx store.Tx, now time.Time) ([]Upstream, error) {
	var list []Upstream
	err := Upstreams.Each(tx, store.Page{}, func(_ string, u *Upstream) error {
		if !u.Off && !u.Provider.Expired(now) {
			list = append(list, *u)
		}
		return nil
	})
	return list, err
}
