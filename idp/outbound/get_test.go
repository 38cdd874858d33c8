package outbound

import (
	"bytes"
	"compress/gzip"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestGet(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/metadata", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"one"`)
		w.Header().Set("Last-Modified", "Tue, 24 Nov 2026 12:00:00 GMT")
		if r.Header.Get("If-None-Match") == `"one"` || r.Header.Get("If-Modified-Since") == "Tue, 24 Nov 2026 12:00:00 GMT" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = w.Write([]byte("<md/>"))
	})
	for path, status := range map[string]int{"/301": 301, "/302": 302, "/307": 307} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/metadata", status) })
	}
	mux.HandleFunc("/zipped", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = z.Write(make([]byte, 8<<20))
		_ = z.Close()
	})
	mux.HandleFunc("/always-304", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) })
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("<md>"))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	fetcher := NewFetcher(loopback())
	for _, c := range []struct {
		name string
		ask  Ask
		want string // the body, "304", or part of the error
	}{
		{"fresh", Ask{URL: "/metadata"}, "<md/>"},
		{"same ETag", Ask{URL: "/metadata", ETag: `"one"`}, "304"},
		{"another ETag", Ask{URL: "/metadata", ETag: `"zero"`}, "<md/>"},
		{"not modified since", Ask{URL: "/metadata", LastModified: "Tue, 24 Nov 2026 12:00:00 GMT"}, "304"},
		{"301", Ask{URL: "/301"}, "<md/>"},
		{"302", Ask{URL: "/302"}, "<md/>"},
		{"307 keeps the condition", Ask{URL: "/307", ETag: `"one"`}, "304"},
		{"a small answer that unpacks to much", Ask{URL: "/zipped"}, "more than 1 MiB"},
		{"304 without a condition", Ask{URL: "/always-304"}, "status 304"},
		{"missing", Ask{URL: "/nothing"}, "status 404"},
		{"slow", Ask{URL: "/slow", Within: 100 * time.Millisecond}, "within 100ms"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var body bytes.Buffer
			c.ask.URL, c.ask.Most = server.URL+c.ask.URL, 1<<20
			got, err := fetcher.Get(t.Context(), c.ask, &body)
			var known *Error
			switch {
			case err != nil && (!errors.As(err, &known) || !strings.Contains(known.Text, c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			case err == nil && got.NotModified && c.want != "304", err == nil && !got.NotModified && body.String() != c.want:
				t.Errorf("got %+v and %d bytes", got, body.Len())
			case err == nil && got.ETag != `"one"`:
				t.Errorf("ETag %q", got.ETag)
			}
		})
	}
	if _, err := NewFetcher(nil).Get(t.Context(), Ask{URL: server.URL + "/metadata", Most: 1}, &bytes.Buffer{}); err == nil {
		t.Error("a private address is fetched")
	}
}
