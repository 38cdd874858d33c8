package admin

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"gatehouse/certs"
	"gatehouse/idp/api"
	"gatehouse/idp/directory"
	"gatehouse/sp"
	"gatehouse/sp/metadata"
	"gatehouse/store"
)

// reference says how the items of a setting are named by people and stored as ids.
type reference struct {
	ids  func(tx store.Tx, names []string) ([]string, error)
	name func(tx store.Tx, id string) (api.Ref, error)
}

var references = map[string]reference{
	"policy.profiles":        {directory.AllProfiles.IDs, profileRef},
	"policy.permission_sets": {directory.AllPermissionSets.IDs, setRef},
	"policy.groups":          {directory.AllGroups.IDs, groupRef},
	"policy.users":           {userIDs, userRef},
	"policy.approvers":       {userIDs, userRef},
	"oauth.run_as":           {userIDs, userRef},
}

func userIDs(tx store.Tx, names []string) ([]string, error) {
	ids := make([]string, 0, len(names))
	for _, name := range names {
		user, err := directory.ResolveUser(tx, name)
		if err != nil {
			return nil, err
		}
		ids = append(ids, user.ID)
	}
	return ids, nil
}

// apply sets values as people write them: names become ids, and what only the store or an expression can tell is checked.
func (a *Actions) apply(tx store.Tx, app *sp.App, values map[string]string) error {
	resolved := make(map[string]string, len(values))
	for key, value := range values {
		if key == "saml.affiliation" && strings.HasPrefix(value, "<") {
			group, err := a.affiliation(app, value)
			if err != nil {
				return err
			}
			value = group
		}
		ref, named := references[key]
		if !named || value == sp.Undo || value == "" {
			resolved[key] = value
			continue
		}
		ids, err := ref.ids(tx, splitList(value))
		if err != nil {
			return fieldOf(key, err)
		}
		resolved[key] = joinList(ids)
	}
	if err := app.Apply(resolved); err != nil {
		return err
	}
	return a.checkApp(tx, app, values)
}

// affiliation is the entity id of the group whose metadata lists the app as a member.
func (a *Actions) affiliation(app *sp.App, document string) (string, error) {
	group, err := metadata.ParseAffiliation([]byte(document), metadata.Options{Now: a.Now()})
	if err != nil {
		return "", badValue("saml.affiliation", "The affiliation's metadata cannot be used: %s", ended(err.Error()))
	}
	if !slices.Contains(group.Members, app.EntityID()) {
		return "", badValue("saml.affiliation", "%s is no member of %.200q: its owner (%.200q) must list %s.", app.Definition.Name, group.ID, group.Owner, app.EntityID())
	}
	return group.ID, nil
}

func (a *Actions) checkApp(tx store.Tx, app *sp.App, values map[string]string) error {
	saml := app.Definition.SAML
	if _, set := values["saml.signing_key"]; set && saml != nil && saml.Settings.SigningKey != "" {
		key, _, err := a.Keyring.ByID(tx, saml.Settings.SigningKey)
		if err == nil {
			err = a.keyFits(tx, app, key)
		}
		if err != nil {
			return fieldOf("saml.signing_key", err)
		}
	}
	for _, key := range []string{"oauth.id_token_signed_response_alg", "oauth.userinfo_signed_response_alg"} {
		if values[key] != sp.AlgorithmES256 {
			continue
		}
		if _, _, err := a.Keyring.Active(tx, certs.ECDSA); errors.Is(err, certs.ErrNoKey) {
			return badValue(key, "There is no active ECDSA key to sign with: stage and activate one first (gatehouse key stage --algorithm ecdsa).")
		} else if err != nil {
			return err
		}
	}
	for key, scopes := range map[string]func() []string{
		"oauth.scopes":  func() []string { return app.Definition.OAuth.Scopes },
		"policy.scopes": func() []string { return app.Policy.Scopes },
	} {
		if _, set := values[key]; !set {
			continue
		}
		if err := sp.CheckScopes(tx, key, scopes()); err != nil {
			return err
		}
	}
	return a.checkSources(app, values)
}

func (a *Actions) checkSources(app *sp.App, values map[string]string) error {
	if a.CheckSource == nil {
		return nil
	}
	check := func(key, name, source string) error {
		if _, set := values[key]; !set {
			return nil
		}
		if err := a.CheckSource(source); err != nil {
			return badValue(key, "The source of the attribute %.80q cannot be used: %s", name, ended(err.Error()))
		}
		return nil
	}
	if saml := app.Definition.SAML; saml != nil {
		for _, attribute := range saml.Settings.Attributes {
			if err := check("saml.attributes", attribute.Name, attribute.Source); err != nil {
				return err
			}
		}
	}
	for _, attribute := range app.Definition.CustomAttributes {
		if err := check("custom_attributes", attribute.Name, attribute.Source); err != nil {
			return err
		}
	}
	return nil
}

// fieldOf names the setting that an error is about.
func fieldOf(key string, err error) error {
	public := asPublic(err)
	if public == nil {
		return err
	}
	named := *public
	named.Field = key
	return &named
}

// appSettings lists an app's settings with names in the place of ids.
func appSettings(tx store.Tx, app *sp.App) ([]api.Setting, error) {
	var list []api.Setting
	scopes, meaning, err := sp.ScopeOptions(tx)
	if err != nil {
		return nil, err
	}
	for _, s := range sp.Settings() {
		if !app.Uses(s.Key) {
			continue
		}
		value, isDefault, err := app.Setting(s.Key)
		if err != nil {
			return nil, err
		}
		if ref, named := references[s.Key]; named && !isDefault {
			if value, err = namesOf(tx, ref, value); err != nil {
				return nil, err
			}
		}
		if s.Key == "oauth.scopes" || s.Key == "policy.scopes" {
			s.Options, s.Words = scopes, meaning
		}
		wire := describeSetting(&s)
		wire.Value, wire.IsDefault = value, isDefault
		list = append(list, wire)
	}
	return list, nil
}

func describeSetting(s *sp.Setting) api.Setting {
	return api.Setting{Key: s.Key, Label: s.Label, Help: s.Help, Kind: string(s.Kind), Options: s.Options, Words: s.Words, Default: s.Default}
}

// DescribeAppSettings are the settings that apps have, without values.
func DescribeAppSettings() []api.Setting {
	var list []api.Setting
	for _, s := range sp.Settings() {
		list = append(list, describeSetting(&s))
	}
	return list
}

func namesOf(tx store.Tx, ref reference, value string) (string, error) {
	ids := splitList(value)
	names := make([]string, len(ids))
	for i, id := range ids {
		named, err := ref.name(tx, id)
		if err != nil {
			return "", err
		}
		names[i] = named.Name
	}
	return joinList(names), nil
}

// splitList reads a list as settings write it; sp checks what comes of it.
func splitList(value string) []string {
	var items []string
	if strings.HasPrefix(value, "[") && json.Unmarshal([]byte(value), &items) == nil {
		return items
	}
	for item := range strings.SplitSeq(value, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// joinList writes a list as settings read it: with commas where that is safe.
func joinList(items []string) string {
	joined := strings.Join(items, ",")
	if strings.Count(joined, ",") == max(len(items)-1, 0) && !strings.HasPrefix(joined, "[") && joined != sp.Undo && joined != "" {
		return joined
	}
	encoded, err := json.Marshal(items)
	if err != nil || len(items) == 0 { // strings always encode
		return ""
	}
	return string(encoded)
}

// describe makes the facts of a settings event. Settings of apps hold no secrets.
func describe(values map[string]string) map[string]string {
	facts := make(map[string]string, len(values))
	for key, value := range values {
		facts[key] = value
	}
	return facts
}
