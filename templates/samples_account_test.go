package templates

import "io"

func accountSamples() []sample {
	typed := "<b>ana</b>@example.org"
	sent := shell("What you agreed to", SectionAccount)
	apps := []AccountApp{
		{ID: "app_1", Name: "Your Benefits", Opened: moment, Told: []string{"Your name", "Your e-mail address"}, Agreed: moment},
		{ID: "app_2", Name: longName, Opened: moment}, {ID: "app_3", Name: "Payroll", Until: moment}, {ID: "app_4", Name: "Lobby screen", Scopes: []string{"Know you by an identifier of your account", "Do all of this while you are away"}, Since: moment, Used: moment},
	}
	return []sample{
		{"signin_forgot", func(w io.Writer) error {
			return SignIn(w, SignInPage{Shell: outside("Sign in"), Action: "/login", Name: "ana", Remember: true, Forgot: "/forgot"})
		}},
		{"forgot", func(w io.Writer) error {
			return Forgot(w, ForgotPage{Shell: outside("Forgot your password?"), Action: "/forgot", Back: "/login", Name: typed, Error: "Too many tries."})
		}},
		{"forgot_sent", func(w io.Writer) error {
			return Forgot(w, ForgotPage{Shell: outside("Forgot your password?"), Action: "/forgot", Back: "/login", Name: typed, Sent: true})
		}},
		{"link", func(w io.Writer) error {
			return OneTimeLink(w, LinkPage{Shell: outside("Choose a new password"), Action: "/link", Key: "k", Purpose: "reset", Name: "ana", Expires: moment, Rules: "Long."})
		}},
		{"link_invite", func(w io.Writer) error {
			return OneTimeLink(w, LinkPage{Shell: outside("Welcome"), Action: "/link", Key: "k", Purpose: "invite", Name: "ana", Greeting: longName, Expires: moment,
				Errors: Errors{{"new", "The password is too short: use at least 8 characters."}}})
		}},
		{"link_setup", func(w io.Writer) error {
			return OneTimeLink(w, LinkPage{Shell: outside("Set up Gatehouse"), Action: "/link", Key: "k", Purpose: "setup", Name: typed, Email: typed, Expires: moment,
				Errors: Errors{{"name", "Choose a user name."}, {"repeat", "The two passwords are not the same."}}})
		}},
		{"account_apps", func(w io.Writer) error {
			return Account(w, AccountPage{Shell: shell("Your account", SectionAccount), Facts: userFacts(), Sessions: sessions(), EndAction: "/e", EndOthersAction: "/o",
				EndAllAction: "/a", Apps: apps, WithdrawAction: "/w", ConsentsHref: "/account/consents"})
		}},
		{"consents", func(w io.Writer) error {
			return Consents(w, ConsentsPage{Shell: sent, Rows: []ConsentRow{{longName, []string{"Your name"}, moment, false}, {"Wiki", nil, moment, true}}, Pager: Pager{NextHref: "?after=x"}})
		}},
		{"consents_none", func(w io.Writer) error { return Consents(w, ConsentsPage{Shell: sent}) }},
	}
}
