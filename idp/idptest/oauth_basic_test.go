package idptest

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/idp/api"
)

// TestOpenIDBasic goes through the lines of the plan Basic OP, one case each.
func TestOpenIDBasic(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rp := w.Client(t, "basic", nil, map[string]string{"oauth.require_pkce": "false", "policy.consent": "never"})
	t.Run("OBP-01 the plain code flow", func(t *testing.T) { w.plainFlow(t, rp) })
	t.Run("OBP-02 no response_type", func(t *testing.T) {
		w.told(t, rp, rp.Visit(w.ana(t), rp.Ask("response_type", "-")), "invalid_request", "no_response_type")
	})
	t.Run("OBP-03 ODY-01 the ID token's key", func(t *testing.T) {
		header, _ := rp.Claims(rp.Tokens(w.ana(t)).Text("id_token"))
		if header.Algorithm != "RS256" || len(rp.Keys().Key(header.KeyID)) != 1 {
			t.Errorf("%+v", header)
		}
		var offered map[string]any
		if w.JSON(t, "/.well-known/openid-configuration", &offered); slices.Contains(offered["id_token_signing_alg_values_supported"].([]any), any("none")) {
			t.Error("unsigned ID tokens are offered")
		}
	})
	t.Run("OBP-04 three ways to userinfo", func(t *testing.T) { w.userinfoWays(t, rp) })
	t.Run("OBP-05 no nonce", func(t *testing.T) {
		if _, claims := rp.Claims(rp.Tokens(w.ana(t), "nonce", "-").Text("id_token")); claims["nonce"] != nil {
			t.Errorf("%v", claims)
		}
	})
	t.Run("OBP-06 OBP-07 claims of scopes", func(t *testing.T) { w.scopeClaims(t, rp) })
	t.Run("ODY-05 OBP-08 a redirect URI with a query", func(t *testing.T) { w.redirectWithQuery(t) })
	t.Run("OBP-09 OBP-13 OBP-15 ORF-18 parameters that change nothing", func(t *testing.T) {
		rp.Tokens(w.ana(t), "display", "page", "ui_locales", "de fr", "claims_locales", "en", "acr_values", "1 2", "login_hint", "ana", "entirely", "unknown")
		rp.Tokens(w.ana(t), "display", "popup")
		page := rp.Visit(w.browser(t), rp.Ask("login_hint", "ana"))
		if page.Field("name") != "ana" {
			t.Errorf("the hint is not in the form: %s", page.Body)
		}
	})
	t.Run("OBP-10 ORF-18 prompt=login", func(t *testing.T) { w.promptLogin(t, rp) })
	t.Run("OBP-11 OBP-14 ORF-18 prompt=none", func(t *testing.T) { w.promptNone(t, rp) })
	t.Run("OBP-12 ORF-18 max_age", func(t *testing.T) { w.maxAge(t, rp) })
	t.Run("lifetimes of the app's own", func(t *testing.T) { w.ownLifetimes(t, rp) })
	t.Run("OBP-16 a code twice", func(t *testing.T) {
		w.codeTwice(t, rp, 0)
		w.codeTwice(t, rp, 31*time.Second)
	})
	t.Run("OBP-17 an unregistered redirect URI", func(t *testing.T) {
		for _, uri := range []string{"https://evil.example/cb", rp.Redirect + ".evil", rp.Redirect[:len(rp.Redirect)-1]} {
			w.checkHere(t, rp.Visit(w.ana(t), rp.Ask("redirect_uri", uri)), "bad_redirect_uri")
		}
	})
	t.Run("OBP-18 ORF-18 the request by POST", func(t *testing.T) {
		page := w.ana(t).Post("/oauth/authorize", rp.Ask())
		if rp.Callback(page).Get("code") == "" {
			t.Errorf("%d %q", page.Status, page.Header.Get("Location"))
		}
		fresh := w.browser(t)
		if page := fresh.SignIn(fresh.CrossPost("/oauth/authorize", rp.Ask()), "bob", Password); rp.Callback(page).Get("code") == "" {
			t.Errorf("from another site: %d at %s", page.Status, page.URL)
		}
	})
	t.Run("OBP-20 request_uri", func(t *testing.T) {
		w.told(t, rp, rp.Visit(w.ana(t), rp.Ask("request_uri", "https://basic.example.org/request")), "request_uri_not_supported", "request_uri")
	})
	t.Run("OBP-21 a request object", func(t *testing.T) {
		w.told(t, rp, rp.Visit(w.ana(t), rp.Ask("request", "eyJhbGciOiJub25lIn0.e30.")), "request_not_supported", "jwt_algorithm")
	})
	t.Run("OBP-22 claims one by one", func(t *testing.T) { w.essentialClaims(t, rp) })
	t.Run("OBP-25 PKCE", func(t *testing.T) {
		if rp.Tokens(w.ana(t)).Text("access_token") == "" {
			t.Error("no token")
		}
		w.refusedBy(t, rp.Redeem(rp.Code(w.ana(t)), "code_verifier", strings.Repeat("x", 43)), http.StatusBadRequest, "invalid_grant", "wrong_code_verifier")
	})
	t.Run("OCF-01 discovery", func(t *testing.T) { w.discovery(t, rp) })
	t.Run("ODY-04 no redirect_uri", func(t *testing.T) {
		w.checkHere(t, rp.Visit(w.ana(t), rp.Ask("redirect_uri", "-")), "no_redirect_uri")
	})
}

// TestOpenIDSecretInBody is the flow with client_secret_post, and refreshing.
func TestOpenIDSecretInBody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rp := w.Client(t, "post", map[string]any{"token_endpoint_auth_method": "client_secret_post"}, nil)
	rp.Post = true
	other := w.Client(t, "other", nil, nil)
	t.Run("OBP-19 OBP-24 the secret in the body, and a refresh", func(t *testing.T) {
		first := rp.Tokens(w.ana(t), "scope", "openid offline_access", "prompt", "consent")
		w.refusedBy(t, other.Refresh(first.Text("refresh_token")), http.StatusBadRequest, "invalid_grant", "refresh_token_of_other_client")
		second := rp.Refresh(first.Text("refresh_token"))
		_, before := rp.Claims(first.Text("id_token"))
		_, after := rp.Claims(second.Text("id_token"))
		if second.Status != http.StatusOK || after["sub"] != before["sub"] || after["auth_time"] != before["auth_time"] || after["aud"] != rp.ID || after["nonce"] != nil {
			t.Errorf("%d %s\n%v\n%v", second.Status, second.Raw, before, after)
		}
	})
}

// Client is a relying party whose requests come from an address of their own each, as those of browsers do.
func (w *world) Client(t *testing.T, name string, metadata map[string]any, settings map[string]string) *RP {
	t.Helper()
	rp := w.Server.Client(t, name, metadata, settings)
	rp.http = &http.Client{Transport: manyHops{&w.address}}
	return rp
}

// told checks that the client was told an error at its redirect URI, with our name and its state, and the audit why.
func (w *world) told(t *testing.T, rp *RP, page *Page, code, reason string) url.Values {
	t.Helper()
	values := rp.Callback(page)
	if values.Get("error") != code || values.Get("iss") != w.URL || values.Get("state") == "" || values.Has("code") {
		t.Errorf("want %s, have %d at %s to %q", code, page.Status, page.URL, page.Header.Get("Location"))
	}
	if entry := w.Audit(t)[0]; entry.Reason != reason || entry.Outcome != "refused" || entry.Kind != "signon" || !strings.Contains(values.Get("error_description"), entry.Code) {
		t.Errorf("the audit says %s %s %s, want %s (%q)", entry.Kind, entry.Outcome, entry.Reason, reason, values.Get("error_description"))
	}
	return values
}

// refusedBy checks a refusal of an endpoint for clients: error JSON, no-store, and the audit says why.
func (w *world) refusedBy(t *testing.T, reply *Reply, status int, code, reason string) {
	t.Helper()
	if reply.Status != status || reply.Text("error") != code || !strings.Contains(reply.Header.Get("Cache-Control"), "no-store") || len(reply.JSON) > 2 {
		t.Errorf("want %d %s, have %d %s", status, code, reply.Status, reply.Raw)
	}
	if entry := w.Audit(t)[0]; entry.Reason != reason || entry.Outcome != "refused" || !strings.Contains(reply.Text("error_description"), entry.Code) {
		t.Errorf("the audit says %s %s %s, want %s", entry.Kind, entry.Outcome, entry.Reason, reason)
	}
	if (status == http.StatusUnauthorized || status == http.StatusForbidden) != (reply.Header.Get("WWW-Authenticate") != "") {
		t.Errorf("%d with WWW-Authenticate %q", status, reply.Header.Get("WWW-Authenticate"))
	}
	if said := described(reply); said != "" && said != reply.Text("error_description") {
		t.Errorf("the header says %q, the body %q", said, reply.Text("error_description"))
	}
}

// described is the error_description of a WWW-Authenticate header.
func described(reply *Reply) string {
	_, said, _ := strings.Cut(reply.Header.Get("WWW-Authenticate"), `error_description="`)
	said, _, _ = strings.Cut(said, `"`)
	return said
}

// ownLifetimes: how long tokens are good is the app's to say.
func (w *world) ownLifetimes(t *testing.T, rp *RP) {
	w.setClient(t, rp, "oauth.id_token_lifetime", "2m", "oauth.access_token_lifetime", "1h")
	reply := rp.Tokens(w.ana(t))
	_, claims := rp.Claims(reply.Text("id_token"))
	if claims["exp"].(float64)-claims["iat"].(float64) != 120 || reply.JSON["expires_in"] != 3600.0 {
		t.Errorf("%v\n%s", claims, reply.Raw)
	}
	w.setClient(t, rp, "oauth.id_token_lifetime", "default", "oauth.access_token_lifetime", "default")
}

func (w *world) plainFlow(t *testing.T, rp *RP) {
	ask := rp.Ask()
	values := rp.Callback(rp.Visit(w.ana(t), ask))
	if values.Get("state") != ask.Get("state") || len(values) != 3 {
		t.Fatalf("%v", values)
	}
	reply := rp.Redeem(values.Get("code"))
	_, claims := rp.Claims(reply.Text("id_token"))
	now := float64(w.clock.now().Unix())
	exp, _ := claims["exp"].(float64)
	iat, _ := claims["iat"].(float64)
	if reply.Status != http.StatusOK || reply.Text("token_type") != "Bearer" || reply.JSON["expires_in"] != 600.0 || reply.Text("scope") != "openid" ||
		claims["iss"] != w.URL || claims["aud"] != rp.ID || claims["nonce"] != ask.Get("nonce") || claims["sub"] == "" || exp <= now || iat > now+1 || claims["at_hash"] == nil {
		t.Errorf("%s\n%v", reply.Raw, claims)
	}
	if claims["acr"] != "urn:gatehouse:level:standard" || !slices.Equal(claims["amr"].([]any), []any{"pwd"}) || claims["email"] != nil {
		t.Errorf("%v", claims)
	}
}

func (w *world) userinfoWays(t *testing.T, rp *RP) {
	token := rp.Tokens(w.ana(t)).Text("access_token")
	byHeader := rp.Request("/oauth/userinfo", nil)
	byHeader.Header.Del("Content-Type")
	byHeader.Header.Set("Authorization", "Bearer "+token)
	first := rp.UserInfo(token)
	for name, reply := range map[string]*Reply{"POST with the header": rp.Do(byHeader), "POST with the body": rp.Do(rp.Request("/oauth/userinfo", url.Values{"access_token": {token}}))} {
		if reply.Status != http.StatusOK || reply.Raw != first.Raw || reply.Text("sub") == "" {
			t.Errorf("%s: %d %s", name, reply.Status, reply.Raw)
		}
	}
	inQuery, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.URL+"/oauth/userinfo?access_token="+token, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.refusedBy(t, rp.Do(inQuery), http.StatusUnauthorized, "invalid_token", "no_token")
	w.refusedBy(t, rp.UserInfo(token+"x"), http.StatusUnauthorized, "invalid_token", "bad_token")
}

// scopeClaims: each scope brings its claims and no others.
func (w *world) scopeClaims(t *testing.T, rp *RP) {
	change := api.Change{Set: map[string]string{"attributes": `{"phone_number":["+49 30 1"],"street_address":["Ring 1"],"country":["DE"],"nickname":["Ani"]}`}}
	if _, err := w.API.SetUser(t.Context(), "ana", change); err != nil {
		t.Fatal(err)
	}
	of := map[string][]string{
		"profile": {"family_name", "given_name", "name", "nickname", "preferred_username", "updated_at"},
		"email":   {"email", "email_verified"}, "phone": {"phone_number", "phone_number_verified"}, "address": {"address"},
	}
	all := []string{"sub"}
	for scope, want := range of {
		all = append(all, want...)
		w.claimsAre(t, rp, "openid "+scope, append([]string{"sub"}, want...))
	}
	w.claimsAre(t, rp, "openid profile email phone address", all)
}

func (w *world) claimsAre(t *testing.T, rp *RP, scope string, want []string) {
	t.Helper()
	reply := rp.UserInfo(rp.Tokens(w.ana(t), "scope", scope).Text("access_token"))
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(reply.JSON)); !slices.Equal(got, want) {
		t.Errorf("%s brings %v, want %v", scope, got, want)
	}
}

func (w *world) redirectWithQuery(t *testing.T) {
	rp := w.Client(t, "query", map[string]any{"redirect_uris": []string{"https://query.example.org/cb?dummy1=lorem&dummy2=ipsum"}}, map[string]string{"policy.consent": "never"})
	state := strings.Repeat("x", 200) + "&=#"
	page := rp.Visit(w.ana(t), rp.Ask("state", state))
	values := rp.Callback(page)
	if values.Get("dummy1") != "lorem" || values.Get("dummy2") != "ipsum" || values.Get("state") != state || rp.Redeem(values.Get("code")).Status != http.StatusOK {
		t.Errorf("%q", page.Header.Get("Location"))
	}
	for _, wrong := range []string{"https://query.example.org/cb", "https://query.example.org/cb?dummy1=lorem", "https://query.example.org/cb?dummy2=ipsum&dummy1=lorem", rp.Redirect + "&x=y"} {
		w.checkHere(t, rp.Visit(w.ana(t), rp.Ask("redirect_uri", wrong)), "bad_redirect_uri")
	}
}

func (w *world) promptLogin(t *testing.T, rp *RP) {
	c := w.signedIn(t, "bob")
	_, first := rp.Claims(rp.Tokens(c).Text("id_token"))
	w.clock.advance(2 * time.Second)
	page := c.SignIn(rp.Visit(c, rp.Ask("prompt", "login")), "bob", Password)
	_, second := rp.Claims(rp.Redeem(rp.Callback(page).Get("code")).Text("id_token"))
	if second["auth_time"].(float64) <= first["auth_time"].(float64) || second["sub"] != first["sub"] {
		t.Errorf("%v\n%v", first, second)
	}
	w.told(t, rp, rp.Visit(c, rp.Ask("prompt", "none login")), "invalid_request", "bad_prompt")
	w.told(t, rp, rp.Visit(c, rp.Ask("prompt", "nonsense")), "invalid_request", "bad_prompt")
	if page := rp.Visit(c, rp.Ask("prompt", "select_account")); page.URL.Path != "/login" {
		t.Errorf("select_account rests at %s", page.URL)
	}
}

func (w *world) promptNone(t *testing.T, rp *RP) {
	w.told(t, rp, rp.Visit(w.browser(t), rp.Ask("prompt", "none")), "login_required", "no_passive")
	first := rp.Tokens(w.ana(t))
	_, before := rp.Claims(first.Text("id_token"))
	w.clock.advance(time.Hour) // the hint has expired, and counts
	_, after := rp.Claims(rp.Tokens(w.ana(t), "prompt", "none", "id_token_hint", first.Text("id_token")).Text("id_token"))
	if before["sub"] != after["sub"] {
		t.Errorf("%v\n%v", before, after)
	}
	bob := w.signedIn(t, "bob")
	w.told(t, rp, rp.Visit(bob, rp.Ask("prompt", "none", "id_token_hint", first.Text("id_token"))), "login_required", "unknown_principal")
	w.told(t, rp, rp.Visit(bob, rp.Ask("id_token_hint", first.Text("id_token")+"x")), "invalid_request", "bad_id_token_hint")
}

func (w *world) maxAge(t *testing.T, rp *RP) {
	c := w.signedIn(t, "bob")
	_, claims := rp.Claims(rp.Tokens(c, "max_age", "10000").Text("id_token"))
	if claims["auth_time"] == nil {
		t.Errorf("%v", claims)
	}
	w.clock.advance(2 * time.Second)
	page := c.SignIn(rp.Visit(c, rp.Ask("max_age", "1")), "bob", Password)
	_, again := rp.Claims(rp.Redeem(rp.Callback(page).Get("code")).Text("id_token"))
	if again["auth_time"].(float64) <= claims["auth_time"].(float64) {
		t.Errorf("%v\n%v", claims, again)
	}
	w.told(t, rp, rp.Visit(c, rp.Ask("max_age", "soon")), "invalid_request", "bad_max_age")
}

// codeTwice: the second time ends the tokens of the first.
func (w *world) codeTwice(t *testing.T, rp *RP, after time.Duration) {
	code := rp.Code(w.ana(t))
	first := rp.Redeem(code)
	if !rp.Active(first.Text("access_token")) {
		t.Fatal("the token is not active")
	}
	w.clock.advance(after)
	w.refusedBy(t, rp.Redeem(code), http.StatusBadRequest, "invalid_grant", "code_replayed")
	if rp.Active(first.Text("access_token")) || rp.UserInfo(first.Text("access_token")).Status != http.StatusUnauthorized {
		t.Error("the token of a replayed code is still good")
	}
}

func (w *world) essentialClaims(t *testing.T, rp *RP) {
	reply := rp.Tokens(w.ana(t), "claims", `{"userinfo":{"name":{"essential":true},"nonsense":null},"id_token":{"email":null,"auth_time":{"essential":true}}}`)
	info := rp.UserInfo(reply.Text("access_token"))
	_, claims := rp.Claims(reply.Text("id_token"))
	if info.Text("name") != "The ana" || info.JSON["email"] != nil || claims["email"] != "ana@example.org" || claims["auth_time"] == nil {
		t.Errorf("%s\n%v", info.Raw, claims)
	}
	w.told(t, rp, rp.Visit(w.ana(t), rp.Ask("claims", "{")), "invalid_request", "bad_claims")
	w.told(t, rp, rp.Visit(w.ana(t), rp.Ask("claims", `{"id_token":{"sub":{"value":"usr_other"}}}`)), "login_required", "unknown_principal")
	w.setOrganisation(t, "signin.mfa_enrolment", "admin") // else ana would be asked to set a second factor up
	defer w.setOrganisation(t, "signin.mfa_enrolment", "default")
	w.told(t, rp, rp.Visit(w.ana(t), rp.Ask("claims", `{"id_token":{"acr":{"essential":true,"values":["urn:gatehouse:level:high"]}}}`)), "unmet_authentication_requirements", "level_unreachable")
}

func (w *world) discovery(t *testing.T, rp *RP) {
	var oidc, metadata map[string]any
	w.JSON(t, "/.well-known/openid-configuration", &oidc)
	w.JSON(t, "/.well-known/oauth-authorization-server", &metadata)
	if len(oidc) != len(metadata) || oidc["issuer"] != w.URL {
		t.Errorf("%v", oidc)
	}
	for _, name := range []string{"authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "introspection_endpoint", "revocation_endpoint"} {
		if address, _ := oidc[name].(string); !strings.HasPrefix(address, w.URL+"/oauth/") {
			t.Errorf("%s is %v", name, oidc[name])
		}
	}
	for name, value := range oidc {
		address, _ := value.(string)
		if path, ours := strings.CutPrefix(address, w.URL+"/"); ours && w.browser(t).Get("/"+path).Status == http.StatusNotFound {
			t.Errorf("%s leads to nothing: %s", name, address)
		}
	}
	if subjects, _ := oidc["subject_types_supported"].([]any); len(subjects) != 2 || !slices.Contains(subjects, any("public")) {
		t.Errorf("subjects are %v", subjects)
	}
	for name, value := range map[string]string{
		"response_types_supported": "code", "subject_types_supported": "pairwise", "id_token_signing_alg_values_supported": "RS256", "claims_supported": "email",
		"scopes_supported": "openid", "grant_types_supported": "refresh_token", "code_challenge_methods_supported": "S256", "token_endpoint_auth_methods_supported": "client_secret_basic",
	} {
		if list, _ := oidc[name].([]any); !slices.Contains(list, any(value)) {
			t.Errorf("%s is %v", name, oidc[name])
		}
	}
	for _, key := range rp.Keys().Keys {
		if !key.Valid() || !key.IsPublic() || key.Use != "sig" || key.KeyID == "" {
			t.Errorf("%+v", key)
		}
	}
}
