package idptest

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/beevik/etree"
)

// ecpAnswer is what a client that is not a browser gets.
type ecpAnswer struct {
	status   int
	header   http.Header
	body     string
	envelope *etree.Element
}

// response is the SAML Response in the answer; nil: there is none.
func (a *ecpAnswer) response(t *testing.T) *Response {
	t.Helper()
	if a.envelope == nil || a.envelope.FindElement("./Body/Response") == nil {
		return nil
	}
	doc := etree.NewDocumentWithRoot(a.envelope.FindElement("./Body/Response").Copy())
	raw, err := doc.WriteToBytes()
	if err != nil {
		t.Fatal(err)
	}
	return &Response{Root: doc.Root(), XML: raw}
}

// ecp sends an AuthnRequest in an envelope, with a name and password unless the name is empty.
func (w *world) ecp(t *testing.T, sp *SP, ask Ask, name, password, address string) *ecpAnswer {
	t.Helper()
	sp.t = t
	endpoint := w.URL + "/saml/ecp"
	ask.Instant = w.clock.instant()
	text := sp.Request(endpoint, ask)
	if sp.Signed {
		text = sp.SignXML(text)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint, strings.NewReader(strings.Replace(inEnvelope(text), "<S:Header/>", "<S:Header>"+ask.Header+"</S:Header>", 1)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "text/xml")
	if name != "" {
		request.SetBasicAuth(name, password)
	}
	response, err := oneHop(address).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if kind := response.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/xml") {
		t.Errorf("the answer is %s: %s", kind, body)
	}
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(body); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return &ecpAnswer{response.StatusCode, response.Header, string(body), doc.Root()}
}

func TestSAMLECP(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	paos := "https://ecp.example.org/paos"
	sp := w.newSP(t, "ecp")
	describe := func(sp *SP, attributes string) []byte {
		return metadataWith(sp, attributes, keyDescriptor("signing", sp.DER, "")+acsAt(bindingPost, sp.ACS[0], 0, "")+acsAt(bindingPAOS, paos, 1, ""))
	}
	app := w.AddApp(t, describe(sp, ""), map[string]string{"saml.ecp": "on"})
	signed := w.newSP(t, "ecp-signed")
	signed.Signed = true
	w.AddApp(t, describe(signed, `AuthnRequestsSigned="true"`), map[string]string{"saml.ecp": "on"})
	off := w.newSP(t, "ecp-off")
	offApp := w.AddApp(t, describe(off, ""), nil)
	in := func(sp *SP, ask Ask) *ecpAnswer { return w.ecp(t, sp, ask, "ana", Password, "198.51.100.1") }

	t.Run("ECP-01 ECP-02 ECP-03 a SOAP answer for the PAOS address", func(t *testing.T) {
		ask := Ask{ID: newRequestID()}
		challenge := w.ecp(t, sp, ask, "", "", "198.51.100.1")
		if challenge.status != 401 || !strings.HasPrefix(challenge.header.Get("WWW-Authenticate"), "Basic ") || challenge.header.Get("Set-Cookie") != "" {
			t.Errorf("%d %v", challenge.status, challenge.header)
		}
		answer := in(sp, ask)
		response := answer.response(t)
		header := answer.envelope.FindElement("./Header/Response")
		if answer.status != 200 || response == nil || header == nil {
			t.Fatalf("%d: %s", answer.status, answer.body)
		}
		if header.SelectAttrValue("AssertionConsumerServiceURL", "") != paos || header.SelectAttrValue("soap11:mustUnderstand", "") != "1" || header.SelectAttrValue("soap11:actor", "") != "http://schemas.xmlsoap.org/soap/actor/next" {
			t.Errorf("header %v", header.Attr)
		}
		if top, _ := response.Status(); top != "Success" || response.Root.SelectAttrValue("InResponseTo", "") != ask.ID || response.Root.SelectAttrValue("Destination", "") != paos ||
			response.Attr("./Assertion/Subject/SubjectConfirmation/SubjectConfirmationData", "Recipient") != paos {
			t.Errorf("%s", response.XML)
		}
		w.xmlsec(t, response.XML, "Response", "Assertion")
		w.sent = append(w.sent, response)
		if answer.header.Get("Set-Cookie") != "" {
			t.Error("a cookie for a client that is no browser")
		}
	})
	t.Run("ECP-07 RequestAuthenticated only for a signed request", func(t *testing.T) {
		for provider, want := range map[*SP]bool{sp: false, signed: true} {
			answer := in(provider, Ask{})
			if got := answer.envelope.FindElement("./Header/RequestAuthenticated") != nil; answer.status != 200 || got != want {
				t.Errorf("%s: %d, %t", provider.EntityID, answer.status, got)
			}
		}
	})
	t.Run("ECP-10 off by default", func(t *testing.T) {
		const listed = `bindings:SOAP" Location="%s/saml/ecp"`
		for path, want := range map[string]bool{"/saml/metadata": false, "/saml/metadata/" + offApp.ID: false, "/saml/metadata/" + app.ID: true} {
			if got := strings.Contains(w.ana(t).Get(path).Body, fmt.Sprintf(listed, w.URL)); got != want {
				t.Errorf("%s lists it: %t", path, got)
			}
		}
		if answer := in(off, Ask{}); answer.status != 400 || answer.response(t) != nil || answer.envelope.FindElement("./Body/Fault") == nil {
			t.Errorf("%d: %s", answer.status, answer.body)
		}
	})
	w.ecpRefusals(t, sp, in)
	w.everything(t)
}

func (w *world) ecpRefusals(t *testing.T, sp *SP, in func(*SP, Ask) *ecpAnswer) {
	t.Run("ECP-04 errors are SAML or SOAP", func(t *testing.T) {
		if answer := w.ecp(t, sp, Ask{}, "ana", "wrong", "198.51.100.2"); answer.status != 401 || answer.envelope.FindElement("./Body/Fault") == nil {
			t.Errorf("a wrong password: %d %s", answer.status, answer.body)
		}
		for name, ask := range map[string]Ask{
			"an unknown app": {Issuer: "https://nobody.example.org"}, "another address": {Attributes: `AssertionConsumerServiceURL="https://evil.example.org/"`},
			"an address for browsers": {Attributes: `AssertionConsumerServiceURL="` + sp.ACS[0] + `"`},
		} {
			if answer := in(sp, ask); answer.status != 400 || answer.response(t) != nil {
				t.Errorf("%s: %d %s", name, answer.status, answer.body)
			}
		}
		if answer := in(sp, Ask{Destination: w.sso}); answer.response(t) == nil {
			t.Errorf("another Destination: %s", answer.body)
		} else if top, _ := answer.response(t).Status(); top != "Requester" {
			t.Errorf("another Destination: %s", top)
		}
	})
	t.Run("ECP-02 what would take a second factor or a page is refused", func(t *testing.T) {
		w.set(t, sp, "policy.min_level", "high")
		answer := in(sp, Ask{}).response(t)
		w.set(t, sp, "policy.min_level", "low")
		if answer == nil {
			t.Fatal("no answer")
		}
		if top, nested := answer.Status(); top != "Responder" || nested != "NoAuthnContext" {
			t.Errorf("%s/%s", top, nested)
		}
		w.set(t, sp, "policy.consent", "always")
		answer = in(sp, Ask{}).response(t)
		w.set(t, sp, "policy.consent", "never")
		if top, nested := answer.Status(); top != "Responder" || nested != "NoAuthnContext" {
			t.Errorf("consent: %s/%s", top, nested)
		}
	})
	t.Run("ECP-02 ForceAuthn is what happens anyway", func(t *testing.T) {
		if top, _ := in(sp, Ask{Attributes: `ForceAuthn="true"`}).response(t).Status(); top != "Success" {
			t.Errorf("%s", top)
		}
	})
	t.Run("ECP-09 the throttle of the sign-in page", func(t *testing.T) {
		w.AddPerson(t, "tom", "Employees")
		last := 0
		for i := range 30 {
			last = w.ecp(t, sp, Ask{}, "tom", fmt.Sprintf("wrong-%d", i), "198.51.100.3").status
		}
		if right := w.ecp(t, sp, Ask{}, "tom", Password, "198.51.100.3").status; last != 429 || right != 429 {
			t.Errorf("after 30 wrong passwords: %d, and the right one %d", last, right)
		}
		c := w.NewClient(t)
		c.http.Transport = oneHop("198.51.100.3")
		if page := c.SignIn(c.Get("/login"), "tom", Password); page.Status != 429 {
			t.Errorf("the page lets tom in: %d", page.Status)
		}
	})
}
