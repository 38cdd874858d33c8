package idptest

import (
	"encoding/json"
	"net/http"
	"testing"
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
