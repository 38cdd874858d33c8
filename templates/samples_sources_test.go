package templates

import (
	"io"
	"strings"
)

func sourceForm() SourceForm {
	return SourceForm{Action: "/a", Kind: "aggregate", URL: "https://md.example.org/all.xml", Apply: []Option{{Value: "review"}, {Value: "automatic"}}, Applies: "review"}
}

func sourceSamples() []sample {
	list, one := shell("Metadata sources", SectionSources), shell("edugain", SectionSources)
	form, bad := sourceForm(), sourceForm()
	form.State, form.States, form.MaxValidity, form.Refresh, form.Name = "active", []Option{{Value: "active"}, {Value: "paused"}}, "30d", "metadata", "edugain"
	bad.Kind, bad.Keys, bad.Errors = "mdq", "</textarea>", Errors{{"keys", "Give the certificate."}, {"name", "Must be lower-case."}}
	rows := []SourceRow{{Name: "edugain", Href: "/admin/metadata-sources/edugain", Kind: "Aggregate", URL: "https://md.example.org/all.xml", Providers: 20_000, Apps: 12, Good: moment, State: "active"},
		{Name: "partner", Href: "/p", Kind: "MDQ server", URL: "https://" + strings.Repeat("long", 40) + ".example", State: "failed", Error: "md.example.org did not answer within 5 seconds."}}
	entities := []EntityRow{{"Library", "https://library.example.org/sp", ""}, {longName, "https://" + strings.Repeat("x", 200), ""}, {"Wiki", "https://wiki.example.org/sp", "/admin/apps/app_1"}}
	follow := FollowPart{Facts: []Fact{{Label: "Source", Text: "edugain"}, {Label: "Last good", Time: moment}}, Warning: "The source no longer has it.", Since: moment,
		Diff: []DiffRow{{"acs", "", "https://library.example.org/acs by HTTP-POST"}, {"key", "signing, SHA-256 00", ""}}, RefreshAction: "/r", ApproveAction: "/y", DismissAction: "/n"}
	return []sample{
		{"sources", func(w io.Writer) error { return Sources(w, SourcesPage{Shell: list, Rows: rows, Form: sourceForm()}) }},
		{"sources_errors", func(w io.Writer) error { return Sources(w, SourcesPage{Shell: list, Form: bad}) }},
		{"sources_empty", func(w io.Writer) error { return Sources(w, SourcesPage{Shell: list}) }},
		{"source", func(w io.Writer) error {
			return Source(w, SourcePage{Shell: one, Name: "edugain", Facts: follow.Facts, Warnings: []Warning{{Kind: "warn", Text: "It fails."}}, Reasons: []string{"line 7: <b>"}, Form: form, RefreshAction: "/r",
				RemoveAction: "/x", Entities: entities, ConnectAction: "/c", Pager: Pager{NextHref: "?after=x"}})
		}},
		{"source_mdq", func(w io.Writer) error {
			mdq := form
			mdq.Kind, mdq.OnDemand, mdq.OnDemands = "mdq", "true", []Option{{Value: "false", Label: "No"}, {Value: "true", Label: "Yes"}}
			return Source(w, SourcePage{Shell: one, Name: "edugain", Facts: follow.Facts, Form: mdq, InUse: true, Query: "zz", ConnectAction: "/c"})
		}},
		{"source_read_only", func(w io.Writer) error {
			return Source(w, SourcePage{Shell: one, Name: "edugain", Facts: follow.Facts})
		}},
		{"app_metadata_follow", func(w io.Writer) error {
			return AppMetadata(w, AppMetadataPage{Shell: one, App: AppHead{ID: "app_1", Name: "Library", State: "active", Base: "/admin/apps/app_1"}, Facts: follow.Facts, Follow: follow})
		}},
	}
}
