package web

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"testing"
)

func certificate(t *testing.T, serial int64) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// TestClientCertificates: a header counts from a trusted proxy alone, whose own certificate never does.
func TestClientCertificates(t *testing.T) {
	const header = "Client-Cert"
	told, own := certificate(t, 1), certificate(t, 2)
	inColons := ":" + base64.StdEncoding.EncodeToString(told.Raw) + ":"
	escaped := url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: told.Raw})))
	for name, c := range map[string]struct {
		remote, header string
		values         []string
		tls            bool
		want           *x509.Certificate
	}{
		"RFC 9440":                   {"10.0.0.1:1", header, []string{inColons}, false, told},
		"PEM":                        {"10.0.0.1:1", header, []string{escaped}, false, told},
		"the proxy's own":            {"10.0.0.1:1", header, nil, true, nil},
		"the client's, of the proxy": {"10.0.0.1:1", header, []string{inColons}, true, told},
		"twice":                      {"10.0.0.1:1", header, []string{inColons, inColons}, false, nil},
		"cut off":                    {"10.0.0.1:1", header, []string{inColons[:40]}, false, nil},
		"no base64":                  {"10.0.0.1:1", header, []string{":%%:"}, false, nil},
		"two certificates":           {"10.0.0.1:1", header, []string{escaped + escaped}, false, nil},
		"empty":                      {"10.0.0.1:1", header, []string{""}, false, nil},
		"a stranger's":               {"192.0.2.1:1", header, []string{inColons}, false, nil},
		"a stranger's beside TLS":    {"192.0.2.1:1", header, []string{inColons}, true, own},
		"no header is named":         {"10.0.0.1:1", "", []string{inColons}, false, nil},
	} {
		r := httptest.NewRequest("POST", "/", nil)
		r.RemoteAddr, r.TLS, r.Header[header] = c.remote, nil, c.values
		if c.tls {
			r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{own}}
		}
		got := ClientCertificates(r, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, c.header)
		if (c.want == nil) != (len(got) == 0) || c.want != nil && !got[0].Equal(c.want) {
			t.Errorf("%s: %v", name, got)
		}
		if c.remote == "192.0.2.1:1" && r.Header.Get(header) != "" {
			t.Errorf("%s: the header of a stranger went on", name)
		}
	}
}
