package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
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

// travels tells whether a setting is the developer's: not the policy, not what names something of this organisation, and not what has to
// be looked at where it is set.
func travels(key string) bool {
	return !sp.OfPolicy(key) && key != "saml.signing_key" && key != "saml.metadata_refresh" && key != sectorKey
}

// hasClient tells whether a package is of an OAuth client: none works without a setting of its own, be it a redirect URI or a grant type.
func hasClient(p *api.Package) bool {
	for key := range p.Settings {
		if strings.HasPrefix(key, "oauth.") {
			return true
		}
	}
	return false
}

// describes tells whether a setting is of what a package is about: people or a protocol that its app speaks.
func describes(p *api.Package, key string) bool {
	return travels(key) && (p.Metadata != "" || !strings.HasPrefix(key, "saml.")) && (hasClient(p) || !strings.HasPrefix(key, "oauth."))
}

// ExportApp makes the package of an app: its definition without policy, credentials and ids.
func (a *Actions) ExportApp(ctx context.Context, ref string) (api.Package, error) {
	var p api.Package
	err := a.view(ctx, func(tx store.Tx) error {
		app, err := findApp(tx, ref)
		if err != nil {
			return err
		}
		if flow.IsBuiltin(app.ID) {
			return refused(http.StatusConflict, "builtin", "app", "%s is part of Gatehouse and cannot be exported.", app.Definition.Name)
		}
		p = api.Package{Format: packageFormat, Version: packageVersion, Settings: map[string]string{}}
		if saml := app.Definition.SAML; saml != nil {
			document, err := metadata.Write(&saml.Metadata)
			if err != nil {
				return err
			}
			p.Metadata = string(document)
		}
		for _, setting := range sp.Settings() {
			if !travels(setting.Key) || !app.Uses(setting.Key) {
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

// unpack reads an app package where metadata was expected; metadata alone comes back as a package without settings. The package's
// settings join those that were asked for, which come first; every other part of the definition goes back to its default.
func unpack(n *api.NewApp) (api.Package, error) {
	if !strings.HasPrefix(strings.TrimSpace(n.Metadata), "{") {
		return api.Package{Metadata: n.Metadata}, nil
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
		return p, badValue("metadata", "This app package was made by a newer Gatehouse: update this one first.")
	case err != nil || p.Format != packageFormat || p.Version < 1 || p.Metadata == "" && !hasClient(&p) || p.Settings["name"] == "":
		return p, badValue("metadata", "This is neither SAML metadata nor an app package of Gatehouse: export the app again.")
	}
	asked := n.Set
	n.Set = map[string]string{}
	for _, setting := range sp.Settings() {
		if describes(&p, setting.Key) {
			n.Set[setting.Key] = sp.Undo
		}
	}
	for key, value := range p.Settings {
		if !describes(&p, key) || !slices.ContainsFunc(sp.Settings(), func(s sp.Setting) bool { return s.Key == key }) {
			return p, badValue("metadata", "The app package holds %.60q, which is not part of a definition: export the app again.", key)
		}
		n.Set[key] = value
	}
	maps.Copy(n.Set, asked)
	return p, nil
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
		if !travels(setting.Key) || !after.Uses(setting.Key) {
			continue
		}
		is, isDefault, err := after.Setting(setting.Key)
		if err != nil {
			return nil, err
		}
		was := ""
		if before.Uses(setting.Key) {
			if was, _, err = before.Setting(setting.Key); err != nil {
				return nil, err
			}
		} else if isDefault { // of a protocol that is new to the app
			continue
		}
		if was != is {
			changes = append(changes, api.Difference{Field: setting.Key, Before: was, After: is})
		}
	}
	return changes, nil
}
