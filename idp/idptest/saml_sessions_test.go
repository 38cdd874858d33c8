package idptest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/store"
)

// sessionRows are SES-01, SES-02 and SEC-04; they move the clock.
func (w *world) sessionRows(t *testing.T, sp *SP) {
	t.Run("SES-01 the cookie", func(t *testing.T) {
		c := w.browser(t)
		c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		form := c.Get(c.Get("/login").Header.Get("Location"))
		set := c.SignIn(form, "ana", Password).Header.Values("Set-Cookie")
		if len(set) == 0 || !strings.Contains(set[0], "HttpOnly") || !strings.Contains(set[0], "SameSite=Lax") || !strings.Contains(set[0], "Path=/") {
			t.Errorf("cookies %q", set)
		}
	})
	t.Run("SES-01 every sign-in changes the secret", func(t *testing.T) {
		c := w.signedIn(t, "ana")
		old := c.SessionCookie()
		ask := Ask{ID: newRequestID(), Attributes: `ForceAuthn="true"`}
		w.check(t, c.SignIn(w.send(t, c, sp, ask, false), "ana", Password), sp, ask, issued())
		thief := w.browser(t)
		thief.AddCookie(old)
		ask = Ask{ID: newRequestID()}
		if c.SessionCookie().Value == old.Value {
			t.Error("the secret is the old one")
		}
		w.check(t, w.send(t, thief, sp, ask, false), sp, ask, signIn())
	})
	t.Run("SES-01 a cookie that somebody planted is not taken over", func(t *testing.T) {
		c := w.browser(t)
		c.AddCookie(&http.Cookie{Name: "gatehouse_session", Value: strings.Repeat("A", 43), Path: "/"})
		if c.SignIn(c.Get("/login"), "ana", Password); c.SessionCookie().Value == strings.Repeat("A", 43) {
			t.Error("the session is the planted one")
		}
	})
	t.Run("SES-01 a cross-site POST finds the session", func(t *testing.T) {
		ask := Ask{ID: newRequestID()}
		w.check(t, w.send(t, w.signedIn(t, "ana"), sp, ask, true), sp, ask, issued())
	})
	t.Run("SES-01 sign-in is not for other sites", func(t *testing.T) {
		c := w.browser(t)
		form := w.send(t, c, sp, Ask{}, false)
		r := c.request(http.MethodPost, "/login", url.Values{"flow": {form.Field("flow")}, "name": {"ana"}, "password": {Password}})
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		if page := c.Do(r); page.Status != http.StatusForbidden || strings.Contains(page.Body, "SAMLResponse") {
			t.Errorf("another site signed somebody in: %d", page.Status)
		}
	})
	t.Run("SES-02 idle for too long", func(t *testing.T) {
		c := w.signedIn(t, "ana")
		w.clock.advance(7 * time.Hour)
		w.issue(t, c, sp, Ask{})
		w.clock.advance(7 * time.Hour)
		w.issue(t, c, sp, Ask{})
		w.clock.advance(9 * time.Hour)
		ask := Ask{ID: newRequestID()}
		w.check(t, w.send(t, c, sp, ask, false), sp, ask, signIn())
	})
	t.Run("SES-02 in use, and over all the same", func(t *testing.T) {
		timed := w.sp(t, "timed", map[string]string{"saml.session_lifetime": "30d"})
		c := w.signedIn(t, "ana")
		ends := w.clock.now().Add(24 * time.Hour)
		for range 3 {
			w.clock.advance(7 * time.Hour)
			if told := timeAt(t, w.issue(t, c, timed, Ask{}), pathAuthn, "SessionNotOnOrAfter"); told.After(ends.Add(time.Second)) {
				t.Errorf("the app is told %v, our session ends %v", told, ends)
			}
		}
		w.clock.advance(4 * time.Hour)
		ask := Ask{ID: newRequestID()}
		w.check(t, w.send(t, c, timed, ask, false), timed, ask, signIn())
	})
	t.Run("SEC-04 a clock that is set back revives nothing", func(t *testing.T) { w.clockSetBack(t, sp) })
	w.person = w.signedIn(t, "ana")
}

func (w *world) clockSetBack(t *testing.T, sp *SP) {
	c := w.signedIn(t, "ana")
	ask := Ask{ID: newRequestID(), Instant: w.clock.instant()}
	w.check(t, w.send(t, c, sp, ask, false), sp, ask, issued())
	w.clock.advance(-time.Hour)
	defer w.clock.advance(time.Hour)
	w.check(t, w.send(t, c, sp, ask, false), sp, ask, here("replayed_request"))
	ask.ID = newRequestID()
	w.check(t, w.send(t, w.signedIn(t, "ana"), sp, ask, false), sp, ask, there("stale_request", "Requester", ""))
	fresh := Ask{ID: newRequestID()}
	w.check(t, w.send(t, c, sp, fresh, false), sp, fresh, signIn())
}

// failing is a store whose disk is full: it reads, and takes no write.
type failing struct {
	store.Store
	full atomic.Bool
}

func (f *failing) Update(ctx context.Context, fn func(store.Tx) error, reads ...[]byte) error {
	if f.full.Load() {
		return errors.New("no space left on device /secret/path")
	}
	return f.Store.Update(ctx, fn, reads...)
}

// TestSAMLStoreDown is REQ-65 for the store: what cannot be recorded is not answered.
func TestSAMLStoreDown(t *testing.T) {
	t.Parallel()
	broken := &failing{}
	s := Start(t, Options{Logs: io.Discard, Store: func(inner store.Store) store.Store {
		broken.Store = inner
		return broken
	}})
	s.AddPerson(t, "ana", "Employees")
	sp := NewSP(t, "down")
	s.AddApp(t, sp.Metadata(), nil)
	c := s.SignedIn(t, "ana")
	for _, c2 := range []*Client{c, s.NewClient(t)} {
		broken.full.Store(true)
		response, err := c2.http.Get(sp.RedirectURL(s.URL+"/saml/sso", Ask{}))
		broken.full.Store(false)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode < 500 || strings.Contains(string(body), "SAMLResponse") || strings.Contains(string(body), "secret") {
			t.Errorf("%d without a store:\n%s", response.StatusCode, body)
		}
	}
	if page := c.Get(sp.RedirectURL(s.URL+"/saml/sso", Ask{})); page.Action() != sp.ACS[0] {
		t.Errorf("after the fault: %d at %s", page.Status, page.URL)
	}
}
