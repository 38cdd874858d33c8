package idptest

import (
	"compress/flate"
	"encoding/base64"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"

	"gatehouse/idp/api"
)

// broker is a Gatehouse behind which another identity provider stands: a second Gatehouse, or a forger's tools.
type broker struct {
	*world
	up   *Server // the upstream, if it is a whole server
	fake *SP     // an identity provider that says what a test wants, with a key that is pinned
}

// newBroker is a Gatehouse in front of a second one, which both know ana and bob.
func newBroker(t *testing.T, settings map[string]string) *broker {
	t.Helper()
	b := &broker{world: newWorld(t)}
	b.up = Start(t, Options{Now: b.clock.now})
	for _, name := range []string{"ana", "bob", "eve"} {
		b.up.AddPerson(t, name, "Members")
	}
	theirs, err := b.up.API.Metadata(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	b.addUpstream(t, "uni", theirs, settings)
	b.up.AddApp(t, []byte(b.browser(t).Get("/saml/sp-metadata").Body), nil)
	return b
}

// newForger is a Gatehouse in front of a fake identity provider.
func newForger(t *testing.T, settings map[string]string, logout ...sloService) *broker {
	t.Helper()
	b := &broker{world: newWorld(t)}
	b.fake = b.newSP(t, "uni")
	b.fake.SLO = logout
	b.addUpstream(t, "uni", idpMetadata(b.fake), settings)
	return b
}

func idpMetadata(sp *SP) []byte {
	services := ""
	for _, s := range sp.SLO {
		services += s.xml()
	}
	return fmt.Appendf(nil, `<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" xmlns:ds="http://www.w3.org/2000/09/xmldsig#" entityID="%s"><IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">%s%s<SingleSignOnService Binding="%s" Location="https://uni.example.org/sso"/></IDPSSODescriptor></EntityDescriptor>`,
		sp.EntityID, keyDescriptor("signing", sp.DER, ""), services, bindingRedirect)
}

func (b *broker) addUpstream(t *testing.T, name string, metadata []byte, settings map[string]string) {
	t.Helper()
	set := map[string]string{"level": "standard", "levels": classPPT + "=standard," + classMFA + "=high"}
	for key, value := range settings {
		set[key] = value
	}
	if _, err := b.API.AddUpstream(t.Context(), api.NewUpstream{Name: name, Metadata: string(metadata), Set: set}); err != nil {
		t.Fatal(err)
	}
}

const classMFA = "https://refeds.org/profile/mfa"

func (b *broker) organisation(t *testing.T, key, value string) {
	t.Helper()
	if _, err := b.API.SetSettings(t.Context(), api.Change{Set: map[string]string{key: value}, Force: true}); err != nil {
		t.Fatal(err)
	}
}

// choose opens an app and chooses the upstream; it returns where the browser is sent.
func (b *broker) choose(t *testing.T, c *Client, sp *SP, ask Ask) string {
	t.Helper()
	page := c.Get(sp.RedirectURL(b.sso, ask))
	if page.URL.Path != "/login" || !strings.Contains(page.Body, "/login/upstream/uni") {
		t.Fatalf("no choice at %s (%d):\n%s", page.URL, page.Status, page.Body)
	}
	return c.Post("/login/upstream/uni", url.Values{"flow": {page.Field("flow")}}).Header.Get("Location")
}

// asked reads the AuthnRequest in an address.
func asked(t *testing.T, location string) *etree.Element {
	t.Helper()
	u, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(u.Query().Get("SAMLRequest"))
	if err != nil || len(raw) == 0 {
		t.Fatalf("no request in %q: %v", location, err)
	}
	message, err := io.ReadAll(flate.NewReader(strings.NewReader(string(raw))))
	if err != nil {
		t.Fatal(err)
	}
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(message); err != nil {
		t.Fatal(err)
	}
	return doc.Root()
}

// through carries the browser to the upstream, signs in there, and brings the answer back.
func (b *broker) through(t *testing.T, c *Client, location, name string) *Page {
	t.Helper()
	there := b.up.NewClient(t)
	answer := there.SignIn(there.Get(location), name, Password).Response(t)
	return c.CrossPost(answer.ACS, url.Values{"SAMLResponse": {base64.StdEncoding.EncodeToString(answer.XML)}})
}

// forged is what a fake identity provider says.
type forged struct {
	to, issuer, audience, recipient, destination, class, mail string
	conditions, context, status, extra                        string
	until                                                     time.Duration
	signer                                                    *SP
	whole, bare                                               bool                          // sign the Response; sign nothing
	hide                                                      func(assertion string) string // applied to the finished assertion
	name                                                      string                        // instead of a NameID with the mail
}

func (b *broker) forge(t *testing.T, f forged) string {
	t.Helper()
	acs := b.URL + "/saml/acs"
	for _, d := range []struct {
		at       *string
		fallback string
	}{{&f.issuer, b.fake.EntityID}, {&f.audience, b.URL + "/saml/metadata"}, {&f.recipient, acs}, {&f.destination, acs}, {&f.class, classPPT}, {&f.mail, "ana@example.org"}, {&f.status, "Success"}} {
		if *d.at == "" {
			*d.at = d.fallback
		}
	}
	if f.name == "" {
		f.name = mailName(f.mail)
	}
	if f.signer == nil {
		f.signer = b.fake
	}
	if f.until == 0 {
		f.until = 5 * time.Minute
	}
	f.signer.t = t
	until := b.clock.now().Add(f.until).UTC().Format("2006-01-02T15:04:05Z")
	assertion := fmt.Sprintf(`<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="%s" IssueInstant="%s" Version="2.0"><saml:Issuer>%s</saml:Issuer>`+
		`<saml:Subject>%s<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><saml:SubjectConfirmationData InResponseTo="%s" NotOnOrAfter="%s" Recipient="%s"/></saml:SubjectConfirmation></saml:Subject>`+
		`<saml:Conditions NotOnOrAfter="%s"><saml:AudienceRestriction><saml:Audience>%s</saml:Audience></saml:AudienceRestriction>%s</saml:Conditions>`+
		`<saml:AuthnStatement AuthnInstant="%s" SessionIndex="there"><saml:AuthnContext><saml:AuthnContextClassRef>%s</saml:AuthnContextClassRef>%s</saml:AuthnContext></saml:AuthnStatement></saml:Assertion>`,
		newRequestID(), b.clock.instant(), f.issuer, f.name, f.to, until, f.recipient, until, f.audience, f.conditions, b.clock.instant(), f.class, f.context)
	if !f.whole && !f.bare {
		assertion = f.signer.SignXML(assertion)
	}
	switch {
	case f.status != "Success":
		assertion = ""
	case f.hide != nil:
		assertion = f.hide(assertion)
	}
	response := fmt.Sprintf(`<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" Destination="%s" ID="%s" InResponseTo="%s" IssueInstant="%s" Version="2.0"><saml:Issuer>%s</saml:Issuer><samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:%s"/></samlp:Status>%s%s</samlp:Response>`,
		f.destination, newRequestID(), f.to, b.clock.instant(), f.issuer, f.status, assertion, f.extra)
	if f.whole {
		response = f.signer.SignXML(response)
	}
	return response
}

// mailName is a NameID that is an e-mail address.
func mailName(mail string) string {
	return `<saml:NameID Format="urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion">` + mail + `</saml:NameID>`
}

// bring posts an answer to our assertion consumer service, as another site's page does.
func (b *broker) bring(c *Client, response string) *Page {
	return c.CrossPost("/saml/acs", url.Values{"SAMLResponse": {base64.StdEncoding.EncodeToString([]byte(response))}})
}
