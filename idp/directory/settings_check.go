package directory

import (
	"net/mail"
	"net/url"
	"regexp"
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
