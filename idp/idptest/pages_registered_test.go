package idptest

import (
	"slices"
	"testing"

	"gatehouse/idp/api"
)

// TestRegisteredPages looks at clients that nobody added: the list and their page say how they came, and one is approved there.
func TestRegisteredPages(t *testing.T) {
	t.Parallel()
	w, d := newWorld(t), newDocumentServer(t)
	w.AddPerson(t, "ada", "Administrators", func(n *api.NewUser) { n.Roles = []string{"owner"} })
	w.organisation(t, "oauth.client_id_metadata_documents", "true")
	w.organisation(t, "oauth.open_registration", "true")
	d.publish("/notes", nil)
	documented := w.documented(t, d, "/notes")
	documented.Visit(w.ana(t), documented.Ask())
	parent := w.gateway(t, "marksgw", nil)
	under := parent.child(parent.register(map[string]any{"client_name": "Partner"}))
	parent.token = ""
	alone := parent.child(parent.register(map[string]any{"client_name": "Stranger"}))
	id := func(client string) string {
		app, err := w.API.App(t.Context(), client)
		if err != nil {
			t.Fatal(err)
		}
		return app.ID
	}
	g := newGallery(t)
	g.Open(w.URL + "/admin/apps")
	g.signIn("ada", Password)
	g.WaitFor("table.list")
	g.look("apps-registered")
	texts := g.Texts("tbody .main-cell .hint")
	for _, want := range []string{"From the document at " + d.Listener.Addr().String(), "Registered itself", "Registered itself, by a token of another app"} {
		if !slices.Contains(texts, want) {
			t.Errorf("the list does not say %q: %q", want, texts)
		}
	}
	g.visit("app-of-document", w.URL+"/admin/apps/"+id(documented.ID))
	g.visit("app-under-gateway", w.URL+"/admin/apps/"+id(under.ID))
	page := w.URL + "/admin/apps/" + id(alone.ID)
	g.visit("app-registered", page)
	g.Click(`.notice form[action$="/approve"] button`)
	g.WaitFor(".notice.ok")
	if app, err := w.API.App(t.Context(), alone.ID); err != nil || app.State != "active" {
		t.Errorf("%s, %v", app.State, err)
	}
}
