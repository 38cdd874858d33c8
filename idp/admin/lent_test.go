package admin

import (
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/idp/api"
)

// TestLentToOlderSecrets: an owner who lends an app scopes of Gatehouse's own API reads that who held its secret has them too, until
// the secret is replaced.
func TestLentToOlderSecrets(t *testing.T) {
	w := newWorld(t)
	owner := w.person("ada", RoleOwner)
	later := func() {
		at := w.Now().Add(time.Minute)
		w.Now = func() time.Time { return at }
	}
	warned := func(app api.App) bool {
		return slices.ContainsFunc(app.Warnings, func(one api.Warning) bool { return one.Code == "older_secret" })
	}
	lend := func(id, scopes string) api.App {
		t.Helper()
		later()
		app, err := w.SetApp(t.Context(), owner, id, map[string]string{"oauth.scopes": scopes})
		must(t, err)
		return app
	}
	at := w.codeClient(owner, "orders").App.ID
	if app := lend(at, "openid,email"); warned(app) || !app.OAuth.Lent.IsZero() {
		t.Error("a scope that lends nothing is warned about")
	}
	if app := lend(at, "openid,directory.read"); !warned(app) || app.OAuth.OlderSecrets != 1 || !app.OAuth.Lent.Equal(w.Now()) {
		t.Errorf("%+v", app.OAuth)
	}
	later()
	_, err := w.RotateSecret(t.Context(), owner, at, api.RotateSecret{})
	must(t, err)
	if app, err := w.App(t.Context(), at); err != nil || !warned(app) {
		t.Error("the older one is good beside the new one")
	}
	made, err := w.RotateSecret(t.Context(), owner, at, api.RotateSecret{Replace: true})
	must(t, err)
	if app, err := w.App(t.Context(), at); err != nil || warned(app) || len(app.OAuth.Secrets) != 1 || made.Ended != 1 || made.ClientSecret == "" {
		t.Errorf("%+v, %+v", app.OAuth, made)
	}
	if app := lend(at, "openid,directory.read,email"); warned(app) {
		t.Error("nothing more is lent")
	}
	if app := lend(at, "openid,directory.read,apps.write"); !warned(app) {
		t.Error("more is lent to the secret that is there")
	}
	if app := lend(at, "openid"); warned(app) {
		t.Error("nothing is lent any more")
	}
	added, err := w.AddApp(t.Context(), owner, api.NewApp{OAuth: `{"client_name":"new","redirect_uris":["https://new.example/cb"],"scope":"openid directory.read"}`})
	must(t, err)
	if warned(added.App) || added.App.OAuth.Lent.IsZero() {
		t.Errorf("of an app that is made with them: %+v", added.App)
	}
}

// TestLentToOlderKeys: the same of keys that the app registered before, until it has others.
func TestLentToOlderKeys(t *testing.T) {
	w := newWorld(t)
	owner := w.person("ada", RoleOwner)
	const ec = `{"keys":[{"kty":"EC","crv":"P-256","kid":"%s","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`
	keys := func(id string) string { return strings.Replace(ec, "%s", id, 1) }
	set := func(id string, values map[string]string) bool {
		t.Helper()
		at := w.Now().Add(time.Minute)
		w.Now = func() time.Time { return at }
		app, err := w.SetApp(t.Context(), owner, id, values)
		must(t, err)
		return slices.ContainsFunc(app.Warnings, func(one api.Warning) bool { return one.Code == "older_key" })
	}
	added, err := w.AddApp(t.Context(), owner, api.NewApp{OAuth: `{"client_name":"keyed","redirect_uris":["https://k.example/cb"],"token_endpoint_auth_method":"private_key_jwt","jwks":` + keys("one") + `}`})
	must(t, err)
	at := added.App.ID
	if set(at, map[string]string{"oauth.scopes": "openid,email"}) {
		t.Error("a scope that lends nothing is warned about")
	}
	if !set(at, map[string]string{"oauth.scopes": "openid,directory.read"}) {
		t.Error("the keys from before are not warned about")
	}
	if !set(at, map[string]string{"description": "More."}) {
		t.Error("the warning goes though nothing changed")
	}
	if set(at, map[string]string{"oauth.jwks": keys("two")}) {
		t.Error("the keys are new, and are warned about")
	}
	if set(at, map[string]string{"oauth.jwks": keys("three"), "oauth.scopes": "openid,directory.read,apps.write"}) {
		t.Error("keys that came with the scopes are warned about")
	}
}

// TestLentInTheConsole: the settings lead to the page that says so and replaces the secret in one step.
func TestLentInTheConsole(t *testing.T) {
	w := newWorld(t)
	w.actor = w.person("ada", RoleOwner).Actor
	path, server := "/admin/apps/"+w.codeClient(socket, "orders").App.ID, w.server()
	w.Now = func() time.Time { return testNow.Add(time.Hour) }
	if status, location := post(t, server, path+"/settings", "oauth.scopes", "openid", "oauth.scopes", "directory.read"); status != 303 || location != path+"/credentials?done=saved#lent" {
		t.Fatalf("%d %s", status, location)
	}
	replace := `action="` + path + `/credentials/replace"`
	if _, body := send(t, server, "GET", path+"/credentials", "", ""); !strings.Contains(body, replace) || !strings.Contains(body, "An older secret has new power") {
		t.Error(body)
	}
	if status, location := post(t, server, path+"/settings", "description", "More."); status != 303 || location != path+"/settings?done=saved" {
		t.Errorf("another setting: %d %s", status, location)
	}
	if status, body := post(t, server, path+"/credentials/replace", "seen", w.secrets(strings.TrimPrefix(path, "/admin/apps/"))); status != 200 || strings.Contains(body, replace) || !strings.Contains(body, "shown this once") {
		t.Errorf("%d %s", status, body)
	}
}
