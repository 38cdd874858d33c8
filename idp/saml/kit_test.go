package saml

import (
	"bytes"
	"compress/flate"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"

	"gatehouse/idp/claims"
	"gatehouse/idp/directory"
	"gatehouse/sp"
)

var (
	testNow   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	testEnv   = Env{EntityID: "https://idp.example/saml/metadata", Endpoint: "https://idp.example/saml/sso", Now: testNow}
	testUser  = &directory.User{ID: "usr_1", Name: "ana", DisplayName: `Ana & "Bo" <x>`, Email: "ana@example.org", Groups: []string{"a", "b"}}
	formatURI = "urn:oasis:names:tc:SAML:2.0:attrname-format:uri"
)

// pair is a key with a certificate that expired long ago, as many service providers have.
type pair struct {
	signer crypto.Signer
	cert   []byte
}

var (
	rsaPair   = sync.OnceValue(func() pair { return newPair(2048) })
	otherPair = sync.OnceValue(func() pair { return newPair(2048) })
	thirdPair = sync.OnceValue(func() pair { return newPair(2048) })
	weakPair  = sync.OnceValue(func() pair { return newPair(1024) })
	ecPair    = sync.OnceValue(func() pair { return newPair(256) })
)

func newPair(bits int) pair {
	var signer crypto.Signer
	if bits == 256 {
		signer, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	} else {
		signer, _ = rsa.GenerateKey(rand.Reader, bits)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(int64(bits)), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(86400, 0)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		panic(err)
	}
	return pair{signer, cert}
}

func (p pair) credential() *Credential { return NewCredential("k", p.signer, p.cert) }

func (p pair) key(use sp.KeyUse) sp.Key { return sp.Key{Use: use, Certificate: p.cert} }

// bareKey is a key without certificate, as KeyValue metadata gives.
func (p pair) bareKey() sp.Key {
	der, _ := x509.MarshalPKIXPublicKey(p.signer.Public())
	return sp.Key{PublicKey: der}
}

func ptr[T any](v T) *T { return &v }

func testApp() *sp.App {
	return &sp.App{ID: "app_1", State: sp.Active, Definition: sp.Definition{Name: "App", SAML: &sp.SAML{Metadata: sp.Metadata{
		EntityID: "https://sp.example/saml",
		ACS:      []sp.Endpoint{{Binding: sp.BindingPOST, Location: "https://sp.example/acs"}},
	}}}}
}

const requestOpen = `<samlp:AuthnRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_r1" Version="2.0" IssueInstant="2026-03-01T12:00:00Z" Destination="https://idp.example/saml/sso"`

// requestXML is a request with more attributes and more children.
func requestXML(attrs, children string) string {
	return requestOpen + " " + attrs + `><saml:Issuer>https://sp.example/saml</saml:Issuer>` + children + `</samlp:AuthnRequest>`
}

func deflate(data string, level int) []byte {
	var out bytes.Buffer
	w, _ := flate.NewWriter(&out, level)
	w.Write([]byte(data))
	w.Close()
	return out.Bytes()
}

func redirectQueryOf(xml string) string {
	return "SAMLRequest=" + url.QueryEscape(base64.StdEncoding.EncodeToString(deflate(xml, 9)))
}

func postForm(xml string) url.Values {
	return url.Values{"SAMLRequest": {base64.StdEncoding.EncodeToString([]byte(xml))}}
}

// signQuery signs a redirect query with the given algorithm and appends SigAlg and Signature.
func signQuery(t testing.TB, query, alg string, p pair) string {
	t.Helper()
	a := algorithmByName(alg)
	signed := query + "&SigAlg=" + url.QueryEscape(a.uri)
	signing := Signing{key: p.credential(), algorithm: a}
	h := a.hash.New()
	h.Write([]byte(signed))
	value, err := signing.signSum(h.Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	return signed + "&Signature=" + url.QueryEscape(base64.StdEncoding.EncodeToString(value))
}

// signPOST signs a request with goxmldsig, the signature after Issuer.
func signPOST(t testing.TB, xml string, p pair, canonical dsig.Canonicalizer) string {
	t.Helper()
	doc := etree.NewDocument()
	if err := doc.ReadFromString(xml); err != nil {
		t.Fatal(err)
	}
	context, err := dsig.NewSigningContext(p.signer, [][]byte{p.cert})
	if err != nil {
		t.Fatal(err)
	}
	if canonical == nil {
		canonical = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	}
	context.Canonicalizer = canonical
	signature, err := context.ConstructSignature(doc.Root(), true)
	if err != nil {
		t.Fatal(err)
	}
	doc.Root().InsertChildAt(1, signature)
	out, err := doc.WriteToString()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// evaluator compiles attribute sources, for all tests.
var evaluator claims.Evaluator

// verifyXML checks every signature of a message with goxmldsig, each on its own element, and counts them.
func verifyXML(t testing.TB, xml []byte, p pair) (signed []string) {
	t.Helper()
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(xml); err != nil {
		t.Fatal(err)
	}
	elements := append([]*etree.Element{doc.Root()}, doc.Root().ChildElements()...)
	for _, e := range elements {
		has := false
		for _, child := range e.ChildElements() {
			has = has || child.Tag == "Signature"
		}
		if !has {
			continue
		}
		alone := etree.NewDocument()
		alone.SetRoot(e.Copy())
		alone.WriteSettings = etree.WriteSettings{CanonicalEndTags: true, CanonicalText: true, CanonicalAttrVal: true}
		text, _ := alone.WriteToString()
		if _, err := validate(text, p.signer.Public()); err != nil {
			t.Fatalf("%s: %v\n%s", e.Tag, err, text)
		}
		signed = append(signed, e.Tag)
	}
	return signed
}

// tool finds an external program, or leaves the test out, as idptest.Need does, which has installed them before; under CI that
// is a failure.
func tool(t testing.TB, name string, files ...string) {
	t.Helper()
	_, err := exec.LookPath(name)
	for _, file := range files {
		if _, missing := os.Stat(file); missing != nil {
			err = missing
		}
	}
	if err == nil {
		return
	}
	note := fmt.Sprintf("LEFT OUT: %s needs %s: %v", t.Name(), name, err)
	if os.Getenv("CI") == "true" {
		t.Fatal(note)
	}
	if file, err := os.OpenFile(os.Getenv("LEFT_OUT"), os.O_APPEND|os.O_WRONLY, 0); err == nil {
		fmt.Fprintln(file, note)
		file.Close()
	}
	t.Skip(note)
}

const schemaFolder = "/usr/share/xml/"

// validateSchema runs xmllint with the OASIS schemas, offline.
func validateSchema(t testing.TB, xml []byte) {
	t.Helper()
	tool(t, "xmllint", schemaFolder+"opensaml/saml-schema-protocol-2.0.xsd", schemaFolder+"xmltooling/xenc-schema.xsd")
	dir := t.TempDir()
	imports := ""
	for space, file := range map[string]string{
		nsProtocol: "opensaml/saml-schema-protocol-2.0.xsd", "urn:oasis:names:tc:SAML:2.0:metadata": "opensaml/saml-schema-metadata-2.0.xsd",
		"urn:oasis:names:tc:SAML:metadata:ui": "opensaml/sstc-saml-metadata-ui-v1.0.xsd", "urn:oasis:names:tc:SAML:metadata:algsupport": "opensaml/sstc-saml-metadata-algsupport-v1.0.xsd",
		"http://www.w3.org/2009/xmlenc11#": "xmltooling/xenc11-schema.xsd",
	} {
		imports += `<import namespace="` + space + `" schemaLocation="` + schemaFolder + file + `"/>`
	}
	catalog := `<catalog xmlns="urn:oasis:names:tc:entity:xmlns:xml:catalog"><system systemId="http://www.w3.org/TR/2002/REC-xmldsig-core-20020212/xmldsig-core-schema.xsd" uri="` +
		schemaFolder + `xmltooling/xmldsig-core-schema.xsd"/><system systemId="http://www.w3.org/TR/2002/REC-xmlenc-core-20021210/xenc-schema.xsd" uri="` + schemaFolder +
		`xmltooling/xenc-schema.xsd"/><system systemId="http://www.w3.org/2001/xml.xsd" uri="` + schemaFolder + `xmltooling/xml.xsd"/><rewriteSystem systemIdStartString="http://docs.oasis-open.org/" rewritePrefix="` + schemaFolder + `opensaml/"/></catalog>`
	write(t, dir, "driver.xsd", `<schema xmlns="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:test">`+imports+`</schema>`)
	write(t, dir, "catalog.xml", catalog)
	file := write(t, dir, "doc.xml", string(xml))
	cmd := exec.Command("xmllint", "--nonet", "--noout", "--schema", filepath.Join(dir, "driver.xsd"), file)
	cmd.Env = append(os.Environ(), "XML_CATALOG_FILES="+filepath.Join(dir, "catalog.xml"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("xmllint: %s\n%s", out, xml)
	}
}

// xmlsecVerify checks the signature of the element with that name.
func xmlsecVerify(t testing.TB, xml []byte, element string, p pair) {
	t.Helper()
	tool(t, "xmlsec1")
	dir := t.TempDir()
	der, _ := x509.MarshalPKIXPublicKey(p.signer.Public())
	key := write(t, dir, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
	local := element[strings.LastIndexByte(element, ':')+1:]
	out, err := exec.Command("xmlsec1", "--verify", "--pubkey-pem", key, "--id-attr:ID", element,
		"--node-xpath", "//*[local-name()='"+local+"']/*[local-name()='Signature']", write(t, dir, "doc.xml", string(xml))).CombinedOutput()
	if err != nil {
		t.Fatalf("xmlsec1: %s\n%s", out, xml)
	}
}

// xmlsecDecrypt decrypts a message in place.
func xmlsecDecrypt(t testing.TB, xml []byte, p pair) []byte {
	t.Helper()
	tool(t, "xmlsec1")
	dir := t.TempDir()
	der, _ := x509.MarshalPKCS8PrivateKey(p.signer)
	key := write(t, dir, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	plain := filepath.Join(dir, "plain.xml")
	out, err := exec.Command("xmlsec1", "--decrypt", "--privkey-pem", key, "--output", plain, write(t, dir, "doc.xml", string(xml))).CombinedOutput()
	if err != nil {
		t.Fatalf("xmlsec1: %s\n%s", out, xml)
	}
	data, err := os.ReadFile(plain)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t testing.TB, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
