package idptest

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// fakeOP is an OpenID provider that says what a test wants, also what no real one does.
type fakeOP struct {
	URL  string
	key  *signingKey
	mu   sync.Mutex
	keys []*signingKey               // published
	info map[string]any              // userinfo; nil: as the ID token
	said string                      // ID token
	fail string                      // error of the token endpoint
	odd  map[string]http.HandlerFunc // by path: what it does instead
	form url.Values                  // what the token endpoint got
	auth string                      // how it was proved
	hits map[string]int              // by path
}

// fakeBroker is a Gatehouse in front of a fake provider.
type fakeBroker struct {
	*broker
	op *fakeOP
	sp *SP
}

const fakeSecret = "fake secret"

func newFakeOpenID(t *testing.T, settings map[string]string) *fakeBroker {
	t.Helper()
	b := &fakeBroker{broker: &broker{world: newWorld(t)}, op: newFakeOP(t)}
	set := map[string]string{"token_endpoint_auth_method": "client_secret_post"}
	maps.Copy(set, settings)
	b.addOpenID(t, "uni", b.op.URL, fakeSecret, "gatehouse", set)
	b.sp = b.broker.sp(t, "brokered", nil)
	return b
}

func newFakeOP(t *testing.T) *fakeOP {
	op := &fakeOP{key: newSigningKey(t, jose.ES256, "one"), hits: map[string]int{}, odd: map[string]http.HandlerFunc{}}
	op.keys = []*signingKey{op.key}
	server := httptest.NewServer(op)
	t.Cleanup(server.Close)
	op.URL = server.URL
	return op
}

func (op *fakeOP) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if odd := op.oddly(r.URL.Path); odd != nil {
		odd(w, r)
		return
	}
	op.mu.Lock()
	defer op.mu.Unlock()
	op.hits[r.URL.Path]++
	var answer any
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		answer = map[string]any{"issuer": op.URL, "authorization_endpoint": op.URL + "/auth", "token_endpoint": op.URL + "/token", "jwks_uri": op.URL + "/jwks",
			"userinfo_endpoint": op.URL + "/userinfo", "userinfo_signing_alg_values_supported": []string{"ES256", "HS256"}, "response_types_supported": []string{"code"}, "authorization_response_iss_parameter_supported": true,
			"id_token_signing_alg_values_supported": []string{"ES256", "RS256", "HS256", "none"}}
	case "/jwks":
		answer = keySet(op.keys...)
	case "/token":
		_ = r.ParseForm()
		op.form, op.auth = r.PostForm, r.Header.Get("Authorization")
		if answer = map[string]any{"access_token": "at", "token_type": "Bearer", "id_token": op.said}; op.fail != "" {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			answer = map[string]any{"error": op.fail}
		}
	case "/userinfo":
		answer = op.info
	default:
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// oddly is what the provider does at a path instead of what it should.
func (op *fakeOP) oddly(path string) http.HandlerFunc {
	op.mu.Lock()
	defer op.mu.Unlock()
	return op.odd[path]
}

// does sets that; nil: what it should.
func (op *fakeOP) does(path string, instead http.HandlerFunc) {
	op.mu.Lock()
	defer op.mu.Unlock()
	op.odd[path] = instead
}

// say sets what the provider answers next.
func (op *fakeOP) say(idToken string, info map[string]any) {
	op.mu.Lock()
	defer op.mu.Unlock()
	op.said, op.info, op.fail = idToken, info, ""
}

func (op *fakeOP) count(path string) int {
	op.mu.Lock()
	defer op.mu.Unlock()
	return op.hits[path]
}

// claims are those of a good ID token about Ana, changed; nil takes one away.
func (b *fakeBroker) claims(ask url.Values, change map[string]any) map[string]any {
	now := b.clock.now()
	all := map[string]any{"iss": b.op.URL, "sub": "s1", "aud": "gatehouse", "exp": now.Add(5 * time.Minute).Unix(), "iat": now.Unix(), "nonce": ask.Get("nonce"), "auth_time": now.Unix(),
		"email": "ana@example.org", "email_verified": true, "acr": "urn:gatehouse:level:standard", "sid": "there"}
	for name, value := range change {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	}
	return all
}

// begin has a new browser choose the provider; it gives what that was asked.
func (b *fakeBroker) begin(t *testing.T, ask Ask) (*Client, url.Values) {
	t.Helper()
	c := b.browser(t)
	return c, question(t, b.choose(t, c, b.sp, ask), b.op.URL+"/auth")
}

// answer is the callback's address for a request, changed as RP.Ask's.
func (b *fakeBroker) answer(ask url.Values, change ...string) string {
	return callbackOf(b.Server, "uni") + "?" + changed(url.Values{"code": {"c0de"}, "state": {ask.Get("state")}, "iss": {b.op.URL}}, change).Encode()
}

// refused sees that a page says no, that the audit says why, and that nobody is signed in.
func (b *fakeBroker) refused(t *testing.T, c *Client, page *Page, reason, detail string) {
	t.Helper()
	entry := b.Audit(t)[0]
	if page.Status != http.StatusBadRequest || entry.Reason != reason || !strings.Contains(entry.Detail, detail) {
		t.Errorf("got %d, %+v", page.Status, entry)
	}
	if page := c.Get("/"); page.URL.Path != "/login" {
		t.Errorf("somebody is signed in: %s", page.URL)
	}
}
