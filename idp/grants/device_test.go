package grants

import (
	"regexp"
	"testing"
)

func TestUserCodes(t *testing.T) {
	form := regexp.MustCompile(`^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$`)
	seen := map[string]bool{}
	for range 10_000 {
		code := NewUserCode()
		if !form.MatchString(code) || seen[code] || NormalUserCode(code) != code {
			t.Fatalf("%q", code)
		}
		seen[code] = true
	}
	for typed, want := range map[string]string{
		"wdjb-mjht": "WDJB-MJHT", " WDJB MJHT ": "WDJB-MJHT", "wdjbmjht": "WDJB-MJHT", "w.d.j.b.m.j.h.t": "WDJB-MJHT",
		"": "", "WDJB-MJH": "", "WDJB-MJHTT": "", "WDJB-MJHA": "", "WDJB_MJHT": "", "WDJB-MJH7": "",
	} {
		if got := NormalUserCode(typed); got != want {
			t.Errorf("%q becomes %q", typed, got)
		}
	}
}
