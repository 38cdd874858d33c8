package idptest

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// repeats: what the request chose comes back as it was chosen.
func (w *world) repeats(t *testing.T, plain *SP) {
	issue := func(t *testing.T, ask Ask) *Response {
		ask.ID = newRequestID()
		return w.check(t, w.send(t, w.ana(t), plain, ask, false), plain, ask, issued())
	}
	const name, class = "./Assertion/Subject/NameID", "./Assertion/AuthnStatement/AuthnContext/AuthnContextClassRef"
	for _, format := range []string{formatPersistent, formatTransient, formatEmail} {
		t.Run("REQ-27 REQ-34 "+lastPart(format), func(t *testing.T) {
			r := issue(t, policy(`Format="`+format+`" SPNameQualifier="`+plain.EntityID+`"`))
			if got := r.Attr(name, "Format"); got != format {
				t.Errorf("Format %s, want %s", got, format)
			}
			if got := r.Attr(name, "SPNameQualifier"); got != plain.EntityID {
				t.Errorf("SPNameQualifier %s, want %s", got, plain.EntityID)
			}
		})
	}
	t.Run("REQ-28 unspecified leaves the choice to us", func(t *testing.T) {
		if got := issue(t, policy(`Format="`+formatUnspecified+`"`)).Attr(name, "Format"); got != formatPersistent {
			t.Errorf("Format %s, want %s", got, formatPersistent)
		}
	})
	w.metadataFormats(t)
	for _, c := range []struct {
		name string
		ask  Ask
		want string
	}{
		{"REQ-42 a password session says so", Ask{}, classPPT},
		{"REQ-35 the class that was asked for", classes("exact", classPPT), classPPT},
		{"REQ-39 the first listed class that is true", classes("exact", classX509, classPPT), classPPT},
		{"REQ-43 unspecified", classes("exact", classNone), classNone},
		{"REQ-44 REFEDS SFA", classes("exact", refedsSFA), refedsSFA},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := issue(t, c.ask).Text(class); got != c.want {
				t.Errorf("class %s, want %s", got, c.want)
			}
		})
	}
	t.Run("BND-24 versions", func(t *testing.T) {
		for version, nested := range map[string]string{"3.0": "RequestVersionTooHigh", "2.1": "RequestVersionTooHigh", "1.1": "RequestVersionTooLow"} {
			message, ask := w.request(plain, Ask{})
			page := w.raw(t, redirectQuery(t, strings.Replace(message, `Version="2.0"`, `Version="`+version+`"`, 1)))
			w.check(t, page, plain, ask, there("wrong_version", "VersionMismatch", nested))
		}
	})
}

// metadataFormats: a request that leaves the format open gets the app's setting, else the first of its metadata that is known.
func (w *world) metadataFormats(t *testing.T) {
	const formats = `<NameIDFormat>urn:example:unknown</NameIDFormat><NameIDFormat>` + formatEmail + `</NameIDFormat><NameIDFormat>` + formatTransient + `</NameIDFormat>`
	for _, c := range []struct {
		name     string
		settings map[string]string
		want     string
	}{
		{"REQ-28 MDC-16 the first known format of the metadata", nil, formatEmail},
		{"REQ-28 the app's setting before its metadata", map[string]string{"saml.nameid_format": "transient"}, formatTransient},
	} {
		t.Run(c.name, func(t *testing.T) {
			sp := w.newSP(t, fmt.Sprintf("formats-%d", len(c.settings)))
			w.AddApp(t, metadataWith(sp, "", formats+acsAt(bindingPost, sp.ACS[0], 0, "")), c.settings)
			for _, ask := range []Ask{{}, policy(`Format="` + formatUnspecified + `"`)} {
				if got := w.issue(t, w.ana(t), sp, ask).Attr(pathNameID, "Format"); got != c.want {
					t.Errorf("Format %s, want %s", got, c.want)
				}
			}
		})
	}
}

// signingKeys: every key that the metadata lists for signing may sign, whatever its certificate says; no other.
func (w *world) signingKeys(t *testing.T) {
	one, two, three, four := spIdentity(), NewSP(t, "k2"), NewSP(t, "k3"), NewSP(t, "k4")
	two.DER = oddCertificate(t, two)
	sp := w.newSP(t, "keys")
	sp.Signed = true
	w.AddApp(t, metadataWith(sp, `AuthnRequestsSigned="true"`, keyDescriptor("signing", one.DER, "")+keyDescriptor("signing", two.DER, "")+
		keyDescriptor("", three.DER, "")+keyDescriptor("encryption", four.DER, "")+acsAt(bindingPost, sp.ACS[0], 0, "")), map[string]string{"saml.encrypt": "never"})
	for _, c := range []struct {
		name string
		key  *SP
		want outcome
	}{
		{"REQ-06 the first key", one, issued()},
		{"REQ-06 REQ-07 the second key, its certificate expired and for another use", two, issued()},
		{"REQ-06 CRY-19 the key without use", three, issued()},
		{"REQ-06 the key for encryption only", four, here("bad_signature")},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, post := range []bool{false, true} {
				signer := *sp
				signer.Key, signer.DER = c.key.Key, c.key.DER
				ask := Ask{ID: newRequestID()}
				w.check(t, w.send(t, w.ana(t), &signer, ask, post), &signer, ask, c.want)
			}
		})
	}
}

// oddCertificate is an expired certificate for encryption by an issuer that nobody knows.
func oddCertificate(t *testing.T, sp *SP) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "old"}, KeyUsage: x509.KeyUsageDataEncipherment,
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(86400, 0)}
	issuer := &x509.Certificate{SerialNumber: big.NewInt(8), Subject: pkix.Name{CommonName: "nobody"}}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, sp.Key.Public(), NewSP(t, "ca").Key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

const (
	oidMail  = "urn:oid:0.9.2342.19200300.100.1.3"
	oidUID   = "urn:oid:0.9.2342.19200300.100.1.1"
	oidGiven = "urn:oid:2.5.4.42"
	oidGroup = "urn:oid:1.3.6.1.4.1.5923.1.5.1.1"
	oidName  = "urn:oid:2.16.840.1.113730.3.1.241"
)

// attributeSets: AttributeConsumingServiceIndex chooses what is released.
func (w *world) attributeSets(t *testing.T) {
	sp := w.newSP(t, "sets")
	service := func(index int, names ...string) string {
		list := ""
		for _, name := range names {
			list += `<RequestedAttribute Name="` + name + `" NameFormat="urn:oasis:names:tc:SAML:2.0:attrname-format:uri" isRequired="true"/>`
		}
		return fmt.Sprintf(`<AttributeConsumingService index="%d"><ServiceName xml:lang="en">s</ServiceName>%s</AttributeConsumingService>`, index, list)
	}
	w.AddApp(t, metadataWith(sp, "", acsAt(bindingPost, sp.ACS[0], 0, "")+service(1, oidMail)+service(2, oidUID, "urn:oid:1.2.3")), nil)
	for _, c := range []struct {
		name, index string
		want        []string
	}{
		{"REQ-56 MDC-16 the first set", "1", []string{oidMail}},
		{"REQ-56 REQ-58 the second set, one of it nobody has", "2", []string{oidUID}},
		{"REQ-57 an unknown index: the default release", "99", []string{oidUID, oidMail, oidName, oidGiven, "urn:oid:2.5.4.4"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ask := Ask{ID: newRequestID(), Attributes: `AttributeConsumingServiceIndex="` + c.index + `"`}
			r := w.check(t, w.send(t, w.ana(t), sp, ask, false), sp, ask, issued())
			if got := attributeNames(r); !slices.Equal(got, c.want) {
				t.Errorf("released %v, want %v", got, c.want)
			}
		})
	}
	var bad []row
	for _, index := range []string{"-1", "", "x", "65536"} {
		bad = append(bad, row{name: "REQ-57 index " + index, sp: sp, ask: Ask{Attributes: `AttributeConsumingServiceIndex="` + index + `"`}, want: there("invalid_request", "Requester", "")})
	}
	w.rows(t, bad)
}

func attributeNames(r *Response) []string {
	var names []string
	for _, a := range r.Root.FindElements("./Assertion/AttributeStatement/Attribute") {
		names = append(names, a.SelectAttrValue("Name", ""))
	}
	return names
}

// signInPage: nothing that a request says is trusted on it, and it tells nobody who has an account.
func (w *world) signInPage(t *testing.T, sp *SP) {
	page := func(t *testing.T, ask Ask) *Page { return w.send(t, w.browser(t), sp, ask, false) }
	t.Run("REQ-59 ProviderName is not the app's name", func(t *testing.T) {
		body := page(t, Ask{Attributes: `ProviderName="&lt;script&gt;Your Bank&lt;/script&gt;"`}).Body
		if strings.Contains(body, "Your Bank") || !strings.Contains(body, "plain.example.org") {
			t.Errorf("the page does not name the registered app, or names another:\n%s", body)
		}
	})
	t.Run("REQ-49 a Subject prefills and tells nothing", func(t *testing.T) {
		hint := func(name string) *Page {
			return page(t, subject(`<saml:NameID Format="`+formatEmail+`">`+name+`@example.org</saml:NameID>`))
		}
		known, unknown := hint("ana"), hint("nobody")
		if known.Field("name") != "ana@example.org" || unknown.Field("name") != "nobody@example.org" {
			t.Errorf("prefilled with %q and %q", known.Field("name"), unknown.Field("name"))
		}
		same := func(p *Page, name string) string {
			for _, varying := range []string{p.Field("flow"), name} {
				p.Body = strings.ReplaceAll(p.Body, varying, "")
			}
			return nonces.ReplaceAllString(p.Body, "")
		}
		if a, b := same(known, "ana@example.org"), same(unknown, "nobody@example.org"); a != b {
			t.Errorf("the pages differ:\n%s\n%s", a, b)
		}
	})
	t.Run("REQ-46 another person signs in than the Subject", func(t *testing.T) {
		ask := subject(`<saml:NameID Format="` + formatEmail + `">bob@example.org</saml:NameID>`)
		ask.Body += `<samlp:NameIDPolicy Format="` + formatEmail + `"/>`
		ask.ID = newRequestID()
		c := w.browser(t)
		w.check(t, c.SignIn(w.send(t, c, sp, ask, false), "ana", Password), sp, ask, there("unknown_principal", "Responder", "UnknownPrincipal"))
	})
	t.Run("REQ-62 the person gives up", func(t *testing.T) {
		ask := Ask{ID: newRequestID(), RelayState: new("r")}
		c := w.browser(t)
		form := w.send(t, c, sp, ask, false)
		w.check(t, c.Post("/login", url.Values{"flow": {form.Field("flow")}, "cancel": {"1"}}), sp, ask, there("cancelled", "Responder", "AuthnFailed"))
	})
}

var nonces = regexp.MustCompile(`nonce="[^"]*"`)

// anotherPerson: whoever answers ForceAuthn is the only person in answer and session.
func (w *world) anotherPerson(t *testing.T, sp *SP) {
	c := w.signedIn(t, "ana")
	old := c.SessionCookie()
	ask := Ask{ID: newRequestID(), Attributes: `ForceAuthn="true"`, Body: `<samlp:NameIDPolicy Format="` + formatEmail + `"/>`}
	r := w.check(t, c.SignIn(w.send(t, c, sp, ask, false), "bob", Password), sp, ask, issued())
	if name, mail := r.Text("./Assertion/Subject/NameID"), r.Attribute(oidMail); name != "bob@example.org" || !slices.Equal(mail, []string{name}) {
		t.Errorf("the answer is about %s with %v", name, mail)
	}
	ask = Ask{ID: newRequestID(), Body: ask.Body}
	if r := w.check(t, w.send(t, c, sp, ask, false), sp, ask, issued()); r.Text("./Assertion/Subject/NameID") != "bob@example.org" {
		t.Errorf("the session is %s's", r.Text("./Assertion/Subject/NameID"))
	}
	before := w.browser(t)
	before.AddCookie(old)
	if rest := before.Get("/"); rest.URL.Path != "/login" {
		t.Errorf("ana's session outlived bob's sign-in: it rests at %s", rest.URL)
	}
}

// allowCreate: a person whom the app does not know is not introduced against its will.
func (w *world) allowCreate(t *testing.T) {
	sp := w.sp(t, "links", nil)
	ask := func(create string) Ask {
		a := policy(`Format="` + formatPersistent + `" AllowCreate="` + create + `"`)
		a.ID = newRequestID()
		return a
	}
	first := ask("false")
	w.check(t, w.send(t, w.ana(t), sp, first, false), sp, first, there("invalid_nameid_policy", "Requester", "InvalidNameIDPolicy"))
	second, third := ask("true"), ask("false")
	made := w.check(t, w.send(t, w.ana(t), sp, second, false), sp, second, issued())
	known := w.check(t, w.send(t, w.ana(t), sp, third, false), sp, third, issued())
	const name = "./Assertion/Subject/NameID"
	if made.Text(name) == "" || made.Text(name) != known.Text(name) {
		t.Errorf("names %q and %q", made.Text(name), known.Text(name))
	}
}

// getComplete: an IDPList that is to be completed elsewhere is judged by what it says here. The test may fetch loopback.
func (w *world) getComplete(t *testing.T, sp *SP) {
	var fetched atomic.Int32
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { fetched.Add(1) }))
	defer trap.Close()
	list := func(entry string) Ask {
		return Ask{ID: newRequestID(), Body: `<samlp:Scoping><samlp:IDPList>` + entry + `<samlp:GetComplete>` + trap.URL + `</samlp:GetComplete></samlp:IDPList></samlp:Scoping>`}
	}
	others, ours := list(`<samlp:IDPEntry ProviderID="https://other.example"/>`), list(`<samlp:IDPEntry ProviderID="`+w.URL+`/saml/metadata"/>`)
	w.check(t, w.send(t, w.ana(t), sp, others, false), sp, others, there("no_supported_idp", "Requester", "NoSupportedIDP"))
	w.check(t, w.send(t, w.ana(t), sp, ours, false), sp, ours, issued())
	if fetched.Load() > 0 {
		t.Error("GetComplete was fetched")
	}
}
