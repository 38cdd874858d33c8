package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/sp"
	"gatehouse/sp/metadata"
	"gatehouse/store"
)

// maxMetadata bounds one app's metadata, in bytes.
const maxMetadata = 1 << 20

// AddApp adds an app from metadata or a package, from an address, or from an entity id and an ACS. One that has the entity id already is
// refused, or with Replace upgraded: its policy and local settings stay. Unless Set says otherwise everybody may use it. What a
// developer adds waits for approval, and nobody may use it until an administrator says who.
func (a *Actions) AddApp(ctx context.Context, by By, n api.NewApp) (api.AddedApp, error) {
	parsed, err := a.parse(ctx, &n)
	if err != nil {
		return api.AddedApp{}, err
	}
	return a.store(ctx, by, n, parsed)
}

func (a *Actions) store(ctx context.Context, by By, n api.NewApp, parsed metadata.Result) (api.AddedApp, error) {
	var added api.AddedApp
	err := a.change(ctx, by, func(tx store.Tx) (audit.Event, error) {
		app, outcome, err := a.plan(tx, by, n, parsed)
		if err != nil {
			return audit.Event{}, err
		}
		if err := sp.Apps.Put(tx, &app); err != nil {
			return audit.Event{}, err
		}
		added = outcome
		return addEvent(&app, n, outcome), nil
	})
	return added, err
}

// PreviewApp tells what AddApp would make of the same input, and changes nothing.
func (a *Actions) PreviewApp(ctx context.Context, by By, n api.NewApp) (api.AddedApp, error) {
	parsed, err := a.parse(ctx, &n)
	if err != nil {
		return api.AddedApp{}, err
	}
	return a.preview(ctx, by, n, parsed)
}

func (a *Actions) preview(ctx context.Context, by By, n api.NewApp, parsed metadata.Result) (api.AddedApp, error) {
	var preview api.AddedApp
	err := a.view(ctx, func(tx store.Tx) (err error) {
		_, preview, err = a.plan(tx, by, n, parsed)
		return err
	})
	return preview, err
}

// Upgrade replaces the metadata of one app by newer metadata of the same entity id, or, unless confirmed, tells what that
// would change. It returns the metadata's text too, so that what was reviewed is what is stored.
func (a *Actions) Upgrade(ctx context.Context, by By, ref string, n api.NewApp, confirmed bool) (api.AddedApp, string, error) {
	parsed, err := a.parse(ctx, &n)
	if err != nil {
		return api.AddedApp{}, "", err
	}
	err = a.view(ctx, func(tx store.Tx) error {
		app, err := findApp(tx, ref)
		if err == nil && app.EntityID() != parsed.Metadata.EntityID {
			err = badValue("metadata", "The metadata is of %.200q, but this app is %.200q: add it as a new app.", parsed.Metadata.EntityID, app.EntityID())
		}
		return err
	})
	if err != nil {
		return api.AddedApp{}, "", err
	}
	n.Replace = true
	if !confirmed {
		preview, err := a.preview(ctx, by, n, parsed)
		return preview, n.Metadata, err
	}
	outcome, err := a.store(ctx, by, n, parsed)
	return outcome, n.Metadata, err
}

// parse reads the metadata, wherever it comes from; what was fetched is filled in.
func (a *Actions) parse(ctx context.Context, n *api.NewApp) (metadata.Result, error) {
	given := 0
	for _, form := range []bool{n.Metadata != "", n.URL != "", n.EntityID != "" || n.ACS != ""} {
		if form {
			given++
		}
	}
	if given != 1 {
		return metadata.Result{}, badValue("metadata", "Give the app's metadata as a file or an address, or its entity id and ACS address: one of the three.")
	}
	own, err := a.entityID(ctx)
	if err != nil {
		return metadata.Result{}, err
	}
	opts := metadata.Options{Now: a.Now(), OwnEntityID: own}
	if n.EntityID != "" || n.ACS != "" {
		built, err := metadata.Build(n.EntityID, n.ACS, opts)
		return metadata.Result{Metadata: built}, worded(err)
	}
	if n.URL != "" {
		fetched, err := a.Fetcher.Fetch(ctx, n.URL)
		if err != nil {
			return metadata.Result{}, badValue("url", "%s", err.Error())
		}
		n.Metadata = string(fetched)
	}
	if len(n.Metadata) > maxMetadata {
		return metadata.Result{}, badValue("metadata", "The metadata is larger than 1 MiB: give that of this one app.")
	}
	document, err := unpack(n)
	if err != nil {
		return metadata.Result{}, err
	}
	result, err := metadata.Parse([]byte(document), opts)
	result.Metadata.SourceURL = n.URL
	return result, worded(err)
}

// plan works out the app as it will be, with warnings and differences, and writes nothing.
func (a *Actions) plan(tx store.Tx, by By, n api.NewApp, parsed metadata.Result) (sp.App, api.AddedApp, error) {
	app, _, err := sp.Apps.By(tx, "entity_id", parsed.Metadata.EntityID)
	before := app
	outcome := api.AddedApp{Warnings: wireWarnings(parsed.Warnings)}
	switch {
	case errors.Is(err, store.ErrNotFound):
		def := sp.Definition{SAML: &sp.SAML{Metadata: parsed.Metadata}, Description: parsed.Metadata.Description, LogoURL: parsed.Metadata.LogoURL, Contact: parsed.Metadata.Contact}
		app = sp.New(n.Name, def, sp.PermitAll, by.ID, a.Now())
		if !by.all() && !Allows(by.Roles, AppsWrite) { // an administrator says who enters, and when
			app.State, app.Policy.PermittedUsers = sp.Pending, sp.PermitPreauthorized
		}
	case err != nil:
		return app, outcome, err
	case !n.Replace:
		return app, outcome, refused(409, "exists", "entity_id", "This entity id is connected already, as %q (%s): replace that app's metadata instead (on the command line with --replace).", app.Definition.Name, app.ID)
	default:
		outcome.Replaced = true
		outcome.Differences = wireDifferences(metadata.Diff(app.Definition.SAML.Metadata, parsed.Metadata))
		if err := app.ReplaceMetadata(parsed.Metadata, a.Now()); err != nil {
			return app, outcome, err
		}
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
	if outcome.Replaced {
		changes, err := settingChanges(&before, &app)
		if err != nil {
			return app, outcome, err
		}
		outcome.Differences = append(outcome.Differences, changes...)
	}
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
	facts["entity_id"] = app.EntityID()
	if n.URL != "" {
		facts["source"] = n.URL
	}
	if !outcome.Replaced {
		return audit.Event{Kind: "app.add", App: app.ID, Facts: facts}
	}
	changed := make([]string, 0, len(outcome.Differences))
	for _, d := range outcome.Differences {
		changed = append(changed, d.Field)
	}
	facts["changed"], facts["changes"] = strings.Join(changed, ", "), strconv.Itoa(len(changed))
	return audit.Event{Kind: "app.replace", App: app.ID, Facts: facts}
}
