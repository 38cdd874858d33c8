package idptest

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"gatehouse/idp/api"
)

// TestTokenPages: an administrator sees who gave an app tokens and which apps hold a person's, and ends one or all; the next use of
// a token is refused.
func TestTokenPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.AddPerson(t, "ada", "Administrators", func(n *api.NewUser) { n.Roles = []string{"owner"} })
	shop := w.Client(t, "shop", nil, map[string]string{"policy.consent": "never"})
	other := w.Client(t, "other", nil, map[string]string{"policy.consent": "never"})
	tokens := map[string]string{}
	for _, who := range []string{"ana", "bob"} {
		browser := w.SignedIn(t, who)
		shop.Tokens(browser, "scope", "openid email")
		tokens[who] = shop.Tokens(browser, "scope", "openid offline_access").Text("access_token")
		tokens["other "+who] = other.Tokens(browser).Text("access_token")
	}
	good := func(want bool, names ...string) {
		t.Helper()
		for _, name := range names {
			rp := shop
			if strings.HasPrefix(name, "other ") {
				rp = other
			}
			if rp.Active(tokens[name]) != want {
				t.Errorf("the token of %s is good: %t", name, !want)
			}
		}
	}
	good(true, "ana", "bob", "other ana", "other bob")
	g := newGallery(t)
	g.Open(w.URL)
	g.signIn("ada", Password)
	g.WaitFor(".person-menu")
	page := w.URL + "/admin/apps/" + shop.App + "/tokens"
	g.visit("tokens", page)
	if rows := g.Texts("table.list tbody tr"); len(rows) != 2 || !strings.Contains(strings.Join(rows, ""), "2 times · also while away") {
		t.Errorf("the app's tokens are of %q", rows)
	}
	g.Type("#f-user", "ana")
	g.Click(".filters button")
	g.WaitFor(`#f-user[value="ana"]`)
	if rows := g.Texts("table.list tbody tr"); len(rows) != 1 || !strings.HasPrefix(rows[0], "ana") {
		t.Errorf("ana's are %q", rows)
	}
	g.Click(".row-actions button")
	g.WaitFor(".notice.ok")
	good(false, "ana")
	good(true, "bob", "other ana")
	if entry := w.Audit(t)[0]; entry.Kind != "grant.revoke" || entry.User.Name != "ana" || entry.App.ID != shop.App || entry.Facts["grants"] != "2" {
		t.Errorf("%+v", entry)
	}
	bob, err := w.API.User(t.Context(), "bob")
	if err != nil {
		t.Fatal(err)
	}
	g.visit("user-tokens", w.URL+"/admin/users/"+bob.ID)
	g.Click("#tokens tr:last-child .row-actions button")
	g.WaitFor(".notice.ok")
	if left := g.Texts("#tokens tbody tr"); len(left) != 1 || shop.Active(tokens["bob"]) == other.Active(tokens["other bob"]) {
		t.Errorf("bob's are %q", left)
	}
	shop.Tokens(w.SignedIn(t, "bob"))
	g.Open(page)
	g.Click(".danger-box button")
	g.WaitFor(".empty")
	g.look("tokens-none")
	good(false, "ana", "bob")
	g.Expect("422")
	g.visit("tokens-unknown", page+"?user=nobody")
}

// TestHoldingsAPI is what the console shows, for programs, and who may end it.
func TestHoldingsAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.AddPerson(t, "ada", "Administrators", func(n *api.NewUser) { n.Roles = []string{"owner"} })
	w.AddPerson(t, "hal", "Administrators", func(n *api.NewUser) { n.Roles = []string{"help_desk"} })
	rp := w.Client(t, "held", nil, map[string]string{"policy.consent": "never"})
	anas := rp.Tokens(w.ana(t), "scope", "openid offline_access").Text("access_token")
	adas := rp.Tokens(w.SignedIn(t, "ada")).Text("access_token")
	list, err := w.API.Holdings(t.Context(), api.RequestQuery{App: rp.App, Limit: 1})
	if err != nil || len(list.Items) != 1 || list.Next == "" {
		t.Fatalf("%+v, %v", list, err)
	}
	second, err := w.API.Holdings(t.Context(), api.RequestQuery{App: rp.App, Limit: 1, After: list.Next})
	if err != nil || len(second.Items) != 1 || second.Next != "" || second.Items[0].User == list.Items[0].User {
		t.Fatalf("%+v, %v", second, err)
	}
	mine, err := w.API.Holdings(t.Context(), api.RequestQuery{User: "ana"})
	if err != nil || len(mine.Items) != 1 || mine.Items[0].App.Name != "held" || !mine.Items[0].Refresh {
		t.Errorf("%+v, %v", mine, err)
	}
	for _, q := range []api.RequestQuery{{}, {App: "nothing"}, {User: "nobody"}, {App: rp.App, After: "nonsense"}} {
		if _, err := w.API.Holdings(t.Context(), q); err == nil {
			t.Errorf("%+v is answered", q)
		}
	}
	if _, err := w.API.RevokeTokens(t.Context(), api.RevokeTokens{User: "ana"}); err == nil || !strings.Contains(err.Error(), "Say of which app") {
		t.Error(err)
	}
	hal := w.SignedIn(t, "hal")
	for path, form := range map[string]url.Values{
		"/admin/apps/" + rp.App + "/tokens/revoke":     {"user": {"ada"}}, // an owner's
		"/admin/apps/" + rp.App + "/tokens/revoke-all": nil,
	} {
		if page := hal.Post(path, form); page.Status != http.StatusForbidden {
			t.Errorf("the help desk at %s: %d", path, page.Status)
		}
	}
	if page := hal.Post("/admin/apps/"+rp.App+"/tokens/revoke", url.Values{"user": {"ana"}}); page.Status != http.StatusOK || rp.Active(anas) || !rp.Active(adas) {
		t.Errorf("%d, ana's is good: %t, ada's: %t", page.Status, rp.Active(anas), rp.Active(adas))
	}
	if revoked, err := w.API.RevokeTokens(t.Context(), api.RevokeTokens{App: "held"}); err != nil || revoked.Sessions == 0 || rp.Active(adas) {
		t.Errorf("%+v, %v", revoked, err)
	}
}
