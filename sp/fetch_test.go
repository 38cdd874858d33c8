package sp

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"gatehouse/store"
	"gatehouse/store/bolt"
)

// One record per app that exists; the same fetch is written once a day.
func TestNoteFetch(t *testing.T) {
	s, err := bolt.Open(filepath.Join(t.TempDir(), "db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	note := func(app string, at time.Time, keys ...string) (revision store.Revision) {
		t.Helper()
		if err := s.Update(t.Context(), func(tx store.Tx) (err error) {
			if err := NoteFetch(tx, app, keys, at); err != nil {
				return err
			}
			revision, err = Fetches.Revision(tx, app)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return revision
	}
	if err := s.Update(t.Context(), func(tx store.Tx) error {
		gone := App{ID: "gone", State: Removed}
		return errors.Join(Apps.Put(tx, &App{ID: "app", State: Active}), Apps.Put(tx, &gone))
	}); err != nil {
		t.Fatal(err)
	}
	first := note("app", now, "k1")
	if first == 0 || note("app", now.Add(23*time.Hour), "k1") != first {
		t.Error("the same fetch was written again within a day, or none at all")
	}
	second := note("app", now.Add(23*time.Hour), "k1", "k2")
	if second == first || note("app", now.Add(48*time.Hour), "k1", "k2") == second {
		t.Error("a new key or a new day was not written")
	}
	if note("stranger", now, "k1") != 0 || note("gone", now, "k1") != 0 {
		t.Error("a record for an app that is none")
	}
	if err := s.View(t.Context(), func(tx store.Tx) error {
		fetch, err := LoadFetch(tx, "app")
		if !fetch.Saw("k2") || fetch.Saw("k3") || !fetch.At.Equal(now.Add(48*time.Hour)) {
			t.Errorf("%+v", fetch)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func TestSetToKey(t *testing.T) {
	s, err := bolt.Open(filepath.Join(t.TempDir(), "db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	set := func(id, key string, state State) *App {
		return &App{ID: id, State: state, Definition: Definition{SAML: &SAML{Metadata: Metadata{EntityID: "https://" + id}, Settings: SAMLSettings{SigningKey: key}}}}
	}
	if err := s.Update(t.Context(), func(tx store.Tx) error {
		if err := errors.Join(Apps.Put(tx, set("a", "k1", Active)), Apps.Put(tx, set("b", "k1", Blocked)), Apps.Put(tx, set("c", "k1", Removed)),
			Apps.Put(tx, set("d", "k2", Active)), Apps.Put(tx, set("e", "", Active))); err != nil {
			return err
		}
		apps, err := SetToKey(tx, "k1", 0)
		if len(apps) != 2 || apps[0].ID != "a" || apps[1].ID != "b" {
			t.Errorf("%+v", apps)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}
