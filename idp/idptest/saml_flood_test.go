package idptest

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestSAMLFlood: who floods the endpoints that take no person is turned away for the rest of the minute, and nobody else is.
func TestSAMLFlood(t *testing.T) {
	t.Parallel()
	w := newLogoutWorld(t)
	sp, app := w.leaver(t, "calm", front("calm")...)
	c := w.signedIn(t, "ana")
	leave := leaveOf(w.enter(t, c, sp, app))
	flood := func(t *testing.T, path string) (int, string) { return w.rawSOAP(t, w.URL+path, "text/xml", "", "<x/>") }
	defer w.clock.stand()()
	t.Run("SEC-05 429 at the endpoints for logout and artifacts", func(t *testing.T) {
		for i := range 600 {
			if status, _ := flood(t, []string{"/saml/soap", "/saml/artifact"}[i%2]); status != http.StatusBadRequest {
				t.Fatalf("message %d: %d", i, status)
			}
		}
		for _, path := range []string{"/saml/soap", "/saml/artifact", "/saml/ecp"} {
			if status, body := flood(t, path); status != http.StatusTooManyRequests || !strings.Contains(body, "Fault>") {
				t.Errorf("%s: %d %s", path, status, body)
			}
		}
		browser := w.browser(t)
		browser.http.Transport = oneHop("203.0.113.77")
		page := browser.Get("/saml/slo?SAMLRequest=x")
		if page.Status != http.StatusTooManyRequests || page.Header.Get("Retry-After") == "" {
			t.Errorf("/saml/slo: %d %v", page.Status, page.Header)
		}
	})
	t.Run("SEC-05 others sign on and out", func(t *testing.T) {
		w.enter(t, c, sp, app)
		if status, answer := w.bySOAP(t, sp, leave); status != http.StatusOK || answer.status() != "Success" {
			t.Errorf("%d %+v", status, answer)
		}
	})
	t.Run("SEC-05 for a minute", func(t *testing.T) {
		w.clock.advance(time.Minute)
		if status, _ := flood(t, "/saml/soap"); status != http.StatusBadRequest {
			t.Errorf("%d", status)
		}
	})
}
