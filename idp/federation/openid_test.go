package federation

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gatehouse/idp/outbound"
	"gatehouse/sp"
)

const issuer = "https://login.example.org"

// described is what a good provider says of itself, changed; nil takes a member away.
func described(change map[string]any) []byte {
	all := map[string]any{"issuer": issuer, "authorization_endpoint": issuer + "/auth", "token_endpoint": issuer + "/token", "jwks_uri": issuer + "/jwks", "response_types_supported": []string{"code"}}
	maps.Copy(all, change)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	text, _ := json.Marshal(all)
	return text
}

func TestDiscovery(t *testing.T) {
	for name, c := range map[string]struct {
		change map[string]any
		want   string // part of the error; empty: it is taken
	}{
		"good":                        {},
		"another issuer":              {map[string]any{"issuer": "https://evil.example"}, "calls itself https://evil.example"},
		"a slash more":                {map[string]any{"issuer": issuer + "/"}, "slashes too"},
		"no code flow":                {map[string]any{"response_types_supported": []string{"id_token"}}, "authorization code flow"},
		"no token endpoint":           {map[string]any{"token_endpoint": nil}, "token_endpoint must be an https address"},
		"an endpoint that runs":       {map[string]any{"authorization_endpoint": "javascript:alert(1)"}, "authorization_endpoint must be"},
		"an endpoint without TLS":     {map[string]any{"authorization_endpoint": "http://login.example.org/auth"}, "authorization_endpoint must be"},
		"an endpoint with a user":     {map[string]any{"end_session_endpoint": "https://me@login.example.org/end"}, "end_session_endpoint must be"},
		"pushed requests":             {map[string]any{"require_pushed_authorization_requests": true, "pushed_authorization_request_endpoint": issuer + "/par"}, ""},
		"pushed requests, nowhere":    {map[string]any{"require_pushed_authorization_requests": true}, "names no pushed_authorization_request_endpoint"},
		"pushed without TLS":          {map[string]any{"pushed_authorization_request_endpoint": "http://login.example.org/par"}, "pushed_authorization_request_endpoint must be"},
		"an endpoint with a fragment": {map[string]any{"userinfo_endpoint": issuer + "/me#x"}, "userinfo_endpoint must be"},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := parseDiscovery(issuer, described(c.change))
			var known *Error
			switch {
			case c.want == "" && (err != nil || d.Token != issuer+"/token"):
				t.Errorf("%+v, %v", d, err)
			case c.want != "" && (!errors.As(err, &known) || !strings.Contains(known.Text, c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	for _, text := range []string{"", "<html>", "[]", "null", `{"issuer":7}`} {
		if _, err := parseDiscovery(issuer, []byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestOpenIDSettings(t *testing.T) {
	provider, err := NewOpenID(issuer)
	must(t, err)
	provider.Secret = []byte("sealed")
	u, err := NewUpstream("corp", &Fetched{OpenID: provider}, map[string]string{"client_id": "gatehouse", "levels": "amr:mfa=high,urn:x=standard"}, "uid 0", noon)
	must(t, err)
	if got := u.Classes(sp.Standard); len(got) != 1 || got[0] != "urn:x" {
		t.Errorf("asked for %q", got)
	}
	if u.LevelOf("urn:x", "amr:mfa") != sp.High || u.LevelOf("urn:x") != sp.Standard || u.LevelOf("mfa") != sp.Low || u.LevelOf() != sp.Low {
		t.Error("levels are wrong")
	}
	for key, value := range map[string]string{
		"client_id": "", "scopes": "a\"b", "token_endpoint_auth_method": "none", "requester_id": "off", "metadata_keys": "x", "what": "x", "require_pushed_authorization_requests": "true", // it has no endpoint for that
	} {
		if err := u.Change(map[string]string{key: value}); err == nil {
			t.Errorf("%s=%s is taken", key, value)
		}
	}
	must(t, u.Change(map[string]string{"scopes": "openid, email", "token_endpoint_auth_method": "private_key_jwt"}))
	if u.Setting("scopes") != "email" || u.OpenID == provider {
		t.Errorf("scopes are %q", u.Setting("scopes"))
	}
	u.OpenID.Secret = nil
	if err := u.Change(map[string]string{"token_endpoint_auth_method": "client_secret_post"}); err == nil || !strings.Contains(err.Error(), "client_secret") {
		t.Errorf("no secret: %v", err)
	}
	for _, bad := range []string{"", "login.example.org", "javascript:x", "https://me@login.example.org", issuer + "?x", issuer + "#x"} {
		if _, err := NewOpenID(bad); err == nil {
			t.Errorf("%q is taken for an issuer", bad)
		}
	}
}

// TestOpenIDFetch: an issuer inside the network is not fetched, nor is Gatehouse itself.
func TestOpenIDFetch(t *testing.T) {
	w := newWorld(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(described(nil)) }))
	t.Cleanup(server.Close)
	inside, err := NewOpenID(server.URL)
	must(t, err)
	if _, err := w.FetchOpenID(t.Context(), inside, Looked{}); err == nil || !strings.Contains(err.Error(), "calls itself") {
		t.Errorf("the document of another issuer: %v", err)
	}
	w.Fetch = outbound.NewFetcher(nil)
	if _, err := w.FetchOpenID(t.Context(), inside, Looked{}); err == nil || !strings.Contains(err.Error(), "private network") {
		t.Errorf("a private address: %v", err)
	}
	w.BaseURL = server.URL
	if _, err := w.FetchOpenID(t.Context(), inside, Looked{}); err == nil || !strings.Contains(err.Error(), "Gatehouse itself") {
		t.Errorf("ourselves: %v", err)
	}
}
