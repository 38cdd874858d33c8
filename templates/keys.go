package templates

import (
	"io"
	"time"
)

// KeysPage lists the signing keys. It posts `algorithm` to StageAction.
type KeysPage struct {
	Shell
	Keys        []KeyRow
	Retired     []KeyRow // folded away
	StageAction string   // empty: the person may not
	IdP         []Fact   // what apps are told: entity ID, SSO URL, metadata URL
	Links       []Link   // downloads
	Errors      Errors
}

// KeyRow is one signing key. State is "next", "active", "retiring" or "retired". Fetched and Unknown count the apps that were
// seen, or not seen, to fetch it; Signs those whose answers it signs.
type KeyRow struct {
	ID          string
	Href        string
	State       string
	Algorithm   string
	Fingerprint string // SHA-256, hex
	NotBefore   time.Time
	NotAfter    time.Time
	Created     time.Time
	Fetched     int
	Unknown     int
	Signs       int
	Warning     string
}

// Keys writes the list of signing keys.
func Keys(w io.Writer, p KeysPage) error { return render(w, "keys", p) }

// KeyPage is one signing key and the apps beside it. It posts `app` for each chosen app, or `all`, to ActivateAction, and
// `confirm` (the word retire) to RetireAction. An empty address: not possible now, or the person may not.
type KeyPage struct {
	Shell
	Key            KeyRow
	Facts          []Fact
	Apps           []KeyAppRow
	Pager          Pager
	ActivateAction string
	ForAll         bool // it may be activated for all
	Replaces       bool // another key of its kind is active and becomes retiring
	Default        bool // an RSA key: it signs for every app that asks for nothing else
	RetireAction   string
	Held           []Link // apps that are set to it, so that it cannot be retired
	Errors         Errors
}

// KeyAppRow is one app beside a key.
type KeyAppRow struct {
	ID      string
	Name    string
	Href    string
	Fetched bool      // with this key
	At      time.Time // of its last fetch
	Signs   bool      // this key signs for it
	Set     bool      // because the app is set to the key
	SetTo   string    // another key that the app is set to
	Unfit   bool      // the app does not take this kind of key
	Blocked bool
	Checked bool
}

// Key writes the page of one signing key.
func Key(w io.Writer, p KeyPage) error { return render(w, "key", p) }
