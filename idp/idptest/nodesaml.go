package idptest

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/crewjam/saml"
)

const npmTimeout = 5 * time.Minute

// NodeSAMLOptions vary the node-saml service provider. The zero value sends unsigned Redirect requests, has no
// decryption key and takes unsolicited responses.
type NodeSAMLOptions struct {
	IDPMetadata  []byte
	Sign         bool           // sign requests with RSA-SHA256
	Encrypt      bool           // publish a decryption key
	PostBinding  bool           // send requests by POST
	InResponseTo string         // never (default), ifPresent, always
	NameIDFormat string         // NameIDPolicy; empty means node-saml's default, emailAddress
	Options      map[string]any // further options of node-saml, which win
}

// NodeSAML is a running service provider made with @node-saml/node-saml.
type NodeSAML struct {
	URL      string // front address without a trailing slash
	LoginURL string // starts a sign-on; takes RelayState
	ACSURL   string
	MeURL    string // JSON about the person (NodeSAMLPerson), or 401
	EntityID string
	Metadata []byte
	Key      Key
	process  *process
}

// NodeSAMLPerson is what /me answers. Attribute values are strings, or lists of them.
type NodeSAMLPerson struct {
	NameID          string         `json:"nameID"`
	NameIDFormat    string         `json:"nameIDFormat"`
	NameQualifier   string         `json:"nameQualifier"`
	SPNameQualifier string         `json:"spNameQualifier"`
	SessionIndex    string         `json:"sessionIndex"`
	Issuer          string         `json:"issuer"`
	InResponseTo    string         `json:"inResponseTo"`
	RelayState      string         `json:"relayState"`
	Attributes      map[string]any `json:"attributes"`
}

// StartNodeSAML starts the peer on localhost for the length of the test. Its npm packages are installed once, outside
// of the repository; where that is not possible the test is left out.
func StartNodeSAML(t testing.TB, opts NodeSAMLOptions) *NodeSAML {
	t.Helper()
	modules := npmPackage(t, "node-saml")
	port := freePort(t)
	base := fmt.Sprintf("http://localhost:%d", port)
	peer := &NodeSAML{URL: base, LoginURL: base + "/login", ACSURL: base + "/acs", MeURL: base + "/me",
		EntityID: base + "/metadata", Key: NewKey(t, "node-saml")}
	config, err := json.Marshal(map[string]any{
		"listen":      port,
		"certificate": string(peer.Key.Certificate),
		"saml":        peer.settings(t, opts),
	})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	writeFiles(t, dir, 0o600, map[string][]byte{"config.json": config})
	peer.process = startProcess(t, exec.Command("node", filepath.Join(modules, "server.js"), filepath.Join(dir, "config.json")))
	peer.Metadata = peer.process.fetch(t, peer.EntityID)
	return peer
}

// settings are the options that node-saml itself is given.
func (p *NodeSAML) settings(t testing.TB, opts NodeSAMLOptions) map[string]any {
	t.Helper()
	binding, name := saml.HTTPRedirectBinding, "HTTP-Redirect"
	if opts.PostBinding {
		binding, name = saml.HTTPPostBinding, "HTTP-POST"
	}
	settings := map[string]any{
		"issuer":              p.EntityID,
		"callbackUrl":         p.ACSURL,
		"entryPoint":          ssoURL(t, opts.IDPMetadata, binding),
		"authnRequestBinding": name,
		"idpCert":             PEMCertificates(t, opts.IDPMetadata),
	}
	if opts.Sign {
		settings["privateKey"] = string(p.Key.Private)
		settings["signatureAlgorithm"] = "sha256" // node-saml's default is sha1
		settings["digestAlgorithm"] = "sha256"
	}
	if opts.Encrypt {
		settings["decryptionPvk"] = string(p.Key.Private)
	}
	if opts.InResponseTo != "" {
		settings["validateInResponseTo"] = opts.InResponseTo
	}
	if opts.NameIDFormat != "" {
		settings["identifierFormat"] = opts.NameIDFormat
	}
	for key, value := range opts.Options {
		settings[key] = value
	}
	return settings
}

// npmProjects are the npm projects of testdata/peers, with our programs in each.
func npmProjects() map[string][]string {
	return map[string][]string{
		"axe-core": nil, "node-saml": {"server.js"}, "oidc-provider": {"server.js"}, "openid-client": {"server.js", "grants.js", "mtls.js"},
	}
}

// npmPackage is the folder of an npm project with its packages installed, outside of the repository; where that is not possible the
// test is left out.
func npmPackage(t testing.TB, name string) string {
	t.Helper()
	Need(t, ToolNode)
	folder, err := npmFolder(name, npmProjects()[name])
	if err != nil {
		leaveOut(t, name+" from npm: "+err.Error())
	}
	return folder
}

// npmFolder installs by the project's lock file, once. The folder's name is the hash of what is installed, so an upgrade
// gets a new one.
func npmFolder(name string, more []string) (string, error) {
	source, err := peerFolder(name)
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	files := map[string][]byte{}
	for _, file := range append([]string{".npmrc", "package.json", "package-lock.json"}, more...) {
		data, err := os.ReadFile(filepath.Join(source, file))
		if err != nil {
			return "", err
		}
		hash.Write(data)
		files[file] = data
	}
	unlock, err := lock("npm")
	if err != nil {
		return "", err
	}
	defer unlock()
	target := filepath.Join(cacheFolder(), fmt.Sprintf("%s-%x", name, hash.Sum(nil)[:8]))
	if _, err := os.Stat(filepath.Join(target, "complete")); err == nil {
		return target, nil
	}
	return target, npmInstall(target, files)
}

// npmInstall runs npm ci in target and marks it complete.
func npmInstall(target string, files map[string][]byte) error {
	if info, err := os.Stat(filepath.Join(target, "failed")); err == nil && time.Since(info.ModTime()) < installRetry {
		return errors.New("npm ci failed a short while ago")
	}
	if err := os.MkdirAll(target, 0o700); err != nil {
		return err
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(target, name), data, 0o600); err != nil {
			return err
		}
	}
	cmd := exec.Command("npm", "ci")
	cmd.Dir = target
	if out, err := runFor(cmd, npmTimeout); err != nil {
		os.WriteFile(filepath.Join(target, "failed"), []byte(out), 0o600)
		return fmt.Errorf("npm ci: %w: %s", err, lastLines(out, 3))
	}
	return os.WriteFile(filepath.Join(target, "complete"), nil, 0o600)
}

// peerFolder finds testdata/peers/name of the repository that the test runs in.
func peerFolder(name string) (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "testdata", "peers", name), nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no go.mod above the working folder")
		}
	}
}
