package templates

import (
	"io"
	"strings"
)

func upstreamSamples() []sample {
	list, one := shell("Sign-in elsewhere", SectionUpstreams), shell("Example University", SectionUpstreams)
	options := map[string][]Option{"match": {{Value: "email", Label: "Their e-mail address"}}, "state": {{Value: "on"}, {Value: "off"}}}
	form := UpstreamForm{Action: "/a", Options: options, Values: map[string]string{"label": "Example University", "domains": "example.org", "state": "on"}}
	bad := UpstreamForm{Action: "/a", Options: options, Values: map[string]string{"metadata": "</textarea>"}, Errors: Errors{{"metadata", "This cannot be used."}, {"name", "Must be lower-case."}}}
	rows := []UpstreamRow{{Title: "Example University", Name: "uni", Href: "/admin/upstreams/uni", EntityID: "https://uni.example.org/idp", Kind: "SAML", State: "active"},
		{Title: longName, Name: "partner", Href: "/p", EntityID: "https://" + strings.Repeat("long", 40) + ".example", Kind: "OpenID Connect", State: "failed", Warning: "Its metadata ended."}}
	facts := []Fact{{Label: "Entity ID", Text: "https://uni.example.org/idp", Kind: "code"}, {Label: "May sign with", Tags: []string{"sha256:00"}}, {Label: "Last good", Time: moment}}
	provider := form
	provider.OpenID, provider.Secret = true, true
	provider.Values = map[string]string{"issuer": "https://login.example.org", "client_id": "gatehouse", "label": "Example Login", "scopes": "profile,email"}
	badProvider := provider
	badProvider.Secret, badProvider.Errors = false, Errors{{"issuer", "It calls itself <other>."}, {"client_id", "Give it."}, {"client_secret", "Give it."}}
	ours := []Fact{{Label: "Redirect URI", Text: "https://id.example.org/login/upstream/NAME/callback", Kind: "code", Hint: "Also called callback URL."}, {Label: "Keys (JWKS)", Text: "https://id.example.org/oauth/jwks", Kind: "code"}}
	return []sample{
		{"upstreams_openid", func(w io.Writer) error {
			return Upstreams(w, UpstreamsPage{Shell: list, Rows: rows, Ours: ours, Form: badProvider})
		}},
		{"upstream_openid", func(w io.Writer) error {
			return Upstream(w, UpstreamPage{Shell: one, Title: "Example Login", Name: "login", Facts: facts, Ours: ours, Form: provider, TestAction: "/t", RefreshAction: "/r", RemoveAction: "/x"})
		}},
		{"upstreams", func(w io.Writer) error {
			return Upstreams(w, UpstreamsPage{Shell: list, Rows: rows, OurMetadata: "https://id.example.org/saml/sp-metadata", Form: form})
		}},
		{"upstreams_errors", func(w io.Writer) error { return Upstreams(w, UpstreamsPage{Shell: list, Form: bad}) }},
		{"upstreams_empty", func(w io.Writer) error { return Upstreams(w, UpstreamsPage{Shell: list}) }},
		{"upstream", func(w io.Writer) error {
			return Upstream(w, UpstreamPage{Shell: one, Title: "Example University", Name: "uni", Facts: facts, Form: form, TestAction: "/t", RefreshAction: "/r", RemoveAction: "/x",
				Warnings: []Warning{{Kind: "warn", Text: "Its certificate ends."}}, Checks: []Warning{{Kind: "ok", Text: "It answers.", Next: "Sign-in address"}, {Kind: "danger", Text: "It is <off>.", Next: "Settings"}}})
		}},
		{"upstream_errors", func(w io.Writer) error {
			bad.Errors = bad.Errors[:1]
			return Upstream(w, UpstreamPage{Shell: one, Title: longName, Name: "uni", Facts: facts, Form: bad, TestAction: "/t", RemoveAction: "/x"})
		}},
		{"upstream_read_only", func(w io.Writer) error {
			return Upstream(w, UpstreamPage{Shell: one, Title: "Example University", Name: "uni", Facts: facts})
		}},
	}
}
