package templates

import (
	"io"
	"time"
)

// TokensPage lists the API tokens and makes one: it posts `name`, `scope` (several), `expires` and `addresses` to AddAction, and `token`
// to RevokeAction. Secret is the one of a token that was just made, SecretOf its name.
type TokensPage struct {
	Shell
	Rows             []TokenRow
	SCIM             string // base URL of SCIM
	Secret, SecretOf string
	Name             string
	Scopes           []Choice
	Expires          string
	Addresses        string // as posted
	AddAction        string
	RevokeAction     string
	Errors           Errors
}

// TokenRow is one API token. State is "active", "expired" or "orphaned".
type TokenRow struct {
	ID, Name, State   string
	Scopes            []string
	Addresses         string // empty: from anywhere
	Creator           string
	Expires, LastUsed time.Time
	LastFrom          string
}

// Tokens writes the list of API tokens.
func Tokens(w io.Writer, p TokensPage) error { return render(w, "tokens", p) }
