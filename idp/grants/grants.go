// Package grants owns what people were given beyond their profile: consents to what an app is told, and access to an app on
// request, for a time.
//
// It must not know HTTP, protocols or policies: whether a grant lets somebody in is decided in sp.Policy, and ending grants
// goes through idp/flow. Read grants.go for the records, request.go for the life of a request.
package grants

import (
	"slices"
	"time"

	"gatehouse/store"
)

// Consent is a person's word that an app may be told or do what Names lists. It is kept until it is withdrawn, and asked for
// again when the app wants more.
type Consent struct {
	User  string    `json:"user"`
	App   string    `json:"app"`
	Names []string  `json:"names"`
	Given time.Time `json:"given"`
}

// Covers tells whether the consent names everything that is asked for.
func (c *Consent) Covers(names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool { return !slices.Contains(c.Names, name) })
}

// Access lets a person into one app until a moment, because an approver said yes.
type Access struct {
	User    string    `json:"user"`
	App     string    `json:"app"`
	From    time.Time `json:"from"`
	Until   time.Time `json:"until"`
	By      string    `json:"by"` // user id of the approver, or who acted on the socket
	Request string    `json:"request,omitempty"`
}

// Pair is the key of what one person has with one app.
func Pair(user, app string) string {
	if user == "" || app == "" {
		return ""
	}
	return user + "/" + app
}

// Consents is the table of consents.
var Consents = &store.Table[Consent]{
	Name:    "consent",
	Version: 1,
	Key:     func(c *Consent) string { return Pair(c.User, c.App) },
	Lists: map[string]func(*Consent) []string{
		"user": func(c *Consent) []string { return []string{c.User} },
		"app":  func(c *Consent) []string { return []string{c.App} },
	},
}

// Accesses is the table of access on request. What has ended lets nobody in; a job removes it and says so in the audit, which a
// sweep of the table could not. The index "until" holds them in the order in which they end.
var Accesses = &store.Table[Access]{
	Name:    "access",
	Version: 1,
	Key:     func(a *Access) string { return Pair(a.User, a.App) },
	Lists: map[string]func(*Access) []string{
		"user":  func(a *Access) []string { return []string{a.User} },
		"app":   func(a *Access) []string { return []string{a.App} },
		"until": func(a *Access) []string { return []string{Sortable(a.Until)} },
	},
}

// Gone is a person or an app that was removed and has grants left to be deleted; Index says which of the two.
type Gone struct {
	Index string `json:"index"` // "user" or "app"
	ID    string `json:"id"`
}

// AllGone is the table of those.
var AllGone = &store.Table[Gone]{
	Name:    "gone",
	Version: 1,
	Key:     func(g *Gone) string { return g.Index + "/" + g.ID },
}
