package sp

import (
	"errors"

	"gatehouse/store"
)

// scopeTexts says in the person's words what an app learns or may do by the scopes of our own.
var scopeTexts = map[string]string{
	ScopeOpenID:  "Know you by an identifier of your account",
	ScopeProfile: "See your name and your profile",
	ScopeEmail:   "See your e-mail address",
	ScopeAddress: "See your postal address",
	ScopePhone:   "See your phone number",
	ScopeGroups:  "See the groups you are in",
	ScopeOffline: "Do all of this while you are away",
	ScopeFull:    "Do everything that you may do",

	ScopeDirectoryRead:  "See everybody in your organisation: people, groups and their details",
	ScopeDirectoryWrite: "Add, change, disable and remove people and groups in your name, and set people's passwords",
	ScopeAppsRead:       "See all connected apps, and who may use them",
	ScopeAppsWrite:      "Add, change, block and remove connected apps in your name, and decide who may use them",
	ScopeAuditRead:      "Read the audit: who did what, when and from where",
}

// ScopeText is what a scope lets an app do, as people are asked: of one that is not Gatehouse's own in the administrator's words, defined,
// or empty where nobody defined it.
func ScopeText(scope, defined string) string {
	switch {
	case scopeTexts[scope] != "":
		return scopeTexts[scope]
	case defined != "":
		return defined + " (" + scope + ")"
	}
	return "Use " + scope + " in your name"
}

// ScopeTexts are what scopes let an app do, as people are asked.
func ScopeTexts(tx store.Tx, scopes []string) ([]string, error) {
	texts := make([]string, len(scopes))
	for i, scope := range scopes {
		defined, _, err := Scopes.Get(tx, scope)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		texts[i] = ScopeText(scope, defined.Text)
	}
	return texts, nil
}
