package audit

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"time"

	"gatehouse/store"
)

// Usage is what is left of the sign-ons once they are counted: small records that outlive the entries they were made of. All
// days are those of UTC, written 2027-01-31. RollUp is the only writer, but for NoteUse.

const (
	dayFormat  = time.DateOnly
	keepUsage  = 400 // days that the counters of a day and the last use of a person are kept
	maxReasons = 40  // reasons that one day counts apart; further ones are "other"

	useEvery = time.Hour // how often a use without an entry is written again
)

// AppUse is the last use of an app. It is kept for good: it tells an app that nobody ever used from one that was left.
type AppUse struct {
	App  string    `json:"app"`
	Last time.Time `json:"last"`
}

// UsageDay counts the sign-ons to one app on one day.
type UsageDay struct {
	App     string         `json:"app"`
	Day     string         `json:"day"`
	SignOns int            `json:"sign_ons,omitempty"`
	Refused map[string]int `json:"refused,omitempty"` // by reason
	People  int            `json:"people,omitempty"`  // whose latest use of the app was on this day
}

// PersonUse is the day on which a person last used an app.
type PersonUse struct {
	User string `json:"user"`
	App  string `json:"app"`
	Day  string `json:"day"`
}

// counted is how far a node's chain is counted.
type counted struct {
	Node string `json:"node"`
	Seq  uint64 `json:"seq"`
}

// AppUses is the table of the apps' last use.
var AppUses = &store.Table[AppUse]{Name: "usage_app", Version: 1, Key: func(u *AppUse) string { return u.App }}

// UsageDays is the table of the apps' days; they go after 400 days.
var UsageDays = &store.Table[UsageDay]{
	Name: "usage_day", Version: 1,
	Key:     func(d *UsageDay) string { return usageKey(d.App, d.Day) },
	Expires: func(d *UsageDay) time.Time { return expiry(d.Day) },
}

// PersonUses is the table of what people last used when; an entry goes after 400 days without a use.
var PersonUses = &store.Table[PersonUse]{
	Name: "usage_person", Version: 1,
	Key:     func(u *PersonUse) string { return usageKey(u.App, u.User) },
	Expires: func(u *PersonUse) time.Time { return expiry(u.Day) },
}

// Counted is the table of how far each node's chain is counted.
var Counted = &store.Table[counted]{Name: "usage_counted", Version: 1, Key: func(c *counted) string { return c.Node }}

func usageKey(app, rest string) string { return app + "/" + rest }

// expiry is the zero time, never, for a day that cannot be read.
func expiry(day string) time.Time {
	at, err := time.Parse(dayFormat, day)
	if err != nil {
		return time.Time{}
	}
	return at.AddDate(0, 0, keepUsage)
}

func dayOf(at time.Time) string { return at.UTC().Format(dayFormat) }

// Usage is how one app is used.
type Usage struct {
	App                string
	Last               time.Time // zero: never
	People30, People90 int       // different people in so many days, the present one included
	SignOns, Refused   int       // in 30 days
	Days               []Daily   // 30, oldest first
	Reasons            []Refusals
}

// Daily is what happened at one app on one day.
type Daily struct {
	Day              string
	SignOns, Refused int
}

// Refusals are those of 30 days for one reason, in Usage most first.
type Refusals struct {
	Reason string
	Count  int
}

// UsageOf reads how an app is used: at most 90 small records, however many people there are.
func UsageOf(tx store.Tx, app string, now time.Time) (Usage, error) {
	usage := Usage{App: app}
	last, _, err := AppUses.Get(tx, app)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return usage, err
	}
	usage.Last = last.Last
	from30, from90 := daysBack(now, 30), daysBack(now, 90)
	days, reasons := map[string]Daily{}, map[string]int{}
	err = UsageDays.Each(tx, store.Page{Prefix: usageKey(app, ""), Reverse: true}, func(_ string, d *UsageDay) error {
		if d.Day < from90 {
			return store.ErrStop
		}
		usage.People90 += d.People
		if d.Day < from30 {
			return nil
		}
		usage.People30 += d.People
		daily := Daily{Day: d.Day, SignOns: d.SignOns}
		for reason, n := range d.Refused {
			daily.Refused += n
			reasons[reason] += n
		}
		days[d.Day] = daily
		usage.SignOns += daily.SignOns
		usage.Refused += daily.Refused
		return nil
	})
	usage.fill(now, days, reasons)
	return usage, err
}

// fill lists every one of the 30 days, and the reasons with the most frequent first.
func (u *Usage) fill(now time.Time, days map[string]Daily, reasons map[string]int) {
	for back := 30; back > 0; back-- {
		day := daysBack(now, back)
		u.Days = append(u.Days, Daily{Day: day, SignOns: days[day].SignOns, Refused: days[day].Refused})
	}
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		u.Reasons = append(u.Reasons, Refusals{reason, reasons[reason]})
	}
	slices.SortStableFunc(u.Reasons, func(a, b Refusals) int { return cmp.Compare(b.Count, a.Count) })
}

// daysBack is the first of the last n days, the present one included.
func daysBack(now time.Time, n int) string { return dayOf(now.UTC().AddDate(0, 0, 1-n)) }

// UsedSince tells whether a person used an app within the last n days, the present one included.
func UsedSince(tx store.Tx, app, user string, now time.Time, n int) (bool, error) {
	day, err := lastDay(tx, app, user)
	return day >= daysBack(now, n), err
}

// lastDay is empty when the person did not use the app in 400 days.
func lastDay(tx store.Tx, app, user string) (string, error) {
	use, _, err := PersonUses.Get(tx, usageKey(app, user))
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	return use.Day, err
}

// NoteUse records a use of an app that no entry tells of, such as a gateway's question about a token, if that is worth a write: the last
// use may be up to an hour older than the latest.
func NoteUse(tx store.Tx, app string, now time.Time) error {
	use, _, err := AppUses.Get(tx, app)
	if err != nil && !errors.Is(err, store.ErrNotFound) || now.Sub(use.Last) < useEvery {
		return err
	}
	return AppUses.Put(tx, &AppUse{App: app, Last: now})
}

// reasonOf keeps the reasons of one day few.
func reasonOf(known map[string]int, reason string) string {
	reason = cmp.Or(reason, "unknown")
	if _, seen := known[reason]; seen || len(known) < maxReasons {
		return reason
	}
	return "other"
}
