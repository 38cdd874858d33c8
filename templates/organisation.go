package templates

import "io"

// AuditPage lists audit entries. Its filter is a GET of `app`, `user`, `actor`, `kind`, `outcome`, `reason`, `address`, `since`,
// `from`, `until` and `code`.
type AuditPage struct {
	Shell
	App      string // id or name, as typed
	User     string
	Actor    string
	Kind     string
	Kinds    []Option
	Outcome  string
	Reason   string
	Address  string
	Since    string     // "1h", "24h", "7d", "30d" or empty
	From     string     // 2027-01-31, or empty
	Until    string     // 2027-01-31, or empty: the last day
	Filtered bool       // a filter is set
	Unusual  bool       // one of those that are folded away is set
	Apps     []Option   // suggestions
	Events   []EventRow // empty with Pager.NextHref: none in what was looked through so far
	Pager    Pager
	Exports  []Link // downloads of what the filter chooses
	Chains   []ChainRow
	Verify   string // address of the verification
}

// Audit writes the list of audit entries.
func Audit(w io.Writer, p AuditPage) error { return render(w, "audit", p) }

// TracePage shows one audit entry in full.
type TracePage struct {
	Shell
	Event   EventRow
	Facts   []Fact
	Rules   []RuleRow  // the rules of the policy that were weighed
	Related []EventRow // same session, same app, same moment
	Back    Link
}

// RuleRow is one rule and how it came out ("allow", "step_up" or "refuse"); Detail and Remedy may be empty.
type RuleRow struct{ Rule, Outcome, Detail, Remedy string }

// Trace writes one audit entry in full.
func Trace(w io.Writer, p TracePage) error { return render(w, "trace", p) }

// SettingsPage edits the organisation. It posts every key of Rows; TestAction posts `to`, and an empty one hides its form.
type SettingsPage struct {
	Shell
	Action     string
	Rows       []SettingRow
	TestAction string // sends a mail to try the mail server
	TestTo     string
}

// Settings writes the settings of the organisation.
func Settings(w io.Writer, p SettingsPage) error { return render(w, "settings", p) }
