package templates

import "io"

// UpstreamRow is one upstream in the list. State is "active", "off", "failed" or "expired".
type UpstreamRow struct {
	Title, Name, Href string
	EntityID          string
	Keys              int
	Warning           string
	State             string
}

// UpstreamForm are the fields that an upstream is added and changed with: `name` and, for its metadata, `metadata_url` or `metadata`;
// the others are named like its settings. Values are by the name of the field, Options those of selects.
type UpstreamForm struct {
	Action  string // empty: no right to change
	Values  map[string]string
	Options map[string][]Option
	Errors  Errors
}

// UpstreamsPage lists the upstreams and adds one. OurMetadata is the address that the other side needs.
type UpstreamsPage struct {
	Shell
	Rows        []UpstreamRow
	OurMetadata string
	Form        UpstreamForm
}

// Upstreams writes the list of upstreams.
func Upstreams(w io.Writer, p UpstreamsPage) error { return render(w, "upstreams", p) }

// UpstreamPage is one upstream. The actions beside the form's post nothing; empty ones are not offered. Checks are what a test found.
type UpstreamPage struct {
	Shell
	Title, Name   string
	Facts         []Fact
	Warnings      []Warning
	Checks        []Warning
	Form          UpstreamForm
	RefreshAction string
	TestAction    string
	RemoveAction  string
}

// Upstream writes the page of an upstream.
func Upstream(w io.Writer, p UpstreamPage) error { return render(w, "upstream", p) }
