package idptest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/idp/flow"
	"gatehouse/sp"
	"gatehouse/store"
)

func (w *world) gatewayIntrospects(t *testing.T) {
	g, other := w.gateway(t, "askgw", nil), w.gateway(t, "foreigngw", nil)
	child := g.child(g.register(nil))
	token := child.Tokens(w.ana(t), "scope", "openid askgw.read").Text("access_token")
	own := g.Tokens(w.ana(t)).Text("access_token")
	if seen := g.Introspect(token); seen.JSON["active"] != true || seen.Text("client_id") != child.ID || seen.Text("scope") != "openid askgw.read" || seen.Text("username") != "ana" {
		t.Errorf("%s", seen.Raw)
	}
	if !g.Active(own) || child.Active(own) {
		t.Error("a gateway sees its own tokens, its clients do not")
	}
	if reply := other.Introspect(token); strings.TrimSpace(reply.Raw) != `{"active":false}` {
		t.Errorf("a foreign gateway sees %s", reply.Raw)
	}
	if usage, err := w.API.AppUsage(t.Context(), other.App); err != nil || usage.Unused || usage.SignOns != 0 {
		t.Errorf("a gateway that only asks is unused: %+v, %v", usage, err)
	}
	sibling := g.child(g.register(nil))
	if sibling.Active(token) {
		t.Error("a client sees the tokens of another under the same gateway")
	}
	w.setClient(t, child, "policy.ip_ranges", "192.0.2.0/24")
	if g.Active(token) {
		t.Error("the policy is not asked again")
	}
	w.setClient(t, child, "policy.ip_ranges", "")
	if !g.Active(token) {
		t.Error("the policy lets it in again")
	}
	if _, err := w.API.MoveApp(t.Context(), child.App, "block"); err != nil {
		t.Fatal(err)
	}
	if reply := g.Introspect(token); strings.TrimSpace(reply.Raw) != `{"active":false}` {
		t.Errorf("of a blocked client: %s", reply.Raw)
	}
}

func (w *world) gatewayEnds(t *testing.T) {
	g := w.gateway(t, "endgw", nil)
	watcher := w.Client(t, "watcher", nil, map[string]string{"oauth.introspect": "all"})
	reply := g.register(nil)
	child := g.child(reply)
	blocked := g.child(g.register(nil))
	if _, err := w.API.MoveApp(t.Context(), blocked.App, "block"); err != nil {
		t.Fatal(err)
	}
	token := child.Tokens(w.ana(t)).Text("access_token")
	state := func(rp *RP, want string) {
		t.Helper()
		if app, err := w.API.App(t.Context(), rp.App); err != nil || app.State != want {
			t.Errorf("%s, not %s, %v", app.State, want, err)
		}
	}
	move := func(rp *RP, action string) error {
		_, err := w.API.MoveApp(t.Context(), rp.App, action)
		return err
	}
	if err := move(g.RP, "block"); err != nil || watcher.Active(token) {
		t.Errorf("the gateway's block leaves its clients' tokens: %v", err)
	}
	state(child, "blocked")
	w.refusedBy(t, g.register(nil), http.StatusForbidden, "access_denied", "parent_not_active")
	w.refusedBy(t, w.rest(t, http.MethodGet, reply.Text("registration_client_uri"), reply.Text("registration_access_token"), nil, nil), http.StatusForbidden, "access_denied", "app_blocked")
	if err := move(child, "unblock"); err == nil {
		t.Error("a client is opened while its gateway is shut")
	}
	if err := move(g.RP, "unblock"); err != nil {
		t.Fatal(err)
	}
	state(child, "active")
	state(blocked, "blocked") // that one was blocked by itself
	if watcher.Active(token) {
		t.Error("an unblock revives a token")
	}
	token = child.Tokens(w.ana(t)).Text("access_token")
	if _, err := w.API.RemoveApp(t.Context(), g.App); err != nil {
		t.Fatal(err)
	}
	state(child, "removed")
	state(blocked, "removed")
	if watcher.Active(token) || child.Introspect("x").Status != http.StatusUnauthorized {
		t.Error("the clients of a removed gateway go on")
	}
	if reply := g.register(nil); reply.Status != http.StatusUnauthorized {
		t.Errorf("under a removed app: %d", reply.Status)
	}
}

// nothingFetched: addresses of our own machine in the metadata are not asked, neither at registration nor when the app is shown.
func (w *world) nothingFetched(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer server.Close()
	trap := server.URL
	g := w.gateway(t, "trapgw", nil)
	reply := g.register(map[string]any{"logo_uri": trap + "/logo.png", "client_uri": trap + "/", "jwks_uri": trap + "/keys"})
	child := g.child(reply)
	page := w.ana(t).Get("/oauth/authorize?" + child.Ask().Encode())
	w.ana(t).Get("/app-logo/" + child.App + "/" + flow.LogoVersion(trap+"/logo.png"))
	if page.Status != http.StatusOK {
		t.Errorf("%d", page.Status)
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func (w *world) registrationFlood(t *testing.T) {
	g := w.gateway(t, "floodgw", nil)
	g.from = oneHop("203.0.113.77")
	w.clock.advance(time.Minute)
	defer w.clock.stand()()
	last := &Reply{}
	for range 40 {
		last = g.register(nil)
	}
	if last.Status != http.StatusTooManyRequests || last.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s", last.Status, last.Raw)
	}
	app, err := w.API.App(t.Context(), g.App)
	if err != nil || app.OAuth.Children != 30 {
		t.Errorf("%+v, %v", app.OAuth, err)
	}
	for i := range 120 { // from many networks
		g.from = oneHop(fmt.Sprintf("203.%d.113.1", i))
		last = g.register(nil)
	}
	if last.Status != http.StatusTooManyRequests {
		t.Errorf("%d %s", last.Status, last.Raw)
	}
	w.clock.advance(time.Minute)
	g.from = oneHop("203.0.113.78")
	if reply := g.register(nil); reply.Status != http.StatusCreated {
		t.Errorf("a minute later: %d %s", reply.Status, reply.Raw)
	}
	w.fill(t, g)
	w.clock.advance(time.Minute)
	reply := g.register(nil)
	w.refusedBy(t, reply, http.StatusTooManyRequests, "temporarily_unavailable", "too_many_clients")
}

// fill brings the clients of a gateway to their bound.
func (w *world) fill(t *testing.T, g *gateway) {
	err := w.Store.Update(t.Context(), func(tx store.Tx) error {
		n, err := sp.Apps.Count(tx, store.Page{Index: "parent", Value: g.App}, sp.MaxChildren)
		for ; n < sp.MaxChildren && err == nil; n++ {
			app := sp.New("Filler", sp.Definition{OAuth: &sp.OAuth{}}, sp.PermitAll, g.App, time.Now())
			app.Parent = g.App
			err = sp.Apps.Put(tx, &app)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
