package grants

import (
	"errors"
	"fmt"
	"time"
)

// MaxSpan is the longest that access can be granted for at once; MinSpan the shortest.
const (
	MaxSpan = 366 * 24 * time.Hour
	MinSpan = time.Minute
)

// Span is for how long access is wanted or granted: a duration from the grant on, or until a moment. One of the two is set; the
// zero value says nothing.
type Span struct {
	For   time.Duration `json:"for,omitempty"`
	Until time.Time     `json:"until,omitzero"`
}

// IsZero tells whether the span says nothing.
func (s Span) IsZero() bool { return s.For == 0 && s.Until.IsZero() }

// Errors of End, each a sentence without its full stop.
var (
	ErrNoSpan   = errors.New("say for how long: a time such as 7d, or a date")
	ErrPast     = errors.New("the end is past: choose a later one")
	ErrTooShort = errors.New("a minute is the shortest time")
	ErrTooLong  = errors.New("a year is the longest time: choose an earlier end, and renew the access later")
)

// End is when access that begins at a moment ends.
func (s Span) End(from time.Time) (time.Time, error) {
	switch end := from.Add(s.For); {
	case s.IsZero():
		return end, ErrNoSpan
	case s.For != 0 && !s.Until.IsZero():
		return end, errors.New("say for how long or until when, not both")
	case s.For != 0 && s.For < MinSpan:
		return end, ErrTooShort
	case s.For > MaxSpan, s.Until.After(from.Add(MaxSpan)):
		return end, ErrTooLong
	case s.For != 0:
		return end, nil
	case !s.Until.After(from):
		return end, ErrPast
	}
	return s.Until, nil
}

// String says it in words: "for 7 days", "until 31 January 2027, 18:00 UTC".
func (s Span) String() string {
	const day = 24 * time.Hour
	switch {
	case s.IsZero():
		return "for a time"
	case s.For == 0:
		return "until " + s.Until.UTC().Format("2 January 2006, 15:04 MST")
	case s.For%day == 0:
		return "for " + count(int(s.For/day), "day")
	case s.For%time.Hour == 0:
		return "for " + count(int(s.For/time.Hour), "hour")
	case s.For%time.Minute == 0:
		return "for " + count(int(s.For/time.Minute), "minute")
	}
	return "for " + s.For.String()
}

func count(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// EndOfDay is the last moment of a day of UTC, as people mean a date until which they have something.
func EndOfDay(day time.Time) time.Time {
	y, m, d := day.UTC().Date()
	return time.Date(y, m, d+1, 0, 0, 0, 0, time.UTC).Add(-time.Second)
}
