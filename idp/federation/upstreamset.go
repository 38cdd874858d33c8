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

	"gatehouse/sp"
	"gatehouse/sp/metadata"
)

// UpstreamKeys are the keys of the settings of upstreams, in order.
func UpstreamKeys() []string {
	return []string{"label", "match", "attribute", "domains", "create", "profile", "admins", "level", "levels", "requester_id", "metadata_keys", "client_id", "scopes", "token_endpoint_auth_method", "require_pushed_authorization_requests", "state"}
}

// Keys are those of UpstreamKeys that mean something for an upstream of this kind.
func (u *Upstream) Keys() []string {
	foreign := []string{"client_id", "scopes", "token_endpoint_auth_method", "require_pushed_authorization_requests"}
	if u.OpenID != nil {
		foreign = []string{"requester_id", "metadata_keys"}
	}
	return slices.DeleteFunc(UpstreamKeys(), func(key string) bool { return slices.Contains(foreign, key) })
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
	return u.OpenID.setting(key)
}

// IsDefault tells whether a setting has the value that it gets by sp.Undo.
func (u *Upstream) IsDefault(key string) bool {
	fresh := *u
	if u.OpenID != nil {
		fresh.OpenID = new(*u.OpenID)
	}
	return fresh.set(key, sp.Undo) == nil && fresh.Setting(key) == u.Setting(key)
}

// Change sets values: all of them, or none. The profile is an id by now.
func (u *Upstream) Change(values map[string]string) error {
	next := *u
	if u.OpenID != nil {
		next.OpenID = new(*u.OpenID)
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if err := next.set(key, values[key]); err != nil {
			return &sp.SettingError{Key: key, Reason: err.Error()}
		}
	}
	if err := next.OpenID.complete(); err != nil {
		return err
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
	if !slices.Contains(u.Keys(), key) {
		return errors.New("is not a setting of an upstream of this kind; they are " + strings.Join(u.Keys(), ", "))
	}
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
		err = u.OpenID.set(key, value)
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
