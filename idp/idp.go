// Package idp is the server: it wires the packages below it into one readable list of handlers, listeners and background
// jobs.
//
// It decides nothing itself and knows no database: the caller opens the store and the key files. Read idp.go for Config and
// New, mount.go for the routes and who may pass, run.go for listeners and jobs.
package idp

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"gatehouse/certs"
	"gatehouse/idp/oauth"
	"gatehouse/store"
)

// Config is everything that a server needs to be told. Store, Sealer, BaseURL and Listener are required.
type Config struct {
	BaseURL  string // public origin, without a path: https://id.example.org
	Listener net.Listener
	TLSCert  string // files; empty: plain http, for loopback or behind a proxy
	TLSKey   string
	Private  net.Listener // health and profiles; nil: off
	Socket   net.Listener // the administrator's unix socket; nil: off
	Store    store.Store
	Sealer   *certs.Sealer
	Proxies  []netip.Prefix // whose X-Forwarded-For is believed
	Fetch    []netip.Prefix // private addresses that metadata may be fetched from, over plain http too
	MTLS     MTLS           // how clients show certificates
	Breached string         // file of passwords that nobody may choose, see directory.OpenBreached; empty: none
	Node     string         // names this node in the audit; empty: "main"
	Log      *slog.Logger   // nil: discarded
	Now      func() time.Time
}

// MTLS is how clients of OAuth show certificates (RFC 8705); the zero value: they cannot. Browsers are asked for none.
type MTLS struct {
	Listener    net.Listener // asks for client certificates; nil: off
	TLSCert     string       // files of the listener's own certificate
	TLSKey      string
	URL         string         // public origin of the endpoints there, or of those where a proxy asks; empty: the base URL
	Header      string         // in which Proxies tell the certificate of their client; empty: they do not
	Authorities *x509.CertPool // whose certificates count for tls_client_auth; nil: it is off
}

func (m *MTLS) on() bool { return m.Listener != nil || m.Header != "" }

// clients is what the endpoints of clients need to know.
func (m *MTLS) clients() oauth.MTLS {
	return oauth.MTLS{On: m.on(), URL: m.URL, Authorities: m.Authorities}
}

// check refuses what would take a stranger's word, or could not work.
func (m *MTLS) check(c *Config) error {
	switch {
	case m.Listener != nil && m.TLSCert == "":
		return errors.New("a listener that asks for client certificates speaks TLS: give it a certificate and a key")
	case m.Header != "" && len(c.Proxies) == 0:
		return errors.New("a header with client certificates counts from a trusted proxy alone: name its addresses")
	case !m.on() && (m.Authorities != nil || m.URL != ""):
		return errors.New("authorities and an address for client certificates need a way for certificates to come in: a listener, or the header of a trusted proxy")
	case m.URL == "":
		return nil
	}
	m.URL = strings.TrimSuffix(m.URL, "/")
	if !strings.HasPrefix(m.URL, "https://") {
		return fmt.Errorf("the address %q for client certificates must begin with https://", m.URL)
	}
	return CheckBaseURL(m.URL)
}

// check fills the optional fields and refuses what cannot work, in a sentence that says what to do.
func (c *Config) check() error {
	if c.Store == nil || c.Sealer == nil || c.Listener == nil {
		return errors.New("idp: Config needs Store, Sealer and Listener")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Node == "" {
		c.Node = "main"
	}
	c.BaseURL = strings.TrimSuffix(c.BaseURL, "/")
	if err := c.MTLS.check(c); err != nil {
		return err
	}
	return CheckBaseURL(c.BaseURL)
}

// CheckBaseURL refuses a base URL that browsers or apps could not use safely: it must be an https origin, or http on a
// loopback host.
func CheckBaseURL(base string) error {
	u, err := url.Parse(base)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("the base URL %q is no URL: give the address people open, such as https://id.example.org", base)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "":
		return fmt.Errorf("the base URL %q must be an origin alone: leave out everything behind the host", base)
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return fmt.Errorf("the base URL %q is plain http for a host that is not loopback: use https", base)
	}
	return nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}

// New wires a server. It prepares the store (schema versions, built-in apps, first signing key) and changes nothing else.
func New(ctx context.Context, config Config) (*Server, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	s := &Server{config: config}
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	return s, s.wire(ctx)
}

// SetUpLink is the one-time link by which the first owner comes to be, and until when it works; empty once there is an owner. Each
// call makes the link of the one before useless.
func (s *Server) SetUpLink(ctx context.Context) (address string, expires time.Time, err error) {
	return s.desk.SetUpLink(ctx)
}
