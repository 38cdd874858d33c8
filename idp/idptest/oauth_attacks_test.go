package idptest

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"gatehouse/sp"
)

// TestOAuthAttacks is what a hostile review found, and what came of it.
func TestOAuthAttacks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	t.Run("a client that registers itself acts for nobody", func(t *testing.T) { w.selfMadeAssertions(t) })
	t.Run("what is on its way ends with a withdrawal", func(t *testing.T) { w.withdrawnOnTheWay(t) })
	t.Run("the keys of a client that waits are not fetched", func(t *testing.T) { w.waitingKeys(t) })
	t.Run("wrong secrets of a neighbour", func(t *testing.T) { w.neighboursSecrets(t) })
	t.Run("a name is told with the profile alone", func(t *testing.T) { w.namesKept(t) })
	t.Run("claims end with their scope", func(t *testing.T) { w.claimsNarrowed(t) })
	t.Run("custom attributes are asked for", func(t *testing.T) { w.attributesAsked(t) })
	t.Run("an old bound refresh token in strange hands", func(t *testing.T) { w.oldBoundToken(t) })
	t.Run("a public client exchanges its own tokens alone", func(t *testing.T) { w.publicExchange(t) })
	t.Run("a token ends with whom the app acts as", func(t *testing.T) { w.otherRunAs(t) })
	t.Run("a refresh ends with its scope", func(t *testing.T) { w.offlineNoMore(t) })
	t.Run("grace", func(t *testing.T) { w.graceTokens(t) })
	t.Run("keys that cost us more than who shows them", func(t *testing.T) { w.costlyKeys(t) })
	t.Run("floods of changes by clients that registered themselves", func(t *testing.T) { w.changeFlood(t) })
}

// selfMadeAssertions: under a gateway for chosen people nobody is asked for consent, so keys that nobody looked at must not speak for
// them.
func (w *world) selfMadeAssertions(t *testing.T) {
	g := w.gateway(t, "selfgw", map[string]string{"policy.permitted_users": "preauthorized", "policy.users": "ana"})
	key := newSigningKey(t, jose.ES256, "one")
	mine := map[string]any{"grant_types": []string{sp.GrantJWTBearer}, "redirect_uris": []string{}, "jwks": keySet(key)}
	reply := g.register(mine)
	w.refusedBy(t, reply, http.StatusBadRequest, "invalid_client_metadata", "bad_metadata")
	reply = g.register(nil)
	child := g.child(reply)
	token, uri := reply.Text("registration_access_token"), reply.Text("registration_client_uri")
	mine["client_id"] = child.ID
	w.refusedBy(t, w.rest(t, http.MethodPut, uri, token, mine, g.from), http.StatusBadRequest, "invalid_client_metadata", "bad_metadata")
	w.setClient(t, child, "oauth.grant_types", sp.GrantJWTBearer, "oauth.jwks", string(keySet(key)))
	if kept := w.rest(t, http.MethodPut, uri, token, mine, g.from); kept.Status != http.StatusOK {
		t.Errorf("what an administrator gave it is lost: %d %s", kept.Status, kept.Raw)
	}
}

func (w *world) withdrawnOnTheWay(t *testing.T) {
	withdraw := func(rp *RP) {
		if page := w.ana(t).Post("/account/apps/withdraw", url.Values{"app": {rp.App}}); page.Status != http.StatusOK {
			t.Fatalf("%d %s", page.Status, page.Body)
		}
	}
	rp := w.Client(t, "hasty", map[string]any{"scope": "openid offline_access"}, nil)
	code := rp.Code(w.ana(t), "scope", "openid offline_access")
	withdraw(rp)
	w.refusedBy(t, rp.Redeem(code), http.StatusBadRequest, "invalid_grant", "grant_withdrawn")
	tv := w.television(t, "hastytv", nil)
	asked := tv.Device()
	w.ana(t).Agree(w.ana(t).Type(asked.Text("user_code")))
	withdraw(tv)
	w.refusedBy(t, tv.Poll(asked), http.StatusBadRequest, "invalid_grant", "grant_withdrawn")
	again := tv.Device()
	w.ana(t).Agree(w.ana(t).Type(again.Text("user_code")))
	if reply := tv.Poll(again); reply.Status != http.StatusOK {
		t.Errorf("the next one: %d %s", reply.Status, reply.Raw)
	}
}

// waitingKeys: whoever may register without a token must not choose what this server fetches.
func (w *world) waitingKeys(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer server.Close()
	w.organisation(t, "oauth.open_registration", "true")
	defer w.organisation(t, "oauth.open_registration", "default")
	g := w.gateway(t, "keysgw", nil)
	g.token = ""
	key := newSigningKey(t, jose.ES256, "one")
	rp := g.child(g.register(map[string]any{"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": server.URL + "/keys"}))
	reply := rp.Do(rp.Request("/oauth/token", asserted(key.sign(t, w.clientJWT(rp, nil), nil), alone)))
	w.refusedBy(t, reply, http.StatusUnauthorized, "invalid_client", "app_not_active")
	w.ana(t).Get("/oauth/authorize?" + url.Values{"client_id": {rp.ID}, "redirect_uri": {rp.Redirect}, "request": {key.sign(t, map[string]any{"scope": "openid"}, nil)}}.Encode())
	if n := asked.Load(); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// neighboursSecrets: behind one address are many, and the right secret is never told to wait.
func (w *world) neighboursSecrets(t *testing.T) {
	rp := w.Client(t, "neighbour", nil, nil)
	rp.http = &http.Client{Transport: oneHop("198.51.100.23")}
	wrong := *rp
	wrong.Secret = "guessed"
	last := &Reply{}
	defer w.clock.stand()()
	for range 42 {
		if last = wrong.Introspect("x"); last.Status == http.StatusTooManyRequests {
			break
		}
	}
	if last.Status != http.StatusTooManyRequests {
		t.Errorf("%d %s", last.Status, last.Raw)
	}
	if reply := rp.Introspect("x"); reply.Status != http.StatusOK {
		t.Errorf("the right secret: %d %s", reply.Status, reply.Raw)
	}
}

func (w *world) namesKept(t *testing.T) {
	rp := w.Client(t, "nameless", nil, map[string]string{"policy.consent": "never", "oauth.subject_type": "pairwise"})
	gateway := w.Client(t, "namelessgw", nil, map[string]string{"oauth.introspect": "all"})
	token := rp.Tokens(w.ana(t), "scope", "openid").Text("access_token")
	if info := rp.Introspect(token); info.JSON["active"] != true || info.Text("username") != "" {
		t.Errorf("who asked for an identifier alone is told a name: %s", info.Raw)
	}
	if info := rp.Introspect(rp.Tokens(w.ana(t), "scope", "openid profile").Text("access_token")); info.Text("username") != "ana" {
		t.Error(info.Raw)
	}
	if info := gateway.Introspect(token); info.Text("username") != "ana" {
		t.Error(info.Raw)
	}
	w.setClient(t, rp, "policy.attributes", "email")
	if info := gateway.Introspect(token); info.JSON["active"] != true || info.Text("username") != "" {
		t.Errorf("the policy keeps the name back: %s", info.Raw)
	}
}

func (w *world) claimsNarrowed(t *testing.T) {
	rp := w.Client(t, "narrowed", nil, map[string]string{"policy.consent": "never"})
	tokens := rp.Tokens(w.ana(t), "scope", "openid offline_access", "claims", `{"userinfo":{"email":null},"id_token":{"email":null}}`)
	_, claims := rp.Claims(tokens.Text("id_token"))
	if rp.UserInfo(tokens.Text("access_token")).Text("email") == "" || claims["email"] == nil {
		t.Fatalf("%v", claims)
	}
	w.setClient(t, rp, "policy.scopes", "openid,offline_access")
	if told := rp.UserInfo(tokens.Text("access_token")); told.Status != http.StatusOK || told.Text("email") != "" {
		t.Errorf("%d %s", told.Status, told.Raw)
	}
	if _, claims = rp.Claims(rp.Refresh(tokens.Text("refresh_token")).Text("id_token")); claims["email"] != nil {
		t.Errorf("%v", claims)
	}
}

// attributesAsked: what a developer adds later is asked for too.
func (w *world) attributesAsked(t *testing.T) {
	rp := w.Client(t, "curious", nil, nil)
	rp.Code(w.ana(t))
	w.setClient(t, rp, "custom_attributes", `[{"name":"mail_for_us","source":"email"}]`)
	page := rp.Visit(w.ana(t), rp.Ask())
	if page.URL.Path != "/consent" || !strings.Contains(page.Body, "mail_for_us") {
		t.Fatalf("not asked, but at %s", page.URL)
	}
	w.ana(t).Agree(page)
	if page := rp.Visit(w.ana(t), rp.Ask()); page.URL.Path == "/consent" {
		t.Error("asked again")
	}
}

// oldBoundToken: a refresh token that is bound to a key is of no use to who has none, so it must not end what the person gave.
func (w *world) oldBoundToken(t *testing.T) {
	rp := w.Client(t, "boundapp", map[string]any{"token_endpoint_auth_method": "none"}, map[string]string{"policy.consent": "never"})
	key, thief := newSigningKey(t, jose.ES256, ""), newSigningKey(t, jose.ES256, "")
	ask := func(by *signingKey, form url.Values) *Reply {
		proof := ""
		if by != nil {
			proof = w.proof(t, by, "POST", "/oauth/token", "", nil)
		}
		return rp.proven("/oauth/token", proof, form)
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {ask(key, w.codeForm(t, rp, "scope", "openid offline_access")).Text("refresh_token")}}
	next := ask(key, form)
	w.refusedBy(t, ask(nil, form), http.StatusBadRequest, "invalid_dpop_proof", "dpop_missing")
	w.refusedBy(t, ask(thief, form), http.StatusBadRequest, "invalid_dpop_proof", "dpop_other_key")
	latest := ask(key, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {next.Text("refresh_token")}})
	if latest.Status != http.StatusOK {
		t.Fatalf("a stranger ended it: %d %s", latest.Status, latest.Raw)
	}
	w.refusedBy(t, ask(key, form), http.StatusBadRequest, "invalid_grant", "refresh_token_reused")
}

// publicExchange: anybody can say that they are a public client, so what it may ask about is no proof of anything.
func (w *world) publicExchange(t *testing.T) {
	app := w.Client(t, "victim", map[string]any{"scope": "openid email"}, map[string]string{"policy.consent": "never"})
	token := app.Tokens(w.ana(t), "scope", "openid email").Text("access_token")
	public := w.Client(t, "anybody", map[string]any{
		"redirect_uris": []string{}, "grant_types": []string{sp.GrantTokenExchange}, "token_endpoint_auth_method": "none", "scope": "openid email",
	}, map[string]string{"oauth.introspect": "all"})
	w.refusedBy(t, public.Exchange(token), http.StatusBadRequest, "invalid_request", "subject_token_of_other_client")
}

func (w *world) changeFlood(t *testing.T) {
	g := w.gateway(t, "changegw", nil)
	reply := g.register(nil)
	child, uri, token, from := g.child(reply), reply.Text("registration_client_uri"), reply.Text("registration_access_token"), oneHop("203.0.113.90")
	defer w.clock.stand()()
	for i := 0; i < 62 && reply.Status != http.StatusTooManyRequests; i++ {
		reply = w.rest(t, http.MethodPut, uri, token, map[string]any{"client_id": child.ID, "client_name": fmt.Sprint("Name ", i), "redirect_uris": []string{child.Redirect}}, from)
		if next := reply.Text("registration_access_token"); next != "" {
			token = next
		}
	}
	w.refusedBy(t, reply, http.StatusTooManyRequests, "temporarily_unavailable", "too_many_registrations")
	w.organisation(t, "oauth.open_registration", "true")
	defer w.organisation(t, "oauth.open_registration", "default")
	g.token, g.from = "", oneHop("203.0.114.1")
	reply = g.register(nil)
	for i := 0; i < 242 && reply.Status == http.StatusCreated; i++ { // from many networks
		g.from = oneHop(fmt.Sprintf("203.%d.114.1", i))
		reply = g.register(nil)
	}
	if reply.Status != http.StatusTooManyRequests {
		t.Errorf("%d %s", reply.Status, reply.Raw)
	}
}

// costlyKeys: a stranger chooses the key of a DPoP proof, so a huge one is refused before it is computed with, and an odd one is no
// fault of ours.
func (w *world) costlyKeys(t *testing.T) {
	rp := w.Client(t, "costly", map[string]any{"token_endpoint_auth_method": "none"}, nil)
	encode := base64.RawURLEncoding.EncodeToString
	for name, c := range map[string]struct {
		bytes  int
		last   byte
		e      []byte
		reason string
	}{
		"huge": {1032, 1, []byte{1, 0, 1}, "jwt_unreadable"}, "small": {128, 1, []byte{1, 0, 1}, "dpop_key"}, "even": {256, 2, []byte{1, 0, 1}, "dpop_signature"},
		"exponent 1": {256, 1, []byte{1}, "jwt_unreadable"}, "huge exponent": {256, 1, []byte{255, 255, 255, 255, 255, 255, 255, 255}, "jwt_unreadable"},
	} {
		n := bytes.Repeat([]byte{0xa7}, c.bytes)
		n[c.bytes-1] = c.last
		header := fmt.Sprintf(`{"typ":"dpop+jwt","alg":"RS256","jwk":{"kty":"RSA","n":"%s","e":"%s"}}`, encode(n), encode(c.e))
		proof := encode([]byte(header)) + "." + encode([]byte(`{}`)) + "." + encode(bytes.Repeat([]byte{1}, c.bytes))
		t.Log(name)
		w.refusedBy(t, rp.proven("/oauth/token", proof, url.Values{"grant_type": {"authorization_code"}}), http.StatusBadRequest, "invalid_dpop_proof", c.reason)
	}
}

// otherRunAs: an administrator who takes the person away from an app means the tokens that it has, too.
func (w *world) otherRunAs(t *testing.T) {
	rp := w.Client(t, "actsas", map[string]any{"grant_types": []string{sp.GrantClientCredentials}, "redirect_uris": []string{}, "scope": "orders.read"}, map[string]string{"oauth.run_as": "bob"})
	token := rp.Send("/oauth/token", alone).Text("access_token")
	if !rp.Active(token) {
		t.Fatal("the token is not good")
	}
	for _, other := range []string{"ana", "default"} {
		if w.setClient(t, rp, "oauth.run_as", other); rp.Active(token) {
			t.Errorf("run_as is %s, and the token is good", other)
		}
	}
}

// offlineNoMore: an app that may not act while people are away any more refreshes nothing.
func (w *world) offlineNoMore(t *testing.T) {
	rp := w.Client(t, "away", nil, map[string]string{"policy.consent": "never"})
	refresh := rp.Tokens(w.ana(t), "scope", "openid offline_access").Text("refresh_token")
	w.setClient(t, rp, "policy.scopes", "openid,email")
	w.refusedBy(t, rp.Refresh(refresh), http.StatusBadRequest, "invalid_grant", "offline_not_allowed")
	if rp.Active(refresh) {
		t.Error("the refresh token is shown as good")
	}
	w.setClient(t, rp, "policy.scopes", "default")
	if reply := rp.Refresh(refresh); reply.Status != http.StatusOK {
		t.Errorf("%d %s", reply.Status, reply.Raw)
	}
}

// graceTokens: who was let in without a second factor for some days gets what belongs to that.
func (w *world) graceTokens(t *testing.T) {
	w.setOrganisation(t, "signin.mfa_grace", "3d")
	defer w.setOrganisation(t, "signin.mfa_grace", "default")
	rp := w.Client(t, "lenientrp", nil, map[string]string{"policy.consent": "never", "policy.min_level": "high", "policy.on_low_level": "grace"})
	c := w.signedIn(t, "bob")
	page := rp.Visit(c, rp.Ask())
	page = c.Post("/login/enrol/later", url.Values{"flow": {page.Field("flow")}})
	code := rp.Callback(page).Get("code")
	if code == "" {
		t.Fatalf("%d at %s", page.Status, page.URL)
	}
	reply := rp.Redeem(code)
	if reply.Status != http.StatusOK || !rp.Active(reply.Text("access_token")) {
		t.Errorf("%d %s", reply.Status, reply.Raw)
	}
	if w.setClient(t, rp, "policy.on_low_level", "raise"); rp.Active(reply.Text("access_token")) {
		t.Error("the app allows it no more, and the token is good")
	}
}
