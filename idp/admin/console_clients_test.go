package admin

import (
	"strings"
	"testing"

	"gatehouse/idp/api"
	"gatehouse/sp"
)

// TestClientsInTheConsole adds one of each kind; what is wrong stands at its field, and nothing that was typed is lost.
func TestClientsInTheConsole(t *testing.T) {
	w := newWorld(t)
	w.actor = w.person("ada", RoleOwner).Actor
	server := w.server()
	for kind, c := range map[string]struct {
		form   []string
		secret bool
		check  func(set map[string]*api.Setting) bool
	}{
		"web": {[]string{"redirect_uris", "https://a.example/cb\r\nhttps://a.example/other", "initiate_login_uri", "https://a.example/login", "scopes", "openid", "scopes", "email"}, true, func(set map[string]*api.Setting) bool {
			return set["oauth.redirect_uris"].Value == "https://a.example/cb,https://a.example/other" && set["oauth.scopes"].Value == "openid,email" && set["oauth.grant_types"].IsDefault
		}},
		"public": {[]string{"redirect_uris", "http://127.0.0.1/cb", "installed", "true"}, false, func(set map[string]*api.Setting) bool {
			return set["oauth.application_type"].Value == sp.TypeNative && set["oauth.token_endpoint_auth_method"].Value == sp.AuthNone
		}},
		"service": {[]string{"run_as", "ada", "permitted_users", "all"}, true, func(set map[string]*api.Setting) bool {
			return set["oauth.run_as"].Value == "ada" && set["oauth.grant_types"].Value == sp.GrantClientCredentials
		}},
		"gateway": {[]string{"approval", "required"}, true, func(set map[string]*api.Setting) bool {
			return set["oauth.introspect"].Value == sp.IntrospectChild && set["oauth.registration_approval"].Value == "required"
		}},
	} {
		status, body := post(t, server, "/admin/apps/new", append(c.form, "kind", kind, "name", "The "+kind)...)
		app, err := w.App(t.Context(), "The "+kind)
		must(t, err)
		if status != 200 || !strings.Contains(body, app.ClientID) || strings.Contains(body, "shown this once") != c.secret || len(app.OAuth.Secrets) > 0 != c.secret || !c.check(settingsByKey(&app)) {
			t.Errorf("%s: %d %+v %s", kind, status, app, body)
		}
		if app.PermittedUsers != map[bool]string{true: sp.PermitAll, false: sp.PermitPreauthorized}[kind == "service"] {
			t.Errorf("%s: %s may enter", kind, app.PermittedUsers)
		}
	}
	for name, c := range map[string]struct {
		field string
		form  []string
	}{
		"no name": {"name", []string{"kind", "web", "redirect_uris", "https://kept.example/cb"}}, "no address": {"redirect_uris", []string{"kind", "web", "name", "kept.example"}},
		"wildcard": {"redirect_uris", []string{"kind", "public", "name", "X", "redirect_uris", "https://*.kept.example/"}}, "script": {"redirect_uris", []string{"kind", "web", "name", "kept.example", "redirect_uris", "javascript:alert(1)"}},
		"login start": {"initiate_login_uri", []string{"kind", "web", "name", "kept.example", "redirect_uris", "https://x.example/", "initiate_login_uri", "x y"}},
		"no person":   {"run_as", []string{"kind", "service", "name", "kept.example", "run_as", "nobody"}}, "no scope": {"scopes", []string{"kind", "gateway", "name", "kept.example", "scopes", "nonsense"}},
		"no profile": {"profiles", []string{"kind", "gateway", "name", "kept.example", "profiles", "prf_none"}}, "long name": {"name", []string{"kind", "gateway", "name", strings.Repeat("kept.example", 20)}},
	} {
		status, body := post(t, server, "/admin/apps/new", c.form...)
		if status != 422 || !strings.Contains(body, `href="#f-`+c.field+`"`) || !strings.Contains(body, "kept.example") || strings.Contains(body, "oauth.") {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	if n := len(w.entries("app.add")); n != 4 {
		t.Errorf("%d apps were added", n)
	}
}

// secrets are the ids of an app's secrets, as its page posts them.
func (w *world) secrets(id string) string {
	w.t.Helper()
	app, err := w.App(w.t.Context(), id)
	must(w.t, err)
	var ids []string
	for _, one := range app.OAuth.Secrets {
		ids = append(ids, one.ID)
	}
	return strings.Join(ids, " ")
}

// TestSecretsOfAStalePage: a page that stood open while the secrets changed does nothing to those that it never showed.
func TestSecretsOfAStalePage(t *testing.T) {
	w := newWorld(t)
	w.actor = w.person("ada", RoleOwner).Actor
	id := w.codeClient(socket, "orders").App.ID
	server, path := w.server(), "/admin/apps/"+id+"/credentials"
	stale := w.secrets(id)
	if _, body := send(t, server, "GET", path, "", ""); strings.Count(body, `name="seen" value="`+stale+`"`) != 1 {
		t.Errorf("the page does not say what it shows: %s", body)
	}
	_, err := w.RotateSecret(t.Context(), socket, id, api.RotateSecret{})
	must(t, err)
	fresh := w.secrets(id)
	if _, body := send(t, server, "GET", path, "", ""); strings.Count(body, `name="seen"`) != 2 {
		t.Errorf("the page does not say what it shows: %s", body)
	}
	for _, action := range []string{"/rotate", "/replace", "/end-old"} {
		for _, seen := range [][]string{{"seen", stale}, {"seen", strings.Fields(fresh)[1]}, {"seen", fresh + " " + stale}, {"seen", ""}, nil} {
			if status, body := post(t, server, path+action, seen...); status != 409 || !strings.Contains(body, "so nothing was done: look at them again") {
				t.Errorf("%s %q: %d %s", action, seen, status, body)
			}
		}
	}
	if w.secrets(id) != fresh {
		t.Error("the secrets are others")
	}
}

// TestSecretsInTheConsole: two at most, the newest is shown once, the older one can be removed; who may not, sees no button.
func TestSecretsInTheConsole(t *testing.T) {
	w := newWorld(t)
	owner, auditor := w.person("ada", RoleOwner).Actor, w.person("eve", RoleAuditor).Actor
	added, err := w.AddApp(t.Context(), socket, api.NewApp{OAuth: `{"client_name":"Orders","redirect_uris":["https://orders.example/cb"],"jwks":{"keys":[{"kty":"EC","crv":"P-256","kid":"<one>","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}}`})
	must(t, err)
	server, path := w.server(), "/admin/apps/"+added.App.ID+"/credentials"
	w.actor = auditor
	if status, body := send(t, server, "GET", path, "", ""); status != 200 || strings.Contains(body, "/rotate") || strings.Contains(body, added.ClientSecret) || !strings.Contains(body, "EC · P-256 · &lt;one&gt;") || !strings.Contains(body, "10 minutes") {
		t.Errorf("%d %s", status, body)
	}
	if status, _ := post(t, server, path+"/rotate"); status != 403 {
		t.Errorf("an auditor made a secret: %d", status)
	}
	w.actor = owner
	for range 2 {
		if status, body := post(t, server, path+"/rotate", "seen", w.secrets(added.App.ID)); status != 200 || !strings.Contains(body, "shown this once") {
			t.Fatalf("%d %s", status, body)
		}
	}
	if app, err := w.App(t.Context(), added.App.ID); err != nil || len(app.OAuth.Secrets) != 2 {
		t.Errorf("%+v, %v", app.OAuth, err)
	}
	if status, location := post(t, server, path+"/end-old", "seen", w.secrets(added.App.ID)); status != 303 || location != path+"?done=secret_ended" {
		t.Errorf("%d %s", status, location)
	}
	if app, err := w.App(t.Context(), added.App.ID); err != nil || len(app.OAuth.Secrets) != 1 {
		t.Errorf("%+v, %v", app.OAuth, err)
	}
	_, err = w.SetApp(t.Context(), socket, added.App.ID, map[string]string{"oauth.token_endpoint_auth_method": sp.AuthNone})
	must(t, err)
	if status, body := post(t, server, path+"/rotate"); status != 409 || !strings.Contains(body, "does not prove itself by a secret") {
		t.Errorf("%d %s", status, body)
	}
	if status, body := send(t, server, "GET", "/admin/apps/"+w.app("saml")+"/credentials", "", ""); status != 404 || !strings.Contains(body, "has no client ID") {
		t.Errorf("%d %s", status, body)
	}
}

// TestCertificateClientInTheConsole: what its certificate says stands beside how it proves itself, and it has no secrets to make.
func TestCertificateClientInTheConsole(t *testing.T) {
	w := newWorld(t)
	w.actor = w.person("ada", RoleOwner).Actor
	added, err := w.AddApp(t.Context(), socket, api.NewApp{OAuth: `{"client_name":"Bank","redirect_uris":["https://bank.example/cb"],"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_san_dns":"client.bank.example"}`})
	must(t, err)
	server, path := w.server(), "/admin/apps/"+added.App.ID
	if status, body := send(t, server, "GET", path+"/credentials", "", ""); status != 200 || !strings.Contains(body, "client.bank.example") || !strings.Contains(body, "A certificate of an authority") || strings.Contains(body, "/rotate") {
		t.Errorf("%d %s", status, body)
	}
	_, body := send(t, server, "GET", path+"/settings", "", "")
	proves, next := strings.Index(body, ">"+proof+"</h2>"), strings.Index(body, ">"+signOut+"</h2>")
	if field := strings.Index(body, `name="oauth.tls_client_auth_san_dns"`); proves < 0 || field < proves || next < field {
		t.Errorf("the certificate's fields stand at %d, their heading at %d, the next at %d", field, proves, next)
	}
}

// TestDevelopersClient waits for an administrator, and names nobody.
func TestDevelopersClient(t *testing.T) {
	w := newWorld(t)
	w.actor = w.person("dev", RoleDeveloper).Actor
	server := w.server()
	_, body := send(t, server, "GET", "/admin/apps/new?kind=service", "", "")
	if strings.Contains(body, "run_as") || strings.Contains(body, "permitted_users") || !strings.Contains(body, "An administrator looks at the app") {
		t.Error(body)
	}
	if status, body := post(t, server, "/admin/apps/new", "kind", "web", "name", "Mine", "redirect_uris", "https://mine.example/cb"); status != 200 {
		t.Errorf("%d %s", status, body)
	}
	if app, err := w.App(t.Context(), "Mine"); err != nil || app.State != string(sp.Pending) || app.PermittedUsers != sp.PermitPreauthorized {
		t.Errorf("%+v, %v", app, err)
	}
	if status, body := post(t, server, "/admin/apps/new", "kind", "service", "name", "Theirs", "run_as", "dev"); status != 422 || !strings.Contains(body, "app administrator") {
		t.Errorf("%d %s", status, body)
	}
}
