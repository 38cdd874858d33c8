package idptest

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gatehouse/idp/api"
)

// TestOAuthRequirements goes through what the RFCs require, one case for each row.
func TestOAuthRequirements(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rp := w.Client(t, "rfc", map[string]any{"redirect_uris": []string{"https://rfc.example.org/cb", "https://rfc.example.org/other"}}, map[string]string{"policy.consent": "never"})
	t.Run("ORF-01 redirect tricks", func(t *testing.T) { w.redirectTricks(t, rp) })
	t.Run("ORF-02 a replayed code", func(t *testing.T) { w.codeReplayed(t, rp) })
	t.Run("ORF-03 the client's proof", func(t *testing.T) { w.clientProof(t, rp) })
	t.Run("ORF-04 no-store", func(t *testing.T) {
		reply := rp.Tokens(w.ana(t))
		if !strings.Contains(reply.Header.Get("Cache-Control"), "no-store") || reply.Header.Get("Pragma") != "no-cache" {
			t.Errorf("%v", reply.Header)
		}
	})
	t.Run("ORF-05 the body alone", func(t *testing.T) { w.bodyAlone(t, rp) })
	t.Run("ORF-06 PKCE", func(t *testing.T) { w.pkce(t, rp) })
	t.Run("ORF-07 rotation and reuse", func(t *testing.T) { w.rotation(t, rp) })
	t.Run("ORF-08 whose answer it is", func(t *testing.T) {
		if values := rp.Callback(rp.Visit(w.ana(t), rp.Ask())); values.Get("iss") != w.URL {
			t.Errorf("%v", values)
		}
		w.told(t, rp, rp.Visit(w.ana(t), rp.Ask("response_type", "token")), "unsupported_response_type", "bad_response_type")
		var document map[string]any
		if w.JSON(t, "/.well-known/openid-configuration", &document); document["authorization_response_iss_parameter_supported"] != true {
			t.Errorf("%v", document)
		}
	})
	t.Run("ORF-09 revocation", func(t *testing.T) { w.revocation(t, rp) })
	t.Run("ORF-10 introspection", func(t *testing.T) { w.introspection(t, rp) })
	t.Run("ORF-16 access tokens that are JWTs", func(t *testing.T) { w.accessJWT(t) })
	t.Run("ORF-17 forged tokens", func(t *testing.T) { w.forgedTokens(t) })
}

// redirectTricks: nothing but the registered octets will do, and no error goes anywhere else either.
func (w *world) redirectTricks(t *testing.T, rp *RP) {
	for _, uri := range []string{
		"https://rfc.example.org/cb/", "https://rfc.example.org/cb?x=1", "https://rfc.example.org/cb#x", "https://rfc.example.org:443/cb", "https://RFC.example.org/cb",
		"https://rfc.example.org/cb/../other", "https://rfc.example.org/%63b", "https://rfc.example.org@evil.example/cb", "https://rfc.example.org.evil.example/cb",
		"http://rfc.example.org/cb", "//rfc.example.org/cb", "javascript:alert(1)", "https://rfc.example.org/cb\x00", "https://rfc.example.org/cb ", "data:text/html,x",
	} {
		page := rp.Visit(w.ana(t), rp.Ask("redirect_uri", uri))
		w.checkHere(t, page, "bad_redirect_uri")
		page = rp.Visit(w.ana(t), rp.Ask("redirect_uri", uri, "response_type", "nonsense", "prompt", "none"))
		w.checkHere(t, page, "bad_redirect_uri")
	}
	twice := rp.Ask()
	twice.Add("redirect_uri", "https://evil.example/cb")
	w.checkHere(t, rp.Visit(w.ana(t), twice), "repeated_parameter")
	w.checkHere(t, rp.Visit(w.browser(t), rp.Ask("client_id", "nobody")), "unknown_app")
	w.checkHere(t, rp.Visit(w.browser(t), rp.Ask("client_id", "-")), "no_client_id")
	again := rp.Ask()
	again.Add("scope", "openid")
	w.told(t, rp, rp.Visit(w.ana(t), again), "invalid_request", "repeated_parameter")
	w.refusedBy(t, rp.Redeem(rp.Code(w.ana(t)), "redirect_uri", "https://rfc.example.org/other"), http.StatusBadRequest, "invalid_grant", "wrong_redirect_uri")
	w.refusedBy(t, rp.Redeem(rp.Code(w.ana(t)), "redirect_uri", "-"), http.StatusBadRequest, "invalid_grant", "wrong_redirect_uri")
}

// codeReplayed: a replay ends the refresh token too; an expired code gives nothing.
func (w *world) codeReplayed(t *testing.T, rp *RP) {
	code := rp.Code(w.ana(t), "scope", "openid offline_access")
	first := rp.Redeem(code)
	second := rp.Refresh(first.Text("refresh_token"))
	w.refusedBy(t, rp.Redeem(code), http.StatusBadRequest, "invalid_grant", "code_replayed")
	for _, token := range []string{first.Text("access_token"), second.Text("access_token"), second.Text("refresh_token")} {
		if rp.Active(token) {
			t.Errorf("%.8s is active after the replay", token)
		}
	}
	late := rp.Code(w.ana(t))
	w.clock.advance(time.Minute)
	w.refusedBy(t, rp.Redeem(late), http.StatusBadRequest, "invalid_grant", "code_expired")
	w.refusedBy(t, rp.Redeem("gac_nonsense"), http.StatusBadRequest, "invalid_grant", "unknown_code")
	w.refusedBy(t, rp.Redeem("-", "code", "-"), http.StatusBadRequest, "invalid_request", "no_code")
}

func (w *world) clientProof(t *testing.T, rp *RP) {
	form := url.Values{"grant_type": {"client_credentials"}}
	for name, c := range map[string]struct {
		basic  []string
		form   url.Values
		status int
		code   string
		reason string
	}{
		"no proof":          {nil, form, 401, "invalid_client", "no_client_id"},
		"the id alone":      {nil, url.Values{"grant_type": {"client_credentials"}, "client_id": {rp.ID}}, 401, "invalid_client", "wrong_auth_method"},
		"an empty secret":   {[]string{rp.ID, ""}, form, 401, "invalid_client", "wrong_auth_method"},
		"an empty post":     {nil, url.Values{"client_id": {rp.ID}, "client_secret": {""}}, 401, "invalid_client", "wrong_auth_method"},
		"a wrong secret":    {[]string{rp.ID, "wrong"}, form, 401, "invalid_client", "wrong_secret"},
		"an unknown client": {[]string{"nobody", rp.Secret}, form, 401, "invalid_client", "unknown_client"},
		"twice":             {[]string{rp.ID, rp.Secret}, url.Values{"client_id": {rp.ID}, "client_secret": {rp.Secret}}, 400, "invalid_request", "two_authentications"},
		"two clients":       {[]string{rp.ID, rp.Secret}, url.Values{"client_id": {"other"}}, 401, "invalid_client", "bad_basic"},
		"an assertion":      {nil, url.Values{"client_id": {rp.ID}, "client_assertion": {"x"}}, 401, "invalid_client", "bad_assertion_type"},
	} {
		for _, path := range []string{"/oauth/token", "/oauth/introspect", "/oauth/revoke"} {
			r := rp.Request(path, c.form)
			if c.basic != nil {
				r.SetBasicAuth(c.basic[0], c.basic[1])
			}
			t.Log(name, path)
			w.refusedBy(t, rp.Do(r), c.status, c.code, c.reason)
		}
	}
}

// bodyAlone: what stands in the query is not there, and nothing may be there twice.
func (w *world) bodyAlone(t *testing.T, rp *RP) {
	r := rp.Request("/oauth/token?grant_type=client_credentials&client_id="+rp.ID+"&client_secret="+rp.Secret, nil)
	w.refusedBy(t, rp.Do(r), http.StatusUnauthorized, "invalid_client", "no_client_id")
	w.refusedBy(t, rp.Send("/oauth/token?grant_type=client_credentials", nil), http.StatusBadRequest, "invalid_request", "no_grant_type")
	twice := rp.Send("/oauth/token", url.Values{"grant_type": {"refresh_token", "refresh_token"}})
	w.refusedBy(t, twice, http.StatusBadRequest, "invalid_request", "repeated_parameter")
	if said := twice.Text("error_description"); !strings.HasPrefix(said, "The parameter grant_type was sent more than once: send it once.") {
		t.Errorf("a parameter that is there twice: %q", said)
	}
	if said := rp.Send("/oauth/token", url.Values{"Call us now": {"", ""}}).Text("error_description"); strings.Contains(said, "Call us") {
		t.Errorf("a stranger's words: %q", said)
	}
	w.refusedBy(t, rp.Send("/oauth/token", url.Values{"grant_type": {"password"}}), http.StatusBadRequest, "unsupported_grant_type", "unsupported_grant_type")
	w.refusedBy(t, rp.Send("/oauth/token", url.Values{"grant_type": {"client_credentials"}}), http.StatusBadRequest, "unauthorized_client", "grant_type_not_allowed")
	asJSON := rp.Request("/oauth/token", nil)
	asJSON.Header.Set("Content-Type", "application/json")
	w.refusedBy(t, rp.Do(asJSON), http.StatusBadRequest, "invalid_request", "not_a_form")
	for _, method := range []string{http.MethodGet, http.MethodPut} {
		r, err := http.NewRequestWithContext(t.Context(), method, w.URL+"/oauth/token?grant_type=client_credentials", nil)
		if err != nil {
			t.Fatal(err)
		}
		if reply := rp.Do(r); reply.Status != http.StatusMethodNotAllowed || reply.Text("error") != "invalid_request" {
			t.Errorf("%s is answered with %d %s", method, reply.Status, reply.Raw)
		} else if allow := reply.Header.Get("Allow"); allow != http.MethodPost || !strings.Contains(reply.Text("error_description"), ": use POST.") {
			t.Errorf("%s is told to use %q: %s", method, allow, reply.Raw)
		}
	}
	large := rp.Send("/oauth/token", url.Values{"grant_type": {strings.Repeat("x", 70<<10)}})
	if large.Status != http.StatusRequestEntityTooLarge || large.Text("error") != "invalid_request" {
		t.Errorf("%d %s", large.Status, large.Raw)
	}
}

func (w *world) pkce(t *testing.T, rp *RP) {
	w.told(t, rp, rp.Visit(w.ana(t), rp.Ask("code_challenge", "-", "code_challenge_method", "-")), "invalid_request", "no_code_challenge")
	w.told(t, rp, rp.Visit(w.ana(t), rp.Ask("code_challenge_method", "plain")), "invalid_request", "bad_code_challenge_method")
	w.told(t, rp, rp.Visit(w.ana(t), rp.Ask("code_challenge_method", "-")), "invalid_request", "bad_code_challenge_method")
	w.told(t, rp, rp.Visit(w.ana(t), rp.Ask("code_challenge", "short")), "invalid_request", "bad_code_challenge")
	w.refusedBy(t, rp.Redeem(rp.Code(w.ana(t)), "code_verifier", "-"), http.StatusBadRequest, "invalid_grant", "no_code_verifier")
	w.refusedBy(t, rp.Redeem(rp.Code(w.ana(t)), "code_verifier", strings.Repeat("x", 43)), http.StatusBadRequest, "invalid_grant", "wrong_code_verifier")

	free := w.Client(t, "free", nil, map[string]string{"oauth.require_pkce": "false", "policy.consent": "never"})
	without := free.Code(w.ana(t), "code_challenge", "-", "code_challenge_method", "-")
	w.refusedBy(t, free.Redeem(without), http.StatusBadRequest, "invalid_grant", "pkce_downgrade")
	if reply := free.Redeem(without, "code_verifier", "-"); reply.Status != http.StatusOK {
		t.Errorf("%d %s", reply.Status, reply.Raw)
	}
	public := w.Client(t, "public", map[string]any{"token_endpoint_auth_method": "none"}, map[string]string{"oauth.require_pkce": "false", "policy.consent": "never"})
	w.told(t, public, public.Visit(w.ana(t), public.Ask("code_challenge", "-", "code_challenge_method", "-")), "invalid_request", "no_code_challenge")
	if public.Secret != "" || public.Tokens(w.ana(t)).Text("id_token") == "" {
		t.Error("a public client has a secret, or gets nothing")
	}
}

func (w *world) rotation(t *testing.T, rp *RP) {
	first := rp.Tokens(w.ana(t), "scope", "openid email offline_access")
	second := rp.Refresh(first.Text("refresh_token"), "scope", "openid")
	if second.Text("scope") != "openid" || second.Text("refresh_token") == first.Text("refresh_token") || rp.UserInfo(second.Text("access_token")).JSON["email"] != nil {
		t.Errorf("%s", second.Raw)
	}
	third := rp.Refresh(second.Text("refresh_token")) // narrowing was for one token
	if third.Text("scope") != "openid email offline_access" {
		t.Errorf("%s", third.Raw)
	}
	w.refusedBy(t, rp.Refresh(third.Text("refresh_token"), "scope", "openid profile"), http.StatusBadRequest, "invalid_scope", "scope_not_granted")
	if !rp.Active(third.Text("access_token")) {
		t.Error("asking for too much ended the grant")
	}
	w.refusedBy(t, rp.Refresh(first.Text("refresh_token")), http.StatusBadRequest, "invalid_grant", "refresh_token_reused")
	for _, reply := range []*Reply{first, second, third} {
		if rp.Active(reply.Text("access_token")) || rp.Active(reply.Text("refresh_token")) {
			t.Error("a token of the family is good after the reuse")
		}
	}
	w.refusedBy(t, rp.Refresh(third.Text("refresh_token")), http.StatusBadRequest, "invalid_grant", "unknown_refresh_token")
	w.refusedBy(t, rp.Refresh("grt_nonsense.x"), http.StatusBadRequest, "invalid_grant", "unknown_refresh_token")
	w.refusedBy(t, rp.Refresh("x", "refresh_token", "-"), http.StatusBadRequest, "invalid_request", "no_refresh_token")
}

func (w *world) revocation(t *testing.T, rp *RP) {
	tokens := rp.Tokens(w.ana(t), "scope", "openid offline_access")
	other := w.Client(t, "foreign", nil, nil)
	foreign := func(token string) *Reply { return other.Send("/oauth/revoke", url.Values{"token": {token}}) }
	w.refusedBy(t, foreign(tokens.Text("access_token")), http.StatusBadRequest, "invalid_grant", "token_of_other_client")
	w.refusedBy(t, rp.Send("/oauth/revoke", nil), http.StatusBadRequest, "invalid_request", "no_token")
	if !rp.Active(tokens.Text("access_token")) {
		t.Error("another client revoked the token")
	}
	for _, token := range []string{"nonsense", "gat_nonsense", "grt_x.y", "a.b.c"} {
		if reply := rp.Send("/oauth/revoke", url.Values{"token": {token}, "token_type_hint": {"nonsense"}}); reply.Status != http.StatusOK {
			t.Errorf("%s: %d %s", token, reply.Status, reply.Raw)
		}
	}
	if reply := rp.Send("/oauth/revoke", url.Values{"token": {tokens.Text("refresh_token")}, "token_type_hint": {"access_token"}}); reply.Status != http.StatusOK || reply.Raw != "" {
		t.Errorf("%d %s", reply.Status, reply.Raw)
	}
	if rp.Active(tokens.Text("access_token")) || rp.Active(tokens.Text("refresh_token")) {
		t.Error("what was revoked is active")
	}
}

func (w *world) introspection(t *testing.T, rp *RP) {
	token := rp.Tokens(w.ana(t), "scope", "openid profile").Text("access_token")
	public := w.Client(t, "nosecret", map[string]any{"token_endpoint_auth_method": "none"}, nil)
	w.refusedBy(t, public.Introspect(token), http.StatusUnauthorized, "invalid_client", "public_client")
	reply := rp.Introspect(token)
	if reply.JSON["active"] != true || reply.Text("client_id") != rp.ID || reply.Text("username") != "ana" || reply.Text("scope") != "openid profile" || reply.Text("token_type") != "Bearer" || reply.JSON["exp"] == nil || reply.JSON["iat"] == nil {
		t.Errorf("%s", reply.Raw)
	}
	revoked := rp.Tokens(w.ana(t)).Text("access_token")
	rp.Send("/oauth/revoke", url.Values{"token": {revoked}})
	foreign, ended := w.Client(t, "curious", nil, nil).Introspect(token), rp.Introspect(revoked)
	w.clock.advance(10 * time.Minute)
	for name, reply := range map[string]*Reply{"expired": rp.Introspect(token), "another's": foreign, "revoked": ended, "unknown": rp.Introspect("nonsense"), "a JWT": rp.Introspect("a.b.c")} {
		if strings.TrimSpace(reply.Raw) != `{"active":false}` || reply.Status != http.StatusOK {
			t.Errorf("%s: %d %s", name, reply.Status, reply.Raw)
		}
	}
}

func (w *world) accessJWT(t *testing.T) {
	rp := w.Client(t, "jwt", nil, map[string]string{"oauth.access_token_format": "jwt", "policy.consent": "never"})
	tokens := rp.Tokens(w.ana(t), "scope", "openid email")
	header, claims := rp.Claims(tokens.Text("access_token"))
	if header.ExtraHeaders[jose.HeaderType] != "at+jwt" || claims["iss"] != w.URL || claims["aud"] != w.URL || claims["client_id"] != rp.ID || claims["sub"] == nil ||
		claims["jti"] == nil || claims["scope"] != "openid email" || claims["exp"] == nil || claims["iat"] == nil || claims["auth_time"] == nil || claims["acr"] == nil {
		t.Errorf("%v %v", header, claims)
	}
	if !rp.Active(tokens.Text("access_token")) || rp.UserInfo(tokens.Text("access_token")).Text("email") != "ana@example.org" {
		t.Error("a JWT is not taken back")
	}
	if reply := rp.Send("/oauth/revoke", url.Values{"token": {tokens.Text("access_token")}}); reply.Status != http.StatusOK || rp.Active(tokens.Text("access_token")) {
		t.Error("a JWT cannot be revoked")
	}
}

// forgedTokens: neither alg none, nor a MAC with the public key, nor another kind of token of ours, nor another key.
func (w *world) forgedTokens(t *testing.T) {
	rp := w.Client(t, "forge", nil, map[string]string{"oauth.access_token_format": "jwt", "policy.consent": "never"})
	tokens := rp.Tokens(w.ana(t))
	good := tokens.Text("access_token")
	parts := strings.Split(good, ".")
	public, err := json.Marshal(rp.Keys().Keys[0])
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(rp.Keys().Keys[0].Key)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	kid := rp.Keys().Keys[0].KeyID
	forged := map[string]string{
		"alg none":           encode([]byte(`{"alg":"none","typ":"at+jwt","kid":"`+kid+`"}`)) + "." + parts[1] + ".",
		"no signature":       parts[0] + "." + parts[1] + ".",
		"the ID token":       tokens.Text("id_token"),
		"another payload":    parts[0] + "." + encode([]byte(`{"jti":"x"}`)) + "." + parts[2],
		"HS256, public key":  macSigned(t, public, kid, parts[1]),
		"HS256, its PEM":     macSigned(t, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), kid, parts[1]),
		"its jti as a token": claimOf(t, parts[1], "jti"),
	}
	for name, token := range forged {
		if rp.Active(token) || rp.UserInfo(token).Status != http.StatusUnauthorized {
			t.Errorf("%s is taken for good", name)
		}
		if name != "the ID token" {
			w.told(t, rp, rp.Visit(w.ana(t), rp.Ask("id_token_hint", token)), "invalid_request", "bad_id_token_hint")
		}
	}
	w.told(t, rp, rp.Visit(w.ana(t), rp.Ask("id_token_hint", good)), "invalid_request", "bad_id_token_hint")
	w.setClient(t, rp, "oauth.userinfo_signed_response_alg", "RS256") // it names person and client as an ID token does
	w.told(t, rp, rp.Visit(w.ana(t), rp.Ask("id_token_hint", rp.UserInfo(good).Raw)), "invalid_request", "bad_id_token_hint")
	other := w.Client(t, "forge2", nil, map[string]string{"policy.consent": "never"})
	w.told(t, other, other.Visit(w.ana(t), other.Ask("id_token_hint", tokens.Text("id_token"))), "invalid_request", "bad_id_token_hint")
}

func macSigned(t *testing.T, key []byte, kid, payload string) string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		t.Fatal(err)
	}
	options := (&jose.SignerOptions{}).WithType("at+jwt").WithHeader("kid", kid)
	return signJWT(t, jose.SigningKey{Algorithm: jose.HS256, Key: key}, options, json.RawMessage(raw))
}

func claimOf(t *testing.T, payload, name string) string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(payload)
	var claims map[string]any
	if err == nil {
		err = json.Unmarshal(raw, &claims)
	}
	if err != nil {
		t.Fatal(err)
	}
	text, _ := claims[name].(string)
	return text
}

// setClient changes settings of a client.
func (w *world) setClient(t *testing.T, rp *RP, pairs ...string) {
	t.Helper()
	change := api.Change{Set: map[string]string{}, Force: true}
	for i := 0; i+1 < len(pairs); i += 2 {
		change.Set[pairs[i]] = pairs[i+1]
	}
	if _, err := w.API.SetApp(t.Context(), rp.ID, change); err != nil {
		t.Fatal(err)
	}
}
