package idptest

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gatehouse/idp/api"
)

// TestOAuthEdges is what no row names: races, nonsense, and the pages around.
func TestOAuthEdges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rp := w.Client(t, "edges", nil, map[string]string{"policy.consent": "never"})
	t.Run("a code redeemed at once by many", func(t *testing.T) {
		code := rp.Code(w.ana(t))
		if n := atOnce(func() bool { return rp.Redeem(code).Status == http.StatusOK }); n != 1 {
			t.Errorf("%d redeemed it", n)
		}
	})
	t.Run("a refresh token used at once by many", func(t *testing.T) {
		token := rp.Tokens(w.ana(t), "scope", "openid offline_access").Text("refresh_token")
		if n := atOnce(func() bool { return rp.Refresh(token).Status == http.StatusOK }); n != 1 {
			t.Errorf("%d got tokens", n)
		}
	})
	t.Run("the console shows a client", func(t *testing.T) {
		w.AddPerson(t, "olga", "Staff", func(n *api.NewUser) { n.Roles = []string{"owner"} })
		c := w.signedIn(t, "olga")
		for _, path := range []string{"", "/settings", "/access", "/usage", "/sessions", "/explain"} {
			if page := c.Get("/admin/apps/" + rp.App + path); page.Status != http.StatusOK && page.Status != http.StatusNotFound {
				t.Errorf("%s: %d at %s", path, page.Status, page.URL)
			}
		}
		if page := c.Get("/admin/apps"); !strings.Contains(page.Body, rp.App) {
			t.Error("the list has no such app")
		}
	})
	t.Run("explaining a decision", func(t *testing.T) {
		explained, err := w.API.Explain(t.Context(), "ana", rp.ID, "", w.clock.now())
		if err != nil || explained.Outcome != "allow" {
			t.Errorf("%+v, %v", explained, err)
		}
	})
	t.Run("a removed app is unknown", func(t *testing.T) {
		gone := w.Client(t, "gone", nil, map[string]string{"policy.consent": "never"})
		token := gone.Tokens(w.ana(t)).Text("access_token")
		if _, err := w.API.RemoveApp(t.Context(), gone.ID); err != nil {
			t.Fatal(err)
		}
		w.refusedBy(t, gone.Introspect(token), http.StatusUnauthorized, "invalid_client", "unknown_client")
		w.checkHere(t, gone.Visit(w.browser(t), gone.Ask()), "unknown_app")
		if rp.UserInfo(token).Status != http.StatusUnauthorized {
			t.Error("the token of a removed app is good")
		}
	})
	t.Run("nonsense", func(t *testing.T) { w.nonsense(t, rp) }) // last: it uses up what strangers may write into the audit
}

// atOnce does something sixteen times at once and tells how often it went well.
func atOnce(do func() bool) int64 {
	var good atomic.Int64
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if do() {
				good.Add(1)
			}
		})
	}
	all.Wait()
	return good.Load()
}

// nonsense: whatever is sent is answered with a 4xx, and no stranger is sent anywhere.
func (w *world) nonsense(t *testing.T, rp *RP) {
	bad := []string{"", "\x00", "\xff\xfe", strings.Repeat("A", 9000), "%00", "a.b.c", "..", "eyJhbGciOiJSUzI1NiJ9.e30.AA", "gat_", "grt_.", "grt_x.y.z", "'\"<>&", "🙂"}
	for _, value := range bad {
		for _, path := range []string{"/oauth/token", "/oauth/introspect", "/oauth/revoke", "/oauth/userinfo"} {
			for _, form := range []url.Values{
				{"token": {value}}, {"grant_type": {value}}, {"grant_type": {"authorization_code"}, "code": {value}, "code_verifier": {value}, "redirect_uri": {value}},
				{"grant_type": {"refresh_token"}, "refresh_token": {value}, "scope": {value}}, {"client_id": {value}, "client_secret": {value}}, {"access_token": {value}},
			} {
				if reply := rp.Do(rp.Request(path, form)); reply.Status < 400 || reply.Status > 499 {
					t.Errorf("%s of %.20q: %d", path, value, reply.Status)
				}
				if reply := rp.Send(path, form); reply.Status > 499 {
					t.Errorf("%s of %.20q: %d", path, value, reply.Status)
				}
			}
		}
		r := rp.Request("/oauth/token", nil)
		r.Header.Set("Authorization", "Basic "+url.QueryEscape(value))
		if reply := rp.Do(r); reply.Status != http.StatusUnauthorized {
			t.Errorf("Basic %.20q: %d", value, reply.Status)
		}
		for _, name := range []string{"response_type", "scope", "prompt", "max_age", "claims", "id_token_hint", "acr_values", "code_challenge", "response_mode", "state", "nonce", "login_hint"} {
			page := rp.Visit(stay(w.browser(t)), rp.Ask(name, value))
			if location := page.Header.Get("Location"); page.Status > 499 || location != "" && !strings.HasPrefix(location, rp.Redirect+"?") && !strings.HasPrefix(location, "/login?") {
				t.Errorf("%s %.20q: %d to %q", name, value, page.Status, location)
			}
		}
	}
}
