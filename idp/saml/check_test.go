package saml

import (
	"strings"
	"testing"
	"time"

	"gatehouse/sp"
)

const (
	statusPrefix = "urn:oasis:names:tc:SAML:2.0:status:"
	classX509    = "urn:oasis:names:tc:SAML:2.0:ac:classes:X509"
)

// outcome is "ok", "local", or the short status codes, as in the requirements' tables.
func outcome(p *Problem) string {
	switch {
	case p == nil:
		return "ok"
	case p.Local:
		return "local"
	}
	return strings.TrimSuffix(strings.TrimPrefix(p.Status, statusPrefix)+"/"+strings.TrimPrefix(p.SubStatus, statusPrefix), "/")
}

func checkXML(t *testing.T, xml string, app *sp.App) (Accepted, *Problem) {
	t.Helper()
	m, problem := DecodePOST(postForm(xml))
	if problem != nil {
		return Accepted{}, problem
	}
	return CheckMessage(m, app, testEnv)
}

func TestCheckRows(t *testing.T) {
	policy := func(attrs string) string { return "<samlp:NameIDPolicy " + attrs + "/>" }
	context := func(comparison string, classes ...string) string {
		out := "<samlp:RequestedAuthnContext" + comparison + ">"
		for _, class := range classes {
			out += "<saml:AuthnContextClassRef>" + class + "</saml:AuthnContextClassRef>"
		}
		return out + "</samlp:RequestedAuthnContext>"
	}
	swap := func(old, new string) string { return strings.Replace(requestXML("", ""), old, new, 1) }
	for _, test := range []struct{ row, xml, want string }{
		{"plain", requestXML("", ""), "ok"},
		{"BND-18", requestXML(`xmlns:x="urn:x" x:foreign="1"`, `<samlp:Extensions><x:odd xmlns:x="urn:x"><x:deep/></x:odd></samlp:Extensions>`), "ok"},
		{"BND-19", requestXML(`Consent="urn:x" ProviderName="日本 &lt;b&gt;" ForceAuthn="0" IsPassive="false"`, `<saml:Conditions NotOnOrAfter="2020-01-01T00:00:00Z"><saml:AudienceRestriction><saml:Audience>x</saml:Audience></saml:AudienceRestriction></saml:Conditions>`+context("", classProtected)+`<samlp:Scoping ProxyCount="0"><samlp:RequesterID>x</samlp:RequesterID></samlp:Scoping>`), "ok"},
		{"BND-21 host", swap("https://idp.example/saml/sso", "https://evil.example/saml/sso"), "Requester"},
		{"BND-21 empty", swap("https://idp.example/saml/sso", ""), "Requester"},
		{"BND-21 absent", swap(` Destination="https://idp.example/saml/sso"`, ""), "ok"},
		{"BND-24 3.0", swap(`"2.0"`, `"3.0"`), "VersionMismatch/RequestVersionTooHigh"},
		{"BND-24 1.1", swap(`"2.0"`, `"1.1"`), "VersionMismatch/RequestVersionTooLow"},
		{"BND-24 2.1", swap(`"2.0"`, `"2.1"`), "VersionMismatch/RequestVersionTooHigh"},
		{"BND-25 digit", swap(`"_r1"`, `"1abc"`), "local"},
		{"BND-25 missing", swap(`ID="_r1"`, ""), "local"},
		{"BND-26 4 minutes ago", swap("12:00:00Z", "11:56:00Z"), "ok"},
		{"BND-26 4 minutes ahead", swap("12:00:00Z", "12:04:00Z"), "ok"},
		{"BND-26 an hour ago", swap("12:00:00Z", "11:00:00Z"), "Requester"},
		{"BND-26 an hour ahead", swap("12:00:00Z", "13:00:00Z"), "Requester"},
		{"BND-26 offset", swap("12:00:00Z", "14:00:00.123+02:00"), "ok"},
		{"BND-26 no zone", swap("12:00:00Z", "12:00:00"), "Requester"},
		{"BND-26 missing", swap(` IssueInstant="2026-03-01T12:00:00Z"`, ""), "Requester"},
		{"REQ-01 no issuer", swap(`<saml:Issuer>https://sp.example/saml</saml:Issuer>`, ""), "local"},
		{"REQ-01 empty", swap(`https://sp.example/saml<`, "<"), "local"},
		{"REQ-01 unknown", swap(`https://sp.example/saml<`, "https://evil.example<"), "local"},
		{"REQ-01 padded", swap(`https://sp.example/saml<`, " https://sp.example/saml <"), "local"},
		{"REQ-01 format", swap(`<saml:Issuer>`, `<saml:Issuer Format="`+sp.NameIDPersistent+`">`), "local"},
		{"REQ-01 entity", swap(`<saml:Issuer>`, `<saml:Issuer Format="`+formatEntity+`">`), "ok"},
		{"BND-17 comment", swap(`https://sp.example/saml<`, "https://sp.example/saml<!-- -->.evil<"), "local"},
		{"BND-17 child", swap(`https://sp.example/saml<`, "https://sp.example/saml<b>.evil</b><"), "local"},
		{"two issuers", swap(`<saml:Issuer>`, "<saml:Issuer>https://evil.example</saml:Issuer><saml:Issuer>"), "local"},
		{"REQ-26", requestXML(`ForceAuthn="yes"`, ""), "Requester"},
		{"REQ-27 persistent", requestXML("", policy(`Format="`+sp.NameIDPersistent+`"`)), "ok"},
		{"REQ-27 unknown", requestXML("", policy(`Format="urn:x"`)), "Requester/InvalidNameIDPolicy"},
		{"REQ-29", requestXML("", policy(`Format="urn:oasis:names:tc:SAML:2.0:nameid-format:unspecified"`)), "Requester/InvalidNameIDPolicy"},
		{"REQ-33 own", requestXML("", policy(`SPNameQualifier="https://sp.example/saml"`)), "ok"},
		{"REQ-33 foreign", requestXML("", policy(`SPNameQualifier="https://other.example"`)), "Requester/InvalidNameIDPolicy"},
		{"REQ-35 known", requestXML("", context("", classProtected)), "ok"},
		{"REQ-35 unknown", requestXML("", context("", classX509)), "Requester/NoAuthnContext"},
		{"REQ-38 better than top", requestXML("", context(` Comparison="better"`, classREFEDSMFA)), "Requester/NoAuthnContext"},
		{"REQ-39", requestXML("", context("", classX509, classProtected)), "ok"},
		{"REQ-40", requestXML("", `<samlp:RequestedAuthnContext><saml:AuthnContextDeclRef>x</saml:AuthnContextDeclRef></samlp:RequestedAuthnContext>`), "Requester/NoAuthnContext"},
		{"REQ-40 mixed", requestXML("", `<samlp:RequestedAuthnContext><saml:AuthnContextClassRef>x</saml:AuthnContextClassRef><saml:AuthnContextDeclRef>x</saml:AuthnContextDeclRef></samlp:RequestedAuthnContext>`), "Requester"},
		{"REQ-41 empty", requestXML("", context("", "")), "Requester"},
		{"REQ-41 none", requestXML("", context("")), "Requester"},
		{"REQ-41 comparison", requestXML("", context(` Comparison="about"`, classProtected)), "Requester"},
		{"REQ-46", requestXML("", `<saml:Subject><saml:NameID>x</saml:NameID></saml:Subject>`), "ok"},
		{"REQ-47", requestXML("", `<saml:Subject><saml:NameID>x</saml:NameID><saml:SubjectConfirmation/></saml:Subject>`), "Requester"},
		{"REQ-48", requestXML("", `<saml:Subject><saml:EncryptedID/></saml:Subject>`), "Requester"},
		{"REQ-53 foreign", requestXML("", `<samlp:Scoping><samlp:IDPList><samlp:IDPEntry ProviderID="https://other.example"/></samlp:IDPList></samlp:Scoping>`), "Requester/NoSupportedIDP"},
		{"REQ-53 own", requestXML("", `<samlp:Scoping><samlp:IDPList><samlp:IDPEntry ProviderID="x"/><samlp:IDPEntry ProviderID="`+testEnv.EntityID+`"/></samlp:IDPList></samlp:Scoping>`), "ok"},
		{"REQ-57 unknown", requestXML(`AttributeConsumingServiceIndex="99"`, ""), "ok"},
		{"REQ-57 negative", requestXML(`AttributeConsumingServiceIndex="-1"`, ""), "Requester"},
		{"REQ-57 empty", requestXML(`AttributeConsumingServiceIndex=""`, ""), "Requester"},
		{"child twice", requestXML("", policy("")+policy("")), "Requester"},
		{"foreign child", requestXML("", `<x xmlns="urn:x"/>`), "Requester"},
		{"doctype", "<!DOCTYPE x>" + requestXML("", ""), "local"},
	} {
		if _, problem := checkXML(t, test.xml, testApp()); outcome(problem) != test.want {
			t.Errorf("%s: %s, want %s (%v)", test.row, outcome(problem), test.want, problem)
		}
	}
}

// The answer goes to a registered POST address or nowhere (REQ-08 to REQ-16, RSP-15).
func TestCheckACS(t *testing.T) {
	post := func(location string, index int, isDefault *bool) sp.Endpoint {
		return sp.Endpoint{Binding: sp.BindingPOST, Location: location, Index: ptr(index), IsDefault: isDefault}
	}
	const a, b, c = "https://sp.example/a", "https://sp.example/b", "https://sp.example/c"
	three := []sp.Endpoint{post(a, 1, nil), post(b, 2, ptr(true)), post(c, 7, nil)}
	redirectFirst := []sp.Endpoint{{Binding: sp.BindingRedirect, Location: c, Index: ptr(0), IsDefault: ptr(true)}, {Binding: sp.BindingArtifact, Location: a, Index: ptr(1)}, post(b, 2, nil)}
	url := func(s string) string { return `AssertionConsumerServiceURL="` + s + `"` }
	binding := func(s string) string { return ` ProtocolBinding="` + s + `"` }
	for _, test := range []struct {
		row, attrs string
		acs        []sp.Endpoint
		want       string
		location   string
	}{
		{"REQ-08", url(a), three, "ok", a},
		{"REQ-08 other host", url("https://evil.example/a"), three, "local", ""},
		{"REQ-08 query", url(a + "?x"), three, "local", ""},
		{"REQ-08 dots", url("https://sp.example/b/../a"), three, "local", ""},
		{"REQ-08 case", url("https://sp.example/A"), three, "local", ""},
		{"REQ-08 slash", url(a + "/"), three, "local", ""},
		{"REQ-08 userinfo", url("https://sp.example@evil.example/a"), three, "local", ""},
		{"REQ-08 script", url("javascript:alert(1)"), three, "local", ""},
		{"REQ-10", `AssertionConsumerServiceIndex="7"`, three, "ok", c},
		{"REQ-11", `AssertionConsumerServiceIndex="99"`, three, "Requester/RequestUnsupported", b},
		{"bad index", `AssertionConsumerServiceIndex="x"`, three, "Requester", b},
		{"REQ-12 url", `AssertionConsumerServiceIndex="1" ` + url(a), three, "Requester", b},
		{"REQ-12 evil url", `AssertionConsumerServiceIndex="1" ` + url("https://evil.example"), three, "Requester", b},
		{"REQ-12 binding", `AssertionConsumerServiceIndex="1"` + binding(sp.BindingPOST), three, "Requester", b},
		{"REQ-13 isDefault", "", three, "ok", b},
		{"REQ-13 first", "", []sp.Endpoint{post(a, 1, nil), post(b, 2, nil)}, "ok", a},
		{"REQ-13 first not denied", "", []sp.Endpoint{post(a, 1, ptr(false)), post(b, 2, nil)}, "ok", b},
		{"REQ-13 all denied", "", []sp.Endpoint{post(a, 1, ptr(false)), post(b, 2, ptr(false))}, "ok", a},
		{"REQ-14 POST", binding(sp.BindingPOST), three, "ok", b},
		{"REQ-14 PAOS", binding(sp.BindingPAOS), three, "Requester/UnsupportedBinding", b},
		{"REQ-14 Redirect", binding(sp.BindingRedirect), redirectFirst, "Requester/UnsupportedBinding", b},
		{"REQ-14 url and Redirect", url(c) + binding(sp.BindingRedirect), redirectFirst, "Requester/UnsupportedBinding", b},
		{"REQ-14 url of Redirect", url(c), redirectFirst, "Requester/UnsupportedBinding", b},
		{"REQ-15 Artifact", `AssertionConsumerServiceIndex="1"`, redirectFirst, "ok", "https://sp.example/a"},
		{"REQ-15 Artifact alone", binding(sp.BindingArtifact), redirectFirst, "ok", "https://sp.example/a"},
		{"REQ-16", "", redirectFirst, "ok", b},
		{"no POST at all", "", redirectFirst[:2], "local", ""},
		{"no ACS", "", nil, "local", ""},
		{"hostile metadata", "", []sp.Endpoint{post("javascript:alert(1)", 1, nil)}, "local", ""},
	} {
		app := testApp()
		app.Definition.SAML.Metadata.ACS = test.acs
		accepted, problem := checkXML(t, requestXML(test.attrs, ""), app)
		if outcome(problem) != test.want || accepted.ACS != test.location {
			t.Errorf("%s: %s to %q, want %s to %q", test.row, outcome(problem), accepted.ACS, test.want, test.location)
		}
	}
}

func TestCheckCarries(t *testing.T) {
	app := testApp()
	app.Definition.SAML.Metadata.AttributeServices = []sp.AttributeService{{Index: 3}}
	query := redirectQueryOf(requestXML(`ForceAuthn="1" IsPassive="true" AttributeConsumingServiceIndex="3"`, `<samlp:NameIDPolicy Format="`+sp.NameIDEmail+`" SPNameQualifier="https://sp.example/saml"/>`))
	a, problem := checkQuery(query+"&RelayState=r", app)
	if problem != nil || !a.ForceAuthn || !a.Passive || *a.Attributes != 3 || a.NameIDFormat != sp.NameIDEmail || !a.Qualified || a.RelayState != "r" || a.ID != "_r1" {
		t.Errorf("%+v %v", a, problem)
	}
	for limit, want := range map[string]string{"80": "Requester", "lenient": "ok"} {
		app.Definition.SAML.Settings.RelayStateLimit = limit
		a, problem := checkQuery(query+"&RelayState="+strings.Repeat("x", 81), app)
		if outcome(problem) != want || a.HasRelayState != (want == "ok") {
			t.Errorf("limit %s: %v", limit, problem)
		}
	}
	if _, problem := checkQuery(query+"&RelayState="+strings.Repeat("x", 1025), app); outcome(problem) != "Requester" {
		t.Errorf("over 1,024: %v", problem)
	}
}

// Signed, a message must say where it goes (BND-22).
func TestCheckSignedDestination(t *testing.T) {
	xml := strings.Replace(requestXML("", ""), ` Destination="https://idp.example/saml/sso"`, "", 1)
	query := signQuery(t, redirectQueryOf(xml), "rsa-sha256", rsaPair())
	if _, problem := checkQuery(query, appWith(rsaPair().key(sp.ForSigning))); problem == nil || problem.Reason != ReasonDestination {
		t.Errorf("%v", problem)
	}
}

func TestContextClass(t *testing.T) {
	const ownHigh, ownPasskey = "https://example.org/ac/strong", "https://example.org/ac/passkey"
	password := Evidence{sp.Standard, []string{"password"}}
	totp := Evidence{sp.High, []string{"password", "totp"}}
	passkey := Evidence{sp.High, []string{"passkey"}}
	link := Evidence{sp.Low, []string{"link"}}
	for _, test := range []struct {
		name       string
		comparison string
		classes    []string
		lenient    bool
		min        sp.Level
		evidence   Evidence
		want       string // empty: NoAuthnContext
	}{
		{"nothing asked, password", "", nil, true, "", password, classProtected},
		{"nothing asked, totp", "", nil, true, "", totp, classREFEDSMFA},
		{"nothing asked, link", "", nil, true, "", link, classUnspecified},
		{"exact PPT", "exact", []string{classProtected}, true, sp.Standard, password, classProtected},
		{"exact PPT, totp, lenient", "exact", []string{classProtected}, true, sp.Standard, totp, classProtected},
		{"exact PPT, totp, strict", "exact", []string{classProtected}, false, sp.Standard, totp, ""},
		{"exact PPT, passkey", "exact", []string{classProtected}, true, sp.Standard, passkey, ""},
		{"exact X509 or PPT", "exact", []string{classX509, classProtected}, true, sp.Standard, password, classProtected},
		{"exact MFA", "exact", []string{classREFEDSMFA}, true, sp.High, totp, classREFEDSMFA},
		{"exact MFA, password", "exact", []string{classREFEDSMFA}, true, sp.High, password, ""},
		{"MFA preferred", "exact", []string{classREFEDSMFA, classProtected}, true, sp.Standard, password, classProtected},
		{"exact unspecified", "exact", []string{classUnspecified}, true, sp.Low, password, classUnspecified},
		{"time token", "exact", []string{classTimeSync}, true, sp.High, passkey, ""},
		{"minimum PPT, totp", "minimum", []string{classProtected}, false, sp.Standard, totp, classREFEDSMFA},
		{"minimum PPT, password", "minimum", []string{classPassword}, false, sp.Standard, password, classPassword},
		{"minimum token, password", "minimum", []string{classTimeSync}, false, sp.High, password, ""},
		{"maximum PPT, totp", "maximum", []string{classProtected}, true, "", totp, classProtected},
		{"maximum PPT, totp, strict", "maximum", []string{classProtected}, false, "", totp, ""},
		{"maximum MFA, password", "maximum", []string{classREFEDSMFA}, false, "", password, classProtected},
		{"better PPT, totp", "better", []string{classProtected}, true, sp.High, totp, classREFEDSMFA},
		{"time token first, totp", "exact", []string{classTimeSync, classREFEDSMFA, classProtected}, true, sp.Standard, totp, classTimeSync},
		{"time token first, passkey", "exact", []string{classTimeSync, classREFEDSMFA, classProtected}, true, sp.Standard, passkey, classREFEDSMFA},
		{"own class", "exact", []string{ownHigh}, true, sp.High, passkey, ownHigh},
		{"own class, password", "exact", []string{ownHigh}, true, sp.High, password, ""},
		{"own class of a method", "exact", []string{ownPasskey, ownHigh}, true, sp.High, passkey, ownPasskey},
		{"own class of a method, totp", "exact", []string{ownPasskey, ownHigh}, true, sp.High, totp, ownHigh},
		{"own class, minimum", "minimum", []string{ownPasskey}, true, sp.High, totp, classREFEDSMFA},
		{"better PPT, password", "better", []string{classProtected}, true, sp.High, password, ""},
	} {
		var asked *RequestedContext
		if test.comparison != "" {
			asked = &RequestedContext{Comparison: test.comparison, Classes: test.classes}
		}
		demand, ok := demandOf(asked, map[string]string{ownHigh: "high", ownPasskey: "passkey"}, test.lenient)
		got, satisfied := demand.Class(test.evidence)
		if !ok || demand.MinLevel != test.min || satisfied != (test.want != "") || satisfied && got != test.want {
			t.Errorf("%s: %v %q %q %v", test.name, ok, demand.MinLevel, got, satisfied)
		}
	}
}

func TestUnsolicited(t *testing.T) {
	app := testApp().Definition.SAML
	a, problem := Unsolicited(app, "deep")
	if problem != nil || a.ID != "" || a.ACS != "https://sp.example/acs" || a.RelayState != "deep" || a.NameIDFormat != sp.NameIDPersistent {
		t.Errorf("%+v %v", a, problem)
	}
	app.Metadata.ACS = nil
	if _, problem := Unsolicited(app, ""); problem == nil {
		t.Error("an app without address was accepted")
	}
}

func TestProblemTextIsCut(t *testing.T) {
	p := local(ReasonACS, "x").because("", strings.Repeat("é", 1000))
	if len(p.Received) > 300 || !strings.HasSuffix(p.Received, "é…") {
		t.Errorf("%d %q", len(p.Received), p.Received)
	}
	if p.Error() == "" || time.Duration(Skew) != 5*time.Minute {
		t.Error("no words")
	}
}
