package sp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of settings: characters of a name and of a text, items of a list, bytes of an item.
const (
	maxName = 100
	maxText = 1000
	maxList = 1000
	maxItem = 1024
)

const maxDuration = 3650 * 24 * time.Hour

// ParseDuration reads a Go duration that may begin with days: 90s, 12h, 14d, 1d12h. It refuses negative values and more
// than ten years.
func ParseDuration(s string) (time.Duration, error) {
	bad := fmt.Errorf("%q is not a duration; write for example 90s, 30m, 8h or 14d", s)
	days, rest, found := strings.Cut(s, "d")
	if !found {
		days, rest = "0", s
	}
	n, err := strconv.ParseUint(days, 10, 16)
	if err != nil {
		return 0, bad
	}
	var d time.Duration
	if rest != "" || !found {
		if d, err = time.ParseDuration(rest); err != nil || d < 0 {
			return 0, bad
		}
	}
	if d > maxDuration || time.Duration(n)*24*time.Hour > maxDuration-d {
		return 0, fmt.Errorf("%q is longer than ten years", s)
	}
	return d + time.Duration(n)*24*time.Hour, nil
}

// FormatDuration writes a duration as ParseDuration reads it, without zero parts: 14d, 1d12h, 90m as 1h30m.
func FormatDuration(d time.Duration) string {
	days := d / (24 * time.Hour)
	rest := d % (24 * time.Hour)
	s := ""
	if days > 0 {
		s = strconv.Itoa(int(days)) + "d"
	}
	if rest == 0 && s != "" {
		return s
	}
	text := rest.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return s + text
}

// DurationInWords says for people what ParseDuration reads: "10 minutes", "1 day 12 hours", "none" for zero. What it cannot read, or
// what is no whole number of seconds, stays as it is.
func DurationInWords(text string) string {
	d, err := ParseDuration(text)
	switch {
	case err != nil || d%time.Second != 0:
		return text
	case d == 0:
		return "none"
	}
	var parts []string
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		n := int(d / unit.length)
		d %= unit.length
		switch {
		case n == 1:
			parts = append(parts, "1 "+unit.name)
		case n > 1:
			parts = append(parts, strconv.Itoa(n)+" "+unit.name+"s")
		}
	}
	return strings.Join(parts, " ")
}

// parseList reads a comma-separated list, or a JSON array of strings when the value starts with `[`. Items are trimmed;
// repeated ones are dropped.
func parseList(value string) ([]string, error) {
	var items []string
	if strings.HasPrefix(value, "[") {
		if err := decodeJSON(value, &items); err != nil {
			return nil, errors.New("is not a JSON array of strings, like [\"a\",\"b\"]")
		}
	} else if strings.TrimSpace(value) != "" {
		items = strings.Split(value, ",")
	}
	if len(items) > maxList {
		return nil, errors.New("has more than 1,000 items")
	}
	var list []string
	for _, item := range items {
		item = strings.TrimSpace(item)
		if item == "" || len(item) > maxItem || !printable(item) {
			return nil, errors.New("has an item that is empty, longer than 1,024 bytes or not plain text")
		}
		if !slices.Contains(list, item) {
			list = append(list, item)
		}
	}
	return list, nil
}

// formatList writes a list as parseList reads it: with commas where that is safe.
func formatList(items []string) string {
	plain := !slices.ContainsFunc(items, func(s string) bool { return strings.Contains(s, ",") })
	joined := strings.Join(items, ",")
	if plain && !strings.HasPrefix(joined, "[") && joined != Undo {
		return joined
	}
	encoded, err := json.Marshal(items)
	if err != nil { // strings always encode
		return joined
	}
	return string(encoded)
}

func decodeJSON(value string, into any) error {
	d := json.NewDecoder(strings.NewReader(value))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is something after the value")
	}
	return nil
}

func parseRanges(value string) ([]netip.Prefix, error) {
	items, err := parseList(value)
	if err != nil {
		return nil, err
	}
	var ranges []netip.Prefix
	for _, item := range items {
		r, err := parseRange(item)
		if err != nil {
			return nil, fmt.Errorf("%q is not an address range; write for example 192.0.2.0/24, 2001:db8::/32 or 192.0.2.7", item)
		}
		if !slices.Contains(ranges, r) {
			ranges = append(ranges, r)
		}
	}
	return ranges, nil
}

// parseRange keeps IPv4 as IPv4, because Decide compares unmapped addresses.
func parseRange(item string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(item); err == nil && address.Zone() == "" {
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	r, err := netip.ParsePrefix(item)
	if err != nil || r.Addr().Is4In6() {
		return netip.Prefix{}, errors.New("not a range")
	}
	return r.Masked(), nil
}

func parseTime(value string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, value); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time; write for example 2027-01-31 or 2027-01-31T18:00:00Z (UTC)", value)
}

// Attribute name formats (saml-core-2.0-os, 8.2).
const (
	FormatURI         = "urn:oasis:names:tc:SAML:2.0:attrname-format:uri"
	FormatBasic       = "urn:oasis:names:tc:SAML:2.0:attrname-format:basic"
	FormatUnspecified = "urn:oasis:names:tc:SAML:2.0:attrname-format:unspecified"
)

// maxAttributes is how many attributes an app may be released.
const maxAttributes = 128

// parseAttributes reads the JSON array of released attributes; a format may be written short: uri, basic, unspecified.
func parseAttributes(value string) ([]Attribute, error) {
	list := []Attribute{}
	if err := decodeJSON(value, &list); err != nil || list == nil {
		return nil, errors.New(`is not a JSON array like [{"name":"mail","format":"basic","friendly_name":"mail","source":"email"}]`)
	}
	if len(list) > maxAttributes {
		return nil, errors.New("has more than 128 attributes")
	}
	for i := range list {
		if err := list[i].check(); err != nil {
			return nil, fmt.Errorf("attribute %d: %w", i+1, err)
		}
	}
	return list, nil
}

func (a *Attribute) check() error {
	short := map[string]string{"uri": FormatURI, "basic": FormatBasic, "unspecified": FormatUnspecified}
	if long, ok := short[a.Format]; ok {
		a.Format = long
	}
	switch {
	case strings.TrimSpace(a.Name) == "" || len(a.Name) > maxItem || !printable(a.Name):
		return errors.New("needs a name of at most 1,024 bytes of plain text")
	case strings.TrimSpace(a.Source) == "" || len(a.Source) > 4096:
		return errors.New("needs a source: the name of a user attribute, or an expression over `user`")
	case len(a.FriendlyName) > maxItem || !printable(a.FriendlyName):
		return errors.New("the friendly name must be plain text of at most 1,024 bytes")
	case a.Format != "" && !absoluteURI(a.Format):
		return errors.New("the format must be uri, basic, unspecified or an absolute URI")
	case a.Format == FormatBasic && !xmlName(a.Name):
		return errors.New("a name in the basic format begins with a letter and has no spaces")
	case (a.Format == "" || a.Format == FormatURI) && strings.ContainsFunc(a.Name, unicode.IsSpace):
		return errors.New("a name in the uri format has no spaces; use the unspecified format")
	}
	return nil
}

// parseCustomAttributes reads the JSON array of custom attributes; an empty text is none.
func parseCustomAttributes(value string) ([]CustomAttribute, error) {
	if value == "" {
		return nil, nil
	}
	var list []CustomAttribute
	if err := decodeJSON(value, &list); err != nil {
		return nil, errors.New(`is not a JSON array like [{"name":"costCentre","source":"cost_centre"}]`)
	}
	if len(list) > maxAttributes {
		return nil, errors.New("has more than 128 attributes")
	}
	for i, a := range list {
		if err := (&Attribute{Name: a.Name, Format: FormatUnspecified, Source: a.Source}).check(); err != nil {
			return nil, fmt.Errorf("attribute %d: %w", i+1, err)
		}
		if slices.ContainsFunc(list[:i], func(other CustomAttribute) bool { return other.Name == a.Name }) {
			return nil, fmt.Errorf("attribute %d: there are two called %q", i+1, a.Name)
		}
	}
	return list, nil
}

func formatAttributes(list []Attribute) string { return formatJSON(list) }

func formatJSON(value any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil { // plain strings always encode
		return ""
	}
	return strings.TrimSpace(b.String())
}

func absoluteURI(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme != "" && len(s) <= maxItem && !strings.ContainsFunc(s, unicode.IsSpace)
}

func xmlName(s string) bool {
	for i, r := range s {
		if !unicode.IsLetter(r) && r != '_' && r != ':' && (i == 0 || !unicode.IsDigit(r) && r != '-' && r != '.') {
			return false
		}
	}
	return s != ""
}

// printable tells whether a text is UTF-8 without control characters.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// Unseen tells whether a character of a name cannot be seen, and makes it look like another or turns around what stands beside it. The
// joiners that some scripts are written with are none of these.
func Unseen(r rune) bool { return unicode.Is(unicode.Cf, r) && r != '\u200c' && r != '\u200d' }

const unseenText = "must not hold characters that nobody sees, which make a name look like another"

// clip cuts a text to a number of characters.
func clip(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return string([]rune(s)[:limit-1]) + "…"
}
