package idptest

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/idp/api"
	"gatehouse/idp/directory"
	"gatehouse/store"
)

// TestAccount is what people do on their own pages: password, sessions, signing out, and links that open apps.
func TestAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	t.Run("the password is changed", func(t *testing.T) { w.passwordChanged(t) })
	t.Run("a bad new password", func(t *testing.T) { w.badPasswords(t) })
	t.Run("a wrong current password counts", func(t *testing.T) { w.wrongCurrent(t) })
	t.Run("signing out", func(t *testing.T) { w.signingOut(t) })
	t.Run("ending sessions of one's own", func(t *testing.T) { w.ownSessions(t) })
	t.Run("ending somebody else's session", func(t *testing.T) { w.foreignSessions(t) })
	t.Run("links of other sites", func(t *testing.T) { w.foreignLaunch(t) })
}

// change posts the password form.
func change(c *Client, current, fresh, repeat string) *Page {
	return c.Post("/account/password", url.Values{"current": {current}, "new": {fresh}, "repeat": {repeat}})
}

// signsIn tells whether a password opens the portal, from a browser and an address of its own.
func (w *world) signsIn(t *testing.T, name, password string) bool {
	t.Helper()
	c := w.browser(t)
	page := c.SignIn(c.Get("/login"), name, password)
	return page.Status == http.StatusOK && page.URL.Path == "/"
}

// in tells whether a cookie is worth a session.
func (w *world) in(t *testing.T, cookie *http.Cookie) bool {
	t.Helper()
	c := w.browser(t)
	c.AddCookie(cookie)
	return c.Get("/account").URL.Path == "/account"
}

// says demands a page with a status and a sentence.
func says(t *testing.T, page *Page, status int, sentence string) {
	t.Helper()
	if page.Status != status || !strings.Contains(page.Body, sentence) {
		t.Errorf("%s gives %d, want %d and %q:\n%s", page.URL, page.Status, status, sentence, page.Body)
	}
}

const fresh = "another horse battery"

func (w *world) passwordChanged(t *testing.T) {
	w.AddPerson(t, "carl", "Employees")
	c, other, stranger := w.signedIn(t, "carl"), w.signedIn(t, "carl"), w.signedIn(t, "bob")
	old, handle := c.SessionCookie(), ownHandle(c.Get("/account"))
	page := change(c, Password, fresh, fresh)
	says(t, page, http.StatusOK, "Your password is changed and your other sessions are signed out.")
	if len(listed(page)) != 1 || ownHandle(page) != handle {
		t.Errorf("the page lists %v, and this one is %q", listed(page), handle)
	}
	if entry := w.Audit(t)[0]; entry.Kind != "user.password" || entry.Outcome != "ok" || entry.User.Name != "carl" || entry.Actor.Name != "carl" {
		t.Errorf("audit: %+v", entry)
	}
	if c.SessionCookie().Value == old.Value || w.in(t, old) {
		t.Error("the session kept its secret")
	}
	if page := c.Get("/account"); page.URL.Path != "/account" {
		t.Errorf("the session that changed it is at %s", page.URL)
	}
	if page := other.Get("/account"); page.URL.Path != "/login" {
		t.Errorf("the other session is at %s", page.URL)
	}
	if page := stranger.Get("/account"); page.URL.Path != "/account" {
		t.Errorf("another person is at %s", page.URL)
	}
	if w.signsIn(t, "carl", Password) || !w.signsIn(t, "carl", fresh) {
		t.Error("the old password signs in, or the new one does not")
	}
}

// badPasswords: each gets a sentence at its field, and changes nothing.
func (w *world) badPasswords(t *testing.T) {
	w.AddPerson(t, "dora", "Employees")
	c, other := w.signedIn(t, "dora"), w.signedIn(t, "dora")
	secret := c.SessionCookie().Value
	const short, differ = "The password is too short: use at least 8 characters.", "The two new passwords are not the same. Type the new one twice."
	for _, one := range []struct{ current, fresh, repeat, says string }{
		{Password, "", "", short},
		{Password, "short", "short", short},
		{Password, strings.Repeat("x", 1025), strings.Repeat("x", 1025), "The password is too long: use at most 1024 bytes."},
		{Password, fresh, fresh + " ", differ},
		{Password, fresh, "", differ},
		{"", fresh, fresh, "That is not your current password."},
		{"wrong", fresh, fresh, "That is not your current password."},
		{fresh, fresh, fresh, "That is not your current password."},
		{strings.Repeat("x", 2000), fresh, fresh, "That is not your current password."},
	} {
		page := change(c, one.current, one.fresh, one.repeat)
		says(t, page, http.StatusUnprocessableEntity, one.says)
		if strings.Contains(page.Body, fresh) || strings.Contains(page.Body, Password) {
			t.Errorf("a password is on the page of %q", one.says)
		}
	}
	if page := c.Get("/account/password"); page.Status != http.StatusMethodNotAllowed {
		t.Errorf("GET gives %d", page.Status)
	}
	r := c.request(http.MethodPost, "/account/password", url.Values{"current": {Password}, "new": {fresh}, "repeat": {fresh}})
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	says(t, c.Do(r), http.StatusForbidden, "This request came from another website, so nothing was done.")
	if c.SessionCookie().Value != secret || other.Get("/account").URL.Path != "/account" || !w.signsIn(t, "dora", Password) {
		t.Error("something was changed")
	}
}

// wrongCurrent: a stolen session cannot guess the password, and a throttled try is not called wrong.
func (w *world) wrongCurrent(t *testing.T) {
	finn := w.AddPerson(t, "finn", "Employees")
	c, thief := w.from(t, "203.0.113.77"), w.from(t, "203.0.113.78")
	c.SignIn(c.Get("/login"), "finn", Password)
	thief.AddCookie(c.SessionCookie())
	for range 3 {
		says(t, change(thief, "wrong", fresh, fresh), http.StatusUnprocessableEntity, "That is not your current password.")
	}
	err := w.Store.View(t.Context(), func(tx store.Tx) error {
		activity, _, err := directory.Activities.Get(tx, finn.ID)
		if activity.Failures != 3 {
			t.Errorf("a restart would know of %d failures from a strange network, want 3", activity.Failures)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.clock.stand()()
	for range 10 {
		says(t, change(c, "wrong", fresh, fresh), http.StatusUnprocessableEntity, "That is not your current password.")
	}
	if entry := w.Audit(t)[0]; entry.Kind != "user.password" || entry.Outcome != "refused" || entry.Reason != "wrong_password" || entry.User.Name != "finn" {
		t.Errorf("audit: %+v", entry)
	}
	page := change(c, Password, fresh, fresh)
	says(t, page, http.StatusTooManyRequests, "Too many tries. Wait a moment, then try again.")
	if page.Header.Get("Retry-After") == "" || strings.Contains(page.Body, "That is not your current password.") {
		t.Errorf("retry after %q:\n%s", page.Header.Get("Retry-After"), page.Body)
	}
	door := w.from(t, "203.0.113.77")
	says(t, door.SignIn(door.Get("/login"), "finn", Password), http.StatusTooManyRequests, "Too many tries.")
	w.clock.advance(time.Minute)
	says(t, change(c, Password, fresh, fresh), http.StatusOK, "Your password is changed")
}

// signingOut: a link asks, the button ends the session in the store.
func (w *world) signingOut(t *testing.T) {
	c := w.signedIn(t, "bob")
	cookie := c.SessionCookie()
	asked := c.Get("/logout")
	if forms := strings.Count(asked.Body, "<form"); asked.Status != http.StatusOK || forms != 1 || asked.Action() != "/logout" || strings.Count(asked.Body, "<button") != 1 {
		t.Errorf("the page has %d forms, the first to %q:\n%s", forms, asked.Action(), asked.Body)
	}
	r := c.request(http.MethodPost, "/logout", nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	says(t, c.Do(r), http.StatusForbidden, "another website")
	if !w.in(t, cookie) {
		t.Fatal("a link or another site signed somebody out")
	}
	says(t, c.Post(asked.Action(), nil), http.StatusOK, "Signed out")
	if entry := w.Audit(t)[0]; entry.Kind != "signout" || entry.Outcome != "ok" || entry.User.Name != "bob" {
		t.Errorf("audit: %+v", entry)
	}
	if w.in(t, cookie) || c.Get("/").URL.Path != "/login" {
		t.Error("the session lives on")
	}
	says(t, w.browser(t).Post("/logout", nil), http.StatusOK, "Signed out") // nobody was signed in
}

var sessionRow = regexp.MustCompile(`(?s)<li><span class="row-icon">.*?</li>`)

// listed are the sessions on the account page: handle → whether it is marked as this one.
func listed(page *Page) map[string]bool {
	all := map[string]bool{}
	for _, row := range sessionRow.FindAllString(page.Body, -1) {
		all[(&Page{Body: row}).Field("session")] = strings.Contains(row, ">this one<")
	}
	return all
}

// ownHandle is the session that the page marks as this one, empty unless it is exactly one.
func ownHandle(page *Page) (handle string) {
	for one, own := range listed(page) {
		if own && handle != "" {
			return ""
		}
		if own {
			handle = one
		}
	}
	return handle
}

func (w *world) ownSessions(t *testing.T) {
	w.AddPerson(t, "gina", "Employees")
	c, phone, third, fourth := w.signedIn(t, "gina"), w.signedIn(t, "gina"), w.signedIn(t, "gina"), w.signedIn(t, "gina")
	page := c.Get("/account")
	own, ends := ownHandle(page), ownHandle(phone.Get("/account"))
	if len(listed(page)) != 4 || own == "" || ends == "" || own == ends {
		t.Fatalf("%d sessions, %q and %q:\n%s", len(listed(page)), own, ends, page.Body)
	}
	after := c.Post("/account/sessions/end", url.Values{"session": {ends}})
	if _, lives := listed(after)[ends]; after.Status != http.StatusOK || after.URL.Path != "/account" || lives || len(listed(after)) != 3 {
		t.Errorf("%d at %s with %v", after.Status, after.URL, listed(after))
	}
	if entry := w.Audit(t)[0]; entry.Kind != "session.end" || entry.Outcome != "ok" || entry.Facts["session"] != ends {
		t.Errorf("audit: %+v", entry)
	}
	if phone.Get("/account").URL.Path != "/login" || third.Get("/account").URL.Path != "/account" {
		t.Error("another session ended than the one that was meant")
	}
	says(t, c.Post("/account/sessions/end", url.Values{"session": {ends}}), http.StatusBadRequest, "That session is not among yours, or it is over already.")
	if after = c.Post("/account/sessions/end-others", nil); len(listed(after)) != 1 || ownHandle(after) != own {
		t.Errorf("after ending the others: %v", listed(after))
	}
	if third.Get("/account").URL.Path != "/login" || fourth.Get("/account").URL.Path != "/login" {
		t.Error("a session lives on")
	}
	if page := c.Post("/account/sessions/end", url.Values{"session": {own}}); page.URL.Path != "/login" {
		t.Errorf("ending this one leads to %s", page.URL)
	}
}

// foreignSessions: whoever knows the handle of another person's session can do nothing with it.
func (w *world) foreignSessions(t *testing.T) {
	w.AddPerson(t, "hugo", "Employees")
	c, victim := w.signedIn(t, "hugo"), w.signedIn(t, "bob")
	own, foreign := c.Get("/account"), ownHandle(victim.Get("/account"))
	if foreign == "" || strings.Contains(own.Body, foreign) {
		t.Fatalf("the handle is %q, and on the page of another person:\n%s", foreign, own.Body)
	}
	for _, handle := range []string{foreign, "", "ses_nothing", victim.SessionCookie().Value} {
		page := c.Post("/account/sessions/end", url.Values{"session": {handle}})
		w.checkHere(t, page, "no_such_session")
		says(t, page, http.StatusBadRequest, "That session is not among yours, or it is over already.")
	}
	c.Post("/account/sessions/end-others", nil)
	if victim.Get("/account").URL.Path != "/account" || c.Get("/account").URL.Path != "/account" {
		t.Error("a session ended")
	}
}

// foreignLaunch: a link of another site shows one button, and keeps what it asks for; the refusals come behind the button.
func (w *world) foreignLaunch(t *testing.T) {
	provider := w.newSP(t, "linked")
	added := w.AddApp(t, provider.Metadata(), map[string]string{"saml.allowed_relay_states": "https://linked.example.org"})
	visit := func(c *Client, path string) *Page {
		r := c.request(http.MethodGet, path, nil)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		return c.Do(r)
	}
	for _, one := range []struct {
		relay string
		want  outcome
	}{{"https://linked.example.org/deep?x=1&y=2", issued()}, {"https://evil.example/", here("bad_relay_state")}} {
		asked := visit(w.ana(t), "/launch/"+added.ID+"?RelayState="+url.QueryEscape(one.relay))
		if asked.Status != http.StatusOK || strings.Count(asked.Body, "<form") != 1 || strings.Count(asked.Body, "<button") != 1 || strings.Contains(asked.Body, "SAMLResponse") {
			t.Fatalf("%d:\n%s", asked.Status, asked.Body)
		}
		w.check(t, w.ana(t).Post(asked.Action(), nil), provider, Ask{RelayState: &one.relay}, one.want)
	}
	if _, err := w.API.RemoveApp(t.Context(), added.ID); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{added.ID, "app_nothing", "portal", "console"} {
		page := visit(w.browser(t), "/launch/"+id)
		w.checkHere(t, page, "unknown_app")
		if strings.Contains(page.Body, added.Name) {
			t.Errorf("the name of a removed app is on the page:\n%s", page.Body)
		}
	}
}

// meddling runs something once, just before the next transaction that writes for somebody's browser: the server's own jobs write too.
type meddling struct {
	store.Store
	first atomic.Pointer[func()]
}

func (m *meddling) Update(ctx context.Context, fn func(store.Tx) error, reads ...[]byte) error {
	if _, public := ctx.Value(http.LocalAddrContextKey).(*net.TCPAddr); public {
		if first := m.first.Swap(nil); first != nil {
			(*first)()
		}
	}
	return m.Store.Update(ctx, fn, reads...)
}

// TestPasswordChangeRaces lets an administrator act between the check of the old password and the change: what the
// administrator did holds, and nothing of the change does.
func TestPasswordChangeRaces(t *testing.T) {
	t.Parallel()
	m := &meddling{}
	w := &world{clock: &clock{}}
	w.Server = Start(t, Options{Now: w.clock.now, Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Store: func(inner store.Store) store.Store {
		m.Store = inner
		return m
	}})
	const reset = "given by the administrator"
	for name, one := range map[string]struct {
		act  func(name string) error
		then string // the password that signs in afterwards
	}{
		"reset": {func(name string) error { _, err := w.API.ResetPassword(t.Context(), name, reset); return err }, reset},
		"ended": {func(name string) error {
			_, err := w.API.EndSessions(t.Context(), api.EndSessions{User: name})
			return err
		}, Password},
		"disabled": {func(name string) error { _, err := w.API.EnableUser(t.Context(), name, false); return err }, ""},
		"removed":  {func(name string) error { return w.API.RemoveUser(t.Context(), name) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w.AddPerson(t, name, "Employees")
			c := w.signedIn(t, name)
			ran := false
			act := func() {
				ran = true
				if err := one.act(name); err != nil {
					t.Error(err)
				}
			}
			m.first.Store(&act)
			page := change(c, Password, fresh, fresh)
			says(t, page, http.StatusConflict, "Your account was changed at the same moment.")
			if !ran || !strings.Contains(page.Body, "Your password is not changed") {
				t.Errorf("ran: %t\n%s", ran, page.Body)
			}
			if c.Get("/account").URL.Path != "/login" {
				t.Error("the session lives on")
			}
			for _, password := range []string{Password, fresh, reset} {
				if in := w.signsIn(t, name, password); in != (password == one.then) {
					t.Errorf("%q signs in: %t", password, in)
				}
			}
		})
	}
}
