package scim

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"gatehouse/idp/directory"
	"gatehouse/store"
)

// userObject is a person as SCIM shows them.
func (h *Handlers) userObject(tx store.Tx, user *directory.User, revision store.Revision) (object, error) {
	doc, err := userDocument(tx, user)
	if err != nil {
		return nil, err
	}
	location := h.BaseURL + Root + "/Users/" + user.ID
	doc["id"] = user.ID
	doc["meta"] = object{
		"resourceType": "User", "location": location, "version": tagOf(revision),
		"created": user.Created.UTC().Format(time.RFC3339), "lastModified": user.Changed.UTC().Format(time.RFC3339),
	}
	schemas := []any{userURN}
	for _, urn := range []string{enterpriseURN, gatehouseURN} {
		if _, ok := doc[urn]; ok {
			schemas = append(schemas, urn)
		}
	}
	doc["schemas"] = schemas
	var groups []any
	for _, id := range user.Groups {
		group, _, err := directory.Groups.Get(tx, id)
		if err != nil {
			return nil, err
		}
		groups = append(groups, object{"value": id, "display": group.Name, "$ref": h.BaseURL + Root + "/Groups/" + id, "type": "direct"})
	}
	if groups != nil {
		doc["groups"] = groups
	}
	return doc, nil
}

// userDocument is what a client may change of a person; PATCH works on it.
func userDocument(tx store.Tx, user *directory.User) (object, error) {
	doc := object{"userName": user.Name, "active": !user.Disabled}
	set(doc, "externalId", user.ExternalID)
	set(doc, "displayName", user.DisplayName)
	name := object{}
	set(name, "givenName", user.GivenName)
	set(name, "familyName", user.Surname)
	if len(name) > 0 {
		doc["name"] = name
	}
	if user.Email != "" {
		doc["emails"] = []any{object{"value": user.Email, "type": "work", "primary": true}}
	}
	enterprise := object{}
	for _, key := range enterpriseKept {
		if values := user.Attributes[key]; len(values) > 0 {
			enterprise[key] = values[0]
		}
	}
	if len(enterprise) > 0 {
		doc[enterpriseURN] = enterprise
	}
	profile, _, err := directory.Profiles.Get(tx, user.Profile)
	if err != nil {
		return nil, err
	}
	own := object{"profile": profile.Name}
	sets, err := directory.AllPermissionSets.Names(tx, user.PermissionSets)
	if len(sets) > 0 {
		own["permissionSets"] = anys(sets)
	}
	doc[gatehouseURN] = own
	return doc, err
}

func set(doc object, name, value string) {
	if value != "" {
		doc[name] = value
	}
}

func anys(list []string) []any {
	all := make([]any, len(list))
	for i := range list {
		all[i] = list[i]
	}
	return all
}

// fill makes the record say what the document says. What a PUT leaves out is emptied, but active, profile and permission sets stay:
// leaving them out must let nobody in, and no client but ours knows the last two.
func fill(tx store.Tx, user *directory.User, doc object) (err error) {
	user.Name, user.DisplayName, user.ExternalID = str(doc["userName"]), str(doc["displayName"]), str(doc["externalId"])
	name := asObject(doc["name"])
	user.GivenName, user.Surname = str(name["givenName"]), str(name["familyName"])
	user.Email = address(doc["emails"])
	if active, ok := doc["active"].(bool); ok {
		user.Disabled = !active
	}
	user.Attributes = maps.Clone(user.Attributes)
	enterprise := asObject(doc[enterpriseURN])
	for _, key := range enterpriseKept {
		value := str(enterprise[key])
		if value == "" {
			delete(user.Attributes, key)
			continue
		}
		if user.Attributes == nil {
			user.Attributes = map[string][]string{}
		}
		if !slices.Equal(user.Attributes[key], []string{value}) {
			user.Attributes[key] = []string{value}
		}
	}
	own, there := doc[gatehouseURN].(object)
	if profile, ok := own["profile"].(string); ok || user.Profile == "" {
		if user.Profile, err = profileFor(tx, profile); err != nil {
			return err
		}
	}
	if sets, ok := own["permissionSets"].([]any); ok || there && user.ID != "" {
		user.PermissionSets, err = directory.AllPermissionSets.IDs(tx, strs(sets))
	}
	return err
}

// profileFor finds the named profile, or for no name the one of people for whom nobody chose one.
func profileFor(tx store.Tx, name string) (string, error) {
	if name == "" {
		return directory.StandardProfile(tx)
	}
	profile, err := directory.AllProfiles.Resolve(tx, name)
	return profile.ID, err
}

func str(value any) string {
	text, _ := value.(string)
	return text
}

func strs(list []any) []string {
	all := make([]string, len(list))
	for i := range list {
		all[i] = str(list[i])
	}
	return all
}

// address chooses the one address that is kept: the last that is called primary, else the first of type work, else the first.
func address(value any) string {
	list, _ := value.([]any)
	var first, work, primary string
	for _, one := range list {
		email := asObject(one)
		text := str(email["value"])
		first = cmp.Or(first, text)
		if strings.EqualFold(str(email["type"]), "work") {
			work = cmp.Or(work, text)
		}
		if email["primary"] == true {
			primary = text
		}
	}
	return cmp.Or(primary, work, first)
}

// userValues are what a search may ask for about a person, by name in lower case.
func userValues(user *directory.User) asked {
	return func(name string) []string {
		one := func(text string) []string {
			if text == "" {
				return nil
			}
			return []string{text}
		}
		switch name {
		case "id":
			return one(user.ID)
		case "username":
			return one(user.Name)
		case "externalid":
			return one(user.ExternalID)
		case "displayname":
			return one(user.DisplayName)
		case "name.givenname":
			return one(user.GivenName)
		case "name.familyname":
			return one(user.Surname)
		case "emails", "emails.value":
			return one(user.Email)
		case "emails.type":
			return map[bool][]string{true: {"work"}}[user.Email != ""]
		case "emails.primary":
			return map[bool][]string{true: {"true"}}[user.Email != ""]
		case "active":
			return map[bool][]string{true: {"false"}, false: {"true"}}[user.Disabled]
		case "groups", "groups.value":
			return user.Groups
		}
		return enterpriseValues(user, name)
	}
}

func enterpriseValues(user *directory.User, name string) []string {
	for _, key := range enterpriseKept {
		if name == strings.ToLower(enterpriseURN+":"+key) {
			return user.Attributes[key]
		}
	}
	return nil
}

// searchableUser tells whether a search may ask for an attribute of people.
func searchableUser(name string) bool {
	return slices.Contains(userSearchable, name) || slices.ContainsFunc(enterpriseKept, func(key string) bool { return name == strings.ToLower(enterpriseURN+":"+key) })
}

var userSearchable = []string{
	"id", "username", "externalid", "displayname", "name.givenname", "name.familyname", "emails", "emails.value", "emails.type", "emails.primary", "active",
	"groups", "groups.value",
}
