package idptest

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/crewjam/saml/samlsp"
)

// PeerApp is a running service provider, SimpleSAMLphp or pysaml2, with a small app.
type PeerApp struct {
	URL       string // front address without a trailing slash; a public page
	LoginURL  string // starts a sign-on
	LogoutURL string
	MeURL     string // JSON about the person (PeerPerson), or 401
	EntityID  string
	Metadata  []byte
	Key       Key
	port      int
	dir       string // where its configuration is
	process   *process
}

// PeerPerson is what the app knows of a person.
type PeerPerson struct {
	NameID       string              `json:"nameID"`
	NameIDFormat string              `json:"nameIDFormat"`
	SessionIndex string              `json:"sessionIndex"`
	Attributes   map[string][]string `json:"attributes"`
}

func newPeerApp(t testing.TB, name string) *PeerApp {
	t.Helper()
	port := freePort(t)
	base := fmt.Sprintf("http://localhost:%d", port)
	return &PeerApp{URL: base, LoginURL: base + "/login", LogoutURL: base + "/logout", MeURL: base + "/me",
		Key: NewKey(t, name), port: port, dir: t.TempDir()}
}

// Log is what the peer wrote; reading it stops the peer.
func (p *PeerApp) Log() string { return p.process.output() }

// entityOf is the entity ID of metadata.
func entityOf(t testing.TB, metadata []byte) string {
	t.Helper()
	entity, err := samlsp.ParseMetadata(metadata)
	if err != nil {
		t.Fatal(err)
	}
	return entity.EntityID
}

// encode writes a peer's settings.
func encode(t testing.TB, settings any) []byte {
	t.Helper()
	text, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
