package idptest

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"

	"gatehouse/idp/api"
)

// encryptionKey is what our metadata as a service provider says to encrypt to.
func (b *broker) encryptionKey(t *testing.T) *rsa.PublicKey {
	t.Helper()
	doc := etree.NewDocument()
	if err := doc.ReadFromString(b.browser(t).Get("/saml/sp-metadata").Body); err != nil {
		t.Fatal(err)
	}
	e := doc.FindElement("//SPSSODescriptor/KeyDescriptor[@use='encryption']//X509Certificate")
	if e == nil {
		t.Fatal("no key for encryption in the metadata")
	}
	der, err := base64.StdEncoding.DecodeString(e.Text())
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate.PublicKey.(*rsa.PublicKey)
}

// begin has a new browser choose the upstream; it returns the id of our request.
func (b *broker) begin(t *testing.T, sp *SP) (*Client, string) {
	t.Helper()
	c := b.browser(t)
	return c, asked(t, b.choose(t, c, sp, Ask{})).SelectAttrValue("ID", "")
}

func TestUpstreamEncrypted(t *testing.T) {
	t.Parallel()
	b := newForger(t, nil)
	sp := b.sp(t, "encrypted", nil)
	ours, stranger := b.encryptionKey(t), NewSP(t, "stranger")
	hide := func(to *rsa.PublicKey) func(string) string {
		return func(assertion string) string { return encryptInto(t, "EncryptedAssertion", assertion, to) }
	}
	hidden := hide(ours)
	good := map[string]forged{
		"signed, then encrypted":              {hide: hidden},
		"encrypted, then signed as a whole":   {hide: hidden, whole: true},
		"an encrypted name":                   {name: encryptID(t, mailName("ana@example.org"), ours)},
		"an encrypted name in what is so too": {name: encryptID(t, mailName("ana@example.org"), ours), hide: hidden},
	}
	for name, f := range good {
		t.Run(name, func(t *testing.T) {
			c, id := b.begin(t, sp)
			f.to = id
			if top, sub := b.bring(c, b.forge(t, f)).Response(t).Status(); top != "Success" {
				t.Errorf("%s %s, %+v", top, sub, b.Audit(t)[0])
			}
		})
	}
	cbc := func(assertion string) string {
		return strings.Replace(hidden(assertion), "2009/xmlenc11#aes128-gcm", "2001/04/xmlenc#aes128-cbc", 1)
	}
	bad := map[string]forged{
		"anybody can encrypt to us":        {hide: hidden, bare: true},
		"a stranger signed what is inside": {hide: hidden, signer: stranger},
		"a stranger signed the whole":      {hide: hidden, whole: true, signer: stranger},
		"to another's key":                 {hide: hide(&stranger.Key.PublicKey)},
		"CBC":                              {hide: cbc},
		"two inside": {hide: func(a string) string {
			return hidden(a + `<saml:Assertion ID="_x" Version="2.0"/>`)
		}},
		"the signed one inside another": {hide: func(a string) string {
			return hidden(strings.Replace(moved("<x>"+a+"</x>"), "<x>", "", 1))
		}},
		"one in clear beside it": {hide: func(a string) string { return a + hidden(a) }},
		"a document type inside": {hide: func(a string) string { return hidden("<!DOCTYPE x>" + a) }},
		"nothing inside":         {hide: func(string) string { return hidden("") }},
		"another audience":       {hide: hidden, audience: "https://other.example"},
		"two names":              {name: mailName("ana@example.org") + encryptID(t, mailName("bob@example.org"), ours)},
		"another's name":         {name: encryptID(t, mailName("ana@example.org"), &stranger.Key.PublicKey)},
	}
	for name, f := range bad {
		t.Run(name, func(t *testing.T) {
			c, id := b.begin(t, sp)
			f.to = id
			page := b.bring(c, b.forge(t, f))
			if page.Status != http.StatusBadRequest || b.Audit(t)[0].Reason != "upstream_answer" {
				t.Errorf("got %d, %+v", page.Status, b.Audit(t)[0])
			}
			if page := c.Get("/"); page.URL.Path != "/login" {
				t.Errorf("somebody is signed in: %s", page.URL)
			}
		})
	}
}

// TestUpstreamSpeaksForItsOwn: of several identity providers none may speak for the people of another.
func TestUpstreamSpeaksForItsOwn(t *testing.T) {
	t.Parallel()
	b := newForger(t, map[string]string{"domains": "uni.example.org,alumni.example.org", "create": "true", "profile": "Employees"})
	sp := b.sp(t, "several", nil)
	b.AddPerson(t, "uma", "Employees", func(n *api.NewUser) { n.Email = "uma@uni.example.org" })

	t.Run("the e-mail address of another domain", func(t *testing.T) {
		for _, mail := range []string{"ana@example.org", "ana@evil.uni.example.org", "new@example.org", "x@uni.example.org@example.org", "example.org"} {
			c, id := b.begin(t, sp)
			answer := b.bring(c, b.forge(t, forged{to: id, mail: mail})).Response(t)
			if _, sub := answer.Status(); sub != "AuthnFailed" {
				t.Errorf("%s: the status is %q, %+v", mail, sub, b.Audit(t)[1])
			}
		}
	})
	t.Run("one of its own", func(t *testing.T) {
		for _, mail := range []string{"uma@uni.example.org", "new@ALUMNI.example.org"} {
			c, id := b.begin(t, sp)
			if top, sub := b.bring(c, b.forge(t, forged{to: id, mail: mail})).Response(t).Status(); top != "Success" {
				t.Errorf("%s: %s %s", mail, top, sub)
			}
		}
	})
	t.Run("an answer of another upstream to this one's request", func(t *testing.T) {
		other := NewSP(t, "second")
		b.addUpstream(t, "second", idpMetadata(other), nil)
		c := b.browser(t)
		page := c.Get(sp.RedirectURL(b.sso, Ask{Instant: b.clock.instant()}))
		location := c.Post("/login/upstream/uni", url.Values{"flow": {page.Field("flow")}}).Header.Get("Location")
		id := asked(t, location).SelectAttrValue("ID", "")
		page = b.bring(c, b.forge(t, forged{to: id, issuer: other.EntityID, signer: other}))
		if page.Status != http.StatusBadRequest || b.Audit(t)[0].Reason != "upstream_answer" {
			t.Errorf("got %d, %+v", page.Status, b.Audit(t)[0])
		}
	})
	t.Run("an attribute with several values is not stepped over", func(t *testing.T) {
		c, id := b.begin(t, sp)
		mails := `</saml:AuthnStatement><saml:AttributeStatement><saml:Attribute Name="urn:oid:0.9.2342.19200300.100.1.3"><saml:AttributeValue>a@uni.example.org</saml:AttributeValue><saml:AttributeValue>b@uni.example.org</saml:AttributeValue></saml:Attribute><saml:Attribute Name="email"><saml:AttributeValue>uma@uni.example.org</saml:AttributeValue></saml:Attribute></saml:AttributeStatement></saml:Assertion>`
		unsigned := b.forge(t, forged{to: id, bare: true, name: `<saml:NameID Format="urn:oasis:names:tc:SAML:2.0:nameid-format:transient">x</saml:NameID>`})
		answer := b.bring(c, b.fake.SignXML(strings.Replace(unsigned, `</saml:AuthnStatement></saml:Assertion>`, mails, 1))).Response(t)
		if _, sub := answer.Status(); sub != "AuthnFailed" || b.Audit(t)[1].Reason != "upstream_name" {
			t.Errorf("the status is %q, %+v", sub, b.Audit(t)[1])
		}
	})
}

// TestUpstreamNearlyTheSame: who is called nearly as somebody here is not that person, also where the difference is a blank alone.
func TestUpstreamNearlyTheSame(t *testing.T) {
	t.Parallel()
	b := newForger(t, map[string]string{"match": "username"})
	sp := b.sp(t, "named", nil)
	for name, reason := range map[string]string{"ana": "", "ANA": "", "ana ": "upstream_name", "\u00a0ana": "upstream_name", "&#9;ana": "upstream_name", "\uff41na": "upstream_name"} {
		t.Run(strconv.QuoteToASCII(name), func(t *testing.T) {
			c, id := b.begin(t, sp)
			attribute := `</saml:AuthnStatement><saml:AttributeStatement><saml:Attribute Name="uid"><saml:AttributeValue>` + name + `</saml:AttributeValue></saml:Attribute></saml:AttributeStatement></saml:Assertion>`
			unsigned := b.forge(t, forged{to: id, bare: true})
			top, _ := b.bring(c, b.fake.SignXML(strings.Replace(unsigned, `</saml:AuthnStatement></saml:Assertion>`, attribute, 1))).Response(t).Status()
			if got := b.Audit(t)[1].Reason; (top == "Success") != (reason == "") || reason != "" && got != reason {
				t.Errorf("%s, %s", top, got)
			}
		})
	}
}

// TestUpstreamRollover: an upstream's next key is believed from the look that finds it, its old one until the look that misses it, and
// none past the end of its metadata.
func TestUpstreamRollover(t *testing.T) {
	t.Parallel()
	b := &broker{world: newWorld(t)}
	url, text := published(t)
	first, second := b.newSP(t, "uni"), b.newSP(t, "uni")
	next := NewSP(t, "next")
	second.Key, second.DER = next.Key, next.DER
	publish := func(keys ...*SP) {
		descriptor := string(idpMetadata(first))
		own, all := keyDescriptor("signing", first.DER, ""), ""
		for _, key := range keys {
			all += keyDescriptor("signing", key.DER, "")
		}
		end := b.clock.now().Add(time.Hour).UTC().Format(time.RFC3339)
		text.Store(new(strings.Replace(strings.Replace(descriptor, own, all, 1), "<EntityDescriptor", `<EntityDescriptor validUntil="`+end+`"`, 1)))
	}
	b.fake = first
	publish(first)
	if _, err := b.API.AddUpstream(t.Context(), api.NewUpstream{Name: "uni", URL: url, Set: map[string]string{"level": "standard"}}); err != nil {
		t.Fatal(err)
	}
	sp := b.sp(t, "rolling", nil)
	try := func(key *SP, want int) {
		t.Helper()
		c, id := b.begin(t, sp)
		if page := b.bring(c, b.forge(t, forged{to: id, signer: key})); page.Status != want {
			t.Errorf("got %d, want %d, %+v", page.Status, want, b.Audit(t)[0])
		}
	}
	look := func(keys ...*SP) {
		t.Helper()
		publish(keys...)
		if _, err := b.API.RefreshUpstream(t.Context(), "uni"); err != nil {
			t.Fatal(err)
		}
		if entry := b.Audit(t)[0]; entry.Kind != "upstream.refresh" || !strings.Contains(entry.Facts["changed"], "key") {
			t.Errorf("the audit has %+v", entry)
		}
	}
	try(first, http.StatusOK)
	try(second, http.StatusBadRequest)
	look(first, second)
	try(first, http.StatusOK)
	try(second, http.StatusOK)
	look(second)
	try(first, http.StatusBadRequest)
	try(second, http.StatusOK)
	b.clock.advance(2 * time.Hour)
	if page := b.browser(t).Get("/login"); strings.Contains(page.Body, "/login/upstream/uni") {
		t.Error("it is offered past the end of its metadata")
	}
}
