package idptest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// proof makes a DPoP proof (RFC 9449, 4.2), changed; nil leaves a claim out.
func (w *world) proof(t testing.TB, key *signingKey, method, path, access string, change map[string]any) string {
	t.Helper()
	claims := map[string]any{"jti": rand.Text(), "htm": method, "htu": w.URL + path, "iat": w.clock.now().Unix()}
	if access != "" {
		claims["ath"] = hashOf(access)
	}
	for name, value := range change {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	return signJWT(t, jose.SigningKey{Algorithm: key.algorithm, Key: key.private}, (&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt"), claims)
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// proven sends a form to the token endpoint as a public client, with a proof; "" is without.
func (rp *RP) proven(path, proof string, form url.Values) *Reply {
	rp.t.Helper()
	all := url.Values{"client_id": {rp.ID}}
	for name, values := range form {
		all[name] = values
	}
	r := rp.Request(path, all)
	if proof != "" {
		r.Header.Set("DPoP", proof)
	}
	return rp.Do(r)
}

// who asks userinfo, as the scheme says, with a proof.
func (rp *RP) who(scheme, token, proof string) *Reply {
	rp.t.Helper()
	r, err := http.NewRequestWithContext(rp.t.Context(), http.MethodGet, rp.server.URL+"/oauth/userinfo", nil)
	if err != nil {
		rp.t.Fatal(err)
	}
	r.Header.Set("Authorization", scheme+" "+token)
	if proof != "" {
		r.Header.Set("DPoP", proof)
	}
	return rp.Do(r)
}

// codeForm redeems a code of a browser.
func (w *world) codeForm(t *testing.T, rp *RP, change ...string) url.Values {
	t.Helper()
	return url.Values{"grant_type": {"authorization_code"}, "code": {rp.Code(w.ana(t), change...)}, "redirect_uri": {rp.Redirect}, "code_verifier": {rp.Verifier}}
}

// TestDPoP is RFC 9449.
func TestDPoP(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rp := w.Client(t, "bound", map[string]any{"token_endpoint_auth_method": "none"}, map[string]string{"policy.consent": "never"})
	gateway := w.Client(t, "boundgateway", nil, map[string]string{"oauth.introspect": "all"})
	key, thief := newSigningKey(t, jose.ES256, ""), newSigningKey(t, jose.ES256, "")
	tokens := func(scope string) *Reply {
		reply := rp.proven("/oauth/token", w.proof(t, key, "POST", "/oauth/token", "", nil), w.codeForm(t, rp, "scope", scope))
		if reply.Status != http.StatusOK || reply.Text("token_type") != "DPoP" {
			t.Fatalf("%d %s", reply.Status, reply.Raw)
		}
		return reply
	}
	t.Run("ORF-15 a bound token is no bearer token", func(t *testing.T) {
		access := tokens("openid").Text("access_token")
		good := w.proof(t, key, "GET", "/oauth/userinfo", access, nil)
		if reply := rp.who("DPoP", access, good); reply.Status != http.StatusOK {
			t.Errorf("%d %s", reply.Status, reply.Raw)
		}
		w.refusedBy(t, rp.who("DPoP", access, good), http.StatusUnauthorized, "invalid_dpop_proof", "dpop_replayed")
		w.refusedBy(t, rp.UserInfo(access), http.StatusUnauthorized, "invalid_token", "bound_token")
		w.refusedBy(t, rp.who("DPoP", access, ""), http.StatusUnauthorized, "invalid_dpop_proof", "dpop_missing")
		w.refusedBy(t, rp.who("DPoP", access, w.proof(t, thief, "GET", "/oauth/userinfo", access, nil)), http.StatusUnauthorized, "invalid_token", "bound_token")
		w.refusedBy(t, rp.who("DPoP", access, w.proof(t, key, "GET", "/oauth/userinfo", "other", nil)), http.StatusUnauthorized, "invalid_dpop_proof", "dpop_ath")
		w.refusedBy(t, rp.who("DPoP", access, w.proof(t, key, "GET", "/oauth/userinfo", "", nil)), http.StatusUnauthorized, "invalid_dpop_proof", "dpop_ath")
		w.refusedBy(t, rp.Do(rp.Request("/oauth/userinfo", url.Values{"access_token": {access}})), http.StatusUnauthorized, "invalid_token", "bound_token")
		unknown := tokens("profile").Text("access_token")
		narrow := rp.who("DPoP", unknown, w.proof(t, key, "GET", "/oauth/userinfo", unknown, nil))
		w.refusedBy(t, narrow, http.StatusForbidden, "insufficient_scope", "no_openid")
		if challenge := narrow.Header.Get("WWW-Authenticate"); !strings.HasPrefix(challenge, `DPoP realm="Gatehouse", error="insufficient_scope"`) || !strings.HasSuffix(challenge, `, scope="openid"`) {
			t.Errorf("who shows a bound token is asked for another by %q", challenge)
		}
		plain := rp.Redeem(rp.Code(w.ana(t))).Text("access_token")
		w.refusedBy(t, rp.who("DPoP", plain, w.proof(t, key, "GET", "/oauth/userinfo", plain, nil)), http.StatusUnauthorized, "invalid_token", "bound_token")
	})
	t.Run("ORF-15 proofs that are not good", func(t *testing.T) { w.badProofs(t, rp, key) })
	t.Run("ORF-15 refresh with another key", func(t *testing.T) {
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens("openid offline_access").Text("refresh_token")}}
		w.refusedBy(t, rp.proven("/oauth/token", "", form), http.StatusBadRequest, "invalid_dpop_proof", "dpop_missing")
		w.refusedBy(t, rp.proven("/oauth/token", w.proof(t, thief, "POST", "/oauth/token", "", nil), form), http.StatusBadRequest, "invalid_dpop_proof", "dpop_other_key")
		proof := w.proof(t, key, "POST", "/oauth/token", "", nil)
		next := rp.proven("/oauth/token", proof, form)
		if next.Status != http.StatusOK || next.Text("token_type") != "DPoP" {
			t.Fatalf("others' tries spoilt it: %d %s", next.Status, next.Raw)
		}
		form.Set("refresh_token", next.Text("refresh_token"))
		w.refusedBy(t, rp.proven("/oauth/token", proof, form), http.StatusBadRequest, "invalid_dpop_proof", "dpop_replayed")
	})
	t.Run("what introspection and a JWT say", func(t *testing.T) {
		thumb := thumbprint(t, key)
		reply := gateway.Introspect(tokens("openid").Text("access_token"))
		if cnf, _ := reply.JSON["cnf"].(map[string]any); reply.Text("token_type") != "DPoP" || cnf["jkt"] != thumb {
			t.Errorf("%s", reply.Raw)
		}
		w.setClient(t, rp, "oauth.access_token_format", "jwt")
		_, claims := rp.Claims(tokens("openid").Text("access_token"))
		if cnf, _ := claims["cnf"].(map[string]any); cnf["jkt"] != thumb {
			t.Errorf("%v", claims)
		}
		w.setClient(t, rp, "oauth.access_token_format", "opaque")
	})
	t.Run("a code bound to a key", func(t *testing.T) {
		form := w.codeForm(t, rp, "dpop_jkt", thumbprint(t, key))
		w.refusedBy(t, rp.proven("/oauth/token", "", form), http.StatusBadRequest, "invalid_dpop_proof", "dpop_missing")
		w.refusedBy(t, rp.proven("/oauth/token", w.proof(t, thief, "POST", "/oauth/token", "", nil), form), http.StatusBadRequest, "invalid_dpop_proof", "dpop_other_key")
		if reply := rp.proven("/oauth/token", w.proof(t, key, "POST", "/oauth/token", "", nil), form); reply.Status != http.StatusOK {
			t.Errorf("%d %s", reply.Status, reply.Raw)
		}
		pushed := rp.proven("/oauth/par", w.proof(t, key, "POST", "/oauth/par", "", nil), rp.Ask())
		code := rp.Callback(rp.Visit(w.ana(t), named(rp, pushed.Text("request_uri")))).Get("code")
		w.refusedBy(t, rp.Redeem(code), http.StatusBadRequest, "invalid_dpop_proof", "dpop_missing")
		other := rp.Ask("dpop_jkt", thumbprint(t, thief))
		w.refusedBy(t, rp.proven("/oauth/par", w.proof(t, key, "POST", "/oauth/par", "", nil), other), http.StatusBadRequest, "invalid_dpop_proof", "dpop_other_key")
	})
	t.Run("an app whose every token is bound", func(t *testing.T) {
		w.setClient(t, rp, "oauth.dpop_bound_access_tokens", "true")
		w.refusedBy(t, rp.Redeem(rp.Code(w.ana(t))), http.StatusBadRequest, "invalid_dpop_proof", "dpop_missing")
	})
}

func thumbprint(t testing.TB, key *signingKey) string {
	t.Helper()
	text, err := json.Marshal(key.public())
	var jwk struct{ Crv, X, Y string }
	if err == nil {
		err = json.Unmarshal(text, &jwk)
	}
	if err != nil {
		t.Fatal(err)
	}
	return hashOf(`{"crv":"` + jwk.Crv + `","kty":"EC","x":"` + jwk.X + `","y":"` + jwk.Y + `"}`)
}

// badProofs: each is refused before anything is redeemed, so that the code is good in the end.
func (w *world) badProofs(t *testing.T, rp *RP, key *signingKey) {
	form, now := w.codeForm(t, rp), w.clock.now().Unix()
	proof := func(change map[string]any) string {
		return w.proof(t, key, "POST", "/oauth/token", "", change)
	}
	claims := map[string]any{"jti": "x", "htm": "POST", "htu": w.URL + "/oauth/token", "iat": now}
	public, err := key.public().MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	parts := strings.Split(proof(nil), ".")
	private := encode([]byte(`{"alg":"HS256","typ":"dpop+jwt","jwk":{"kty":"oct","k":"AAAA"}}`))
	for name, c := range map[string]struct{ proof, reason string }{
		"another method":            {proof(map[string]any{"htm": "GET"}), "dpop_method"},
		"another endpoint":          {proof(map[string]any{"htu": w.URL + "/oauth/userinfo"}), "dpop_uri"},
		"another server":            {proof(map[string]any{"htu": "https://other.example.org/oauth/token"}), "dpop_uri"},
		"no address":                {proof(map[string]any{"htu": nil}), "dpop_uri"},
		"no jti":                    {proof(map[string]any{"jti": nil}), "dpop_jti"},
		"no time":                   {proof(map[string]any{"iat": nil}), "dpop_iat"},
		"old":                       {proof(map[string]any{"iat": now - 90}), "dpop_iat"},
		"of the future":             {proof(map[string]any{"iat": now + 90}), "dpop_iat"},
		"another type":              {key.sign(t, claims, map[string]any{"typ": "JWT"}), "jwt_type"},
		"no key":                    {key.sign(t, claims, map[string]any{"typ": "dpop+jwt"}), "dpop_key"},
		"another signature":         {parts[0] + "." + encode(payload) + "." + parts[2], "dpop_signature"},
		"alg none":                  {encode([]byte(`{"alg":"none","typ":"dpop+jwt","jwk":`+string(public)+`}`)) + "." + encode(payload) + ".", "jwt_algorithm"},
		"a shared secret":           {private + "." + encode(payload) + ".AAAA", "jwt_algorithm"},
		"nonsense":                  {"x", "jwt_unreadable"},
		"HS256 with the public key": {signJWT(t, jose.SigningKey{Algorithm: jose.HS256, Key: public}, (&jose.SignerOptions{}).WithType("dpop+jwt"), claims), "jwt_algorithm"},
	} {
		t.Log(name)
		w.refusedBy(t, rp.proven("/oauth/token", c.proof, form), http.StatusBadRequest, "invalid_dpop_proof", c.reason)
	}
	form.Set("client_id", rp.ID)
	twice := rp.Request("/oauth/token", form)
	twice.Header["Dpop"] = []string{proof(nil), proof(nil)}
	w.refusedBy(t, rp.Do(twice), http.StatusBadRequest, "invalid_dpop_proof", "dpop_repeated")
	w.clock.advance(time.Second)
	if reply := rp.proven("/oauth/token", proof(map[string]any{"htu": strings.ToUpper(w.URL[:4]) + w.URL[4:] + "/oauth/token?x=1#y"}), form); reply.Status != http.StatusOK {
		t.Errorf("%d %s", reply.Status, reply.Raw)
	}
}
