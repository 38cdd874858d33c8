package templates

import (
	"io"
	"strings"
)

func scopeSamples() []sample {
	rows := []ScopeRow{{Name: "orders.read", Description: "See your orders", Listed: true, Apps: []Link{{"Order status", "/admin/apps/app_1"}, {longName, "/admin/apps/app_2"}}},
		{Name: strings.Repeat("long_scope_", 9), Description: "Place <orders> in your name"}}
	clients := Clients{Action: "/t", Made: moment, Token: "gir_" + strings.Repeat("x", 70), Endpoint: "https://id.brightwater.example/oauth/register", AllHref: "/all", Count: 2,
		Rows: []AppRow{{Name: longName, Href: "/c", EntityID: "abcdefghijklmnopqrstuvwxyz", State: "active", Changed: moment}, {Name: "Partner", Href: "/d", EntityID: "b", State: "pending", Changed: moment}}}
	return []sample{
		{"app_gateway", func(w io.Writer) error {
			return App(w, AppPage{Shell: shell("API gateway", SectionApps), App: benefits, Facts: idpFacts(), OAuth: idpFacts()[:1], Clients: &clients})
		}},
		{"app_gateway_new", func(w io.Writer) error {
			return App(w, AppPage{Shell: shell("API gateway", SectionApps), App: benefits, Clients: &Clients{Action: "/t", Endpoint: "https://id.example"}})
		}},
		{"apps_under", func(w io.Writer) error {
			return Apps(w, AppsPage{Shell: shell("Apps", SectionApps), Parent: "app_1", Apps: clients.Rows})
		}},
		{"scopes", func(w io.Writer) error {
			return Scopes(w, ScopesPage{Shell: shell("Scopes", SectionScopes), Rows: rows, AddAction: "/a", SetAction: "/s", RemoveAction: "/r"})
		}},
		{"scopes_errors", func(w io.Writer) error {
			return Scopes(w, ScopesPage{Shell: shell("Scopes", SectionScopes), Added: ScopeRow{Name: "1x", Description: "x", Listed: true}, AddAction: "/a", Errors: Errors{{"name", "It must begin with a letter."}, {"description", "It is taken."}}})
		}},
	}
}
