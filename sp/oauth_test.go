package sp

import (
	"strings"
	"testing"
	"time"
)

func oauthSettingCases() map[string]settingCase {
	keys := `{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}` // RFC 7517, A.1
	return map[string]settingCase{
		"oauth.redirect_uris":                              {"none", good("https://app.example.org/cb,https://app.example.org/other?x=1", "http://localhost:8000/cb"), []string{"a,,b", "x\x00"}},
		"oauth.grant_types":                                {"authorization_code,refresh_token", good("client_credentials", "authorization_code,"+GrantDevice), []string{"implicit", "magic"}},
		"oauth.response_types":                             {"code", good("code"), []string{"token", "id_token"}},
		"oauth.scopes":                                     {strings.Join(StandardScopes(), ","), good("openid,orders.read"), []string{`a"b`, "ä", "a b"}},
		"oauth.token_endpoint_auth_method":                 {AuthSecretBasic, good("client_secret_basic", "client_secret_post", "none"), []string{"", "client_secret_jwt"}},
		"oauth.application_type":                           choices("web", "native"),
		"oauth.jwks":                                       {"none", good(keys), []string{"{}", "x", `{"keys":[{"kty":"oct","k":"x"}]}`, `{"keys":[{"kty":"RSA","d":"x"}]}`}},
		"oauth.jwks_uri":                                   addresses,
		"oauth.post_logout_redirect_uris":                  {"none", good("https://app.example.org/bye"), []string{"http://app.example.org/bye", "javascript:x"}},
		"oauth.backchannel_logout_uri":                     addresses,
		"oauth.frontchannel_logout_uri":                    addresses,
		"oauth.subject_type":                               choices("public", "pairwise"),
		"oauth.initiate_login_uri":                         addresses,
		"oauth.sector_identifier_uri":                      {"none", good("https://app.example.org/sector.json"), []string{"http://localhost:8000/sector.json", "javascript:x", "x y"}},
		"oauth.id_token_signed_response_alg":               {"RS256", good("RS256", "ES256"), []string{"none", "HS256"}},
		"oauth.userinfo_signed_response_alg":               choices("none", "RS256", "ES256"),
		"oauth.require_pkce":                               flags("true"),
		"oauth.require_pushed_authorization_requests":      flags("false"),
		"oauth.dpop_bound_access_tokens":                   flags("false"),
		"oauth.tls_client_certificate_bound_access_tokens": flags("false"),
		"oauth.tls_client_auth_subject_dn":                 {"none", good("CN=orders,O=Example AB,C=SE", `2.5.4.3=a\,b + UID=x, DC=example`), []string{"orders", "CN=", "MAGIC=x", "CN=a,", `CN="a"`, "CN=a<b", `CN=\zz`, "CN=#0401"}},
		"oauth.tls_client_auth_san_dns":                    {"none", good("client.example.org"), []string{"*.example.org", "https://client.example.org", "a b"}},
		"oauth.tls_client_auth_san_uri":                    {"none", good("spiffe://example.org/orders"), []string{"orders", "%zz:"}},
		"oauth.tls_client_auth_san_ip":                     {"none", good("192.0.2.1", "2001:db8::1"), []string{"192.0.2.0/24", "host"}},
		"oauth.tls_client_auth_san_email":                  {"none", good("orders@example.org"), []string{"orders", "@x", "x@"}},
		"oauth.resources":                                  {"none", good("https://orders.example.org/api,urn:example:orders"), []string{"orders", "/orders", "https://orders.example.org/#x", "https://orders.example.org/#", "https://", "https://a b/"}},
		"oauth.run_as":                                     {"none", good("usr_x"), []string{"a\nb"}},
		"oauth.access_token_format":                        choices("opaque", "jwt"),
		"oauth.access_token_lifetime":                      {"10m", good("1h"), []string{"1s", "25h"}},
		"oauth.id_token_lifetime":                          {"10m", good("2m"), []string{"59s", "721m"}},
		"oauth.introspect":                                 choices("own", "children", "all"),
		"oauth.registration_approval":                      choices("none", "required"),
	}
}

func TestRedirectURIs(t *testing.T) {
	for uri, ok := range map[string]bool{
		"https://app.example.org/cb": true, "https://app.example.org/cb?x=1": true, "http://localhost/cb": true, "http://127.0.0.1:9/cb": true, "http://[::1]/cb": true,
		"org.example.app:/cb": true, "https://app.example.org/#x": false, "https://app.example.org/cb#": false, "http://app.example.org/cb": false,
		"https://*.example.org/cb": false, "https://a@app.example.org/cb": false, "javascript:alert(1)": false, "data:text/html,x": false,
		"/cb": false, "": false, "app:/cb": false, "https:///cb": false, "https://app.example.org/a b": false, `https://app.example.org\@evil.example`: false,
		// What a zone says is taken out of its escapes, and would stand in a content security policy.
		"http://[::1%25x;script-src-elem%20'unsafe-inline']/cb": false, "https://[fe80::1%25eth0]/cb": false, "https://app.example.org;x/cb": false,
	} {
		if err := checkRedirect(uri, TypeNative); (err == nil) != ok {
			t.Errorf("%q: %v", uri, err)
		}
	}
	if checkRedirect("org.example.app:/cb", TypeWeb) == nil {
		t.Error("a web app has a scheme of its own")
	}
}

func TestRedirects(t *testing.T) {
	native := &OAuth{ApplicationType: TypeNative, RedirectURIs: []string{"http://127.0.0.1/cb?a=b", "http://[::1]:80/cb", "https://app.example.org/cb", "http://localhost/cb"}}
	for uri, ok := range map[string]bool{
		"http://127.0.0.1/cb?a=b": true, "http://127.0.0.1:51004/cb?a=b": true, "http://[::1]:9/cb": true, "https://app.example.org/cb": true,
		"http://127.0.0.1:51004/cb": false, "http://127.0.0.1:51004/cb/": false, "http://127.0.0.2:5/cb?a=b": false, "https://127.0.0.1/cb?a=b": false,
		"https://app.example.org:444/cb": false, "http://localhost:5/cb": false, "http://127.0.0.1:5@evil.example/cb?a=b": false, "http://127.0.0.1:5/cb?a=b#x": false,
		"https://app.example.org/cb?x": false, "https://app.example.org/CB": false, "": false,
	} {
		if native.Redirects(uri) != ok {
			t.Errorf("%q: %v", uri, !ok)
		}
	}
	web := &OAuth{RedirectURIs: []string{"http://127.0.0.1/cb"}}
	if web.Redirects("http://127.0.0.1:5/cb") {
		t.Error("a web app may choose its port")
	}
}

func TestClientSettingsTogether(t *testing.T) {
	for name, c := range map[string]struct {
		set map[string]string
		key string
	}{
		"a code goes nowhere":          {map[string]string{"oauth.redirect_uris": ""}, "oauth.redirect_uris"},
		"a public client acts alone":   {map[string]string{"oauth.token_endpoint_auth_method": "none", "oauth.grant_types": "client_credentials"}, "oauth.grant_types"},
		"assertions without keys":      {map[string]string{"oauth.token_endpoint_auth_method": "private_key_jwt"}, "oauth.jwks"},
		"a certificate of nobody":      {map[string]string{"oauth.token_endpoint_auth_method": "tls_client_auth"}, "oauth.tls_client_auth_subject_dn"},
		"a certificate of two":         {map[string]string{"oauth.token_endpoint_auth_method": "tls_client_auth", "oauth.tls_client_auth_san_dns": "a.example", "oauth.tls_client_auth_san_ip": "192.0.2.1"}, "oauth.tls_client_auth_subject_dn"},
		"no certificate of its own":    {map[string]string{"oauth.token_endpoint_auth_method": "self_signed_tls_client_auth", "oauth.jwks": `{"keys":[]}`}, "oauth.jwks"},
		"an empty set of keys":         {map[string]string{"oauth.token_endpoint_auth_method": "private_key_jwt", "oauth.jwks": `{"keys":[]}`}, "oauth.jwks"},
		"keys twice":                   {map[string]string{"oauth.jwks": `{"keys":[]}`, "oauth.jwks_uri": "https://app.example.org/jwks"}, "oauth.jwks_uri"},
		"pairwise at several hosts":    {map[string]string{"oauth.subject_type": "pairwise", "oauth.redirect_uris": "https://a.example/,https://b.example/"}, "oauth.subject_type"},
		"a scheme of its own on a web": {map[string]string{"oauth.redirect_uris": "org.example.app:/cb"}, "oauth.redirect_uris"},
	} {
		a := sampleApp()
		err := a.Apply(c.set)
		if refused, ok := err.(*SettingError); !ok || refused.Key != c.key {
			t.Errorf("%s: %v", name, err)
		}
	}
	a := sampleApp()
	if err := a.Apply(map[string]string{"oauth.grant_types": "client_credentials", "oauth.redirect_uris": ""}); err != nil {
		t.Error(err)
	}
}

func TestSecretsRotateWithoutAGap(t *testing.T) {
	a := sampleApp()
	one, two := a.AddSecret(noon), a.AddSecret(noon.Add(time.Hour))
	for _, secret := range []string{one, two} {
		if a.Credentials.FindSecret(secret) == nil {
			t.Error("one of two secrets is refused")
		}
	}
	three := a.AddSecret(noon.Add(2 * time.Hour))
	if a.Credentials.FindSecret(one) != nil || a.Credentials.FindSecret(two) == nil || a.Credentials.FindSecret(three) == nil {
		t.Error("not the newest two secrets are good")
	}
	if a.EndOldSecrets() != 1 || a.Credentials.FindSecret(two) != nil || a.Credentials.FindSecret(three) == nil || a.EndOldSecrets() != 0 {
		t.Error("ending the old one left the wrong ones")
	}
	for _, shown := range []string{"", "x", a.Credentials.Secrets[0].Hash, three + "x"} {
		if a.Credentials.FindSecret(shown) != nil {
			t.Errorf("%q is taken", shown)
		}
	}
	if none := (&Credentials{Secrets: []Secret{{Hash: hashSecret("")}}}); none.FindSecret("") != nil {
		t.Error("an empty secret is taken")
	}
}

func TestAllowedScopes(t *testing.T) {
	a := sampleApp()
	a.Definition.OAuth.Scopes = []string{"openid", "refresh_token", "orders.read"}
	a.Policy.Scopes = []string{"orders.read", "refresh_token", "openid", "more"}
	if got := strings.Join(a.AllowedScopes(), " "); got != "openid offline_access orders.read" {
		t.Error(got)
	}
	a.Policy.Scopes = []string{"openid"}
	if got := strings.Join(a.AllowedScopes(), " "); got != "openid" {
		t.Error(got)
	}
}
