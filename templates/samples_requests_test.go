package templates

import (
	"io"
	"strings"
	"time"
)

func spans(suffix string) SpanField {
	return SpanField{Suffix: suffix, Chosen: "7d", Options: []Option{{Value: "1d", Label: "1 day"}, {Value: "7d", Label: "7 days"}, {Value: "date", Label: "Until a date"}}}
}

func requestRows() []RequestRow {
	wrong := spans("-req_2")
	wrong.Chosen, wrong.Errors = "date", Errors{{"until-req_2", "The end is past: choose a later one."}}
	return []RequestRow{
		{ID: "req_1", Person: "Ben Okafor", PersonHref: "/admin/users/usr_b", PersonHint: "ben · ben@brightwater.example", App: "Payroll", AppHref: "/admin/apps/app_2", Why: "Month's end:\nI stand in for Ana.", Wanted: "for 7 days",
			Asked: moment, State: "waiting", ApproveAction: "/requests/req_1/approve", DenyAction: "/requests/req_1/deny", WithdrawAction: "/requests/req_1/withdraw", Span: spans("-req_1")},
		{ID: "req_2", Person: longName, App: longName, Why: strings.Repeat("averyveryverylongword", 20), Wanted: "until 31 January 2027, 23:59 UTC", Asked: moment.Add(-50 * time.Hour), State: "waiting",
			ApproveAction: "/requests/req_2/approve", DenyAction: "/requests/req_2/deny", Span: wrong, Text: "Fine.", TextError: "The text is too long: use at most 500 characters."},
		{ID: "req_3", Person: "Ana Silva", App: "Wiki", Why: "Reading.", Wanted: "for 1 day", Asked: moment, State: "approved", Decided: moment, By: "ada", Answer: "Enjoy.", Until: moment.AddDate(0, 0, 1), Note: "This is your own request: another approver has to answer it."},
		{ID: "req_4", Person: "Ana Silva", App: "Mail", Why: "Writing.", Wanted: "for 1 day", Asked: moment, State: "denied", Decided: moment, By: "ada"}}
}

func requestSamples() []sample {
	portal, console := shell("Ask for an app", SectionPortal), shell("Requests", SectionRequests)
	portal.Approves, portal.Waiting = true, 3
	rows := requestRows()
	grants := []GrantRow{{User: "usr_b", App: "app_2", Person: "Ben Okafor", PersonHref: "/admin/users/usr_b", AppName: "Payroll", AppHref: "/admin/apps/app_2", From: moment, Until: moment.AddDate(0, 0, 7), By: "ada"}, {Person: longName, AppName: longName}}
	return []sample{
		{"ask", func(w io.Writer) error { return Ask(w, AskPage{Shell: portal, Tiles: tiles(6), Own: rows}) }},
		{"ask_none", func(w io.Writer) error { return Ask(w, AskPage{Shell: portal, Query: "pay<b>", Own: rows}) }},
		{"ask_empty", func(w io.Writer) error { return Ask(w, AskPage{Shell: shell("Ask for an app", SectionPortal)}) }},
		{"ask_app", func(w io.Writer) error {
			return AskApp(w, AskAppPage{Shell: portal, App: tiles(1)[0], Action: "/ask/app_1", Most: 500, Span: spans("")})
		}},
		{"ask_app_errors", func(w io.Writer) error {
			span := spans("")
			span.Errors = Errors{{"span", "Say for how long."}, {"until", "Give the date."}}
			return AskApp(w, AskAppPage{Shell: portal, App: tiles(1)[0], Action: "/ask/app_1", Why: "</textarea>", Span: span, Errors: append(span.Errors, FieldError{"why", "Say why."})})
		}},
		{"requests", func(w io.Writer) error {
			return Requests(w, RequestsPage{Shell: portal, Requests: rows[:2], Errors: Errors{{"until-req_2", "The end is past."}}})
		}},
		{"requests_none", func(w io.Writer) error { return Requests(w, RequestsPage{Shell: portal}) }},
		{"requests_nobody", func(w io.Writer) error {
			return Requests(w, RequestsPage{Shell: shell("Requests for you", SectionPortal)})
		}},
		{"access", func(w io.Writer) error {
			return Access(w, AccessPage{Shell: console, View: "waiting", Base: "/admin/requests", Requests: rows[:3], Pager: Pager{NextHref: "?after=x"}})
		}},
		{"access_all", func(w io.Writer) error {
			return Access(w, AccessPage{Shell: console, App: benefits, View: "all", Base: "/admin/apps/app_1/requests", Requests: rows})
		}},
		{"access_now", func(w io.Writer) error {
			return Access(w, AccessPage{Shell: console, View: "now", Base: "/admin/requests", Grants: grants, RevokeAction: "/admin/grants/revoke"})
		}},
		{"access_none", func(w io.Writer) error {
			return Access(w, AccessPage{Shell: console, View: "now", Base: "/admin/requests"})
		}},
	}
}
