package idptest

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// The tests of this file are a newcomer with a browser: they do what `gatehouse demo` prints.

const demoPassword = "gatehouse-demo"

var demoAddress = regexp.MustCompile(`http://localhost:\S+`)

// TestDemo walks through everything that the demo offers, then finds it again behind `gatehouse serve`.
func TestDemo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	demo := StartDemo(t, dir)
	t.Logf("%v from start to the ready line", demo.Start.Round(time.Millisecond))
	addresses := demoAddress.FindAllString(demo.Output, -1)
	if len(addresses) != 2 {
		t.Fatalf("the demo prints %q, want an app to open and metadata to connect:\n%s", addresses, demo.Output)
	}
	b := NewBrowser(t)
	opensTile(b, demo.URL)
	opensAppFirst(b, addresses[0])
	leavesBoth(b, demo.URL)
	connectsApp(b, demo.URL, addresses[1])
	opensConnectedApp(b, demo.URL)
	if err := demo.Terminate(t.Context()); err != nil {
		t.Fatalf("the demo ended with: %v", err)
	}
	findsEverything(t, b, StartBinary(t, dir, "--listen", strings.TrimPrefix(demo.URL, "http://")))
}

// signIn fills the sign-in form on the browser's page.
func (b *Browser) signIn(name, password string) {
	b.t.Helper()
	b.Type("#f-name", name)
	b.Type("#f-password", password)
	b.Click("form button.primary")
}

// tiles waits for the portal and returns the names on it.
func (b *Browser) tiles() []string {
	b.t.Helper()
	b.WaitFor("#tiles")
	return b.Texts("#tiles .tile-name")
}

// wantTiles compares the tiles on the portal, which are in the order of their names.
func (b *Browser) wantTiles(want ...string) {
	b.t.Helper()
	if got := b.tiles(); !slices.Equal(got, want) {
		b.t.Errorf("the tiles are %q, want %q", got, want)
	}
}

// clickTile opens the app of that name.
func (b *Browser) clickTile(name string) {
	b.t.Helper()
	i := slices.Index(b.tiles(), name)
	if i < 0 {
		b.t.Fatalf("there is no tile %q", name)
	}
	b.Click("#tiles li:nth-child(" + string(rune('1'+i)) + ") a")
}

// arrived waits for a sample app that shows who is signed in, and checks what it was told.
func (b *Browser) arrived(app, email string) {
	b.t.Helper()
	b.WaitFor("#nameid")
	address, err := url.Parse(b.URL())
	if err != nil || address.Hostname() != "localhost" || b.Text("h1") != app || !slices.Contains(b.Texts("#attributes dd"), email) {
		b.t.Errorf("at %s: app %q was told %q, want %q about %s", b.URL(), b.Text("h1"), b.Texts("#attributes dd"), app, email)
	}
}

// opensTile is IdP-initiated: Ana signs in, sees her apps and clicks one.
func opensTile(b *Browser, home string) {
	b.t.Helper()
	b.Open(home)
	b.signIn("ana", demoPassword)
	b.wantTiles("Payroll Console", "Your Benefits")
	b.Show("demo-ana")
	b.clickTile("Your Benefits")
	b.arrived("Your Benefits", "ana@example.org")
	b.Show("demo-benefits")
}

// opensAppFirst is SP-initiated: the app sends Ben to sign in, and he comes back; a second app does not ask again.
func opensAppFirst(b *Browser, signIn string) {
	b.t.Helper()
	b.Fresh()
	b.Open(signIn)
	b.WaitFor("#f-name")
	b.Show("demo-sign-in-for-app")
	if lead := b.Text("p.lead"); lead != "to continue to Your Benefits" {
		b.t.Errorf("the sign-in page says %q", lead)
	}
	b.signIn("ben", demoPassword)
	b.arrived("Your Benefits", "ben@example.org")
	b.Open(signIn)
	b.arrived("Your Benefits", "ben@example.org")
}

// leavesBoth is single logout: Ana opens two apps and signs out of one, and the other one knows nobody any more.
func leavesBoth(b *Browser, home string) {
	b.t.Helper()
	b.Fresh()
	b.Open(home)
	b.signIn("ana", demoPassword)
	b.clickTile("Payroll Console")
	b.arrived("Payroll Console", "ana@example.org")
	payroll := b.URL()
	b.Open(home)
	b.clickTile("Your Benefits")
	b.arrived("Your Benefits", "ana@example.org")
	b.Click("form button")
	b.WaitFor("#notice")
	if notice := b.Text("#notice"); notice != "You are signed out here and in your other apps." {
		b.t.Errorf("at %s: %q", b.URL(), notice)
	}
	b.Show("demo-signed-out-of-both")
	b.Open(payroll)
	b.WaitFor("#signin")
	b.Open(home)
	b.WaitFor("#f-name")
}

// connectsApp is Ada in the console: metadata by its address, one profile permitted.
func connectsApp(b *Browser, home, metadata string) {
	b.t.Helper()
	b.Fresh()
	b.Open(home)
	b.signIn("ada", demoPassword)
	b.wantTiles("Your Benefits")
	b.Click(".person-menu summary")
	b.Click(`.person-menu a[href="/admin/"]`)
	b.Click(`.side a[href="/admin/apps"]`)
	b.Click(`a[href="/admin/apps/new"]`)
	b.Click(".segments label:nth-child(3)")
	b.Type("#f-url", metadata)
	b.addApp("Travel Desk", "Contractors")
	b.Show("demo-travel-desk-added")
	if heading := b.Text("h1"); !strings.Contains(heading, "Travel Desk") {
		b.t.Errorf("the page of the new app is headed %q", heading)
	}
}

// permit ticks a profile by its name on the page that adds an app.
func (b *Browser) permit(profile string) {
	b.t.Helper()
	i := slices.IndexFunc(b.Texts("#f-profiles li"), func(text string) bool { return strings.HasPrefix(text, profile) })
	if i < 0 {
		b.t.Fatalf("there is no profile %q among %q", profile, b.Texts("#f-profiles li"))
	}
	b.Click("#f-profiles li:nth-child(" + string(rune('1'+i)) + ") input")
}

// opensConnectedApp is Ben, a contractor, who got a tile.
func opensConnectedApp(b *Browser, home string) {
	b.t.Helper()
	b.Fresh()
	b.Open(home)
	b.signIn("ben", demoPassword)
	b.wantTiles("Travel Desk", "Your Benefits")
	b.clickTile("Travel Desk")
	b.arrived("Travel Desk", "ben@example.org")
}

// findsEverything is Ben again, whose browser is still signed in after the restart, and the administrator's view.
func findsEverything(t *testing.T, b *Browser, server *Process) {
	b.Open(server.URL)
	b.wantTiles("Travel Desk", "Your Benefits")
	b.Show("demo-ben-after-restart")
	app, err := server.API.App(t.Context(), "Travel Desk")
	if err != nil || app.State != "active" || app.Permitted != 1 {
		t.Errorf("the app is %+v: %v", app, err)
	}
	for _, person := range []string{"ana", "ben", "ada"} {
		if user, err := server.API.User(t.Context(), person); err != nil || user.Status != "active" || user.LastSignIn.IsZero() {
			t.Errorf("%s is %+v: %v", person, user, err)
		}
	}
	kinds := map[string]int{}
	for _, entry := range server.Audit(t) {
		kinds[entry.Kind+" "+entry.Outcome]++
	}
	if kinds["signin ok"] < 4 || kinds["signon ok"] < 4 || kinds["app.add ok"] < 3 {
		t.Errorf("the audit has %v", kinds)
	}
}
