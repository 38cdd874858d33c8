package idptest

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"gatehouse/idp/api"
)

// TestOAuthHostile is what somebody tries who knows the protocol and the product.
func TestOAuthHostile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	t.Run("a client that changes while an administrator looks at it", func(t *testing.T) { w.changedUnderApproval(t) })
	t.Run("a form that posts itself to Gatehouse", func(t *testing.T) { w.postedToUs(t) })
	t.Run("a proof for another address of the API", func(t *testing.T) { w.proofElsewhere(t) })
	t.Run("native apps do not share a sector", func(t *testing.T) { w.loopbackSectors(t) })
	t.Run("a key that no code can be bound to", func(t *testing.T) { w.noThumbprint(t) })
	t.Run("a request that would take up room", func(t *testing.T) { w.longRequest(t) })
	t.Run("a family that is raced for is dead", func(t *testing.T) { w.racedFamily(t) })
	t.Run("a device that is raced for", func(t *testing.T) { w.racedDevice(t) })
	t.Run("a proof that is raced with", func(t *testing.T) { w.racedProof(t) })
}

// changedUnderApproval: what an administrator approves is what they looked at.
func (w *world) changedUnderApproval(t *testing.T) {
	w.AddPerson(t, "olga", "Staff", func(n *api.NewUser) { n.Roles = []string{"owner"} })
	w.organisation(t, "oauth.open_registration", "true")
	defer w.organisation(t, "oauth.open_registration", "default")
	g := w.gateway(t, "swapgw", nil)
	g.token = ""
	reply := g.register(nil)
	rp := g.child(reply)
	olga := w.signedIn(t, "olga")
	overview := "/admin/apps/" + rp.App
	looked := olga.Get(overview)
	if !strings.Contains(looked.Body, rp.Redirect) {
		t.Errorf("the page does not show where answers go")
	}
	change := map[string]any{"client_id": rp.ID, "client_name": "Partner", "redirect_uris": []string{"https://evil.example/cb"}}
	if swapped := w.rest(t, http.MethodPut, reply.Text("registration_client_uri"), reply.Text("registration_access_token"), change, g.from); swapped.Status != http.StatusOK {
		t.Fatalf("%d %s", swapped.Status, swapped.Raw)
	}
	for _, seen := range []string{looked.Field("seen"), "", "x"} {
		if page := olga.Post(overview+"/approve", url.Values{"seen": {seen}}); page.Status != http.StatusConflict {
			t.Errorf("%q: %d", seen, page.Status)
		}
	}
	if app, err := w.API.App(t.Context(), rp.App); err != nil || app.State != "pending" {
		t.Fatalf("%s, %v", app.State, err)
	}
	again := olga.Get(overview)
	if page := olga.Post(overview+"/approve", url.Values{"seen": {again.Field("seen")}}); page.Status != http.StatusOK {
		t.Errorf("%d %s", page.Status, page.Body)
	}
}

// postedToUs: what a page of ours posts by itself comes with the person's cookies, and no check of where it came from stops it.
func (w *world) postedToUs(t *testing.T) {
	g := w.gateway(t, "ownpost", nil)
	target := w.URL + "/admin/apps/" + g.App + "/block"
	rp := g.child(g.register(map[string]any{"redirect_uris": []string{target}}))
	rp.Redirect = target
	for _, change := range [][]string{{"response_mode", "form_post"}, {"response_mode", "form_post", "response_type", "nonsense"}, nil} {
		w.checkHere(t, rp.Visit(w.ana(t), rp.Ask(change...)), "sent_to_us")
	}
	sp := w.newSP(t, "ownpost")
	sp.ACS = []string{target}
	w.AddApp(t, sp.Metadata(), nil)
	if page := w.ana(t).Get(sp.RedirectURL(w.sso, Ask{})); page.Action() == target {
		t.Error("a SAML response is posted to Gatehouse")
	}
}

// proofElsewhere: the path that a proof is for is compared as it was sent, whatever it says when it is decoded.
func (w *world) proofElsewhere(t *testing.T) {
	rp := w.apiClient(t, "elsewhere", "apps.read", nil)
	key := newSigningKey(t, jose.ES256, "")
	form := url.Values{"grant_type": {"authorization_code"}, "code": {rp.Code(w.signedIn(t, "olga"), "scope", "openid apps.read")}, "redirect_uri": {rp.Redirect}, "code_verifier": {rp.Verifier}}
	r := rp.Request("/oauth/token", form)
	r.SetBasicAuth(rp.ID, rp.Secret)
	r.Header.Set("DPoP", w.proof(t, key, "POST", "/oauth/token", "", nil))
	token := rp.Do(r).Text("access_token")
	if reply := rp.call("DPoP", "GET", "/api/v1/apps/a%3Fb", token, w.proof(t, key, "GET", "/api/v1/apps/a%3Fb", token, nil), ""); reply.Status != http.StatusNotFound {
		t.Errorf("its own address: %d %s", reply.Status, reply.Raw)
	}
	for _, other := range []string{"/api/v1/apps/a", "/api/v1/apps/a?b"} {
		if reply := rp.call("DPoP", "GET", "/api/v1/apps/a%3Fb", token, w.proof(t, key, "GET", other, token, nil), ""); reply.Status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", other, reply.Status, reply.Raw)
		}
	}
}

// loopbackSectors: the machine of a person is nobody's sector (OpenID Connect Core 1.0, 8.1).
func (w *world) loopbackSectors(t *testing.T) {
	subject := func(name string) string {
		rp := w.Client(t, name, map[string]any{"application_type": "native", "token_endpoint_auth_method": "none", "subject_type": "pairwise", "redirect_uris": []string{"http://127.0.0.1/cb"}}, map[string]string{"policy.consent": "never"})
		_, claims := rp.Claims(rp.Tokens(w.ana(t)).Text("id_token"))
		return fmt.Sprint(claims["sub"])
	}
	if one, other := subject("phoneone"), subject("phonetwo"); one == other {
		t.Errorf("two native apps know a person by %s", one)
	}
}

// noThumbprint: a code that is bound to what is no thumbprint could never be redeemed, and its request would only take up room.
func (w *world) noThumbprint(t *testing.T) {
	rp := w.Client(t, "nothumb", nil, map[string]string{"policy.consent": "never"})
	for _, print := range []string{"x", strings.Repeat("a", 8000), strings.Repeat("=", 43)} {
		w.told(t, rp, rp.Visit(w.ana(t), rp.Ask("dpop_jkt", print)), "invalid_request", "bad_dpop_jkt")
	}
}

// longRequest: a hundred thousand requests may wait, so what one of them keeps is bounded.
func (w *world) longRequest(t *testing.T) {
	rp := w.Client(t, "longrp", nil, map[string]string{"policy.consent": "never"})
	long := strings.Repeat("x", 8192)
	w.told(t, rp, rp.Visit(w.ana(t), rp.Ask("nonce", long, "login_hint", long)), "invalid_request", "long_request")
	if rp.Code(w.ana(t), "state", long) == "" {
		t.Error("a long state is refused")
	}
}

// racedFamily: of many that use one refresh token at once one gets tokens, and then nothing of them is good.
func (w *world) racedFamily(t *testing.T) {
	rp := w.Client(t, "raced", nil, map[string]string{"policy.consent": "never"})
	first := rp.Tokens(w.ana(t), "scope", "openid offline_access")
	won := make(chan *Reply, 16)
	atOnce(func() bool {
		reply := rp.Refresh(first.Text("refresh_token"))
		if reply.Status == http.StatusOK {
			won <- reply
		}
		return true
	})
	if len(won) != 1 {
		t.Fatalf("%d got tokens", len(won))
	}
	reply := <-won
	for _, token := range []string{first.Text("access_token"), reply.Text("access_token"), reply.Text("refresh_token")} {
		if rp.Active(token) {
			t.Error("a token of the family is good")
		}
	}
	w.refusedBy(t, rp.Refresh(reply.Text("refresh_token")), http.StatusBadRequest, "invalid_grant", "unknown_refresh_token")
}

// racedDevice: one poll of many gets the tokens, the others end them; a yes and a no at once are one of the two.
func (w *world) racedDevice(t *testing.T) {
	tv := w.television(t, "racedtv", nil)
	asked := tv.Device()
	w.ana(t).Agree(w.ana(t).Type(asked.Text("user_code")))
	won := make(chan *Reply, 16)
	atOnce(func() bool {
		if reply := tv.Poll(asked); reply.Status == http.StatusOK {
			won <- reply
		}
		return true
	})
	if len(won) != 1 {
		t.Fatalf("%d got tokens", len(won))
	}
	if tv.UserInfo((<-won).Text("access_token")).Status != http.StatusUnauthorized {
		t.Error("the tokens of a replayed device code are good")
	}
}

// racedProof: of many requests with one proof one is taken.
func (w *world) racedProof(t *testing.T) {
	rp := w.Client(t, "racedproof", map[string]any{"token_endpoint_auth_method": "none"}, map[string]string{"policy.consent": "never"})
	key := newSigningKey(t, jose.ES256, "")
	token := rp.proven("/oauth/token", w.proof(t, key, "POST", "/oauth/token", "", nil), w.codeForm(t, rp)).Text("access_token")
	proof := w.proof(t, key, "GET", "/oauth/userinfo", token, nil)
	if n := atOnce(func() bool { return rp.who("DPoP", token, proof).Status == http.StatusOK }); n != 1 {
		t.Errorf("%d were taken", n)
	}
}

// TestRefusedOnce: a refusal is counted once, however many there are: what is folded into a counted entry has no second one.
func TestRefusedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rp := w.Client(t, "folded", nil, nil)
	rp.http = &http.Client{Transport: oneHop("10.200.0.1")}
	browser := w.NewClient(t)
	browser.http.Transport = oneHop("10.200.0.2")
	goOn := w.clock.stand()
	for range 70 {
		if reply := rp.Redeem("nonsense"); reply.Text("error") != "invalid_grant" {
			t.Fatalf("%d %s", reply.Status, reply.Raw)
		}
		if page := browser.Get("/oauth/authorize?client_id=nobody"); page.Status != http.StatusBadRequest || firstOf(`<span class="label">Code</span><code>([^<]+)</code>`, page.Body) == "" {
			t.Fatalf("%d %s", page.Status, page.Body)
		}
	}
	goOn()
	w.Stop() // writes what was counted
	w.Server = Start(t, Options{Dir: w.Dir, Now: w.clock.now})
	counted := 0
	for _, kind := range []string{"token", "signon", "request"} {
		list, err := w.API.Audit(t.Context(), api.AuditQuery{Kind: kind, Limit: 200})
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range list.Items {
			if kind == "request" && (entry.Reason == "unknown_code" || entry.Reason == "unknown_app") {
				t.Errorf("a second entry: %+v", entry)
			}
			counted += entry.Count
		}
	}
	if counted != 20 {
		t.Errorf("%d were counted, want 20", counted)
	}
}
