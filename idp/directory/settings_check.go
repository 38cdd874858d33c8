package directory

import (
	"maps"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

var colorForm = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)

func checkColor(value string) error {
	if !colorForm.MatchString(value) {
		return refuse("color is written like #1a2b3c, not %.40q", value)
	}
	return nil
}

// checkEntityID holds an entity id to an absolute URI (saml-core-2.0-os, 8.3.6); it is compared octet by octet everywhere.
func checkEntityID(value string) error {
	parsed, err := url.Parse(value)
	if err != nil || !parsed.IsAbs() || strings.ContainsAny(value, " \"<>") {
		return refuse("saml.entity_id is an absolute URI such as https://idp.example.com/saml/metadata, not %.80q", value)
	}
	return nil
}

func setLogoKey(s *Settings, value string) error {
	if value != "" {
		return refuse("logo is set from a picture file: logo=@FILE")
	}
	s.Logo = ""
	return nil
}

// checkHTTPS holds a value to an address that metadata may publish.
func checkHTTPS(name string) func(string) error {
	return func(value string) error {
		parsed, err := url.Parse(value)
		if err != nil || parsed.Scheme != "https" || parsed.Hostname() == "" || parsed.User != nil || strings.ContainsAny(value, " \"<>") {
			return refuse("%s is an https address such as https://www.example.org/about, not %.80q", name, value)
		}
		return nil
	}
}

func checkAddress(name string) func(string) error {
	return func(value string) error {
		address, err := mail.ParseAddress(value)
		if err != nil || address.Name != "" || address.Address != value {
			return refuse("%s is an e-mail address such as security@example.org, not %.80q", name, value)
		}
		return nil
	}
}

// maxContexts bounds how many authentication context classes an organisation may have of its own.
const maxContexts = 20

// contexts is a list of URI=WORD: what a class of the organisation's own stands for.
func contexts(name string, at func(*Settings) *map[string]string) key[Settings] {
	words := []string{"low", "standard", "high", "password", "totp", "passkey"}
	get := func(s *Settings) string {
		var list []string
		for _, uri := range slices.Sorted(maps.Keys(*at(s))) {
			list = append(list, uri+"="+(*at(s))[uri])
		}
		return strings.Join(list, ",")
	}
	return key[Settings]{name, "", get, func(s *Settings, value string) error {
		found := map[string]string{}
		for one := range strings.SplitSeq(value, ",") {
			i := strings.LastIndex(one, "=")
			if value == "" {
				break
			}
			if i < 1 || !slices.Contains(words, one[i+1:]) || len(one) > 300 {
				return refuse("%s lists URI=WORD, where WORD is one of %s, and %.80q is none", name, strings.Join(words, ", "), one)
			}
			uri, err := url.Parse(one[:i])
			if err != nil || !uri.IsAbs() || strings.ContainsAny(one, " \"<>") || strings.HasPrefix(one, "urn:oasis:") || strings.HasPrefix(one, "https://refeds.org/") {
				return refuse("%s names classes of your own by absolute URIs, and %.80q is none", name, one[:i])
			}
			found[one[:i]] = one[i+1:]
		}
		if len(found) > maxContexts {
			return refuse("%s lists %d classes at most", name, maxContexts)
		}
		*at(s) = found
		return nil
	}}
}
