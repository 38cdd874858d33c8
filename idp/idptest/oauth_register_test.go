package idptest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"gatehouse/idp/api"
	"gatehouse/sp"
	"gatehouse/store"
)

// gateway is an external API gateway that registers clients: an app with an initial access token.
type gateway struct {
	*RP
	world *world
	token string
	t     *testing.T
	from  http.RoundTripper // nil: from here
}

func (w *world) gateway(t *testing.T, name string, settings map[string]string) *gateway {
	t.Helper()
	all := map[string]string{}
	maps.Copy(all, settings)
	rp := w.Client(t, name, map[string]any{"scope": "openid email offline_access " + name + ".read"}, all)
	made, err := w.API.RegistrationToken(t.Context(), rp.App)
	if err != nil {
		t.Fatal(err)
	}
	from := fmt.Sprintf("198.18.%d.%d", name[0], name[1]) // each from a network of its own
	return &gateway{RP: rp, world: w, token: made.Token, t: t, from: oneHop(from)}
}

// rest is a request of RFC 7591 or 7592 with a bearer token; body is JSON, a text as it is, or nil.
func (w *world) rest(t *testing.T, method, address, token string, body any, from http.RoundTripper) *Reply {
	t.Helper()
	text, raw := body.(string)
	if !raw && body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		text = string(encoded)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := (&http.Client{Transport: from}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	reply := &Reply{Status: answer.StatusCode, Header: answer.Header, Raw: string(content)}
	if len(bytes.TrimSpace(content)) > 0 {
		if err := json.Unmarshal(content, &reply.JSON); err != nil {
			t.Fatalf("%d %s: %v", reply.Status, content, err)
		}
	}
	if answer.StatusCode >= 500 {
		t.Errorf("%s %s: %d %s", method, address, answer.StatusCode, content)
	}
	return reply
}

// register registers a client with metadata whose gaps are filled.
func (g *gateway) register(change map[string]any) *Reply {
	g.t.Helper()
	whole := map[string]any{"client_name": "Partner", "redirect_uris": []string{"https://partner.example.org/cb"}}
	maps.Copy(whole, change)
	return g.world.rest(g.t, http.MethodPost, g.world.URL+"/oauth/register", g.token, whole, g.from)
}

// child is the relying party that a registration made.
func (g *gateway) child(reply *Reply) *RP {
	g.t.Helper()
	if reply.Status != http.StatusCreated {
		g.t.Fatalf("%d %s", reply.Status, reply.Raw)
	}
	app, err := g.world.API.App(g.t.Context(), reply.Text("client_id"))
	if err != nil {
		g.t.Fatal(err)
	}
	rp := *g.RP
	rp.App, rp.ID, rp.Secret, rp.Redirect = app.ID, reply.Text("client_id"), reply.Text("client_secret"), "https://partner.example.org/cb"
	return &rp
}

// TestRegistration is dynamic client registration and management, over the wire.
func TestRegistration(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	t.Run("ORF-12 ODY-08 a client registers, signs people in and manages itself", func(t *testing.T) { w.registerAndManage(t) })
	t.Run("ODY-07 discovery names the endpoint", func(t *testing.T) {
		for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
			var document map[string]any
			if w.JSON(t, path, &document); document["registration_endpoint"] != w.URL+"/oauth/register" {
				t.Errorf("%v", document["registration_endpoint"])
			}
		}
	})
	t.Run("ORF-12 ODY-06 metadata that is refused", func(t *testing.T) { w.badMetadata(t) })
	t.Run("ORF-12 tokens of registration", func(t *testing.T) { w.registrationTokens(t) })
	t.Run("what a client inherits", func(t *testing.T) { w.inherits(t) })
	t.Run("clients that wait", func(t *testing.T) { w.approvals(t) })
	t.Run("OPR-05 a gateway asks about its clients' tokens", func(t *testing.T) { w.gatewayIntrospects(t) })
	t.Run("the end of a gateway", func(t *testing.T) { w.gatewayEnds(t) })
	t.Run("nothing is fetched", func(t *testing.T) { w.nothingFetched(t) })
	t.Run("floods of registrations", func(t *testing.T) { w.registrationFlood(t) })
}

func (w *world) registerAndManage(t *testing.T) {
	g := w.gateway(t, "apigw", nil)
	reply := g.register(map[string]any{"contacts": []string{"dev@partner.example.org"}, "grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"}, "application_type": "web", "unknown_to_us": 7})
	if !strings.Contains(reply.Header.Get("Cache-Control"), "no-store") || reply.Text("client_secret") == "" || reply.JSON["client_secret_expires_at"] != float64(0) ||
		reply.JSON["client_id_issued_at"] == nil || reply.Text("client_name") != "Partner" || reply.Text("token_endpoint_auth_method") != "client_secret_basic" {
		t.Fatalf("%d %s", reply.Status, reply.Raw)
	}
	child := g.child(reply)
	token, uri := reply.Text("registration_access_token"), reply.Text("registration_client_uri")
	if uri != w.URL+"/oauth/register/"+child.ID {
		t.Fatalf("%q", uri)
	}
	tokens := child.Tokens(w.ana(t), "scope", "openid offline_access")
	read := w.rest(t, http.MethodGet, uri, token, nil, nil)
	if read.Status != http.StatusOK || read.Text("client_id") != child.ID || read.Text("registration_access_token") != token || read.JSON["client_secret"] != nil || read.JSON["redirect_uris"] == nil {
		t.Errorf("%d %s", read.Status, read.Raw)
	}
	change := map[string]any{"client_id": child.ID, "client_secret": child.Secret, "client_name": "Partner 2", "redirect_uris": []string{"https://partner.example.org/cb", "https://partner.example.org/2"}}
	for _, wrong := range []map[string]any{{"client_id": g.ID}, {"client_secret": "mine"}, {"redirect_uris": []string{"javascript:alert(1)"}}} {
		bad := maps.Clone(change)
		maps.Copy(bad, wrong)
		if reply := w.rest(t, http.MethodPut, uri, token, bad, nil); reply.Status != http.StatusBadRequest || !strings.HasPrefix(reply.Text("error"), "invalid_") {
			t.Errorf("%v: %d %s", wrong, reply.Status, reply.Raw)
		}
	}
	put := w.rest(t, http.MethodPut, uri, token, change, nil)
	rotated := put.Text("registration_access_token")
	if put.Status != http.StatusOK || rotated == "" || rotated == token || put.Text("client_name") != "Partner 2" {
		t.Fatalf("%d %s", put.Status, put.Raw)
	}
	w.refusedBy(t, w.rest(t, http.MethodGet, uri, token, nil, nil), http.StatusUnauthorized, "invalid_token", "bad_registration_token")
	if !child.Active(tokens.Text("access_token")) {
		t.Error("a change of the metadata ended the client's tokens")
	}
	if gone := w.rest(t, http.MethodDelete, uri, rotated, nil, nil); gone.Status != http.StatusNoContent || gone.Raw != "" {
		t.Errorf("%d %s", gone.Status, gone.Raw)
	}
	w.refusedBy(t, w.rest(t, http.MethodGet, uri, rotated, nil, nil), http.StatusUnauthorized, "invalid_token", "bad_registration_token")
	if reply := child.Introspect("x"); reply.Status != http.StatusUnauthorized {
		t.Errorf("a client that removed itself is let in: %d", reply.Status)
	}
	w.refusedBy(t, child.Refresh(tokens.Text("refresh_token")), http.StatusUnauthorized, "invalid_client", "unknown_client")
}

func (w *world) badMetadata(t *testing.T) {
	g := w.gateway(t, "badgw", nil)
	uris := func(list ...string) map[string]any { return map[string]any{"redirect_uris": list} }
	for i, c := range []struct {
		change map[string]any
		code   string
	}{
		{uris("https://partner.example.org/cb#x"), "invalid_redirect_uri"}, {uris("http://partner.example.org/cb"), "invalid_redirect_uri"},
		{uris("javascript:alert(1)"), "invalid_redirect_uri"}, {uris("data:text/html,x"), "invalid_redirect_uri"}, {uris("https://*.example.org/"), "invalid_redirect_uri"},
		{uris("https://user@partner.example.org/"), "invalid_redirect_uri"}, {uris(), "invalid_redirect_uri"}, {uris("/cb"), "invalid_redirect_uri"},
		{uris("https://partner.example.org/cb", "//evil.example/cb"), "invalid_redirect_uri"}, {uris("myapp:/cb"), "invalid_redirect_uri"},
		{map[string]any{"grant_types": []string{"password"}}, "invalid_client_metadata"}, {map[string]any{"grant_types": []string{"implicit"}}, "invalid_client_metadata"},
		{map[string]any{"response_types": []string{"token"}}, "invalid_client_metadata"}, {map[string]any{"token_endpoint_auth_method": "magic"}, "invalid_client_metadata"},
		{map[string]any{"id_token_signed_response_alg": "none"}, "invalid_client_metadata"}, {map[string]any{"id_token_signed_response_alg": "ES256"}, "invalid_client_metadata"},
		{map[string]any{"logo_uri": "javascript:alert(1)"}, "invalid_client_metadata"}, {map[string]any{"logo_uri": "data:image/png;base64,iVBORw0KGgo="}, "invalid_client_metadata"},
		{map[string]any{"client_uri": "javascript:alert(1)"}, "invalid_client_metadata"}, {map[string]any{"jwks_uri": "file:///etc/passwd"}, "invalid_client_metadata"},
		{map[string]any{"client_name": strings.Repeat("x", 101)}, "invalid_client_metadata"}, {map[string]any{"client_name": "a\u202eb\n"}, "invalid_client_metadata"},
		{map[string]any{"scope": "directory.write full"}, "invalid_client_metadata"}, {map[string]any{"jwks": map[string]any{"keys": []any{map[string]any{"kty": "oct", "k": "x"}}}}, "invalid_client_metadata"},
		{map[string]any{"redirect_uris": "https://partner.example.org/cb"}, "invalid_client_metadata"},
	} {
		g.from = oneHop(fmt.Sprintf("198.51.%d.1", i))
		if reply := g.register(c.change); reply.Status != http.StatusBadRequest || reply.Text("error") != c.code || reply.Text("error_description") == "" {
			t.Errorf("%v: %d %s", c.change, reply.Status, reply.Raw)
		}
	}
	for _, body := range []string{"", "[", "[]", "null x", `{"client_name":7}`, strings.Repeat(" ", 70<<10) + "{}"} {
		if reply := w.rest(t, http.MethodPost, w.URL+"/oauth/register", g.token, body, nil); reply.Status < 400 || reply.Text("error") == "" {
			t.Errorf("%.20q: %d %s", body, reply.Status, reply.Raw)
		}
	}
	if app, err := w.API.App(t.Context(), g.App); err != nil || app.OAuth.Children != 0 {
		t.Errorf("bad metadata left clients: %+v, %v", app.OAuth, err)
	}
	if reply := g.register(map[string]any{"client_name": ""}); reply.Status != http.StatusCreated || reply.Text("client_name") == "" {
		t.Errorf("without a name: %d %s", reply.Status, reply.Raw)
	}
}

func (w *world) registrationTokens(t *testing.T) {
	g, other := w.gateway(t, "tokgw", nil), w.gateway(t, "othergw", nil)
	old := g.token
	made, err := w.API.RegistrationToken(t.Context(), g.App)
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{"the old one": old, "none": "", "another app's secret part": strings.Replace(made.Token, g.ID, other.ID, 1), "the client secret": g.Secret, "cut off": made.Token[:len(made.Token)-1], "unknown app": "gir_x_y"} {
		g.token = token
		reply := g.register(nil)
		if reply.Status != http.StatusUnauthorized || reply.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %d %s", name, reply.Status, reply.Raw)
		}
	}
	g.token = made.Token
	one, two := g.register(nil), g.register(nil)
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		for _, token := range []string{two.Text("registration_access_token"), made.Token, "", g.Secret} {
			if reply := w.rest(t, method, one.Text("registration_client_uri"), token, map[string]any{"client_id": one.Text("client_id")}, nil); reply.Status != http.StatusUnauthorized || reply.Text("error") != "invalid_token" {
				t.Errorf("%s with another token: %d %s", method, reply.Status, reply.Raw)
			}
		}
	}
	child := g.child(one)
	if _, err := w.API.RegistrationToken(t.Context(), child.App); err == nil {
		t.Error("a client that registered itself gets an initial access token")
	}
	var stored sp.App
	err = w.Store.View(t.Context(), func(tx store.Tx) (err error) { stored, _, err = sp.Apps.Get(tx, g.App); return err })
	text, encodeErr := json.Marshal(stored)
	if err != nil || encodeErr != nil || strings.Contains(string(text), made.Token[len(made.Token)-40:]) {
		t.Errorf("the token lies in the store: %v", err)
	}
}

func (w *world) inherits(t *testing.T) {
	g := w.gateway(t, "polgw", map[string]string{"policy.ip_ranges": "127.0.0.0/8", "policy.consent": "never", "policy.min_level": "standard", "oauth.run_as": "bob"})
	reply := g.register(map[string]any{"grant_types": []string{"client_credentials", "authorization_code"}, "scope": "openid polgw.read full audit.read"})
	if reply.Text("scope") != "openid polgw.read" {
		t.Errorf("%s", reply.Raw)
	}
	child := g.child(reply)
	app, err := w.API.App(t.Context(), child.App)
	if err != nil || app.OAuth.Parent != g.App || app.State != "active" {
		t.Fatalf("%+v, %v", app.OAuth, err)
	}
	got := map[string]string{}
	for _, s := range app.Settings {
		got[s.Key] = s.Value
	}
	if got["policy.ip_ranges"] != "127.0.0.0/8" || got["policy.consent"] != "auto" || got["policy.min_level"] != "standard" || got["policy.scopes"] != "openid,email,offline_access,polgw.read" || got["oauth.introspect"] != "own" {
		t.Errorf("%v", got)
	}
	w.refusedBy(t, child.Send("/oauth/token", url.Values{"grant_type": {"client_credentials"}}), http.StatusBadRequest, "unauthorized_client", "no_run_as")
	if reply := g.register(nil); reply.Text("scope") != "openid email offline_access polgw.read" {
		t.Errorf("of a client that names no scopes: %s", reply.Raw)
	}
	list, err := w.API.Children(t.Context(), "polgw", "", "")
	if err != nil || len(list.Items) != 2 {
		t.Errorf("%+v, %v", list, err)
	}
	public := g.register(map[string]any{"token_endpoint_auth_method": "none"})
	if public.Status != http.StatusCreated || public.JSON["client_secret"] != nil || public.JSON["client_secret_expires_at"] != nil {
		t.Errorf("%d %s", public.Status, public.Raw)
	}
}

func (w *world) approvals(t *testing.T) {
	g := w.gateway(t, "waitgw", map[string]string{"oauth.registration_approval": "required"})
	reply := g.register(nil)
	child := g.child(reply)
	w.refusedBy(t, child.Send("/oauth/token", url.Values{"grant_type": {"client_credentials"}}), http.StatusBadRequest, "unauthorized_client", "app_pending")
	w.checkHere(t, child.Visit(w.ana(t), child.Ask()), "app_pending")
	if _, err := w.API.MoveApp(t.Context(), child.App, "approve"); err != nil {
		t.Fatal(err)
	}
	tokens := child.Tokens(w.ana(t))
	change := map[string]any{"client_id": child.ID, "client_name": "Partner", "redirect_uris": []string{"https://partner.example.org/cb"}}
	same := w.rest(t, http.MethodPut, reply.Text("registration_client_uri"), reply.Text("registration_access_token"), change, nil)
	if !child.Active(tokens.Text("access_token")) {
		t.Error("a client that changed nothing waits again")
	}
	change["redirect_uris"] = []string{"https://evil.example/cb"}
	w.rest(t, http.MethodPut, reply.Text("registration_client_uri"), same.Text("registration_access_token"), change, nil)
	app, err := w.API.App(t.Context(), child.App)
	if err != nil || app.State != "pending" || g.Active(tokens.Text("access_token")) {
		t.Errorf("a client that was approved for one address has another: %s, %v", app.State, err)
	}
	stranger := &gateway{RP: g.RP, world: w, t: t}
	if reply := stranger.register(nil); reply.Status != http.StatusUnauthorized {
		t.Errorf("open registration is off: %d %s", reply.Status, reply.Raw)
	}
	if _, err := w.API.SetSettings(t.Context(), api.Change{Set: map[string]string{"oauth.open_registration": "true"}}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_, err := w.API.SetSettings(t.Context(), api.Change{Set: map[string]string{"oauth.open_registration": "false"}})
		if err != nil {
			t.Error(err)
		}
	}()
	open := stranger.register(map[string]any{"scope": "openid email full directory.write"})
	one := stranger.child(open)
	if app, err := w.API.App(t.Context(), one.App); err != nil || app.State != "pending" || app.PermittedUsers != "preauthorized" || open.Text("scope") != "openid email" {
		t.Errorf("%+v %s, %v", app, open.Raw, err)
	}
	if list, err := w.API.Children(t.Context(), "open", "pending", ""); err != nil || len(list.Items) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	if gone := w.rest(t, http.MethodDelete, open.Text("registration_client_uri"), open.Text("registration_access_token"), nil, nil); gone.Status != http.StatusNoContent {
		t.Errorf("%d %s", gone.Status, gone.Raw)
	}
	stranger.token = "gir_wrong_token"
	if reply := stranger.register(nil); reply.Status != http.StatusUnauthorized {
		t.Errorf("a wrong token where none is needed: %d", reply.Status)
	}
}
