package templates

import (
	"io"
	"time"
)

// DirectoryRow is one directory source in the list.
type DirectoryRow struct {
	Name, Href string
	Kind       string // in words
	URL        string
	People     string // "1,000 or more"
	Good       time.Time
	State      string // "active", "paused", "failed" or "waiting"
	Error      string
}

// FormField is one field of a form that is made of a list of keys.
type FormField struct {
	Name, Label, Hint, Value, Placeholder string
	Mono                                  bool
	Rows                                  int      // more than none: several lines
	Options                               []Option // a choice
	Required                              bool
}

// FieldSet are fields under a heading.
type FieldSet struct {
	Title  string
	Fields []FormField
}

// DirectoryForm are the fields of a directory source: `name` and `kind` of a new one, `bind_password`, and the keys of its settings.
type DirectoryForm struct {
	Action      string // empty: no right to change
	New         bool
	Name        string
	Kind        string // "ldap" or "ad"
	HasPassword bool
	Sets        []FieldSet
	Errors      Errors
}

// DirectoriesPage lists the directory sources and adds one.
type DirectoriesPage struct {
	Shell
	Rows []DirectoryRow
	Form DirectoryForm
}

// Directories writes the list of directory sources.
func Directories(w io.Writer, p DirectoriesPage) error { return render(w, "directories", p) }

// DirectoryPage is one directory source. TestAction posts `user`; SyncAction posts `dry_run` or `force`; RemoveAction nothing; empty
// ones are not offered. Found and Report are the answers to what was posted.
type DirectoryPage struct {
	Shell
	Name         string
	Facts        []Fact
	Warnings     []Warning
	Reasons      []string // why entries are left out
	Form         DirectoryForm
	TestAction   string
	Tested       string // the user name that was asked for
	Found        []Fact
	SyncAction   string
	Report       []Fact
	Gone         []string
	CanForce     bool
	RemoveAction string
}

// Directory writes the page of a directory source.
func Directory(w io.Writer, p DirectoryPage) error { return render(w, "directory", p) }

// ImportRow is one person of a preview.
type ImportRow struct {
	Line                      int
	Name, Email, Action, Keys string
}

// ImportPage takes a CSV file of people: Action posts `file`, and after a preview `csv` with `import`.
type ImportPage struct {
	Shell
	Action  string
	Columns []string
	CSV     string // that was previewed and may be imported
	Facts   []Fact // what would change, or did
	Rows    []ImportRow
	Done    bool
	Cancel  string
	Errors  Errors
}

// Import writes the page that imports people.
func Import(w io.Writer, p ImportPage) error { return render(w, "import", p) }
