package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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
			event := audit.Event{Kind: "signon", Outcome: audit.OK, User: fmt.Sprint("u", i%3), Facts: map[string]string{"n": fmt.Sprint(i)}}
			if i%2 == 0 {
				event.App, event.Kind, event.Outcome = "a", "app.block", audit.Refused
			}
			if _, err := log.Append(tx, event); err != nil {
				return err
			}
		}
		return nil
	})
}

func (k *kit) verify(node string) (report audit.Report) {
	k.Helper()
	k.update(func(tx store.Tx) (err error) { report, err = audit.Verify(tx, node); return err })
	return report
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
	if report := k.verify("n"); report.Broken != 0 {
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

func TestVerifyFindsTampering(t *testing.T) {
	for name, tamper := range map[string]func(tx store.Tx, keys, values [][]byte) error{
		"changed":   func(tx store.Tx, k, v [][]byte) error { return tx.Put(k[4], reframed(k[4], v[4], "u1", "u2")) },
		"flipped":   func(tx store.Tx, k, v [][]byte) error { v[4][20] ^= 1; return tx.Put(k[4], v[4]) },
		"removed":   func(tx store.Tx, k, v [][]byte) error { return tx.Delete(k[4]) },
		"first cut": func(tx store.Tx, k, v [][]byte) error { return tx.Delete(k[0]) },
		"last cut":  func(tx store.Tx, k, v [][]byte) error { return tx.Delete(k[9]) },
		"swapped":   func(tx store.Tx, k, v [][]byte) error { return errors.Join(tx.Put(k[4], v[5]), tx.Put(k[5], v[4])) },
		"repeated": func(tx store.Tx, k, v [][]byte) error {
			return tx.Put(append(k[9][:len(k[9])-1:len(k[9])-1], 11), v[9])
		},
	} {
		k := newKit(t)
		k.fill("n", 10)
		if report := k.verify("n"); report.Broken != 0 || report.First != 1 || report.Last != 10 || len(report.Head) != 64 {
			t.Fatalf("whole chain: %+v", report)
		}
		want := map[string]uint64{"changed": 6, "flipped": 5, "removed": 5, "first cut": 1, "last cut": 10, "swapped": 5, "repeated": 11}
		k.update(func(tx store.Tx) error {
			keys, values, err := entries(tx)
			return errors.Join(err, tamper(tx, keys, values))
		})
		if report := k.verify("n"); report.Broken != want[name] || report.Problem == "" {
			t.Errorf("%s: %+v, want %d", name, report, want[name])
		}
	}
}

func entries(tx store.Tx) (keys, values [][]byte, err error) {
	err = tx.Scan(store.PrefixRange([]byte("audit\x00en\x00")), func(key, value []byte) error {
		keys, values = append(keys, bytes.Clone(key)), append(values, bytes.Clone(value))
		return nil
	})
	return keys, values, err
}

func TestSweepKeepsTheChainWhole(t *testing.T) {
	k := newKit(t)
	start := k.now
	k.fill("n", 20)
	sweep := func(before time.Time, limit int) (n int) {
		k.update(func(tx store.Tx) (err error) { n, err = audit.Sweep(tx, "n", before, limit); return err })
		return n
	}
	if n := sweep(start.Add(11*time.Second), 7); n != 7 {
		t.Errorf("first sweep: %d", n)
	}
	if n := sweep(start.Add(11*time.Second), 7); n != 3 {
		t.Errorf("second sweep: %d", n)
	}
	if report := k.verify("n"); report.Broken != 0 || report.First != 11 || report.Last != 20 {
		t.Errorf("%+v", report)
	}
	if got := k.pages(audit.Filter{App: "a"}); len(got) != 5 {
		t.Errorf("%d events by app", len(got))
	}
	if n := sweep(start.Add(time.Hour), 100); n != 9 {
		t.Errorf("the newest entry must stay: %d", n)
	}
	k.fill("n", 2)
	if report := k.verify("n"); report.Broken != 0 || report.First != 20 || report.Last != 22 {
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
