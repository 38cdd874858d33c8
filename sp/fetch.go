package sp

import (
	"errors"
	"slices"
	"time"

	"gatehouse/store"
)

// Fetch tells when the metadata that Gatehouse offers for one app was fetched last, and which signing keys were in it. Who
// fetched it is not known: the address is public.
type Fetch struct {
	App  string    `json:"app"`
	At   time.Time `json:"at"`
	Keys []string  `json:"keys"` // ids
}

// Fetches holds one record per app that exists, however often strangers fetch.
var Fetches = &store.Table[Fetch]{Name: "metadata_fetch", Version: 1, Key: func(f *Fetch) string { return f.App }}

// Saw tells whether a key was in what was fetched.
func (f *Fetch) Saw(key string) bool { return f != nil && slices.Contains(f.Keys, key) }

// fetchEvery is how often the same fetch is written again, so that its time is about right.
const fetchEvery = 24 * time.Hour

// Stale tells whether a fetch of these keys is worth a write.
func (f *Fetch) Stale(keys []string, now time.Time) bool {
	return !slices.Equal(f.Keys, keys) || now.Sub(f.At) >= fetchEvery
}

// LoadFetch returns what is known of an app; in the zero Fetch no key was seen.
func LoadFetch(tx store.Tx, app string) (Fetch, error) {
	fetch, _, err := Fetches.Get(tx, app)
	if errors.Is(err, store.ErrNotFound) {
		return Fetch{App: app}, nil
	}
	return fetch, err
}

// NoteFetch records a fetch of an app that is not removed, if that is worth a write.
func NoteFetch(tx store.Tx, app string, keys []string, now time.Time) error {
	found, _, err := Apps.Get(tx, app)
	if errors.Is(err, store.ErrNotFound) || err == nil && found.State == Removed {
		return nil
	}
	if err != nil {
		return err
	}
	fetch, err := LoadFetch(tx, app)
	if err != nil || !fetch.Stale(keys, now) {
		return err
	}
	return Fetches.Put(tx, &Fetch{App: app, At: now, Keys: keys})
}

// SetToKey lists the apps whose answers a signing key is set to sign, at most limit (0: all).
func SetToKey(tx store.Tx, key string, limit int) ([]App, error) {
	apps, _, err := Apps.List(tx, store.Page{Index: "signing_key", Value: key, Limit: limit})
	return apps, err
}

func (a *App) signingKeys() []string {
	if a.State == Removed || a.Definition.SAML == nil || a.Definition.SAML.Settings.SigningKey == "" {
		return nil
	}
	return []string{a.Definition.SAML.Settings.SigningKey}
}
