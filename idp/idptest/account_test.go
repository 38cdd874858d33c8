package idptest

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"

	"gatehouse/idp/api"
)

const otherPassword = "another horse battery"

// TestPasswordChange holds what a person's change of the password takes, and what it leaves.
func TestPasswordChange(t *testing.T) {
	s := Start(t, Options{})
	s.AddPerson(t, "ana", "Employees")
	change := func(c *Client, current, fresh, repeat string) *Page {
		return c.Post("/account/password", url.Values{"current": {current}, "new": {fresh}, "repeat": {repeat}})
	}
	c, elsewhere := s.SignedIn(t, "ana"), s.SignedIn(t, "ana")
	for _, bad := range []struct{ current, fresh, repeat, text string }{
		{"wrong", otherPassword, otherPassword, "not your current password"},
		{Password, otherPassword, "different", "not the same"},
		{Password, "short", "short", "characters"},
		{Password, strings.Repeat("x", 5000), strings.Repeat("x", 5000), "at most"},
		{"", otherPassword, otherPassword, "not your current password"},
	} {
		if page := change(c, bad.current, bad.fresh, bad.repeat); page.Status != http.StatusUnprocessableEntity || !strings.Contains(page.Body, bad.text) {
			t.Errorf("%.10q to %.10q: %d, without %q", bad.current, bad.fresh, page.Status, bad.text)
		}
	}
	before := c.SessionCookie().Value
	if page := change(c, Password, otherPassword, otherPassword); page.Status != http.StatusOK || !strings.Contains(page.Body, "password is changed") {
		t.Fatalf("%d:\n%s", page.Status, page.Body)
	}
	if c.SessionCookie().Value == before {
		t.Error("the session kept its id")
	}
	if page := c.Get("/account"); page.URL.Path != "/account" {
		t.Errorf("the session that changed the password is over: %s", page.URL)
	}
	if page := elsewhere.Get("/account"); page.URL.Path != "/login" {
		t.Errorf("another session goes on: %s", page.URL)
	}
	old := s.NewClient(t)
	if page := old.SignIn(old.Get("/login"), "ana", Password); page.Status != http.StatusForbidden {
		t.Errorf("the old password: %d", page.Status)
	}
	if page := old.SignIn(old.Get("/login"), "ana", otherPassword); page.Status != http.StatusOK {
		t.Errorf("the new password: %d", page.Status)
	}
}

// TestWrongCurrentPasswordIsThrottled: a stolen session cannot guess the password.
func TestWrongCurrentPasswordIsThrottled(t *testing.T) {
	s := Start(t, Options{})
	s.AddPerson(t, "ana", "Employees")
	c := s.SignedIn(t, "ana")
	for range 12 {
		c.Post("/account/password", url.Values{"current": {"guess"}, "new": {otherPassword}, "repeat": {otherPassword}})
	}
	page := c.Post("/account/password", url.Values{"current": {Password}, "new": {otherPassword}, "repeat": {otherPassword}})
	if page.Status != http.StatusUnprocessableEntity {
		t.Errorf("the right one after twelve wrong ones: %d", page.Status)
	}
	if entry := s.Audit(t)[0]; entry.Kind != "user.password" || entry.Outcome != "refused" {
		t.Errorf("audit: %+v", entry)
	}
}

// TestResetBeatsChange: of an administrator's reset and a change with the old password, begun together, the reset wins.
func TestResetBeatsChange(t *testing.T) {
	s := Start(t, Options{})
	for i := range 6 {
		name := fmt.Sprintf("ana%d", i)
		s.AddPerson(t, name, "Employees")
		c := s.SignedIn(t, name)
		var both sync.WaitGroup
		both.Go(func() {
			c.Post("/account/password", url.Values{"current": {Password}, "new": {otherPassword}, "repeat": {otherPassword}})
		})
		both.Go(func() {
			if _, err := s.API.ResetPassword(t.Context(), name, "set by the help desk"); err != nil {
				t.Error(err)
			}
		})
		both.Wait()
		fresh := s.NewClient(t)
		if page := fresh.SignIn(fresh.Get("/login"), name, "set by the help desk"); page.Status != http.StatusOK {
			t.Errorf("the reset was lost: %d", page.Status)
		}
	}
}

// TestOwnSessions: people end their own sessions, never another's.
func TestOwnSessions(t *testing.T) {
	s := Start(t, Options{})
	s.AddPerson(t, "ana", "Employees")
	s.AddPerson(t, "ben", "Employees")
	ana, phone, ben := s.SignedIn(t, "ana"), s.SignedIn(t, "ana"), s.SignedIn(t, "ben")
	handles := func(user string) []string {
		list, err := s.API.Sessions(t.Context(), user, "")
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, one := range list.Items {
			all = append(all, one.Handle)
		}
		return all
	}
	ana.Post("/account/sessions/end", url.Values{"session": {handles("ben")[0]}})
	if page := ben.Get("/account"); page.URL.Path != "/account" {
		t.Errorf("ana ended ben's session: %s", page.URL)
	}
	ana.Post("/account/sessions/end-others", nil)
	if phone.Get("/account").URL.Path != "/login" || ana.Get("/account").URL.Path != "/account" || len(handles("ana")) != 1 {
		t.Errorf("ana's sessions: %v", handles("ana"))
	}
	cookie := ana.SessionCookie()
	ana.Post("/logout", nil)
	again := s.NewClient(t)
	again.AddCookie(cookie)
	if page := again.Get("/account"); page.URL.Path != "/login" {
		t.Errorf("a cookie kept after signing out works: %s", page.URL)
	}
	if page := again.Get("/logout"); page.Status != http.StatusOK || page.Action() != "/logout" {
		t.Errorf("GET /logout: %d, %q", page.Status, page.Action())
	}
}

// TestNextStaysHere: where a person goes on to after signing in is a path of ours, whatever the link says.
func TestNextStaysHere(t *testing.T) {
	s := Start(t, Options{})
	s.AddPerson(t, "ana", "Employees")
	for next, want := range map[string]string{
		"/account": "/account", "//evil.example": "/", `/\evil.example`: "/", "https://evil.example/": "/", "javascript:alert(1)": "/",
		"/account\r\nSet-Cookie: x=y": "/", "": "/", "account": "/",
	} {
		c := s.NewClient(t)
		page := c.SignIn(c.Get("/login?"+url.Values{"next": {next}}.Encode()), "ana", Password)
		if page.Status != http.StatusOK || page.URL.Path != want || page.URL.Host != hostOf(s.URL) {
			t.Errorf("%q leads to %s (%d), want %s", next, page.URL, page.Status, want)
		}
	}
}

// TestDisabledAtOnce: a live session is worth nothing once the account is disabled.
func TestDisabledAtOnce(t *testing.T) {
	s := Start(t, Options{})
	ana := s.AddPerson(t, "ana", "Employees")
	app := s.AddApp(t, NewSP(t, "wiki").Metadata(), nil)
	c := s.SignedIn(t, "ana")
	if _, err := s.API.EnableUser(t.Context(), ana.ID, false); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/account", "/launch/" + app.ID} {
		if page := c.Get(path); page.URL.Path != "/login" {
			t.Errorf("%s rests at %s with %d", path, page.URL, page.Status)
		}
	}
	if page := c.SignIn(c.Get("/login"), "ana", Password); page.Status != http.StatusForbidden {
		t.Errorf("signs in again: %d", page.Status)
	}
}

// TestWaitingPerNetwork: the places of waiting sign-ins are counted by network, an IPv6 address by its /64.
func TestWaitingPerNetwork(t *testing.T) {
	s := Start(t, Options{Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	sp := NewSP(t, "wiki")
	s.AddApp(t, sp.Metadata(), nil)
	wait := func(address string) int {
		c := s.NewClient(t)
		c.http.Transport = oneHop(address)
		c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		return c.Get(sp.RedirectURL(s.URL+"/saml/sso", Ask{})).Status
	}
	for i := range 200 {
		if status := wait(fmt.Sprintf("2001:db8:0:1::%x", i+1)); status != http.StatusSeeOther {
			t.Fatalf("request %d: %d", i, status)
		}
	}
	if status := wait("2001:db8:0:1:ffff::1"); status != http.StatusTooManyRequests {
		t.Errorf("one more from that network: %d", status)
	}
	if status := wait("2001:db8:0:2::1"); status != http.StatusSeeOther {
		t.Errorf("from another network: %d", status)
	}
	list, err := s.API.Audit(t.Context(), api.AuditQuery{Outcome: "refused", Limit: 1})
	if err != nil || len(list.Items) != 1 || list.Items[0].Reason != "too_many_waiting" {
		t.Errorf("audit: %+v, %v", list.Items, err)
	}
}

// TestEmbedded: a frame or an image on another site uses up no place and shows no sign-in.
func TestEmbedded(t *testing.T) {
	s := Start(t, Options{})
	sp := NewSP(t, "wiki")
	s.AddApp(t, sp.Metadata(), nil)
	c := s.NewClient(t)
	for _, destination := range []string{"iframe", "image", "empty", "object"} {
		r := c.request(http.MethodGet, sp.RedirectURL(s.URL+"/saml/sso", Ask{}), nil)
		r.Header.Set("Sec-Fetch-Dest", destination)
		if page := c.Do(r); page.Status != http.StatusBadRequest || !strings.Contains(page.Body, "window of its own") {
			t.Errorf("%s: %d at %s", destination, page.Status, page.URL)
		}
	}
	r := c.request(http.MethodGet, sp.RedirectURL(s.URL+"/saml/sso", Ask{}), nil)
	r.Header.Set("Sec-Fetch-Dest", "document")
	if page := c.Do(r); page.URL.Path != "/login" {
		t.Errorf("a window: %d at %s", page.Status, page.URL)
	}
}
