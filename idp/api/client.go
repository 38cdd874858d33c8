package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Client talks to a running server, over its socket or over https with a token. Every method returns an *Error when the
// server refuses or cannot be reached.
type Client struct {
	base  string
	token string
	where string // in words, for errors
	http  *http.Client
}

const (
	callTimeout = 2 * time.Minute // a page of an export, a fetch of metadata
	maxAnswer   = 64 << 20
)

// OverSocket returns the client of the server whose data directory is dir.
func OverSocket(dir string) *Client {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := dialSocket(ctx, dir)
		if err != nil {
			return nil, socketError(dir, err)
		}
		return conn, nil
	}}
	return newClient("http://"+SocketHost, "", "the Gatehouse with --data "+dir, transport)
}

// OverNetwork returns the client of the server at a base URL: https, or http on this machine.
func OverNetwork(server, token string) (*Client, error) {
	u, err := url.Parse(server)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("--server %q is not a base URL; write for example https://login.example.org", server)
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return nil, fmt.Errorf("--server %q must begin with https://, because the token travels with every request", server)
	}
	if token == "" {
		return nil, errors.New("--server needs a token: give --token or set GATEHOUSE_TOKEN")
	}
	return newClient(strings.TrimSuffix(server, "/"), token, server, http.DefaultTransport), nil
}

func newClient(base, token, where string, transport http.RoundTripper) *Client {
	return &Client{base: base, token: token, where: where, http: &http.Client{
		Transport: transport, Timeout: callTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func loopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

// socketError words a failed connection for the operator.
func socketError(dir string, err error) *Error {
	e := &Error{Reason: Unreachable, Err: err}
	path := filepath.Join(dir, SocketName)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		e.Text = fmt.Sprintf("no Gatehouse runs with --data %s: start it with `gatehouse serve --data %s`, or name the directory of the one that runs", dir, dir)
	case errors.Is(err, fs.ErrPermission):
		e.Text = fmt.Sprintf("you may not use %s: run this as the user that runs Gatehouse, or as root", path)
	default:
		e.Text = fmt.Sprintf("cannot connect to %s: %v", path, err)
	}
	return e
}

// call makes one request and reads its answer into a T.
func call[T any](ctx context.Context, c *Client, method, path string, query url.Values, body any) (T, error) {
	var answer T
	raw, err := c.do(ctx, method, path, query, body)
	if err != nil {
		return answer, err
	}
	if len(raw) == 0 {
		return answer, nil
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return answer, &Error{Reason: "unexpected_answer", Err: err, Text: "the answer of " + c.where + " cannot be read: check that the command and the server have the same version"}
	}
	return answer, nil
}

// do sends a request and returns the body of a successful answer.
func (c *Client) do(ctx context.Context, method, path string, query url.Values, body any) ([]byte, error) {
	request, err := c.request(ctx, method, path, query, body)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, c.failed(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return nil, readError(response)
	}
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, c.failed(err)
	}
	return raw, nil
}

func (c *Client) request(ctx context.Context, method, path string, query url.Values, body any) (*http.Request, error) {
	target := c.base + Root + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	var content io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(raw)
	}
	request, err := http.NewRequestWithContext(ctx, method, target, content)
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	return request, nil
}

func (c *Client) failed(err error) error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return &Error{Reason: Unreachable, Err: err, Text: fmt.Sprintf("cannot reach %s: %v", c.where, err)}
}

// path joins segments, each escaped.
func path(segments ...string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteString("/" + url.PathEscape(s))
	}
	return b.String()
}

// at is the path of one record. A reference with a slash, such as an entity id, does not survive proxies and routers as a
// path segment: its id is asked for first.
func (c *Client) at(ctx context.Context, kind, ref string, more ...string) (string, error) {
	if ref != "" && ref != "." && ref != ".." && !strings.ContainsAny(ref, "/\\") {
		return path(append([]string{kind, ref}, more...)...), nil
	}
	found, err := call[List[Ref]](ctx, c, http.MethodGet, path(kind), url.Values{"ref": {ref}}, nil)
	if err != nil {
		return "", err
	}
	if len(found.Items) != 1 {
		return "", &Error{Reason: "not_found", Field: kind, Text: fmt.Sprintf("nothing is called %q", ref)}
	}
	return path(append([]string{kind, found.Items[0].ID}, more...)...), nil
}

// callAt is call on one record.
func callAt[T any](ctx context.Context, c *Client, method, kind, ref, action string, body any) (T, error) {
	var more []string
	if action != "" {
		more = append(more, action)
	}
	target, err := c.at(ctx, kind, ref, more...)
	if err != nil {
		var none T
		return none, err
	}
	return call[T](ctx, c, method, target, nil, body)
}
