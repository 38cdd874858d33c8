package sp

import (
	"slices"
	"time"

	"gatehouse/store"
)

// The scopes that Gatehouse itself gives a meaning (OpenID Connect Core 1.0, 5.4 and 11). ScopeRefresh is another name of
// ScopeOffline.
const (
	ScopeOpenID  = "openid"
	ScopeProfile = "profile"
	ScopeEmail   = "email"
	ScopeAddress = "address"
	ScopePhone   = "phone"
	ScopeGroups  = "groups"
	ScopeOffline = "offline_access"
	ScopeRefresh = "refresh_token"
	ScopeFull    = "full"
)

// StandardScopes are what an app may ask for while oauth.scopes is unset.
func StandardScopes() []string {
	return []string{ScopeOpenID, ScopeProfile, ScopeEmail, ScopeAddress, ScopePhone, ScopeGroups, ScopeOffline}
}

// Scope is one that an administrator defined: Text tells people what an app may do with it.
type Scope struct {
	Name    string    `json:"name"`
	Text    string    `json:"text"`
	Listed  bool      `json:"listed,omitempty"` // in the discovery document
	Created time.Time `json:"created"`
}

// Scopes is the table of the scopes that administrators defined.
var Scopes = &store.Table[Scope]{Name: "scope", Version: 1, Key: func(s *Scope) string { return s.Name }}

// AllowedScopes are the scopes that an app may ask for: those of its developer, within the policy's upper bound.
func (a *App) AllowedScopes() []string {
	scopes := a.Definition.OAuth.Scopes
	if scopes == nil {
		scopes = StandardScopes()
	}
	scopes = slices.Clone(scopes)
	if i := slices.Index(scopes, ScopeRefresh); i >= 0 {
		scopes[i] = ScopeOffline
	}
	if a.Policy.Scopes == nil {
		return scopes
	}
	return slices.DeleteFunc(scopes, func(one string) bool {
		return !slices.Contains(a.Policy.Scopes, one) && (one != ScopeOffline || !slices.Contains(a.Policy.Scopes, ScopeRefresh))
	})
}

// isScope tells whether a text can be a scope (RFC 6749, 3.3).
func isScope(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return s != "" && len(s) <= 200
}
