package idptest

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"gatehouse/idp/api"
)

// openIDBroker is a Gatehouse in front of a second one, which is its OpenID provider.
type openIDBroker struct {
	*broker
	rp *RP // Gatehouse, as the second one knows it
}

// callbackOf is our redirect URI towards an upstream.
func callbackOf(s *Server, name string) string {
	return s.URL + "/login/upstream/" + name + "/callback"
}

func newOpenIDBroker(t *testing.T, metadata map[string]any, settings map[string]string) *openIDBroker {
	t.Helper()
	b := &openIDBroker{broker: &broker{world: newWorld(t)}}
	b.up = Start(t, Options{Now: b.clock.now, Named: true})
	for _, name := range []string{"ana", "bob", "eve"} {
		b.up.AddPerson(t, name, "Members")
	}
	ours := b.URL + "/login/upstream/uni"
	whole := map[string]any{
		"redirect_uris": []string{ours + "/callback"}, "post_logout_redirect_uris": []string{ours + "/logout"}, "backchannel_logout_uri": ours + "/backchannel",
		"scope": "openid profile email",
	}
	for key, value := range metadata {
		whole[key] = value
	}
	b.rp = b.up.Client(t, "gatehouse", whole, map[string]string{"policy.consent": "never", "policy.permitted_users": "all"})
	b.addOpenID(t, "uni", b.up.URL, b.rp.Secret, b.rp.ID, settings)
	return b
}

// addOpenID adds an OpenID provider where people may sign in.
func (b *broker) addOpenID(t *testing.T, name, issuer, secret, client string, settings map[string]string) {
	t.Helper()
	set := map[string]string{"client_id": client, "level": "low", "levels": "urn:gatehouse:level:standard=standard,https://refeds.org/profile/sfa=standard," + classMFA + "=high,urn:gatehouse:level:high=high"}
	for key, value := range settings {
		set[key] = value
	}
	if _, err := b.API.AddUpstream(t.Context(), api.NewUpstream{Name: name, Issuer: issuer, Secret: secret, Set: set}); err != nil {
		t.Fatal(err)
	}
}

// question are the parameters of the authorization request in an address.
func question(t *testing.T, location, issuer string) url.Values {
	t.Helper()
	u, err := url.Parse(location)
	if err != nil || !strings.HasPrefix(location, issuer) {
		t.Fatalf("no authorization request at %q: %v", location, err)
	}
	return u.Query()
}

// back signs in at the second Gatehouse, with what the browser is sent there with, and gives where that sends it.
func (b *openIDBroker) back(t *testing.T, location, name string) (there *Client, callback string) {
	t.Helper()
	there = b.up.NewClient(t)
	page := there.SignIn(there.Get(location), name, Password)
	if callback = page.Header.Get("Location"); !strings.HasPrefix(callback, callbackOf(b.Server, "uni")) {
		t.Fatalf("%d at %s, location %q:\n%s", page.Status, page.URL, callback, page.Body)
	}
	return there, callback
}

// TestOpenIDUpstream signs people in at a second Gatehouse by OpenID Connect, for SAML apps here.
func TestOpenIDUpstream(t *testing.T) {
	t.Parallel()
	b := newOpenIDBroker(t, nil, nil)
	sp := b.sp(t, "brokered", nil)
	t.Run("OUP-01 at a second Gatehouse: the request, and the way back", func(t *testing.T) {
		c := b.browser(t)
		location := b.choose(t, c, sp, Ask{})
		ask := question(t, location, b.up.URL)
		if ask.Get("code_challenge_method") != "S256" || ask.Get("nonce") == "" || len(ask.Get("state")) < 40 || ask.Get("max_age") != "86400" || ask.Get("redirect_uri") != callbackOf(b.Server, "uni") {
			t.Errorf("asked %v", ask)
		}
		_, callback := b.back(t, location, "ana")
		answer := c.Get(callback).Response(t)
		if err := answer.Verify(b.idp); err != nil {
			t.Fatal(err)
		}
		if got := answer.Text("./Assertion/AuthnStatement/AuthnContext/AuthenticatingAuthority"); got != b.up.URL {
			t.Errorf("AuthenticatingAuthority is %q", got)
		}
		if entry := b.Audit(t)[1]; entry.Kind != "signin" || entry.Facts["method"] != "oidc:uni" || entry.Facts["level"] != "standard" || entry.Facts["upstream"] != b.up.URL {
			t.Errorf("the audit entry is %+v", entry)
		}
		if page := c.Get(callback); page.Status != http.StatusBadRequest || b.Audit(t)[0].Reason != "expired_flow" {
			t.Errorf("the callback again: %d, %+v", page.Status, b.Audit(t)[0])
		}
	})
	t.Run("OUP-05 ForceAuthn and RequestedAuthnContext are passed on", func(t *testing.T) {
		c := b.browser(t)
		ask := question(t, b.choose(t, c, sp, Ask{Attributes: `ForceAuthn="true"`}), b.up.URL)
		if ask.Get("prompt") != "login" || ask.Get("max_age") != "0" {
			t.Errorf("asked %v", ask)
		}
		ask = question(t, b.choose(t, b.browser(t), sp, classes("exact", classPPT)), b.up.URL)
		if got := ask.Get("acr_values"); !strings.Contains(got, "urn:gatehouse:level:standard") || strings.Contains(got, "low") {
			t.Errorf("acr_values is %q", got)
		}
	})
	t.Run("who is not here, and who is another's", func(t *testing.T) {
		c := b.browser(t)
		_, callback := b.back(t, b.choose(t, c, sp, Ask{}), "eve")
		if top, sub := c.Get(callback).Response(t).Status(); top != "Responder" || sub != "AuthnFailed" {
			t.Errorf("eve: %s %s", top, sub)
		}
	})
	t.Run("an OAuth app is told in its own words", func(t *testing.T) {
		rp := b.Client(t, "told", nil, map[string]string{"policy.consent": "never"})
		c := b.browser(t)
		page := rp.Visit(c, rp.Ask())
		location := c.Post("/login/upstream/uni", url.Values{"flow": {page.Field("flow")}}).Header.Get("Location")
		_, callback := b.back(t, location, "eve")
		if told := rp.Callback(c.Get(callback)); told.Get("error") != "access_denied" {
			t.Errorf("it is told %v", told)
		}
	})
	t.Run("OUP-03 another browser", func(t *testing.T) {
		c := b.browser(t)
		_, callback := b.back(t, b.choose(t, c, sp, Ask{}), "ana")
		if page := b.browser(t).Get(callback); page.Status != http.StatusBadRequest || b.Audit(t)[0].Reason != "other_browser" {
			t.Errorf("%d, %+v", page.Status, b.Audit(t)[0])
		}
		if top, _ := c.Get(callback).Response(t).Status(); top != "Success" {
			t.Errorf("and its own browser: %s", top)
		}
	})
	t.Run("a person who says no", func(t *testing.T) {
		c := b.browser(t)
		there := b.up.NewClient(t)
		page := there.Get(b.choose(t, c, sp, Ask{}))
		page = there.Post("/login", url.Values{"flow": {page.Field("flow")}, "cancel": {"yes"}})
		if _, sub := c.Get(page.Header.Get("Location")).Response(t).Status(); sub != "AuthnFailed" || b.Audit(t)[1].Reason != "upstream_refused" || !strings.Contains(b.Audit(t)[1].Detail, "access_denied") {
			t.Errorf("%s, %+v", sub, b.Audit(t)[1])
		}
	})
}

// TestOpenIDUpstreamLogout: whoever signs out here is led to the provider, and whoever signs out there is signed out here.
func TestOpenIDUpstreamLogout(t *testing.T) {
	t.Parallel()
	b := newOpenIDBroker(t, map[string]any{"token_endpoint_auth_method": "client_secret_post"}, map[string]string{"token_endpoint_auth_method": "client_secret_post"})
	sp := b.sp(t, "brokered", nil)
	in := func(t *testing.T) (c, there *Client) {
		t.Helper()
		c = b.browser(t)
		there, callback := b.back(t, b.choose(t, c, sp, Ask{}), "ana")
		if top, _ := c.Get(callback).Response(t).Status(); top != "Success" {
			t.Fatal(top)
		}
		return c, there
	}
	t.Run("OUP-07 from here", func(t *testing.T) {
		c, there := in(t)
		page := c.Post("/logout", nil)
		link := nextLink.FindStringSubmatch(page.Body)
		if link == nil {
			t.Fatalf("nobody is told:\n%s", page.Body)
		}
		location := c.Get(link[1]).Header.Get("Location")
		ask := question(t, location, b.up.URL+"/oauth/logout")
		if ask.Get("id_token_hint") == "" || ask.Get("client_id") != b.rp.ID || ask.Get("post_logout_redirect_uri") != b.URL+"/login/upstream/uni/logout" {
			t.Errorf("asked %v", ask)
		}
		back := there.Get(location).Header.Get("Location")
		if page = c.Get(back); !strings.Contains(page.Body, `uni</span><span class="hint">signed out</span>`) {
			t.Errorf("at the end, by %s:\n%s", back, page.Body)
		}
		if page = there.Get("/"); page.URL.Path != "/login" {
			t.Errorf("the session there goes on: %s", page.URL)
		}
		if page = c.Get(back); page.Status != http.StatusBadRequest {
			t.Errorf("the way back again: %d", page.Status)
		}
	})
	t.Run("OUP-07 from there", func(t *testing.T) {
		c, there := in(t)
		other, _ := in(t)
		there.Post("/logout", nil)
		if page := c.Get("/"); page.URL.Path != "/login" {
			t.Errorf("the session here goes on: %s", page.URL)
		}
		if page := other.Get("/"); page.URL.Path == "/login" {
			t.Error("the session of another sign-in there ended too")
		}
		if entry := b.Audit(t); !entryOf(entry, "signout", "upstream "+b.up.URL) {
			t.Errorf("audit %+v", entry[0])
		}
	})
}

// TestOpenIDUpstreamByKey proves Gatehouse to the provider by a key of its own ring, whose next one is published there too.
func TestOpenIDUpstreamByKey(t *testing.T) {
	t.Parallel()
	b := &openIDBroker{broker: &broker{world: newWorld(t)}}
	b.up = Start(t, Options{Now: b.clock.now, Named: true})
	b.up.AddPerson(t, "ana", "Members")
	b.rp = b.up.Client(t, "gatehouse", map[string]any{"redirect_uris": []string{callbackOf(b.Server, "uni")}, "scope": "openid email",
		"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": b.URL + "/oauth/jwks"}, map[string]string{"policy.consent": "never"})
	b.addOpenID(t, "uni", b.up.URL, "", b.rp.ID, map[string]string{"token_endpoint_auth_method": "private_key_jwt", "scopes": "email"})
	sp := b.sp(t, "brokered", nil)
	t.Run("OUP-08 private_key_jwt", func(t *testing.T) {
		c := b.browser(t)
		_, callback := b.back(t, b.choose(t, c, sp, Ask{}), "ana")
		if top, _ := c.Get(callback).Response(t).Status(); top != "Success" {
			t.Errorf("%s, %+v", top, b.Audit(t)[0])
		}
		test, err := b.API.TestUpstream(t.Context(), "uni")
		if err != nil || !test.Good {
			t.Errorf("%+v, %v", test, err)
		}
	})
}
