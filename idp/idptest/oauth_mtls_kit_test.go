package idptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gatehouse/idp"
)

// holder is a certificate and whoever can prove to have it.
type holder struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
}

// newHolder makes a certificate, by an authority or by itself, good from an hour ago for a day unless the change says otherwise.
func newHolder(t testing.TB, by *holder, name string, change func(*x509.Certificate)) *holder {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name, Organization: []string{"Example AB"}}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(template)
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.Certificate, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &holder{cert, key}
}

func authority(c *x509.Certificate) {
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
}

// pem is the certificate and its key as files have them.
func (h *holder) pem(t testing.TB) (cert, key []byte) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(h.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// thumb is how tokens are bound to it.
func (h *holder) thumb() string { return hashOf(string(h.Raw)) }

// header is how a proxy tells it (RFC 9440).
func (h *holder) header() string { return ":" + base64.StdEncoding.EncodeToString(h.Raw) + ":" }

// jwks is a key set that holds it.
func (h *holder) jwks(t testing.TB) map[string]any {
	t.Helper()
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: h.key.Public(), Certificates: []*x509.Certificate{h.Certificate}}}})
	if err != nil {
		t.Fatal(err)
	}
	var set map[string]any
	if err := json.Unmarshal(text, &set); err != nil {
		t.Fatal(err)
	}
	return set
}

// certified is a world whose second listener asks for certificates, with an authority whose certificates count. A proxy that tells
// certificates would be at 127.0.0.2.
type certified struct {
	*world
	root, server *holder
}

func newCertified(t *testing.T) *certified {
	t.Helper()
	root := newHolder(t, nil, "Clients of Example", authority)
	server := newHolder(t, nil, "server", func(c *x509.Certificate) {
		authority(c)
		c.IPAddresses, c.ExtKeyUsage = []net.IP{net.IPv4(127, 0, 0, 1)}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		c.KeyUsage |= x509.KeyUsageDigitalSignature // OpenSSL asks for it
	})
	dir, pool := t.TempDir(), x509.NewCertPool()
	pool.AddCert(root.Certificate)
	cert, key := server.pem(t)
	writeFiles(t, dir, 0o600, map[string][]byte{"cert.pem": cert, "key.pem": key})
	w := newWorldOf(t, Options{
		Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")},
		MTLS:    idp.MTLS{TLSCert: filepath.Join(dir, "cert.pem"), TLSKey: filepath.Join(dir, "key.pem"), Header: "Client-Cert", Authorities: pool},
	})
	return &certified{w, root, server}
}

// http is a client that shows a certificate, or none, to the listener that asks.
func (c *certified) http(t testing.TB, h *holder) *http.Client {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(c.server.Certificate)
	config := &tls.Config{RootCAs: pool}
	if h != nil {
		config.Certificates = []tls.Certificate{{Certificate: [][]byte{h.Raw}, PrivateKey: h.key}}
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// with is the client at the listener that asks, with a certificate or none.
func (c *certified) with(t testing.TB, rp *RP, h *holder) *RP {
	t.Helper()
	other, server := *rp, *rp.server
	server.URL = c.MTLS
	other.server, other.http, other.t = &server, c.http(t, h), t
	return &other
}

// behind is the client at a proxy, which tells the certificates of its clients from its own address.
func (c *certified) behind(rp *RP, values ...string) *RP {
	other := *rp
	other.http = &http.Client{Transport: telling(values)}
	return &other
}

type telling []string

func (v telling) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header["Client-Cert"] = v
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	transport := &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}
	return transport.RoundTrip(r)
}

// worker is an app that acts by itself, known by a certificate.
func (c *certified) worker(t *testing.T, name string, metadata map[string]any) *RP {
	t.Helper()
	whole := map[string]any{"grant_types": []string{"client_credentials"}, "redirect_uris": []string{}, "scope": "orders.read", "token_endpoint_auth_method": "tls_client_auth"}
	maps.Copy(whole, metadata)
	return c.Client(t, name, whole, map[string]string{"oauth.run_as": "bob", "policy.permitted_users": "all"})
}
