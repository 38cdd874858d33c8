package idptest

import (
	"maps"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/crewjam/saml"
)

// PySAMLOptions vary the pysaml2 service provider. The zero value sends signed Redirect requests and has no key to decrypt with.
type PySAMLOptions struct {
	IDPMetadata  []byte
	Encrypt      bool           // publish a key to decrypt with
	PostBinding  bool           // send requests by POST
	SOAP         bool           // logout from server to server
	NameIDFormat string         // NameIDPolicy; empty means transient
	Options      map[string]any // further options of its service "sp", which win
}

// StartPySAML starts the peer on localhost for the length of the test.
func StartPySAML(t testing.TB, opts PySAMLOptions) *PeerApp {
	t.Helper()
	Need(t, ToolPySAML)
	source, err := peerFolder("pysaml2")
	if err != nil {
		t.Fatal(err)
	}
	peer := newPeerApp(t, "pysaml2")
	peer.EntityID = peer.URL + "/metadata"
	binding := saml.HTTPRedirectBinding
	if opts.PostBinding {
		binding = saml.HTTPPostBinding
	}
	config := encode(t, map[string]any{"port": peer.port, "idp": entityOf(t, opts.IDPMetadata), "binding": binding, "saml": opts.settings(peer)})
	writeFiles(t, peer.dir, 0o600, map[string][]byte{
		"idp.xml": opts.IDPMetadata, "sp.key": peer.Key.Private, "sp.crt": peer.Key.Certificate, "peer.json": config,
	})
	peer.process = startProcess(t, exec.Command(debianPython, filepath.Join(source, "server.py"), filepath.Join(peer.dir, "peer.json")))
	peer.Metadata = peer.process.fetch(t, peer.EntityID)
	return peer
}

// settings are the options that pysaml2 itself is given.
func (o PySAMLOptions) settings(p *PeerApp) map[string]any {
	key, certificate := filepath.Join(p.dir, "sp.key"), filepath.Join(p.dir, "sp.crt")
	settings := map[string]any{
		"entityid": p.EntityID, "xmlsec_binary": "/usr/bin/xmlsec1", "allow_unknown_attributes": true,
		"key_file": key, "cert_file": certificate,
		"metadata": map[string]any{"local": []string{filepath.Join(p.dir, "idp.xml")}},
		"service":  map[string]any{"sp": o.service(p.URL)},
	}
	if o.Encrypt {
		settings["encryption_keypairs"] = []any{map[string]any{"key_file": key, "cert_file": certificate}}
	}
	return settings
}

// service describes the service provider.
func (o PySAMLOptions) service(base string) map[string]any {
	format := o.NameIDFormat
	if format == "" {
		format = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
	}
	logout := [][]string{{base + "/slo", saml.HTTPRedirectBinding}}
	if o.SOAP {
		logout = append(logout, []string{base + "/soap", saml.SOAPBinding})
	}
	service := map[string]any{
		"endpoints": map[string]any{
			"assertion_consumer_service": [][]string{{base + "/acs", saml.HTTPPostBinding}},
			"single_logout_service":      logout,
		},
		"authn_requests_signed": true, "logout_requests_signed": true, "logout_responses_signed": true,
		"want_response_signed": true, "want_assertions_signed": true, "allow_unsolicited": true,
		"name_id_policy_format": format, "name_id_format_allow_create": true, "name_id_format": []string{format},
	}
	maps.Copy(service, o.Options)
	return service
}
