package directory

import (
	"encoding/json"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Discovery is what the organisation says of itself in its SAML metadata, for federations and discovery services.
type Discovery struct {
	Categories []string `json:"categories,omitempty"` // entity categories that it belongs to
	Supported  []string `json:"supported,omitempty"`  // entity categories of apps that it releases attributes to
	Assurance  []string `json:"assurance,omitempty"`  // assurance profiles that it is certified for
	Networks   []string `json:"networks,omitempty"`   // CIDR blocks of its people (mdui:IPHint)
	Domains    []string `json:"domains,omitempty"`    // domains of its people (mdui:DomainHint)
	Places     []string `json:"places,omitempty"`     // geo: URIs of where it is (mdui:GeolocationHint)
}

// Equal tells whether two say the same.
func (d *Discovery) Equal(other *Discovery) bool {
	return slices.Equal(d.Categories, other.Categories) && slices.Equal(d.Supported, other.Supported) && slices.Equal(d.Assurance, other.Assurance) &&
		slices.Equal(d.Networks, other.Networks) && slices.Equal(d.Domains, other.Domains) && slices.Equal(d.Places, other.Places)
}

func discoveryKeys() []key[Settings] {
	return []key[Settings]{
		listed("saml.entity_categories", func(s *Settings) *[]string { return &s.Discovery.Categories }, entityCategory),
		listed("saml.supported_categories", func(s *Settings) *[]string { return &s.Discovery.Supported }, entityCategory),
		listed("saml.assurance_certifications", func(s *Settings) *[]string { return &s.Discovery.Assurance }, entityCategory),
		listed("saml.ip_hints", func(s *Settings) *[]string { return &s.Discovery.Networks }, networkHint),
		listed("saml.domain_hints", func(s *Settings) *[]string { return &s.Discovery.Domains }, domain),
		listed("saml.geolocation_hints", func(s *Settings) *[]string { return &s.Discovery.Places }, place),
	}
}

// maxListed bounds how many values such a list has: domains of scopes, categories, hints.
const maxListed = 20

// listed is a list whose values are brought into one form, or refused by what they should be: "lists domains such as example.org".
func listed(name string, at func(*Settings) *[]string, read func(string) (value, should string)) key[Settings] {
	get := func(s *Settings) string { return joined(*at(s)) }
	return key[Settings]{name, "", get, func(s *Settings, value string) error {
		var list []string
		for _, one := range split(value) {
			found, should := read(strings.TrimSpace(one))
			if should != "" || len(found) > 1024 {
				return refuse("%s lists %s, and %.80q is none", name, should, one)
			}
			if !slices.Contains(list, found) {
				list = append(list, found)
			}
		}
		if len(list) > maxListed {
			return refuse("%s lists %d values at most", name, maxListed)
		}
		*at(s) = list
		return nil
	}}
}

// split reads a list: separated by commas, or a JSON array.
func split(value string) []string {
	var list []string
	if strings.HasPrefix(value, "[") && json.Unmarshal([]byte(value), &list) == nil {
		return list
	}
	if value == "" {
		return nil
	}
	return strings.Split(value, ",")
}

// joined is the reverse of split: an array where a value has a comma of its own.
func joined(list []string) string {
	if slices.ContainsFunc(list, func(one string) bool { return strings.Contains(one, ",") }) {
		text, _ := json.Marshal(list) // strings always can
		return string(text)
	}
	return strings.Join(list, ",")
}

var domainForm = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)

// domain is in lower case, because scopes are compared octet by octet.
func domain(one string) (string, string) {
	if one = strings.ToLower(one); len(one) > 253 || !domainForm.MatchString(one) {
		return "", "domains such as example.org"
	}
	return one, ""
}

func entityCategory(one string) (string, string) {
	parsed, err := url.Parse(one)
	if err != nil || !parsed.IsAbs() || len(one) > 1024 || strings.ContainsAny(one, " \"<>") {
		return "", "absolute URIs such as http://refeds.org/category/research-and-scholarship"
	}
	return one, ""
}

func networkHint(one string) (string, string) {
	prefix, err := netip.ParsePrefix(one)
	if err != nil {
		return "", "networks such as 192.0.2.0/24"
	}
	return prefix.Masked().String(), ""
}

// geoForm is a geo URI (RFC 5870) of latitude and longitude, maybe with an altitude.
var geoForm = regexp.MustCompile(`^geo:-?\d{1,2}(\.\d+)?,-?\d{1,3}(\.\d+)?(,-?\d+(\.\d+)?)?$`)

func place(one string) (string, string) {
	if !geoForm.MatchString(one) {
		return "", `places in a JSON array such as ["geo:52.52,13.40"]`
	}
	return one, ""
}
