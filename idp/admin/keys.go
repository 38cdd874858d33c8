package admin

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"gatehouse/certs"
	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
)

// StageKey makes the next key: published beside the active ones until it is activated.
func (a *Actions) StageKey(ctx context.Context, by By, ask api.NewKey) (api.Key, error) {
	algorithm, err := certs.ParseAlgorithm(ask.Algorithm)
	if err != nil {
		return api.Key{}, badValue("algorithm", "%s", sentence(err.Error()))
	}
	base, err := url.Parse(a.BaseURL)
	if err != nil {
		return api.Key{}, err
	}
	material, err := certs.Generate(algorithm, base.Hostname(), a.Now())
	if err != nil {
		return api.Key{}, err
	}
	return a.changeKey(ctx, by, "key.stage", func(tx store.Tx) (certs.Entry, map[string]string, error) {
		entry, err := a.Keyring.Stage(tx, material)
		return entry, map[string]string{"algorithm": string(entry.Algorithm)}, err
	})
}

// maxPinned bounds how many apps one call may set to a key.
const maxPinned = 1000

// ActivateKey makes a key sign: for the apps that are named, whatever its state, or with none named for all that are not set
// to a key of their own. Apps that were set to the key early follow the active one again.
func (a *Actions) ActivateKey(ctx context.Context, by By, id string, ask api.Activation) (api.Key, error) {
	switch {
	case ask.Apps != nil && len(ask.Apps) == 0:
		return api.Key{}, badValue("apps", "Name at least one app, or leave apps out to activate the key for all.")
	case len(ask.Apps) > maxPinned:
		return api.Key{}, badValue("apps", "These are %d apps: name at most %d at a time.", len(ask.Apps), maxPinned)
	}
	return a.changeKey(ctx, by, "key.activate", func(tx store.Tx) (certs.Entry, map[string]string, error) {
		if len(ask.Apps) > 0 {
			return a.activateFor(tx, by, id, ask.Apps)
		}
		entry, err := a.Keyring.Activate(tx, id)
		if err != nil {
			return entry, nil, err
		}
		freed, err := a.freeApps(tx, by, id)
		return entry, map[string]string{"apps": "all", "freed": strconv.Itoa(freed)}, err
	})
}

// activateFor sets the named apps to a key that is not retired.
func (a *Actions) activateFor(tx store.Tx, by By, id string, refs []string) (certs.Entry, map[string]string, error) {
	key, _, err := a.Keyring.ByID(tx, id)
	if err != nil {
		return certs.Entry{}, nil, err
	}
	for _, ref := range refs {
		app, err := findApp(tx, ref)
		if err != nil {
			return certs.Entry{}, nil, err
		}
		if app.Definition.SAML == nil || app.State == sp.Removed || flow.IsBuiltin(app.ID) {
			return certs.Entry{}, nil, badValue("apps", "%s is no SAML app in use, so no key signs for it.", app.Definition.Name)
		}
		if err := a.keyFits(tx, &app, key); err != nil {
			return certs.Entry{}, nil, err
		}
		if err := a.setKey(tx, by, &app, id); err != nil {
			return certs.Entry{}, nil, err
		}
	}
	return key.Entry, map[string]string{"apps": strconv.Itoa(len(refs))}, nil
}

// setKey sets one app to a key (empty: the active one), with the same event that the setting leaves.
func (a *Actions) setKey(tx store.Tx, by By, app *sp.App, id string) error {
	if app.Definition.SAML.Settings.SigningKey == id {
		return nil
	}
	app.Definition.SAML.Settings.SigningKey, app.Changed = id, a.Now()
	if err := sp.Apps.Put(tx, app); err != nil {
		return err
	}
	if id == "" {
		id = sp.Undo
	}
	return a.note(tx, by, audit.Event{Kind: "app.set", App: app.ID, Facts: map[string]string{"saml.signing_key": id}})
}

// freeApps undoes the setting of apps that are set to a key which now signs for them anyway.
func (a *Actions) freeApps(tx store.Tx, by By, id string) (int, error) {
	apps, err := sp.SetToKey(tx, id, 0)
	if err != nil {
		return 0, err
	}
	published, _, err := a.Keyring.Published(tx)
	if err != nil {
		return 0, err
	}
	freed := 0
	for i := range apps {
		alone := *apps[i].Definition.SAML
		alone.Settings.SigningKey = ""
		if a.Metadata.SignerOf(&alone, published) != id {
			continue
		}
		if err := a.setKey(tx, by, &apps[i], ""); err != nil {
			return freed, err
		}
		freed++
	}
	return freed, nil
}

// keyFits refuses a key that cannot sign what an app declares or is set to.
func (a *Actions) keyFits(tx store.Tx, app *sp.App, key *certs.Key) error {
	if a.fits(app.Definition.SAML, key) {
		return nil
	}
	return refused(http.StatusConflict, "key_unfit", "apps", "The key %s is %s, which %s does not take: its metadata lists other algorithms, or saml.signature_algorithm is set to one. Choose a key of the other kind.", key.ID, key.Algorithm, app.Definition.Name)
}

func (a *Actions) fits(saml *sp.SAML, key *certs.Key) bool {
	set := *saml
	set.Settings.SigningKey = key.ID
	return a.Metadata.SignerOf(&set, []*certs.Key{key}) == key.ID
}

// RetireKey takes a key out of the metadata and destroys its private part. A key that an app is set to stays.
func (a *Actions) RetireKey(ctx context.Context, by By, id string) (api.Key, error) {
	return a.changeKey(ctx, by, "key.retire", func(tx store.Tx) (certs.Entry, map[string]string, error) {
		apps, err := sp.SetToKey(tx, id, maxNamed+1)
		if err != nil {
			return certs.Entry{}, nil, err
		}
		if len(apps) > 0 {
			return certs.Entry{}, nil, stillSet(id, apps)
		}
		entry, err := a.Keyring.Retire(tx, id)
		return entry, nil, err
	})
}

// maxNamed is how many apps a refusal names.
const maxNamed = 10

func stillSet(id string, apps []sp.App) error {
	var list []string
	for i := range apps[:min(len(apps), maxNamed)] {
		list = append(list, apps[i].Definition.Name)
	}
	slices.Sort(list)
	if len(apps) > maxNamed {
		list = append(list, "more")
	}
	return refused(http.StatusConflict, "key_in_use", "key", "The key %s signs for %s, so it was not retired. First activate another key for them, or undo saml.signing_key of each.", id, words(list))
}

// words joins names as a sentence does.
func words(list []string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	return strings.Join(list[:len(list)-1], ", ") + " and " + list[len(list)-1]
}

// changeKey changes the ring in one transaction with its event; fn returns the event's facts.
func (a *Actions) changeKey(ctx context.Context, by By, kind string, fn func(store.Tx) (certs.Entry, map[string]string, error)) (api.Key, error) {
	id := ""
	err := a.change(ctx, by, func(tx store.Tx) (audit.Event, error) {
		entry, facts, err := fn(tx)
		if err != nil {
			return audit.Event{}, err
		}
		if facts == nil {
			facts = map[string]string{}
		}
		facts["key"], id = entry.ID, entry.ID
		return audit.Event{Kind: kind, Facts: facts}, nil
	})
	if err != nil {
		return api.Key{}, err
	}
	return a.Key(ctx, id)
}

// EntityID is the identity provider's own: as set, else the address of its metadata.
func (a *Actions) EntityID(ctx context.Context) (string, error) {
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
	metadata, err := a.Metadata.IDPMetadata(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, refused(http.StatusNotFound, "no_saml", "app", "The app %.80q has no SAML, so there is no metadata for it: ask for that of Gatehouse as a whole.", ref)
	}
	return metadata, err
}

func keyNotFound(id string) *web.Error {
	return refused(http.StatusNotFound, "not_found", "key", "There is no signing key %.80q; `gatehouse key list` shows them.", id)
}

// living tells whether a key can still sign or be verified with.
func living(entry certs.Entry) bool {
	return slices.Contains([]certs.State{certs.Next, certs.Active, certs.Retiring}, entry.State)
}
