package idptest

import (
	"compress/flate"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"

	"gatehouse/idp/api"
)

const bindingSOAP = "urn:oasis:names:tc:SAML:2.0:bindings:SOAP"

// logoutWorld is a world with service providers that can be told of logouts.
type logoutWorld struct {
	*world
	slo, soap string
}

func newLogoutWorld(t *testing.T) *logoutWorld {
	w := newWorld(t)
	return &logoutWorld{w, w.URL + "/saml/slo", w.URL + "/saml/soap"}
}

// leaver is a registered service provider with logout services.
func (w *logoutWorld) leaver(t *testing.T, name string, services ...sloService) (*SP, api.App) {
	t.Helper()
	sp := w.newSP(t, name)
	sp.SLO = services
	return sp, w.AddApp(t, sp.Metadata(), nil)
}

func at(binding, location string) sloService { return sloService{Binding: binding, Location: location} }

// front are the logout services of a service provider that is told through the browser.
func front(name string) []sloService {
	base := "https://" + name + ".example.org"
	return []sloService{at(bindingRedirect, base+"/slo"), at(bindingPost, base+"/slo-post")}
}

// enter signs a person on to a service provider.
func (w *logoutWorld) enter(t *testing.T, c *Client, sp *SP, app api.App) *Response {
	t.Helper()
	return w.check(t, c.Get("/launch/"+app.ID), sp, Ask{}, issued())
}

// message is a logout message on its way through the browser, from the Location of a redirect or from a form.
type message struct {
	*etree.Element
	location, parameter string
	relayState          *string
	raw                 []byte
}

func carried(t *testing.T, page *Page) message {
	t.Helper()
	m := message{}
	if location := page.Header.Get("Location"); location != "" {
		u, err := url.Parse(location)
		if err != nil {
			t.Fatal(err)
		}
		query := u.Query()
		m.location, _, _ = strings.Cut(location, "?")
		for _, name := range []string{"SAMLRequest", "SAMLResponse"} {
			if query.Has(name) {
				m.parameter = name
			}
		}
		coded, err := base64.StdEncoding.DecodeString(query.Get(m.parameter))
		if err != nil || m.parameter == "" || query.Get("Signature") == "" {
			t.Fatalf("no signed message in %s", location)
		}
		if m.raw, err = io.ReadAll(flate.NewReader(strings.NewReader(string(coded)))); err != nil {
			t.Fatal(err)
		}
		if query.Has("RelayState") {
			value := query.Get("RelayState")
			m.relayState = &value
		}
	} else {
		m.location = page.Action()
		for _, name := range []string{"SAMLRequest", "SAMLResponse"} {
			if coded, ok := page.LookupField(name); ok {
				m.parameter = name
				var err error
				if m.raw, err = base64.StdEncoding.DecodeString(coded); err != nil {
					t.Fatal(err)
				}
			}
		}
		if value, ok := page.LookupField("RelayState"); ok {
			m.relayState = &value
		}
	}
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(m.raw); err != nil || doc.Root() == nil {
		t.Fatalf("no message on %s (%d, %v):\n%s", page.URL, page.Status, err, page.Body)
	}
	m.Element = doc.Root()
	return m
}

// status is the two codes of a response.
func (m message) status() string {
	r := Response{Root: m.Element}
	top, nested := r.Status()
	return strings.TrimSuffix(top+"/"+nested, "/")
}

// toSP checks what holds for every logout message of ours, and keeps it for the check against the schemas.
func (w *logoutWorld) toSP(t *testing.T, m message, tag, location string) {
	t.Helper()
	if m.Tag != tag || m.location != location || m.SelectAttrValue("Destination", "") != location || m.FindElement("./Issuer").Text() != w.URL+"/saml/metadata" {
		t.Errorf("%s to %s (Destination %s), want %s to %s", m.Tag, m.location, m.SelectAttrValue("Destination", ""), tag, location)
	}
	w.sent = append(w.sent, &Response{Root: m.Element, XML: m.raw})
}

// over tells whether the browser's session has ended on the server, whatever its cookies.
func (w *logoutWorld) over(t *testing.T, cookie *http.Cookie) bool {
	t.Helper()
	return !w.in(t, cookie)
}

func (w *logoutWorld) cookie(t *testing.T, c *Client) *http.Cookie {
	t.Helper()
	u, err := url.Parse(w.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, cookie := range c.http.Jar.Cookies(u) {
		if strings.Contains(cookie.Name, "session") {
			return cookie
		}
	}
	t.Fatal("the browser has no session")
	return nil
}

func (w *logoutWorld) byRedirect(t *testing.T, c *Client, sp *SP, l Leave) *Page {
	t.Helper()
	sp.t, c.t = t, t
	if l.Instant == "" {
		l.Instant = w.clock.instant()
	}
	return c.Get(sp.redirectTo(w.slo, "SAMLRequest", sp.Logout(w.slo, l), l.RelayState, !l.Unsigned))
}

func (w *logoutWorld) byPost(t *testing.T, c *Client, sp *SP, l Leave) *Page {
	t.Helper()
	sp.t, c.t = t, t
	text := sp.Logout(w.slo, l)
	if !l.Unsigned {
		text = sp.SignXML(text)
	}
	form := url.Values{"SAMLRequest": {base64.StdEncoding.EncodeToString([]byte(text))}}
	if l.RelayState != nil {
		form.Set("RelayState", *l.RelayState)
	}
	return c.CrossPost(w.slo, form)
}

// bySOAP sends a LogoutRequest from server to server and reads the answer.
func (w *logoutWorld) bySOAP(t *testing.T, sp *SP, l Leave) (int, message) {
	t.Helper()
	sp.t = t
	text := sp.Logout(w.soap, l)
	if !l.Unsigned {
		text = sp.SignXML(text)
	}
	return w.postSOAP(t, w.soap, inEnvelope(text))
}

func (w *logoutWorld) postSOAP(t *testing.T, endpoint, envelope string) (int, message) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint, strings.NewReader(envelope))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "text/xml")
	response, err := manyHops{&w.address}.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	doc := etree.NewDocument()
	m := message{}
	if doc.ReadFromBytes(body) == nil && doc.Root() != nil && doc.Root().Tag == "Envelope" {
		m.Element = doc.FindElement("./Envelope/Body/*")
		alone := etree.NewDocumentWithRoot(m.Element.Copy())
		m.raw, _ = alone.WriteToBytes()
	}
	return response.StatusCode, m
}

// newest is the newest entry of a kind.
func (w *world) newest(t *testing.T, kind string) api.AuditEntry {
	t.Helper()
	var newest api.AuditEntry
	for _, entry := range w.Audit(t) {
		if entry.Kind == kind && entry.Seq > newest.Seq {
			newest = entry
		}
	}
	return newest
}

func relay(s string) *string { return &s }

func TestSAMLLogout(t *testing.T) {
	t.Parallel()
	w := newLogoutWorld(t)
	t.Run("SLO-01 SLO-13 SLO-22 by Redirect", func(t *testing.T) {
		sp, app := w.leaver(t, "one", front("one")...)
		c := w.signedIn(t, "ana")
		leave := leaveOf(w.enter(t, c, sp, app))
		cookie := w.cookie(t, c)
		leave.RelayState = relay(`a&b "c"`)
		answer := carried(t, w.byRedirect(t, c, sp, leave))
		w.toSP(t, answer, "LogoutResponse", "https://one.example.org/slo")
		if answer.status() != "Success" || answer.SelectAttrValue("InResponseTo", "") != leave.ID || answer.relayState == nil || *answer.relayState != *leave.RelayState {
			t.Errorf("%s in response to %s, %v", answer.status(), answer.SelectAttrValue("InResponseTo", ""), answer.relayState)
		}
		if !w.over(t, cookie) || c.Get("/account").URL.Path != "/login" {
			t.Error("the session goes on")
		}
		if entry := w.newest(t, "signout"); entry.App.ID != app.ID || entry.User.Name != "ana" || entry.Facts["binding"] != "HTTP-Redirect" {
			t.Errorf("audit: %+v", entry)
		}
		leave.ID = newRequestID()
		t.Run("SLO-14 again: it is over already", func(t *testing.T) {
			c.t = t
			if again := carried(t, w.byRedirect(t, c, sp, leave)); again.status() != "Success" {
				t.Errorf("%s", again.status())
			}
		})
	})
	t.Run("SLO-13 the cookie of an ended session opens nothing", func(t *testing.T) { w.endedCookie(t) })
	t.Run("SLO-02 by POST", func(t *testing.T) {
		sp, app := w.leaver(t, "two", front("two")...)
		c := w.signedIn(t, "ana")
		leave := leaveOf(w.enter(t, c, sp, app))
		cookie := w.cookie(t, c)
		answer := carried(t, w.byPost(t, c, sp, leave))
		w.toSP(t, answer, "LogoutResponse", "https://two.example.org/slo-post")
		w.xmlsec(t, answer.raw, "LogoutResponse")
		if answer.status() != "Success" || !w.over(t, cookie) {
			t.Errorf("%s, over %t", answer.status(), w.over(t, cookie))
		}
	})
	t.Run("SLO-03 by SOAP", func(t *testing.T) {
		sp, app := w.leaver(t, "three")
		c := w.signedIn(t, "ana")
		leave := leaveOf(w.enter(t, c, sp, app))
		cookie := w.cookie(t, c)
		status, answer := w.bySOAP(t, sp, leave)
		if status != 200 || answer.Element == nil || answer.Tag != "LogoutResponse" || answer.status() != "Success" || !w.over(t, cookie) {
			t.Fatalf("%d %+v", status, answer)
		}
		w.xmlsec(t, answer.raw, "LogoutResponse")
	})
	t.Run("SLO-18 MDC-15 ResponseLocation", func(t *testing.T) {
		sp, app := w.leaver(t, "elsewhere", sloService{bindingRedirect, "https://elsewhere.example.org/slo", "https://elsewhere.example.org/done"})
		c := w.signedIn(t, "ana")
		answer := carried(t, w.byRedirect(t, c, sp, leaveOf(w.enter(t, c, sp, app))))
		w.toSP(t, answer, "LogoutResponse", "https://elsewhere.example.org/done")
	})
	t.Run("refused", func(t *testing.T) { w.refusedLogouts(t) })
	t.Run("which sessions", func(t *testing.T) { w.whichSessions(t) })
	t.Run("propagation", func(t *testing.T) { w.propagation(t) })
	t.Run("SLO-24 asynchronous", func(t *testing.T) {
		sp, app := w.leaver(t, "async", front("async")...)
		c := w.signedIn(t, "ana")
		leave := leaveOf(w.enter(t, c, sp, app))
		leave.Extensions = `<samlp:Extensions><aslo:Asynchronous xmlns:aslo="urn:oasis:names:tc:SAML:2.0:protocol:ext:async-slo"/></samlp:Extensions>`
		cookie := w.cookie(t, c)
		page := w.byRedirect(t, c, sp, leave)
		if page.Status != 200 || page.Header.Get("Location") != "" || !strings.Contains(page.Body, "You are signed out") || !w.over(t, cookie) {
			t.Errorf("%d %s\n%s", page.Status, page.Header.Get("Location"), page.Body)
		}
	})
	t.Run("SLO-07 an EncryptedID, to the old and the new key", func(t *testing.T) { w.encryptedNames(t) })
	w.everything(t)
}

// refusedLogouts: what is not from the app, not for us, or not of this time ends nothing.
func (w *logoutWorld) refusedLogouts(t *testing.T) {
	sp, app := w.leaver(t, "careful", front("careful")...)
	other, otherApp := w.leaver(t, "other", front("other")...)
	c := w.signedIn(t, "ana")
	good := leaveOf(w.enter(t, c, sp, app))
	foreign := leaveOf(w.enter(t, c, other, otherApp))
	cookie := w.cookie(t, c)
	renamed := func(from, to string) string { return strings.Replace(good.Name, from, to, 1) }
	for _, row := range []struct {
		name   string
		change func(*Leave)
		here   string // reason of a refusal on a page of ours, or:
		there  string // the status that the app gets
	}{
		{"SLO-04 SLO-30 unsigned", func(l *Leave) { l.Unsigned = true }, "unsigned_request", ""},
		{"SLO-05 another app's session index", func(l *Leave) { l.Indexes = foreign.Indexes }, "", "Requester/UnknownPrincipal"},
		{"SLO-05 no issuer that is connected", func(l *Leave) { l.Issuer = "https://nobody.example.org" }, "unknown_issuer", ""},
		{"SLO-06 another format", func(l *Leave) { l.Name = renamed("nameid-format:persistent", "nameid-format:transient") }, "", "Requester/UnknownPrincipal"},
		{"SLO-06 another SPNameQualifier", func(l *Leave) {
			l.Name = renamed("SPNameQualifier=\"https://careful", "SPNameQualifier=\"https://other")
		}, "", "Requester/UnknownPrincipal"},
		{"SLO-10 SLO-26 expired", func(l *Leave) { l.NotOnOrAfter = w.clock.now().Add(-10 * time.Minute).UTC().Format(time.RFC3339) }, "", "Requester"},
		{"SLO-11 another Destination", func(l *Leave) { l.Destination = w.sso }, "", "Requester"},
		{"SLO-11 an hour old", func(l *Leave) { l.Instant = w.clock.now().Add(-time.Hour).UTC().Format(time.RFC3339) }, "", "Requester"},
		{"SLO-06 nobody", func(l *Leave) { l.Name = "" }, "", "Requester"},
		{"SLO-06 an unknown element", func(l *Leave) { l.Name += "<samlp:NameIDPolicy/>" }, "", "Requester"},
	} {
		t.Run(row.name, func(t *testing.T) {
			for post, carry := range map[bool]func(*testing.T, *Client, *SP, Leave) *Page{false: w.byRedirect, true: w.byPost} {
				leave := good
				leave.ID = newRequestID()
				row.change(&leave)
				page := carry(t, c, sp, leave)
				if row.here != "" {
					w.checkHere(t, page, row.here)
				} else if answer := carried(t, page); answer.status() != row.there || answer.SelectAttrValue("InResponseTo", "") != leave.ID {
					t.Errorf("post %t: %s, want %s", post, answer.status(), row.there)
				}
				if w.over(t, cookie) {
					t.Fatal("the session has ended")
				}
			}
			w.clock.advance(time.Minute)
		})
	}
	w.otherMessages(t, c, sp, good, cookie)
	w.wrappedLogouts(t, c, sp, good, cookie)
	t.Run("SLO-11 the same message twice", func(t *testing.T) {
		if page := w.byRedirect(t, c, sp, good); !w.over(t, cookie) || !strings.HasPrefix(page.URL.Path, "/logout/") {
			t.Errorf("the good one did not end the session: %s", page.URL)
		}
		if second := carried(t, w.byRedirect(t, c, sp, good)); second.status() != "Requester" {
			t.Errorf("the second: %s", second.status())
		}
	})
}
