package idptest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"gatehouse/idp/api"
)

// TestSAMLFlow holds the rows that take more than one exchange: what happens between a request and its answer.
func TestSAMLFlow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plain := w.sp(t, "plain", nil)
	t.Run("REQ-02 a blocked app", func(t *testing.T) { w.blockedApp(t) })
	t.Run("REQ-18 ForceAuthn cannot be walked around", func(t *testing.T) { w.forceAuthn(t, plain) })
	t.Run("REQ-63 access policy", func(t *testing.T) { w.accessPolicy(t) })
	t.Run("changes while a person signs in", func(t *testing.T) { w.changes(t) })
	t.Run("REQ-67 a sign-in that took too long", func(t *testing.T) { w.tooLate(t, plain) })
	t.Run("REQ-68 another browser", func(t *testing.T) { w.otherBrowser(t, plain) })
	t.Run("RSP-38 going back after the answer", func(t *testing.T) { w.goingBack(t, plain) })
	t.Run("sessions", func(t *testing.T) { w.sessionRows(t, plain) })
	t.Run("SEC-01 answers go over https", func(t *testing.T) { w.plainHTTP(t) })
	t.Run("SEC-03 the audit names no names", func(t *testing.T) { w.auditWithoutNames(t, plain) })
	t.Run("SEC-05 bounds for strangers", func(t *testing.T) { w.bounds(t, plain) })
	w.everything(t)
}

func (w *world) move(t *testing.T, sp *SP, action string) {
	t.Helper()
	if _, err := w.API.MoveApp(t.Context(), sp.EntityID, action); err != nil {
		t.Fatal(err)
	}
}

// blockedApp: the app is told, nobody is asked to sign in, and only a request that verifies is answered at all.
func (w *world) blockedApp(t *testing.T) {
	sp, signed := w.sp(t, "blocked", nil), w.signing(t, "blocked-signed")
	w.move(t, sp, "block")
	w.move(t, signed, "block")
	denied := there("app_blocked", "Responder", "RequestDenied")
	unsigned := *signed
	unsigned.Signed = false
	force := Ask{Attributes: `ForceAuthn="true"`}
	w.rows(t, []row{
		{name: "signed in", sp: sp, want: denied},
		{name: "nobody signed in", sp: sp, stranger: true, want: denied},
		{name: "nobody signed in, by POST", sp: sp, stranger: true, post: true, want: denied},
		{name: "ForceAuthn", sp: sp, ask: force, want: denied},
		{name: "a signed request", sp: signed, stranger: true, want: denied},
		{name: "an unsigned request that must be signed", sp: &unsigned, stranger: true, want: here("unsigned_request")},
		{name: "an address that is not its own", sp: sp, ask: Ask{Attributes: `AssertionConsumerServiceURL="https://evil.example"`}, want: here("unregistered_acs")},
	})
	w.move(t, sp, "unblock")
	w.rows(t, []row{{name: "unblocked again", sp: sp, want: issued()}})
	if _, err := w.API.RemoveApp(t.Context(), sp.EntityID); err != nil {
		t.Fatal(err)
	}
	w.rows(t, []row{{name: "removed", sp: sp, want: here("unknown_issuer")}})
}

// forceAuthn: the old session is worth nothing to the waiting request, however often it is resumed.
func (w *world) forceAuthn(t *testing.T, sp *SP) {
	c := w.signedIn(t, "ana")
	ask := Ask{ID: newRequestID(), Attributes: `ForceAuthn="true"`}
	form := w.send(t, c, sp, ask, false)
	w.check(t, form, sp, ask, signIn())
	for range 2 {
		w.check(t, c.Get("/flow/"+form.Field("flow")), sp, ask, signIn())
	}
	wrong := c.SignIn(form, "ana", "not the password")
	if _, posts := wrong.LookupField("SAMLResponse"); posts || wrong.Status != http.StatusForbidden {
		t.Errorf("a wrong password gives %d", wrong.Status)
	}
	w.check(t, c.Get("/flow/"+form.Field("flow")), sp, ask, signIn())
	w.check(t, c.SignIn(form, "ana", Password), sp, ask, issued())
}

// accessPolicy: each rule tells the app, or keeps the page where the app's setting says so; never silently, never otherwise.
func (w *world) accessPolicy(t *testing.T) {
	w.setOrganisation(t, "signin.mfa_enrolment", "admin") // nobody here has a second factor
	denied := func(rule string) outcome { return there(rule, "Responder", "RequestDenied") }
	set := func(name string, pairs ...string) *SP {
		settings := map[string]string{}
		for i := 0; i+1 < len(pairs); i += 2 {
			settings[pairs[i]] = pairs[i+1]
		}
		return w.sp(t, name, settings)
	}
	passive := Ask{Attributes: `IsPassive="true"`}
	nobody := set("nobody", "policy.permitted_users", "preauthorized")
	page := set("page", "policy.permitted_users", "preauthorized", "saml.denied_answer", "page")
	w.rows(t, []row{
		{name: "permitted by profile", sp: set("profile", "policy.permitted_users", "preauthorized", "policy.profiles", "Employees"), want: issued()},
		{name: "another profile", sp: set("others", "policy.permitted_users", "preauthorized", "policy.profiles", "Contractors"), want: denied("permitted_users")},
		{name: "an empty list lets nobody in", sp: nobody, want: denied("permitted_users")},
		{name: "REQ-25 IsPassive", sp: nobody, ask: passive, want: denied("permitted_users")},
		{name: "an address outside", sp: set("ranges", "policy.ip_ranges", "192.0.2.0/24"), want: denied("app_ip_ranges")},
		{name: "an address inside", sp: set("inside", "policy.ip_ranges", "10.0.0.0/8"), want: issued()},
		{name: "before the access window", sp: set("early", "policy.not_before", "2999-01-01"), want: denied("access_window")},
		{name: "after the access window", sp: set("late", "policy.not_after", "2001-01-01"), want: denied("access_window")},
		{name: "a level out of reach", sp: set("strong", "policy.min_level", "high"), want: there("level_unreachable", "Responder", "NoAuthnContext")},
		{name: "too low a level, blocked", sp: set("block", "policy.min_level", "high", "policy.on_low_level", "block"), want: there("min_level", "Responder", "NoAuthnContext")},
		{name: "the page stays here by setting", sp: page, want: here("permitted_users")},
		{name: "IsPassive never shows a page", sp: page, ask: passive, want: denied("permitted_users")},
	})
}

// changes: whatever an administrator changes holds for sign-ins that have begun.
func (w *world) changes(t *testing.T) {
	denied := there("permitted_users", "Responder", "RequestDenied")
	ctx := t.Context()
	for _, c := range []struct {
		name   string
		change func(t *testing.T, sp *SP)
		want   outcome
	}{
		{"the policy", func(t *testing.T, sp *SP) { w.set(t, sp, "policy.permitted_users", "preauthorized") }, denied},
		{"the app is blocked", func(t *testing.T, sp *SP) { w.move(t, sp, "block") }, there("app_blocked", "Responder", "RequestDenied")},
		{"the app is removed", func(t *testing.T, sp *SP) {
			if _, err := w.API.RemoveApp(ctx, sp.EntityID); err != nil {
				t.Fatal(err)
			}
		}, here("unknown_app")},
		{"the app's address", func(t *testing.T, sp *SP) {
			moved := *sp
			moved.ACS = []string{"https://moved.example.org/acs"}
			if _, err := w.API.AddApp(ctx, api.NewApp{Metadata: string(moved.Metadata()), Replace: true}); err != nil {
				t.Fatal(err)
			}
		}, here("unregistered_acs")},
		{"the app must get encrypted answers now", func(t *testing.T, sp *SP) { w.set(t, sp, "saml.encrypt", "always") }, there("cannot_encrypt", "Responder", "")},
	} {
		t.Run(c.name, func(t *testing.T) {
			sp := w.sp(t, "change-"+strings.ToLower(newRequestID()[1:8]), nil)
			browser, ask := w.browser(t), Ask{ID: newRequestID()}
			form := w.send(t, browser, sp, ask, false)
			w.check(t, form, sp, ask, signIn())
			c.change(t, sp)
			w.check(t, browser.SignIn(form, "ana", Password), sp, ask, c.want)
		})
	}
	t.Run("REQ-64 the person is disabled after the password", func(t *testing.T) { w.disabledMeanwhile(t) })
}

// disabledMeanwhile stops between password and answer: the session ended with the account, so nothing is issued.
func (w *world) disabledMeanwhile(t *testing.T) {
	w.AddPerson(t, "dee", "Employees")
	sp := w.sp(t, "disabling", nil)
	c, ask := w.browser(t), Ask{ID: newRequestID()}
	form := w.send(t, c, sp, ask, false)
	w.check(t, form, sp, ask, signIn())
	follow := c.http.CheckRedirect
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resume := c.SignIn(form, "dee", Password).Header.Get("Location")
	c.http.CheckRedirect = follow
	if !strings.HasPrefix(resume, "/flow/") {
		t.Fatalf("the password leads to %q", resume)
	}
	if _, err := w.API.EnableUser(t.Context(), "dee", false); err != nil {
		t.Fatal(err)
	}
	again := c.Get(resume)
	w.check(t, again, sp, ask, signIn())
	if refused := c.SignIn(again, "dee", Password); refused.Status != http.StatusForbidden || strings.Contains(refused.Body, "SAMLResponse") {
		t.Errorf("a disabled person gets %d:\n%s", refused.Status, refused.Body)
	}
}

func (w *world) tooLate(t *testing.T, sp *SP) {
	c, ask := w.browser(t), Ask{ID: newRequestID()}
	form := w.send(t, c, sp, ask, false)
	w.check(t, form, sp, ask, signIn())
	w.clock.advance(11 * time.Minute)
	w.checkHere(t, c.SignIn(form, "ana", Password), "expired_flow")
	w.checkHere(t, c.Get("/flow/"+form.Field("flow")), "expired_flow")
	w.checkHere(t, c.Get("/login?flow="+form.Field("flow")), "expired_flow")
	w.checkHere(t, c.Get("/flow/NOSUCHFLOW"), "expired_flow")
}

// otherBrowser: a waiting request belongs to the browser that began it; one that came by POST, to the first that shows it.
func (w *world) otherBrowser(t *testing.T, sp *SP) {
	mine, theirs := w.browser(t), w.signedIn(t, "bob")
	ask := Ask{ID: newRequestID()}
	form := w.send(t, mine, sp, ask, false)
	w.check(t, form, sp, ask, signIn())
	for _, path := range []string{"/flow/", "/login?flow="} {
		w.checkHere(t, theirs.Get(path+form.Field("flow")), "other_browser")
		w.checkHere(t, w.browser(t).Get(path+form.Field("flow")), "other_browser")
	}
	w.checkHere(t, theirs.Post("/login", url.Values{"flow": {form.Field("flow")}, "cancel": {"1"}}), "other_browser")
	w.check(t, mine.SignIn(form, "ana", Password), sp, ask, issued())
	t.Run("an unbound request is claimed once", func(t *testing.T) {
		first, second := w.browser(t), w.signedIn(t, "bob")
		first.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		ask := Ask{ID: newRequestID(), Instant: w.clock.instant()}
		r := first.request(http.MethodPost, w.sso, sp.PostForm(w.sso, ask))
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		bounce := first.Do(r)
		target := bounce.Header.Get("Location")
		if bounce.Status != http.StatusSeeOther || !strings.HasPrefix(target, "/flow/") || bounce.Header.Get("Set-Cookie") != "" {
			t.Fatalf("a cross-site POST gives %d to %q with cookie %q", bounce.Status, target, bounce.Header.Get("Set-Cookie"))
		}
		first.http.CheckRedirect = nil
		form := first.Get(target)
		w.check(t, form, sp, ask, signIn())
		w.checkHere(t, second.Get(target), "other_browser")
		w.check(t, first.SignIn(form, "ana", Password), sp, ask, issued())
	})
}

// goingBack: what was answered is over; no page of the past gives another assertion.
func (w *world) goingBack(t *testing.T, sp *SP) {
	c, ask := w.browser(t), Ask{ID: newRequestID()}
	form := w.send(t, c, sp, ask, true)
	w.check(t, c.SignIn(form, "ana", Password), sp, ask, issued())
	w.checkHere(t, c.Get("/flow/"+form.Field("flow")), "expired_flow")
	w.checkHere(t, c.SignIn(form, "ana", Password), "expired_flow")
	w.checkHere(t, c.Post("/login", url.Values{"flow": {form.Field("flow")}, "cancel": {"1"}}), "expired_flow")
}

func (w *world) plainHTTP(t *testing.T) {
	sp := w.newSP(t, "http")
	sp.ACS = []string{"http://http.example.org/acs"}
	if added, err := w.API.AddApp(t.Context(), api.NewApp{Metadata: string(sp.Metadata())}); err == nil {
		t.Errorf("an answer over plain http is allowed: %+v", added.App)
	}
	w.checkHere(t, w.send(t, w.ana(t), sp, Ask{}, false), "unknown_issuer")
	local := w.newSP(t, "loopback")
	local.ACS = []string{"http://127.0.0.1:1/acs"}
	w.AddApp(t, local.Metadata(), nil)
	w.issue(t, w.ana(t), local, Ask{})
}

// auditWithoutNames: entries name messages and people's records, never the names that apps know people by.
func (w *world) auditWithoutNames(t *testing.T, sp *SP) {
	mail := w.sp(t, "by-mail", map[string]string{"saml.nameid_format": "emailAddress"})
	persistent := w.issue(t, w.ana(t), sp, Ask{})
	w.issue(t, w.ana(t), mail, Ask{})
	entries := w.Audit(t)
	said, err := json.Marshal(entries)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{persistent.Text(pathNameID), "ana@example.org", Password, w.ana(t).SessionCookie().Value} {
		if strings.Contains(string(said), name) {
			t.Errorf("the audit holds %q", name)
		}
	}
	e := entries[1]
	for fact, want := range map[string]string{"response": persistent.Root.SelectAttrValue("ID", ""), "assertion": persistent.Attr("./Assertion", "ID"), "request": persistent.Root.SelectAttrValue("InResponseTo", "")} {
		if e.Outcome != "ok" || e.Facts[fact] != want {
			t.Errorf("the entry says %s %s %q, want %q", e.Outcome, fact, e.Facts[fact], want)
		}
	}
}

// bounds: one network cannot fill the disk with waiting requests or refusals, and others do not notice.
func (w *world) bounds(t *testing.T, sp *SP) {
	flood := w.browser(t)
	flood.http.Transport = oneHop("203.0.113.9")
	flood.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.Run("waiting requests", func(t *testing.T) {
		last := (*Page)(nil)
		for range 201 {
			last = w.send(t, flood, sp, Ask{}, false)
		}
		w.checkHere(t, last, "too_many_waiting")
		if last.Status != http.StatusTooManyRequests || last.Header.Get("Retry-After") == "" {
			t.Errorf("the 201st gets %d", last.Status)
		}
		other := w.browser(t)
		ask := Ask{ID: newRequestID()}
		w.check(t, w.send(t, other, sp, ask, false), sp, ask, signIn())
	})
	t.Run("refusals", func(t *testing.T) {
		w.clock.advance(time.Minute)
		stranger := w.newSP(t, "stranger")
		since := w.clock.now().Add(-time.Second)
		defer w.clock.stand()()
		for range 80 {
			if page := w.send(t, flood, stranger, Ask{}, false); page.Status != http.StatusBadRequest || page.Header.Get("Location") != "" {
				t.Fatalf("a refusal with %d", page.Status)
			}
		}
		list, err := w.API.Audit(t.Context(), api.AuditQuery{Since: since, Outcome: "refused", Limit: 200})
		if err != nil || len(list.Items) > 70 || len(list.Items) < 50 {
			t.Errorf("%d entries of 80 refusals, %v", len(list.Items), err)
		}
	})
}
