package api

import (
	"context"
	"net/http"
	"time"
)

// Key is a signing key of the identity provider. Fetched and Unknown count the apps in use whose metadata address was, or was
// not seen to be, fetched with this key in it; who fetched it is not known. Both are 0 for a retired key.
type Key struct {
	ID          string    `json:"id"`
	State       string    `json:"state"` // next, active, retiring, retired
	Algorithm   string    `json:"algorithm"`
	Created     time.Time `json:"created"`
	Activated   time.Time `json:"activated,omitzero"`
	NotAfter    time.Time `json:"not_after"`
	Fingerprint string    `json:"sha256,omitempty"` // of the certificate
	Fetched     int       `json:"fetched"`
	Unknown     int       `json:"unknown"`
	Signs       int       `json:"signs"`              // apps whose answers it signs now
	SetApps     []Ref     `json:"set_apps,omitempty"` // apps that are set to it, at most 20
	Warnings    []Warning `json:"warnings,omitempty"`
}

// KeyApp is an app beside a key: does it have the key, and could the key sign for it?
type KeyApp struct {
	App     Ref       `json:"app"`
	State   string    `json:"state"`             // fetched: its metadata address was, with this key in it; unknown: not seen
	Fetched time.Time `json:"fetched,omitzero"`  // the last time, of any keys
	Signs   bool      `json:"signs,omitempty"`   // the key signs this app's answers now
	Set     bool      `json:"set,omitempty"`     // because the app is set to it
	Unfit   bool      `json:"unfit,omitempty"`   // the key cannot sign what the app declares or is set to
	SetTo   string    `json:"set_to,omitempty"`  // another key that the app is set to
	Blocked bool      `json:"blocked,omitempty"` // nobody can enter it now
}

// NewKey asks for the next key. Algorithm is rsa (also when empty), ecdsa, ecdsa-p384 or ecdsa-p521.
type NewKey struct {
	Algorithm string `json:"algorithm,omitempty"`
}

// Activation says for which apps a key signs from now on; without Apps for all that are not set to a key of their own. An empty
// list is refused.
type Activation struct {
	Apps []string `json:"apps,omitzero"`
}

// Keys lists the identity provider's signing keys.
func (c *Client) Keys(ctx context.Context) (List[Key], error) {
	return call[List[Key]](ctx, c, http.MethodGet, "/keys", nil, nil)
}

// Key shows one key.
func (c *Client) Key(ctx context.Context, key string) (Key, error) {
	return call[Key](ctx, c, http.MethodGet, path("keys", key), nil, nil)
}

// KeyApps lists the apps beside a key.
func (c *Client) KeyApps(ctx context.Context, key, after string) (List[KeyApp], error) {
	return call[List[KeyApp]](ctx, c, http.MethodGet, path("keys", key, "apps"), query("after", after), nil)
}

// StageKey makes the next key and publishes it beside the active ones.
func (c *Client) StageKey(ctx context.Context, n NewKey) (Key, error) {
	return call[Key](ctx, c, http.MethodPost, "/keys", nil, n)
}

// ActivateKey makes a key sign.
func (c *Client) ActivateKey(ctx context.Context, key string, a Activation) (Key, error) {
	return call[Key](ctx, c, http.MethodPost, path("keys", key, "activate"), nil, a)
}

// RetireKey takes a key out of the metadata and destroys its private part.
func (c *Client) RetireKey(ctx context.Context, key string) (Key, error) {
	return call[Key](ctx, c, http.MethodPost, path("keys", key, "retire"), nil, nil)
}
