package federation

import (
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"

	"gatehouse/idp/audit"
	"gatehouse/idp/outbound"
	"gatehouse/sp"
	"gatehouse/store"
	"gatehouse/store/bolt"
)

var noon = time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)

// world is a keeper over a store in a temporary folder, a clock, and a server on 127.0.0.1 that publishes what a test says.
type world struct {
	*Keeper
	t     testing.TB
	clock time.Time
	web   *publisher
}

// publisher serves texts by path, with ETags, and counts what it is asked.
type publisher struct {
	URL   string
	mu    sync.Mutex
	pages map[string]string
	down  bool
	while func() // while something is fetched, once
	asked atomic.Int64
	sent  atomic.Int64 // 304 left out
}

func (p *publisher) set(path, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pages[path] = text
}

func (p *publisher) fail(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
}

func (p *publisher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.asked.Add(1)
	p.mu.Lock()
	text, found := p.pages[r.URL.EscapedPath()]
	down, while := p.down, p.while
	p.while = nil
	p.mu.Unlock()
	if while != nil {
		while()
	}
	tag := fmt.Sprintf(`"%x"`, sha256.Sum256([]byte(text)))
	switch {
	case down:
		http.Error(w, "down", http.StatusBadGateway)
	case !found:
		http.NotFound(w, r)
	case !strings.Contains(r.Header.Get("Accept"), "application/samlmetadata+xml"):
		http.Error(w, "which?", http.StatusNotAcceptable)
	case r.Header.Get("If-None-Match") == tag:
		w.WriteHeader(http.StatusNotModified)
	default:
		p.sent.Add(1)
		w.Header().Set("ETag", tag)
		w.Header().Set("Content-Type", "application/samlmetadata+xml")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = z.Write([]byte(text))
			_ = z.Close()
			return
		}
		_, _ = w.Write([]byte(text))
	}
}

func newWorld(t testing.TB) *world {
	t.Helper()
	s, err := bolt.Open(filepath.Join(t.TempDir(), "gatehouse.db"), bolt.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	w := &world{t: t, clock: noon, web: &publisher{pages: map[string]string{}}}
	server := httptest.NewServer(w.web)
	t.Cleanup(server.Close)
	w.web.URL = server.URL
	now := func() time.Time { return w.clock }
	w.Keeper = &Keeper{
		Store: s, Audit: &audit.Log{Node: "test", Now: now}, Fetch: outbound.NewFetcher([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}),
		Own: func(context.Context) (string, error) { return "https://id.example.org/saml/metadata", nil }, Now: now,
	}
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// signer is the key of a source.
type signer struct {
	key *rsa.PrivateKey
	der []byte
}

var newSigner = sync.OnceValues(func() (*signer, *signer) { return makeSigner(), makeSigner() })

func makeSigner() *signer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: noon, NotAfter: noon.AddDate(-1, 0, 0)} // expired: PKI fields do not count
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return &signer{key, der}
}

func (s *signer) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.der}))
}

// sign puts an enveloped signature first into the root.
func (s *signer) sign(t testing.TB, source string) string {
	t.Helper()
	doc := etree.NewDocument()
	must(t, doc.ReadFromString(source))
	signing, err := dsig.NewSigningContext(s.key, [][]byte{s.der})
	must(t, err)
	signing.Canonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	signature, err := signing.ConstructSignature(doc.Root(), true)
	must(t, err)
	doc.Root().InsertChildAt(0, signature)
	out, err := doc.WriteToString()
	must(t, err)
	return out
}

const mdNS = `xmlns="urn:oasis:names:tc:SAML:2.0:metadata"`

// entity is a service provider's descriptor, with keys and more attributes of its root.
func entity(name, attributes string, keys ...*signer) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<EntityDescriptor %s entityID="https://%s.example/sp" %s><SPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">`, mdNS, name, attributes)
	for _, key := range keys {
		fmt.Fprintf(&b, `<KeyDescriptor use="signing"><KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#"><X509Data><X509Certificate>%s</X509Certificate></X509Data></KeyInfo></KeyDescriptor>`, base64.StdEncoding.EncodeToString(key.der))
	}
	fmt.Fprintf(&b, `<AssertionConsumerService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="https://%s.example/acs" index="0"/></SPSSODescriptor></EntityDescriptor>`, name)
	return b.String()
}

func until(d time.Duration) string {
	return `validUntil="` + noon.Add(d).Format(time.RFC3339) + `"`
}

const days = 24 * time.Hour

func group(attributes string, entities ...string) string {
	return `<EntitiesDescriptor ` + mdNS + ` ID="_g" ` + attributes + `>` + strings.Join(entities, "\n") + `</EntitiesDescriptor>`
}

// source adds a source that pins a signer's key.
func (w *world) source(name, kind string, key *signer, more ...string) {
	w.t.Helper()
	values := map[string]string{"url": w.web.URL + "/" + name, "keys": key.pem()}
	for i := 0; i+1 < len(more); i += 2 {
		values[more[i]] = more[i+1]
	}
	source, err := NewSource(name, kind, values, "uid 0", w.clock)
	must(w.t, err)
	must(w.t, w.Store.Update(w.t.Context(), func(tx store.Tx) error { return Sources.Put(tx, &source) }))
}

func (w *world) found(name string) Found {
	w.t.Helper()
	source, _, err := w.Keeper.source(w.t.Context(), name)
	must(w.t, err)
	return source.Found
}

// connect makes an app of what a source has, as an administrator does.
func (w *world) connect(source, name, mode string) string {
	w.t.Helper()
	result, _, err := w.Find(w.t.Context(), source, "https://"+name+".example/sp")
	must(w.t, err)
	return w.add(name, result.Metadata, mode)
}

func (w *world) add(name string, md sp.Metadata, mode string) string {
	app := sp.New(name, sp.Definition{SAML: &sp.SAML{Metadata: md, Settings: sp.SAMLSettings{MetadataRefresh: mode, NameIDFormat: "emailAddress"}}}, sp.PermitAll, "uid 0", w.clock)
	must(w.t, w.Store.Update(w.t.Context(), func(tx store.Tx) error {
		if err := sp.Apps.Put(tx, &app); err != nil {
			return err
		}
		return Track(tx, &app, 0, w.clock)
	}))
	return app.ID
}

func (w *world) app(id string) (sp.App, Follow) {
	w.t.Helper()
	var app sp.App
	var f Follow
	must(w.t, w.Store.View(w.t.Context(), func(tx store.Tx) (err error) {
		if app, _, err = sp.Apps.Get(tx, id); err == nil {
			f, _, err = Follows.Get(tx, id)
		}
		return err
	}))
	return app, f
}

func (w *world) keys(id string) int {
	app, _ := w.app(id)
	return len(app.Definition.SAML.Metadata.SigningKeys())
}

// events counts the audit entries of a kind.
func (w *world) events(kind string) int {
	w.t.Helper()
	n := 0
	must(w.t, w.Store.View(w.t.Context(), func(tx store.Tx) error {
		list, _, err := audit.List(tx, audit.Filter{Kind: kind, Limit: 500})
		n = len(list)
		return err
	}))
	return n
}

// refresh fetches a source as an administrator and returns the typed reason, empty when all went well.
func (w *world) refresh(name string) string {
	w.t.Helper()
	err := w.Refresh(w.t.Context(), name, "uid 0")
	if err == nil {
		return ""
	}
	code, text := worded(err)
	if !strings.HasSuffix(text, ".") && !strings.HasSuffix(text, ".)") {
		w.t.Errorf("not a sentence: %q", text)
	}
	return code
}

// version is that of what waits for an app.
func version(t testing.TB, tx store.Tx, app string) string {
	t.Helper()
	f, _, err := Follows.Get(tx, app)
	must(t, err)
	version, err := f.Version()
	must(t, err)
	return version
}
