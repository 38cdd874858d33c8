package idptest

import (
	"crypto/x509"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/beevik/etree"

	"gatehouse/idp/api"
)

// otherMessages: a logout that is signed by somebody else, or nobody, and messages of another kind end nothing.
func (w *logoutWorld) otherMessages(t *testing.T, c *Client, sp *SP, good Leave, cookie *http.Cookie) {
	t.Run("SLO-04 another app's key", func(t *testing.T) {
		thief := NewSP(t, "thief")
		thief.EntityID, thief.t = sp.EntityID, t
		w.checkHere(t, w.byRedirect(t, c, thief, good), "bad_signature")
		if status, _ := w.bySOAP(t, thief, good); status != 400 {
			t.Errorf("by SOAP: %d", status)
		}
	})
	t.Run("SLO-04 unsigned by SOAP", func(t *testing.T) {
		leave := good
		leave.Unsigned = true
		if status, _ := w.bySOAP(t, sp, leave); status != 400 || w.over(t, cookie) {
			t.Errorf("%d", status)
		}
	})
	t.Run("SLO-30 no redirect and no logout for strangers", func(t *testing.T) {
		sp.t, c.t = t, t
		evil := relay("https://evil.example.org/")
		for reason, target := range map[string]string{
			"unsigned_request": sp.redirectTo(w.slo, "SAMLRequest", sp.Logout(w.slo, Leave{Name: good.Name}), evil, false),
			"unknown_issuer":   sp.redirectTo(w.slo, "SAMLRequest", sp.Logout(w.slo, Leave{Name: good.Name, Issuer: *evil}), evil, true),
			"invalid_request":  sp.redirectTo(w.slo, "SAMLResponse", sp.LogoutAnswer(w.slo, "_nobody", ""), evil, true),
		} {
			page := c.Get(target)
			w.checkHere(t, page, reason)
			if strings.Contains(page.Body, *evil) || w.over(t, cookie) {
				t.Errorf("%s: over %t, or a way to the stranger:\n%s", reason, w.over(t, cookie), page.Body)
			}
		}
	})
	t.Run("BND-17 a comment behind the name cuts nothing off", func(t *testing.T) {
		leave := good
		leave.ID, leave.Name = newRequestID(), strings.Replace(good.Name, "</", "<!-- -->x</", 1)
		w.checkHere(t, w.byRedirect(t, c, sp, leave), "malformed_message")
		// what the signature covers has no comments, so that the whole name is read, which nobody with this index has
		if answer := carried(t, w.byPost(t, c, sp, leave)); answer.status() != "Requester/UnknownPrincipal" || w.over(t, cookie) {
			t.Errorf("%s, over %t", answer.status(), w.over(t, cookie))
		}
	})
	t.Run("REQ-66 BND-06 the wrong kind of message", func(t *testing.T) {
		sp.t, c.t = t, t
		w.checkHere(t, c.Get(sp.redirectTo(w.sso, "SAMLRequest", sp.Logout(w.sso, good), nil, true)), "wrong_message")
		w.checkHere(t, c.Get(sp.redirectTo(w.slo, "SAMLRequest", sp.Request(w.slo, Ask{}), nil, true)), "wrong_message")
		w.checkHere(t, c.Get(sp.redirectTo(w.slo, "SAMLResponse", sp.Logout(w.slo, good), nil, true)), "wrong_message")
	})
	t.Run("ART-09 SOAP faults", func(t *testing.T) {
		for name, envelope := range map[string]string{
			"Client": "nonsense", "VersionMismatch": "<Envelope xmlns='http://www.w3.org/2003/05/soap-envelope'/>",
			"MustUnderstand": strings.Replace(inEnvelope(sp.Logout(w.soap, good)), "<S:Header/>", `<S:Header><x:a xmlns:x="urn:x" S:mustUnderstand="1"/></S:Header>`, 1),
		} {
			status, answer := w.postSOAP(t, w.soap, envelope)
			want := map[string]int{"Client": 400, "VersionMismatch": 500, "MustUnderstand": 500}[name]
			if status != want || answer.Element == nil || answer.Tag != "Fault" || !strings.HasSuffix(answer.FindElement("./faultcode").Text(), name) {
				t.Errorf("%s: %d %+v", name, status, answer.Element)
			}
		}
	})
}

// whichSessions: the indexes choose, and without one every session in which the app knows the name ends.
func (w *logoutWorld) whichSessions(t *testing.T) {
	sp, app := w.leaver(t, "several", front("several")...)
	in := func() (*Client, Leave, *http.Cookie) {
		c := w.signedIn(t, "ana")
		return c, leaveOf(w.enter(t, c, sp, app)), w.cookie(t, c)
	}
	t.Run("SLO-08 one index: the other browser stays", func(t *testing.T) {
		a, leave, first := in()
		_, _, second := in()
		carried(t, w.byRedirect(t, a, sp, leave))
		if !w.over(t, first) || w.over(t, second) {
			t.Errorf("first over %t, second over %t", w.over(t, first), w.over(t, second))
		}
	})
	t.Run("SLO-08 no index: all", func(t *testing.T) {
		a, leave, first := in()
		_, _, second := in()
		leave.Indexes = nil
		carried(t, w.byRedirect(t, a, sp, leave))
		if !w.over(t, first) || !w.over(t, second) {
			t.Error("a session goes on")
		}
	})
	t.Run("SLO-09 several indexes", func(t *testing.T) {
		a, leave, first := in()
		_, more, second := in()
		_, _, third := in()
		leave.Indexes = append(leave.Indexes, more.Indexes...)
		if status, answer := w.bySOAP(t, sp, leave); status != 200 || answer.status() != "Success" {
			t.Error(status)
		}
		if !w.over(t, first) || !w.over(t, second) || w.over(t, third) {
			t.Error("the wrong sessions ended")
		}
		a.Get("/")
	})
	for _, reason := range []string{"urn:oasis:names:tc:SAML:2.0:logout:user", "urn:oasis:names:tc:SAML:2.0:logout:admin", "urn:example:tired"} {
		t.Run("SLO-12 Reason "+reason, func(t *testing.T) {
			c, leave, cookie := in()
			leave.Reason = reason
			if answer := carried(t, w.byRedirect(t, c, sp, leave)); answer.status() != "Success" || !w.over(t, cookie) {
				t.Errorf("%s, over %t", answer.status(), w.over(t, cookie))
			}
		})
	}
	t.Run("SLO-27 the name is plain where assertions are encrypted", func(t *testing.T) { w.plainNames(t) })
	t.Run("SLO-27 the name is encrypted where the app is set so", func(t *testing.T) { w.sealedNames(t) })
	t.Run("NID-05 a transient name", func(t *testing.T) {
		w.set(t, sp, "saml.nameid_format", "transient")
		c, leave, cookie := in()
		if answer := carried(t, w.byRedirect(t, c, sp, leave)); answer.status() != "Success" || !w.over(t, cookie) || !strings.Contains(leave.Name, "transient") {
			t.Errorf("%s %s", answer.status(), leave.Name)
		}
	})
}

func (w *logoutWorld) endedCookie(t *testing.T) {
	sp, app := w.leaver(t, "ended", front("ended")...)
	c := w.signedIn(t, "ana")
	leave, old := leaveOf(w.enter(t, c, sp, app)), c.SessionCookie()
	if answer := carried(t, w.byRedirect(t, c, sp, leave)); answer.status() != "Success" {
		t.Errorf("%s", answer.status())
	}
	kept := w.browser(t)
	kept.AddCookie(old)
	ask := Ask{ID: newRequestID()}
	w.check(t, w.send(t, kept, sp, ask, false), sp, ask, signIn())
}

// plainNames: saml2int wants no encrypted names in our LogoutRequests, whatever the app's keys.
func (w *logoutWorld) plainNames(t *testing.T) {
	sp := w.newSP(t, "federated")
	sp.Encrypt, sp.SLO = true, front("federated")
	app := w.AddApp(t, sp.Metadata(), map[string]string{"saml.defaults": "saml2int"})
	c := w.signedIn(t, "ana")
	told := w.decrypt(t, w.enter(t, c, sp, app), sp)
	request := w.next(t, c, c.Post("/logout", nil))
	w.toSP(t, request, "LogoutRequest", "https://federated.example.org/slo")
	name := request.FindElement("./NameID")
	if name == nil || name.SelectAttrValue("Format", "") != formatTransient || !strings.Contains(string(told), ">"+name.Text()+"</saml:NameID>") {
		t.Errorf("%s\nwas told\n%s", request.raw, told)
	}
}

// sealedNames: an app that is set so is told names that it alone can read, by every binding; without a key it is told nothing.
func (w *logoutWorld) sealedNames(t *testing.T) {
	server := w.newSP(t, "sealed-SOAP").listenSOAP(t)
	for name, service := range map[string]sloService{
		"by Redirect": at(bindingRedirect, "https://sealed.example.org/slo"), "by POST": at(bindingPost, "https://sealed.example.org/slo-post"), "by SOAP": at(bindingSOAP, server.URL),
	} {
		t.Run(name, func(t *testing.T) {
			sp := w.newSP(t, "sealed-"+lastPart(service.Binding))
			sp.Encrypt, sp.SLO = true, []sloService{service}
			app := w.AddApp(t, sp.Metadata(), map[string]string{"saml.encrypt_logout": "on", "saml.encrypt": "never"})
			sp.Encrypt = false
			c := w.signedIn(t, "ana")
			told := w.enter(t, c, sp, app)
			page := c.Post("/logout", nil)
			var request message
			if service.Binding == bindingSOAP {
				request = asMessage(t, server.requests()[0])
			} else {
				request = w.next(t, c, page)
				w.toSP(t, request, "LogoutRequest", service.Location)
			}
			if service.Binding != bindingRedirect {
				w.xmlsec(t, request.raw, "LogoutRequest")
			}
			der, err := x509.MarshalPKCS8PrivateKey(sp.Key)
			if err != nil {
				t.Fatal(err)
			}
			plain, err := w.xml.Decrypt(request.raw, keyPEM(der))
			if err != nil {
				t.Fatal(err)
			}
			doc := etree.NewDocument()
			if err := doc.ReadFromBytes(plain); err != nil {
				t.Fatal(err)
			}
			if clear := told.Text(pathNameID); strings.Contains(string(request.raw), clear) || request.FindElement("./NameID") != nil || request.FindElement("./EncryptedID") == nil {
				t.Errorf("the name is in clear: %s", request.raw)
			}
			request.InsertChildAt(0, doc.Root())
			isFor(t, request.Element, told)
		})
	}
	sp := w.newSP(t, "sealed-keyless")
	sp.SLO = front("sealed-keyless")
	app := w.AddApp(t, sp.Metadata(), map[string]string{"saml.encrypt_logout": "on"})
	if !slices.ContainsFunc(app.Warnings, func(x api.Warning) bool { return strings.Contains(x.Text, "logout requests") }) {
		t.Errorf("warnings %+v", app.Warnings)
	}
	c := w.signedIn(t, "ana")
	w.enter(t, c, sp, app)
	page := c.Post("/logout", nil)
	if link := nextLink.FindStringSubmatch(page.Body); link != nil {
		page = c.Get(link[1])
	}
	if strings.Contains(page.Header.Get("Location"), "SAMLRequest") || page.Action() == sp.SLO[1].Location {
		t.Errorf("a name for an app without a key: %s", page.Header.Get("Location"))
	}
	if entry := w.newest(t, "signout.result"); entry.Reason != "partial_logout" || !strings.Contains(entry.Facts["failed"], app.ID) {
		t.Errorf("audit %+v", entry)
	}
}

// asMessage is a message that came from server to server.
func asMessage(t *testing.T, e *etree.Element) message {
	t.Helper()
	doc := etree.NewDocumentWithRoot(e.Copy())
	raw, err := doc.WriteToBytes()
	if err != nil {
		t.Fatal(err)
	}
	return message{Element: doc.Root(), raw: raw}
}
