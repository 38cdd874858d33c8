package idptest

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"

	"gatehouse/idp/api"
)

// TestClientPackage carries an OAuth client to another server over the wire: there it has a client id and a secret of its own, by which
// people sign in, and what it was known by before is worth nothing.
func TestClientPackage(t *testing.T) {
	t.Parallel()
	from, to := newWorld(t), newWorld(t)
	rp := from.Client(t, "traveller", map[string]any{"scope": "openid email orders.read"}, map[string]string{"custom_attributes": `[{"name":"costCentre","source":"cost_centre"}]`, "oauth.access_token_format": "jwt", "policy.users": "ana"})
	if _, err := from.API.RegistrationToken(t.Context(), rp.App); err != nil {
		t.Fatal(err)
	}
	p, err := from.API.ExportApp(t.Context(), rp.App)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(p)
	for _, kept := range []string{rp.ID, rp.Secret, rp.App, "policy", "usr_", "introspect", "gir_"} {
		if err != nil || strings.Contains(string(text), kept) {
			t.Errorf("the package says %q: %s, %v", kept, text, err)
		}
	}
	if _, err := to.API.AddApp(t.Context(), api.NewApp{Metadata: string(text)}); err == nil || !strings.Contains(err.Error(), "orders.read") {
		t.Errorf("a scope that is not there: %v", err)
	}
	to.haveScopes(t, []string{"orders.read"})
	added, err := to.API.AddApp(t.Context(), api.NewApp{Metadata: string(text)})
	if err != nil || added.ClientID == rp.ID || added.ClientSecret == "" || added.App.State != "active" {
		t.Fatalf("%+v, %v", added, err)
	}
	if back, err := to.API.ExportApp(t.Context(), added.App.ID); err != nil || back.Metadata != "" || !maps.Equal(back.Settings, p.Settings) {
		t.Errorf("exported again: %+v, %v\nwant %+v", back, err, p)
	}
	there := &RP{App: added.App.ID, ID: added.ClientID, Secret: added.ClientSecret, Redirect: rp.Redirect, t: t, server: to.Server, http: http.DefaultClient, Verifier: strings.Repeat("v", 43)}
	token := there.Tokens(to.ana(t)).Text("access_token")
	if strings.Count(token, ".") != 2 || there.Introspect(token).JSON["active"] != true {
		t.Errorf("the token %q", token)
	}
	stranger := *there
	stranger.Secret = rp.Secret
	if reply := stranger.Send("/oauth/token", alone); reply.Status != http.StatusUnauthorized {
		t.Errorf("the secret from before: %d %v", reply.Status, reply.JSON)
	}
}
