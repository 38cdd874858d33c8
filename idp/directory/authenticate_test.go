package directory

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/store"
	"gatehouse/store/bolt"
)

// These tests are inside the package to see how many hashes ran.

const right, wrong = "correct horse", "battery staple"

var (
	home     = netip.MustParseAddr("192.0.2.1")
	stranger = netip.MustParseAddr("198.51.100.7")
)

type door struct {
	*testing.T
	store store.Store
	dir   *Directory
	now   time.Time
	ana   User
}

// newDoor has one person, ana, with a password.
func newDoor(t *testing.T) *door {
	t.Helper()
	s, err := bolt.Open(filepath.Join(t.TempDir(), "db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	d := &door{T: t, store: s, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	d.restart()
	d.update(func(tx store.Tx) error {
		profile, err := AllProfiles.Add(tx, Profile{Name: "Employee"})
		if err != nil {
			return err
		}
		d.ana, err = d.dir.AddUser(tx, User{Name: "Ana", Profile: profile.ID})
		return err
	})
	hash, err := d.dir.HashPassword(context.Background(), right, &d.ana)
	if err != nil {
		t.Fatal(err)
	}
	d.update(func(tx store.Tx) error { return d.dir.SetPassword(tx, d.ana.ID, hash) })
	return d
}

func (d *door) restart() { d.dir = New(d.store, func() time.Time { return d.now }) }

func (d *door) update(fn func(store.Tx) error) {
	d.Helper()
	if err := d.store.Update(context.Background(), fn); err != nil {
		d.Fatal(err)
	}
}

// try signs in and commits; it returns the outcome and how many hashes that took.
func (d *door) try(name, password string, from netip.Addr) (Result, int64) {
	d.Helper()
	before := d.dir.hasher.runs.Load()
	result, err := d.dir.Authenticate(context.Background(), name, password, from)
	if err != nil {
		d.Fatal(err)
	}
	d.update(result.Commit)
	return result, d.dir.hasher.runs.Load() - before
}

func (d *door) want(name, password string, from netip.Addr, reason Reason) {
	d.Helper()
	if result, _ := d.try(name, password, from); result.Reason != reason || result.OK() != (reason == "") {
		d.Errorf("%s from %s: %q, want %q", name, from, result.Reason, reason)
	}
}

func TestAuthenticateDoesEqualWork(t *testing.T) {
	d := newDoor(t)
	d.update(func(tx store.Tx) error {
		_, err := d.dir.AddUser(tx, User{Name: "nopassword", Profile: d.ana.Profile})
		return err
	})
	for _, test := range []struct {
		name, password string
		reason         Reason
		hashes         int64
	}{
		{"ana", right, "", 1},
		{" ＡNA", right, "", 1},
		{"ana", wrong, WrongPassword, 1},
		{"ana", "", WrongPassword, 1},
		{"ben", right, UnknownUser, 1},
		{"", right, UnknownUser, 1},
		{strings.Repeat("x", 100_000), right, UnknownUser, 1},
		{"a\x00b", right, UnknownUser, 1},
		{"nopassword", right, WrongPassword, 1},
		{"ana", strings.Repeat("x", 1025), WrongPassword, 0},
		{"ben", strings.Repeat("x", 1025), UnknownUser, 0},
	} {
		result, hashes := d.try(test.name, test.password, stranger)
		if result.Reason != test.reason || hashes != test.hashes {
			t.Errorf("%.20q: %q after %d hashes, want %q after %d", test.name, result.Reason, hashes, test.reason, test.hashes)
		}
		if (result.User.ID != "") != (test.reason == "") {
			t.Errorf("%.20q: user %+v", test.name, result.User)
		}
	}
	d.update(func(tx store.Tx) error { _, err := d.dir.Disable(tx, d.ana.ID); return err })
	if result, hashes := d.try("ana", right, stranger); result.Reason != Disabled || hashes != 1 {
		t.Errorf("disabled: %q after %d hashes", result.Reason, hashes)
	}
}

func TestSignInByEmail(t *testing.T) {
	d := newDoor(t)
	d.ana.Email = "Ana@example.org"
	d.update(func(tx store.Tx) error { _, err := d.dir.SetUser(tx, d.ana); return err })
	d.want(" ana@EXAMPLE.org", right, home, "")
	d.want("an@example.org", right, home, UnknownUser)
	for range 10 {
		d.want("ana@example.org", wrong, stranger, WrongPassword)
	}
	d.want("ana", right, stranger, ThrottledAccount)
}

func TestAccountBacksOffAndRecovers(t *testing.T) {
	d := newDoor(t)
	for range 10 {
		d.want("ana", wrong, stranger, WrongPassword)
	}
	d.want("ana", right, stranger, ThrottledAccount)
	d.now = d.now.Add(firstWait - time.Second)
	d.want("ana", right, stranger, ThrottledAccount)
	d.now = d.now.Add(time.Second)
	d.want("ana", wrong, stranger, WrongPassword)
	d.now = d.now.Add(firstWait)
	d.want("ana", right, stranger, ThrottledAccount) // the wait has doubled
	d.now = d.now.Add(firstWait)
	d.want("ana", right, stranger, "")
	for range 10 {
		d.want("ana", wrong, stranger, WrongPassword)
	}
}

func TestBackOffIsBounded(t *testing.T) {
	for failures, want := range map[int]time.Duration{
		0: 0, 9: 0, 10: 15 * time.Second, 11: 30 * time.Second, 15: 8 * time.Minute, 16: 15 * time.Minute, 1 << 40: 15 * time.Minute,
	} {
		if got := backOff(failures, 10); got != want {
			t.Errorf("after %d failures: %s, want %s", failures, got, want)
		}
	}
}

func TestUnknownNamesAreThrottledAlike(t *testing.T) {
	d := newDoor(t)
	for range 10 {
		d.want("ben", wrong, stranger, UnknownUser)
	}
	if result, hashes := d.try("BEN", wrong, stranger); result.Reason != ThrottledAccount || hashes != 0 || result.RetryAfter != firstWait {
		t.Errorf("%+v", result)
	}
}

func TestFailuresSurviveARestart(t *testing.T) {
	d := newDoor(t)
	for range 10 {
		d.want("ana", wrong, stranger, WrongPassword)
	}
	d.restart()
	d.want("ana", right, stranger, ThrottledAccount)
	d.now = d.now.Add(forgetting)
	d.want("ana", right, stranger, "")
	d.restart()
	d.want("ana", wrong, stranger, WrongPassword)
}

func TestStrangersCannotKeepTheOwnerOut(t *testing.T) {
	d := newDoor(t)
	d.want("ana", right, home, "")
	for range 10 {
		d.want("ana", wrong, stranger, WrongPassword)
	}
	d.want("ana", right, stranger, ThrottledAccount)
	for range 9 {
		d.want("ana", wrong, home, WrongPassword)
	}
	d.want("ana", right, home, "")
	for range 10 {
		d.want("ana", wrong, home, WrongPassword)
	}
	d.want("ana", right, home, ThrottledAccount)
}

func TestClockSetBackDoesNotLockOut(t *testing.T) {
	d := newDoor(t)
	for range 10 {
		d.want("ana", wrong, stranger, WrongPassword)
	}
	d.now = d.now.Add(-24 * time.Hour)
	d.want("ana", right, stranger, ThrottledAccount)
	d.now = d.now.Add(firstWait)
	d.want("ana", right, stranger, "")
}

func TestNetworkLimit(t *testing.T) {
	limits := func(fill func(t *throttle) time.Duration) (allowed int) {
		var t throttle
		for range 400 {
			if fill(&t) == 0 {
				allowed++
			}
		}
		return allowed
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if got := limits(func(t *throttle) time.Duration { return t.tryNetwork("n", 300, at) }); got != 300 {
		t.Errorf("failures: %d", got)
	}
	if got := limits(func(t *throttle) time.Duration { defer t.takeBack("n"); return t.tryNetwork("n", 300, at) }); got != 400 {
		t.Errorf("successes: %d", got)
	}
	minute := at
	if got := limits(func(t *throttle) time.Duration {
		minute = minute.Add(time.Second)
		return t.tryNetwork("n", 10, minute)
	}); got != 70 {
		t.Errorf("spread over 400 seconds: %d", got)
	}
	var one throttle
	for range 10 {
		one.tryNetwork("n", 10, at)
	}
	if wait := one.tryNetwork("n", 10, at); wait != 55*time.Second {
		t.Errorf("wait %s", wait)
	}
}

func TestAddressIsThrottled(t *testing.T) {
	d := newDoor(t)
	d.update(func(tx store.Tx) error { return SaveSettings(tx, Settings{ThrottleAddress: 3}) })
	v6 := func(last string) netip.Addr { return netip.MustParseAddr("2001:db8::" + last) }
	for i, name := range []string{"a", "b", "c"} {
		d.want(name, wrong, v6(string(rune('1'+i))), UnknownUser)
		d.want("ana", right, v6("9"), []Reason{"", "", ThrottledAddress}[i])
	}
	if result, hashes := d.try("ana", right, v6("9")); result.Reason != ThrottledAddress || hashes != 0 || result.RetryAfter <= 0 {
		t.Errorf("%+v", result)
	}
	d.want("ana", right, home, "")
	d.now = d.now.Add(time.Minute)
	d.want("ana", right, v6("9"), "")
}

func TestThrottleMemoryIsBounded(t *testing.T) {
	var full throttle
	for i := range maxTallies + 1000 {
		full.tryNetwork(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).String(), 10, time.Time{})
	}
	if len(full.tallies) != maxTallies {
		t.Errorf("%d tallies", len(full.tallies))
	}
}

func TestManyAtOnceDoNotSlipThrough(t *testing.T) {
	d := newDoor(t)
	var wait sync.WaitGroup
	for range 40 {
		wait.Go(func() {
			if _, err := d.dir.Authenticate(context.Background(), "ana", wrong, stranger); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if runs := d.dir.hasher.runs.Load() - 1; runs != 10 {
		t.Errorf("%d passwords were checked", runs)
	}
}

func TestCommitNoticesChanges(t *testing.T) {
	for name, change := range map[string]func(*door, store.Tx) error{
		"disabled": func(d *door, tx store.Tx) error { _, err := d.dir.Disable(tx, d.ana.ID); return err },
		"removed":  func(d *door, tx store.Tx) error { _, err := d.dir.RemoveUser(tx, d.ana.ID); return err },
		"password": func(d *door, tx store.Tx) error { return d.dir.SetPassword(tx, d.ana.ID, dummy().String()) },
	} {
		d := newDoor(t)
		result, err := d.dir.Authenticate(context.Background(), "ana", right, home)
		if err != nil || !result.OK() {
			t.Fatal(result.Reason, err)
		}
		d.update(func(tx store.Tx) error { return change(d, tx) })
		if err := d.store.Update(context.Background(), result.Commit); !errors.Is(err, ErrChanged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOldHashIsUpgraded(t *testing.T) {
	d := newDoor(t)
	old := dummy()
	old.cost = cost{memory: 64, time: 1, threads: 1}
	sum, err := d.dir.hasher.sum(context.Background(), old, right)
	if err != nil {
		t.Fatal(err)
	}
	old.hash = sum
	d.update(func(tx store.Tx) error { return d.dir.SetPassword(tx, d.ana.ID, old.String()) })
	d.want("ana", wrong, home, WrongPassword)
	d.want("ana", right, home, "")
	d.update(func(tx store.Tx) error {
		credential, _, err := Credentials.Get(tx, d.ana.ID)
		if !strings.HasPrefix(credential.Password, "$argon2id$v=19$m=19456,t=2,p=1$") {
			t.Errorf("stored %s", credential.Password)
		}
		if at, err := LastSignIn(tx, d.ana.ID); err != nil || !at.Equal(d.now) {
			t.Errorf("last sign-in %s, %v", at, err)
		}
		return err
	})
	d.want("ana", right, home, "")
}

func TestHasherIsBounded(t *testing.T) {
	h := newHasher(1)
	h.slots <- struct{}{} // one runs
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	for range waitingPerSlot + 1 {
		wait.Go(func() {
			if _, err := h.make(ctx, right); !errors.Is(err, context.Canceled) {
				t.Errorf("waiting: %v", err)
			}
		})
	}
	for h.waiting.Load() < waitingPerSlot+1 {
		time.Sleep(time.Millisecond)
	}
	if _, err := h.make(ctx, right); !errors.Is(err, ErrBusy) {
		t.Errorf("queue full: %v", err)
	}
	cancel()
	wait.Wait()
	if h.waiting.Load() != 0 || h.runs.Load() != 0 {
		t.Errorf("%d wait, %d ran", h.waiting.Load(), h.runs.Load())
	}
}

func TestPasswordRules(t *testing.T) {
	d := newDoor(t)
	for password, good := range map[string]bool{
		"": false, "1234567": false, "12345678": true, "éééééééé": true, "ééééééé": false,
		strings.Repeat("x", 1024): true, strings.Repeat("x", 1025): false,
	} {
		if err := d.dir.CheckPassword(t.Context(), password, &d.ana); (err == nil) != good {
			t.Errorf("%.10q (%d bytes): %v", password, len(password), err)
		}
	}
	if _, err := d.dir.HashPassword(context.Background(), "short", &d.ana); err == nil {
		t.Error("a short password is hashed")
	}
	decomposed, err := d.dir.HashPassword(context.Background(), "cafe\u0301 noir", &d.ana)
	if err != nil {
		t.Fatal(err)
	}
	d.update(func(tx store.Tx) error { return d.dir.SetPassword(tx, d.ana.ID, decomposed) })
	d.want("ana", "café noir", home, "")
}

func TestParsePHCRefuses(t *testing.T) {
	good := dummy().String()
	if p, err := parsePHC(good); err != nil || p.String() != good {
		t.Fatalf("%v, %v", p, err)
	}
	for _, bad := range []string{
		"", "x", strings.Replace(good, "argon2id", "argon2i", 1), strings.Replace(good, "v=19", "v=16", 1),
		strings.Replace(good, "m=19456", "m=99999999", 1), strings.Replace(good, "t=2", "t=0", 1), strings.Replace(good, "t=2", "t=9999", 1),
		strings.Replace(good, "p=1", "p=0", 1), good + "$", good[:len(good)-30], strings.Replace(good, "m=19456,", "", 1),
	} {
		if _, err := parsePHC(bad); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
}
