package templates

import (
	"io"
	"slices"
	"time"
)

// Tile is one app in the portal.
type Tile struct {
	ID          string
	Name        string
	Lang        string // of Name, where it is not the page's
	Description string
	LogoURL     string
	Href        string
	Initials    string // empty: made from Name
	Favourite   bool
}

// PortalPage is the launcher. Its search form is a GET of `q` to the same address.
type PortalPage struct {
	Shell
	Query  string
	Tiles  []Tile // what the person may open and what matches Query
	Recent []Tile // not shown while searching
	Ask    bool   // there are apps to ask for
}

// Portal writes the launcher.
func Portal(w io.Writer, p PortalPage) error { return render(w, "portal", p) }

// AccountPage is a person's own page. EndAction posts `session`; EndOthersAction and EndAllAction post nothing; PasswordAction
// posts `current`, `new` and `repeat`; WithdrawAction posts `app`; an empty action hides its form.
type AccountPage struct {
	Shell
	Facts           []Fact
	Sessions        []SessionRow
	EndAction       string
	EndOthersAction string // all but this one
	EndAllAction    string
	PasswordAction  string
	PasswordRules   string
	Apps            []AccountApp
	WithdrawAction  string
	ConsentsHref    string // the history of consents
	Ways            *FactorSection
	Errors          Errors // of the password form
}

// AccountApp is an app that knows the person now.
type AccountApp struct {
	ID      string // posted as `app`
	Name    string
	LogoURL string
	Opened  time.Time // last, in a session that lives; zero: in none
	Told    []string  // what the person agreed that it is told
	Agreed  time.Time
	Until   time.Time // of access on request; zero: none
	Scopes  []string  // what it has tokens for beside Told, in words
	Since   time.Time // when it got the first of them; zero: it has none
	Used    time.Time // when one was used last, within an hour
}

// Given tells whether there is something to withdraw, not only a session to leave.
func (a AccountApp) Given() bool { return !a.Agreed.IsZero() || !a.Until.IsZero() || !a.Since.IsZero() }

// ConsentsPage is the history of what a person agreed to.
type ConsentsPage struct {
	Shell
	Rows  []ConsentRow
	Pager Pager
}

// ConsentRow is one consent that was given or withdrawn.
type ConsentRow struct {
	App       string
	Names     []string // what the app may be told
	At        time.Time
	Withdrawn bool
}

// Consents writes the history of consents.
func Consents(w io.Writer, p ConsentsPage) error { return render(w, "consents", p) }

// Account writes a person's own page.
func Account(w io.Writer, p AccountPage) error { return render(w, "account", p) }

// HasFavourites tells whether the page has a section of favourites; a search shows one list only.
func (p PortalPage) HasFavourites() bool {
	return p.Query == "" && slices.ContainsFunc(p.Tiles, func(t Tile) bool { return t.Favourite })
}
