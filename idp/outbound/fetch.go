// Package outbound owns what Gatehouse sends to other servers: the one hardened HTTP client for addresses that people typed in or
// metadata brought, and the outbox of what must be sent once a change is committed.
//
// Nobody else makes requests to addresses from outside. A name is resolved first and judged by what it resolves to, so that
// nothing inside the network can be reached unless an operator allowed it. Read fetch.go, get.go
// for copies that are kept up to date, and outbox.go.
package outbound

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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

// Error says why something could not be fetched, in a sentence for the person who gave the address.
type Error struct {
	Text   string
	Err    error
	Status int // what the server answered, 0 when it did not answer
}

func (e *Error) Error() string { return e.Text }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

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

// Fetch returns the body at an address: https, or http where the operator allowed the network. Every error is an *Error.
func (c *Client) Fetch(ctx context.Context, address string) ([]byte, error) {
	request, err := newRequest(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", acceptMetadata)
	return c.do(request)
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
	return c.do(request)
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
		return worded(request.URL, err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.Request.Method != http.MethodPost || response.StatusCode != http.StatusOK && response.StatusCode != http.StatusNoContent {
		return badStatus(request.URL, response.StatusCode)
	}
	return nil
}

const acceptMetadata = "application/samlmetadata+xml, application/xml;q=0.9, */*;q=0.5"

func newRequest(ctx context.Context, method, address string, body io.Reader) (*http.Request, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil {
		return nil, &Error{Text: "This is not an address that can be fetched: write it like https://app.example.org/metadata."}
	}
	request, err := http.NewRequestWithContext(withPlain(ctx, u.Scheme == "http"), method, address, body)
	if err != nil {
		return nil, &Error{Text: "This is not an address that can be fetched: write it like https://app.example.org/metadata.", Err: err}
	}
	request.Header.Set("User-Agent", "Gatehouse")
	return request, nil
}

func (c *Client) do(request *http.Request) ([]byte, error) {
	response, err := c.http.Do(request)
	if err != nil {
		return nil, worded(request.URL, err)
	}
	defer func() { _ = response.Body.Close() }()
	return read(request.URL, response)
}

func read(u *url.URL, response *http.Response) ([]byte, error) {
	if response.StatusCode != http.StatusOK {
		return nil, badStatus(u, response.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, MaxBytes+1))
	if err != nil {
		return nil, worded(u, err)
	}
	if len(body) > MaxBytes {
		return nil, &Error{Text: fmt.Sprintf("%s sent more than 1 MiB: give the address of this one app's metadata.", u.Host)}
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

func worded(u *url.URL, err error) *Error {
	e := &Error{Err: err}
	var network net.Error
	switch {
	case errors.Is(err, errPrivate):
		e.Text = fmt.Sprintf("%s lies in a private network, which Gatehouse does not fetch from: upload the file, or start Gatehouse with --allow-fetch for that network.", u.Host)
	case errors.Is(err, errPlain):
		e.Text = fmt.Sprintf("%s is fetched without encryption, so anybody on the way could change it: use https, or upload the file.", u.Host)
	case errors.Is(err, errRedirect):
		e.Text = fmt.Sprintf("%s redirects to another server: give the address that it redirects to, or upload the file.", u.Host)
	case errors.As(err, &network) && network.Timeout():
		e.Text = fmt.Sprintf("%s did not answer within 5 seconds: try again, or upload the file.", u.Host)
	default:
		e.Text = fmt.Sprintf("%s could not be reached: check the address, or upload the file.", u.Host)
	}
	return e
}
