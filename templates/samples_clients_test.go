package templates

import (
	"io"
	"strings"
)

func clientSamples() []sample {
	scopes := []Choice{{ID: "openid", Name: "openid: sign people in", Checked: true}, {ID: "orders.read", Name: "orders.read: See <your> orders"}}
	kinds := []KindLink{{Label: "SAML app", Hint: "Has metadata.", Href: "/n"}, {Label: "Web app", Hint: "Keeps a secret.", Href: "/n?kind=web", Here: true}}
	head := benefits
	head.SAML, head.OAuth = true, true
	form := func(kind string) *ClientForm {
		return &ClientForm{Kind: kind, RedirectURIs: "http://x\n</textarea>", LoginURI: "https://x", Installed: true, RunAs: "ada", Approval: true, Scopes: scopes}
	}
	add := func(kind string, errs Errors) sample {
		return sample{"app_new_" + kind, func(w io.Writer) error {
			client := form(kind)
			client.Errors = errs
			return AppNew(w, AppNewPage{Shell: shell("Add an app", SectionApps), Kinds: kinds, Client: client, MetadataForm: MetadataForm{Action: "/n", Errors: errs}, Cancel: "/admin/apps"})
		}}
	}
	secrets := []SecretRow{{ID: "sec_2", Created: moment}, {ID: "sec_1", Created: moment, Used: moment}}
	held := []HoldingRow{{ID: "usr_1", Name: "ana", Href: "/u", Count: 2, Scopes: []string{"openid", "email"}, Offline: true, Since: moment, Used: moment}, {ID: "usr_2", Name: longName, Count: 1, Since: moment}}
	return []sample{
		{"app_tokens", func(w io.Writer) error {
			return AppTokens(w, AppTokensPage{Shell: shell("Your Benefits", SectionApps), App: head, Rows: held, Pager: Pager{FirstHref: "?", NextHref: "?b"}, RevokeAction: "/r", RevokeAllAction: "/a"})
		}},
		{"app_tokens_none", func(w io.Writer) error {
			return AppTokens(w, AppTokensPage{Shell: shell("Your Benefits", SectionApps), App: head, User: "<b>", Errors: Errors{{"user", "There is no user <b>."}}})
		}},
		{"user_tokens", func(w io.Writer) error {
			return User(w, UserPage{Shell: shell("Ana", SectionUsers), UserForm: UserForm{Name: "ana"}, Holdings: held, HoldingsMore: true, RevokeAction: "/r"})
		}},
		add(ClientWeb, Errors{{"redirect_uris", "“Redirect URIs” “x” must begin with https://."}, {"name", "Name it."}, {"scopes", "No."}}),
		add(ClientPublic, nil), add(ClientService, Errors{{"run_as", "There is no user x."}}), add(ClientGateway, nil),
		{"app_client", func(w io.Writer) error {
			return AppClient(w, AppClientPage{Shell: shell("Your Benefits", SectionApps), App: benefits, Kinds: kinds, Client: *form(ClientWeb), Action: "/c"})
		}},
		{"app_saml", func(w io.Writer) error {
			return AppSAML(w, AppSAMLPage{Shell: shell("Your Benefits", SectionApps), App: head, MetadataForm: MetadataForm{Action: "/s", Source: "paste", Pasted: "</textarea>", Errors: Errors{{"metadata", "No."}}}})
		}},
		{"app_credentials_lent", func(w io.Writer) error {
			return AppCredentials(w, AppCredentialsPage{Shell: shell("Your Benefits", SectionApps), App: head, Client: idpFacts(), HasSecret: true, Secrets: secrets, RotateAction: "/r", EndAction: "/e", Lent: moment, ReplaceAction: "/l"})
		}},
		{"app_credentials", func(w io.Writer) error {
			return AppCredentials(w, AppCredentialsPage{Shell: shell("Your Benefits", SectionApps), App: head, Secret: strings.Repeat("x", 43), IsNew: true, Here: "/h", Client: idpFacts(), Endpoints: idpFacts(), HasSecret: true, Secrets: secrets, Proof: idpFacts()[:1], Settings: idpFacts(), SettingsHref: "/s", RotateAction: "/r", EndAction: "/e"})
		}},
		{"app_credentials_public", func(w io.Writer) error {
			return AppCredentials(w, AppCredentialsPage{Shell: shell("Your Benefits", SectionApps), App: head, IsNew: true, Client: idpFacts()})
		}},
	}
}
