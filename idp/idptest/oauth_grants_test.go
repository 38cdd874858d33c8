package idptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gatehouse/idp/api"
	"gatehouse/sp"
)

const accessTokenType = "urn:ietf:params:oauth:token-type:access_token"

// TestOAuthGrants is what apps get for persons who are not there.
func TestOAuthGrants(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	t.Run("ORF-13 assertions about a person", func(t *testing.T) { w.bearerRefused(t) })
	t.Run("OGR-04 who an assertion may be about", func(t *testing.T) { w.bearerPolicy(t) })
	t.Run("OGR-04 within what the person agreed to", func(t *testing.T) { w.bearerConsent(t) })
	t.Run("OGR-05 token exchange", func(t *testing.T) { w.exchanged(t) })
	t.Run("OGR-06 exchanged tokens under both policies", func(t *testing.T) { w.exchangePolicy(t) })
	t.Run("OGR-08 grants that an administrator lists and ends", func(t *testing.T) { w.grantsListed(t) })
	t.Run("OGR-07 passwords where the organisation allows them", func(t *testing.T) { w.legacyPassword(t) })
}

// signer is an app with a key of its own.
type signer struct {
	*RP
	key *ecdsa.PrivateKey
}

func (w *world) signer(t *testing.T, name string, settings map[string]string) *signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "one", Algorithm: "ES256", Use: "sig"}}}
	return &signer{w.Client(t, name, map[string]any{
		"redirect_uris": []string{}, "grant_types": []string{sp.GrantJWTBearer}, "jwks": set, "scope": "orders.read email openid offline_access",
	}, settings), key}
}

// Bearer shows an assertion, whose claims and header are changed; nil leaves one out.
func (s *signer) Bearer(now time.Time, change map[string]any, key any, algorithm jose.SignatureAlgorithm) *Reply {
	s.t.Helper()
	return s.Show(s.Assertion(now, change, key, algorithm))
}

func (s *signer) Show(assertion string, change ...string) *Reply {
	s.t.Helper()
	return s.Send("/oauth/token", changed(url.Values{"grant_type": {sp.GrantJWTBearer}, "assertion": {assertion}, "scope": {"orders.read email"}}, change))
}

func (s *signer) Assertion(now time.Time, change map[string]any, key any, algorithm jose.SignatureAlgorithm) string {
	s.t.Helper()
	claims := map[string]any{"iss": s.ID, "sub": "ana", "aud": s.server.URL, "exp": now.Add(4 * time.Minute).Unix(), "iat": now.Unix(), "jti": rand.Text()}
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	payload, err := json.Marshal(claims)
	if err != nil {
		s.t.Fatal(err)
	}
	made, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		s.t.Fatal(err)
	}
	signed, err := made.Sign(payload)
	if err != nil {
		s.t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		s.t.Fatal(err)
	}
	return text
}

func (w *world) bearerRefused(t *testing.T) {
	app := w.signer(t, "batch", map[string]string{"policy.permitted_users": "preauthorized", "policy.users": "ana"})
	now := w.clock.now()
	good := app.Bearer(now, nil, app.key, jose.ES256)
	if good.Status != http.StatusOK || good.Text("refresh_token") != "" || good.Text("id_token") != "" || good.Text("scope") != "orders.read email" || !app.Active(good.Text("access_token")) {
		t.Fatalf("%d %s", good.Status, good.Raw)
	}
	if info := app.Introspect(good.Text("access_token")); info.Text("username") != "ana" {
		t.Error(info.Raw)
	}
	for reason, change := range map[string]map[string]any{
		"assertion_of_other_client": {"iss": "other"}, "assertion_sub": {"sub": nil}, "unknown_subject": {"sub": "nobody"}, "assertion_jti": {"jti": nil},
		"assertion_exp": {"exp": nil}, "jwt_long_lived": {"exp": now.Add(7 * time.Minute).Unix()}, "jwt_expired": {"exp": now.Add(-2 * time.Minute).Unix()},
		"jwt_audience": {"aud": []string{w.URL, "https://other.example"}}, "jwt_of_the_future": {"nbf": now.Add(3 * time.Minute).Unix()}, "permitted_users": {"sub": "bob"},
	} {
		w.refusedBy(t, app.Bearer(now, change, app.key, jose.ES256), http.StatusBadRequest, "invalid_grant", reason)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w.refusedBy(t, app.Bearer(now, nil, other, jose.ES256), http.StatusBadRequest, "invalid_grant", "jwt_signature")
	w.refusedBy(t, app.Bearer(now, nil, []byte(strings.Repeat("k", 32)), jose.HS256), http.StatusBadRequest, "invalid_grant", "jwt_algorithm")
	none := "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0." + strings.Split(app.Assertion(now, nil, app.key, jose.ES256), ".")[1] + "."
	if reply := app.Show(none); reply.Status != http.StatusBadRequest || reply.Text("error") != "invalid_grant" {
		t.Errorf("alg none: %d %s", reply.Status, reply.Raw)
	}
	once := app.Assertion(now, nil, app.key, jose.ES256)
	if first := app.Show(once); first.Status != http.StatusOK {
		t.Errorf("%d %s", first.Status, first.Raw)
	}
	w.refusedBy(t, app.Show(once), http.StatusBadRequest, "invalid_grant", "assertion_replayed")
	w.refusedBy(t, app.Show("-", "assertion", "-"), http.StatusBadRequest, "invalid_request", "no_assertion")
	w.refusedBy(t, app.Show(app.Assertion(now, nil, app.key, jose.ES256), "scope", "offline_access"), http.StatusBadRequest, "invalid_scope", "scope_not_allowed")
}

// bearerPolicy: the person was chosen or agreed, nobody can raise the level, relaxed addresses do not count, and it can be withdrawn.
func (w *world) bearerPolicy(t *testing.T) {
	app := w.signer(t, "robot", nil)
	show := func() *Reply { return app.Bearer(w.clock.now(), nil, app.key, jose.ES256) }
	w.refusedBy(t, show(), http.StatusBadRequest, "invalid_grant", "no_consent")
	w.setClient(t, app.RP, "policy.permitted_users", "preauthorized", "policy.users", "ana")
	token := show()
	if token.Status != http.StatusOK {
		t.Fatalf("%d %s", token.Status, token.Raw)
	}
	w.setClient(t, app.RP, "policy.min_level", "high")
	w.refusedBy(t, show(), http.StatusBadRequest, "invalid_grant", "min_level")
	w.setClient(t, app.RP, "policy.min_level", "low", "policy.ip_relaxation", "relax")
	if _, err := w.API.SetNamed(t.Context(), "profiles", "Employees", api.Change{Set: map[string]string{"ip_ranges": "192.0.2.0/24"}, Force: true}); err != nil {
		t.Fatal(err)
	}
	w.refusedBy(t, show(), http.StatusBadRequest, "invalid_grant", "profile_ip_ranges")
	if _, err := w.API.SetNamed(t.Context(), "profiles", "Employees", api.Change{Set: map[string]string{"ip_ranges": "default"}, Force: true}); err != nil {
		t.Fatal(err)
	}
	if !app.Active(token.Text("access_token")) {
		t.Error("the token is not good")
	}
	if page := w.ana(t).Get("/account").Body; !strings.Contains(page, "holds tokens of yours") || !strings.Contains(page, app.App) {
		t.Errorf("the account does not show the grant:\n%s", page)
	}
	w.ana(t).Post("/account/apps/withdraw", url.Values{"app": {app.App}})
	if entry := w.Audit(t)[0]; entry.Kind != "app.leave" || entry.Facts["grants"] != "1" || strings.Contains(w.ana(t).Get("/account").Body, app.App) {
		t.Errorf("withdrawn: %+v", entry)
	}
	if app.Active(token.Text("access_token")) {
		t.Error("withdrawn, the token is good")
	}
	if again := show(); again.Status != http.StatusOK || app.Active(token.Text("access_token")) {
		t.Errorf("a new assertion wakes the old token: %d", again.Status)
	}
}

// bearerConsent: what a person agreed to at a sign-in is all that an assertion can ask for.
func (w *world) bearerConsent(t *testing.T) {
	app := w.signer(t, "agreed", nil)
	app.Redirect = "https://agreed.example.org/cb"
	w.setClient(t, app.RP, "oauth.redirect_uris", app.Redirect, "oauth.grant_types", sp.GrantCode+","+sp.GrantJWTBearer)
	app.Code(w.ana(t), "scope", "openid orders.read")
	show := func(scope string) *Reply {
		return app.Show(app.Assertion(w.clock.now(), nil, app.key, jose.ES256), "scope", scope)
	}
	if reply := show("orders.read"); reply.Status != http.StatusOK {
		t.Errorf("%d %s", reply.Status, reply.Raw)
	}
	w.refusedBy(t, show("orders.read email"), http.StatusBadRequest, "invalid_grant", "no_consent")
}

// Exchange shows an access token for one of the client's own.
func (rp *RP) Exchange(token string, change ...string) *Reply {
	rp.t.Helper()
	return rp.Send("/oauth/token", changed(url.Values{"grant_type": {sp.GrantTokenExchange}, "subject_token": {token}, "subject_token_type": {accessTokenType}}, change))
}

func (w *world) exchanger(t *testing.T, name string, settings map[string]string) *RP {
	t.Helper()
	return w.Client(t, name, map[string]any{"redirect_uris": []string{}, "grant_types": []string{sp.GrantTokenExchange}, "scope": "openid email orders.read"}, settings)
}

func (w *world) exchanged(t *testing.T) {
	app := w.Client(t, "frontend", map[string]any{"scope": "openid email orders.read orders.write"}, map[string]string{"policy.consent": "never"})
	token := app.Tokens(w.ana(t), "scope", "openid email orders.read orders.write").Text("access_token")
	w.clock.advance(4 * time.Minute)
	gateway := w.exchanger(t, "backend", map[string]string{"oauth.introspect": "all", "oauth.access_token_format": "jwt", "oauth.access_token_lifetime": "1h"})
	reply := gateway.Exchange(token, "scope", "email orders.read")
	left, _ := reply.JSON["expires_in"].(float64)
	if reply.Status != http.StatusOK || reply.Text("issued_token_type") != accessTokenType || reply.Text("token_type") != "Bearer" ||
		reply.Text("scope") != "email orders.read" || left > 360 || left < 350 || reply.Text("refresh_token")+reply.Text("id_token") != "" {
		t.Fatalf("%d %s", reply.Status, reply.Raw)
	}
	_, claims := gateway.Claims(reply.Text("access_token"))
	if act, _ := claims["act"].(map[string]any); act["sub"] != gateway.ID || claims["client_id"] != gateway.ID || claims["sub"] == "" {
		t.Errorf("%v", claims)
	}
	second := w.exchanger(t, "second", map[string]string{"oauth.introspect": "all"})
	deeper := second.Exchange(reply.Text("access_token"))
	info := second.Introspect(deeper.Text("access_token"))
	if want := fmt.Sprint(map[string]any{"sub": second.ID, "act": map[string]any{"sub": gateway.ID}}); fmt.Sprint(info.JSON["act"]) != want || info.Text("scope") != "email orders.read" || info.Text("username") != "ana" {
		t.Errorf("%s", info.Raw)
	}
	w.refusedBy(t, gateway.Exchange(token, "scope", "email orders.write"), http.StatusBadRequest, "invalid_scope", "scope_not_granted")
	less := app.Tokens(w.ana(t), "scope", "openid orders.read").Text("access_token") // less than the gateway itself may have
	w.refusedBy(t, gateway.Exchange(less, "scope", "openid email"), http.StatusBadRequest, "invalid_scope", "scope_not_granted")
	if whole := gateway.Exchange(less); whole.Text("scope") != "openid orders.read" {
		t.Errorf("%d %s", whole.Status, whole.Raw)
	}
	for reason, change := range map[string][]string{
		"no_subject_token": {"subject_token", "-"}, "bad_subject_token_type": {"subject_token_type", "urn:ietf:params:oauth:token-type:id_token"},
		"bad_requested_token_type": {"requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"}, "actor_token": {"actor_token", "x"},
		"bad_subject_token": {"subject_token", "gat_nonsense"},
	} {
		w.refusedBy(t, gateway.Exchange(token, change...), http.StatusBadRequest, "invalid_request", reason)
	}
	w.refusedBy(t, gateway.Exchange(token, "audience", "https://other.example"), http.StatusBadRequest, "invalid_target", "bad_target")
	stranger := w.exchanger(t, "stranger", nil)
	w.refusedBy(t, stranger.Exchange(token), http.StatusBadRequest, "invalid_request", "subject_token_of_other_client")
	app.Send("/oauth/revoke", url.Values{"token": {token}})
	if gateway.Active(reply.Text("access_token")) || second.Active(deeper.Text("access_token")) {
		t.Error("the token that was exchanged is revoked, and the new ones are good")
	}
}

func (w *world) exchangePolicy(t *testing.T) {
	app := w.Client(t, "shopfront", map[string]any{"scope": "openid email"}, map[string]string{"policy.consent": "never"})
	gateway := w.exchanger(t, "stock", map[string]string{"oauth.introspect": "all"})
	token := app.Tokens(w.ana(t), "scope", "openid email").Text("access_token")
	mine := gateway.Exchange(token).Text("access_token")
	for _, rp := range []*RP{app, gateway} {
		for _, c := range [][]string{{"policy.permitted_users", "preauthorized", "policy.permitted_users", "all"}, {"policy.min_level", "high", "policy.min_level", "low"}} {
			w.setClient(t, rp, c[:2]...)
			if gateway.Active(mine) || gateway.Exchange(token).Status == http.StatusOK {
				t.Errorf("%v of %s is not asked", c[:2], rp.Redirect)
			}
			w.setClient(t, rp, c[2:]...)
			if !gateway.Active(mine) {
				t.Errorf("%v undone, and the token is not good", c[:2])
			}
		}
	}
	w.clock.advance(10 * time.Minute)
	w.refusedBy(t, gateway.Exchange(token), http.StatusBadRequest, "invalid_request", "bad_subject_token")
}

// Password shows a person's password.
func (rp *RP) Password(name, password string, change ...string) *Reply {
	rp.t.Helper()
	return rp.Send("/oauth/token", changed(url.Values{"grant_type": {"password"}, "username": {name}, "password": {password}, "scope": {"openid"}}, change))
}

func (w *world) legacyPassword(t *testing.T) {
	rp := w.Client(t, "old", map[string]any{"redirect_uris": []string{}, "grant_types": []string{"password"}}, nil)
	w.refusedBy(t, rp.Password("bob", Password), http.StatusBadRequest, "unsupported_grant_type", "unsupported_grant_type")
	w.organisation(t, "oauth.legacy_methods", "password")
	shop := w.Client(t, "newer", nil, nil)
	w.refusedBy(t, shop.Password("bob", Password), http.StatusBadRequest, "unauthorized_client", "grant_type_not_allowed")
	reply := rp.Password("bob", Password)
	if reply.Status != http.StatusOK || !rp.Active(reply.Text("access_token")) {
		t.Fatalf("%d %s", reply.Status, reply.Raw)
	}
	w.refusedBy(t, rp.Password("bob", "wrong"), http.StatusBadRequest, "invalid_grant", "wrong_password")
	w.refusedBy(t, rp.Password("nobody", Password), http.StatusBadRequest, "invalid_grant", "unknown_user")
	w.refusedBy(t, rp.Password("bob", ""), http.StatusBadRequest, "invalid_request", "no_password")
	w.setClient(t, rp, "policy.min_level", "high")
	w.refusedBy(t, rp.Password("bob", Password), http.StatusBadRequest, "invalid_grant", "min_level")
	w.setClient(t, rp, "policy.min_level", "low")
	w.AddPerson(t, "eva", "Employees")
	if _, err := w.API.EnrolTOTP(t.Context(), "eva"); err != nil {
		t.Fatal(err)
	}
	w.refusedBy(t, rp.Password("eva", Password), http.StatusBadRequest, "invalid_grant", "second_factor")
	defer w.clock.stand()()
	for range 10 {
		rp.Password("bob", "wrong")
	}
	slowed := rp.Password("bob", Password)
	if slowed.Status != http.StatusTooManyRequests || slowed.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s", slowed.Status, slowed.Raw)
	}
	w.organisation(t, "oauth.legacy_methods", "none")
}

// grantsListed: by person, by app and all; one that is ended gives nothing any more.
func (w *world) grantsListed(t *testing.T) {
	rp := w.Client(t, "listed", nil, map[string]string{"policy.consent": "never"})
	tokens := rp.Tokens(w.ana(t), "scope", "openid offline_access")
	var found api.OAuthGrant
	for _, q := range []api.RequestQuery{{App: rp.App}, {User: "ana", App: "listed"}, {User: "ana"}, {}} {
		list, err := w.API.OAuthGrants(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, one := range list.Items {
			if one.App.ID == rp.App {
				found, n = one, n+1
			}
		}
		if n != 1 || found.User.Name != "ana" || !found.Refresh || strings.Join(found.Scopes, " ") != "openid offline_access" || found.Created.IsZero() || found.Used.IsZero() {
			t.Errorf("%+v: %+v", q, list)
		}
	}
	if list, err := w.API.OAuthGrants(t.Context(), api.RequestQuery{User: "bob", App: rp.App}); err != nil || len(list.Items) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := w.API.RevokeOAuthGrant(t.Context(), found.ID); err != nil {
		t.Fatal(err)
	}
	if entry := w.Audit(t)[0]; entry.Kind != "grant.revoke" || entry.App.ID != rp.App || entry.Facts["grant"] != found.ID {
		t.Errorf("%+v", entry)
	}
	if rp.Active(tokens.Text("access_token")) || rp.Active(tokens.Text("refresh_token")) {
		t.Error("ended, the tokens are good")
	}
	if list, err := w.API.OAuthGrants(t.Context(), api.RequestQuery{App: rp.App}); err != nil || len(list.Items) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	var refused *api.Error
	if _, err := w.API.RevokeOAuthGrant(t.Context(), "gnt_none"); !errors.As(err, &refused) || refused.Status != http.StatusNotFound {
		t.Errorf("%v", err)
	}
}
