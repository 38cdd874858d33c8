package directory

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"
)

// Person is what a source says about somebody. Groups are names and DNs, as mappings call them, folded.
type Person struct {
	ID, DN                                       string
	Name, Email, GivenName, Surname, DisplayName string
	Attributes                                   map[string][]string
	Groups                                       []string
}

// binaryID opens an id that is no text, as objectGUID is none; its octets follow in hexadecimal.
const binaryID = "hex:"

func encodeID(raw []byte) string {
	if utf8.Valid(raw) && len(raw) > 0 && !slices.ContainsFunc([]rune(string(raw)), unfitInXML) && !strings.HasPrefix(string(raw), binaryID) {
		return string(raw)
	}
	return binaryID + hex.EncodeToString(raw)
}

// idFilter looks for the entry of an id.
func (s *Source) idFilter(id string) string {
	value := ldap.EscapeFilter(id)
	if digits, ok := strings.CutPrefix(id, binaryID); ok {
		raw, err := hex.DecodeString(digits)
		if err == nil {
			var b strings.Builder
			for _, octet := range raw {
				fmt.Fprintf(&b, `\%02x`, octet)
			}
			value = b.String()
		}
	}
	return "(&" + s.allFilter() + "(" + s.field("id") + "=" + value + "))"
}

// nameFilter looks for who a person says to be. Whatever was typed is a value in it and nothing else (RFC 4515, section 3).
func (s *Source) nameFilter(name string) string {
	return strings.ReplaceAll(s.filter(), namePlace, ldap.EscapeFilter(name))
}

func (s *Source) allFilter() string { return strings.ReplaceAll(s.filter(), namePlace, "*") }

// wanted are the attributes that are read.
func (s *Source) wanted() []string {
	names := []string{}
	for field := range s.fieldDefaults() {
		names = append(names, s.field(field))
	}
	for _, name := range s.Extra {
		names = append(names, name)
	}
	if name := s.memberOf(); name != "" {
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (s *Source) search(base, filter string, limit int, attributes []string) *ldap.SearchRequest {
	return ldap.NewSearchRequest(base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, limit, int(searchTime.Seconds()), false, filter, attributes, nil)
}

// person reads an entry; its groups are those that it names itself.
func (s *Source) person(entry *ldap.Entry) (*Person, error) {
	one := func(field string) string { return strings.TrimSpace(entry.GetEqualFoldAttributeValue(s.field(field))) }
	p := &Person{
		ID: encodeID(entry.GetEqualFoldRawAttributeValue(s.field("id"))), DN: entry.DN, Name: one("name"), Email: one("email"),
		GivenName: one("given_name"), Surname: one("surname"), DisplayName: one("display_name"),
	}
	if len(entry.GetEqualFoldRawAttributeValue(s.field("id"))) == 0 {
		return p, refuse("%.200q has no %s, by which it would be known again", entry.DN, s.field("id"))
	}
	if p.Name == "" {
		return p, refuse("%.200q has no %s, which is the user name", entry.DN, s.field("name"))
	}
	for name, attribute := range s.Extra {
		if values := entry.GetEqualFoldAttributeValues(attribute); len(values) > 0 {
			if p.Attributes == nil {
				p.Attributes = map[string][]string{}
			}
			p.Attributes[name] = values
		}
	}
	if name := s.memberOf(); name != "" {
		for _, dn := range entry.GetEqualFoldAttributeValues(name) {
			p.Groups = append(p.Groups, groupKeys(dn, firstValue(dn))...)
		}
	}
	return p, nil
}

// groupKeys are what mappings may call a group.
func groupKeys(dn, name string) []string { return []string{Normalise(name), foldDN(dn)} }

// foldDN is the same for spellings of one distinguished name.
func foldDN(dn string) string {
	parsed, err := ldap.ParseDN(dn)
	if err != nil {
		return strings.ToLower(dn)
	}
	return strings.ToLower(parsed.String())
}

func firstValue(dn string) string {
	parsed, err := ldap.ParseDN(dn)
	if err != nil || len(parsed.RDNs) == 0 || len(parsed.RDNs[0].Attributes) == 0 {
		return dn
	}
	return parsed.RDNs[0].Attributes[0].Value
}

// errSeveral says that a name stands for several entries: nobody could say who is meant.
var errSeveral = errors.New("several entries match")

// find looks for one person, with groups; nil: there is none.
func (k *link) find(filter string) (*Person, error) {
	s := k.source
	result, err := k.conn.Search(s.search(s.BaseDN, filter, 2, s.wanted()))
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded), err == nil && len(result.Entries) > 1:
		return nil, errSeveral
	case err != nil:
		return nil, s.worded("searching", err)
	case len(result.Entries) == 0:
		return nil, nil
	}
	p, err := s.person(result.Entries[0])
	if err != nil || s.GroupBase == "" {
		return p, err
	}
	return p, k.addGroups(p)
}

// addGroups finds the groups that list a person.
func (k *link) addGroups(p *Person) error {
	s := k.source
	filter := "(&" + s.groupFilter() + "(" + s.groupMember() + "=" + ldap.EscapeFilter(s.memberValue(p)) + "))"
	result, err := k.conn.Search(s.search(s.GroupBase, filter, 0, []string{s.groupName()}))
	if err != nil {
		return s.worded("reading the groups of", err)
	}
	for _, entry := range result.Entries {
		p.Groups = append(p.Groups, groupKeys(entry.DN, entry.GetEqualFoldAttributeValue(s.groupName()))...)
	}
	return nil
}

// memberValue is how a group lists a person: by DN, or by user name (RFC 2307, memberUid).
func (s *Source) memberValue(p *Person) string {
	if strings.EqualFold(s.groupMember(), "memberUid") {
		return p.Name
	}
	return p.DN
}

// right tells whether a password is the person's. An empty one is never sent: servers answer it with success, for it asks for no
// authentication at all (RFC 4513, section 5.1.2).
func (k *link) right(p *Person, password string) (bool, error) {
	if password == "" || p.DN == "" {
		return false, nil
	}
	err := k.conn.Bind(p.DN, password)
	var answered *ldap.Error
	switch {
	case err == nil:
		return true, nil
	case ldap.IsErrorAnyOf(err, ldap.LDAPResultBusy, ldap.LDAPResultUnavailable, ldap.LDAPResultTimeLimitExceeded):
		return false, k.source.worded("checking a password at", err)
	case errors.As(err, &answered) && answered.ResultCode < ldap.ErrorNetwork:
		return false, nil // wrong, expired, locked there: it answered, and not with yes
	}
	return false, k.source.worded("checking a password at", err)
}

// pages reads all that a filter matches, page by page (RFC 2696). Whatever is missing at the end is an error.
func (k *link) pages(base, filter string, attributes []string, each func(*ldap.Entry) error) error {
	paging := ldap.NewControlPaging(uint32(k.source.pageSize()))
	for {
		request := k.source.search(base, filter, 0, attributes)
		request.Controls = []ldap.Control{paging}
		result, err := k.conn.Search(request)
		if err != nil {
			return k.source.worded("reading all of", err)
		}
		for _, entry := range result.Entries {
			if err := each(entry); err != nil {
				return err
			}
		}
		answer, paged := ldap.FindControl(result.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging)
		if !paged || len(answer.Cookie) == 0 {
			return nil
		}
		paging.SetCookie(answer.Cookie)
	}
}

// all reads every person, with groups. Left are the reasons why entries are no people.
func (k *link) all() (people []*Person, left []string, err error) {
	s := k.source
	err = k.pages(s.BaseDN, s.allFilter(), s.wanted(), func(entry *ldap.Entry) error {
		p, err := s.person(entry)
		if err != nil {
			left = append(left, sentenceOf(err))
			return nil
		}
		if people = append(people, p); len(people) > maxPerson {
			return &SourceError{Source: s.Name, Text: fmt.Sprintf("The search found more than %d people: set a narrower base_dn or user_filter.", maxPerson)}
		}
		return nil
	})
	if err != nil || s.GroupBase == "" {
		return people, left, err
	}
	return people, left, k.allGroups(people)
}

// allGroups reads the groups once, and gives them to their people.
func (k *link) allGroups(people []*Person) error {
	s := k.source
	by := make(map[string]*Person, len(people))
	for _, p := range people {
		by[foldMember(s, s.memberValue(p))] = p
	}
	filter := "(&" + s.groupFilter() + "(" + s.groupMember() + "=*))"
	return k.pages(s.GroupBase, filter, []string{s.groupName(), s.groupMember()}, func(entry *ldap.Entry) error {
		keys := groupKeys(entry.DN, entry.GetEqualFoldAttributeValue(s.groupName()))
		for _, attribute := range entry.Attributes {
			if strings.Contains(strings.ToLower(attribute.Name), ";range=") {
				return &SourceError{Source: s.Name, Text: fmt.Sprintf("The server tells only a part of the members of %q: leave group_base empty and set member_of=memberOf.", entry.DN)}
			}
		}
		for _, member := range entry.GetEqualFoldAttributeValues(s.groupMember()) {
			if p := by[foldMember(s, member)]; p != nil {
				p.Groups = append(p.Groups, keys...)
			}
		}
		return nil
	})
}

func foldMember(s *Source, value string) string {
	if strings.EqualFold(s.groupMember(), "memberUid") {
		return Normalise(value)
	}
	return foldDN(value)
}

func sentenceOf(err error) string { return strings.TrimSuffix(err.Error(), ".") + "." }
