package admin

import (
	"testing"

	"gatehouse/idp/api"
	"gatehouse/sp"
	"gatehouse/store"
)

// TestOpeningAGatewayOpensNoOwnersApp: an app administrator may shut a client that acts in Gatehouse with its gateway, and opens it no
// more with that than by itself.
func TestOpeningAGatewayOpensNoOwnersApp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner, appAdmin := w.person("ada", RoleOwner), w.person("abe", RoleAppAdmin)
	added, err := w.AddApp(t.Context(), appAdmin, api.NewApp{OAuth: `{"client_name":"gateway","grant_types":["client_credentials"]}`})
	must(t, err)
	must(t, w.store.Update(t.Context(), func(tx store.Tx) error {
		parent, _, err := sp.Apps.Get(tx, added.App.ID)
		if err != nil {
			return err
		}
		child := sp.NewChild(&parent, testNow)
		child.Definition.Name, child.Definition.OAuth.Scopes, child.Policy.Scopes = "child", []string{sp.ScopeDirectoryWrite}, nil
		return sp.Apps.Put(tx, &child)
	}))
	_, err = w.BlockApp(t.Context(), appAdmin, added.App.ID)
	must(t, err)
	_, err = w.UnblockApp(t.Context(), appAdmin, added.App.ID)
	refusal(t, err, 403, "needs_owner", "oauth.scopes")
	_, err = w.UnblockApp(t.Context(), owner, added.App.ID)
	must(t, err)
}
