package saml

import (
	"bytes"
	"context"
	"encoding/json"
	"image"
	"image/png"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatehouse/certs"
	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/idp/session"
	"gatehouse/sp"
	"gatehouse/store"
)

func TestSignOn(t *testing.T) {
	s := newServer(t)
	s.putApp(nil)
	s.signIn("password")
	w := s.get(s.query("_a", "", "") + "&RelayState=" + url.QueryEscape(`a&<">+ é`))
	action, xml, relay, _ := posted(t, w)
	if action != "https://sp.example/acs" || relay != `a&<">+ é` || !strings.Contains(xml, `InResponseTo="_a"`) || !strings.Contains(xml, "staff") {
		t.Errorf("%s %q\n%s", action, relay, xml)
	}
	for header, want := range map[string]string{"Cache-Control": "no-cache, no-store", "Pragma": "no-cache", "Referrer-Policy": "strict-origin", "X-Frame-Options": "DENY"} {
		if w.Header().Get(header) != want {
			t.Errorf("%s: %q", header, w.Header().Get(header))
		}
	}
	validateSchema(t, []byte(xml))
	keys, _, err := s.h.signers(context.Background(), nil)
	s.check(err)
	if got := strings.Join(verifyXML(t, []byte(xml), pair{keys[0].Signer, keys[0].Certificate}), " "); got != "Response Assertion" {
		t.Errorf("signed: %s", got)
	}
	_, again, _, hasRelay := posted(t, s.get(s.query("_b", "", "")))
	if hasRelay || nameOf(again) != nameOf(xml) || between(again, `SessionIndex="`, `"`) != between(xml, `SessionIndex="`, `"`) {
		t.Error("the second answer differs where it should not")
	}
	for _, event := range s.events() {
		for key, value := range event.Facts {
			if strings.Contains(value, nameOf(xml)) {
				t.Errorf("the name identifier is in the audit under %s", key)
			}
		}
	}
}

func nameOf(xml string) string {
	return regexp.MustCompile(`<saml:NameID[^>]*>([^<]*)`).FindStringSubmatch(xml)[1]
}

// A request is answered once, whatever the answer was (BND-25).
func TestReplay(t *testing.T) {
	s := newServer(t)
	s.putApp(nil)
	s.signIn("password")
	query := s.query("_a", "", "")
	posted(t, s.get(query))
	if w := s.get(query); w.Code != http.StatusBadRequest || strings.Contains(w.Body.String(), "SAMLResponse") {
		t.Errorf("replayed: %d", w.Code)
	}
}

func TestOutcomes(t *testing.T) {
	blocked := func(a *sp.App) { a.State = sp.Blocked }
	denied := func(a *sp.App) { a.Policy.PermittedUsers = sp.PermitPreauthorized }
	page := func(a *sp.App) { denied(a); a.Definition.SAML.Settings.DeniedAnswer = sp.DeniedPage }
	mfa := `<samlp:RequestedAuthnContext><saml:AuthnContextClassRef>` + classREFEDSMFA + `</saml:AuthnContextClassRef></samlp:RequestedAuthnContext>`
	s := newServer(t)
	s.now = testNow.Add(-time.Minute)
	s.signIn("password")
	s.now = testNow
	cookie := s.cookie
	for i, test := range []struct {
		row             string
		change          func(*sp.App)
		signedIn        bool
		attrs, children string
		want            string // status codes; "login"; or the HTTP status of a page
	}{
		{"no session", nil, false, "", "", "login"},
		{"REQ-17", nil, true, `ForceAuthn="1"`, "", "login"},
		{"REQ-21", nil, false, `IsPassive="true"`, "", "Responder/NoPassive"},
		{"REQ-22", nil, true, `IsPassive="1"`, "", "Success"},
		{"REQ-24", nil, true, `IsPassive="true" ForceAuthn="true"`, "", "Responder/NoPassive"},
		{"REQ-25", page, true, `IsPassive="true"`, "", "Responder/RequestDenied"},
		{"REQ-02", blocked, false, "", "", "Responder/RequestDenied"},
		{"pending", func(a *sp.App) { a.State = sp.Pending }, true, "", "", "400"},
		{"removed", func(a *sp.App) { a.State = sp.Removed }, true, "", "", "400"},
		{"REQ-63", denied, true, "", "", "Responder/RequestDenied"},
		{"REQ-63 page", page, true, "", "", "403"},
		{"REQ-27", nil, true, "", `<samlp:NameIDPolicy Format="urn:x"/>`, "Requester/InvalidNameIDPolicy"},
		{"REQ-35 step up", nil, true, "", mfa, "login"},
		{"REQ-45", nil, true, `IsPassive="true"`, mfa, "Responder/NoPassive"},
		{"REQ-46", nil, true, "", `<saml:Subject><saml:NameID>other</saml:NameID></saml:Subject>`, "Responder/UnknownPrincipal"},
		{"REQ-46 same", nil, true, "", `<saml:Subject><saml:NameID Format="` + sp.NameIDEmail + `">ana@example.org</saml:NameID></saml:Subject><samlp:NameIDPolicy Format="` + sp.NameIDEmail + `"/>`, "Success"},
		{"CRY-14", func(a *sp.App) { a.Definition.SAML.Settings.Encrypt = sp.EncryptAlways }, true, "", "", "Responder"},
		{"CRY-17", func(a *sp.App) { a.Definition.SAML.Metadata.SigningMethods = []string{"urn:x"} }, true, "", "", "403"},
		{"ATT source", func(a *sp.App) { a.Definition.SAML.Settings.Attributes = []sp.Attribute{{Name: "x", Source: "user.("}} }, true, "", "", "Responder"},
		{"RSP-15", nil, true, `AssertionConsumerServiceURL="https://evil.example"`, "", "400"},
		{"BND-21", nil, true, `Consent="x"`, "", "Success"},
	} {
		s.putApp(test.change)
		s.cookie = cookie
		if !test.signedIn {
			s.cookie = ""
		}
		w := s.get(s.query("_a"+strconv.Itoa(i), test.attrs, test.children) + "&RelayState=r")
		if got := s.outcomeOf(w); got != test.want {
			t.Errorf("%s: %s, want %s", test.row, got, test.want)
		}
	}
}

func (s *server) outcomeOf(w *httptest.ResponseRecorder) string {
	s.t.Helper()
	switch {
	case w.Code == http.StatusSeeOther && strings.HasPrefix(w.Header().Get("Location"), "/login"):
		return "login"
	case w.Code != http.StatusOK:
		return strconv.Itoa(w.Code)
	}
	action, xml, relay, _ := posted(s.t, w)
	if action != "https://sp.example/acs" || relay != "r" || !strings.Contains(xml, `InResponseTo="_a`) {
		s.t.Errorf("%s %s %s", action, relay, xml)
	}
	var codes []string
	for _, m := range regexp.MustCompile(`StatusCode Value="`+statusPrefix+`(\w+)"`).FindAllStringSubmatch(xml, -1) {
		codes = append(codes, m[1])
	}
	if strings.Contains(xml, "<saml:Assertion") != (codes[0] == "Success") {
		s.t.Errorf("an assertion where none belongs, or none: %s", xml)
	}
	validateSchema(s.t, []byte(xml))
	return strings.Join(codes, "/")
}

// Whatever a stranger sends is a 4xx page with a code, never a 5xx and never a redirect (BND-27, BND-33).
func TestStrangers(t *testing.T) {
	s := newServer(t)
	s.putApp(nil)
	form := func(body string) *http.Request {
		r := httptest.NewRequest(http.MethodPost, "/saml/sso", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return r
	}
	for name, r := range map[string]*http.Request{
		"nothing": httptest.NewRequest(http.MethodGet, "/saml/sso", nil), "garbage": httptest.NewRequest(http.MethodGet, "/saml/sso?SAMLRequest=%41%", nil),
		"put": httptest.NewRequest(http.MethodPut, "/saml/sso", nil), "empty form": form(""), "bad form": form("%zz"), "huge": form("SAMLRequest=" + strings.Repeat("A", maxPOST)),
		"unknown issuer": httptest.NewRequest(http.MethodGet, "/saml/sso?"+redirectQueryOf(strings.Replace(requestXML("", ""), "sp.example/saml<", "other.example<", 1)), nil),
	} {
		w := s.send(r)
		if w.Code < 400 || w.Code > 499 {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
}

// A cross-site POST arrives without cookies and is answered with a page of our own to come back to.
func TestPOSTWithoutCookies(t *testing.T) {
	s := newServer(t)
	s.putApp(nil)
	r := httptest.NewRequest(http.MethodPost, "/saml/sso", strings.NewReader(postForm(requestXML("", "")).Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	w := s.send(r)
	if w.Code != http.StatusSeeOther || !strings.HasPrefix(w.Header().Get("Location"), "/flow/") || len(w.Result().Cookies()) != 0 {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestLaunch(t *testing.T) {
	app := testApp()
	app.Definition.SAML.Settings.DefaultRelayState, app.Definition.SAML.Settings.AllowedRelayStates = "home", []string{"https://sp.example/"}
	s := newServer(t)
	for state, want := range map[string]string{"": "home", "home": "home", "https://sp.example/deep": "https://sp.example/deep", "https://evil.example/": "", strings.Repeat("x", 2000): ""} {
		request, err := s.h.Launch(app, state)
		var asked Accepted
		if err == nil {
			s.check(json.Unmarshal(request.Payload, &asked))
		}
		if (err == nil) != (want != "") || asked.RelayState != want || request.Once != "" {
			t.Errorf("%.40q: %v %+v", state, err, asked)
		}
	}
}

func TestTransientLastsASession(t *testing.T) {
	s := newServer(t)
	s.putApp(func(a *sp.App) { a.Definition.SAML.Settings.NameIDFormat = "transient" })
	names := map[string]bool{}
	for _, id := range []string{"_a", "_b"} {
		s.signIn("password")
		_, one, _, _ := posted(t, s.get(s.query(id, "", "")))
		_, two, _, _ := posted(t, s.get(s.query(id+"2", "", "")))
		if nameOf(one) != nameOf(two) {
			t.Error("a transient name changed within its session")
		}
		names[nameOf(one)] = true
	}
	if len(names) != 2 {
		t.Error("a transient name outlived its session")
	}
}

func TestPublish(t *testing.T) {
	s := newServer(t)
	s.putApp(nil)
	first := s.get("/saml/metadata")
	if first.Code != http.StatusOK || first.Header().Get("Content-Type") != "application/samlmetadata+xml" {
		t.Fatalf("%d %v", first.Code, first.Header())
	}
	validateSchema(t, first.Body.Bytes())
	again := httptest.NewRequest(http.MethodGet, "/saml/metadata", nil)
	again.Header.Set("If-None-Match", first.Header().Get("ETag"))
	if w := s.send(again); w.Code != http.StatusNotModified || w.Body.Len() > 0 {
		t.Errorf("%d", w.Code)
	}
	if w := s.get("/saml/metadata/app_1"); w.Body.String() != first.Body.String() {
		t.Error("the app's metadata differs without reason")
	}
	if w := s.get("/saml/metadata/nope"); w.Code != http.StatusNotFound {
		t.Errorf("%d", w.Code)
	}
	if w := s.get("/saml/certificate.pem"); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "BEGIN CERTIFICATE") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	s.update(func(tx store.Tx) error {
		return directory.SaveSettings(tx, directory.Settings{WantSignedRequests: true})
	})
	if w := s.get("/saml/metadata"); !strings.Contains(w.Body.String(), `WantAuthnRequestsSigned="true"`) {
		t.Error("the setting is not mirrored")
	}
	s.signIn("password")
	if w := s.get(s.query("_a", "", "")); w.Code != http.StatusBadRequest {
		t.Errorf("the setting is not enforced: %d", w.Code)
	}
}

// The organisation's picture is told with its true size, where that can be read (MDP-13).
func TestMetadataLogo(t *testing.T) {
	s := newServer(t)
	var picture bytes.Buffer
	s.check(png.Encode(&picture, image.NewGray(image.Rect(0, 0, 120, 40))))
	s.update(func(tx store.Tx) error { return directory.SaveLogo(tx, picture.Bytes()) })
	doc := s.get("/saml/metadata").Body.Bytes()
	validateSchema(t, doc)
	if !strings.Contains(string(doc), `<mdui:Logo height="40" width="120">https://idp.example/logo/`) {
		t.Errorf("%s", doc)
	}
	s.update(func(tx store.Tx) error { return directory.SaveLogo(tx, []byte("RIFF....WEBPVP8 ")) })
	if doc := s.get("/saml/metadata").Body.String(); strings.Contains(doc, "mdui:Logo") {
		t.Error("a picture of unknown size is told")
	}
}

// A staged key is published at once and signs once activated; the old one stays published (MDP-10).
func TestRollover(t *testing.T) {
	s := newServer(t)
	s.putApp(nil)
	s.signIn("password")
	count := func() int {
		return strings.Count(s.get("/saml/metadata").Body.String(), `<md:KeyDescriptor use="signing">`)
	}
	signer := func(id string) string {
		_, xml, _, _ := posted(t, s.get(s.query(id, "", "")))
		return between(xml, "<ds:X509Certificate>", "<")
	}
	before := signer("_a")
	material, err := certs.Generate(certs.RSA, "idp.example", s.now)
	s.check(err)
	var entry certs.Entry
	s.update(func(tx store.Tx) (err error) {
		entry, err = s.h.Keys.Stage(tx, material)
		return err
	})
	if count() != 2 || signer("_b") != before {
		t.Error("staged: not published, or signing already")
	}
	s.update(func(tx store.Tx) error {
		_, err := s.h.Keys.Activate(tx, entry.ID)
		return err
	})
	if count() != 2 || signer("_c") == before {
		t.Error("activated: the old key is gone, or still signs")
	}
}

// SessionNotOnOrAfter is the earliest of the app's lifetime, the policy's limit and our session (RSP-23, SES-02).
func TestSessionEnds(t *testing.T) {
	for _, test := range []struct{ lifetime, limit, session, want time.Duration }{
		{0, 0, time.Hour, 0}, {time.Hour, 0, 8 * time.Hour, time.Hour}, {0, time.Minute, time.Hour, time.Minute},
		{time.Hour, time.Minute, time.Hour, time.Minute}, {time.Minute, time.Hour, time.Hour, time.Minute}, {8 * time.Hour, 0, time.Hour, time.Hour},
	} {
		app := testApp()
		app.Definition.SAML.Settings.SessionLifetime, app.Policy.SessionTimeout = test.lifetime, test.limit
		ends := sessionEnds(&flow.Pass{Facts: &flow.Facts{App: app, Now: testNow, Session: &session.Session{Ends: testNow.Add(test.session)}}})
		if test.want == 0 != ends.IsZero() || test.want != 0 && ends != testNow.Add(test.want) {
			t.Errorf("%+v: %v", test, ends)
		}
	}
}
