package idptest

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"gatehouse/idp/api"
)

// authenticator is an authenticator app in somebody's hand.
type authenticator struct {
	seed string
	now  func() time.Time
}

// code is what the app shows so many steps from now.
func (a *authenticator) code(t *testing.T, steps int) string {
	t.Helper()
	code, err := totp.GenerateCode(a.seed, a.now().Add(time.Duration(steps)*30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// setOrganisation changes one setting of the organisation.
func (s *Server) setOrganisation(t *testing.T, key, value string) {
	t.Helper()
	if _, err := s.API.SetSettings(t.Context(), api.Change{Set: map[string]string{key: value}}); err != nil {
		t.Fatal(err)
	}
}

var (
	shownSecret = regexp.MustCompile(`<code class="secret">([A-Z2-7 ]+)</code>`)
	shownCode   = regexp.MustCompile(`<li><code>([a-z2-7-]{19})</code></li>`)
	qrCode      = regexp.MustCompile(`<svg class="qr" [^>]*><path d="M0 0h7v1h-7z[Mhvz0-9 -]{500,}">`)
)

// setsUp sets up an authenticator app from the page that offers second factors; it returns the app, the recovery codes and where the
// person goes on to.
func (w *world) setsUp(t *testing.T, c *Client, page *Page) (*authenticator, []string, string) {
	t.Helper()
	if page.Status != http.StatusOK || page.URL.Path != "/login/enrol" {
		t.Fatalf("rests at %s with %d, want the page that offers second factors:\n%s", page.URL, page.Status, page.Body)
	}
	form := c.Get("/login/enrol/app?" + page.URL.RawQuery)
	secret := shownSecret.FindStringSubmatch(form.Body)
	if secret == nil || !qrCode.MatchString(form.Body) {
		t.Fatalf("no key and no QR code:\n%s", form.Body)
	}
	app := &authenticator{strings.ReplaceAll(secret[1], " ", ""), w.clock.now}
	shown := c.Post(form.Action(), url.Values{
		"flow": {form.Field("flow")}, "next": {form.Field("next")}, "token": {form.Field("token")}, "name": {"Phone"}, "code": {app.code(t, 0)},
	})
	var codes []string
	for _, one := range shownCode.FindAllStringSubmatch(shown.Body, -1) {
		codes = append(codes, one[1])
	}
	if shown.Status != http.StatusOK || len(codes) != 10 {
		t.Fatalf("%d recovery codes at %s (%d):\n%s", len(codes), shown.URL, shown.Status, shown.Body)
	}
	return app, codes, html.UnescapeString(linkTo(shown.Body, "I have kept them"))
}

// linkTo is the address of the link whose text begins so.
func linkTo(body, text string) string {
	before, _, found := strings.Cut(body, ">"+text)
	if !found {
		return ""
	}
	return attribute(before[strings.LastIndex(before, "<a "):], "href")
}

// withApp is a browser in which a person has signed in by password and set up an authenticator app; the browser is forgotten.
func (w *world) withApp(t *testing.T, name string) (*authenticator, []string) {
	t.Helper()
	c := w.signedIn(t, name)
	app, codes, _ := w.setsUp(t, c, c.Get("/login/enrol?next=/account"))
	w.clock.advance(time.Minute) // the code that confirmed is used up
	return app, codes
}

// enters posts a code on the page that asks for a second factor.
func (c *Client) enters(page *Page, code string) *Page {
	c.t.Helper()
	if page.URL.Path != "/login/factor" {
		c.t.Fatalf("rests at %s with %d, want the page that asks for a second factor:\n%s", page.URL, page.Status, page.Body)
	}
	return c.Post("/login/factor", url.Values{"flow": {page.Field("flow")}, "next": {page.Field("next")}, "code": {code}})
}
