package idptest

import (
	"net/url"
	"testing"
	"time"
)

// TestUpstreamAndFactors: what another identity provider vouches for counts as much as its class is mapped to, and a second factor of
// ours comes to it, or does not help where the first one is weak.
func TestUpstreamAndFactors(t *testing.T) {
	t.Parallel()
	b := newForger(t, map[string]string{"level": "low"})
	vault := b.Client(t, "vault", nil, map[string]string{"policy.min_level": "high", "policy.consent": "never"})
	phone := b.given(t, "ana", b.clock.now)
	arrives := func(class string) (*Client, *Page) {
		c := b.browser(t)
		page := vault.Visit(c, vault.Ask())
		location := c.Post("/login/upstream/uni", url.Values{"flow": {page.Field("flow")}}).Header.Get("Location")
		return c, b.bring(c, b.forge(t, forged{to: asked(t, location).SelectAttrValue("ID", ""), class: class}))
	}
	claims := func(page *Page) map[string]any {
		t.Helper()
		code := vault.Callback(page).Get("code")
		if code == "" {
			t.Fatalf("no code but %d at %s\n%s", page.Status, page.URL, page.Body)
		}
		_, claims := vault.Claims(vault.Redeem(code).Text("id_token"))
		return claims
	}
	_, page := arrives(classMFA)
	strong := claims(page)
	c, page := arrives(classPPT)
	if page.URL.Path != "/login/factor" {
		t.Fatalf("after one factor there the browser rests at %s (%d)\n%s", page.URL, page.Status, page.Body)
	}
	both := claims(c.enters(page, phone.code(t, 0)))
	if strong["acr"] == nil || both["acr"] != strong["acr"] {
		t.Errorf("two factors there are %v, one there and one here %v", strong, both)
	}
	if entry := b.newest(t, "signin"); entry.Facts["level"] != "high" || entry.Facts["method"] != "totp" {
		t.Errorf("%+v", entry)
	}
	b.clock.advance(time.Minute)
	c, page = arrives("urn:oasis:names:tc:SAML:2.0:ac:classes:unspecified")
	if page.URL.Path != "/login" {
		t.Fatalf("after a weak sign-in there the browser rests at %s (%d)", page.URL, page.Status)
	}
	flow := page.Field("flow")
	weak := c.Post("/login/factor", url.Values{"flow": {flow}, "code": {phone.code(t, 0)}})
	if code := vault.Callback(weak).Get("code"); code != "" || weak.URL.Path != "/login" {
		t.Errorf("a weak sign-in there and a code here lead to %s with %q", weak.URL, code)
	}
	own := claims(c.SignIn(c.Get("/login?flow="+url.QueryEscape(flow)), "ana", Password)) // the code of a moment ago and the password are two
	if own["acr"] != strong["acr"] {
		t.Errorf("%v", own)
	}
}
