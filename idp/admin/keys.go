package admin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/url"

	"gatehouse/certs"
	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/store"
)

// Keys lists the signing keys, oldest first.
func (a *Actions) Keys(ctx context.Context) (api.List[api.Key], error) {
	list := api.List[api.Key]{Items: []api.Key{}}
	err := a.view(ctx, func(tx store.Tx) error {
		entries, err := a.Keyring.List(tx)
		list.Items = make([]api.Key, 0, len(entries))
		for _, entry := range entries {
			wire, wireErr := wireKey(tx, entry)
			if wireErr != nil {
				return wireErr
			}
			list.Items = append(list.Items, wire)
		}
		return err
	})
	return list, err
}

// StageKey makes the next key: published beside the active one until it is activated.
func (a *Actions) StageKey(ctx context.Context, by By) (api.Key, error) {
	base, err := url.Parse(a.BaseURL)
	if err != nil {
		return api.Key{}, err
	}
	material, err := certs.Generate(certs.RSA, base.Hostname(), a.Now())
	if err != nil {
		return api.Key{}, err
	}
	return a.changeKey(ctx, by, "key.stage", func(tx store.Tx) (certs.Entry, error) { return a.Keyring.Stage(tx, material) })
}

// ActivateKey makes a key the one that signs.
func (a *Actions) ActivateKey(ctx context.Context, by By, id string) (api.Key, error) {
	return a.changeKey(ctx, by, "key.activate", func(tx store.Tx) (certs.Entry, error) { return a.Keyring.Activate(tx, id) })
}

// RetireKey takes a key out of the metadata and destroys its private part.
func (a *Actions) RetireKey(ctx context.Context, by By, id string) (api.Key, error) {
	return a.changeKey(ctx, by, "key.retire", func(tx store.Tx) (certs.Entry, error) { return a.Keyring.Retire(tx, id) })
}

func (a *Actions) changeKey(ctx context.Context, by By, kind string, fn func(store.Tx) (certs.Entry, error)) (api.Key, error) {
	var wire api.Key
	err := a.change(ctx, by, func(tx store.Tx) (audit.Event, error) {
		entry, err := fn(tx)
		if err != nil {
			return audit.Event{}, err
		}
		wire, err = wireKey(tx, entry)
		return audit.Event{Kind: kind, Facts: map[string]string{"key": entry.ID}}, err
	})
	return wire, err
}

func wireKey(tx store.Tx, e certs.Entry) (api.Key, error) {
	record, _, err := certs.Keys.Get(tx, e.ID)
	sum := sha256.Sum256(record.Certificate)
	return api.Key{
		ID: e.ID, State: string(e.State), Algorithm: string(e.Algorithm), Created: e.Created, Activated: e.Activated,
		NotAfter: e.NotAfter, Fingerprint: hex.EncodeToString(sum[:]),
	}, err
}

// entityID is the identity provider's own: as set, else the address of its metadata.
func (a *Actions) entityID(ctx context.Context) (string, error) {
	id := a.BaseURL + "/saml/metadata"
	err := a.view(ctx, func(tx store.Tx) error {
		settings, _, err := directory.LoadSettings(tx)
		if settings.SAMLEntityID != "" {
			id = settings.SAMLEntityID
		}
		return err
	})
	return id, err
}

// OwnMetadata is the identity provider's metadata; with an app, the one with that app's keys.
func (a *Actions) OwnMetadata(ctx context.Context, ref string) ([]byte, error) {
	id := ""
	if ref != "" {
		err := a.view(ctx, func(tx store.Tx) error {
			app, err := findApp(tx, ref)
			id = app.ID
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return a.Metadata.IDPMetadata(ctx, id)
}
