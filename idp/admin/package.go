package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"gatehouse/idp/api"
	"gatehouse/idp/flow"
	"gatehouse/sp"
	"gatehouse/sp/metadata"
	"gatehouse/store"
)

// packageFormat and packageVersion mark a file as an app's definition that travels to another organisation.
const (
	packageFormat  = "gatehouse-app"
	packageVersion = 1
)

// travels tells whether a setting is the developer's: not the policy, and not what names something of this organisation. OAuth
// clients do not travel yet.
func travels(key string) bool {
	return !sp.OfPolicy(key) && !strings.HasPrefix(key, "oauth.") && key != "saml.signing_key" && key != "saml.metadata_refresh"
}

// ExportApp makes the package of an app: its definition without policy, credentials and ids.
func (a *Actions) ExportApp(ctx context.Context, ref string) (api.Package, error) {
	var p api.Package
	err := a.view(ctx, func(tx store.Tx) error {
		app, err := findApp(tx, ref)
		if err != nil {
			return err
		}
		if app.Definition.OAuth != nil && app.Definition.SAML == nil {
			return refused(http.StatusConflict, "no_saml", "app", "%s is an OAuth client, which cannot be exported yet: add it there by its client metadata.", app.Definition.Name)
		}
		if flow.IsBuiltin(app.ID) || app.Definition.SAML == nil {
			return refused(http.StatusConflict, "builtin", "app", "%s is part of Gatehouse and cannot be exported.", app.Definition.Name)
		}
		document, err := metadata.Write(&app.Definition.SAML.Metadata)
		if err != nil {
			return err
		}
		p = api.Package{Format: packageFormat, Version: packageVersion, Settings: map[string]string{}, Metadata: string(document)}
		for _, setting := range sp.Settings() {
			if !travels(setting.Key) {
				continue
			}
			value, isDefault, err := app.Setting(setting.Key)
			if err != nil {
				return err
			}
			if !isDefault {
				p.Settings[setting.Key] = value
			}
		}
		return nil
	})
	return p, err
}

// unpack reads an app package where metadata was expected, and returns the metadata in it. The package's settings join those
// that were asked for, which come first; every other part of the definition goes back to its default.
func unpack(n *api.NewApp) (string, error) {
	if !strings.HasPrefix(strings.TrimSpace(n.Metadata), "{") {
		return n.Metadata, nil
	}
	var p api.Package
	d := json.NewDecoder(bytes.NewReader([]byte(n.Metadata)))
	d.DisallowUnknownFields()
	err := d.Decode(&p)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("there is something after it")
		}
	}
	switch {
	case err == nil && p.Format == packageFormat && p.Version > packageVersion:
		return "", badValue("metadata", "This app package was made by a newer Gatehouse: update this one first.")
	case err != nil || p.Format != packageFormat || p.Version < 1 || p.Metadata == "" || p.Settings["name"] == "":
		return "", badValue("metadata", "This is neither SAML metadata nor an app package of Gatehouse: export the app again.")
	}
	asked := n.Set
	n.Set = map[string]string{}
	for _, setting := range sp.Settings() {
		if travels(setting.Key) {
			n.Set[setting.Key] = sp.Undo
		}
	}
	for key, value := range p.Settings {
		if !travels(key) || !slices.ContainsFunc(sp.Settings(), func(s sp.Setting) bool { return s.Key == key }) {
			return "", badValue("metadata", "The app package holds %.60q, which is not part of a definition: export the app again.", key)
		}
		n.Set[key] = value
	}
	for key, value := range asked {
		n.Set[key] = value
	}
	return p.Metadata, nil
}

// keepStricter puts back what a newer definition must not lower by itself, and says so in warnings. What was asked for beside the
// definition is the administrator's word.
func keepStricter(before, after *sp.App, asked map[string]string) []api.Warning {
	var warnings []api.Warning
	for _, key := range after.KeepStricter(before, asked) {
		warnings = append(warnings, api.Warning{Code: "kept_stricter", Severity: string(metadata.Caution),
			Text: "The newer definition would lower security, so " + key + " stays as it was; set it by hand if that is meant."})
	}
	return warnings
}

// settingChanges are the differences of the definition's settings between two states of an app.
func settingChanges(before, after *sp.App) ([]api.Difference, error) {
	var changes []api.Difference
	for _, setting := range sp.Settings() {
		if !travels(setting.Key) {
			continue
		}
		was, _, err := before.Setting(setting.Key)
		if err != nil {
			return nil, err
		}
		is, _, err := after.Setting(setting.Key)
		if err != nil {
			return nil, err
		}
		if was != is {
			changes = append(changes, api.Difference{Field: setting.Key, Before: was, After: is})
		}
	}
	return changes, nil
}
