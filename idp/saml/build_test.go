package saml

import (
	"bytes"
	"crypto"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"

	"gatehouse/sp"
)

func testStatement() *Statement {
	return &Statement{
		Issuer: testEnv.EntityID, Audience: "https://sp.example/saml?a=1&b=2", Recipient: "https://sp.example/acs?x=1&y=2", InResponseTo: "_r1",
		NameID: NameID{Value: "ana\t<&>\"é\r\n", Format: sp.NameIDPersistent, NameQualifier: testEnv.EntityID, SPNameQualifier: "https://sp.example/saml"},
		Now:    testNow, Lifetime: 5 * time.Minute, AuthnInstant: testNow.Add(-time.Hour), SessionIndex: "_s1", SessionEnds: testNow.Add(time.Hour),
		Class: classProtected, OneTimeUse: true,
		Attributes: []AttributeValues{
			{Name: "urn:oid:1 \"x\"\n", Format: formatURI, FriendlyName: "a&b", Values: []string{"</saml:Attribute>", "", "ü ∑ 日本", " a\r\nb "}},
			{Name: "none", Format: formatURI},
		},
	}
}

func signing(p pair, alg string, response, assertion bool) *Signing {
	return &Signing{key: p.credential(), algorithm: algorithmByName(alg), digest: digests[0], Response: response, Assertion: assertion}
}

// Every emitted form verifies with goxmldsig, whole and with the assertion taken out, validates, and verifies with xmlsec1.
func TestBuildSignatures(t *testing.T) {
	for _, test := range []struct {
		alg                 string
		pair                pair
		response, assertion bool
		xmlsec              bool
	}{
		{"rsa-sha256", rsaPair(), true, false, true},
		{"rsa-sha256", rsaPair(), false, true, true},
		{"rsa-sha256", rsaPair(), true, true, true},
		{"rsa-sha384", rsaPair(), true, true, true},
		{"rsa-sha512", rsaPair(), true, true, true},
		{"ecdsa-sha256", ecPair(), true, true, true},
		{"ecdsa-sha512", ecPair(), true, true, true},
	} {
		response, err := Build(testStatement(), signing(test.pair, test.alg, test.response, test.assertion), nil)
		if err != nil {
			t.Fatal(err)
		}
		want := ""
		if test.response {
			want = "Response "
		}
		if test.assertion {
			want += "Assertion"
		}
		if got := strings.Join(verifyXML(t, response.XML, test.pair), " "); got != strings.TrimSpace(want) {
			t.Errorf("%s: signed %q, want %q", test.alg, got, want)
		}
		validateSchema(t, response.XML)
		if test.response {
			xmlsecVerify(t, response.XML, nsProtocol+":Response", test.pair)
		}
		if test.assertion {
			xmlsecVerify(t, response.XML, nsAssertion+":Assertion", test.pair)
		}
	}
}

// A PSS signature cannot be checked by goxmldsig or this xmlsec1, so its value is checked over the canonical SignedInfo.
func TestBuildPSS(t *testing.T) {
	response, err := Build(testStatement(), signing(rsaPair(), "rsa-pss-sha256", true, false), nil)
	if err != nil {
		t.Fatal(err)
	}
	xml := string(response.XML)
	info := xml[strings.Index(xml, "<ds:SignedInfo>")+len("<ds:SignedInfo>") : strings.Index(xml, "<ds:SignatureValue>")]
	value, err := decodeSignature(between(xml, "<ds:SignatureValue>", "</ds:SignatureValue>"))
	if err != nil {
		t.Fatal(err)
	}
	a := algorithmByName("rsa-pss-sha256")
	if !a.verify(rsaPair().signer.Public(), []byte(signedInfoOpen+info), value) {
		t.Error("the signature does not verify")
	}
	if a.verify(otherPair().signer.Public(), []byte(signedInfoOpen+info), value) {
		t.Error("the signature verifies with a foreign key")
	}
}

func between(s, open, end string) string {
	_, rest, _ := strings.Cut(s, open)
	inside, _, _ := strings.Cut(rest, end)
	return inside
}

func TestBuildContent(t *testing.T) {
	response, err := Build(testStatement(), signing(rsaPair(), "rsa-sha256", true, true), nil)
	if err != nil {
		t.Fatal(err)
	}
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(response.XML); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/Response/Issuer": testEnv.EntityID, "/Response/Assertion/Issuer": testEnv.EntityID,
		"//NameID": "ana\t<&>\"é\r\n", "//Audience": "https://sp.example/saml?a=1&b=2", "//AuthnContextClassRef": classProtected,
		"//AttributeValue[1]": "</saml:Attribute>", "//AttributeValue[2]": "", "//AttributeValue[3]": "ü ∑ 日本", "//AttributeValue[4]": " a\r\nb ",
	} {
		if e := doc.FindElement(path); e == nil || e.Text() != want {
			t.Errorf("%s: %v, want %q", path, e, want)
		}
	}
	for path, count := range map[string]int{"//Assertion": 1, "//AuthnStatement": 1, "//AttributeStatement": 1, "//Attribute": 1, "//AttributeValue": 4, "//OneTimeUse": 1, "//SubjectConfirmationData[@Address]": 0, "//SubjectConfirmationData[@NotBefore]": 0} {
		if n := len(doc.FindElements(path)); n != count {
			t.Errorf("%s: %d, want %d", path, n, count)
		}
	}
	data := doc.FindElement("//SubjectConfirmationData")
	if data.SelectAttrValue("InResponseTo", "") != "_r1" || data.SelectAttrValue("Recipient", "") != "https://sp.example/acs?x=1&y=2" || data.SelectAttrValue("NotOnOrAfter", "") != "2026-03-01T12:05:00Z" {
		t.Errorf("confirmation: %v", data.Attr)
	}
	times := regexp.MustCompile(`(Instant|Before|After)="([^"]*)"`).FindAllSubmatch(response.XML, -1)
	for _, m := range times {
		if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`).Match(m[2]) {
			t.Errorf("time %s", m[2])
		}
	}
}

func TestBuildUnsolicitedAndBare(t *testing.T) {
	st := testStatement()
	st.InResponseTo, st.NameID, st.Attributes, st.SessionEnds, st.OneTimeUse = "", NameID{}, nil, time.Time{}, false
	response, err := Build(st, signing(rsaPair(), "rsa-sha256", false, true), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, absent := range []string{"InResponseTo", "NameID", "AttributeStatement", "SessionNotOnOrAfter", "OneTimeUse"} {
		if bytes.Contains(response.XML, []byte(absent)) {
			t.Errorf("%s is there", absent)
		}
	}
	validateSchema(t, response.XML)
}

func TestBuildRefusal(t *testing.T) {
	for _, sub := range []string{"", StatusNoPassive} {
		response, err := BuildRefusal(&Refusal{Issuer: testEnv.EntityID, Recipient: "https://sp.example/acs", InResponseTo: "_r1", Now: testNow, Status: StatusResponder, SubStatus: sub, Message: "No <page>."}, signing(rsaPair(), "rsa-sha256", false, true))
		if err != nil {
			t.Fatal(err)
		}
		validateSchema(t, response.XML)
		if got := verifyXML(t, response.XML, rsaPair()); len(got) != 1 || got[0] != "Response" {
			t.Errorf("signed %v", got)
		}
		if bytes.Contains(response.XML, []byte("Assertion ")) || bytes.Contains(response.XML, []byte(StatusNoPassive)) != (sub != "") {
			t.Errorf("%s", response.XML)
		}
	}
}

// What XML cannot carry is refused, never altered (ATT-16).
func TestBuildRefusesControlCharacters(t *testing.T) {
	for name, spoil := range map[string]func(*Statement){
		"name id":      func(st *Statement) { st.NameID.Value = "a\x00b" },
		"value":        func(st *Statement) { st.Attributes[0].Values[0] = "a\x1bb" },
		"utf-8":        func(st *Statement) { st.Attributes[0].Values[0] = "\xff" },
		"noncharacter": func(st *Statement) { st.Attributes[0].Values[0] = "\uFFFE" },
		"friendly":     func(st *Statement) { st.Attributes[0].FriendlyName = "\x01" },
	} {
		st := testStatement()
		spoil(st)
		if _, err := Build(st, signing(rsaPair(), "rsa-sha256", true, true), nil); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestNewID(t *testing.T) {
	seen := map[string]bool{}
	for range 10_000 {
		id := newID()
		if !isNCName(id) || len(id) != 41 || seen[id] {
			t.Fatal(id)
		}
		seen[id] = true
	}
}

func TestSigningFor(t *testing.T) {
	keys := []*Credential{rsaPair().credential(), ecPair().credential()}
	for _, test := range []struct {
		name   string
		change func(*sp.SAML)
		want   string // empty: a problem
		digest crypto.Hash
	}{
		{"default", func(*sp.SAML) {}, "rsa-sha256", crypto.SHA256},
		{"setting", func(s *sp.SAML) { s.Settings.SignatureAlgorithm = "ecdsa-sha256" }, "ecdsa-sha256", crypto.SHA256},
		{"legacy", func(s *sp.SAML) { s.Settings.SignatureAlgorithm = "rsa-sha1" }, "rsa-sha1", crypto.SHA256},
		{"metadata lists ecdsa", func(s *sp.SAML) { s.Metadata.SigningMethods = []string{algorithmByName("ecdsa-sha256").uri} }, "ecdsa-sha256", crypto.SHA256},
		{"metadata lists sha1", func(s *sp.SAML) { s.Metadata.SigningMethods = []string{algorithmByName("rsa-sha1").uri} }, "", 0},
		{"digest", func(s *sp.SAML) { s.Metadata.DigestMethods = []string{digestSHA1, digestSHA512} }, "rsa-sha256", crypto.SHA512},
		{"no digest", func(s *sp.SAML) { s.Metadata.DigestMethods = []string{digestSHA1} }, "", 0},
	} {
		app := testApp().Definition.SAML
		test.change(app)
		s, problem := SigningFor(app, keys)
		switch {
		case (problem == nil) != (test.want != ""):
			t.Errorf("%s: %v", test.name, problem)
		case problem == nil && (s.algorithm.name != test.want || s.digest.hash != test.digest):
			t.Errorf("%s: %s %v", test.name, s.algorithm.name, s.digest.hash)
		}
	}
}
