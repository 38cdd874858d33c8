package idptest

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/idp/api"
)

// TestPolicyRules shows that each rule of the policy refuses and allows over SAML, started by the app and from the portal,
// with the typed reason in the audit and a page that says what to do.
func TestPolicyRules(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.setOrganisation(t, "signin.mfa_enrolment", "admin") // nobody here has a second factor
	for _, rule := range policyRules() {
		t.Run(rule.reason, func(t *testing.T) { w.rule(t, rule) })
	}
	t.Run("freshness", func(t *testing.T) { w.freshness(t) })
	t.Run("ATT-17 consent is asked for and kept", func(t *testing.T) { w.consent(t) })
	t.Run("session timeout", func(t *testing.T) { w.sessionTimeouts(t) })
	w.everything(t)
}

// policyRule is a rule with what makes it refuse ana and what makes it let her in: settings of the app, limits of her profile.
type policyRule struct {
	reason               string
	top, nested          string // of the status
	text                 string // on the page, says what to do
	refuses, allows      map[string]string
	refusedBy, allowedBy map[string]string // limits of the profile
}

func policyRules() []policyRule {
	type set = map[string]string
	denied := func(r policyRule) policyRule {
		r.top, r.nested = "Responder", "RequestDenied"
		return r
	}
	only := func(more ...string) set {
		settings := set{"policy.permitted_users": "preauthorized"}
		for i := 0; i+1 < len(more); i += 2 {
			settings[more[i]] = more[i+1]
		}
		return settings
	}
	today := strings.ToLower(time.Now().UTC().Weekday().String()[:3])
	another := strings.ToLower(time.Now().UTC().AddDate(0, 0, 3).Weekday().String()[:3])
	return []policyRule{
		denied(policyRule{reason: "permitted_users", text: "Ask your administrator for access", refuses: only("policy.users", "bob", "policy.profiles", "Contractors"),
			allows: only("policy.users", "bob", "policy.profiles", "Contractors,Employees")}),
		denied(policyRule{reason: "access_window", text: "not open at this time", refuses: set{"policy.not_before": "2999-01-01"},
			allows: set{"policy.not_before": "2001-01-01", "policy.not_after": "2999-01-01"}}),
		denied(policyRule{reason: "app_ip_ranges", text: "Connect to your organisation", refuses: set{"policy.ip_ranges": "192.0.2.0/24,2001:db8::/32"},
			allows: set{"policy.ip_ranges": "192.0.2.0/24,10.0.0.0/8"}}),
		denied(policyRule{reason: "profile_ip_ranges", text: "Connect to your organisation", refusedBy: set{"ip_ranges": "192.0.2.0/24"}, allowedBy: set{"ip_ranges": "10.0.0.0/8"}}),
		denied(policyRule{reason: "profile_ip_ranges", text: "Connect to your organisation", refusedBy: set{"ip_ranges": "192.0.2.0/24"}, allowedBy: set{"ip_ranges": "192.0.2.0/24"},
			refuses: set{"policy.ip_relaxation": "relax_refresh"}, allows: set{"policy.ip_relaxation": "relax"}}),
		denied(policyRule{reason: "profile_ip_ranges", text: "Connect to your organisation", refusedBy: set{"ip_ranges": "192.0.2.0/24"}, allowedBy: set{"ip_ranges": "10.0.0.0/8"},
			refuses: set{"policy.ip_relaxation": "relax_with_mfa"}, allows: set{"policy.ip_relaxation": "relax_with_mfa"}}),
		denied(policyRule{reason: "login_hours", text: "Try again in your working hours", refusedBy: set{"login_hours": another + " 00:00-24:00 UTC"},
			allowedBy: set{"login_hours": another + " 00:00-24:00, " + today + " 00:00-24:00 UTC"}}),
		{reason: "min_level", top: "Responder", nested: "NoAuthnContext", text: "second factor", refuses: set{"policy.min_level": "high", "policy.on_low_level": "block"},
			allows: set{"policy.min_level": "standard", "policy.on_low_level": "block"}},
		{reason: "level_unreachable", top: "Responder", nested: "NoAuthnContext", text: "Ask your administrator to set up a second factor", refuses: set{"policy.min_level": "high"},
			allows: set{"policy.min_level": "low"}},
	}
}

// rule applies the refusing settings to an app that let ana in before, and then those that allow.
func (w *world) rule(t *testing.T, rule policyRule) {
	sp := w.newSP(t, "rule-"+strings.ReplaceAll(rule.reason, "_", "-")+newRequestID()[1:5])
	sp.EntityID, sp.ACS[0] = strings.ToLower(sp.EntityID), strings.ToLower(sp.ACS[0])
	app := w.AddApp(t, sp.Metadata(), nil)
	w.bothWays(t, app, sp, issued(), "")
	w.apply(t, app, rule.refuses, rule.refusedBy)
	w.bothWays(t, app, sp, there(rule.reason, rule.top, rule.nested), rule.text)
	w.apply(t, app, rule.allows, rule.allowedBy)
	w.bothWays(t, app, sp, issued(), "")
	w.apply(t, app, nil, map[string]string{"ip_ranges": "default", "login_hours": "default"})
	w.clock.advance(time.Minute)
}

func (w *world) apply(t *testing.T, app api.App, settings, limits map[string]string) {
	t.Helper()
	if len(settings) > 0 {
		if _, err := w.API.SetApp(t.Context(), app.ID, api.Change{Set: settings}); err != nil {
			t.Fatal(err)
		}
	}
	if len(limits) > 0 {
		if _, err := w.API.SetNamed(t.Context(), "profiles", "Employees", api.Change{Set: limits}); err != nil {
			t.Fatal(err)
		}
	}
}

// bothWays opens the app by its own request and from the portal; a refusal there is a page here with the same reason.
func (w *world) bothWays(t *testing.T, app api.App, sp *SP, want outcome, text string) {
	t.Helper()
	ask := Ask{ID: newRequestID()}
	w.check(t, w.send(t, w.ana(t), sp, ask, false), sp, ask, want)
	page := w.ana(t).Get("/launch/" + app.ID)
	portal := w.ana(t).Get("/")
	tile := strings.Contains(portal.Body, `href="/launch/`+app.ID+`"`)
	if want.kind == "issued" {
		w.check(t, page, sp, Ask{}, want)
		if !tile && portal.Status == 200 { // the portal is an app too: what lifts a rule for this one need not lift it there
			t.Error("no tile for an app that opens")
		}
		return
	}
	entry := w.checkHere(t, page, want.reason)
	if !strings.Contains(page.Body, text) {
		t.Errorf("the page does not say %q:\n%s", text, page.Body)
	}
	if tile {
		t.Error("a tile for an app that refuses")
	}
	if entry.Detail == "" && want.reason != "level_unreachable" || !strings.Contains(entry.Facts["rules"], " ") {
		t.Errorf("the audit says too little: %q, %v", entry.Detail, entry.Facts)
	}
}

// freshness: a sign-in that is too old is asked for again, and nobody gets around it.
func (w *world) freshness(t *testing.T) {
	sp := w.newSP(t, "fresh")
	app := w.AddApp(t, sp.Metadata(), map[string]string{"policy.max_auth_age": "30m"})
	c := w.signedIn(t, "ana")
	ask := Ask{ID: newRequestID()}
	w.check(t, w.send(t, c, sp, ask, false), sp, ask, issued())
	w.clock.advance(31 * time.Minute)
	ask.ID = newRequestID()
	form := w.send(t, c, sp, ask, false)
	w.check(t, form, sp, ask, signIn())
	w.check(t, c.Get("/launch/"+app.ID), sp, Ask{}, signIn())
	w.check(t, c.Get("/flow/"+form.Field("flow")), sp, ask, signIn())
	w.check(t, c.SignIn(form, "ana", Password), sp, ask, issued())
	w.check(t, c.Get("/launch/"+app.ID), sp, Ask{}, issued())
	w.clock.advance(31 * time.Minute)
	t.Run("REQ-23 IsPassive while a fresh sign-in is due", func(t *testing.T) { w.passively(t, c, sp) })
	w.person = w.signedIn(t, "ana")
}

// consent is asked for the first time, from both sides, and again when the app is to be told more.
func (w *world) consent(t *testing.T) {
	sp := w.newSP(t, "consent")
	release := func(names ...string) string {
		var list []string
		for _, name := range names {
			list = append(list, `{"name":"urn:example:`+name+`","source":"`+name+`"}`)
		}
		return "[" + strings.Join(list, ",") + "]"
	}
	app := w.AddApp(t, sp.Metadata(), map[string]string{"policy.consent": "always", "saml.send_consent": "on", "saml.attributes": release("email", "surname"), "policy.attributes": "email,username"})
	c := w.signedIn(t, "ana")
	t.Run("REQ-23 IsPassive while consent is due", func(t *testing.T) { w.passively(t, c, sp) })

	ask := Ask{ID: newRequestID()}
	page := w.send(t, c, sp, ask, false)
	w.asks(t, page, "Your e-mail address", "An identifier for your account")
	if strings.Contains(page.Body, "surname") {
		t.Error("asks for what the policy's upper bound keeps back")
	}
	w.check(t, c.Post("/consent", url.Values{"flow": {page.Field("flow")}, "cancel": {"yes"}}), sp, ask, there("cancelled", "Responder", "AuthnFailed"))

	page = c.Get("/launch/" + app.ID)
	w.asks(t, page, "Your e-mail address")
	for field, value := range map[string]string{"ask": "Your user name", "session": "ses_somebodyelse"} {
		form := agreed(page)
		form.Set(field, value)
		w.asks(t, c.Post("/consent", form), "Your e-mail address") // nobody was shown this
	}
	told := func(name, page string, r *Response) {
		t.Run("RSP-35 "+name, func(t *testing.T) {
			if got := r.Root.SelectAttrValue("Consent", ""); got != "urn:oasis:names:tc:SAML:2.0:consent:"+page {
				t.Errorf("Consent %q", got)
			}
			w.xmlsec(t, r.XML, "Response", "Assertion")
		})
	}
	told("agreed now", "current-explicit", w.check(t, c.Post("/consent", agreed(page)), sp, Ask{}, issued()))
	entries := w.Audit(t)
	if i := slices.IndexFunc(entries, func(e api.AuditEntry) bool { return e.Kind == "consent.give" }); i < 0 || !strings.Contains(entries[i].Facts["names"], "e-mail") {
		t.Error("no consent in the audit")
	}
	w.clock.advance(time.Minute)
	ask = Ask{ID: newRequestID()}
	told("agreed before", "prior", w.check(t, w.send(t, c, sp, ask, false), sp, ask, issued()))

	w.set(t, sp, "saml.attributes", release("email", "username"))
	ask = Ask{ID: newRequestID()}
	page = w.send(t, c, sp, ask, false)
	w.asks(t, page, "Your user name", "You agreed before")
	w.check(t, c.Post("/consent", agreed(page)), sp, ask, issued())
	w.set(t, sp, "saml.attributes", release("email"))
	ask = Ask{ID: newRequestID()}
	w.check(t, w.send(t, c, sp, ask, false), sp, ask, issued())
	w.set(t, sp, "policy.consent", "never")
	told("nobody asked", "unspecified", w.issue(t, c, sp, Ask{}))
}

// passively: what would need a page is refused where the app forbids pages, with or without the POST bounce.
func (w *world) passively(t *testing.T, c *Client, sp *SP) {
	for _, post := range []bool{false, true} {
		ask := Ask{ID: newRequestID(), Attributes: `IsPassive="true"`}
		w.check(t, w.send(t, c, sp, ask, post), sp, ask, there("no_passive", "Responder", "NoPassive"))
	}
}

func (w *world) asks(t *testing.T, page *Page, texts ...string) {
	t.Helper()
	if page.URL.Path != "/consent" || page.Status != 200 {
		t.Fatalf("rests at %s with %d, want the consent page:\n%s", page.URL, page.Status, page.Body)
	}
	for _, text := range texts {
		if !strings.Contains(page.Body, text) {
			t.Errorf("the page does not say %q:\n%s", text, page.Body)
		}
	}
}

// asked is what a consent page posts as agreed.
// agreed is what the form of a consent page sends.
func agreed(page *Page) url.Values {
	form := url.Values{"flow": {page.Field("flow")}, "session": {page.Field("session")}}
	for _, tag := range inputTag.FindAllString(page.Body, -1) {
		if strings.Contains(tag, ` name="ask"`) {
			form.Add("ask", attribute(tag, "value"))
		}
	}
	return form
}

// sessionTimeouts: the app's own, else the profile's; never longer than the session here, which the profile limits too.
func (w *world) sessionTimeouts(t *testing.T) {
	sp := w.newSP(t, "timeout")
	app := w.AddApp(t, sp.Metadata(), nil)
	told := func(c *Client) time.Duration {
		r := w.check(t, c.Get("/launch/"+app.ID), sp, Ask{}, issued())
		text := r.Attr("./Assertion/AuthnStatement", "SessionNotOnOrAfter")
		if text == "" {
			return 0
		}
		ends, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return ends.Sub(w.clock.now()).Round(time.Minute)
	}
	c := w.signedIn(t, "ana")
	if got := told(c); got != 0 {
		t.Errorf("nothing set: %v", got)
	}
	w.apply(t, app, nil, map[string]string{"session_timeout": "3h"})
	if got := told(c); got != 3*time.Hour {
		t.Errorf("the profile's: %v", got)
	}
	w.apply(t, app, map[string]string{"policy.session_timeout": "2h"}, nil)
	if got := told(c); got != 2*time.Hour {
		t.Errorf("the app's: %v", got)
	}
	w.apply(t, app, nil, map[string]string{"session.max": "1h", "session.idle": "20m"})
	c = w.signedIn(t, "ana")
	if got := told(c); got != time.Hour {
		t.Errorf("beyond the session here: %v", got)
	}
	w.clock.advance(21 * time.Minute)
	if page := c.Get("/launch/" + app.ID); page.URL.Path != "/login" {
		t.Errorf("a session that was not used for 21 minutes goes on: %s", page.URL)
	}
	w.apply(t, app, nil, map[string]string{"session_timeout": "default", "session.max": "default", "session.idle": "default"})
}
