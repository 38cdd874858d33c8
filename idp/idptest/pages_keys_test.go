package idptest

import (
	"testing"
	"time"

	"gatehouse/idp/api"
)

// TestKeyPages looks at the pages about signing keys, in the states of a rollover, and at what the overview says of ends.
func TestKeyPages(t *testing.T) {
	t.Parallel()
	moved := &clock{}
	dir := t.TempDir()
	s := Start(t, Options{Dir: dir, Now: moved.now})
	_, app := furnish(t, s)
	if _, err := s.API.StageKey(t.Context(), api.NewKey{Algorithm: "ecdsa"}); err != nil {
		t.Fatal(err)
	}
	next, err := s.API.StageKey(t.Context(), api.NewKey{})
	if err != nil {
		t.Fatal(err)
	}
	s.NewClient(t).Get("/saml/metadata/" + app.ID)
	g := newGallery(t)
	g.Open(s.URL)
	g.signIn("ada", Password)
	g.WaitFor("#tiles")
	g.visit("keys-staged", s.URL+"/admin/keys")
	page := s.URL + "/admin/keys/" + next.ID
	g.visit("key-next", page)
	g.Expect("422")
	g.Click("table.list + .actions button")
	g.WaitFor("#summary, .notice.danger")
	g.look("key-none-chosen")
	g.Open(page)
	g.Click("table.list tbody tr:first-child input")
	g.Click("table.list + .actions button")
	g.WaitFor(".notice.ok")
	g.look("key-active-for-one")
	g.Click("form input[name=all] + button")
	g.WaitFor("main:not(:has(input[name=all])) .notice.ok") // the page before had a notice too
	g.look("key-active-for-all")
	g.visit("saml-error", s.URL+"/saml/error?code=AUTHENTICATION_FAILURE&tid=abc-1")
	s.Stop()
	moved.advance(2*365*24*time.Hour - 20*24*time.Hour)
	s = Start(t, Options{Dir: dir, Now: moved.now})
	g.Fresh()
	g.Open(s.URL)
	g.signIn("ada", Password)
	g.WaitFor("#tiles")
	g.visit("overview-ending", s.URL+"/admin/")
}
