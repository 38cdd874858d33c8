package templates

import (
	"io"
	"strings"
)

func scopeSamples() []sample {
	rows := []ScopeRow{{Name: "orders.read", Description: "See your orders", Listed: true, Apps: []Link{{"Order status", "/admin/apps/app_1"}, {longName, "/admin/apps/app_2"}}},
		{Name: strings.Repeat("long_scope_", 9), Description: "Place <orders> in your name"}}
	return []sample{
		{"scopes", func(w io.Writer) error {
			return Scopes(w, ScopesPage{Shell: shell("Scopes", SectionScopes), Rows: rows, AddAction: "/a", SetAction: "/s", RemoveAction: "/r"})
		}},
		{"scopes_errors", func(w io.Writer) error {
			return Scopes(w, ScopesPage{Shell: shell("Scopes", SectionScopes), Added: ScopeRow{Name: "1x", Description: "x", Listed: true}, AddAction: "/a", Errors: Errors{{"name", "It must begin with a letter."}, {"description", "It is taken."}}})
		}},
	}
}
