package idptest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"

	"gatehouse/idp/api"
	"gatehouse/sp"
)

// TestAPIWithAppTokens is Gatehouse's own API as the resource of apps' access tokens.
func TestAPIWithAppTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.AddPerson(t, "olga", "Employees", func(n *api.NewUser) { n.Roles = []string{"owner"} })
	t.Run("OAP-01 an owner's app by a client that nobody here wrote", func(t *testing.T) { w.ownersApp(t) })
	t.Run("OAP-02 no more than the scopes", func(t *testing.T) { w.apiScopes(t) })
	t.Run("OAP-03 no more than the person may", func(t *testing.T) { w.apiRoles(t) })
	t.Run("OAP-04 the policy at every call", func(t *testing.T) { w.apiPolicy(t) })
	t.Run("OAP-05 what is no token for the API", func(t *testing.T) { w.apiNoTokens(t) })
	t.Run("OAP-06 tokens that are bound to a key", func(t *testing.T) { w.apiBound(t) })
	t.Run("OAP-07 only an owner gives apps the scopes of the API", func(t *testing.T) { w.apiScopesGiven(t) })
	t.Run("OAP-08 an app alone, a device, an exchange", func(t *testing.T) { w.apiOtherGrants(t) })
	t.Run("OAP-09 what clients find out", func(t *testing.T) { w.apiMetadata(t) })
}

const apiScope = "openid offline_access directory.read directory.write"

// apiClient is an app with scopes of the API.
func (w *world) apiClient(t *testing.T, name, scope string, settings map[string]string) *RP {
	t.Helper()
	return w.Client(t, name, map[string]any{
		"scope": scope, "grant_types": []string{sp.GrantCode, sp.GrantRefresh, sp.GrantClientCredentials, sp.GrantTokenExchange},
	}, settings)
}

// Call calls the API with a token.
func (rp *RP) Call(method, path, token, body string) *Reply {
	rp.t.Helper()
	return rp.call("Bearer", method, path, token, "", body)
}

func (rp *RP) call(scheme, method, path, token, proof, body string) *Reply {
	rp.t.Helper()
	r, err := http.NewRequestWithContext(rp.t.Context(), method, rp.server.URL+path, strings.NewReader(body))
	if err != nil {
		rp.t.Fatal(err)
	}
	r.Header.Set("Authorization", scheme+" "+token)
	if proof != "" {
		r.Header.Set("DPoP", proof)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return rp.Do(r)
}

// reason is why an API call was refused.
func (r *Reply) reason() string {
	problem, _ := r.JSON["error"].(map[string]any)
	reason, _ := problem["reason"].(string)
	return reason
}

// apiRefused checks a refusal by the API: the challenge of RFC 6750, and the audit tells why, of whom and by what.
func (w *world) apiRefused(t *testing.T, reply *Reply, status int, reason, challenge string) api.AuditEntry {
	t.Helper()
	if reply.Status != status || reply.reason() != reason || !strings.Contains(reply.Header.Get("WWW-Authenticate"), challenge) {
		t.Errorf("want %d %s with %q, have %d %s with %q", status, reason, challenge, reply.Status, reply.Raw, reply.Header.Get("WWW-Authenticate"))
	}
	if said := described(reply); !strings.Contains(string(reply.Raw), said) {
		t.Errorf("the header says %q, the body %s", said, reply.Raw)
	}
	entry := w.Audit(t)[0]
	if entry.Reason != reason || entry.Outcome != "refused" {
		t.Errorf("the audit says %s %s %s, want %s", entry.Kind, entry.Outcome, entry.Reason, reason)
	}
	return entry
}

func (w *world) ownersApp(t *testing.T) {
	rp := w.apiClient(t, "hr", apiScope, nil)
	olga := w.signedIn(t, "olga")
	config := oauth2.Config{
		ClientID: rp.ID, ClientSecret: rp.Secret, RedirectURL: rp.Redirect, Scopes: strings.Fields(apiScope),
		Endpoint: oauth2.Endpoint{AuthURL: w.URL + "/oauth/authorize", TokenURL: w.URL + "/oauth/token"},
	}
	verifier := oauth2.GenerateVerifier()
	page := olga.Get(config.AuthCodeURL("state", oauth2.S256ChallengeOption(verifier)))
	if !strings.Contains(page.Body, "Add, change, disable and remove people and groups in your name") || !strings.Contains(page.Body, "See everybody in your organisation") {
		t.Errorf("the consent page:\n%s", page.Body)
	}
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, rp.http)
	token, err := config.Exchange(ctx, rp.Callback(olga.Agree(page)).Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	program := config.Client(ctx, token)
	answer, err := program.Get(w.URL + "/api/v1/users")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if body, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != http.StatusOK || !strings.Contains(string(body), `"bob"`) {
		t.Errorf("%d %s, %v", answer.StatusCode, body, err)
	}
	added, err := program.Post(w.URL+"/scim/v2/Groups", "application/scim+json", strings.NewReader(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"Runners"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer added.Body.Close()
	grant := w.grantOf(t, rp)
	entry := w.Audit(t)[0]
	if added.StatusCode != http.StatusCreated || entry.Kind != "group.add" || entry.Actor.Name != "olga" || entry.Facts["by_app"] != rp.App || entry.Facts["by_grant"] != grant {
		t.Errorf("%d, and the audit says %+v", added.StatusCode, entry)
	}
	refreshed := rp.Refresh(token.RefreshToken)
	if reply := rp.Call("POST", "/api/v1/users", refreshed.Text("access_token"), `{"name":"new","email":"new@example.org","profile":"Employees"}`); reply.Status != http.StatusOK && reply.Status != http.StatusCreated {
		t.Errorf("%d %s", reply.Status, reply.Raw)
	}
	if entry := w.Audit(t)[0]; entry.Kind != "user.add" || entry.Actor.Name != "olga" || entry.Facts["by_app"] != rp.App || entry.Facts["by_grant"] != grant {
		t.Errorf("the audit says %+v", entry)
	}
}

// grantOf is the one grant that an app has.
func (w *world) grantOf(t *testing.T, rp *RP) string {
	t.Helper()
	list, err := w.API.OAuthGrants(t.Context(), api.RequestQuery{App: rp.App})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("%+v, %v", list.Items, err)
	}
	return list.Items[0].ID
}

// apiTokens are tokens of a person for an app.
func (w *world) apiToken(t *testing.T, rp *RP, name, scope string) string {
	t.Helper()
	return rp.Tokens(w.signedIn(t, name), "scope", scope).Text("access_token")
}

func (w *world) apiScopes(t *testing.T) {
	for _, format := range []string{"opaque", "jwt"} {
		rp := w.apiClient(t, "reader"+format, "openid directory.read apps.read", map[string]string{"oauth.access_token_format": format})
		read := w.apiToken(t, rp, "olga", "openid directory.read")
		if reply := rp.Call("GET", "/api/v1/users", read, ""); reply.Status != http.StatusOK {
			t.Errorf("%s: %d %s", format, reply.Status, reply.Raw)
		}
		w.apiRefused(t, rp.Call("POST", "/api/v1/groups", read, `{"name":"x"}`), http.StatusForbidden, "no_permission", `error="insufficient_scope", scope="directory.write"`)
		entry := w.apiRefused(t, rp.Call("GET", "/api/v1/apps", read, ""), http.StatusForbidden, "no_permission", `scope="apps.read"`)
		if entry.Facts["by_app"] != rp.App || entry.Actor.Name != "olga" {
			t.Errorf("the audit says %+v", entry)
		}
		w.apiRefused(t, rp.Call("GET", "/api/v1/settings", read, ""), http.StatusForbidden, "no_permission", `error="insufficient_scope"`)
		if reply := rp.Call("DELETE", "/scim/v2/Groups/x", read, ""); reply.Status != http.StatusForbidden || !strings.Contains(reply.Header.Get("WWW-Authenticate"), `scope="directory.write"`) {
			t.Errorf("SCIM: %d %s", reply.Status, reply.Raw)
		}
		w.setClient(t, rp, "policy.users", "bob") // whom an app is for is about people, not about apps
		if reply := rp.Call("GET", "/api/v1/apps/"+rp.App, w.apiToken(t, rp, "olga", "apps.read"), ""); reply.Status != http.StatusOK || strings.Contains(reply.Raw, "policy.users") {
			t.Errorf("%s: %d %s", format, reply.Status, reply.Raw)
		}
		if reply := rp.Call("GET", "/api/v1/apps/"+rp.App, w.apiToken(t, rp, "olga", "apps.read directory.read"), ""); !strings.Contains(reply.Raw, "policy.users") {
			t.Errorf("%s: %d %s", format, reply.Status, reply.Raw)
		}
		only := w.apiToken(t, rp, "olga", "openid")
		w.apiRefused(t, rp.Call("GET", "/api/v1/users", only, ""), http.StatusForbidden, "no_permission", `error="insufficient_scope"`)
	}
}

func (w *world) apiRoles(t *testing.T) {
	rp := w.apiClient(t, "roles", apiScope+" apps.write audit.read", nil)
	w.AddPerson(t, "petra", "Employees", func(n *api.NewUser) { n.Roles = []string{"app_admin"} })
	w.AddPerson(t, "paul", "Employees", func(n *api.NewUser) { n.Roles = []string{"owner"} })

	page := rp.Visit(w.signedIn(t, "bob"), rp.Ask("scope", "openid directory.read"))
	if page.URL.Path != "/consent" || strings.Contains(page.Body, "everybody in your organisation") {
		t.Errorf("somebody without a role is asked for what is not theirs:\n%s", page.Body)
	}
	if reply := rp.Tokens(w.signedIn(t, "bob"), "scope", "openid directory.read"); reply.Text("scope") != "openid" {
		t.Errorf("bob gave %s", reply.Raw)
	}
	bob := w.signedIn(t, "bob")
	w.told(t, rp, rp.Visit(bob, rp.Ask("scope", "directory.read")), "access_denied", "not_yours_to_give")

	petra := w.signedIn(t, "petra")
	given := rp.Tokens(petra, "scope", "directory.read directory.write apps.write")
	if given.Text("scope") != "directory.read apps.write" {
		t.Errorf("petra gave %s", given.Raw)
	}
	token := given.Text("access_token")
	if reply := rp.Call("GET", "/api/v1/users", token, ""); reply.Status != http.StatusOK {
		t.Errorf("%d %s", reply.Status, reply.Raw)
	}
	w.setUser(t, "petra", "roles", "developer")
	w.apiRefused(t, rp.Call("GET", "/api/v1/users", token, ""), http.StatusForbidden, "no_permission", "")
	w.setUser(t, "petra", "roles", "")
	entry := w.apiRefused(t, rp.Call("GET", "/api/v1/apps", token, ""), http.StatusForbidden, "no_permission", "")
	if entry.Kind != "permission" || entry.Facts["by_app"] != rp.App {
		t.Errorf("the audit says %+v", entry)
	}

	paul := w.apiToken(t, rp, "paul", "directory.write")
	for name, refused := range map[string]*Reply{
		"his own account": rp.Call("PATCH", "/api/v1/users/paul", paul, `{"set":{"email":"app@evil.example"}}`),
		"another owner":   rp.Call("PATCH", "/api/v1/users/olga", paul, `{"set":{"email":"app@evil.example"}}`),
		"a role":          rp.Call("PATCH", "/api/v1/users/bob", paul, `{"set":{"roles":"owner"}}`),
	} {
		if refused.Status != http.StatusForbidden || refused.reason() != "needs_owner" {
			t.Errorf("%s: %d %s", name, refused.Status, refused.Raw)
		}
	}
	if _, err := w.API.EnableUser(t.Context(), "paul", false); err != nil {
		t.Fatal(err)
	}
	w.apiRefused(t, rp.Call("GET", "/api/v1/users", paul, ""), http.StatusUnauthorized, "bad_token", `error="invalid_token"`)
}

func (w *world) setUser(t *testing.T, name, key, value string) {
	t.Helper()
	if _, err := w.API.SetUser(t.Context(), name, api.Change{Set: map[string]string{key: value}, Force: true}); err != nil {
		t.Fatal(err)
	}
}

func (w *world) apiPolicy(t *testing.T) {
	rp := w.apiClient(t, "policy", apiScope, nil)
	token := w.apiToken(t, rp, "olga", "directory.read")
	taken := func(when string) {
		t.Helper()
		if reply := rp.Call("GET", "/scim/v2/Users", token, ""); reply.Status != http.StatusOK {
			t.Errorf("%s: %d %s", when, reply.Status, reply.Raw)
		}
	}
	taken("at first")
	w.setClient(t, rp, "policy.ip_ranges", "10.0.0.0/8") // from where the token was asked for
	taken("from inside")
	away := *rp
	away.http = &http.Client{Transport: oneHop("198.51.100.40")}
	w.apiRefused(t, away.Call("GET", "/api/v1/users", token, ""), http.StatusUnauthorized, "app_ip_ranges", `error="invalid_token"`)
	w.setClient(t, rp, "policy.ip_ranges", "default")
	for key, refusal := range map[string][2]string{
		"policy.ip_ranges":       {"192.0.2.0/24", "app_ip_ranges"},
		"policy.permitted_users": {"preauthorized", "permitted_users"},
		"policy.not_after":       {"2020-01-01T00:00:00Z", "access_window"},
		"policy.min_level":       {"high", "min_level"},
	} {
		w.setClient(t, rp, key, refusal[0])
		challenge := `error="invalid_token"`
		if key == "policy.min_level" {
			challenge = `error="insufficient_user_authentication"` + "|" + `acr_values="urn:gatehouse:level:high"`
		}
		for part := range strings.SplitSeq(challenge, "|") {
			reply := rp.Call("GET", "/api/v1/users", token, "")
			entry := w.apiRefused(t, reply, http.StatusUnauthorized, refusal[1], part)
			if entry.Kind != "api" || entry.Facts["rules"] == "" || entry.App.ID != rp.App || entry.User.Name != "olga" || entry.Facts["grant"] == "" {
				t.Errorf("%s: %+v", key, entry)
			}
		}
		w.setClient(t, rp, key, "default")
		taken("after " + key)
	}
	for _, console := range []string{"policy.min_level=high", "policy.ip_ranges=192.0.2.0/24"} {
		key, value, _ := strings.Cut(console, "=")
		set := func(value string) {
			if _, err := w.API.SetApp(t.Context(), "console", api.Change{Set: map[string]string{key: value}, Force: true}); err != nil {
				t.Fatal(err)
			}
		}
		set(value)
		if reply := rp.Call("GET", "/api/v1/users", token, ""); reply.Status != http.StatusUnauthorized {
			t.Errorf("who may not enter the console (%s) calls the API: %d %s", console, reply.Status, reply.Raw)
		}
		set("default")
		taken("after the console's " + key)
	}
	w.setClient(t, rp, "policy.scopes", "openid")
	w.apiRefused(t, rp.Call("GET", "/api/v1/users", token, ""), http.StatusUnauthorized, "bad_token", `error="invalid_token"`)
	w.setClient(t, rp, "policy.scopes", "default")
	if _, err := w.API.MoveApp(t.Context(), rp.App, "block"); err != nil {
		t.Fatal(err)
	}
	w.apiRefused(t, rp.Call("GET", "/api/v1/users", token, ""), http.StatusUnauthorized, "bad_token", `error="invalid_token"`)
	if _, err := w.API.MoveApp(t.Context(), rp.App, "unblock"); err != nil {
		t.Fatal(err)
	}
	w.apiRefused(t, rp.Call("GET", "/api/v1/users", token, ""), http.StatusUnauthorized, "bad_token", `error="invalid_token"`)
}

func (w *world) apiNoTokens(t *testing.T) {
	rp := w.apiClient(t, "kinds", apiScope, map[string]string{"oauth.access_token_format": "jwt"})
	given := rp.Tokens(w.signedIn(t, "olga"), "scope", apiScope)
	access := given.Text("access_token")
	for kind, token := range map[string]string{
		"an ID token": given.Text("id_token"), "a refresh token": given.Text("refresh_token"), "another signature": access[:len(access)-8] + "AAAAAAAA",
		"nothing known": "gat_nothing", "no token at all": "x", "a code": "gac_nothing", "its jti": jtiOf(t, rp, access),
	} {
		if entry := w.apiRefused(t, rp.Call("GET", "/api/v1/users", token, ""), http.StatusUnauthorized, "bad_token", `error="invalid_token"`); entry.Kind != "api" {
			t.Errorf("%s: %+v", kind, entry)
		}
	}
	if reply := rp.Call("GET", "/api/v1/users?access_token="+access, "", ""); reply.Status != http.StatusUnauthorized || reply.reason() != "no_token" || !strings.Contains(reply.Header.Get("WWW-Authenticate"), `resource_metadata="`+w.URL+`/.well-known/oauth-protected-resource"`) {
		t.Errorf("in the query: %d %s", reply.Status, reply.Raw)
	}
	w.clock.advance(11 * time.Minute)
	w.apiRefused(t, rp.Call("GET", "/api/v1/users", access, ""), http.StatusUnauthorized, "bad_token", `error="invalid_token"`)
	fresh := rp.Refresh(given.Text("refresh_token")).Text("access_token")
	if reply := rp.Call("GET", "/api/v1/users", fresh, ""); reply.Status != http.StatusOK {
		t.Errorf("%d %s", reply.Status, reply.Raw)
	}
	if _, err := w.API.RevokeOAuthGrant(t.Context(), w.grantOf(t, rp)); err != nil {
		t.Fatal(err)
	}
	w.apiRefused(t, rp.Call("GET", "/api/v1/users", fresh, ""), http.StatusUnauthorized, "bad_token", `error="invalid_token"`)
}

func jtiOf(t *testing.T, rp *RP, token string) string {
	t.Helper()
	_, claims := rp.Claims(token)
	return fmt.Sprint(claims["jti"])
}

func (w *world) apiBound(t *testing.T) {
	rp := w.Client(t, "boundapi", map[string]any{"token_endpoint_auth_method": "none", "scope": "directory.read"}, nil)
	key, thief := newSigningKey(t, jose.ES256, ""), newSigningKey(t, jose.ES256, "")
	form := url.Values{"grant_type": {"authorization_code"}, "code": {rp.Code(w.signedIn(t, "olga"), "scope", "directory.read")}, "redirect_uri": {rp.Redirect}, "code_verifier": {rp.Verifier}}
	access := rp.proven("/oauth/token", w.proof(t, key, "POST", "/oauth/token", "", nil), form).Text("access_token")
	users := func(key *signingKey, path string) string { return w.proof(t, key, "GET", path, access, nil) }
	good := users(key, "/api/v1/users")
	if reply := rp.call("DPoP", "GET", "/api/v1/users", access, good, ""); reply.Status != http.StatusOK {
		t.Errorf("%d %s", reply.Status, reply.Raw)
	}
	w.apiRefused(t, rp.call("DPoP", "GET", "/api/v1/users", access, good, ""), http.StatusUnauthorized, "dpop_replayed", `DPoP realm="Gatehouse", error="invalid_dpop_proof"`)
	w.apiRefused(t, rp.Call("GET", "/api/v1/users", access, ""), http.StatusUnauthorized, "bound_token", `DPoP realm="Gatehouse", error="invalid_token"`)
	w.apiRefused(t, rp.call("DPoP", "GET", "/api/v1/users", access, "", ""), http.StatusUnauthorized, "dpop_missing", "DPoP")
	w.apiRefused(t, rp.call("DPoP", "GET", "/api/v1/users", access, users(thief, "/api/v1/users"), ""), http.StatusUnauthorized, "bound_token", "DPoP")
	w.apiRefused(t, rp.call("DPoP", "GET", "/api/v1/users", access, users(key, "/api/v1/apps"), ""), http.StatusUnauthorized, "dpop_uri", "DPoP")
	w.apiRefused(t, rp.call("DPoP", "DELETE", "/api/v1/users/bob", access, w.proof(t, key, "DELETE", "/api/v1/users/bob", access, nil), ""), http.StatusForbidden, "no_permission", `DPoP realm="Gatehouse", error="insufficient_scope"`)
	secret := w.token(t, "bearer", "directory.read")
	w.apiRefused(t, rp.call("DPoP", "GET", "/api/v1/users", secret, w.proof(t, key, "GET", "/api/v1/users", secret, nil), ""), http.StatusUnauthorized, "bad_token", "")
}
