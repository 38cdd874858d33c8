package idptest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"gatehouse/idp/api"
)

// peerOpenID is a Gatehouse in front of npm's oidc-provider.
type peerOpenID struct {
	*Server
	op *OpenIDProvider
}

func newPeerOpenID(t *testing.T, settings map[string]string, metadata map[string]any) *peerOpenID {
	t.Helper()
	w := &peerOpenID{Server: Start(t, Options{})}
	w.AddPerson(t, "ana", "Employees")
	w.op = w.StartOpenIDProvider(t, "op", map[string]map[string]any{
		"a1": {"email": "ana@example.org", "email_verified": true, "preferred_username": "ana", "name": "Ana There"},
		"u2": {"email": "ana@example.org", "email_verified": false, "preferred_username": "ana"},
		"n3": {"email": "nora@example.org", "email_verified": true, "preferred_username": "nora", "name": "Nora New", "given_name": "Nora", "family_name": "New"},
	}, metadata)
	set := map[string]string{"client_id": "gatehouse", "level": "standard", "label": "Example Login"}
	for key, value := range settings {
		set[key] = value
	}
	if _, err := w.API.AddUpstream(t.Context(), api.NewUpstream{Name: "op", Issuer: w.op.URL, Secret: w.op.Secret, Set: set}); err != nil {
		t.Fatalf("%v\n%s", err, w.op.Log())
	}
	return w
}

// page reads an answer wherever it came from.
func (v *visitor) page(response *http.Response, err error) (*url.URL, string) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil {
		v.t.Fatal(err)
	}
	return response.Request.URL, string(body)
}

// in opens the portal, chooses the provider, and passes its development pages as somebody; it returns where that comes to rest.
func (w *peerOpenID) in(t *testing.T, v *visitor, login string) (int, *url.URL, string) {
	t.Helper()
	_, page := v.page(v.Get(w.URL + "/"))
	_, fields := formOf(page)
	at, page := v.page(v.PostForm(w.URL+"/login/upstream/op", url.Values{"flow": {fields.Get("flow")}, "next": {fields.Get("next")}}))
	for strings.HasPrefix(at.String(), w.op.URL) {
		action, fields := formOf(page)
		if action == "" {
			t.Fatalf("no form at %s:\n%s\n%s", at, page, w.op.Log())
		}
		if strings.Contains(page, `name="login"`) {
			fields.Set("login", login)
			fields.Set("password", "any")
		}
		target, err := at.Parse(action)
		if err != nil {
			t.Fatal(err)
		}
		response, err := v.PostForm(target.String(), fields)
		if err == nil && response.Request.URL.Host == strings.TrimPrefix(w.URL, "http://") {
			at, page = v.page(response, nil)
			return response.StatusCode, at, page
		}
		at, page = v.page(response, err)
	}
	return http.StatusOK, at, page
}

// TestOpenIDProviderUpstream signs in at an OpenID provider that nobody here wrote, and out again, each way round.
func TestOpenIDProviderUpstream(t *testing.T) {
	t.Parallel()
	w := newPeerOpenID(t, nil, nil)
	in := func(t *testing.T) *visitor {
		t.Helper()
		v := newVisitor(t)
		if status, at, page := w.in(t, v, "a1"); status != http.StatusOK || at.Path != "/" || !strings.Contains(page, "The ana") {
			t.Fatalf("%d at %s:\n%s\n%+v\n%s", status, at, page, w.Audit(t)[0], w.op.Log())
		}
		return v
	}
	t.Run("OUP-01 OUP-07 oidc-provider: sign-in, and out from here", func(t *testing.T) {
		v := in(t)
		_, page := v.page(v.PostForm(w.URL+"/logout", nil))
		link := nextLink.FindStringSubmatch(page)
		if link == nil {
			t.Fatalf("the provider is not told:\n%s", page)
		}
		at, page := v.page(v.Get(w.URL + link[1]))
		if !strings.HasPrefix(at.String(), w.op.URL+"/session/end") {
			t.Fatalf("the browser is at %s:\n%s\n%s", at, page, w.op.Log())
		}
		action, fields := formOf(page)
		fields.Set("logout", "yes")
		at, page = v.page(v.PostForm(action, fields))
		if !strings.HasPrefix(at.String(), w.URL+"/logout/") || !strings.Contains(page, `Example Login</span><span class="hint">signed out</span>`) {
			t.Errorf("it ends at %s:\n%s\n%s", at, page, w.op.Log())
		}
		w.in(t, v, "a1") // it asks for the name again, or fails
	})
	t.Run("OUP-07 oidc-provider: out from there", func(t *testing.T) {
		v := in(t)
		_, page := v.page(v.Get(w.op.URL + "/session/end"))
		action, fields := formOf(page)
		fields.Set("logout", "yes")
		v.page(v.PostForm(action, fields))
		eventually(t, "the session here goes on", func() bool {
			at, _ := v.page(v.Get(w.URL + "/"))
			return at.Path == "/login"
		})
		if !entryOf(w.Audit(t), "signout", "upstream "+w.op.URL) {
			t.Errorf("audit %+v", w.Audit(t)[0])
		}
	})
	t.Run("OUP-04 an e-mail address that it did not verify", func(t *testing.T) {
		if status, _, page := w.in(t, newVisitor(t), "u2"); status != http.StatusBadRequest && status != http.StatusForbidden || !strings.Contains(page, "has not verified your e-mail address") {
			t.Errorf("%d:\n%s", status, page)
		}
		if entry := w.Audit(t); entry[0].Reason != "upstream_unverified" && entry[1].Reason != "upstream_unverified" {
			t.Errorf("audit %+v", entry[0])
		}
	})
	t.Run("test, show and refresh", func(t *testing.T) {
		test, err := w.API.TestUpstream(t.Context(), "op")
		if err != nil || !test.Good || len(test.Checks) < 5 {
			t.Errorf("%+v, %v", test, err)
		}
		u, err := w.API.RefreshUpstream(t.Context(), "op")
		if err != nil || u.Kind != api.UpstreamOIDC || u.Ours == nil || !u.Ours.HasSecret || u.SLO != w.op.URL+"/session/end" {
			t.Errorf("%+v, %v", u, err)
		}
	})
	t.Run("OUP-08 the secret is nowhere to be read", func(t *testing.T) {
		u, err := w.API.Upstream(t.Context(), "op")
		if err != nil {
			t.Fatal(err)
		}
		seen, _ := json.Marshal([]any{u, w.Audit(t)})
		stored, err := os.ReadFile(filepath.Join(w.Dir, "gatehouse.db"))
		if err != nil || strings.Contains(string(seen), w.op.Secret) || bytes.Contains(stored, []byte(w.op.Secret)) {
			t.Errorf("it is shown or stored as it is (%v)", err)
		}
	})
}

// TestOpenIDProviderMakesPeople links people by their subject there, whom their first sign-in makes.
func TestOpenIDProviderMakesPeople(t *testing.T) {
	t.Parallel()
	w := newPeerOpenID(t, map[string]string{"match": "link", "create": "true"}, nil)
	v := newVisitor(t)
	for range 2 {
		if status, at, page := w.in(t, v, "n3"); status != http.StatusOK || at.Path != "/" || !strings.Contains(page, "Nora New") {
			t.Fatalf("%d at %s:\n%s\n%+v\n%s", status, at, page, w.Audit(t)[0], w.op.Log())
		}
		v = newVisitor(t)
	}
	user, err := w.API.User(t.Context(), "nora")
	if err != nil || user.Email != "nora@example.org" || user.Surname != "New" {
		t.Errorf("%+v, %v", user, err)
	}
	if status, _, page := w.in(t, newVisitor(t), "a1"); status == http.StatusOK {
		t.Errorf("a subject that is new takes a name that is taken:\n%s", page)
	}
}

// TestOpenIDProviderDemands signs in where the provider demands pushed requests and signs what userinfo tells.
func TestOpenIDProviderDemands(t *testing.T) {
	t.Parallel()
	w := newPeerOpenID(t, nil, map[string]any{"userinfo_signed_response_alg": "RS256"})
	t.Run("OUP-10 OUP-11 oidc-provider", func(t *testing.T) {
		if status, at, page := w.in(t, newVisitor(t), "a1"); status != http.StatusOK || at.Path != "/" || !strings.Contains(page, "The ana") {
			t.Errorf("%d at %s:\n%s\n%+v\n%s", status, at, page, w.Audit(t)[0], w.op.Log())
		}
	})
}

// TestOpenIDUpstreamPages chooses an OpenID provider on the sign-in page in a real browser, passes its pages and arrives; then it looks
// at the console's pages, by which another one is added and changed.
func TestOpenIDUpstreamPages(t *testing.T) {
	t.Parallel()
	w := newPeerOpenID(t, nil, nil)
	w.AddPerson(t, "ada", "Administrators", func(n *api.NewUser) { n.Roles = []string{"owner"} })
	w.AddApp(t, NewSP(t, "tile").Metadata(), nil)
	g := newGallery(t)
	g.Expect("fonts.googleapis.com") // of oidc-provider's pages
	g.Expect("favicon.ico")
	g.Open(w.URL + "/")
	g.WaitFor("form[action='/login/upstream/op']")
	g.look("signin-openid")
	g.Click("form[action='/login/upstream/op'] button")
	g.WaitFor("input[name=login]")
	g.Type("input[name=login]", "a1")
	g.Type("input[name=password]", "any")
	g.Click("button[type=submit]")
	g.WaitFor("button[autofocus].login-submit")
	g.Click("button[type=submit]")
	g.WaitFor("#tiles")
	g.Fresh()
	g.Open(w.URL + "/")
	g.WaitFor("form[action='/login/upstream/op']")
	g.Click("form[action='/login/upstream/op'] button")
	g.WaitFor("a[href$='/abort']")
	g.Expect("400")
	g.Click("a[href$='/abort']")
	g.WaitFor("main.card h1")
	g.look("openid-aborted")
	g.Fresh()
	g.Open(w.URL)
	g.signIn("ada", Password)
	g.WaitFor("#tiles")
	g.visit("upstreams-openid", w.URL+"/admin/upstreams?kind=oidc")
	g.Type("#f-name", "second")
	base := w.URL + "/login/upstream/second/"
	want := []string{base + "callback", base + "logout", base + "backchannel", base + "frontchannel", w.URL + "/oauth/jwks"}
	if to := g.Texts("[data-fill] code"); !slices.Equal(to, want) {
		t.Errorf("to be registered there are %q", to)
	}
	if copied := ask(g.Browser, chromedp.Evaluate[string](`[...document.querySelectorAll("[data-fill] [data-copy]")].map(b => b.dataset.copy).join(" ")`)); copied != strings.Join(want, " ") {
		t.Errorf("the buttons copy %q", copied)
	}
	g.Type("#f-issuer", w.op.URL+"/")
	g.Type("#f-client_id", "gatehouse")
	g.Type("#f-client_secret", w.op.Secret)
	g.Expect("422")
	g.Click("form.form button.primary")
	g.WaitFor(".summary")
	g.look("upstreams-openid-error")
	if text := g.Text(".summary"); !strings.Contains(text, "give the issuer exactly as it does") {
		t.Errorf("the page says %q", text)
	}
	g.Open(w.URL + "/admin/upstreams/op")
	g.Click("form[action$='/test'] button")
	g.WaitFor("#checks")
	g.look("upstream-openid")
	g.Click("form.form button.primary")
	g.WaitFor(".notice.ok")
	u, err := w.API.Upstream(t.Context(), "op")
	if err != nil || u.Title != "Example Login" || !u.Ours.HasSecret {
		t.Errorf("after saving what was there: %+v, %v", u, err)
	}
}
