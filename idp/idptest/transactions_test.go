package idptest

import (
	"context"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"

	"gatehouse/store"
)

// counting counts the transactions of a store.
type counting struct {
	store.Store
	views, updates atomic.Int64
}

func (c *counting) View(ctx context.Context, fn func(store.Tx) error) error {
	c.views.Add(1)
	return c.Store.View(ctx, fn)
}

func (c *counting) Update(ctx context.Context, fn func(store.Tx) error, reads ...[]byte) error {
	c.updates.Add(1)
	return c.Store.Update(ctx, fn, reads...)
}

// TestTransactionsOfAnswers bounds what a server asks of its store for the answers that it gives all day: one commit each, which is the
// larger part of what they cost beside a signature (docs/decisions/0033), and a few reads.
func TestTransactionsOfAnswers(t *testing.T) {
	t.Parallel()
	counted := &counting{}
	s := Start(t, Options{Store: func(inner store.Store) store.Store {
		counted.Store = inner
		return counted
	}})
	s.AddPerson(t, "ana", "Employees")
	app := NewSP(t, "wiki")
	s.AddApp(t, app.Metadata(), nil)
	rp := s.Client(t, "shop", map[string]any{
		"grant_types": []string{"authorization_code", "refresh_token", "client_credentials"}, "scope": "openid offline_access orders.read",
	}, map[string]string{"oauth.run_as": "ana", "oauth.introspect": "all"})
	ana := s.SignedIn(t, "ana")
	token := rp.Tokens(ana, "scope", "openid offline_access", "prompt", "consent")
	ana.Get(app.RedirectURL(s.URL+"/saml/sso", Ask{})) // the app joins the session
	var code string
	for name, one := range map[string]struct {
		ready          func()
		ask            func() int // the status
		updates, views int64
	}{
		"sign-on": {func() {}, func() int { return ana.Get(app.RedirectURL(s.URL+"/saml/sso", Ask{})).Status }, 1, 6},
		"code":    {func() { code = rp.Code(ana) }, func() int { return rp.Redeem(code).Status }, 1, 2},
		"refresh": {func() {}, func() int {
			token = rp.Refresh(token.Text("refresh_token"))
			return token.Status
		}, 1, 2},
		"client credentials": {func() {}, func() int {
			return rp.Send("/oauth/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"orders.read"}}).Status
		}, 1, 2},
		"introspection": {func() {}, func() int { return rp.Introspect(token.Text("access_token")).Status }, 0, 2},
	} {
		least := [2]int64{1000, 1000} // what runs beside an answer now and then does not count
		for range 5 {
			one.ready()
			updates, views := counted.updates.Load(), counted.views.Load()
			if status := one.ask(); status != http.StatusOK {
				t.Errorf("%s: %d", name, status)
			}
			least[0] = min(least[0], counted.updates.Load()-updates)
			least[1] = min(least[1], counted.views.Load()-views)
		}
		if least[0] != one.updates || least[1] > one.views {
			t.Errorf("%s: %d updates and %d views, want %d and at most %d", name, least[0], least[1], one.updates, one.views)
		}
	}
}
