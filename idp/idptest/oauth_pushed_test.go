package idptest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// push sends a request ahead and gives its name.
func (w *world) push(t *testing.T, rp *RP, ask url.Values) string {
	t.Helper()
	reply := rp.Send("/oauth/par", ask)
	if reply.Status != http.StatusCreated || reply.JSON["expires_in"] != 90.0 || reply.Header.Get("Cache-Control") == "" {
		t.Fatalf("%d %s", reply.Status, reply.Raw)
	}
	return reply.Text("request_uri")
}

// named is the request that a browser brings for one that was pushed.
func named(rp *RP, uri string) url.Values {
	return url.Values{"client_id": {rp.ID}, "request_uri": {uri}}
}

// TestPushedRequests is RFC 9126.
func TestPushedRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rp := w.Client(t, "pushing", nil, map[string]string{"policy.consent": "never"})
	t.Run("ORF-14 authenticated, bound to the client, once", func(t *testing.T) { w.pushedOnce(t, rp) })
	t.Run("ORF-14 what cannot be pushed", func(t *testing.T) { w.notPushed(t, rp) })
	t.Run("an app that must push", func(t *testing.T) {
		must := w.Client(t, "mustpush", map[string]any{"require_pushed_authorization_requests": true}, map[string]string{"policy.consent": "never"})
		w.told(t, must, must.Visit(w.ana(t), must.Ask()), "invalid_request", "not_pushed")
		if must.Callback(must.Visit(w.ana(t), named(must, w.push(t, must, must.Ask())))).Get("code") == "" {
			t.Error("what it pushed gives no code")
		}
	})
	t.Run("a public client from one network", func(t *testing.T) {
		public := w.Client(t, "pushpublic", map[string]any{"token_endpoint_auth_method": "none"}, nil)
		public.http = &http.Client{Transport: oneHop("198.51.100.77")}
		defer w.clock.stand()()
		for range 100 {
			w.push(t, public, public.Ask())
		}
		reply := public.Send("/oauth/par", public.Ask())
		if reply.Status != http.StatusTooManyRequests || reply.Text("error") != "temporarily_unavailable" || reply.Header.Get("Retry-After") == "" {
			t.Errorf("%d %s", reply.Status, reply.Raw)
		}
		public.http = http.DefaultClient
		w.push(t, public, public.Ask())
	})
	t.Run("by assertion", func(t *testing.T) {
		key := newSigningKey(t, jose.ES256, "k")
		rp := w.withKeys(t, "pushkeys", map[string]any{"jwks": keySet(key)})
		for _, audience := range []string{w.URL, w.URL + "/oauth/par"} {
			form := asserted(key.sign(t, w.clientJWT(rp, map[string]any{"aud": audience}), nil), rp.Ask())
			if reply := rp.Do(rp.Request("/oauth/par", form)); reply.Status != http.StatusCreated {
				t.Errorf("%d %s", reply.Status, reply.Raw)
			}
			w.refusedBy(t, rp.Do(rp.Request("/oauth/par", form)), http.StatusUnauthorized, "invalid_client", "assertion_replayed")
		}
	})
	t.Run("discovery tells", func(t *testing.T) {
		var document map[string]any
		if w.JSON(t, "/.well-known/openid-configuration", &document); document["pushed_authorization_request_endpoint"] != w.URL+"/oauth/par" || document["request_parameter_supported"] != true || document["request_uri_parameter_supported"] != false {
			t.Errorf("%v", document)
		}
	})
}

func (w *world) pushedOnce(t *testing.T, rp *RP) {
	other := w.Client(t, "pushing2", nil, nil)
	ask := rp.Ask()
	uri := w.push(t, rp, ask)
	w.checkHere(t, rp.Visit(w.ana(t), named(other, uri)), "request_uri_of_other_client")
	w.checkHere(t, rp.Visit(w.ana(t), url.Values{"request_uri": {uri}}), "request_uri_of_other_client")
	beside := named(rp, uri) // what a browser adds does not count
	beside.Set("scope", "openid email")
	beside.Set("redirect_uri", "https://evil.example/")
	values := rp.Callback(rp.Visit(w.ana(t), beside))
	if values.Get("state") != ask.Get("state") || values.Get("code") == "" {
		t.Fatalf("%v", values)
	}
	if reply := rp.Redeem(values.Get("code")); reply.Text("scope") != "openid" {
		t.Errorf("%d %s", reply.Status, reply.Raw)
	}
	w.checkHere(t, rp.Visit(w.ana(t), named(rp, uri)), "unknown_request_uri")
	late := w.push(t, rp, rp.Ask())
	w.clock.advance(90 * time.Second)
	w.checkHere(t, rp.Visit(w.ana(t), named(rp, late)), "unknown_request_uri")
	w.checkHere(t, rp.Visit(w.ana(t), named(rp, uri[:len(uri)-1])), "unknown_request_uri")
}

func (w *world) notPushed(t *testing.T, rp *RP) {
	w.refusedBy(t, rp.Do(rp.Request("/oauth/par", rp.Ask())), http.StatusUnauthorized, "invalid_client", "wrong_auth_method")
	w.refusedBy(t, rp.Send("/oauth/par", rp.Ask("request_uri", w.push(t, rp, rp.Ask()))), http.StatusBadRequest, "invalid_request", "request_uri_pushed")
	for uri, reason := range map[string]string{"https://evil.example/": "bad_redirect_uri", "-": "no_redirect_uri"} {
		reply := rp.Send("/oauth/par", rp.Ask("redirect_uri", uri))
		w.refusedBy(t, reply, http.StatusBadRequest, "invalid_request", reason)
		if said := reply.Text("error_description"); !strings.Contains(said, "redirect_uri") || !strings.Contains(said, "registered") || strings.Contains(said, "administrator") {
			t.Errorf("whoever writes the client is told %q", said)
		}
	}
	w.refusedBy(t, rp.Send("/oauth/par", rp.Ask("response_type", "token")), http.StatusBadRequest, "unsupported_response_type", "bad_response_type")
	w.refusedBy(t, rp.Send("/oauth/par", rp.Ask("code_challenge", "-", "code_challenge_method", "-")), http.StatusBadRequest, "invalid_request", "no_code_challenge")
	long := rp.Ask("nobody", strings.Repeat("x", 8000), "reads", strings.Repeat("x", 8000), "this", strings.Repeat("x", 8000))
	w.refusedBy(t, rp.Send("/oauth/par", long), http.StatusBadRequest, "invalid_request", "long_request")
	if reply := rp.Send("/oauth/par", rp.Ask("state", strings.Repeat("x", 8192))); reply.Status != http.StatusCreated {
		t.Errorf("a long state: %d %s", reply.Status, reply.Raw)
	}
	basic := rp.Request("/oauth/par", rp.Ask("client_id", "other"))
	basic.SetBasicAuth(rp.ID, rp.Secret)
	w.refusedBy(t, rp.Do(basic), http.StatusUnauthorized, "invalid_client", "bad_basic")
}

// object are the parameters of a request as a request object holds them.
func (w *world) object(rp *RP, change map[string]any) map[string]any {
	claims := map[string]any{"iss": rp.ID, "aud": w.URL, "exp": w.clock.now().Unix() + 60}
	for name, values := range rp.Ask() {
		claims[name] = values[0]
	}
	for name, value := range change {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	return claims
}

// TestRequestObjects is RFC 9101 and OpenID Connect Core 1.0, section 6.
func TestRequestObjects(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := newSigningKey(t, jose.RS256, "k")
	rp := w.withKeys(t, "objects", map[string]any{"jwks": keySet(key), "redirect_uris": []string{"https://objects.example.org/cb", "https://objects.example.org/other"}})
	t.Run("OBP-23 what is inside counts", func(t *testing.T) {
		object := w.object(rp, map[string]any{"redirect_uri": "https://objects.example.org/other", "state": "inner", "max_age": 10000, "claims": map[string]any{"id_token": map[string]any{"email": nil}}})
		ask := rp.Ask("request", key.sign(t, object, map[string]any{"typ": "oauth-authz-req+jwt"}), "scope", "openid nonsense", "response_type", "token", "prompt", "nonsense")
		other := *rp
		other.Redirect = "https://objects.example.org/other"
		values := other.Callback(rp.Visit(w.ana(t), ask))
		if values.Get("code") == "" || values.Get("state") != "inner" {
			t.Fatalf("%v", values)
		}
		form := asserted(key.sign(t, w.clientJWT(rp, nil), nil), url.Values{"grant_type": {"authorization_code"}, "code": {values.Get("code")}, "redirect_uri": {other.Redirect}, "code_verifier": {rp.Verifier}})
		reply := rp.Do(rp.Request("/oauth/token", form))
		if _, claims := rp.Claims(reply.Text("id_token")); claims["email"] != "ana@example.org" || reply.Text("scope") != "openid" {
			t.Errorf("%s, %v", reply.Raw, claims)
		}
	})
	t.Run("pushed", func(t *testing.T) {
		form := asserted(key.sign(t, w.clientJWT(rp, nil), nil), url.Values{"client_id": {rp.ID}, "request": {key.sign(t, w.object(rp, nil), nil)}})
		reply := rp.Do(rp.Request("/oauth/par", form))
		if rp.Callback(rp.Visit(w.ana(t), named(rp, reply.Text("request_uri")))).Get("code") == "" {
			t.Errorf("%d %s", reply.Status, reply.Raw)
		}
	})
	t.Run("ORF-17 objects that are not good", func(t *testing.T) { w.badObjects(t, rp, key) })
	t.Run("ODY-14 a request_uri that is to be fetched", func(t *testing.T) {
		for _, uri := range []string{"https://objects.example.org/request", "http://169.254.169.254/", "file:///etc/passwd", "urn:ietf:params:oauth:request_ur", ""} {
			w.told(t, rp, rp.Visit(w.ana(t), rp.Ask("request_uri", uri)), "request_uri_not_supported", "request_uri")
		}
		both := rp.Ask("request_uri", "https://objects.example.org/request", "request", "x")
		w.told(t, rp, rp.Visit(w.ana(t), both), "invalid_request", "two_requests")
	})
}

func (w *world) badObjects(t *testing.T, rp *RP, key *signingKey) {
	now := w.clock.now().Unix()
	public, err := key.public().MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(w.object(rp, nil))
	if err != nil {
		t.Fatal(err)
	}
	stranger := newSigningKey(t, jose.RS256, "k")
	sign := func(change map[string]any) string { return key.sign(t, w.object(rp, change), nil) }
	for name, c := range map[string]struct{ object, reason string }{
		"another key":               {stranger.sign(t, w.object(rp, nil), nil), "jwt_signature"},
		"HS256 with the public key": {signJWT(t, jose.SigningKey{Algorithm: jose.HS256, Key: public}, nil, json.RawMessage(payload)), "jwt_algorithm"},
		"an assertion":              {key.sign(t, w.clientJWT(rp, nil), nil), "jwt_type"},
		"an access token's type":    {key.sign(t, w.object(rp, nil), map[string]any{"typ": "at+jwt"}), "jwt_type"},
		"another audience":          {sign(map[string]any{"aud": "https://other.example.org"}), "jwt_audience"},
		"another issuer":            {sign(map[string]any{"iss": "other"}), "request_object_of_other_client"},
		"another client":            {sign(map[string]any{"client_id": "other"}), "request_object_of_other_client"},
		"a client id of no text":    {sign(map[string]any{"client_id": 1}), "request_object_of_other_client"},
		"expired":                   {sign(map[string]any{"exp": now - 120}), "jwt_expired"},
		"one inside":                {sign(map[string]any{"request_uri": "https://x.example/"}), "request_object_nested"},
		"nonsense":                  {"x", "jwt_unreadable"},
	} {
		t.Log(name)
		w.told(t, rp, rp.Visit(w.ana(t), rp.Ask("request", c.object)), "invalid_request_object", c.reason)
		alone := url.Values{"client_id": {rp.ID}, "request": {c.object}} // nowhere to tell it
		w.checkHere(t, rp.Visit(w.ana(t), alone), c.reason)
	}
	w.checkHere(t, rp.Visit(w.ana(t), rp.Ask("request", sign(nil), "redirect_uri", "https://evil.example/", "client_id", "nobody")), "unknown_app")
	w.checkHere(t, rp.Visit(w.ana(t), rp.Ask("request", sign(map[string]any{"redirect_uri": "https://evil.example/"}))), "bad_redirect_uri")
	if page := rp.Visit(w.ana(t), rp.Ask("request", fmt.Sprintf("%09000d", 1))); page.Status >= 500 || page.Header.Get("Location") == "" {
		t.Errorf("%d", page.Status)
	}
}
