package admin

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"gatehouse/idp/api"
)

// unsignedSource is a source on 127.0.0.1 that a test publishes on. It does not sign: idp/federation tests those that do.
func (w *world) unsignedSource(name string) func(entities ...string) {
	w.t.Helper()
	var text atomic.Pointer[string]
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) { _, _ = out.Write([]byte(*text.Load())) }))
	w.t.Cleanup(server.Close)
	_, err := w.AddMetadataSource(w.t.Context(), socket, api.NewMetadataSource{Name: name, Kind: "aggregate", Set: map[string]string{
		"url": server.URL, "unsigned": "true", "max_validity": "none"}})
	must(w.t, err)
	return func(entities ...string) {
		w.t.Helper()
		text.Store(new(`<EntitiesDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata">` + strings.Join(entities, "") + `</EntitiesDescriptor>`))
		_, err := w.RefreshMetadataSource(w.t.Context(), socket, name)
		must(w.t, err)
	}
}

// waits is the version of newer metadata of an app that waits for an answer.
func (w *world) waits(app string) string {
	w.t.Helper()
	m, err := w.AppMetadata(w.t.Context(), app)
	must(w.t, err)
	if m.Version == "" {
		w.t.Fatalf("nothing waits: %+v", m)
	}
	return m.Version
}

func TestSourcesInTheConsole(t *testing.T) {
	w := newWorld(t)
	w.actor = w.person("ada", RoleOwner).Actor
	publish := w.unsignedSource("edu")
	publish(metadataOf("https://a.example/md", "https://a.example/acs"), metadataOf("https://&lt;b>.example/md", "https://b.example/acs"))
	server := w.server()
	page := func(path string, want ...string) string {
		t.Helper()
		status, body := send(t, server, "GET", path, "", "")
		for _, text := range want {
			if status != 200 || !strings.Contains(body, text) {
				t.Errorf("%s: %d, no %q in %s", path, status, text, body)
			}
		}
		return body
	}
	page("/admin/metadata-sources", "/admin/metadata-sources/edu", "Add a source")
	if body := page("/admin/metadata-sources/edu?q=A.EXAMPLE", "https://a.example/md", "the address alone is believed"); strings.Contains(body, "b&gt;.example") {
		t.Error("the search finds everything")
	}
	status, location := post(t, server, "/admin/metadata-sources/edu/connect", "entity_id", "https://a.example/md")
	app, err := w.App(t.Context(), "https://a.example/md")
	if status != 303 || err != nil || location != "/admin/apps/"+app.ID+"/access?done=connected" || app.PermittedUsers != "preauthorized" || app.SAML.Source != "edu" {
		t.Fatalf("%d %s %+v %v", status, location, app, err)
	}
	publish(metadataOf("https://a.example/md", "https://a.example/acs", "https://a.example/two"))
	page("/admin/", "Newer metadata of a.example waits for your answer.")
	page("/admin/apps/"+app.ID+"/metadata", "Newer metadata waits", "https://a.example/two", "/metadata/approve")
	seen := w.waits(app.ID)
	publish(metadataOf("https://a.example/md", "https://a.example/acs", "https://evil.example/acs"))
	stale := seen
	if seen = w.waits(app.ID); seen == stale {
		t.Error("newer metadata has the version of the older")
	}
	page("/admin/apps/"+app.ID+"/metadata", "https://evil.example/acs", `name="version" value="`+seen+`"`)
	for _, c := range []struct {
		path   string
		form   []string
		status int
		want   string // of the place that follows, or of the page
	}{
		{"/admin/apps/" + app.ID + "/metadata/approve", []string{"version", stale}, 422, "is not what you looked at"},
		{"/admin/apps/" + app.ID + "/metadata/dismiss", []string{"version", stale}, 422, "is not what you looked at"},
		{"/admin/apps/" + app.ID + "/metadata/approve", nil, 422, "is not what you looked at"},
		{"/admin/apps/" + app.ID + "/metadata/approve", []string{"version", seen}, 303, "done=replaced"},
		{"/admin/apps/" + app.ID + "/metadata/approve", nil, 422, "No newer metadata of this app waits"},
		{"/admin/apps/" + app.ID + "/metadata/refresh", nil, 303, "done=looked"},
		{"/admin/apps/" + app.ID + "/metadata/other", nil, 404, ""},
		{"/admin/metadata-sources/edu/connect", []string{"entity_id", "https://nobody.example"}, 422, "has no service provider with this entity id"},
		{"/admin/metadata-sources/edu/remove", nil, 409, ""},
		{"/admin/metadata-sources", []string{"name", "two", "kind", "mdq", "url", "https://md.example/", "keys", "none", "apply", "review"}, 422, "1 to 10 certificates"},
		{"/admin/metadata-sources/edu", []string{"url", "ftp://x", "keys", "", "apply", "review"}, 422, "must be an address like"},
		{"/admin/metadata-sources/edu", []string{"refresh", "6h", "keys", "", "state", "paused"}, 303, "done=saved"},
		{"/admin/metadata-sources/none", []string{"refresh", "6h"}, 404, ""},
	} {
		status, body := post(t, server, c.path, c.form...)
		if status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s %v: %d %.600s", c.path, c.form, status, body)
		}
	}
	if app, err := w.App(t.Context(), app.ID); err != nil || len(app.SAML.ACS) != 2 {
		t.Errorf("%+v %v", app.SAML, err)
	}
	if s, err := w.MetadataSource(t.Context(), "edu"); err != nil || settingOf(&s, "refresh") != "6h" || settingOf(&s, "state") != "paused" {
		t.Errorf("%+v %v", s, err)
	}
	if n := len(w.entries("app.replace")); n != 1 {
		t.Errorf("%d entries of the replacement", n)
	}
}

// TestWhoMaySource: pinned keys are the owner's; a developer connects, and an administrator approves; each answers for their own.
func TestWhoMaySource(t *testing.T) {
	w := newWorld(t)
	publish := w.unsignedSource("edu")
	publish(metadataOf("https://a.example/md", "https://a.example/acs"), metadataOf("https://b.example/md", "https://b.example/acs"))
	admin, dev, other := w.person("adm", RoleAppAdmin), w.person("dev", RoleDeveloper), w.person("oth", RoleDeveloper)
	server := w.server()
	for _, by := range []By{admin, dev} {
		w.actor = by.Actor
		for path, form := range map[string][]string{"/admin/metadata-sources": {"name", "x"}, "/admin/metadata-sources/edu": {"state", "paused"}, "/admin/metadata-sources/edu/remove": nil} {
			if status, _ := post(t, server, path, form...); status != 403 {
				t.Errorf("%s at %s: %d", by.Name, path, status)
			}
		}
	}
	added, err := w.AddApp(t.Context(), dev, api.NewApp{EntityID: "https://a.example/md", Source: "edu"})
	if err != nil || added.App.State != "pending" {
		t.Fatalf("%+v %v", added.App, err)
	}
	publish(metadataOf("https://a.example/md", "https://a.example/acs", "https://a.example/two"))
	_, err = w.AnswerAppMetadata(t.Context(), other, added.App.ID, "approve", "")
	refusal(t, err, 403, "not_yours", "app")
	m, err := w.AppMetadata(t.Context(), added.App.ID)
	if err != nil || len(m.Waiting) != 1 {
		t.Errorf("%+v %v", m, err)
	}
	_, err = w.AnswerAppMetadata(t.Context(), dev, added.App.ID, "refresh", "")
	refusal(t, err, 403, "needs_app_admin", "")
	w.actor = dev.Actor
	if _, body := send(t, server, "GET", "/admin/apps/"+added.App.ID+"/metadata", "", ""); !strings.Contains(body, "/metadata/approve") || strings.Contains(body, "/metadata/refresh") {
		t.Errorf("a developer is offered to fetch a source: %s", body)
	}
	_, err = w.AnswerAppMetadata(t.Context(), dev, added.App.ID, "dismiss", m.Version)
	must(t, err)
	_, err = w.AddApp(t.Context(), admin, api.NewApp{EntityID: "https://b.example/md", Source: "edu"})
	refusal(t, err, 404, "not_in_source", "entity_id") // gone from the newest document
	_, err = w.AddApp(t.Context(), admin, api.NewApp{EntityID: "https://b.example/md", Source: "edu", ACS: "https://x.example/acs"})
	refusal(t, err, 400, "bad_value", "entity_id")
	_, err = w.AddApp(t.Context(), admin, api.NewApp{EntityID: "https://a.example/md", Source: "edu"})
	refusal(t, err, 409, "exists", "entity_id")
	if _, err := w.AnswerAppMetadata(t.Context(), admin, w.app("plain"), "refresh", ""); err == nil || !strings.Contains(err.Error(), "came from a file") {
		t.Error(err)
	}
	_, err = w.RemoveApp(t.Context(), socket, added.App.ID)
	must(t, err)
	in, err := w.parse(t.Context(), &api.NewApp{EntityID: "https://a.example/md", Source: "edu"})
	must(t, err)
	_, err = w.RemoveMetadataSource(t.Context(), socket, "edu")
	must(t, err)
	_, err = w.Actions.store(t.Context(), admin, api.NewApp{EntityID: "https://a.example/md", Source: "edu"}, in)
	refusal(t, err, 404, "not_found", "metadata source")
	if _, err := w.SourceEntities(t.Context(), "edu", "", "", 10); err == nil {
		t.Error("a removed source is still there")
	}
}

// A refusal that a form shows again leaves the same audit entry as one on an error page: who tries what they may not leaves a trace.
func TestRefusedFormsAreNoted(t *testing.T) {
	w := newWorld(t)
	publish := w.unsignedSource("edu")
	publish(metadataOf("https://a.example/md", "https://a.example/acs"))
	added, err := w.AddApp(t.Context(), w.person("dev", RoleDeveloper), api.NewApp{EntityID: "https://a.example/md", Source: "edu"})
	must(t, err)
	must(t, w.Keyring.Ensure(t.Context(), w.store, "id.example.org"))
	keys, err := w.Keys(t.Context())
	must(t, err)
	other, owner := w.person("oth", RoleDeveloper), w.person("own", RoleOwner)
	server := w.server()
	for _, c := range []struct {
		by     By
		path   string
		form   []string
		reason string
	}{
		{other, "/admin/apps/" + added.App.ID + "/metadata/approve", []string{"version", "x"}, "not_yours"},
		{other, "/admin/apps/" + added.App.ID + "/metadata", []string{"source", "paste", "metadata", metadataOf("https://a.example/md", "https://evil.example/acs")}, "not_yours"},
		{owner, "/admin/apps/" + added.App.ID + "/metadata/approve", []string{"version", "x"}, "nothing_waits"},
		{owner, "/admin/metadata-sources/edu", []string{"url", "ftp://x"}, "bad_value"},
		{owner, "/admin/keys/" + keys.Items[0].ID + "/retire", []string{"confirm", "retire"}, "wrong_state"},
	} {
		w.actor, w.recorded = c.by.Actor, nil
		if status, _ := post(t, server, c.path, c.form...); status != 422 || len(w.recorded) != 1 || w.recorded[0] != c.reason {
			t.Errorf("%s: %d, %v, want %s", c.path, status, w.recorded, c.reason)
		}
	}
}

// What is fetched from an address for a comparison is followed there once it is confirmed, as the comparison said.
func TestReplacedFromAnAddress(t *testing.T) {
	w := newWorld(t)
	w.actor = w.person("ada", RoleOwner).Actor
	publisher := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		_, _ = out.Write([]byte(metadataOf("https://a.example/md", "https://a.example/two")))
	}))
	t.Cleanup(publisher.Close)
	added, err := w.AddApp(t.Context(), socket, api.NewApp{Metadata: metadataOf("https://a.example/md", "https://a.example/acs")})
	must(t, err)
	server, path := w.server(), "/admin/apps/"+added.App.ID+"/metadata"
	if status, body := post(t, server, path, "source", "url", "url", publisher.URL); status != 200 || !strings.Contains(body, `name="from" value="`+publisher.URL+`"`) {
		t.Fatalf("%d %s", status, body)
	}
	text := metadataOf("https://a.example/md", "https://a.example/two")
	if status, body := post(t, server, path, "source", "paste", "metadata", text, "confirm", "replace", "from", "javascript:alert(1)"); status != 422 {
		t.Errorf("%d %s", status, body)
	}
	if status, place := post(t, server, path, "source", "paste", "metadata", text, "confirm", "replace", "from", publisher.URL); status != 303 {
		t.Fatalf("%d %s", status, place)
	}
	if m, err := w.AppMetadata(t.Context(), added.App.ID); err != nil || m.From != publisher.URL {
		t.Errorf("%+v %v", m, err)
	}
}
