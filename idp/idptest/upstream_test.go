package idptest

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/idp/api"
)

func TestUpstream(t *testing.T) {
	t.Parallel()
	b := newBroker(t, nil)
	sp := b.sp(t, "brokered", nil)

	t.Run("RSP-26 AuthenticatingAuthority names the upstream", func(t *testing.T) {
		c := b.browser(t)
		answer := b.through(t, c, b.choose(t, c, sp, Ask{}), "ana").Response(t)
		if err := answer.Verify(b.idp); err != nil {
			t.Fatal(err)
		}
		if got := answer.Text("./Assertion/AuthnStatement/AuthnContext/AuthenticatingAuthority"); got != b.up.URL+"/saml/metadata" {
			t.Errorf("AuthenticatingAuthority is %q", got)
		}
		if got := answer.Attribute("urn:oid:0.9.2342.19200300.100.1.3"); !slices.Equal(got, []string{"ana@example.org"}) {
			t.Errorf("the mail is %q", got)
		}
		entry := b.Audit(t)[1]
		if entry.Kind != "signin" || entry.Facts["method"] != "saml:uni" || entry.Facts["level"] != "standard" {
			t.Errorf("the audit entry is %+v", entry)
		}
	})
	t.Run("PRX-03 AuthenticatingAuthority suppressed", func(t *testing.T) {
		quiet := b.sp(t, "quiet", map[string]string{"saml.authenticating_authority": "off"})
		c := b.browser(t)
		answer := b.through(t, c, b.choose(t, c, quiet, Ask{}), "ana").Response(t)
		if got := answer.Text("./Assertion/AuthnStatement/AuthnContext/AuthenticatingAuthority"); got != "" {
			t.Errorf("AuthenticatingAuthority is %q", got)
		}
	})
	t.Run("REQ-52 PRX-01 ProxyCount lowered, RequesterID appended, the context mapped", func(t *testing.T) {
		c := b.browser(t)
		ask := Ask{Body: classes("exact", classPPT).Body + `<samlp:Scoping ProxyCount="3"><samlp:RequesterID>urn:first</samlp:RequesterID></samlp:Scoping>`}
		request := asked(t, b.choose(t, c, sp, ask))
		scoping := request.FindElement("./Scoping")
		if scoping == nil || scoping.SelectAttrValue("ProxyCount", "") != "2" {
			t.Fatalf("Scoping is %v", scoping)
		}
		var ids []string
		for _, e := range scoping.FindElements("./RequesterID") {
			ids = append(ids, e.Text())
		}
		if !slices.Equal(ids, []string{"urn:first", sp.EntityID}) {
			t.Errorf("RequesterIDs are %q", ids)
		}
	})
	t.Run("PRX-01 an exact demand is answered with the class that the upstream met", func(t *testing.T) {
		c := b.browser(t)
		answer := b.through(t, c, b.choose(t, c, sp, classes("exact", classPPT)), "ana").Response(t)
		if got := answer.Text("./Assertion/AuthnStatement/AuthnContext/AuthnContextClassRef"); got != classPPT {
			t.Errorf("the class is %q", got)
		}
	})
	t.Run("PRX-02 ForceAuthn is passed on", func(t *testing.T) {
		c := b.browser(t)
		location := b.choose(t, c, sp, Ask{Attributes: `ForceAuthn="true"`})
		if asked(t, location).SelectAttrValue("ForceAuthn", "") != "true" {
			t.Error("ForceAuthn is missing")
		}
		b.through(t, c, location, "ana").Response(t)
	})
}

func TestUpstreamLimits(t *testing.T) {
	t.Parallel()
	b := newBroker(t, nil)
	sp := b.sp(t, "limited", nil)
	t.Run("REQ-51 ProxyCount=0 is not passed on", func(t *testing.T) {
		c := b.browser(t)
		page := c.Get(sp.RedirectURL(b.sso, Ask{Body: `<samlp:Scoping ProxyCount="0"/>`}))
		answer := c.Post("/login/upstream/uni", url.Values{"flow": {page.Field("flow")}}).Response(t)
		if _, sub := answer.Status(); sub != "ProxyCountExceeded" {
			t.Errorf("the status is %q", sub)
		}
		c = b.browser(t)
		b.through(t, c, b.choose(t, c, sp, Ask{}), "ana").Response(t)
		answer = c.Get(sp.RedirectURL(b.sso, Ask{Body: `<samlp:Scoping ProxyCount="0"/>`})).Response(t)
		if _, sub := answer.Status(); sub != "ProxyCountExceeded" {
			t.Errorf("with a session from there the status is %q", sub)
		}
	})
	t.Run("REQ-53 an IDPList that names the upstream", func(t *testing.T) {
		c := b.browser(t)
		ask := Ask{Body: `<samlp:Scoping><samlp:IDPList><samlp:IDPEntry ProviderID="` + b.up.URL + `/saml/metadata"/></samlp:IDPList></samlp:Scoping>`}
		if top, _ := b.through(t, c, b.choose(t, c, sp, ask), "ana").Response(t).Status(); top != "Success" {
			t.Errorf("the status is %q", top)
		}
	})
	t.Run("who is not here, and who is disabled, gets nothing", func(t *testing.T) {
		c := b.browser(t)
		answer := b.through(t, c, b.choose(t, c, sp, Ask{}), "eve").Response(t)
		if top, sub := answer.Status(); top != "Responder" || sub != "AuthnFailed" {
			t.Errorf("eve: %s %s", top, sub)
		}
		b.AddPerson(t, "gone", "Employees")
		b.up.AddPerson(t, "gone", "Members")
		if _, err := b.API.EnableUser(t.Context(), "gone", false); err != nil {
			t.Fatal(err)
		}
		c = b.browser(t)
		answer = b.through(t, c, b.choose(t, c, sp, Ask{}), "gone").Response(t)
		if _, sub := answer.Status(); sub != "AuthnFailed" || b.Audit(t)[1].Reason != "disabled" {
			t.Errorf("gone: %s, %+v", sub, b.Audit(t)[1])
		}
	})
	t.Run("an answer counts once, and in the browser that asked", func(t *testing.T) {
		c, other := b.browser(t), b.browser(t)
		location := b.choose(t, c, sp, Ask{})
		there := b.up.NewClient(t)
		answer := there.SignIn(there.Get(location), "ana", Password).Response(t)
		form := url.Values{"SAMLResponse": {base64.StdEncoding.EncodeToString(answer.XML)}}
		if page := other.CrossPost(answer.ACS, form); page.Status != http.StatusBadRequest || b.Audit(t)[0].Reason != "other_browser" {
			t.Errorf("another browser gets %d, %+v", page.Status, b.Audit(t)[0])
		}
		if page := c.CrossPost(answer.ACS, form); page.Status != http.StatusBadRequest || b.Audit(t)[0].Reason != "upstream_answer" {
			t.Errorf("a replay gets %d, %+v", page.Status, b.Audit(t)[0])
		}
	})
}

func TestUpstreamAlone(t *testing.T) {
	t.Parallel()
	b := newBroker(t, nil)
	b.organisation(t, "signin.methods", "upstream")
	sp := b.sp(t, "alone", nil)

	t.Run("PRX-02 IsPassive is passed on and NoPassive mapped back", func(t *testing.T) {
		c := b.browser(t)
		location := c.Get(sp.RedirectURL(b.sso, Ask{Instant: b.clock.instant(), Attributes: `IsPassive="true"`})).Header.Get("Location")
		if asked(t, location).SelectAttrValue("IsPassive", "") != "true" {
			t.Fatal("IsPassive is missing")
		}
		there := b.up.NewClient(t)
		refusal := there.Get(location).Response(t)
		answer := c.CrossPost(refusal.ACS, url.Values{"SAMLResponse": {base64.StdEncoding.EncodeToString(refusal.XML)}}).Response(t)
		if top, sub := answer.Status(); top != "Responder" || sub != "NoPassive" {
			t.Errorf("the status is %s %s", top, sub)
		}
	})
	t.Run("PRX-02 an old sign-in there is not taken for a new one", func(t *testing.T) {
		there := b.up.SignedIn(t, "ana")
		b.clock.advance(10 * time.Minute)
		c := b.browser(t)
		location := c.Get(sp.RedirectURL(b.sso, Ask{Instant: b.clock.instant()})).Header.Get("Location")
		answer := there.Get(location).Response(t)
		c.CrossPost(answer.ACS, url.Values{"SAMLResponse": {base64.StdEncoding.EncodeToString(answer.XML)}}).Response(t)
		page := c.Get(sp.RedirectURL(b.sso, Ask{Instant: b.clock.instant(), Attributes: `ForceAuthn="true"`}))
		if page.Status != http.StatusSeeOther || asked(t, page.Header.Get("Location")).SelectAttrValue("ForceAuthn", "") != "true" {
			t.Errorf("ForceAuthn comes to rest at %s with %d", page.URL, page.Status)
		}
	})
	t.Run("a password is not taken", func(t *testing.T) {
		page := b.browser(t).Post("/login", url.Values{"next": {"/"}, "name": {"ana"}, "password": {Password}})
		if page.Status != http.StatusForbidden || !strings.Contains(page.Body, "Nobody signs in by a password here") {
			t.Errorf("got %d:\n%s", page.Status, page.Body)
		}
	})
	t.Run("the portal is reached too", func(t *testing.T) {
		c := b.browser(t)
		page := b.through(t, c, c.Get("/").Header.Get("Location"), "ana")
		if page.Status != http.StatusOK || page.URL.Path != "/" {
			t.Errorf("rests at %s with %d", page.URL, page.Status)
		}
	})
}

func TestUpstreamCreates(t *testing.T) {
	t.Parallel()
	b := newBroker(t, map[string]string{"match": "link", "create": "true", "profile": "Employees"})
	b.up.AddPerson(t, "nina", "Members")
	for range 2 {
		c := b.browser(t)
		b.through(t, c, c.Post("/login/upstream/uni", url.Values{"next": {"/"}}).Header.Get("Location"), "nina")
	}
	user, err := b.API.User(t.Context(), "nina")
	if err != nil || user.Profile.Name != "Employees" || user.Email != "nina@example.org" {
		t.Errorf("nina is %+v, %v", user, err)
	}
}

func TestUpstreamForged(t *testing.T) {
	t.Parallel()
	b := newForger(t, nil)
	sp := b.sp(t, "forged", nil)
	begin := func(t *testing.T) (*Client, string) {
		c := b.browser(t)
		return c, asked(t, b.choose(t, c, sp, Ask{})).SelectAttrValue("ID", "")
	}
	for _, whole := range []bool{false, true} {
		c, id := begin(t)
		if top, sub := b.bring(c, b.forge(t, forged{to: id, whole: whole})).Response(t).Status(); top != "Success" {
			t.Fatalf("a good answer: %s %s", top, sub)
		}
	}
	for name, answer := range b.forgeries(NewSP(t, "stranger")) {
		t.Run(name, func(t *testing.T) {
			c, id := begin(t)
			page := b.bring(c, answer(t, id))
			if page.Status != http.StatusBadRequest || b.Audit(t)[0].Reason != "upstream_answer" {
				t.Errorf("got %d, %+v", page.Status, b.Audit(t)[0])
			}
			if page := c.Get("/"); page.URL.Path != "/login" {
				t.Errorf("somebody is signed in: %s", page.URL)
			}
		})
	}
	t.Run("PRX-04 RSP-25 ProxyRestriction", func(t *testing.T) {
		c, id := begin(t)
		answer := b.bring(c, b.forge(t, forged{to: id, conditions: `<saml:ProxyRestriction Count="0"/>`})).Response(t)
		if _, sub := answer.Status(); sub != "ProxyCountExceeded" {
			t.Errorf("Count=0: %q", sub)
		}
		c, id = begin(t)
		answer = b.bring(c, b.forge(t, forged{to: id, conditions: `<saml:ProxyRestriction Count="2"/>`})).Response(t)
		if got := answer.Attr("./Assertion/Conditions/ProxyRestriction", "Count"); got != "1" {
			t.Errorf("Count=2 is passed on as %q", got)
		}
		c, id = begin(t)
		answer = b.bring(c, b.forge(t, forged{to: id, conditions: `<saml:ProxyRestriction><saml:Audience>https://other.example</saml:Audience></saml:ProxyRestriction>`})).Response(t)
		if top, _ := answer.Status(); top == "Success" {
			t.Error("another audience was passed on to")
		}
	})
	t.Run("people with a role are not believed to an upstream", func(t *testing.T) {
		b.AddPerson(t, "olga", "Employees", func(n *api.NewUser) { n.Roles = []string{"owner"} })
		c, id := begin(t)
		answer := b.bring(c, b.forge(t, forged{to: id, mail: "olga@example.org"})).Response(t)
		if _, sub := answer.Status(); sub != "AuthnFailed" {
			t.Errorf("the status is %q", sub)
		}
	})
}

// forgeries are answers to a request that must sign nobody in.
func (b *broker) forgeries(stranger *SP) map[string]func(t *testing.T, id string) string {
	good := func(t *testing.T, id string) string { return b.forge(t, forged{to: id}) }
	wrapped := func(t *testing.T, id, from, to string) string {
		return strings.Replace(good(t, id), from, to, 1)
	}
	return map[string]func(t *testing.T, id string) string{
		"a stranger's key": func(t *testing.T, id string) string { return b.forge(t, forged{to: id, signer: stranger}) },
		"no signature":     func(t *testing.T, id string) string { return b.forge(t, forged{to: id, bare: true}) },
		"another issuer": func(t *testing.T, id string) string {
			return b.forge(t, forged{to: id, issuer: "https://other.example"})
		},
		"another audience": func(t *testing.T, id string) string {
			return b.forge(t, forged{to: id, audience: "https://other.example"})
		},
		"another recipient": func(t *testing.T, id string) string {
			return b.forge(t, forged{to: id, recipient: "https://other.example"})
		},
		"another destination": func(t *testing.T, id string) string {
			return b.forge(t, forged{to: id, destination: "https://other.example"})
		},
		"too old":              func(t *testing.T, id string) string { return b.forge(t, forged{to: id, until: -time.Hour}) },
		"unsolicited":          func(t *testing.T, _ string) string { return b.forge(t, forged{to: "_nobody"}) },
		"without InResponseTo": func(t *testing.T, _ string) string { return b.forge(t, forged{}) },
		"an unknown condition": func(t *testing.T, id string) string {
			return b.forge(t, forged{to: id, conditions: `<saml:Condition/>`})
		},
		"an unsigned refusal":   func(t *testing.T, id string) string { return b.forge(t, forged{to: id, status: "Responder"}) },
		"changed after signing": func(t *testing.T, id string) string { return wrapped(t, id, "ana@example.org", "bob@example.org") },
		"two assertions": func(t *testing.T, id string) string {
			return b.forge(t, forged{to: id, extra: `<saml:Assertion ID="_x" Version="2.0"/>`})
		},
		"the signed one elsewhere": func(t *testing.T, id string) string { return moved(good(t, id)) },
		"the ID twice": func(t *testing.T, id string) string {
			return wrapped(t, id, `<samlp:Status>`, `<samlp:Extensions><x:y xmlns:x="urn:x" ID="`+id+`"/><x:y xmlns:x="urn:x" id="`+id+`"/></samlp:Extensions><samlp:Status>`)
		},
		"an encrypted assertion": func(t *testing.T, id string) string {
			return b.forge(t, forged{to: id, whole: true, extra: `<saml:EncryptedAssertion/>`})
		},
		"a document type": func(t *testing.T, id string) string { return `<!DOCTYPE x>` + good(t, id) },
	}
}

// moved puts the signed assertion into an extension and a forged one in its place.
func moved(response string) string {
	from, to := strings.Index(response, "<saml:Assertion"), strings.Index(response, "</saml:Assertion>")+len("</saml:Assertion>")
	assertion := response[from:to]
	forged := strings.Replace(strings.Replace(assertion, "ana@example.org", "bob@example.org", 1), ` ID="`, ` ID="_f`, 1)
	return response[:from] + forged + `<samlp:Extensions>` + assertion + `</samlp:Extensions>` + response[to:]
}
