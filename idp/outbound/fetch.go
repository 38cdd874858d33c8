// Package outbound owns what Gatehouse sends to other servers: the one hardened HTTP client for addresses that people typed in or
// metadata brought, and the outbox of what must be sent once a change is committed.
//
// Nobody else makes requests to addresses from outside. A name is resolved first and judged by what it resolves to, so that
// nothing inside the network can be reached unless an operator allowed it. Read fetch.go, get.go
// for copies that are kept up to date, and outbox.go.
package outbound

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Bounds of a fetch.
const (
	MaxBytes = 1 << 20
	timeout  = 5 * time.Second
)

// Error says why something could not be had, in a sentence for the person who gave the address.
type Error struct {
	Text   string // what happened and what to do
	What   string // what happened, alone
	Err    error
	Status int // what the server answered, 0 when it did not answer
}

func (e *Error) Error() string { return e.Text }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Words are what the caller knows of an address, for the sentence about what to do.
type Words struct {
	Given string // what the person gave, who will check it: "the issuer"; empty: "the address"
	Else  string // what else that person can do: "upload the file"; empty: nothing
}

// UploadFile is for addresses whose content may come as a file too.
const UploadFile = "upload the file"

func (w Words) given() string { return cmp.Or(w.Given, "the address") }

// fault puts together what happened and what to do about it.
func (w Words) fault(err error, what, do string) *Error {
	if w.Else != "" {
		do += ", or " + w.Else
	}
	return &Error{Text: what + ": " + do + ".", What: what, Err: err}
}

// Client fetches. It uses no proxy, keeps no cookies and no connections, follows no redirect to another host and checks
// every address at the moment of connecting, so that a name cannot resolve differently between check and use.
type Client struct {
	allowed []netip.Prefix
	http    *http.Client
}

// NewFetcher makes a Client; allowed are the private networks that may be fetched from, over plain http too.
func NewFetcher(allowed []netip.Prefix) *Client {
	c := &Client{allowed: slices.Clone(allowed)}
	dialer := &net.Dialer{Timeout: timeout, ControlContext: c.control}
	c.http = &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			DialContext: dialer.DialContext, DisableKeepAlives: true, ForceAttemptHTTP2: true,
			TLSHandshakeTimeout: timeout, ResponseHeaderTimeout: timeout, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: sameOrigin,
	}
	return c
}

// Fetch returns the body at an address, of at most MaxBytes unless the Ask says otherwise. It is Get for what is small.
func (c *Client) Fetch(ctx context.Context, ask Ask) ([]byte, error) {
	ask.Most = cmp.Or(ask.Most, MaxBytes)
	var body bytes.Buffer
	_, err := c.Get(ctx, ask, &body)
	return body.Bytes(), err
}

// PostSOAP sends an envelope to an address and returns the one that comes back (saml-bindings-2.0-os, 3.2.3). Every error is
// an *Error.
func (c *Client) PostSOAP(ctx context.Context, address string, envelope []byte) ([]byte, error) {
	request, err := newRequest(ctx, http.MethodPost, address, bytes.NewReader(envelope))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "text/xml; charset=utf-8")
	request.Header.Set("SOAPAction", `"http://www.oasis-open.org/committees/security"`)
	response, err := c.http.Do(request)
	if err != nil {
		return nil, worded(request.URL, Words{}, err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, badStatus(request.URL, Words{}, response.StatusCode)
	}
	return readAll(request.URL, response.Body, Words{}, MaxBytes)
}

// PostForm sends a form to an address, which must take it itself: an answer of 200 or 204, not by way of a redirect that turned it
// into a GET. Every error is an *Error.
func (c *Client) PostForm(ctx context.Context, address string, form url.Values) error {
	request, err := newRequest(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := c.http.Do(request)
	if err != nil {
		return worded(request.URL, Words{}, err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.Request.Method != http.MethodPost || response.StatusCode != http.StatusOK && response.StatusCode != http.StatusNoContent {
		return badStatus(request.URL, Words{}, response.StatusCode)
	}
	return nil
}

const acceptMetadata = "application/samlmetadata+xml, application/xml;q=0.9, */*;q=0.5"

const notFetched = "This is not an address that can be fetched"

func newRequest(ctx context.Context, method, address string, body io.Reader) (*http.Request, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil {
		return nil, Words{}.fault(err, notFetched, "write it like https://app.example.org/path")
	}
	request, err := http.NewRequestWithContext(withPlain(ctx, u.Scheme == "http"), method, address, body)
	if err != nil {
		return nil, Words{}.fault(err, notFetched, "write it like https://app.example.org/path")
	}
	request.Header.Set("User-Agent", "Gatehouse")
	return request, nil
}

// readAll reads a body of at most so many bytes.
func readAll(u *url.URL, from io.Reader, words Words, most int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(from, most+1))
	switch {
	case err != nil:
		return nil, worded(u, words, err)
	case int64(len(body)) > most:
		return nil, tooMuch(u, words, most)
	}
	return body, nil
}

// plainKey marks the connections of plain http, which control cannot tell from others.
type plainKey struct{}

func withPlain(ctx context.Context, plain bool) context.Context {
	return context.WithValue(ctx, plainKey{}, plain)
}

var (
	errPrivate  = errors.New("the address lies in a private network")
	errPlain    = errors.New("plain http")
	errRedirect = errors.New("redirected to another server")
)

// control runs after resolving and before connecting, for every address tried.
func (c *Client) control(ctx context.Context, _, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	ip := target.Addr().Unmap().WithZone("")
	if slices.ContainsFunc(c.allowed, func(p netip.Prefix) bool { return p.Contains(ip) }) {
		return nil
	}
	if !public(ip) {
		return errPrivate
	}
	if plain, _ := ctx.Value(plainKey{}).(bool); plain {
		return errPlain
	}
	return nil
}

// public tells whether an address belongs to the public Internet. Addresses that carry an IPv4 address inside are judged
// by it where they could reach it (NAT64, 6to4).
func public(ip netip.Addr) bool {
	if !ip.IsGlobalUnicast() || ip.IsPrivate() {
		return false
	}
	return !slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// special are the ranges of the IANA special-purpose registries that IsGlobalUnicast and IsPrivate let through.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"),
	netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"),
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("fec0::/10"),
}

// sameOrigin follows at most three redirects, none to another origin.
func sameOrigin(request *http.Request, via []*http.Request) error {
	if len(via) > 3 || request.URL.Scheme != via[0].URL.Scheme || request.URL.Host != via[0].URL.Host {
		return errRedirect
	}
	return nil
}

// worded says what happened to an address of a server, and what to do.
func worded(u *url.URL, words Words, err error) *Error {
	var network net.Error
	switch {
	case errors.Is(err, errPrivate):
		return words.fault(err, u.Host+" lies in a private network, which Gatehouse does not fetch from", "start Gatehouse with --allow-fetch for that network")
	case errors.Is(err, errPlain):
		return words.fault(err, u.Host+" is fetched without encryption, so anybody on the way could change it", "use https")
	case errors.Is(err, errRedirect):
		return words.fault(err, u.Host+" redirects to another server", "give "+words.given()+" that it redirects to")
	case errors.As(err, &network) && network.Timeout():
		return words.fault(err, u.Host+" did not answer within 5 seconds", "try again")
	}
	return words.fault(err, u.Host+" could not be reached", "check "+words.given())
}
