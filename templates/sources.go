package templates

import (
	"io"
	"time"
)

// SourceRow is one metadata source in the list.
type SourceRow struct {
	Name, Href string
	Kind       string // in words
	URL        string
	Providers  int
	Apps       int
	Good       time.Time // the last time that it was reached and right
	State      string    // "active", "paused", "failed" or "waiting"
	Error      string
}

// SourceForm are the fields that a source is added and changed with: `name`, `kind`, `url`, `keys`, `apply`, and of one that is
// there `max_validity`, `refresh` and `state`.
type SourceForm struct {
	Action      string // empty: no right to change
	Name        string
	Kind        string // "aggregate" or "mdq"
	URL         string
	Keys        string // as posted
	Apply       []Option
	Applies     string
	MaxValidity string
	Refresh     string
	OnDemand    string   // "true" or "false"
	OnDemands   []Option // empty: not of this kind
	States      []Option
	State       string
	Errors      Errors
}

// SourcesPage lists the metadata sources and adds one.
type SourcesPage struct {
	Shell
	Rows []SourceRow
	Form SourceForm
}

// Sources writes the list of metadata sources.
func Sources(w io.Writer, p SourcesPage) error { return render(w, "sources", p) }

// EntityRow is a service provider that a source knows. AppHref leads to the app that it is already.
type EntityRow struct{ Name, EntityID, AppHref string }

// SourcePage is one metadata source. RefreshAction and RemoveAction post nothing; ConnectAction posts `entity_id`; empty ones are
// not offered. The search is a GET of `q`.
type SourcePage struct {
	Shell
	Name          string
	Facts         []Fact
	Warnings      []Warning
	Reasons       []string // why service providers are left out
	Form          SourceForm
	RefreshAction string
	RemoveAction  string
	InUse         bool // apps follow it, so it cannot be removed
	Query         string
	Entities      []EntityRow
	ConnectAction string
	Pager         Pager
}

// Source writes the page of a metadata source.
func Source(w io.Writer, p SourcePage) error { return render(w, "source", p) }

// FollowPart is where an app's metadata comes from, and newer metadata that waits for an answer, which posts the version that is shown.
type FollowPart struct {
	Facts         []Fact // empty: it comes from nowhere that could be asked
	Warning       string
	Diff          []DiffRow
	Since         time.Time
	Version       string
	RefreshAction string
	ApproveAction string
	DismissAction string
}
