package directory

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/store"
)

// Settings are the organisation's, the keys of the design's organisation table. A zero value means the documented default;
// read the ones with a default through their methods.
type Settings struct {
	Key                string            `json:"key"` // always SettingsKey
	Name               string            `json:"name,omitempty"`
	Logo               string            `json:"logo,omitempty"` // hash of the picture that LoadLogo returns
	Color              string            `json:"color,omitempty"`
	SupportContact     string            `json:"support_contact,omitempty"`
	SAMLEntityID       string            `json:"saml_entity_id,omitempty"` // empty: base URL + /saml/metadata
	WantSignedRequests bool              `json:"want_signed_requests,omitempty"`
	MetadataFor        time.Duration     `json:"metadata_for,omitempty"`
	Scopes             []string          `json:"scopes,omitempty"`
	Discovery          Discovery         `json:"discovery,omitzero"`
	InformationURL     string            `json:"information_url,omitempty"`
	PrivacyURL         string            `json:"privacy_url,omitempty"`
	SecurityContact    string            `json:"security_contact,omitempty"` // empty: SupportContact
	SessionIdle        time.Duration     `json:"session_idle,omitempty"`
	SessionMax         time.Duration     `json:"session_max,omitempty"`
	ThrottleAccount    int               `json:"throttle_account,omitempty"`
	ThrottleAddress    int               `json:"throttle_address,omitempty"`
	AuditFor           time.Duration     `json:"audit_for,omitempty"`
	TraceFor           time.Duration     `json:"trace_for,omitempty"`
	Methods            []string          `json:"methods,omitempty"`        // of signing in
	MFAEnrolment       string            `json:"mfa_enrolment,omitempty"`  // EnrolByAdmin; empty: people do it themselves
	MFAGrace           time.Duration     `json:"mfa_grace,omitempty"`      // for how long it may be put off where an app allows it
	AuthnContexts      map[string]string `json:"authn_contexts,omitempty"` // own authentication context classes, and what each stands for
	SMTP               SMTP              `json:"smtp,omitzero"`
	LegacyMethod       string            `json:"legacy_method,omitempty"`     // LegacyPassword; empty: none
	GrantsOff          []string          `json:"grants_off,omitempty"`        // OAuth grant types that nobody may use
	OpenRegistration   bool              `json:"open_registration,omitempty"` // clients register without an initial access token, and wait
	ClientDocuments    bool              `json:"client_documents,omitempty"`  // client ids may be addresses of metadata; those clients wait too
}

// SettingsKey is the key of the one record in SettingsTable.
const SettingsKey = "organisation"

// SettingsTable holds the organisation's settings.
var SettingsTable = &store.Table[Settings]{
	Name:    "settings",
	Version: 1,
	Key:     func(s *Settings) string { return s.Key },
}

// LoadSettings returns the settings and their revision; in a new store all are at their defaults and the revision is zero.
func LoadSettings(tx store.Tx) (Settings, store.Revision, error) {
	settings, revision, err := SettingsTable.Get(tx, SettingsKey)
	if errors.Is(err, store.ErrNotFound) {
		return Settings{Key: SettingsKey}, 0, nil
	}
	return settings, revision, err
}

// SaveSettings stores the settings.
func SaveSettings(tx store.Tx, settings Settings) error {
	settings.Key = SettingsKey
	return SettingsTable.Put(tx, &settings)
}

const day = 24 * time.Hour

// MetadataLifetime is for how long the IdP's metadata is valid after it was fetched: 14 days unless set.
func (s *Settings) MetadataLifetime() time.Duration { return or(s.MetadataFor, 14*day) }

// IdleLimit is after how long without use a session ends: 8 hours unless set.
func (s *Settings) IdleLimit() time.Duration { return or(s.SessionIdle, 8*time.Hour) }

// SessionLimit is after how long a session ends in any case: 24 hours unless set.
func (s *Settings) SessionLimit() time.Duration { return or(s.SessionMax, day) }

// AccountLimit is after how many failed sign-ins in a row an account is made to wait: 10 unless set.
func (s *Settings) AccountLimit() int { return or(s.ThrottleAccount, 10) }

// AddressLimit is how many sign-ins from one network may fail in a minute: 300 unless set.
func (s *Settings) AddressLimit() int { return or(s.ThrottleAddress, 300) }

// AuditRetention is how long audit entries are kept: 400 days unless set.
func (s *Settings) AuditRetention() time.Duration { return or(s.AuditFor, 400*day) }

// TraceRetention is how long traces are kept: 14 days unless set.
func (s *Settings) TraceRetention() time.Duration { return or(s.TraceFor, 14*day) }

// The methods of signing in.
const (
	MethodPassword = "password"
	MethodPasskey  = "passkey"  // alone, without a password
	MethodUpstream = "upstream" // at another identity provider, where one is set up
)

// SignInMethods are the methods of the first factor: all unless set.
func (s *Settings) SignInMethods() []string {
	if len(s.Methods) == 0 {
		return []string{MethodPassword, MethodPasskey, MethodUpstream}
	}
	return s.Methods
}

// EnrolByAdmin keeps people without a second factor from setting up their first one: an administrator gives it to them.
const EnrolByAdmin = "admin"

// EnrolsThemselves tells whether people may set up their first second factor themselves: they may unless set otherwise.
func (s *Settings) EnrolsThemselves() bool { return s.MFAEnrolment != EnrolByAdmin }

// TakesPasswords tells whether anybody signs in by a password here.
func (s *Settings) TakesPasswords() bool { return slices.Contains(s.SignInMethods(), MethodPassword) }

// TakesPasskeys tells whether a passkey alone signs somebody in here.
func (s *Settings) TakesPasskeys() bool { return slices.Contains(s.SignInMethods(), MethodPasskey) }

func or[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

// Setting is one key as `gatehouse settings list` shows it.
type Setting struct {
	Key, Value, Default string
	IsDefault           bool
}

// key describes one key of a record: what it may be, and where it lives.
type key[T any] struct {
	name, fallback string
	get            func(*T) string
	set            func(record *T, value string) error // empty: back to the default
}

func keys() []key[Settings] {
	all := append(baseKeys(), mailKeys()...)
	behindSAML := slices.IndexFunc(all, func(k key[Settings]) bool { return k.name == "session.idle" })
	return slices.Insert(all, behindSAML, discoveryKeys()...)
}

func baseKeys() []key[Settings] {
	return []key[Settings]{
		text("name", "", 100, func(s *Settings) *string { return &s.Name }, nil),
		{"logo", "", func(s *Settings) string { return s.Logo }, setLogoKey},
		text("color", "", 7, func(s *Settings) *string { return &s.Color }, checkColor),
		text("support_contact", "", 200, func(s *Settings) *string { return &s.SupportContact }, nil),
		text("saml.entity_id", "", 1024, func(s *Settings) *string { return &s.SAMLEntityID }, checkEntityID),
		flag("saml.want_signed_requests", func(s *Settings) *bool { return &s.WantSignedRequests }),
		duration("saml.metadata_lifetime", "14d", time.Hour, 366*day, func(s *Settings) *time.Duration { return &s.MetadataFor }),
		listed("saml.scope", func(s *Settings) *[]string { return &s.Scopes }, domain),
		text("saml.information_url", "", 1024, func(s *Settings) *string { return &s.InformationURL }, checkHTTPS("saml.information_url")),
		text("saml.privacy_url", "", 1024, func(s *Settings) *string { return &s.PrivacyURL }, checkHTTPS("saml.privacy_url")),
		text("saml.security_contact", "", 200, func(s *Settings) *string { return &s.SecurityContact }, checkAddress("saml.security_contact")),
		contexts("saml.authn_contexts", func(s *Settings) *map[string]string { return &s.AuthnContexts }),
		duration("session.idle", "8h", time.Minute, 366*day, func(s *Settings) *time.Duration { return &s.SessionIdle }),
		duration("session.max", "24h", time.Minute, 366*day, func(s *Settings) *time.Duration { return &s.SessionMax }),
		number("throttle.account", "10", 3, 1000, func(s *Settings) *int { return &s.ThrottleAccount }),
		number("throttle.address", "300", 10, 1_000_000, func(s *Settings) *int { return &s.ThrottleAddress }),
		methods("signin.methods", func(s *Settings) *[]string { return &s.Methods }),
		choice("signin.mfa_enrolment", []string{"self", EnrolByAdmin}, func(s *Settings) *string { return &s.MFAEnrolment }),
		duration("signin.mfa_grace", "0s", 0, 366*day, func(s *Settings) *time.Duration { return &s.MFAGrace }),
		grantsOff("oauth.disabled_grants"),
		flag("oauth.open_registration", func(s *Settings) *bool { return &s.OpenRegistration }),
		flag("oauth.client_id_metadata_documents", func(s *Settings) *bool { return &s.ClientDocuments }),
		choice("oauth.legacy_methods", []string{"none", LegacyPassword}, func(s *Settings) *string { return &s.LegacyMethod }),
		duration("audit.retention", "400d", day, 36500*day, func(s *Settings) *time.Duration { return &s.AuditFor }),
		duration("trace.retention", "14d", time.Hour, 366*day, func(s *Settings) *time.Duration { return &s.TraceFor }),
	}
}

// List returns every key with its value, in the order of the design's table.
func (s *Settings) List() []Setting { return list(s, keys()) }

func list[T any](record *T, keys []key[T]) []Setting {
	var all []Setting
	for _, k := range keys {
		value := k.get(record)
		all = append(all, Setting{k.name, or(value, k.fallback), k.fallback, value == ""})
	}
	return all
}

// Set changes one key; the value `default` undoes. Refusals are *InputError.
func (s *Settings) Set(name, value string) error {
	if done, err := set(s, keys(), name, value); done {
		return err
	}
	return refuse("There is no setting %.60q: `gatehouse settings list` shows them", name)
}

// set changes the key if there is one of that name.
func set[T any](record *T, keys []key[T], name, value string) (known bool, err error) {
	i := slices.IndexFunc(keys, func(k key[T]) bool { return k.name == name })
	if i < 0 {
		return false, nil
	}
	if value == "default" {
		value = ""
	}
	return true, keys[i].set(record, value)
}

func text[T any](name, fallback string, limit int, at func(*T) *string, check func(string) error) key[T] {
	return key[T]{name, fallback, func(s *T) string { return *at(s) }, func(s *T, value string) error {
		if len(value) > limit {
			return refuse("%s is longer than %d bytes", name, limit)
		}
		if err := checkText(name, value); err != nil {
			return err
		}
		if value != "" && check != nil {
			if err := check(value); err != nil {
				return err
			}
		}
		*at(s) = value
		return nil
	}}
}

func flag[T any](name string, at func(*T) *bool) key[T] {
	get := func(s *T) string {
		if *at(s) {
			return "true"
		}
		return ""
	}
	return key[T]{name, "false", get, func(s *T, value string) error {
		if value != "" && value != "true" && value != "false" {
			return refuse("%s is true or false, not %.40q", name, value)
		}
		*at(s) = value == "true"
		return nil
	}}
}

func number[T any](name, fallback string, low, high int, at func(*T) *int) key[T] {
	get := func(s *T) string {
		if *at(s) == 0 {
			return ""
		}
		return strconv.Itoa(*at(s))
	}
	return key[T]{name, fallback, get, func(s *T, value string) error {
		n, err := strconv.Atoi(value)
		if value != "" && (err != nil || n < low || n > high) {
			return refuse("%s is a number from %d to %d, not %.40q", name, low, high, value)
		}
		*at(s) = n
		return nil
	}}
}

func duration[T any](name, fallback string, low, high time.Duration, at func(*T) *time.Duration) key[T] {
	get := func(s *T) string { return formatDuration(*at(s)) }
	return key[T]{name, fallback, get, func(s *T, value string) error {
		d, err := parseDuration(value)
		if value != "" && (err != nil || d < low || d > high) {
			return refuse("%s is a duration from %s to %s such as %s, not %.40q",
				name, or(formatDuration(low), "0s"), formatDuration(high), fallback, value)
		}
		*at(s) = d
		return nil
	}}
}

// choice is one of several words, of which the first is the default.
func choice[T any](name string, words []string, at func(*T) *string) key[T] {
	return key[T]{name, words[0], func(s *T) string { return *at(s) }, func(s *T, value string) error {
		if value != "" && !slices.Contains(words, value) {
			return refuse("%s is %s, not %.40q", name, strings.Join(words, " or "), value)
		}
		if value == words[0] {
			value = ""
		}
		*at(s) = value
		return nil
	}}
}

func methods(name string, at func(*Settings) *[]string) key[Settings] {
	get := func(s *Settings) string { return strings.Join(*at(s), ",") }
	all := (&Settings{}).SignInMethods()
	return key[Settings]{name, strings.Join(all, ","), get, func(s *Settings, value string) error {
		var chosen []string
		for one := range strings.SplitSeq(value, ",") {
			if value != "" && !slices.Contains(all, one) {
				return refuse("%s knows the methods password, passkey and upstream, not %.40q", name, value)
			}
			chosen = append(chosen, one)
		}
		slices.SortFunc(chosen, func(a, b string) int { return slices.Index(all, a) - slices.Index(all, b) })
		chosen = slices.Compact(chosen)
		switch {
		case value == "" || len(chosen) == len(all):
			chosen = nil // all, which is the default
		case slices.Equal(chosen, []string{MethodPasskey}):
			return refuse("%s needs password or upstream beside passkey: nobody could set up their first one", name)
		}
		*at(s) = chosen
		return nil
	}}
}

var dayForm = regexp.MustCompile(`^(\d{1,5})d`)

// parseDuration reads Go's durations, with days in front: 14d, 1d12h.
func parseDuration(text string) (time.Duration, error) {
	var days time.Duration
	if found := dayForm.FindStringSubmatch(text); found != nil {
		n, err := strconv.Atoi(found[1])
		if err != nil {
			return 0, err
		}
		days = time.Duration(n) * day
		if text = text[len(found[0]):]; text == "" {
			return days, nil
		}
	}
	rest, err := time.ParseDuration(text)
	return days + rest, err
}

func formatDuration(d time.Duration) string {
	switch {
	case d == 0:
		return ""
	case d%day == 0:
		return fmt.Sprintf("%dd", d/day)
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}
