package directory

import (
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// namePlace stands in a user filter for what a person typed, escaped, or for * when all are looked for.
const namePlace = "{name}"

// fieldDefaults are the attributes that a person's fields are read from.
func (s *Source) fieldDefaults() map[string]string {
	fields := map[string]string{"id": "entryUUID", "name": "uid", "email": "mail", "given_name": "givenName", "surname": "sn", "display_name": "displayName"}
	if s.Kind == KindAD {
		fields["id"], fields["name"] = "objectGUID", "sAMAccountName"
	}
	return fields
}

func (s *Source) field(name string) string { return or(s.Fields[name], s.fieldDefaults()[name]) }

// The filters unless set. Active Directory's leaves out disabled accounts and those of computers.
const (
	filterLDAP = "(&(objectClass=inetOrgPerson)(|(uid={name})(mail={name})))"
	filterAD   = "(&(objectCategory=person)(objectClass=user)(!(userAccountControl:1.2.840.113556.1.4.803:=2))(|(sAMAccountName={name})(userPrincipalName={name})(mail={name})))"
	filterSet  = "(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=posixGroup)(objectClass=group))"
)

func (s *Source) filter() string {
	if s.Kind == KindAD {
		return or(s.Filter, filterAD)
	}
	return or(s.Filter, filterLDAP)
}

func (s *Source) memberOf() string {
	if s.Kind == KindAD && s.GroupBase == "" {
		return or(s.MemberOf, "memberOf")
	}
	return s.MemberOf
}

func (s *Source) groupFilter() string     { return or(s.GroupFilter, filterSet) }
func (s *Source) groupName() string       { return or(s.GroupName, "cn") }
func (s *Source) groupMember() string     { return or(s.GroupMember, "member") }
func (s *Source) interval() time.Duration { return or(s.Interval, time.Hour) }
func (s *Source) pageSize() int           { return or(s.PageSize, 500) }
func (s *Source) maxRemoved() int         { return or(s.MaxRemoved, 20) }

// SourceSettings returns every key with its value; profiles, permission sets and groups are ids.
func (s *Source) SourceSettings() []Setting {
	settings := list(s, sourceKeys())
	for i := range settings {
		if name, ok := strings.CutPrefix(settings[i].Key, "field."); ok {
			settings[i].Default = s.fieldDefaults()[name]
		}
		if settings[i].Key == "user_filter" && s.Kind == KindAD {
			settings[i].Default = filterAD
		}
		if settings[i].IsDefault {
			settings[i].Value = settings[i].Default
		}
	}
	return settings
}

func sourceKeys() []key[Source] {
	keys := []key[Source]{
		text("url", "", 300, func(s *Source) *string { return &s.URL }, checkLDAPURL),
		flag("plain", func(s *Source) *bool { return &s.Plain }),
		{"ca", "", func(s *Source) string { return s.CA }, setCA},
		text("bind_dn", "", 500, func(s *Source) *string { return &s.BindDN }, checkDN("bind_dn")),
		text("base_dn", "", 500, func(s *Source) *string { return &s.BaseDN }, checkDN("base_dn")),
		text("user_filter", filterLDAP, 1000, func(s *Source) *string { return &s.Filter }, checkUserFilter),
	}
	for _, name := range []string{"id", "name", "email", "given_name", "surname", "display_name"} {
		keys = append(keys, fieldKey(name))
	}
	return append(keys,
		key[Source]{"attributes", "", func(s *Source) string { return formatPairs(s.Extra) }, setExtra},
		text("member_of", "", 60, func(s *Source) *string { return &s.MemberOf }, checkAttribute),
		text("group_base", "", 500, func(s *Source) *string { return &s.GroupBase }, checkDN("group_base")),
		text("group_filter", filterSet, 1000, func(s *Source) *string { return &s.GroupFilter }, checkFilter),
		text("group_name", "cn", 60, func(s *Source) *string { return &s.GroupName }, checkAttribute),
		text("group_member", "member", 60, func(s *Source) *string { return &s.GroupMember }, checkAttribute),
		text("profile", "", 60, func(s *Source) *string { return &s.Profile }, nil),
		mappings("profiles", func(s *Source) *[]Mapping { return &s.Profiles }),
		mappings("permission_sets", func(s *Source) *[]Mapping { return &s.PermissionSets }),
		mappings("groups", func(s *Source) *[]Mapping { return &s.Groups }),
		duration("interval", "1h", 5*time.Minute, 30*day, func(s *Source) *time.Duration { return &s.Interval }),
		number("page_size", "500", 10, 5000, func(s *Source) *int { return &s.PageSize }),
		number("max_removed", "20", 1, 100, func(s *Source) *int { return &s.MaxRemoved }),
		key[Source]{"state", "active", stateOf, setState},
	)
}

func stateOf(s *Source) string {
	if s.Paused {
		return "paused"
	}
	return ""
}

func setState(s *Source, value string) error {
	if value != "" && value != "active" && value != "paused" {
		return refuse("state is active or paused, not %.40q", value)
	}
	s.Paused = value == "paused"
	return nil
}

// checkLDAPURL takes a server alone: what is looked for has settings of its own.
func checkLDAPURL(value string) error {
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "ldaps" && u.Scheme != "ldap" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return refuse("url is written like ldaps://ldap.example.org or ldap://ldap.example.org:389, not %.80q", value)
	}
	return nil
}

func setCA(s *Source, value string) error {
	value = strings.TrimSpace(strings.ReplaceAll(value, "\r\n", "\n"))
	if value != "" {
		if len(value) > 64<<10 {
			return refuse("ca is larger than 64 KiB")
		}
		if err := checkCA(value); err != nil {
			return err
		}
	}
	s.CA = value
	return nil
}

func checkDN(name string) func(string) error {
	return func(value string) error {
		if _, err := ldap.ParseDN(value); err != nil {
			return refuse("%s is a distinguished name such as ou=people,dc=example,dc=org, not %.80q", name, value)
		}
		return nil
	}
}

func checkUserFilter(value string) error {
	if !strings.Contains(value, namePlace) {
		return refuse("user_filter holds {name}, where the user name is put, as in (uid={name})")
	}
	return checkFilter(strings.ReplaceAll(value, namePlace, "*"))
}

func checkFilter(value string) error {
	if _, err := ldap.CompileFilter(value); err != nil {
		return refuse("This is no LDAP filter (RFC 4515): %.200q", value)
	}
	return nil
}

var attributeForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,59}$`)

func checkAttribute(value string) error {
	if !attributeForm.MatchString(value) {
		return refuse("%.60q is no name of an LDAP attribute", value)
	}
	return nil
}

func fieldKey(name string) key[Source] {
	get := func(s *Source) string { return s.Fields[name] }
	return key[Source]{"field." + name, "", get, func(s *Source, value string) error {
		if value != "" {
			if err := checkAttribute(value); err != nil {
				return err
			}
		}
		fields := map[string]string{}
		for k, v := range s.Fields {
			fields[k] = v
		}
		if fields[name] = value; value == "" {
			delete(fields, name)
		}
		s.Fields = fields
		return nil
	}}
}

// splitPairs reads a list of LEFT=RIGHT, by commas or as a JSON array; what is left may hold "=", as DNs do.
func splitPairs(value string) ([][2]string, error) {
	var items []string
	if strings.HasPrefix(value, "[") {
		if err := json.Unmarshal([]byte(value), &items); err != nil {
			return nil, refuse("This is no JSON array of texts: %.80q", value)
		}
	} else if value != "" {
		items = strings.Split(value, ",")
	}
	if len(items) > maxMappings {
		return nil, refuse("There may be at most %d pairs", maxMappings)
	}
	var pairs [][2]string
	for _, item := range items {
		at := strings.LastIndexByte(item, '=')
		if at < 1 || at == len(item)-1 || len(item) > 1000 {
			return nil, refuse("%.80q is no pair such as LEFT=RIGHT", item)
		}
		pairs = append(pairs, [2]string{strings.TrimSpace(item[:at]), strings.TrimSpace(item[at+1:])})
	}
	return pairs, nil
}

func joinPairs(items []string) string {
	if !slices.ContainsFunc(items, func(one string) bool { return strings.ContainsAny(one, ",[") }) {
		return strings.Join(items, ",")
	}
	raw, err := json.Marshal(items)
	if err != nil {
		return ""
	}
	return string(raw)
}

func formatPairs(pairs map[string]string) string {
	var items []string
	for name, attribute := range pairs {
		items = append(items, name+"="+attribute)
	}
	slices.Sort(items)
	return joinPairs(items)
}

func setExtra(s *Source, value string) error {
	pairs, err := splitPairs(value)
	if err != nil {
		return err
	}
	extra := map[string]string{}
	for _, pair := range pairs {
		if err := checkAttribute(pair[1]); err != nil {
			return err
		}
		if err := checkAttributes(map[string][]string{pair[0]: nil}); err != nil {
			return err
		}
		extra[pair[0]] = pair[1]
	}
	s.Extra = extra
	return nil
}

// mappings is a list of GROUP=ID.
func mappings(name string, at func(*Source) *[]Mapping) key[Source] {
	get := func(s *Source) string { return FormatMappings(*at(s), func(id string) string { return id }) }
	return key[Source]{name, "", get, func(s *Source, value string) error {
		list, err := ParseMappings(value, func(id string) (string, error) { return id, nil })
		*at(s) = list
		return err
	}}
}

// ParseMappings reads a list of GROUP=NAME, of which resolve makes ids.
func ParseMappings(value string, resolve func(string) (string, error)) ([]Mapping, error) {
	pairs, err := splitPairs(value)
	if err != nil {
		return nil, err
	}
	var list []Mapping
	for _, pair := range pairs {
		id, err := resolve(pair[1])
		if err != nil {
			return nil, err
		}
		list = append(list, Mapping{pair[0], id})
	}
	return list, nil
}

// FormatMappings writes the list in the form that ParseMappings reads.
func FormatMappings(list []Mapping, name func(id string) string) string {
	var items []string
	for _, m := range list {
		items = append(items, m.Group+"="+name(m.ID))
	}
	return joinPairs(items)
}
