package audit_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"gatehouse/idp/audit"
	"gatehouse/store"
)

// signOn appends a sign-on at the kit's time; with a reason it was refused.
func (k *kit) signOn(node, user, app, reason string, count int) {
	k.Helper()
	event := audit.Event{Kind: "signon", Outcome: audit.OK, User: user, App: app, Count: count}
	if reason != "" {
		event.Outcome, event.Reason = audit.Refused, reason
	}
	k.update(func(tx store.Tx) error {
		_, err := k.log(node).Append(tx, event)
		return err
	})
}

func (k *kit) usage(app string) (usage audit.Usage) {
	k.Helper()
	k.update(func(tx store.Tx) (err error) { usage, err = audit.UsageOf(tx, app, k.now); return err })
	return usage
}

func (k *kit) usedSince(app, user string, days int) (used bool) {
	k.Helper()
	k.update(func(tx store.Tx) (err error) { used, err = audit.UsedSince(tx, app, user, k.now, days); return err })
	return used
}

func TestUsage(t *testing.T) {
	k := newKit(t)
	first := k.now
	days := func(n int) { k.now = k.now.AddDate(0, 0, n) }
	k.signOn("n", "ana", "a", "", 0)
	k.signOn("n", "ben", "a", "", 0)
	k.signOn("m", "eva", "b", "", 0)
	k.rollUp()
	days(65)
	k.signOn("n", "ana", "a", "", 0)
	k.signOn("m", "ana", "a", "", 0) // the same day, through another node
	k.signOn("n", "ben", "a", "blocked", 0)
	k.signOn("n", "", "a", "unknown_issuer", 40) // a folded entry
	k.signOn("n", "", "", "unknown_app", 5)
	k.update(func(tx store.Tx) error {
		_, err := k.log("n").Append(tx, audit.Event{Kind: "app.set", Outcome: audit.OK, App: "a", User: "ben"})
		return err
	})
	k.rollUp()
	u := k.usage("a")
	if u.People30 != 1 || u.People90 != 2 || u.SignOns != 2 || u.Refused != 41 || !u.Last.Equal(k.now) {
		t.Errorf("%+v", u)
	}
	if want := []audit.Refusals{{Reason: "unknown_issuer", Count: 40}, {Reason: "blocked", Count: 1}}; !reflect.DeepEqual(u.Reasons, want) {
		t.Errorf("%+v", u.Reasons)
	}
	if last := u.Days[29]; len(u.Days) != 30 || last.Day != "2026-03-08" || last.SignOns != 2 || last.Refused != 41 || u.Days[0].Day != "2026-02-07" {
		t.Errorf("%+v", u.Days)
	}
	if u := k.usage("b"); u.People90 != 1 || u.People30 != 0 || !u.Last.Equal(first) {
		t.Errorf("%+v", u)
	}
	if u := k.usage("c"); !u.Last.IsZero() || len(u.Days) != 30 {
		t.Errorf("%+v", u)
	}
	days(25) // 90 days after the first: the 91st day
	if u := k.usage("a"); u.People90 != 1 || u.People30 != 1 || k.usedSince("a", "ben", 90) || !k.usedSince("a", "ben", 91) || k.usedSince("a", "eva", 400) {
		t.Errorf("%+v", u)
	}
}

// TestRollUpCountsOnce: whatever the batches, whoever runs it beside, whether it was stopped between.
func TestRollUpCountsOnce(t *testing.T) {
	k := newKit(t)
	for i := range 2500 {
		if i%50 == 0 {
			k.now = k.now.Add(time.Hour)
		}
		k.signOn("n", fmt.Sprint("u", i%71), fmt.Sprint("a", i%3), []string{"", "", "blocked"}[i%7%3], 0)
		if i == 1200 {
			k.rollUp()
		}
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if _, err := audit.RollUp(context.Background(), k.store); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := k.rollUp(); n != 0 {
		t.Errorf("%d entries are counted again", n)
	}
	total := 0
	for i := range 3 {
		u := k.usage(fmt.Sprint("a", i))
		if total += u.SignOns + u.Refused; u.People30 != 71 {
			t.Errorf("app %d: %d people", i, u.People30)
		}
	}
	if total != 2500 {
		t.Errorf("%d sign-ons of 2,500", total)
	}
}

// TestRollUpKeepsCountsWhenTheStoreFails: a transaction that fails leaves neither sums nor position behind.
func TestRollUpKeepsCountsWhenTheStoreFails(t *testing.T) {
	k := newKit(t)
	k.signOn("n", "ana", "a", "", 0)
	broken := errors.New("disk full")
	if _, err := audit.RollUp(context.Background(), failing{k.store, broken}); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	k.rollUp()
	if u := k.usage("a"); u.SignOns != 1 || u.People30 != 1 {
		t.Errorf("%+v", u)
	}
}

// failing runs the function of an Update and then fails, as a disk does at the commit.
type failing struct {
	store.Store
	err error
}

func (f failing) Update(ctx context.Context, fn func(store.Tx) error, reads ...[]byte) error {
	return f.Store.Update(ctx, func(tx store.Tx) error { return errors.Join(fn(tx), f.err) }, reads...)
}

// TestRetentionWaitsForTheCount: no entry goes before it is counted, and its count stays behind.
func TestRetentionWaitsForTheCount(t *testing.T) {
	k := newKit(t)
	for range 10 {
		k.signOn("n", "ana", "a", "", 0)
		k.now = k.now.Add(time.Second)
	}
	sweep := func() (n int) {
		k.update(func(tx store.Tx) (err error) { n, err = audit.Sweep(tx, "n", k.now, 100); return err })
		return n
	}
	if n := sweep(); n != 0 {
		t.Errorf("%d entries went uncounted", n)
	}
	k.rollUp()
	if n := sweep(); n != 9 {
		t.Errorf("%d entries went", n)
	}
	k.signOn("n", "ben", "a", "", 0)
	k.rollUp()
	if u := k.usage("a"); u.SignOns != 11 || u.People30 != 2 {
		t.Errorf("%+v", u)
	}
}

// TestUsageExpires: counters go after 400 days, the last use of the app stays.
func TestUsageExpires(t *testing.T) {
	k := newKit(t)
	first := k.now
	k.signOn("n", "ana", "a", "", 0)
	k.rollUp()
	left := func(at time.Time) int {
		t.Helper()
		if _, err := store.SweepAll(context.Background(), k.store, at, 100, audit.UsageDays, audit.PersonUses); err != nil {
			t.Fatal(err)
		}
		n := 0
		k.update(func(tx store.Tx) error {
			days, err := audit.UsageDays.Count(tx, store.Page{}, 0)
			people, err2 := audit.PersonUses.Count(tx, store.Page{}, 0)
			n = days + people
			return errors.Join(err, err2)
		})
		return n
	}
	if n := left(first.AddDate(0, 0, 399)); n != 2 {
		t.Errorf("%d records after 399 days", n)
	}
	if n := left(first.AddDate(0, 0, 401)); n != 0 {
		t.Errorf("%d records after 401 days", n)
	}
	if u := k.usage("a"); !u.Last.Equal(first) {
		t.Errorf("%+v", u)
	}
}

// TestDamageDoesNotStopTheCount: the entries behind a damaged one are counted.
func TestDamageDoesNotStopTheCount(t *testing.T) {
	k := newKit(t)
	for range 3 {
		k.signOn("n", "ana", "a", "", 0)
	}
	k.update(func(tx store.Tx) error {
		keys, values, err := entries(tx)
		return errors.Join(err, tx.Put(keys[1], values[0]))
	})
	k.rollUp()
	if u := k.usage("a"); u.SignOns != 2 {
		t.Errorf("%+v", u)
	}
}

// TestManyReasons: what strangers can vary does not make a record grow.
func TestManyReasons(t *testing.T) {
	k := newKit(t)
	for i := range 60 {
		k.signOn("n", "", "a", fmt.Sprint("reason ", i), 0)
	}
	k.rollUp()
	if u := k.usage("a"); u.Refused != 60 || len(u.Reasons) != 41 || u.Reasons[0] != (audit.Refusals{Reason: "other", Count: 20}) {
		t.Errorf("%d refusals, %d reasons, %+v", u.Refused, len(u.Reasons), u.Reasons[0])
	}
}

// TestFoldedRefusalsNameTheirApp: so that a flood of refusals at one app is counted there.
func TestFoldedRefusalsNameTheirApp(t *testing.T) {
	k := newKit(t)
	limiter := &audit.Limiter{Now: func() time.Time { return k.now }}
	for range 100 {
		limiter.Single(audit.Event{Kind: "signon", Outcome: audit.Refused, Reason: "bad_signature", App: "a", Address: "192.0.2.1"})
	}
	for i := range 500 {
		limiter.Single(audit.Event{Kind: "signon", Outcome: audit.Refused, Reason: "bad_signature", App: fmt.Sprint("b", i), Address: "192.0.2.1"})
	}
	if err := limiter.Flush(context.Background(), k.store, k.log("n"), true); err != nil {
		t.Fatal(err)
	}
	k.rollUp()
	if u := k.usage("a"); u.Refused != 40 {
		t.Errorf("%+v", u)
	}
	if n := len(k.pages(audit.Filter{})); n > 102 {
		t.Errorf("a flood over many apps wrote %d entries", n)
	}
}

// TestUseWithoutSignOn: a token that an app got by itself, and a use that leaves no entry, are its last use and no sign-on; the latter is
// written once an hour.
func TestUseWithoutSignOn(t *testing.T) {
	k := newKit(t)
	first := k.now
	token := func(app, outcome string) {
		k.update(func(tx store.Tx) error {
			_, err := k.log("n").Append(tx, audit.Event{Kind: "token", Outcome: outcome, App: app, User: "ana"})
			return err
		})
	}
	note := func(after time.Duration) {
		k.now = first.Add(after)
		k.update(func(tx store.Tx) error { return audit.NoteUse(tx, "gateway", k.now) })
	}
	token("service", audit.OK)
	token("other", audit.Refused)
	k.rollUp()
	if u := k.usage("service"); !u.Last.Equal(first) || u.SignOns != 0 || u.People30 != 0 {
		t.Errorf("%+v", u)
	}
	if u := k.usage("other"); !u.Last.IsZero() || u.Refused != 0 {
		t.Errorf("a refused token: %+v", u)
	}
	note(0)
	note(59 * time.Minute)
	if u := k.usage("gateway"); !u.Last.Equal(first) {
		t.Errorf("written again after less than an hour: %s", u.Last)
	}
	note(time.Hour)
	if u := k.usage("gateway"); !u.Last.Equal(first.Add(time.Hour)) || u.SignOns != 0 {
		t.Errorf("%+v", u)
	}
}
