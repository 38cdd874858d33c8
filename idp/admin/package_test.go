package admin

import (
	"encoding/json"
	"strings"
	"testing"

	"gatehouse/idp/api"
	"gatehouse/sp"
)

// packageOf exports an app, changed, as its file.
func (w *world) packageOf(ref string, change func(settings map[string]string)) string {
	w.t.Helper()
	p, err := w.ExportApp(w.t.Context(), ref)
	must(w.t, err)
	if change != nil {
		change(p.Settings)
	}
	text, err := json.Marshal(p)
	must(w.t, err)
	return string(text)
}

// client adds an OAuth client and returns what was made.
func (w *world) client(metadata string, set map[string]string) api.AddedApp {
	w.t.Helper()
	added, err := w.AddApp(w.t.Context(), socket, api.NewApp{OAuth: metadata, Set: set})
	must(w.t, err)
	return added
}

// TestClientPackages: the console hands out an OAuth client's package, installs one with the new secret shown once, and upgrades one
// after it said what would change.
func TestClientPackages(t *testing.T) {
	w := newWorld(t)
	w.actor = w.person("ada", RoleOwner).Actor
	server := w.server()
	orders := w.client(`{"client_name":"Orders","redirect_uris":["https://orders.example/cb"]}`, map[string]string{"policy.min_level": "high"})
	path := "/admin/apps/" + orders.App.ID
	if _, body := send(t, server, "GET", path, "", ""); !strings.Contains(body, path+"/export") || !strings.Contains(body, "Upgrade from a package") {
		t.Errorf("the overview offers no package: %s", body)
	}
	status, file := send(t, server, "GET", path+"/export", "", "")
	if status != 200 || !strings.Contains(file, "https://orders.example/cb") || strings.Contains(file, orders.ClientID) || strings.Contains(file, "policy.") {
		t.Fatalf("%d %s", status, file)
	}
	status, body := upload(t, server, "/admin/apps/new", file, "source", "file", "name", "Copy", "permitted_users", "all")
	copied, err := w.App(t.Context(), "Copy")
	must(t, err)
	if status != 200 || !strings.Contains(body, "shown this once") || !strings.Contains(body, copied.ClientID) || copied.ClientID == orders.ClientID || len(copied.OAuth.Secrets) != 1 {
		t.Errorf("%d %+v %s", status, copied.OAuth, body)
	}
	newer := w.packageOf("Orders", func(s map[string]string) { s["oauth.redirect_uris"] = "https://new.example/cb" })
	status, body = upload(t, server, path+"/metadata", newer, "source", "file")
	if status != 200 || !strings.Contains(body, "https://new.example/cb") || !strings.Contains(body, "What would change") {
		t.Errorf("%d %s", status, body)
	}
	if status, location := upload(t, server, path+"/metadata", "", "source", "paste", "metadata", newer, "confirm", "replace"); status != 303 {
		t.Errorf("%d %s", status, location)
	}
	app, err := w.App(t.Context(), orders.App.ID)
	must(t, err)
	set := settingsByKey(&app)
	if set["oauth.redirect_uris"].Value != "https://new.example/cb" || set["policy.min_level"].Value != "high" || app.ClientID != orders.ClientID || len(app.OAuth.Secrets) != 1 {
		t.Errorf("after the upgrade: %+v", app)
	}
	if status, body := upload(t, server, path+"/metadata", metadataOf("https://x.example/md", "https://x.example/acs"), "source", "file"); status != 422 || !strings.Contains(body, "does not use SAML") {
		t.Errorf("%d %s", status, body)
	}
}

// TestClientPackagesKeepTheStricter: no newer definition makes a client public, or its tokens anybody's, by itself.
func TestClientPackagesKeepTheStricter(t *testing.T) {
	w := newWorld(t)
	strict := map[string]string{"oauth.require_pushed_authorization_requests": "true", "oauth.dpop_bound_access_tokens": "true", "oauth.tls_client_certificate_bound_access_tokens": "true", "oauth.subject_type": sp.SubjectPairwise}
	added := w.client(`{"client_name":"Orders","redirect_uris":["https://orders.example/cb"]}`, strict)
	lowered := w.packageOf("Orders", func(s map[string]string) {
		for key := range strict {
			delete(s, key)
		}
		s["oauth.require_pkce"], s["oauth.token_endpoint_auth_method"], s["oauth.grant_types"] = "false", sp.AuthNone, sp.GrantJWTBearer
		delete(s, "oauth.redirect_uris")
	})
	ask := api.NewApp{Metadata: lowered, Replace: true, To: added.App.ID}
	preview, err := w.PreviewApp(t.Context(), socket, ask)
	must(t, err)
	upgraded, err := w.AddApp(t.Context(), socket, ask)
	must(t, err)
	set := settingsByKey(&upgraded.App)
	for key := range strict {
		if set[key].Value != strict[key] {
			t.Errorf("%s was lowered", key)
		}
	}
	kept := 0
	for _, warning := range upgraded.Warnings {
		if warning.Code == "kept_stricter" {
			kept++
		}
	}
	if set["oauth.token_endpoint_auth_method"].Value != sp.AuthSecretBasic || set["oauth.require_pkce"].Value != "true" || kept != 7 || len(preview.Differences)+len(upgraded.Differences) != 0 {
		t.Errorf("%d kept: %+v %+v", kept, upgraded.Warnings, upgraded.Differences)
	}
	ask.Set = map[string]string{"oauth.token_endpoint_auth_method": sp.AuthNone}
	upgraded, err = w.AddApp(t.Context(), socket, ask)
	must(t, err)
	if settingsByKey(&upgraded.App)["oauth.token_endpoint_auth_method"].Value != sp.AuthNone {
		t.Error("asked for by name, and still refused")
	}
}

// TestClientPackagesAndSecrets: an app that becomes a client by a package, or needs a secret by one, is shown what is new, this once.
func TestClientPackagesAndSecrets(t *testing.T) {
	w := newWorld(t)
	id := w.app("both")
	before := w.packageOf(id, nil)
	added, err := w.AddApp(t.Context(), socket, api.NewApp{To: id, OAuth: `{"redirect_uris":["https://both.example/cb"]}`})
	must(t, err)
	both := w.packageOf(id, nil)
	other := newWorld(t)
	plain, err := other.AddApp(t.Context(), socket, api.NewApp{Metadata: before})
	must(t, err)
	ask := api.NewApp{Metadata: both, Replace: true}
	preview, err := other.PreviewApp(t.Context(), socket, ask)
	must(t, err)
	grown, err := other.AddApp(t.Context(), socket, ask)
	must(t, err)
	if preview.ClientID+preview.ClientSecret != "" || grown.App.ID != plain.App.ID || grown.ClientSecret == "" || grown.ClientID == "" || grown.ClientID == added.ClientID {
		t.Errorf("%+v then %+v", preview, grown)
	}
	again, err := other.AddApp(t.Context(), socket, ask)
	must(t, err)
	if again.ClientID+again.ClientSecret != "" || len(again.Differences) != 0 || again.App.ClientID != grown.ClientID {
		t.Errorf("the same again: %+v", again)
	}
	phone := other.client(`{"client_name":"Phone","redirect_uris":["https://phone.example/cb"],"token_endpoint_auth_method":"none"}`, nil)
	secret := other.packageOf("Phone", func(s map[string]string) { delete(s, "oauth.token_endpoint_auth_method") })
	now, err := other.AddApp(t.Context(), socket, api.NewApp{Metadata: secret, Replace: true, To: "Phone"})
	must(t, err)
	if now.ClientID != phone.ClientID || now.ClientSecret == "" {
		t.Errorf("%+v", now)
	}
}

// TestBadClientPackages: what is no package of a client, or names no app to upgrade, changes nothing.
func TestBadClientPackages(t *testing.T) {
	w := newWorld(t)
	w.client(`{"client_name":"Orders","redirect_uris":["https://orders.example/cb"]}`, nil)
	saml := w.app("saml")
	good := w.packageOf("Orders", nil)
	for name, c := range map[string]struct {
		ask           api.NewApp
		status        int
		reason, field string
	}{
		"no app is named":     {api.NewApp{Metadata: good, Replace: true}, 400, "bad_value", "to"},
		"a SAML app":          {api.NewApp{Metadata: good, Replace: true, To: saml}, 409, "no_client", "to"},
		"two names of an app": {api.NewApp{Metadata: w.packageOf(saml, nil), Replace: true, To: saml}, 400, "bad_value", "to"},
		"a policy":            {api.NewApp{Metadata: strings.Replace(good, `"settings":{`, `"settings":{"oauth.run_as":"x",`, 1)}, 400, "bad_value", "metadata"},
		"SAML without it":     {api.NewApp{Metadata: strings.Replace(good, `"settings":{`, `"settings":{"saml.sign":"both",`, 1)}, 400, "bad_value", "metadata"},
		"no protocol":         {api.NewApp{Metadata: `{"format":"gatehouse-app","version":1,"settings":{"name":"x"}}`}, 400, "bad_value", "metadata"},
		"a fragment":          {api.NewApp{Metadata: strings.Replace(good, "/cb", "/#x", 1)}, 400, "bad_value", "oauth.redirect_uris"},
		"no such scope":       {api.NewApp{Metadata: strings.Replace(good, `"settings":{`, `"settings":{"oauth.scopes":"orders.write",`, 1)}, 400, "bad_value", "oauth.scopes"},
	} {
		_, err := w.AddApp(t.Context(), socket, c.ask)
		if public := asPublic(err); public == nil || public.Status != c.status || public.Reason != c.reason || public.Field != c.field {
			t.Errorf("%s: %#v (%v)", name, public, err)
		}
	}
	if n := len(w.entries("app.add")) + len(w.entries("app.replace")); n != 2 {
		t.Errorf("%d changes", n)
	}
}
