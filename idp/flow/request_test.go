package flow

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/grants"
	"gatehouse/idp/session"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
	"gatehouse/store/bolt"
)

// TestAskAndAnswerLookAgain disables a person between the guard, which let the request through, and the Update: nothing is
// stored.
func TestAskAndAnswerLookAgain(t *testing.T) {
	s, err := bolt.Open(filepath.Join(t.TempDir(), "db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	now := func() time.Time { return noon }
	e := &Engine{Store: s, Sessions: &session.Keeper{Now: now}, Audit: &audit.Log{Node: "n", Key: make([]byte, 32), Now: now}, Reachable: sp.Standard, Now: now}
	app := sp.App{ID: "app_1", State: sp.Active, Policy: sp.Policy{PermittedUsers: sp.PermitPreauthorized, Approvers: []string{"usr_1"}}}
	asked := grants.Request{ID: grants.NewRequestID(noon), User: "usr_2", App: app.ID, Asked: noon, State: grants.Asked, Wanted: grants.Span{For: time.Hour}}
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	update := func(fn func(tx store.Tx) error) {
		t.Helper()
		if err := s.Update(t.Context(), fn); err != nil {
			t.Fatal(err)
		}
	}
	disable := func(disabled bool) func(store.Tx) error {
		return func(tx store.Tx) error {
			return directory.Users.Put(tx, &directory.User{ID: "usr_1", Name: "eve", Disabled: disabled})
		}
	}
	update(func(tx store.Tx) error {
		portal := BuiltinApps()[0]
		secret, _, err := e.Sessions.Start(tx, session.Opening{
			User: "usr_1", Methods: []session.Method{{Name: "password", At: noon}}, Limits: session.Limits{Idle: time.Hour, Max: time.Hour},
		})
		out := httptest.NewRecorder()
		e.Cookies.Set(out, web.SessionCookie, secret, time.Hour)
		r.Header.Set("Cookie", out.Header().Get("Set-Cookie"))
		return errors.Join(err, sp.Apps.Put(tx, &portal), sp.Apps.Put(tx, &app), grants.Requests.Put(tx, &asked),
			directory.Users.Put(tx, &directory.User{ID: "usr_2", Name: "bob"}), disable(true)(tx))
	})
	answer := Decision{Request: asked.ID, Approve: true}
	refused := func(name string, err error) {
		t.Helper()
		if public, ok := errors.AsType[*web.Error](err); !ok || public.Reason != "not_signed_in" {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = e.DecideAs(r, answer)
	refused("an answer", err)
	_, err = e.Ask(r, Wish{App: app.ID, Why: "x", Span: grants.Span{For: time.Hour}})
	refused("a request", err)
	refused("a withdrawal", e.TakeBack(r, asked.ID))
	update(disable(false))
	if _, err := e.DecideAs(r, answer); err != nil {
		t.Errorf("the same person, enabled: %v", err)
	}
}
