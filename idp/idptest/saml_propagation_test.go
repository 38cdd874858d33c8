package idptest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"

	"gatehouse/idp/api"
	"gatehouse/idp/outbound"
	"gatehouse/store"
)

var nextLink = regexp.MustCompile(`data-leave="([^"]+)"`)

// next follows a sign-out's page to the next app, and reads the message that goes there.
func (w *logoutWorld) next(t *testing.T, c *Client, page *Page) message {
	t.Helper()
	link := nextLink.FindStringSubmatch(page.Body)
	if link == nil {
		t.Fatalf("no next app on %s (%d):\n%s", page.URL, page.Status, page.Body)
	}
	return carried(t, c.Get(link[1]))
}

// answers carries an app's LogoutResponse back through the browser.
func (w *logoutWorld) answers(t *testing.T, c *Client, sp *SP, to, sub string) *Page {
	t.Helper()
	sp.t = t
	return c.Get(sp.redirectTo(w.slo, "SAMLResponse", sp.LogoutAnswer(w.slo, to, sub), nil, true))
}

// isFor demands that a LogoutRequest says exactly what the app was told.
func isFor(t *testing.T, request *etree.Element, told *Response) {
	t.Helper()
	name, known := request.FindElement("./NameID"), told.Root.FindElement("./Assertion/Subject/NameID")
	if name == nil || name.Text() != known.Text() {
		t.Fatal("another name than the app was given")
	}
	for _, attribute := range []string{"Format", "NameQualifier", "SPNameQualifier"} {
		if name.SelectAttrValue(attribute, "-") != known.SelectAttrValue(attribute, "-") {
			t.Errorf("%s is %s", attribute, name.SelectAttrValue(attribute, "-"))
		}
	}
	if request.FindElement("./SessionIndex").Text() != told.Attr("./Assertion/AuthnStatement", "SessionIndex") || request.SelectAttrValue("NotOnOrAfter", "") == "" {
		t.Error("another SessionIndex, or no NotOnOrAfter")
	}
}

func (w *logoutWorld) propagation(t *testing.T) {
	t.Run("SLO-15 SLO-17 SLO-23 from the portal, through the browser", func(t *testing.T) { w.fromPortal(t) })
	t.Run("SLO-16 SLO-19 by SOAP", func(t *testing.T) { w.bySOAPToo(t) })
	t.Run("SLO-16 SLO-19 through the browser where SOAP fails", func(t *testing.T) { w.secondWay(t) })
	t.Run("SLO-19 SLO-21 through the browser", func(t *testing.T) { w.badAnswers(t) })
	t.Run("SLO-28 an app without logout", func(t *testing.T) { w.untold(t, "silent") })
	t.Run("SLO-28 RSP-29 an app that was told no name", func(t *testing.T) { w.untold(t, "unnamed", front("unnamed")...) })
	t.Run("SLO-23 by an administrator", func(t *testing.T) { w.byAdministrator(t) })
}

// untold: an app that cannot be told is skipped, and counts as not signed out.
func (w *logoutWorld) untold(t *testing.T, name string, services ...sloService) {
	sp, app := w.leaver(t, "asks-"+name, front("asks-"+name)...)
	silent, silentApp := w.leaver(t, name, services...)
	if len(services) > 0 {
		w.set(t, silent, "saml.nameid_format", "none")
	}
	c := w.signedIn(t, "ana")
	leave := leaveOf(w.enter(t, c, sp, app))
	w.enter(t, c, silent, silentApp)
	if answer := carried(t, w.byRedirect(t, c, sp, leave)); answer.status() != "Success/PartialLogout" {
		t.Errorf("%s", answer.status())
	}
	if entry := w.newest(t, "signout.result"); entry.Reason != "partial_logout" || !strings.Contains(entry.Facts["untold"], silentApp.ID) {
		t.Errorf("audit %+v", entry)
	}
}

func (w *logoutWorld) fromPortal(t *testing.T) {
	first, firstApp := w.leaver(t, "chain-1", front("chain-1")...)
	second, secondApp := w.leaver(t, "chain-2", at(bindingPost, "https://chain-2.example.org/slo-post"))
	c := w.signedIn(t, "ana")
	told := []*Response{w.enter(t, c, first, firstApp), w.enter(t, c, second, secondApp)}
	cookie := w.cookie(t, c)
	page := c.Post("/logout", nil)
	t.Run("SLO-20 the session is over before the first app is told", func(t *testing.T) {
		if !w.over(t, cookie) {
			t.Error("it goes on")
		}
	})
	if stranger := w.browser(t); !strings.HasPrefix(page.URL.Path, "/logout/") || stranger.Get(page.URL.Path).Status != 404 {
		t.Errorf("another browser sees %s", page.URL.Path)
	}
	request := w.next(t, c, page)
	w.toSP(t, request, "LogoutRequest", "https://chain-1.example.org/slo")
	isFor(t, request.Element, told[0])
	page = w.answers(t, c, first, request.SelectAttrValue("ID", ""), "")
	if !strings.Contains(page.Body, "Signing you out") {
		t.Errorf("after the first app:\n%s", page.Body)
	}
	request = w.next(t, c, page)
	w.toSP(t, request, "LogoutRequest", "https://chain-2.example.org/slo-post")
	w.xmlsec(t, request.raw, "LogoutRequest")
	isFor(t, request.Element, told[1])
	answer := second.SignXML(second.LogoutAnswer(w.slo, request.SelectAttrValue("ID", ""), ""))
	page = c.CrossPost(w.slo, url.Values{"SAMLResponse": {base64.StdEncoding.EncodeToString([]byte(answer))}})
	if !strings.Contains(page.Body, "<h1>You are signed out</h1>") || strings.Contains(page.Body, "did not confirm") || strings.Count(page.Body, "signed out</span>") != 2 {
		t.Errorf("at the end:\n%s", page.Body)
	}
	if entry := w.newest(t, "signout.result"); entry.Outcome != "ok" {
		t.Errorf("audit %+v", entry)
	}
}

// bySOAPToo: what the app's server answers decides, and nothing waits for long.
func (w *logoutWorld) bySOAPToo(t *testing.T) {
	asks, asksApp := w.leaver(t, "asks-soap", front("asks-soap")...)
	back := w.newSP(t, "back")
	server := back.listenSOAP(t)
	back.SLO = []sloService{at(bindingSOAP, server.URL)}
	backApp := w.AddApp(t, back.Metadata(), nil)
	for mode, want := range map[string]string{
		"": "Success", "error": "Success/PartialLogout", "partial": "Success/PartialLogout", "other": "Success/PartialLogout",
		"unsigned": "Success/PartialLogout", "down": "Success/PartialLogout", "hang": "Success/PartialLogout",
	} {
		t.Run("an app that says "+mode, func(t *testing.T) {
			server.set(mode)
			c := w.signedIn(t, "ana")
			leave := leaveOf(w.enter(t, c, asks, asksApp))
			told := w.enter(t, c, back, backApp)
			cookie, began := w.cookie(t, c), time.Now()
			answer := carried(t, w.byRedirect(t, c, asks, leave))
			if answer.status() != want || !w.over(t, cookie) || time.Since(began) > 8*time.Second {
				t.Errorf("%s after %s, want %s", answer.status(), time.Since(began), want)
			}
			requests := server.requests()
			last := requests[len(requests)-1]
			isFor(t, last, told)
			w.xmlsec(t, asMessage(t, last).raw, "LogoutRequest")
		})
	}
	server.set("")
}

// badAnswers: only a verified Success to our own message counts.
func (w *logoutWorld) badAnswers(t *testing.T) {
	asks, asksApp := w.leaver(t, "asks-front", front("asks-front")...)
	other, otherApp := w.leaver(t, "answers", front("answers")...)
	for _, row := range []struct {
		name   string
		answer func(c *Client, id string) *Page
		here   string
	}{
		{"an error", func(c *Client, id string) *Page { return w.answers(t, c, other, id, "Responder") }, ""},
		{"unsigned", func(c *Client, id string) *Page {
			return c.Get(other.redirectTo(w.slo, "SAMLResponse", other.LogoutAnswer(w.slo, id, ""), nil, false))
		}, "unsigned_request"},
		{"to another message", func(c *Client, _ string) *Page { return w.answers(t, c, other, "_another", "") }, "invalid_request"},
		{"from another app", func(c *Client, id string) *Page { return w.answers(t, c, asks, id, "") }, "invalid_request"},
		{"none at all", nil, ""},
	} {
		t.Run("SLO-21 "+row.name, func(t *testing.T) {
			c := w.signedIn(t, "ana")
			leave := leaveOf(w.enter(t, c, asks, asksApp))
			w.enter(t, c, other, otherApp)
			asks.t, other.t, c.t = t, t, t
			hub := w.byRedirect(t, c, asks, leave)
			request := w.next(t, c, hub)
			page := hub
			if row.answer != nil {
				page = row.answer(c, request.SelectAttrValue("ID", ""))
			}
			if row.here != "" {
				w.checkHere(t, page, row.here)
			}
			if row.here != "" || row.answer == nil {
				page = c.Get(hub.URL.Path) // the person goes back
			}
			if answer := carried(t, page); answer.status() != "Success/PartialLogout" || answer.SelectAttrValue("InResponseTo", "") != leave.ID {
				t.Errorf("the app that asked is told %s", answer.status())
			}
		})
	}
	t.Run("SLO-31 an app that the browser cannot reach is skipped", func(t *testing.T) {
		c := w.signedIn(t, "ana")
		leave := leaveOf(w.enter(t, c, asks, asksApp))
		w.enter(t, c, other, otherApp)
		hub := w.byRedirect(t, c, asks, leave)
		answer := carried(t, c.Get(nextLink.FindStringSubmatch(hub.Body)[1]+"?skip=yes"))
		w.toSP(t, answer, "LogoutResponse", "https://asks-front.example.org/slo")
		if answer.status() != "Success/PartialLogout" {
			t.Errorf("%s", answer.status())
		}
	})
}

// byAdministrator: ended sessions and blocked apps are told from the outbox, again and again until it works.
func (w *logoutWorld) byAdministrator(t *testing.T) {
	sp := w.newSP(t, "outbox")
	server := sp.listenSOAP(t)
	sp.SLO = []sloService{at(bindingSOAP, server.URL)}
	app := w.AddApp(t, sp.Metadata(), nil)
	arrives := func(n int) {
		t.Helper()
		eventually(t, fmt.Sprintf("%d requests did not arrive", n), func() bool { return len(server.requests()) >= n })
	}
	defer w.clock.stand()()
	told := w.enter(t, w.signedIn(t, "ana"), sp, app)
	if _, err := w.API.EndSessions(t.Context(), api.EndSessions{User: "ana"}); err != nil {
		t.Fatal(err)
	}
	arrives(1)
	isFor(t, server.requests()[0], told)
	server.set("down")
	w.enter(t, w.signedIn(t, "ana"), sp, app)
	if _, err := w.API.MoveApp(t.Context(), app.ID, "block"); err != nil {
		t.Fatal(err)
	}
	arrives(2)
	w.triesEnd(t)
	server.set("")
	w.clock.advance(11 * time.Second)
	arrives(3)
	if _, err := w.API.MoveApp(t.Context(), app.ID, "unblock"); err != nil {
		t.Fatal(err)
	}
	server.set("down")
	w.enter(t, w.signedIn(t, "ana"), sp, app)
	if _, err := w.API.EndSessions(t.Context(), api.EndSessions{User: "ana"}); err != nil {
		t.Fatal(err)
	}
	for n := 4; n <= 10; n++ { // the first try and six more
		arrives(n)
		w.triesEnd(t)
		w.clock.advance(time.Hour + time.Minute)
	}
	eventually(t, "an app that could not be told is not in the audit", func() bool {
		return slices.ContainsFunc(w.Audit(t), func(entry api.AuditEntry) bool { // others may be given up at the same moment
			return entry.Kind == "logout.tell" && entry.Reason == "app_not_told" && entry.App.ID == app.ID
		})
	})
}

// triesEnd waits until the outbox has noted how its tries went: no row is due, and none is taken for a try. The clock must stand.
func (w *world) triesEnd(t *testing.T) {
	t.Helper()
	const lease = 30 * time.Second // of a row that is being tried; a failed one waits for another time
	eventually(t, "the tries of the outbox do not end", func() bool {
		var rows []outbound.Row
		err := w.Store.View(t.Context(), func(tx store.Tx) (err error) {
			rows, _, err = outbound.Rows.List(tx, store.Page{Limit: 100})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return !slices.ContainsFunc(rows, func(r outbound.Row) bool {
			left := r.Due.Sub(w.clock.now())
			return left <= 0 || left == lease
		})
	})
}

// encryptedNames: a name may be encrypted to the key that signs and to the one that comes next.
func (w *logoutWorld) encryptedNames(t *testing.T) {
	key, err := w.API.StageKey(t.Context(), api.NewKey{})
	if err != nil {
		t.Fatal(err)
	}
	metadata := etree.NewDocument()
	text, err := w.API.Metadata(t.Context(), "")
	if err != nil || metadata.ReadFromBytes(text) != nil {
		t.Fatal(err)
	}
	var certificates []*x509.Certificate
	for _, e := range metadata.FindElements("//KeyDescriptor[@use='encryption']//X509Certificate") {
		der, err := base64.StdEncoding.DecodeString(e.Text())
		if err != nil {
			t.Fatal(err)
		}
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		certificates = append(certificates, certificate)
	}
	if len(certificates) != 2 {
		t.Fatalf("%d keys for encryption, want that in use and %s", len(certificates), key.ID)
	}
	sp, app := w.leaver(t, "secretive", front("secretive")...)
	stranger := NewSP(t, "stranger")
	for name, row := range map[string]struct {
		key  *rsa.PublicKey
		want string
	}{
		"the old key": {certificates[0].PublicKey.(*rsa.PublicKey), "Success"}, "the new key": {certificates[1].PublicKey.(*rsa.PublicKey), "Success"},
		"another's key": {&stranger.Key.PublicKey, "Requester"},
	} {
		t.Run(name, func(t *testing.T) {
			c := w.signedIn(t, "ana")
			leave := leaveOf(w.enter(t, c, sp, app))
			cookie := w.cookie(t, c)
			leave.Name = encryptID(t, leave.Name, row.key)
			if answer := carried(t, w.byRedirect(t, c, sp, leave)); answer.status() != row.want || w.over(t, cookie) != (row.want == "Success") {
				t.Errorf("%s, over %t", answer.status(), w.over(t, cookie))
			}
		})
	}
	t.Run("with AES-CBC", func(t *testing.T) { w.oldNames(t, certificates[0].PublicKey.(*rsa.PublicKey)) })
}

// encryptID wraps a NameID as an EncryptedID.
func encryptID(t *testing.T, name string, to *rsa.PublicKey) string {
	t.Helper()
	return encryptInto(t, "EncryptedID", name, to)
}

// encryptInto wraps an element in an encrypted one: AES-128-GCM and RSA-OAEP.
func encryptInto(t *testing.T, element, plain string, to *rsa.PublicKey) string {
	t.Helper()
	key, nonce := make([]byte, 16), make([]byte, 12)
	rand.Read(key)
	rand.Read(nonce)
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, to, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf(`<saml:%[1]s xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion"><xenc:EncryptedData xmlns:xenc="http://www.w3.org/2001/04/xmlenc#" Type="http://www.w3.org/2001/04/xmlenc#Element"><xenc:EncryptionMethod Algorithm="http://www.w3.org/2009/xmlenc11#aes128-gcm"/><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><xenc:EncryptedKey><xenc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p"/><xenc:CipherData><xenc:CipherValue>%[2]s</xenc:CipherValue></xenc:CipherData></xenc:EncryptedKey></ds:KeyInfo><xenc:CipherData><xenc:CipherValue>%[3]s</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData></saml:%[1]s>`,
		element, b64(wrapped), b64(slices.Concat(nonce, gcm.Seal(nil, nonce, []byte(plain), nil))))
}
