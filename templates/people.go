package templates

import (
	"io"
	"time"
)

// UsersPage lists people. Its filter is a GET of `q`, `status` and the filters that Hidden carries on.
type UsersPage struct {
	Shell
	Query      string
	Status     string // "", "active" or "disabled"
	Filter     string // a further filter in words ("profile Employee"), with ClearHref to leave it
	Clear      string
	Hidden     []Field
	Users      []UserRow
	Pager      Pager
	NewHref    string
	ImportHref string
}

// UserRow is one person in a list.
type UserRow struct {
	Name        string
	DisplayName string
	Email       string
	Href        string
	Profile     string
	Status      string // "active" or "disabled"
	Roles       []string
	LastSignIn  time.Time
}

// Users writes the list of people.
func Users(w io.Writer, p UsersPage) error { return render(w, "users", p) }

// UserForm is what the form of a person holds; it posts `name`, `display_name`, `email`, `given_name`, `surname`, `profile`
// (id), `permission_sets`, `groups`, `roles` (repeated ids) and `attributes` (lines of name=value).
type UserForm struct {
	Action         string
	Name           string
	DisplayName    string
	Email          string
	GivenName      string
	Surname        string
	Profiles       []Choice // one is checked
	PermissionSets []Choice
	Groups         []Choice
	Roles          []Choice
	Attributes     string // lines of name=value
	Errors         Errors
}

// UserNewPage adds a person. Beside UserForm it posts `password`, or `invite` for a one-time link in its place.
type UserNewPage struct {
	Shell
	UserForm
	PasswordRules string
	Cancel        string
}

// UserNew writes the page that adds a person.
func UserNew(w io.Writer, p UserNewPage) error { return render(w, "user_new", p) }

// UserPage shows and edits one person. ResetAction posts `password`, EndAction posts `session`, the others nothing; an empty
// action hides its form.
type UserPage struct {
	Shell
	UserForm
	Status        string // "active" or "disabled"
	Facts         []Fact
	Sessions      []SessionRow
	Events        []EventRow
	Reach         []ReachRow   // the apps that permit the person
	ReachMore     bool         // there are more
	Holdings      []HoldingRow // the apps that hold tokens of the person
	HoldingsMore  bool
	RevokeAction  string // posts `app`
	Factors       []FactorRow
	FactorsAction string // removes them all
	DisableAction string
	EnableAction  string
	ResetAction   string
	EndAction     string
	EndAllAction  string
	PasswordRules string
	Secret        string // a new password to hand over, shown once
	Source        string // the directory that the person comes from
	InviteAction  string // for a person without a password; posts nothing
	Invitation    *Invitation
}

// Invitation is a one-time link to hand over, shown once.
type Invitation struct {
	Link    string
	Expires time.Time
	Mailed  bool // it is on its way by e-mail too
}

// User writes the page of one person.
func User(w io.Writer, p UserPage) error { return render(w, "user", p) }

// NamedListPage lists profiles, permission sets or groups. AddAction posts `name`; RenameAction posts `id` and `name`;
// LimitsAction posts `id` and every key of the row's Limits; RemoveAction posts `id`. Its filter is a GET of `q`.
type NamedListPage struct {
	Shell
	One          string // "profile"
	Many         string // "profiles"
	What         string // one sentence that explains them
	Query        string
	Rows         []NamedRow
	Pager        Pager
	AddAction    string
	AddName      string // as posted, when it was refused
	RenameAction string
	LimitsAction string // of profiles
	RemoveAction string
	Errors       Errors // of the add form (field `name`) or of the page
}

// NamedRow is one profile, permission set or group.
type NamedRow struct {
	ID          string
	Name        string
	Members     int
	MembersHref string
	Apps        int // apps whose policy names it
	Limits      []Limit
}

// Limit is one limit of a profile; an empty Value means none, or the organisation's.
type Limit struct{ Key, Label, Hint, Value string }

// NamedList writes the list of profiles, permission sets or groups.
func NamedList(w io.Writer, p NamedListPage) error { return render(w, "named_list", p) }
