package admin

import (
	"net/http"
	"strings"

	"gatehouse/idp/api"
	"gatehouse/templates"
)

// directoryFields are the fields of a source by their place on the page; a new source shows the first two sets.
var directoryFields = []struct {
	title  string
	fields []templates.FormField
}{
	{"Server", []templates.FormField{
		{Name: "url", Label: "Address", Placeholder: "ldaps://ldap.example.org", Mono: true, Required: true, Hint: "ldaps:// is encrypted from the start, ldap:// by StartTLS."},
		{Name: "ca", Label: "Authority of its certificate", Rows: 4, Hint: "PEM. Empty: the authorities that this machine trusts."},
		{Name: "bind_dn", Label: "Account to search with", Placeholder: "cn=gatehouse,ou=services,dc=example,dc=org", Mono: true, Hint: "It needs to read people and groups, and nothing else."},
	}},
	{"People", []templates.FormField{
		{Name: "base_dn", Label: "Where people are", Placeholder: "ou=people,dc=example,dc=org", Mono: true, Required: true},
		{Name: "user_filter", Label: "Filter", Mono: true, Rows: 2, Hint: "{name} stands for what was typed. It also says who is brought over."},
		{Name: "group_base", Label: "Where groups are", Placeholder: "ou=groups,dc=example,dc=org", Mono: true, Hint: "Empty: the groups that a person's entry names."},
		{Name: "profile", Label: "Profile", Hint: "Of people in none of the groups that have one. Empty: Standard."},
		{Name: "profiles", Label: "Groups with another profile", Rows: 2, Hint: "GROUP=PROFILE, separated by commas; the first one counts. A group is its name, or its DN in a JSON array."},
		{Name: "permission_sets", Label: "Groups with permission sets", Rows: 2, Hint: "GROUP=PERMISSION SET, separated by commas."},
		{Name: "groups", Label: "Groups with groups here", Rows: 2, Hint: "GROUP=GROUP HERE, separated by commas. A directory never gives a role in the console."},
	}},
	{"Attributes", []templates.FormField{
		{Name: "field.id", Label: "Lasting id", Mono: true, Hint: "By it a person is known again, whatever they are called."},
		{Name: "field.name", Label: "User name", Mono: true}, {Name: "field.email", Label: "E-mail", Mono: true}, {Name: "field.given_name", Label: "Given name", Mono: true},
		{Name: "field.surname", Label: "Surname", Mono: true}, {Name: "field.display_name", Label: "Display name", Mono: true},
		{Name: "attributes", Label: "Further attributes", Mono: true, Hint: "NAME HERE=ATTRIBUTE THERE, separated by commas."},
		{Name: "member_of", Label: "Groups of a person", Mono: true, Hint: "The attribute of a person that names their groups, such as memberOf."},
		{Name: "group_filter", Label: "Filter of groups", Mono: true, Rows: 2}, {Name: "group_name", Label: "Name of a group", Mono: true},
		{Name: "group_member", Label: "Members of a group", Mono: true, Hint: "An attribute with DNs, such as member, or memberUid with user names."},
	}},
	{"Runs", []templates.FormField{
		{Name: "interval", Label: "Bring over every", Hint: "Such as 1h; from 5m to 30d."},
		{Name: "max_removed", Label: "Refuse when more percent are gone", Hint: "And more than 10 people. Then somebody must look, and force it."},
		{Name: "page_size", Label: "Entries in one page"},
		{Name: "plain", Label: "Encryption", Options: []templates.Option{{Value: "false", Label: "Required"}, {Value: "true", Label: "None: passwords travel as they are"}}},
		{Name: "state", Label: "State", Options: []templates.Option{{Value: "active", Label: "Active"}, {Value: "paused", Label: "Paused: nobody signs in by it"}}},
	}},
}

// shownSets is how many of them a new source shows.
func shownSets(isNew bool) int {
	if isNew {
		return 2
	}
	return len(directoryFields)
}

// directorySets fills the fields with what was posted, else with what is set; defaults stand in their hints.
func directorySets(s *api.DirectorySource, isNew bool, r *http.Request) []templates.FieldSet {
	known := map[string]api.Setting{}
	for _, setting := range s.Settings {
		known[setting.Key] = setting
	}
	posted := r.Method == http.MethodPost && r.PostForm.Has("url")
	var sets []templates.FieldSet
	for _, group := range directoryFields[:shownSets(isNew)] {
		set := templates.FieldSet{Title: group.title}
		for _, field := range group.fields {
			setting := known[field.Name]
			switch {
			case posted:
				field.Value = r.PostForm.Get(field.Name)
			case !setting.IsDefault || field.Options != nil:
				field.Value = setting.Value
			}
			if field.Placeholder == "" && field.Options == nil {
				field.Placeholder = setting.Default
			}
			set.Fields = append(set.Fields, field)
		}
		sets = append(sets, set)
	}
	return sets
}

// directoryValues reads the fields that the form has; an empty one goes back to its default.
func directoryValues(r *http.Request, isNew bool) map[string]string {
	values := map[string]string{}
	for _, group := range directoryFields[:shownSets(isNew)] {
		for _, field := range group.fields {
			value := strings.TrimSpace(r.PostForm.Get(field.Name))
			if r.PostForm.Has(field.Name) && (value != "" || !isNew) {
				values[field.Name] = value
			}
		}
	}
	return values
}
