package saml

import (
	"testing"

	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/sp"
)

// A pairwise-id is no persistent name: an app that ended the name does not meet its value again, and identifiers of one app, of
// another one and of all have nothing in common.
func TestIdentifiersAreApart(t *testing.T) {
	h := &Handlers{NameIDKey: make([]byte, 32)}
	user, settings := &directory.User{ID: "usr_1"}, &directory.Settings{Scopes: []string{"example.org"}}
	seen := map[string]string{}
	for _, app := range []string{"app_1", "app_2"} {
		made := h.made(&flow.Pass{Facts: &flow.Facts{User: user, App: &sp.App{ID: app}, Settings: settings}})
		pairwise, _ := made(sp.SourcePairwiseID)
		for what, value := range map[string]string{"pairwise-id of " + app: pairwise[0], "name of " + app: (&Namer{Key: h.NameIDKey}).Opaque(user.ID, app) + "@example.org"} {
			if other := seen[value]; other != "" {
				t.Errorf("%s is %s", what, other)
			}
			seen[value] = what
		}
	}
	made := h.made(&flow.Pass{Facts: &flow.Facts{User: user, App: &sp.App{ID: "app_1"}, Settings: settings}})
	if subject, _ := made(sp.SourceSubjectID); seen[subject[0]] != "" {
		t.Errorf("subject-id is %s", seen[subject[0]])
	}
}
