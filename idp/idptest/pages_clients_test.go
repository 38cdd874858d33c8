package idptest

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"gatehouse/idp/api"
)

// relier is an app that signs people in with golang.org/x/oauth2 and coreos/go-oidc; it is configured by what an administrator copied.
type relier struct {
	config   oauth2.Config
	verifier *oidc.IDTokenVerifier
	proof    string
	knows    atomic.Pointer[oidc.IDToken]
}

// TestConsoleClient adds an OpenID Connect client in the console and signs in with it, by what the page shows and software that nobody
// here wrote.
func TestConsoleClient(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	ana := s.AddPerson(t, "ana", "Employees")
	s.AddPerson(t, "ada", "Administrators", func(n *api.NewUser) { n.Roles = []string{"owner"} })
	app := &relier{proof: oauth2.GenerateVerifier()}
	site := otherSite(t, false, map[string]http.HandlerFunc{"/login": app.begin, "/cb": app.end})
	g := newGallery(t)
	g.Open(s.URL)
	g.signIn("ada", Password)
	g.WaitFor(".person-menu")
	g.visit("client-kinds", s.URL+"/admin/apps/new")
	g.Click(`.kinds a[href$="kind=web"]`)
	g.WaitFor("#f-redirect_uris")
	g.look("client-new-web")
	g.Expect("422")
	g.Type("#f-name", "Orders"+kb.Tab+"http://orders.example.org/cb"+kb.Tab+site+"/login"+kb.Enter)
	g.WaitFor("#e-redirect_uris")
	g.look("client-new-wrong")
	if text := g.Text("#e-redirect_uris"); !strings.Contains(text, "plain http") || strings.Contains(text, "oauth.") {
		t.Errorf("the error says %q", text)
	}
	if kept := ask(g.Browser, chromedp.Evaluate[string](`document.activeElement.className + document.querySelector("#f-name").value + document.querySelector("#f-initiate_login_uri").value`)); kept != "notice danger summaryOrders"+site+"/login" {
		t.Errorf("after an error there is %q", kept)
	}
	g.Do(chromedp.SetValue(chromedp.CSS("#f-redirect_uris"), site+"/cb"))
	g.Click(`input[name="permitted_users"][value="all"]`)
	g.Click("form.form button.primary")
	g.WaitFor("#secret")
	g.look("client-added")
	facts := g.Texts(".facts dd code")
	secret := facts[0]
	provider, err := oidc.NewProvider(t.Context(), strings.TrimSuffix(facts[2], "/.well-known/openid-configuration"))
	if err != nil || len(secret) != 43 {
		t.Fatalf("%q: %v", facts, err)
	}
	app.config = oauth2.Config{ClientID: facts[1], ClientSecret: secret, Endpoint: provider.Endpoint(), RedirectURL: site + "/cb", Scopes: []string{oidc.ScopeOpenID, "email"}}
	app.verifier = provider.Verifier(&oidc.Config{ClientID: facts[1]})
	g.Do(chromedp.Reload())
	g.WaitFor(".rows")
	if body := g.Text("body"); strings.Contains(body, secret) {
		t.Error("the secret is shown again")
	}
	if list, err := s.API.Apps(t.Context(), "", ""); err != nil || len(list.Items) != 4 { // with the three built-in ones
		t.Errorf("a reload added another app: %d, %v", len(list.Items), err)
	}
	g.Fresh()
	g.Open(site + "/login")
	g.WaitFor("#f-name")
	g.signIn("ana", Password)
	g.WaitFor(".asks")
	g.Click("form button.primary")
	g.WaitFor("#in")
	if knows := app.knows.Load(); knows == nil || knows.Subject != ana.ID {
		t.Errorf("it knows %+v", knows)
	}
	g.Open(s.URL + "/")
	g.Click("a.tile")
	g.WaitFor("#in")
}

func (a *relier) begin(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, a.config.AuthCodeURL("state", oidc.Nonce("nonce"), oauth2.S256ChallengeOption(a.proof)), http.StatusSeeOther)
}

func (a *relier) end(w http.ResponseWriter, r *http.Request) {
	ctx := context.WithoutCancel(r.Context())
	token, err := a.config.Exchange(ctx, r.FormValue("code"), oauth2.VerifierOption(a.proof))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	raw, _ := token.Extra("id_token").(string)
	knows, err := a.verifier.Verify(ctx, raw)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	a.knows.Store(knows)
	page(`<p id="in">Signed in.`)(w, r)
}

// TestClientPages looks at the other kinds of clients, at the credentials of an app, and at a SAML app that gets a client id.
func TestClientPages(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	s.AddPerson(t, "ada", "Administrators", func(n *api.NewUser) { n.Roles = []string{"owner"} })
	if _, err := s.API.AddScope(t.Context(), api.NewScope{Name: "orders.read", Description: "See your orders"}); err != nil {
		t.Fatal(err)
	}
	wiki := s.AddApp(t, NewSP(t, "wiki").Metadata(), map[string]string{"name": "Wiki"})
	g := newGallery(t)
	g.Open(s.URL)
	g.signIn("ada", Password)
	g.WaitFor("#tiles")
	for _, kind := range []string{"public", "service", "gateway"} {
		g.visit("client-new-"+kind, s.URL+"/admin/apps/new?kind="+kind)
	}
	g.Type("#f-name", "API gateway")
	g.Click(`input[name="scopes"][value="orders.read"]`)
	g.Click(`input[name="approval"]`)
	g.Click("form.form button.primary")
	g.WaitFor("#secret")
	g.look("client-added-gateway")
	g.Click(`form[action$="/rotate"] button`)
	g.WaitFor(`form[action$="/end-old"] button`)
	g.look("client-rotated")
	g.Click(`form[action$="/end-old"] button`)
	g.WaitFor(".notice.ok:focus")
	gateway, err := s.API.App(t.Context(), "API gateway")
	if err != nil || len(gateway.OAuth.Secrets) != 1 {
		t.Fatalf("%+v, %v", gateway.OAuth, err)
	}
	g.visit("client-settings", s.URL+"/admin/apps/"+gateway.ID+"/settings")
	g.visit("client-overview", s.URL+"/admin/apps/"+gateway.ID)
	if tabs := strings.Join(g.Texts(".tabs a"), " "); strings.Contains(tabs, "Metadata") || !strings.Contains(tabs, "Credentials") {
		t.Errorf("the tabs of an OAuth app are %s", tabs)
	}
	g.Open(s.URL + "/admin/apps/" + wiki.ID)
	if tabs := strings.Join(g.Texts(".tabs a"), " "); !strings.Contains(tabs, "Metadata") || strings.Contains(tabs, "Credentials") {
		t.Errorf("the tabs of a SAML app are %s", tabs)
	}
	g.Click(`a[href$="/client"]`)
	g.WaitFor("#f-redirect_uris")
	g.look("client-beside-saml")
	g.Click(`.kinds a[href$="kind=public"]`)
	g.WaitFor(`input[name="installed"]`)
	g.Type("#f-redirect_uris", "http://127.0.0.1/cb\norg.example.wiki:/cb")
	g.Click(`input[name="installed"]`)
	g.Click("form.form button.primary")
	g.WaitFor(".notice.ok:focus")
	g.look("client-added-public")
	both, err := s.API.App(t.Context(), wiki.ID)
	if err != nil || both.OAuth == nil || both.SAML == nil || len(both.OAuth.Secrets) != 0 {
		t.Errorf("%+v, %v", both.OAuth, err)
	}
	s.lentPages(t, g)
}

// lentPages looks at an app that gets scopes of Gatehouse's own API, and SAML.
func (s *Server) lentPages(t *testing.T, g *gallery) {
	t.Helper()
	app := s.Client(t, "orders", nil, nil).App
	page := s.URL + "/admin/apps/" + app
	if _, err := s.API.SetApp(t.Context(), app, api.Change{Set: map[string]string{"oauth.scopes": "openid,directory.read"}}); err != nil {
		t.Fatal(err)
	}
	g.visit("client-lent-overview", page)
	g.visit("client-lent", page+"/credentials")
	g.Click("#lent form button")
	g.WaitFor("#secret:focus")
	g.look("client-lent-replaced")
	if text := g.Text("main"); strings.Contains(text, "older secret") {
		t.Errorf("the page says:\n%s", text)
	}
	g.Open(page)
	g.Click(`a[href$="/saml"]`)
	g.WaitFor("#source-paste")
	g.look("saml-beside-client")
	g.Click(`label:has(#source-paste)`)
	g.Do(chromedp.SetValue(chromedp.CSS("#f-metadata"), string(NewSP(t, "orders").Metadata())))
	g.Click("form.form button.primary")
	g.WaitFor(".notice.ok")
	g.look("client-of-both")
}
