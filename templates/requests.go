package templates

import (
	"io"
	"time"
)

// SpanField offers for how long access lasts. It posts `span`, a value of Options, and `until`, a date (2027-01-31) that counts
// when `span` is "date". Suffix tells the fields of several on one page apart.
type SpanField struct {
	Suffix  string
	Options []Option
	Chosen  string
	Until   string
	Errors  Errors // of `span` and `until`, with Suffix
}

// RequestRow is one request for access. The texts of people are plain text. An empty action hides its form; ApproveAction and
// DenyAction post the fields of Span and `text`.
type RequestRow struct {
	ID             string
	Person         string
	PersonHref     string
	PersonHint     string // user name and e-mail address
	App            string
	AppHref        string
	LogoURL        string
	Why            string
	Wanted         string // "for 7 days"
	Asked          time.Time
	State          string // "waiting", "approved", "denied", "withdrawn" or "expired"
	Decided        time.Time
	By             string
	Answer         string
	Until          time.Time // of an approved one
	Note           string    // why there is no form, may be empty
	ApproveAction  string
	DenyAction     string
	WithdrawAction string
	Back           string // posted as `back`
	Span           SpanField
	Text           string // as posted, when it was refused
	TextError      string
}

// AskPage lists the apps that a person may ask for, and what they asked for. Its search form is a GET of `q` to the same address.
type AskPage struct {
	Shell
	Query string
	Tiles []Tile
	Own   []RequestRow // the newest first
}

// Ask writes the list of apps that a person may ask for.
func Ask(w io.Writer, p AskPage) error { return render(w, "ask", p) }

// AskAppPage asks why a person wants an app and for how long. It posts `why` and the fields of Span to Action.
type AskAppPage struct {
	Shell
	App    Tile
	Action string
	Why    string
	Most   int // characters of Why
	Span   SpanField
	Errors Errors
}

// AskApp writes the form that asks for one app.
func AskApp(w io.Writer, p AskAppPage) error { return render(w, "ask_app", p) }

// RequestsPage lists what waits for the person's answer, the oldest first.
type RequestsPage struct {
	Shell
	Requests []RequestRow
	Errors   Errors
}

// Requests writes the list of what waits for the person's answer.
func Requests(w io.Writer, p RequestsPage) error { return render(w, "requests", p) }

// AccessPage shows requests and access on request in the console, of one app or of all. RevokeAction posts `user` and `app` (ids)
// and `back`; empty: no right to revoke.
type AccessPage struct {
	Shell
	App          AppHead // without an id: all apps
	View         string  // "waiting", "all" or "now"
	Base         string  // of the links to the views, which add `?view=`
	Requests     []RequestRow
	Grants       []GrantRow
	RevokeAction string
	Back         string
	Pager        Pager
	Errors       Errors
}

// GrantRow is somebody's access on request.
type GrantRow struct {
	User, App        string // ids
	Person           string
	PersonHref       string
	AppName, AppHref string
	From, Until      time.Time
	By               string
}

// Access writes requests and access on request for the console.
func Access(w io.Writer, p AccessPage) error { return render(w, "access", p) }
