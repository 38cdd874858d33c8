package idptest

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"gatehouse/idp/api"
)

// token makes an API token over the socket and returns its secret.
func (s *Server) token(t testing.TB, name string, scopes ...string) string {
	t.Helper()
	made, err := s.API.AddToken(t.Context(), api.NewToken{Name: name, Scopes: scopes})
	if err != nil {
		t.Fatal(err)
	}
	return made.Secret
}

// bearer asks with a token and returns the status and the answer.
func (s *Server) bearer(t testing.TB, method, path, secret, body string) (*Page, string) {
	t.Helper()
	c := s.NewClient(t)
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if secret != "" {
		r.Header.Set("Authorization", "Bearer "+secret)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	page := c.Do(r)
	return page, page.Body
}

func TestTokenReachesWhatItsScopesSay(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	s.AddPerson(t, "ada", "Staff", func(n *api.NewUser) { n.Roles = []string{"owner"} })
	reach := map[string]string{ // what each scope may read or do, and the routes that no scope reaches
		"GET /api/v1/users": "directory.read directory.write", "GET /api/v1/apps": "apps.read apps.write", "GET /api/v1/audit": "audit.read",
		"POST /api/v1/groups": "directory.write", "GET /scim/v2/Users": "directory.read directory.write", "POST /scim/v2/Groups": "directory.write",
		"GET /api/v1/tokens": "", "POST /api/v1/tokens": "", "GET /api/v1/settings": "", "GET /api/v1/keys": "", "GET /api/v1/sessions": "", "POST /api/v1/sessions/end": "",
	}
	for _, scope := range []string{"directory.read", "directory.write", "apps.read", "apps.write", "audit.read"} {
		secret := s.token(t, scope, scope)
		for route, scopes := range reach {
			method, path, _ := strings.Cut(route, " ")
			page, body := s.bearer(t, method, path, secret, map[string]string{"POST": "{}"}[method])
			if allowed := strings.Contains(scopes, scope); (page.Status != http.StatusForbidden) != allowed || page.Status == http.StatusUnauthorized {
				t.Errorf("%s at %s: %d %s", scope, route, page.Status, body)
			}
		}
		if page, _ := s.bearer(t, "GET", "/admin/", secret, ""); !strings.Contains(page.URL.Path, "/login") {
			t.Errorf("%s opens the console: %s", scope, page.URL)
		}
	}
}

// TestTokenEnds walks the ends of a token: its time, revocation, its address, its maker.
func TestTokenEnds(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := Start(t, Options{Now: func() time.Time { return now }})
	s.AddPerson(t, "ada", "Staff", func(n *api.NewUser) { n.Roles = []string{"owner"} })
	s.AddPerson(t, "eve", "Staff", func(n *api.NewUser) { n.Roles = []string{"owner"} })
	refused := func(secret, reason string) {
		t.Helper()
		page, body := s.bearer(t, "GET", "/api/v1/users", secret, "")
		if page.Status != http.StatusUnauthorized || !strings.Contains(body, `"`+reason+`"`) || page.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("want %s: %d %s", reason, page.Status, body)
		}
		if entry := s.Audit(t)[0]; entry.Kind != "apitoken" || entry.Reason != reason || strings.Contains(entry.Facts["path"]+entry.Detail, "gha_") {
			t.Errorf("audit after %s: %+v", reason, entry)
		}
	}
	taken := func(secret string) {
		t.Helper()
		if page, body := s.bearer(t, "GET", "/api/v1/users", secret, ""); page.Status != http.StatusOK {
			t.Errorf("a good token: %d %s", page.Status, body)
		}
	}
	refused("gha_none", "bad_token")
	elsewhere, err := s.API.AddToken(t.Context(), api.NewToken{Name: "far", Scopes: []string{"directory.read"}, Addresses: []string{"192.0.2.0/24"}})
	if err != nil {
		t.Fatal(err)
	}
	refused(elsewhere.Secret, "token_address")

	made := s.SignedIn(t, "eve").Post("/admin/tokens", url.Values{"name": {"eves"}, "scope": {"directory.read"}, "expires": {"400d"}})
	eves := made.Body[strings.Index(made.Body, "gha_"):][:47]
	taken(eves)
	if _, err := s.API.EnableUser(t.Context(), "eve", false); err != nil {
		t.Fatal(err)
	}
	refused(eves, "token_creator")

	short, long := s.token(t, "short", "directory.read"), ""
	taken(short)
	now = now.Add(91 * 24 * time.Hour)
	refused(short, "expired_token")
	long = s.token(t, "long", "directory.read")
	taken(long)
	if _, err := s.API.RevokeToken(t.Context(), "long"); err != nil {
		t.Fatal(err)
	}
	refused(long, "bad_token")
	list, err := s.API.Tokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]string{}
	for _, token := range list.Items {
		states[token.Name] = token.State
		if token.Secret != "" {
			t.Errorf("the list holds the secret of %s", token.Name)
		}
	}
	if states["short"] != "expired" || states["eves"] != "orphaned" || states["far"] != "expired" {
		t.Errorf("states: %v", states)
	}
}

// TestWrongTokensAreBounded: a stranger's wrong tokens fill no disk and stop no right one.
func TestWrongTokensAreBounded(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	right := s.token(t, "right", "audit.read")
	statuses := map[int]int{}
	for range 200 {
		page, _ := s.bearer(t, "GET", "/api/v1/users", "gha_wrong", "")
		statuses[page.Status]++
		if page.Status == http.StatusTooManyRequests && page.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	if statuses[http.StatusUnauthorized] > 120 || statuses[http.StatusUnauthorized]+statuses[http.StatusTooManyRequests] != 200 || statuses[http.StatusTooManyRequests] == 0 {
		t.Errorf("answers: %v", statuses)
	}
	if page, body := s.bearer(t, "GET", "/api/v1/audit", right, ""); page.Status != http.StatusOK {
		t.Errorf("the right token among the wrong ones: %d %s", page.Status, body)
	}
}

// TestTokenPage makes and revokes a token in the browser, and looks at the page.
func TestTokenPage(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	s.AddPerson(t, "ada", "Staff", func(n *api.NewUser) { n.Roles = []string{"owner"} })
	s.AddPerson(t, "ben", "Staff", func(n *api.NewUser) { n.Roles = []string{"auditor"} })
	if page := s.SignedIn(t, "ben").Get("/admin/tokens"); page.Status != http.StatusForbidden {
		t.Errorf("an auditor at the tokens: %d", page.Status)
	}
	s.token(t, "hr-system", "directory.write")
	g := newGallery(t)
	g.Open(s.URL)
	g.signIn("ada", Password)
	g.WaitFor("header.bar")
	g.visit("tokens", s.URL+"/admin/tokens")
	g.Type("#f-name", "reports")
	g.Click("input[value='audit.read']")
	g.Click("form[action='/admin/tokens'] button")
	g.WaitFor("#secret")
	g.look("tokens-made")
	g.Open(s.URL + "/admin/tokens")
	g.Click("form[action$='/revoke'] button")
	g.WaitFor(".notice.ok")
	if list, err := s.API.Tokens(t.Context()); err != nil || len(list.Items) != 1 || list.Items[0].Name != "reports" {
		t.Errorf("after the revocation: %+v, %v", list.Items, err)
	}
}
