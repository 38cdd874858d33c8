package templates

import (
	"io"
	"time"
)

// OverviewPage is the first page of the console.
type OverviewPage struct {
	Shell
	Counts []Count
	Tasks  []Task // things to do; empty: all is well
	Events []EventRow
}

// Count is one number with its meaning.
type Count struct {
	Label string
	Value int
	Hint  string
	Href  string
}

// Task is one thing that wants an admin's attention. Kind is "info", "warn" or "danger".
type Task struct {
	Kind string
	Text string
	Link Link
}

// Overview writes the first page of the console.
func Overview(w io.Writer, p OverviewPage) error { return render(w, "overview", p) }

// AppsPage lists connected apps. Its filter is a GET of `q` and `state`.
type AppsPage struct {
	Shell
	Query   string
	State   string   // the chosen filter; empty: all
	States  []Option // Hint is the number of apps, if known
	Apps    []AppRow
	Pager   Pager
	NewHref string // empty: no right to add
	Parent  string // only the clients that registered under this app, or "open"

	Attempts []AttemptRow // on the apps that are not connected
}

// AttemptRow is an app that is not connected and that people came from. Identifier is text from outside.
type AttemptRow struct {
	Identifier string
	Count      int
	Last       time.Time
	Who        string
	WhoHref    string
	Sources    []Link // metadata sources that know it
}

// AppRow is one app in a list.
type AppRow struct {
	Name     string
	Href     string
	EntityID string
	Origin   string // how it came, if nobody added it
	State    string
	LogoURL  string
	Who      string // who may use it, in words
	Warnings int
	Changed  time.Time
}

// Apps writes the list of connected apps.
func Apps(w io.Writer, p AppsPage) error { return render(w, "apps", p) }

// MetadataForm is what both metadata forms share. It posts, as multipart/form-data, `source` ("file", "paste" or "url")
// and `file`, `metadata` or `url`.
type MetadataForm struct {
	Action   string
	Source   string // the chosen way; empty: file
	Pasted   string
	URL      string
	Alone    bool             // nothing but metadata is taken: no app package
	Problem  *MetadataProblem // nil: none
	Warnings []Warning        // about the metadata just read
	Errors   Errors
}

// MetadataProblem says why metadata was not accepted.
type MetadataProblem struct {
	Line   int // 0: not tied to a line
	Reason string
	Next   string // what to do, may be empty
}

// AppNewPage adds an app. Beside MetadataForm, or with a Client the fields of that, it posts `name`, `permitted_users` ("all" or
// "preauthorized") and `profiles` (repeated ids). Errors are those of MetadataForm.
type AppNewPage struct {
	Shell
	MetadataForm
	Kinds     []KindLink
	Client    *ClientForm // nil: a SAML app
	Name      string
	Permitted string // empty: preauthorized
	Profiles  []Choice
	Pending   bool // an administrator says later who may use it
	Cancel    string
}

// AppNew writes the page that adds an app.
func AppNew(w io.Writer, p AppNewPage) error { return render(w, "app_new", p) }

// AppHead is the head of all pages of one app. The tabs are Base, Base/access, Base/people, Base/settings, Base/requests,
// Base/sessions, Base/activity and Base/danger, with SAML Base/metadata, and with OAuth Base/credentials and Base/tokens.
type AppHead struct {
	ID      string
	Name    string
	State   string
	LogoURL string
	Base    string // "/admin/apps/ID"
	SAML    bool
	OAuth   bool
}

// AppPage is the overview of one app.
type AppPage struct {
	Shell
	App      AppHead
	Facts    []Fact
	Warnings []Warning
	Nobody   bool   // nobody can enter
	IdP      []Fact // what to enter at the app: entity ID, SSO URL, metadata URL, certificate
	IdPLinks []Link // downloads
	Launch   string // address of the IdP-initiated start; empty: switched off
	Export   string // address of the app's package; empty: none
	Add      string // address of the page that gives it a client ID; empty: no right, or it has one
	AddSAML  string // the same of SAML

	Origin        string // how it came, if nobody added it
	ApproveAction string // of an app that waits; empty: no right. It posts Seen as `seen`
	Seen          string
	OAuth         []Fact   // what it is as an OAuth client
	Clients       *Clients // that register under it; nil: none can
}

// Clients are those that register under an app. Action posts nothing and makes the token; empty: no right. Token is shown this once, and
// Here is then the address of the page.
type Clients struct {
	Here     string
	Action   string
	Made     time.Time // of the token that is good; zero: there is none
	Token    string
	Endpoint string
	Rows     []AppRow
	AllHref  string
	Count    int // 1000 stands for the bound
}

// App writes the overview of one app.
func App(w io.Writer, p AppPage) error { return render(w, "app", p) }

// AppAccessPage edits an app's policy. It posts `permitted_users`, `profiles`, `permission_sets`, `groups` (repeated
// ids), `users` (user names, one per line), every key of Rows and, when AskEmpty, `confirm` = "empty".
type AppAccessPage struct {
	Shell
	App            AppHead
	Action         string
	Permitted      string // "all" or "preauthorized"
	Profiles       []Choice
	PermissionSets []Choice
	Groups         []Choice
	Users          string // names, one per line
	Rows           []SettingRow
	Nobody         bool // as stored, nobody can enter
	AskEmpty       bool // the posted lists are empty: ask before storing
	Errors         Errors
}

// AppAccess writes the page that edits an app's policy.
func AppAccess(w io.Writer, p AppAccessPage) error { return render(w, "app_access", p) }

// AppSettingsPage edits the settings of an app. It posts every key of Rows. RegisterAction posts nothing and makes the token by which
// clients register under it; empty: there is one, or no right.
type AppSettingsPage struct {
	Shell
	App            AppHead
	Action         string
	Rows           []SettingRow
	RegisterAction string
}

// AppSettings writes the settings of an app.
func AppSettings(w io.Writer, p AppSettingsPage) error { return render(w, "app_settings", p) }

// AppMetadataPage replaces an app's metadata. Without Review it posts MetadataForm; with it, the page shows what would change
// and posts `metadata` (the text in Pasted) and `confirm` = "replace" to Action.
type AppMetadataPage struct {
	Shell
	App AppHead
	MetadataForm
	Facts  []Fact // about the metadata in use
	From   string // the address that what is reviewed was fetched at
	Follow FollowPart
	Review bool
	Diff   []DiffRow // empty with Review: nothing changes
}

// AppMetadata writes the page that replaces an app's metadata.
func AppMetadata(w io.Writer, p AppMetadataPage) error { return render(w, "app_metadata", p) }

// AppActivityPage shows how one app is used, and its newest audit entries.
type AppActivityPage struct {
	Shell
	App        AppHead
	Counts     []Count
	Facts      []Fact
	Chart      BarChart
	Reasons    []Share        // of the refusals
	Grants     []IdleGrantRow // access that nobody uses; the first ones
	MoreGrants bool           // there may be more of them
	Events     []EventRow
	AllHref    string // the audit list with this app's filter
}

// AppActivity writes how one app is used, and its newest audit entries.
func AppActivity(w io.Writer, p AppActivityPage) error { return render(w, "app_activity", p) }

// AppSessionsPage lists the sessions that reached an app. EndAction posts `session`, EndAllAction nothing; an empty action hides
// its buttons.
type AppSessionsPage struct {
	Shell
	App          AppHead
	Rows         []AppSessionRow
	EndAction    string
	EndAllAction string
}

// AppSessionRow is one signed-in browser of a person.
type AppSessionRow struct {
	SessionRow
	Person     string
	PersonHref string
}

// AppSessions writes the sessions that reached an app.
func AppSessions(w io.Writer, p AppSessionsPage) error { return render(w, "app_sessions", p) }

// ReachRow is one person at one app. Href explains the decision.
type ReachRow struct {
	Name      string // of the person, or of the app
	NameHref  string
	Through   string
	Until     time.Time // zero: no end
	Outcome   string    // "allow", "step_up" or "refuse"
	Text      string
	ExplainTo string
}

// AppPeoplePage lists the people whom an app permits.
type AppPeoplePage struct {
	Shell
	App   AppHead
	Rows  []ReachRow
	Pager Pager
}

// AppPeople writes the people whom an app permits.
func AppPeople(w io.Writer, p AppPeoplePage) error { return render(w, "app_people", p) }

// ExplainPage asks for `user`, `app`, `ip` and `at` by GET, and shows the decision about them once Outcome is set.
type ExplainPage struct {
	Shell
	User, App, IP, At string
	Outcome           string // "allow", "step_up" or "refuse"; empty: nothing was asked yet
	Text              string
	Rules             []RuleRow
	Errors            Errors
}

// Explain writes the page that explains a decision.
func Explain(w io.Writer, p ExplainPage) error { return render(w, "explain", p) }

// AppDangerPage leads to where an app is approved, blocks, unblocks and removes an app. RemoveAction posts `name`, which must equal the app's. An empty action
// hides its form.
type AppDangerPage struct {
	Shell
	App           AppHead
	ApproveHref   string // of a pending app: the page that shows what it is
	BlockAction   string
	UnblockAction string
	RemoveAction  string
	Errors        Errors // of the remove form
}

// AppDanger writes the page that blocks, unblocks and removes an app.
func AppDanger(w io.Writer, p AppDangerPage) error { return render(w, "app_danger", p) }
