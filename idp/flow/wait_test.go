package flow

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"gatehouse/idp/audit"
	"gatehouse/idp/web"
	"gatehouse/store"
	"gatehouse/store/bolt"
)

// waitingRoom is an engine on a store of its own, with a clock to turn.
type waitingRoom struct {
	*Engine
	now time.Time
}

func newWaitingRoom(t *testing.T, wrap func(store.Store) store.Store) *waitingRoom {
	t.Helper()
	s, err := bolt.Open(filepath.Join(t.TempDir(), "db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	room := &waitingRoom{now: noon}
	now := func() time.Time { return room.now }
	room.Engine = &Engine{Store: wrap(s), Audit: &audit.Log{Node: "main", Now: now}, Strangers: &audit.Limiter{Now: now}, Now: now}
	return room
}

func asItIs(s store.Store) store.Store { return s }

// arrive keeps a request from an address.
func (room *waitingRoom) arrive(address string) error {
	request := &Request{Protocol: "saml", App: "app_1", Address: address, Created: room.now, Expires: room.now.Add(Lifetime)}
	_, err := room.keep(httptest.NewRequest(http.MethodGet, "/saml/sso", nil), request)
	return err
}

// mustBeFull demands the refusal that says when to come back.
func mustBeFull(t *testing.T, err error) {
	t.Helper()
	var public *web.Error
	if !errors.As(err, &public) || public.Reason != ReasonTooManyWaiting || public.Status != http.StatusTooManyRequests || public.RetryAfter != Lifetime || public.Text == "" || public.Code == "" {
		t.Errorf("error %#v", err)
	}
}

func (room *waitingRoom) recount(t *testing.T) {
	t.Helper()
	if err := room.Recount(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestWaitingInAll: the bound for everybody together holds whatever network one comes from, until a recount finds room.
func TestWaitingInAll(t *testing.T) {
	if maxWaiting != 100_000 || maxWaitingPerNetwork != 200 {
		t.Errorf("the design says 100,000 in all and 200 per address, here it is %d and %d", maxWaiting, maxWaitingPerNetwork)
	}
	room := newWaitingRoom(t, asItIs)
	room.waiting.Store(maxWaiting - 1)
	if err := room.arrive("192.0.2.1"); err != nil {
		t.Fatal(err)
	}
	mustBeFull(t, room.arrive("192.0.2.2"))
	mustBeFull(t, room.arrive("2001:db8::1"))
	room.recount(t)
	if n := room.waiting.Load(); n != 1 {
		t.Errorf("%d wait after the recount", n)
	}
	if err := room.arrive("192.0.2.2"); err != nil {
		t.Error(err)
	}
}

// TestWaitingPerNetwork: an IPv4 address counts alone, however it is written; what expired makes room once it is swept.
func TestWaitingPerNetwork(t *testing.T) {
	room := newWaitingRoom(t, asItIs)
	for range maxWaitingPerNetwork {
		if err := room.arrive("192.0.2.1"); err != nil {
			t.Fatal(err)
		}
	}
	mustBeFull(t, room.arrive("192.0.2.1"))
	for _, other := range []string{"192.0.2.2", "2001:db8::1"} {
		if err := room.arrive(other); err != nil {
			t.Errorf("%s: %v", other, err)
		}
	}
	room.recount(t)
	if n := room.waiting.Load(); n != maxWaitingPerNetwork+2 {
		t.Errorf("%d wait", n)
	}
	room.now = room.now.Add(Lifetime + time.Second)
	err := room.Store.Update(t.Context(), func(tx store.Tx) error {
		_, err := Requests.Sweep(tx, room.now, 1000)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	room.recount(t)
	if n := room.waiting.Load(); n != 0 {
		t.Errorf("%d wait after ten minutes", n)
	}
	if err := room.arrive("192.0.2.1"); err != nil {
		t.Error(err)
	}
}

// full is a store whose disk is full.
type full struct{ store.Store }

func (full) Update(context.Context, func(store.Tx) error, ...[]byte) error { return store.ErrBusy }

// TestWhatIsNotStoredDoesNotWait: a failing store uses up no places.
func TestWhatIsNotStoredDoesNotWait(t *testing.T) {
	room := newWaitingRoom(t, func(s store.Store) store.Store { return full{s} })
	if err := room.arrive("192.0.2.1"); !errors.Is(err, store.ErrBusy) {
		t.Errorf("error %v", err)
	}
	if n := room.waiting.Load(); n != 0 {
		t.Errorf("%d wait", n)
	}
}
