package admin

import (
	"slices"
	"strings"
	"testing"

	"gatehouse/idp/api"
	"gatehouse/idp/flow"
	"gatehouse/sp"
)

func TestSettingsForm(t *testing.T) {
	w := newWorld(t)
	w.actor = w.person("ada", RoleOwner).Actor
	id := w.app("benefits")
	server := w.server()
	path := "/admin/apps/" + id + "/settings"
	if status, body := post(t, server, path, "saml.sign", "response"); status != 303 {
		t.Fatalf("%d %s", status, body)
	}
	access := "/admin/apps/" + id + "/access"
	if status, body := post(t, server, access, "permitted_users", "all", "policy.ip_ranges", "192.0.2.0/24\r\n2001:db8::/32", "policy.min_level", "standard"); status != 303 {
		t.Fatalf("%d %s", status, body)
	}
	if status, body := post(t, server, access, "permitted_users", "all", "policy.min_level", "low", "policy.ip_ranges", "10.0.0.0/99"); status != 422 || !strings.Contains(body, "10.0.0.0/99") {
		t.Errorf("%d %s", status, body)
	}
	app, err := w.App(t.Context(), id)
	must(t, err)
	for _, s := range app.Settings {
		if s.Key == "policy.ip_ranges" && s.Value != "192.0.2.0/24,2001:db8::/32" || s.Key == "policy.min_level" && s.Value != "standard" || s.Key == "saml.sign" && s.Value != "response" {
			t.Errorf("%+v", s)
		}
	}
	if status, body := post(t, server, path, "saml.sign", "", "saml.assertion_lifetime", "a while"); status != 422 || !strings.Contains(body, `value="a while"`) {
		t.Errorf("%d %s", status, body)
	}
	if status, body := post(t, server, "/admin/settings", "oauth.disabled_grants", "", "oauth.disabled_grants", "client_credentials", "oauth.disabled_grants", sp.GrantDevice, "signin.methods", "", "signin.methods", "password", "signin.mfa_enrolment", "admin"); status != 303 {
		t.Errorf("%d %s", status, body)
	}
	_, body := send(t, server, "GET", "/admin/settings", "", "")
	for _, want := range []string{`value="client_credentials" checked`, `value="` + sp.GrantDevice + `" checked`, `value="refresh_token"><span>Renew`, `value="password" checked><span>A password`, `value="passkey"><span>`, `value="admin" selected>By an administrator`} {
		if !strings.Contains(body, want) {
			t.Errorf("the settings have no %s", want)
		}
	}
	if app, err = w.App(t.Context(), id); err != nil || len(w.entries("app.set")) != 2 {
		t.Errorf("a refused form changed something: %v", err)
	}
	if status, body := post(t, server, "/admin/settings", "name", "Acme", "color", "blue"); status != 422 || !strings.Contains(body, "#1a2b3c") {
		t.Errorf("%d %s", status, body)
	}
	if status, _ := post(t, server, "/admin/apps/"+flow.Console+"/access", "permitted_users", "preauthorized", "confirm", "empty"); status != 422 {
		t.Errorf("the author shut the console: %d", status)
	}
}

// TestChoicesInWords: a form shows what a value does, lists of a few as boxes, and stores a default as none.
func TestChoicesInWords(t *testing.T) {
	w := newWorld(t)
	w.actor = w.person("ada", RoleOwner).Actor
	_, err := w.AddScope(t.Context(), socket, api.NewScope{Name: "orders.read", Description: "See your orders"})
	must(t, err)
	added, err := w.AddApp(t.Context(), socket, api.NewApp{OAuth: `{"client_name":"Orders","redirect_uris":["https://orders.example/cb"]}`})
	must(t, err)
	server := w.server()
	path := "/admin/apps/" + added.App.ID
	for page, wanted := range map[string][]string{
		"":          {"<dt>ID</dt>"},
		"/access":   {">Two factors, or a passkey</option>", ">Default: Always count</option>"},
		"/settings": {"Orders", `value="orders.read"><span>orders.read: See your orders`, `value="openid" checked`, ">A key of its own (private_key_jwt)</option>", `value="password"><span>Take people`, `placeholder="Default: 10 minutes (10m)"`},
	} {
		_, body := send(t, server, "GET", path+page, "", "")
		for _, want := range wanted {
			if !strings.Contains(body, want) {
				t.Errorf("%s has no %q:\n%s", page, want, body)
			}
		}
	}
	scopes := func() api.Setting {
		app, err := w.App(t.Context(), added.App.ID)
		must(t, err)
		return app.Settings[slices.IndexFunc(app.Settings, func(s api.Setting) bool { return s.Key == "oauth.scopes" })]
	}
	all := append([]string{"oauth.scopes", ""}, pairs("oauth.scopes", scopes().Value)...)
	for _, step := range []struct {
		posted []string
		want   string
		unset  bool
	}{
		{all, scopes().Value, true},
		{[]string{"oauth.scopes", "", "oauth.scopes", "orders.read", "oauth.scopes", "openid"}, "orders.read,openid", false},
		{all, scopes().Value, true},
		{[]string{"oauth.scopes", "", "oauth.scopes", "email"}, "email", false},
		{[]string{"oauth.scopes", ""}, scopes().Value, true},
	} {
		if status, body := post(t, server, path+"/settings", step.posted...); status != 303 {
			t.Fatalf("%v: %d %s", step.posted, status, body)
		}
		if s := scopes(); s.Value != step.want || s.IsDefault != step.unset {
			t.Errorf("%v gives %q, default %t", step.posted, s.Value, s.IsDefault)
		}
	}
	status, body := post(t, server, path+"/settings", "oauth.scopes", "", "oauth.scopes", "nonsense", "oauth.access_token_lifetime", "1h")
	if status != 422 || !strings.Contains(body, `value="nonsense" checked`) || !strings.Contains(body, `value="1h"`) {
		t.Errorf("%d %s", status, body)
	}
}

// pairs are the fields of a form that name the items of a list one by one.
func pairs(key, list string) []string {
	var all []string
	for _, one := range splitList(list) {
		all = append(all, key, one)
	}
	return all
}
