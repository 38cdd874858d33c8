package admin

import (
	"slices"
	"strings"
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

// TestGatewayNeedsNobody: who asks for tokens by itself is warned while there is nobody to act as; a gateway has a use without that.
func TestGatewayNeedsNobody(t *testing.T) {
	w := newWorld(t)
	service := `{"client_name":"S","grant_types":["client_credentials"]}`
	for name, c := range map[string]struct {
		set    map[string]string
		token  bool
		warned bool
	}{
		"service":       {warned: true},
		"own tokens":    {set: map[string]string{"oauth.introspect": "own"}, warned: true},
		"introspects":   {set: map[string]string{"oauth.introspect": "children"}},
		"asks of all":   {set: map[string]string{"oauth.introspect": "all"}},
		"registers":     {token: true},
		"will register": {set: map[string]string{"oauth.registration_approval": "required"}},
	} {
		added, err := w.AddApp(t.Context(), socket, api.NewApp{OAuth: service, Name: name, Set: c.set})
		must(t, err)
		if c.token {
			_, err = w.RegistrationToken(t.Context(), socket, added.App.ID)
			must(t, err)
		}
		app, err := w.App(t.Context(), added.App.ID)
		must(t, err)
		warned := slices.ContainsFunc(app.Warnings, func(one api.Warning) bool { return one.Code == "no_run_as" })
		if warned != c.warned || app.OAuth.Gateway == c.warned {
			t.Errorf("%s: warned %v, a gateway %v", name, warned, app.OAuth.Gateway)
		}
	}
}

// TestGatewayOnItsPage: nobody need enter a gateway, and its clients stand on its page; another app has neither there.
func TestGatewayOnItsPage(t *testing.T) {
	w := newWorld(t)
	w.actor = w.person("ada", RoleOwner).Actor
	server := w.server()
	for introspect, gateway := range map[string]bool{"own": false, "children": true} {
		added, err := w.AddApp(t.Context(), socket, api.NewApp{OAuth: `{"grant_types":["client_credentials"]}`, Name: introspect, Set: map[string]string{"policy.permitted_users": "preauthorized", "oauth.introspect": introspect}})
		must(t, err)
		path := "/admin/apps/" + added.App.ID
		_, body := send(t, server, "GET", path, "", "")
		if strings.Contains(body, "Nobody can enter") == gateway || strings.Contains(body, "Nobody is chosen") != gateway || strings.Contains(body, `id="clients"`) != gateway || strings.Contains(body, "nobody to act as") == gateway {
			t.Errorf("%s: %s", introspect, body)
		}
		if _, body := send(t, server, "GET", path+"/settings", "", ""); strings.Contains(body, `id="clients"`) == gateway {
			t.Errorf("the settings of %s: %s", introspect, body)
		}
	}
}
