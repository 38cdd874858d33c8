package idp

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatehouse/certs"
	"gatehouse/idp/admin"
	"gatehouse/idp/web"
	"gatehouse/store/bolt"
)

func newServer(t *testing.T) *Server {
	t.Helper()
	dir := t.TempDir()
	database, err := bolt.Open(filepath.Join(dir, "gatehouse.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { database.Close() })
	sealer, err := certs.Unlock(t.Context(), database, filepath.Join(dir, "seal.key"))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	s, err := New(t.Context(), Config{BaseURL: "http://" + listener.Addr().String(), Listener: listener, Store: database, Sealer: sealer})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// open are the routes that anybody may reach: they check for themselves what they need. A new one is added here with thought.
var open = []string{
	"POST /login/passkey", "GET /login/factor", "POST /login/factor", "POST /login/factor/passkey", "GET /login/enrol", "GET /login/enrol/app", "POST /login/enrol/app", "POST /login/enrol/passkey", "POST /login/enrol/later",
	"GET /flow/{id}", "GET /login", "POST /login", "POST /login/upstream/{upstream}", "POST /saml/acs", "GET /saml/acs", "GET /saml/sp-metadata", "GET /consent", "POST /consent", "GET /logout", "POST /logout", "GET /launch/{app}", "POST /launch/{app}",
	"GET /logout/{logout}", "GET /logout/{logout}/next", "GET /saml/unsolicited", "GET /app-logo/{app}/{version}", "GET /saml/slo", "POST /saml/slo", "GET /saml/nid", "POST /saml/nid", "POST /saml/soap", "POST /saml/artifact", "POST /saml/ecp",
	"GET /saml/sso", "POST /saml/sso", "GET /saml/metadata", "GET /saml/metadata/{app}", "GET /saml/certificate.pem", "GET /saml/error",
	"GET /assets/{file}", "GET /logo/{hash}", "GET /forgot", "POST /forgot", "GET /link", "POST /link",
	"GET /oauth/authorize", "POST /oauth/authorize", "POST /oauth/token", "POST /oauth/introspect", "POST /oauth/revoke", "POST /oauth/par", "OPTIONS /oauth/par", "GET /oauth/userinfo", "POST /oauth/userinfo",
	"OPTIONS /oauth/token", "OPTIONS /oauth/revoke", "OPTIONS /oauth/userinfo", "GET /oauth/logout", "POST /oauth/logout", "POST /oauth/logout/confirm", "GET /oauth/jwks", "GET /.well-known/openid-configuration", "GET /.well-known/oauth-authorization-server", "GET /.well-known/oauth-protected-resource",
	"GET /device", "POST /device", "GET /device/{end}", "POST /oauth/device",
	"POST /oauth/register", "GET /oauth/register/{client}", "PUT /oauth/register/{client}", "DELETE /oauth/register/{client}",
	"GET /login/upstream/{upstream}/callback", "GET /login/upstream/{upstream}/logout", "POST /login/upstream/{upstream}/backchannel", "GET /login/upstream/{upstream}/frontchannel",
}

// crossSite are the routes that take unsafe methods from other sites.
var crossSite = []string{"POST /saml/sso", "POST /saml/acs", "POST /saml/slo", "POST /saml/nid", "POST /saml/soap", "POST /saml/artifact", "POST /saml/ecp",
	"POST /oauth/authorize", "POST /oauth/token", "POST /oauth/introspect", "POST /oauth/revoke", "POST /oauth/par", "OPTIONS /oauth/par", "POST /oauth/logout", "POST /oauth/userinfo", "OPTIONS /oauth/token", "OPTIONS /oauth/revoke", "OPTIONS /oauth/userinfo",
	"POST /login/upstream/{upstream}/backchannel", "POST /oauth/device", "POST /oauth/register", "PUT /oauth/register/{client}", "DELETE /oauth/register/{client}",
}

func TestEveryRouteHasAPermission(t *testing.T) {
	routes := newServer(t).Routes()
	if len(routes) < 40 {
		t.Fatalf("only %d routes", len(routes))
	}
	seen := map[string]bool{}
	for _, route := range routes {
		name := route.Method + " " + route.Path
		if seen[name] {
			t.Errorf("%s is mounted twice", name)
		}
		seen[name] = true
		switch {
		case route.Permission == "":
			t.Errorf("%s has no permission", name)
		case route.Permission == web.Public && !slices.Contains(open, name):
			t.Errorf("%s is open to everybody", name)
		case route.Permission != web.Public && route.Permission != web.SignedIn && !admin.Allows([]string{"owner"}, route.Permission):
			t.Errorf("%s needs %q, which not even an owner has", name, route.Permission)
		}
		if route.CrossSite && route.Method != http.MethodGet && !slices.Contains(crossSite, name) {
			t.Errorf("%s may be posted from other sites", name)
		}
	}
	for _, name := range open {
		if !seen[name] {
			t.Errorf("%s is listed as open but not mounted", name)
		}
	}
}

func TestCheckBaseURL(t *testing.T) {
	for base, ok := range map[string]bool{
		"https://id.example.org": true, "http://127.0.0.1:8080": true, "http://localhost": true, "http://[::1]:80": true,
		"https://id.example.org:8443": true,
		"http://id.example.org":       false, "https://id.example.org/sso": false, "id.example.org": false, "": false,
		"https://user@id.example.org": false, "ftp://id.example.org": false, "https://id.example.org?x=1": false, "https://": false,
	} {
		if err := CheckBaseURL(base); (err == nil) != ok {
			t.Errorf("%q: %v", base, err)
		}
	}
}

// TestHead: HEAD is answered where GET only reads, with the same status and header and no body (RFC 9110, 9.3.2), and nowhere else.
func TestHead(t *testing.T) {
	server := httptest.NewServer(newServer(t).handler())
	t.Cleanup(server.Close)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	ask := func(method, path string) (*http.Response, int) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer, len(body)
	}
	for _, path := range []string{"/", "/.well-known/openid-configuration", "/oauth/jwks", "/saml/metadata", "/saml/certificate.pem", "/login?next=/", "/nowhere", "/oauth/token"} {
		get, _ := ask(http.MethodGet, path)
		head, length := ask(http.MethodHead, path)
		if head.StatusCode != get.StatusCode || head.Header.Get("Content-Type") != get.Header.Get("Content-Type") || length != 0 {
			t.Errorf("%s: GET %d %q, HEAD %d %q with %d bytes", path, get.StatusCode, get.Header.Get("Content-Type"), head.StatusCode, head.Header.Get("Content-Type"), length)
		}
	}
	for _, path := range []string{"/saml/sso", "/saml/slo", "/saml/metadata/app", "/oauth/authorize", "/oauth/logout", "/launch/app", "/logout", "/login/upstream/x/callback"} {
		if head, _ := ask(http.MethodHead, path); head.StatusCode != http.StatusMethodNotAllowed || strings.Contains(head.Header.Get("Allow"), "HEAD") {
			t.Errorf("HEAD %s: %d, allowed %q", path, head.StatusCode, head.Header.Get("Allow"))
		}
	}
	answer, _ := ask(http.MethodPost, "/oauth/jwks")
	if allow := answer.Header.Get("Allow"); answer.StatusCode != http.StatusMethodNotAllowed || allow != "GET, HEAD" {
		t.Errorf("POST to the keys: %d, allowed %q", answer.StatusCode, allow)
	}
}
