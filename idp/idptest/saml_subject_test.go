package idptest

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
)

// sealedSubjects: an EncryptedID for a key of ours is read where the request is signed; nothing else of it is told or shown.
func (w *world) sealedSubjects(t *testing.T) {
	block, _ := pem.Decode(w.cert)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	ours, sp := certificate.PublicKey.(*rsa.PublicKey), w.signing(t, "sealed-subjects")
	about := func(name string, key *rsa.PublicKey) string {
		return encryptID(t, `<saml:NameID Format="`+formatEmail+`">`+name+`@example.org</saml:NameID>`, key)
	}
	ask := func(encrypted string) Ask {
		a := subject(encrypted)
		a.Body += `<samlp:NameIDPolicy Format="` + formatEmail + `"/>`
		return a
	}
	good := about("ana", ours)
	unsigned := *sp
	unsigned.EntityID, unsigned.Signed = "https://plain.example.org/saml", false
	unsigned.ACS = []string{"https://plain.example.org/acs"}
	refused := there("invalid_request", "Requester", "")
	w.rows(t, []row{
		{name: "REQ-48 an EncryptedID for our key", sp: sp, ask: ask(good), want: issued()},
		{name: "REQ-48 an EncryptedID for our key, by POST", sp: sp, post: true, ask: ask(about("ana", ours)), want: issued()},
		{name: "REQ-48 another person's EncryptedID", sp: sp, ask: ask(about("bob", ours)), want: there("unknown_principal", "Responder", "UnknownPrincipal")},
		{name: "REQ-48 an EncryptedID for a foreign key", sp: sp, ask: ask(about("ana", &spIdentity().Key.PublicKey)), want: refused},
		{name: "REQ-48 CRY-25 an EncryptedID in an unsigned request", sp: &unsigned, ask: ask(good), want: refused},
		{name: "REQ-48 two names", sp: sp, ask: ask(good + good), want: refused},
	})
	t.Run("REQ-49 REQ-48 an encrypted name is not shown", func(t *testing.T) {
		page := w.send(t, w.browser(t), sp, ask(good), false)
		w.check(t, page, sp, Ask{}, signIn())
		if page.Field("name") != "" || strings.Contains(page.Body, "ana@example.org") {
			t.Errorf("the sign-in page says whom the request is about:\n%s", page.Body)
		}
	})
	t.Run("CRY-25 one answer to whatever fails", func(t *testing.T) { w.oneAnswer(t, sp, ask, good, about("ana", &spIdentity().Key.PublicKey)) })
}

// oneAnswer: status, message and page tell nothing of what was wrong with a cipher text.
func (w *world) oneAnswer(t *testing.T, sp *SP, ask func(string) Ask, good, foreign string) {
	const value = "<xenc:CipherValue>"
	flip := func(at int) string {
		b := []byte(good)
		b[at] = map[bool]byte{true: 'B', false: 'A'}[b[at] == 'A']
		return string(b)
	}
	first, last := strings.Index(good, value)+len(value), strings.LastIndex(good, value)+len(value)
	messages := map[string][]string{}
	for name, encrypted := range map[string]string{
		"a foreign key": foreign, "another content key": flip(first + 20), "another nonce": flip(last + 2), "another cipher text": flip(last + 40),
		"another cipher": strings.Replace(good, "xmlenc11#aes128-gcm", "xmlenc11#aes256-gcm", 1),
		"CBC":            strings.Replace(good, "2009/xmlenc11#aes128-gcm", "2001/04/xmlenc#aes128-cbc", 1),
		"RSA-1.5":        strings.Replace(good, "rsa-oaep-mgf1p", "rsa-1_5", 1),
	} {
		if encrypted == good {
			t.Fatalf("%s changes nothing", name)
		}
		a := ask(encrypted)
		a.ID = newRequestID()
		r := w.check(t, w.send(t, w.ana(t), sp, a, false), sp, a, there("invalid_request", "Requester", ""))
		text := r.Text("./Status/StatusMessage")
		messages[text] = append(messages[text], name)
	}
	if len(messages) != 1 {
		t.Errorf("the answers differ: %v", messages)
	}
}
