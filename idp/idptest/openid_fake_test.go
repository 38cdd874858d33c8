package idptest

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gatehouse/idp/api"
)

// TestOpenIDUpstreamTokens refuses every ID token that is not exactly the provider's answer to us.
func TestOpenIDUpstreamTokens(t *testing.T) {
	t.Parallel()
	b := newFakeOpenID(t, nil)
	stranger, now := newSigningKey(t, jose.ES256, "one"), b.clock.now()
	sign := func(key *signingKey, headers map[string]any) func(claims map[string]any) string {
		return func(claims map[string]any) string { return key.sign(t, claims, headers) }
	}
	t.Run("OUP-02 a good one, and what proved us for it", func(t *testing.T) {
		c, ask := b.begin(t, Ask{})
		b.op.say(b.op.key.sign(t, b.claims(ask, map[string]any{"aud": []string{"gatehouse"}, "azp": "gatehouse"}), nil), map[string]any{"sub": "s1"})
		if top, _ := c.Get(b.answer(ask)).Response(t).Status(); top != "Success" {
			t.Fatalf("%s, %+v", top, b.Audit(t)[0])
		}
		challenge := sha256.Sum256([]byte(b.op.form.Get("code_verifier")))
		if b.op.form.Get("client_secret") != fakeSecret || b.op.form.Get("redirect_uri") != callbackOf(b.Server, "uni") || b.op.auth != "" || ask.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(challenge[:]) {
			t.Errorf("the token endpoint got %v", b.op.form)
		}
	})
	for name, row := range map[string]struct {
		change map[string]any
		make   func(map[string]any) string
		detail string
	}{
		"wrong nonce":            {map[string]any{"nonce": "other"}, nil, "nonce"},
		"no nonce":               {map[string]any{"nonce": nil}, nil, "nonce"},
		"another audience":       {map[string]any{"aud": "other"}, nil, "somebody else"},
		"two audiences, no azp":  {map[string]any{"aud": []string{"gatehouse", "other"}}, nil, "azp"},
		"another azp":            {map[string]any{"azp": "other"}, nil, "azp"},
		"another issuer":         {map[string]any{"iss": "https://evil.example"}, nil, "another issuer"},
		"the issuer and a slash": {map[string]any{"iss": b.op.URL + "/"}, nil, "another issuer"},
		"expired":                {map[string]any{"exp": now.Add(-4 * time.Minute).Unix()}, nil, "expired"},
		"no exp":                 {map[string]any{"exp": nil}, nil, "expired"},
		"of the future":          {map[string]any{"iat": now.Add(time.Hour).Unix()}, nil, "iat"},
		"old":                    {map[string]any{"iat": now.Add(-time.Hour).Unix()}, nil, "iat"},
		"not good yet":           {map[string]any{"nbf": now.Add(time.Hour).Unix()}, nil, "nbf"},
		"nobody":                 {map[string]any{"sub": ""}, nil, "sub"},
		"another access token":   {map[string]any{"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, nil, "at_hash"},
		"another key, same name": {nil, sign(stranger, nil), "signature"},
		"an unknown key":         {nil, sign(&signingKey{stranger.private, "two", jose.ES256}, nil), "no key"},
		"its key in the header":  {nil, sign(&signingKey{stranger.private, "", jose.ES256}, map[string]any{"jwk": stranger.public()}), "signature"},
		"OUP-02 alg none": {nil, func(claims map[string]any) string {
			payload, _ := json.Marshal(claims)
			return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"one"}`)) + "." + base64.RawURLEncoding.EncodeToString(payload) + "."
		}, "not taken"},
		"HS256 by the public key": {nil, func(claims map[string]any) string {
			der, _ := x509.MarshalPKIXPublicKey(b.op.key.public().Key)
			secret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
			return signJWT(t, jose.SigningKey{Algorithm: jose.HS256, Key: secret}, nil, claims)
		}, "not taken"},
		"HS256 by the client secret": {nil, func(claims map[string]any) string {
			return signJWT(t, jose.SigningKey{Algorithm: jose.HS256, Key: []byte(strings.Repeat(fakeSecret, 4))}, nil, claims)
		}, "not taken"},
		"a sign-in before all years": {map[string]any{"auth_time": int64(-4e18)}, nil, "before 1970"},
		"a logout token":             {nil, sign(b.op.key, map[string]any{"typ": "logout+jwt"}), "another type"},
		"no JWT":                     {nil, func(map[string]any) string { return "what?" }, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			c, ask := b.begin(t, Ask{})
			if row.make == nil {
				row.make = sign(b.op.key, nil)
			}
			b.op.say(row.make(b.claims(ask, row.change)), map[string]any{"sub": "s1"})
			b.refused(t, c, c.Get(b.answer(ask)), "upstream_answer", row.detail)
		})
	}
}

// TestOpenIDUpstreamAnswers refuses callbacks that are not the provider's answer to this browser.
func TestOpenIDUpstreamAnswers(t *testing.T) {
	t.Parallel()
	b := newFakeOpenID(t, nil)
	other := newFakeOP(t)
	b.addOpenID(t, "evil", other.URL, fakeSecret, "gatehouse", nil)
	good := func(ask url.Values) {
		b.op.say(b.op.key.sign(t, b.claims(ask, nil), nil), map[string]any{"sub": "s1"})
	}
	for name, row := range map[string]struct {
		change         []string
		reason, detail string
	}{
		"another issuer (mix-up)": {[]string{"iss", other.URL}, "upstream_answer", "another issuer"},
		"no issuer":               {[]string{"iss", "-"}, "upstream_answer", "whose it is"},
		"no code":                 {[]string{"code", "-"}, "upstream_answer", "no code"},
		"no state":                {[]string{"state", "-"}, "expired_flow", ""},
		"a made-up state":         {[]string{"state", "made up"}, "expired_flow", ""},
	} {
		t.Run(name, func(t *testing.T) {
			c, ask := b.begin(t, Ask{})
			good(ask)
			before := b.op.count("/token")
			b.refused(t, c, c.Get(b.answer(ask, row.change...)), row.reason, row.detail)
			if b.op.count("/token") != before {
				t.Error("the code was redeemed")
			}
		})
	}
	t.Run("OUP-03 at the address of another upstream", func(t *testing.T) {
		c, ask := b.begin(t, Ask{})
		good(ask)
		b.refused(t, c, c.Get(strings.Replace(b.answer(ask), "/uni/", "/evil/", 1)), "upstream_answer", "another upstream")
		b.refused(t, c, c.Get(b.answer(ask)), "expired_flow", "") // spent, whatever came of it
	})
	t.Run("the state twice", func(t *testing.T) {
		c, ask := b.begin(t, Ask{})
		b.refused(t, c, c.Get(b.answer(ask)+"&state=x"), "upstream_answer", "twice")
	})
	t.Run("OUP-03 of another browser, which can still use it", func(t *testing.T) {
		c, ask := b.begin(t, Ask{})
		good(ask)
		thief, _ := b.begin(t, Ask{})
		b.refused(t, thief, thief.Get(b.answer(ask)), "other_browser", "")
		if top, _ := c.Get(b.answer(ask)).Response(t).Status(); top != "Success" {
			t.Errorf("%s, %+v", top, b.Audit(t)[0])
		}
	})
	t.Run("the token endpoint says no", func(t *testing.T) {
		c, ask := b.begin(t, Ask{})
		b.op.mu.Lock()
		b.op.fail = "invalid_client"
		b.op.mu.Unlock()
		b.refused(t, c, c.Get(b.answer(ask)), "upstream_answer", "invalid_client")
	})
	t.Run("userinfo of somebody else", func(t *testing.T) {
		c, ask := b.begin(t, Ask{})
		b.op.say(b.op.key.sign(t, b.claims(ask, nil), nil), map[string]any{"sub": "s2"})
		b.refused(t, c, c.Get(b.answer(ask)), "upstream_answer", "somebody else")
	})
	t.Run("too late", func(t *testing.T) {
		c, ask := b.begin(t, Ask{})
		b.clock.advance(11 * time.Minute)
		good(ask)
		b.refused(t, c, c.Get(b.answer(ask)), "expired_flow", "")
	})
}

// TestOpenIDUpstreamPeople: who is believed to be whom.
func TestOpenIDUpstreamPeople(t *testing.T) {
	t.Parallel()
	b := newFakeOpenID(t, map[string]string{"domains": "example.org", "levels": "mfa-class=high,amr:otp=high"})
	b.AddPerson(t, "root", "Employees", func(n *api.NewUser) { n.Roles = []string{"owner"} })
	b.AddPerson(t, "oz", "Employees", func(n *api.NewUser) { n.Email = "oz@other.example" })
	verified := func(mail string) map[string]any { return map[string]any{"email": mail, "email_verified": true} }
	for name, row := range map[string]struct {
		change, info map[string]any
		reason       string
	}{
		"OUP-04 not verified":              {map[string]any{"email_verified": false}, nil, "upstream_unverified"},
		"not said to be verified":          {map[string]any{"email_verified": nil}, nil, "upstream_unverified"},
		"another address is verified":      {map[string]any{"email_verified": nil}, map[string]any{"sub": "s1", "email": "s@example.org", "email_verified": true}, "upstream_unverified"},
		"no address":                       {map[string]any{"email": nil}, nil, "upstream_name"},
		"several addresses":                {map[string]any{"email": []string{"ana@example.org", "bob@example.org"}}, nil, "upstream_name"},
		"of a domain that is not its":      {verified("oz@other.example"), nil, "upstream_domain"},
		"who administers":                  {verified("root@example.org"), nil, "upstream_admin"},
		"whom nobody knows":                {verified("nobody@example.org"), nil, "unknown_user"},
		"verified without an address":      {map[string]any{"email": nil}, map[string]any{"sub": "s1", "email": "ana@example.org"}, "upstream_unverified"},
		"an address that only looks alike": {verified("\uff41na@example.org"), nil, "upstream_name"},
		"verified in words":                {map[string]any{"email_verified": "true"}, nil, ""},
		"the address comes from userinfo":  {map[string]any{"email": nil, "email_verified": nil}, map[string]any{"sub": "s1", "email": "ana@example.org", "email_verified": true}, ""},
		"written in another case, blanks ": {verified(" ANA@Example.ORG "), nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c, ask := b.begin(t, Ask{})
			if row.info == nil {
				row.info = map[string]any{"sub": "s1"}
			}
			b.op.say(b.op.key.sign(t, b.claims(ask, row.change), nil), row.info)
			top, sub := c.Get(b.answer(ask)).Response(t).Status()
			if row.reason == "" && top != "Success" || row.reason != "" && (sub != "AuthnFailed" || b.Audit(t)[1].Reason != row.reason) {
				t.Errorf("%s %s, %+v", top, sub, b.Audit(t)[1])
			}
		})
	}
	for name, row := range map[string]struct {
		change map[string]any
		level  string
	}{
		"by acr":         {map[string]any{"acr": "mfa-class"}, "high"},
		"by amr":         {map[string]any{"acr": nil, "amr": []string{"pwd", "otp"}}, "high"},
		"by neither":     {map[string]any{"acr": "what", "amr": []string{"pwd"}}, "low"},
		"amr is no acr ": {map[string]any{"acr": "otp"}, "low"},
	} {
		t.Run("a level "+name, func(t *testing.T) {
			c, ask := b.begin(t, Ask{})
			b.op.say(b.op.key.sign(t, b.claims(ask, row.change), nil), map[string]any{"sub": "s1"})
			c.Get(b.answer(ask))
			if entry := b.Audit(t)[1]; entry.Facts["level"] != row.level {
				t.Errorf("audit %+v", entry)
			}
		})
	}
	t.Run("OUP-05 forced, and not asked again", func(t *testing.T) {
		c, ask := b.begin(t, Ask{Attributes: `ForceAuthn="true"`})
		b.op.say(b.op.key.sign(t, b.claims(ask, map[string]any{"auth_time": nil}), nil), map[string]any{"sub": "s1"})
		b.refused(t, c, c.Get(b.answer(ask)), "upstream_answer", "auth_time")
		c, ask = b.begin(t, Ask{Attributes: `ForceAuthn="true"`})
		b.op.say(b.op.key.sign(t, b.claims(ask, map[string]any{"auth_time": b.clock.now().Add(-time.Hour).Unix()}), nil), map[string]any{"sub": "s1"})
		if page := c.Get(b.answer(ask)); page.URL.Path != "/login" {
			t.Errorf("an old sign-in passes: %d at %s", page.Status, page.URL)
		}
	})
}

// TestOpenIDUpstreamKeys: a new key of the provider is believed from the first token on that it signs, but nobody can have its keys
// fetched more than once a minute.
func TestOpenIDUpstreamKeys(t *testing.T) {
	t.Parallel()
	b := newFakeOpenID(t, nil)
	try := func(key *signingKey) int {
		t.Helper()
		c, ask := b.begin(t, Ask{})
		b.op.say(key.sign(t, b.claims(ask, nil), nil), map[string]any{"sub": "s1"})
		return c.Get(b.answer(ask)).Status
	}
	t.Run("OUP-06 a new key", func(t *testing.T) {
		if status := try(b.op.key); status != http.StatusOK {
			t.Fatal(status)
		}
		next := newSigningKey(t, jose.RS256, "next")
		b.op.mu.Lock()
		b.op.keys = append(b.op.keys, next)
		b.op.mu.Unlock()
		before := b.op.count("/jwks")
		for range 3 {
			if status := try(next); status != http.StatusBadRequest {
				t.Errorf("within the minute: %d", status)
			}
		}
		if got := b.op.count("/jwks"); got != before {
			t.Errorf("the keys were fetched %d times within a minute", got-before+1)
		}
		b.clock.advance(61 * time.Second)
		if status := try(next); status != http.StatusOK || b.op.count("/jwks") != before+1 {
			t.Errorf("after a minute: %d, %d fetches", status, b.op.count("/jwks")-before)
		}
	})
}

// TestOpenIDUpstreamLogoutTokens ends sessions by a good logout token alone.
func TestOpenIDUpstreamLogoutTokens(t *testing.T) {
	t.Parallel()
	b := newFakeOpenID(t, nil)
	c, ask := b.begin(t, Ask{})
	b.op.say(b.op.key.sign(t, b.claims(ask, nil), nil), map[string]any{"sub": "s1"})
	c.Get(b.answer(ask)).Response(t)
	token := func(change map[string]any) string {
		claims := map[string]any{"iss": b.op.URL, "aud": "gatehouse", "sub": "s1", "sid": "there", "iat": b.clock.now().Unix(), "exp": b.clock.now().Add(2 * time.Minute).Unix(), "jti": newRequestID(),
			"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}}
		for name, value := range change {
			if claims[name] = value; value == nil {
				delete(claims, name)
			}
		}
		return b.op.key.sign(t, claims, map[string]any{"typ": "logout+jwt"})
	}
	post := func(token string) *Page {
		return b.browser(t).CrossPost("/login/upstream/uni/backchannel", url.Values{"logout_token": {token}})
	}
	stranger := newSigningKey(t, jose.ES256, "one")
	for name, bad := range map[string]string{
		"no event":        token(map[string]any{"events": map[string]any{}}),
		"a nonce":         token(map[string]any{"nonce": "n"}),
		"another issuer":  token(map[string]any{"iss": "https://evil.example"}),
		"another client":  token(map[string]any{"aud": "other"}),
		"nobody":          token(map[string]any{"sub": nil, "sid": nil}),
		"no jti":          token(map[string]any{"jti": nil}),
		"no exp":          token(map[string]any{"exp": nil}),
		"expired":         token(map[string]any{"exp": b.clock.now().Add(-4 * time.Minute).Unix()}),
		"an ID token":     b.op.key.sign(t, b.claims(ask, nil), nil),
		"another's key":   stranger.sign(t, map[string]any{"iss": b.op.URL}, map[string]any{"typ": "logout+jwt"}),
		"no token at all": "",
	} {
		t.Run(name, func(t *testing.T) {
			if page := post(bad); page.Status != http.StatusBadRequest || !strings.Contains(page.Body, `"error":"invalid_request"`) {
				t.Errorf("%d %s", page.Status, page.Body)
			}
		})
	}
	for name, other := range map[string]string{"another session": token(map[string]any{"sid": "elsewhere"}), "another person": token(map[string]any{"sub": "s2", "sid": nil})} {
		if page := post(other); page.Status != http.StatusOK {
			t.Errorf("%s: %d %s", name, page.Status, page.Body)
		}
	}
	if page := c.Get("/"); page.URL.Path == "/login" {
		t.Fatal("one of them ended the session")
	}
	good := token(map[string]any{"sub": nil})
	for range 2 { // a second one of the same is no harm
		if page := post(good); page.Status != http.StatusOK {
			t.Errorf("%d %s", page.Status, page.Body)
		}
	}
	if page := c.Get("/"); page.URL.Path != "/login" {
		t.Error("the session goes on")
	}
}
