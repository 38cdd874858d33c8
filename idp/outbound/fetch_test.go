package outbound

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func loopback() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }

func TestFetch(t *testing.T) {
	other := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(other.Close)
	mux := http.NewServeMux()
	mux.HandleFunc("/metadata", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<md/>")) })
	mux.HandleFunc("/here", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/metadata", http.StatusFound) })
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) })
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, MaxBytes+1)) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	for _, c := range []struct {
		name, address string
		allowed       []netip.Prefix
		want          string // of the body, or of the error
	}{
		{"allowed", server.URL + "/metadata", loopback(), "<md/>"},
		{"redirect here", server.URL + "/here", loopback(), "<md/>"},
		{"private", server.URL + "/metadata", nil, "private network"},
		{"private by name", strings.Replace(server.URL, "127.0.0.1", "localhost", 1) + "/metadata", nil, "private network"},
		{"redirect away", server.URL + "/away", loopback(), "another server"},
		{"too large", server.URL + "/large", loopback(), "more than 1 MiB"},
		{"missing", server.URL + "/nothing", loopback(), "status 404"},
		{"nobody", "http://127.0.0.1:1/", loopback(), "could not be reached"},
		{"no URL", "metadata.xml", loopback(), "not an address"},
		{"file", "file:///etc/passwd", loopback(), "not an address"},
		{"user", "https://a:b@example.org/", loopback(), "not an address"},
	} {
		t.Run(c.name, func(t *testing.T) {
			body, err := NewFetcher(c.allowed).Fetch(t.Context(), Ask{URL: c.address})
			var known *Error
			switch {
			case err != nil && (!errors.As(err, &known) || !strings.Contains(known.Text, c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			case err == nil && string(body) != c.want:
				t.Errorf("got %d bytes", len(body))
			}
		})
	}
}

func TestPublic(t *testing.T) {
	for address, want := range map[string]bool{
		"8.8.8.8": true, "2606:4700::1111": true,
		"127.0.0.1": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false,
		"100.64.0.1": false, "0.0.0.0": false, "0.1.2.3": false, "224.0.0.1": false, "255.255.255.255": false,
		"::1": false, "::": false, "fe80::1": false, "fc00::1": false, "fd00:ec2::254": false, "64:ff9b::a00:1": false,
		"2002:7f00:1::": false, "::7f00:1": false,
	} {
		if got := public(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: got %v", address, got)
		}
	}
}

func TestPlainHTTPNeedsAnAllowedNetwork(t *testing.T) {
	for _, c := range []struct {
		plain   bool
		address string
		want    error
	}{
		{true, "8.8.8.8:80", errPlain},
		{false, "8.8.8.8:443", nil},
		{true, "127.0.0.1:80", nil},
		{false, "[::ffff:10.0.0.1]:443", errPrivate},
	} {
		ctx := withPlain(t.Context(), c.plain)
		if err := NewFetcher(loopback()).control(ctx, "tcp", c.address, nil); !errors.Is(err, c.want) {
			t.Errorf("%+v: got %v", c, err)
		}
	}
}

// The other server chooses the words of its status line: they are not shown to whoever gave the address.
func TestStatusWordsAreNotRepeated(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		defer connection.Close()
		_, _ = bufio.NewReader(connection).ReadString('\n')
		_, _ = connection.Write([]byte("HTTP/1.1 404 Call 0900 now\r\nContent-Length: 0\r\n\r\n"))
	}()
	client := NewFetcher(loopback())
	_, err = client.Fetch(t.Context(), Ask{URL: "http://" + listener.Addr().String() + "/metadata"})
	if err == nil || strings.Contains(err.Error(), "0900") || !strings.Contains(err.Error(), "status 404") {
		t.Errorf("error: %v", err)
	}
}
