package idptest

import (
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestDemoClients walks through what the demo offers in OAuth 2.0 and OpenID Connect, with one browser for people and one for the
// administrator.
func TestDemoClients(t *testing.T) {
	t.Parallel()
	demo := StartDemo(t, t.TempDir(), "127.0.0.1:0")
	addresses := demo.demoApps(t)
	orders, phone, wellness, gateway, travel := addresses[2], addresses[3], addresses[4], addresses[5], addresses[6]
	g, admin := newGallery(t), NewBrowser(t)
	ordersByAPI(g, orders)
	phoneByLoopback(g, phone)
	travelsAlone(admin, travel)
	admin.Fresh()
	admin.Open(demo.URL + "/admin/apps")
	admin.signIn("ada", demoPassword)
	admin.WaitFor(".side")
	partnerRegisters(g, admin, demo, gateway)
	blockedWhileTravelling(g, admin, demo, travel)
	toldToLeave(g, demo, wellness)
}

// agrees says yes on the consent page. Its button is told from that of the sign-in page, which looks the same and may still be there: what
// is clicked twice is sent once, and then nobody would agree.
func (b *Browser) agrees() {
	b.t.Helper()
	b.Click(`form[action="/consent"] button.primary`)
}

// signedInAs waits for a sample client that shows who is signed in.
func (b *Browser) signedInAs(app, person string) {
	b.t.Helper()
	b.WaitFor("#who")
	if b.Text("h1") != app || b.Text("#who") != person {
		b.t.Errorf("at %s: %q is signed in to %q", b.URL(), b.Text("#who"), b.Text("h1"))
	}
}

// glance looks at the page as it is, if somebody wants to see it.
func (g *gallery) glance(name string) {
	g.t.Helper()
	if os.Getenv("GATEHOUSE_SHOTS") != "" {
		g.look(name)
	}
}

// says waits until the notice about what was done last has that heading, and returns all of it.
func (b *Browser) says(title string) string {
	b.t.Helper()
	eventually(b.t, "the app does not say "+title, func() bool { return slices.Equal(b.Texts("#result h2"), []string{title}) })
	return b.Text("#result")
}

// happened waits until the journal of a sample client has a line with all the words.
func (b *Browser) happened(words ...string) {
	b.t.Helper()
	eventually(b.t, fmt.Sprintf("no line of the journal has %q", words), func() bool {
		return slices.ContainsFunc(b.Texts("#journal summary"), func(line string) bool {
			return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) })
		})
	})
}

// ordersByAPI: Ana signs in to a web app, agrees, and its API asks about her token.
func ordersByAPI(g *gallery, orders string) {
	g.t.Helper()
	g.Open(orders)
	g.Show("demo-orders-signed-out")
	g.Click("#signin")
	g.signIn("ana", demoPassword)
	g.agrees()
	g.signedInAs("Order Status", "Ana Almeida")
	g.says("You are signed in")
	g.Click("#call")
	g.WaitFor("#rows")
	g.says("The call was allowed")
	g.happened("Order Status → Gatehouse", "POST /oauth/token", "200")
	g.happened("Order Status → the API", "GET /api/orders", "200")
	g.happened("The API → Gatehouse", "POST /oauth/introspect", "active")
	for i := range g.Texts("#journal summary") {
		g.Click("#journal li:nth-child(" + string(rune('1'+i)) + ") summary")
	}
	g.look("demo-orders")
	if text := g.Text("#journal"); !strings.Contains(text, `"active":true`) || !strings.Contains(text, "code_challenge_method") {
		g.t.Errorf("the journal says %s", text)
	}
}

// phoneByLoopback: a public client gets its answer at a port of its own, another one each time, and its refresh token changes.
func phoneByLoopback(g *gallery, phone string) {
	g.t.Helper()
	g.Open(phone)
	g.Click("#signin")
	g.agrees()
	g.signedInAs("Pocket Orders", "Ana Almeida")
	first, err := url.Parse(g.Text("#redirect"))
	if err != nil || first.Hostname() != "127.0.0.1" || first.Port() == "" || strings.Contains(phone, first.Port()) {
		g.t.Errorf("the answer came to %s: %v", first, err)
	}
	before := g.Text("#tokens")
	g.Click("#renew")
	g.says("The tokens are new")
	if g.Text("#tokens") == before {
		g.t.Error("the tokens are the old ones")
	}
	g.Click("#call")
	g.says("Gatehouse answered")
	g.happened("GET /oauth/userinfo", "200")
	g.glance("demo-phone")
	g.Click("#signout")
	g.says("You are signed out of Pocket Orders")
	g.happened("POST /oauth/revoke", "200")
	g.Click("#signin")
	g.signedInAs("Pocket Orders", "Ana Almeida")
	if again := g.Text("#redirect"); again == first.String() || !strings.HasPrefix(again, "http://127.0.0.1:") {
		g.t.Errorf("the second answer came to %s", again)
	}
}

// travelsAlone: Ben is a contractor, and the travel app is for employees.
func travelsAlone(b *Browser, travel string) {
	b.t.Helper()
	b.Open(travel + "signin")
	b.signIn("ben", demoPassword)
	if text := b.says("You are not signed in"); !strings.Contains(text, "access_denied") {
		b.t.Errorf("Ben is told %q", text)
	}
	b.Show("demo-travel-ben")
}

// partnerRegisters: a client registers by itself and stands under its parent in the console; each of its calls is introspected, so
// that a block ends them.
func partnerRegisters(g *gallery, admin *Browser, demo *Process, gateway string) {
	g.t.Helper()
	g.Open(gateway)
	g.Click("#register")
	g.says("A client was registered")
	g.happened("Parcel Partner → Gatehouse", "POST /oauth/register", "201")
	g.Click("#signin")
	g.agrees()
	g.signedInAs("Partner Gateway", "Ana Almeida")
	g.Click("#call")
	g.WaitFor("#rows")
	g.glance("demo-gateway")
	openConsole(admin, demo, "Partner Gateway")
	admin.Show("demo-gateway-console")
	if rows := admin.Texts("#clients tbody tr"); len(rows) != 1 || !strings.Contains(rows[0], "Parcel Partner") {
		g.t.Errorf("under the gateway stand %q", rows)
	}
	admin.Click("#clients tbody a.row-link")
	admin.blocks()
	g.Click("#call")
	if text := g.says("The call was refused"); !strings.Contains(text, "not good") {
		g.t.Errorf("the gateway says %q", text)
	}
	g.happened("The API → Gatehouse", "POST /oauth/introspect", "not active")
	g.Show("demo-gateway-refused")
}

// openConsole opens the page of an app.
func openConsole(admin *Browser, demo *Process, name string) {
	admin.t.Helper()
	app, err := demo.API.App(admin.t.Context(), name)
	if err != nil {
		admin.t.Fatal(err)
	}
	admin.Open(demo.URL + "/admin/apps/" + app.ID)
}

// blocks presses Block on the page of an app.
func (b *Browser) blocks() {
	b.t.Helper()
	b.Click(`a[href$="/danger"]`)
	b.Click(`form[action$="/block"] button`)
	b.WaitFor("main .notice.danger")
}

// blockedWhileTravelling: Ana uses the travel app, whose refresh token dies at a set time; the administrator blocks the app, and the
// next call is refused in plain words, the next renewal too.
func blockedWhileTravelling(g *gallery, admin *Browser, demo *Process, travel string) {
	g.t.Helper()
	g.Open(travel + "signin") // nobody is asked to agree: an administrator said who may
	g.signedInAs("Travel Planner", "Ana Almeida")
	if text := g.Text("#tokens"); !strings.Contains(text, "dies at ") {
		g.t.Errorf("the app holds %s", text)
	}
	g.Click("#call")
	g.WaitFor("#rows")
	g.glance("demo-travel")
	openConsole(admin, demo, "Travel Planner")
	admin.blocks()
	for _, press := range [][2]string{{"#call", "The call was refused"}, {"#renew", "The tokens were not renewed"}} {
		g.Click(press[0])
		if text := g.says(press[1]); !strings.Contains(text, "This app is blocked by an administrator.") {
			g.t.Errorf("the travel app says %q", text)
		}
	}
	g.glance("demo-travel-blocked")
	g.Open(demo.URL)
	g.wantTiles("Order Status", "Payroll Console", "Wellness Tracker", "Your Benefits")
}

// toldToLeave: the portal opens an OpenID app, and a sign-out at Gatehouse reaches it from server to server.
func toldToLeave(g *gallery, demo *Process, wellness string) {
	g.t.Helper()
	g.Open(demo.URL)
	g.clickTile("Wellness Tracker")
	g.agrees()
	g.signedInAs("Wellness Tracker", "Ana Almeida")
	g.happened("Gatehouse → Wellness Tracker", "/signin")
	if text := g.Text("#claims"); !strings.Contains(text, "urn:gatehouse:level:standard") || !strings.Contains(text, "pwd") {
		g.t.Errorf("the ID token says %s", text)
	}
	g.glance("demo-wellness")
	g.Open(demo.URL + "/logout")
	g.Click("form button")
	g.WaitFor(".leaving-list")
	g.Open(wellness)
	g.says("You were signed out")
	g.WaitFor("#signin")
}
