package idptest

import (
	"bufio"
	"crypto/rand"
	_ "embed"
	"html"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

//go:embed authopenidc.conf
var authOpenIDCConf string

// StartAuthOpenIDC starts Debian's Apache with mod_auth_openidc on localhost for the length of the test; metadata are further members
// of its registration. Its MeURL is the protected page: read it with AuthOpenIDCPerson.
func (s *Server) StartAuthOpenIDC(t testing.TB, metadata map[string]any) *RelyingParty {
	t.Helper()
	Need(t, ToolAuthOpenIDC)
	const callback = "/secret/redirect_uri"
	whole := map[string]any{}
	maps.Copy(whole, metadata)
	peer, port := s.relyingParty(t, "openidc", callback, whole)
	peer.LoginURL, peer.MeURL = peer.URL+"/secret/", peer.URL+"/secret/"
	dir := worldFolder(t)
	view := map[string]any{"Port": port, "Dir": dir, "Modules": apacheModules, "Root": os.Geteuid() == 0, "Issuer": s.URL, "Peer": peer, "Passphrase": rand.Text()}
	writeFiles(t, dir, 0o644, map[string][]byte{"apache.conf": fill(t, authOpenIDCConf, view)})
	apachePages(t, dir)
	cache := filepath.Join(dir, "cache")
	if err := os.Mkdir(cache, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(cache, 0o777); err != nil { // Apache's workers run as another user
		t.Fatal(err)
	}
	peer.process = startProcess(t, exec.Command(apacheBinary, "-DFOREGROUND", "-f", filepath.Join(dir, "apache.conf")))
	peer.process.fetch(t, peer.URL+"/")
	return peer
}

// AuthOpenIDCPerson reads the protected page: names of claims with their values. It is empty when the page is not the protected one.
func AuthOpenIDCPerson(page string) map[string]string {
	person := map[string]string{}
	lines := bufio.NewScanner(strings.NewReader(page))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line, ours := strings.CutPrefix(lines.Text(), "OIDC_CLAIM_")
		if name, value, ok := strings.Cut(line, "="); ours && ok {
			person[name] = html.UnescapeString(value)
		}
	}
	return person
}
