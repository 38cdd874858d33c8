package idptest

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

// TestServeListensForCertificates starts the binary with --mtls-listen: its public address asks nobody for a certificate, the other one
// knows a client by the certificate of an authority in --client-ca, and discovery says where that is.
func TestServeListensForCertificates(t *testing.T) {
	t.Parallel()
	root := newHolder(t, nil, "Clients of Example", authority)
	mine := newHolder(t, root, "orders", nil)
	server := newHolder(t, nil, "server", func(c *x509.Certificate) {
		authority(c)
		c.IPAddresses, c.ExtKeyUsage = []net.IP{net.IPv4(127, 0, 0, 1)}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	dir := t.TempDir()
	cert, key := server.pem(t)
	clients, _ := root.pem(t)
	writeFiles(t, dir, 0o600, map[string][]byte{"id.pem": cert, "id.key": key, "clients.pem": clients})
	p := StartBinary(t, filepath.Join(dir, "data"), "--tls-cert", filepath.Join(dir, "id.pem"), "--tls-key", filepath.Join(dir, "id.key"), "--mtls-listen", "127.0.0.1:0", "--client-ca", filepath.Join(dir, "clients.pem"))
	p.AddPerson(t, "bob", "Employees")
	rp := p.Client(t, "orders", map[string]any{"grant_types": []string{"client_credentials"}, "redirect_uris": []string{}, "scope": "orders.read", "token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": "CN=orders,O=Example AB"}, map[string]string{"oauth.run_as": "bob"})

	pool, asked := x509.NewCertPool(), false
	pool.AddCert(server.Certificate)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		asked = true
		return &tls.Certificate{Certificate: [][]byte{mine.Raw}, PrivateKey: mine.key}, nil
	}}}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	read := func(answer *http.Response, err error) (int, map[string]any) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		var members map[string]any
		if err := json.NewDecoder(answer.Body).Decode(&members); err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, members
	}
	_, discovery := read(client.Get(p.URL + "/.well-known/openid-configuration"))
	aliases, _ := discovery["mtls_endpoint_aliases"].(map[string]any)
	endpoint, _ := aliases["token_endpoint"].(string)
	if !strings.HasPrefix(endpoint, "https://127.0.0.1:") || strings.HasPrefix(endpoint, p.URL) || asked {
		t.Fatalf("%v; the public address asked for a certificate: %v", aliases, asked)
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {rp.ID}}
	if status, answer := read(client.PostForm(endpoint, form)); status != http.StatusOK || answer["access_token"] == nil || !asked {
		t.Errorf("%d %v, asked: %v", status, answer, asked)
	}
	if status, answer := read(client.PostForm(p.URL+"/oauth/token", form)); status != http.StatusUnauthorized || answer["error"] != "invalid_client" {
		t.Errorf("at the public address: %d %v", status, answer)
	}
}
