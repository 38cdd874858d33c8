package idptest

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// given is an authenticator app that an administrator hands to a person.
func (s *Server) given(t *testing.T, name string, now func() time.Time) *authenticator {
	t.Helper()
	given, err := s.API.EnrolTOTP(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	uri, err := url.Parse(given.URI)
	if err != nil || uri.Scheme != "otpauth" {
		t.Fatalf("%q: %v", given.URI, err)
	}
	return &authenticator{uri.Query().Get("secret"), now}
}

// TestPagesBeforeAnOAuthAppLetTheBrowserLeave: browsers hold the redirects after a form to its page's form-action, so no page of a
// waiting OAuth request sends one, and every other page with a form does.
func TestPagesBeforeAnOAuthAppLetTheBrowserLeave(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	vault := w.Client(t, "vault", nil, map[string]string{"policy.min_level": "high", "policy.consent": "always"})
	names := map[bool]string{true: "holds the browser", false: "lets the browser leave"}
	holds := func(page *Page, path string, want bool) *Page {
		t.Helper()
		policy := page.Header.Get("Content-Security-Policy")
		if page.URL.Path != path || page.Status == http.StatusNotFound || policy == "" || strings.Contains(policy, "form-action") != want {
			t.Errorf("%s (%d) %s, want that %s %s: %q", page.URL.Path, page.Status, names[!want], path, names[want], policy)
		}
		return page
	}
	c := w.browser(t)
	signin := holds(vault.Visit(c, vault.Ask()), "/login", false)
	holds(c.SignIn(signin, "ana", "wrong"), "/login", false)
	enrol := holds(c.SignIn(signin, "ana", Password), "/login/enrol", false)
	holds(c.Get("/login/enrol/app?"+enrol.URL.RawQuery), "/login/enrol/app", false)
	holds(c.Post("/login/enrol/app", url.Values{"flow": {enrol.Field("flow")}, "code": {"000000"}, "token": {"x"}}), "/login/enrol/app", false)
	app, _, onward := w.setsUp(t, c, enrol)
	if code := vault.Callback(c.Agree(holds(c.Get(onward), "/consent", false))).Get("code"); code == "" {
		t.Error("no code after setting one up")
	}
	w.clock.advance(time.Minute)
	c = w.browser(t)
	factor := holds(c.SignIn(vault.Visit(c, vault.Ask()), "ana", Password), "/login/factor", false)
	holds(c.enters(factor, "000000"), "/login/factor", false)
	if code := vault.Callback(c.Agree(c.enters(factor, app.code(t, 0)))).Get("code"); code == "" {
		t.Error("no code after the second factor")
	}
	c = w.browser(t)
	holds(c.SignIn(holds(c.Get("/login?next=/account"), "/login", true), "bob", "wrong"), "/login", true)
	c.SignIn(c.Get("/login?next=/account"), "bob", Password)
	holds(c.Get("/login/enrol?next=/account"), "/login/enrol", true)
	holds(c.Get("/login/enrol/app?next=/account"), "/login/enrol/app", true)
}

// oauthWays are the ways into an app that speak OAuth.
func (w *world) oauthWays(t *testing.T) []way {
	rp := w.Client(t, "ways", nil, map[string]string{"policy.consent": "never", "policy.min_level": "high"})
	code := func(change ...string) func(*testing.T, *Client) bool {
		return func(_ *testing.T, c *Client) bool {
			code := rp.Callback(rp.Visit(c, rp.Ask(change...))).Get("code")
			return code != "" && rp.Redeem(code).Text("access_token") != ""
		}
	}
	return []way{
		{"authorize", code()},
		{"authorize with prompt=none", code("prompt", "none")},
		{"authorize with an old max_age", code("max_age", "86400")},
		{"authorize with form_post", func(_ *testing.T, c *Client) bool {
			_, gives := rp.Visit(c, rp.Ask("response_mode", "form_post")).LookupField("state")
			return gives
		}},
		{"authorize by a posted form", func(_ *testing.T, c *Client) bool {
			return rp.Callback(c.Post("/oauth/authorize", rp.Ask())).Get("code") != ""
		}},
	}
}

// raisedBehind: what was given for a password is worth nothing once the policy wants two factors, and is again when it does not; what
// was given for two factors stays.
func (w *world) raisedBehind(t *testing.T, phone *authenticator) {
	rp := w.Client(t, "raised", map[string]any{"grant_types": []string{"authorization_code", "refresh_token", "client_credentials"}},
		map[string]string{"policy.consent": "never", "oauth.run_as": "olga"})
	weak, strong := w.passwordSession(t, "olga"), w.passwordSession(t, "olga")
	w.clock.advance(time.Minute)
	strong.enters(strong.Get("/login/factor?next=/account"), phone.code(t, 0))
	ask := []string{"scope", "openid offline_access"}
	before, code, held := rp.Tokens(weak, ask...), rp.Code(weak), rp.Tokens(strong, ask...)
	alone := func() *Reply {
		return rp.Send("/oauth/token", url.Values{"grant_type": {"client_credentials"}})
	}
	own := alone().Text("access_token")
	if !rp.Active(before.Text("access_token")) || !rp.Active(own) {
		t.Fatal("the tokens are not good to begin with")
	}
	w.setClient(t, rp, "policy.min_level", "high")
	for name, token := range map[string]string{"access": before.Text("access_token"), "refresh": before.Text("refresh_token"), "run_as": own} {
		if rp.Active(token) {
			t.Errorf("the %s token of one factor is active", name)
		}
	}
	if rp.UserInfo(before.Text("access_token")).Status != http.StatusUnauthorized {
		t.Error("userinfo takes the access token of one factor")
	}
	w.refusedBy(t, rp.Refresh(before.Text("refresh_token")), http.StatusBadRequest, "invalid_grant", "min_level")
	w.refusedBy(t, rp.Redeem(code), http.StatusBadRequest, "invalid_grant", "min_level")
	w.refusedBy(t, alone(), http.StatusBadRequest, "unauthorized_client", "min_level")
	_, claims := rp.Claims(held.Text("id_token"))
	next := rp.Refresh(held.Text("refresh_token"))
	if !rp.Active(held.Text("access_token")) || next.Status != http.StatusOK || claims["acr"] == nil {
		t.Errorf("what two factors gave is not good: %v %s", claims, next.Raw)
	}
	if _, err := w.API.ResetMFA(t.Context(), "olga"); err != nil {
		t.Fatal(err)
	}
	if rp.Active(held.Text("access_token")) {
		t.Error("the token outlived the reset of the factors that it rests on")
	}
	w.refusedBy(t, rp.Refresh(next.Text("refresh_token")), http.StatusBadRequest, "invalid_grant", "grant_ended")
	if page := strong.Get("/account"); page.URL.Path != "/login" {
		t.Errorf("the session outlived the reset: %s", page.URL)
	}
}

// TestNoticesOfFactors: whoever's ways to sign in change is told by mail, unless the organisation wants no notices.
func TestNoticesOfFactors(t *testing.T) {
	t.Parallel()
	w, sink := mailWorld(t)
	w.AddPerson(t, "nora", "Employees")
	c := w.signedIn(t, "nora")
	_, codes, _ := w.setsUp(t, c, c.Get("/login/enrol?next=/account"))
	told := func(subject, part string) {
		t.Helper()
		if mail := sink.About(t, "nora@example.org", subject); !strings.Contains(mail.Text, part) {
			t.Errorf("%q says:\n%s", subject, mail.Text)
		}
	}
	told("A way to sign in to Example Ltd was added", "“Phone” was added")
	lost := w.signedIn(t, "nora")
	if page := lost.enters(lost.Get("/login/factor?next=/account"), codes[0]); page.URL.Path != "/account" {
		t.Fatalf("the recovery code leads to %s", page.URL)
	}
	told("A recovery code for Example Ltd was used", "left: 9")
	if page := lost.Post("/account/factors/recovery", nil); page.Status != http.StatusOK {
		t.Fatalf("%d", page.Status)
	}
	told("New recovery codes for Example Ltd", "Browser: ")
	nora, err := w.API.User(t.Context(), "nora")
	if err != nil {
		t.Fatal(err)
	}
	for _, factor := range nora.Factors {
		if factor.Kind == "totp" {
			lost.Post("/account/factors/"+factor.ID+"/remove", nil)
		}
	}
	told("A way to sign in to Example Ltd was removed", "“Phone” was removed")
	w.given(t, "nora", w.clock.now)
	if _, err := w.API.ResetMFA(t.Context(), "nora"); err != nil {
		t.Fatal(err)
	}
	told("Your second factors for Example Ltd were removed", "by an administrator")
	w.leaks(t, codes[0], codes[9])
	w.setOrganisation(t, "smtp.notices", "false")
	had := len(sink.To(t, "nora@example.org"))
	w.given(t, "nora", w.clock.now)
	if _, err := w.API.ResetMFA(t.Context(), "nora"); err != nil {
		t.Fatal(err)
	}
	asksForLink(w.browser(t), "nora") // comes after whatever the others would have left
	sink.Wait(t, "nora@example.org", had+1)
	if mails := sink.To(t, "nora@example.org"); len(mails) != had+1 {
		t.Errorf("without notices %d mails came", len(mails)-had-1)
	}
}

// TestForgottenPasswordIsNoFactor: whoever reads the mail comes as far as the second factor.
func TestForgottenPasswordIsNoFactor(t *testing.T) {
	t.Parallel()
	w, sink := mailWorld(t)
	w.AddPerson(t, "rosa", "Employees")
	phone, _ := w.withApp(t, "rosa")
	vault := w.Client(t, "vault", nil, map[string]string{"policy.min_level": "high", "policy.consent": "never"})
	c := w.browser(t)
	asksForLink(c, "rosa")
	page := choose(c, sink.About(t, "rosa@example.org", "Choose a new password for Example Ltd").Link(t), renewed)
	if page.URL.Path != "/login" {
		t.Fatalf("the link rests at %s", page.URL)
	}
	asked := vault.Ask()
	factor := c.SignIn(vault.Visit(c, asked), "rosa", renewed)
	if factor.URL.Path != "/login/factor" || vault.Callback(vault.Visit(c, vault.Ask("prompt", "none"))).Get("code") != "" {
		t.Fatalf("the new password leads to %s", factor.URL)
	}
	if page := c.Get("/login/enrol?next=/"); page.URL.Path != "/login/factor" {
		t.Errorf("another factor can be set up without the one that is there: %s", page.URL)
	}
	if vault.Callback(c.enters(factor, phone.code(t, 0))).Get("code") == "" {
		t.Error("the code does not lead into the app")
	}
}

// TestACodeCountsOnce: of eight sign-ins that bring one recovery code in the same moment one gets in, and a code of an authenticator
// app likewise.
func TestACodeCountsOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.AddPerson(t, "otto", "Employees")
	phone, codes := w.withApp(t, "otto")
	for name, show := range map[string]func() string{
		"a recovery code": func() string { return codes[3] }, "an app's code": func() string { return phone.code(t, 0) },
	} {
		code := show()
		var browsers []*Client
		for range 8 {
			c := w.browser(t)
			c.SignIn(c.Get("/login?next=/account"), "otto", Password)
			browsers = append(browsers, c)
		}
		in := make(chan bool, len(browsers))
		for _, c := range browsers {
			go func() {
				page := c.Post("/login/factor", url.Values{"next": {"/account/factors/recovery"}, "code": {code}})
				in <- page.URL.Path == "/account/factors/recovery" && page.Status == http.StatusOK
			}()
		}
		n := 0
		for range browsers {
			if <-in {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s let %d in", name, n)
		}
		w.clock.advance(20 * time.Minute) // the ones that were late were wrong codes
	}
}

// TestAStolenPasswordStaysStolen: who has a second factor shows it before the password is changed.
func TestAStolenPasswordStaysStolen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.AddPerson(t, "sven", "Employees")
	phone, _ := w.withApp(t, "sven")
	c := w.signedIn(t, "sven")
	page := change(c, Password, renewed, renewed)
	if page.URL.Path != "/login/factor" || !w.signsIn(t, "sven", Password) {
		t.Fatalf("a password alone changes the password: %d at %s", page.Status, page.URL)
	}
	if page := c.enters(page, phone.code(t, 0)); page.URL.Path != "/account" {
		t.Errorf("the code leads to %s", page.URL)
	}
	says(t, change(c, Password, renewed, renewed), http.StatusOK, "Your password is changed")
}
