package idptest

import (
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"gatehouse/idp/api"
)

// provider is the second Gatehouse, to be looked at as the first one.
func (b *openIDBroker) provider() *world { return &world{Server: b.up, clock: b.clock} }

// arrives has a new browser sign in as somebody at the second Gatehouse, and gives the page that comes to rest here.
func (b *openIDBroker) arrives(t *testing.T, sp *SP, name string) (here, there *Client, page *Page) {
	t.Helper()
	here = b.browser(t)
	there, callback := b.back(t, b.choose(t, here, sp, Ask{}), name)
	return here, there, here.Get(callback)
}

func (b *broker) setUpstream(t *testing.T, set map[string]string) {
	t.Helper()
	if _, err := b.API.SetUpstream(t.Context(), "uni", api.UpstreamChange{Set: set}); err != nil {
		t.Fatal(err)
	}
}

func (b *broker) refreshUpstream(t *testing.T) {
	t.Helper()
	if _, err := b.API.RefreshUpstream(t.Context(), "uni"); err != nil {
		t.Fatal(err)
	}
}

// TestOpenIDUpstreamEachWay signs in at a second Gatehouse by each way to prove ourselves, with and without pushed requests and signed
// userinfo, and ID tokens by both algorithms.
func TestOpenIDUpstreamEachWay(t *testing.T) {
	t.Parallel()
	b := newOpenIDBroker(t, nil, nil)
	there, sp := b.provider(), b.sp(t, "brokered", nil)
	keys := &keyWorld{world: there}
	for _, algorithm := range []string{"ecdsa", "rsa"} {
		keys.activate(t, keys.stage(t, algorithm))
	}
	b.refreshUpstream(t)
	for _, method := range []string{"client_secret_basic", "client_secret_post", "private_key_jwt"} {
		for algorithm, pushed := range map[string]string{"RS256": "false", "ES256": "true"} {
			t.Run("OUP-08 OUP-10 OUP-11 "+method+" "+algorithm, func(t *testing.T) {
				there.setClient(t, b.rp, "oauth.token_endpoint_auth_method", method, "oauth.jwks_uri", b.URL+"/oauth/jwks", "oauth.require_pushed_authorization_requests", pushed,
					"oauth.id_token_signed_response_alg", algorithm, "oauth.userinfo_signed_response_alg", algorithm)
				b.setUpstream(t, map[string]string{"token_endpoint_auth_method": method, "require_pushed_authorization_requests": pushed})
				here := b.browser(t)
				location := b.choose(t, here, sp, Ask{})
				if ask := question(t, location, b.up.URL); ask.Has("request_uri") != (pushed == "true") || ask.Has("nonce") == (pushed == "true") {
					t.Errorf("asked %v", ask)
				}
				_, callback := b.back(t, location, "ana")
				if page := here.Get(callback); page.Status != http.StatusOK {
					t.Fatalf("%d, %+v", page.Status, b.Audit(t)[0])
				}
			})
		}
	}
	t.Run("OUP-11 a request that is not pushed, where it must be", func(t *testing.T) {
		there.setClient(t, b.rp, "oauth.require_pushed_authorization_requests", "true")
		b.setUpstream(t, map[string]string{"require_pushed_authorization_requests": "false"})
		here := b.browser(t)
		if page := b.up.NewClient(t).Get(b.choose(t, here, sp, Ask{})); strings.HasPrefix(page.Header.Get("Location"), callbackOf(b.Server, "uni")) == (page.URL.Path == "/login") {
			t.Errorf("%d at %s", page.Status, page.URL)
		}
	})
	t.Run("OUP-11 the provider refuses what is pushed", func(t *testing.T) {
		b.setUpstream(t, map[string]string{"require_pushed_authorization_requests": "true", "token_endpoint_auth_method": "client_secret_basic"})
		here := b.browser(t)
		page := here.Get(sp.RedirectURL(b.sso, Ask{}))
		page = here.Post("/login/upstream/uni", url.Values{"flow": {page.Field("flow")}})
		if entry := b.Audit(t)[0]; page.Status != http.StatusBadRequest || entry.Reason != "upstream_answer" || !strings.Contains(entry.Detail, "pushed requests says invalid_client") {
			t.Errorf("%d, %+v", page.Status, entry)
		}
	})
}

// TestOpenIDUpstreamRotation changes the provider's key while somebody is on the way.
func TestOpenIDUpstreamRotation(t *testing.T) {
	t.Parallel()
	b := newOpenIDBroker(t, nil, nil)
	sp, keys := b.sp(t, "brokered", nil), &keyWorld{world: b.provider()}
	t.Run("OUP-06 amid a sign-in", func(t *testing.T) {
		if _, _, page := b.arrives(t, sp, "bob"); page.Status != http.StatusOK { // its keys are known now
			t.Fatal(page.Status)
		}
		b.clock.advance(2 * time.Minute)
		here := b.browser(t)
		there, location := b.up.NewClient(t), b.choose(t, here, sp, Ask{})
		page := there.Get(location)
		keys.activate(t, keys.stage(t, "rsa"))
		callback := there.SignIn(page, "ana", Password).Header.Get("Location")
		if top, _ := here.Get(callback).Response(t).Status(); top != "Success" {
			t.Errorf("%s, %+v", top, b.Audit(t)[0])
		}
	})
}

var frameAddress = regexp.MustCompile(`<iframe hidden data-leaving src="([^"]+)"`)

// TestOpenIDUpstreamFrames ends sessions because the provider's page shows our address in a frame, to which browsers give no cookies.
func TestOpenIDUpstreamFrames(t *testing.T) {
	t.Parallel()
	b := newOpenIDBroker(t, nil, nil)
	frontchannel := b.URL + "/login/upstream/uni/frontchannel"
	b.provider().setClient(t, b.rp, "oauth.backchannel_logout_uri", "", "oauth.frontchannel_logout_uri", frontchannel)
	sp := b.sp(t, "brokered", nil)
	frame := func(t *testing.T, address string) *Page { // as in a frame of another site
		c := b.browser(t)
		r := c.request(http.MethodGet, address, nil)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.Header.Set("Sec-Fetch-Dest", "iframe")
		return c.Do(r)
	}
	t.Run("OUP-09 from there, in a frame", func(t *testing.T) {
		here, there, _ := b.arrives(t, sp, "ana")
		other, _, _ := b.arrives(t, sp, "ana")
		page := there.Post("/logout", nil)
		found := frameAddress.FindStringSubmatch(page.Body)
		if found == nil || !strings.Contains(page.Header.Get("Content-Security-Policy"), "frame-src 'self' http") {
			t.Fatalf("no frame at %s:\n%s", page.URL, page.Body)
		}
		address := strings.ReplaceAll(found[1], "&amp;", "&")
		if ask := question(t, address, frontchannel); ask.Get("iss") != b.up.URL || len(ask.Get("sid")) < 16 {
			t.Fatalf("%v", ask)
		}
		for _, bad := range []string{strings.Replace(address, "iss=", "iss=x", 1), strings.Replace(address, "sid=", "sid=&old=", 1), address + "&sid=x", frontchannel} {
			if page := frame(t, bad); page.Status != http.StatusBadRequest || b.Audit(t)[0].Reason != "bad_frame" {
				t.Errorf("%s: %d, %+v", bad, page.Status, b.Audit(t)[0])
			}
		}
		entries := len(b.Audit(t))
		if page := frame(t, address+"unknown"); page.Status != http.StatusOK || len(b.Audit(t)) != entries {
			t.Errorf("an unknown session: %d", page.Status)
		}
		if page := here.Get("/"); page.URL.Path == "/login" {
			t.Fatal("one of them ended the session")
		}
		for range 2 { // the second time it is over
			page := frame(t, address)
			if csp := page.Header.Get("Content-Security-Policy"); page.Status != http.StatusOK || page.Header.Get("X-Frame-Options") != "" || !strings.Contains(csp, "frame-ancestors *") || page.Body != "" || !strings.Contains(page.Header.Get("Cache-Control"), "no-store") {
				t.Errorf("%d, %v:\n%s", page.Status, page.Header, page.Body)
			}
		}
		if page := here.Get("/"); page.URL.Path != "/login" {
			t.Errorf("the session goes on: %s", page.URL)
		}
		if page := other.Get("/"); page.URL.Path == "/login" {
			t.Error("the session of another sign-in there ended too")
		}
		if !entryOf(b.Audit(t), "signout", "upstream "+b.up.URL) {
			t.Errorf("audit %+v", b.Audit(t)[0])
		}
	})
	t.Run("of an upstream that is not there", func(t *testing.T) {
		if page := frame(t, b.URL+"/login/upstream/other/frontchannel?iss=x&sid=y"); page.Status != http.StatusBadRequest || b.Audit(t)[0].Reason != "no_such_upstream" {
			t.Errorf("%d, %+v", page.Status, b.Audit(t)[0])
		}
	})
}

// TestOpenIDUpstreamShortSession: the name of a session that could be guessed counts in the browser that has the session alone.
func TestOpenIDUpstreamShortSession(t *testing.T) {
	t.Parallel()
	b := newFakeOpenID(t, nil)
	c, ask := b.begin(t, Ask{})
	b.op.say(b.op.key.sign(t, b.claims(ask, nil), nil), map[string]any{"sub": "s1"}) // sid is "there"
	c.Get(b.answer(ask)).Response(t)
	address := "/login/upstream/uni/frontchannel?" + url.Values{"iss": {b.op.URL}, "sid": {"there"}}.Encode()
	t.Run("OUP-09 a short sid", func(t *testing.T) {
		for name, other := range map[string]*Client{"no session": b.browser(t), "another session": b.signedIn(t, "bob")} {
			other.Get(address)
			if page := c.Get("/"); page.URL.Path == "/login" {
				t.Fatalf("a browser with %s ended it", name)
			}
		}
		c.Get(address)
		if page := c.Get("/"); page.URL.Path != "/login" {
			t.Errorf("the session goes on: %s", page.URL)
		}
	})
}

// TestOpenIDUpstreamBothWays lets two Gatehouses be each other's provider: levels are mapped, and a sign-out ends both sessions, whichever
// side it begins at.
func TestOpenIDUpstreamBothWays(t *testing.T) {
	t.Parallel()
	b := newOpenIDBroker(t, nil, map[string]string{"level": "low"})
	back := newMirrored(t, b)
	vault := b.Client(t, "vault", nil, map[string]string{"policy.min_level": "high", "policy.consent": "never"})
	phone := b.up.given(t, "ana", b.clock.now)
	t.Run("OUP-04 OUP-05 a level is asked for there and counts here", func(t *testing.T) {
		c := b.browser(t)
		page := vault.Visit(c, vault.Ask("acr_values", "urn:gatehouse:level:high"))
		location := c.Post("/login/upstream/uni", url.Values{"flow": {page.Field("flow")}}).Header.Get("Location")
		if got := question(t, location, b.up.URL).Get("acr_values"); !strings.Contains(got, classMFA) || strings.Contains(got, "standard") {
			t.Errorf("acr_values is %q", got)
		}
		there := b.up.NewClient(t)
		page = there.enters(there.SignIn(there.Get(location), "ana", Password), phone.code(t, 0))
		code := vault.Callback(c.Get(page.Header.Get("Location"))).Get("code")
		if _, claims := vault.Claims(vault.Redeem(code).Text("id_token")); claims["acr"] == nil {
			t.Errorf("%v", claims)
		}
		if entry := b.newest(t, "signin"); entry.Facts["level"] != "high" || entry.Facts["method"] != "oidc:uni" {
			t.Errorf("%+v", entry)
		}
	})
	t.Run("OUP-05 what the app's policy needs is asked for there, at first and again", func(t *testing.T) {
		c := b.browser(t)
		page := vault.Visit(c, vault.Ask())
		location := c.Post("/login/upstream/uni", url.Values{"flow": {page.Field("flow")}}).Header.Get("Location")
		if got := question(t, location, b.up.URL).Get("acr_values"); !strings.Contains(got, classMFA) || strings.Contains(got, "standard") {
			t.Errorf("acr_values is %q", got)
		}
		c, _, _ = b.arrives(t, b.sp(t, "plain", nil), "ana")
		page = vault.Visit(c, vault.Ask())
		location = c.Post("/login/upstream/uni", url.Values{"flow": {page.Field("flow")}}).Header.Get("Location")
		if got := question(t, location, b.up.URL); !strings.Contains(got.Get("acr_values"), classMFA) || got.Get("prompt") != "login" {
			t.Errorf("with a session: %v, from %s", got, page.URL)
		}
	})
	for name, one := range map[string]*openIDBroker{"here, from there": b, "there, from here": back} {
		t.Run("OUP-07 "+name, func(t *testing.T) {
			sp := one.sp(t, "each", nil)
			c, there, page := one.arrives(t, sp, "bob")
			if page.Status != http.StatusOK {
				t.Fatalf("%d:\n%s", page.Status, page.Body)
			}
			link := nextLink.FindStringSubmatch(c.Post("/logout", nil).Body)
			if link == nil {
				t.Fatal("nobody is told")
			}
			page = c.Get(there.Get(c.Get(link[1]).Header.Get("Location")).Header.Get("Location"))
			if !strings.Contains(page.Body, `uni</span><span class="hint">signed out</span>`) {
				t.Errorf("at the end %s:\n%s", page.URL, page.Body)
			}
			if page := there.Get("/"); page.URL.Path != "/login" {
				t.Errorf("the session at the provider goes on: %s", page.URL)
			}
			c, there, _ = one.arrives(t, sp, "bob")
			there.Post("/logout", nil)
			if page := c.Get("/"); page.URL.Path != "/login" {
				t.Errorf("after a sign-out at the provider the session goes on: %s", page.URL)
			}
		})
	}
}

// newMirrored makes the first Gatehouse the provider of the second one.
func newMirrored(t *testing.T, b *openIDBroker) *openIDBroker {
	t.Helper()
	there := b.provider()
	there.sso, there.xml = b.up.URL+"/saml/sso", b.xml
	ours := b.up.URL + "/login/upstream/uni"
	m := &openIDBroker{broker: &broker{world: there, up: b.Server}}
	m.rp = b.Client(t, "mirrored", map[string]any{
		"redirect_uris": []string{ours + "/callback"}, "post_logout_redirect_uris": []string{ours + "/logout"}, "backchannel_logout_uri": ours + "/backchannel", "scope": "openid profile email",
	}, map[string]string{"policy.consent": "never"})
	m.addOpenID(t, "uni", b.URL, m.rp.Secret, m.rp.ID, nil)
	return m
}

// TestOpenIDUpstreamSilent: a provider that does not answer, takes too long or sends too much keeps nobody waiting and fills no memory,
// and people are told what to do.
func TestOpenIDUpstreamSilent(t *testing.T) {
	t.Parallel()
	b := newFakeOpenID(t, nil)
	for name, one := range map[string]struct {
		path string
		does http.HandlerFunc
	}{
		"OUP-12 no answer of the token endpoint":  {"/token", func(w http.ResponseWriter, r *http.Request) { hangUp(t, w) }},
		"OUP-12 a slow token endpoint":            {"/token", stall},
		"OUP-12 drops from the userinfo endpoint": {"/userinfo", drip},
		"OUP-12 a huge answer of tokens":          {"/token", huge},
		"OUP-12 huge claims":                      {"/userinfo", huge},
	} {
		t.Run(name, func(t *testing.T) {
			c, ask := b.begin(t, Ask{})
			b.op.say(b.op.key.sign(t, b.claims(ask, nil), nil), map[string]any{"sub": "s1"})
			b.op.does(one.path, one.does)
			defer b.op.does(one.path, nil)
			began := time.Now()
			page := c.Get(b.answer(ask))
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("it takes %s", took)
			}
			b.refused(t, c, page, "upstream_silent", "")
			if !strings.Contains(page.Body, "does not answer as it should at this time. Open the app again in a few minutes") {
				t.Errorf("the page says\n%s", page.Body)
			}
		})
	}
}

func hangUp(t *testing.T, w http.ResponseWriter) {
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	connection.Close()
}

// stall reads the question, so that the server sees whoever asks go, and says nothing.
func stall(_ http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	<-r.Context().Done()
}

// drip sends a byte now and then, without end.
func drip(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	for r.Context().Err() == nil {
		_, _ = w.Write([]byte(" "))
		_ = http.NewResponseController(w).Flush()
		time.Sleep(200 * time.Millisecond)
	}
}

func huge(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"sub": "s1", "access_token": "` + strings.Repeat("a", 1<<20) + `"}`))
}

// TestOpenIDUpstreamSignedInfo: a JWT of the userinfo endpoint counts if the provider signed it for us.
func TestOpenIDUpstreamSignedInfo(t *testing.T) {
	t.Parallel()
	b := newFakeOpenID(t, nil)
	stranger := newSigningKey(t, b.op.key.algorithm, "one")
	claims := func(change map[string]any) map[string]any {
		all := map[string]any{"iss": b.op.URL, "aud": "gatehouse", "sub": "s1", "email": "ana@example.org", "email_verified": true}
		maps.Copy(all, change)
		return all
	}
	try := func(t *testing.T, b *fakeBroker, kind, body string) (*Client, *Page) {
		c, ask := b.begin(t, Ask{})
		b.op.say(b.op.key.sign(t, b.claims(ask, map[string]any{"email": nil, "email_verified": nil}), nil), nil)
		b.op.does("/userinfo", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			_, _ = w.Write([]byte(body))
		})
		return c, c.Get(b.answer(ask))
	}
	t.Run("OUP-10 signed for us", func(t *testing.T) {
		_, page := try(t, b, "application/jwt", b.op.key.sign(t, claims(nil), nil))
		if top, _ := page.Response(t).Status(); top != "Success" {
			t.Errorf("%s, %+v", top, b.Audit(t)[0])
		}
	})
	for name, bad := range map[string]struct{ kind, body, detail string }{
		"OUP-10 by another key":         {"application/jwt", stranger.sign(t, claims(nil), nil), "signature"},
		"OUP-10 of another issuer":      {"application/jwt", b.op.key.sign(t, claims(map[string]any{"iss": "https://evil.example"}), nil), "iss, aud"},
		"OUP-10 for another client":     {"application/jwt", b.op.key.sign(t, claims(map[string]any{"aud": []string{"other"}}), nil), "iss, aud"},
		"OUP-10 of somebody else":       {"application/jwt", b.op.key.sign(t, claims(map[string]any{"sub": "s2"}), nil), "somebody else"},
		"OUP-10 expired":                {"application/jwt", b.op.key.sign(t, claims(map[string]any{"exp": b.clock.now().Add(-time.Hour).Unix()}), nil), "expired"},
		"OUP-10 a logout token":         {"application/jwt", b.op.key.sign(t, claims(nil), map[string]any{"typ": "logout+jwt"}), "another type"},
		"OUP-10 JSON that calls itself": {"application/jwt", `{"sub":"s1","email":"ana@example.org","email_verified":true}`, "cannot be read"},
		"OUP-10 a JWT as JSON":          {"application/json", b.op.key.sign(t, claims(nil), nil), "as it should"},
	} {
		t.Run(name, func(t *testing.T) {
			c, page := try(t, b, bad.kind, bad.body)
			b.refused(t, c, page, "upstream_answer", bad.detail)
		})
	}
	t.Run("OUP-10 of a provider that says nothing of it", func(t *testing.T) {
		b := newFakeOpenID(t, nil)
		b.op.does("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"issuer":"` + b.op.URL + `","authorization_endpoint":"` + b.op.URL + `/auth","token_endpoint":"` + b.op.URL + `/token","jwks_uri":"` + b.op.URL + `/jwks","userinfo_endpoint":"` + b.op.URL + `/userinfo"}`))
		})
		b.refreshUpstream(t)
		c, page := try(t, b, "application/jwt", b.op.key.sign(t, claims(map[string]any{"iss": b.op.URL}), nil))
		b.refused(t, c, page, "upstream_answer", "of which it says nothing")
	})
}
