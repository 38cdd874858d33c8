package idptest

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/color"
	"image/png"
	"testing"

	"gatehouse/idp/api"
)

// logoOf is a wide logo in one colour.
func logoOf(t *testing.T) string {
	t.Helper()
	logo := image.NewRGBA(image.Rect(0, 0, 180, 40))
	for i := range logo.Pix {
		logo.Pix[i] = []byte{0xb8, 0x86, 0x0b, 0xff}[i%4]
	}
	logo.Set(0, 0, color.White)
	var b bytes.Buffer
	if err := png.Encode(&b, logo); err != nil {
		t.Fatal(err)
	}
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes())
}

// TestAccountPages looks at the pages of one-time links and of a person's account, with the logo and a pale colour of an
// organisation.
func TestAccountPages(t *testing.T) {
	t.Parallel()
	s, sink := Start(t, Options{}), StartSMTP(t, SMTPOptions{})
	s.SendsMail(t, sink, map[string]string{"logo": logoOf(t), "color": "#ffe08a", "support_contact": "help@example.org"})
	g := newGallery(t)
	setUp, _, err := s.idp.SetUpLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	g.visit("link-setup", setUp)
	g.Expect("422")
	g.Type("#f-name", "ada")
	g.choose("short")
	g.WaitFor(".field-error")
	g.look("link-setup-error")
	s.AddPerson(t, "ada", "Administrators", func(n *api.NewUser) { n.Roles = []string{"owner"} })
	g.Expect("410")
	g.visit("link-over", setUp)
	g.visit("brand-sign-in", s.URL+"/login?next=/&done=reset")
	g.visit("forgot", s.URL+"/forgot")
	g.Type("#f-name", "ada")
	g.Click("form button.primary")
	g.WaitFor(".big-icon.ok")
	g.look("forgot-sent")
	g.visit("link-reset", sink.Wait(t, "ada@example.org", 1).Link(t))
	invited, err := s.API.InviteUser(t.Context(), api.NewUser{Name: "ivo", DisplayName: "Ivo Ivanov", Email: "ivo@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	g.visit("link-invite", invited.URL)
	for _, name := range []string{"Wiki", longName} {
		s.AddApp(t, NewSP(t, name[:4]).Metadata(), map[string]string{"name": name, "policy.consent": "always"})
	}
	g.Open(s.URL + "/account")
	g.signIn("ada", Password)
	g.WaitFor("#apps")
	g.visit("consents-none", s.URL+"/account/consents")
	c := s.SignedIn(t, "ada")
	for _, name := range []string{"Wiki", longName} {
		app, err := s.API.App(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		c.Post("/consent", consentForm(c.Get("/launch/"+app.ID)))
	}
	g.visit("account-full", s.URL+"/account")
	g.visit("consents", s.URL+"/account/consents")
	g.visit("user-invite", s.URL+"/admin/users/"+invited.User.ID)
	g.Click(`form[action$="/invite"] button`)
	g.WaitFor("#invitation")
	g.look("user-invited")
	g.visit("settings-mail", s.URL+"/admin/settings")
}
