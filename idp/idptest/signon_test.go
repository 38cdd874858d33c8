package idptest

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestSignOn is the main job over the wire: SP-initiated by Redirect and by POST, IdP-initiated, and one click when signed in.
func TestSignOn(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	ana := s.AddPerson(t, "ana", "Employees")
	sp := NewSP(t, "wiki")
	app := s.AddApp(t, sp.Metadata(), nil)
	metadata := []byte(s.NewClient(t).Get("/saml/metadata").Body)

	browser := s.NewClient(t)
	form := browser.Get(sp.RedirectURL(s.URL+"/saml/sso", Ask{ID: "_first"}))
	checkAnswer(t, browser.SignIn(form, "ana", Password), sp, metadata, "_first")
	checkAnswer(t, browser.Get(sp.RedirectURL(s.URL+"/saml/sso", Ask{ID: "_second"})), sp, metadata, "_second")
	checkAnswer(t, browser.CrossPost(s.URL+"/saml/sso", sp.PostForm(s.URL+"/saml/sso", Ask{ID: "_third"})), sp, metadata, "_third")
	checkAnswer(t, browser.Get("/launch/"+app.ID), sp, metadata, "")

	entry := s.Audit(t)[0]
	if entry.Kind != "signon" || entry.Outcome != "ok" || entry.User.ID != ana.ID || entry.App.ID != app.ID {
		t.Errorf("newest audit entry: %+v", entry)
	}
}

func checkAnswer(t *testing.T, page *Page, sp *SP, metadata []byte, inResponseTo string) {
	t.Helper()
	if page.Status != http.StatusOK {
		t.Fatalf("%s answered %d:\n%s", page.URL, page.Status, page.Body)
	}
	r := page.Response(t)
	if err := r.Verify(metadata); err != nil {
		t.Errorf("signature: %v", err)
	}
	if top, nested := r.Status(); top != "Success" || nested != "" {
		t.Errorf("status %s/%s", top, nested)
	}
	if r.ACS != sp.ACS[0] || r.Root.SelectAttrValue("InResponseTo", "") != inResponseTo {
		t.Errorf("goes to %s, in response to %q", r.ACS, r.Root.SelectAttrValue("InResponseTo", ""))
	}
	if audience := r.Text("./Assertion/Conditions/AudienceRestriction/Audience"); audience != sp.EntityID {
		t.Errorf("audience %q", audience)
	}
}

// TestSignInPage covers what the page offers beside name and password.
func TestSignInPage(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	s.AddPerson(t, "ana", "Employees")
	s.AddPerson(t, "ben", "Employees")
	sp := NewSP(t, "wiki")
	s.AddApp(t, sp.Metadata(), nil)
	endpoint := s.URL + "/saml/sso"

	t.Run("by e-mail address", func(t *testing.T) {
		c := s.NewClient(t)
		if page := c.SignIn(c.Get("/login"), "ANA@example.org", Password); page.URL.Path != "/" {
			t.Errorf("rests at %s (%d)", page.URL, page.Status)
		}
	})
	t.Run("cancel is told to the app", func(t *testing.T) {
		c := s.NewClient(t)
		form := c.Get(sp.RedirectURL(endpoint, Ask{ID: "_cancelled"}))
		page := c.Post("/login", url.Values{"flow": {form.Field("flow")}, "cancel": {"yes"}})
		if top, nested := page.Response(t).Status(); top != "Responder" || nested != "AuthnFailed" {
			t.Errorf("status %s/%s", top, nested)
		}
		if entry := s.Audit(t)[0]; entry.Reason != "cancelled" || entry.Outcome != "refused" {
			t.Errorf("audit: %+v", entry)
		}
	})
	t.Run("a fresh sign-in keeps the name and allows another account", func(t *testing.T) {
		c := s.SignedIn(t, "ana")
		form := c.Get(sp.RedirectURL(endpoint, Ask{Attributes: `ForceAuthn="true"`}))
		if form.Field("name") != "ana" || !strings.Contains(form.Body, "fresh sign-in") {
			t.Errorf("the form does not say why:\n%s", form.Body)
		}
		other := c.Get("/login?switch&flow=" + url.QueryEscape(form.Field("flow")))
		if other.Field("name") != "" {
			t.Errorf("the name is still %q", other.Field("name"))
		}
		answer := c.SignIn(other, "ben", Password).Response(t)
		if mail := answer.Attribute("urn:oid:0.9.2342.19200300.100.1.3"); len(mail) != 1 || mail[0] != "ben@example.org" {
			t.Errorf("mail %v", mail)
		}
	})
	t.Run("wrong password", func(t *testing.T) {
		c := s.NewClient(t)
		page := c.SignIn(c.Get("/login"), "ana", "wrong")
		if page.Status != http.StatusForbidden || !strings.Contains(page.Body, "user name or the password is wrong") {
			t.Errorf("%d:\n%s", page.Status, page.Body)
		}
		if entry := s.Audit(t)[0]; entry.Kind != "signin" || entry.Reason != "wrong_password" {
			t.Errorf("audit: %+v", entry)
		}
	})
}

// TestAllowCreate is REQ-31: no persistent name is introduced where the request forbids it; afterwards it is the same one.
func TestAllowCreate(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	s.AddPerson(t, "ana", "Employees")
	sp := NewSP(t, "wiki")
	s.AddApp(t, sp.Metadata(), nil)
	c := s.SignedIn(t, "ana")
	ask := func(create string) *Response {
		policy := `<samlp:NameIDPolicy Format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent" AllowCreate="` + create + `"/>`
		return c.Get(sp.RedirectURL(s.URL+"/saml/sso", Ask{Body: policy})).Response(t)
	}
	if top, nested := ask("false").Status(); top != "Requester" || nested != "InvalidNameIDPolicy" {
		t.Errorf("before: %s/%s", top, nested)
	}
	first := ask("true").Text("./Assertion/Subject/NameID")
	if again := ask("false").Text("./Assertion/Subject/NameID"); first == "" || again != first {
		t.Errorf("%q, then %q", first, again)
	}
}
