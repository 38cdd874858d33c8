package idptest

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gatehouse/idp/api"
)

// signingKey is a key of a client.
type signingKey struct {
	private   any
	id        string
	algorithm jose.SignatureAlgorithm
}

func newSigningKey(t testing.TB, algorithm jose.SignatureAlgorithm, id string) *signingKey {
	t.Helper()
	var private any
	var err error
	switch algorithm {
	case jose.RS256, jose.PS256:
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	case jose.ES384:
		private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case jose.EdDSA:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &signingKey{private, id, algorithm}
}

func (k *signingKey) public() jose.JSONWebKey {
	private := jose.JSONWebKey{Key: k.private, KeyID: k.id}
	return private.Public()
}

// keySet is what a client publishes.
func keySet(keys ...*signingKey) json.RawMessage {
	var set jose.JSONWebKeySet
	for _, key := range keys {
		set.Keys = append(set.Keys, key.public())
	}
	text, _ := json.Marshal(set)
	return text
}

// sign makes a JWT; a header "" is left out.
func (k *signingKey) sign(t testing.TB, claims any, headers map[string]any) string {
	t.Helper()
	options := &jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{}}
	if k.id != "" {
		options.ExtraHeaders["kid"] = k.id
	}
	for name, value := range headers {
		options.ExtraHeaders[jose.HeaderKey(name)] = value
	}
	return signJWT(t, jose.SigningKey{Algorithm: k.algorithm, Key: k.private}, options, claims)
}

func signJWT(t testing.TB, key jose.SigningKey, options *jose.SignerOptions, claims any) string {
	t.Helper()
	signer, err := jose.NewSigner(key, options)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// clientJWT are the claims of a good client_assertion.
func (w *world) clientJWT(rp *RP, change map[string]any) map[string]any {
	now := w.clock.now().Unix()
	claims := map[string]any{"iss": rp.ID, "sub": rp.ID, "aud": w.URL, "jti": rand.Text(), "iat": now, "exp": now + 60}
	for name, value := range change {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	return claims
}

// asserted is a form with a proof by assertion.
func asserted(assertion string, form url.Values) url.Values {
	all := url.Values{"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {assertion}}
	for name, values := range form {
		all[name] = values
	}
	return all
}

// withKeys is a client that proves itself by assertions and acts alone.
func (w *world) withKeys(t *testing.T, name string, metadata map[string]any) *RP {
	t.Helper()
	whole := map[string]any{"token_endpoint_auth_method": "private_key_jwt", "grant_types": []string{"client_credentials", "authorization_code", "refresh_token"}}
	for key, value := range metadata {
		whole[key] = value
	}
	return w.Client(t, name, whole, map[string]string{"oauth.run_as": "bob", "policy.consent": "never"})
}

var alone = url.Values{"grant_type": {"client_credentials"}}

// TestClientAssertions is private_key_jwt (RFC 7523, section 3; OpenID Connect Core 1.0, section 9).
func TestClientAssertions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := newSigningKey(t, jose.RS256, "one")
	rp := w.withKeys(t, "asserting", map[string]any{"jwks": keySet(key)})
	send := func(path, assertion string, form url.Values) *Reply {
		return rp.Do(rp.Request(path, asserted(assertion, form)))
	}
	t.Run("ODY-15 the issuer as audience", func(t *testing.T) {
		for _, audience := range []any{w.URL, []string{w.URL}, w.URL + "/oauth/token"} {
			if reply := send("/oauth/token", key.sign(t, w.clientJWT(rp, map[string]any{"aud": audience}), nil), alone); reply.Status != http.StatusOK {
				t.Errorf("%v: %d %s", audience, reply.Status, reply.Raw)
			}
		}
	})
	t.Run("ORF-13 assertions that are not good", func(t *testing.T) { w.badAssertions(t, rp, key) })
	t.Run("ORF-13 a replayed jti", func(t *testing.T) { w.replayedAssertion(t, rp, key) })
	t.Run("ORF-17 none, HS256 with the public key, and other keys", func(t *testing.T) { w.forgedAssertions(t, rp, key) })
	t.Run("every algorithm, also of one unnamed key among others", func(t *testing.T) {
		keys := []*signingKey{newSigningKey(t, jose.ES256, ""), newSigningKey(t, jose.ES384, ""), newSigningKey(t, jose.EdDSA, ""), newSigningKey(t, jose.PS256, "")}
		rp := w.withKeys(t, "many", map[string]any{"jwks": keySet(keys...)})
		for _, key := range keys {
			if reply := send("/oauth/token", key.sign(t, w.clientJWT(rp, nil), nil), alone); reply.Status != http.StatusOK {
				t.Errorf("%s: %d %s", key.algorithm, reply.Status, reply.Raw)
			}
		}
	})
	t.Run("ODY-10 ODY-13 keys at an address", func(t *testing.T) { w.keysAtAddress(t) })
	t.Run("keys at a private address", func(t *testing.T) { w.keysInside(t) })
	t.Run("discovery tells", func(t *testing.T) {
		var document struct {
			Methods    []string `json:"token_endpoint_auth_methods_supported"`
			Algorithms []string `json:"token_endpoint_auth_signing_alg_values_supported"`
		}
		w.JSON(t, "/.well-known/openid-configuration", &document)
		if text := strings.Join(append(document.Methods, document.Algorithms...), " "); !strings.Contains(text, "private_key_jwt") || !strings.Contains(text, "RS256") || strings.Contains(text, "HS") {
			t.Error(text)
		}
	})
}

func (w *world) badAssertions(t *testing.T, rp *RP, key *signingKey) {
	now := w.clock.now().Unix()
	other := w.withKeys(t, "asserting2", map[string]any{"jwks": keySet(newSigningKey(t, jose.ES256, "x"))})
	for name, c := range map[string]struct {
		change  map[string]any
		headers map[string]any
		reason  string
	}{
		"another audience":        {map[string]any{"aud": "https://other.example.org"}, nil, "jwt_audience"},
		"two audiences":           {map[string]any{"aud": []string{w.URL, "https://other.example.org"}}, nil, "jwt_audience"},
		"another endpoint":        {map[string]any{"aud": w.URL + "/oauth/revoke"}, nil, "jwt_audience"},
		"no audience":             {map[string]any{"aud": nil}, nil, "jwt_audience"},
		"expired":                 {map[string]any{"exp": now - 120, "iat": now - 180}, nil, "jwt_expired"},
		"no end":                  {map[string]any{"exp": nil}, nil, "assertion_exp"},
		"an hour":                 {map[string]any{"exp": now + 3600}, nil, "jwt_long_lived"},
		"not yet":                 {map[string]any{"nbf": now + 300}, nil, "jwt_of_the_future"},
		"made tomorrow":           {map[string]any{"iat": now + 300}, nil, "jwt_of_the_future"},
		"made an hour ago":        {map[string]any{"iat": now - 3600}, nil, "jwt_old"},
		"no jti":                  {map[string]any{"jti": nil}, nil, "assertion_jti"},
		"a long jti":              {map[string]any{"jti": strings.Repeat("x", 300)}, nil, "assertion_jti"},
		"another issuer":          {map[string]any{"iss": other.ID}, nil, "assertion_of_other_client"},
		"another subject":         {map[string]any{"sub": other.ID}, nil, "assertion_of_other_client"},
		"no subject":              {map[string]any{"sub": nil}, nil, "assertion_of_other_client"},
		"a request object's type": {nil, map[string]any{"typ": "oauth-authz-req+jwt"}, "jwt_type"},
		"a proof's type":          {nil, map[string]any{"typ": "dpop+jwt"}, "jwt_type"},
	} {
		form := url.Values{"grant_type": {"client_credentials"}, "client_id": {rp.ID}}
		t.Log(name)
		w.refusedBy(t, rp.Do(rp.Request("/oauth/token", asserted(key.sign(t, w.clientJWT(rp, c.change), c.headers), form))), http.StatusUnauthorized, "invalid_client", c.reason)
	}
	// another client's name with one's own key
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {other.ID}}
	w.refusedBy(t, rp.Do(rp.Request("/oauth/token", asserted(key.sign(t, w.clientJWT(other, nil), nil), form))), http.StatusUnauthorized, "invalid_client", "jwt_key_unknown")
	w.refusedBy(t, rp.Do(rp.Request("/oauth/token", asserted(key.sign(t, w.clientJWT(rp, nil), nil), form))), http.StatusUnauthorized, "invalid_client", "jwt_key_unknown")
	secret := w.Client(t, "secretonly", nil, nil)
	form.Set("client_id", secret.ID)
	w.refusedBy(t, rp.Do(rp.Request("/oauth/token", asserted(key.sign(t, w.clientJWT(secret, nil), nil), form))), http.StatusUnauthorized, "invalid_client", "wrong_auth_method")
	twice := asserted(key.sign(t, w.clientJWT(rp, nil), nil), url.Values{"client_id": {rp.ID}, "client_secret": {"x"}})
	w.refusedBy(t, rp.Do(rp.Request("/oauth/token", twice)), http.StatusBadRequest, "invalid_request", "two_authentications")
}

// replayedAssertion: each counts once, at whichever endpoint, and whatever came of it.
func (w *world) replayedAssertion(t *testing.T, rp *RP, key *signingKey) {
	for _, first := range []string{"/oauth/token", "/oauth/introspect", "/oauth/revoke"} {
		for _, second := range []string{"/oauth/token", "/oauth/introspect", "/oauth/revoke"} {
			assertion := key.sign(t, w.clientJWT(rp, nil), nil)
			form := asserted(assertion, url.Values{"grant_type": {"client_credentials"}, "token": {"x"}})
			if reply := rp.Do(rp.Request(first, form)); reply.Status != http.StatusOK {
				t.Errorf("%s: %d %s", first, reply.Status, reply.Raw)
			}
			w.refusedBy(t, rp.Do(rp.Request(second, form)), http.StatusUnauthorized, "invalid_client", "assertion_replayed")
		}
	}
}

func (w *world) forgedAssertions(t *testing.T, rp *RP, key *signingKey) {
	claims := w.clientJWT(rp, nil)
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	public, err := key.public().MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	stranger := newSigningKey(t, jose.RS256, "one")
	good := strings.Split(key.sign(t, claims, nil), ".")
	embedded := signJWT(t, jose.SigningKey{Algorithm: jose.RS256, Key: stranger.private}, &jose.SignerOptions{EmbedJWK: true}, claims)
	for name, c := range map[string]struct{ assertion, reason string }{
		"alg none":                       {encode([]byte(`{"alg":"none","kid":"one"}`)) + "." + encode(payload) + ".", "jwt_algorithm"},
		"no signature":                   {good[0] + "." + good[1] + ".", "jwt_signature"},
		"HS256 with the public key":      {macSigned(t, public, "one", encode(payload)), "jwt_algorithm"},
		"another's key of the same name": {stranger.sign(t, claims, nil), "jwt_signature"},
		"a key in its header":            {embedded, "jwt_signature"},
		"a key that is not registered":   {(&signingKey{stranger.private, "two", jose.RS256}).sign(t, claims, nil), "jwt_key_unknown"},
		"nonsense":                       {"x", "jwt_unreadable"},
		"nonsense in parts":              {"a.b.c", "jwt_unreadable"},
	} {
		t.Log(name)
		form := asserted(c.assertion, url.Values{"grant_type": {"client_credentials"}, "client_id": {rp.ID}})
		w.refusedBy(t, rp.Do(rp.Request("/oauth/token", form)), http.StatusUnauthorized, "invalid_client", c.reason)
	}
}

// keysAtAddress: a key that was not known is looked for at most once a minute, and one that is gone counts no longer.
func (w *world) keysAtAddress(t *testing.T) {
	one, two, three := newSigningKey(t, jose.ES256, "one"), newSigningKey(t, jose.ES256, "two"), newSigningKey(t, jose.ES256, "three")
	var published atomic.Value
	var fetched atomic.Int32
	published.Store(keySet(one))
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		fetched.Add(1)
		_, _ = out.Write(published.Load().(json.RawMessage))
	}))
	defer server.Close()
	rp := w.withKeys(t, "address", map[string]any{"jwks_uri": server.URL + "/keys"})
	try := func(key *signingKey) *Reply {
		return rp.Do(rp.Request("/oauth/token", asserted(key.sign(t, w.clientJWT(rp, nil), nil), alone)))
	}
	for range 3 {
		if reply := try(one); reply.Status != http.StatusOK {
			t.Fatalf("%d %s", reply.Status, reply.Raw)
		}
	}
	published.Store(keySet(one, two))
	w.refusedBy(t, try(two), http.StatusUnauthorized, "invalid_client", "jwt_key_unknown")
	if n := fetched.Load(); n != 1 {
		t.Errorf("fetched %d times within a minute", n)
	}
	w.clock.advance(time.Minute)
	if reply := try(two); reply.Status != http.StatusOK || fetched.Load() != 2 {
		t.Errorf("%d %s, fetched %d times", reply.Status, reply.Raw, fetched.Load())
	}
	code := asserted(two.sign(t, w.clientJWT(rp, nil), nil), url.Values{"grant_type": {"authorization_code"}, "code": {rp.Code(w.ana(t), "scope", "openid offline_access")}, "redirect_uri": {rp.Redirect}, "code_verifier": {rp.Verifier}})
	refresh := rp.Do(rp.Request("/oauth/token", code)).Text("refresh_token") // got by the one key
	published.Store(keySet(three))
	w.clock.advance(11 * time.Minute)
	renewed := rp.Do(rp.Request("/oauth/token", asserted(three.sign(t, w.clientJWT(rp, nil), nil), url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}})))
	if renewed.Status != http.StatusOK { // used by the next
		t.Errorf("%d %s", renewed.Status, renewed.Raw)
	}
	published.Store(keySet(two))
	w.clock.advance(11 * time.Minute)
	w.refusedBy(t, try(one), http.StatusUnauthorized, "invalid_client", "jwt_key_unknown")
	published.Store(json.RawMessage(strings.Repeat(" ", 70<<10)))
	w.clock.advance(11 * time.Minute)
	if reply := try(two); reply.Status != http.StatusOK {
		t.Errorf("what was known is forgotten at once: %d %s", reply.Status, reply.Raw)
	}
	w.clock.advance(time.Hour)
	w.refusedBy(t, try(two), http.StatusUnauthorized, "invalid_client", "client_keys")
}

// keysInside: nothing in the network is fetched for a client, and it is not told what is there.
func (w *world) keysInside(t *testing.T) {
	key := newSigningKey(t, jose.ES256, "one")
	for name, address := range map[string]string{
		"metadata": "https://169.254.169.254/latest", "private": "https://10.0.0.1/keys", "mapped": "https://[::ffff:192.168.0.1]/keys", "ula": "https://[fd00::1]/",
	} {
		rp := w.withKeys(t, "inside"+name, map[string]any{"jwks_uri": address})
		reply := rp.Do(rp.Request("/oauth/token", asserted(key.sign(t, w.clientJWT(rp, nil), nil), alone)))
		w.refusedBy(t, reply, http.StatusUnauthorized, "invalid_client", "client_keys")
		if strings.Contains(reply.Raw, "private") || !strings.Contains(w.Audit(t)[0].Facts["received"], "private network") {
			t.Errorf("%s: %s, %v", name, reply.Raw, w.Audit(t)[0].Facts)
		}
	}
	for _, bad := range []string{"http://10.0.0.1/keys", "file:///etc/passwd", "https://user@app.example.org/"} {
		if _, err := w.API.AddApp(t.Context(), api.NewApp{OAuth: `{"client_name":"bad","redirect_uris":["https://x.example/"],"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"` + bad + `"}`}); err == nil {
			t.Errorf("%s can be registered", bad)
		}
	}
}
