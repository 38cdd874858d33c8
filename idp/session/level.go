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
func (l Level) rank() int { return slices.Index([]Level{Low, Standard, High}, l) }

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
func LevelOf(methods []Method) Level {
	best, first, second := Level(""), false, false
	for i := range methods {
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

// LevelSince is what the methods prove that were checked at or after an instant; the zero time counts them all.
func (s *Session) LevelSince(after time.Time) Level {
	return LevelOf(slices.DeleteFunc(slices.Clone(s.Methods), func(m Method) bool { return m.At.Before(after) }))
}

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
