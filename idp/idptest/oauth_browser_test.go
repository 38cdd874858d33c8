package idptest

import (
	"image"
	"image/png"
	"net/http"
	"strings"
	"sync/atomic"
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
			http.Redirect(w, r, s.URL+"/oauth/authorize?"+rp.Ask("scope", "openid profile email offline_access orders.read").Encode(), http.StatusSeeOther)
		},
		"/posted": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, s.URL+"/oauth/authorize?"+rp.Ask("response_mode", "form_post").Encode(), http.StatusSeeOther)
		},
	})
	var pictured, by atomic.Value
	own := otherSite(t, false, map[string]http.HandlerFunc{"/logo.png": func(w http.ResponseWriter, r *http.Request) {
		pictured.Store(true)
		by.Store(r.UserAgent())
		_ = png.Encode(w, image.NewGray(image.Rect(0, 0, 64, 64)))
	}})
	rp = s.Client(t, "orders", map[string]any{
		"redirect_uris": []string{site + "/cb"}, "initiate_login_uri": site + "/start", "scope": "openid profile email offline_access orders.read",
		"client_uri": own + "/about", "logo_uri": own + "/logo.png", "policy_uri": own + "/privacy", "tos_uri": own + "/terms",
	}, nil)
	b := NewBrowser(t)
	b.Open(site + "/start")
	b.WaitFor("#f-name")
	b.signIn("ana", Password)
	b.WaitFor("main form button")
	t.Run("ODY-09 by browser", func(t *testing.T) {
		if links := strings.Join(b.Texts(`.app-links a[rel="noopener noreferrer"][target="_blank"]`), ", "); links != "About orders, Privacy at orders, Terms of orders" {
			t.Errorf("links: %s", links)
		}
		for _, path := range []string{"/about", "/privacy", "/terms"} {
			b.WaitFor(`.app-links a[href="` + own + path + `"]`)
		}
		b.WaitFor(`main img.app-logo[src^="/app-logo/"]`)
		eventually(t, "the picture is not shown", func() bool { return b.Text(`main img.app-logo`) == "" && pictured.Load() != nil })
		if by.Load() != "Gatehouse" {
			t.Errorf("the picture was asked for by %v", by.Load())
		}
		if asks := strings.Join(b.Texts(".asks li"), ", "); asks != "Know you by an identifier of your account, See your name and your profile, See your e-mail address, Do all of this while you are away, Use orders.read (orders.read)" {
			t.Errorf("asks: %s", asks)
		}
		if text := b.Text("main"); !strings.Contains(text, "the app may:") || strings.Contains(text, "is told") {
			t.Errorf("%s", text)
		}
	})
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
