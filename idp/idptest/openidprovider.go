package idptest

import (
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"testing"
)

// OpenIDProvider is a running OpenID provider that nobody here wrote.
type OpenIDProvider struct {
	URL     string // issuer
	Secret  string // of the client gatehouse
	process *process
}

// Log is what the provider wrote; reading it stops the provider.
func (p *OpenIDProvider) Log() string { return p.process.output() }

// StartOpenIDProvider starts npm's oidc-provider for the length of the test. It knows the server as the client gatehouse, under the
// paths of the upstream of a name, and accounts as claims by the name that is typed; any password does. With further metadata of that
// client it demands pushed requests of all.
func (s *Server) StartOpenIDProvider(t testing.TB, upstream string, accounts map[string]map[string]any, metadata map[string]any) *OpenIDProvider {
	t.Helper()
	modules := npmPackage(t, "oidc-provider")
	port, ours := freePort(t), s.URL+"/login/upstream/"+upstream
	peer := &OpenIDProvider{URL: fmt.Sprintf("http://localhost:%d", port), Secret: "a secret : of 100% odd signs + more"}
	whole := map[string]any{
		"client_id": "gatehouse", "client_secret": peer.Secret, "redirect_uris": []string{ours + "/callback"},
		"post_logout_redirect_uris": []string{ours + "/logout"}, "backchannel_logout_uri": ours + "/backchannel", "backchannel_logout_session_required": true,
	}
	maps.Copy(whole, metadata)
	config, err := json.Marshal(map[string]any{"listen": port, "accounts": accounts, "clients": []any{whole}, "pushed": len(metadata) > 0})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	writeFiles(t, dir, 0o600, map[string][]byte{"config.json": config})
	peer.process = startProcess(t, exec.Command("node", filepath.Join(modules, "server.js"), filepath.Join(dir, "config.json")))
	peer.process.fetch(t, peer.URL+"/.well-known/openid-configuration")
	return peer
}
