package admin

import (
	"slices"

	"gatehouse/idp/api"
	"gatehouse/idp/directory"
	"gatehouse/sp"
)

// settingOption is one value, or item of a list, that a setting of the organisation can have, and what it does in words.
type settingOption struct{ value, words string }

// settingOptions are those of the organisation's settings that know a few values only.
var settingOptions = map[string][]settingOption{
	"signin.methods": {
		{directory.MethodPassword, "A password"}, {directory.MethodPasskey, "A passkey alone"}, {directory.MethodUpstream, "Another identity provider, where one is set up"},
	},
	"signin.mfa_enrolment": {
		{"self", "By people themselves, when an app asks or on their account page"}, {directory.EnrolByAdmin, "By an administrator, who gives them the first one"},
	},
	"oauth.legacy_methods": {
		{"none", "None"}, {directory.LegacyPassword, "Passwords: apps that list it may take people's passwords"},
	},
}

// withOptions adds to a setting the values that it knows.
func withOptions(s api.Setting) api.Setting {
	if s.Key == "oauth.disabled_grants" {
		all := sp.Settings()
		grants := all[slices.IndexFunc(all, func(one sp.Setting) bool { return one.Key == "oauth.grant_types" })]
		s.Kind, s.Words = string(sp.KindList), grants.Words
		s.Options = slices.DeleteFunc(slices.Clone(grants.Options), func(one string) bool { return one == sp.GrantPassword }) // oauth.legacy_methods allows that
		return s
	}
	known := settingOptions[s.Key]
	if len(known) == 0 {
		return s
	}
	s.Words = make(map[string]string, len(known))
	for _, one := range known {
		s.Options, s.Words[one.value] = append(s.Options, one.value), one.words
	}
	return s
}
