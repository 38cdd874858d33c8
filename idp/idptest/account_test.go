package idptest

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/idp/api"
	"gatehouse/idp/grants"
	"gatehouse/store"
)

// TestBreachedEverywhere: a password on the list is refused wherever one is set.
func TestBreachedEverywhere(t *testing.T) {
	t.Parallel()
	const stolen = "correct horse stolen"
	list := filepath.Join(t.TempDir(), "stolen.txt")
	if err := os.WriteFile(list, []byte("hunter22\n"+stolen+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, sink := Start(t, Options{Breached: list}), StartSMTP(t, SMTPOptions{})
	s.SendsMail(t, sink, nil)
	ana := s.AddPerson(t, "ana", "Employees", func(n *api.NewUser) { n.Roles = []string{"owner"} })
	const says = "on a list of stolen ones"
	_, err := s.API.AddUser(t.Context(), api.NewUser{Name: "eve", Password: stolen})
	refusedBy(t, err, says)
	_, err = s.API.ResetPassword(t.Context(), "ana", stolen)
	refusedBy(t, err, says)
	_, err = s.API.ResetPassword(t.Context(), "ana", "Example Ltd")
	refusedBy(t, err, "your organisation's")
	c := s.SignedIn(t, "ana")
	invited, err := s.API.InviteUser(t.Context(), api.NewUser{Name: "ivo", Email: "ivo@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	c.Post("/forgot", url.Values{"name": {"ana"}})
	for name, page := range map[string]*Page{
		"account":     change(c, Password, stolen, stolen),
		"console":     c.Post("/admin/users/"+ana.ID+"/password", url.Values{"password": {stolen}}),
		"console new": c.Post("/admin/users/new", url.Values{"name": {"eve"}, "password": {stolen}}),
		"invitation":  choose(s.NewClient(t), invited.URL, stolen),
		"reset":       choose(s.NewClient(t), sink.Wait(t, "ana@example.org", 1).Link(t), stolen),
	} {
		if page.Status != http.StatusUnprocessableEntity || !strings.Contains(page.Body, says) {
			t.Errorf("%s: %d\n%s", name, page.Status, page.Body)
		}
	}
	if page := change(c, Password, renewed, renewed); page.Status != http.StatusOK {
		t.Errorf("a good password: %d", page.Status)
	}
}

// TestNotices: people are told by mail what happens to their account, once, and an organisation can do without.
func TestNotices(t *testing.T) {
	t.Parallel()
	w, sink := mailWorld(t)
	w.AddPerson(t, "eli", "Employees")
	const to, device, password = "eli@example.org", "A new sign-in to Example Ltd", "Your password for Example Ltd was changed"
	first := w.signedIn(t, "eli") // the first browser of all is no news
	first.Post("/logout", nil)
	if page := first.SignIn(first.Get("/login"), "eli", Password); page.URL.Path != "/" { // the same browser
		t.Fatalf("%s", page.URL)
	}
	second := w.signedIn(t, "eli")
	if mail := sink.About(t, to, device); !strings.Contains(mail.Text, "Address: 10.0.") || strings.Contains(mail.Text, "http") {
		t.Errorf("%s", mail.Text)
	}
	change(second, Password, renewed, renewed)
	sink.About(t, to, password)
	if _, err := w.API.ResetPassword(t.Context(), "eli", Password); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no mail about the administrator", func() bool {
		return slices.ContainsFunc(sink.To(t, to), func(m Mail) bool { return strings.Contains(m.Text, "by an administrator") })
	})
	if n := len(sink.To(t, to)); n != 3 {
		t.Errorf("%d mails for three events", n)
	}
	w.SendsMail(t, sink, map[string]string{"smtp.notices": "false"})
	change(w.signedIn(t, "eli"), Password, renewed, renewed)
	asksForLink(w.browser(t), "eli") // links go out all the same
	sink.About(t, to, "Choose a new password for Example Ltd")
	if n := len(sink.To(t, to)); n != 4 {
		t.Errorf("%d mails, want one more", n)
	}
}

// TestAccountApps: people see which apps know them, take back what they agreed to, and read when they did.
func TestAccountApps(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wiki := w.sp(t, "wiki", map[string]string{"name": "Wiki", "policy.consent": "always"})
	notes := w.sp(t, "notes", map[string]string{"name": "Notes"})
	c := w.signedIn(t, "bob")
	page := c.Get("/launch/" + w.appID(t, "Wiki"))
	page = c.Post("/consent", consentForm(page))
	if !strings.Contains(page.Body, "SAMLResponse") {
		t.Fatalf("no consent: %s\n%s", page.URL, page.Body)
	}
	c.Get("/launch/" + w.appID(t, "Notes"))
	_, _ = wiki, notes
	account := c.Get("/account")
	for _, want := range []string{"Wiki", "Notes", "You agreed", "Your name"} {
		if !strings.Contains(account.Body, want) {
			t.Errorf("the account page does not show %q:\n%s", want, account.Body)
		}
	}
	bob, err := w.API.User(t.Context(), "bob")
	if err != nil {
		t.Fatal(err)
	}
	until := w.clock.now().Add(time.Hour)
	err = w.Store.Update(t.Context(), func(tx store.Tx) error {
		return grants.Accesses.Put(tx, &grants.Access{User: bob.ID, App: w.appID(t, "Notes"), From: w.clock.now(), Until: until, By: "uid 0"})
	})
	if err != nil {
		t.Fatal(err)
	}
	if account = c.Get("/account"); !strings.Contains(account.Body, "access on request until") {
		t.Error("access on request is not shown")
	}
	if done := c.Post("/account/apps/withdraw", url.Values{"app": {w.appID(t, "Notes")}}); !strings.Contains(done.Body, "Withdrawn, and signed out there.") || strings.Contains(done.Body, "access on request") {
		t.Errorf("%d: %s", done.Status, done.Body)
	}
	done := c.Post("/account/apps/withdraw", url.Values{"app": {w.appID(t, "Wiki")}})
	if strings.Contains(done.Body, "You agreed") || strings.Contains(done.Body, "<strong>Wiki") {
		t.Errorf("the app is still there: %s", done.Body)
	}
	if page := c.Get("/launch/" + w.appID(t, "Wiki")); page.URL.Path != "/consent" {
		t.Errorf("the app is entered without a new consent: %s", page.URL)
	}
	history := c.Get("/account/consents")
	if history.Status != http.StatusOK || !strings.Contains(history.Body, "withdrawn <time") || !strings.Contains(history.Body, "agreed <time") {
		t.Errorf("%s", history.Body)
	}
	w.audited(t, "consent.withdraw", "ok", "", "access.revoke", "ok", "", "app.leave", "ok", "")
	for _, strange := range []string{"", "no-such-app", "portal", strings.Repeat("x", 3000), "a\x00b"} {
		if page := c.Post("/account/apps/withdraw", url.Values{"app": {strange}}); page.Status >= 500 {
			t.Errorf("%.20q: %d", strange, page.Status)
		}
	}
	c.Get("/account/consents?after=rubbish")
	out := c.Post("/account/sessions/end-all", nil)
	if out.URL.Path != "/login" || !strings.Contains(out.Body, "You are signed out everywhere") || c.Get("/account").URL.Path != "/login" {
		t.Errorf("%s: %s", out.URL, out.Body)
	}
}

// consentForm is the posted form of a consent page: yes to everything.
func consentForm(page *Page) url.Values {
	form := url.Values{"flow": {page.Field("flow")}, "session": {page.Field("session")}}
	for _, tag := range inputTag.FindAllString(page.Body, -1) {
		if strings.Contains(tag, ` name="ask"`) {
			form.Add("ask", strings.ReplaceAll(attribute(tag, "value"), "&#39;", "'"))
		}
	}
	return form
}

func (w *world) appID(t *testing.T, name string) string {
	t.Helper()
	app, err := w.API.App(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return app.ID
}

// TestRememberedName: the browser keeps the name if the person asks it to, and forgets it when they no longer do.
func TestRememberedName(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	s.AddPerson(t, "ana", "Employees")
	c := s.NewClient(t)
	signIn := func(remember bool) {
		form := url.Values{"next": {"/"}, "name": {"Ana"}, "password": {Password}}
		if remember {
			form.Set("remember", "yes")
		}
		if page := c.Post("/login", form); page.URL.Path != "/" {
			t.Fatalf("%s: %s", page.URL, page.Body)
		}
		c.Post("/logout", nil)
	}
	name := func() string { return c.Get("/login").Field("name") }
	if signIn(false); name() != "" {
		t.Errorf("the name is %q", name())
	}
	if signIn(true); name() != "Ana" || c.Get("/forgot").Status != http.StatusNotFound {
		t.Errorf("the name is %q", name())
	}
	if signIn(false); name() != "" {
		t.Errorf("the name is %q", name())
	}
	c.AddCookie(&http.Cookie{Name: "gatehouse_name", Value: "IjxzY3JpcHQ-", Path: "/"})
	if page := c.Get("/login"); strings.Contains(page.Body, "<script>") || page.Status != http.StatusOK {
		t.Errorf("a forged cookie: %d %s", page.Status, page.Body)
	}
}
