package idptest

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

const classWanted = "./Assertion/AuthnStatement/AuthnContext/AuthnContextClassRef"

// TestSecondFactors is authenticator apps and recovery codes through the real pages, to an app that wants two factors.
func TestSecondFactors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	strong := w.sp(t, "strong", map[string]string{"policy.min_level": "high"})
	plain := w.sp(t, "plain", nil)
	t.Run("an app asks to set one up, with a code to scan and to type", func(t *testing.T) { w.setUpAtSignIn(t, strong) })
	t.Run("contexts", func(t *testing.T) { w.contextsWithFactor(t, plain) })
	t.Run("only what is missing is asked", func(t *testing.T) { w.onlyWhatIsMissing(t, strong, plain) })
	t.Run("codes that must not count", func(t *testing.T) { w.badCodes(t, strong) })
	t.Run("recovery codes", func(t *testing.T) { w.recovers(t, strong) })
	t.Run("on_low_level=block", func(t *testing.T) { w.blockedLow(t) })
	t.Run("an administrator gives the first one", func(t *testing.T) { w.givenByAdmin(t, strong) })
	t.Run("grace", func(t *testing.T) { w.grace(t) })
}

func (w *world) setUpAtSignIn(t *testing.T, strong *SP) {
	ask := Ask{ID: newRequestID()}
	c := w.browser(t)
	page := c.SignIn(w.send(t, c, strong, ask, false), "ana", Password)
	if !strings.Contains(page.Body, "strong.example.org") || !strings.Contains(page.Body, "IP address") {
		t.Errorf("the page names neither the app nor why there are no passkeys:\n%s", page.Body)
	}
	form := c.Get("/login/enrol/app?" + page.URL.RawQuery)
	wrong := c.Post("/login/enrol/app", url.Values{"flow": {form.Field("flow")}, "token": {form.Field("token")}, "name": {"Phone"}, "code": {"000000"}})
	if wrong.Status != http.StatusUnprocessableEntity || wrong.Field("token") != form.Field("token") {
		t.Errorf("a wrong first code gives %d and another key", wrong.Status)
	}
	if again := c.Get("/flow/" + url.PathEscape(form.Field("flow"))); again.URL.Path != "/login/enrol" {
		t.Errorf("an app that was not confirmed counts: %s", again.URL)
	}
	_, codes, next := w.setsUp(t, c, page)
	w.clock.advance(time.Minute)
	r := w.check(t, c.Get(next), strong, ask, issued())
	if got := r.Text(classWanted); got != refedsMFA {
		t.Errorf("class %s", got)
	}
	if again := c.Get("/account"); strings.Contains(again.Body, codes[0]) || !strings.Contains(again.Body, "10 of 10 left") || !strings.Contains(again.Body, "Phone") {
		t.Errorf("the account page:\n%s", again.Body)
	}
	if kinds := w.kindsOf(t, "factor.add"); kinds != 1 {
		t.Errorf("%d audit entries of what was added", kinds)
	}
	w.removeAll(t, "ana")
}

// kindsOf counts audit entries of a kind among the newest.
func (w *world) kindsOf(t *testing.T, kind string) (n int) {
	for _, e := range w.Audit(t) {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// removeAll takes a person's factors away, as an administrator does.
func (w *world) removeAll(t *testing.T, name string) {
	t.Helper()
	if _, err := w.API.ResetMFA(t.Context(), name); err != nil {
		t.Fatal(err)
	}
}

// contextsWithFactor: what a session with a second factor answers to the contexts that apps ask for.
func (w *world) contextsWithFactor(t *testing.T, plain *SP) {
	app, _ := w.withApp(t, "ana")
	w.setOrganisation(t, "saml.authn_contexts", "https://example.org/ac/strong=high")
	for _, c := range []struct {
		name string
		ask  Ask
		asks bool // for the second factor
		want string
	}{
		{"REQ-36 minimum TimeSyncToken with a password session steps up", classes("minimum", classTOTP), true, classTOTP},
		{"REQ-36 minimum PasswordProtectedTransport", classes("minimum", classPPT), false, classPPT},
		{"REQ-38 better than PasswordProtectedTransport steps up", classes("better", classPPT), true, refedsMFA},
		{"REQ-44 REFEDS MFA steps up", classes("exact", refedsMFA), true, refedsMFA},
		{"REQ-44 a class of the organisation's own", classes("exact", "https://example.org/ac/strong"), true, "https://example.org/ac/strong"},
		{"REQ-42 the one-time code says so", classes("exact", classTOTP, refedsMFA, classPPT), false, classPPT},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.ask.ID = newRequestID()
			b := w.signedIn(t, "ana")
			page := w.send(t, b, plain, c.ask, false)
			if c.asks {
				w.clock.advance(time.Minute)
				page = b.enters(page, app.code(t, 0))
			}
			if got := w.check(t, page, plain, c.ask, issued()).Text(classWanted); got != c.want {
				t.Errorf("class %s, want %s", got, c.want)
			}
		})
	}
	w.clock.advance(time.Minute)
	b := w.signedIn(t, "ana")
	mfa := classes("exact", refedsMFA)
	mfa.ID = newRequestID()
	w.check(t, b.enters(w.send(t, b, plain, mfa, false), app.code(t, 0)), plain, mfa, issued())
	for _, c := range []struct {
		name string
		ask  Ask
		want string
	}{
		{"REQ-37 maximum PasswordProtectedTransport with a second factor", classes("maximum", classPPT), classPPT},
		{"REQ-42 a session with a one-time code", classes("exact", classTOTP, refedsMFA, classPPT), classTOTP},
		{"REQ-42 nothing asked", Ask{}, refedsMFA},
		{"REQ-36 minimum PasswordProtectedTransport is more than met", classes("minimum", classPPT), refedsMFA},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.ask.ID = newRequestID()
			if got := w.check(t, w.send(t, b, plain, c.ask, false), plain, c.ask, issued()).Text(classWanted); got != c.want {
				t.Errorf("class %s, want %s", got, c.want)
			}
		})
	}
	t.Run("REQ-45 REQ-23 IsPassive while a second factor is due", func(t *testing.T) {
		passive := classes("exact", refedsMFA)
		passive.ID, passive.Attributes = newRequestID(), `IsPassive="true"`
		w.check(t, w.send(t, w.signedIn(t, "ana"), plain, passive, false), plain, passive, there("no_passive", "Responder", "NoPassive"))
	})
	w.setOrganisation(t, "saml.authn_contexts", "default")
	w.removeAll(t, "ana")
}

// onlyWhatIsMissing: a password session is asked for the code alone; an app that wants everything fresh gets everything fresh.
func (w *world) onlyWhatIsMissing(t *testing.T, strong, plain *SP) {
	app, _ := w.withApp(t, "ana")
	c := w.signedIn(t, "ana")
	before := sessionCookie(t, c)
	ask := Ask{ID: newRequestID()}
	page := w.send(t, c, strong, ask, true)
	w.check(t, c.enters(page, app.code(t, 0)), strong, ask, issued())
	t.Run("SES-01 the session has another secret after the step-up", func(t *testing.T) {
		after := sessionCookie(t, c)
		if after.Value == before.Value || w.in(t, before) || !w.in(t, after) {
			t.Error("the old secret is worth something still, or the new one nothing")
		}
	})
	w.clock.advance(time.Minute)
	forced := Ask{ID: newRequestID(), Attributes: `ForceAuthn="true"`}
	page = w.send(t, c, strong, forced, false)
	page = c.SignIn(page, "ana", Password)
	w.check(t, c.enters(page, app.code(t, 0)), strong, forced, issued())
	w.clock.advance(time.Minute)
	forced.ID = newRequestID()
	page = c.SignIn(w.send(t, c, plain, forced, false), "ana", Password)
	w.check(t, page, plain, forced, issued())
	w.removeAll(t, "ana")
}

// sessionCookie is the session's cookie in a browser.
func sessionCookie(t *testing.T, c *Client) *http.Cookie {
	t.Helper()
	base, err := url.Parse(c.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, cookie := range c.http.Jar.Cookies(base) {
		if strings.HasSuffix(cookie.Name, "gatehouse_session") {
			return cookie
		}
	}
	t.Fatal("no session")
	return nil
}

func (w *world) badCodes(t *testing.T, strong *SP) {
	app, _ := w.withApp(t, "ana")
	bob, _ := w.withApp(t, "bob")
	ask := Ask{ID: newRequestID()}
	c := w.signedIn(t, "ana")
	page := w.send(t, c, strong, ask, false)
	flow := page.Field("flow")
	defer w.clock.stand()()
	for _, bad := range []string{"", "000000", "12345678", strings.Repeat("9", 5000), bob.code(t, 0)} {
		if page = c.enters(page, bad); page.Status != http.StatusForbidden {
			t.Errorf("%.20q gives %d", bad, page.Status)
		}
	}
	if page = c.enters(page, app.code(t, 0)); page.Status != http.StatusTooManyRequests || page.Header.Get("Retry-After") == "" {
		t.Errorf("the sixth at once gives %d", page.Status)
	}
	other := w.signedIn(t, "ana") // from elsewhere it is the same account
	if p := other.enters(other.Get("/login/factor?next=/"), app.code(t, 0)); p.Status != http.StatusTooManyRequests {
		t.Errorf("from another browser: %d", p.Status)
	}
	w.clock.advance(time.Minute)
	right := app.code(t, 0)
	w.check(t, c.enters(page, right), strong, ask, issued())
	second := w.signedIn(t, "ana")
	if p := second.enters(second.Get("/login/factor?next=/account"), right); p.Status != http.StatusForbidden || !strings.Contains(p.Body, "used already") {
		t.Errorf("the same code again gives %d", p.Status)
	}
	stranger := w.browser(t)
	if p := stranger.Post("/login/factor", url.Values{"next": {"/"}, "code": {app.code(t, 1)}}); p.URL.Path != "/login" {
		t.Errorf("a code without a session leads to %s", p.URL)
	}
	if p := stranger.Get("/account"); p.URL.Path != "/login" {
		t.Errorf("and opens %s", p.URL)
	}
	if p := stranger.Post("/login/factor", url.Values{"flow": {flow}, "code": {right}}); p.Status < 300 {
		t.Errorf("another browser's sign-in: %d", p.Status)
	}
	w.removeAll(t, "ana")
	w.removeAll(t, "bob")
}

func (w *world) recovers(t *testing.T, strong *SP) {
	_, codes := w.withApp(t, "ana")
	for i, want := range []int{http.StatusOK, http.StatusForbidden} {
		ask := Ask{ID: newRequestID()}
		c := w.signedIn(t, "ana")
		page := c.enters(w.send(t, c, strong, ask, false), strings.ToUpper(codes[0]))
		if page.Status != want {
			t.Fatalf("use %d of the same code gives %d", i+1, page.Status)
		}
		if want == http.StatusOK {
			if got := w.check(t, page, strong, ask, issued()).Text(classWanted); got != refedsMFA {
				t.Errorf("class %s", got)
			}
			if account := c.Get("/account"); !strings.Contains(account.Body, "9 of 10 left") {
				t.Errorf("the account page:\n%s", account.Body)
			}
			w.renews(t, c)
		}
	}
	w.removeAll(t, "ana")
}

// renews makes new recovery codes; those from before stop working.
func (w *world) renews(t *testing.T, c *Client) {
	t.Helper()
	confirm := c.Get("/account/factors/recovery")
	shown := c.Post(confirm.Action(), nil)
	if len(shownCode.FindAllString(shown.Body, -1)) != 10 || !strings.Contains(shown.Body, `download="recovery-codes.txt"`) {
		t.Errorf("new codes at %s (%d):\n%s", shown.URL, shown.Status, shown.Body)
	}
	if w.kindsOf(t, "factor.recovery") != 1 {
		t.Error("no audit entry")
	}
}

func (w *world) blockedLow(t *testing.T) {
	w.withApp(t, "ana")
	blocking := w.sp(t, "blocking", map[string]string{"policy.min_level": "high", "policy.on_low_level": "block"})
	ask := Ask{ID: newRequestID()}
	w.check(t, w.send(t, w.signedIn(t, "ana"), blocking, ask, false), blocking, ask, there("min_level", "Responder", "NoAuthnContext"))
	w.removeAll(t, "ana")
}

func (w *world) givenByAdmin(t *testing.T, strong *SP) {
	w.setOrganisation(t, "signin.mfa_enrolment", "admin")
	defer w.setOrganisation(t, "signin.mfa_enrolment", "default")
	ask := Ask{ID: newRequestID()}
	c := w.signedIn(t, "bob")
	w.check(t, w.send(t, c, strong, ask, false), strong, ask, there("level_unreachable", "Responder", "NoAuthnContext"))
	if page := c.Get("/login/enrol?next=/account"); page.Status != http.StatusForbidden {
		t.Errorf("setting one up oneself gives %d", page.Status)
	}
	app := w.given(t, "bob", w.clock.now)
	ask.ID = newRequestID()
	c = w.signedIn(t, "bob")
	w.check(t, c.enters(w.send(t, c, strong, ask, false), app.code(t, 0)), strong, ask, issued())
	if page := c.Get("/login/enrol?next=/account"); page.Status != http.StatusOK {
		t.Errorf("a further one gives %d", page.Status)
	}
	user, err := w.API.User(t.Context(), "bob")
	if err != nil || len(user.Factors) != 1 || user.Factors[0].Kind != "totp" || user.Factors[0].LastUsed.IsZero() {
		t.Errorf("%+v: %v", user.Factors, err)
	}
	w.removeAll(t, "bob")
	if page := c.Get("/account"); page.URL.Path != "/login" {
		t.Errorf("the session outlived the reset: %s", page.URL)
	}
}

// grace: where policy and organisation allow it, one factor will do for some days.
func (w *world) grace(t *testing.T) {
	lenient := w.sp(t, "lenient", map[string]string{"policy.min_level": "high", "policy.on_low_level": "grace"})
	strict := w.sp(t, "strict", map[string]string{"policy.min_level": "high"})
	into := func(t *testing.T, c *Client, sp *SP, ask Ask) (*Page, bool) {
		page := w.send(t, c, sp, ask, false)
		return page, strings.Contains(page.Body, "Not now")
	}
	ask := Ask{ID: newRequestID()}
	if _, later := into(t, w.signedIn(t, "bob"), lenient, ask); later {
		t.Error("it may be put off although the organisation gives no time")
	}
	w.setOrganisation(t, "signin.mfa_grace", "3d")
	defer w.setOrganisation(t, "signin.mfa_grace", "default")
	ask.ID = newRequestID()
	c := w.signedIn(t, "bob")
	page, later := into(t, c, lenient, ask)
	if !later {
		t.Fatalf("it may not be put off:\n%s", page.Body)
	}
	flow := page.Field("flow")
	r := w.check(t, c.Post("/login/enrol/later", url.Values{"flow": {flow}}), lenient, ask, issued())
	if got := r.Text(classWanted); got != classPPT {
		t.Errorf("class %s for a password", got)
	}
	ask.ID = newRequestID()
	if page, later := into(t, c, strict, ask); later || page.URL.Path != "/login/enrol" {
		t.Errorf("another app's policy is put off too: %s", page.URL)
	}
	mfa := classes("exact", refedsMFA)
	mfa.ID = newRequestID()
	if page, later := into(t, c, lenient, mfa); later || page.URL.Path != "/login/enrol" {
		t.Errorf("an app that asks for a second factor itself is put off: %s", page.URL)
	}
	w.clock.advance(4 * 24 * time.Hour)
	ask.ID = newRequestID()
	c = w.signedIn(t, "bob")
	if page, later := into(t, c, lenient, ask); later || page.URL.Path != "/login/enrol" {
		t.Errorf("after the grace: %s", page.URL)
	}
	if page := c.Post("/login/enrol/later", url.Values{"flow": {c.Get("/login/enrol").Field("flow")}, "next": {"/"}}); w.kindsOf(t, "factor.later") != 1 {
		t.Errorf("it was put off once more: %s", page.URL)
	}
}

// TestWaysToSignIn is the section of the account page: adding, renaming, removing, each with a fresh sign-in.
func TestWaysToSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app, _ := w.withApp(t, "ana")
	c := w.signedIn(t, "ana")
	account := c.Get("/account")
	remove := linkTo(account.Body, "Remove<span class=\"hidden\"> Phone")
	page := c.Get(remove)
	page = c.enters(page, app.code(t, 0)) // a password alone is not as strong as ana can be
	if page.Status != http.StatusOK || !strings.Contains(page.Body, "Remove Phone?") || !strings.Contains(page.Body, "last second factor") {
		t.Fatalf("rests at %s with %d:\n%s", page.URL, page.Status, page.Body)
	}
	rename := strings.TrimSuffix(remove, "remove") + "rename"
	if p := c.Post(rename, url.Values{"name": {"Old phone"}}); p.URL.Path != "/account" || !strings.Contains(p.Body, "Old phone") {
		t.Errorf("renaming rests at %s", p.URL)
	}
	for _, name := range []string{"", strings.Repeat("x", 61), "a\u202eb"} {
		if p := c.Post(rename, url.Values{"name": {name}}); p.Status != http.StatusUnprocessableEntity {
			t.Errorf("the name %.10q gives %d", name, p.Status)
		}
	}
	for _, bad := range []url.Values{{}, {"token": {"x"}, "response": {"{"}}, {"token": {strings.Repeat("A", 3000)}, "response": {strings.Repeat("x", 40_000)}, "name": {"x"}}} {
		bad.Set("next", "/account")
		if p := c.Post("/login/enrol/passkey", bad); p.Status != http.StatusUnprocessableEntity || !strings.Contains(p.Body, "could not be added") {
			t.Errorf("a passkey that is none: %d", p.Status)
		}
		if p := c.Post("/login/factor/passkey", bad); p.Status != http.StatusForbidden {
			t.Errorf("an answer that is none: %d", p.Status)
		}
		if p := c.Post("/login/passkey", bad); p.Status != http.StatusForbidden {
			t.Errorf("a passkey where there are none: %d", p.Status)
		}
	}
	w.clock.advance(11 * time.Minute)
	if p := c.Post(remove, nil); p.URL.Path != "/login" {
		t.Fatalf("with a sign-in that is 11 minutes old: %s (%d)", p.URL, p.Status)
	}
	bob := w.signedIn(t, "bob")
	if p := bob.Post(remove, nil); p.Status != http.StatusNotFound {
		t.Errorf("somebody else's: %d", p.Status)
	}
	page = c.SignIn(c.Get(remove), "ana", Password)
	page = c.enters(page, app.code(t, 0))
	page = c.Post(page.Action(), nil)
	if page.URL.Path != "/account" || !strings.Contains(page.Body, "No second factor yet") || strings.Contains(page.Body, "of 10 left") {
		t.Errorf("after removing: %s\n%s", page.URL, page.Body)
	}
	if w.kindsOf(t, "factor.remove") != 1 || w.kindsOf(t, "factor.rename") != 1 {
		t.Errorf("audit: %+v", w.Audit(t))
	}
}
