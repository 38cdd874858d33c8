package saml

import (
	"crypto"
	"crypto/ecdsa"
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"testing"

	dsig "github.com/russellhaering/goxmldsig"

	"gatehouse/sp"
)

func appWith(keys ...sp.Key) *sp.App {
	app := testApp()
	app.Definition.SAML.Metadata.Keys = keys
	return app
}

func checkQuery(query string, app *sp.App) (Accepted, *Problem) {
	m, problem := DecodeRedirect(query)
	if problem != nil {
		return Accepted{}, problem
	}
	return CheckMessage(m, app, testEnv)
}

func checkPOST(xml string, app *sp.App) (*Message, *Problem) {
	m, problem := DecodePOST(postForm(xml))
	if problem != nil {
		return nil, problem
	}
	_, problem = CheckMessage(m, app, testEnv)
	return m, problem
}

// TestUnsignedReadsNoKey: reading the keys of an app costs more than all the other checks of a request that is not signed.
func TestUnsignedReadsNoKey(t *testing.T) {
	m, problem := DecodeRedirect(redirectQueryOf(requestXML("", "")))
	if problem != nil {
		t.Fatal(problem)
	}
	app := appWith(rsaPair().key(sp.ForSigning)).Definition.SAML
	allocations := testing.AllocsPerRun(10, func() {
		if problem := m.Verify(app, false); problem != nil {
			t.Error(problem)
		}
	})
	if allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
}

func TestRedirectSignature(t *testing.T) {
	good := redirectQueryOf(requestXML("", "")) + "&RelayState=a%20b"
	app := appWith(rsaPair().key(sp.ForSigning), ecPair().key(sp.ForSigning), thirdPair().bareKey(), otherPair().key(sp.ForEncryption))
	for alg, p := range map[string]pair{"rsa-sha256": rsaPair(), "rsa-sha384": rsaPair(), "rsa-sha512": thirdPair(), "rsa-pss-sha256": rsaPair(), "ecdsa-sha256": ecPair(), "ecdsa-sha512": ecPair()} {
		if _, problem := checkQuery(signQuery(t, good, alg, p), app); problem != nil {
			t.Errorf("%s: %v", alg, problem)
		}
	}
	signed := signQuery(t, good, "rsa-sha256", rsaPair())
	noRelay := signQuery(t, redirectQueryOf(requestXML("", "")), "rsa-sha256", rsaPair())
	for name, test := range map[string]struct{ query, reason string }{
		"foreign key":         {signQuery(t, good, "rsa-sha256", weakPair()), ReasonBadSignature},
		"encryption key":      {signQuery(t, good, "rsa-sha256", otherPair()), ReasonBadSignature},
		"sha1":                {signQuery(t, good, "rsa-sha1", rsaPair()), ReasonAlgorithm},
		"hmac":                {strings.Replace(signed, url.QueryEscape(algorithms[0].uri), url.QueryEscape("http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"), 1), ReasonAlgorithm},
		"md5":                 {strings.Replace(signed, url.QueryEscape(algorithms[0].uri), url.QueryEscape("http://www.w3.org/2001/04/xmldsig-more#rsa-md5"), 1), ReasonAlgorithm},
		"none":                {strings.Replace(signed, url.QueryEscape(algorithms[0].uri), "none", 1), ReasonAlgorithm},
		"empty algorithm":     {strings.Replace(signed, url.QueryEscape(algorithms[0].uri), "", 1), ReasonAlgorithm},
		"other hash":          {strings.Replace(signed, "sha256", "sha512", 1), ReasonBadSignature},
		"ecdsa with RSA key":  {strings.Replace(signed, "rsa-sha256", "ecdsa-sha256", 1), ReasonBadSignature},
		"empty signature":     {signed[:strings.Index(signed, "&Signature=")] + "&Signature=", ReasonBadSignature},
		"relay state changed": {strings.Replace(signed, "a%20b", "a%20c", 1), ReasonBadSignature},
		"relay state removed": {strings.Replace(signed, "&RelayState=a%20b", "", 1), ReasonBadSignature},
		"relay state added":   {noRelay + "&RelayState=x", ReasonBadSignature},
		"empty relay state":   {noRelay + "&RelayState=", ReasonBadSignature},
		"re-encoded":          {strings.Replace(signed, "a%20b", "a+b", 1), ReasonBadSignature},
		"signature twice":     {signed + "&Signature=x", ReasonDuplicate},
		"algorithm twice":     {signed + "&SigAlg=x", ReasonDuplicate},
		"request changed":     {signed[:len("SAMLRequest=")] + strings.Replace(redirectQueryOf(requestXML(`ForceAuthn="1"`, "")), "SAMLRequest=", "", 1) + signed[strings.Index(signed, "&RelayState"):], ReasonBadSignature},
	} {
		if _, problem := checkQuery(test.query, app); problem == nil || problem.Reason != test.reason || !problem.Local {
			t.Errorf("%s: %v, want %s", name, problem, test.reason)
		}
	}
	if _, problem := checkQuery(signed, appWith()); problem == nil || problem.Reason != ReasonBadSignature {
		t.Errorf("no keys: %v", problem)
	}
}

// The signature is over the octets as sent, whatever way of escaping the app likes, in any order on the wire (BND-08 to -10).
func TestRedirectSignatureRawOctets(t *testing.T) {
	plain := b64(deflate(requestXML("", ""), 9))
	relay := "x/y+z=%é"
	lower := func(s string) string {
		s = url.QueryEscape(s)
		var b strings.Builder
		for i := 0; i < len(s); i++ {
			if s[i] == '%' {
				b.WriteString(strings.ToLower(s[i : i+3]))
				i += 2
				continue
			}
			b.WriteByte(s[i])
		}
		return b.String()
	}
	app := appWith(rsaPair().key(sp.ForSigning))
	for name, query := range map[string]string{
		"upper":       "SAMLRequest=" + url.QueryEscape(plain) + "&RelayState=" + url.QueryEscape(relay),
		"lower":       "SAMLRequest=" + lower(plain) + "&RelayState=" + lower(relay),
		"unescaped":   "SAMLRequest=" + plain + "&RelayState=a/b:c",
		"percent 20":  "SAMLRequest=" + url.QueryEscape(plain) + "&RelayState=a%20b",
		"plus":        "SAMLRequest=" + url.QueryEscape(plain) + "&RelayState=a+b",
		"empty relay": "SAMLRequest=" + url.QueryEscape(plain) + "&RelayState=",
		"no relay":    "SAMLRequest=" + url.QueryEscape(plain),
	} {
		signed := signQuery(t, query, "rsa-sha256", rsaPair())
		if _, problem := checkQuery(signed, app); problem != nil {
			t.Errorf("%s: %v", name, problem)
		}
		parts := strings.Split(signed, "&")
		for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
			parts[i], parts[j] = parts[j], parts[i]
		}
		if _, problem := checkQuery(strings.Join(parts, "&"), app); problem != nil {
			t.Errorf("%s reversed: %v", name, problem)
		}
	}
}

func TestSHA1BySetting(t *testing.T) {
	app := appWith(rsaPair().key(sp.ForSigning))
	query := signQuery(t, redirectQueryOf(requestXML("", "")), "rsa-sha1", rsaPair())
	_, problem := checkQuery(query, app)
	if problem == nil || !strings.Contains(problem.Text, "rsa-sha1") || !strings.Contains(problem.Text, "saml.signature_algorithm") {
		t.Errorf("%v", problem)
	}
	app.Definition.SAML.Settings.SignatureAlgorithm = "rsa-sha1"
	if _, problem := checkQuery(query, app); problem != nil {
		t.Error(problem)
	}
}

func TestSignatureRequired(t *testing.T) {
	unsigned := redirectQueryOf(requestXML("", ""))
	metadata, setting, waived := testApp(), testApp(), testApp()
	metadata.Definition.SAML.Metadata.AuthnRequestsSigned = true
	setting.Definition.SAML.Settings.RequireSignedRequests = ptr(true)
	waived.Definition.SAML.Metadata.AuthnRequestsSigned = true
	waived.Definition.SAML.Settings.RequireSignedRequests = ptr(false)
	for name, app := range map[string]*sp.App{"metadata": metadata, "setting": setting} {
		if _, problem := checkQuery(unsigned, app); problem == nil || problem.Reason != ReasonUnsigned || !problem.Local {
			t.Errorf("%s: %v", name, problem)
		}
	}
	if _, problem := checkQuery(unsigned, waived); problem != nil {
		t.Error(problem)
	}
	m, _ := DecodeRedirect(unsigned)
	env := testEnv
	env.WantSigned = true
	if _, problem := CheckMessage(m, testApp(), env); problem == nil || problem.Reason != ReasonUnsigned {
		t.Errorf("organisation: %v", problem)
	}
	// An enveloped signature in a Redirect message is not its signature (BND-13), and never passes unchecked, required or not.
	inside := redirectQueryOf(signPOST(t, requestXML("", ""), rsaPair(), nil))
	for name, app := range map[string]*sp.App{"required": metadata, "not required": waived} {
		app.Definition.SAML.Metadata.Keys = []sp.Key{rsaPair().key(sp.ForSigning)}
		if _, problem := checkQuery(inside, app); problem == nil || problem.Reason != ReasonBadSignature || !problem.Local {
			t.Errorf("enveloped in redirect, %s: %v", name, problem)
		}
	}
}

func TestPOSTSignature(t *testing.T) {
	xml := requestXML(`ForceAuthn="true"`, `<samlp:NameIDPolicy AllowCreate="true"/>`)
	app := appWith(otherPair().key(sp.ForBoth), rsaPair().key(sp.ForSigning), ecPair().bareKey())
	for name, canonical := range map[string]dsig.Canonicalizer{
		"exclusive": nil, "c14n 1.0": dsig.MakeC14N10RecCanonicalizer(), "c14n 1.1": dsig.MakeC14N11Canonicalizer(),
	} {
		m, problem := checkPOST(signPOST(t, xml, rsaPair(), canonical), app)
		if problem != nil || !m.Signed || !m.Request.ForceAuthn || m.Request.NameIDPolicy == nil {
			t.Errorf("%s: %v", name, problem)
		}
	}
	signed := signPOST(t, xml, rsaPair(), nil)
	withoutInfo := signed[:strings.Index(signed, "<ds:KeyInfo")] + signed[strings.Index(signed, "</ds:KeyInfo>")+len("</ds:KeyInfo>"):]
	keyName := withoutInfo[:strings.Index(withoutInfo, "</ds:Signature>")] + "<ds:KeyInfo><ds:KeyName>k</ds:KeyName></ds:KeyInfo>" + withoutInfo[strings.Index(withoutInfo, "</ds:Signature>"):]
	value := between(signed, "<ds:SignatureValue>", "</ds:SignatureValue>")
	for name, doc := range map[string]string{"no KeyInfo": withoutInfo, "KeyName": keyName, "folded": strings.Replace(signed, value, value[:60]+"\n  "+value[60:]+"\n", 1)} {
		if _, problem := checkPOST(doc, app); problem != nil {
			t.Errorf("%s: %v", name, problem)
		}
	}
	if _, problem := checkPOST(signECDSA(t, xml), app); problem != nil {
		t.Errorf("ecdsa: %v", problem)
	}
}

// signECDSA signs with goxmldsig and rewrites the value to the raw form that XML Signature demands.
func signECDSA(t *testing.T, xml string) string {
	t.Helper()
	signed := signPOST(t, xml, ecPair(), nil)
	value := between(signed, "<ds:SignatureValue>", "</ds:SignatureValue>")
	der, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := asn1ToRaw(ecKey(ecPair().signer.Public()), der)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Replace(signed, value, b64(raw), 1)
}

func TestPOSTSignatureRefuses(t *testing.T) {
	xml := requestXML(`ForceAuthn="true"`, "")
	signed := signPOST(t, xml, rsaPair(), nil)
	app := appWith(rsaPair().key(sp.ForSigning))
	replace := func(old, new string) string {
		if !strings.Contains(signed, old) {
			t.Fatalf("%q is not there", old)
		}
		return strings.Replace(signed, old, new, 1)
	}
	for name, test := range map[string]struct{ xml, reason string }{
		"changed attribute":    {replace(`ForceAuthn="true"`, `ForceAuthn="false"`), ReasonBadSignature},
		"changed issuer":       {replace("https://sp.example/saml<", "https://sp.example/evil<"), ReasonUnknownIssuer},
		"foreign key, KeyInfo": {signPOST(t, xml, otherPair(), nil), ReasonBadSignature},
		"sha1 signature":       {replace("xmldsig-more#rsa-sha256", "x#y"), ReasonAlgorithm},
		"hmac":                 {replace("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", "http://www.w3.org/2000/09/xmldsig#hmac-sha1"), ReasonAlgorithm},
		"rsa-sha1":             {replace("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", "http://www.w3.org/2000/09/xmldsig#rsa-sha1"), ReasonAlgorithm},
		"sha1 digest":          {replace("http://www.w3.org/2001/04/xmlenc#sha256", "http://www.w3.org/2000/09/xmldsig#sha1"), ReasonAlgorithm},
		"with comments":        {replace("xml-exc-c14n#", "xml-exc-c14n#WithComments"), ReasonAlgorithm},
		"xslt":                 {replace(transformEnveloped, "http://www.w3.org/TR/1999/REC-xslt-19991116"), ReasonBadSignature},
		"xpath":                {replace(`<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"`, `<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"`), ReasonBadSignature},
		"empty reference":      {replace(`URI="#_r1"`, `URI=""`), ReasonBadSignature},
		"other reference":      {replace(`URI="#_r1"`, `URI="X_r1"`), ReasonBadSignature},
		"no digest":            {replace(between(signed, "<ds:DigestValue>", "</ds:DigestValue>"), ""), ReasonBadSignature},
		"comment in digest":    {replace("<ds:DigestValue>", "<ds:DigestValue><!-- -->"), ReasonMalformed},
		"no value":             {replace(between(signed, "<ds:SignatureValue>", "</ds:SignatureValue>"), ""), ReasonBadSignature},
		"comment in value":     {replace("<ds:SignatureValue>", "<ds:SignatureValue><!-- -->"), ReasonMalformed},
		"added child":          {replace("</samlp:AuthnRequest>", "<samlp:Scoping/></samlp:AuthnRequest>"), ReasonBadSignature},
	} {
		if _, problem := checkPOST(test.xml, app); problem == nil || problem.Reason != test.reason || !problem.Local {
			t.Errorf("%s: %v, want %s", name, problem, test.reason)
		}
	}
}

// Whatever way a signed request is wrapped, the attacker's part is never what gets processed (BND-14, BND-15).
func TestSignatureWrapping(t *testing.T) {
	original := signPOST(t, requestXML("", ""), rsaPair(), nil)
	signature := original[strings.Index(original, "<ds:Signature "):strings.Index(original, "</ds:Signature>")] + "</ds:Signature>"
	bare := strings.Replace(original, signature, "", 1)
	const issuer = "<saml:Issuer>https://sp.example/saml</saml:Issuer>"
	evil := strings.Replace(requestXML(`ForceAuthn="false" AssertionConsumerServiceURL="https://evil.example"`, "%s"), "_r1", "%s", 1)
	object := strings.Replace(signature, "</ds:Signature>", "<ds:Object>"+bare+"</ds:Object></ds:Signature>", 1)
	after := func(insert string) string {
		return strings.Replace(evil, issuer, issuer+strings.ReplaceAll(insert, "%", "%%"), 1)
	}
	for name, doc := range map[string]string{
		"original in Extensions":                     fmt.Sprintf(evil, "_e", "<samlp:Extensions>"+original+"</samlp:Extensions>"),
		"original in Extensions, same ID":            fmt.Sprintf(evil, "_r1", "<samlp:Extensions>"+original+"</samlp:Extensions>"),
		"signature moved up, original in Extensions": fmt.Sprintf(after(signature), "_e", "<samlp:Extensions>"+bare+"</samlp:Extensions>"),
		"the same with equal IDs":                    fmt.Sprintf(after(signature), "_r1", "<samlp:Extensions>"+bare+"</samlp:Extensions>"),
		"original in Object":                         fmt.Sprintf(after(object), "_e", ""),
		"original in Object, same ID":                fmt.Sprintf(after(object), "_r1", ""),
		"signature last":                             fmt.Sprintf(evil, "_r1", signature),
		"two signatures":                             strings.Replace(original, signature, signature+signature, 1),
		"second SignedInfo":                          strings.Replace(original, "<ds:SignedInfo", between(signature, `#">`, "</ds:SignedInfo>")+"</ds:SignedInfo><ds:SignedInfo", 1),
		"second Reference":                           strings.Replace(original, "</ds:Reference>", `</ds:Reference><ds:Reference URI="#x"/>`, 1),
		"wrapped around":                             `<samlp:AuthnRequest xmlns:samlp="` + nsProtocol + `" ID="_o">` + original + `</samlp:AuthnRequest>`,
		"two roots":                                  original + fmt.Sprintf(evil, "_e", ""),
	} {
		m, problem := checkPOST(doc, appWith(rsaPair().key(sp.ForSigning)))
		if problem == nil || !problem.Local {
			t.Errorf("%s: accepted %+v", name, m)
		}
	}
}

func ecKey(public crypto.PublicKey) *ecdsa.PublicKey { return public.(*ecdsa.PublicKey) }
