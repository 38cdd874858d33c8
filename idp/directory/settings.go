package directory

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/store"
)

// Settings are the organisation's: the keys of the design's organisation table. Fields hold what is in force; DefaultSettings
// has the documented defaults, and only what differs from them is stored.
type Settings struct {
	Name               string
	Logo               string // hash of the picture that LoadLogo returns
	Color              string
	SupportContact     string
	SAMLEntityID       string // empty: base URL + /saml/metadata
	WantSignedRequests bool
	MetadataLifetime   time.Duration
	SessionIdle        time.Duration
	SessionMax         time.Duration
	ThrottleAccount    int // failed sign-ins in a row before an account has to wait
	ThrottleAddress    int // failed sign-ins of one network in a minute
	SignInMethods      []string
	AuditRetention     time.Duration
	TraceRetention     time.Duration
}

const day = 24 * time.Hour

// DefaultSettings are those of a new store.
func DefaultSettings() Settings {
	return Settings{
		MetadataLifetime: 14 * day, SessionIdle: 8 * time.Hour, SessionMax: day,
		ThrottleAccount: 10, ThrottleAddress: 300, SignInMethods: []string{"password"},
		AuditRetention: 400 * day, TraceRetention: 14 * day,
	}
}

// MarshalJSON writes the keys that differ from the defaults.
func (s Settings) MarshalJSON() ([]byte, error) {
	values := map[string]string{}
	for _, one := range s.List() {
		if !one.IsDefault {
			values[one.Key] = one.Value
		}
	}
	return json.Marshal(values)
}

// UnmarshalJSON reads what MarshalJSON wrote, over the defaults.
func (s *Settings) UnmarshalJSON(text []byte) error {
	var values map[string]string
	if err := json.Unmarshal(text, &values); err != nil {
		return err
	}
	*s = DefaultSettings()
	for _, k := range keys {
		if value, ok := values[k.name]; ok {
			if err := k.set(s, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// SettingsKey is the key of the one record in SettingsTable.
const SettingsKey = "organisation"

// SettingsTable holds the organisation's settings.
var SettingsTable = &store.Table[Settings]{
	Name:    "settings",
	Version: 1,
	Key:     func(*Settings) string { return SettingsKey },
}

// GetSettings returns the settings in force; in a new store those are the defaults.
func GetSettings(tx store.Tx) (Settings, error) {
	settings, _, err := SettingsTable.Get(tx, SettingsKey)
	if errors.Is(err, store.ErrNotFound) {
		return DefaultSettings(), nil
	}
	return settings, err
}

// PutSettings stores the settings.
func PutSettings(tx store.Tx, settings Settings) error { return SettingsTable.Put(tx, &settings) }

// Setting is one key as `gatehouse settings list` shows it.
type Setting struct {
	Key, Value, Default string
	IsDefault           bool
}

// List returns every key with its value, in the order of the design's table.
func (s *Settings) List() []Setting {
	defaults := DefaultSettings()
	all := make([]Setting, 0, len(keys))
	for _, k := range keys {
		value, fallback := k.get(s), k.get(&defaults)
		all = append(all, Setting{Key: k.name, Value: value, Default: fallback, IsDefault: value == fallback})
	}
	return all
}

// Set changes one key; the value `default` undoes. Refusals are *InputError.
func (s *Settings) Set(name, value string) error {
	i := slices.IndexFunc(keys, func(k key) bool { return k.name == name })
	if i < 0 {
		return refuse("There is no setting %.60q: `gatehouse settings list` shows them", name)
	}
	if value == "default" {
		defaults := DefaultSettings()
		value = keys[i].get(&defaults)
	} else if name == "logo" && value != "" {
		return refuse("logo is set from a picture file: logo=@FILE")
	}
	return keys[i].set(s, value)
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

var colorForm = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)

func checkColor(value string) error {
	if !colorForm.MatchString(value) {
		return refuse("color is written like #1a2b3c, not %.40q", value)
	}
	return nil
}

// checkEntityID holds an entity id to an absolute URI (saml-core-2.0-os, 8.3.6); it is compared octet by octet everywhere.
func checkEntityID(value string) error {
	parsed, err := url.Parse(value)
	if err != nil || !parsed.IsAbs() || strings.ContainsAny(value, " \"<>") {
		return refuse("saml.entity_id is an absolute URI such as https://idp.example.com/saml/metadata, not %.80q", value)
	}
	return nil
}
