package idptest

import (
	"strings"
	"testing"

	"gatehouse/idp/api"
)

// TestUpstreamPages chooses another identity provider on the sign-in page in a real browser, on a phone and on a desktop, signs in
// there, arrives at the app and signs out of all of them; then it looks at the console's pages.
func TestUpstreamPages(t *testing.T) {
	t.Parallel()
	w := newPeerUpstream(t, nil)
	if _, err := w.API.SetUpstream(t.Context(), "uni", api.UpstreamChange{Set: map[string]string{"label": "Example University"}}); err != nil {
		t.Fatal(err)
	}
	w.AddPerson(t, "ada", "Administrators", func(n *api.NewUser) { n.Roles = []string{"owner"} })
	g := newGallery(t)
	g.Expect("favicon.ico") // of SimpleSAMLphp
	in := func(window func()) {
		t.Helper()
		g.Fresh()
		window()
		g.Open(w.app.LoginURL)
		g.WaitFor("form[action='/login/upstream/uni']")
		g.Click("form[action='/login/upstream/uni'] button")
		g.WaitFor("#username")
		if !strings.HasPrefix(g.URL(), w.idp.URL) {
			t.Fatalf("the choice leads to %s", g.URL())
		}
		g.Type("#username", "ana")
		g.Type("#password", Password)
		g.Keys("\r")
		eventually(t, "the browser does not arrive at the app", func() bool { return g.URL() == w.app.MeURL })
		if page := g.Text("body"); !strings.Contains(page, "ana@example.org") {
			t.Errorf("the app says:\n%s", page)
		}
	}
	g.Open(w.app.LoginURL)
	g.WaitFor("form[action='/login/upstream/uni']")
	g.look("signin-choice")
	in(g.Phone)
	in(g.Desktop)
	g.Open(w.URL + "/logout")
	g.Click("form button")
	g.WaitFor("main.card a.button.primary")
	g.look("signedout-upstream")
	if rows := g.Texts(".leaving-list .hint"); len(rows) != 2 || rows[0] != "signed out" || rows[1] != "signed out" {
		t.Errorf("the page says %q", rows)
	}
	g.Open(w.app.LoginURL)
	g.WaitFor("form[action='/login/upstream/uni'] button")
	g.Click("form[action='/login/upstream/uni'] button")
	g.WaitFor("#username") // it asks again: the session there is over too
	w.consoleUpstreams(t, g)
}

func (w *peerUpstream) consoleUpstreams(t *testing.T, g *gallery) {
	t.Helper()
	g.Fresh()
	g.Open(w.URL)
	g.signIn("ada", Password)
	g.WaitFor("#tiles")
	g.visit("upstreams", w.URL+"/admin/upstreams")
	g.Type("#f-name", "Not a name")
	g.Type("#f-metadata_url", w.idp.EntityID)
	g.Expect("422")
	g.Click("form.form button.primary")
	g.WaitFor(".summary")
	g.look("upstreams-error")
	g.Open(w.URL + "/admin/upstreams/uni")
	g.Click("form[action$='/test'] button")
	g.WaitFor("#checks")
	g.look("upstream")
	g.Click("form.form button.primary")
	g.WaitFor(".notice.ok")
	u, err := w.API.Upstream(t.Context(), "uni")
	if err != nil || u.Title != "Example University" {
		t.Errorf("after saving what was there: %+v, %v", u, err)
	}
}
