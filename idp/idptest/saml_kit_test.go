package idptest

import (
	"bytes"
	"compress/flate"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/idp/api"
)

// The tests of saml_*_test.go send sign-ons to a whole server over the wire, one subtest for each row of
// saml-requirements.md, named by the row. docs/conformance.md is written from the names; what no test proves is in
// testdata/conformance/leftout.tsv.

// world is one server with people, shared by the rows of a section.
type world struct {
	*Server
	xml     *XML
	clock   *clock
	idp     []byte // metadata of the identity provider
	cert    []byte // its certificate, PEM
	sso     string
	person  *Client // ana, signed in
	sent    []*Response
	address atomic.Uint32
}

// clock is the time that the server sees: the true one, moved.
type clock struct {
	moved  atomic.Int64
	stands atomic.Int64 // the true time at which it was stopped, in nanoseconds of Unix; 0 while it goes
}

func (c *clock) now() time.Time {
	at := time.Now()
	if stopped := c.stands.Load(); stopped != 0 {
		at = time.Unix(0, stopped)
	}
	return at.Add(time.Duration(c.moved.Load()))
}

// stand stops the clock until goOn, so that what is bounded in a time is counted in one, however slow the machine; advance still works.
func (c *clock) stand() (goOn func()) {
	c.stands.Store(time.Now().UnixNano())
	return func() { c.stands.Store(0) }
}

func (c *clock) advance(d time.Duration) { c.moved.Add(int64(d)) }

// instant is now as a request writes it.
func (c *clock) instant() string { return c.now().UTC().Format("2006-01-02T15:04:05Z") }

func newWorld(t *testing.T) *world { return newWorldOf(t, Options{}) }

// newWorldOf is newWorld with other options; without Proxies all of loopback is trusted.
func newWorldOf(t *testing.T, o Options) *world {
	t.Helper()
	w := &world{xml: NewXML(t), clock: &clock{}}
	if o.Now = w.clock.now; o.Proxies == nil {
		o.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	}
	w.Server = Start(t, o)
	w.sso = w.URL + "/saml/sso"
	w.AddPerson(t, "ana", "Employees")
	w.AddPerson(t, "bob", "Contractors")
	var err error
	if w.idp, err = w.API.Metadata(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	w.cert = []byte(w.browser(t).Get("/saml/certificate.pem").Body)
	w.person = w.signedIn(t, "ana")
	return w
}

// manyHops gives each request an address of its own, so that the bounds for strangers do not fold what the rows look for.
type manyHops struct{ next *atomic.Uint32 }

func (m manyHops) RoundTrip(r *http.Request) (*http.Response, error) {
	n := m.next.Add(1)
	return oneHop(fmt.Sprintf("10.%d.%d.%d", byte(n>>16), byte(n>>8), byte(n))).RoundTrip(r)
}

// oneHop sends every request from one address.
type oneHop string

func (o oneHop) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Forwarded-For", string(o))
	return http.DefaultTransport.RoundTrip(r)
}

// browser is a fresh browser.
func (w *world) browser(t *testing.T) *Client {
	c := w.NewClient(t)
	c.http.Transport = manyHops{&w.address}
	return c
}

// ana is the browser in which ana is signed in.
func (w *world) ana(t *testing.T) *Client {
	w.person.t = t
	return w.person
}

func (w *world) signedIn(t *testing.T, name string) *Client {
	t.Helper()
	c := w.browser(t)
	if page := c.SignIn(c.Get("/login"), name, Password); page.Status != http.StatusOK || page.URL.Path != "/" {
		t.Fatalf("sign-in of %s rests at %s with %d:\n%s", name, page.URL, page.Status, page.Body)
	}
	return c
}

// spIdentity has a key that is no other party's of any test.
var spIdentity = sync.OnceValue(func() *SP {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return spWith(discard{}, "shared", key)
})

// discard lets a key be made outside a test.
type discard struct{ testing.TB }

func (discard) Helper() {}

// newSP is a service provider that is not registered; all share one key, because making one is slow.
func (w *world) newSP(t *testing.T, name string) *SP {
	sp := *spIdentity()
	base := "https://" + name + ".example.org"
	sp.EntityID, sp.ACS, sp.t = base+"/saml", []string{base + "/acs"}, t
	sp.now = w.clock.now
	return &sp
}

// sp is a registered service provider.
func (w *world) sp(t *testing.T, name string, settings map[string]string) *SP {
	t.Helper()
	sp := w.newSP(t, name)
	w.AddApp(t, sp.Metadata(), settings)
	return sp
}

// signing is a registered service provider that must sign.
func (w *world) signing(t *testing.T, name string) *SP {
	t.Helper()
	sp := w.newSP(t, name)
	sp.Signed = true
	w.AddApp(t, sp.Metadata(), nil)
	return sp
}

// metadataWith describes a service provider by the content of its role.
func metadataWith(sp *SP, attributes, content string) []byte {
	return fmt.Appendf(nil, `<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" xmlns:ds="http://www.w3.org/2000/09/xmldsig#" entityID="%s"><SPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol" %s>%s</SPSSODescriptor></EntityDescriptor>`, sp.EntityID, attributes, content)
}

const (
	bindingPost     = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
	bindingRedirect = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
	bindingArtifact = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Artifact"
	bindingPAOS     = "urn:oasis:names:tc:SAML:2.0:bindings:PAOS"
)

// acsAt is one AssertionConsumerService.
func acsAt(binding, location string, index int, more string) string {
	return fmt.Sprintf(`<AssertionConsumerService Binding="%s" Location="%s" index="%d" %s/>`, binding, location, index, more)
}

// keyDescriptor is a certificate for a use, empty for both, with what follows it.
func keyDescriptor(use string, der []byte, methods string) string {
	if use != "" {
		use = ` use="` + use + `"`
	}
	return `<KeyDescriptor` + use + `><ds:KeyInfo><ds:X509Data><ds:X509Certificate>` + base64.StdEncoding.EncodeToString(der) +
		`</ds:X509Certificate></ds:X509Data></ds:KeyInfo>` + methods + `</KeyDescriptor>`
}

func deflated(t *testing.T, message string, level int) []byte {
	t.Helper()
	var b bytes.Buffer
	f, err := flate.NewWriter(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte(message)); err != nil {
		t.Fatal(err)
	}
	f.Close()
	return b.Bytes()
}

// redirectQuery is a message as the parameter of HTTP-Redirect.
func redirectQuery(t *testing.T, message string) string {
	return "SAMLRequest=" + url.QueryEscape(base64.StdEncoding.EncodeToString(deflated(t, message, flate.BestCompression)))
}

// postOf is a message as the form of HTTP-POST.
func postOf(message string) url.Values {
	return url.Values{"SAMLRequest": {base64.StdEncoding.EncodeToString([]byte(message))}}
}

// set changes settings of an app.
func (w *world) set(t *testing.T, sp *SP, pairs ...string) {
	t.Helper()
	change := api.Change{Set: map[string]string{}, Force: true}
	for i := 0; i+1 < len(pairs); i += 2 {
		change.Set[pairs[i]] = pairs[i+1]
	}
	if _, err := w.API.SetApp(t.Context(), sp.EntityID, change); err != nil {
		t.Fatal(err)
	}
}
