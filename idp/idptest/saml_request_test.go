package idptest

import (
	"strings"
	"testing"
)

const (
	classPPT  = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
	classX509 = "urn:oasis:names:tc:SAML:2.0:ac:classes:X509"
	classTOTP = "urn:oasis:names:tc:SAML:2.0:ac:classes:TimeSyncToken"
	classNone = "urn:oasis:names:tc:SAML:2.0:ac:classes:unspecified"
	refedsMFA = "https://refeds.org/profile/mfa"
	refedsSFA = "https://refeds.org/profile/sfa"

	formatPersistent  = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
	formatTransient   = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
	formatEmail       = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
	formatUnspecified = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"
)

// TestSAMLRequest is section 2 of the requirements: what an AuthnRequest may ask. saml_flow_test.go has the rows that take
// more than one exchange.
func TestSAMLRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.setOrganisation(t, "signin.mfa_enrolment", "admin") // nobody here has a second factor
	plain := w.sp(t, "plain", nil)
	w.rows(t, w.issuerRows(t, plain))
	w.rows(t, w.consumerRows(t, plain))
	w.rows(t, flagRows(plain))
	w.rows(t, nameRows(plain))
	w.rows(t, contextRows(plain, w.sp(t, "literal", map[string]string{"saml.authn_context_leniency": "exact"})))
	w.rows(t, w.subjectRows(plain))
	w.rows(t, w.scopingRows(plain))
	t.Run("what the answer repeats", func(t *testing.T) { w.repeats(t, plain) })
	t.Run("signing keys", func(t *testing.T) { w.signingKeys(t) })
	t.Run("attribute sets", func(t *testing.T) { w.attributeSets(t) })
	t.Run("the sign-in page", func(t *testing.T) { w.signInPage(t, plain) })
	t.Run("REQ-19 ForceAuthn answered by another person", func(t *testing.T) { w.anotherPerson(t, plain) })
	t.Run("REQ-31 AllowCreate", func(t *testing.T) { w.allowCreate(t) })
	t.Run("REQ-54 GetComplete is not fetched", func(t *testing.T) { w.getComplete(t, plain) })
	t.Run("encrypted subjects", func(t *testing.T) { w.sealedSubjects(t) })
	t.Run("REQ-66 LogoutRequest at the sign-on endpoint", func(t *testing.T) {
		message, _ := w.request(plain, Ask{})
		message = strings.ReplaceAll(message, "AuthnRequest", "LogoutRequest")
		w.checkHere(t, w.raw(t, redirectQuery(t, message)), "wrong_message")
		w.checkHere(t, w.ana(t).CrossPost(w.sso, postOf(message)), "wrong_message")
	})
	w.everything(t)
}

func (w *world) issuerRows(t *testing.T, plain *SP) []row {
	signed := w.signing(t, "signed")
	stranger := w.newSP(t, "stranger")
	tampered := w.newSP(t, "plain")
	tampered.Signed, tampered.Key = true, NewSP(t, "forger").Key
	willing := *plain
	willing.Signed = true
	lax := *signed
	lax.Signed = false
	entity := `<saml:Issuer Format="urn:oasis:names:tc:SAML:2.0:nameid-format:entity">` + plain.EntityID + `</saml:Issuer>`
	persistent := strings.Replace(entity, "entity", "persistent", 1)
	return []row{
		{name: "REQ-01 no Issuer", sp: plain, ask: Ask{Issuer: "-"}, want: here("malformed_message")},
		{name: "REQ-01 empty Issuer", sp: plain, ask: Ask{Issuer: "<!---->"}, want: here("malformed_message")},
		{name: "REQ-01 unknown Issuer", sp: stranger, want: here("unknown_issuer")},
		{name: "REQ-01 unknown Issuer, by POST, nobody signed in", sp: stranger, post: true, stranger: true, want: here("unknown_issuer")},
		{name: "REQ-01 Issuer in another case", sp: plain, ask: Ask{Issuer: "https://PLAIN.example.org/saml"}, want: here("unknown_issuer")},
		{name: "REQ-01 Issuer padded with spaces", sp: plain, ask: Ask{Issuer: " " + plain.EntityID + " "}, want: here("unknown_issuer")},
		{name: "REQ-01 Issuer of Format persistent", sp: plain, ask: Ask{Issuer: "-", Body: persistent}, want: here("malformed_message")},
		{name: "REQ-01 Issuer of Format entity", sp: plain, ask: Ask{Issuer: "-", Body: entity}, want: issued()},
		{name: "RSP-15 an unknown app gets nothing at the address that it names", sp: stranger, ask: Ask{Attributes: `AssertionConsumerServiceURL="https://evil.example/acs"`}, want: here("unknown_issuer")},
		{name: "REQ-03 MDC-16 unsigned from an app whose metadata says AuthnRequestsSigned", sp: &lax, want: here("unsigned_request")},
		{name: "REQ-03 unsigned from an app that must sign, POST", sp: &lax, post: true, want: here("unsigned_request")},
		{name: "REQ-03 no sign-in page for an unsigned request", sp: &lax, stranger: true, want: here("unsigned_request")},
		{name: "REQ-03 unsigned where the setting demands a signature", sp: w.sp(t, "demanding", map[string]string{"saml.require_signed_requests": "true"}), want: here("unsigned_request")},
		{name: "REQ-04 unsigned elsewhere", sp: plain, want: issued()},
		{name: "REQ-05 a good signature that need not be", sp: &willing, want: issued()},
		{name: "REQ-05 a bad signature that need not be, Redirect", sp: tampered, want: here("bad_signature")},
		{name: "REQ-05 a bad signature that need not be, POST", sp: tampered, post: true, want: here("bad_signature")},
	}
}

func (w *world) consumerRows(t *testing.T, plain *SP) []row {
	base := "https://many.example.org"
	many := w.newSP(t, "many")
	many.ACS = []string{base + "/two", base + "/one", base + "/seven"}
	w.AddApp(t, metadataWith(many, "", acsAt(bindingPost, base+"/one", 1, `isDefault="false"`)+acsAt(bindingPost, base+"/two", 2, "")+
		acsAt(bindingPost, base+"/seven", 7, "")+acsAt(bindingArtifact, base+"/artifact", 8, "")), nil)
	marked := w.newSP(t, "marked")
	w.AddApp(t, metadataWith(marked, "", acsAt(bindingPost, "https://marked.example.org/other", 0, "")+acsAt(bindingPost, marked.ACS[0], 1, `isDefault="true"`)), nil)
	denied := w.newSP(t, "denied")
	w.AddApp(t, metadataWith(denied, "", acsAt(bindingPost, denied.ACS[0], 3, `isDefault="false"`)+acsAt(bindingPost, "https://denied.example.org/b", 4, `isDefault="false"`)), nil)
	redirects := w.newSP(t, "redirects")
	w.AddApp(t, metadataWith(redirects, "", acsAt(bindingRedirect, "https://redirects.example.org/get", 0, `isDefault="true"`)+acsAt(bindingPost, redirects.ACS[0], 1, "")), nil)
	signed := w.signing(t, "signer")
	to := func(address string) Ask { return Ask{Attributes: `AssertionConsumerServiceURL="` + address + `"`} }
	index := func(n string) Ask { return Ask{Attributes: `AssertionConsumerServiceIndex="` + n + `"`} }
	binding := func(uri string) Ask { return Ask{Attributes: `ProtocolBinding="` + uri + `"`} }
	rows := []row{
		{name: "REQ-08 the exact ACS URL", sp: plain, ask: to(plain.ACS[0]), want: issued()},
		{name: "REQ-09 an unregistered ACS URL, signed", sp: signed, ask: to("https://elsewhere.example/acs"), want: here("unregistered_acs")},
		{name: "REQ-10 index 2", sp: many, ask: index("2"), want: issued().at(base + "/two")},
		{name: "REQ-10 MDC-14 index 7", sp: many, ask: index("7"), want: issued().at(base + "/seven")},
		{name: "REQ-11 unknown index: told at the default", sp: many, ask: index("99"), want: there("unregistered_acs", "Requester", "RequestUnsupported").at(base + "/two")},
		{name: "REQ-12 index and URL", sp: many, ask: Ask{Attributes: index("2").Attributes + " " + to(base+"/two").Attributes}, want: there("invalid_request", "Requester", "").at(base + "/two")},
		{name: "REQ-12 index and binding", sp: many, ask: Ask{Attributes: index("7").Attributes + " " + binding(bindingPost).Attributes}, want: there("invalid_request", "Requester", "").at(base + "/two")},
		{name: "REQ-13 MDC-14 isDefault=true", sp: marked, want: issued()},
		{name: "REQ-13 the first that is not isDefault=false", sp: many, want: issued().at(base + "/two")},
		{name: "REQ-13 all isDefault=false: the first", sp: denied, want: issued()},
		{name: "REQ-14 artifact that the metadata does not list", sp: plain, ask: binding(bindingArtifact), want: there("unsupported_binding", "Requester", "UnsupportedBinding")},
		{name: "REQ-14 PAOS", sp: plain, ask: binding(bindingPAOS), want: there("unsupported_binding", "Requester", "UnsupportedBinding")},
		{name: "REQ-14 RSP-02 Redirect is never used for an answer", sp: redirects, ask: binding(bindingRedirect), want: there("unsupported_binding", "Requester", "UnsupportedBinding")},
		{name: "REQ-14 RSP-02 the URL of a Redirect ACS", sp: redirects, ask: to("https://redirects.example.org/get"), want: there("unsupported_binding", "Requester", "UnsupportedBinding")},
		{name: "REQ-15 POST without URL", sp: redirects, ask: binding(bindingPost), want: issued()},
		{name: "REQ-16 MDC-14 a default that cannot be used is passed over", sp: redirects, want: issued()},
	}
	for _, bad := range []string{
		"https://evil.example/acs", plain.ACS[0] + "?x=1", plain.ACS[0] + "/", plain.ACS[0] + "#", "https://plain.example.org/x/../acs",
		"https://plain.example.org/ACS", "https://PLAIN.example.org/acs", "http://plain.example.org/acs", "https://plain.example.org:443/acs",
		"https://plain.example.org/%61cs", "https://plain.example.org@evil.example/acs", "https://plain.example.org/acs.evil.example",
		"javascript:alert(1)", "//plain.example.org/acs", " " + plain.ACS[0], many.ACS[0],
	} {
		rows = append(rows, row{name: "REQ-08 ACS " + bad, sp: plain, ask: to(bad), want: here("unregistered_acs")})
	}
	return rows
}

func flagRows(plain *SP) []row {
	with := func(attributes string) Ask { return Ask{Attributes: attributes} }
	noPassive := there("no_passive", "Responder", "NoPassive")
	return []row{
		{name: "REQ-17 ForceAuthn=true with a session", sp: plain, ask: with(`ForceAuthn="true"`), want: signIn()},
		{name: "REQ-17 ForceAuthn=1 with a session", sp: plain, ask: with(`ForceAuthn="1"`), want: signIn()},
		{name: "REQ-17 ForceAuthn by POST with a session", sp: plain, post: true, ask: with(`ForceAuthn="true"`), want: signIn()},
		{name: "REQ-20 ForceAuthn=false", sp: plain, ask: with(`ForceAuthn="false"`), want: issued()},
		{name: "REQ-20 ForceAuthn=0", sp: plain, ask: with(`ForceAuthn="0"`), want: issued()},
		{name: "REQ-21 IsPassive without session", sp: plain, stranger: true, ask: with(`IsPassive="true"`), want: noPassive},
		{name: "REQ-21 IsPassive=1 without session", sp: plain, stranger: true, ask: with(`IsPassive="1"`), want: noPassive},
		{name: "REQ-21 IsPassive without session, through the POST bounce", sp: plain, stranger: true, post: true, ask: with(`IsPassive="true"`), want: noPassive},
		{name: "REQ-22 IsPassive with session", sp: plain, ask: with(`IsPassive="true"`), want: issued()},
		{name: "REQ-22 IsPassive with session, through the POST bounce", sp: plain, post: true, ask: with(`IsPassive="1"`), want: issued()},
		{name: "REQ-24 IsPassive and ForceAuthn", sp: plain, ask: with(`IsPassive="true" ForceAuthn="true"`), want: noPassive},
		{name: "REQ-26 ForceAuthn=yes", sp: plain, ask: with(`ForceAuthn="yes"`), want: there("invalid_request", "Requester", "")},
		{name: "REQ-26 IsPassive=TRUE", sp: plain, ask: with(`IsPassive="TRUE"`), want: there("invalid_request", "Requester", "")},
		{name: "REQ-60 Consent", sp: plain, ask: with(`Consent="urn:oasis:names:tc:SAML:2.0:consent:obtained"`), want: issued()},
		{name: "REQ-61 the requested-attributes extension", sp: plain, ask: Ask{Body: `<samlp:Extensions><r:RequestedAttributes xmlns:r="urn:oasis:names:tc:SAML:protocol:ext:req-attr"><m:RequestedAttribute xmlns:m="urn:oasis:names:tc:SAML:2.0:metadata" Name="mail"/></r:RequestedAttributes></samlp:Extensions>`}, want: issued()},
	}
}

func policy(attributes string) Ask { return Ask{Body: `<samlp:NameIDPolicy ` + attributes + `/>`} }

func nameRows(plain *SP) []row {
	invalid := there("invalid_nameid_policy", "Requester", "InvalidNameIDPolicy")
	format := func(uri string) Ask { return policy(`Format="` + uri + `"`) }
	return []row{
		{name: "REQ-27 an unknown format", sp: plain, ask: format("urn:example:nothing"), want: invalid},
		{name: "REQ-28 no format", sp: plain, ask: policy(`AllowCreate="true"`), want: issued()},
		{name: "REQ-29 unspecified with the wrong prefix", sp: plain, ask: format("urn:oasis:names:tc:SAML:2.0:nameid-format:unspecified"), want: invalid},
		{name: "REQ-30 encrypted, and no key for it", sp: plain, ask: format("urn:oasis:names:tc:SAML:2.0:nameid-format:encrypted"), want: invalid},
		{name: "REQ-32 AllowCreate=false with transient", sp: plain, ask: policy(`Format="` + formatTransient + `" AllowCreate="false"`), want: issued()},
		{name: "REQ-33 own SPNameQualifier", sp: plain, ask: policy(`SPNameQualifier="` + plain.EntityID + `"`), want: issued()},
		{name: "REQ-33 another app's SPNameQualifier", sp: plain, ask: policy(`SPNameQualifier="https://many.example.org/saml"`), want: invalid},
		{name: "REQ-26 AllowCreate=maybe", sp: plain, ask: policy(`AllowCreate="maybe"`), want: there("invalid_request", "Requester", "")},
		{name: "NID-08 X509SubjectName", sp: plain, ask: format("urn:oasis:names:tc:SAML:1.1:nameid-format:X509SubjectName"), want: invalid},
		{name: "NID-08 WindowsDomainQualifiedName", sp: plain, ask: format("urn:oasis:names:tc:SAML:1.1:nameid-format:WindowsDomainQualifiedName"), want: invalid},
		{name: "NID-08 kerberos", sp: plain, ask: format("urn:oasis:names:tc:SAML:2.0:nameid-format:kerberos"), want: invalid},
		{name: "NID-08 entity", sp: plain, ask: format("urn:oasis:names:tc:SAML:2.0:nameid-format:entity"), want: invalid},
	}
}

// classes asks for authentication contexts.
func classes(comparison string, list ...string) Ask {
	if comparison != "" {
		comparison = ` Comparison="` + comparison + `"`
	}
	refs := ""
	for _, class := range list {
		refs += `<saml:AuthnContextClassRef>` + class + `</saml:AuthnContextClassRef>`
	}
	return Ask{Body: `<samlp:RequestedAuthnContext` + comparison + `>` + refs + `</samlp:RequestedAuthnContext>`}
}

// contextRows: what a password proves is answered, everything else is refused truthfully.
func contextRows(plain, literal *SP) []row {
	none := there("no_authn_context", "Requester", "NoAuthnContext")
	invalid := there("invalid_request", "Requester", "")
	unreachable := there("level_unreachable", "Responder", "NoAuthnContext")
	decl := `<samlp:RequestedAuthnContext>%s<saml:AuthnContextDeclRef>urn:x</saml:AuthnContextDeclRef></samlp:RequestedAuthnContext>`
	passive := classes("", refedsMFA)
	passive.Attributes = `IsPassive="true"`
	return []row{
		{name: "REQ-35 exact by default", sp: plain, ask: classes("", classPPT), want: issued()},
		{name: "REQ-35 exact", sp: literal, ask: classes("exact", classPPT), want: issued()},
		{name: "REQ-35 exact X509", sp: plain, ask: classes("exact", classX509), want: none},
		{name: "REQ-36 minimum PasswordProtectedTransport", sp: plain, ask: classes("minimum", classPPT), want: issued()},
		{name: "REQ-36 minimum TimeSyncToken", sp: plain, ask: classes("minimum", classTOTP), want: unreachable},
		{name: "REQ-37 maximum PasswordProtectedTransport", sp: plain, ask: classes("maximum", classPPT), want: issued()},
		{name: "REQ-38 better than PasswordProtectedTransport", sp: plain, ask: classes("better", classPPT), want: unreachable},
		{name: "REQ-38 better than the best", sp: plain, ask: classes("better", refedsMFA), want: none},
		{name: "REQ-39 X509, else a password", sp: plain, ask: classes("exact", classX509, classPPT), want: issued()},
		{name: "REQ-40 a declaration", sp: plain, ask: Ask{Body: strings.Replace(decl, "%s", "", 1)}, want: none},
		{name: "REQ-40 a declaration and a class", sp: plain, ask: Ask{Body: strings.Replace(decl, "%s", "<saml:AuthnContextClassRef>"+classPPT+"</saml:AuthnContextClassRef>", 1)}, want: invalid},
		{name: "REQ-41 an empty class", sp: plain, ask: classes("", ""), want: invalid},
		{name: "REQ-41 no class", sp: plain, ask: classes(""), want: invalid},
		{name: "REQ-41 an unknown Comparison", sp: plain, ask: classes("roughly", classPPT), want: invalid},
		{name: "REQ-43 unspecified", sp: plain, ask: classes("exact", classNone), want: issued()},
		{name: "REQ-44 REFEDS MFA out of reach", sp: plain, ask: classes("exact", refedsMFA), want: unreachable},
		{name: "REQ-44 REFEDS SFA", sp: plain, ask: classes("exact", refedsSFA), want: issued()},
		{name: "REQ-45 IsPassive needing a second factor", sp: plain, ask: passive, want: unreachable},
	}
}

func subject(nameID string) Ask { return Ask{Body: "<saml:Subject>" + nameID + "</saml:Subject>"} }

func (w *world) subjectRows(plain *SP) []row {
	invalid := there("invalid_request", "Requester", "")
	wrong := there("unknown_principal", "Responder", "UnknownPrincipal")
	email := func(name string) string {
		return `<saml:NameID Format="` + formatEmail + `">` + name + `@example.org</saml:NameID>`
	}
	asEmail := `<samlp:NameIDPolicy Format="` + formatEmail + `"/>`
	mine, theirs := subject(email("ana")), subject(email("bob"))
	mine.Body += asEmail
	theirs.Body += asEmail
	confirmed := subject(email("ana") + `<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"/>`)
	encrypted := subject(`<saml:EncryptedID><x:EncryptedData xmlns:x="http://www.w3.org/2001/04/xmlenc#"><x:CipherData><x:CipherValue>AAAA</x:CipherValue></x:CipherData></x:EncryptedData></saml:EncryptedID>`)
	longer := subject(`<saml:EncryptedID><x:EncryptedData xmlns:x="http://www.w3.org/2001/04/xmlenc#"><x:CipherData><x:CipherValue>` + strings.Repeat("A", 64) + `</x:CipherValue></x:CipherData></x:EncryptedData></saml:EncryptedID>`)
	return []row{
		{name: "REQ-46 the person who is signed in", sp: plain, ask: mine, want: issued()},
		{name: "REQ-46 another person", sp: plain, ask: theirs, want: wrong},
		{name: "REQ-46 a value that nobody has", sp: plain, ask: subject(`<saml:NameID>nobody</saml:NameID>`), want: wrong},
		{name: "BND-17 a comment in the Subject's NameID", sp: plain, ask: subject(`<saml:NameID Format="` + formatEmail + `">ana<!-- -->@example.org</saml:NameID>`), want: here("malformed_message")},
		{name: "REQ-47 a SubjectConfirmation", sp: plain, ask: confirmed, want: invalid},
		{name: "REQ-48 an EncryptedID without a key", sp: plain, ask: encrypted, want: invalid},
		{name: "REQ-48 another EncryptedID without a key", sp: plain, ask: longer, want: invalid},
		{name: "REQ-50 Conditions that narrow", sp: plain, ask: Ask{Body: `<saml:Conditions NotOnOrAfter="2035-01-01T00:00:00Z"><saml:AudienceRestriction><saml:Audience>urn:other</saml:Audience></saml:AudienceRestriction></saml:Conditions>`}, want: issued()},
		{name: "REQ-50 Conditions that are over", sp: plain, ask: Ask{Body: `<saml:Conditions NotOnOrAfter="2015-01-01T00:00:00Z"/>`}, want: issued()},
	}
}

func (w *world) scopingRows(plain *SP) []row {
	scoping := func(attributes, inner string) Ask {
		return Ask{Body: `<samlp:Scoping ` + attributes + `>` + inner + `</samlp:Scoping>`}
	}
	list := func(id string) string {
		return `<samlp:IDPList><samlp:IDPEntry ProviderID="` + id + `"/></samlp:IDPList>`
	}
	foreign := there("no_supported_idp", "Requester", "NoSupportedIDP")
	return []row{
		{name: "REQ-51 ProxyCount=0", sp: plain, ask: scoping(`ProxyCount="0"`, ""), want: issued()},
		{name: "REQ-53 an IDPList that names us", sp: plain, ask: scoping("", list(w.URL+"/saml/metadata")), want: issued()},
		{name: "REQ-53 an IDPList of others", sp: plain, ask: scoping("", list("https://other.example")), want: foreign},
		{name: "REQ-55 RequesterID", sp: plain, ask: scoping("", `<samlp:RequesterID>urn:x</samlp:RequesterID>`), want: issued()},
		{name: "BND-19 everything optional at once", sp: plain, ask: Ask{
			Attributes: `ForceAuthn="false" IsPassive="false" ProviderName="Odd &amp; Co" Consent="urn:x" AttributeConsumingServiceIndex="0"`,
			Body: `<samlp:Extensions><e:e xmlns:e="urn:e"/></samlp:Extensions><samlp:NameIDPolicy AllowCreate="true"/><saml:Conditions/>` +
				classes("minimum", classPPT).Body + scoping(`ProxyCount="3"`, list(w.URL+"/saml/metadata")).Body,
		}, want: issued()},
		{name: "BND-19 an element twice", sp: plain, ask: Ask{Body: `<samlp:NameIDPolicy/><samlp:NameIDPolicy/>`}, want: there("invalid_request", "Requester", "")},
	}
}
