package idptest

import (
	"io"
	"net/url"
	"strings"
	"testing"

	"gatehouse/idp/api"
)

// peerUpstream is a Gatehouse between two SimpleSAMLphp, one of which signs people in and the other is the app.
type peerUpstream struct {
	*peerWorld
	idp, app *PeerApp
}

func newPeerUpstream(t *testing.T, options map[string]any) *peerUpstream {
	t.Helper()
	w := &peerUpstream{peerWorld: newPeerWorld(t)}
	ours := []byte(w.NewClient(t).Get("/saml/sp-metadata").Body)
	w.valid(t, ours, "EntityDescriptor")
	w.idp = StartSimpleSAMLIDP(t, ours, options)
	if _, err := w.API.AddUpstream(t.Context(), api.NewUpstream{Name: "uni", Metadata: string(w.idp.Metadata), Set: map[string]string{"level": "standard"}}); err != nil {
		t.Fatalf("%v\n%s", err, w.idp.Metadata)
	}
	w.app = StartSimpleSAML(t, SimpleSAMLOptions{IDPMetadata: w.metadata, Options: map[string]any{"SingleLogoutServiceBinding": []string{bindingRedirect}}})
	w.AddApp(t, w.app.Metadata, map[string]string{"name": "App"})
	return w
}

// in opens the app, chooses the upstream and signs in there; it returns where that comes to rest.
func (w *peerUpstream) in(t *testing.T, v *visitor) (int, string) {
	t.Helper()
	_, page := v.open(w.app.LoginURL)
	_, fields := formOf(page)
	response, err := v.PostForm(w.URL+"/login/upstream/uni", url.Values{"flow": {fields.Get("flow")}})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil || !strings.Contains(string(body), `name="password"`) || !strings.HasPrefix(response.Request.URL.String(), w.idp.URL) {
		t.Fatalf("no sign-in at the upstream but %d at %s (%v):\n%s\n%s", response.StatusCode, response.Request.URL, err, body, w.idp.Log())
	}
	_, fields = formOf(string(body))
	fields.Set("username", "ana")
	fields.Set("password", Password)
	return v.rest(v.PostForm(response.Request.URL.String(), fields))
}

// leave follows a sign-out to its end.
func (w *peerUpstream) leave(v *visitor, page string) string {
	for range 3 {
		link := nextLink.FindStringSubmatch(page)
		if link == nil {
			break
		}
		_, page = v.open(w.URL + link[1])
	}
	return page
}

// TestSimpleSAMLUpstream signs in at an identity provider that nobody here wrote, and out again, each way round.
func TestSimpleSAMLUpstream(t *testing.T) {
	t.Parallel()
	w := newPeerUpstream(t, nil)
	in := func(t *testing.T) (*visitor, *wire) {
		v, seen := newVisitor(t), &wire{}
		v.Transport = seen
		status, page := w.in(t, v)
		if person := knows(page); status != 200 || person.NameID == "" || person.Attributes["urn:oid:0.9.2342.19200300.100.1.3"][0] != "ana@example.org" {
			t.Fatalf("%d:\n%s\n%s", status, page, w.idp.Log())
		}
		return v, seen
	}
	out := func(t *testing.T, v *visitor, seen *wire) {
		t.Helper()
		if status, page := v.open(w.app.MeURL); status != 401 {
			t.Errorf("the app still knows somebody: %d\n%s", status, page)
		}
		w.in(t, v) // asks for the password again at the upstream, or fails
		for _, query := range append(seen.queries, seen.answers...) {
			checkMessages(t, w.tools, inflate(t, query))
		}
	}
	t.Run("by the person here", func(t *testing.T) {
		v, seen := in(t)
		_, page := v.rest(v.PostForm(w.URL+"/logout", nil))
		page = w.leave(v, page)
		if !strings.Contains(page, "<h1>You are signed out</h1>") || strings.Count(page, "signed out</span>") != 2 {
			t.Errorf("it ends with:\n%s\n%s", page, w.idp.Log())
		}
		out(t, v, seen)
	})
	t.Run("by the app", func(t *testing.T) {
		v, seen := in(t)
		_, page := v.open(w.app.LogoutURL)
		if page = w.leave(v, page); !strings.Contains(page, "public page") {
			t.Errorf("it ends with:\n%s\n%s", page, w.idp.Log())
		}
		out(t, v, seen)
	})
	t.Run("by the upstream", func(t *testing.T) {
		v, seen := in(t)
		_, page := v.open(w.idp.URL + "/saml2/idp/SingleLogoutService.php?ReturnTo=" + url.QueryEscape(w.idp.URL+"/"))
		w.leave(v, page)
		if entry := w.Audit(t); !entryOf(entry, "signout", "upstream "+w.idp.EntityID) {
			t.Errorf("no sign-out by the upstream in the audit; it ends with:\n%s\n%s", page, w.idp.Log())
		}
		out(t, v, seen)
	})
}

// entryOf looks for an audit entry that a sign-out was wanted by somebody.
func entryOf(list []api.AuditEntry, kind, start string) bool {
	for i := range list {
		if list[i].Kind == kind && list[i].Facts["start"] == start {
			return true
		}
	}
	return false
}

// TestSimpleSAMLUpstreamCBC: it encrypts with AES-CBC alone, which is refused with a sentence that an administrator can act on.
func TestSimpleSAMLUpstreamCBC(t *testing.T) {
	t.Parallel()
	w := newPeerUpstream(t, map[string]any{"assertion.encryption": true})
	status, page := w.in(t, newVisitor(t))
	if status != 400 || !strings.Contains(page, "could not be accepted") {
		t.Errorf("%d:\n%s\n%s", status, page, w.idp.Log())
	}
	if entry := w.Audit(t)[0]; entry.Reason != "upstream_answer" || !strings.Contains(entry.Detail, "AES-GCM") {
		t.Errorf("audit %+v", entry)
	}
}
