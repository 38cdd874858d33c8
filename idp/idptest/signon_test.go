package idptest

import (
	"net/http"
	"testing"
)

// TestSignOn is the main job over the wire: SP-initiated by Redirect and by POST, IdP-initiated, and one click when signed in.
func TestSignOn(t *testing.T) {
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
