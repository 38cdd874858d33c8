package idptest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gatehouse/idp/api"
	"gatehouse/sp"
)

// documentServer is a web server on which clients publish what they are (draft-ietf-oauth-client-id-metadata-document).
type documentServer struct {
	*httptest.Server
	mu      sync.Mutex
	answers map[string]http.HandlerFunc // by path
	asked   map[string]int
}

func newDocumentServer(t *testing.T) *documentServer {
	d := &documentServer{answers: map[string]http.HandlerFunc{}, asked: map[string]int{}}
	d.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		d.asked[r.URL.Path]++
		answer := d.answers[r.URL.Path]
		d.mu.Unlock()
		if answer == nil {
			http.NotFound(w, r)
			return
		}
		answer(w, r)
	}))
	t.Cleanup(d.Close)
	return d
}

func (d *documentServer) answer(path string, answer http.HandlerFunc) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answers[path] = answer
}

func (d *documentServer) count(path string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked[path]
}

// publish puts a good document with changes at a path; nil leaves a member out.
func (d *documentServer) publish(path string, change map[string]any) {
	whole := map[string]any{"client_id": d.URL + path, "client_name": "Notes", "redirect_uris": []string{d.URL + "/cb"}}
	maps.Copy(whole, change)
	maps.DeleteFunc(whole, func(_ string, value any) bool { return value == nil })
	text, _ := json.Marshal(whole)
	d.send(path, "application/json", string(text))
}

func (d *documentServer) send(path, kind, text string) {
	d.answer(path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write([]byte(text))
	})
}

// documented is a relying party that goes by the address of its document.
func (w *world) documented(t *testing.T, d *documentServer, path string) *RP {
	return &RP{ID: d.URL + path, Redirect: d.URL + "/cb", Verifier: strings.Repeat("v", 43), t: t, server: w.Server, http: &http.Client{Transport: manyHops{&w.address}}}
}

func (w *world) approve(t *testing.T, rp *RP) {
	t.Helper()
	app, err := w.API.MoveApp(t.Context(), rp.ID, "approve")
	if err != nil {
		t.Fatal(err)
	}
	rp.App = app.ID
	if _, err := w.API.SetApp(t.Context(), app.ID, api.Change{Set: map[string]string{"policy.permitted_users": "all"}}); err != nil {
		t.Fatal(err)
	}
}

// TestClientDocuments is client-ID metadata documents, over the wire from a server with TLS.
func TestClientDocuments(t *testing.T) {
	t.Parallel()
	w, d := newWorld(t), newDocumentServer(t)
	t.Run("off by default", func(t *testing.T) {
		d.publish("/off", nil)
		if page := w.documented(t, d, "/off").Visit(w.ana(t), w.documented(t, d, "/off").Ask()); page.Status != http.StatusBadRequest || d.count("/off") != 0 || w.offersDocuments(t) {
			t.Errorf("%d, fetched %d times", page.Status, d.count("/off"))
		}
	})
	w.organisation(t, "oauth.client_id_metadata_documents", "true")
	if !w.offersDocuments(t) {
		t.Error("discovery does not say so")
	}
	t.Run("a client waits, is approved and signs people in", func(t *testing.T) { w.documentSignsIn(t, d) })
	t.Run("approved on the command line, for nobody yet", func(t *testing.T) { w.approvedForNobody(t, d) })
	t.Run("a client with keys pushes and proves itself", func(t *testing.T) { w.documentWithKeys(t, d) })
	t.Run("documents that are refused", func(t *testing.T) { w.badDocuments(t, d) })
	t.Run("client ids that are no addresses of documents", func(t *testing.T) { w.noDocuments(t, d) })
	t.Run("a document changes", func(t *testing.T) { w.documentChanges(t, d) })
	t.Run("floods of documents", func(t *testing.T) { w.documentFlood(t, d) })
	t.Run("a picture that nobody looked at", func(t *testing.T) { w.documentPicture(t, d) })
	t.Run("documents are pushed out", func(t *testing.T) { w.documentsPushedOut(t, d) })
	t.Run("nobody approves", func(t *testing.T) { w.nobodyApproves(t, d) })
}

func (w *world) offersDocuments(t *testing.T) bool {
	var document map[string]any
	w.JSON(t, "/.well-known/oauth-authorization-server", &document)
	return document["client_id_metadata_document_supported"] == true
}

func (w *world) documentSignsIn(t *testing.T, d *documentServer) {
	d.publish("/notes", map[string]any{"scope": "openid email full", "logo_uri": d.URL + "/logo.png", "policy_uri": d.URL + "/privacy"})
	rp := w.documented(t, d, "/notes")
	for range 3 {
		if page := rp.Visit(w.ana(t), rp.Ask()); page.Status != http.StatusBadRequest || page.Header.Get("Location") != "" {
			t.Errorf("%d %s", page.Status, page.Header.Get("Location"))
		}
	}
	app, err := w.API.App(t.Context(), rp.ID)
	if err != nil || app.State != "pending" || app.Name != "Notes" || app.PermittedUsers != "preauthorized" || d.count("/notes") != 1 {
		t.Fatalf("%+v, %v, fetched %d times", app, err, d.count("/notes"))
	}
	w.approve(t, rp)
	page := rp.Visit(w.ana(t), rp.Ask("scope", "openid email"))
	if page.URL.Path != "/consent" || !strings.Contains(page.Body, "Notes") {
		t.Fatalf("%d at %s", page.Status, page.URL)
	}
	tokens := rp.Redeem(rp.Callback(w.ana(t).Agree(page)).Get("code"))
	if _, claims := rp.Claims(tokens.Text("id_token")); claims["aud"] != rp.ID || tokens.Text("scope") != "openid email" {
		t.Errorf("%v %s", claims["aud"], tokens.Raw)
	}
	if again := rp.Visit(w.ana(t), rp.Ask("scope", "openid email")); rp.Callback(again).Get("code") == "" {
		t.Errorf("the consent is forgotten: %d at %s", again.Status, again.URL)
	}
	if d.count("/notes") != 1 || d.count("/logo.png")+d.count("/privacy") != 0 {
		t.Errorf("fetched %v", d.asked)
	}
	page = rp.Visit(w.ana(t), rp.Ask("redirect_uri", d.URL+"/other"))
	if page.Status != http.StatusBadRequest || page.Header.Get("Location") != "" {
		t.Errorf("another redirect URI: %d %s", page.Status, page.Header.Get("Location"))
	}
}

func (w *world) documentWithKeys(t *testing.T, d *documentServer) {
	one, two := newSigningKey(t, jose.ES256, "one"), newSigningKey(t, jose.ES256, "two")
	metadata := func(key *signingKey) map[string]any {
		return map[string]any{"token_endpoint_auth_method": "private_key_jwt", "jwks": keySet(key), "redirect_uris": []string{d.URL + "/cb", d.URL + "/cb2"}}
	}
	d.publish("/keys", metadata(one))
	rp := w.documented(t, d, "/keys")
	try := func(key *signingKey) *Reply {
		return rp.Do(rp.Request("/oauth/par", asserted(key.sign(t, w.clientJWT(rp, nil), nil), rp.Ask())))
	}
	w.refusedBy(t, try(one), http.StatusBadRequest, "unauthorized_client", "app_pending")
	w.approve(t, rp)
	if reply := try(one); reply.Status != http.StatusCreated {
		t.Errorf("%d %s", reply.Status, reply.Raw)
	}
	w.refusedBy(t, try(two), http.StatusUnauthorized, "invalid_client", "jwt_key_unknown")
	rotated := metadata(two)
	rotated["redirect_uris"] = []string{d.URL + "/cb"}
	d.publish("/keys", rotated)
	w.clock.advance(time.Hour)
	if reply := try(two); reply.Status != http.StatusCreated {
		t.Errorf("a new key and an address less need no approval: %d %s", reply.Status, reply.Raw)
	}
	w.refusedBy(t, try(one), http.StatusUnauthorized, "invalid_client", "jwt_key_unknown")
}

// badDocuments are all refused to a client that asks by itself, with the reason, and add nothing.
func (w *world) badDocuments(t *testing.T, d *documentServer) {
	other := httptest.NewTLSServer(http.NotFoundHandler())
	defer other.Close()
	for i, change := range []map[string]any{
		{"client_id": d.URL + "/elsewhere"}, {"client_id": nil}, {"client_secret": "s3cret"}, {"client_secret_expires_at": 0},
		{"token_endpoint_auth_method": "client_secret_basic"}, {"token_endpoint_auth_method": "client_secret_post"}, {"token_endpoint_auth_method": "private_key_jwt"},
		{"redirect_uris": []string{other.URL + "/cb"}}, {"redirect_uris": []string{"http://127.0.0.1/cb"}}, {"redirect_uris": []string{d.URL + "/cb#x"}}, {"redirect_uris": nil},
		{"redirect_uris": []string{"javascript:alert(1)"}, "application_type": "native"}, {"redirect_uris": []string{"http://evil.example/cb"}, "application_type": "native"},
		{"redirect_uris": []string{other.URL + "/cb"}, "application_type": "native"}, {"scope": "directory.write"},
		{"jwks": map[string]any{"keys": []any{map[string]any{"kty": "oct", "k": "AAAA"}}}}, {"grant_types": []string{"password"}},
		{"client_name": "No\u200btes"}, {"logo_uri": "javascript:alert(1)"}, {"redirect_uris": 7},
	} {
		path := fmt.Sprintf("/bad%d", i)
		d.publish(path, change)
		w.refusedDocument(t, d, path)
	}
	good := fmt.Sprintf(`{"client_id":"%s/text","redirect_uris":["%s/cb"]}`, d.URL, d.URL)
	d.send("/text", "text/plain", good)
	d.send("/html", "text/html", "<html>")
	d.send("/array", "application/json", "[]")
	d.send("/large", "application/json", strings.Repeat(" ", sp.MaxDocument)+good)
	d.publish("/away/there", nil)
	d.answer("/away", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/away/there", http.StatusFound) })
	d.answer("/broken", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	for _, path := range []string{"/text", "/html", "/array", "/large", "/away", "/broken", "/missing"} {
		w.refusedDocument(t, d, path)
	}
	if d.count("/away/there") != 0 {
		t.Error("a redirect was followed")
	}
}

func (w *world) refusedDocument(t *testing.T, d *documentServer, path string) {
	t.Helper()
	w.clock.advance(2 * time.Second) // bounds of one server
	rp := w.documented(t, d, path)
	w.refusedBy(t, rp.Send("/oauth/token", url.Values{"grant_type": {"authorization_code"}, "code": {"x"}, "client_id": {rp.ID}}), http.StatusUnauthorized, "invalid_client", "client_document")
	if page := rp.Visit(w.ana(t), rp.Ask()); page.Status != http.StatusBadRequest || page.Header.Get("Location") != "" {
		t.Errorf("%s: %d %s", path, page.Status, page.Header.Get("Location"))
	}
	if _, err := w.API.App(t.Context(), rp.ID); err == nil || d.count(path) > 1 {
		t.Errorf("%s was added, or fetched %d times", path, d.count(path))
	}
}

// noDocuments are client ids that nothing is fetched for.
func (w *world) noDocuments(t *testing.T, d *documentServer) {
	host := strings.TrimPrefix(d.URL, "https://")
	for _, id := range []string{
		"http://" + host + "/id", d.URL, d.URL + "/id?x=1", d.URL + "/id#x", d.URL + "/a/../id", d.URL + "/./id", d.URL + "/%2e%2e/id", "https://u:p@" + host + "/id",
		"HTTPS://" + host + "/id", d.URL + "/i d", "https:/" + host + "/id", "//" + host + "/id", d.URL + "/" + strings.Repeat("i", 300), "https://EXAMPLE.org/id",
	} {
		rp := w.documented(t, d, "/id")
		rp.ID = id
		w.refusedBy(t, rp.Send("/oauth/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {id}}), http.StatusUnauthorized, "invalid_client", "unknown_client")
	}
	if n := d.count("/id") + d.count("/a/../id"); n != 0 {
		t.Errorf("fetched %d times", n)
	}
	inside := w.documented(t, d, "/id")
	inside.ID = "https://10.0.0.1/id"
	w.refusedBy(t, inside.Send("/oauth/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {inside.ID}}), http.StatusUnauthorized, "invalid_client", "client_document")
	if entry := w.Audit(t)[0]; !strings.Contains(entry.Facts["received"], "private network") {
		t.Errorf("%v", entry.Facts)
	}
}

// documentChanges: what was approved stands while the document says it or cannot be had; anything else waits again.
func (w *world) documentChanges(t *testing.T, d *documentServer) {
	d.publish("/calendar", nil)
	rp := w.documented(t, d, "/calendar")
	rp.Visit(w.ana(t), rp.Ask())
	w.approve(t, rp)
	if _, err := w.API.SetApp(t.Context(), rp.App, api.Change{Set: map[string]string{"name": "Team calendar"}}); err != nil {
		t.Fatal(err)
	}
	state := func() string {
		rp.Visit(w.ana(t), rp.Ask())
		app, err := w.API.App(t.Context(), rp.App)
		if err != nil {
			t.Fatal(err)
		}
		return string(app.State) + " " + app.Name
	}
	for name, change := range map[string]func(){
		"the same": func() { d.publish("/calendar", nil) },
		"broken": func() {
			d.answer("/calendar", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
		},
		"damaged": func() { d.send("/calendar", "application/json", "{") },
		"foreign": func() { d.publish("/calendar", map[string]any{"client_id": "https://evil.example/id"}) },
	} {
		change()
		w.clock.advance(time.Hour + time.Minute)
		if got := state(); got != "active Team calendar" {
			t.Errorf("%s: %s", name, got)
		}
	}
	d.answer("/calendar", nil)
	w.clock.advance(time.Hour + time.Minute)
	if page := rp.Visit(w.ana(t), rp.Ask()); page.Status != http.StatusBadRequest {
		t.Errorf("a client that took its document away: %d", page.Status)
	}
	d.publish("/calendar", nil)
	w.clock.advance(time.Minute)
	tokens := rp.Tokens(w.ana(t), "scope", "openid offline_access")
	d.publish("/calendar", map[string]any{"redirect_uris": []string{d.URL + "/cb", d.URL + "/new"}})
	w.clock.advance(5 * time.Minute)
	if rp.UserInfo(tokens.Text("access_token")).Status != http.StatusOK {
		t.Error("a document is read before its hour is over")
	}
	w.clock.advance(time.Hour)
	if got := state(); got != "pending Notes" || rp.Refresh(tokens.Text("refresh_token")).Status == http.StatusOK {
		t.Errorf("a new redirect URI: %s", got)
	}
	app, err := w.API.App(t.Context(), rp.App)
	if err != nil || app.PermittedUsers != "all" {
		t.Errorf("the policy is gone: %+v, %v", app, err)
	}
}

// nobodyApproves: a client that was never approved is forgotten after a week, one that was stays. What is over is looked for at the
// start, and every hour.
func (w *world) nobodyApproves(t *testing.T, d *documentServer) {
	d.publish("/late", nil)
	late, known := w.documented(t, d, "/late"), w.documented(t, d, "/calendar")
	w.clock.advance(time.Minute)
	late.Visit(w.ana(t), late.Ask())
	w.clock.advance(6 * 24 * time.Hour)
	w.restart(t)
	if _, err := w.API.App(t.Context(), late.ID); err != nil {
		t.Error("forgotten after six days")
	}
	w.clock.advance(25 * time.Hour)
	w.restart(t)
	eventually(t, "still there after a week", func() bool {
		_, err := w.API.App(t.Context(), late.ID)
		return err != nil
	})
	if app, err := w.API.App(t.Context(), known.ID); err != nil || app.State != "pending" {
		t.Errorf("one that was approved once: %+v, %v", app, err)
	}
	if entry := w.Audit(t)[0]; entry.Kind != "client.remove" || entry.Facts["reason"] != "not_approved" {
		t.Errorf("%+v", entry)
	}
}

// restart ends the server and starts another on its store.
func (w *world) restart(t *testing.T) {
	t.Helper()
	w.Stop()
	w.Server = Start(t, Options{Dir: w.Dir, Now: w.clock.now})
}

// approvedForNobody: who approves a client that nobody may use is told which command lets people in.
func (w *world) approvedForNobody(t *testing.T, d *documentServer) {
	for _, one := range []struct {
		path   string
		policy map[string]string
		warned bool
	}{{"/closed", nil, true}, {"/open", map[string]string{"policy.permitted_users": "all"}, false}} {
		d.publish(one.path, nil)
		rp := w.documented(t, d, one.path)
		rp.Visit(w.ana(t), rp.Ask())
		app, err := w.API.App(t.Context(), rp.ID)
		if err != nil {
			t.Fatal(err)
		}
		if one.policy != nil {
			if _, err := w.API.SetApp(t.Context(), app.ID, api.Change{Set: one.policy}); err != nil {
				t.Fatal(err)
			}
		}
		out, said, status := w.command(t, "app", "approve", app.ID, "--data", w.Dir)
		command := "gatehouse app set " + app.ID + " policy.profiles=PROFILE"
		if status != 0 || out != "" || strings.Contains(said, command) != one.warned {
			t.Errorf("%s: %d, %q, %q", one.path, status, out, said)
		}
	}
}
