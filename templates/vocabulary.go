package templates

import "time"

// Link is a labelled way to go on.
type Link struct{ Label, Href string }

// Field is one hidden form field.
type Field struct{ Name, Value string }

// FieldError is what is wrong with one form field; Field is its name attribute, empty for the form as a whole.
type FieldError struct{ Field, Text string }

// Errors are the mistakes in a form, in the order of its fields. The page shows a summary that links to each field.
type Errors []FieldError

// For is the text of the first mistake in the field, or empty.
func (e Errors) For(field string) string {
	for _, f := range e {
		if f.Field == field {
			return f.Text
		}
	}
	return ""
}

// Option is one choice of a select or a radio group.
type Option struct {
	Value string
	Label string // empty: Value is shown
	Hint  string // one line below a radio button
}

// Choice is one line of a checkbox list or of a select over named things; ID is what the form posts.
type Choice struct {
	ID      string
	Name    string
	Hint    string // "12 people"
	Checked bool
}

// Fact is one line of a definition list. One of Text, Link, Time, Tags is shown, after Kind.
type Fact struct {
	Label string
	Text  string
	Href  string    // makes Text a link
	Time  time.Time // shown when set
	Tags  []string  // shown as a tag list
	Kind  string    // "" text, "code" monospace with a copy button, "state" a coloured state word, "missing" a muted word
	Hint  string    // one line of explanation below the value
}

// Warning is something to know about an app that is no error. Kind is "info", "warn" or "danger".
type Warning struct {
	Kind string
	Text string // what is the case
	Next string // what to do, may be empty
}

// Pager leads through a long list. From, To and Total count from 1; Total 0 means unknown. An empty link is not shown.
type Pager struct {
	From, To, Total    int
	FirstHref          string
	PrevHref, NextHref string
}

// SettingRow is one key of a generic settings form; the form posts the value under Key, and an empty value means the
// default. Kind is "text", "select", "bool", "list" (one per line), "choices" (several values, of which an
// empty one says nothing), "json", "duration" or "color".
type SettingRow struct {
	Key     string
	Label   string
	Help    string // one sentence
	Group   string // heading above the first row of each group; rows of a group stand together
	Kind    string
	Value   string // empty: the default holds
	Default string // in words
	Options []Option
	Choices []Choice
	Error   string
	Warning string // about the present value
}

// DiffRow is one difference between stored and new metadata. An empty Before is an addition, an empty After a removal.
type DiffRow struct{ Field, Before, After string }

// SessionRow is one signed-in browser.
type SessionRow struct {
	Handle  string // posted as `session`
	Device  string // "Firefox on Linux"
	Address string
	Level   string
	Started time.Time
	Seen    time.Time
	Current bool // the one that looks at the page
}

// EventRow is one audit entry in a list.
type EventRow struct {
	Code      string
	Href      string // of the trace
	Time      time.Time
	Kind      string
	Outcome   string // "ok", "refused" or "failed"
	Reason    string
	Actor     string // name to show
	ActorHref string
	App       string // name to show
	AppHref   string
	Address   string
	Text      string // one sentence
	Count     int    // more than one: a folded entry
	Facts     []Fact // shown when expanded
}
