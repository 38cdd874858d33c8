package admin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/idp/federation"
	"gatehouse/sp"
	"gatehouse/sp/metadata"
	"gatehouse/store"
)

// wordedSource is the public form of what keeps metadata from being used.
func wordedSource(err *federation.Error) error {
	switch err.Code {
	case federation.CodeNoSource:
		return refused(http.StatusNotFound, "not_found", "source", "%s", err.Text)
	case federation.CodeNotThere:
		return refused(http.StatusNotFound, err.Code, "entity_id", "%s", err.Text)
	case federation.CodeNothing, federation.CodeNewer, federation.CodeChanged, federation.CodeBusy:
		return refused(http.StatusConflict, err.Code, "metadata", "%s", err.Text)
	}
	return refused(http.StatusUnprocessableEntity, err.Code, "metadata", "%s", err.Text)
}

// fromSource finds the metadata of an entity in a source. The app gets the source's way with newer metadata, unless that is asked
// for otherwise.
func (a *Actions) fromSource(ctx context.Context, n *api.NewApp) (incoming, error) {
	if n.EntityID == "" || n.ACS != "" {
		return incoming{}, badValue("entity_id", "A metadata source knows the ACS address: give the entity id and the source, and nothing else.")
	}
	result, source, err := a.Sources.Find(ctx, n.Source, n.EntityID)
	if err != nil {
		return incoming{}, worded(err)
	}
	asked := n.Set
	if _, said := asked["saml.metadata_refresh"]; !said && !n.Replace && source.Setting("apply") == sp.RefreshAutomatic {
		n.Set = describe(asked)
		n.Set["saml.metadata_refresh"] = sp.RefreshAutomatic
	}
	return incoming{Result: result, asked: asked}, nil
}

// MetadataSources lists the sources.
func (a *Actions) MetadataSources(ctx context.Context) (api.List[api.MetadataSource], error) {
	list := api.List[api.MetadataSource]{Items: []api.MetadataSource{}}
	err := a.view(ctx, func(tx store.Tx) error {
		list.Items = list.Items[:0]
		return federation.Sources.Each(tx, store.Page{}, func(_ string, s *federation.Source) error {
			wire, err := wireSource(tx, s)
			list.Items = append(list.Items, wire)
			return err
		})
	})
	return list, err
}

// MetadataSource shows one source.
func (a *Actions) MetadataSource(ctx context.Context, name string) (api.MetadataSource, error) {
	var wire api.MetadataSource
	err := a.view(ctx, func(tx store.Tx) error {
		source, err := findSource(tx, name)
		if err == nil {
			wire, err = wireSource(tx, &source)
		}
		return err
	})
	return wire, err
}

func findSource(tx store.Tx, name string) (federation.Source, error) {
	source, _, err := federation.Sources.Get(tx, name)
	if errors.Is(err, store.ErrNotFound) {
		err = unknown("metadata source", name)
	}
	return source, err
}

func wireSource(tx store.Tx, s *federation.Source) (api.MetadataSource, error) {
	apps, err := sp.Apps.Count(tx, store.Page{Index: "origin", Value: s.Name}, 0)
	f := &s.Found
	wire := api.MetadataSource{
		Name: s.Name, Kind: s.Kind, Created: s.Created, CreatedBy: s.CreatedBy, Apps: apps, Entities: f.Entities, Providers: f.Providers,
		Left: f.Left, Reasons: f.Reasons, Tried: f.Tried, Good: f.Good, Next: f.Next, ValidUntil: f.ValidUntil, Failures: f.Failures, Reason: f.Code, Error: f.Error,
	}
	for _, key := range federation.SettingKeys() {
		wire.Settings = append(wire.Settings, api.Setting{Key: key, Value: s.Setting(key)})
	}
	return wire, err
}

// AddMetadataSource adds a source. The job fetches it within a minute.
func (a *Actions) AddMetadataSource(ctx context.Context, by By, n api.NewMetadataSource) (api.MetadataSource, error) {
	source, err := federation.NewSource(n.Name, n.Kind, n.Set, by.ID, a.Now())
	if err != nil {
		return api.MetadataSource{}, worded(err)
	}
	return a.changeSource(ctx, by, "metadata_source.add", &source, func(tx store.Tx) error {
		return vacant(tx, federation.Sources, source.Name, "a metadata source", federation.MaxSources)
	})
}

// SetMetadataSource changes settings of a source: all of them, or none.
func (a *Actions) SetMetadataSource(ctx context.Context, by By, name string, values map[string]string) (api.MetadataSource, error) {
	if len(values) == 0 {
		return api.MetadataSource{}, badValue("set", "Nothing was to be set: name at least one KEY=VALUE.")
	}
	var source federation.Source
	return a.changeSource(ctx, by, "metadata_source.set", &source, func(tx store.Tx) (err error) {
		if source, err = findSource(tx, name); err == nil {
			err = source.Change(values)
		}
		return err
	})
}

// changeSource stores a source that fn has read or checked, with its event.
func (a *Actions) changeSource(ctx context.Context, by By, kind string, source *federation.Source, fn func(store.Tx) error) (api.MetadataSource, error) {
	var wire api.MetadataSource
	err := a.change(ctx, by, func(tx store.Tx) (audit.Event, error) {
		if err := fn(tx); err != nil {
			return audit.Event{}, err
		}
		if err := federation.Sources.Put(tx, source); err != nil {
			return audit.Event{}, err
		}
		var err error
		wire, err = wireSource(tx, source)
		return audit.Event{Kind: kind, Facts: factsOf(wire.Settings, "source", source.Name)}, err
	})
	return wire, err
}

// RemoveMetadataSource removes a source that no app follows, and what was kept of it.
func (a *Actions) RemoveMetadataSource(ctx context.Context, by By, name string) (api.MetadataSource, error) {
	var wire api.MetadataSource
	err := a.change(ctx, by, func(tx store.Tx) (audit.Event, error) {
		source, err := findSource(tx, name)
		if err != nil {
			return audit.Event{}, err
		}
		if wire, err = wireSource(tx, &source); err == nil && wire.Apps > 0 {
			err = refused(http.StatusConflict, "in_use", "source", "%d apps follow this metadata source, so it was not removed: give them other metadata first, or pause it with state=paused.", wire.Apps)
		}
		if err == nil {
			err = federation.Sources.Delete(tx, name)
		}
		return audit.Event{Kind: "metadata_source.remove", Facts: map[string]string{"source": name}}, err
	})
	if err == nil {
		err = worded(a.Sources.Forget(ctx, name))
	}
	return wire, err
}

// RefreshMetadataSource fetches a source now.
func (a *Actions) RefreshMetadataSource(ctx context.Context, by By, name string) (api.MetadataSource, error) {
	if err := a.Sources.Refresh(ctx, name, by.ID); err != nil {
		return api.MetadataSource{}, worded(err)
	}
	return a.MetadataSource(ctx, name)
}

// SourceEntities lists the service providers of a source that contain a text.
func (a *Actions) SourceEntities(ctx context.Context, name, search, after string, limit int) (api.List[api.Entity], error) {
	list := api.List[api.Entity]{Items: []api.Entity{}}
	err := a.view(ctx, func(tx store.Tx) error {
		list.Items = list.Items[:0]
		if _, err := findSource(tx, name); err != nil {
			return err
		}
		found, next, err := federation.Search(tx, name, strings.TrimSpace(search), after, pageSize(limit))
		list.Next = next
		for _, e := range found {
			app, _, missing := sp.Apps.By(tx, "entity_id", e.EntityID)
			if missing != nil && !errors.Is(missing, store.ErrNotFound) {
				return missing
			}
			list.Items = append(list.Items, api.Entity{EntityID: e.EntityID, Name: e.Name, App: app.ID})
		}
		return err
	})
	return list, err
}

// AppMetadata tells how an app's metadata is kept up to date, and what waits.
func (a *Actions) AppMetadata(ctx context.Context, ref string) (api.AppMetadata, error) {
	var wire api.AppMetadata
	err := a.view(ctx, func(tx store.Tx) error {
		app, err := findApp(tx, ref)
		if err == nil {
			wire, err = wireFollow(tx, &app)
		}
		return err
	})
	return wire, err
}

func wireFollow(tx store.Tx, app *sp.App) (api.AppMetadata, error) {
	wire := api.AppMetadata{App: app.ID, Mode: app.RefreshMode()}
	f, _, err := federation.Follows.Get(tx, app.ID)
	if errors.Is(err, store.ErrNotFound) || app.Definition.SAML == nil {
		return wire, nil
	}
	m := &app.Definition.SAML.Metadata
	wire.From, wire.Tried, wire.Good, wire.Failures, wire.Reason, wire.Error = m.SourceURL+m.Source, f.Tried, f.Good, f.Failures, f.Code, f.Error
	if f.URL != "" {
		wire.Next = f.Next
	}
	if f.Waiting != nil {
		wire.Since, wire.Waiting = f.Since, wireDifferences(metadata.Diff(*m, *f.Waiting))
		wire.Version, err = f.Version()
	}
	return wire, err
}

// The answers to newer metadata.
const (
	answerApprove = "approve"
	answerDismiss = "dismiss"
	answerRefresh = "refresh"
)

// AnswerAppMetadata approves or dismisses newer metadata that waits, of the version that was seen, or looks whether there is newer.
func (a *Actions) AnswerAppMetadata(ctx context.Context, by By, ref, answer, seen string) (api.AppMetadata, error) {
	switch {
	case answer == answerRefresh:
		return a.refreshApp(ctx, by, ref)
	case !slices.Contains([]string{answerApprove, answerDismiss}, answer):
		return api.AppMetadata{}, unknown("answer", answer)
	}
	var wire api.AppMetadata
	err := a.change(ctx, by, func(tx store.Tx) (audit.Event, error) {
		app, err := findApp(tx, ref)
		if err != nil {
			return audit.Event{}, err
		}
		if err := mayChangeApp(by, &app, &app); err != nil {
			return audit.Event{}, err
		}
		md, err := federation.Take(tx, app.ID, seen, answer == answerDismiss)
		if err != nil {
			return audit.Event{}, err
		}
		event := audit.Event{Kind: "app.metadata_dismiss", App: app.ID, Facts: map[string]string{"version": seen}}
		if answer == answerApprove {
			if md.Expired(a.Now()) {
				return event, refused(http.StatusConflict, metadata.CodeExpired, "metadata", "The newer metadata is past its end by now: look for newer first.")
			}
			if event, err = federation.Apply(tx, &app, md, a.Now()); err != nil {
				return event, err
			}
		}
		wire, err = wireFollow(tx, &app)
		return event, err
	})
	return wire, err
}

func (a *Actions) refreshApp(ctx context.Context, by By, ref string) (api.AppMetadata, error) {
	var app sp.App
	err := a.view(ctx, func(tx store.Tx) (err error) {
		if app, err = findApp(tx, ref); err == nil {
			err = mayChangeApp(by, &app, &app)
		}
		if saml := app.Definition.SAML; err == nil && saml != nil && saml.Metadata.Source != "" && !by.onSocket() && !by.allows(AppsWrite) {
			err = refused(http.StatusForbidden, "needs_app_admin", "", "The app follows the metadata source %s, which an app administrator fetches: ask one, or wait until it is due.", saml.Metadata.Source)
		}
		return err
	})
	if err != nil {
		return api.AppMetadata{}, err
	}
	if err := a.Sources.RefreshApp(ctx, app.ID, by.ID); err != nil {
		return api.AppMetadata{}, worded(err)
	}
	return a.AppMetadata(ctx, app.ID)
}
