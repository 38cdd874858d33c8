package idptest

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/sp"
	"gatehouse/store"
)

// TestRoad is what strangers and time may do to a sign-in that waits: bounds, frames, addresses to go on to, changes.
func TestRoad(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plain := w.sp(t, "plain", nil)
	t.Run("waiting requests of one IPv6 network", func(t *testing.T) { w.waitingNetworks(t, plain) })
	t.Run("a frame cannot begin a sign-in", func(t *testing.T) { w.framed(t, plain) })
	t.Run("a sign-in waits for ten minutes", func(t *testing.T) { w.tenMinutes(t, plain) })
	t.Run("an unbound request has one owner", func(t *testing.T) { w.claimedOnce(t, plain) })
	t.Run("where a sign-in leads", func(t *testing.T) { w.nextPaths(t) })
	t.Run("deep links survive the sign-in", func(t *testing.T) { w.deepLinks(t) })
	t.Run("the app changes between password and answer", func(t *testing.T) { w.betweenPasswordAndAnswer(t) })
	t.Run("a disabled person's session", func(t *testing.T) { w.disabledSession(t, plain) })
	t.Run("cancelling what does not wait", func(t *testing.T) {
		for _, form := range []url.Values{{"cancel": {"yes"}}, {"cancel": {"yes"}, "flow": {"NOSUCHFLOW"}}, {"cancel": {"yes"}, "next": {"/account"}}} {
			w.checkHere(t, w.browser(t).Post("/login", form), "expired_flow")
		}
	})
}

// stay lets the client stop at every redirect, so that a test can look at where it leads.
func stay(c *Client) *Client {
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c
}

// from is a fresh browser at one address.
func (w *world) from(t *testing.T, address string) *Client {
	c := w.browser(t)
	c.http.Transport = oneHop(address)
	return c
}

// waitingNetworks: the addresses of one /64, which one subscriber has, share their 200 places; others have their own.
func (w *world) waitingNetworks(t *testing.T, sp *SP) {
	for i := range 200 {
		page := w.send(t, stay(w.from(t, fmt.Sprintf("2001:db8:1:2:%x::%x", i, i+1))), sp, Ask{}, false)
		if page.Status != http.StatusSeeOther || !strings.HasPrefix(page.Header.Get("Location"), "/login?flow=") {
			t.Fatalf("request %d gets %d to %q", i+1, page.Status, page.Header.Get("Location"))
		}
	}
	full := w.from(t, "2001:db8:1:2:ffff::1")
	for _, post := range []bool{false, true} {
		page := w.send(t, full, sp, Ask{}, post)
		w.checkHere(t, page, "too_many_waiting")
		if page.Status != http.StatusTooManyRequests || page.Header.Get("Retry-After") != "600" || !strings.Contains(page.Body, "try again in ten minutes") {
			t.Errorf("%d, retry after %q:\n%s", page.Status, page.Header.Get("Retry-After"), page.Body)
		}
	}
	ask := Ask{ID: newRequestID()}
	w.check(t, w.send(t, w.from(t, "2001:db8:1:3::1"), sp, ask, false), sp, ask, signIn())
	inside := w.ana(t)
	ask = Ask{ID: newRequestID()}
	w.check(t, w.send(t, inside, sp, ask, false), sp, ask, issued())
	if page := full.SignIn(full.Get("/login"), "ana", Password); page.URL.Path != "/" {
		t.Errorf("the portal is closed to the full network: %d at %s", page.Status, page.URL)
	}
	ask = Ask{ID: newRequestID()} // needs no place
	w.check(t, w.send(t, full, sp, ask, false), sp, ask, issued())
}

// framed: only a window of its own may begin a sign-in; what is embedded takes no place, and leaves a signed-in person alone.
func (w *world) framed(t *testing.T, sp *SP) {
	visit := func(c *Client, destination string, ask Ask) *Page {
		sp.t, ask.Instant = t, w.clock.instant()
		r := c.request(http.MethodGet, sp.RedirectURL(w.sso, ask), nil)
		r.Header.Set("Sec-Fetch-Dest", destination)
		return c.Do(r)
	}
	for _, destination := range []string{"iframe", "frame", "embed", "object", "image", "script", "empty"} {
		entry := w.checkHere(t, visit(w.browser(t), destination, Ask{}), "embedded")
		if entry.Facts["received"] != destination || entry.App.Name == "" {
			t.Errorf("the audit says %+v of %s", entry, destination)
		}
	}
	posted := w.browser(t)
	r := posted.request(http.MethodPost, w.sso, sp.PostForm(w.sso, Ask{Instant: w.clock.instant()}))
	r.Header.Set("Sec-Fetch-Dest", "iframe")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	w.checkHere(t, stay(posted).Do(r), "embedded")
	for _, destination := range []string{"", "document"} {
		ask := Ask{ID: newRequestID()}
		w.check(t, visit(w.browser(t), destination, ask), sp, ask, signIn())
	}
	pages := w.from(t, "198.51.100.20")
	for range 70 {
		if page := visit(pages, "image", Ask{}); page.Status != http.StatusBadRequest || page.Header.Get("Location") != "" {
			t.Fatalf("an image gets %d", page.Status)
		}
	}
	list, err := w.waitingOf("198.51.100.20")
	if err != nil || list != 0 {
		t.Errorf("%d images wait, %v", list, err)
	}
}

// tenMinutes: a moment before the end it can be finished; from the end on a page says what to do, and nothing is issued.
func (w *world) tenMinutes(t *testing.T, sp *SP) {
	for _, one := range []struct {
		passes time.Duration
		want   outcome
	}{{10*time.Minute - 5*time.Second, issued()}, {10 * time.Minute, here("expired_flow")}} {
		c, ask := w.browser(t), Ask{ID: newRequestID()}
		form := w.send(t, c, sp, ask, false)
		w.check(t, form, sp, ask, signIn())
		w.clock.advance(one.passes)
		page := c.SignIn(form, "ana", Password)
		w.check(t, page, sp, ask, one.want)
		if one.want.kind == "here" && !strings.Contains(page.Body, "Go back to the app and start again there.") {
			t.Errorf("the page does not say what to do:\n%s", page.Body)
		}
	}
}

// claimedOnce: of many browsers that show an unbound request at the same moment, one gets it, signed in or not.
func (w *world) claimedOnce(t *testing.T, provider *SP) {
	sender := stay(w.browser(t))
	r := sender.request(http.MethodPost, w.sso, provider.PostForm(w.sso, Ask{Instant: w.clock.instant()}))
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	target := sender.Do(r).Header.Get("Location")
	if !strings.HasPrefix(target, "/flow/") {
		t.Fatalf("a cross-site POST leads to %q", target)
	}
	pages := make([]*Page, 8)
	var all sync.WaitGroup
	for i := range pages {
		c := stay(w.browser(t))
		r := c.request(http.MethodGet, target, nil)
		all.Go(func() { pages[i] = c.Do(r) })
	}
	all.Wait()
	owners := 0
	for _, page := range pages {
		if strings.HasPrefix(page.Header.Get("Location"), "/login?flow=") {
			owners++
			continue
		}
		w.checkHere(t, page, "other_browser")
	}
	if owners != 1 {
		t.Errorf("%d browsers own the request", owners)
	}
}

// nextPaths: a sign-in leads to a path of ours and nowhere else, whatever the link or the form says.
func (w *world) nextPaths(t *testing.T) {
	w.clock.advance(time.Minute)
	for next, want := range map[string]string{
		"/": "/", "/account": "/account", "/account?tab=2": "/account?tab=2", "/admin/apps?q=a%20b": "/admin/apps?q=a%20b",
		"//evil.example": "/", "///evil.example": "/", `/\evil.example`: "/", `\\evil.example`: "/", "/\t/evil.example": "/",
		"/\n/evil.example": "/", "/\r\nSet-Cookie: a=b": "/", "/\x01": "/", "/\x7f": "/", "/\v/evil.example": "/",
		"https://evil.example/": "/", "HTTPS:evil.example": "/", "javascript:alert(1)": "/", "data:text/html,x": "/",
		"evil.example": "/", " //evil.example": "/", "account": "/", "?x": "/", "/%zz": "/",
	} {
		c := stay(w.browser(t))
		form := c.Get("/login?next=" + url.QueryEscape(next))
		for name, page := range map[string]*Page{
			"link": c.SignIn(form, "ana", Password),
			"form": w.posted(t, next),
		} {
			if location := page.Header.Get("Location"); page.Status != http.StatusSeeOther || location != want {
				t.Errorf("%s with %q: %d to %q, want %q", name, next, page.Status, location, want)
			}
		}
	}
	if location := w.posted(t, "/\x00").Header.Get("Location"); location != "/" { // no page can carry this one
		t.Errorf("a form with a zero byte leads to %q", location)
	}
}

// posted signs in with a form that nobody was shown.
func (w *world) posted(t *testing.T, next string) *Page {
	return stay(w.browser(t)).Post("/login", url.Values{"next": {next}, "name": {"ana"}, "password": {Password}})
}

// deepLinks: who comes to a page of ours without a session is back there after the sign-in; a posted form is not repeated.
func (w *world) deepLinks(t *testing.T) {
	c := w.browser(t)
	form := c.Get("/account?from=mail&x=%2F")
	if form.URL.Path != "/login" || form.Field("next") != "/account?from=mail&x=%2F" {
		t.Errorf("rests at %s with next %q", form.URL, form.Field("next"))
	}
	wrong := c.SignIn(form, "ana", "not the password")
	if page := c.SignIn(wrong, "ana", Password); page.URL.RequestURI() != "/account?from=mail&x=%2F" || page.Status != http.StatusOK {
		t.Errorf("the sign-in leads to %s with %d", page.URL, page.Status)
	}
	if page := w.browser(t).Post("/account/password", url.Values{"new": {"x"}}); page.URL.Path != "/login" || page.Field("next") != "/" {
		t.Errorf("a form without session rests at %s with next %q", page.URL, page.Field("next"))
	}
}

// betweenPasswordAndAnswer stops after the password: what became of the app meanwhile decides.
func (w *world) betweenPasswordAndAnswer(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(t *testing.T, provider *SP)
		want   outcome
	}{
		{"blocked", func(t *testing.T, provider *SP) { w.move(t, provider, "block") }, there("app_blocked", "Responder", "RequestDenied")},
		{"pending", func(t *testing.T, provider *SP) { w.setState(t, provider, sp.Pending) }, here("app_pending")},
		{"removed", func(t *testing.T, provider *SP) {
			if _, err := w.API.RemoveApp(t.Context(), provider.EntityID); err != nil {
				t.Fatal(err)
			}
		}, here("unknown_app")},
	} {
		t.Run(c.name, func(t *testing.T) {
			provider := w.sp(t, "between-"+c.name, nil)
			browser, ask := w.browser(t), Ask{ID: newRequestID()}
			form := w.send(t, browser, provider, ask, false)
			w.check(t, form, provider, ask, signIn())
			resume := w.passwordOnly(t, browser, form)
			c.change(t, provider)
			w.check(t, browser.Get(resume), provider, ask, c.want)
			w.checkHere(t, browser.Get(resume), "expired_flow")
		})
	}
}

// passwordOnly gives ana's password and returns where the browser is sent, without going there.
func (w *world) passwordOnly(t *testing.T, c *Client, form *Page) string {
	t.Helper()
	follow := c.http.CheckRedirect
	resume := stay(c).SignIn(form, "ana", Password).Header.Get("Location")
	c.http.CheckRedirect = follow
	if !strings.HasPrefix(resume, "/flow/") {
		t.Fatalf("the password leads to %q", resume)
	}
	return resume
}

// setState changes an app's state in the store, for states that no command leads to.
func (w *world) setState(t *testing.T, provider *SP, state sp.State) {
	t.Helper()
	app, err := w.API.App(t.Context(), provider.EntityID)
	if err != nil {
		t.Fatal(err)
	}
	err = w.Store.Update(t.Context(), func(tx store.Tx) error {
		record, _, err := sp.Apps.Get(tx, app.ID)
		if err != nil {
			return err
		}
		record.State = state
		return sp.Apps.Put(tx, &record)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// disabledSession: the session is asked about the person at every request, even if nobody ended it.
func (w *world) disabledSession(t *testing.T, provider *SP) {
	w.AddPerson(t, "eve", "Employees")
	c := w.signedIn(t, "eve")
	disable := func(disabled bool) {
		t.Helper()
		err := w.Store.Update(t.Context(), func(tx store.Tx) error {
			user, _, err := directory.Users.By(tx, "name", "eve")
			if err != nil {
				return err
			}
			user.Disabled = disabled
			return directory.Users.Put(tx, &user)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	disable(true)
	for _, page := range []*Page{c.Get("/"), c.Get("/account"), c.Get("/admin/apps"), c.Post("/account/sessions/end-others", nil), c.Post("/account/password", nil)} {
		w.checkHere(t, page, "user_active")
		if page.Status != http.StatusForbidden || !strings.Contains(page.Body, "Your account is disabled. Ask your administrator to enable it.") {
			t.Errorf("%s: %d:\n%s", page.URL, page.Status, page.Body)
		}
	}
	ask := Ask{ID: newRequestID()}
	w.check(t, w.send(t, c, provider, ask, false), provider, ask, there("user_active", "Responder", "AuthnFailed"))
	disable(false)
	if page := c.Get("/account"); page.Status != http.StatusOK {
		t.Fatalf("enabled again: %d", page.Status)
	}
	for _, enabled := range []bool{false, true} { // the command ends the sessions too, for good
		if _, err := w.API.EnableUser(t.Context(), "eve", enabled); err != nil {
			t.Fatal(err)
		}
		if page := c.Get("/account"); page.URL.Path != "/login" {
			t.Errorf("enabled %t: the session leads to %s with %d", enabled, page.URL, page.Status)
		}
	}
}

// waitingOf counts the requests that wait for an address.
func (w *world) waitingOf(address string) (n int, err error) {
	err = w.Store.View(context.Background(), func(tx store.Tx) (err error) {
		n, err = flow.Requests.Count(tx, store.Page{Index: "network", Value: address}, 1000)
		return err
	})
	return n, err
}
