package admin

import (
	"context"
	"fmt"
	"slices"

	"gatehouse/certs"
	"gatehouse/idp/api"
	"gatehouse/sp"
	"gatehouse/sp/metadata"
	"gatehouse/store"
)

// Keys lists the signing keys, oldest first.
func (a *Actions) Keys(ctx context.Context) (api.List[api.Key], error) {
	list := api.List[api.Key]{Items: []api.Key{}}
	err := a.view(ctx, func(tx store.Tx) error {
		entries, err := a.Keyring.List(tx)
		if err != nil {
			return err
		}
		list.Items = make([]api.Key, 0, len(entries))
		for _, entry := range entries {
			wire, err := a.wireKey(tx, entry)
			if err != nil {
				return err
			}
			list.Items = append(list.Items, wire)
		}
		return a.countApps(tx, list.Items)
	})
	return list, err
}

// Key shows one key.
func (a *Actions) Key(ctx context.Context, id string) (api.Key, error) {
	var wire api.Key
	err := a.view(ctx, func(tx store.Tx) error {
		entry, err := a.entry(tx, id)
		if err != nil {
			return err
		}
		if wire, err = a.wireKey(tx, entry); err != nil {
			return err
		}
		counted := []api.Key{wire}
		err = a.countApps(tx, counted)
		wire = counted[0]
		return err
	})
	return wire, err
}

func (a *Actions) entry(tx store.Tx, id string) (certs.Entry, error) {
	entries, err := a.Keyring.List(tx)
	if err != nil {
		return certs.Entry{}, err
	}
	i := slices.IndexFunc(entries, func(e certs.Entry) bool { return e.ID == id })
	if i < 0 {
		return certs.Entry{}, keyNotFound(id)
	}
	return entries[i], nil
}

func (a *Actions) wireKey(tx store.Tx, e certs.Entry) (api.Key, error) {
	record, _, err := certs.Keys.Get(tx, e.ID)
	wire := api.Key{
		ID: e.ID, State: string(e.State), Algorithm: string(e.Algorithm), Created: e.Created, Activated: e.Activated,
		NotAfter: e.NotAfter, Fingerprint: certs.Fingerprint(record.Certificate),
	}
	if days := certs.Threshold(e.NotAfter, a.Now()); living(e) && (days > 0 || !e.NotAfter.After(a.Now())) {
		wire.Warnings = append(wire.Warnings, api.Warning{Code: "certificate_ends", Severity: string(metadata.Caution),
			Text: fmt.Sprintf("The certificate of the key %s %s: stage the next key, give apps time to learn it, then activate it.", e.ID, ends(e.NotAfter, a.Now()))})
	}
	return wire, err
}

// maxSetApps is how many of the apps that are set to a key its line names.
const maxSetApps = 20

// beside is what one walk over the apps needs to know of the keys.
type beside struct {
	published []*certs.Key
	fetch     sp.Fetch
	signer    string // of the app at hand
}

// concerns tells whether keys matter to an app: nobody signs for one that is no SAML app, waits or is gone.
func concerns(app *sp.App) bool {
	return app.Definition.SAML != nil && (app.State == sp.Active || app.State == sp.Blocked)
}

// eachApp walks over the apps in use with what they fetched and which key signs for them.
func (a *Actions) eachApp(tx store.Tx, page store.Page, fn func(cursor string, app *sp.App, b *beside) error) error {
	b := &beside{}
	var err error
	if b.published, _, err = a.Keyring.Published(tx); err != nil {
		return err
	}
	return sp.Apps.Each(tx, page, func(cursor string, app *sp.App) error {
		if !concerns(app) {
			return nil
		}
		if b.fetch, err = sp.LoadFetch(tx, app.ID); err != nil {
			return err
		}
		b.signer = a.Metadata.SignerOf(app.Definition.SAML, b.published)
		return fn(cursor, app, b)
	})
}

// countApps fills in how many apps have fetched each key, and for how many it signs.
func (a *Actions) countApps(tx store.Tx, keys []api.Key) error {
	return a.eachApp(tx, store.Page{}, func(_ string, app *sp.App, b *beside) error {
		for i := range keys {
			if keys[i].State != string(certs.Retired) {
				count(&keys[i], app, b)
			}
		}
		return nil
	})
}

func count(key *api.Key, app *sp.App, b *beside) {
	if b.fetch.Saw(key.ID) {
		key.Fetched++
	} else {
		key.Unknown++
	}
	if b.signer == key.ID {
		key.Signs++
	}
	if app.Definition.SAML.Settings.SigningKey == key.ID && len(key.SetApps) < maxSetApps {
		key.SetApps = append(key.SetApps, api.Ref{ID: app.ID, Name: app.Definition.Name})
	}
}

// KeyApps lists the apps in use beside a key, by name: who has fetched it, for whom it signs.
func (a *Actions) KeyApps(ctx context.Context, id, after string, limit int) (api.List[api.KeyApp], error) {
	var list api.List[api.KeyApp]
	limit = pageSize(limit)
	err := a.view(ctx, func(tx store.Tx) error {
		list = api.List[api.KeyApp]{Items: []api.KeyApp{}}
		if _, err := a.entry(tx, id); err != nil {
			return err
		}
		last := ""
		return a.eachApp(tx, store.Page{Index: "name", After: after}, func(cursor string, app *sp.App, b *beside) error {
			if len(list.Items) == limit {
				list.Next = last
				return store.ErrStop
			}
			list.Items, last = append(list.Items, a.keyApp(id, app, b)), cursor
			return nil
		})
	})
	return list, err
}

func (a *Actions) keyApp(id string, app *sp.App, b *beside) api.KeyApp {
	set := app.Definition.SAML.Settings.SigningKey
	one := api.KeyApp{
		App: api.Ref{ID: app.ID, Name: app.Definition.Name}, State: "unknown", Fetched: b.fetch.At,
		Signs: b.signer == id, Set: set == id, Blocked: app.State == sp.Blocked,
	}
	if b.fetch.Saw(id) {
		one.State = "fetched"
	}
	if set != id {
		one.SetTo = set
	}
	if i := slices.IndexFunc(b.published, func(k *certs.Key) bool { return k.ID == id }); i >= 0 {
		one.Unfit = !a.fits(app.Definition.SAML, b.published[i])
	}
	return one
}

// keyRows are the API's operations on signing keys.
func (a *Admin) keyRows() []row {
	do := a.Actions
	return []row{
		{Method: "GET", Path: "/keys", Permission: KeysRead, Action: func(c *call) (any, error) { return do.Keys(c.ctx()) }},
		{Method: "POST", Path: "/keys", Permission: KeysWrite, Status: 201, Action: perhaps(func(c *call, n api.NewKey) (any, error) { return do.StageKey(c.ctx(), c.by(), n) })},
		{Method: "GET", Path: "/keys/{key}", Permission: KeysRead, Action: func(c *call) (any, error) { return do.Key(c.ctx(), c.path("key")) }},
		{Method: "GET", Path: "/keys/{key}/apps", Permission: KeysRead, Action: func(c *call) (any, error) {
			return do.KeyApps(c.ctx(), c.path("key"), c.query("after"), c.limit())
		}},
		{Method: "POST", Path: "/keys/{key}/activate", Permission: KeysWrite, Action: perhaps(func(c *call, ask api.Activation) (any, error) {
			return do.ActivateKey(c.ctx(), c.by(), c.path("key"), ask)
		})},
		{Method: "POST", Path: "/keys/{key}/retire", Permission: KeysWrite, Action: func(c *call) (any, error) { return do.RetireKey(c.ctx(), c.by(), c.path("key")) }},
	}
}
