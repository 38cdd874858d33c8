package sp

import (
	"bytes"
	"regexp"
	"slices"
	"time"
	"unicode/utf8"

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

// The scopes of Gatehouse's own API (design, section 4), of API tokens and apps' tokens alike.
const (
	ScopeDirectoryRead  = "directory.read"
	ScopeDirectoryWrite = "directory.write"
	ScopeAppsRead       = "apps.read"
	ScopeAppsWrite      = "apps.write"
	ScopeAuditRead      = "audit.read"
)

// APIScopes lists them in the order in which forms offer them.
func APIScopes() []string {
	return []string{ScopeDirectoryRead, ScopeDirectoryWrite, ScopeAppsRead, ScopeAppsWrite, ScopeAuditRead}
}

// IsAPIScope tells whether a scope is one of Gatehouse's own API.
func IsAPIScope(scope string) bool { return slices.Contains(APIScopes(), scope) }

// ReachesAPI tells whether the app may ask for a scope of Gatehouse's own API.
func (a *App) ReachesAPI() bool {
	return a.Definition.OAuth != nil && slices.ContainsFunc(a.AllowedScopes(), IsAPIScope)
}

// Lend notes when a change gave the app a scope of Gatehouse's own API that it had not before, and when it gave it other keys.
func (a *App) Lend(before *App, now time.Time) {
	if a.Definition.OAuth == nil {
		return
	}
	var had []string
	var keys []byte
	if before.Definition.OAuth != nil {
		had, keys = before.AllowedScopes(), before.Definition.OAuth.JWKS
	}
	if !bytes.Equal(a.Definition.OAuth.JWKS, keys) {
		a.Keyed = now
	}
	if slices.ContainsFunc(a.AllowedScopes(), func(one string) bool { return IsAPIScope(one) && !slices.Contains(had, one) }) {
		a.Lent = now
	}
}

// OlderSecrets counts the secrets that are good and were made before the app was lent its scopes of Gatehouse's own API: whoever held
// one of them by then has that power too.
func (a *App) OlderSecrets() int {
	older := 0
	for _, one := range a.Credentials.Secrets {
		if one.Created.Before(a.Lent) && a.ReachesAPI() && a.Definition.OAuth.HasSecret() {
			older++
		}
	}
	return older
}

// OlderKeys tells the same of the keys that the app registered and proves itself by. Keys at an address and certificates by an authority
// are not counted: they are replaced where nothing here sees it.
func (a *App) OlderKeys() bool {
	client := a.Definition.OAuth
	return client != nil && a.Keyed.Before(a.Lent) && a.ReachesAPI() && len(client.JWKS) > 0 && (client.Method() == AuthPrivateKeyJWT || client.Method() == AuthSelfSignedTLS)
}

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

// OwnScopes are those that Gatehouse itself gives a meaning: the standard ones, full, and those of its API.
func OwnScopes() []string {
	return slices.Concat(StandardScopes(), []string{ScopeRefresh, ScopeFull}, APIScopes())
}

// maxScopeText bounds what people read at consent, in characters.
const maxScopeText = 60

var scopeName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.]{0,99}$`)

// Validate checks a scope of an administrator's: its name is that of a gateway's policy, its text is read at consent.
func (s *Scope) Validate() error {
	switch {
	case !scopeName.MatchString(s.Name):
		return &SettingError{"name", "must begin with a letter and go on with letters, digits, underscores or dots, at most 100 in all"}
	case slices.Contains(OwnScopes(), s.Name):
		return &SettingError{"name", "is a scope that Gatehouse has already: choose another"}
	}
	return checkScopeText(s.Text)
}

func checkScopeText(text string) error {
	if text == "" || utf8.RuneCountInString(text) > maxScopeText || !printable(text) {
		return &SettingError{"description", "must be one line of 1 to 60 characters, in the words that people read when they are asked"}
	}
	return nil
}

// CheckScopes refuses a list, the value of a setting, in which something is no scope of Gatehouse's own and none that an administrator defined.
func CheckScopes(tx store.Tx, key string, scopes []string) error {
	for _, one := range scopes {
		if slices.Contains(OwnScopes(), one) {
			continue
		}
		revision, err := Scopes.Revision(tx, one)
		if err == nil && revision == 0 {
			err = &SettingError{key, "names " + clip(one, 100) + ", which is no scope yet: add it first (gatehouse scope add)"}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

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
