package idptest

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const bye = "https://bye.example.org/out?from=orders"

// TestOpenIDLogout is sign-out that apps ask for (RP-Initiated Logout 1.0), and that they are told of by logout token.
func TestOpenIDLogout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rp := w.Client(t, "orders", map[string]any{"post_logout_redirect_uris": []string{bye}}, map[string]string{"policy.consent": "never"})
	t.Run("OLO-01 discovery", func(t *testing.T) {
		var found map[string]any
		w.JSON(t, "/.well-known/openid-configuration", &found)
		for name, want := range map[string]any{
			"end_session_endpoint": w.URL + "/oauth/logout", "backchannel_logout_supported": true, "backchannel_logout_session_supported": true,
			"frontchannel_logout_supported": true, "frontchannel_logout_session_supported": true,
		} {
			if found[name] != want {
				t.Errorf("%s is %v", name, found[name])
			}
		}
	})
	t.Run("OLO-02 with a hint, an address and a state", func(t *testing.T) { w.leaveByHint(t, rp) })
	t.Run("OLO-03 OLO-02 without an app that shows it means this session", func(t *testing.T) { w.leaveAsked(t, rp) })
	t.Run("OLO-03 forged hints and other addresses", func(t *testing.T) { w.refusedFarewells(t, rp) })
	t.Run("OLO-03 an address that is taken away meanwhile", func(t *testing.T) { w.farewellTakenAway(t) })
	t.Run("OLO-04 logout tokens", func(t *testing.T) { w.logoutTokens(t) })
	t.Run("OLO-04 an app that does not answer", func(t *testing.T) { w.deafClient(t) })
}

// farewell is an address of our sign-out.
func farewell(pairs ...string) string {
	return "/oauth/logout?" + changed(url.Values{}, pairs).Encode()
}

// signedInHere tells whether the browser still has a session.
func signedInHere(c *Client) bool { return c.Get("/account").URL.Path == "/account" }

func (w *world) leaveByHint(t *testing.T, rp *RP) {
	for name, c := range map[string]struct {
		change []string
		want   string
	}{
		"all of them":            {[]string{"state", "a b&c"}, bye + "&state=a+b%26c"},
		"no state":               {nil, bye},
		"an empty state":         {[]string{"state", ""}, bye + "&state="},
		"client_id too":          {[]string{"client_id", rp.ID, "logout_hint", "ana", "ui_locales", "de"}, bye},
		"no address":             {[]string{"post_logout_redirect_uri", "-"}, ""},
		"only state beside it":   {[]string{"post_logout_redirect_uri", "-", "state", "x"}, ""},
		"a hint that is too old": {nil, bye},
	} {
		t.Run(name, func(t *testing.T) {
			ana := w.signedIn(t, "ana")
			tokens := rp.Tokens(ana)
			if strings.Contains(name, "too old") {
				w.clock.advance(11 * time.Minute)
			}
			page := ana.Get(farewell(append([]string{"id_token_hint", tokens.Text("id_token"), "post_logout_redirect_uri", bye}, c.change...)...))
			if got := page.Header.Get("Location"); got != c.want || c.want == "" && !strings.Contains(page.Body, "You are signed out") {
				t.Errorf("%d at %s, location %q:\n%s", page.Status, page.URL, got, page.Body)
			}
			if signedInHere(ana) || rp.Active(tokens.Text("access_token")) {
				t.Error("the session or its tokens live on")
			}
			if e := w.newest(t, "signout"); e.Outcome != "ok" || e.App.ID != rp.App || e.Facts["start"] != "RP" {
				t.Errorf("the audit says %+v", e)
			}
		})
	}
}

// farewellTakenAway: while the browser is led about, the app may lose its address.
func (w *world) farewellTakenAway(t *testing.T) {
	rp := w.Client(t, "losing", map[string]any{"post_logout_redirect_uris": []string{bye}}, map[string]string{"policy.consent": "never"})
	framed := w.Client(t, "framed", map[string]any{"frontchannel_logout_uri": "https://framed.example.org/out"}, map[string]string{"policy.consent": "never"})
	for _, taken := range []bool{false, true} {
		ana := w.signedIn(t, "ana")
		hint := rp.Tokens(ana).Text("id_token")
		framed.Tokens(ana)
		page := ana.Get(farewell("id_token_hint", hint, "post_logout_redirect_uri", bye))
		if !strings.HasPrefix(page.URL.Path, "/logout/") {
			t.Fatalf("%d at %s", page.Status, page.URL)
		}
		want := bye
		if taken {
			want = ""
			w.setClient(t, rp, "oauth.post_logout_redirect_uris", "https://other.example.org/")
		}
		if end := ana.Get(page.URL.Path + "/next"); end.Header.Get("Location") != want {
			t.Errorf("%q, want %q", end.Header.Get("Location"), want)
		}
	}
}

// leaveAsked: a link must not sign anybody out, so the person is asked; the page of another website cannot press the button.
func (w *world) leaveAsked(t *testing.T, rp *RP) {
	ana, elsewhere := w.signedIn(t, "ana"), w.signedIn(t, "ana")
	rp.Tokens(ana)
	theirs := rp.Tokens(elsewhere).Text("id_token")
	for name, target := range map[string]string{
		"nothing at all":                farewell(),
		"only a state":                  farewell("state", "x"),
		"an address without an app":     farewell("post_logout_redirect_uri", "https://evil.example/"),
		"the app without a hint":        farewell("client_id", rp.ID, "post_logout_redirect_uri", bye),
		"the hint of another session":   farewell("id_token_hint", theirs, "post_logout_redirect_uri", bye),
		"the hint of a person not here": farewell("id_token_hint", rp.Tokens(w.signedIn(t, "bob")).Text("id_token"), "post_logout_redirect_uri", bye),
	} {
		t.Run(name, func(t *testing.T) {
			page := ana.Get(target)
			if page.Action() != "/oauth/logout/confirm" || page.Header.Get("Location") != "" || !signedInHere(ana) {
				t.Fatalf("%d at %s:\n%s", page.Status, page.URL, page.Body)
			}
			if strings.Contains(page.Header.Get("Content-Security-Policy"), "evil") {
				t.Error("its policy lets the form go there")
			}
			fields, _ := url.ParseQuery(page.URL.RawQuery)
			if forged := ana.CrossPost("/oauth/logout/confirm", fields); forged.Status != http.StatusForbidden || !signedInHere(ana) {
				t.Errorf("another website pressed the button: %d", forged.Status)
			}
			want := ""
			if strings.Contains(target, "bye.example.org") {
				want = bye
			}
			if gone := ana.Post("/oauth/logout/confirm", fields); gone.Header.Get("Location") != want || signedInHere(ana) {
				t.Errorf("it ends at %q with %d:\n%s", gone.Header.Get("Location"), gone.Status, gone.Body)
			}
			ana.SignIn(ana.Get("/login"), "ana", Password)
		})
	}
	if !signedInHere(elsewhere) {
		t.Error("another session ended too")
	}
	t.Run("by a form of another website", func(t *testing.T) {
		token := rp.Tokens(ana).Text("id_token")
		page := ana.CrossPost("/oauth/logout", url.Values{"id_token_hint": {token}, "post_logout_redirect_uri": {bye}, "more": {"x"}})
		if page.Header.Get("Location") != bye || signedInHere(ana) {
			t.Errorf("%d at %s, location %q", page.Status, page.URL, page.Header.Get("Location"))
		}
	})
	t.Run("with nobody signed in", func(t *testing.T) {
		if page := w.browser(t).Get(farewell("client_id", rp.ID, "post_logout_redirect_uri", bye, "state", "x")); page.Header.Get("Location") != bye+"&state=x" {
			t.Errorf("%d, location %q", page.Status, page.Header.Get("Location"))
		}
	})
}

// refusedFarewells: a page of ours, no redirect, and the session goes on.
func (w *world) refusedFarewells(t *testing.T, rp *RP) {
	other := w.Client(t, "other", map[string]any{"post_logout_redirect_uris": []string{"https://other.example.org/"}}, map[string]string{"policy.consent": "never", "oauth.access_token_format": "jwt"})
	ana := w.signedIn(t, "ana")
	hint := rp.Tokens(ana).Text("id_token")
	theirs := other.Tokens(ana)
	parts := strings.Split(hint, ".")
	header, _ := rp.Claims(hint)
	key, err := rp.Keys().Key(header.KeyID)[0].MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change []string
		reason string
	}{
		"an address of nobody's":            {[]string{"post_logout_redirect_uri", "https://evil.example/"}, "bad_post_logout_redirect_uri"},
		"a longer address":                  {[]string{"post_logout_redirect_uri", bye + "&x=y"}, "bad_post_logout_redirect_uri"},
		"a shorter address":                 {[]string{"post_logout_redirect_uri", "https://bye.example.org/out"}, "bad_post_logout_redirect_uri"},
		"user info in the address":          {[]string{"post_logout_redirect_uri", "https://bye.example.org@evil.example/out?from=orders"}, "bad_post_logout_redirect_uri"},
		"a script as address":               {[]string{"post_logout_redirect_uri", "javascript:alert(1)"}, "bad_post_logout_redirect_uri"},
		"another app's address":             {[]string{"post_logout_redirect_uri", "https://other.example.org/"}, "bad_post_logout_redirect_uri"},
		"the redirect URI of sign-in":       {[]string{"post_logout_redirect_uri", rp.Redirect}, "bad_post_logout_redirect_uri"},
		"another app's client id":           {[]string{"client_id", other.ID}, "other_client"},
		"another app's hint":                {[]string{"client_id", rp.ID, "id_token_hint", theirs.Text("id_token")}, "other_client"},
		"another app's hint alone":          {[]string{"id_token_hint", theirs.Text("id_token")}, "bad_post_logout_redirect_uri"},
		"an access token as hint":           {[]string{"id_token_hint", theirs.Text("access_token")}, "bad_id_token_hint"},
		"an altered hint":                   {[]string{"id_token_hint", parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"`+w.URL+`","sub":"x","aud":"`+rp.ID+`"}`)) + "." + parts[2]}, "bad_id_token_hint"},
		"a hint without signature":          {[]string{"id_token_hint", base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + parts[1] + "."}, "bad_id_token_hint"},
		"a hint signed by our public key":   {[]string{"id_token_hint", macSigned(t, key, header.KeyID, parts[1])}, "bad_id_token_hint"},
		"no token as hint":                  {[]string{"id_token_hint", "x"}, "bad_id_token_hint"},
		"a client that is not there":        {[]string{"id_token_hint", "-", "client_id", "nobody"}, "unknown_app"},
		"a parameter that is much too long": {[]string{"state", strings.Repeat("x", 9000)}, "long_parameter"},
	} {
		t.Run(name, func(t *testing.T) {
			page := ana.Get(farewell(append([]string{"id_token_hint", hint, "post_logout_redirect_uri", bye}, c.change...)...))
			if page.Status != http.StatusBadRequest || page.Header.Get("Location") != "" || strings.Contains(page.Body, "evil.example") || !strings.Contains(page.Body, `href="/logout">Sign out`) {
				t.Errorf("%d, location %q:\n%s", page.Status, page.Header.Get("Location"), page.Body)
			}
			if e := w.newest(t, "signout"); e.Reason != c.reason {
				t.Errorf("the audit says %+v", e)
			}
		})
	}
	twice := ana.Get(farewell("id_token_hint", hint, "post_logout_redirect_uri", bye) + "&post_logout_redirect_uri=https://evil.example/")
	if twice.Status != http.StatusBadRequest || !signedInHere(ana) {
		t.Errorf("an address twice: %d", twice.Status)
	}
}

// inbox is where an app takes logout tokens.
type inbox struct {
	mu     sync.Mutex
	tokens []string
	status int // 0: 200
}

func (i *inbox) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.status != 0 {
		http.Redirect(rw, r, "/elsewhere", i.status)
		return
	}
	if r.Method == http.MethodPost {
		i.tokens = append(i.tokens, r.PostFormValue("logout_token"))
	}
}

func (i *inbox) take() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.tokens
}

// listening is a registered app that takes logout tokens.
func (w *world) listening(t *testing.T, name string, metadata map[string]any) (*RP, *inbox) {
	box := &inbox{}
	site := otherSite(t, false, map[string]http.HandlerFunc{"/logout": box.ServeHTTP, "/elsewhere": page("fine")})
	whole := map[string]any{"backchannel_logout_uri": site + "/logout?x=y"}
	for key, value := range metadata {
		whole[key] = value
	}
	return w.Client(t, name, whole, map[string]string{"policy.consent": "never"}), box
}

// logoutTokens holds what apps are told against Back-Channel Logout 1.0, 2.4 and 2.6: each app its own token, by its own names.
func (w *world) logoutTokens(t *testing.T) {
	one, oneBox := w.listening(t, "one", nil)
	two, twoBox := w.listening(t, "two", map[string]any{"subject_type": "pairwise"})
	ana := w.signedIn(t, "ana")
	_, first := one.Claims(one.Tokens(ana).Text("id_token"))
	_, second := two.Claims(two.Tokens(ana).Text("id_token"))
	if ana.Post("/logout", nil); signedInHere(ana) {
		t.Error("the session is not over")
	}
	seen := map[string]bool{}
	for name, c := range map[string]struct {
		rp    *RP
		box   *inbox
		known map[string]any
	}{"one": {one, oneBox, first}, "two": {two, twoBox, second}} {
		tokens := c.box.take()
		if len(tokens) != 1 {
			t.Fatalf("%s was told %d times", name, len(tokens))
		}
		header, claims := c.rp.Claims(tokens[0])
		if header.ExtraHeaders[jose.HeaderType] != "logout+jwt" || claims["iss"] != w.URL || claims["aud"] != c.rp.ID || claims["sub"] != c.known["sub"] || claims["sid"] != c.known["sid"] {
			t.Errorf("%s: %v %v, want %v", name, header, claims, c.known)
		}
		events, _ := json.Marshal(claims["events"])
		if string(events) != `{"http://schemas.openid.net/event/backchannel-logout":{}}` {
			t.Errorf("events are %s", events)
		}
		issued, _ := claims["iat"].(float64)
		if expires, _ := claims["exp"].(float64); expires-issued != 120 {
			t.Errorf("good for %v seconds", expires-issued)
		}
		if _, there := claims["nonce"]; there || claims["jti"] == nil || seen[claims["jti"].(string)] {
			t.Errorf("%s: %v", name, claims)
		}
		seen[claims["jti"].(string)] = true
		if page := w.signedIn(t, "ana").Get(farewell("id_token_hint", tokens[0])); page.Status != http.StatusBadRequest {
			t.Errorf("a logout token is taken for an ID token: %d", page.Status)
		}
		if reply := c.rp.UserInfo(tokens[0]); reply.Status != http.StatusUnauthorized {
			t.Errorf("a logout token is taken for an access token: %d", reply.Status)
		}
	}
	if first["sid"] == second["sid"] || first["sub"] == second["sub"] {
		t.Error("two apps can tell from their tokens that it is one person")
	}
	t.Run("when an administrator ends it", func(t *testing.T) {
		one.Tokens(w.signedIn(t, "ana"))
		if _, err := w.API.MoveApp(t.Context(), one.App, "block"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the app was not told", func() bool { return len(oneBox.take()) == 2 })
	})
}

// deafClient: what an app does not confirm is said so, and told again later; a redirect is no yes.
func (w *world) deafClient(t *testing.T) {
	rp, box := w.listening(t, "deaf", nil)
	box.status = http.StatusFound
	ana := w.signedIn(t, "ana")
	rp.Tokens(ana)
	page := ana.Post("/logout", nil)
	if !strings.Contains(page.Body, "You are signed out here") || !strings.Contains(page.Body, "did not confirm") {
		t.Errorf("the page says:\n%s", page.Body)
	}
	if e := w.newest(t, "signout.result"); e.Outcome != "failed" || e.Facts["failed"] != rp.App {
		t.Errorf("the audit says %+v", e)
	}
	box.mu.Lock()
	box.status = 0
	box.mu.Unlock()
	w.clock.advance(time.Minute)
	eventually(t, "the app was not told again", func() bool { return len(box.take()) == 1 })
}
