package idptest

import (
	"strings"
	"testing"

	"gatehouse/idp/api"
)

// TestGatewayPages makes scopes and an initial access token in the console, and looks at the clients that register by it.
func TestGatewayPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.AddPerson(t, "ada", "Administrators", func(n *api.NewUser) { n.Roles = []string{"owner"} })
	rp := w.Client(t, "gatewaypages", map[string]any{"initiate_login_uri": "https://gatewaypages.example.org/login"}, nil)
	g := newGallery(t)
	g.Open(w.URL)
	g.signIn("ada", Password)
	g.WaitFor("#tiles")
	g.visit("scopes-empty", w.URL+"/admin/scopes")
	g.Type("#f-name", "1 orders")
	g.Type("#f-description", "See your orders")
	g.Expect("422")
	g.Click("form.form button.primary")
	g.WaitFor(".summary")
	g.look("scopes-error")
	if text := g.Text("#e-name"); !strings.HasPrefix(text, "Name must begin") {
		t.Errorf("the error says %q", text)
	}
	g.Open(w.URL + "/admin/scopes")
	g.Type("#f-name", "orders.read")
	g.Type("#f-description", "See your orders")
	g.Click("form.form button.primary")
	g.WaitFor(".notice.ok")
	w.setClient(t, rp, "oauth.scopes", "openid,orders.read")
	g.visit("scopes", w.URL+"/admin/scopes")
	page := w.URL + "/admin/apps/" + rp.App
	g.Open(page)
	if boxes := strings.Join(g.Texts("h2"), "|"); strings.Contains(boxes, "Clients") {
		t.Errorf("an app that is no gateway offers %s", boxes)
	}
	g.visit("gateway-new", page+"/settings")
	g.Click("#clients form button")
	g.WaitFor("#clients .notice.ok")
	g.look("gateway-token")
	token := g.Text("#clients .notice.ok code")
	if !strings.HasPrefix(token, "gir_") {
		t.Fatalf("%q", token)
	}
	if g.URL() != page {
		t.Errorf("a reload of %s would make another token", g.URL())
	}
	partner := &gateway{RP: rp, world: w, token: token, t: t}
	child := partner.child(partner.register(nil))
	g.visit("gateway-clients", page)
	if strings.Contains(g.Text("body"), token) {
		t.Error("the token is shown again")
	}
	g.visit("apps-under", w.URL+"/admin/apps?parent="+rp.App)
	g.visit("gateway-client", w.URL+"/admin/apps/"+child.App)
}
