package idptest

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/beevik/etree"

	"gatehouse/idp/api"
)

// encryptsTo registers an app whose encryption key lists methods.
func (w *world) encryptsTo(t *testing.T, name, methods string, settings map[string]string) *SP {
	t.Helper()
	sp := w.newSP(t, name)
	sp.Encrypt = true
	w.AddApp(t, metadataWith(sp, "", keyDescriptor("encryption", sp.DER, methods)+acsAt(bindingPost, sp.ACS[0], 0, "")), settings)
	return sp
}

func method(uri, inner string) string {
	return `<EncryptionMethod Algorithm="` + uri + `">` + inner + `</EncryptionMethod>`
}

func digestMethod(uri string) string { return `<ds:DigestMethod Algorithm="` + uri + `"/>` }

func mask(uri string) string {
	return `<x:MGF xmlns:x="http://www.w3.org/2009/xmlenc11#" Algorithm="` + uri + `"/>`
}

// encryption: xmlsec1 opens what each choice of algorithms gives.
func (w *world) encryption(t *testing.T) {
	const mgf1SHA256 = "http://www.w3.org/2009/xmlenc11#mgf1sha256"
	for i, c := range []struct {
		name, methods                  string
		settings                       map[string]string
		cipher, transport, digest, mgf string
	}{
		{"CRY-05 CRY-11 CRY-12 CRY-13 nothing listed", "", nil, encGCM256, encOAEP, hashSHA1, ""},
		{"CRY-05 CRY-16 AES-128-GCM listed", method(encGCM128, ""), nil, encGCM128, encOAEP, hashSHA1, ""},
		{"CRY-05 CRY-16 AES-256-GCM listed", method(encGCM256, ""), nil, encGCM256, encOAEP, hashSHA1, ""},
		{"CRY-16 CBC and GCM listed", method(encCBC256, "") + method(encGCM128, ""), nil, encGCM128, encOAEP, hashSHA1, ""},
		{"CRY-07 CRY-09 MGF1P with a SHA-256 digest", method(encOAEP, digestMethod(hashSHA2)), nil, encGCM256, encOAEP, hashSHA2, ""},
		{"CRY-07 MGF1P with a SHA-1 digest", method(encOAEP, digestMethod(hashSHA1)), nil, encGCM256, encOAEP, hashSHA1, ""},
		{"CRY-08 xmlenc11 OAEP without MGF", method(encOAEP11, digestMethod(hashSHA2)), nil, encGCM256, encOAEP11, hashSHA2, ""},
		{"CRY-08 xmlenc11 OAEP with MGF", method(encOAEP11, digestMethod(hashSHA2)+mask(mgf1SHA256)), nil, encGCM256, encOAEP11, hashSHA2, mgf1SHA256},
		{"CRY-08 xmlenc11 OAEP by setting", "", map[string]string{"saml.key_transport": "rsa-oaep"}, encGCM256, encOAEP11, hashSHA2, mgf1SHA256},
		{"CRY-04 RSA-1.5 and OAEP listed", method(encRSA15, "") + method(encOAEP, ""), nil, encGCM256, encOAEP, hashSHA1, ""},
		{"CRY-06 CBC by setting", method(encCBC128, ""), map[string]string{"saml.encryption_algorithm": "aes128-cbc"}, encCBC128, encOAEP, hashSHA1, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			sp := w.encryptsTo(t, fmt.Sprintf("enc%d", i), c.methods, c.settings)
			r := w.issue(t, w.ana(t), sp, Ask{})
			for _, is := range [][2]string{
				{r.Attr(pathData0+"/EncryptionMethod", "Algorithm"), c.cipher}, {r.Attr(pathKey0+"/EncryptionMethod", "Algorithm"), c.transport},
				{r.Attr(pathKey0+"/EncryptionMethod/DigestMethod", "Algorithm"), c.digest}, {r.Attr(pathKey0+"/EncryptionMethod/MGF", "Algorithm"), c.mgf},
			} {
				if is[0] != is[1] {
					t.Errorf("%s, want %s", is[0], is[1])
				}
			}
			w.open(t, r, sp)
		})
	}
	t.Run("CRY-10 RSP-34 fresh key and IV, the signatures inside and outside hold", func(t *testing.T) {
		sp := w.encryptsTo(t, "fresh", "", nil)
		a, b := w.issue(t, w.ana(t), sp, Ask{}), w.issue(t, w.ana(t), sp, Ask{})
		for _, path := range []string{pathData0 + "/CipherData/CipherValue", pathKey0 + "/CipherData/CipherValue"} {
			if a.Text(path) == "" || a.Text(path)[:16] == b.Text(path)[:16] {
				t.Errorf("%s begins alike in two answers", path)
			}
		}
		w.xmlsec(t, a.XML, "Response")
		w.open(t, a, sp)
	})
	t.Run("CRY-06 CBC is marked as legacy", func(t *testing.T) {
		sp := w.encryptsTo(t, "cbc", "", map[string]string{"saml.encryption_algorithm": "aes256-cbc"})
		app, err := w.API.App(t.Context(), sp.EntityID)
		if err != nil || !slices.ContainsFunc(app.Warnings, func(x api.Warning) bool { return strings.Contains(x.Text, "CBC") }) {
			t.Errorf("warnings %+v, %v", app.Warnings, err)
		}
	})
}

// encryptedNames: a request for an EncryptedID gets one, of the format that the app is set to, within or without an encrypted assertion.
func (w *world) encryptedNames(t *testing.T) {
	ask := policy(`Format="urn:oasis:names:tc:SAML:2.0:nameid-format:encrypted" AllowCreate="true"`)
	for _, mode := range []string{"never", "always"} {
		t.Run("REQ-30 CRY-15 an EncryptedID, assertions encrypted "+mode, func(t *testing.T) {
			sp := w.encryptsTo(t, "names-"+mode, "", map[string]string{"saml.encrypt": mode})
			sp.Encrypt = mode == "always"
			r := w.issue(t, w.ana(t), sp, ask)
			assertion := r.XML
			if sp.Encrypt {
				assertion = w.decrypt(t, r, sp)
			}
			der, err := x509.MarshalPKCS8PrivateKey(sp.Key)
			if err != nil {
				t.Fatal(err)
			}
			name, err := w.xml.Decrypt(assertion, keyPEM(der))
			if err != nil {
				t.Fatal(err)
			}
			doc := etree.NewDocument()
			if err := doc.ReadFromBytes(name); err != nil {
				t.Fatal(err)
			}
			sp.Encrypt = false
			w.set(t, sp, "saml.encrypt", "never")
			clear := w.issue(t, w.ana(t), sp, Ask{}).Root.FindElement(pathNameID)
			if id := doc.Root(); id.Tag != "NameID" || id.Text() != clear.Text() || id.SelectAttrValue("Format", "") != formatPersistent || id.SelectAttrValue("SPNameQualifier", "") != sp.EntityID {
				t.Errorf("decrypted:\n%s\nwant the name %s", name, clear.Text())
			}
			if strings.Contains(string(assertion), clear.Text()) || strings.Contains(string(assertion), "<saml:NameID") {
				t.Error("the name is in clear too")
			}
			if mode == "never" {
				w.xmlsec(t, r.XML, "Response", "Assertion")
			} else {
				w.xmlsec(t, assertion, "Assertion")
			}
		})
	}
	cbc := w.encryptsTo(t, "names-cbc", method(encCBC128, ""), map[string]string{"saml.encrypt": "never"})
	w.rows(t, []row{{name: "REQ-30 a key that cannot be used", sp: cbc, ask: ask, want: there("invalid_nameid_policy", "Requester", "InvalidNameIDPolicy")}})
}

// encryptedAttributes: an app that is set so gets each attribute encrypted, within or without an encrypted assertion.
func (w *world) encryptedAttributes(t *testing.T) {
	for _, mode := range []string{"never", "always"} {
		t.Run("CRY-15 EncryptedAttributes, assertions encrypted "+mode, func(t *testing.T) {
			sp := w.encryptsTo(t, "attributes-"+mode, "", map[string]string{"saml.encrypt": "never"})
			sp.Encrypt = false
			clear := w.issue(t, w.ana(t), sp, Ask{})
			w.set(t, sp, "saml.encrypt", mode, "saml.encrypt_attributes", "on")
			sp.Encrypt = mode == "always"
			r := w.issue(t, w.ana(t), sp, Ask{})
			assertion := r.XML
			if sp.Encrypt {
				assertion = w.decrypt(t, r, sp)
				w.xmlsec(t, assertion, "Assertion")
			} else {
				w.xmlsec(t, assertion, "Response", "Assertion")
			}
			der, err := x509.MarshalPKCS8PrivateKey(sp.Key)
			if err != nil {
				t.Fatal(err)
			}
			doc := etree.NewDocument()
			if err := doc.ReadFromBytes(assertion); err != nil {
				t.Fatal(err)
			}
			sealed, want := doc.FindElements("//AttributeStatement/EncryptedAttribute"), clear.Root.FindElements("./Assertion/AttributeStatement/Attribute")
			if len(sealed) != len(want) || len(want) == 0 || doc.FindElement("//Attribute") != nil {
				t.Fatalf("%d are encrypted of %d", len(sealed), len(want))
			}
			for i, attribute := range sealed {
				alone, err := etree.NewDocumentWithRoot(attribute.Copy()).WriteToBytes()
				if err != nil {
					t.Fatal(err)
				}
				plain, err := w.xml.Decrypt(alone, keyPEM(der))
				if err != nil {
					t.Fatal(err)
				}
				opened := etree.NewDocument()
				if err := opened.ReadFromBytes(plain); err != nil {
					t.Fatal(err)
				}
				if got := opened.Root(); got.Tag != "Attribute" || got.SelectAttrValue("Name", "") != want[i].SelectAttrValue("Name", "-") || got.SelectElement("AttributeValue").Text() != want[i].SelectElement("AttributeValue").Text() {
					t.Errorf("decrypted: %s", plain)
				}
			}
		})
	}
	keyless := w.sp(t, "attributes-keyless", map[string]string{"saml.encrypt_attributes": "on"})
	w.rows(t, []row{{name: "CRY-15 attributes that cannot be encrypted", sp: keyless, want: there("cannot_encrypt", "Responder", "")}})
}

// encryptionRefused: never clear text where encryption was due, and never an algorithm that is refused.
func (w *world) encryptionRefused(t *testing.T) {
	refused := there("cannot_encrypt", "Responder", "")
	bare := w.sp(t, "no-key", map[string]string{"saml.encrypt": "always"})
	ec := w.newSP(t, "ec-only")
	w.AddApp(t, metadataWith(ec, "", keyDescriptor("encryption", certificateOf(t, ecKey(t)), "")+acsAt(bindingPost, ec.ACS[0], 0, "")), nil)
	w.rows(t, []row{
		{name: "CRY-14 always, and no key", sp: bare, want: refused},
		{name: "CRY-14 a key that cannot be used", sp: ec, want: refused},
		{name: "CRY-16 only CBC listed", sp: w.encryptsTo(t, "cbc-only", method(encCBC128, "")+method(encCBC256, ""), nil), want: refused},
		{name: "CRY-16 only RSA-1.5 listed", sp: w.encryptsTo(t, "rsa15-only", method(encGCM256, "")+method(encRSA15, ""), nil), want: refused},
		{name: "CRY-16 an unknown digest listed", sp: w.encryptsTo(t, "md5-only", method(encOAEP, digestMethod("http://www.w3.org/2001/04/xmldsig-more#md5")), nil), want: refused},
	})
	t.Run("CRY-04 an algorithm that is refused cannot be set", func(t *testing.T) {
		for key, value := range map[string]string{"saml.encryption_algorithm": "tripledes-cbc", "saml.key_transport": "rsa-1_5", "saml.signature_algorithm": "rsa-md5"} {
			if _, err := w.API.SetApp(t.Context(), bare.EntityID, api.Change{Set: map[string]string{key: value}}); err == nil {
				t.Errorf("%s=%s was taken", key, value)
			}
		}
	})
}

// encryptionProfiles: when an assertion is encrypted.
func (w *world) encryptionProfiles(t *testing.T) {
	t.Run("CRY-13 never", func(t *testing.T) {
		sp := w.encryptsTo(t, "never", "", map[string]string{"saml.encrypt": "never"})
		sp.Encrypt = false
		w.issue(t, w.ana(t), sp, Ask{})
	})
	t.Run("CRY-13 always", func(t *testing.T) {
		sp := w.encryptsTo(t, "always", "", map[string]string{"saml.encrypt": "always"})
		w.open(t, w.issue(t, w.ana(t), sp, Ask{}), sp)
	})
	t.Run("RSP-32 saml2int: Response signed, assertion encrypted, transient name", func(t *testing.T) {
		sp := w.encryptsTo(t, "saml2int", "", map[string]string{"saml.defaults": "saml2int"})
		r := w.issue(t, w.ana(t), sp, Ask{})
		w.xmlsec(t, r.XML, "Response")
		plain := w.decrypt(t, r, sp)
		if !strings.Contains(string(plain), formatTransient) || strings.Contains(string(plain), "<ds:Signature") {
			t.Errorf("inside is:\n%s", plain)
		}
	})
}
