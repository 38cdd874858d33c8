package idptest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"gatehouse/idp/api"
	"gatehouse/sp"
)

// TestMTLS is RFC 8705, over real connections.
func TestMTLS(t *testing.T) {
	t.Parallel()
	c := newCertified(t)
	for name, run := range map[string]func(*testing.T){
		"ORF-19 a certificate of an authority":        c.issued,
		"ORF-19 each name that a certificate can say": c.names,
		"ORF-19 a self-signed certificate":            c.selfSigned,
		"ORF-19 a header counts from the proxy alone": c.header,
		"ORF-19 tokens bound to a certificate":        c.bound,
		"ORF-19 bound tokens at our own API":          c.boundAPI,
		"ORF-19 what is published and registered":     c.published,
		"a client that nobody approved":               c.strangers,
		"a client that nobody here wrote":             c.foreign,
		"pages ask for no certificate":                c.pages,
	} {
		t.Run(name, run)
	}
}

func (c *certified) issued(t *testing.T) {
	rp := c.worker(t, "issued", map[string]any{"tls_client_auth_subject_dn": "CN=orders, O=Example AB"})
	good := newHolder(t, c.root, "orders", nil)
	if reply := c.with(t, rp, good).Send("/oauth/token", alone); reply.Status != http.StatusOK || reply.Text("token_type") != "Bearer" {
		t.Fatalf("%d %s", reply.Status, reply.Raw)
	}
	stranger := newHolder(t, nil, "Clients of Example", authority)
	between := newHolder(t, c.root, "between", authority)
	for _, bad := range []struct {
		holder *holder
		reason string
	}{
		{nil, "no_certificate"},
		{newHolder(t, c.root, "invoices", nil), "certificate_of_other_client"},
		{newHolder(t, stranger, "orders", nil), "certificate_untrusted"},
		{newHolder(t, nil, "orders", nil), "certificate_untrusted"},
		{newHolder(t, between, "orders", nil), "certificate_untrusted"}, // what links it is not sent
		{newHolder(t, good, "orders", nil), "certificate_untrusted"},    // a client is no authority
		{newHolder(t, c.root, "orders", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), "certificate_untrusted"},
		{newHolder(t, c.root, "orders", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), "certificate_expired"},
		{newHolder(t, c.root, "orders", func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }), "certificate_expired"},
	} {
		c.refusedBy(t, c.with(t, rp, bad.holder).Send("/oauth/token", alone), http.StatusUnauthorized, "invalid_client", bad.reason)
	}
	other := c.worker(t, "issuedother", map[string]any{"tls_client_auth_subject_dn": "CN=invoices, O=Example AB"})
	c.refusedBy(t, c.with(t, other, good).Send("/oauth/token", alone), http.StatusUnauthorized, "invalid_client", "certificate_of_other_client")
	mixed := c.with(t, rp, good)
	mixed.Secret = "guessed"
	c.refusedBy(t, mixed.Send("/oauth/token", alone), http.StatusUnauthorized, "invalid_client", "wrong_auth_method")
	// A chain that the client sends with its certificate counts.
	chained := c.with(t, rp, nil)
	linked := newHolder(t, between, "orders", nil)
	chained.http.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{{Certificate: [][]byte{linked.Raw, between.Raw}, PrivateKey: linked.key}}
	if reply := chained.Send("/oauth/token", alone); reply.Status != http.StatusOK {
		t.Errorf("%d %s", reply.Status, reply.Raw)
	}
}

// names: the certificate of one app says all of them, that of the other none.
func (c *certified) names(t *testing.T) {
	name, err := url.Parse("spiffe://example.org/orders")
	if err != nil {
		t.Fatal(err)
	}
	good := newHolder(t, c.root, "names", func(cert *x509.Certificate) {
		cert.DNSNames, cert.URIs, cert.EmailAddresses, cert.IPAddresses = []string{"orders.example.org"}, []*url.URL{name}, []string{"orders@example.org"}, []net.IP{net.ParseIP("2001:db8::7")}
	})
	other := newHolder(t, c.root, "names", func(cert *x509.Certificate) { cert.DNSNames = []string{"orders.example.org.evil.example"} })
	for key, value := range map[string]string{"san_dns": "orders.example.org", "san_uri": name.String(), "san_email": "orders@example.org", "san_ip": "2001:db8:0::7"} {
		rp := c.worker(t, "names-"+key[4:], map[string]any{"tls_client_auth_" + key: value})
		if reply := c.with(t, rp, good).Send("/oauth/token", alone); reply.Status != http.StatusOK {
			t.Errorf("%s: %d %s", key, reply.Status, reply.Raw)
		}
		c.refusedBy(t, c.with(t, rp, other).Send("/oauth/token", alone), http.StatusUnauthorized, "invalid_client", "certificate_of_other_client")
	}
}

func (c *certified) selfSigned(t *testing.T) {
	good, next := newHolder(t, nil, "self", nil), newHolder(t, nil, "self", nil)
	rp := c.worker(t, "selfsigned", map[string]any{"token_endpoint_auth_method": "self_signed_tls_client_auth", "jwks": good.jwks(t)})
	if reply := c.with(t, rp, good).Send("/oauth/token", alone); reply.Status != http.StatusOK {
		t.Fatalf("%d %s", reply.Status, reply.Raw)
	}
	for _, bad := range []struct {
		holder *holder
		reason string
	}{
		{nil, "no_certificate"}, {next, "certificate_of_other_client"}, {newHolder(t, c.root, "self", nil), "certificate_of_other_client"},
	} {
		c.refusedBy(t, c.with(t, rp, bad.holder).Send("/oauth/token", alone), http.StatusUnauthorized, "invalid_client", bad.reason)
	}
	expired := newHolder(t, nil, "self", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	late := c.worker(t, "selfexpired", map[string]any{"token_endpoint_auth_method": "self_signed_tls_client_auth", "jwks": expired.jwks(t)})
	c.refusedBy(t, c.with(t, late, expired).Send("/oauth/token", alone), http.StatusUnauthorized, "invalid_client", "certificate_expired")

	// Published at an address, a new certificate counts as soon as the address may be asked again.
	var published atomic.Pointer[holder]
	published.Store(good)
	keys := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(out).Encode(published.Load().jwks(t))
	}))
	defer keys.Close()
	far := c.worker(t, "selffar", map[string]any{"token_endpoint_auth_method": "self_signed_tls_client_auth", "jwks_uri": keys.URL + "/keys"})
	if reply := c.with(t, far, good).Send("/oauth/token", alone); reply.Status != http.StatusOK {
		t.Fatalf("%d %s", reply.Status, reply.Raw)
	}
	published.Store(next)
	c.refusedBy(t, c.with(t, far, next).Send("/oauth/token", alone), http.StatusUnauthorized, "invalid_client", "certificate_of_other_client")
	c.clock.advance(2 * time.Minute)
	if reply := c.with(t, far, next).Send("/oauth/token", alone); reply.Status != http.StatusOK {
		t.Errorf("%d %s", reply.Status, reply.Raw)
	}
	c.refusedBy(t, c.with(t, far, good).Send("/oauth/token", alone), http.StatusUnauthorized, "invalid_client", "certificate_of_other_client")
}

// header: what a stranger writes there is not even read.
func (c *certified) header(t *testing.T) {
	rp := c.worker(t, "header", map[string]any{"tls_client_auth_subject_dn": "CN=header, O=Example AB"})
	good := newHolder(t, c.root, "header", nil)
	if reply := c.behind(rp, good.header()).Send("/oauth/token", alone); reply.Status != http.StatusOK {
		t.Fatalf("%d %s", reply.Status, reply.Raw)
	}
	for _, values := range [][]string{nil, {}, {""}, {"junk"}, {good.header()[:60]}, {good.header(), good.header()}} {
		c.refusedBy(t, c.behind(rp, values...).Send("/oauth/token", alone), http.StatusUnauthorized, "invalid_client", "no_certificate")
	}
	for _, server := range []*RP{rp, c.with(t, rp, nil)} {
		r := server.Request("/oauth/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {rp.ID}})
		r.Header.Set("Client-Cert", good.header())
		c.refusedBy(t, server.Do(r), http.StatusUnauthorized, "invalid_client", "no_certificate")
	}
	thief := c.with(t, rp, newHolder(t, nil, "thief", nil))
	r := thief.Request("/oauth/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {rp.ID}})
	r.Header.Set("Client-Cert", good.header())
	c.refusedBy(t, thief.Do(r), http.StatusUnauthorized, "invalid_client", "certificate_untrusted")
}

func (c *certified) bound(t *testing.T) {
	mine, thief := newHolder(t, nil, "mine", nil), newHolder(t, nil, "thief", nil)
	rp := c.Client(t, "certbound", map[string]any{"token_endpoint_auth_method": "none", "tls_client_certificate_bound_access_tokens": true}, map[string]string{"policy.consent": "never"})
	gateway := c.Client(t, "certgateway", nil, map[string]string{"oauth.introspect": "all"})
	form := c.codeForm(t, rp, "scope", "openid offline_access")
	c.refusedBy(t, rp.Send("/oauth/token", form), http.StatusBadRequest, "invalid_request", "no_certificate")
	reply := c.with(t, rp, mine).Send("/oauth/token", form)
	if reply.Status != http.StatusOK || reply.Text("token_type") != "Bearer" {
		t.Fatalf("%d %s", reply.Status, reply.Raw)
	}
	access := reply.Text("access_token")
	if reply := c.with(t, rp, mine).UserInfo(access); reply.Status != http.StatusOK {
		t.Errorf("%d %s", reply.Status, reply.Raw)
	}
	for name, other := range map[string]*RP{"no TLS": rp, "no certificate": c.with(t, rp, nil), "another": c.with(t, rp, thief)} {
		t.Log(name)
		c.refusedBy(t, other.UserInfo(access), http.StatusUnauthorized, "invalid_token", "other_certificate")
	}
	inspected := gateway.Introspect(access)
	if cnf, _ := inspected.JSON["cnf"].(map[string]any); inspected.Text("token_type") != "Bearer" || cnf["x5t#S256"] != mine.thumb() || len(cnf) != 1 {
		t.Errorf("%s", inspected.Raw)
	}
	refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {reply.Text("refresh_token")}}
	c.refusedBy(t, c.with(t, rp, thief).Send("/oauth/token", refresh), http.StatusBadRequest, "invalid_grant", "other_certificate")
	c.setClient(t, rp, "oauth.tls_client_certificate_bound_access_tokens", "false")
	c.refusedBy(t, rp.Send("/oauth/token", refresh), http.StatusBadRequest, "invalid_grant", "other_certificate")
	c.setClient(t, rp, "oauth.tls_client_certificate_bound_access_tokens", "true")
	c.setClient(t, rp, "oauth.access_token_format", "jwt")
	next := c.with(t, rp, mine).Send("/oauth/token", refresh)
	_, claims := rp.Claims(next.Text("access_token"))
	if cnf, _ := claims["cnf"].(map[string]any); cnf["x5t#S256"] != mine.thumb() {
		t.Errorf("%v", claims)
	}
	c.setClient(t, rp, "oauth.access_token_format", "opaque")
	// A client that merely showed a certificate has a bearer token, unless it asked for more.
	plain := c.Client(t, "certplain", map[string]any{"token_endpoint_auth_method": "none"}, map[string]string{"policy.consent": "never"})
	loose := c.with(t, plain, mine).Send("/oauth/token", c.codeForm(t, plain)).Text("access_token")
	if reply := plain.UserInfo(loose); reply.Status != http.StatusOK {
		t.Errorf("%d %s", reply.Status, reply.Raw)
	}
	c.boundExchange(t, mine, thief)
}

// boundExchange: a bound token is exchanged by whoever has its certificate.
func (c *certified) boundExchange(t *testing.T, mine, thief *holder) {
	t.Helper()
	rp := c.worker(t, "certexchange", map[string]any{
		"token_endpoint_auth_method": "self_signed_tls_client_auth", "jwks": mine.jwks(t), "tls_client_certificate_bound_access_tokens": true,
		"grant_types": []string{"client_credentials", sp.GrantTokenExchange},
	})
	token := c.with(t, rp, mine).Send("/oauth/token", alone).Text("access_token")
	form := url.Values{"grant_type": {sp.GrantTokenExchange}, "subject_token": {token}, "subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"}}
	all := c.Client(t, "certall", map[string]any{"grant_types": []string{sp.GrantTokenExchange}, "redirect_uris": []string{}, "scope": "orders.read"}, map[string]string{"oauth.introspect": "all"})
	c.refusedBy(t, c.with(t, all, thief).Send("/oauth/token", form), http.StatusBadRequest, "invalid_grant", "other_certificate")
	if reply := c.with(t, rp, mine).Send("/oauth/token", form); reply.Status != http.StatusOK {
		t.Errorf("%d %s", reply.Status, reply.Raw)
	}
	// An app whose own tokens are bound to nothing must not turn it into a bearer token.
	other := c.with(t, all, mine).Send("/oauth/token", form)
	if cnf, _ := all.Introspect(other.Text("access_token")).JSON["cnf"].(map[string]any); cnf["x5t#S256"] != mine.thumb() {
		t.Errorf("%s is bound to %v", other.Raw, cnf)
	}
}

// boundAPI: at our own API and SCIM a bound token is good with its certificate alone.
func (c *certified) boundAPI(t *testing.T) {
	mine, thief := newHolder(t, nil, "mine", nil), newHolder(t, nil, "thief", nil)
	c.AddPerson(t, "olga", "Employees", func(n *api.NewUser) { n.Roles = []string{"owner"} })
	rp := c.worker(t, "certapi", map[string]any{
		"token_endpoint_auth_method": "self_signed_tls_client_auth", "jwks": mine.jwks(t), "tls_client_certificate_bound_access_tokens": true, "scope": "directory.read",
	})
	c.setClient(t, rp, "oauth.run_as", "olga")
	token := c.with(t, rp, mine).Send("/oauth/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"directory.read"}}).Text("access_token")
	for _, path := range []string{"/api/v1/users", "/scim/v2/Users"} {
		if reply := c.with(t, rp, mine).Call("GET", path, token, ""); reply.Status != http.StatusOK {
			t.Errorf("%s: %d %s", path, reply.Status, reply.Raw)
		}
		for name, other := range map[string]*RP{"no TLS": rp, "no certificate": c.with(t, rp, nil), "another": c.with(t, rp, thief)} {
			if reply := other.Call("GET", path, token, ""); reply.Status != http.StatusUnauthorized || !strings.Contains(reply.Header.Get("WWW-Authenticate"), "invalid_token") {
				t.Errorf("%s with %s: %d %s", path, name, reply.Status, reply.Raw)
			}
		}
	}
}

func (c *certified) published(t *testing.T) {
	response, err := http.Get(c.URL + "/.well-known/openid-configuration")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var m struct {
		Methods []string          `json:"token_endpoint_auth_methods_supported"`
		Bound   bool              `json:"tls_client_certificate_bound_access_tokens"`
		Aliases map[string]string `json:"mtls_endpoint_aliases"`
	}
	if err := json.NewDecoder(response.Body).Decode(&m); err != nil {
		t.Fatal(err)
	}
	if !m.Bound || !slices.Contains(m.Methods, "tls_client_auth") || !slices.Contains(m.Methods, "self_signed_tls_client_auth") || m.Aliases["token_endpoint"] != c.MTLS+"/oauth/token" || len(m.Aliases) != 6 {
		t.Errorf("%+v", m)
	}
	for name, address := range m.Aliases { // each is there: it says what is wrong, not that nothing is here
		response, err := c.http(t, nil).Post(address, "application/x-www-form-urlencoded", nil)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusBadRequest && response.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s answers %d", name, response.StatusCode)
		}
	}
	gateway := c.gateway(t, "mtlsgw", nil)
	answer := gateway.register(map[string]any{"client_name": "mtlschild", "token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "child.example.org", "tls_client_certificate_bound_access_tokens": true, "redirect_uris": []string{"https://child.example.org/cb"}})
	if answer.Status != http.StatusCreated || answer.Text("tls_client_auth_san_dns") != "child.example.org" || answer.JSON["tls_client_certificate_bound_access_tokens"] != true || answer.JSON["client_secret"] != nil {
		t.Errorf("%d %s", answer.Status, answer.Raw)
	}
	c.refusedBy(t, gateway.register(map[string]any{"client_name": "mtlsnobody", "token_endpoint_auth_method": "tls_client_auth", "redirect_uris": []string{"https://child.example.org/cb"}}), http.StatusBadRequest, "invalid_client_metadata", "bad_metadata")
}

// foreign is golang.org/x/oauth2 with a certificate.
func (c *certified) foreign(t *testing.T) {
	rp := c.worker(t, "foreignmtls", map[string]any{"tls_client_auth_san_dns": "foreign.example.org"})
	good := newHolder(t, c.root, "foreign", func(c *x509.Certificate) { c.DNSNames = []string{"foreign.example.org"} })
	config := clientcredentials.Config{ClientID: rp.ID, TokenURL: c.MTLS + "/oauth/token", AuthStyle: oauth2.AuthStyleInParams, Scopes: []string{"orders.read"}}
	token, err := config.Token(context.WithValue(t.Context(), oauth2.HTTPClient, c.http(t, good)))
	if err != nil || token.Type() != "Bearer" {
		t.Fatal(err)
	}
}

// pages: nothing that browsers open is where certificates are asked for, and the other way around.
func (c *certified) pages(t *testing.T) {
	for _, path := range []string{"/", "/login", "/oauth/authorize", "/saml/sso", "/admin/", "/device", "/oauth/register"} {
		response, err := c.http(t, nil).Get(c.MTLS + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusNotFound && response.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s answers %d", path, response.StatusCode)
		}
	}
}

// strangers: a client that nobody approved says where its certificate is, and nothing is fetched from there.
func (c *certified) strangers(t *testing.T) {
	c.organisation(t, "oauth.open_registration", "true")
	defer c.organisation(t, "oauth.open_registration", "false")
	mine, fetched := newHolder(t, nil, "stranger", nil), atomic.Int32{}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetched.Add(1)
		_ = json.NewEncoder(w).Encode(mine.jwks(t))
	}))
	defer server.Close()
	answer := c.rest(t, http.MethodPost, c.URL+"/oauth/register", "", map[string]any{"token_endpoint_auth_method": "self_signed_tls_client_auth", "jwks_uri": server.URL, "redirect_uris": []string{"https://stranger.example/cb"}}, nil)
	rp := &RP{ID: answer.Text("client_id"), t: t, server: c.Server}
	c.refusedBy(t, c.with(t, rp, mine).Send("/oauth/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {rp.ID}}), http.StatusUnauthorized, "invalid_client", "app_not_active")
	if n := fetched.Load(); n != 0 {
		t.Errorf("fetched %d times", n)
	}
}

// TestNoMTLS: where certificates cannot be shown, nobody is known by one, whatever is in a header.
func TestNoMTLS(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := &certified{world: w}
	rp := c.worker(t, "nomtls", map[string]any{"tls_client_auth_san_dns": "orders.example.org"})
	good := newHolder(t, nil, "orders", func(c *x509.Certificate) { c.DNSNames = []string{"orders.example.org"} })
	r := rp.Request("/oauth/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {rp.ID}})
	r.Header.Set("Client-Cert", good.header())
	w.refusedBy(t, rp.Do(r), http.StatusUnauthorized, "invalid_client", "certificates_off")
	gateway := w.gateway(t, "nomtlsgw", nil)
	w.refusedBy(t, gateway.register(map[string]any{"client_name": "nomtlschild", "token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "a.example", "redirect_uris": []string{"https://child.example.org/cb"}}), http.StatusBadRequest, "invalid_client_metadata", "certificates_off")
}
