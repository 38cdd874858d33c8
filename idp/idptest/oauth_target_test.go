package idptest

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"gatehouse/idp/api"
	"gatehouse/sp"
)

const ordersAPI, stockAPI = "https://orders.example.org/api", "urn:example:stock"

// TestResources is RFC 8707: what tokens are for.
func TestResources(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rp := w.Client(t, "aiming", nil, map[string]string{"policy.consent": "never", "oauth.resources": ordersAPI + "," + stockAPI})
	gateway := w.Client(t, "aimgateway", nil, map[string]string{"oauth.introspect": "all"})
	for name, run := range map[string]func(*testing.T, *RP, *RP){
		"ORF-20 a code's resources bound its tokens":          w.aimedCode,
		"ORF-20 what is no resource, or not allowed":          w.badTargets,
		"ORF-20 a token for another is none for Gatehouse":    w.aimedElsewhere,
		"ORF-20 pushed, and in a request object":              w.aimedAhead,
		"ORF-20 grants without a browser":                     w.aimedAlone,
		"ORF-20 an exchange aims at what is allowed":          w.aimedExchange,
		"an administrator takes a resource back, mid-flight":  w.aimedNoMore,
		"clients of a gateway have its resources, not others": w.aimedChildren,
	} {
		t.Run(name, func(t *testing.T) { run(t, rp, gateway) })
	}
}

// aud is the audience of a token as introspection tells it.
func aud(gateway *RP, token string) string { return fmt.Sprint(gateway.Introspect(token).JSON["aud"]) }

// several is a form with one parameter more than once.
func several(form url.Values, resources ...string) url.Values {
	form["resource"] = resources
	return form
}

func (w *world) aimedCode(t *testing.T, rp, gateway *RP) {
	redeem := func(code string, resources ...string) *Reply {
		return rp.Send("/oauth/token", several(url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {rp.Redirect}, "code_verifier": {rp.Verifier}}, resources...))
	}
	code := func(resources ...string) string {
		return rp.Callback(rp.Visit(w.ana(t), several(rp.Ask("scope", "openid offline_access"), resources...))).Get("code")
	}
	if got := aud(gateway, redeem(code()).Text("access_token")); got != w.URL {
		t.Errorf("without a resource: %s", got)
	}
	if got := aud(gateway, redeem(code(ordersAPI)).Text("access_token")); got != ordersAPI {
		t.Errorf("with one: %s", got)
	}
	if got := aud(gateway, redeem(code(w.URL+"/")).Text("access_token")); got != w.URL {
		t.Errorf("with the issuer: %s", got)
	}
	both := redeem(code(ordersAPI, stockAPI, ordersAPI))
	if got := aud(gateway, both.Text("access_token")); got != fmt.Sprint([]string{ordersAPI, stockAPI}) {
		t.Errorf("with two: %s", got)
	}
	if entry := w.Audit(t)[0]; entry.Facts["resource"] != ordersAPI+" "+stockAPI {
		t.Errorf("%v", entry.Facts)
	}
	one := redeem(code(ordersAPI, stockAPI), stockAPI)
	if got := aud(gateway, one.Text("access_token")); got != stockAPI {
		t.Errorf("narrowed: %s", got)
	}
	next := rp.Refresh(one.Text("refresh_token"), "resource", ordersAPI)
	if got := aud(gateway, next.Text("access_token")); got != ordersAPI {
		t.Errorf("refreshed: %s", got)
	}
	w.refusedBy(t, rp.Refresh(next.Text("refresh_token"), "resource", w.URL), http.StatusBadRequest, "invalid_target", "bad_target")
	last := rp.Refresh(next.Text("refresh_token"))
	if got := aud(gateway, last.Text("access_token")); got != fmt.Sprint([]string{ordersAPI, stockAPI}) {
		t.Errorf("refreshed without: %s", got)
	}
	kept := code(ordersAPI)
	w.refusedBy(t, redeem(kept, stockAPI), http.StatusBadRequest, "invalid_target", "bad_target")
	if got := aud(gateway, redeem(kept, ordersAPI).Text("access_token")); got != ordersAPI {
		t.Errorf("a wrong try spoilt the code: %s", got)
	}
	w.refusedBy(t, redeem(code(), ordersAPI), http.StatusBadRequest, "invalid_target", "bad_target")
	w.setClient(t, rp, "oauth.access_token_format", "jwt")
	_, claims := rp.Claims(redeem(code(ordersAPI)).Text("access_token"))
	_, list := rp.Claims(redeem(code(ordersAPI, w.URL)).Text("access_token"))
	w.setClient(t, rp, "oauth.access_token_format", "opaque")
	if claims["aud"] != ordersAPI || fmt.Sprint(list["aud"]) != fmt.Sprint([]string{ordersAPI, w.URL}) {
		t.Errorf("%v %v", claims, list)
	}
}

func (w *world) badTargets(t *testing.T, rp, _ *RP) {
	for _, bad := range []string{"orders", "/orders", ordersAPI + "#x", ordersAPI + "#", ordersAPI + "/", "https://orders.example.org", "https://evil.example", "javascript:alert(1)", ""} {
		w.told(t, rp, rp.Visit(w.ana(t), several(rp.Ask(), bad)), "invalid_target", "bad_target")
	}
	w.told(t, rp, rp.Visit(w.ana(t), several(rp.Ask(), ordersAPI, "https://evil.example")), "invalid_target", "bad_target")
	many := make([]string, 11)
	for i := range many {
		many[i] = ordersAPI
	}
	w.told(t, rp, rp.Visit(w.ana(t), several(rp.Ask(), many...)), "invalid_request", "repeated_parameter")
}

func (w *world) aimedElsewhere(t *testing.T, rp, _ *RP) {
	w.refusedBy(t, rp.UserInfo(rp.Tokens(w.ana(t), "resource", ordersAPI).Text("access_token")), http.StatusUnauthorized, "invalid_token", "other_audience")
	code := rp.Callback(rp.Visit(w.ana(t), several(rp.Ask(), ordersAPI, w.URL))).Get("code")
	if reply := rp.UserInfo(rp.Redeem(code).Text("access_token")); reply.Status != http.StatusOK {
		t.Errorf("%d %s", reply.Status, reply.Raw)
	}
	w.AddPerson(t, "olga", "Employees", func(n *api.NewUser) { n.Roles = []string{"owner"} })
	alone := w.apiClient(t, "aimalone", "directory.read", map[string]string{"oauth.run_as": "olga", "oauth.resources": ordersAPI})
	ask := func(resource string) string {
		return alone.Send("/oauth/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"directory.read"}, "resource": {resource}}).Text("access_token")
	}
	if reply := alone.Call("GET", "/api/v1/users", ask(w.URL), ""); reply.Status != http.StatusOK {
		t.Errorf("%d %s", reply.Status, reply.Raw)
	}
	w.apiRefused(t, alone.Call("GET", "/api/v1/users", ask(ordersAPI), ""), http.StatusUnauthorized, "other_audience", "invalid_token")
}

func (w *world) aimedAhead(t *testing.T, rp, gateway *RP) {
	pushed := rp.Send("/oauth/par", several(rp.Ask(), ordersAPI, stockAPI))
	code := rp.Callback(rp.Visit(w.ana(t), named(rp, pushed.Text("request_uri")))).Get("code")
	if got := aud(gateway, rp.Redeem(code).Text("access_token")); got != fmt.Sprint([]string{ordersAPI, stockAPI}) {
		t.Errorf("pushed: %s", got)
	}
	w.refusedBy(t, rp.Send("/oauth/par", several(rp.Ask(), "https://evil.example")), http.StatusBadRequest, "invalid_target", "bad_target")
	key := newSigningKey(t, jose.ES256, "one")
	signed := w.withKeys(t, "aimsigned", map[string]any{"jwks": keySet(key), "redirect_uris": []string{"https://aimsigned.example.org/cb"}, "grant_types": []string{"authorization_code"}})
	w.setClient(t, signed, "oauth.resources", ordersAPI+","+stockAPI)
	claims := map[string]any{"resource": []string{ordersAPI, stockAPI}}
	for name, values := range signed.Ask() {
		claims[name] = values[0]
	}
	object := key.sign(t, claims, nil)
	page := signed.Visit(w.ana(t), url.Values{"client_id": {signed.ID}, "redirect_uri": {signed.Redirect}, "response_type": {"code"}, "scope": {"openid"}, "request": {object}})
	form := asserted(key.sign(t, w.clientJWT(signed, nil), nil), url.Values{"grant_type": {"authorization_code"}, "code": {signed.Callback(page).Get("code")}, "redirect_uri": {signed.Redirect}, "code_verifier": {signed.Verifier}})
	if got := aud(gateway, signed.Do(signed.Request("/oauth/token", form)).Text("access_token")); got != fmt.Sprint([]string{ordersAPI, stockAPI}) {
		t.Errorf("signed: %s", got)
	}
}

func (w *world) aimedAlone(t *testing.T, _, gateway *RP) {
	rp := w.Client(t, "aimalone", map[string]any{"grant_types": []string{"client_credentials", sp.GrantDevice}, "redirect_uris": []string{}, "scope": "openid orders.read"},
		map[string]string{"oauth.run_as": "bob", "policy.permitted_users": "all", "oauth.resources": ordersAPI})
	alone := func(resources ...string) *Reply {
		return rp.Send("/oauth/token", several(url.Values{"grant_type": {"client_credentials"}}, resources...))
	}
	if got := aud(gateway, alone().Text("access_token")); got != w.URL {
		t.Error(got)
	}
	if got := aud(gateway, alone(ordersAPI).Text("access_token")); got != ordersAPI {
		t.Error(got)
	}
	w.refusedBy(t, alone(stockAPI), http.StatusBadRequest, "invalid_target", "bad_target")
	w.refusedBy(t, rp.Device("scope", "openid", "resource", stockAPI), http.StatusBadRequest, "invalid_target", "bad_target")
	device := rp.Device("scope", "openid", "resource", ordersAPI)
	w.ana(t).Agree(w.ana(t).Type(device.Text("user_code")))
	w.refusedBy(t, rp.Poll(device, "resource", w.URL), http.StatusBadRequest, "invalid_target", "bad_target")
	if got := aud(gateway, rp.Poll(device).Text("access_token")); got != ordersAPI {
		t.Error(got)
	}
	token := alone(ordersAPI).Text("access_token")
	if w.setClient(t, rp, "oauth.resources", stockAPI); rp.Active(token) {
		t.Error("the app may not have tokens for the resource any more, and its token is good")
	}
}

func (w *world) aimedExchange(t *testing.T, rp, gateway *RP) {
	narrow := w.exchanger(t, "aimnarrow", map[string]string{"oauth.introspect": "all", "oauth.resources": stockAPI + "," + ordersAPI})
	token := rp.Tokens(w.ana(t), "resource", ordersAPI).Text("access_token")
	if got := aud(gateway, narrow.Exchange(token).Text("access_token")); got != ordersAPI {
		t.Errorf("the new token is for %s", got)
	}
	if got := aud(gateway, narrow.Exchange(token, "resource", stockAPI).Text("access_token")); got != stockAPI {
		t.Errorf("aimed on: %s", got)
	}
	w.refusedBy(t, narrow.Exchange(token, "resource", w.URL), http.StatusBadRequest, "invalid_target", "bad_target")
	w.refusedBy(t, narrow.Exchange(token, "resource", "https://evil.example"), http.StatusBadRequest, "invalid_target", "bad_target")
	none := w.exchanger(t, "aimnone", map[string]string{"oauth.introspect": "all"})
	w.refusedBy(t, none.Exchange(token), http.StatusBadRequest, "invalid_target", "bad_target")
}

func (w *world) aimedNoMore(t *testing.T, rp, gateway *RP) {
	code := rp.Callback(rp.Visit(w.ana(t), several(rp.Ask("scope", "openid offline_access"), ordersAPI, stockAPI))).Get("code")
	reply := rp.Redeem(code)
	alone := rp.Tokens(w.ana(t), "resource", stockAPI).Text("access_token")
	late := rp.Code(w.ana(t), "resource", stockAPI)
	w.setClient(t, rp, "oauth.resources", ordersAPI)
	defer w.setClient(t, rp, "oauth.resources", ordersAPI+","+stockAPI)
	if got := aud(gateway, reply.Text("access_token")); got != ordersAPI {
		t.Errorf("of two one is left: %s", got)
	}
	if gateway.Active(alone) {
		t.Error("a token for nothing is good")
	}
	w.refusedBy(t, rp.Redeem(late), http.StatusBadRequest, "invalid_target", "bad_target")
	if got := aud(gateway, rp.Refresh(reply.Text("refresh_token")).Text("access_token")); got != ordersAPI {
		t.Errorf("refreshed: %s", got)
	}
}

func (w *world) aimedChildren(t *testing.T, _, _ *RP) {
	parent := w.gateway(t, "aimparent", map[string]string{"policy.consent": "never", "oauth.resources": ordersAPI})
	child := parent.child(parent.register(map[string]any{"resources": []string{stockAPI}}))
	if got := aud(parent.RP, child.Tokens(w.ana(t), "resource", ordersAPI).Text("access_token")); got != ordersAPI {
		t.Error(got)
	}
	w.told(t, child, child.Visit(w.ana(t), child.Ask("resource", stockAPI)), "invalid_target", "bad_target")
}
