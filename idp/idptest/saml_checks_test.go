package idptest

import (
	"encoding/pem"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"

	"gatehouse/idp/api"
)

// outcome is what a row expects of a request.
type outcome struct {
	kind                     string
	reason, top, nested, acs string
}

// issued: a signed assertion reaches the app. signIn: the sign-in page. here: refused on a page with a code whose audit
// entry has the reason. there: refused by a signed status to the app.
func issued() outcome            { return outcome{kind: "issued"} }
func signIn() outcome            { return outcome{kind: "sign-in"} }
func here(reason string) outcome { return outcome{kind: "here", reason: reason} }
func there(reason, top, nested string) outcome {
	return outcome{kind: "there", reason: reason, top: top, nested: nested}
}

// at says which address the answer must go to, where it is not the app's first.
func (o outcome) at(acs string) outcome {
	o.acs = acs
	return o
}

// row is a requirement as one request and what follows from it.
type row struct {
	name     string
	sp       *SP
	ask      Ask
	post     bool
	stranger bool // in a browser without session
	want     outcome
}

func (w *world) rows(t *testing.T, rows []row) {
	for _, one := range rows {
		t.Run(one.name, func(t *testing.T) {
			if one.ask.ID == "" {
				one.ask.ID = newRequestID()
			}
			c := w.ana(t)
			if one.stranger {
				c = w.browser(t)
			}
			w.check(t, w.send(t, c, one.sp, one.ask, one.post), one.sp, one.ask, one.want)
		})
	}
	w.clock.advance(time.Minute) // a person's refusals are audited singly up to a number a minute
}

// send carries a request of the service provider to the server.
func (w *world) send(t *testing.T, c *Client, sp *SP, ask Ask, post bool) *Page {
	t.Helper()
	sp.t, c.t = t, t
	if ask.Instant == "" {
		ask.Instant = w.clock.instant()
	}
	if post {
		return c.CrossPost(w.sso, sp.PostForm(w.sso, ask))
	}
	return c.Get(sp.RedirectURL(w.sso, ask))
}

func (w *world) check(t *testing.T, page *Page, sp *SP, ask Ask, want outcome) *Response {
	t.Helper()
	if want.acs == "" {
		want.acs = sp.ACS[0]
	}
	switch want.kind {
	case "issued":
		return w.checkIssued(t, page, sp, ask, want)
	case "there":
		return w.checkThere(t, page, ask, want)
	case "here":
		w.checkHere(t, page, want.reason)
	default:
		if page.Status != http.StatusOK || page.URL.Path != "/login" {
			t.Fatalf("rests at %s with %d, want the sign-in page:\n%s", page.URL, page.Status, page.Body)
		}
	}
	return nil
}

// checkIssued demands a Success with one assertion that answers this request and no other.
func (w *world) checkIssued(t *testing.T, page *Page, sp *SP, ask Ask, want outcome) *Response {
	t.Helper()
	r := w.answer(t, page, ask, want)
	if top, nested := r.Status(); top != "Success" || nested != "" {
		t.Fatalf("status %s/%s %q, want Success", top, nested, r.Text("./Status/StatusMessage"))
	}
	if n := len(r.Root.SelectElements("Assertion")) + len(r.Root.SelectElements("EncryptedAssertion")); n != 1 {
		t.Fatalf("%d assertions, want one", n)
	}
	if sp.Encrypt {
		return r
	}
	const data = "./Assertion/Subject/SubjectConfirmation/SubjectConfirmationData"
	for _, c := range [][3]string{
		{"InResponseTo of the confirmation", r.Attr(data, "InResponseTo"), ask.ID},
		{"Recipient", r.Attr(data, "Recipient"), want.acs},
		{"Audience", r.Text("./Assertion/Conditions/AudienceRestriction/Audience"), sp.EntityID},
	} {
		if c[1] != c[2] {
			t.Errorf("%s is %q, want %q", c[0], c[1], c[2])
		}
	}
	return r
}

// answer demands a signed Response for this request on a page that must not be kept.
func (w *world) answer(t *testing.T, page *Page, ask Ask, want outcome) *Response {
	t.Helper()
	if page.Status != http.StatusOK {
		t.Fatalf("%d at %s, want an answer:\n%s", page.Status, page.URL, page.Body)
	}
	r := page.Response(t)
	w.sent = append(w.sent, r)
	for _, c := range [][3]string{
		{"ACS", r.ACS, want.acs}, {"Destination", r.Root.SelectAttrValue("Destination", ""), want.acs},
		{"InResponseTo", r.Root.SelectAttrValue("InResponseTo", ""), ask.ID},
		{"Issuer", r.Text("./Issuer"), w.URL + "/saml/metadata"},
		{"Cache-Control", page.Header.Get("Cache-Control"), "no-cache, no-store"}, {"Pragma", page.Header.Get("Pragma"), "no-cache"},
	} {
		if c[1] != c[2] {
			t.Errorf("%s is %q, want %q", c[0], c[1], c[2])
		}
	}
	if (r.RelayState == nil) != (ask.RelayState == nil) || r.RelayState != nil && *r.RelayState != *ask.RelayState {
		t.Errorf("RelayState came back as %v", r.RelayState)
	}
	if err := r.Verify(w.idp); err != nil {
		t.Errorf("signature: %v", err)
	}
	return r
}

// checkThere demands a signed status without assertion, and its reason in the audit.
func (w *world) checkThere(t *testing.T, page *Page, ask Ask, want outcome) *Response {
	t.Helper()
	if want.reason == "relay_state_too_long" {
		ask.RelayState = nil // too long to accept is too long to echo
	}
	r := w.answer(t, page, ask, want)
	w.refusedFor(t, r, want.reason, want.top, want.nested)
	return r
}

// refusedFor demands that a Response is a signed refusal without assertion, and its reason in the audit.
func (w *world) refusedFor(t *testing.T, r *Response, reason, wantTop, wantNested string) {
	t.Helper()
	if top, nested := r.Status(); top != wantTop || nested != wantNested {
		t.Errorf("status %s/%s, want %s/%s", top, nested, wantTop, wantNested)
	}
	if r.Root.FindElement(".//Assertion") != nil || r.Root.FindElement(".//EncryptedAssertion") != nil {
		t.Error("a refusal with an assertion")
	}
	if r.Root.SelectElement("Signature") == nil {
		t.Error("the refusal is not signed")
	}
	id := r.Root.SelectAttrValue("ID", "")
	entries := w.Audit(t)
	i := slices.IndexFunc(entries, func(e api.AuditEntry) bool { return e.Facts["response"] == id })
	if i < 0 || entries[i].Outcome != "refused" || entries[i].Reason != reason {
		t.Errorf("the audit has no refusal for %s of %s: %+v", reason, id, entries[max(i, 0)])
	}
}

var codeTag = regexp.MustCompile(`<code>([^<]+)</code>`)

// checkHere demands a page of ours that leads nowhere else, with a code that finds the reason in the audit.
func (w *world) checkHere(t *testing.T, page *Page, reason string) api.AuditEntry {
	t.Helper()
	if page.Status < 400 || page.Status > 499 || page.Header.Get("Location") != "" || page.URL.Host != hostOf(w.URL) {
		t.Fatalf("%d at %s to %q, want a refusal here:\n%s", page.Status, page.URL, page.Header.Get("Location"), page.Body)
	}
	if _, posts := page.LookupField("SAMLResponse"); posts || page.Action() != "" {
		t.Errorf("a form to %q on the page of a refusal", page.Action())
	}
	code := codeTag.FindStringSubmatch(page.Body)
	if code == nil {
		t.Fatalf("no code on the page:\n%s", page.Body)
	}
	entry, err := w.API.Trace(t.Context(), code[1])
	if err != nil {
		t.Fatalf("code %s: %v", code[1], err)
	}
	if entry.Outcome != "refused" || entry.Reason != reason {
		t.Errorf("the audit says %s %s (%s), want %s", entry.Outcome, entry.Reason, entry.Detail, reason)
	}
	return entry
}

func hostOf(raw string) string {
	_, host, _ := strings.Cut(raw, "://")
	return host
}

var (
	xmlID   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9._-]{21,}$`)
	utcTime = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$`)
)

// everything checks what holds for all messages that the rows of a file drew from the server.
func (w *world) everything(t *testing.T) {
	t.Run("RSP-09 every message is valid against the schemas", func(t *testing.T) { w.validateAll(t) })
	t.Run("RSP-07 RSP-08 RSP-12 ids, times and codes of every message", func(t *testing.T) {
		seen := map[string]bool{}
		for _, r := range w.sent {
			for _, e := range append([]*etree.Element{r.Root}, r.Root.FindElements(".//Assertion")...) {
				id := e.SelectAttrValue("ID", "")
				if !xmlID.MatchString(id) || seen[id] {
					t.Errorf("ID %q is short, used before or no XML name", id)
				}
				seen[id] = true
			}
			checkTimes(t, r.Root)
			if strings.HasSuffix(r.Root.Tag, "Request") {
				continue
			}
			top, _ := r.Status()
			if !slices.Contains([]string{"Success", "Requester", "Responder", "VersionMismatch"}, top) {
				t.Errorf("top-level status %q", top)
			}
		}
	})
}

func checkTimes(t *testing.T, root *etree.Element) {
	for _, e := range append([]*etree.Element{root}, root.FindElements(".//*")...) {
		for _, a := range e.Attr {
			isTime := slices.Contains([]string{"IssueInstant", "NotBefore", "NotOnOrAfter", "AuthnInstant", "SessionNotOnOrAfter"}, a.Key)
			if isTime && !utcTime.MatchString(a.Value) {
				t.Errorf("%s of %s is %q, not UTC", a.Key, e.Tag, a.Value)
			}
		}
	}
}

// validateAll gives all messages to one xmllint, which reads the schemas once.
func (w *world) validateAll(t *testing.T) {
	args := []string{"--nonet", "--noout", "--schema", filepath.Join(w.xml.dir, "driver.xsd")}
	for _, r := range w.sent {
		file, remove, err := w.xml.file(r.XML)
		if err != nil {
			t.Fatal(err)
		}
		defer remove()
		args = append(args, file)
	}
	if len(w.sent) == 0 {
		t.Fatal("no message was drawn from the server")
	}
	cmd := exec.Command("xmllint", args...)
	cmd.Env = append(os.Environ(), "XML_CATALOG_FILES="+filepath.Join(w.xml.dir, "catalog.xml"))
	if out, err := runFor(cmd, xmlToolTimeout); err != nil {
		t.Errorf("%v: %s", err, lastLines(out, 20))
	}
}

// xmlsec demands that exactly these elements of a message are signed, as xmlsec1 sees it.
func (w *world) xmlsec(t *testing.T, message []byte, want ...string) {
	t.Helper()
	signed, err := w.xml.Verify(message, w.cert)
	if err != nil || !slices.Equal(signed, want) {
		t.Errorf("xmlsec1 verifies %v (%v), want %v", signed, err, want)
	}
}

// keyPEM is a private key for xmlsec1.
func keyPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}
