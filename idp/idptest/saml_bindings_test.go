package idptest

import (
	"compress/flate"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestSAMLBindings is section 1 of the requirements: receiving messages.
func TestSAMLBindings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plain := w.sp(t, "plain", nil)
	signed := w.signing(t, "signed")
	w.rows(t, w.bindingRows(plain, signed))
	t.Run("encodings", func(t *testing.T) { w.encodings(t, plain) })
	t.Run("parameters", func(t *testing.T) { w.parameters(t, plain, signed) })
	t.Run("query signatures", func(t *testing.T) { w.querySignatures(t, signed) })
	t.Run("hostile XML", func(t *testing.T) { w.hostileXML(t, plain) })
	t.Run("RelayState", func(t *testing.T) { w.relayStates(t, plain) })
	t.Run("hosts and methods", func(t *testing.T) { w.hostsAndMethods(t, plain) })
	t.Run("BND-25 a replayed request is refused", func(t *testing.T) { w.replays(t, plain, signed) })
	t.Run("BND-34 two tabs finish in reverse order", func(t *testing.T) { w.twoTabs(t, plain) })
	w.everything(t)
}

func (w *world) bindingRows(plain, signed *SP) []row {
	ago := func(d time.Duration) string { return w.clock.now().Add(-d).UTC().Format("2006-01-02T15:04:05Z") }
	offset := w.clock.now().In(time.FixedZone("", 7200)).Format(time.RFC3339)
	fraction := w.clock.now().UTC().Format("2006-01-02T15:04:05.0000000Z")
	long := "_" + strings.Repeat("漢", 255)
	everything := `<samlp:Extensions><x:odd xmlns:x="urn:odd" x:a="1"><x:deep>text</x:deep></x:odd></samlp:Extensions>`
	return []row{
		{name: "BND-01 AuthnRequest by HTTP-Redirect, signed in", sp: plain, want: issued()},
		{name: "BND-01 AuthnRequest by HTTP-Redirect, nobody signed in", sp: plain, stranger: true, want: signIn()},
		{name: "BND-02 AuthnRequest by HTTP-POST", sp: plain, post: true, want: issued()},
		{name: "BND-02 signed AuthnRequest by HTTP-POST", sp: signed, post: true, want: issued()},
		{name: "BND-14 a valid enveloped signature", sp: signed, post: true, want: issued()},
		{name: "BND-18 odd extensions and foreign attributes are ignored", sp: plain, ask: Ask{Attributes: `xmlns:x="urn:odd" x:hint="1"`, Body: everything}, want: issued()},
		{name: "BND-20 a request ID of 256 characters", sp: plain, ask: Ask{ID: long, Attributes: `ProviderName="` + strings.Repeat("漢", 256) + `"`}, want: issued()},
		{name: "BND-21 Destination at another host", sp: plain, ask: Ask{Destination: "https://idp.evil.example/saml/sso"}, want: there("wrong_destination", "Requester", "")},
		{name: "BND-21 Destination at another path", sp: plain, ask: Ask{Destination: w.URL + "/saml/slo"}, want: there("wrong_destination", "Requester", "")},
		{name: "BND-21 Destination with a trailing slash", sp: plain, ask: Ask{Destination: w.sso + "/"}, want: there("wrong_destination", "Requester", "")},
		{name: "BND-21 empty Destination", sp: plain, ask: Ask{Attributes: `Destination=""`, Destination: "-"}, want: there("wrong_destination", "Requester", "")},
		{name: "BND-21 no Destination, unsigned", sp: plain, ask: Ask{Destination: "-"}, want: issued()},
		{name: "BND-22 signed without Destination, Redirect", sp: signed, ask: Ask{Destination: "-"}, want: there("wrong_destination", "Requester", "")},
		{name: "BND-22 signed without Destination, POST", sp: signed, post: true, ask: Ask{Destination: "-"}, want: there("wrong_destination", "Requester", "")},
		{name: "BND-25 missing ID", sp: plain, ask: Ask{ID: "-"}, want: here("malformed_message")},
		{name: "BND-25 an ID that is no XML name", sp: plain, ask: Ask{ID: "1abc"}, want: here("malformed_message")},
		{name: "BND-26 four minutes old", sp: plain, ask: Ask{Instant: ago(4 * time.Minute)}, want: issued()},
		{name: "BND-26 four minutes ahead", sp: plain, ask: Ask{Instant: ago(-4 * time.Minute)}, want: issued()},
		{name: "BND-26 an hour old", sp: plain, ask: Ask{Instant: ago(time.Hour)}, want: there("stale_request", "Requester", "")},
		{name: "BND-26 an hour ahead", sp: plain, ask: Ask{Instant: ago(-time.Hour)}, want: there("stale_request", "Requester", "")},
		{name: "BND-26 with an offset", sp: plain, ask: Ask{Instant: offset}, want: issued()},
		{name: "BND-26 with fractions", sp: plain, ask: Ask{Instant: fraction}, want: issued()},
		{name: "BND-26 not a time", sp: plain, ask: Ask{Instant: "yesterday"}, want: there("invalid_request", "Requester", "")},
		{name: "BND-26 missing", sp: plain, ask: Ask{Instant: "-"}, want: there("invalid_request", "Requester", "")},
	}
}

// raw sends a query as it is.
func (w *world) raw(t *testing.T, query string) *Page {
	return w.ana(t).Get(w.sso + "?" + query)
}

// request is a message of the service provider, with its Ask for the checks.
func (w *world) request(sp *SP, ask Ask) (string, Ask) {
	if ask.ID == "" {
		ask.ID = newRequestID()
	}
	if ask.Instant == "" {
		ask.Instant = w.clock.instant()
	}
	return sp.Request(w.sso, ask), ask
}

func (w *world) encodings(t *testing.T, sp *SP) {
	for _, level := range []int{0, 1, 9} {
		t.Run(fmt.Sprintf("BND-03 deflated at level %d", level), func(t *testing.T) {
			message, ask := w.request(sp, Ask{})
			coded := base64.StdEncoding.EncodeToString(deflated(t, message, level))
			w.check(t, w.raw(t, "SAMLRequest="+url.QueryEscape(coded)), sp, ask, issued())
			message, ask = w.request(sp, Ask{})
			coded = base64.RawStdEncoding.EncodeToString(deflated(t, message, level))
			w.check(t, w.raw(t, "SAMLRequest="+url.QueryEscape(coded)), sp, ask, issued())
		})
	}
	bomb := "SAMLRequest=" + url.QueryEscape(base64.StdEncoding.EncodeToString(deflated(t, strings.Repeat("\x00", 1<<20), flate.BestCompression)))
	message, _ := w.request(sp, Ask{})
	good := redirectQuery(t, message)
	for _, c := range []struct{ name, query, reason string }{
		{"BND-03 zlib header", "SAMLRequest=" + url.QueryEscape(base64.StdEncoding.EncodeToString(zlibbed(t, message))), "malformed_message"},
		{"BND-03 not base64", "SAMLRequest=%21%21", "malformed_message"},
		{"BND-03 not deflated", "SAMLRequest=" + url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(message))), "malformed_message"},
		{"BND-04 a bomb of zeros", bomb, "message_too_large"},
		{"BND-05 unknown SAMLEncoding", good + "&SAMLEncoding=urn:x", "malformed_message"},
		{"BND-27 half a message", redirectQuery(t, message[:len(message)/2]), "malformed_message"},
		{"BND-27 nothing in it", "SAMLRequest=", "malformed_message"},
		{"BND-27 no request at all", "", "malformed_message"},
	} {
		t.Run(c.name, func(t *testing.T) { w.checkHere(t, w.raw(t, c.query), c.reason) })
	}
	t.Run("BND-05 SAMLEncoding DEFLATE", func(t *testing.T) {
		message, ask := w.request(sp, Ask{})
		query := redirectQuery(t, message) + "&SAMLEncoding=" + url.QueryEscape("urn:oasis:names:tc:SAML:2.0:bindings:URL-Encoding:DEFLATE")
		w.check(t, w.raw(t, query), sp, ask, issued())
	})
	t.Run("BND-27 half a message by POST", func(t *testing.T) {
		w.checkHere(t, w.ana(t).CrossPost(w.sso, postOf(message[:len(message)/2])), "malformed_message")
	})
}

func (w *world) parameters(t *testing.T, plain, signed *SP) {
	first, _ := w.request(plain, Ask{})
	second, _ := w.request(plain, Ask{})
	a, b := redirectQuery(t, first), redirectQuery(t, second)
	signedQuery := signed.SignQuery(redirectQuery(t, second))
	noAlg, _, _ := strings.Cut(signedQuery, "&SigAlg=")
	_, signature, _ := strings.Cut(signedQuery, "&Signature=")
	withAlg, _, _ := strings.Cut(signedQuery, "&Signature=")
	for _, c := range []struct{ name, query, reason string }{
		{"BND-06 SAMLResponse at the sign-on endpoint", strings.Replace(a, "SAMLRequest", "SAMLResponse", 1), "wrong_message"},
		{"BND-06 SAMLResponse beside SAMLRequest", a + "&SAMLResponse=x", "duplicate_parameter"},
		{"BND-07 SAMLRequest twice", a + "&" + b, "duplicate_parameter"},
		{"BND-07 SAMLRequest twice, the second one spelt otherwise", a + "&%53AMLRequest=" + b[12:], "duplicate_parameter"},
		{"BND-07 a signed and an unsigned SAMLRequest", signedQuery + "&" + a, "duplicate_parameter"},
		{"BND-07 RelayState twice", a + "&RelayState=a&RelayState=b", "duplicate_parameter"},
		{"BND-11 Signature without SigAlg", noAlg + "&Signature=" + signature, "bad_signature"},
		{"BND-11 SigAlg without Signature", withAlg, "bad_signature"},
	} {
		t.Run(c.name, func(t *testing.T) { w.checkHere(t, w.raw(t, c.query), c.reason) })
	}
	t.Run("BND-07 SAMLRequest twice by POST", func(t *testing.T) {
		form := postOf(first)
		form.Add("SAMLRequest", postOf(second).Get("SAMLRequest"))
		w.checkHere(t, w.ana(t).CrossPost(w.sso, form), "duplicate_parameter")
	})
	t.Run("BND-06 SAMLResponse by POST", func(t *testing.T) {
		w.checkHere(t, w.ana(t).CrossPost(w.sso, url.Values{"SAMLResponse": postOf(first)["SAMLRequest"]}), "wrong_message")
	})
	t.Run("BND-13 an enveloped signature does not sign a Redirect message", func(t *testing.T) {
		message, _ := w.request(signed, Ask{})
		w.refusedSignature(t, w.raw(t, redirectQuery(t, signed.SignXML(message))))
	})
	t.Run("BND-35 SimpleSign is not advertised and refused", func(t *testing.T) {
		if strings.Contains(string(w.idp), "SimpleSign") {
			t.Error("the metadata lists SimpleSign")
		}
		message, _ := w.request(plain, Ask{})
		form := postOf(message)
		form.Set("SigAlg", "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256")
		form.Set("Signature", "AAAA")
		w.checkHere(t, w.ana(t).CrossPost(w.sso, form), "bad_signature")
	})
}

// hostileXML: what a genuine message never holds is refused before anything is read from it.
func (w *world) hostileXML(t *testing.T, sp *SP) {
	var fetched atomic.Int32
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { fetched.Add(1) }))
	defer trap.Close()
	message, _ := w.request(sp, Ask{})
	doctype := func(inner string) string { return "<!DOCTYPE r [" + inner + "]>" + message }
	laughs := `<!ENTITY a "ha">`
	for i := 'b'; i < 'k'; i++ {
		laughs += fmt.Sprintf(`<!ENTITY %c "%s">`, i, strings.Repeat(fmt.Sprintf("&%c;", i-1), 10))
	}
	deep := strings.Repeat("<x>", 200) + strings.Repeat("</x>", 200)
	wide := strings.Repeat("<x:a/>", 5000)
	odd := func(inner string) string {
		m, _ := w.request(sp, Ask{Body: `<samlp:Extensions xmlns:x="urn:x">` + inner + `</samlp:Extensions>`})
		return m
	}
	for _, c := range []struct{ name, message, reason string }{
		{"BND-16 billion laughs", doctype(laughs), "malformed_message"},
		{"BND-16 external entity", doctype(`<!ENTITY x SYSTEM "` + trap.URL + `">`), "malformed_message"},
		{"BND-16 external DTD", `<!DOCTYPE r SYSTEM "` + trap.URL + `">` + message, "malformed_message"},
		{"SEC-02 processing instruction", `<?x y?>` + message, "malformed_message"},
		{"SEC-02 a second root", message + message, "malformed_message"},
		{"SEC-02 text behind the root", message + "x", "malformed_message"},
		{"SEC-02 an attribute twice", strings.Replace(message, `Version="2.0"`, `Version="2.0" Version="2.0"`, 1), "malformed_message"},
		{"SEC-02 a prefix that is not declared", odd("<nobody:x/>"), "malformed_message"},
		{"SEC-02 an empty local name", odd(`<x:></x:>`), "malformed_message"},
		{"SEC-02 an attribute with two colons", odd(`<x:a x:b:c="1"/>`), "malformed_message"},
		{"BND-04 deep nesting", odd(deep), "message_too_large"},
		{"BND-04 many elements", odd(wide), "message_too_large"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.checkHere(t, w.raw(t, redirectQuery(t, c.message)), c.reason)
			w.checkHere(t, w.ana(t).CrossPost(w.sso, postOf(c.message)), c.reason)
		})
	}
	if fetched.Load() != 0 {
		t.Errorf("an external entity was fetched %d times", fetched.Load())
	}
	for name, issuer := range map[string]string{
		"BND-17 a comment in the Issuer":         strings.Replace(sp.EntityID, ".example", "<!-- -->.example", 1),
		"BND-17 a comment behind a known Issuer": sp.EntityID + "<!-- -->.evil.example",
		"BND-17 an element in the Issuer":        sp.EntityID + "<b>.evil</b>",
		"BND-17 CDATA behind a known Issuer":     sp.EntityID + "<![CDATA[.evil.example]]>",
	} {
		t.Run(name, func(t *testing.T) {
			message, _ := w.request(sp, Ask{Issuer: issuer})
			page := w.raw(t, redirectQuery(t, message))
			if strings.Contains(issuer, "CDATA") {
				w.checkHere(t, page, "unknown_issuer")
				return
			}
			w.checkHere(t, page, "malformed_message")
		})
	}
	t.Run("BND-17 a comment in the ACS URL stays what it is", func(t *testing.T) {
		message, _ := w.request(sp, Ask{Attributes: `AssertionConsumerServiceURL="` + sp.ACS[0] + `&lt;!-- --&gt;.evil"`})
		w.checkHere(t, w.raw(t, redirectQuery(t, message)), "unregistered_acs")
	})
}

func (w *world) relayStates(t *testing.T, sp *SP) {
	strict := w.sp(t, "strict", map[string]string{"saml.relay_state_limit": "80"})
	full := strings.Repeat(`&<">+ ü`, 10) // 80 bytes
	for _, c := range []struct {
		name  string
		sp    *SP
		relay *string
		want  outcome
	}{
		{"BND-30 80 bytes come back as they are", strict, &full, issued()},
		{"BND-30 81 bytes at an app that keeps the standard", strict, new(full + "x"), there("relay_state_too_long", "Requester", "")},
		{"BND-30 81 bytes elsewhere", sp, new(full + "x"), issued()},
		{"BND-30 1,024 bytes", sp, new(strings.Repeat("x", 1024)), issued()},
		{"BND-30 1,025 bytes", sp, new(strings.Repeat("x", 1025)), there("relay_state_too_long", "Requester", "")},
		{"BND-31 markup is inert", sp, new(`"><script>alert(1)</script>`), issued()},
		{"BND-31 javascript: is no target", sp, new("javascript:alert(1)"), issued()},
		{"BND-32 absent", sp, nil, issued()},
		{"BND-32 empty", sp, new(""), issued()},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, post := range []bool{false, true} {
				ask := Ask{ID: newRequestID(), RelayState: c.relay}
				page := w.send(t, w.ana(t), c.sp, ask, post)
				w.check(t, page, c.sp, ask, c.want)
				if strings.Contains(page.Body, "<script>alert") || strings.Contains(page.Body, `"javascript:`) && page.Action() != c.sp.ACS[0] {
					t.Errorf("RelayState is live:\n%s", page.Body)
				}
			}
		})
	}
}

func (w *world) hostsAndMethods(t *testing.T, sp *SP) {
	spoofed := func(destination string) (*Page, Ask) {
		message, ask := w.request(sp, Ask{Destination: destination})
		r := w.ana(t).request(http.MethodGet, w.sso+"?"+redirectQuery(t, message), nil)
		r.AddCookie(w.ana(t).SessionCookie()) // the jar looks at Host
		r.Host = "idp.evil.example"
		return w.ana(t).Do(r), ask
	}
	t.Run("BND-23 a spoofed Host does not make its own Destination right", func(t *testing.T) {
		page, ask := spoofed("http://idp.evil.example/saml/sso")
		w.check(t, page, sp, ask, there("wrong_destination", "Requester", ""))
	})
	t.Run("BND-23 the public URL is right whatever Host says", func(t *testing.T) {
		page, ask := spoofed(w.sso)
		w.check(t, page, sp, ask, issued())
	})
	before := len(w.Audit(t))
	for _, method := range []string{http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete} {
		t.Run("BND-33 "+method, func(t *testing.T) {
			message, _ := w.request(sp, Ask{})
			page := w.ana(t).Do(w.ana(t).request(method, w.sso+"?"+redirectQuery(t, message), nil))
			if page.Status != http.StatusMethodNotAllowed {
				t.Errorf("%s answers %d, want 405", method, page.Status)
			}
			for _, path := range []string{"/saml/slo", "/saml/soap"} {
				if page := w.ana(t).Do(w.ana(t).request(method, w.URL+path, nil)); page.Status != http.StatusMethodNotAllowed {
					t.Errorf("%s at %s answers %d, want 405", method, path, page.Status)
				}
			}
		})
	}
	if after := len(w.Audit(t)); before < 50 && after != before {
		t.Errorf("the audit grew from %d to %d entries", before, after)
	}
}

// replays: a request is answered once, whatever became of it.
func (w *world) replays(t *testing.T, plain, signed *SP) {
	for _, sp := range []*SP{plain, signed} {
		for _, post := range []bool{false, true} {
			ask := Ask{ID: newRequestID(), Instant: w.clock.instant()}
			w.check(t, w.send(t, w.ana(t), sp, ask, post), sp, ask, issued())
			w.check(t, w.send(t, w.ana(t), sp, ask, post), sp, ask, here("replayed_request"))
			w.check(t, w.send(t, w.signedIn(t, "bob"), sp, ask, !post), sp, ask, here("replayed_request"))
		}
	}
	t.Run("a refused request is answered once too", func(t *testing.T) {
		ask := Ask{ID: newRequestID(), Destination: "https://elsewhere.example"}
		w.check(t, w.send(t, w.ana(t), plain, ask, false), plain, ask, there("wrong_destination", "Requester", ""))
		w.check(t, w.send(t, w.ana(t), plain, ask, false), plain, ask, here("replayed_request"))
	})
	t.Run("another app may use the same ID", func(t *testing.T) {
		ask := Ask{ID: newRequestID()}
		w.check(t, w.send(t, w.ana(t), plain, ask, false), plain, ask, issued())
		w.check(t, w.send(t, w.ana(t), signed, ask, false), signed, ask, issued())
	})
}

// twoTabs: each answer carries its own request and RelayState, also in reverse order and for two apps.
func (w *world) twoTabs(t *testing.T, sp *SP) {
	c := w.browser(t)
	one := Ask{ID: newRequestID(), RelayState: new("first")}
	two := Ask{ID: newRequestID(), RelayState: new("second")}
	firstPage := w.send(t, c, sp, one, false)
	secondPage := w.send(t, c, sp, two, true)
	w.check(t, secondPage, sp, two, signIn())
	w.check(t, c.SignIn(secondPage, "ana", Password), sp, two, issued())
	w.check(t, c.SignIn(firstPage, "ana", Password), sp, one, issued())
}
