package idptest

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// SimpleSAMLOptions vary the SimpleSAMLphp service provider, which always signs and always has a key to decrypt with.
type SimpleSAMLOptions struct {
	IDPMetadata  []byte
	NameIDFormat string         // NameIDPolicy; empty means transient
	Options      map[string]any // further options of its authentication source, which win
}

// simpleSAMLFolder is where Debian's package is unpacked.
func simpleSAMLFolder() string { return filepath.Join(unpackFolder(), "usr", "share", "simplesamlphp") }

// StartSimpleSAML starts the peer as a service provider.
func StartSimpleSAML(t testing.TB, opts SimpleSAMLOptions) *PeerApp {
	t.Helper()
	return startSimpleSAML(t, "/module.php/saml/sp/metadata.php/default-sp", opts.IDPMetadata, opts.source())
}

// StartSimpleSAMLIDP starts the peer as an identity provider, where ana signs in by the usual password, for a service provider.
// Options are those of its hosted metadata.
func StartSimpleSAMLIDP(t testing.TB, spMetadata []byte, options map[string]any) *PeerApp {
	t.Helper()
	if options == nil {
		options = map[string]any{}
	}
	return startSimpleSAML(t, "/saml2/idp/metadata.php", spMetadata, options)
}

// startSimpleSAML starts PHP's own server on localhost for the length of the test. The entity id is the address of the metadata.
func startSimpleSAML(t testing.TB, entity string, other []byte, options map[string]any) *PeerApp {
	t.Helper()
	Need(t, ToolSimpleSAML)
	source, err := peerFolder("simplesamlphp")
	if err != nil {
		t.Fatal(err)
	}
	peer := newPeerApp(t, "simplesamlphp")
	peer.EntityID = peer.URL + entity
	config := encode(t, map[string]any{"url": peer.URL, "port": peer.port, "folder": peer.dir, "password": Password,
		"entityID": peer.EntityID, "idp": entityOf(t, other), "options": options})
	writeFiles(t, peer.dir, 0o600, map[string][]byte{
		"other.xml": other, "sp.key": peer.Key.Private, "sp.crt": peer.Key.Certificate, "peer.json": config,
	})
	cmd := exec.Command("php", "-S", fmt.Sprintf("localhost:%d", peer.port), "-t", filepath.Join(simpleSAMLFolder(), "www"), filepath.Join(source, "router.php"))
	cmd.Env = append(os.Environ(), "SIMPLESAMLPHP_CONFIG_DIR="+source, "GATEHOUSE_PEER="+filepath.Join(peer.dir, "peer.json"))
	peer.process = startProcess(t, cmd)
	peer.Metadata = peer.process.fetch(t, peer.EntityID)
	return peer
}

// source are the options of the authentication source.
func (o SimpleSAMLOptions) source() map[string]any {
	format := o.NameIDFormat
	if format == "" {
		format = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
	}
	options := map[string]any{"NameIDPolicy": map[string]any{"Format": format, "AllowCreate": true}}
	maps.Copy(options, o.Options)
	return options
}
