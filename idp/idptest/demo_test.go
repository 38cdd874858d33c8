package idptest

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/cmd/sampleapps"
	"gatehouse/idp/api"
)

// The tests of this file are a newcomer with a browser: they do what `gatehouse demo` prints.

const demoPassword = "gatehouse-demo"

var demoAddress = regexp.MustCompile(`http://127\.0\.0\.1:\S+`)

// demoApps are the addresses that the demo prints: of an app to open, of metadata to connect, and of the OAuth clients.
func (p *Process) demoApps(t *testing.T) []string {
	t.Helper()
	addresses := demoAddress.FindAllString(p.Output, -1)
	if len(addresses) != 7 || !strings.HasPrefix(p.URL, "http://localhost:") {
		t.Fatalf("the demo at %s prints %q:\n%s", p.URL, addresses, p.Output)
	}
	return addresses
}

// TestDemo walks through what the demo offers in SAML, then finds it again after a restart.
func TestDemo(t *testing.T) {
	t.Parallel()
	dir := demoFolder(t)
	demo := StartDemo(t, dir, loopback(freePort(t)))
	t.Logf("%v from start to the ready line", demo.Start.Round(time.Millisecond))
	addresses := demo.demoApps(t)
	b := NewBrowser(t)
	opensTile(b, demo.URL)
	opensAppFirst(b, addresses[0])
	leavesBoth(b, demo.URL)
	connectsApp(b, demo.URL, addresses[1])
	opensConnectedApp(b, demo.URL)
	opensOpenIDTile(b, demo.URL)
	if err := demo.Terminate(t.Context()); err != nil {
		t.Fatalf("the demo ended with: %v", err)
	}
	again := StartDemo(t, dir, strings.Replace(strings.TrimPrefix(demo.URL, "http://"), "localhost", "127.0.0.1", 1)) // its own ports too
	if found := again.demoApps(t); again.URL != demo.URL || !slices.Equal(found, addresses) {
		t.Fatalf("after a restart the apps are at %q, before at %q", found, addresses)
	}
	findsEverything(t, b, again)
	usesPasskey(b, again.URL)
}

// demoFolder is one whose sample apps have ports already, which nobody else takes while the demo is restarted: the usual ones are those
// of every demo on the machine.
func demoFolder(t *testing.T) string {
	t.Helper()
	dir, ports := t.TempDir(), map[string]any{}
	for _, app := range sampleapps.Demo() {
		ports[app.Name] = map[string]int{"port": freePort(t)}
	}
	for _, client := range sampleapps.DemoClients() {
		ports[client.Name] = map[string]int{"port": freePort(t)}
	}
	writeFiles(t, dir, 0o600, map[string][]byte{"sampleapps.json": encode(t, ports)})
	return dir
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
	if err != nil || address.Path != "/" || b.Text("h1") != app || !slices.Contains(b.Texts("#attributes dd"), email) {
		b.t.Errorf("at %s: app %q was told %q, want %q about %s", b.URL(), b.Text("h1"), b.Texts("#attributes dd"), app, email)
	}
}

// opensTile is IdP-initiated: Ana signs in, sees her apps and clicks one.
func opensTile(b *Browser, home string) {
	b.t.Helper()
	b.Open(home)
	b.signIn("ana", demoPassword)
	b.wantTiles("Order Status", "Payroll Console", "Travel Planner", "Wellness Tracker", "Your Benefits")
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
	b.wantTiles("Order Status", "Wellness Tracker", "Your Benefits")
	b.Click(".person-menu summary")
	b.Click(`.person-menu a[href="/admin/"]`)
	b.Click(`.side a[href="/admin/apps"]`)
	b.Click(`a[href="/admin/apps/new"]`)
	b.Click(".segments label:nth-child(3)")
	b.Type("#f-url", metadata)
	b.addApp("Room Booking", "Contractors")
	b.Show("demo-room-booking-added")
	if heading := b.Text("h1"); !strings.Contains(heading, "Room Booking") {
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
	b.wantTiles("Order Status", "Room Booking", "Wellness Tracker", "Your Benefits")
	b.clickTile("Room Booking")
	b.arrived("Room Booking", "ben@example.org")
}

// opensOpenIDTile is third-party-initiated login: the portal asks the app to begin, and Ben, who is signed in, agrees once.
func opensOpenIDTile(b *Browser, home string) {
	b.t.Helper()
	b.Open(home)
	b.clickTile("Wellness Tracker")
	b.agrees()
	b.signedInAs("Wellness Tracker", "Ben Brandt")
}

// findsEverything is Ben again, whose browser is still signed in after the restart: the app that was connected by hand knows its key,
// an OAuth client its secret. Nothing was refused that was there already.
func findsEverything(t *testing.T, b *Browser, server *Process) {
	b.Open(server.URL)
	b.clickTile("Room Booking")
	b.arrived("Room Booking", "ben@example.org")
	b.Open(server.URL)
	b.wantTiles("Order Status", "Room Booking", "Wellness Tracker", "Your Benefits")
	b.clickTile("Wellness Tracker")
	b.signedInAs("Wellness Tracker", "Ben Brandt")
	app, err := server.API.App(t.Context(), "Room Booking")
	if err != nil || app.State != "active" || app.Permitted != 1 {
		t.Errorf("the app is %+v: %v", app, err)
	}
	for _, person := range []string{"ana", "ben", "ada"} {
		if user, err := server.API.User(t.Context(), person); err != nil || user.Status != "active" || user.LastSignIn.IsZero() {
			t.Errorf("%s is %+v: %v", person, user, err)
		}
	}
	kinds := map[string]int{}
	list, err := server.API.Audit(t.Context(), api.AuditQuery{Limit: 200})
	for _, entry := range list.Items {
		kinds[entry.Kind+" "+entry.Outcome]++
		if entry.Outcome != "ok" {
			t.Errorf("%s was refused: %s %v", entry.Kind, entry.Reason, entry.Facts)
		}
	}
	if err != nil || kinds["signin ok"] < 4 || kinds["signon ok"] < 6 || kinds["app.add ok"] != 11 {
		t.Errorf("the audit has %v: %v", kinds, err)
	}
}

// usesPasskey is Ben, who gives himself a passkey and signs in with it alone: the demo has a name, as passkeys need.
func usesPasskey(b *Browser, home string) {
	b.t.Helper()
	b.plugIn(true)
	b.noAutofill()
	b.Open(home + "/login/enrol?next=%2Faccount")
	b.Click("form[data-passkey=create] button")
	b.WaitFor(".codes")
	b.Fresh()
	b.Open(home)
	b.Click("form[data-passkey=get] button")
	b.WaitFor("#tiles")
}
