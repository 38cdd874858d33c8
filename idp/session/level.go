package session

import (
	"slices"
	"time"
)

// The levels (design, section 4).
const (
	Low      Level = "low"
	Standard Level = "standard"
	High     Level = "high"
)

// The names of methods that are checked here; one of another identity provider has From.
const (
	MethodPassword    = "password"
	MethodLink        = "link"         // a one-time link
	MethodPasskey     = "passkey"      // WebAuthn with user verification: two factors in one
	MethodSecurityKey = "security_key" // WebAuthn without user verification
	MethodTOTP        = "totp"
	MethodRecovery    = "recovery" // a one-time recovery code
)

// rank orders the levels; an unknown one is weaker than all.
func (l Level) rank() int {
	switch l {
	case Low:
		return 1
	case Standard:
		return 2
	case High:
		return 3
	}
	return 0
}

// Second tells whether a method is a second factor alone: something that a person has, beside a first one.
func (m *Method) Second() bool {
	return m.Name == MethodTOTP || m.Name == MethodSecurityKey || m.Name == MethodRecovery
}

// alone is what a method proves by itself; empty: nothing that Gatehouse knows.
func (m *Method) alone() Level {
	switch {
	case m.Level != "":
		return m.Level
	case m.Name == MethodPassword || m.Second():
		return Standard
	case m.Name == MethodPasskey:
		return High
	case m.Name == MethodLink || m.From != nil:
		return Low
	}
	return ""
}

// LevelOf is THE function from methods to the level that they prove together: low for a one-time link or a weak upstream,
// standard for one factor, high for two, or for a passkey with user verification.
func LevelOf(methods []Method) Level { return levelSince(methods, time.Time{}) }

func levelSince(methods []Method, after time.Time) Level {
	best, first, second := Level(""), false, false
	for i := range methods {
		if methods[i].At.Before(after) {
			continue
		}
		level := methods[i].alone()
		if level.rank() > best.rank() {
			best = level
		}
		second = second || methods[i].Second()
		first = first || !methods[i].Second() && level.rank() >= Standard.rank()
	}
	if first && second {
		return High
	}
	return best
}

// Begun tells whether a first factor was checked at or after an instant, so that a second one makes two.
func (s *Session) Begun(after time.Time) bool {
	return slices.ContainsFunc(s.Methods, func(m Method) bool {
		return !m.Second() && !m.At.Before(after) && m.alone().rank() >= Standard.rank()
	})
}

// LevelSince is what the methods prove that were checked at or after an instant; the zero time counts them all.
func (s *Session) LevelSince(after time.Time) Level { return levelSince(s.Methods, after) }

// ProvedAt is when the session last proved a level: the latest instant since which its methods reach it, or zero when they do not.
func (s *Session) ProvedAt(level Level) time.Time {
	var latest time.Time
	for _, m := range s.Methods {
		if m.At.After(latest) && s.LevelSince(m.At).rank() >= level.rank() {
			latest = m.At
		}
	}
	return latest
}
