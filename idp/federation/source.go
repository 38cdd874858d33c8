package federation

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/sp"
	"gatehouse/sp/metadata"
	"gatehouse/store"
)

// Kinds of sources.
const (
	Aggregate = "aggregate" // one document with many entities
	MDQ       = "mdq"       // a server that answers for one entity at a time
)

// Source is a place that publishes metadata of many service providers. Its keys are believed for it alone.
type Source struct {
	Name        string        `json:"name"`
	Kind        string        `json:"kind"`
	URL         string        `json:"url"`
	Keys        []sp.Key      `json:"keys,omitempty"`
	Unsigned    bool          `json:"unsigned,omitempty"`     // believed for its address alone
	MaxValidity time.Duration `json:"max_validity,omitempty"` // 0: 30 days; negative: any, or none
	Refresh     time.Duration `json:"refresh,omitempty"`      // 0: as the metadata says
	Apply       string        `json:"apply,omitempty"`        // what an app that is added from here gets as saml.metadata_refresh
	OnDemand    bool          `json:"on_demand,omitempty"`    // ask the MDQ server about apps that people came from and that are not connected
	Paused      bool          `json:"paused,omitempty"`
	Created     time.Time     `json:"created"`
	CreatedBy   string        `json:"created_by"`

	Found Found `json:"found"`
}

// Found is what the last fetches of a source came to.
type Found struct {
	ETag         string        `json:"etag,omitempty"`
	LastModified string        `json:"last_modified,omitempty"`
	Tried        time.Time     `json:"tried,omitzero"`
	Good         time.Time     `json:"good,omitzero"` // the last time that it was reached and right
	Next         time.Time     `json:"next,omitzero"`
	ValidUntil   time.Time     `json:"valid_until,omitzero"`
	Cache        time.Duration `json:"cache,omitempty"`    // its cacheDuration, which holds for a 304 too
	Failures     int           `json:"failures,omitempty"` // in a row
	Code         string        `json:"code,omitempty"`     // of the last failure
	Error        string        `json:"error,omitempty"`
	Entities     int           `json:"entities"`
	Providers    int           `json:"providers"`
	Left         int           `json:"left,omitempty"`
	Reasons      []string      `json:"reasons,omitempty"`
}

// MaxSources is how many sources there may be.
const MaxSources = 100

// Sources is the table of metadata sources.
var Sources = &store.Table[Source]{Name: "metadata_source", Version: 1, Key: func(s *Source) string { return s.Name }}

var sourceName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`)

// NewSource makes a source from its settings. Its name and kind never change.
func NewSource(name, kind string, values map[string]string, by string, now time.Time) (Source, error) {
	s := Source{Name: name, Kind: kind, Created: now, CreatedBy: by}
	switch {
	case !sourceName.MatchString(name):
		return s, &sp.SettingError{Key: "name", Reason: "must be 1 to 40 lower-case letters, digits and hyphens"}
	case kind != Aggregate && kind != MDQ:
		return s, &sp.SettingError{Key: "kind", Reason: "must be aggregate or mdq"}
	}
	return s, s.Change(values)
}

// SettingKeys are the keys of a source's settings, in order.
func SettingKeys() []string {
	return []string{"url", "keys", "unsigned", "max_validity", "refresh", "apply", "on_demand", "state"}
}

// Setting is a value in the form that Set takes; of the keys, their fingerprints.
func (s *Source) Setting(key string) string {
	switch key {
	case "url":
		return s.URL
	case "keys":
		return fingerprints(s.Keys)
	case "unsigned":
		return strconv.FormatBool(s.Unsigned)
	case "max_validity":
		if s.MaxValidity < 0 {
			return "none"
		}
		return sp.FormatDuration(s.mostValid())
	case "refresh":
		if s.Refresh == 0 {
			return "metadata"
		}
		return sp.FormatDuration(s.Refresh)
	case "apply":
		return s.applies()
	case "on_demand":
		return strconv.FormatBool(s.OnDemand)
	case "state":
		if s.Paused {
			return "paused"
		}
		return "active"
	}
	return ""
}

func fingerprints(keys []sp.Key) string {
	var list []string
	for i := range keys {
		list = append(list, "sha256:"+keys[i].Fingerprint())
	}
	return strings.Join(list, ",")
}

func (s *Source) set(key, value string) (err error) {
	if value == sp.Undo {
		value = map[string]string{"unsigned": "false", "on_demand": "false", "max_validity": "30d", "refresh": "metadata", "apply": sp.RefreshReview, "state": "active"}[key]
	}
	switch key {
	case "url":
		s.URL, err = value, checkURL(value)
	case "keys":
		s.Keys, err = metadata.PinnedKeys([]byte(value))
	case "unsigned":
		s.Unsigned, err = value == "true", oneOf(value, "false", "true")
	case "on_demand":
		s.OnDemand, err = value == "true", oneOf(value, "false", "true")
	case "max_validity":
		s.MaxValidity, err = span(value, "none", -1, 24*time.Hour, 3650*24*time.Hour)
	case "refresh":
		s.Refresh, err = span(value, "metadata", 0, shortestPeriod, 30*longestPeriod)
	case "apply":
		s.Apply, err = value, oneOf(value, sp.RefreshReview, sp.RefreshAutomatic)
	case "state":
		s.Paused, err = value == "paused", oneOf(value, "active", "paused")
	default:
		err = errors.New("is not a setting of a metadata source; they are " + strings.Join(SettingKeys(), ", "))
	}
	return err
}

// Change sets values and checks the whole: all of them hold afterwards, or none.
func (s *Source) Change(values map[string]string) error {
	next := *s
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if err := next.set(key, values[key]); err != nil {
			return &sp.SettingError{Key: key, Reason: err.Error()}
		}
	}
	switch {
	case next.URL == "":
		return &sp.SettingError{Key: "url", Reason: "is missing: give the address of the metadata, or the base of the MDQ server"}
	case len(next.Keys) == 0 && !next.Unsigned:
		return &sp.SettingError{Key: "keys", Reason: "is missing: give the certificate that the source signs with, or say unsigned=true if it does not sign"}
	case len(next.Keys) > 0 && next.Unsigned:
		return &sp.SettingError{Key: "unsigned", Reason: "cannot be true while keys are pinned"}
	}
	if next.Kind == MDQ && strings.Contains(next.URL, "?") {
		return &sp.SettingError{Key: "url", Reason: "must have no query: the names of entities are put behind it"}
	}
	if next.OnDemand && next.Kind != MDQ {
		return &sp.SettingError{Key: "on_demand", Reason: "is for MDQ servers: an aggregate is known as a whole"}
	}
	if next.trust() != s.trust() {
		next.Found = Found{} // what is kept was believed for another reason: nothing of it is handed out before it is fetched again
	}
	*s = next
	return nil
}

func oneOf(value string, options ...string) error {
	if !slices.Contains(options, value) {
		return errors.New("must be " + strings.Join(options, " or "))
	}
	return nil
}

func span(value, word string, none, low, high time.Duration) (time.Duration, error) {
	if value == word {
		return none, nil
	}
	d, err := sp.ParseDuration(value)
	if err == nil && (d < low || d > high) {
		err = errors.New("must be " + word + ", or between " + sp.FormatDuration(low) + " and " + sp.FormatDuration(high))
	}
	return d, err
}

// checkURL: an address without anything that a fetch would leave out. Plain http is the fetcher's to refuse.
func checkURL(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.Fragment != "" || len(address) > 1024 {
		return errors.New("must be an address like https://md.example.org/all.xml, without user and fragment")
	}
	return nil
}

// trust is a fingerprint of why a source is believed: its address and its keys.
func (s *Source) trust() string {
	sum := sha256.Sum256([]byte(s.URL + "\x00" + s.Setting("keys") + "\x00" + s.Setting("unsigned")))
	return hex.EncodeToString(sum[:16])
}

// unchanged tells whether a source is still there, and believed for the same reason as when it was read.
func (s *Source) unchanged(tx store.Tx) (bool, error) {
	now, _, err := Sources.Get(tx, s.Name)
	return now.trust() == s.trust(), absent(err)
}

func (s *Source) applies() string {
	if s.Apply == "" {
		return sp.RefreshReview
	}
	return s.Apply
}

// defaultValidity is how far off the end of metadata may lie: federations renew theirs within days.
const defaultValidity = 30 * 24 * time.Hour

func (s *Source) mostValid() time.Duration {
	switch {
	case s.MaxValidity < 0:
		return 0
	case s.MaxValidity == 0:
		return defaultValidity
	}
	return s.MaxValidity
}

// period is how long until the source is looked at again.
func (s *Source) period(cache time.Duration) time.Duration {
	if s.Refresh > 0 {
		return s.Refresh
	}
	return period(cache)
}
