package web

import (
	"crypto/rand"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

type infoKey struct{}

// Info is what the kit knows about a request; it travels in the context and holds no dependencies.
type Info struct {
	ID      string     // random, in the log line and on error pages
	Address netip.Addr // of the browser, see ClientAddress
	Start   time.Time
	Actor   Actor // who acts, once Kit.Guard has found out
	nonce   string

	Certificates []*x509.Certificate // of the client, see ClientCertificates
}

// Actor is who a request acts for: a person, also one for whom an app acts with a token, or a token that is nobody's.
type Actor struct {
	ID          string // user id, "uid N" on the unix socket, or the id of an API token
	Name        string
	DisplayName string
	Email       string
	Roles       []string
	Session     string   // the session's record id; empty on the socket and of tokens
	Scopes      []string // of a token; an API token has no roles
	App         string   // id of the app that acts for the person with an access token; empty: none does
	Grant       string   // id of what that token came of
}

// Sign adds to the facts of an audit entry which app acts for the actor, and by what; where none does they stay as they are.
func (a *Actor) Sign(facts map[string]string) map[string]string {
	if a.App == "" {
		return facts
	}
	if facts == nil {
		facts = make(map[string]string, 2)
	}
	facts["by_app"], facts["by_grant"] = a.App, a.Grant
	return facts
}

// Of returns the request's Info; a request that did not come through Kit.Wrap gets an empty one.
func Of(r *http.Request) *Info {
	if info, ok := r.Context().Value(infoKey{}).(*Info); ok {
		return info
	}
	return &Info{ID: "none"}
}

// Nonce is the request's Content-Security-Policy nonce, made at first use: 128 random bits.
func (i *Info) Nonce() string {
	if i.nonce == "" {
		i.nonce = rand.Text()
	}
	return i.nonce
}

// AddressText is the address in words for records, empty on the unix socket.
func (i *Info) AddressText() string {
	if !i.Address.IsValid() {
		return ""
	}
	return i.Address.String()
}

func (k *Kit) newInfo(r *http.Request) *Info {
	return &Info{
		ID: rand.Text()[:12], Start: k.Now(), Address: ClientAddress(r, k.Proxies), Certificates: ClientCertificates(r, k.Proxies, k.CertificateHeader),
	}
}

// ClientAddress is the address of the socket, unless that is a trusted proxy: then the right-most entry of
// X-Forwarded-For that is not itself a trusted proxy. A malformed entry ends the walk at the proxy before it.
func ClientAddress(r *http.Request, proxies []netip.Prefix) netip.Addr {
	address := peer(r)
	if !contains(proxies, address) {
		return address
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		next, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			return address
		}
		if address = next.Unmap().WithZone(""); !contains(proxies, address) {
			return address
		}
	}
	return address
}

// peer is the address of the socket; the zero value of a unix socket, which has none.
func peer(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	return address.Unmap().WithZone("")
}

func contains(prefixes []netip.Prefix, address netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(address) })
}

// ParseForm reads a posted form into r.PostForm. One that cannot be read whole is refused, because a part of it could mean something else.
func ParseForm(r *http.Request) error {
	err := r.ParseForm()
	if err == nil || Incomplete(err) {
		return err
	}
	return &Error{Status: http.StatusBadRequest, Reason: "bad_form", Text: "What was sent cannot be read as a form. Go back, reload the page and send it again.", Err: err}
}
