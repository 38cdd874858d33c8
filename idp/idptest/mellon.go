package idptest

import (
	"bufio"
	"bytes"
	_ "embed"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
)

//go:embed mellon.conf
var mellonConf string

//go:embed mellon-metadata.xml
var mellonMetadata string

// MellonOptions vary the mod_auth_mellon service provider. The zero value signs its requests and has no encryption key in
// its metadata.
type MellonOptions struct {
	IDPMetadata  []byte
	Unsigned     bool     // AuthnRequestsSigned=false in its metadata, by which lasso decides; it wants its key all the same
	Encrypt      bool     // publish the key for encryption too
	NoSOAP       bool     // no logout from server to server
	Artifact     bool     // its default way to get answers is by artifact
	NameIDFormat string   // in its metadata, from where mod_auth_mellon takes the NameIDPolicy; empty means transient
	Directives   []string // further Mellon… directives
}

// Mellon is a running Apache with mod_auth_mellon.
type Mellon struct {
	URL       string // front address without a trailing slash
	SecretURL string // protected page: MELLON_… variables of the person (MellonPerson)
	ACSURL    string
	LoginURL  string // starts a sign-on; takes ReturnTo
	LogoutURL string // takes ReturnTo
	EntityID  string // the address of its metadata
	Metadata  []byte
	Key       Key
	process   *process
	dir       string
}

// StartMellon starts Debian's Apache with mod_auth_mellon on localhost for the length of the test.
func StartMellon(t testing.TB, opts MellonOptions) *Mellon {
	t.Helper()
	Need(t, ToolMellon)
	port := freePort(t)
	base := fmt.Sprintf("http://localhost:%d", port)
	endpoint := base + "/mellon"
	peer := &Mellon{URL: base, SecretURL: base + "/secret/", ACSURL: endpoint + "/postResponse", LoginURL: endpoint + "/login",
		LogoutURL: endpoint + "/logout", EntityID: endpoint + "/metadata", Key: NewKey(t, "mellon"), dir: worldFolder(t)}
	if opts.NameIDFormat == "" {
		opts.NameIDFormat = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
	}
	view := map[string]any{"Options": opts, "Port": port, "Base": base, "Endpoint": endpoint, "EntityID": peer.EntityID, "Dir": peer.dir,
		"Modules": apacheModules, "Certificate": peer.Key.certificateText(), "Root": os.Geteuid() == 0}
	writeFiles(t, peer.dir, 0o644, map[string][]byte{
		"idp.xml":     opts.IDPMetadata,
		"sp.xml":      fill(t, mellonMetadata, view),
		"apache.conf": fill(t, mellonConf, view),
		"sp.crt":      peer.Key.Certificate,
	})
	writeFiles(t, peer.dir, 0o600, map[string][]byte{"sp.key": peer.Key.Private})
	apachePages(t, peer.dir)
	peer.process = startProcess(t, exec.Command(apacheBinary, "-DFOREGROUND", "-f", filepath.Join(peer.dir, "apache.conf")))
	peer.Metadata = peer.process.fetch(t, peer.EntityID)
	return peer
}

// apachePages writes what Apache serves: a public front page and the protected one, which shows its variables.
func apachePages(t testing.TB, dir string) {
	t.Helper()
	for _, folder := range []string{"www", "www/secret"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	writeFiles(t, dir, 0o644, map[string][]byte{
		"www/index.shtml":        []byte("<!DOCTYPE html><title>Apache</title><p>public page\n"),
		"www/secret/index.shtml": []byte("<!DOCTYPE html><title>Apache</title><pre>\n<!--#printenv -->\n</pre>\n"),
	})
}

// Log is what Apache wrote; reading it stops the peer.
func (m *Mellon) Log() string { return m.process.output() }

// MellonPerson reads the protected page: variable names without MELLON_ (NAME_ID, an attribute's name, name_0, name_1 …
// for several values) with their values. It is empty when the page is not the protected one. mod_auth_mellon passes text
// on as XML, with its entities; those are resolved here, and the page's own.
func MellonPerson(page []byte) map[string]string {
	person := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(page))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line, ours := strings.CutPrefix(lines.Text(), "MELLON_")
		if name, value, ok := strings.Cut(line, "="); ours && ok {
			person[html.UnescapeString(name)] = html.UnescapeString(html.UnescapeString(value))
		}
	}
	return person
}

func fill(t testing.TB, text string, view any) []byte {
	t.Helper()
	page, err := template.New("").Option("missingkey=error").Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	out := &bytes.Buffer{}
	if err := page.Execute(out, view); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
