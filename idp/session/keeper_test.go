package session_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"gatehouse/idp/session"
	"gatehouse/store"
	"gatehouse/store/bolt"
)

// kit is a keeper with a clock to turn.
type kit struct {
	*testing.T
	store  store.Store
	keeper *session.Keeper
	now    time.Time
}

func newKit(t *testing.T) *kit {
	s, err := bolt.Open(filepath.Join(t.TempDir(), "db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	k := &kit{T: t, store: s, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	k.keeper = &session.Keeper{Now: func() time.Time { return k.now }}
	return k
}

func (k *kit) update(fn func(store.Tx) error) {
	k.Helper()
	if err := k.store.Update(context.Background(), fn); err != nil {
		k.Fatal(err)
	}
}

func (k *kit) start(user string) (secret string, s session.Session) {
	k.Helper()
	k.update(func(tx store.Tx) (err error) {
		surplus, err := k.keeper.Surplus(tx, user)
		for _, old := range surplus { // as flow does
			err = errors.Join(err, session.Table.Delete(tx, old.ID))
		}
		if err != nil {
			return err
		}
		secret, s, err = k.keeper.Start(tx, session.Opening{
			User: user, Methods: []session.Method{{Name: "password", At: k.now}},
			Limits: session.Limits{Idle: time.Hour, Max: 3 * time.Hour},
		})
		return err
	})
	return secret, s
}

func (k *kit) current(secret string) (s session.Session, err error) {
	_ = k.store.View(context.Background(), func(tx store.Tx) error {
		s, _, err = k.keeper.Current(tx, secret)
		return nil
	})
	return s, err
}

func (k *kit) live(secret string, want bool) {
	k.Helper()
	if _, err := k.current(secret); (err == nil) != want || err != nil && !errors.Is(err, session.ErrNone) {
		k.Errorf("at %s: live is not %t: %v", k.now.Format(time.TimeOnly), want, err)
	}
}

func TestSecretIsNotStored(t *testing.T) {
	k := newKit(t)
	secret, s := k.start("usr_1")
	if len(secret) < 43 || secret == s.ID || s.Handle == s.ID {
		t.Errorf("secret %q, session %+v", secret, s)
	}
	k.live(secret, true)
	for _, bad := range []string{"", s.ID, s.Handle, secret[:42], secret + "x", secret[:42] + "\x00"} {
		k.live(bad, false)
	}
}

func TestExpiry(t *testing.T) {
	k := newKit(t)
	secret, s := k.start("usr_1")
	touch := func() { k.update(func(tx store.Tx) error { return k.keeper.Touch(tx, s.ID) }) }
	k.now = k.now.Add(59 * time.Minute)
	k.live(secret, true)
	touch()
	k.now = k.now.Add(59 * time.Minute)
	k.live(secret, true)
	touch()
	k.now = k.now.Add(59 * time.Minute)
	touch()
	k.now = s.Ends.Add(-time.Second)
	k.live(secret, true)
	touch()
	k.now = s.Ends
	k.live(secret, false)
	idle, _ := k.start("usr_1")
	k.now = k.now.Add(time.Hour)
	k.live(idle, false)
}

func TestClockSetBackRevivesNothing(t *testing.T) {
	k := newKit(t)
	secret, s := k.start("usr_1")
	started := k.now
	k.now = started.Add(-time.Hour)
	k.live(secret, false)
	k.now = s.Idle.Add(time.Second)
	k.update(func(tx store.Tx) error { _, err := session.Table.Sweep(tx, k.now, 100); return err })
	k.now = started.Add(time.Minute)
	k.live(secret, false)
}

func TestRaise(t *testing.T) {
	k := newKit(t)
	secret, s := k.start("usr_1")
	k.update(func(tx store.Tx) error { return k.keeper.AddApp(tx, &s, session.AppReached{App: "app_1"}) })
	k.now = k.now.Add(10 * time.Minute)
	var fresh string
	var raised session.Session
	k.update(func(tx store.Tx) (err error) {
		fresh, raised, err = k.keeper.Raise(tx, s, session.Method{Name: "totp", At: k.now})
		return err
	})
	k.live(secret, false)
	k.live(fresh, true)
	same := raised.Handle == s.Handle && raised.Ends.Equal(s.Ends) && len(raised.Apps) == 1 && len(raised.Methods) == 2
	if !same || raised.ID == s.ID || raised.Level != "high" || !raised.AuthAt().Equal(k.now) {
		t.Errorf("raised %+v", raised)
	}
	err := k.store.Update(context.Background(), func(tx store.Tx) error {
		_, _, err := k.keeper.Raise(tx, s, session.Method{Name: "totp", At: k.now})
		return err
	})
	if !errors.Is(err, session.ErrNone) {
		t.Errorf("raising an ended session: %v", err)
	}
}

func TestEnd(t *testing.T) {
	k := newKit(t)
	first, s := k.start("usr_1")
	second, _ := k.start("usr_1")
	k.update(func(tx store.Tx) error { return session.Table.Delete(tx, s.ID) }) // as flow.Withdraw does
	k.live(first, false)
	k.live(second, true)
	k.update(func(tx store.Tx) error { return k.keeper.Touch(tx, s.ID) })
	k.live(first, false)
}

func TestAppsAreWrittenOnlyWhenNew(t *testing.T) {
	k := newKit(t)
	_, s := k.start("usr_1")
	add := func(reached session.AppReached) store.Revision {
		var revision store.Revision
		k.update(func(tx store.Tx) (err error) {
			if s, _, err = session.Table.Get(tx, s.ID); err != nil {
				return err
			}
			if err := k.keeper.AddApp(tx, &s, reached); err != nil {
				return err
			}
			s, revision, err = session.Table.Get(tx, s.ID)
			return err
		})
		return revision
	}
	first := add(session.AppReached{App: "a", NameID: "1"})
	if again := add(session.AppReached{App: "a", NameID: "1", At: k.now}); again != first {
		t.Error("a known app was written again")
	}
	if other := add(session.AppReached{App: "a", NameID: "2"}); other == first || len(s.Apps) != 2 {
		t.Errorf("another name: %+v", s.Apps)
	}
	for i := range 250 {
		add(session.AppReached{App: fmt.Sprint("app", i)})
	}
	if !s.Dropped || len(s.Apps) != 200 || s.Apps[199].App != "app249" {
		t.Errorf("%d apps, last %+v", len(s.Apps), s.Apps[len(s.Apps)-1])
	}
}

func TestOldestSessionMakesRoom(t *testing.T) {
	k := newKit(t)
	first, _ := k.start("usr_1")
	var last string
	for range 100 {
		k.now = k.now.Add(time.Second)
		last, _ = k.start("usr_1")
	}
	k.live(first, false)
	k.live(last, true)
	k.update(func(tx store.Tx) error {
		all, err := k.keeper.ListByUser(tx, "usr_1")
		if len(all) != 100 {
			t.Errorf("%d sessions", len(all))
		}
		return err
	})
}

// TestRaiseBrokered: what another identity provider vouches for never stands beside what was checked here.
func TestRaiseBrokered(t *testing.T) {
	k := newKit(t)
	_, s := k.start("usr_1")
	raise := func(method session.Method) {
		t.Helper()
		k.update(func(tx store.Tx) (err error) {
			_, s, err = k.keeper.Raise(tx, s, method)
			return err
		})
	}
	earlier := k.now.Add(-time.Hour) // the sign-in there is older than the one here
	raise(session.Method{Name: "saml:uni", At: earlier, From: &session.Brokered{Upstream: "urn:uni"}})
	if s.Broker() == nil || len(s.Methods) != 1 || !s.AuthAt().Equal(earlier) || s.Level != "low" {
		t.Errorf("raised from elsewhere: %+v", s)
	}
	raise(session.Method{Name: "totp", At: k.now})
	if s.Broker() == nil || len(s.Methods) != 2 || s.Level != "standard" {
		t.Errorf("a second factor beside it: %+v", s)
	}
	raise(session.Method{Name: "password", At: earlier.Add(-time.Hour)})
	if s.Broker() != nil || len(s.Methods) != 2 || s.Level != "high" {
		t.Errorf("raised here: %+v", s)
	}
}
