package idptest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/beevik/etree"

	"gatehouse/idp/api"
)

const (
	terminate   = "<samlp:Terminate/>"
	samlSchemas = `xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion"`
)

func newID(id string) string { return "<samlp:NewID>" + id + "</samlp:NewID>" }

// request writes a message of a kind with its content, and returns its id.
func (sp *SP) request(kind, endpoint, content string) (text, id string) {
	id = "_" + rand.Text()
	return fmt.Sprintf(`<samlp:%s %s Version="2.0" ID="%s" IssueInstant="%s" Destination="%s"><saml:Issuer>%s</saml:Issuer>%s</samlp:%s>`,
		kind, samlSchemas, id, sp.instant(), endpoint, sp.EntityID, content, kind), id
}

// names is a registered service provider that takes messages about names.
func (w *logoutWorld) names(t *testing.T, name string) (*SP, api.App) {
	t.Helper()
	sp, base := w.newSP(t, name), "https://"+name+".example.org"
	sp.NID = []sloService{at(bindingRedirect, base+"/nid"), {bindingPost, base + "/nid-post", base + "/nid-answer"}}
	return sp, w.AddApp(t, sp.Metadata(), nil)
}

// ask sends a signed message from server to server, and checks what holds for every answer.
func (w *logoutWorld) ask(t *testing.T, sp *SP, kind, content, tag string) string {
	t.Helper()
	return w.asked(t, sp, kind, content, tag).status()
}

func (w *logoutWorld) asked(t *testing.T, sp *SP, kind, content, tag string) message {
	t.Helper()
	sp.t = t
	text, id := sp.request(kind, w.soap, content)
	status, answer := w.postSOAP(t, w.soap, inEnvelope(sp.SignXML(text)))
	if status != 200 || answer.Element == nil || answer.Tag != tag || answer.SelectAttrValue("InResponseTo", "") != id {
		t.Fatalf("%s gets %d %s", kind, status, answer.raw)
	}
	w.xmlsec(t, answer.raw, tag)
	// The schema knows no NameIDMappingResponse without a name, though core 3.8.3 demands one for each refusal.
	if tag != "NameIDMappingResponse" || answer.status() == "Success" {
		w.sent = append(w.sent, &Response{Root: answer.Element, XML: answer.raw})
	}
	return answer
}

func (w *logoutWorld) manage(t *testing.T, sp *SP, content string) string {
	t.Helper()
	return w.ask(t, sp, "ManageNameIDRequest", content, "ManageNameIDResponse")
}

// ours is the key that names are encrypted to for us.
func (w *world) ours(t *testing.T) *rsa.PublicKey {
	t.Helper()
	block, _ := pem.Decode(w.cert)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return certificate.PublicKey.(*rsa.PublicKey)
}

func TestSAMLManageNames(t *testing.T) {
	t.Parallel()
	w := newLogoutWorld(t)
	t.Run("NIM-01 NID-01 Terminate by SOAP", func(t *testing.T) { w.terminated(t) })
	t.Run("NIM-02 NID-10 NewID by Redirect and POST", func(t *testing.T) { w.renamed(t) })
	t.Run("NIM-03 NewEncryptedID and EncryptedID", func(t *testing.T) {
		sp, app := w.names(t, "sealed-names")
		c := w.signedIn(t, "ana")
		name := leaveOf(w.enter(t, c, sp, app)).Name
		who := encryptID(t, name, w.ours(t))
		sealed := strings.ReplaceAll(encryptID(t, newID("sealed-7"), w.ours(t)), "saml:EncryptedID", "samlp:NewEncryptedID")
		if status := w.manage(t, sp, who+sealed); status != "Success" {
			t.Fatal(status)
		}
		if got := w.issue(t, c, sp, Ask{}).Attr(pathNameID, "SPProvidedID"); got != "sealed-7" {
			t.Errorf("SPProvidedID %q", got)
		}
		foreign := strings.ReplaceAll(encryptID(t, newID("x"), &spIdentity().Key.PublicKey), "saml:EncryptedID", "samlp:NewEncryptedID")
		if status := w.manage(t, sp, who+foreign); status != "Requester" {
			t.Errorf("for a foreign key: %s", status)
		}
	})
	t.Run("NIM-05 who may, and for whom", func(t *testing.T) { w.refusedNames(t) })
	t.Run("NIM-06 the metadata lists it where it is offered", func(t *testing.T) {
		doc := etree.NewDocument()
		if err := doc.ReadFromBytes(w.idp); err != nil {
			t.Fatal(err)
		}
		var found []string
		for _, e := range doc.FindElements("//IDPSSODescriptor/ManageNameIDService") {
			found = append(found, e.SelectAttrValue("Binding", "")+" "+e.SelectAttrValue("Location", ""))
		}
		want := []string{bindingRedirect + " " + w.URL + "/saml/nid", bindingPost + " " + w.URL + "/saml/nid", bindingSOAP + " " + w.soap}
		if strings.Join(found, ",") != strings.Join(want, ",") {
			t.Errorf("it lists %v", found)
		}
	})
	t.Run("NIM-04 by an administrator", func(t *testing.T) { w.renewed(t) })
	t.Run("QRY-04 queries", func(t *testing.T) { w.queries(t) })
	w.everything(t)
}

// terminated: the name ends for good, and a new one is made only where the request allows that.
func (w *logoutWorld) terminated(t *testing.T) {
	sp, app := w.names(t, "ending")
	other, otherApp := w.names(t, "staying")
	c := w.signedIn(t, "ana")
	elsewhere := w.enter(t, c, other, otherApp).Text(pathNameID)
	seen := map[string]bool{}
	for range 3 {
		r := w.issue(t, c, sp, Ask{})
		if name := r.Text(pathNameID); seen[name] {
			t.Fatalf("%s comes again", name)
		} else {
			seen[name] = true
		}
		name := leaveOf(r).Name
		if status := w.manage(t, sp, name+newID("mine")); status != "Success" {
			t.Fatal(status)
		}
		if status := w.manage(t, sp, name+terminate); status != "Success" {
			t.Fatal(status)
		}
		if entry := w.newest(t, "nameid"); entry.Facts["action"] != "terminate" || entry.User.Name != "ana" || entry.App.ID != app.ID {
			t.Errorf("audit %+v", entry)
		}
		if status := w.manage(t, sp, name+terminate); status != "Requester/UnknownPrincipal" {
			t.Errorf("a second time: %s", status)
		}
		none := policy(`AllowCreate="false"`)
		none.ID = newRequestID()
		w.check(t, w.send(t, c, sp, none, false), sp, none, there("invalid_nameid_policy", "Requester", "InvalidNameIDPolicy"))
	}
	if r := w.issue(t, c, sp, Ask{}); r.Attr(pathNameID, "SPProvidedID") != "" {
		t.Error("the new name has the old alias")
	}
	if w.issue(t, c, other, Ask{}).Text(pathNameID) != elsewhere {
		t.Error("another app's name changed")
	}
}

// renamed: the app's own name for a person comes back with every later name, by whatever way the request came.
func (w *logoutWorld) renamed(t *testing.T) {
	sp, app := w.names(t, "renaming")
	c := w.signedIn(t, "ana")
	name := leaveOf(w.enter(t, c, sp, app)).Name
	endpoint := w.URL + "/saml/nid"
	for _, post := range []bool{false, true} {
		alias := fmt.Sprintf(`a&amp;b-%t`, post)
		text, id := sp.request("ManageNameIDRequest", endpoint, name+newID(alias))
		location := "https://renaming.example.org/nid"
		var page *Page
		if c.t = t; post {
			location = "https://renaming.example.org/nid-answer"
			page = c.CrossPost(endpoint, url.Values{"SAMLRequest": {base64.StdEncoding.EncodeToString([]byte(sp.SignXML(text)))}, "RelayState": {"here"}})
		} else {
			page = c.Get(sp.redirectTo(endpoint, "SAMLRequest", text, relay("here"), true))
		}
		answer := carried(t, page)
		w.toSP(t, answer, "ManageNameIDResponse", location)
		if answer.status() != "Success" || answer.SelectAttrValue("InResponseTo", "") != id || answer.relayState == nil || *answer.relayState != "here" {
			t.Errorf("post %t: %s", post, answer.raw)
		}
		if post {
			w.xmlsec(t, answer.raw, "ManageNameIDResponse")
		}
		for _, c := range []*Client{c, w.signedIn(t, "ana")} {
			if got := w.issue(t, c, sp, Ask{}).Attr(pathNameID, "SPProvidedID"); got != strings.Replace(alias, "&amp;", "&", 1) {
				t.Errorf("SPProvidedID %q, want %q", got, alias)
			}
		}
	}
}

// refusedNames: only the app itself, by its signature, for exactly the names that it was given.
func (w *logoutWorld) refusedNames(t *testing.T) {
	sp, app := w.names(t, "strict")
	other, _ := w.names(t, "nosy")
	r := w.enter(t, w.signedIn(t, "ana"), sp, app)
	name := leaveOf(r).Name
	swap := func(from, to string) string { return strings.Replace(name, from, to, 1) }
	for what, row := range map[string]struct {
		sp            *SP
		content, want string
	}{
		"another app":               {other, name + terminate, "Requester/UnknownPrincipal"},
		"an unknown name":           {sp, swap(r.Text(pathNameID), "unknown") + terminate, "Requester/UnknownPrincipal"},
		"another format":            {sp, swap("nameid-format:persistent", "nameid-format:transient") + terminate, "Requester/UnknownPrincipal"},
		"another SPNameQualifier":   {sp, swap(`SPNameQualifier="https://strict`, `SPNameQualifier="https://nosy`) + terminate, "Requester/UnknownPrincipal"},
		"an alias that was not set": {sp, swap("<saml:NameID ", `<saml:NameID SPProvidedID="x" `) + terminate, "Requester/UnknownPrincipal"},
		"nobody":                    {sp, terminate, "Requester"},
		"nothing to do":             {sp, name, "Requester"},
		"two things to do":          {sp, name + newID("x") + terminate, "Requester"},
		"a name that is too long":   {sp, name + newID(strings.Repeat("x", 257)), "Requester"},
	} {
		if status := w.manage(t, row.sp, row.content); status != row.want {
			t.Errorf("%s: %s, want %s", what, status, row.want)
		}
	}
	text, _ := sp.request("ManageNameIDRequest", w.soap, name+terminate)
	if status, _ := w.postSOAP(t, w.soap, inEnvelope(text)); status != 400 {
		t.Errorf("unsigned: %d", status)
	}
	forger := NewSP(t, "forger")
	if status, _ := w.postSOAP(t, w.soap, inEnvelope(forger.SignXML(text))); status != 400 {
		t.Errorf("forged: %d", status)
	}
	signed := sp.SignXML(strings.Replace(text, terminate, newID("once"), 1))
	for _, want := range []string{"Success", "Requester"} {
		if _, answer := w.postSOAP(t, w.soap, inEnvelope(signed)); answer.status() != want {
			t.Errorf("sent twice: %s, want %s", answer.status(), want)
		}
	}
	browser := w.browser(t)
	w.checkHere(t, browser.Get(sp.redirectTo(w.URL+"/saml/nid", "SAMLRequest", text, nil, false)), "unsigned_request")
	if again := w.issue(t, w.signedIn(t, "ana"), sp, Ask{}); again.Text(pathNameID) != r.Text(pathNameID) {
		t.Error("the name changed")
	}
}

// queries are not offered: who asks by a good signature is told so, anybody else gets no SAML.
func (w *logoutWorld) queries(t *testing.T) {
	sp, app := w.names(t, "curious")
	name := "<saml:Subject>" + leaveOf(w.enter(t, w.signedIn(t, "ana"), sp, app)).Name + "</saml:Subject>"
	for kind, content := range map[string]string{"AttributeQuery": name, "AuthnQuery": name, "AssertionIDRequest": "<saml:AssertionIDRef>_x</saml:AssertionIDRef>"} {
		if status := w.ask(t, sp, kind, content, "Response"); status != "Requester/RequestUnsupported" {
			t.Errorf("%s: %s", kind, status)
		}
		text, _ := sp.request(kind, w.soap, content)
		if status, answer := w.postSOAP(t, w.soap, inEnvelope(text)); status != 400 || answer.Element == nil || answer.Tag != "Fault" {
			t.Errorf("%s, unsigned: %d", kind, status)
		}
	}
	if strings.Contains(string(w.idp), "AttributeAuthorityDescriptor") || strings.Contains(string(w.idp), "AssertionIDRequestService") {
		t.Error("the metadata lists queries")
	}
}

// renewed: an administrator changes or ends a name, and the app is told by SOAP what it was and what it is.
func (w *logoutWorld) renewed(t *testing.T) {
	sp := w.newSP(t, "told")
	server := sp.listenSOAP(t)
	sp.NID = []sloService{at(bindingSOAP, server.URL)}
	app := w.AddApp(t, sp.Metadata(), nil)
	silent, _ := w.names(t, "silent")
	c := w.signedIn(t, "ana")
	for n, end := range []bool{false, true} {
		old := w.issue(t, c, sp, Ask{})
		renewed, err := w.API.NewNameID(t.Context(), app.ID, api.NewNameID{User: "ana", End: end})
		if err != nil || !renewed.Told {
			t.Fatalf("%+v %v", renewed, err)
		}
		eventually(t, "the app is not told", func() bool { return len(server.requests()) > n })
		request := server.requests()[n]
		raw, err := etree.NewDocumentWithRoot(request.Copy()).WriteToBytes()
		if err != nil {
			t.Fatal(err)
		}
		w.sent = append(w.sent, &Response{Root: request, XML: raw})
		w.xmlsec(t, raw, "ManageNameIDRequest")
		who, fresh := request.FindElement("./NameID"), w.issue(t, c, sp, Ask{}).Text(pathNameID)
		if request.Tag != "ManageNameIDRequest" || who.Text() != old.Text(pathNameID) || who.SelectAttrValue("SPNameQualifier", "") != sp.EntityID || fresh == who.Text() {
			t.Errorf("%s about %s, then %s; the old name was %s", request.Tag, who.Text(), fresh, old.Text(pathNameID))
		}
		if new := request.FindElement("./NewID"); end != (new == nil) || !end && new.Text() != fresh || end == (request.FindElement("./Terminate") == nil) {
			t.Errorf("end %t: %s", end, raw)
		}
		if entry := w.newest(t, "nameid"); entry.User.Name != "ana" || entry.App.ID != app.ID || entry.Facts["told"] != "true" {
			t.Errorf("audit %+v", entry)
		}
	}
	before := w.issue(t, c, silent, Ask{}).Text(pathNameID)
	if renewed, err := w.API.NewNameID(t.Context(), silent.EntityID, api.NewNameID{User: "ana"}); err != nil || renewed.Told || w.issue(t, c, silent, Ask{}).Text(pathNameID) == before {
		t.Errorf("an app that cannot be told: %+v %v", renewed, err)
	}
	if _, err := w.API.NewNameID(t.Context(), silent.EntityID, api.NewNameID{User: "bob"}); err == nil || !strings.Contains(err.Error(), "does not know bob") {
		t.Errorf("a person without a name: %v", err)
	}
}
