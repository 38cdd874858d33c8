package federation

import (
	"fmt"
	"testing"
	"time"

	"gatehouse/sp"
	"gatehouse/store"
)

// TestMissed is what an MDQ server is asked about apps that people came from and that are not connected.
func TestMissed(t *testing.T) {
	key, _ := newSigner()
	w := newWorld(t)
	w.source("mdq", MDQ, key)
	w.web.set(encoded, key.sign(t, one(until(14*days))))
	attempt := func(entityID string) {
		t.Helper()
		must(t, w.Store.Update(t.Context(), func(tx store.Tx) error { return sp.CountAttempt(tx, "saml", entityID, "usr_1", w.clock) }))
	}
	known := func(entityID string) (names []string) {
		t.Helper()
		must(t, w.Store.View(t.Context(), func(tx store.Tx) (err error) {
			names, err = KnownIn(tx, entityID)
			return err
		}))
		return names
	}
	run := func() int64 {
		t.Helper()
		asked := w.web.asked.Load()
		must(t, w.RefreshDue(t.Context()))
		return w.web.asked.Load() - asked
	}
	attempt("https://one.example/sp")
	t.Run("MDC-22 nothing is asked unless the source says so", func(t *testing.T) {
		if n := run(); n != 0 || known("https://one.example/sp") != nil {
			t.Errorf("asked %d times", n)
		}
	})
	must(t, w.Store.Update(t.Context(), func(tx store.Tx) error {
		source, _, err := Sources.Get(tx, "mdq")
		if err == nil {
			err = source.Change(map[string]string{"on_demand": "true"})
		}
		if err != nil {
			return err
		}
		return Sources.Put(tx, &source)
	}))
	t.Run("MDC-20 an app that somebody came from is fetched, verified, and known; not connected", func(t *testing.T) {
		if n := run(); n != 1 || fmt.Sprint(known("https://one.example/sp")) != "[mdq]" {
			t.Errorf("asked %d times, known to %v", n, known("https://one.example/sp"))
		}
		must(t, w.Store.View(t.Context(), func(tx store.Tx) error {
			n, err := sp.Apps.Count(tx, store.Page{}, 0)
			if n != 0 {
				t.Errorf("%d apps", n)
			}
			return err
		}))
	})
	t.Run("MDC-22 a thousand made-up issuers: bounded calls", func(t *testing.T) {
		for i := range 1000 {
			attempt(fmt.Sprintf("https://%d.evil.example", i))
		}
		if n := run(); n > 2*missedBatch {
			t.Errorf("asked %d times in one run", n)
		}
		total := int64(0)
		for range 30 {
			w.clock = w.clock.Add(time.Minute)
			total += run()
		}
		if total > 2*200 {
			t.Errorf("asked %d times in half an hour", total)
		}
	})
	t.Run("MDC-22 a server that fails is not asked again at once", func(t *testing.T) {
		w.web.fail(true)
		for i := range 10 {
			attempt(fmt.Sprintf("https://late%d.example/sp", i))
		}
		first := run()
		if again := run(); first == 0 || first > mdqPatience || again != 0 {
			t.Errorf("asked %d times, then %d", first, again)
		}
	})
}
