package idptest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// RelyingParty is a running OpenID relying party that nobody here wrote.
type RelyingParty struct {
	*RP
	URL      string // front address without a trailing slash
	LoginURL string // starts a sign-in
	MeURL    string // tells what it knows of the person, or does not
	process  *process
}

// Log is what the peer wrote; reading it stops the peer.
func (p *RelyingParty) Log() string { return p.process.output() }

// Stop ends the peer before the test does.
func (p *RelyingParty) Stop() { p.process.stop() }

// relyingParty registers a peer that will answer on a free port. Metadata is texts, among which paths become its addresses, and lists
// of paths.
func (s *Server) relyingParty(t testing.TB, name, callback string, metadata map[string]any) (*RelyingParty, int) {
	t.Helper()
	port := freePort(t)
	base := fmt.Sprintf("http://localhost:%d", port)
	whole := map[string]any{"redirect_uris": []string{base + callback}}
	for key, value := range metadata {
		switch value := value.(type) {
		case string:
			whole[key] = value
			if strings.HasPrefix(value, "/") {
				whole[key] = base + value
			}
		case []string:
			var list []string
			for _, path := range value {
				list = append(list, base+path)
			}
			whole[key] = list
		}
	}
	settings := map[string]string{"policy.permitted_users": "all", "policy.consent": "never"}
	return &RelyingParty{RP: s.Client(t, fmt.Sprintf("%s-%d", name, port), whole, settings), URL: base}, port
}

// OpenIDClientPerson is what the openid-client peer's MeURL answers.
type OpenIDClientPerson struct {
	Claims        map[string]any `json:"claims"`
	UserInfo      map[string]any `json:"userinfo"`
	Introspection map[string]any `json:"introspection"`
	Rotated       bool           `json:"rotated"` // of /refresh
	Renewed       bool           `json:"renewed"`
}

// openIDClient is the folder of npm's openid-client with our programs around it.
func openIDClient(t testing.TB) string {
	t.Helper()
	return npmPackage(t, "openid-client")
}

// StartOpenIDClient starts a relying party made with npm's openid-client for the length of the test; metadata are further members of
// its registration.
func (s *Server) StartOpenIDClient(t testing.TB, metadata map[string]any) *RelyingParty {
	t.Helper()
	modules := openIDClient(t)
	whole := map[string]any{"scope": "openid profile email offline_access"}
	maps.Copy(whole, metadata)
	peer, port := s.relyingParty(t, "openid-client", "/cb", whole)
	peer.LoginURL, peer.MeURL = peer.URL+"/login", peer.URL+"/me"
	config, err := json.Marshal(map[string]any{"listen": port, "issuer": s.URL, "client_id": peer.ID, "client_secret": peer.Secret, "scope": whole["scope"], "userinfo_signed_response_alg": whole["userinfo_signed_response_alg"]})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	writeFiles(t, dir, 0o600, map[string][]byte{"config.json": config})
	peer.process = startProcess(t, exec.Command("node", filepath.Join(modules, "server.js"), filepath.Join(dir, "config.json")))
	peer.process.fetch(t, peer.URL+"/")
	return peer
}

// oauth2Proxy is the version that is built: a module of its own, which our go.mod knows nothing of.
const oauth2Proxy = "v7.15.6"

// StartOAuth2Proxy starts oauth2-proxy for the length of the test. It is built once, outside of the repository; where its modules
// cannot be had the test is left out.
func (s *Server) StartOAuth2Proxy(t testing.TB) *RelyingParty {
	t.Helper()
	binary := oauth2ProxyBinary(t)
	peer, port := s.relyingParty(t, "oauth2-proxy", "/oauth2/callback", nil)
	peer.LoginURL, peer.MeURL = peer.URL+"/oauth2/start", peer.URL+"/oauth2/userinfo"
	peer.process = startProcess(t, exec.Command(binary, "--provider=oidc", "--oidc-issuer-url="+s.URL, "--client-id="+peer.ID, "--client-secret="+peer.Secret,
		"--redirect-url="+peer.Redirect, fmt.Sprintf("--http-address=127.0.0.1:%d", port), "--cookie-secret="+strings.Repeat("k", 32), "--cookie-secure=false",
		"--email-domain=*", "--upstream=static://200", "--code-challenge-method=S256", "--scope=openid profile email", "--skip-provider-button"))
	peer.process.fetch(t, peer.URL+"/ping")
	return peer
}

func oauth2ProxyBinary(t testing.TB) string {
	t.Helper()
	binary, err := buildOAuth2Proxy()
	if err != nil {
		leaveOut(t, "oauth2-proxy "+oauth2Proxy+": "+err.Error())
	}
	return binary
}

// buildOAuth2Proxy installs by go install, once, into our cache.
func buildOAuth2Proxy() (string, error) {
	unlock, err := lock("oauth2-proxy")
	if err != nil {
		return "", err
	}
	defer unlock()
	folder := filepath.Join(cacheFolder(), "oauth2-proxy-"+oauth2Proxy)
	binary := filepath.Join(folder, "oauth2-proxy")
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	if info, err := os.Stat(filepath.Join(folder, "failed")); err == nil && time.Since(info.ModTime()) < installRetry {
		return "", errors.New("go install failed a short while ago")
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "install", "github.com/oauth2-proxy/oauth2-proxy/v7@"+oauth2Proxy)
	cmd.Dir, cmd.Env = folder, append(os.Environ(), "GOBIN="+folder, "GOFLAGS=")
	if out, err := runFor(cmd, installTimeout); err != nil {
		os.WriteFile(filepath.Join(folder, "failed"), []byte(out), 0o600)
		return "", fmt.Errorf("go install: %w: %s", err, lastLines(out, 3))
	}
	return binary, nil
}
