package templates

import "io"

func tokenSamples() []sample {
	here := shell("API tokens", SectionTokens)
	scopes := []Choice{{ID: "directory.read", Name: "directory.read", Hint: "read people and groups"}, {ID: "audit.read", Name: "audit.read", Checked: true}}
	rows := []TokenRow{
		{ID: "tok_1", Name: "hr-system", State: "active", Scopes: []string{"directory.read", "directory.write"}, Addresses: "192.0.2.0/24", Creator: "ada", Expires: moment, LastUsed: moment, LastFrom: "192.0.2.7"},
		{ID: "tok_2", Name: longName, State: "orphaned", Scopes: []string{"audit.read"}, Creator: longName, Expires: moment},
	}
	return []sample{
		{"tokens", func(w io.Writer) error {
			return Tokens(w, TokensPage{Shell: here, Rows: rows, SCIM: "https://id.example.org/scim/v2", Secret: "gha_secret", SecretOf: "hr-system", Scopes: scopes, Expires: "90d", AddAction: "/a", RevokeAction: "/r"})
		}},
		{"tokens_errors", func(w io.Writer) error {
			return Tokens(w, TokensPage{Shell: here, Name: "<b>", Scopes: scopes, Addresses: "</textarea>", AddAction: "/a", Errors: Errors{{"name", "Name it."}, {"scopes", "Choose one."}, {"expires", "Too long."}, {"addresses", "No range."}}})
		}},
	}
}
