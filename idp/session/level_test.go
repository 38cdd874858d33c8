package session_test

import (
	"testing"
	"time"

	"gatehouse/idp/session"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func methods(names ...string) []session.Method {
	var list []session.Method
	for i, name := range names {
		list = append(list, session.Method{Name: name, At: noon.Add(time.Duration(i) * time.Hour)})
	}
	return list
}

func upstream(level session.Level) session.Method {
	return session.Method{Name: "saml:uni", At: noon, Level: level, From: &session.Brokered{Upstream: "urn:uni"}}
}

func TestLevelOf(t *testing.T) {
	for _, c := range []struct {
		name    string
		methods []session.Method
		want    session.Level
	}{
		{"nothing", nil, ""},
		{"a method that nobody knows", methods("magic"), ""},
		{"one-time link", methods("link"), session.Low},
		{"password", methods("password"), session.Standard},
		{"password twice is one factor", methods("password", "password"), session.Standard},
		{"link and password are no two factors", methods("link", "password"), session.Standard},
		{"password and code", methods("password", "totp"), session.High},
		{"the order does not matter", methods("security_key", "password"), session.High},
		{"password and recovery code", methods("password", "recovery"), session.High},
		{"two second factors without a first", methods("totp", "security_key"), session.Standard},
		{"link and code", methods("link", "totp"), session.Standard},
		{"passkey with user verification", methods("passkey"), session.High},
		{"security key alone", methods("security_key"), session.Standard},
		{"weak upstream", []session.Method{upstream("low")}, session.Low},
		{"upstream that says nothing", []session.Method{upstream("")}, session.Low},
		{"upstream", []session.Method{upstream("standard")}, session.Standard},
		{"strong upstream", []session.Method{upstream("high")}, session.High},
		{"upstream and code", append(methods("totp"), upstream("standard")), session.High},
		{"weak upstream and code", append(methods("totp"), upstream("low")), session.Standard},
	} {
		if got := session.LevelOf(c.methods); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestProvedAt: how old a level is counts from the older of the two factors that make it.
func TestProvedAt(t *testing.T) {
	s := session.Session{Methods: methods("password", "totp")} // at noon and an hour later
	for _, c := range []struct {
		level session.Level
		want  time.Time
	}{
		{session.Low, noon.Add(time.Hour)},
		{session.Standard, noon.Add(time.Hour)},
		{session.High, noon},
	} {
		if got := s.ProvedAt(c.level); !got.Equal(c.want) {
			t.Errorf("%s: %s, want %s", c.level, got, c.want)
		}
	}
	if got := (&session.Session{Methods: methods("password")}).ProvedAt(session.High); !got.IsZero() {
		t.Errorf("a level that was never proved: %s", got)
	}
	if got := s.LevelSince(noon.Add(time.Minute)); got != session.Standard {
		t.Errorf("since a minute past noon: %s", got)
	}
}
