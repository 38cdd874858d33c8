package idptest

import "testing"

func TestOAuthSmoke(t *testing.T) {
	w := newWorld(t)
	rp := w.Client(t, "orders", nil, nil)
	reply := rp.Tokens(w.ana(t), "scope", "openid profile email offline_access")
	t.Log(reply.Raw)
	h, c := rp.Claims(reply.Text("id_token"))
	t.Log(h, c)
	t.Log(rp.UserInfo(reply.Text("access_token")).Raw)
	t.Log(rp.Introspect(reply.Text("access_token")).Raw)
	second := rp.Refresh(reply.Text("refresh_token"))
	t.Log(second.Raw)
	t.Log(rp.Introspect(second.Text("refresh_token")).Raw)
	t.Log(rp.Refresh(reply.Text("refresh_token")).Raw)
	t.Log(rp.Introspect(second.Text("access_token")).Raw)
	for _, e := range w.Audit(t)[:6] {
		t.Logf("%s %s %s %v", e.Kind, e.Outcome, e.Reason, e.Facts)
	}
	var d map[string]any
	w.JSON(t, "/.well-known/openid-configuration", &d)
	t.Log(d)
}
