package idptest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/idp/api"
)

// proxied is the binary behind Debian's nginx, as docs/oauth.md says it. Both listen on 127.0.0.1, which alone is trusted: who comes from
// another address of loopback is a stranger.
type proxied struct {
	*world
	nginx        *Nginx
	root, server *holder
	direct       string // where Gatehouse itself listens
}

func newProxied(t *testing.T, flags ...string) *proxied {
	t.Helper()
	p := &proxied{root: newHolder(t, nil, "Clients of Example", authority)}
	p.server = newHolder(t, nil, "server", func(c *x509.Certificate) {
		authority(c)
		c.DNSNames, c.ExtKeyUsage = []string{"id.example.org", "mtls.example.org"}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		c.KeyUsage |= x509.KeyUsageDigitalSignature
	})
	dir, port, front := worldFolder(t), freePort(t), freePort(t)
	cert, key := p.server.pem(t)
	clients, _ := p.root.pem(t)
	writeFiles(t, dir, 0o600, map[string][]byte{"id.pem": cert, "id.key": key, "clients.pem": clients})
	_, text, found := strings.Cut(readDocs(t, "oauth.md")["Client authentication"], "```nginx\n")
	servers, _, ended := strings.Cut(text, "```")
	if !found || !ended {
		t.Fatal("docs/oauth.md has no servers for nginx any more")
	}
	listen := fmt.Sprintf("127.0.0.1:%d", port)
	servers = strings.NewReplacer("listen 443 ssl", fmt.Sprintf("listen 127.0.0.1:%d ssl", front), "127.0.0.1:8080", listen, "/etc/nginx/", dir+"/").Replace(servers)
	flags = append([]string{"--listen", listen, "--base-url", "https://id.example.org", "--trusted-proxy", "127.0.0.1/32", "--mtls-url", "https://mtls.example.org", "--client-ca", filepath.Join(dir, "clients.pem")}, flags...)
	gatehouse := StartBinary(t, filepath.Join(dir, "data"), flags...)
	p.world, p.direct = &world{Server: &gatehouse.Server}, "http://"+listen
	p.nginx = StartNginx(t, dir, front, servers)
	p.AddPerson(t, "bob", "Employees", func(n *api.NewUser) { n.Roles = []string{"owner"} })
	return p
}

// by is the client at one of nginx's hosts, with a certificate or none, from 127.0.0.9.
func (p *proxied) by(t *testing.T, rp *RP, host string, certificates ...tls.Certificate) *RP {
	t.Helper()
	other, server := *rp, *rp.server
	server.URL = "https://" + host
	other.server, other.http, other.t = &server, &http.Client{Transport: p.nginx.Transport(t, "127.0.0.9", p.server.Certificate, certificates...)}, t
	return &other
}

// past is the client at Gatehouse itself, past the proxy, from an address of loopback.
func (p *proxied) past(t *testing.T, rp *RP, from string) *RP {
	t.Helper()
	other, server := *rp, *rp.server
	server.URL = p.direct
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	other.server, other.http, other.t = &server, &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}, t
	return &other
}

func (h *holder) tls() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{h.Raw}, PrivateKey: h.key}
}

// claiming sends a form with a header of the client's own.
func claiming(rp *RP, value string) *Reply {
	r := rp.Request("/oauth/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {rp.ID}})
	r.Header.Set("Client-Cert", value)
	return rp.Do(r)
}

const mtlsHost = "mtls.example.org"

// TestNginx: clients with certificates, people, and strangers, through a proxy that nobody here wrote.
func TestNginx(t *testing.T) {
	t.Parallel()
	p := newProxied(t, "--client-cert-header", "Client-Cert")
	c := &certified{world: p.world, root: p.root}
	bound := map[string]any{"tls_client_auth_subject_dn": "CN=orders,O=Example AB", "tls_client_certificate_bound_access_tokens": true, "scope": "directory.read"}
	issued := c.worker(t, "issued", bound)
	mine, thief := newHolder(t, p.root, "orders", nil), newHolder(t, nil, "orders", nil)
	own := newHolder(t, nil, "own", nil)
	self := c.worker(t, "selfsigned", map[string]any{"token_endpoint_auth_method": "self_signed_tls_client_auth", "jwks": own.jwks(t), "tls_client_certificate_bound_access_tokens": true, "scope": "directory.read"})
	for name, client := range map[string]struct {
		rp    *RP
		shown *holder
	}{"tls_client_auth": {issued, mine}, "self_signed_tls_client_auth": {self, own}} {
		t.Run("ORF-19 "+name+" through nginx", func(t *testing.T) {
			rp := p.by(t, client.rp, mtlsHost, client.shown.tls())
			reply := rp.Send("/oauth/token", alone)
			token := reply.Text("access_token")
			if reply.Status != http.StatusOK || token == "" {
				t.Fatalf("%d %s", reply.Status, reply.Raw)
			}
			if reply := rp.Call("GET", "/api/v1/users", token, ""); reply.Status != http.StatusOK {
				t.Errorf("its own token: %d %s", reply.Status, reply.Raw)
			}
			for name, other := range map[string]*RP{"another": p.by(t, rp, mtlsHost, thief.tls()), "no": p.by(t, rp, mtlsHost), "at the other host no": p.by(t, rp, "id.example.org", client.shown.tls())} {
				t.Log(name + " certificate")
				if reply := other.Call("GET", "/api/v1/users", token, ""); reply.Status != http.StatusUnauthorized || !strings.Contains(reply.Header.Get("WWW-Authenticate"), "invalid_token") {
					t.Errorf("%d %s", reply.Status, reply.Raw)
				}
			}
		})
	}
	t.Run("ORF-19 the client's own header is overwritten", func(t *testing.T) {
		for _, value := range []string{mine.header(), asNginx(t, mine)} {
			p.refusedBy(t, claiming(p.by(t, issued, mtlsHost), value), http.StatusUnauthorized, "invalid_client", "no_certificate")
			p.refusedBy(t, claiming(p.by(t, issued, mtlsHost, thief.tls()), value), http.StatusUnauthorized, "invalid_client", "certificate_untrusted")
			p.refusedBy(t, claiming(p.by(t, issued, "id.example.org"), value), http.StatusUnauthorized, "invalid_client", "no_certificate")
		}
	})
	t.Run("ORF-19 past the proxy it does not count", func(t *testing.T) {
		for _, value := range []string{mine.header(), asNginx(t, mine)} {
			p.refusedBy(t, claiming(p.past(t, issued, "127.0.0.3"), value), http.StatusUnauthorized, "invalid_client", "no_certificate")
		}
		if reply := claiming(p.past(t, issued, "127.0.0.1"), asNginx(t, mine)); reply.Status != http.StatusOK { // as nginx itself
			t.Errorf("%d %s", reply.Status, reply.Raw)
		}
	})
	t.Run("a certificate with a long key", func(t *testing.T) { p.longKey(t, c) })
	t.Run("an expired certificate", func(t *testing.T) {
		expired := newHolder(t, p.root, "orders", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
		if reply := p.by(t, issued, mtlsHost, expired.tls()).Send("/oauth/token", alone); reply.Status != http.StatusBadRequest || !strings.Contains(reply.Raw, "nginx") {
			t.Errorf("%d %s", reply.Status, reply.Raw)
		}
	})
	t.Run("one host's name in the other's connection", func(t *testing.T) {
		rp := p.by(t, issued, "id.example.org", mine.tls())
		r := rp.Request("/oauth/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {rp.ID}})
		r.Host = mtlsHost
		if reply := rp.Do(r); reply.Status != http.StatusMisdirectedRequest {
			t.Errorf("%d %s", reply.Status, reply.Raw)
		}
	})
	t.Run("people", p.people)
}

// asNginx is a certificate as nginx tells it.
func asNginx(t *testing.T, h *holder) string {
	cert, _ := h.pem(t)
	return url.PathEscape(string(cert))
}

// longKey: what nginx tells of a certificate of RSA with 4,096 bits is not too long.
func (p *proxied) longKey(t *testing.T, c *certified) {
	key, err := rsa.GenerateKey(rand.Reader, 4096)
	if err != nil {
		t.Fatal(err)
	}
	template := newHolder(t, p.root, "long", nil).Certificate
	der, err := x509.CreateCertificate(rand.Reader, template, p.root.Certificate, key.Public(), p.root.key)
	if err != nil {
		t.Fatal(err)
	}
	rp := c.worker(t, "longkey", map[string]any{"tls_client_auth_subject_dn": "CN=long,O=Example AB"})
	if reply := p.by(t, rp, mtlsHost, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}).Send("/oauth/token", alone); reply.Status != http.StatusOK {
		t.Errorf("%d %s", reply.Status, reply.Raw)
	}
}

// people sign in through nginx by https: cookies, addresses, forms, and answers that are long.
func (p *proxied) people(t *testing.T) {
	browser := func(from string) *Client {
		c := p.NewClient(t)
		c.http.Transport = p.nginx.Transport(t, from, p.server.Certificate)
		return c
	}
	c := browser("127.0.0.8")
	page := c.Get("/login")
	r := c.request(http.MethodPost, "/login", url.Values{"flow": {page.Field("flow")}, "next": {page.Field("next")}, "name": {"bob"}, "password": {Password}})
	r.Header.Set("X-Forwarded-For", "203.0.113.1") // what it says of itself does not count
	r.Header.Set("Origin", "https://id.example.org")
	if page = c.Do(r); page.Status != http.StatusOK || page.URL.Path != "/" {
		t.Fatalf("the sign-in rests at %s with %d:\n%s", page.URL, page.Status, page.Body)
	}
	if entry := p.Audit(t)[0]; entry.Kind != "signin" || entry.Address != "127.0.0.8" {
		t.Errorf("audit %+v", entry)
	}
	address, _ := url.Parse(p.URL)
	for _, cookie := range c.http.Jar.Cookies(address) {
		if !strings.HasPrefix(cookie.Name, "__Host-") {
			t.Errorf("a cookie is called %s", cookie.Name)
		}
	}
	rp := p.Client(t, "web", nil, map[string]string{"policy.consent": "never"})
	long := strings.Repeat("s", 6000)
	values := rp.Callback(rp.Visit(c, rp.Ask("state", long)))
	if values.Get("state") != long || values.Get("iss") != "https://id.example.org" {
		t.Errorf("a long state comes back as %v", values)
	}
	r = c.request(http.MethodPost, "/logout", nil)
	r.Header.Set("Origin", "https://evil.example")
	if page := c.Do(r); page.Status != http.StatusForbidden {
		t.Errorf("a form of another site: %d at %s", page.Status, page.URL)
	}
}

// TestNginxUnbelieved: without --client-cert-header what nginx tells is nobody's certificate.
func TestNginxUnbelieved(t *testing.T) {
	t.Parallel()
	p := newProxied(t, "--mtls-url", "", "--client-ca", "")
	c := &certified{world: p.world}
	rp := c.worker(t, "unbelieved", map[string]any{"tls_client_auth_subject_dn": "CN=orders,O=Example AB"})
	mine := newHolder(t, p.root, "orders", nil)
	t.Run("ORF-19 without --client-cert-header", func(t *testing.T) {
		p.refusedBy(t, p.by(t, rp, mtlsHost, mine.tls()).Send("/oauth/token", alone), http.StatusUnauthorized, "invalid_client", "certificates_off")
	})
}
