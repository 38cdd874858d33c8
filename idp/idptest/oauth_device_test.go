package idptest

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/sp"
)

// TestOAuthDevices is the way of a device without a browser (RFC 8628).
func TestOAuthDevices(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tv := w.television(t, "television", nil)
	t.Run("ORF-11 a device is confirmed", func(t *testing.T) { w.deviceConfirmed(t, tv) })
	t.Run("ORF-11 bound to the client, and once", func(t *testing.T) { w.deviceBound(t, tv) })
	t.Run("ORF-11 cancelled, late and unknown", func(t *testing.T) { w.deviceRefused(t, tv) })
	t.Run("OGR-01 the policy at a device", func(t *testing.T) { w.devicePolicy(t) })
	t.Run("OGR-02 the person confirms each time", func(t *testing.T) { w.deviceEachTime(t, tv) })
	t.Run("OGR-03 guessed user codes", func(t *testing.T) { w.deviceGuessed(t, tv) })
}

// television is a client that signs people in by their other devices.
func (w *world) television(t *testing.T, name string, settings map[string]string) *RP {
	t.Helper()
	return w.Client(t, name, map[string]any{
		"redirect_uris": []string{}, "grant_types": []string{sp.GrantDevice, sp.GrantRefresh}, "token_endpoint_auth_method": "none", "scope": "openid email offline_access",
	}, settings)
}

// Device asks for the codes of a device.
func (rp *RP) Device(change ...string) *Reply {
	rp.t.Helper()
	return rp.Send("/oauth/device", changed(url.Values{"scope": {"openid email offline_access"}}, change))
}

// Poll asks whether a device was confirmed.
func (rp *RP) Poll(asked *Reply, change ...string) *Reply {
	rp.t.Helper()
	return rp.Send("/oauth/token", changed(url.Values{"grant_type": {sp.GrantDevice}, "device_code": {asked.Text("device_code")}}, change))
}

// Type types a user code.
func (c *Client) Type(code string) *Page {
	c.t.Helper()
	return c.Post("/device", url.Values{"user_code": {code}})
}

func (w *world) deviceConfirmed(t *testing.T, tv *RP) {
	var document map[string]any
	if w.JSON(t, "/.well-known/openid-configuration", &document); document["device_authorization_endpoint"] != w.URL+"/oauth/device" || !strings.Contains(fmt.Sprint(document["grant_types_supported"]), sp.GrantDevice) {
		t.Errorf("%v", document)
	}
	asked := tv.Device()
	code := asked.Text("user_code")
	if asked.Status != http.StatusOK || asked.JSON["expires_in"] != 600.0 || asked.JSON["interval"] != 5.0 || len(code) != 9 ||
		asked.Text("verification_uri") != w.URL+"/device" || asked.Text("verification_uri_complete") != w.URL+"/device?user_code="+code ||
		!strings.Contains(asked.Header.Get("Cache-Control"), "no-store") {
		t.Fatalf("%d %s", asked.Status, asked.Raw)
	}
	goOn := w.clock.stand() // a poll is early or not by seconds
	w.quietly(t, tv.Poll(asked), "authorization_pending")
	w.clock.advance(4 * time.Second)
	w.quietly(t, tv.Poll(asked), "slow_down")
	w.clock.advance(9 * time.Second)
	w.quietly(t, tv.Poll(asked), "slow_down")
	w.clock.advance(16 * time.Second)
	w.quietly(t, tv.Poll(asked), "authorization_pending")
	goOn()
	form := w.ana(t).Get(asked.Text("verification_uri_complete"))
	if form.URL.Path != "/device" || form.Field("user_code") != code {
		t.Fatalf("the link rests at %s with %q", form.URL, form.Field("user_code"))
	}
	page := w.ana(t).Type(strings.ToLower(strings.ReplaceAll(code, "-", " ")))
	for _, shown := range []string{"television", code, "10.", "See your e-mail address", "Do all of this while you are away", "ana"} {
		if page.URL.Path != "/consent" || !strings.Contains(page.Body, shown) {
			t.Errorf("the page at %s does not show %q:\n%s", page.URL, shown, page.Body)
		}
	}
	if end := w.ana(t).Agree(page); end.URL.Path != "/device/connected" {
		t.Fatalf("rests at %s:\n%s", end.URL, end.Body)
	}
	signon := w.Audit(t)[0]
	if signon.Kind != "signon" || signon.Facts["start"] != "OauthDevice" || signon.User.Name != "ana" || signon.Facts["device_address"] == "" {
		t.Errorf("%+v", signon)
	}
	tokens := tv.Poll(asked)
	if tokens.Status != http.StatusOK || tokens.Text("refresh_token") == "" || tv.UserInfo(tokens.Text("access_token")).Text("email") != "ana@example.org" {
		t.Fatalf("%d %s", tokens.Status, tokens.Raw)
	}
	if _, claims := tv.Claims(tokens.Text("id_token")); claims["aud"] != tv.ID || claims["sid"] != nil {
		t.Errorf("%v", claims)
	}
	if again := tv.Refresh(tokens.Text("refresh_token")); again.Status != http.StatusOK {
		t.Errorf("%d %s", again.Status, again.Raw)
	}
}

// quietly checks an answer that is part of the protocol, and so no entry of the audit.
func (w *world) quietly(t *testing.T, reply *Reply, code string) {
	t.Helper()
	if reply.Status != http.StatusBadRequest || reply.Text("error") != code {
		t.Errorf("want %s, have %d %s", code, reply.Status, reply.Raw)
	}
	if entry := w.Audit(t)[0]; entry.Facts["error"] == code {
		t.Errorf("the audit holds %+v", entry)
	}
}

func (w *world) deviceBound(t *testing.T, tv *RP) {
	asked := tv.Device()
	other := w.television(t, "radio", nil)
	w.ana(t).Agree(w.ana(t).Type(asked.Text("user_code")))
	w.refusedBy(t, other.Poll(asked), http.StatusBadRequest, "invalid_grant", "device_code_of_other_client")
	w.refusedBy(t, tv.Poll(asked, "device_code", asked.Text("user_code")), http.StatusBadRequest, "invalid_grant", "unknown_device_code")
	w.refusedBy(t, tv.Poll(asked, "device_code", "-"), http.StatusBadRequest, "invalid_request", "no_device_code")
	first := tv.Poll(asked)
	if first.Status != http.StatusOK {
		t.Fatalf("%d %s", first.Status, first.Raw)
	}
	w.refusedBy(t, tv.Poll(asked), http.StatusBadRequest, "invalid_grant", "device_code_replayed")
	if tv.UserInfo(first.Text("access_token")).Status != http.StatusUnauthorized {
		t.Error("after the replay the token is good")
	}
	w.refusedBy(t, tv.Refresh(first.Text("refresh_token")), http.StatusBadRequest, "invalid_grant", "unknown_refresh_token")
	if page := w.ana(t).Type(asked.Text("user_code")); page.Status != http.StatusUnprocessableEntity {
		t.Errorf("a user code is taken twice: %d at %s", page.Status, page.URL)
	}
	shop := w.Client(t, "shop", nil, nil)
	w.refusedBy(t, shop.Device(), http.StatusBadRequest, "unauthorized_client", "grant_type_not_allowed")
	w.refusedBy(t, tv.Device("scope", "nonsense"), http.StatusBadRequest, "invalid_scope", "scope_not_allowed")
	w.organisation(t, "oauth.disabled_grants", sp.GrantDevice)
	w.refusedBy(t, tv.Device(), http.StatusBadRequest, "unauthorized_client", "grant_type_switched_off")
	w.organisation(t, "oauth.disabled_grants", "none")
}

func (w *world) deviceRefused(t *testing.T, tv *RP) {
	asked := tv.Device()
	page := w.ana(t).Type(asked.Text("user_code"))
	if end := w.ana(t).Post("/consent", url.Values{"flow": {page.Field("flow")}, "cancel": {"yes"}}); end.URL.Path != "/device/cancelled" {
		t.Errorf("rests at %s", end.URL)
	}
	w.refusedBy(t, tv.Poll(asked), http.StatusBadRequest, "access_denied", "device_denied")
	late := tv.Device()
	waiting := w.ana(t).Type(late.Text("user_code"))
	w.clock.advance(10 * time.Minute)
	if page := w.ana(t).Agree(waiting); page.URL.Path == "/device/connected" {
		t.Error("a late yes counts")
	}
	w.refusedBy(t, tv.Poll(late), http.StatusBadRequest, "expired_token", "device_code_expired")
	for _, typed := range []string{late.Text("user_code"), "", "BCDF-GHJK", "<script>", strings.Repeat("B", 10_000)} {
		page := w.ana(t).Type(typed)
		if page.Status != http.StatusUnprocessableEntity || page.URL.Path != "/device" || strings.Contains(page.Body, "<script>") {
			t.Errorf("%.20q: %d at %s", typed, page.Status, page.URL)
		}
		w.clock.advance(time.Minute)
	}
}

// devicePolicy: the app's policy is asked when somebody confirms, and again when the device comes for its tokens.
func (w *world) devicePolicy(t *testing.T) {
	tv := w.television(t, "lobby", map[string]string{"policy.permitted_users": "preauthorized", "policy.users": "ana"})
	asked := tv.Device()
	bob := w.signedIn(t, "bob")
	if page := bob.Type(asked.Text("user_code")); page.Status != http.StatusForbidden || w.Audit(t)[0].Reason != "permitted_users" {
		t.Errorf("%d at %s", page.Status, page.URL)
	}
	w.refusedBy(t, tv.Poll(asked), http.StatusBadRequest, "access_denied", "device_denied")
	asked = tv.Device()
	stranger := w.browser(t)
	login := stranger.Type(asked.Text("user_code"))
	if login.URL.Path != "/login" {
		t.Fatalf("nobody is signed in, and the browser rests at %s", login.URL)
	}
	page := stranger.SignIn(login, "ana", Password)
	if end := stranger.Agree(page); end.URL.Path != "/device/connected" {
		t.Fatalf("rests at %s:\n%s", end.URL, end.Body)
	}
	w.setClient(t, tv, "policy.users", "bob")
	w.refusedBy(t, tv.Poll(asked), http.StatusBadRequest, "invalid_grant", "permitted_users")
	w.setClient(t, tv, "policy.users", "ana")
	if reply := tv.Poll(asked); reply.Status != http.StatusOK {
		t.Errorf("permitted again: %d %s", reply.Status, reply.Raw)
	}
}

// deviceEachTime: whatever a person agreed to before, and whatever the policy says of consent, a device is confirmed.
func (w *world) deviceEachTime(t *testing.T, tv *RP) {
	never := w.television(t, "never", map[string]string{"policy.consent": "never"})
	for _, rp := range []*RP{tv, tv, never} {
		asked := rp.Device()
		page := w.ana(t).Type(asked.Text("user_code"))
		if page.URL.Path != "/consent" {
			t.Fatalf("rests at %s", page.URL)
		}
		w.quietly(t, rp.Poll(asked), "authorization_pending")
		other := rp.Device()
		waiting := w.ana(t).Type(other.Text("user_code"))
		w.ana(t).Agree(page)
		if again := w.ana(t).Get("/flow/" + waiting.Field("flow")); again.URL.Path != "/consent" {
			t.Errorf("the yes to one device counts for another: %s", again.URL)
		}
		w.quietly(t, rp.Poll(other), "authorization_pending")
	}
	asked := tv.Device()
	if reply := w.ana(t).CrossPost("/device", url.Values{"user_code": {asked.Text("user_code")}}); reply.Status != http.StatusForbidden {
		t.Errorf("another site types a code: %d at %s", reply.Status, reply.URL)
	}
}

// deviceGuessed: who guesses is slowed down by session and by network, and fills no audit.
func (w *world) deviceGuessed(t *testing.T, tv *RP) {
	w.clock.advance(time.Minute)
	defer w.clock.stand()()
	c := w.ana(t)
	for range 5 {
		if page := c.Type("BCDF-GHJK"); page.Status != http.StatusUnprocessableEntity {
			t.Fatalf("%d at %s", page.Status, page.URL)
		}
	}
	good := tv.Device().Text("user_code")
	if page := c.Type(good); page.Status != http.StatusTooManyRequests || page.Header.Get("Retry-After") == "" {
		t.Errorf("the sixth of a session: %d at %s", page.Status, page.URL)
	}
	w.clock.advance(time.Minute)
	if page := c.Type(good); page.URL.Path != "/consent" {
		t.Errorf("a minute later: %d at %s", page.Status, page.URL)
	}
	before := len(w.Audit(t))
	guesses := 0
	for range 30 { // each in a browser of its own, all from one network
		stranger := w.NewClient(t)
		if page := stranger.Type("BCDF-GHJK"); page.Status == http.StatusUnprocessableEntity {
			guesses++
		} else if page.Status != http.StatusTooManyRequests {
			t.Fatalf("%d at %s", page.Status, page.URL)
		}
	}
	if grown := len(w.Audit(t)) - before; guesses != 20 || grown > 20 {
		t.Errorf("%d guesses from one network in a minute, %d entries", guesses, grown)
	}
}

// TestDeviceFlood: from however many networks devices come, no more wait than are bounded in all; the next minute is another.
func TestDeviceFlood(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tv := w.television(t, "television", nil)
	defer w.clock.stand()()
	var good, slowed atomic.Int32
	var group sync.WaitGroup
	for range 32 {
		group.Go(func() {
			for range 33 {
				switch rp := *tv; rp.Device().Status {
				case http.StatusOK:
					good.Add(1)
				case http.StatusTooManyRequests:
					slowed.Add(1)
				}
			}
		})
	}
	group.Wait()
	if good.Load() < 1000 || good.Load() > 1031 || good.Load()+slowed.Load() != 32*33 { // those on their way at once may pass together
		t.Errorf("%d wait, %d were slowed down", good.Load(), slowed.Load())
	}
	w.refusedBy(t, tv.Device(), http.StatusTooManyRequests, "temporarily_unavailable", "too_many_devices")
	w.clock.advance(time.Minute)
	if reply := tv.Device(); reply.Status != http.StatusOK {
		t.Errorf("%d %s", reply.Status, reply.Raw)
	}
}
