package idptest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"gatehouse/idp/api"
	"gatehouse/sp"
)

// apiScopesGiven: an owner's power is lent by owners alone, and dynamic registration never gets it by itself.
func (w *world) apiScopesGiven(t *testing.T) {
	w.AddPerson(t, "abe", "Employees", func(n *api.NewUser) { n.Roles = []string{"app_admin"} })
	w.AddPerson(t, "dev", "Employees", func(n *api.NewUser) { n.Roles = []string{"developer"} })
	plain := w.apiClient(t, "plain", "openid", nil)
	holder := w.apiClient(t, "holder", "openid directory.read", nil)
	as := func(name string) func(method, path, body string) *Reply {
		c := w.signedIn(t, name)
		return func(method, path, body string) *Reply {
			page := c.json(method, path, body)
			return &Reply{Status: page.Status, Header: page.Header, Raw: page.Body, JSON: asJSON(t, page.Body)}
		}
	}
	abe, dev := as("abe"), as("dev")
	registration := `{"oauth":"{\"client_name\":\"sly\",\"redirect_uris\":[\"https://sly.example/cb\"],\"scope\":\"openid directory.write\"}"}`
	for what, reply := range map[string]*Reply{
		"abe gives":        abe("PATCH", "/api/v1/apps/"+plain.App, `{"set":{"oauth.scopes":"openid,directory.write"}}`),
		"abe sends codes":  abe("PATCH", "/api/v1/apps/"+holder.App, `{"set":{"oauth.redirect_uris":"https://evil.example/cb"}}`),
		"abe runs as olga": abe("PATCH", "/api/v1/apps/"+holder.App, `{"set":{"oauth.run_as":"olga"}}`),
		"abe takes":        abe("POST", "/api/v1/apps/"+holder.App+"/secret", `{}`),
		"abe adds":         abe("POST", "/api/v1/apps", registration),
		"dev adds":         dev("POST", "/api/v1/apps", registration),
	} {
		if reply.Status != http.StatusForbidden || reply.reason() != "needs_owner" {
			t.Errorf("%s: %d %s", what, reply.Status, reply.Raw)
		}
	}
	if reply := as("olga")("PATCH", "/api/v1/apps/"+plain.App, `{"set":{"oauth.scopes":"openid,directory.write"}}`); reply.Status != http.StatusOK {
		t.Errorf("olga gives: %d %s", reply.Status, reply.Raw)
	}
	token := w.apiToken(t, w.apiClient(t, "manager", "apps.write", nil), "olga", "apps.write")
	if reply := plain.Call("PATCH", "/api/v1/apps/"+holder.App, token, `{"set":{"oauth.scopes":"openid,directory.write"}}`); reply.Status != http.StatusForbidden || reply.reason() != "needs_owner" {
		t.Errorf("a token makes an app stronger: %d %s", reply.Status, reply.Raw)
	}
	if reply := abe("POST", "/api/v1/apps/"+holder.App+"/block", `{}`); reply.Status != http.StatusOK {
		t.Errorf("abe blocks: %d %s", reply.Status, reply.Raw)
	}

	parent := w.gateway(t, "scopeful", map[string]string{})
	w.setClient(t, parent.RP, "oauth.scopes", "openid,directory.read,directory.write")
	child := w.rest(t, http.MethodPost, w.URL+"/oauth/register", parent.token, map[string]any{"redirect_uris": []string{"https://child.example/cb"}, "scope": "openid directory.write"}, parent.from)
	if child.Status != http.StatusCreated || child.Text("scope") != "openid" {
		t.Errorf("a child asks for directory.write: %d %s", child.Status, child.Raw)
	}
	none := w.rest(t, http.MethodPost, w.URL+"/oauth/register", parent.token, map[string]any{"redirect_uris": []string{"https://other.example/cb"}, "scope": "directory.write"}, parent.from)
	if none.Status != http.StatusBadRequest || none.Text("error") != "invalid_client_metadata" {
		t.Errorf("a child asks for directory.write alone: %d %s", none.Status, none.Raw)
	}
}

// json sends a request to the API as the console's own page would.
func (c *Client) json(method, path, body string) *Page {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.server.URL+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Content-Type", "application/json")
	return c.Do(r)
}

func asJSON(t *testing.T, text string) map[string]any {
	t.Helper()
	var value map[string]any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return value
}

func (w *world) apiOtherGrants(t *testing.T) {
	alone := w.apiClient(t, "alone", "directory.read directory.write audit.read", map[string]string{"oauth.run_as": "olga"})
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, alone.http)
	program := (&clientcredentials.Config{ClientID: alone.ID, ClientSecret: alone.Secret, TokenURL: w.URL + "/oauth/token", Scopes: []string{"directory.read"}})
	token, err := program.Token(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if reply := alone.Call("GET", "/scim/v2/Users", token.AccessToken, ""); reply.Status != http.StatusOK {
		t.Errorf("%d %s", reply.Status, reply.Raw)
	}
	w.apiRefused(t, alone.Call("POST", "/api/v1/groups", token.AccessToken, `{"name":"x"}`), http.StatusForbidden, "no_permission", `scope="directory.write"`)
	w.setClient(t, alone, "oauth.run_as", "bob")
	w.apiRefused(t, alone.Call("GET", "/api/v1/groups", w.aloneToken(t, alone, ""), ""), http.StatusForbidden, "no_permission", "insufficient_scope")

	tv := w.Client(t, "console-tv", map[string]any{
		"redirect_uris": []string{}, "grant_types": []string{sp.GrantDevice}, "token_endpoint_auth_method": "none", "scope": "openid directory.read",
	}, nil)
	for name, want := range map[string]string{"olga": "openid directory.read", "bob": "openid"} {
		asked := tv.Device("scope", "openid directory.read")
		c := w.signedIn(t, name)
		if page := c.Type(asked.Text("user_code")); strings.Contains(page.Body, "everybody in your organisation") != (name == "olga") {
			t.Errorf("%s confirms\n%s", name, page.Body)
		} else {
			c.Agree(page)
		}
		given := tv.Poll(asked)
		if given.Text("scope") != want {
			t.Errorf("%s gave %s", name, given.Raw)
		}
		if reply := tv.Call("GET", "/api/v1/users", given.Text("access_token"), ""); (reply.Status == http.StatusOK) != (name == "olga") {
			t.Errorf("%s: %d %s", name, reply.Status, reply.Raw)
		}
	}

	front := w.apiClient(t, "front", "openid directory.read directory.write", nil)
	back := w.apiClient(t, "back", "directory.read", map[string]string{"oauth.introspect": "all"})
	subject := w.apiToken(t, front, "olga", "directory.read directory.write")
	handed := back.Send("/oauth/token", url.Values{"grant_type": {sp.GrantTokenExchange}, "subject_token": {subject}, "subject_token_type": {accessTokenType}, "scope": {"directory.read"}})
	if reply := back.Call("GET", "/api/v1/users", handed.Text("access_token"), ""); reply.Status != http.StatusOK {
		t.Errorf("exchanged: %d %s, %s", reply.Status, reply.Raw, handed.Raw)
	}
	w.setClient(t, front, "policy.permitted_users", "preauthorized")
	w.apiRefused(t, back.Call("GET", "/api/v1/users", handed.Text("access_token"), ""), http.StatusUnauthorized, "permitted_users", `error="invalid_token"`)
}

func (w *world) aloneToken(t *testing.T, rp *RP, scope string) string {
	t.Helper()
	return rp.Send("/oauth/token", changed(url.Values{"grant_type": {sp.GrantClientCredentials}}, []string{"scope", scope})).Text("access_token")
}

func (w *world) apiMetadata(t *testing.T) {
	var document struct {
		Resource string   `json:"resource"`
		Servers  []string `json:"authorization_servers"`
		Scopes   []string `json:"scopes_supported"`
		Methods  []string `json:"bearer_methods_supported"`
	}
	w.JSON(t, "/.well-known/oauth-protected-resource", &document)
	if document.Resource != w.URL || !slices.Equal(document.Servers, []string{w.URL}) || !slices.Equal(document.Scopes, sp.APIScopes()) || !slices.Equal(document.Methods, []string{"header"}) {
		t.Errorf("%+v", document)
	}
	var discovery map[string]any
	if w.JSON(t, "/.well-known/openid-configuration", &discovery); !strings.Contains(fmt.Sprint(discovery["scopes_supported"]), "directory.read") {
		t.Errorf("%v", discovery["scopes_supported"])
	}
	if reply := w.rest(t, http.MethodGet, w.URL+"/api/v1/users", "", nil, manyHops{&w.address}); reply.Status != http.StatusUnauthorized || !strings.Contains(reply.Header.Get("WWW-Authenticate"), "resource_metadata=") {
		t.Errorf("%d %q", reply.Status, reply.Header.Get("WWW-Authenticate"))
	}
	token := w.apiToken(t, w.apiClient(t, "commands", apiScope, nil), "olga", "directory.read")
	client, err := api.OverNetwork(w.URL, token)
	if err != nil {
		t.Fatal(err)
	}
	if list, err := client.Users(t.Context(), "bob", ""); err != nil || len(list.Items) != 1 {
		t.Errorf("%+v, %v", list.Items, err)
	}
	var refused *api.Error
	if _, err := client.AddNamed(t.Context(), "groups", api.Named{Name: "y"}); !errors.As(err, &refused) || refused.Reason != "no_permission" {
		t.Errorf("%v", err)
	}
}

// TestTokensRememberTheOlderFactor: policy.max_auth_age of an app for two factors is counted from the older one, wherever a token of it
// is used, as at a sign-on: a password that was typed anew makes no old second factor new.
func TestTokensRememberTheOlderFactor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.AddPerson(t, "olga", "Employees", func(n *api.NewUser) { n.Roles = []string{"owner"} })
	phone := w.given(t, "olga", w.clock.now)
	w.clock.advance(time.Minute)
	c := w.signedIn(t, "olga")
	if page := c.enters(c.Get("/login/factor?next=/account"), phone.code(t, 0)); page.URL.Path != "/account" {
		t.Fatalf("the second factor leads to %s", page.URL)
	}
	w.clock.advance(50 * time.Minute)
	weak := w.Client(t, "weak", nil, map[string]string{"policy.consent": "never"})
	code := weak.Callback(c.SignIn(weak.Visit(c, weak.Ask("prompt", "login")), "olga", Password)).Get("code")
	if code == "" {
		t.Fatal("no code after the password alone")
	}
	scope := "openid offline_access directory.read"
	rp := w.Client(t, "strong", map[string]any{"scope": scope}, map[string]string{
		"policy.consent": "never", "policy.min_level": "high", "policy.max_auth_age": "1h", "oauth.access_token_lifetime": "30m",
	})
	given := rp.Tokens(c, "scope", scope, "prompt", "none")
	access, refresh := given.Text("access_token"), given.Text("refresh_token")
	if !rp.Active(access) || rp.Call("GET", "/api/v1/users", access, "").Status != http.StatusOK {
		t.Fatal("the tokens are not good to begin with")
	}
	w.clock.advance(15 * time.Minute)
	if rp.Active(access) || rp.Active(refresh) {
		t.Error("introspection counts from the newer factor")
	}
	w.apiRefused(t, rp.Call("GET", "/api/v1/users", access, ""), http.StatusUnauthorized, "max_auth_age", `error="insufficient_user_authentication"`)
	w.refusedBy(t, rp.Refresh(refresh), http.StatusBadRequest, "invalid_grant", "max_auth_age")
	w.told(t, rp, rp.Visit(c, rp.Ask("prompt", "none")), "login_required", "no_passive")
}
