package idptest

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"gatehouse/idp/api"
	"gatehouse/sp"
	"gatehouse/store"
)

// TestOAuthPolicy is what holds for tokens because it holds for every app.
func TestOAuthPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	t.Run("OPR-01 the policy is asked again", func(t *testing.T) { w.policyAgain(t) })
	t.Run("OPR-04 client credentials", func(t *testing.T) { w.clientCredentials(t) })
	t.Run("OPR-05 whose tokens one may ask about", func(t *testing.T) { w.introspectionTiers(t) })
	t.Run("OPR-06 consent", func(t *testing.T) { w.oauthConsent(t) })
	t.Run("OPR-15 what the audit says", func(t *testing.T) { w.oauthAudit(t) })
	t.Run("SLO-29 sign-out ends tokens", func(t *testing.T) { w.signOutEndsTokens(t) })
	t.Run("OPR-02 refresh rules", func(t *testing.T) { w.refreshRules(t) })
}

// policyAgain: each change bites at the next use of what was given before, with its reason.
func (w *world) policyAgain(t *testing.T) {
	other := w.Client(t, "gateway", nil, map[string]string{"oauth.introspect": "all"})
	group, err := w.API.AddNamed(t.Context(), "groups", api.Named{Name: "Travellers"})
	if err != nil {
		t.Fatal(err)
	}
	for reason, c := range map[string]struct{ set, undo []string }{
		"permitted_users": {[]string{"policy.permitted_users", "preauthorized", "policy.groups", group.ID}, []string{"policy.permitted_users", "all", "policy.groups", ""}},
		"app_ip_ranges":   {[]string{"policy.ip_ranges", "192.0.2.0/24"}, []string{"policy.ip_ranges", ""}},
		"access_window":   {[]string{"policy.not_after", "2020-01-01"}, []string{"policy.not_after", "none"}},
		"min_level":       {[]string{"policy.min_level", "high"}, []string{"policy.min_level", "low"}},
	} {
		rp := w.Client(t, "again"+strings.ReplaceAll(reason, "_", ""), nil, map[string]string{"policy.consent": "never"})
		tokens := rp.Tokens(w.ana(t), "scope", "openid offline_access")
		code := rp.Code(w.ana(t))
		w.setClient(t, rp, c.set...)
		if rp.Active(tokens.Text("access_token")) || other.Active(tokens.Text("refresh_token")) || rp.UserInfo(tokens.Text("access_token")).Status != http.StatusUnauthorized {
			t.Errorf("%s: the token is good", reason)
		}
		w.refusedBy(t, rp.Refresh(tokens.Text("refresh_token")), http.StatusBadRequest, "invalid_grant", reason)
		w.refusedBy(t, rp.Redeem(code), http.StatusBadRequest, "invalid_grant", reason)
		w.setClient(t, rp, c.undo...)
		if !rp.Active(tokens.Text("access_token")) || rp.Refresh(tokens.Text("refresh_token")).Status != http.StatusOK {
			t.Errorf("%s: undone, the token is not good", reason)
		}
	}
	w.blockBites(t, other)
	rp := w.Client(t, "scopes", nil, map[string]string{"policy.consent": "never"})
	token := rp.Tokens(w.ana(t), "scope", "openid email phone").Text("access_token")
	w.setClient(t, rp, "policy.scopes", "openid,phone")
	if rp.Introspect(token).Text("scope") != "openid phone" || rp.UserInfo(token).JSON["email"] != nil {
		t.Error("a narrower bound does not reach tokens")
	}
}

// blockBites: a block ends everything for good, in one transaction.
func (w *world) blockBites(t *testing.T, gateway *RP) {
	travel := w.Client(t, "travel", nil, map[string]string{"policy.consent": "never"})
	tokens := travel.Tokens(w.ana(t), "scope", "openid offline_access")
	code := travel.Code(w.ana(t))
	if !gateway.Active(tokens.Text("access_token")) {
		t.Fatal("the token is not active")
	}
	if _, err := w.API.MoveApp(t.Context(), travel.ID, "block"); err != nil {
		t.Fatal(err)
	}
	if gateway.Active(tokens.Text("access_token")) {
		t.Error("the token of a blocked app is good")
	}
	w.refusedBy(t, travel.Refresh(tokens.Text("refresh_token")), http.StatusBadRequest, "unauthorized_client", "app_blocked")
	w.told(t, travel, travel.Visit(w.browser(t), travel.Ask()), "access_denied", "app_blocked")
	if _, err := w.API.MoveApp(t.Context(), travel.ID, "unblock"); err != nil {
		t.Fatal(err)
	}
	if gateway.Active(tokens.Text("access_token")) {
		t.Error("unblocking revives a token")
	}
	w.refusedBy(t, travel.Refresh(tokens.Text("refresh_token")), http.StatusBadRequest, "invalid_grant", "grant_ended")
	w.refusedBy(t, travel.Redeem(code), http.StatusBadRequest, "invalid_grant", "grant_ended")
	if fresh := travel.Tokens(w.ana(t)); !gateway.Active(fresh.Text("access_token")) {
		t.Error("a token after the block is not good")
	}
}

// refreshRules: infinite, immediate, lifetime and idle.
func (w *world) refreshRules(t *testing.T) {
	begin := func(rule string) (*RP, string) {
		rp := w.Client(t, "rule"+strings.Trim(strings.ReplaceAll(rule, ":", ""), "."), nil, map[string]string{"policy.consent": "never", "policy.refresh_token": rule})
		return rp, rp.Tokens(w.signedIn(t, "ana"), "scope", "openid offline_access").Text("refresh_token")
	}
	use := func(rp *RP, token string, after time.Duration) string {
		w.clock.advance(after)
		reply := rp.Refresh(token)
		if reply.Status != http.StatusOK {
			t.Errorf("after %s: %d %s", after, reply.Status, reply.Raw)
		}
		return reply.Text("refresh_token")
	}
	if _, token := begin("immediate"); token != "" {
		t.Error("there is a refresh token that is dead at once")
	}
	rp, token := begin("lifetime:1h")
	token = use(rp, token, 40*time.Minute)
	w.clock.advance(20 * time.Minute)
	w.refusedBy(t, rp.Refresh(token), http.StatusBadRequest, "invalid_grant", "refresh_token")
	rp, token = begin("idle:1h")
	token = use(rp, use(rp, token, 50*time.Minute), 50*time.Minute)
	w.clock.advance(time.Hour)
	w.refusedBy(t, rp.Refresh(token), http.StatusBadRequest, "invalid_grant", "refresh_token")
	rp, token = begin("infinite")
	use(rp, use(rp, token, 24*time.Hour), 300*24*time.Hour)
}

func (w *world) clientCredentials(t *testing.T) {
	rp := w.Client(t, "batch", map[string]any{"grant_types": []string{"client_credentials"}, "redirect_uris": []string{}, "scope": "orders.read orders.write openid"}, nil)
	ask := func(change ...string) *Reply {
		return rp.Send("/oauth/token", changed(url.Values{"grant_type": {"client_credentials"}}, change))
	}
	w.refusedBy(t, ask(), http.StatusBadRequest, "unauthorized_client", "no_run_as")
	w.setClient(t, rp, "oauth.run_as", "bob")
	reply := ask("scope", "orders.read openid")
	if reply.Status != http.StatusOK || reply.Text("scope") != "orders.read" || reply.JSON["refresh_token"] != nil || reply.JSON["id_token"] != nil {
		t.Errorf("%d %s", reply.Status, reply.Raw)
	}
	token := reply.Text("access_token")
	if info := rp.Introspect(token); info.Text("username") != "bob" || info.Text("scope") != "orders.read" || info.JSON["auth_time"] != nil {
		t.Errorf("%s", info.Raw)
	}
	if all := ask(); all.Text("scope") != "orders.read orders.write" {
		t.Errorf("%s", all.Raw)
	}
	w.setClient(t, rp, "policy.scopes", "openid")
	if bare := ask(); bare.Status != http.StatusOK || bare.JSON["scope"] != nil { // RFC 6749, 3.3: a scope that is named has a value
		t.Errorf("%s", bare.Raw)
	}
	w.setClient(t, rp, "policy.scopes", "default")
	w.refusedBy(t, ask("scope", "orders.delete"), http.StatusBadRequest, "invalid_scope", "scope_not_allowed")
	w.refusedBy(t, rp.UserInfo(token), http.StatusForbidden, "insufficient_scope", "no_openid")
	w.setClient(t, rp, "policy.min_level", "high")
	w.refusedBy(t, ask(), http.StatusBadRequest, "unauthorized_client", "min_level")
	w.setClient(t, rp, "policy.min_level", "low")
	if _, err := w.API.EnableUser(t.Context(), "bob", false); err != nil {
		t.Fatal(err)
	}
	w.refusedBy(t, ask(), http.StatusBadRequest, "unauthorized_client", "user_active")
	if _, err := w.API.EnableUser(t.Context(), "bob", true); err != nil {
		t.Fatal(err)
	}
	if rp.Active(token) {
		t.Error("disabling the run-as user did not end its token")
	}
	again := ask().Text("access_token")
	if reply := rp.Send("/oauth/revoke", url.Values{"token": {again}}); reply.Status != http.StatusOK || rp.Active(again) || !rp.Active(ask().Text("access_token")) {
		t.Error("revoking one token of the client did not end it, or others too")
	}
}

func (w *world) introspectionTiers(t *testing.T) {
	parent := w.Client(t, "parent", nil, nil)
	child := w.Client(t, "child", nil, map[string]string{"policy.consent": "never"})
	stranger := w.Client(t, "stranger", nil, map[string]string{"policy.consent": "never"})
	err := w.Store.Update(t.Context(), func(tx store.Tx) error {
		app, _, err := sp.Apps.Get(tx, child.App)
		if err != nil {
			return err
		}
		app.Parent = parent.App
		return sp.Apps.Put(tx, &app)
	})
	if err != nil {
		t.Fatal(err)
	}
	childs, strangers := child.Tokens(w.ana(t)).Text("access_token"), stranger.Tokens(w.ana(t)).Text("access_token")
	for tier, want := range map[string][2]bool{"own": {false, false}, "children": {true, false}, "all": {true, true}} {
		w.setClient(t, parent, "oauth.introspect", tier)
		if got := [2]bool{parent.Active(childs), parent.Active(strangers)}; got != want || child.Active(strangers) || !child.Active(childs) {
			t.Errorf("%s sees %v, want %v", tier, got, want)
		}
	}
}

func (w *world) oauthConsent(t *testing.T) {
	rp := w.Client(t, "consent", nil, nil)
	c := w.signedIn(t, "bob")
	w.told(t, rp, rp.Visit(c, rp.Ask("prompt", "none")), "consent_required", "no_passive")
	page := rp.Visit(c, rp.Ask("scope", "openid email"))
	if page.URL.Path != "/consent" || !strings.Contains(page.Body, "See your e-mail address") || strings.Contains(page.Body, "See your phone number") {
		t.Fatalf("%s:\n%s", page.URL, page.Body)
	}
	if csp := page.Header.Get("Content-Security-Policy"); strings.Contains(csp, "form-action") {
		t.Errorf("the page binds where its form leads: %s", csp)
	}
	if rp.Callback(c.Agree(page)).Get("code") == "" || rp.Callback(rp.Visit(c, rp.Ask("scope", "email openid"))).Get("code") == "" {
		t.Error("a yes is asked for again")
	}
	for _, change := range [][]string{{"scope", "openid email phone"}, {"prompt", "consent"}, {"claims", `{"userinfo":{"phone_number":null}}`}} {
		page := rp.Visit(c, rp.Ask(change...))
		if page.URL.Path != "/consent" {
			t.Errorf("%v rests at %s", change, page.URL)
			continue
		}
		no := c.Post("/consent", url.Values{"flow": {page.Field("flow")}, "cancel": {"yes"}})
		w.told(t, rp, no, "access_denied", "cancelled")
	}
	if page := c.Agree(rp.Visit(c, rp.Ask("prompt", "consent"))); rp.Callback(page).Get("code") == "" {
		t.Errorf("%d at %s", page.Status, page.URL)
	}
	chosen := w.Client(t, "chosen", nil, map[string]string{"policy.permitted_users": "preauthorized", "policy.users": "bob"})
	if rp := chosen; rp.Callback(rp.Visit(c, rp.Ask())).Get("code") == "" {
		t.Error("somebody whom an administrator chose is asked for consent")
	}
	w.told(t, chosen, chosen.Visit(w.ana(t), chosen.Ask()), "access_denied", "permitted_users")
}

func (w *world) oauthAudit(t *testing.T) {
	rp := w.Client(t, "audit", nil, map[string]string{"policy.consent": "never"})
	tokens := rp.Tokens(w.ana(t), "scope", "openid offline_access")
	entries := w.Audit(t)
	issue, signon := entries[0], entries[1]
	if issue.Kind != "token" || issue.Outcome != "ok" || issue.User.Name != "ana" || issue.App.ID != rp.App || issue.Facts["grant_type"] != "authorization_code" || issue.Facts["grant"] == "" {
		t.Errorf("%+v", issue)
	}
	if signon.Kind != "signon" || signon.Facts["protocol"] != "oauth" || signon.Facts["start"] != "OauthAuthorize" || signon.Facts["grant"] != issue.Facts["grant"] {
		t.Errorf("%+v", signon)
	}
	w.setClient(t, rp, "policy.ip_ranges", "192.0.2.0/24")
	rp.Refresh(tokens.Text("refresh_token"))
	if entry := w.Audit(t)[0]; entry.Reason != "app_ip_ranges" || !strings.Contains(entry.Facts["rules"], "app_ip_ranges refuse") || entry.Facts["error"] != "invalid_grant" || entry.Facts["expected"] == "" {
		t.Errorf("%+v", entry)
	}
	for _, entry := range w.Audit(t) {
		for name, value := range entry.Facts {
			for _, secret := range []string{tokens.Text("access_token"), tokens.Text("refresh_token"), rp.Secret} {
				if strings.Contains(value, secret) {
					t.Errorf("%s of %s holds a secret", name, entry.Kind)
				}
			}
		}
	}
}

// signOutEndsTokens: what ends a session ends what was given in it, but for what the person gave beyond it; what makes a person
// doubtful ends all.
func (w *world) signOutEndsTokens(t *testing.T) {
	rp := w.Client(t, "leaving", nil, map[string]string{"policy.consent": "never"})
	for name, c := range map[string]struct {
		end     func(*Client) error
		offline bool // survives
	}{
		"sign-out":      {func(c *Client) error { c.Post("/logout", nil); return nil }, true},
		"session ended": {func(*Client) error { return w.endSessionsOf(t, "bob", true) }, true},
		"all sessions":  {func(*Client) error { return w.endSessionsOf(t, "bob", false) }, false},
		"own password": {func(c *Client) error {
			c.Post("/account/password", url.Values{"current": {Password}, "new": {"a wholly new one 1"}, "repeat": {"a wholly new one 1"}})
			return nil
		}, false},
		"reset password": {func(*Client) error { _, err := w.API.ResetPassword(t.Context(), "bob", Password); return err }, false},
		"disabled":       {func(*Client) error { _, err := w.API.EnableUser(t.Context(), "bob", false); return err }, false},
		"app's sessions": {func(*Client) error {
			_, err := w.API.EndSessions(t.Context(), api.EndSessions{App: rp.App})
			return err
		}, false},
	} {
		browser := w.signedIn(t, "bob")
		online, offline, code := rp.Tokens(browser), rp.Tokens(browser, "scope", "openid offline_access"), rp.Code(browser)
		if err := c.end(browser); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if rp.Active(online.Text("access_token")) || rp.Redeem(code).Status == http.StatusOK {
			t.Errorf("%s: a token or code of the session is good", name)
		}
		if rp.Active(offline.Text("access_token")) != c.offline || rp.Active(offline.Text("refresh_token")) != c.offline {
			t.Errorf("%s: what holds beyond the session is good: %v", name, !c.offline)
		}
		w.restore(t, "bob")
	}
}

// restore makes a person as they were.
func (w *world) restore(t *testing.T, name string) {
	t.Helper()
	if user, err := w.API.User(t.Context(), name); err != nil || user.Status != "active" {
		if _, err := w.API.EnableUser(t.Context(), name, true); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.API.ResetPassword(t.Context(), name, Password); err != nil {
		t.Fatal(err)
	}
}

// endSessionsOf ends the sessions of a person one by one, or all at once.
func (w *world) endSessionsOf(t *testing.T, user string, each bool) error {
	t.Helper()
	if !each {
		_, err := w.API.EndSessions(t.Context(), api.EndSessions{User: user})
		return err
	}
	sessions, err := w.API.Sessions(t.Context(), user, "")
	for i := 0; err == nil && i < len(sessions.Items); i++ {
		_, err = w.API.EndSessions(t.Context(), api.EndSessions{Session: sessions.Items[i].Handle})
	}
	return err
}
