package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/idp/federation"
	"gatehouse/idp/outbound"
	"gatehouse/sp"
	"gatehouse/sp/metadata"
	"gatehouse/store"
)

// maxMetadata bounds one app's metadata, in bytes.
const maxMetadata = 1 << 20

// AddApp adds an app from OAuth client metadata, from SAML metadata or a package, from an address, from a metadata source, or from an entity id and an ACS; or, with To,
// gives one that is there the second protocol. One that has the entity id already is
// refused, or with Replace upgraded: its policy stays, and its local settings too, unless a package brings a definition of its own;
// nothing that protects it is lowered by itself. Unless Set says otherwise everybody may use it. What a
// developer adds waits for approval, and nobody may use it until an administrator says who.
func (a *Actions) AddApp(ctx context.Context, by By, n api.NewApp) (api.AddedApp, error) {
	if ofClient(&n) {
		return a.addClient(ctx, by, n)
	}
	in, err := a.parse(ctx, &n)
	if err != nil {
		return api.AddedApp{}, err
	}
	return a.store(ctx, by, n, in)
}

// ofClient tells whether an app is added by client metadata. To is the app that gets it beside SAML, or SAML beside it; beside Replace it
// says which app a package upgrades.
func ofClient(n *api.NewApp) bool { return n.OAuth != "" }

func (a *Actions) store(ctx context.Context, by By, n api.NewApp, in incoming) (api.AddedApp, error) {
	var added api.AddedApp
	err := a.change(ctx, by, func(tx store.Tx) (audit.Event, error) {
		if source := in.Metadata.Source; source != "" { // it may have been removed since it was asked
			if _, err := findSource(tx, source); err != nil {
				return audit.Event{}, err
			}
		}
		app, outcome, err := a.plan(tx, by, n, in)
		if err != nil {
			return audit.Event{}, err
		}
		if err := sp.Apps.Put(tx, &app); err != nil {
			return audit.Event{}, err
		}
		added = outcome
		if err := federation.Track(tx, &app, in.CacheDuration, a.Now()); err != nil {
			return audit.Event{}, err
		}
		return addEvent(&app, n, outcome), nil
	})
	return added, err
}

// PreviewApp tells what AddApp would make of the same input, and changes nothing.
func (a *Actions) PreviewApp(ctx context.Context, by By, n api.NewApp) (api.AddedApp, error) {
	if ofClient(&n) {
		return a.previewClient(ctx, by, n)
	}
	in, err := a.parse(ctx, &n)
	if err != nil {
		return api.AddedApp{}, err
	}
	return a.preview(ctx, by, n, in)
}

func (a *Actions) preview(ctx context.Context, by By, n api.NewApp, in incoming) (api.AddedApp, error) {
	var preview api.AddedApp
	err := a.view(ctx, func(tx store.Tx) (err error) {
		_, preview, err = a.plan(tx, by, n, in)
		hideExamples(&preview)
		return err
	})
	return preview, err
}

// hideExamples takes the client id and the secret that nobody will have out of a preview.
func hideExamples(preview *api.AddedApp) {
	if preview.ClientID != "" {
		preview.ClientID, preview.ClientSecret, preview.App.ClientID = "", "", ""
	}
}

// Upgrade replaces the definition of one app by newer metadata of the same entity id or by a package, or, unless confirmed, tells what that
// would change. It returns the metadata's text too, so that what was reviewed is what is stored; from is the address that the text
// was fetched at for the review, which the app follows then.
func (a *Actions) Upgrade(ctx context.Context, by By, ref string, n api.NewApp, from string, confirmed bool) (api.AddedApp, string, error) {
	in, err := a.parse(ctx, &n)
	if err != nil {
		return api.AddedApp{}, "", err
	}
	if from != "" {
		if err := sp.CheckLocation(from, true); err != nil {
			return api.AddedApp{}, "", badValue("url", "The address of the metadata %v: compare it again.", err)
		}
		n.URL, in.Metadata.SourceURL = from, from
	}
	err = a.view(ctx, func(tx store.Tx) error {
		app, err := findApp(tx, ref)
		switch of := in.Metadata.EntityID; {
		case err != nil:
		case of == "":
			n.To = app.ID
		case app.Definition.SAML == nil:
			err = badValue("metadata", "%s does not use SAML: give an app package of an OAuth client, or add this as a new app.", app.Definition.Name)
		case of != app.EntityID():
			err = badValue("metadata", "The metadata is of %.200q, but this app is %.200q: add it as a new app.", of, app.EntityID())
		}
		return err
	})
	if err != nil {
		return api.AddedApp{}, "", err
	}
	n.Replace = true
	if !confirmed {
		preview, err := a.preview(ctx, by, n, in)
		return preview, n.Metadata, err
	}
	outcome, err := a.store(ctx, by, n, in)
	return outcome, n.Metadata, err
}

// incoming is a definition as it was read, and the settings that were asked for beside it. Without an entity id it is a package of an
// app that does not use SAML.
type incoming struct {
	metadata.Result
	asked  map[string]string
	client bool // it is of an OAuth client, too or alone
}

// parse reads the metadata, wherever it comes from; what was fetched is filled in.
func (a *Actions) parse(ctx context.Context, n *api.NewApp) (incoming, error) {
	given := 0
	for _, form := range []bool{n.Metadata != "", n.URL != "", n.EntityID != "" || n.ACS != ""} {
		if form {
			given++
		}
	}
	if given != 1 {
		return incoming{}, badValue("metadata", "Give the app's metadata as a file or an address, or its entity id and ACS address: one of the three.")
	}
	own, err := a.EntityID(ctx)
	if err != nil {
		return incoming{}, err
	}
	if n.Source != "" {
		return a.fromSource(ctx, n)
	}
	opts := metadata.Options{Now: a.Now(), OwnEntityID: own}
	if n.EntityID != "" || n.ACS != "" {
		built, err := metadata.Build(n.EntityID, n.ACS, opts)
		return incoming{Result: metadata.Result{Metadata: built}, asked: n.Set}, worded(err)
	}
	if n.URL != "" {
		fetched, err := a.Fetcher.Fetch(ctx, outbound.Ask{URL: n.URL, Words: outbound.Words{Else: outbound.UploadFile}})
		if err != nil {
			return incoming{}, badValue("url", "%s", err.Error())
		}
		n.Metadata = string(fetched)
	}
	if len(n.Metadata) > maxMetadata {
		return incoming{}, badValue("metadata", "The metadata is larger than 1 MiB: give that of this one app.")
	}
	in := incoming{asked: n.Set}
	p, err := unpack(n)
	if err != nil {
		return in, err
	}
	if in.client = hasClient(&p); p.Metadata == "" {
		return in, nil
	}
	in.Result, err = metadata.Parse([]byte(p.Metadata), opts)
	in.Metadata.SourceURL = n.URL
	return in, worded(err)
}

// earlier is the app that is there already: the one with the entity id, or without one the app that a package is to upgrade. The zero
// value: there is none.
func earlier(tx store.Tx, n api.NewApp, in incoming) (sp.App, error) {
	if in.Metadata.EntityID == "" {
		return upgraded(tx, n)
	}
	app, _, err := sp.Apps.By(tx, "entity_id", in.Metadata.EntityID)
	switch {
	case errors.Is(err, store.ErrNotFound) && n.To != "":
		return joined(tx, n)
	case errors.Is(err, store.ErrNotFound):
		return sp.App{}, nil
	case err == nil && !n.Replace:
		return app, refused(409, "exists", "entity_id", "This entity id is connected already, as %q (%s): replace that app's metadata instead (on the command line with --replace).", app.Definition.Name, app.ID)
	case err == nil && n.To != "":
		return app, badValue("to", "The entity id says which app this upgrades: leave the other name of it out.")
	}
	return app, err
}

// upgraded is the app that a package of an OAuth client upgrades, which nothing in the package names.
func upgraded(tx store.Tx, n api.NewApp) (sp.App, error) {
	switch {
	case !n.Replace && n.To != "":
		return sp.App{}, badValue("to", "A package is a whole app: install it as a new one, or say that it replaces the definition of this one.")
	case !n.Replace:
		return sp.App{}, nil
	case n.To == "":
		return sp.App{}, badValue("to", "The package is of an OAuth client, which has no entity id: say which app it upgrades (on the command line with --to APP).")
	}
	app, err := findApp(tx, n.To)
	switch {
	case err != nil:
		return app, err
	case app.State == sp.Removed:
		return app, sp.ErrRemoved
	case app.Definition.OAuth == nil:
		return app, refused(409, "no_client", "to", "%s has no client id, so no package of an OAuth client upgrades it.", app.Definition.Name)
	}
	return app, nil
}

// define makes the app that there is not yet, or gives the one before the newer definition, as far as it is no setting.
func (a *Actions) define(by By, n api.NewApp, in incoming, app *sp.App, outcome *api.AddedApp) error {
	switch saml := in.Metadata.EntityID != ""; {
	case app.ID == "":
		var def sp.Definition
		if saml {
			def = sp.Definition{SAML: &sp.SAML{Metadata: in.Metadata}, Description: in.Metadata.Description, LogoURL: in.Metadata.LogoURL, Contact: in.Metadata.Contact}
		}
		*app = sp.New(n.Name, def, sp.PermitAll, by.ID, a.Now())
		a.await(by, app)
	case saml && app.Definition.SAML == nil:
		app.Definition.SAML, app.Changed = &sp.SAML{Metadata: in.Metadata}, a.Now()
	case saml:
		outcome.Replaced = true
		outcome.Differences = wireDifferences(metadata.Diff(app.Definition.SAML.Metadata, in.Metadata))
		if err := app.ReplaceMetadata(in.Metadata, a.Now()); err != nil {
			return err
		}
	default:
		outcome.Replaced, app.Changed = true, a.Now()
	}
	if in.client && app.Definition.OAuth == nil {
		app.Definition.OAuth, app.Credentials.ClientID = &sp.OAuth{}, sp.NewClientID()
	}
	return nil
}

// plan works out the app as it will be, with warnings and differences, and writes nothing.
func (a *Actions) plan(tx store.Tx, by By, n api.NewApp, in incoming) (sp.App, api.AddedApp, error) {
	outcome := api.AddedApp{Warnings: wireWarnings(in.Warnings)}
	app, err := earlier(tx, n, in)
	if err != nil {
		return app, outcome, err
	}
	before := app
	if err := a.define(by, n, in, &app, &outcome); err != nil {
		return app, outcome, err
	}
	if err := mayAskOf(by, known(&before), n.Set); err != nil {
		return app, outcome, err
	}
	values := maps.Clone(n.Set)
	if n.Name != "" {
		if values == nil {
			values = map[string]string{}
		}
		values["name"] = n.Name
	}
	if err := a.apply(tx, &app, values); err != nil {
		return app, outcome, err
	}
	if err := mustConfirm(&before, &app, values); err != nil {
		return app, outcome, err
	}
	if err := inSector(&before, &app, sector{}); err != nil {
		return app, outcome, err
	}
	if outcome.Replaced {
		outcome.Warnings = append(outcome.Warnings, keepStricter(&before, &app, in.asked)...)
		if err := app.Validate(); err != nil {
			return app, outcome, err
		}
		changes, err := settingChanges(&before, &app)
		if err != nil {
			return app, outcome, err
		}
		outcome.Differences = append(outcome.Differences, changes...)
	}
	app.Lend(&before, a.Now())
	a.credentials(&before, &app, &outcome)
	if err := mayChangeApp(by, &before, &app); err != nil {
		return app, outcome, err
	}
	if err := warnOfSameName(tx, &app, &outcome); err != nil {
		return app, outcome, err
	}
	outcome.Warnings = append(outcome.Warnings, appWarnings(&app)...)
	outcome.App, err = a.show(tx, &app)
	return app, outcome, err
}

// known is nil for an app that there was not.
func known(before *sp.App) *sp.App {
	if before.ID == "" {
		return nil
	}
	return before
}

func warnOfSameName(tx store.Tx, app *sp.App, outcome *api.AddedApp) error {
	named, err := appsNamed(tx, app.Definition.Name)
	for _, other := range named {
		if other.ID != app.ID {
			outcome.Warnings = append(outcome.Warnings, api.Warning{Code: "same_name", Severity: string(metadata.Caution),
				Text: fmt.Sprintf("Another app is called %q too; people cannot tell their tiles apart.", app.Definition.Name)})
			break
		}
	}
	return err
}

func addEvent(app *sp.App, n api.NewApp, outcome api.AddedApp) audit.Event {
	facts := describe(n.Set)
	setFilled(facts, "entity_id", app.EntityID())
	setFilled(facts, "client_id", app.Credentials.ClientID)
	if from := n.URL + n.Source; from != "" {
		facts["source"] = from
	}
	if !outcome.Replaced {
		return audit.Event{Kind: "app.add", App: app.ID, Facts: facts}
	}
	changed := make([]string, 0, len(outcome.Differences))
	for _, d := range outcome.Differences {
		changed = append(changed, d.Field)
	}
	facts["changes"] = strconv.Itoa(len(changed))
	facts["changed"] = strings.Join(slices.Compact(changed), ", ")
	return audit.Event{Kind: "app.replace", App: app.ID, Facts: facts}
}
