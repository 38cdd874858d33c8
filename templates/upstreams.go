package templates

import "io"

// UpstreamRow is one upstream in the list. State is "active", "off", "failed" or "expired".
type UpstreamRow struct {
	Title, Name, Href string
	EntityID          string
	Kind              string // what it speaks
	Warning           string
	State             string
}

// UpstreamForm are the fields that an upstream is added and changed with: `name` and, for its metadata, `metadata_url` or `metadata`, or
// of an OpenID provider `kind`, `issuer` and `client_secret`; the others are named like its settings. Values are by the name of the field,
// Options those of selects.
type UpstreamForm struct {
	Action  string // empty: no right to change
	OpenID  bool
	Secret  bool // there is a client secret
	Values  map[string]string
	Options map[string][]Option
	Errors  Errors
}

// SecretHint says what an empty client secret means.
func (f UpstreamForm) SecretHint() string {
	if f.Secret {
		return "Empty: the one that is set stays."
	}
	return "That the provider gave. None where Gatehouse proves itself by its key."
}

// UpstreamsPage lists the upstreams and adds one. The other side needs OurMetadata or, of an OpenID provider, Ours, in which NAME stands
// for the name that the form asks for.
type UpstreamsPage struct {
	Shell
	Rows        []UpstreamRow
	OurMetadata string
	Ours        []Fact
	Form        UpstreamForm
}

// Upstreams writes the list of upstreams.
func Upstreams(w io.Writer, p UpstreamsPage) error { return render(w, "upstreams", p) }

// UpstreamPage is one upstream. The actions beside the form's post nothing; empty ones are not offered. Checks are what a test found.
type UpstreamPage struct {
	Shell
	Title, Name   string
	Facts         []Fact
	Ours          []Fact // to register at an OpenID provider
	Warnings      []Warning
	Checks        []Warning
	Form          UpstreamForm
	RefreshAction string
	TestAction    string
	RemoveAction  string
}

// Upstream writes the page of an upstream.
func Upstream(w io.Writer, p UpstreamPage) error { return render(w, "upstream", p) }
