package idptest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"

	"gatehouse/idp/api"
)

// Paths of an answer.
const (
	pathNameID    = "./Assertion/Subject/NameID"
	pathConfirm   = "./Assertion/Subject/SubjectConfirmation"
	pathData      = pathConfirm + "/SubjectConfirmationData"
	pathCondition = "./Assertion/Conditions"
	pathAuthn     = "./Assertion/AuthnStatement"
	pathClass     = pathAuthn + "/AuthnContext/AuthnContextClassRef"
)

// TestSAMLResponse is section 3 of the requirements: the answer and its assertion.
func TestSAMLResponse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plain := w.sp(t, "plain", nil)
	t.Run("RSP-01 RSP-39 the page that posts the answer", func(t *testing.T) { w.postingPage(t, plain) })
	t.Run("the assertion", func(t *testing.T) { w.assertion(t, plain) })
	t.Run("signatures", func(t *testing.T) { w.signedParts(t) })
	t.Run("times and sessions", func(t *testing.T) { w.sessions(t, plain) })
	t.Run("settings", func(t *testing.T) { w.responseSettings(t) })
	t.Run("BND-28 BND-29 RSP-03 RSP-04 RSP-11 RSP-14 every refusal reaches the app", func(t *testing.T) { w.refusals(t, plain) })
	t.Run("RSP-13 a status message is for people", func(t *testing.T) {
		ask := Ask{ID: newRequestID(), Destination: "https://elsewhere.example"}
		message := w.check(t, w.send(t, w.ana(t), plain, ask, false), plain, ask, there("wrong_destination", "Requester", "")).Text("./Status/StatusMessage")
		if message == "" || strings.Contains(message, ".go:") || strings.Contains(message, "goroutine") {
			t.Errorf("the message is %q", message)
		}
	})
	t.Run("RSP-38 the same request is not answered twice", func(t *testing.T) {
		ask := Ask{ID: newRequestID(), Instant: w.clock.instant()}
		target := plain.RedirectURL(w.sso, ask)
		w.check(t, w.ana(t).Get(target), plain, ask, issued())
		w.checkHere(t, w.ana(t).Get(target), "replayed_request")
	})
	t.Run("RSP-40 200 groups", func(t *testing.T) { w.manyGroups(t, plain) })
	t.Run("RSP-06 the Issuer follows the entity id", func(t *testing.T) { w.otherEntityID(t, plain) })
	w.everything(t)
}

// issue draws an answer from the server.
func (w *world) issue(t *testing.T, c *Client, sp *SP, ask Ask) *Response {
	t.Helper()
	ask.ID = newRequestID()
	return w.check(t, w.send(t, c, sp, ask, false), sp, ask, issued())
}

// refusals: once the app's address is verified, whatever is wrong is told there, with 200, signed and without an assertion.
func (w *world) refusals(t *testing.T, sp *SP) {
	for _, c := range []struct {
		ask  Ask
		want outcome
	}{
		{Ask{Destination: "https://elsewhere.example"}, there("wrong_destination", "Requester", "")},
		{Ask{Attributes: `IsPassive="1" ForceAuthn="1"`}, there("no_passive", "Responder", "NoPassive")},
		{policy(`Format="urn:x"`), there("invalid_nameid_policy", "Requester", "InvalidNameIDPolicy")},
		{classes("exact", classX509), there("no_authn_context", "Requester", "NoAuthnContext")},
	} {
		for _, post := range []bool{false, true} {
			c.ask.ID, c.ask.RelayState = newRequestID(), new("state")
			r := w.check(t, w.send(t, w.ana(t), sp, c.ask, post), sp, c.ask, c.want)
			w.xmlsec(t, r.XML, "Response")
		}
	}
}

var scriptTag = regexp.MustCompile(`<script nonce="([^"]+)">document\.forms\[0\]\.submit\(\)</script>`)

// postingPage: it submits itself under a strict policy, and has a button where scripts are off.
func (w *world) postingPage(t *testing.T, sp *SP) {
	ask := Ask{ID: newRequestID()}
	page := w.send(t, w.ana(t), sp, ask, false)
	w.check(t, page, sp, ask, issued())
	if !strings.Contains(page.Body, `<form method="post" action="`+sp.ACS[0]+`">`) || !strings.Contains(page.Body, "<button") {
		t.Errorf("no form with a button:\n%s", page.Body)
	}
	csp := page.Header.Get("Content-Security-Policy")
	script := scriptTag.FindStringSubmatch(page.Body)
	if script == nil || !strings.Contains(csp, "script-src 'nonce-"+script[1]+"'") {
		t.Errorf("the script may not run under %q:\n%s", csp, page.Body)
	}
	for _, part := range []string{"default-src 'none'", "form-action https:", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(csp, part) {
			t.Errorf("no %s in %q", part, csp)
		}
	}
	for name, want := range map[string]string{"X-Frame-Options": "DENY", "Referrer-Policy": "strict-origin", "X-Content-Type-Options": "nosniff"} {
		if got := page.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// assertion checks one ordinary assertion against the Web SSO profile.
func (w *world) assertion(t *testing.T, sp *SP) {
	r := w.issue(t, w.ana(t), sp, Ask{})
	other := w.issue(t, w.ana(t), w.sp(t, "other", nil), Ask{})
	t.Run("RSP-05 RSP-16 issuers", func(t *testing.T) {
		want := w.URL + "/saml/metadata"
		if r.Text("./Issuer") != want || r.Text("./Assertion/Issuer") != want || r.Attr("./Issuer", "Format") != "" && r.Attr("./Issuer", "Format") != "urn:oasis:names:tc:SAML:2.0:nameid-format:entity" {
			t.Errorf("issuers %q and %q", r.Text("./Issuer"), r.Text("./Assertion/Issuer"))
		}
	})
	t.Run("RSP-10 one assertion with one statement of each kind", func(t *testing.T) {
		for path, want := range map[string]int{"./Assertion": 1, "./EncryptedAssertion": 0, pathAuthn: 1, "./Assertion/AttributeStatement": 1, pathConfirm: 1} {
			if got := len(r.Root.FindElements(path)); got != want {
				t.Errorf("%d of %s, want %d", got, path, want)
			}
		}
	})
	t.Run("RSP-17 RSP-18 RSP-27 the bearer confirmation", func(t *testing.T) {
		if r.Attr(pathConfirm, "Method") != "urn:oasis:names:tc:SAML:2.0:cm:bearer" {
			t.Errorf("Method %q", r.Attr(pathConfirm, "Method"))
		}
		data := r.Root.FindElement(pathData)
		if data.SelectAttrValue("NotOnOrAfter", "") == "" || data.SelectAttr("NotBefore") != nil || data.SelectAttr("Address") != nil {
			t.Errorf("confirmation data %v", data.Attr)
		}
		if locality := r.Root.FindElement(pathAuthn + "/SubjectLocality"); locality != nil && strings.Contains(locality.SelectAttrValue("Address", ""), ":") {
			t.Errorf("locality %v", locality.Attr)
		}
	})
	t.Run("RSP-19 a short life", func(t *testing.T) {
		from, until := timeAt(t, r, pathCondition, "NotBefore"), timeAt(t, r, pathCondition, "NotOnOrAfter")
		bearer := timeAt(t, r, pathData, "NotOnOrAfter")
		now := w.clock.now()
		if !from.Before(now) || now.Sub(from) > 6*time.Minute || until.Sub(now) > 5*time.Minute || until.Sub(now) < 4*time.Minute || bearer.After(until) {
			t.Errorf("good from %v until %v, confirmed until %v, now %v", from, until, bearer, now)
		}
	})
	t.Run("RSP-20 one audience", func(t *testing.T) {
		if audiences := r.Root.FindElements(pathCondition + "/AudienceRestriction/Audience"); len(audiences) != 1 {
			t.Errorf("%d audiences", len(audiences))
		}
	})
	t.Run("RSP-22 the SessionIndex says nothing", func(t *testing.T) {
		a, b := r.Attr(pathAuthn, "SessionIndex"), other.Attr(pathAuthn, "SessionIndex")
		list, err := w.API.Sessions(t.Context(), "ana", "")
		if err != nil || len(list.Items) == 0 {
			t.Fatal(list, err)
		}
		if a == "" || a == b || strings.Contains(a+b, list.Items[0].Handle) || w.ana(t).SessionCookie().Value == a {
			t.Errorf("session indexes %q and %q of %s", a, b, list.Items[0].Handle)
		}
		if again := w.issue(t, w.ana(t), sp, Ask{}); again.Attr(pathAuthn, "SessionIndex") != a {
			t.Errorf("another SessionIndex within the session: %q", again.Attr(pathAuthn, "SessionIndex"))
		}
	})
	t.Run("RSP-23 no SessionNotOnOrAfter unless set", func(t *testing.T) {
		if got := r.Attr(pathAuthn, "SessionNotOnOrAfter"); got != "" {
			t.Errorf("SessionNotOnOrAfter %q", got)
		}
	})
	assertionContext(t, r)
	t.Run("RSP-36 the assertion verifies alone", func(t *testing.T) {
		doc := etree.NewDocument()
		doc.SetRoot(r.Root.FindElement("./Assertion").Copy())
		alone, err := doc.WriteToBytes()
		if err != nil {
			t.Fatal(err)
		}
		w.xmlsec(t, alone, "Assertion")
	})
}

// assertionContext: what is said of the sign-in, and that values are plain.
func assertionContext(t *testing.T, r *Response) {
	t.Run("RSP-26 one class, and no authority but ourselves", func(t *testing.T) {
		classes, context := r.Root.FindElements(pathClass), r.Root.FindElement(pathAuthn+"/AuthnContext")
		if len(classes) != 1 || classes[0].Text() != classPPT || len(context.ChildElements()) != 1 {
			t.Errorf("the context is %v", context.ChildElements())
		}
	})
	t.Run("RSP-37 no xsi:type, so that no prefix in a value must be declared", func(t *testing.T) {
		for _, e := range r.Root.FindElements(".//*") {
			if e.Tag == "InclusiveNamespaces" || e.SelectAttr("xsi:type") != nil || e.Tag == "AttributeValue" && len(e.Attr) > 0 {
				t.Errorf("%s with %v", e.Tag, e.Attr)
			}
		}
		if r.Root.FindElement(".//AttributeValue") == nil {
			t.Error("no value to look at")
		}
	})
}

func timeAt(t *testing.T, r *Response, path, name string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, r.Attr(path, name))
	if err != nil {
		t.Fatalf("%s of %s: %v", name, path, err)
	}
	return at
}

// signedParts: what is signed is the app's choice, and something always is.
func (w *world) signedParts(t *testing.T) {
	for _, c := range []struct {
		name, sign, attributes string
		want                   []string
	}{
		{"RSP-30 RSP-31 both", "both", "", []string{"Response", "Assertion"}},
		{"RSP-30 RSP-31 the response", "response", "", []string{"Response"}},
		{"RSP-30 RSP-31 the assertion", "assertion", "", []string{"Assertion"}},
		{"RSP-33 MDC-16 WantAssertionsSigned is obeyed", "response", `WantAssertionsSigned="true"`, []string{"Response", "Assertion"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			sp := w.newSP(t, "sign-"+lastPart(strings.ReplaceAll(c.name, " ", ":")))
			w.AddApp(t, metadataWith(sp, c.attributes, acsAt(bindingPost, sp.ACS[0], 0, "")), map[string]string{"saml.sign": c.sign})
			w.xmlsec(t, w.issue(t, w.ana(t), sp, Ask{}).XML, c.want...)
			ask := Ask{ID: newRequestID(), Destination: "https://elsewhere.example"}
			refused := w.check(t, w.send(t, w.ana(t), sp, ask, true), sp, ask, there("wrong_destination", "Requester", ""))
			w.xmlsec(t, refused.XML, "Response")
		})
	}
	t.Run("RSP-30 nothing signed is not a choice", func(t *testing.T) {
		sp := w.sp(t, "unsigned", nil)
		if _, err := w.API.SetApp(t.Context(), sp.EntityID, api.Change{Set: map[string]string{"saml.sign": "none"}}); err == nil {
			t.Error("saml.sign=none was taken")
		}
	})
}

// sessions: AuthnInstant is when the person really signed in.
func (w *world) sessions(t *testing.T, sp *SP) {
	c := w.signedIn(t, "ana")
	first := w.issue(t, c, sp, Ask{})
	w.clock.advance(3 * time.Minute)
	later := w.issue(t, c, sp, Ask{})
	instant := timeAt(t, first, pathAuthn, "AuthnInstant")
	t.Run("RSP-21 REQ-20 a session keeps its instant", func(t *testing.T) {
		if again := timeAt(t, later, pathAuthn, "AuthnInstant"); !again.Equal(instant) {
			t.Errorf("AuthnInstant went from %v to %v", instant, again)
		}
	})
	t.Run("RSP-21 REQ-17 ForceAuthn renews it", func(t *testing.T) {
		ask := Ask{ID: newRequestID(), Attributes: `ForceAuthn="1"`}
		asked := w.clock.now().Truncate(time.Millisecond)
		r := w.check(t, c.SignIn(w.send(t, c, sp, ask, false), "ana", Password), sp, ask, issued())
		if again := timeAt(t, r, pathAuthn, "AuthnInstant"); again.Before(asked.Truncate(time.Second)) {
			t.Errorf("AuthnInstant %v is before the request at %v", again, asked)
		}
	})
}

func (w *world) responseSettings(t *testing.T) {
	t.Run("RSP-23 SessionNotOnOrAfter as set, and never after our session", func(t *testing.T) {
		sp := w.sp(t, "timed", map[string]string{"saml.session_lifetime": "1h"})
		ends := timeAt(t, w.issue(t, w.ana(t), sp, Ask{}), pathAuthn, "SessionNotOnOrAfter")
		if left := ends.Sub(w.clock.now()); left > time.Hour || left < 59*time.Minute {
			t.Errorf("it ends in %v", left)
		}
		w.set(t, sp, "saml.session_lifetime", "30d")
		if left := timeAt(t, w.issue(t, w.ana(t), sp, Ask{}), pathAuthn, "SessionNotOnOrAfter").Sub(w.clock.now()); left > 24*time.Hour {
			t.Errorf("it ends in %v, after our own session", left)
		}
	})
	t.Run("RSP-24 OneTimeUse", func(t *testing.T) {
		sp := w.sp(t, "once", map[string]string{"saml.one_time_use": "true"})
		if n := len(w.issue(t, w.ana(t), sp, Ask{}).Root.FindElements(pathCondition + "/OneTimeUse")); n != 1 {
			t.Errorf("%d OneTimeUse", n)
		}
	})
	t.Run("RSP-29 no NameID", func(t *testing.T) { w.withoutName(t) })
	t.Run("RSP-28 no attributes, no statement", func(t *testing.T) {
		sp := w.sp(t, "silent", map[string]string{"saml.attributes": "[]"})
		if w.issue(t, w.ana(t), sp, Ask{}).Root.FindElement(".//AttributeStatement") != nil {
			t.Error("an empty AttributeStatement")
		}
	})
	t.Run("RSP-19 the lifetime is the app's to set", func(t *testing.T) {
		sp := w.sp(t, "brief", map[string]string{"saml.assertion_lifetime": "1m"})
		if left := timeAt(t, w.issue(t, w.ana(t), sp, Ask{}), pathData, "NotOnOrAfter").Sub(w.clock.now()); left > time.Minute || left < 50*time.Second {
			t.Errorf("good for %v", left)
		}
	})
}

// withoutName: an app may be told nobody's name; a request that asks for a format gets that all the same.
func (w *world) withoutName(t *testing.T) {
	sp := w.encryptsTo(t, "nameless", "", map[string]string{"saml.nameid_format": "none", "saml.encrypt": "never", "policy.consent": "always"})
	sp.Encrypt = false
	c, ask := w.signedIn(t, "ana"), Ask{ID: newRequestID()}
	page := w.send(t, c, sp, ask, false)
	w.asks(t, page, "Your e-mail address")
	if strings.Contains(page.Body, "identifier for your account") {
		t.Error("consent is asked for a name that is not told")
	}
	r := w.check(t, c.Post("/consent", agreed(page)), sp, ask, issued())
	if r.Root.FindElement(".//NameID") != nil || r.Root.FindElement(".//EncryptedID") != nil || r.Attr(pathConfirm, "Method") != "urn:oasis:names:tc:SAML:2.0:cm:bearer" {
		t.Errorf("the subject is %v", r.Root.FindElement("./Assertion/Subject").ChildElements())
	}
	w.xmlsec(t, r.XML, "Response", "Assertion")
	w.set(t, sp, "policy.consent", "never")
	if r := w.issue(t, c, sp, policy(`Format="`+formatEmail+`"`)); r.Text(pathNameID) != "ana@example.org" {
		t.Errorf("asked for an address: %q", r.Text(pathNameID))
	}
	ask = policy(`Format="urn:oasis:names:tc:SAML:2.0:nameid-format:encrypted"`)
	ask.ID = newRequestID()
	w.check(t, w.send(t, c, sp, ask, false), sp, ask, there("invalid_nameid_policy", "Requester", "InvalidNameIDPolicy"))
}

func (w *world) manyGroups(t *testing.T, sp *SP) {
	var groups []string
	for i := range 200 {
		name := fmt.Sprintf("group %03d with a name of some length", i)
		if _, err := w.API.AddNamed(t.Context(), "groups", api.Named{Name: name}); err != nil {
			t.Fatal(err)
		}
		groups = append(groups, name)
	}
	w.AddPerson(t, "gil", "Employees", func(n *api.NewUser) { n.Groups = groups })
	r := w.issue(t, w.signedIn(t, "gil"), sp, Ask{})
	got := r.Attribute(oidGroup)
	slices.Sort(got)
	if !slices.Equal(got, groups) {
		t.Errorf("%d groups arrived", len(got))
	}
	w.xmlsec(t, r.XML, "Response", "Assertion")
}

// otherEntityID comes last: it renames the identity provider.
func (w *world) otherEntityID(t *testing.T, sp *SP) {
	const id = "https://idp.example.org/entity"
	if _, err := w.API.SetSettings(t.Context(), api.Change{Set: map[string]string{"saml.entity_id": id}}); err != nil {
		t.Fatal(err)
	}
	ask := Ask{ID: newRequestID()}
	r := w.send(t, w.ana(t), sp, ask, false).Response(t)
	if r.Text("./Issuer") != id || r.Text("./Assertion/Issuer") != id || r.Attr(pathNameID, "NameQualifier") != id {
		t.Errorf("issuers %q and %q, NameQualifier %q", r.Text("./Issuer"), r.Text("./Assertion/Issuer"), r.Attr(pathNameID, "NameQualifier"))
	}
	metadata, err := w.API.Metadata(t.Context(), "")
	if err != nil || !strings.Contains(string(metadata), `entityID="`+id+`"`) {
		t.Errorf("the metadata does not say %s: %v", id, err)
	}
	if err := r.Verify(metadata); err != nil {
		t.Error(err)
	}
	w.sent = append(w.sent, r)
}
