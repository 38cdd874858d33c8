package directory

import (
	"strconv"
	"strings"
	"time"
)

// key describes one setting: its name, and how its text is written and read.
type key struct {
	name string
	get  func(*Settings) string
	set  func(s *Settings, value string) error
}

// keys is the organisation's key table of the design.
var keys = []key{
	text("name", 100, nil, func(s *Settings) *string { return &s.Name }),
	text("logo", 64, nil, func(s *Settings) *string { return &s.Logo }),
	text("color", 7, checkColor, func(s *Settings) *string { return &s.Color }),
	text("support_contact", 200, nil, func(s *Settings) *string { return &s.SupportContact }),
	text("saml.entity_id", 1024, checkEntityID, func(s *Settings) *string { return &s.SAMLEntityID }),
	flag("saml.want_signed_requests", func(s *Settings) *bool { return &s.WantSignedRequests }),
	duration("saml.metadata_lifetime", time.Hour, 366*day, func(s *Settings) *time.Duration { return &s.MetadataLifetime }),
	duration("session.idle", time.Minute, 366*day, func(s *Settings) *time.Duration { return &s.SessionIdle }),
	duration("session.max", time.Minute, 366*day, func(s *Settings) *time.Duration { return &s.SessionMax }),
	number("throttle.account", 3, 1000, func(s *Settings) *int { return &s.ThrottleAccount }),
	number("throttle.address", 10, 1_000_000, func(s *Settings) *int { return &s.ThrottleAddress }),
	{"signin.methods", func(s *Settings) string { return strings.Join(s.SignInMethods, ",") }, setMethods},
	duration("audit.retention", day, 36500*day, func(s *Settings) *time.Duration { return &s.AuditRetention }),
	duration("trace.retention", time.Hour, 366*day, func(s *Settings) *time.Duration { return &s.TraceRetention }),
}

func text(name string, limit int, check func(string) error, at func(*Settings) *string) key {
	return key{name, func(s *Settings) string { return *at(s) }, func(s *Settings, value string) error {
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

func flag(name string, at func(*Settings) *bool) key {
	return key{name, func(s *Settings) string { return strconv.FormatBool(*at(s)) }, func(s *Settings, value string) error {
		if value != "true" && value != "false" {
			return refuse("%s is true or false, not %.40q", name, value)
		}
		*at(s) = value == "true"
		return nil
	}}
}

func number(name string, low, high int, at func(*Settings) *int) key {
	return key{name, func(s *Settings) string { return strconv.Itoa(*at(s)) }, func(s *Settings, value string) error {
		n, err := strconv.Atoi(value)
		if err != nil || n < low || n > high {
			return refuse("%s is a number from %d to %d, not %.40q", name, low, high, value)
		}
		*at(s) = n
		return nil
	}}
}

func duration(name string, low, high time.Duration, at func(*Settings) *time.Duration) key {
	return key{name, func(s *Settings) string { return formatDuration(*at(s)) }, func(s *Settings, value string) error {
		d, err := parseDuration(value)
		if err != nil || d < low || d > high {
			return refuse("%s is a duration from %s to %s, not %.40q", name, formatDuration(low), formatDuration(high), value)
		}
		*at(s) = d
		return nil
	}}
}

func setMethods(s *Settings, value string) error {
	if value != "password" {
		return refuse("signin.methods knows only password, not %.40q", value)
	}
	s.SignInMethods = []string{value}
	return nil
}
