package templates

import (
	"io"
	"strings"
)

func directorySets() []FieldSet {
	return []FieldSet{
		{"Server", []FormField{{Name: "url", Label: "Address", Value: "ldaps://ldap.example.org", Required: true, Hint: "Hint."}, {Name: "ca", Label: "Authority", Rows: 4, Value: "</textarea>"}}},
		{"People", []FormField{{Name: "state", Label: "State", Options: []Option{{Value: "active"}, {Value: "paused"}}, Value: "paused"}, {Name: "filter", Label: "Filter", Placeholder: "(uid={name})", Mono: true}}},
	}
}

func directorySamples() []sample {
	list, one := shell("Directories", SectionDirectories), shell("corp", SectionDirectories)
	form := DirectoryForm{Action: "/a", New: true, Sets: directorySets()}
	bad := form
	bad.Kind, bad.Errors = "ad", Errors{{"url", "Write it like ldaps://ldap.example.org."}, {"bind_password", "Give it."}}
	rows := []DirectoryRow{{Name: "corp", Href: "/admin/sources/corp", Kind: "LDAP", URL: "ldaps://ldap.example.org", People: "1,000 or more", Good: moment, State: "active"},
		{Name: "old", Href: "/o", Kind: "Active Directory", URL: "ldaps://" + strings.Repeat("long", 40) + ".example", People: "0", State: "failed", Error: "It did not answer in time."}}
	facts := []Fact{{Label: "Kind", Text: "LDAP"}, {Label: "Last good", Time: moment}}
	importing := ImportPage{Shell: shell("Import users", SectionUsers), Action: "/a", Cancel: "/c", Columns: []string{"name", "email", "attributes.NAME"}}
	preview, refused := importing, importing
	preview.CSV, preview.Facts = "name\nada</textarea>", []Fact{{Label: "Added", Text: "2"}}
	preview.Rows = []ImportRow{{2, "ada", "ada@example.org", "add", "email"}, {3, longName, "", "disable", "disabled"}}
	refused.Errors = Errors{{"file", "Line 7: there is no group \"<b>\"."}}
	done := preview
	done.Done, done.Rows = true, nil
	return []sample{
		{"directories", func(w io.Writer) error { return Directories(w, DirectoriesPage{Shell: list, Rows: rows, Form: form}) }},
		{"directories_errors", func(w io.Writer) error { return Directories(w, DirectoriesPage{Shell: list, Form: bad}) }},
		{"directories_empty", func(w io.Writer) error { return Directories(w, DirectoriesPage{Shell: list}) }},
		{"directory", func(w io.Writer) error {
			set := form
			set.New, set.HasPassword = false, true
			return Directory(w, DirectoryPage{Shell: one, Name: "corp", Facts: facts, Warnings: []Warning{{Kind: "warn", Text: "It fails."}}, Reasons: []string{"uid=<b>: taken."}, Form: set,
				TestAction: "/t", Tested: "mia", Found: facts, SyncAction: "/s", Report: facts, Gone: []string{"pia", longName}, CanForce: true, RemoveAction: "/r"})
		}},
		{"directory_read_only", func(w io.Writer) error {
			return Directory(w, DirectoryPage{Shell: one, Name: "corp", Facts: facts})
		}},
		{"import", func(w io.Writer) error { return Import(w, importing) }},
		{"import_preview", func(w io.Writer) error { return Import(w, preview) }},
		{"import_refused", func(w io.Writer) error { return Import(w, refused) }},
		{"import_done", func(w io.Writer) error { return Import(w, done) }},
	}
}
