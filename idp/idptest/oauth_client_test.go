package idptest

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"gatehouse/certs"
	"gatehouse/idp/api"
	"gatehouse/sp"
	"gatehouse/store"
)

// TestOAuthClients is what concerns the clients themselves.
func TestOAuthClients(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	t.Run("ODY-06 a redirect URI with a fragment", func(t *testing.T) { w.badRegistrations(t) })
	t.Run("OPR-03 rotating a secret", func(t *testing.T) { w.rotateSecret(t) })
	t.Run("OPR-07 pairwise subjects", func(t *testing.T) { w.pairwise(t) })
	t.Run("OPR-08 the portal's tile", func(t *testing.T) { w.tileStarts(t) })
	t.Run("OPR-09 loopback ports", func(t *testing.T) {
		rp := w.Client(t, "phone", map[string]any{"application_type": "native", "token_endpoint_auth_method": "none", "redirect_uris": []string{"http://127.0.0.1/cb"}}, map[string]string{"policy.consent": "never"})
		rp.Redirect = "http://127.0.0.1:51004/cb"
		if rp.Tokens(w.ana(t)).Text("access_token") == "" {
			t.Error("no token")
		}
		w.checkHere(t, rp.Visit(w.ana(t), rp.Ask("redirect_uri", "http://127.0.0.1:51004/other")), "bad_redirect_uri")
		web := w.Client(t, "webphone", map[string]any{"redirect_uris": []string{"http://127.0.0.1/cb"}}, nil) // it is not installed
		w.checkHere(t, web.Visit(w.ana(t), web.Ask("redirect_uri", "http://127.0.0.1:51004/cb")), "bad_redirect_uri")
	})
	t.Run("OPR-10 pages that may ask", func(t *testing.T) { w.crossOrigin(t) })
	t.Run("OPR-11 impersonated and mixed-up clients", func(t *testing.T) { w.impersonation(t) })
	t.Run("OPR-13 software that nobody here wrote", func(t *testing.T) { w.foreignClients(t) })
	t.Run("OPR-14 one app by both", func(t *testing.T) { w.bothProtocols(t) })
	t.Run("what the organisation switched off", func(t *testing.T) { w.grantsOff(t) })
	t.Run("answers by form and fragment", func(t *testing.T) { w.responseModes(t) })
	t.Run("OPR-12 ODY-12 keys", func(t *testing.T) { w.oauthKeys(t) })
}

func (w *world) badRegistrations(t *testing.T) {
	for text, field := range map[string]string{
		`{"client_name":"x","redirect_uris":["https://x.example/#a"]}`: "oauth.redirect_uris",
		`{"client_name":"x","redirect_uris":["http://x.example/"]}`:    "oauth.redirect_uris",
		`{"client_name":"x","redirect_uris":["https://*.x.example/"]}`: "oauth.redirect_uris",
		`{"client_name":"x"}`:                      "oauth.redirect_uris",
		`{"redirect_uris":["https://x.example/"]}`: "name",
		`{"client_name":"x","redirect_uris":["https://x.example/"],"grant_types":["implicit"]}`:                                               "oauth.grant_types",
		`{"client_name":"x","redirect_uris":["https://x.example/"],"token_endpoint_auth_method":"magic"}`:                                     "oauth.token_endpoint_auth_method",
		`{"client_name":"x","redirect_uris":["https://x.example/"],"id_token_signed_response_alg":"none"}`:                                    "oauth.id_token_signed_response_alg",
		`{"client_name":"x","redirect_uris":["https://x.example/"],"id_token_signed_response_alg":"ES256"}`:                                   "oauth.id_token_signed_response_alg",
		`{"client_name":"x","redirect_uris":["https://x.example/"],"token_endpoint_auth_method":"none","grant_types":["client_credentials"]}`: "oauth.grant_types",
		`[`: "oauth",
	} {
		_, err := w.API.AddApp(t.Context(), api.NewApp{OAuth: text})
		refused, ok := err.(*api.Error)
		if !ok || refused.Status != http.StatusBadRequest || refused.Field != field {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func (w *world) rotateSecret(t *testing.T) {
	rp := w.Client(t, "rotate", nil, nil)
	good := func(secret string) bool {
		one := *rp
		one.Secret = secret
		return one.Introspect("x").Status == http.StatusOK
	}
	rotate := func(ask api.RotateSecret) api.ClientSecret {
		answer, err := w.API.RotateSecret(t.Context(), rp.ID, ask)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	second := rotate(api.RotateSecret{}).ClientSecret
	if !good(rp.Secret) || !good(second) || second == rp.Secret {
		t.Error("after a rotation not both secrets are good")
	}
	app, err := w.API.App(t.Context(), rp.ID)
	if err != nil || len(app.OAuth.Secrets) != 2 || app.OAuth.Secrets[0].LastUsed.IsZero() || app.OAuth.Secrets[1].LastUsed.IsZero() {
		t.Errorf("%+v, %v", app.OAuth, err)
	}
	if ended := rotate(api.RotateSecret{EndOld: true}); ended.Ended != 1 || ended.ClientSecret != "" || good(rp.Secret) || !good(second) {
		t.Errorf("%+v", ended)
	}
	third := rotate(api.RotateSecret{}).ClientSecret
	fourth := rotate(api.RotateSecret{}).ClientSecret
	if good(second) || !good(third) || !good(fourth) {
		t.Error("not the newest two are good")
	}
	public := w.Client(t, "rotatenone", map[string]any{"token_endpoint_auth_method": "none"}, nil)
	if _, err := w.API.RotateSecret(t.Context(), public.ID, api.RotateSecret{}); err == nil {
		t.Error("a public client gets a secret")
	}
}

func (w *world) pairwise(t *testing.T) {
	subject := func(host string, settings map[string]string) (*RP, string, string) {
		rp := w.Client(t, "pair"+host, map[string]any{"redirect_uris": []string{"https://" + host + ".example.org/cb"}, "subject_type": "pairwise"}, settings)
		tokens := rp.Tokens(w.ana(t))
		_, claims := rp.Claims(tokens.Text("id_token"))
		if info := rp.UserInfo(tokens.Text("access_token")); info.Text("sub") != claims["sub"] || rp.Introspect(tokens.Text("access_token")).Text("sub") != claims["sub"] {
			t.Errorf("%s, %v", info.Raw, claims)
		}
		return rp, claims["sub"].(string), tokens.Text("id_token")
	}
	rp, one, hint := subject("one", nil)
	_, other, _ := subject("two", nil)
	_, same, _ := subject("one", map[string]string{"name": "Sibling"})
	if one == other || one != same || strings.HasPrefix(one, "usr_") {
		t.Errorf("%s, %s, %s", one, other, same)
	}
	if rp.Callback(rp.Visit(w.ana(t), rp.Ask("prompt", "none", "id_token_hint", hint))).Get("code") == "" {
		t.Error("the hint of a pairwise subject is not understood")
	}
	w.told(t, rp, rp.Visit(w.signedIn(t, "bob"), rp.Ask("id_token_hint", hint, "prompt", "none")), "consent_required", "no_passive")
}

func (w *world) tileStarts(t *testing.T) {
	rp := w.Client(t, "wellness", map[string]any{"initiate_login_uri": "https://wellness.example.org/login?x=1"}, nil)
	silent := w.Client(t, "silent", nil, nil)
	page := w.ana(t).Get("/")
	if !strings.Contains(page.Body, "/launch/"+rp.App) || strings.Contains(page.Body, "/launch/"+silent.App) {
		t.Error("the tile is missing, or there is one that leads nowhere")
	}
	want := "https://wellness.example.org/login?x=1&iss=" + url.QueryEscape(w.URL)
	if location := w.ana(t).Get("/launch/" + rp.App).Header.Get("Location"); location != want {
		t.Errorf("%q", location)
	}
	w.setClient(t, rp, "start_url", "https://wellness.example.org/today")
	if location := w.ana(t).Get("/launch/" + rp.App).Header.Get("Location"); location != want+"&target_link_uri="+url.QueryEscape("https://wellness.example.org/today") {
		t.Errorf("%q", location)
	}
}

func (w *world) crossOrigin(t *testing.T) {
	spa := w.Client(t, "spa", map[string]any{"token_endpoint_auth_method": "none"}, nil)
	w.Client(t, "server", nil, nil)
	ask := func(method, path, origin string) *Reply {
		r, err := http.NewRequestWithContext(t.Context(), method, w.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", origin)
		return spa.Do(r)
	}
	for origin, want := range map[string]string{"https://spa.example.org": "https://spa.example.org", "https://server.example.org": "", "https://evil.example": "", "null": "", "https://spa.example.org.evil.example": ""} {
		for _, path := range []string{"/oauth/token", "/oauth/userinfo", "/oauth/revoke"} {
			reply := ask(http.MethodOptions, path, origin)
			if got := reply.Header.Get("Access-Control-Allow-Origin"); got != want || reply.Header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s from %s: %q", path, origin, got)
			}
		}
		if got := ask(http.MethodGet, "/oauth/userinfo", origin).Header.Get("Access-Control-Allow-Origin"); got != want {
			t.Errorf("userinfo from %s: %q", origin, got)
		}
		if got := ask(http.MethodGet, "/.well-known/openid-configuration", origin).Header.Get("Access-Control-Allow-Origin"); got != "*" {
			t.Errorf("discovery from %s: %q", origin, got)
		}
		for path, body := range map[string]int{"/oauth/token": 100 << 10, "/oauth/token?x=%zz": 1, "/oauth/token?x=" + strings.Repeat("x", 40<<10): 1} { // what no handler sees
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.URL+path, strings.NewReader(strings.Repeat("x", body)))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Origin", origin)
			if reply := spa.Do(r); reply.Status < 400 || reply.Header.Get("Access-Control-Allow-Origin") != want || !strings.Contains(reply.Header.Get("Cache-Control"), "no-store") {
				t.Errorf("%d from %s: %v", reply.Status, origin, reply.Header)
			}
		}
	}
}

func (w *world) impersonation(t *testing.T) {
	rp := w.Client(t, "honest", nil, map[string]string{"policy.consent": "never"})
	thief := w.Client(t, "thief", nil, map[string]string{"policy.consent": "never"})
	public := w.Client(t, "thiefpublic", map[string]any{"token_endpoint_auth_method": "none"}, nil)
	code := rp.Code(w.ana(t))
	w.refusedBy(t, thief.Redeem(code, "redirect_uri", rp.Redirect, "code_verifier", rp.Verifier), http.StatusBadRequest, "invalid_grant", "code_of_other_client")
	w.refusedBy(t, public.Redeem(code, "redirect_uri", rp.Redirect, "code_verifier", rp.Verifier), http.StatusBadRequest, "invalid_grant", "code_of_other_client")
	w.refusedBy(t, public.Redeem(code, "client_id", rp.ID, "redirect_uri", rp.Redirect, "code_verifier", rp.Verifier), http.StatusUnauthorized, "invalid_client", "wrong_auth_method")
	if rp.Redeem(code).Status != http.StatusOK {
		t.Error("others' tries spoilt the code")
	}
	w.refusedBy(t, public.Send("/oauth/token", url.Values{"client_secret": {"x"}, "grant_type": {"authorization_code"}}), http.StatusUnauthorized, "invalid_client", "wrong_auth_method")
	wrong := *rp
	wrong.Secret, wrong.http = "guessed", &http.Client{Transport: oneHop("198.51.100.9")}
	w.clock.advance(time.Minute)
	defer w.clock.stand()()
	for range 20 {
		wrong.Introspect("x")
	}
	reply := wrong.Introspect("x")
	if reply.Status != http.StatusTooManyRequests || reply.Header.Get("Retry-After") == "" || reply.Text("error") != "invalid_client" {
		t.Errorf("%d %s", reply.Status, reply.Raw)
	}
	if reply := thief.Introspect("x"); reply.Status != http.StatusOK {
		t.Errorf("another client pays for it: %d", reply.Status)
	}
}

func (w *world) oauthKeys(t *testing.T) {
	rp := w.Client(t, "keys", nil, map[string]string{"policy.consent": "never"})
	old := rp.Tokens(w.ana(t)).Text("id_token")
	oldHeader, _ := rp.Claims(old)
	elliptic, err := w.API.StageKey(t.Context(), api.NewKey{Algorithm: "ecdsa"})
	if err != nil {
		t.Fatal(err)
	}
	next, err := w.API.StageKey(t.Context(), api.NewKey{})
	if err != nil {
		t.Fatal(err)
	}
	if len(rp.Keys().Key(next.ID)) != 1 || len(rp.Keys().Key(elliptic.ID)) != 1 {
		t.Error("the next keys are not published before they sign")
	}
	for _, key := range []string{elliptic.ID, next.ID} {
		if _, err := w.API.ActivateKey(t.Context(), key, api.Activation{}); err != nil {
			t.Fatal(err)
		}
	}
	if header, _ := rp.Claims(rp.Tokens(w.ana(t)).Text("id_token")); header.KeyID != next.ID || header.KeyID == oldHeader.KeyID || header.Algorithm != "RS256" {
		t.Errorf("%+v", header)
	}
	rp.Claims(old) // still verifies
	w.keyMissing(t, rp, elliptic.ID)
	w.setClient(t, rp, "oauth.id_token_signed_response_alg", "ES256", "oauth.access_token_format", "jwt")
	tokens := rp.Tokens(w.ana(t))
	for _, token := range []string{tokens.Text("id_token"), tokens.Text("access_token")} {
		if header, _ := rp.Claims(token); header.Algorithm != "ES256" || header.KeyID != elliptic.ID {
			t.Errorf("%+v", header)
		}
	}
	if !rp.Active(tokens.Text("access_token")) {
		t.Error("an ES256 access token is not taken back")
	}
	var document map[string]any
	if w.JSON(t, "/.well-known/openid-configuration", &document); !slices.Contains(document["id_token_signing_alg_values_supported"].([]any), any("ES256")) {
		t.Errorf("%v", document["id_token_signing_alg_values_supported"])
	}
}

// keyMissing: a code that no token can be signed for is left as it was.
func (w *world) keyMissing(t *testing.T, rp *RP, elliptic string) {
	code := rp.Code(w.ana(t))
	err := w.Store.Update(t.Context(), func(tx store.Tx) error {
		ring, _, err := certs.Rings.Get(tx, certs.RingKey)
		for i := range ring.Keys {
			if ring.Keys[i].ID == elliptic {
				ring.Keys[i].State = certs.Next
			}
		}
		return errors.Join(err, certs.Rings.Put(tx, &ring))
	})
	if err != nil {
		t.Fatal(err)
	}
	w.setAlgorithm(t, rp, sp.AlgorithmES256)
	w.refusedBy(t, rp.Redeem(code), http.StatusBadRequest, "unauthorized_client", "no_signing_key")
	w.setAlgorithm(t, rp, sp.AlgorithmRS256)
	if reply := rp.Redeem(code); reply.Status != http.StatusOK {
		t.Errorf("%d %s", reply.Status, reply.Raw)
	}
	if _, err := w.API.ActivateKey(t.Context(), elliptic, api.Activation{}); err != nil {
		t.Fatal(err)
	}
}

// setAlgorithm sets what an administrator cannot, because there is no key for it.
func (w *world) setAlgorithm(t *testing.T, rp *RP, algorithm string) {
	t.Helper()
	err := w.Store.Update(t.Context(), func(tx store.Tx) error {
		app, _, err := sp.Apps.Get(tx, rp.App)
		if err != nil {
			return err
		}
		app.Definition.OAuth.IDTokenAlgorithm = algorithm
		return sp.Apps.Put(tx, &app)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// foreignClients: discovery, code with PKCE, ID token, userinfo, refresh and client credentials with libraries of others.
func (w *world) foreignClients(t *testing.T) {
	rp := w.Client(t, "foreignlib", map[string]any{"grant_types": []string{"authorization_code", "refresh_token", "client_credentials"}, "scope": "openid email offline_access orders.read"}, map[string]string{"oauth.run_as": "bob"})
	ctx := context.WithoutCancel(t.Context())
	provider, err := oidc.NewProvider(ctx, w.URL)
	if err != nil {
		t.Fatal(err)
	}
	config := oauth2.Config{ClientID: rp.ID, ClientSecret: rp.Secret, Endpoint: provider.Endpoint(), RedirectURL: rp.Redirect, Scopes: []string{oidc.ScopeOpenID, "email", oidc.ScopeOfflineAccess}}
	verifier := oauth2.GenerateVerifier()
	page := w.ana(t).Get(config.AuthCodeURL("state", oidc.Nonce("nonce"), oauth2.S256ChallengeOption(verifier)))
	token, err := config.Exchange(ctx, rp.Callback(w.ana(t).Agree(page)).Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := token.Extra("id_token").(string)
	idToken, err := provider.Verifier(&oidc.Config{ClientID: rp.ID, Now: w.clock.now}).Verify(ctx, raw)
	if err != nil || idToken.Nonce != "nonce" || idToken.VerifyAccessToken(token.AccessToken) != nil {
		t.Fatalf("%+v, %v", idToken, err)
	}
	info, err := provider.UserInfo(ctx, config.TokenSource(ctx, token))
	if err != nil || info.Email != "ana@example.org" || !info.EmailVerified || info.Subject != idToken.Subject {
		t.Errorf("%+v, %v", info, err)
	}
	refreshed, err := config.TokenSource(ctx, &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
	if err != nil || refreshed.AccessToken == token.AccessToken || refreshed.RefreshToken == token.RefreshToken {
		t.Errorf("%+v, %v", refreshed, err)
	}
	alone := clientcredentials.Config{ClientID: rp.ID, ClientSecret: rp.Secret, TokenURL: provider.Endpoint().TokenURL, Scopes: []string{"orders.read"}}
	if own, err := alone.Token(ctx); err != nil || rp.Introspect(own.AccessToken).Text("username") != "bob" {
		t.Errorf("%+v, %v", own, err)
	}
}

func (w *world) bothProtocols(t *testing.T) {
	saml := w.sp(t, "both", nil)
	app, err := w.API.App(t.Context(), saml.EntityID)
	if err != nil {
		t.Fatal(err)
	}
	ask := api.NewApp{OAuth: `{"client_name":"ignored","redirect_uris":["https://both.example.org/cb"]}`, To: app.ID}
	added, err := w.API.AddApp(t.Context(), ask)
	if err != nil || added.App.ID != app.ID || added.App.Name != app.Name || added.ClientSecret == "" {
		t.Fatalf("%+v, %v", added, err)
	}
	if _, err := w.API.AddApp(t.Context(), ask); err == nil {
		t.Error("a second client id is given")
	}
	rp := &RP{App: app.ID, ID: added.ClientID, Secret: added.ClientSecret, Redirect: "https://both.example.org/cb", t: t, server: w.Server, http: http.DefaultClient, Verifier: strings.Repeat("v", 43)}
	token := rp.Tokens(w.ana(t)).Text("access_token")
	one := Ask{ID: newRequestID()}
	w.check(t, w.send(t, w.ana(t), saml, one, false), saml, one, issued())
	if _, err := w.API.MoveApp(t.Context(), app.ID, "block"); err != nil {
		t.Fatal(err)
	}
	other := w.Client(t, "bothsees", nil, map[string]string{"oauth.introspect": "all"})
	if other.Active(token) {
		t.Error("blocking the app left its token")
	}
}

// organisation changes a setting of the organisation.
func (w *world) organisation(t *testing.T, key, value string) {
	t.Helper()
	if _, err := w.API.SetSettings(t.Context(), api.Change{Set: map[string]string{key: value}}); err != nil {
		t.Fatal(err)
	}
}

func (w *world) grantsOff(t *testing.T) {
	rp := w.Client(t, "off", nil, map[string]string{"policy.consent": "never"})
	tokens := rp.Tokens(w.ana(t), "scope", "openid offline_access")
	w.organisation(t, "oauth.disabled_grants", "refresh_token,authorization_code")
	w.refusedBy(t, rp.Refresh(tokens.Text("refresh_token")), http.StatusBadRequest, "unauthorized_client", "grant_type_switched_off")
	w.told(t, rp, rp.Visit(w.ana(t), rp.Ask()), "unauthorized_client", "grant_type_switched_off")
	var document map[string]any
	if w.JSON(t, "/.well-known/openid-configuration", &document); slices.Contains(document["grant_types_supported"].([]any), any("refresh_token")) {
		t.Errorf("%v", document["grant_types_supported"])
	}
	w.organisation(t, "oauth.disabled_grants", "none")
	if rp.Refresh(tokens.Text("refresh_token")).Status != http.StatusOK {
		t.Error("switched on again, the token is not good")
	}
}

func (w *world) responseModes(t *testing.T) {
	rp := w.Client(t, "modes", nil, map[string]string{"policy.consent": "never"})
	ask := rp.Ask("response_mode", "form_post", "state", `<"&'>`)
	page := rp.Visit(w.ana(t), ask)
	if page.Action() != rp.Redirect || page.Field("state") != `<"&'>` || page.Field("iss") != w.URL || rp.Redeem(page.Field("code")).Status != http.StatusOK {
		t.Errorf("%d:\n%s", page.Status, page.Body)
	}
	if location := rp.Visit(w.ana(t), rp.Ask("response_mode", "fragment")).Header.Get("Location"); !strings.HasPrefix(location, rp.Redirect+"#code=") {
		t.Errorf("%q", location)
	}
	w.told(t, rp, rp.Visit(w.ana(t), rp.Ask("response_mode", "nonsense")), "invalid_request", "bad_response_mode")
}
