package oauth

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/idp/outbound"
)

// TestThrottleWhenFull: who comes from more networks than are counted singly is slowed down all the same, and memory stays bounded.
func TestThrottleWhenFull(t *testing.T) {
	t.Parallel()
	var slow throttle
	now := time.Unix(0, 0)
	slow.count("early", now)
	for i := range 3 * maxCounted {
		slow.count(strconv.Itoa(i), now)
	}
	for range wrongPerMinute {
		slow.count("late", now)
	}
	if !slow.full("late", now) {
		t.Error("who comes late is not slowed down")
	}
	if slow.full("early", now) {
		t.Error("who was counted by itself shares with others")
	}
	if n := len(slow.counted); n > maxCounted+shared {
		t.Errorf("%d are counted", n)
	}
	if slow.full("late", now.Add(time.Minute)) {
		t.Error("the minute does not end")
	}
}

// TestKeptAt: who was used longest ago makes room, whoever else comes.
func TestKeptAt(t *testing.T) {
	t.Parallel()
	var kept keptAt[keptKeys]
	busy := kept.at("busy")
	for i := range 3 * maxAddresses {
		kept.at(strconv.Itoa(i))
		if kept.at("busy") != busy {
			t.Fatalf("what is used all the time was pushed out by the %d. other", i+1)
		}
	}
	if n := len(kept.kept); n != maxAddresses {
		t.Errorf("%d are kept", n)
	}
}

// TestRecent: of clients that are gone nothing stays for ever, and one that is used all the time stays.
func TestRecent(t *testing.T) {
	t.Parallel()
	h := &Handlers{Now: time.Now}
	h.clients.put("busy", "app")
	h.clients.put("gone", "app")
	for i := range 3 * maxRecent {
		h.clients.put(strconv.Itoa(i), "app")
		if app, _ := h.clients.get("busy"); app != "app" {
			t.Fatalf("what is used all the time was pushed out by the %d. other", i+1)
		}
	}
	if _, there := h.clients.get("gone"); there || len(h.clients.newer)+len(h.clients.older) > 2*maxRecent {
		t.Errorf("gone is there: %v; %d and %d are kept", there, len(h.clients.newer), len(h.clients.older))
	}
	if h.clients.forget("busy"); h.clients.newer["busy"] != "" || h.clients.older["busy"] != "" {
		t.Error("what was forgotten is there")
	}
}

// TestKeysPushedOut: an address whose keys were pushed out is asked again no more often than others.
func TestKeysPushedOut(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = w.Write([]byte(`{"keys":[]}`))
	}))
	t.Cleanup(server.Close)
	now := time.Unix(1000, 0)
	h := &Handlers{Fetch: outbound.NewFetcher([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}), Now: func() time.Time { return now }}
	for range 20 {
		h.published = keptAt[keptKeys]{}
		_, _ = h.keysAt(t.Context(), &h.published, server.URL, nil)
	}
	if n := asked.Load(); n != fetchesPerMinute {
		t.Errorf("asked %d times in a minute", n)
	}
	now = now.Add(time.Minute)
	if _, err := h.keysAt(t.Context(), &keptAt[keptKeys]{}, server.URL, nil); err != nil || asked.Load() != fetchesPerMinute+1 {
		t.Errorf("in the next minute: %v", err)
	}
}
