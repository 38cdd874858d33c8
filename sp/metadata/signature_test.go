package metadata

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
)

// signer is a key of a metadata source with its certificate.
type signer struct {
	key crypto.Signer
	der []byte
}

func newSigner(t testing.TB, key crypto.Signer) *signer {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now, NotAfter: now.AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{key, der}
}

func rsaSigner(t testing.TB) *signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return newSigner(t, key)
}

// sign puts an enveloped signature of goxmldsig first into the root.
func (s *signer) sign(t testing.TB, source string, form dsig.Canonicalizer, method string) string {
	t.Helper()
	doc := etree.NewDocument()
	if err := doc.ReadFromString(source); err != nil {
		t.Fatal(err)
	}
	context, err := dsig.NewSigningContext(s.key, [][]byte{s.der})
	if err != nil {
		t.Fatal(err)
	}
	context.Canonicalizer = form
	if err := context.SetSignatureMethod(method); err != nil {
		t.Fatal(err)
	}
	signature, err := context.ConstructSignature(doc.Root(), true)
	if err != nil {
		t.Fatal(err)
	}
	doc.Root().InsertChildAt(0, signature)
	out, err := doc.WriteToString()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

const groupOfTwo = `<?xml version="1.0" encoding="UTF-8"?>
<!-- a comment is not signed -->
<md:EntitiesDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" xmlns:unused="urn:unused" xmlns:xs="http://www.w3.org/2001/XMLSchema" ID="_group" validUntil="2026-12-01T00:00:00Z" cacheDuration="PT6H">
 <md:EntitiesDescriptor Name="a&amp;b" validUntil="2026-11-30T00:00:00Z">
  <md:EntityDescriptor entityID="https://one.example/sp?a=1&amp;b=2"><md:SPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
   <!-- nor is this one -->
   <md:AssertionConsumerService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="https://one.example/acs" index="0"></md:AssertionConsumerService>
  </md:SPSSODescriptor><md:Organization><md:OrganizationName xml:lang="de">Müller &lt;&gt; &quot;x&quot; <![CDATA[<cdata> &]]></md:OrganizationName></md:Organization></md:EntityDescriptor>
 </md:EntitiesDescriptor>
 <EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="https://two.example/sp"><SPSSODescriptor xmlns:z="urn:z" z:b="2" protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
   <AssertionConsumerService index="0" Location="https://two.example/acs" Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"/>
 </SPSSODescriptor></EntityDescriptor>
</md:EntitiesDescriptor>
`

func codeOf(err error) string {
	var known *Error
	if errors.As(err, &known) {
		if known.Code == "" {
			return known.Reason
		}
		return known.Code
	}
	return fmt.Sprint(err)
}

func TestVerify(t *testing.T) {
	key, other := rsaSigner(t), rsaSigner(t)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec := newSigner(t, curve)
	exclusive := dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	good := key.sign(t, groupOfTwo, exclusive, dsig.RSASHA256SignatureMethod)
	bare := strings.Replace(groupOfTwo, ` ID="_group"`, "", 1)
	inner := func() string {
		one := key.sign(t, `<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" ID="_one" entityID="https://one.example/sp"></md:EntityDescriptor>`, exclusive, dsig.RSASHA256SignatureMethod)
		return `<md:EntitiesDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" ID="_group">` + one + `</md:EntitiesDescriptor>`
	}()
	signature := good[strings.Index(good, "<ds:Signature "):strings.Index(good, "</ds:Signature>")] + "</ds:Signature>"
	for _, c := range []struct {
		name, source, want string
		keys               []crypto.PublicKey
	}{
		{"exclusive", good, "", nil},
		{"one of several keys", good, "", []crypto.PublicKey{other.key.Public(), ec.key.Public(), key.key.Public()}},
		{"exclusive with SHA-512", key.sign(t, groupOfTwo, exclusive, dsig.RSASHA512SignatureMethod), "", nil},
		{"inclusive", key.sign(t, groupOfTwo, dsig.MakeC14N11Canonicalizer(), dsig.RSASHA384SignatureMethod), "", nil},
		{"inclusive 1.0", key.sign(t, groupOfTwo, dsig.MakeC14N10RecCanonicalizer(), dsig.RSASHA256SignatureMethod), "", nil},
		{"a root without ID", key.sign(t, bare, exclusive, dsig.RSASHA256SignatureMethod), "", nil},
		{"another comment", strings.Replace(good, "<md:Organization>", "<md:Organization><!-- x -->", 1), "", nil},
		{"wrong key", good, CodeWrongKey, []crypto.PublicKey{other.key.Public()}},
		{"key of another kind", good, CodeWrongKey, []crypto.PublicKey{ec.key.Public()}},
		{"no key", good, CodeWrongKey, []crypto.PublicKey{}},
		{"unsigned", groupOfTwo, CodeUnsigned, nil},
		{"only an entity inside is signed", inner, CodeUnsigned, nil},
		{"changed text", strings.Replace(good, "Müller", "Mueller", 1), CodeDigest, nil},
		{"changed attribute", strings.Replace(good, "https://two.example/acs", "https://evil.example/acs", 1), CodeDigest, nil},
		{"changed end of the root", strings.Replace(good, "2026-12-01", "2036-12-01", 1), CodeDigest, nil},
		{"an entity more", strings.Replace(good, "</md:EntitiesDescriptor>", `<md:EntityDescriptor entityID="x"/></md:EntitiesDescriptor>`, 1), CodeDigest, nil},
		{"wrapped into another root", `<md:EntitiesDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" ID="_evil">` + signature + strings.TrimPrefix(good[strings.Index(good, "?>")+2:], "\n") + `</md:EntitiesDescriptor>`, CodeWrapped, nil},
		{"wrapped with the same ID", `<md:EntitiesDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" ID="_group">` + signature + `<md:EntityDescriptor entityID="https://evil.example"/></md:EntitiesDescriptor>`, CodeDigest, nil},
		{"two signatures", strings.Replace(good, "</ds:Signature>", "</ds:Signature>"+signature, 1), CodeWrapped, nil},
		{"SHA-1 signature", key.sign(t, groupOfTwo, exclusive, dsig.RSASHA1SignatureMethod), CodeAlgorithm, nil},
		{"SHA-1 digest", strings.Replace(good, "xmlenc#sha256", "xmldsig#sha1", 1), CodeAlgorithm, nil},
		{"HMAC with the key as its secret", strings.Replace(good, "#rsa-sha256", "#hmac-sha256", 1), CodeAlgorithm, nil},
		{"canonical form with comments", key.sign(t, groupOfTwo, dsig.MakeC14N10ExclusiveWithCommentsCanonicalizerWithPrefixList(""), dsig.RSASHA256SignatureMethod), CodeAlgorithm, nil},
		{"no enveloped transform", strings.Replace(good, "#enveloped-signature", "#base64", 1), CodeWrapped, nil},
		{"DOCTYPE", strings.Replace(good, "<md:EntitiesDescriptor", "<!DOCTYPE x [<!ENTITY a \"b\">]><md:EntitiesDescriptor", 1), "a DOCTYPE is not allowed in metadata; remove it", nil},
		{"processing instruction", strings.Replace(good, "<md:Organization>", "<md:Organization><?x y?>", 1), `the processing instruction "x" is not allowed in metadata; remove it`, nil},
		{"cut off", good[:len(good)-30], "the XML is broken: unexpected EOF; export the metadata again", nil},
		{"empty", "", "the document breaks off; fetch it again", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			keys := c.keys
			if keys == nil {
				keys = []crypto.PublicKey{key.key.Public()}
			}
			err := Verify(iotest.HalfReader(strings.NewReader(c.source)), keys)
			if got := codeOf(err); err == nil && c.want != "" || err != nil && got != c.want {
				t.Errorf("got %q, want %q (%v)", got, c.want, err)
			}
		})
	}
}

// TestVerifyXMLSec checks documents that xmlsec1 signed in every form that is understood, and that one changed letter breaks each.
func TestVerifyXMLSec(t *testing.T) {
	text, err := os.ReadFile("../../testdata/signed/certificate.pem")
	if err != nil {
		t.Fatal(err)
	}
	pinned, err := PinnedKeys(text)
	if err != nil {
		t.Fatal(err)
	}
	key, err := pinned[0].Public()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"exclusive", "exclusive-prefixes", "inclusive", "inclusive-11", "no-transform"} {
		source, err := os.ReadFile("../../testdata/signed/" + name + ".xml")
		if err != nil {
			t.Fatal(err)
		}
		if err := Verify(bytes.NewReader(source), []crypto.PublicKey{key}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		changed := bytes.Replace(source, []byte("two.example/acs"), []byte("twx.example/acs"), 1)
		if got := codeOf(Verify(bytes.NewReader(changed), []crypto.PublicKey{key})); got != CodeDigest {
			t.Errorf("%s, changed: %s", name, got)
		}
	}
}

func TestEntities(t *testing.T) {
	var ids []string
	document, err := Entities(strings.NewReader(groupOfTwo), Options{Now: now}, func(r Result) error {
		ids = append(ids, r.Metadata.EntityID+" "+r.Metadata.ValidUntil.Format(time.DateOnly))
		return nil
	})
	want := "[https://one.example/sp?a=1&b=2 2026-11-30 https://two.example/sp 0001-01-01]"
	if err != nil || fmt.Sprint(ids) != want || document.Entities != 2 || document.Taken != 2 || document.CacheDuration != 6*time.Hour || document.Single {
		t.Errorf("%v %v %+v", err, ids, document)
	}
	for name, source := range map[string]string{
		"a bad address is left out":                    strings.Replace(groupOfTwo, "https://one.example/acs", "javascript:alert(1)", 1),
		"plain http is left out":                       strings.Replace(groupOfTwo, "https://one.example/acs", "http://one.example/acs", 1),
		"an expired role is left out":                  strings.Replace(groupOfTwo, `<md:SPSSODescriptor `, `<md:SPSSODescriptor validUntil="2026-11-01T00:00:00Z" `, 1),
		"an entity with too many elements is left out": strings.Replace(groupOfTwo, "<md:Organization>", strings.Repeat("<x/>", maxElements)+"<md:Organization>", 1),
	} {
		taken := 0
		document, err := Entities(strings.NewReader(source), Options{Now: now}, func(Result) error { taken++; return nil })
		if err != nil || taken != 1 || document.Left != 1 || len(document.Reasons) != 1 {
			t.Errorf("%s: %v %+v", name, err, document)
		}
	}
	for name, source := range map[string]string{
		"DOCTYPE":             `<!DOCTYPE lolz [<!ENTITY lol "lol">]>` + groupOfTwo,
		"an entity bomb":      strings.Replace(groupOfTwo, "Müller", "&lol;", 1),
		"nested for ever":     strings.Repeat(`<md:EntitiesDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata">`, 40),
		"a text of 3 MiB":     strings.Replace(groupOfTwo, "Müller", strings.Repeat("x", 3<<20), 1),
		"cut off":             groupOfTwo[:900],
		"a web page":          "<html></html>",
		"nothing":             "",
		"two documents":       groupOfTwo + groupOfTwo[strings.Index(groupOfTwo, "<md:"):],
		"a bad validUntil":    strings.Replace(groupOfTwo, "2026-12-01T00", "soon", 1),
		"a bad cacheDuration": strings.Replace(groupOfTwo, "PT6H", "6 hours", 1),
	} {
		if _, err := Entities(strings.NewReader(source), Options{Now: now}, func(Result) error { return nil }); err == nil {
			t.Errorf("%s is read", name)
		}
	}
}

func TestCheckEnd(t *testing.T) {
	for _, c := range []struct {
		end  time.Time
		most time.Duration
		want string
	}{
		{now.AddDate(0, 0, 14), 30 * 24 * time.Hour, ""},
		{now.Add(-179 * time.Second), 30 * 24 * time.Hour, ""},
		{now.Add(-181 * time.Second), 30 * 24 * time.Hour, CodeExpired},
		{now.Add(-181 * time.Second), 0, CodeExpired},
		{time.Time{}, 30 * 24 * time.Hour, CodeNoEnd},
		{time.Time{}, 0, ""},
		{now.AddDate(1, 0, 0), 30 * 24 * time.Hour, CodeTooLong},
		{now.AddDate(1, 0, 0), 0, ""},
	} {
		d := Document{ValidUntil: c.end}
		if err := d.CheckEnd(now, c.most); (err == nil) != (c.want == "") || err != nil && codeOf(err) != c.want {
			t.Errorf("%s within %s: %v, want %q", c.end, c.most, err, c.want)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"PT6H": 6 * time.Hour, "P1D": 24 * time.Hour, "P1DT1H30M5S": 25*time.Hour + 30*time.Minute + 5*time.Second, "PT0.5S": time.Second / 2, "P1Y": 365 * 24 * time.Hour, "P999999999Y": maxCache,
	} {
		if got, ok := parseDuration(text); !ok || got != want {
			t.Errorf("%s: %s %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "P", "PT", "6H", "-P1D", "PT1D", "P1H", "PT-1H", "PTxH", "P1DT"} {
		if got, ok := parseDuration(text); ok {
			t.Errorf("%q reads as %s", text, got)
		}
	}
}

func TestPinnedKeys(t *testing.T) {
	key := rsaSigner(t)
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: key.der})
	keys, err := PinnedKeys(bytes.Repeat(certificate, 2))
	if err != nil || len(keys) != 1 {
		t.Errorf("%v %d", err, len(keys))
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	fixture, err := os.ReadFile("../../testdata/metadata/mdui.xml")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"nothing": nil, "metadata": fixture, "a private key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1}}),
		"a weak key": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: newSigner(t, weak).der}),
		"rubbish":    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{1}}),
	} {
		if _, err := PinnedKeys(text); err == nil {
			t.Errorf("%s is pinned", name)
		}
	}
}
