package idptest

import (
	"net/http"
	"strings"
	"testing"

	"gatehouse/idp/api"
)

// TestSectors registers clients of several hosts that know people by one pairwise subject.
func TestSectors(t *testing.T) {
	t.Parallel()
	w, d := newWorld(t), newDocumentServer(t)
	g := w.gateway(t, "sectorgw", nil)
	d.send("/sector", "application/json", `["https://partner.example.org/cb","https://other.example.net/cb"]`)
	register := func(uri string, redirects ...string) *Reply {
		return g.register(map[string]any{"subject_type": "pairwise", "sector_identifier_uri": uri, "redirect_uris": redirects})
	}
	subject := func(reply *Reply, redirect string) string {
		rp := g.child(reply)
		rp.Redirect = redirect
		_, claims := rp.Claims(rp.Tokens(w.ana(t)).Text("id_token"))
		return claims["sub"].(string)
	}
	t.Run("ODY-11 good", func(t *testing.T) {
		both := register(d.URL+"/sector", "https://partner.example.org/cb", "https://other.example.net/cb")
		if both.Text("sector_identifier_uri") != d.URL+"/sector" {
			t.Errorf("%d %s", both.Status, both.Raw)
		}
		one := subject(both, "https://other.example.net/cb")
		if same := subject(register(d.URL+"/sector", "https://partner.example.org/cb"), "https://partner.example.org/cb"); same != one || strings.HasPrefix(one, "usr_") {
			t.Errorf("two clients of a sector: %s, %s", one, same)
		}
		if alone := subject(g.register(map[string]any{"subject_type": "pairwise"}), "https://partner.example.org/cb"); alone == one {
			t.Error("a client beside the sector knows its subjects")
		}
		change := map[string]any{"client_id": both.Text("client_id"), "subject_type": "pairwise", "sector_identifier_uri": d.URL + "/sector", "redirect_uris": []string{"https://evil.example/cb"}}
		reply := w.rest(t, http.MethodPut, both.Text("registration_client_uri"), both.Text("registration_access_token"), change, nil)
		w.refusedBy(t, reply, http.StatusBadRequest, "invalid_client_metadata", "bad_sector")
	})
	t.Run("ODY-11 bad", func(t *testing.T) {
		d.send("/object", "application/json", `{"redirect_uris":["https://partner.example.org/cb"]}`)
		d.send("/large", "application/json", `["https://partner.example.org/cb"]`+strings.Repeat(" ", 70<<10))
		d.answer("/away", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/sector", http.StatusFound) })
		for _, uri := range []string{
			d.URL + "/missing", d.URL + "/object", d.URL + "/large", d.URL + "/away", strings.Replace(d.URL, "https:", "http:", 1) + "/sector", "https://10.0.0.1/sector", "javascript:alert(1)",
		} {
			w.refusedBy(t, register(uri, "https://partner.example.org/cb"), http.StatusBadRequest, "invalid_client_metadata", "bad_sector")
		}
		w.refusedBy(t, register(d.URL+"/sector", "https://partner.example.org/cb", "https://evil.example/cb"), http.StatusBadRequest, "invalid_client_metadata", "bad_sector")
		w.refusedBy(t, register("", "https://partner.example.org/cb", "https://other.example.net/cb"), http.StatusBadRequest, "invalid_client_metadata", "bad_metadata")
	})
}

// TestAdministratorsSector: what an administrator sets is read like what a client registers, whenever a redirect URI changes.
func TestAdministratorsSector(t *testing.T) {
	t.Parallel()
	w, d := newWorld(t), newDocumentServer(t)
	d.send("/sector", "application/json", `["https://one.example.org/cb","https://two.example.net/cb"]`)
	metadata := `{"client_name":"Two hosts","subject_type":"pairwise","sector_identifier_uri":"` + d.URL + `/sector","redirect_uris":["https://one.example.org/cb","https://two.example.net/cb"]}`
	added, err := w.API.AddApp(t.Context(), api.NewApp{OAuth: metadata})
	if err != nil {
		t.Fatal(err)
	}
	if value := settingOf(t, &added.App, "oauth.sector_identifier_uri"); value != d.URL+"/sector" {
		t.Errorf("the sector is %q", value)
	}
	set := func(values map[string]string) error {
		_, err := w.API.SetApp(t.Context(), added.App.ID, api.Change{Set: values})
		return err
	}
	for name, c := range map[string]struct {
		set  map[string]string
		says string
	}{
		"other redirect URI": {map[string]string{"oauth.redirect_uris": "https://evil.example/cb"}, "https://evil.example/cb is not there"},
		"not there":          {map[string]string{"oauth.sector_identifier_uri": d.URL + "/missing"}, "cannot be had now"},
		"plain http":         {map[string]string{"oauth.sector_identifier_uri": "http://one.example.org/sector"}, "must begin with https"},
		"private address":    {map[string]string{"oauth.sector_identifier_uri": "https://10.0.0.1/sector"}, "cannot be had now"},
		"no sector":          {map[string]string{"oauth.sector_identifier_uri": "default"}, "pairwise needs redirect URIs of one host"},
	} {
		if err := set(c.set); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	asked := d.count("/sector")
	if err := set(map[string]string{"description": "Nothing to look at."}); err != nil || d.count("/sector") != asked {
		t.Errorf("it is read for nothing: %v", err)
	}
	if err := set(map[string]string{"oauth.redirect_uris": "https://two.example.net/cb"}); err != nil || d.count("/sector") != asked+1 {
		t.Errorf("%d more requests, %v", d.count("/sector")-asked, err)
	}
	if err := set(map[string]string{"oauth.sector_identifier_uri": "default"}); err != nil {
		t.Error(err)
	}
	if _, err := w.API.AddApp(t.Context(), api.NewApp{OAuth: strings.Replace(metadata, "two.example.net/cb", "evil.example/cb", 1)}); err == nil || !strings.Contains(err.Error(), "is not there") {
		t.Errorf("a client beside the sector is added: %v", err)
	}
}

func settingOf(t *testing.T, app *api.App, key string) string {
	t.Helper()
	for _, s := range app.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	t.Fatalf("there is no setting %s", key)
	return ""
}
