package metadata

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/sp"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "testdata", "metadata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func parse(t *testing.T, name string) Result {
	t.Helper()
	r, err := Parse(fixture(t, name), Options{Now: now})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return r
}

func codes(warnings []Warning) string {
	var list []string
	for _, w := range warnings {
		if w.Text == "" || w.Severity == "" {
			return "incomplete warning " + w.Code
		}
		list = append(list, w.Code)
	}
	slices.Sort(list)
	return strings.Join(slices.Compact(list), " ")
}

func TestFixtures(t *testing.T) {
	tests := []struct {
		file, entityID string
		acs, slo, keys int
		warnings       string
	}{
		{"mellon.xml", "https://mellon.example.org/mellon/metadata", 3, 2, 2, ""},
		{"node-saml.xml", "node-saml-sp", 1, 1, 2, "http_acs"},
		{"salesforce.xml", "https://acme.my.crm.example", 2, 2, 1, "no_encryption_key"},
		{"shibboleth.xml", "https://wiki.uni.example/shibboleth", 4, 3, 1, "acs_binding no_nameid_format"},
		{"samlsp.xml", "http://localhost:8000/saml/metadata", 2, 1, 1, "http_acs only_cbc"},
		{"simplesamlphp.xml", "https://php.example.org/simplesaml/module.php/saml/sp/metadata.php/default-sp", 3, 1, 2,
			"acs_binding no_nameid_format"},
		{"single-quotes.xml", "https://quotes.example.org/sp", 1, 0, 1, "no_encryption_key no_nameid_format no_slo"},
		{"bom-utf8.xml", "https://bom.example.org/sp", 1, 0, 0, "no_encryption_key no_nameid_format no_slo"},
		{"utf16.xml", "https://utf16.example.org/sp", 1, 0, 0, "no_encryption_key no_nameid_format no_slo"},
		{"keyvalue.xml", "https://keyvalue.example.org/sp", 1, 0, 2, "key_unusable no_encryption_key no_nameid_format no_slo"},
		{"multi-acs.xml", "https://multi.example.org/sp", 6, 0, 2,
			"acs_binding acs_duplicate_index acs_several_defaults no_slo unknown_nameid_format"},
		{"mdui.xml", "https://mdui.example.org/sp", 1, 0, 1, "no_encryption_key no_nameid_format no_slo"},
		{"requested-attributes.xml", "https://attributes.example.org/sp", 1, 0, 0, "no_encryption_key no_nameid_format no_slo"},
		{"old-certificates.xml", "https://old.example.org/sp", 1, 0, 4, "certificate_expired certificate_expires_soon " +
			"certificate_weak_signature key_broken key_ec_encryption key_weak no_nameid_format no_slo only_cbc only_sha1_signatures " +
			"slo_ignored valid_until_soon"},
		{"group-of-one.xml", "https://inner.example.org/sp", 1, 0, 0, "no_encryption_key no_nameid_format no_slo"},
		{"two-roles.xml", "https://roles.example.org/sp", 1, 0, 0, "no_encryption_key no_nameid_format no_slo several_roles"},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			r := parse(t, tt.file)
			m := r.Metadata
			if m.EntityID != tt.entityID || len(m.ACS) != tt.acs || len(m.SLO) != tt.slo || len(m.Keys) != tt.keys {
				t.Errorf("got %q, %d acs, %d slo, %d keys", m.EntityID, len(m.ACS), len(m.SLO), len(m.Keys))
			}
			if got := codes(r.Warnings); got != tt.warnings {
				t.Errorf("warnings\n got %s\nwant %s", got, tt.warnings)
			}
		})
	}
}

func TestDetails(t *testing.T) {
	mellon := parse(t, "mellon.xml").Metadata
	if !mellon.AuthnRequestsSigned || !mellon.WantAssertionsSigned || mellon.NameIDFormats[0] != sp.NameIDTransient {
		t.Errorf("mellon: %+v", mellon)
	}
	shib := parse(t, "shibboleth.xml").Metadata
	want := sp.EncryptionMethod{Algorithm: "http://www.w3.org/2009/xmlenc11#rsa-oaep",
		Digest: "http://www.w3.org/2001/04/xmlenc#sha256", MGF: "http://www.w3.org/2009/xmlenc11#mgf1sha256"}
	if k := shib.Keys[0]; k.Use != sp.ForBoth || len(k.EncryptionMethods) != 5 || k.EncryptionMethods[3] != want {
		t.Errorf("shibboleth key: %+v", k.EncryptionMethods)
	}
	if len(shib.DigestMethods) != 3 || len(shib.SigningMethods) != 3 {
		t.Errorf("shibboleth algorithms: %v %v", shib.DigestMethods, shib.SigningMethods)
	}
	if got := shib.SLO[2].ResponseLocation; got != "https://wiki.uni.example/Shibboleth.sso/SLO/Answer" {
		t.Errorf("ResponseLocation %q", got)
	}
	if got := parse(t, "salesforce.xml").Metadata.ValidUntil; !got.Equal(time.Date(2036, 11, 20, 9, 0, 0, 0, time.UTC)) {
		t.Errorf("validUntil %v", got)
	}
	if got := parse(t, "group-of-one.xml").Metadata.ValidUntil; got.Year() != 2031 {
		t.Errorf("validUntil of the inner group: %v", got)
	}
	if got := parse(t, "two-roles.xml").Metadata.ACS[0].Location; got != "https://roles.example.org/saml2/acs" {
		t.Errorf("SAML 2.0 role: %q", got)
	}
	if got := parse(t, "simplesamlphp.xml").Metadata.Contact; got != "tech@example.org" {
		t.Errorf("contact %q", got)
	}
	multi := parse(t, "multi-acs.xml").Metadata
	if *multi.ACS[1].IsDefault || multi.ACS[2].IsDefault != nil || *multi.ACS[4].Index != 7 {
		t.Errorf("acs: %+v", multi.ACS)
	}
}

func TestUserInterface(t *testing.T) {
	m := parse(t, "mdui.xml").Metadata
	if m.DisplayName != "Travel & Expenses <script>" || m.Description != "Reisen abrechnen" ||
		m.InformationURL != "https://mdui.example.org/about#top" || m.LogoURL != "https://mdui.example.org/logo.png" {
		t.Errorf("%+v", m)
	}
	library := parse(t, "requested-attributes.xml").Metadata
	if library.DisplayName != "Library" || len(library.AttributeServices) != 2 {
		t.Fatalf("%+v", library)
	}
	asked := library.AttributeServices[0].Requested
	if !asked[0].Required || asked[0].FriendlyName != "mail" || !reflect.DeepEqual(asked[1].Values, []string{"urn:mace:dir:entitlement:common-lib-terms"}) {
		t.Errorf("%+v", asked)
	}
}

func TestBareKeys(t *testing.T) {
	for _, k := range parse(t, "keyvalue.xml").Metadata.Keys {
		if len(k.Certificate) > 0 || len(k.PublicKey) == 0 {
			t.Errorf("not a bare key: %+v", k)
		}
		if _, err := k.Public(); err != nil {
			t.Error(err)
		}
	}
}

// document is a small, good document; replacing parts of it makes the bad ones.
const document = `<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="https://app.example.org/sp">
<SPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
<AssertionConsumerService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="https://app.example.org/acs" index="0"/>
</SPSSODescriptor>
</EntityDescriptor>`

func replaced(old, new string) string { return strings.ReplaceAll(document, old, new) }

func location(url string) string { return replaced("https://app.example.org/acs", url) }

func inRole(xml string) string { return replaced("</SPSSODescriptor>", xml+"</SPSSODescriptor>") }

func key(use, inside string) string {
	return inRole(`<KeyDescriptor` + use + `><KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#">` + inside + `</KeyInfo></KeyDescriptor>`)
}

func TestRefused(t *testing.T) {
	tests := []struct{ name, data, reason string }{
		{"empty", "", "line 1: there is no XML"},
		{"text", "hello", "line 1: there is text outside"},
		{"html", "<html><body/></html>", "line 1: this is not SAML metadata"},
		{"cut off", document[:200], "line 3: the XML is broken"},
		{"two documents", document + document, "line 5: there is a second document"},
		{"junk after", document + "x", "line 5: there is text outside"},
		{"doctype", `<!DOCTYPE x [<!ENTITY a "b">]>` + document, "line 1: a DOCTYPE is not allowed"},
		{"entity", replaced("https://app.example.org/sp", "&xxe;"), "line 1: the XML is broken"},
		{"instruction", "<?php echo 1 ?>" + document, "line 1: the processing instruction"},
		{"late declaration", document + `<?xml version="1.0"?>`, "the processing instruction"},
		{"encoding", `<?xml version="1.0" encoding="ISO-8859-1"?>` + document, "save the file again as UTF-8"},
		{"not utf-8", replaced("/sp", "/\xff"), "not UTF-8"},
		{"odd utf-16", "\xff\xfea", "half a character"},
		{"double attribute", replaced(`index="0"`, `index="0" index="1"`), "line 3: the attribute \"index\" is there twice"},
		{"double by prefix", replaced(`index="0"`, `xmlns:a="urn:x" xmlns:b="urn:x" a:i="0" b:i="1"`), "there twice"},
		{"many attributes", replaced(`index="0"`, manyAttributes(40)), "more than 32 attributes"},
		{"deep", inRole(strings.Repeat("<a>", 40) + strings.Repeat("</a>", 40)), "more than 32 deep"},
		{"many elements", inRole(strings.Repeat("<a/>", 5000)), "more than 5,000 elements"},
		{"many declarations", inRole(strings.Repeat(`<a xmlns:p="urn:x"/>`, 1001)), "1,000 namespace declarations"},
		{"large", document + strings.Repeat(" ", 1<<20), "larger than 1 MiB"},
		{"identity provider", string(fixture(t, "identity-provider.xml")), "line 2: this is the metadata of an identity provider, \"https://idp.example.org"},
		{"several", string(fixture(t, "group-of-two.xml")), "2 service providers here: https://one.example.org/sp, https://two.example.org/sp"},
		{"saml 1.1", replaced("SAML:2.0:protocol", "SAML:1.1:protocol"), "line 2: the service provider \"https://app.example.org/sp\" does not list SAML 2.0"},
		{"no role", replaced("SPSSODescriptor", "AttributeAuthorityDescriptor"), "there is no service provider"},
		{"wrong namespace", replaced("SAML:2.0:metadata", "SAML:1.0:metadata"), "this is not SAML metadata"},
		{"no entity id", replaced(` entityID="https://app.example.org/sp"`, ""), "line 1: the entity id is missing"},
		{"long entity id", replaced("example.org/sp", strings.Repeat("x", 1100)), "longer than 1,024"},
		{"entity id with space", replaced("org/sp", "org/ sp"), "contains a space"},
		{"our own", replaced("https://app.example.org/sp", "https://gatehouse.example/saml/metadata"), "Gatehouse's own entity id"},
		{"expired", string(fixture(t, "expired.xml")), "line 2: the metadata expired on 1 May 2024"},
		{"role expired", string(fixture(t, "role-expired.xml")), "expired on 3 February 2025"},
		{"bad validUntil", replaced("entityID=", `validUntil="tomorrow" entityID=`), `validUntil="tomorrow" is not a time`},
		{"no acs", replaced("AssertionConsumerService", "ManageNameIDService"), "line 2: there is no AssertionConsumerService"},
		{"artifact only", replaced("HTTP-POST", "HTTP-Artifact"), "no AssertionConsumerService takes answers by HTTP-POST"},
		{"no binding", replaced("Binding=", "binding="), "needs a Binding"},
		{"javascript", location("javascript:alert(1)"), "line 3: the address \"javascript:alert(1)\" of AssertionConsumerService must be an absolute URL"},
		{"data", location("data:text/html,x"), "must be an absolute URL"},
		{"relative", location("/acs"), "must be an absolute URL"},
		{"scheme-relative", location("//app.example.org/acs"), "must be an absolute URL"},
		{"no host", location("https:///acs"), "has no host"},
		{"opaque", location("https:app.example.org"), "has no host"},
		{"port only", location("https://:443/acs"), "has no host"},
		{"user", location("https://app.example.org@evil.example/acs"), "user name"},
		{"fragment", location("https://app.example.org/acs#x"), "fragment"},
		{"empty fragment", location("https://app.example.org/acs#"), "fragment"},
		{"space", location("https://app.example.org/a cs"), "spaces"},
		{"backslash", location(`https://app.example.org\@evil.example/`), "backslashes"},
		{"http", location("http://app.example.org/acs"), "must begin with https:// (http is for localhost, unless you allow it)"},
		{"http like localhost", location("http://localhost.evil.example/acs"), "must begin with https://"},
		{"long", location("https://app.example.org/" + strings.Repeat("x", 2100)), "2,048"},
		{"second is bad", inRole(`<AssertionConsumerService Binding="x" Location="javascript:1"/>`), "must be an absolute URL"},
		{"empty location", location(""), "is empty"},
		{"logout script", inRole(`<SingleLogoutService Binding="x" Location="javascript:1"/>`), "of SingleLogoutService must be"},
		{"index", replaced(`index="0"`, `index="-1"`), `index="-1" must be a number`},
		{"default", replaced(`index="0"`, `isDefault="yes"`), `isDefault="yes" must be true or false`},
		{"signed flag", replaced("<SPSSODescriptor ", `<SPSSODescriptor AuthnRequestsSigned="maybe" `), "AuthnRequestsSigned"},
		{"key use", key(` use="both"`, ""), `use="both" must be signing or encryption`},
		{"empty key use", key(` use=""`, ""), `use="" must be signing or encryption`},
		{"broken certificate", key("", "<X509Data><X509Certificate>!</X509Certificate></X509Data>"), "not base64"},
		{"many keys", key("", manyKeys(t)), "more than 100 keys"},
		{"empty certificate", key("", "<X509Data><X509Certificate/></X509Data>"), "it is empty"},
		{"certificate of elements", key("", "<X509Data><X509Certificate><a/></X509Certificate></X509Data>"), "elements instead of base64"},
		{"not a certificate", key("", "<X509Data><X509Certificate>AAAA</X509Certificate></X509Data>"), "the key in X509Certificate cannot be read"},
		{"small rsa", key("", "<KeyValue><RSAKeyValue><Modulus>AQAB</Modulus><Exponent>AQAB</Exponent></RSAKeyValue></KeyValue>"), "bits"},
		{"huge exponent", key("", "<KeyValue><RSAKeyValue><Modulus>AQAB</Modulus><Exponent>/////////w==</Exponent></RSAKeyValue></KeyValue>"), "too large"},
		{"no modulus", key("", "<KeyValue><RSAKeyValue/></KeyValue>"), "modulus: it is missing"},
		{"dsa", key("", "<KeyValue><DSAKeyValue/></KeyValue>"), "neither RSA nor EC"},
		{"off the curve", key("", `<KeyValue><ECKeyValue xmlns="http://www.w3.org/2009/xmldsig11#"><NamedCurve URI="urn:oid:1.2.840.10045.3.1.7"/><PublicKey>BAAA</PublicKey></ECKeyValue></KeyValue>`), "not a point"},
		{"markup in format", inRole("<NameIDFormat>urn:<b>x</b></NameIDFormat>"), "must hold only text"},
		{"empty format", inRole("<NameIDFormat> </NameIDFormat>"), "NameIDFormat is empty"},
		{"nameless attribute", inRole("<AttributeConsumingService index='1'><RequestedAttribute/></AttributeConsumingService>"), "needs a Name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse([]byte(tt.data), Options{Now: now, OwnEntityID: "https://gatehouse.example/saml/metadata"})
			var refused *Error
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), tt.reason) {
				t.Errorf("got %v, want %q", err, tt.reason)
			}
		})
	}
}

func manyAttributes(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("a" + string(rune('a'+i%26)) + strings.Repeat("x", i) + `="1" `)
	}
	return b.String()
}

// manyKeys makes 101 key values out of one modulus.
func manyKeys(t *testing.T) string {
	t.Helper()
	_, rest, _ := strings.Cut(string(fixture(t, "keyvalue.xml")), "<ds:Modulus>")
	modulus, _, _ := strings.Cut(rest, "</ds:Modulus>")
	var b strings.Builder
	for i := range 101 {
		exponent := base64.StdEncoding.EncodeToString([]byte{1, byte(2*i + 1)})
		fmt.Fprintf(&b, "<KeyValue><RSAKeyValue><Modulus>%s</Modulus><Exponent>%s</Exponent></RSAKeyValue></KeyValue>", modulus, exponent)
	}
	return b.String()
}

func TestAccepted(t *testing.T) {
	tests := []struct {
		name, data string
		opts       Options
		warning    string
	}{
		{"as it is", document, Options{}, "no_slo"},
		{"pasted with white space", "\n  <?xml version=\"1.0\"?>\n" + document + "\n\n", Options{}, "no_slo"},
		{"crlf", strings.ReplaceAll(document, "\n", "\r\n"), Options{}, "no_slo"},
		{"loopback", location("http://127.0.0.1:8080/acs"), Options{}, "http_acs"},
		{"loopback v6", location("http://[::1]/acs"), Options{}, "http_acs"},
		{"http allowed", location("http://app.example.org/acs"), Options{AllowHTTP: true}, "http_acs"},
		{"expired allowed", string(fixture(t, "expired.xml")), Options{AllowExpired: true}, "metadata_expired"},
		{"ended a moment ago", replaced("entityID=", `validUntil="2026-11-24T11:58:00Z" entityID=`), Options{}, "valid_until_soon"},
		{"signed", replaced("<SPSSO", `<Signature xmlns="http://www.w3.org/2000/09/xmldsig#"/><SPSSO`), Options{}, "signature_not_verified"},
		{"no index", replaced(`index="0"`, ""), Options{}, "acs_without_index"},
		{"signs without key", replaced("<SPSSODescriptor ", `<SPSSODescriptor AuthnRequestsSigned="true" `), Options{}, "no_signing_key"},
		{"logo by data", inRole(`<Extensions><UIInfo xmlns="urn:oasis:names:tc:SAML:metadata:ui"><Logo>data:image/png;base64,AA</Logo></UIInfo></Extensions>`), Options{}, "logo_url_ignored"},
		{"script as link", inRole(`<Extensions><UIInfo xmlns="urn:oasis:names:tc:SAML:metadata:ui"><InformationURL>javascript:1</InformationURL></UIInfo></Extensions>`), Options{}, "information_url_ignored"},
		{"sha-1 digests", inRole(`<Extensions><DigestMethod xmlns="urn:oasis:names:tc:SAML:metadata:algsupport" Algorithm="http://www.w3.org/2000/09/xmldsig#sha1"/></Extensions>`), Options{}, "only_sha1_digests"},
		{"same attribute set", inRole(`<AttributeConsumingService index="1"/><AttributeConsumingService index="1"/>`), Options{}, "attributes_duplicate_index"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.opts.Now = now
			r, err := Parse([]byte(tt.data), tt.opts)
			if err != nil {
				t.Fatal(err)
			}
			if got := codes(r.Warnings); !strings.Contains(got, tt.warning) {
				t.Errorf("warnings %s, want %s", got, tt.warning)
			}
			if tt.opts.AllowExpired && !r.Metadata.ValidUntil.IsZero() {
				t.Error("the past validUntil was kept, so sign-on would be refused")
			}
		})
	}
}

// A comment inside a value must not cut it short: parsers that stop there read another address than the signer meant.
func TestCommentsDoNotTruncate(t *testing.T) {
	data := inRole("<NameIDFormat>urn:oasis:names:tc:SAML:2.0:<!-- x -->nameid-format:persistent</NameIDFormat>")
	r, err := Parse([]byte(data), Options{Now: now})
	if err != nil || r.Metadata.NameIDFormats[0] != sp.NameIDPersistent {
		t.Errorf("%v %v", r.Metadata.NameIDFormats, err)
	}
}

func TestWarningsAreBounded(t *testing.T) {
	r, err := Parse([]byte(inRole(strangeFormats(500))), Options{Now: now})
	if err != nil || len(r.Warnings) != maxWarnings {
		t.Errorf("%d warnings, %v", len(r.Warnings), err)
	}
}

func strangeFormats(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "<NameIDFormat>urn:x:%d</NameIDFormat>", i)
	}
	return b.String()
}

func TestErrorPlace(t *testing.T) {
	_, err := Parse([]byte(location("http://app.example.org/acs")), Options{Now: now})
	var refused *Error
	if !errors.As(err, &refused) || refused.Line != 3 || refused.Column != 1 {
		t.Errorf("%+v", refused)
	}
}

func TestBuild(t *testing.T) {
	own := Options{OwnEntityID: "https://gatehouse.example/saml/metadata"}
	m, err := Build("my-app", "https://app.example.org/acs", own)
	if err != nil || m.EntityID != "my-app" || m.ACS[0].Binding != sp.BindingPOST {
		t.Fatalf("%+v %v", m, err)
	}
	for _, bad := range [][2]string{
		{"", "https://app.example.org/acs"}, {"a b", "https://app.example.org/acs"}, {own.OwnEntityID, "https://app.example.org/acs"},
		{"my-app", ""}, {"my-app", "http://app.example.org/acs"}, {"my-app", "javascript:1"}, {"a\x00b", "https://app.example.org/acs"},
	} {
		var refused *Error
		if _, err := Build(bad[0], bad[1], own); !errors.As(err, &refused) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := Build("my-app", "http://app.example.org/acs", Options{AllowHTTP: true}); err != nil {
		t.Error(err)
	}
}
