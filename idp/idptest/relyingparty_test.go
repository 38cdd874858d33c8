package idptest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"gatehouse/idp/api"
)

// The tests of this file sign people in at relying parties that nobody here wrote, as real processes.

// TestOpenIDClient signs in to npm's openid-client: discovery, code with PKCE, ID token, userinfo, introspection, refresh, revocation.
func TestOpenIDClient(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	ana := s.AddPerson(t, "ana", "Employees")
	peer := s.StartOpenIDClient(t, nil)
	v := s.visitorAt(t, peer)
	ask := func(path string) (person OpenIDClientPerson) {
		t.Helper()
		status, page := v.open(peer.URL + path)
		if err := json.Unmarshal([]byte(page), &person); err != nil || status != http.StatusOK {
			t.Fatalf("%s answers %d: %s\n%s", path, status, page, peer.Log())
		}
		return person
	}
	t.Run("OPR-13 sign-in, refresh and revocation by openid-client", func(t *testing.T) {
		me := ask("/me")
		if me.Claims["sub"] != ana.ID || me.Claims["aud"] != peer.ID || me.Claims["sid"] == nil || me.UserInfo["email"] != "ana@example.org" || me.UserInfo["name"] != "The ana" || me.Introspection["active"] != true {
			t.Errorf("it knows %v", me)
		}
		if again := ask("/refresh"); !again.Rotated || !again.Renewed || again.UserInfo["sub"] != ana.ID {
			t.Errorf("after the refresh: %v", again)
		}
		if gone := ask("/revoke"); gone.Introspection["active"] != false {
			t.Errorf("after the revocation: %v", gone)
		}
	})
}

// TestSignedUserInfo lets openid-client verify userinfo as a JWT, and sees that the token is nothing else.
func TestSignedUserInfo(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	ana := s.AddPerson(t, "ana", "Employees")
	t.Run("ODY-03 by openid-client", func(t *testing.T) {
		peer := s.StartOpenIDClient(t, map[string]any{"userinfo_signed_response_alg": "RS256"})
		status, page := s.visitorAt(t, peer).open(peer.MeURL)
		var me OpenIDClientPerson
		if err := json.Unmarshal([]byte(page), &me); err != nil || status != http.StatusOK || me.UserInfo["sub"] != ana.ID || me.UserInfo["email"] != "ana@example.org" || me.UserInfo["aud"] != peer.ID || me.UserInfo["iss"] != s.URL {
			t.Errorf("%d %s\n%s", status, page, peer.Log())
		}
	})
	t.Run("ODY-03 what it is good for", func(t *testing.T) {
		rp := s.Client(t, "signed", map[string]any{"userinfo_signed_response_alg": "RS256"}, map[string]string{"policy.consent": "never"})
		browser := s.SignedIn(t, "ana")
		reply := rp.UserInfo(rp.Tokens(browser).Text("access_token"))
		if kind := reply.Header.Get("Content-Type"); kind != "application/jwt" || reply.Header.Get("Cache-Control") == "" {
			t.Errorf("it is %s", kind)
		}
		header, claims := rp.Claims(reply.Raw)
		if header.Algorithm != "RS256" || claims["sub"] != ana.ID || claims["aud"] != rp.ID {
			t.Errorf("%v %v", header, claims)
		}
		if page := browser.Get(farewell("id_token_hint", reply.Raw)); page.Status != http.StatusBadRequest {
			t.Errorf("it is taken for an ID token: %d", page.Status)
		}
		if again := rp.UserInfo(reply.Raw); again.Status != http.StatusUnauthorized {
			t.Errorf("it is taken for an access token: %d", again.Status)
		}
	})
	t.Run("ES256 without such a key", func(t *testing.T) {
		_, err := s.API.AddApp(t.Context(), api.NewApp{OAuth: `{"client_name":"x","redirect_uris":["https://x.example/"],"userinfo_signed_response_alg":"ES256"}`})
		if refused, ok := err.(*api.Error); !ok || refused.Field != "oauth.userinfo_signed_response_alg" {
			t.Error(err)
		}
	})
}

// TestOAuth2Proxy signs in to oauth2-proxy, in front of an app.
func TestOAuth2Proxy(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	ana := s.AddPerson(t, "ana", "Employees")
	peer := s.StartOAuth2Proxy(t)
	t.Run("OPR-13 sign-in by oauth2-proxy", func(t *testing.T) {
		v := s.visitorAt(t, peer)
		status, page := v.open(peer.MeURL)
		var me struct{ User, Email, PreferredUsername string }
		if err := json.Unmarshal([]byte(page), &me); err != nil || status != http.StatusOK || me.User != ana.ID || me.Email != "ana@example.org" || me.PreferredUsername != "ana" {
			t.Errorf("%d %s\n%s", status, page, peer.Log())
		}
	})
}

// TestAuthOpenIDC signs in to Apache with mod_auth_openidc.
func TestAuthOpenIDC(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	ana := s.AddPerson(t, "ana", "Employees")
	peer := s.StartAuthOpenIDC(t, nil)
	t.Run("OPR-13 sign-in by mod_auth_openidc", func(t *testing.T) {
		_, page := s.visitorAt(t, peer).open(peer.MeURL)
		if me := AuthOpenIDCPerson(page); me["sub"] != ana.ID || me["email"] != "ana@example.org" || me["name"] != "The ana" || me["iss"] != s.URL {
			t.Errorf("it knows %v\n%s\n%s", me, page, peer.Log())
		}
	})
}

// visitorAt is a browser in which Ana signed in at a peer.
func (s *Server) visitorAt(t *testing.T, peer *RelyingParty) *visitor {
	t.Helper()
	v := newVisitor(t)
	v.signInAt(s, peer)
	return v
}

func (v *visitor) signInAt(s *Server, peer *RelyingParty) {
	v.t.Helper()
	_, page := v.open(peer.LoginURL)
	_, fields := formOf(page)
	if fields.Get("flow") == "" {
		v.t.Fatalf("%s does not lead to the sign-in:\n%s\n%s", peer.LoginURL, page, peer.Log())
	}
	fields.Set("name", "ana")
	fields.Set("password", Password)
	v.rest(v.PostForm(s.URL+"/login", fields))
}

// TestRelyingPartyLogout signs out of relying parties and a service provider that nobody here wrote, all of one session.
func TestRelyingPartyLogout(t *testing.T) {
	t.Parallel()
	w := newPeerWorld(t)
	asks := w.StartOpenIDClient(t, map[string]any{"backchannel_logout_uri": "/backchannel", "post_logout_redirect_uris": []string{"/bye"}})
	apache := w.StartAuthOpenIDC(t, map[string]any{"backchannel_logout_uri": "/secret/redirect_uri?logout=backchannel"})
	mellon := StartMellon(t, MellonOptions{IDPMetadata: w.metadata, NameIDFormat: persistentFormat})
	w.AddApp(t, mellon.Metadata, map[string]string{"name": "mellon"})
	in := func(t *testing.T) *visitor {
		t.Helper()
		v := newVisitor(t)
		v.signInAt(w.Server, asks)
		if _, page := v.open(apache.MeURL); AuthOpenIDCPerson(page)["sid"] == "" {
			t.Fatalf("not signed in at mod_auth_openidc:\n%s\n%s", page, apache.Log())
		}
		if _, page := v.open(mellon.SecretURL); MellonPerson([]byte(page))["NAME_ID"] == "" {
			t.Fatalf("not signed in at mod_auth_mellon:\n%s\n%s", page, mellon.Log())
		}
		return v
	}
	out := func(t *testing.T, v *visitor) {
		t.Helper()
		for _, protected := range []string{apache.MeURL, mellon.SecretURL, asks.LoginURL} {
			if _, page := v.open(protected); !strings.Contains(page, `name="password"`) {
				t.Errorf("%s still knows somebody:\n%s\n%s", protected, page, apache.Log())
			}
		}
		if status, page := v.open(asks.MeURL); status != http.StatusUnauthorized {
			t.Errorf("openid-client still knows somebody: %s", page)
		}
	}
	t.Run("OLO-02 OLO-04 asked for by openid-client", func(t *testing.T) {
		v := in(t)
		if status, page := v.open(asks.URL + "/logout"); status != http.StatusOK || page != "signed out, see you" {
			t.Errorf("it ends with %d:\n%s", status, page)
		}
		out(t, v)
	})
	t.Run("OLO-04 from the portal, told to all", func(t *testing.T) {
		v := in(t)
		_, page := v.rest(v.PostForm(w.URL+"/logout", nil))
		if !strings.Contains(page, "<h1>You are signed out</h1>") || strings.Count(page, "signed out</span>") != 3 {
			t.Errorf("it ends with:\n%s\n%s", page, apache.Log())
		}
		out(t, v)
	})
	t.Run("OLO-04 asked for by a SAML app", func(t *testing.T) {
		v := in(t)
		v.open(mellon.LogoutURL + "?ReturnTo=" + url.QueryEscape(mellon.URL+"/"))
		out(t, v)
	})
}

// TestFrontChannelLogout tells a relying party in a frame: it forgets the session, and the page does not say more than is known.
func TestFrontChannelLogout(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	s.AddPerson(t, "ana", "Employees")
	peer := s.StartOpenIDClient(t, map[string]any{"frontchannel_logout_uri": "/frontchannel"})
	b := NewBrowser(t)
	b.Open(peer.LoginURL)
	b.WaitFor("#f-name")
	b.signIn("ana", Password)
	b.WaitFor("pre")
	t.Run("OLO-05 in a frame", func(t *testing.T) {
		b.Open(s.URL + "/logout")
		b.Click("main form button")
		b.WaitFor(`a[href="/login"]`)
		if got := b.Text(".leaving .hint"); got != "told, cannot confirm" {
			t.Errorf("the page says %q", got)
		}
		b.Show("frontchannel-1280")
		b.Expect("401")
		b.Open(peer.MeURL)
		if got := b.Text("body"); got != "nobody is signed in" {
			t.Errorf("it knows: %s", got)
		}
	})
}
