package sp

import (
	"errors"
	"time"

	"gatehouse/store"
)

// Logo is a copy of an app's picture, so that browsers get it from here and the app's server learns nothing about people.
type Logo struct {
	App     string    `json:"app"`
	URL     string    `json:"url"`            // where it came from
	Type    string    `json:"type,omitempty"` // media type; empty: it could not be fetched, or is no picture
	Bytes   []byte    `json:"bytes,omitempty"`
	Fetched time.Time `json:"fetched"`
}

// Logos holds at most one Logo per app.
var Logos = &store.Table[Logo]{Name: "app_logo", Version: 1, Key: func(l *Logo) string { return l.App }}

// Fresh tells whether the copy is still good: a day, and a failure for ten minutes.
func (l *Logo) Fresh(url string, now time.Time) bool {
	lasts := 24 * time.Hour
	if l.Type == "" {
		lasts = 10 * time.Minute
	}
	return l.URL == url && now.Before(l.Fetched.Add(lasts))
}

// KeepLogo stores a copy for an app that is not removed.
func KeepLogo(tx store.Tx, logo *Logo) error {
	app, _, err := Apps.Get(tx, logo.App)
	if errors.Is(err, store.ErrNotFound) || err == nil && app.State == Removed {
		return nil
	}
	if err != nil {
		return err
	}
	return Logos.Put(tx, logo)
}
