package idptest

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// The tests of this file let service providers that nobody here wrote sign people in at a whole server, and hold every
// message on the wire against the schemas and xmlsec1.

const transientFormat = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
const persistentFormat = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"

// wire is a transport that keeps the SAML messages that a browser carries.
type wire struct {
	queries   []string // raw queries with a SAMLRequest
	answers   []string // raw queries with a SAMLResponse
	posted    [][]byte // AuthnRequests by POST
	responses [][]byte
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.Contains(r.URL.RawQuery, "SAMLRequest=") {
		w.queries = append(w.queries, r.URL.RawQuery)
	}
	if strings.Contains(r.URL.RawQuery, "SAMLResponse=") {
		w.answers = append(w.answers, r.URL.RawQuery)
	}
	if r.Method == http.MethodPost {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, err
		}
		for name, kept := range map[string]*[][]byte{"SAMLRequest": &w.posted, "SAMLResponse": &w.responses} {
			if message, err := base64.StdEncoding.DecodeString(form.Get(name)); err == nil && form.Has(name) {
				*kept = append(*kept, message)
			}
		}
	}
	return http.DefaultTransport.RoundTrip(r)
}

// peerWorld is a server with Ana, and the tools that check what it says.
type peerWorld struct {
	*Server
	tools    *XML
	metadata []byte
}

func newPeerWorld(t *testing.T) *peerWorld {
	w := &peerWorld{Server: Start(t, Options{}), tools: NewXML(t)}
	w.AddPerson(t, "ana", "Employees")
	w.metadata = []byte(w.NewClient(t).Get("/saml/metadata").Body)
	w.valid(t, w.metadata, "EntityDescriptor")
	return w
}

// certificate is the one that answers are signed with, as PEM.
func (w *peerWorld) certificate(t *testing.T) []byte {
	return []byte(PEMCertificates(t, w.metadata)[0])
}

// valid checks a document of ours against the schemas, and that exactly the named elements are signed.
func (w *peerWorld) valid(t *testing.T, document []byte, signed ...string) {
	t.Helper()
	if err := w.tools.Validate(document); err != nil {
		t.Errorf("%v\n%s", err, document)
	}
	if got, err := w.tools.Verify(document, w.certificate(t)); err != nil || !slices.Equal(got, signed) {
		t.Errorf("signed are %q, want %q: %v\n%s", got, signed, err, document)
	}
}

// answers checks every Response that a browser carried to a peer; encrypted assertions are opened with the peer's key.
func (w *peerWorld) answers(t *testing.T, seen *wire, key Key, encrypted bool, want int) {
	t.Helper()
	if len(seen.responses) != want {
		t.Errorf("the browser carried %d answers, want %d", len(seen.responses), want)
	}
	for _, response := range seen.responses {
		if !encrypted {
			w.valid(t, response, "Response", "Assertion")
			continue
		}
		w.valid(t, response, "Response")
		assertion, err := w.tools.Decrypt(response, key.Private)
		if err != nil {
			t.Errorf("%v\n%s", err, response)
			continue
		}
		w.valid(t, assertion, "Assertion")
	}
}

// requests checks the peer's requests, so that it is certain what was answered: valid, and signed where the peer signs.
func (w *peerWorld) requests(t *testing.T, seen *wire, key Key, signed bool) {
	t.Helper()
	if len(seen.queries)+len(seen.posted) == 0 {
		t.Error("the peer sent no request")
	}
	for _, query := range seen.queries {
		checkMessages(t, w.tools, inflate(t, query))
		if signed {
			checkRedirectSignature(t, query, key.Certificate)
		}
	}
	for _, message := range seen.posted {
		if inflated, err := io.ReadAll(flate.NewReader(bytes.NewReader(message))); err == nil {
			message = inflated // node-saml compresses what it posts
		}
		checkMessages(t, w.tools, message)
		if got, err := w.tools.Verify(message, key.Certificate); signed && (err != nil || !slices.Equal(got, []string{"AuthnRequest"})) {
			t.Errorf("the peer signed %q: %v\n%s", got, err, message)
		}
	}
}

// person opens an address in a fresh browser, signs Ana in where that is asked, and returns the page where she comes to rest.
func (w *peerWorld) person(t *testing.T, seen *wire, address string) string {
	t.Helper()
	v := newVisitor(t)
	v.Transport = seen
	_, page := v.open(address)
	if !strings.Contains(page, `name="password"`) {
		t.Fatalf("%s does not lead to the sign-in page but to:\n%s", address, page)
	}
	_, fields := formOf(page)
	fields.Set("name", "ana")
	fields.Set("password", Password)
	_, page = v.rest(v.PostForm(w.URL+"/login", fields))
	return page
}

func TestMellonEndToEnd(t *testing.T) {
	t.Parallel()
	w := newPeerWorld(t)
	for name, opts := range map[string]MellonOptions{
		"plain":                        {NameIDFormat: persistentFormat},
		"encrypted":                    {NameIDFormat: persistentFormat, Encrypt: true},
		"unsigned request, transient":  {NameIDFormat: transientFormat, Unsigned: true},
		"encrypted, name is an e-mail": {NameIDFormat: emailFormat, Encrypt: true},
	} {
		t.Run(name, func(t *testing.T) {
			opts.IDPMetadata = w.metadata
			peer := StartMellon(t, opts)
			app := w.AddApp(t, peer.Metadata, map[string]string{"name": name, "saml.allowed_relay_states": peer.SecretURL})
			seen := &wire{}
			first := MellonPerson([]byte(w.person(t, seen, peer.SecretURL)))
			second := MellonPerson([]byte(w.person(t, seen, w.URL+"/launch/"+app.ID+"?RelayState="+url.QueryEscape(peer.SecretURL))))
			for start, person := range map[string]map[string]string{"SP-initiated": first, "IdP-initiated": second} {
				if person["urn:oid:0.9.2342.19200300.100.1.1"] != "ana" || person["NAME_ID"] == "" {
					t.Errorf("%s: the protected page shows %v\n%s", start, person, peer.Log())
				}
			}
			if same := first["NAME_ID"] == second["NAME_ID"]; same == (opts.NameIDFormat == transientFormat) {
				t.Errorf("the names are %q and %q", first["NAME_ID"], second["NAME_ID"])
			}
			w.answers(t, seen, peer.Key, opts.Encrypt, 2)
			w.requests(t, seen, peer.Key, !opts.Unsigned)
		})
	}
}

func TestNodeSAMLEndToEnd(t *testing.T) {
	t.Parallel()
	w := newPeerWorld(t)
	for name, opts := range map[string]NodeSAMLOptions{
		"plain":            {Sign: true, InResponseTo: "ifPresent"},
		"encrypted":        {Sign: true, Encrypt: true, NameIDFormat: persistentFormat},
		"posted":           {Sign: true, PostBinding: true, InResponseTo: "ifPresent"},
		"posted encrypted": {Sign: true, PostBinding: true, Encrypt: true},
		"unsigned request": {},
	} {
		t.Run(name, func(t *testing.T) {
			opts.IDPMetadata = w.metadata
			peer := StartNodeSAML(t, opts)
			app := w.AddApp(t, peer.Metadata, map[string]string{"name": name, "saml.allowed_relay_states": "/there"})
			seen := &wire{}
			for start, relay := range map[string]string{
				peer.LoginURL + "?RelayState=/deep": "/deep", w.URL + "/launch/" + app.ID + "?RelayState=/there": "/there",
			} {
				var person NodeSAMLPerson
				page := w.person(t, seen, start)
				if err := json.Unmarshal([]byte(page), &person); err != nil || person.RelayState != relay || person.NameID == "" ||
					person.Attributes["urn:oid:0.9.2342.19200300.100.1.3"] != "ana@example.org" {
					t.Errorf("%s: the app knows %s: %v", start, page, err)
				}
			}
			w.answers(t, seen, peer.Key, opts.Encrypt, 2)
			w.requests(t, seen, peer.Key, opts.Sign)
		})
	}
}

// TestPeersLearnOfRefusals blocks apps: the peers must get a valid, signed answer that names the reason, and let nobody in.
func TestPeersLearnOfRefusals(t *testing.T) {
	t.Parallel()
	w := newPeerWorld(t)
	mellon := StartMellon(t, MellonOptions{IDPMetadata: w.metadata})
	node := StartNodeSAML(t, NodeSAMLOptions{IDPMetadata: w.metadata, Sign: true})
	simple := StartSimpleSAML(t, SimpleSAMLOptions{IDPMetadata: w.metadata})
	python := StartPySAML(t, PySAMLOptions{IDPMetadata: w.metadata})
	for start, metadata := range map[string][]byte{
		mellon.SecretURL: mellon.Metadata, node.LoginURL: node.Metadata, simple.LoginURL: simple.Metadata, python.LoginURL: python.Metadata,
	} {
		app := w.AddApp(t, metadata, nil)
		if _, err := w.API.MoveApp(t.Context(), app.ID, "block"); err != nil {
			t.Fatal(err)
		}
		seen := &wire{}
		v := newVisitor(t)
		v.Transport = seen
		status, page := v.open(start)
		refused := status >= 400 || strings.Contains(page, "Responder/RequestDenied") // SimpleSAMLphp says so with a status of 200
		if !refused || strings.Contains(page, "ana@example.org") {
			t.Errorf("%s answers %d: %s", start, status, page)
		}
		for _, response := range seen.responses {
			w.valid(t, response, "Response")
		}
		if len(seen.responses) != 1 || !strings.Contains(string(seen.responses[0]), "status:RequestDenied") {
			t.Errorf("%s was told %q", start, seen.responses)
		}
	}
}
