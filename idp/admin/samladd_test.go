package admin

import (
	"errors"
	"strings"
	"testing"

	"gatehouse/idp/api"
	"gatehouse/idp/flow"
	"gatehouse/sp"
	"gatehouse/store"
)

// codeClient adds an OAuth client that signs people in.
func (w *world) codeClient(by By, name string) api.AddedApp {
	w.t.Helper()
	added, err := w.AddApp(w.t.Context(), by, api.NewApp{OAuth: `{"client_name":"` + name + `","redirect_uris":["https://` + name + `.example/cb"]}`})
	must(w.t, err)
	return added
}

// TestSAMLBesideOAuth: an OAuth client gets SAML and stays one app, with its name, policy and client id.
func TestSAMLBesideOAuth(t *testing.T) {
	w := newWorld(t)
	ada := w.person("ada", RoleOwner)
	orders, benefits := w.codeClient(ada, "orders"), w.app("benefits")
	_, err := w.SetApp(t.Context(), ada, orders.App.ID, map[string]string{"policy.min_level": "high"})
	must(t, err)
	text := metadataOf("https://orders.example/md", "https://orders.example/acs")
	stranger := w.codeClient(ada, "stranger").App.ID
	must(t, w.store.Update(t.Context(), func(tx store.Tx) error {
		app, _, err := sp.Apps.Get(tx, stranger)
		app.Parent = sp.OpenParent
		return errors.Join(err, sp.Apps.Put(tx, &app))
	}))
	for name, c := range map[string]struct {
		ask           api.NewApp
		status        int
		reason, field string
	}{
		"has it":         {api.NewApp{Metadata: text, To: benefits}, 409, "exists", "metadata"},
		"of another":     {api.NewApp{Metadata: metadataOf("https://benefits.example/md", "https://x.example/acs"), To: orders.App.ID}, 409, "exists", "entity_id"},
		"built in":       {api.NewApp{Metadata: text, To: flow.Console}, 409, "builtin", "app"},
		"nothing there":  {api.NewApp{Metadata: text, To: orders.App.ID, Replace: true}, 400, "bad_value", "to"},
		"whole package":  {api.NewApp{Metadata: w.packageOf(benefits, nil), To: orders.App.ID}, 409, "exists", "entity_id"},
		"client package": {api.NewApp{Metadata: w.packageOf(orders.App.ID, nil), To: orders.App.ID}, 400, "bad_value", "to"},
		"registered":     {api.NewApp{Metadata: text, To: stranger}, 409, "is_child", "app"},
		"nobody":         {api.NewApp{Metadata: text, To: "app_none"}, 404, "not_found", "app"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.AddApp(t.Context(), ada, c.ask)
			refusal(t, err, c.status, c.reason, c.field)
		})
	}
	added, err := w.AddApp(t.Context(), ada, api.NewApp{Metadata: text, To: orders.App.ID})
	must(t, err)
	both, err := w.App(t.Context(), orders.App.ID)
	must(t, err)
	if added.App.ID != both.ID || added.ClientSecret != "" || both.Name != "orders" || both.ClientID != orders.ClientID || both.EntityID != "https://orders.example/md" || len(both.OAuth.Secrets) != 1 || settingsByKey(&both)["policy.min_level"].Value != "high" {
		t.Errorf("%+v", both)
	}
	if entries := w.entries("app.add"); entries[0].App.ID != both.ID || entries[0].Facts["entity_id"] != both.EntityID {
		t.Errorf("%+v", entries[0])
	}
}

// TestDevelopersSAML: SAML tells about people who are not asked, so a developer gives it to their app only until that is open.
func TestDevelopersSAML(t *testing.T) {
	w := newWorld(t)
	dev := w.person("dev", RoleDeveloper)
	id := w.codeClient(dev, "orders").App.ID
	add := func(by By, host string) error {
		_, err := w.AddApp(t.Context(), by, api.NewApp{Metadata: metadataOf("https://"+host+".example/md", "https://"+host+".example/acs"), To: id})
		return err
	}
	refusal(t, add(w.person("eli", RoleDeveloper), "orders"), 403, "not_yours", "app")
	_, err := w.ApproveApp(t.Context(), socket, id, api.ApproveApp{})
	must(t, err)
	refusal(t, add(dev, "orders"), 403, "needs_app_admin", "metadata")
	id = w.codeClient(dev, "second").App.ID
	must(t, add(dev, "second"))
	if app, err := w.App(t.Context(), id); err != nil || app.State != string(sp.Pending) || app.SAML == nil {
		t.Errorf("%+v, %v", app, err)
	}
}

// TestSAMLInTheConsole: the overview of an OAuth client leads to the form, which says what is wrong and loses nothing.
func TestSAMLInTheConsole(t *testing.T) {
	w := newWorld(t)
	w.actor = w.person("ada", RoleOwner).Actor
	path, server := "/admin/apps/"+w.codeClient(socket, "orders").App.ID, w.server()
	if _, body := send(t, server, "GET", path, "", ""); !strings.Contains(body, `href="`+path+`/saml"`) {
		t.Error("the overview does not lead to the form")
	}
	if status, body := send(t, server, "GET", path+"/saml", "", ""); status != 200 || !strings.Contains(body, `action="`+path+`/saml"`) {
		t.Errorf("%d %s", status, body)
	}
	if status, body := post(t, server, path+"/saml", "source", "paste", "metadata", "<kept>"); status != 422 || !strings.Contains(body, "&lt;kept&gt;") {
		t.Errorf("%d %s", status, body)
	}
	if status, location := post(t, server, path+"/saml", "source", "paste", "metadata", metadataOf("https://orders.example/md", "https://orders.example/acs")); status != 303 || location != path+"?done=saml_added" {
		t.Fatalf("%d %s", status, location)
	}
	if _, body := send(t, server, "GET", path+"?done=saml_added", "", ""); strings.Contains(body, path+`/saml"`) || strings.Contains(body, path+`/client"`) || !strings.Contains(body, "https://orders.example/md") || !strings.Contains(body, "Client ID") {
		t.Errorf("the overview of both: %s", body)
	}
}
