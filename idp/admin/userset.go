package admin

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"gatehouse/idp/api"
	"gatehouse/idp/directory"
	"gatehouse/sp"
	"gatehouse/store"
)

// SetUser changes a person: name, display_name, email, given_name, surname, profile, permission_sets, groups, roles, and
// attributes.NAME. The value `default` empties.
func (a *Actions) SetUser(ctx context.Context, by By, ref string, values map[string]string) (api.User, error) {
	if len(values) == 0 {
		return api.User{}, badValue("set", "Nothing was to be set: name at least one KEY=VALUE.")
	}
	return a.changeUser(ctx, by, ref, "user.set", func(tx store.Tx, user *directory.User) (map[string]string, error) {
		user.Attributes = maps.Clone(user.Attributes)
		for _, key := range slices.Sorted(maps.Keys(values)) {
			value := values[key]
			if value == sp.Undo {
				value = ""
			}
			if err := setUser(tx, user, key, value); err != nil {
				return nil, fieldOf(key, err)
			}
		}
		changed, err := a.Directory.SetUser(tx, *user)
		*user = changed
		return map[string]string{"keys": strings.Join(slices.Sorted(maps.Keys(values)), ", ")}, err
	})
}

func setUser(tx store.Tx, user *directory.User, key, value string) (err error) {
	texts := map[string]*string{
		"name": &user.Name, "display_name": &user.DisplayName, "email": &user.Email,
		"given_name": &user.GivenName, "surname": &user.Surname,
	}
	if text, ok := texts[key]; ok {
		*text = value
		return nil
	}
	switch key {
	case "profile":
		user.Profile, err = profileFor(tx, value)
	case "permission_sets":
		user.PermissionSets, err = directory.AllPermissionSets.IDs(tx, splitList(value))
	case "groups":
		user.Groups, err = directory.AllGroups.IDs(tx, splitList(value))
	case "roles":
		user.Roles = splitList(value)
	case "attributes":
		return setAttributes(user, value)
	default:
		return setAttribute(user, key, value)
	}
	return err
}

// setAttributes replaces all attributes by a JSON object of lists.
func setAttributes(user *directory.User, value string) error {
	attributes := map[string][]string{}
	if value != "" {
		if err := json.Unmarshal([]byte(value), &attributes); err != nil {
			return badValue("attributes", `The attributes must be a JSON object of lists, like {"department":["Sales"]}.`)
		}
	}
	user.Attributes = attributes
	return nil
}

func setAttribute(user *directory.User, key, value string) error {
	name, ok := strings.CutPrefix(key, "attributes.")
	if !ok {
		return badValue(key, "There is no %.60q of a person: choose name, display_name, email, given_name, surname, profile, permission_sets, groups, roles or attributes.NAME.", key)
	}
	if value == "" {
		delete(user.Attributes, name)
		return nil
	}
	if user.Attributes == nil {
		user.Attributes = map[string][]string{}
	}
	user.Attributes[name] = splitList(value)
	return nil
}
