package saml

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"encoding/base64"
	"strings"
	"testing"

	"gatehouse/sp"
)

const rsa15 = "http://www.w3.org/2001/04/xmlenc#rsa-1_5"

func encrypted(t *testing.T, app *sp.SAML) []byte {
	t.Helper()
	to, problem := RecipientFor(app)
	if problem != nil || to == nil {
		t.Fatalf("%v %v", to, problem)
	}
	response, err := Build(testStatement(), signing(rsaPair(), "rsa-sha256", true, true), to)
	if err != nil {
		t.Fatal(err)
	}
	return response.XML
}

// xmlsec1 decrypts what is encrypted, and the assertion's signature survives byte-exact (RSP-34, CRY-05 to -07).
func TestEncryptForXMLSec(t *testing.T) {
	for _, test := range []struct{ cipher, transport string }{{"", ""}, {"aes256-gcm", "rsa-oaep-mgf1p"}, {"aes128-gcm", ""}, {"aes256-cbc", ""}, {"aes128-cbc", ""}} {
		app := testApp().Definition.SAML
		app.Metadata.Keys = []sp.Key{otherPair().key(sp.ForEncryption)}
		app.Settings.EncryptionAlgorithm, app.Settings.KeyTransport = test.cipher, test.transport
		xml := encrypted(t, app)
		if bytes.Contains(xml, []byte("NameID")) || bytes.Contains(xml, []byte("AttributeValue")) {
			t.Fatal("there is clear text")
		}
		validateSchema(t, xml)
		xmlsecVerify(t, xml, nsProtocol+":Response", rsaPair())
		plain := xmlsecDecrypt(t, xml, otherPair())
		assertion := "<saml:Assertion" + between(string(plain), "<saml:Assertion", "</saml:EncryptedAssertion>")
		if _, err := validate(assertion, rsaPair().signer.Public()); err != nil {
			t.Errorf("%v: %v", test, err)
		}
		xmlsecVerify(t, []byte(assertion), nsAssertion+":Assertion", rsaPair())
	}
}

// decrypt undoes encryptTail by the words of the standard: digest and mask function are told apart.
func decrypt(t *testing.T, xml string, key *rsa.PrivateKey, digest, mask crypto.Hash) []byte {
	t.Helper()
	values := strings.Split(xml, "<xenc:CipherValue>")
	wrapped, _ := base64.StdEncoding.DecodeString(values[1][:strings.IndexByte(values[1], '<')])
	content, _ := base64.StdEncoding.DecodeString(values[2][:strings.IndexByte(values[2], '<')])
	secret, err := key.Decrypt(nil, wrapped, &rsa.OAEPOptions{Hash: digest, MGFHash: mask})
	if err != nil {
		t.Fatal(err)
	}
	block, _ := aes.NewCipher(secret)
	gcm, _ := cipher.NewGCM(block)
	plain, err := gcm.Open(nil, content[:12], content[12:], nil)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// The digest of OAEP and the hash of its mask function are two things (CRY-07, CRY-08).
func TestOAEPForms(t *testing.T) {
	for _, test := range []struct {
		method       sp.EncryptionMethod
		digest, mask crypto.Hash
		mgfSent      bool
	}{
		{sp.EncryptionMethod{Algorithm: oaepMGF1P}, crypto.SHA1, crypto.SHA1, false},
		{sp.EncryptionMethod{Algorithm: oaepMGF1P, Digest: digestSHA256}, crypto.SHA256, crypto.SHA1, false},
		{sp.EncryptionMethod{Algorithm: oaep11, Digest: digestSHA256}, crypto.SHA256, crypto.SHA1, false},
		{sp.EncryptionMethod{Algorithm: oaep11, Digest: digestSHA256, MGF: mgf1SHA256}, crypto.SHA256, crypto.SHA256, true},
		{sp.EncryptionMethod{Algorithm: oaep11, Digest: digestSHA512, MGF: mgf1SHA384}, crypto.SHA512, crypto.SHA384, true},
	} {
		app := testApp().Definition.SAML
		key := otherPair().key(sp.ForEncryption)
		key.EncryptionMethods = []sp.EncryptionMethod{test.method}
		app.Metadata.Keys = []sp.Key{key}
		xml := string(encrypted(t, app))
		plain := decrypt(t, xml, otherPair().signer.(*rsa.PrivateKey), test.digest, test.mask)
		if !bytes.HasPrefix(plain, []byte("<saml:Assertion ")) || strings.Contains(xml, "xenc11:MGF") != test.mgfSent {
			t.Errorf("%v: %.100s", test.method, plain)
		}
		validateSchema(t, []byte(xml))
	}
}

func TestEncryptFresh(t *testing.T) {
	app := testApp().Definition.SAML
	app.Metadata.Keys = []sp.Key{otherPair().key(sp.ForBoth)}
	first, second := string(encrypted(t, app)), string(encrypted(t, app))
	for _, i := range []int{1, 3} {
		if strings.Split(first, "CipherValue>")[i] == strings.Split(second, "CipherValue>")[i] {
			t.Error("a value repeats")
		}
	}
}

func methods(uris ...string) (list []sp.EncryptionMethod) {
	for _, uri := range uris {
		list = append(list, sp.EncryptionMethod{Algorithm: uri})
	}
	return list
}

func TestRecipientFor(t *testing.T) {
	good, weak, ec := otherPair().key(sp.ForEncryption), weakPair().key(sp.ForEncryption), ecPair().key(sp.ForEncryption)
	with := func(uris ...string) sp.Key {
		k := good
		k.EncryptionMethods = methods(uris...)
		return k
	}
	aes128 := blockCiphers[1].uri
	cbc := blockCiphers[3].uri
	for _, test := range []struct {
		name    string
		mode    string
		setting string
		keys    []sp.Key
		want    string // cipher and transport; "clear"; "problem"
	}{
		{"auto without key", "auto", "", nil, "clear"},
		{"auto with signing key only", "auto", "", []sp.Key{otherPair().key(sp.ForSigning)}, "clear"},
		{"never", "never", "", []sp.Key{good}, "clear"},
		{"auto", "auto", "", []sp.Key{good}, "aes256-gcm rsa-oaep-mgf1p"},
		{"key without use", "auto", "", []sp.Key{otherPair().bareKey()}, "aes256-gcm rsa-oaep-mgf1p"},
		{"always without key", "always", "", nil, "problem"},
		{"always with EC key", "always", "", []sp.Key{ec}, "problem"},
		{"auto with an unusable encryption key", "auto", "", []sp.Key{weak}, "problem"},
		{"auto with an EC key without use", "auto", "", []sp.Key{ecPair().key(sp.ForBoth)}, "clear"},
		{"first usable key", "auto", "", []sp.Key{ec, weak, {Use: sp.ForEncryption, Certificate: []byte("junk")}, good}, "aes256-gcm rsa-oaep-mgf1p"},
		{"listed cipher", "auto", "", []sp.Key{with(aes128, oaep11)}, "aes128-gcm rsa-oaep"},
		{"only transport listed", "auto", "", []sp.Key{with(oaepMGF1P)}, "aes256-gcm rsa-oaep-mgf1p"},
		{"only CBC listed", "auto", "", []sp.Key{with(cbc)}, "problem"},
		{"CBC by setting", "auto", "aes128-cbc", []sp.Key{with(cbc)}, "aes128-cbc rsa-oaep-mgf1p"},
		{"only RSA 1.5 listed", "auto", "", []sp.Key{with(aes128, rsa15)}, "problem"},
		{"unknown setting", "auto", "rot13", []sp.Key{good}, "problem"},
	} {
		app := testApp().Definition.SAML
		app.Metadata.Keys, app.Settings.Encrypt, app.Settings.EncryptionAlgorithm = test.keys, test.mode, test.setting
		to, problem := RecipientFor(app)
		got := "clear"
		if problem != nil {
			got = "problem"
		} else if to != nil {
			got = to.cipher.name + " " + shortName(to.transport.uri)
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}
