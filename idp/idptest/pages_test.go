package idptest

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"gatehouse/cmd/sampleapps"
	"gatehouse/idp/api"
)

// gallery looks at pages as people with different windows, themes and abilities do.
type gallery struct {
	*Browser
	axe *Axe
}

func newGallery(t *testing.T) *gallery {
	return &gallery{Browser: NewBrowser(t), axe: NewAxe(t)}
}

// visit opens an address and looks at the page.
func (g *gallery) visit(name, address string) {
	g.t.Helper()
	g.Open(address)
	g.look(name)
}

// look checks the page that the browser is on: nobody is stopped by a fault that axe knows, in light and dark, on a desktop
// and on a phone, and nothing scrolls sideways, down to 360 pixels.
func (g *gallery) look(name string) {
	g.t.Helper()
	g.check(name+"-1280-light", g.axe.Faults(g.Browser))
	g.Dark(true)
	g.check(name+"-1280-dark", g.axe.Faults(g.Browser, "color-contrast"))
	g.Phone()
	g.check(name+"-390-dark", nil)
	g.Dark(false)
	g.check(name+"-390-light", g.axe.Faults(g.Browser))
	g.Narrow()
	if wide := g.Wide(); wide > 0 {
		g.t.Errorf("%s: the page is %d pixels too wide for a window of 360", name, wide)
	}
	g.Desktop()
}

func (g *gallery) check(name string, faults []string) {
	g.t.Helper()
	g.Show(name)
	for _, fault := range faults {
		g.t.Errorf("%s: %s", name, fault)
	}
	if wide := g.Wide(); wide > 0 {
		g.t.Errorf("%s: the page scrolls sideways by %d pixels", name, wide)
	}
	if unseen := ask(g.Browser, chromedp.Evaluate[int](`[...document.querySelectorAll("button.hidden, a.hidden, input.hidden")].filter(e => e.tabIndex >= 0).length`)); unseen > 0 {
		g.t.Errorf("%s: the keyboard stops %d times where nothing is seen", name, unseen)
	}
}

const longName = "Internationale Reisekosten- und Spesenabrechnungszentrale (Nord-, Mittel- und Osteuropa)"

// furnish fills a server: people, apps in every state, and things that happened.
func furnish(t *testing.T, s *Server) (ada api.User, shown api.App) {
	t.Helper()
	for _, name := range []string{"Head office", "Field team", longName} {
		for _, kind := range []string{"groups", "permission-sets"} {
			if _, err := s.API.AddNamed(t.Context(), kind, api.Named{Name: name}); err != nil {
				t.Fatal(err)
			}
		}
	}
	ben := s.AddPerson(t, "ben", "Contractors", func(n *api.NewUser) { n.DisplayName, n.Groups = longName, []string{"Field team"} })
	ada = s.AddPerson(t, "ada", "Administrators", func(n *api.NewUser) {
		n.Roles, n.Attributes = []string{"owner"}, map[string][]string{"department": {"Finance", "Travel"}}
	})
	apps, err := sampleapps.Start(t.Context(), sampleapps.Config{MetadataURL: s.URL + "/saml/metadata"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(apps.Close)
	shown = s.AddApp(t, apps.List()[0].Metadata(), map[string]string{"name": "Your Benefits", "description": "Health, pension and days off in one place."})
	s.AddApp(t, NewSP(t, "nobody").Metadata(), map[string]string{"name": "Nobody’s App", "policy.permitted_users": "preauthorized"})
	blocked := s.AddApp(t, NewSP(t, "blocked").Metadata(), map[string]string{"name": "Blocked App"})
	if _, err := s.API.MoveApp(t.Context(), blocked.ID, "block"); err != nil {
		t.Fatal(err)
	}
	backdate(t, s, shown.ID)
	age(t, s, shown, ben)
	long := strings.Repeat("a-very-long-host-name-", 2) + "sp"
	unused := s.AddApp(t, NewSP(t, long).Metadata(), map[string]string{"name": longName, "description": "Reisekosten und Spesen, für alle, die unterwegs sind, mit Belegen."})
	age(t, s, unused, ben)
	return ada, shown
}

// TestPages looks at every page.
func TestPages(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	ada, app := furnish(t, s)
	g := newGallery(t)
	reports := shownApp(t, s)
	signedOutPages(g, s, reports)
	g.Open(s.URL)
	g.signIn("ada", Password)
	g.WaitFor("#tiles")
	g.look("portal")
	g.visit("portal-search", s.URL+"/?q=benefits")
	g.visit("portal-search-none", s.URL+"/?q=zebra")
	wiki := s.AddApp(t, NewSP(t, "wiki").Metadata(), map[string]string{"name": "Wiki", "description": "What everybody should know.", "policy.consent": "always"})
	g.visit("consent", s.URL+"/launch/"+wiki.ID)
	g.visit("consent-app", s.URL+"/launch/"+reports.ID)
	g.visit("account", s.URL+"/account")
	g.Type("#f-current", "wrong")
	g.Type("#f-new", "short")
	g.Type("#f-repeat", "other")
	g.Expect("422")
	g.Click(".narrow button.primary")
	g.WaitFor(".field-error")
	g.look("account-error")
	g.clickMenu(s.URL)
	consolePages(g, s.URL+"/admin", ada, app)
	g.Fresh()
	g.Open(s.URL)
	g.signIn("ben", Password)
	g.WaitFor("#tiles")
	g.look("portal-long-name")
	requestPages(g, s)
	signsOut(g, s, app)
	factorPages(g)
}

// signsOut leaves two apps: one that confirms, and one that cannot be told.
func signsOut(g *gallery, s *Server, app api.App) {
	g.t.Helper()
	silent, err := sampleapps.Start(g.t.Context(), sampleapps.Config{MetadataURL: s.URL + "/saml/metadata", Apps: []sampleapps.Spec{{Name: "Intranet", Unsigned: true, Plain: true}}})
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(silent.Close)
	intranet := s.AddApp(g.t, silent.List()[0].Metadata(), map[string]string{"name": "Intranet"})
	g.Open(s.URL + "/launch/" + intranet.ID)
	g.WaitFor("#nameid")
	g.Open(s.URL + "/launch/" + app.ID)
	g.WaitFor("#nameid")
	g.visit("sign-out", s.URL+"/logout")
	g.Click("form button")
	g.WaitFor(".leaving-list")
	g.WaitFor("main.card .button.primary")
	g.look("signed-out")
}

// signedOutPages are those that strangers see.
func signedOutPages(g *gallery, s *Server, reports api.App) {
	g.t.Helper()
	g.visit("sign-in", s.URL)
	g.signIn("ada", "wrong password")
	g.Expect("403")
	g.WaitFor("#summary")
	g.look("sign-in-wrong")
	g.visit("sign-in-app", s.URL+"/launch/"+reports.ID)
	g.Expect("404")
	g.visit("not-found", s.URL+"/nothing/here")
	g.Expect("400")
	g.visit("error-with-code", s.URL+"/launch/no-such-app")
	g.visit("malformed-request", s.URL+"/saml/sso?SAMLRequest=rubbish")
}

// shownApp is an app with a picture, and pages about it.
func shownApp(t *testing.T, s *Server) api.App {
	t.Helper()
	square := image.NewNRGBA(image.Rect(0, 0, 64, 64))
	draw.Draw(square, square.Bounds(), image.NewUniform(color.NRGBA{0x2f, 0x6f, 0xdf, 0xff}), image.Point{}, draw.Src)
	var picture bytes.Buffer
	if err := png.Encode(&picture, square); err != nil {
		t.Fatal(err)
	}
	const ui = `<Extensions><mdui:UIInfo xmlns:mdui="urn:oasis:names:tc:SAML:metadata:ui"><mdui:DisplayName xml:lang="en">Field Reports</mdui:DisplayName><mdui:InformationURL xml:lang="en">https://reports.example.org/about</mdui:InformationURL>` +
		`<mdui:PrivacyStatementURL xml:lang="en">https://reports.example.org/privacy</mdui:PrivacyStatementURL></mdui:UIInfo></Extensions>`
	sp := NewSP(t, "reports")
	return s.AddApp(t, metadataWith(sp, "", ui+acsAt(bindingPost, sp.ACS[0], 0, "")), map[string]string{
		"policy.consent": "always", "logo_url": "data:image/png;base64," + base64.StdEncoding.EncodeToString(picture.Bytes())})
}

// clickMenu opens the person's menu, so that it is looked at too.
func (g *gallery) clickMenu(home string) {
	g.t.Helper()
	g.Open(home)
	g.Click(".person-menu summary")
	g.look("portal-menu")
}

// consolePages are those of the console.
func consolePages(g *gallery, console string, ada api.User, app api.App) {
	g.t.Helper()
	own := console + "/apps/" + app.ID
	for _, page := range [][2]string{
		{"overview", console + "/"}, {"apps", console + "/apps"}, {"apps-none", console + "/apps?q=zebra"}, {"app-new", console + "/apps/new"},
		{"app", own}, {"app-access", own + "/access"}, {"app-people", own + "/people"}, {"app-sessions", own + "/sessions"}, {"explain", console + "/explain"},
		{"explain-refused", console + "/explain?user=ben&app=Blocked+App"}, {"app-settings", own + "/settings"}, {"app-metadata", own + "/metadata"},
		{"app-activity", own + "/activity"}, {"app-danger", own + "/danger"},
		{"users", console + "/users"}, {"user-new", console + "/users/new"}, {"user", console + "/users/" + ada.ID},
		{"profiles", console + "/profiles"}, {"permission-sets", console + "/permission-sets"}, {"groups", console + "/groups"},
		{"audit", console + "/audit"}, {"audit-filtered", console + "/audit?address=192.0.2.0%2F24&from=2027-01-31&until=2027-02-01"},
		{"audit-verify", console + "/audit/verify"}, {"audit-verify-kept", console + "/audit/verify?head=" + strings.Repeat("ab", 32)}, {"usage", console + "/usage"}, {"app-activity-builtin", console + "/apps/portal/activity"}, {"settings", console + "/settings"}, {"keys", console + "/keys"},
	} {
		g.visit(page[0], page[1])
	}
	g.Open(console + "/profiles")
	g.Click("table.list tbody tr:first-child details.more summary")
	g.look("profile-limits")
	g.Open(console + "/audit")
	g.Click("table.events tbody tr:first-child a.mono")
	g.WaitFor("main h1 .mono")
	g.look("trace")
	g.Open(console + "/audit?outcome=refused")
	g.Click("table.events tbody tr:first-child a.mono")
	g.WaitFor("main h1 .mono")
	if !strings.Contains(g.Text("main"), "What to do") {
		g.t.Error("the page of a refusal does not say what to do")
	}
	g.look("trace-refused")
	g.Open(console + "/apps/new")
	g.Click(".segments label:nth-child(2)")
	g.Type("#f-metadata", "<EntityDescriptor")
	g.Click("form.form button.primary")
	g.WaitFor(".notice.danger")
	g.look("app-new-problem")
}

// TestAxeNoticesFaults proves that a fault would fail a test.
func TestAxeNoticesFaults(t *testing.T) {
	t.Parallel()
	site := otherSite(t, false, map[string]http.HandlerFunc{"/": page(`<input><p style="color:#bbb;background:#fff">pale`)})
	g := newGallery(t)
	g.Open(site)
	faults := strings.Join(g.axe.Faults(g.Browser), "\n")
	for _, want := range []string{"label (critical)", "color-contrast (serious)", "html-has-lang (serious)"} {
		if !strings.Contains(faults, want) {
			t.Errorf("no %q in %s", want, faults)
		}
	}
}
