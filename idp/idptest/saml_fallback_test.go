package idptest

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// secondWay: an app that does not confirm from server to server, and has a service for browsers too, is told by the browser.
func (w *logoutWorld) secondWay(t *testing.T) {
	both := w.newSP(t, "both-ways")
	server := both.listenSOAP(t)
	both.SLO = append(front("both-ways"), at(bindingSOAP, server.URL))
	app := w.AddApp(t, both.Metadata(), nil)
	leave := func(t *testing.T, mode string) (*Client, *Response, *Page) {
		server.set(mode)
		c := w.signedIn(t, "ana")
		told := w.enter(t, c, both, app)
		return c, told, c.Post("/logout", nil)
	}
	t.Run("not where SOAP works", func(t *testing.T) {
		if _, _, page := leave(t, ""); strings.Contains(page.Body, "Signing you out") || !strings.Contains(page.Body, "signed out</span>") {
			t.Errorf("\n%s", page.Body)
		}
	})
	for _, mode := range []string{"down", "error"} {
		t.Run(mode, func(t *testing.T) {
			c, told, page := leave(t, mode)
			request := w.next(t, c, page)
			w.toSP(t, request, "LogoutRequest", "https://both-ways.example.org/slo")
			isFor(t, request.Element, told)
			page = w.answers(t, c, both, request.SelectAttrValue("ID", ""), "")
			if !strings.Contains(page.Body, "<h1>You are signed out</h1>") || strings.Contains(page.Body, "did not confirm") {
				t.Errorf("at the end:\n%s", page.Body)
			}
			if entry := w.newest(t, "signout.result"); entry.Outcome != "ok" || !strings.Contains(entry.Facts["out"], app.ID) {
				t.Errorf("audit %+v", entry)
			}
		})
	}
	t.Run("nor there: it did not confirm", func(t *testing.T) {
		c, _, page := leave(t, "down")
		request := w.next(t, c, page)
		page = w.answers(t, c, both, request.SelectAttrValue("ID", ""), "Responder")
		if !strings.Contains(page.Body, "did not confirm") {
			t.Errorf("at the end:\n%s", page.Body)
		}
		if entry := w.newest(t, "signout.result"); entry.Reason != "partial_logout" {
			t.Errorf("audit %+v", entry)
		}
	})
	server.set("")
}

// oldNames: what an app encrypts with AES-CBC is read only of an app that is set to it, in a message with its signature.
func (w *logoutWorld) oldNames(t *testing.T, key *rsa.PublicKey) {
	sp, app := w.leaver(t, "old-names", front("old-names")...)
	c := w.signedIn(t, "ana")
	good := leaveOf(w.enter(t, c, sp, app))
	cookie := w.cookie(t, c)
	try := func(name string, change func(*Leave)) *Page {
		leave := good
		leave.ID = newRequestID()
		leave.Name = encryptCBC(t, good.Name, key, name == "a broken padding")
		if change != nil {
			change(&leave)
		}
		return w.byPost(t, c, sp, leave)
	}
	if answer := carried(t, try("not set to it", nil)); answer.status() != "Requester" || w.over(t, cookie) {
		t.Errorf("without the setting: %s", answer.status())
	}
	w.set(t, sp, "saml.encryption_algorithm", "aes128-cbc")
	w.checkHere(t, try("unsigned", func(l *Leave) { l.Unsigned = true }), "unsigned_request")
	if answer := carried(t, try("a broken padding", nil)); answer.status() != "Requester" || w.over(t, cookie) {
		t.Errorf("a broken padding: %s", answer.status())
	}
	if answer := carried(t, try("good", nil)); answer.status() != "Success" || !w.over(t, cookie) {
		t.Errorf("set to it and signed: %s", answer.status())
	}
}

// encryptCBC wraps a NameID as an EncryptedID as old software does: AES-128-CBC and RSA-OAEP.
func encryptCBC(t *testing.T, name string, to *rsa.PublicKey, broken bool) string {
	t.Helper()
	key, vector := make([]byte, 16), make([]byte, 16)
	rand.Read(key)
	rand.Read(vector)
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	padding := 16 - len(name)%16
	plain := append([]byte(name), bytes.Repeat([]byte{byte(padding)}, padding)...)
	if broken {
		plain[len(plain)-1] = 17
	}
	sealed := make([]byte, len(plain))
	cipher.NewCBCEncrypter(block, vector).CryptBlocks(sealed, plain)
	wrapped, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, to, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf(`<saml:EncryptedID><xenc:EncryptedData xmlns:xenc="http://www.w3.org/2001/04/xmlenc#" Type="http://www.w3.org/2001/04/xmlenc#Element"><xenc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><xenc:EncryptedKey><xenc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p"/><xenc:CipherData><xenc:CipherValue>%s</xenc:CipherValue></xenc:CipherData></xenc:EncryptedKey></ds:KeyInfo><xenc:CipherData><xenc:CipherValue>%s</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData></saml:EncryptedID>`,
		b64(wrapped), b64(slices.Concat(vector, sealed)))
}
