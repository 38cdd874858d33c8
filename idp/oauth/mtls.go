package oauth

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"slices"

	"github.com/go-jose/go-jose/v4"

	"gatehouse/idp/web"
	"gatehouse/sp"
)

// MTLS is how clients show certificates (RFC 8705). The zero value: they cannot.
type MTLS struct {
	On          bool
	URL         string         // public origin of the endpoints that ask for a certificate; empty: those of BaseURL do
	Authorities *x509.CertPool // whose certificates count for tls_client_auth; nil: nobody's
}

// methods are the ways of client authentication that this adds.
func (m *MTLS) methods() []string {
	switch {
	case !m.On:
		return nil
	case m.Authorities == nil:
		return []string{sp.AuthSelfSignedTLS}
	}
	return []string{sp.AuthTLS, sp.AuthSelfSignedTLS}
}

// aliases are the endpoints that clients with certificates use instead (RFC 8705, section 5).
type aliases struct {
	Token          string `json:"token_endpoint"`
	UserInfo       string `json:"userinfo_endpoint"`
	Introspection  string `json:"introspection_endpoint"`
	Revocation     string `json:"revocation_endpoint"`
	Device         string `json:"device_authorization_endpoint"`
	PushedRequests string `json:"pushed_authorization_request_endpoint"`
}

func (m *MTLS) aliases() *aliases {
	if !m.On || m.URL == "" {
		return nil
	}
	return &aliases{
		Token: m.URL + tokenPath, UserInfo: m.URL + userinfoPath, Introspection: m.URL + introspectPath, Revocation: m.URL + revokePath,
		Device: m.URL + devicePath, PushedRequests: m.URL + parPath,
	}
}

// ForCertificates tells whether a path is one of those endpoints.
func ForCertificates(path string) bool {
	return slices.Contains([]string{tokenPath, userinfoPath, introspectPath, revokePath, devicePath, parPath}, path)
}

// addresses are the public ones of a path: the client may have used either.
func (h *Handlers) addresses(path string) []string {
	if h.MTLS.URL == "" || !ForCertificates(path) {
		return []string{h.BaseURL + path}
	}
	return []string{h.BaseURL + path, h.MTLS.URL + path}
}

// certificateOf is the certificate of a request as tokens are bound to it (RFC 8705, 3.1): its SHA-256; empty: it shows none.
func certificateOf(r *http.Request) string {
	chain := web.Of(r).Certificates
	if len(chain) == 0 {
		return ""
	}
	sum := sha256.Sum256(chain[0].Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func badCertificate(reason, text string) *Problem {
	return refuse(codeInvalidClient, reason, text)
}

// checkCertificate holds a client's certificate against its registration (RFC 8705, 2.1 and 2.2). It must not be called inside a
// transaction.
func (h *Handlers) checkCertificate(r *http.Request, app *sp.App) *Problem {
	chain, problem := web.Of(r).Certificates, (*Problem)(nil)
	switch {
	case !slices.Contains(h.MTLS.methods(), app.Definition.OAuth.Method()):
		problem = badCertificate("certificates_off", "This way to prove a client is not offered here: see token_endpoint_auth_methods_supported of the discovery document.").because("serve --mtls-listen or --client-cert-header, and --client-ca for tls_client_auth", "")
	case len(chain) == 0:
		problem = badCertificate("no_certificate", "No client certificate came with the request: use the mtls_endpoint_aliases of the discovery document.").because("a certificate", "")
	case h.Now().Before(chain[0].NotBefore), h.Now().After(chain[0].NotAfter):
		problem = badCertificate("certificate_expired", "The client certificate has expired, or is not good yet.").because(chain[0].NotBefore.UTC().String()+" to "+chain[0].NotAfter.UTC().String(), chain[0].Subject.String())
	case app.Definition.OAuth.Method() == sp.AuthTLS:
		problem = h.checkIssued(chain, app.Definition.OAuth)
	default:
		problem = h.checkSelfSigned(r.Context(), chain[0], app)
	}
	if problem != nil {
		problem.Status, problem.Challenge = http.StatusUnauthorized, basicChallenge
	}
	return problem
}

// checkIssued is tls_client_auth: an authority of ours vouches for who the certificate says the client is.
func (h *Handlers) checkIssued(chain []*x509.Certificate, client *sp.OAuth) *Problem {
	between := x509.NewCertPool()
	for _, one := range chain[1:] {
		between.AddCert(one)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: h.MTLS.Authorities, Intermediates: between, CurrentTime: h.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return badCertificate("certificate_untrusted", "The client certificate is not by an authority that counts here, or not for clients.").because("a certificate by an authority of serve --client-ca", chain[0].Issuer.String()+": "+err.Error())
	}
	if !client.TLSSubject.Is(chain[0]) {
		return badCertificate("certificate_of_other_client", "The client certificate is another client's than this.").because(client.TLSSubject.String(), chain[0].Subject.String())
	}
	return nil
}

// checkSelfSigned is self_signed_tls_client_auth: the certificate is one of the client's keys. A client that publishes a new one is
// believed at once, as far as its address may be asked.
func (h *Handlers) checkSelfSigned(ctx context.Context, cert *x509.Certificate, app *sp.App) *Problem {
	is := func(key *jose.JSONWebKey) bool {
		return len(key.Certificates) > 0 && key.Certificates[0].Equal(cert) && strong(key.Key)
	}
	keys, problem := h.keysOf(ctx, app, is)
	switch {
	case problem != nil:
		problem.Code = codeInvalidClient
		return problem
	case slices.ContainsFunc(keys, func(key jose.JSONWebKey) bool { return is(&key) }):
		return nil
	}
	return badCertificate("certificate_of_other_client", "The client certificate is none that this client has registered (x5c in its keys).").because("a certificate of the app's keys", cert.Subject.String())
}
