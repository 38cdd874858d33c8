package audit_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/idp/audit"
	"gatehouse/store"
	"gatehouse/store/bolt"
)

type kit struct {
	*testing.T
	store store.Store
	now   time.Time
}

func newKit(t *testing.T) *kit {
	s, err := bolt.Open(filepath.Join(t.TempDir(), "db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return &kit{t, s, time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)}
}

func (k *kit) log(node string) *audit.Log {
	return &audit.Log{Node: node, Now: func() time.Time { return k.now }}
}

func (k *kit) update(fn func(store.Tx) error) {
	k.Helper()
	if err := k.store.Update(context.Background(), fn); err != nil {
		k.Fatal(err)
	}
}

// fill appends n events a second apart: users u0 to u2 in turn, app a for the even ones.
func (k *kit) fill(node string, n int) {
	k.Helper()
	log := k.log(node)
	k.update(func(tx store.Tx) error {
		for i := range n {
			k.now = k.now.Add(time.Second)
			event := audit.Event{Kind: "signon", Outcome: audit.OK, User: fmt.Sprint("u", i%3), Actor: fmt.Sprint("u", i%3), Address: fmt.Sprint("192.0.2.", i), Facts: map[string]string{"n": fmt.Sprint(i)}}
			if i%2 == 0 {
				event.App, event.Kind, event.Outcome, event.Reason = "a", "app.block", audit.Refused, "blocked"
			}
			if _, err := log.Append(tx, event); err != nil {
				return err
			}
		}
		return nil
	})
}

// verify reads the one chain there is.
func (k *kit) verify(kept string) audit.Report {
	k.Helper()
	reports, err := audit.Verify(context.Background(), k.store, kept)
	if err != nil || len(reports) != 1 {
		k.Fatalf("%d chains, %v", len(reports), err)
	}
	return reports[0]
}

func (k *kit) rollUp() int {
	k.Helper()
	n, err := audit.RollUp(context.Background(), k.store)
	if err != nil {
		k.Fatal(err)
	}
	return n
}

// sweep counts what there is, and lets retention take what is older.
func (k *kit) sweep(before time.Time, limit int) (n int) {
	k.Helper()
	k.rollUp()
	k.update(func(tx store.Tx) (err error) { n, err = audit.Sweep(tx, "n", before, limit); return err })
	return n
}

func TestAppendFillsIn(t *testing.T) {
	k := newKit(t)
	var first, second audit.Event
	k.update(func(tx store.Tx) (err error) {
		if first, err = k.log("n1").Append(tx, audit.Event{Kind: "x", Code: "mine", Seq: 99}); err != nil {
			return err
		}
		second, err = k.log("n1").Append(tx, audit.Event{Kind: "x"})
		return err
	})
	code := regexp.MustCompile(`^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$`)
	if first.Seq != 1 || second.Seq != 2 || !first.Time.Equal(k.now) || !code.MatchString(first.Code) || first.Code == second.Code {
		t.Errorf("%+v\n%+v", first, second)
	}
	typed := strings.ToLower(strings.NewReplacer("-", " ", "0", "O", "1", "l").Replace(first.Code))
	k.update(func(tx store.Tx) error {
		found, err := k.log("n1").ByCode(tx, typed)
		if err != nil || found.Seq != 1 {
			t.Errorf("ByCode(%q) = %+v, %v", typed, found, err)
		}
		for _, none := range []string{"", "K7Q2", "UUUU-0000", "0000-0000", "ZZZZ-ZZZZ-", strings.Repeat("x", 10_000)} {
			if _, err := k.log("n1").ByCode(tx, none); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("ByCode(%.10q): %v", none, err)
			}
		}
		return nil
	})
}

func TestAppendBoundsWhatStrangersWrite(t *testing.T) {
	k := newKit(t)
	event := audit.Event{Kind: "signon", Detail: strings.Repeat("é", 5000), App: "a\x00b", Facts: map[string]string{"issuer": strings.Repeat("x", 10_000)}}
	for i := range 100 {
		event.Facts[fmt.Sprint(i)] = "\xff"
	}
	k.update(func(tx store.Tx) error {
		stored, err := k.log("n").Append(tx, event)
		size := len(stored.Detail)
		for key, value := range stored.Facts {
			size += len(key) + len(value)
		}
		if size > 2000 || len(stored.Facts) > 24 || stored.App != "ab" {
			t.Errorf("%d bytes, %d facts, app %q", size, len(stored.Facts), stored.App)
		}
		return err
	})
	if report := k.verify(""); report.Broken != 0 {
		t.Errorf("%+v", report)
	}
}

func TestList(t *testing.T) {
	k := newKit(t)
	start := k.now
	k.fill("n1", 30)
	k.fill("n2", 30)
	for name, test := range map[string]struct {
		filter audit.Filter
		want   int
	}{
		"all":               {audit.Filter{}, 60},
		"app":               {audit.Filter{App: "a"}, 30},
		"user":              {audit.Filter{User: "u1"}, 20},
		"user at app":       {audit.Filter{User: "u1", App: "a"}, 10},
		"kind":              {audit.Filter{Kind: "signon"}, 30},
		"kinds":             {audit.Filter{Kind: "app."}, 30},
		"part of a kind":    {audit.Filter{Kind: "app"}, 0},
		"outcome":           {audit.Filter{Outcome: audit.Refused}, 30},
		"since":             {audit.Filter{Since: start.Add(51 * time.Second)}, 10},
		"app since":         {audit.Filter{App: "a", Since: start.Add(51 * time.Second)}, 5},
		"app since forever": {audit.Filter{App: "a", Since: start.Add(time.Hour)}, 0},
		"nobody":            {audit.Filter{User: "u"}, 0},
		"until":             {audit.Filter{Until: start.Add(21 * time.Second)}, 20},
		"user until":        {audit.Filter{User: "u1", Until: start.Add(7 * time.Second)}, 2},
		"between":           {audit.Filter{Since: start.Add(11 * time.Second), Until: start.Add(41 * time.Second)}, 30},
		"never":             {audit.Filter{Until: start}, 0},
		"actor":             {audit.Filter{Actor: "u2"}, 20},
		"reason":            {audit.Filter{Reason: "blocked"}, 30},
		"part of a reason":  {audit.Filter{Reason: "block"}, 0},
		"address":           {audit.Filter{Network: netip.MustParsePrefix("192.0.2.3/32")}, 2},
		"network":           {audit.Filter{Network: netip.MustParsePrefix("192.0.2.0/28"), App: "a"}, 16},
		"IPv6 network":      {audit.Filter{Network: netip.MustParsePrefix("2001:db8::/32")}, 0},
	} {
		for _, limit := range []int{0, 1, 7, 30} {
			test.filter.Limit, test.filter.After = limit, ""
			if got := k.pages(test.filter); len(got) != test.want || !slices.IsSortedFunc(got, newestFirst) {
				t.Errorf("%s, %d a page: %d events, want %d newest first", name, limit, len(got), test.want)
			}
		}
	}
}

func newestFirst(a, b audit.Event) int { return b.Time.Compare(a.Time) }

func (k *kit) pages(filter audit.Filter) []audit.Event {
	k.Helper()
	var all []audit.Event
	for range 100 {
		var page []audit.Event
		var next string
		k.update(func(tx store.Tx) (err error) { page, next, err = audit.List(tx, filter); return err })
		all = append(all, page...)
		if next == "" {
			return all
		}
		filter.After = next
	}
	k.Fatal("the list does not end")
	return nil
}

func TestListRefusesForeignCursors(t *testing.T) {
	k := newKit(t)
	k.fill("n", 5)
	for _, filter := range []audit.Filter{{After: "?"}, {After: "AAAA"}, {After: "_wAAAAAAAAAA"}, {App: "a", After: "?"}, {User: "u1", After: "AAAA"}} {
		err := k.store.View(context.Background(), func(tx store.Tx) error {
			_, _, err := audit.List(tx, filter)
			return err
		})
		if !errors.Is(err, audit.ErrCursor) {
			t.Errorf("%+v: %v", filter, err)
		}
	}
}

func TestSweepKeepsTheChainWhole(t *testing.T) {
	k := newKit(t)
	start := k.now
	k.fill("n", 20)
	if n := k.sweep(start.Add(11*time.Second), 7); n != 7 {
		t.Errorf("first sweep: %d", n)
	}
	if n := k.sweep(start.Add(11*time.Second), 7); n != 3 {
		t.Errorf("second sweep: %d", n)
	}
	if report := k.verify(""); report.Broken != 0 || report.First != 11 || report.Last != 20 {
		t.Errorf("%+v", report)
	}
	if got := k.pages(audit.Filter{App: "a"}); len(got) != 5 {
		t.Errorf("%d events by app", len(got))
	}
	if n := k.sweep(start.Add(time.Hour), 100); n != 9 {
		t.Errorf("the newest entry must stay: %d", n)
	}
	k.fill("n", 2)
	if report := k.verify(""); report.Broken != 0 || report.First != 20 || report.Last != 22 {
		t.Errorf("%+v", report)
	}
}

func TestLimiter(t *testing.T) {
	k := newKit(t)
	limiter := &audit.Limiter{Now: func() time.Time { return k.now }}
	single := func(n int, address func(int) string) (got int) {
		for i := range n {
			if limiter.Single(audit.Event{Kind: "signon", Reason: "unknown_app", Address: address(i)}) {
				got++
			}
		}
		return got
	}
	if got := single(100, func(int) string { return "192.0.2.1" }); got != 60 {
		t.Errorf("one address: %d", got)
	}
	if got := single(100, func(i int) string { return fmt.Sprintf("2001:db8::%x", i) }); got != 60 {
		t.Errorf("one IPv6 subscriber: %d", got)
	}
	if got := single(1000, func(i int) string { return fmt.Sprint("address ", i) }); got != 480 {
		t.Errorf("all: %d", got)
	}
	flush := func(all bool) {
		t.Helper()
		if err := limiter.Flush(context.Background(), k.store, k.log("n"), all); err != nil {
			t.Fatal(err)
		}
	}
	flush(false)
	if got := k.pages(audit.Filter{}); len(got) != 0 {
		t.Errorf("the minute is not over: %+v", got)
	}
	k.now = k.now.Add(time.Minute)
	if got := single(1, func(int) string { return "192.0.2.1" }); got != 1 {
		t.Error("a new minute admits nobody")
	}
	flush(false)
	flush(true)
	got := k.pages(audit.Filter{})
	if len(got) != 1 || got[0].Count != 40+40+520 || got[0].Reason != "unknown_app" || got[0].Outcome != audit.Refused {
		t.Errorf("%+v", got)
	}
}

func TestLimiterKeepsCountsWhenTheStoreFails(t *testing.T) {
	k := newKit(t)
	limiter := &audit.Limiter{Now: func() time.Time { return k.now }}
	for range 70 {
		limiter.Single(audit.Event{Kind: "signon", Address: "192.0.2.1"})
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if err := limiter.Flush(cancelled, k.store, k.log("n"), true); err == nil {
		t.Skip("this store commits under a cancelled context")
	}
	if err := limiter.Flush(context.Background(), k.store, k.log("n"), true); err != nil {
		t.Fatal(err)
	}
	if got := k.pages(audit.Filter{}); len(got) != 1 || got[0].Count != 10 {
		t.Errorf("%+v", got)
	}
}

func BenchmarkAppend(b *testing.B) {
	s, err := bolt.Open(filepath.Join(b.TempDir(), "db"), bolt.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	log := &audit.Log{Node: "n", Now: time.Now}
	event := audit.Event{
		Kind: "signon", Outcome: audit.OK, Actor: "usr_1", User: "usr_1", App: "app_1", Address: "192.0.2.1",
		Facts: map[string]string{"protocol": "saml", "request": "_0123456789abcdef", "session": "ses_x", "start": "SP"},
	}
	b.ReportAllocs()
	for i := 0; i < b.N; i += 1000 {
		err := s.Update(context.Background(), func(tx store.Tx) error {
			for range min(1000, b.N-i) {
				if _, err := log.Append(tx, event); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
