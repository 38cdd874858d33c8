package idptest

import (
	"net/http"
	"strings"
	"testing"

	"gatehouse/idp/api"
)

// TestLDAPPersonEverywhere: a person of a directory is one of ours in every way: with factors, apps, tokens, notices and links, and
// all of that ends when the directory loses them.
func TestLDAPPersonEverywhere(t *testing.T) {
	t.Parallel()
	l, sink := StartSlapd(t), StartSMTP(t, SMTPOptions{})
	w := newLogoutWorld(t)
	w.SendsMail(t, sink, nil)
	l.AddPerson(t, "mia", "mias password")
	ldapSource(t, w.Server, l, nil)
	sp := w.newSP(t, "told")
	server := sp.listenSOAP(t)
	sp.SLO = []sloService{at(bindingSOAP, server.URL)}
	app := w.AddApp(t, sp.Metadata(), map[string]string{"saml.ecp": "on"})
	vault := w.Client(t, "vault", nil, map[string]string{"policy.min_level": "high", "policy.consent": "never"})

	c := w.browser(t)
	enrol := c.SignIn(vault.Visit(c, vault.Ask()), "mia", "mias password") // her first sign-in: the person comes to be in it
	_, _, onward := w.setsUp(t, c, enrol)
	if vault.Callback(c.Get(onward)).Get("code") == "" {
		t.Error("the first sign-in does not lead into the app")
	}
	mia := person(t, w.Server, "mia")
	if entry := w.newest(t, "signin"); entry.User.ID != mia.ID || mia.Source != "corp" || len(mia.Factors) != 2 {
		t.Errorf("the factor belongs to %+v: %+v", entry.User, mia)
	}
	sink.About(t, "mia@example.org", "A way to sign in to Example Ltd was added")
	other := w.browser(t)
	page := other.Post("/login", map[string][]string{"next": {"/account"}, "name": {"mia"}, "password": {"mias password"}, "remember": {"yes"}})
	if page.URL.Path != "/account" {
		t.Errorf("she signs in to %s", page.URL)
	}
	other.Post("/logout", nil)
	if page := other.Get("/login?next=/account"); !strings.Contains(page.Body, `value="mia"`) {
		t.Errorf("the name is not remembered:\n%s", page.Body)
	}
	sink.About(t, "mia@example.org", "A new sign-in to Example Ltd")

	asksForLink(w.browser(t), "mia")
	if mail := sink.About(t, "mia@example.org", "Your password for Example Ltd"); !strings.Contains(mail.Text, "not kept there") || strings.Contains(mail.Text, "/link") {
		t.Errorf("a forgotten password: %s", mail.Text)
	}
	if _, err := w.API.Invite(t.Context(), "mia"); err == nil || !strings.Contains(err.Error(), "corp") {
		t.Errorf("inviting her: %v", err)
	}

	told := w.enter(t, c, sp, app)
	tokens := vault.Tokens(c, "scope", "openid offline_access")
	if !vault.Active(tokens.Text("access_token")) {
		t.Fatal("the token is not good")
	}
	l.AddPerson(t, "nina", "ninas password") // somebody is left there
	l.Remove(t, "mia")
	runSync(t, w.Server, api.RunSync{})
	eventually(t, "the app was not told", func() bool { return len(server.requests()) > 0 })
	isFor(t, server.requests()[0], told)
	if vault.Active(tokens.Text("access_token")) || vault.Refresh(tokens.Text("refresh_token")).Status != http.StatusBadRequest {
		t.Error("her tokens are good")
	}
	if page := c.Get("/account"); page.URL.Path != "/login" {
		t.Errorf("her session goes on at %s", page.URL)
	}
}
