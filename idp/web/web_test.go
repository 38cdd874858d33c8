package web

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gatehouse/templates"
)

func kit(logs io.Writer) *Kit {
	return &Kit{
		Log: slog.New(slog.NewJSONHandler(logs, nil)), Now: time.Now,
		Brand:  func(context.Context) templates.Brand { return templates.Brand{Name: "Test"} },
		Busy:   func(err error) bool { return errors.Is(err, io.ErrShortWrite) },
		Record: func(_ *http.Request, e *Error) string { return "CODE-" + e.Reason },
		Guard: func(_ http.ResponseWriter, _ *http.Request, need Permission) (*http.Request, error) {
			return nil, &Error{Status: http.StatusForbidden, Reason: "no_permission", Text: "Not for you: " + string(need)}
		},
	}
}

func serve(k *Kit, route Route, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	k.Wrap(route).ServeHTTP(w, r)
	return w
}

func TestErrorsBecomePages(t *testing.T) {
	for _, c := range []struct {
		name   string
		err    error
		status int
		says   string
		hides  string
	}{
		{"public", BadRequest("bad", "The <name> is wrong."), 400, "The &lt;name&gt; is wrong.", "<name>"},
		{"wrapped", errors.Join(errors.New("disk 7"), NotFound("No such app.")), 404, "No such app.", "disk 7"},
		{"unknown", errors.New("secret detail"), 500, "Something went wrong", "secret detail"},
		{"busy", errors.Join(errors.New("disk 7"), io.ErrShortWrite), 503, "Try again in a little while", "disk 7"},
		{"too large", &http.MaxBytesError{Limit: 3}, 413, "too large", "MaxBytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var logs bytes.Buffer
			route := Route{Path: "/x", Permission: Public, Handle: func(http.ResponseWriter, *http.Request) error { return c.err }}
			w := serve(kit(&logs), route, httptest.NewRequest("GET", "/x", nil))
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) || strings.Contains(w.Body.String(), c.hides) {
				t.Errorf("%d:\n%s", w.Code, w.Body)
			}
			if !strings.Contains(logs.String(), `"status":`) {
				t.Errorf("no log line: %s", &logs)
			}
			if cc := w.Header().Get("Cache-Control"); !strings.Contains(cc, "no-store") {
				t.Errorf("Cache-Control %q", cc)
			}
		})
	}
}

func TestPanicsBecomePages(t *testing.T) {
	var logs bytes.Buffer
	route := Route{Path: "/x", Permission: Public, Handle: func(http.ResponseWriter, *http.Request) error { panic("boom") }}
	w := serve(kit(&logs), route, httptest.NewRequest("GET", "/x", nil))
	if w.Code != 500 || strings.Contains(w.Body.String(), "boom") || !strings.Contains(logs.String(), "boom") {
		t.Errorf("%d, page %q, log %q", w.Code, w.Body, &logs)
	}
}

func TestAPIErrorsAreJSON(t *testing.T) {
	route := Route{Path: "/api/v1/x", Permission: "apps.write", Errors: AsJSON}
	w := serve(kit(io.Discard), route, httptest.NewRequest("GET", "/api/v1/x", nil))
	want := `{"error":{"reason":"no_permission","text":"Not for you: apps.write"`
	if w.Code != 403 || !strings.HasPrefix(w.Body.String(), want) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestCrossSitePosts(t *testing.T) {
	ok := func(w http.ResponseWriter, _ *http.Request) error { SeeOther(w, "/"); return nil }
	for _, c := range []struct {
		site, origin string
		crossSite    bool
		status       int
	}{
		{"same-origin", "", false, 303}, {"none", "", false, 303}, {"cross-site", "https://evil.example", false, 403},
		{"same-site", "https://other.example.com", false, 403}, {"", "https://evil.example", false, 403},
		{"", "", false, 303}, {"cross-site", "https://evil.example", true, 303},
	} {
		r := httptest.NewRequest("POST", "/x", nil)
		if c.site != "" {
			r.Header.Set("Sec-Fetch-Site", c.site)
		}
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		w := serve(kit(io.Discard), Route{Path: "/x", Permission: Public, CrossSite: c.crossSite, Handle: ok}, r)
		if w.Code != c.status {
			t.Errorf("%+v: %d", c, w.Code)
		}
	}
}

func TestBodyLimit(t *testing.T) {
	read := func(_ http.ResponseWriter, r *http.Request) error { return r.ParseForm() }
	r := httptest.NewRequest("POST", "/x", strings.NewReader("a="+strings.Repeat("b", 2000)))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if w := serve(kit(io.Discard), Route{Path: "/x", Permission: Public, MaxBody: 1000, Handle: read}, r); w.Code != 413 {
		t.Errorf("status %d", w.Code)
	}
}

func TestClientAddress(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	for _, c := range []struct{ remote, forwarded, want string }{
		{"192.0.2.1:1234", "", "192.0.2.1"},
		{"192.0.2.1:1234", "203.0.113.9", "192.0.2.1"}, // the peer is no proxy of ours
		{"10.0.0.1:1234", "203.0.113.9", "203.0.113.9"},
		{"10.0.0.1:1234", "1.1.1.1, 203.0.113.9", "203.0.113.9"}, // the left one is whatever the client wrote
		{"10.0.0.1:1234", "203.0.113.9, 10.2.3.4", "203.0.113.9"},
		{"10.0.0.1:1234", "", "10.0.0.1"},
		{"10.0.0.1:1234", "junk", "10.0.0.1"},
		{"10.0.0.1:1234", "203.0.113.9, junk, 10.2.3.4", "10.2.3.4"},
		{"[::1]:80", "2001:db8::7", "2001:db8::7"},
		{"[::ffff:192.0.2.1]:80", "", "192.0.2.1"},
		{"@", "", "invalid IP"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.remote
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := ClientAddress(r, proxies).String(); got != c.want {
			t.Errorf("%s via %q: %s, want %s", c.remote, c.forwarded, got, c.want)
		}
	}
}

func TestCookies(t *testing.T) {
	for _, secure := range []bool{false, true} {
		c := Cookies{Secure: secure}
		w := httptest.NewRecorder()
		c.Set(w, SessionCookie, "value", time.Hour)
		cookie := w.Result().Cookies()[0]
		if cookie.Secure != secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.Domain != "" {
			t.Errorf("%+v", cookie)
		}
		if strings.HasPrefix(cookie.Name, "__Host-") != secure {
			t.Errorf("name %q", cookie.Name)
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.AddCookie(cookie)
		if got := c.Get(r, SessionCookie); got != "value" {
			t.Errorf("read back %q", got)
		}
		if got := (Cookies{Secure: !secure}).Get(r, SessionCookie); got != "" {
			t.Errorf("a cookie of the other kind was read: %q", got)
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.AddCookie(&http.Cookie{Name: SessionCookie, Value: strings.Repeat("x", 129)})
	if got := (Cookies{}).Get(r, SessionCookie); got != "" {
		t.Errorf("an endless cookie was read")
	}
}

func TestContentSecurityPolicy(t *testing.T) {
	for _, c := range []struct {
		csp  CSP
		want string
		not  string
	}{
		{CSP{}, "form-action 'self'", "unsafe"},
		{CSP{FormAction: FormActionFor("https://sp.example.org/acs")}, "form-action https:", "'self'; frame"},
		{CSP{FormAction: FormActionFor("http://localhost:8081/acs")}, "form-action https: http://localhost:*", "/acs"},
		{CSP{OmitFormAction: true}, "script-src 'nonce-abc'", "form-action"},
	} {
		got := c.csp.Header("abc")
		if !strings.Contains(got, c.want) || strings.Contains(got, c.not) || !strings.Contains(got, "frame-ancestors 'none'") {
			t.Errorf("%+v: %s", c.csp, got)
		}
	}
}

func TestLocalPath(t *testing.T) {
	for path, want := range map[string]string{
		"/": "/", "/admin/apps?q=x": "/admin/apps?q=x", "//evil.example": "/", "https://evil.example": "/", "": "/",
		`/\evil.example`: "/", "/a\r\nSet-Cookie: x": "/", "javascript:alert(1)": "/", "account": "/",
	} {
		if got := LocalPath(path, "/"); got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}
