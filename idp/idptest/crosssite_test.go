package idptest

import (
	"encoding/base64"
	"fmt"
	"html"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/security"
)

// The tests of this file are about what browsers do between sites: the pages of other sites are on localhost, Gatehouse is on
// 127.0.0.1.

// otherSite is a site on localhost, on plain http or TLS.
func otherSite(t *testing.T, secure bool, pages map[string]http.HandlerFunc) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	for path, page := range pages {
		mux.HandleFunc(path, page)
	}
	server := httptest.NewUnstartedServer(mux)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // browsers try TLS without the certificate first
	t.Cleanup(server.Close)
	if secure {
		server.StartTLS()
	} else {
		server.Start()
	}
	return strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
}

func page(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "<!DOCTYPE html><title>other site</title>", text)
	}
}

// acs is an assertion consumer that takes any answer with an assertion and leads on to another address.
func acs(t *testing.T, next string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		answer, err := base64.StdEncoding.DecodeString(r.PostFormValue("SAMLResponse"))
		if r.Method != http.MethodPost || err != nil || !strings.Contains(string(answer), "Assertion") {
			t.Errorf("%s %s without an answer: %v: %s", r.Method, r.URL, err, answer)
		}
		http.Redirect(w, r, next, http.StatusSeeOther)
	}
}

// TestAppRedirectsToAnotherOrigin proves that the answer's page lets an app go on to an origin of its choice after the post,
// to which browsers apply the form-action of the page that posted.
func TestAppRedirectsToAnotherOrigin(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	s.AddPerson(t, "ana", "Employees")
	b := NewBrowser(t)
	b.Do(call(security.SetIgnoreCertificateErrors, security.SetIgnoreCertificateErrorsParams{Ignore: true}))
	b.Open(s.URL)
	b.signIn("ana", Password)
	b.WaitFor(".person-menu")
	for _, secure := range []struct{ acs, landing bool }{{true, true}, {false, true}, {false, false}} {
		name := fmt.Sprintf("acs-%t-landing-%t", secure.acs, secure.landing)
		landing := otherSite(t, secure.landing, map[string]http.HandlerFunc{"/home": page(`<p id="home">` + name)})
		sp := NewSP(t, name)
		sp.ACS = []string{otherSite(t, secure.acs, map[string]http.HandlerFunc{"/acs": acs(t, landing+"/home")}) + "/acs"}
		app := s.AddApp(t, sp.Metadata(), nil)
		b.Open(s.URL + "/launch/" + app.ID)
		b.WaitFor("#home")
		if got := b.Text("#home"); got != name {
			t.Errorf("the app of %s leads to %q", name, got)
		}
	}
}

// TestPostedRequestFromAnotherSite sends an AuthnRequest by POST, with which browsers send no cookies, once from a signed-out
// browser and once from a signed-in one: it must find its session all the same.
func TestPostedRequestFromAnotherSite(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	s.AddPerson(t, "ana", "Employees")
	sp := NewSP(t, "posts")
	sp.Signed = true
	var site string
	site = otherSite(t, false, map[string]http.HandlerFunc{
		"/start": func(w http.ResponseWriter, r *http.Request) {
			fields := sp.PostForm(s.URL+"/saml/sso", Ask{RelayState: new(string)})
			page(fmt.Sprintf(`<form method="post" action="%s/saml/sso"><input type="hidden" name="SAMLRequest" value="%s"><button>Sign in</button></form>`,
				s.URL, html.EscapeString(fields.Get("SAMLRequest"))))(w, r)
		},
		"/acs":  func(w http.ResponseWriter, r *http.Request) { acs(t, site+"/home")(w, r) },
		"/home": page(`<p id="home">you are in`),
	})
	sp.ACS = []string{site + "/acs"}
	s.AddApp(t, sp.Metadata(), nil)
	b := NewBrowser(t)
	b.Open(site + "/start")
	b.Click("button")
	b.WaitFor("#f-name")
	b.signIn("ana", Password)
	b.WaitFor("#home")
	b.Open(site + "/start")
	b.Click("button")
	b.WaitFor("#home")
}

// TestLaunchLinkOnAnotherSite clicks a link to an app on another site: nothing happens before the person agrees.
func TestLaunchLinkOnAnotherSite(t *testing.T) {
	t.Parallel()
	s, _ := portalWorld(t)
	startPage := otherSite(t, false, map[string]http.HandlerFunc{"/start": page(`<p id="home">start page`)})
	own := NewSP(t, "own-start")
	started := s.AddApp(t, own.Metadata(), map[string]string{"saml.allow_idp_initiated": "false", "start_url": startPage + "/start"})
	benefits, err := s.API.App(t.Context(), "Your Benefits")
	if err != nil {
		t.Fatal(err)
	}
	links := ""
	for _, id := range []string{benefits.ID, started.ID} {
		links += fmt.Sprintf(`<p><a href="%s/launch/%s" id="%s">open</a>`, s.URL, url.PathEscape(id), id)
	}
	site := otherSite(t, false, map[string]http.HandlerFunc{"/": page(links)})
	b := NewBrowser(t)
	b.Open(s.URL)
	b.signIn("ana", Password)
	b.WaitFor("#tiles")
	b.Open(site)
	b.Click("#" + benefits.ID)
	b.WaitFor("main.card form button")
	if entries := s.Audit(t); entries[0].App.ID == benefits.ID {
		t.Errorf("the link alone opened the app: %+v", entries[0])
	}
	b.Show("launch-confirm")
	if heading := b.Text("h1"); heading != "Open Your Benefits?" {
		t.Errorf("the page asks %q", heading)
	}
	b.Click("main.card form button")
	b.arrived("Your Benefits", "ana@example.org")
	b.Open(site)
	b.Click("#" + started.ID)
	b.Click("main.card form button")
	b.WaitFor("#home")
}
