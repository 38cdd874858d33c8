package directory

import (
	"cmp"
	"encoding/json"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // as the binary has it
)

func TestHours(t *testing.T) {
	for _, c := range []struct {
		plan, zone, at string
		open           bool
	}{
		{"mon-fri 08:00-18:00", "UTC", "Thu 2026-11-26 08:00 +0000", true},
		{"mon-fri 08:00-18:00", "UTC", "Thu 2026-11-26 17:59 +0000", true},
		{"mon-fri 08:00-18:00", "UTC", "Thu 2026-11-26 18:00 +0000", false},
		{"mon-fri 08:00-18:00", "UTC", "Thu 2026-11-26 07:59 +0000", false},
		{"mon-fri 08:00-18:00", "UTC", "Sat 2026-11-28 12:00 +0000", false},
		{"mon-fri 08:00-18:00, sat 09:00-12:00", "UTC", "Sat 2026-11-28 11:00 +0000", true},
		{"mon-fri 08:00-18:00", "", "Thu 2026-11-26 08:00 +0000", true},
		// The same clock in Berlin is an hour earlier in winter, two in summer.
		{"mon-fri 08:00-18:00", "Europe/Berlin", "Thu 2026-11-26 07:00 +0000", true},
		{"mon-fri 08:00-18:00", "Europe/Berlin", "Thu 2026-11-26 17:00 +0000", false},
		{"mon-fri 08:00-18:00", "Europe/Berlin", "Thu 2026-07-02 06:00 +0000", true},
		{"mon-fri 08:00-18:00", "America/New_York", "Fri 2026-11-27 22:59 +0000", true},
		{"mon-fri 08:00-18:00", "Asia/Tokyo", "Sun 2026-11-29 23:00 +0000", true}, // Monday there
		// Over midnight.
		{"fri 22:00-02:00", "UTC", "Fri 2026-11-27 23:00 +0000", true},
		{"fri 22:00-02:00", "UTC", "Sat 2026-11-28 01:59 +0000", true},
		{"fri 22:00-02:00", "UTC", "Sat 2026-11-28 02:00 +0000", false},
		{"fri 22:00-02:00", "UTC", "Fri 2026-11-27 01:00 +0000", false},
		{"sat-mon 00:00-24:00", "UTC", "Mon 2026-11-30 23:59 +0000", true},
		{"sat-mon 00:00-24:00", "UTC", "Tue 2026-12-01 00:00 +0000", false},
		{"MON 08:00-09:00", "UTC", "Mon 2026-11-30 08:30 +0000", true},
	} {
		h, err := ParseHours(c.plan + " " + c.zone)
		if err != nil {
			t.Fatalf("%s: %v", c.plan, err)
		}
		at, err := time.Parse("Mon 2006-01-02 15:04 -0700", c.at)
		if err != nil || at.Format("Mon") != c.at[:3] {
			t.Fatalf("%s: %v", c.at, err)
		}
		if h.Open(at) != c.open {
			t.Errorf("%s in %s at %s: open %t", c.plan, c.zone, c.at, !c.open)
		}
		again, err := ParseHours(h.String())
		if err != nil || again.String() != h.String() || !strings.EqualFold(h.String(), c.plan+" "+cmp.Or(c.zone, "UTC")) {
			t.Errorf("%q became %q: %v", c.plan, h, err)
		}
		kept, err := json.Marshal(Profile{LoginHours: h})
		var back Profile
		if err != nil || json.Unmarshal(kept, &back) != nil || back.LoginHours.String() != h.String() {
			t.Errorf("kept as %s", kept)
		}
	}
}

func TestHoursRefused(t *testing.T) {
	for _, c := range [][2]string{
		{"mon", "UTC"}, {"mon 8-18", "UTC"}, {"mon 08:00", "UTC"}, {"mon 8:00-18:00", "UTC"}, {"mon 08:00-25:00", "UTC"},
		{"mon 24:00-08:00", "UTC"}, {"mon 08:00-08:00", "UTC"}, {"mon 08:00-00:00", "UTC"}, {"mo-fr 08:00-18:00", "UTC"},
		{"mon-fri 08:00-18:00,", "UTC"}, {"mon-fri 08:00-18:00", "Berlin"}, {"mon-fri 08:00-18:00", "Local"}, {"mon-fri 08:00-18:00", "localtime"}, {"mon-fri 08:00-18:00", "posixrules"}, {"mon-fri 08:00-18:00", "EST"},
		{"mon-fri 08:00-18:00", "../../etc/passwd"}, {strings.Repeat("mon 08:00-09:00,", 50) + "mon 08:00-09:00", "UTC"},
	} {
		if h, err := ParseHours(c[0] + " " + c[1]); err == nil {
			t.Errorf("%.40q in %q is %v", c[0], c[1], h)
		}
	}
	if h, err := ParseHours(" "); h != nil || err != nil {
		t.Errorf("no hours: %v, %v", h, err)
	}
}
