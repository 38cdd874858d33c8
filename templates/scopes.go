package templates

import "io"

// ScopeRow is one scope in the list.
type ScopeRow struct {
	Name, Description string
	Listed            bool
	Apps              []Link // that name it
}

// ScopesPage lists the scopes of the organisation. AddAction takes `name`, `description` and `listed`, SetAction the same for the
// scope of that name, RemoveAction `name`; empty ones are not offered. Added is what was not stored.
type ScopesPage struct {
	Shell
	Rows                               []ScopeRow
	Added                              ScopeRow
	AddAction, SetAction, RemoveAction string
	Errors                             Errors
}

// Scopes writes the list of scopes.
func Scopes(w io.Writer, p ScopesPage) error { return render(w, "scopes", p) }
