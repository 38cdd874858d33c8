package idptest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"gatehouse/idp/api"
	"gatehouse/sp"
)

// RP is a relying party (an OAuth client) that sends what a test wants, also nonsense. It has no listener: tests look at where the
// browser is sent.
type RP struct {
	App, ID, Secret string
	Redirect        string
	Post            bool // the secret goes into the body
	Verifier        string
	t               testing.TB
	server          *Server
	http            *http.Client
}

// Client registers a relying party by RFC 7591 metadata, whose gaps are filled, with settings.
func (s *Server) Client(t testing.TB, name string, metadata map[string]any, settings map[string]string) *RP {
	t.Helper()
	whole := map[string]any{"client_name": name, "redirect_uris": []string{"https://" + name + ".example.org/cb"}}
	maps.Copy(whole, metadata)
	text, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	asked, _ := whole["scope"].(string)
	s.haveScopes(t, strings.Fields(asked))
	added, err := s.API.AddApp(t.Context(), api.NewApp{OAuth: string(text), Set: settings})
	if err != nil {
		t.Fatal(err)
	}
	rp := &RP{App: added.App.ID, ID: added.ClientID, Secret: added.ClientSecret, t: t, server: s, http: http.DefaultClient, Verifier: rand.Text() + rand.Text()}
	if uris, ok := whole["redirect_uris"].([]string); ok && len(uris) > 0 {
		rp.Redirect = uris[0]
	}
	return rp
}

// haveScopes adds those of the scopes that are not there yet.
func (s *Server) haveScopes(t testing.TB, names []string) {
	t.Helper()
	for _, name := range names {
		if _, err := s.API.Scope(t.Context(), name); err == nil || slices.Contains(sp.OwnScopes(), name) {
			continue
		}
		if _, err := s.API.AddScope(t.Context(), api.NewScope{Name: name, Description: "Use " + name}); err != nil {
			t.Fatal(err)
		}
	}
}

// Ask are the parameters of an authorization request: those of every good one, changed; "-" leaves one out.
func (rp *RP) Ask(change ...string) url.Values {
	sum := sha256.Sum256([]byte(rp.Verifier))
	values := url.Values{
		"response_type": {"code"}, "client_id": {rp.ID}, "redirect_uri": {rp.Redirect}, "scope": {"openid"}, "state": {"st-" + rand.Text()},
		"nonce": {"n-" + rand.Text()}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	return changed(values, change)
}

func changed(values url.Values, change []string) url.Values {
	for i := 0; i+1 < len(change); i += 2 {
		if values.Set(change[i], change[i+1]); change[i+1] == "-" {
			values.Del(change[i])
		}
	}
	return values
}

// Visit opens the authorization endpoint in a browser.
func (rp *RP) Visit(c *Client, ask url.Values) *Page {
	return c.Get("/oauth/authorize?" + ask.Encode())
}

// Callback is what the browser carries to the redirect URI; nil when the page is not a redirect there.
func (rp *RP) Callback(page *Page) url.Values {
	rp.t.Helper()
	location := page.Header.Get("Location")
	address, query, _ := strings.Cut(location, "?")
	want, own, _ := strings.Cut(rp.Redirect, "?")
	if location == "" || address != want || !strings.HasPrefix(query, own) {
		return nil
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		rp.t.Fatal(err)
	}
	return values
}

// Agree says yes to what a consent page asks, if the page is one.
func (c *Client) Agree(page *Page) *Page {
	c.t.Helper()
	if page.URL.Path != "/consent" {
		return page
	}
	form := url.Values{"flow": {page.Field("flow")}, "session": {page.Field("session")}}
	for _, tag := range inputTag.FindAllString(page.Body, -1) {
		if attribute(tag, "name") == "ask" {
			form.Add("ask", html.UnescapeString(attribute(tag, "value")))
		}
	}
	return c.Post("/consent", form)
}

// Code brings a signed-in browser through the sign-in and gives the code.
func (rp *RP) Code(c *Client, change ...string) string {
	rp.t.Helper()
	page := c.Agree(rp.Visit(c, rp.Ask(change...)))
	code := rp.Callback(page).Get("code")
	if code == "" {
		rp.t.Fatalf("no code but %d at %s, location %q:\n%s", page.Status, page.URL, page.Header.Get("Location"), page.Body)
	}
	return code
}

// Reply is the answer of an endpoint for clients.
type Reply struct {
	Status int
	Header http.Header
	Raw    string
	JSON   map[string]any
}

// Text is a member of the answer.
func (r *Reply) Text(name string) string {
	text, _ := r.JSON[name].(string)
	return text
}

// Send posts a form to an endpoint, as the client unless the form says who sends it.
func (rp *RP) Send(path string, form url.Values) *Reply {
	rp.t.Helper()
	if rp.Post || rp.Secret == "" {
		form = maps.Clone(form)
		if !form.Has("client_id") {
			form.Set("client_id", rp.ID)
		}
		if rp.Secret != "" && !form.Has("client_secret") {
			form.Set("client_secret", rp.Secret)
		}
	}
	r := rp.Request(path, form)
	if !rp.Post && rp.Secret != "" {
		r.SetBasicAuth(url.QueryEscape(rp.ID), url.QueryEscape(rp.Secret))
	}
	return rp.Do(r)
}

// Request is a form for an endpoint without any proof of the client.
func (rp *RP) Request(path string, form url.Values) *http.Request {
	rp.t.Helper()
	r, err := http.NewRequestWithContext(rp.t.Context(), http.MethodPost, rp.server.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		rp.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// Do sends a request and reads the answer.
func (rp *RP) Do(r *http.Request) *Reply {
	rp.t.Helper()
	response, err := rp.http.Do(r)
	if err != nil {
		rp.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		rp.t.Fatal(err)
	}
	if response.StatusCode >= 500 {
		rp.t.Errorf("%s %s answered %d:\n%s", r.Method, r.URL, response.StatusCode, body)
	}
	reply := &Reply{Status: response.StatusCode, Header: response.Header, Raw: string(body)}
	if strings.HasPrefix(response.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(body, &reply.JSON); err != nil {
			rp.t.Fatalf("%v in %s", err, body)
		}
	}
	return reply
}

// Redeem exchanges a code.
func (rp *RP) Redeem(code string, change ...string) *Reply {
	rp.t.Helper()
	return rp.Send("/oauth/token", changed(url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {rp.Redirect}, "code_verifier": {rp.Verifier},
	}, change))
}

// Refresh exchanges a refresh token.
func (rp *RP) Refresh(token string, change ...string) *Reply {
	rp.t.Helper()
	return rp.Send("/oauth/token", changed(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}, change))
}

// Introspect asks about a token.
func (rp *RP) Introspect(token string) *Reply {
	rp.t.Helper()
	return rp.Send("/oauth/introspect", url.Values{"token": {token}})
}

// Active tells whether a token is good, as introspection says.
func (rp *RP) Active(token string) bool {
	rp.t.Helper()
	active, _ := rp.Introspect(token).JSON["active"].(bool)
	return active
}

// UserInfo asks who the bearer of a token is.
func (rp *RP) UserInfo(token string) *Reply {
	rp.t.Helper()
	r, err := http.NewRequestWithContext(rp.t.Context(), http.MethodGet, rp.server.URL+"/oauth/userinfo", nil)
	if err != nil {
		rp.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return rp.Do(r)
}

// Tokens brings a signed-in browser through the whole flow.
func (rp *RP) Tokens(c *Client, change ...string) *Reply {
	rp.t.Helper()
	reply := rp.Redeem(rp.Code(c, change...))
	if reply.Status != http.StatusOK {
		rp.t.Fatalf("the code is answered with %d: %s", reply.Status, reply.Raw)
	}
	return reply
}

// Claims verifies a JWT against the published keys and gives its header and claims.
func (rp *RP) Claims(token string) (jose.Header, map[string]any) {
	rp.t.Helper()
	parsed, err := jose.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	if err != nil {
		rp.t.Fatalf("%v in %q", err, token)
	}
	header := parsed.Signatures[0].Protected
	keys := rp.Keys().Key(header.KeyID)
	if len(keys) != 1 {
		rp.t.Fatalf("%d published keys are called %q", len(keys), header.KeyID)
	}
	payload, err := parsed.Verify(keys[0])
	if err != nil {
		rp.t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		rp.t.Fatal(err)
	}
	return header, claims
}

// Keys are the published keys.
func (rp *RP) Keys() *jose.JSONWebKeySet {
	rp.t.Helper()
	var set jose.JSONWebKeySet
	rp.server.JSON(rp.t, "/oauth/jwks", &set)
	return &set
}

// JSON reads a public document.
func (s *Server) JSON(t testing.TB, path string, into any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(into); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d, %v", path, response.StatusCode, err)
	}
}
