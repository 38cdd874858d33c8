package directory

import (
	"slices"
	"strings"
)

// grantTypes are the ways to get OAuth tokens that an organisation can switch off (RFC 6749, 7523, 8628, 8693).
var grantTypes = []string{
	"authorization_code", "refresh_token", "client_credentials", "urn:ietf:params:oauth:grant-type:jwt-bearer",
	"urn:ietf:params:oauth:grant-type:device_code", "urn:ietf:params:oauth:grant-type:token-exchange",
}

// Grants tells whether apps may ask for tokens by a grant type here, if they may at all.
func (s *Settings) Grants(grantType string) bool {
	if grantType == LegacyPassword {
		return s.LegacyMethod == LegacyPassword
	}
	return !slices.Contains(s.GrantsOff, grantType)
}

// LegacyPassword lets apps ask people for their password and sign in with it (RFC 6749, 4.3; forbidden by RFC 9700, 2.4).
const LegacyPassword = "password"

func grantsOff(name string) key[Settings] {
	get := func(s *Settings) string { return strings.Join(s.GrantsOff, ",") }
	return key[Settings]{name, "none", get, func(s *Settings, value string) error {
		if value == "" || value == "none" {
			s.GrantsOff = nil
			return nil
		}
		chosen := strings.Split(value, ",")
		for i := range chosen {
			if chosen[i] = strings.TrimSpace(chosen[i]); !slices.Contains(grantTypes, chosen[i]) {
				return refuse("%s knows the grant types %s, not %.60q", name, strings.Join(grantTypes, ", "), chosen[i])
			}
		}
		slices.Sort(chosen)
		s.GrantsOff = slices.Compact(chosen)
		return nil
	}}
}
