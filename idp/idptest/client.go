package idptest

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Client is a person at a browser without script: it keeps cookies, follows redirects within Gatehouse, and stops at pages.
type Client struct {
	t      testing.TB
	server *Server
	http   *http.Client

	Language string // Accept-Language; empty: not sent
}

// Page is where a Client came to rest.
type Page struct {
	Status int
	URL    *url.URL
	Header http.Header
	Body   string
}

// NewClient is a fresh browser.
func (s *Server) NewClient(t testing.TB) *Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &Client{t: t, server: s, http: &http.Client{Jar: jar}}
	c.http.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if !strings.HasPrefix(r.URL.String(), s.URL+"/") {
			return http.ErrUseLastResponse // leaving Gatehouse: the test looks at the Location
		}
		return nil
	}
	return c
}

// SignedIn is a browser in which a person has signed in.
func (s *Server) SignedIn(t testing.TB, name string) *Client {
	t.Helper()
	c := s.NewClient(t)
	if page := c.SignIn(c.Get("/login"), name, Password); page.Status != http.StatusOK || page.URL.Path != "/" {
		t.Fatalf("sign-in of %s rests at %s with %d:\n%s", name, page.URL, page.Status, page.Body)
	}
	return c
}

// Get follows a path of the server, or a whole URL.
func (c *Client) Get(target string) *Page {
	c.t.Helper()
	return c.Do(c.request(http.MethodGet, target, nil))
}

// Post sends a form as the server's own pages do.
func (c *Client) Post(target string, form url.Values) *Page {
	c.t.Helper()
	r := c.request(http.MethodPost, target, form)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return c.Do(r)
}

// CrossPost sends a form as a page of another site does: without cookies, because they are SameSite=Lax.
func (c *Client) CrossPost(target string, form url.Values) *Page {
	c.t.Helper()
	r := c.request(http.MethodPost, target, form)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.Header.Set("Origin", "https://sp.example.org")
	bare := *c.http
	bare.Jar = nil
	bare.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	page := c.send(&bare, r)
	if location := page.Header.Get("Location"); location != "" && page.Header.Get("Set-Cookie") == "" {
		return c.Get(location)
	}
	return page
}

func (c *Client) request(method, target string, form url.Values) *http.Request {
	c.t.Helper()
	if strings.HasPrefix(target, "/") {
		target = c.server.URL + target
	}
	r, err := http.NewRequestWithContext(c.t.Context(), method, target, strings.NewReader(form.Encode()))
	if err != nil {
		c.t.Fatal(err)
	}
	if c.Language != "" {
		r.Header.Set("Accept-Language", c.Language)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r
}

// Do sends a request with the client's cookies.
func (c *Client) Do(r *http.Request) *Page {
	c.t.Helper()
	return c.send(c.http, r)
}

func (c *Client) send(h *http.Client, r *http.Request) *Page {
	c.t.Helper()
	response, err := h.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if response.StatusCode >= 500 && response.Header.Get("Retry-After") == "" { // with it, the answer says when to come again
		c.t.Errorf("%s %s answered %d:\n%s", r.Method, r.URL, response.StatusCode, body)
	}
	return &Page{Status: response.StatusCode, URL: response.Request.URL, Header: response.Header, Body: string(body)}
}

// SignIn fills the sign-in form of a page.
func (c *Client) SignIn(page *Page, name, password string) *Page {
	c.t.Helper()
	if page.URL.Path != "/login" {
		c.t.Fatalf("no sign-in form at %s (%d):\n%s", page.URL, page.Status, page.Body)
	}
	return c.Post("/login", url.Values{
		"flow": {page.Field("flow")}, "next": {page.Field("next")}, "name": {name}, "password": {password},
	})
}

var inputTag = regexp.MustCompile(`<input\b[^>]*>`)
var formAction = regexp.MustCompile(`<form\b[^>]*\baction="([^"]*)"`)

// Field is the value of an input with the given name, empty when there is none.
func (p *Page) Field(name string) string {
	value, _ := p.LookupField(name)
	return value
}

// LookupField also tells whether the input exists.
func (p *Page) LookupField(name string) (string, bool) {
	for _, tag := range inputTag.FindAllString(p.Body, -1) {
		if strings.Contains(tag, ` name="`+name+`"`) {
			return html.UnescapeString(attribute(tag, "value")), true
		}
	}
	return "", false
}

// Action is where the page's first form goes.
func (p *Page) Action() string {
	if m := formAction.FindStringSubmatch(p.Body); m != nil {
		return html.UnescapeString(m[1])
	}
	return ""
}

func attribute(tag, name string) string {
	_, rest, found := strings.Cut(tag, " "+name+`="`)
	if !found {
		return ""
	}
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// patience is how long a test waits for what happens in the background: long enough for a machine that does much else.
const patience = time.Minute

// eventually waits for something that happens in the background.
func eventually(t testing.TB, otherwise string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !happened(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(otherwise)
		}
	}
}
