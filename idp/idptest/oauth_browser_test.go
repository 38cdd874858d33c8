package idptest

import (
	"net/http"
	"testing"
	"time"

	"gatehouse/idp/api"
)

// TestOAuthInABrowser signs in to an app whose redirect URI leads on to another origin: browsers apply the form-action of the
// sign-in and the consent page to every redirect that follows, so those pages must send none.
func TestOAuthInABrowser(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	s.AddPerson(t, "ana", "Employees")
	landing := otherSite(t, false, map[string]http.HandlerFunc{"/home": page(`<p id="home">orders`)})
	var rp *RP
	site := otherSite(t, false, map[string]http.HandlerFunc{
		"/cb": func(w http.ResponseWriter, r *http.Request) {
			if r.FormValue("code") == "" || r.FormValue("iss") != s.URL {
				t.Errorf("%s %s", r.Method, r.URL)
			}
			http.Redirect(w, r, landing+"/home", http.StatusSeeOther)
		},
		"/start": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, s.URL+"/oauth/authorize?"+rp.Ask("scope", "openid email").Encode(), http.StatusSeeOther)
		},
		"/posted": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, s.URL+"/oauth/authorize?"+rp.Ask("response_mode", "form_post").Encode(), http.StatusSeeOther)
		},
	})
	rp = s.Client(t, "orders", map[string]any{"redirect_uris": []string{site + "/cb"}, "initiate_login_uri": site + "/start"}, nil)
	b := NewBrowser(t)
	b.Open(site + "/start")
	b.WaitFor("#f-name")
	b.signIn("ana", Password)
	b.WaitFor("main form button")
	b.Show("oauth-consent-1280")
	b.Phone()
	b.Show("oauth-consent-390")
	b.Desktop()
	b.Click(`main form button:not([name="cancel"])`)
	b.WaitFor("#home")
	b.Open(site + "/posted")
	b.WaitFor("#home")
	b.Open(s.URL + "/launch/" + rp.App)
	b.WaitFor("#home")
	phone := s.given(t, "ana", time.Now) // the second factor's form is answered by the same redirects
	if _, err := s.API.SetApp(t.Context(), rp.App, api.Change{Set: map[string]string{"policy.min_level": "high"}}); err != nil {
		t.Fatal(err)
	}
	b.Open(site + "/start")
	b.Type("#f-code", phone.code(t, 0))
	b.Click("form[data-once] button.wide")
	b.WaitFor("#home")
}
