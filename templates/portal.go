package templates

import (
	"io"
	"slices"
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

// AccountPage is a person's own page. EndAction posts `session`; EndAllAction posts nothing; PasswordAction posts
// `current`, `new` and `repeat`; an empty action hides its form.
type AccountPage struct {
	Shell
	Facts          []Fact
	Sessions       []SessionRow
	EndAction      string
	EndAllAction   string
	PasswordAction string
	PasswordRules  string
	Ways           *FactorSection
	Errors         Errors // of the password form
}

// Account writes a person's own page.
func Account(w io.Writer, p AccountPage) error { return render(w, "account", p) }

// HasFavourites tells whether the page has a section of favourites; a search shows one list only.
func (p PortalPage) HasFavourites() bool {
	return p.Query == "" && slices.ContainsFunc(p.Tiles, func(t Tile) bool { return t.Favourite })
}
