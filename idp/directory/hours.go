package directory

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Hours are the login hours of a profile: a weekly plan on the clock of a time zone. Make them with ParseHours.
type Hours struct {
	plan []span
	zone *time.Location
}

// span is from one minute of the day to another on some weekdays. One that ends at or before its beginning goes on into the
// next day.
type span struct {
	days     [7]bool // by time.Weekday
	from, to int     // minutes of the day; to is 1 to 24*60
}

// Bounds of a plan.
const (
	maxSpans    = 50
	dayMinutes  = 24 * 60
	hoursSyntax = "write them like mon-fri 08:00-18:00, sat 09:00-12:00 Europe/Berlin"
)

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} // in the order of time.Weekday

// ParseHours reads a plan like "mon-fri 08:00-18:00, sat 22:00-02:00 Europe/Berlin". The IANA time zone may be left out and
// is UTC then. An empty text is nil: at any time.
func ParseHours(text string) (*Hours, error) {
	plan, zone := strings.TrimSpace(text), "UTC"
	if plan == "" {
		return nil, nil
	}
	if space := strings.LastIndexByte(plan, ' '); space > 0 && !strings.Contains(plan[space:], ":") {
		plan, zone = plan[:space], plan[space+1:]
	}
	location, err := time.LoadLocation(zone)
	if err != nil || zone != "UTC" && !strings.Contains(zone, "/") || strings.HasPrefix(zone, "posix/") || strings.HasPrefix(zone, "right/") {
		return nil, refuse("There is no time zone %.60q: write it like Europe/Berlin or UTC", zone)
	}
	h := &Hours{zone: location}
	for part := range strings.SplitSeq(plan, ",") {
		one, err := parseSpan(strings.ToLower(strings.TrimSpace(part)))
		if err != nil {
			return nil, err
		}
		h.plan = append(h.plan, one)
	}
	if len(h.plan) > maxSpans {
		return nil, refuse("These are more than %d login hours: join some", maxSpans)
	}
	return h, nil
}

func parseSpan(text string) (span, error) {
	var s span
	days, hours, ok := strings.Cut(text, " ")
	if !ok || !s.parseDays(days) || !s.parseTimes(strings.TrimSpace(hours)) {
		return s, refuse("%.60q are no login hours: %s", text, hoursSyntax)
	}
	return s, nil
}

// parseDays reads mon, or mon-fri; a range may go over the end of the week.
func (s *span) parseDays(text string) bool {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	from, to := slices.Index(weekdays, first), slices.Index(weekdays, last)
	if from < 0 || to < 0 {
		return false
	}
	for day := from; ; day = (day + 1) % 7 {
		s.days[day] = true
		if day == to {
			return true
		}
	}
}

func (s *span) parseTimes(text string) bool {
	from, to, ok := strings.Cut(text, "-")
	var fromOK, toOK bool
	s.from, fromOK = minuteOf(from)
	s.to, toOK = minuteOf(to)
	return ok && fromOK && toOK && s.from < dayMinutes && s.to > 0 && s.from != s.to
}

func minuteOf(text string) (int, bool) {
	if text == "24:00" {
		return dayMinutes, true
	}
	at, err := time.Parse("15:04", text)
	return at.Hour()*60 + at.Minute(), err == nil && len(text) == len("15:04")
}

// Open tells whether the plan lets people in at a moment.
func (h *Hours) Open(at time.Time) bool {
	at = at.In(h.zone)
	minute := at.Hour()*60 + at.Minute()
	today, yesterday := at.Weekday(), (at.Weekday()+6)%7
	return slices.ContainsFunc(h.plan, func(s span) bool {
		if s.from < s.to {
			return s.days[today] && s.from <= minute && minute < s.to
		}
		return s.days[today] && s.from <= minute || s.days[yesterday] && minute < s.to
	})
}

// String is the text that ParseHours reads.
func (h *Hours) String() string {
	if h == nil {
		return ""
	}
	parts := make([]string, len(h.plan))
	for i, s := range h.plan {
		parts[i] = fmt.Sprintf("%s %02d:%02d-%02d:%02d", s.dayWords(), s.from/60, s.from%60, s.to/60, s.to%60)
	}
	return strings.Join(parts, ", ") + " " + h.zone.String()
}

// dayWords is the range of weekdays: it begins at the one day whose eve is not in it.
func (s *span) dayWords() string {
	first, n := 1, 0 // a whole week begins on Monday
	for day := range s.days {
		if s.days[day] && !s.days[(day+6)%7] {
			first = day
		}
		if s.days[day] {
			n++
		}
	}
	if n == 1 {
		return weekdays[first]
	}
	return weekdays[first] + "-" + weekdays[(first+n-1)%7]
}

// MarshalText keeps the text.
func (h *Hours) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads it again.
func (h *Hours) UnmarshalText(text []byte) error {
	parsed, err := ParseHours(string(text))
	if err != nil || parsed == nil {
		return fmt.Errorf("stored login hours %q: %w", text, err)
	}
	*h = *parsed
	return nil
}
