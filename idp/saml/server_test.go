package saml

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"html"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/certs"
	"gatehouse/idp/audit"
	"gatehouse/idp/claims"
	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/idp/session"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
	"gatehouse/store/bolt"
	"gatehouse/templates"
)

// server is this package on a real store and the real road, without the rest of Gatehouse.
type server struct {
	t        testing.TB
	h        *Handlers
	store    store.Store
	mux      *http.ServeMux
	now      time.Time
	sessions *session.Keeper
	cookie   string
}

func newServer(t testing.TB) *server {
	t.Helper()
	s := &server{t: t, now: testNow}
	clock := func() time.Time { return s.now }
	opened, err := bolt.Open(filepath.Join(t.TempDir(), "db"), bolt.Options{})
	s.check(err)
	t.Cleanup(func() { opened.Close() })
	s.store = opened
	sealer, err := certs.NewSealer(make([]byte, certs.KeySize))
	s.check(err)
	keys := &certs.Keyring{Seal: sealer, Now: clock}
	s.check(keys.Ensure(context.Background(), opened, "idp.example"))
	kit := &web.Kit{Now: clock, Busy: func(error) bool { return false }, Cookies: web.Cookies{Secure: true}, Brand: func(context.Context) templates.Brand { return templates.Brand{} }}
	log := &audit.Log{Node: "test", Now: clock}
	s.sessions = &session.Keeper{Now: clock}
	engine := &flow.Engine{Store: opened, Sessions: s.sessions, Audit: log, Strangers: &audit.Limiter{Now: clock}, Cookies: kit.Cookies, Reachable: sp.Standard, Now: clock}
	s.h = &Handlers{Kit: kit, Engine: engine, Store: opened, Keys: keys, BaseURL: "https://idp.example", Now: clock, Claims: &claims.Evaluator{}, NameIDKey: make([]byte, 32)}
	engine.Protocols = map[string]flow.Protocol{Protocol: s.h}
	kit.Record = engine.Record
	s.mux = http.NewServeMux()
	for _, route := range s.h.Routes() {
		s.mux.Handle(route.Method+" "+route.Path, kit.Wrap(route))
	}
	s.update(func(tx store.Tx) error {
		if err := directory.Groups.Put(tx, &directory.Group{ID: "g1", Name: "staff"}); err != nil {
			return err
		}
		user := *testUser
		user.Groups = []string{"g1", "gone"}
		return directory.Users.Put(tx, &user)
	})
	return s
}

func (s *server) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) update(fn func(store.Tx) error) {
	s.t.Helper()
	s.check(s.store.Update(context.Background(), fn))
}

func (s *server) putApp(change func(*sp.App)) {
	s.t.Helper()
	app := testApp()
	app.Policy.PermittedUsers = sp.PermitAll
	if change != nil {
		change(app)
	}
	s.update(func(tx store.Tx) error { return sp.Apps.Put(tx, app) })
}

func (s *server) signIn(methods ...string) {
	s.t.Helper()
	s.update(func(tx store.Tx) (err error) {
		opening := session.Opening{User: testUser.ID, Limits: session.Limits{Idle: time.Hour, Max: 8 * time.Hour}}
		for _, name := range methods {
			opening.Methods = append(opening.Methods, session.Method{Name: name, At: s.now})
		}
		s.cookie, _, err = s.sessions.Start(tx, opening)
		return err
	})
}

// get sends a request with the session's cookie, if there is one.
func (s *server) get(target string) *httptest.ResponseRecorder {
	return s.send(httptest.NewRequest(http.MethodGet, target, nil))
}

func (s *server) send(r *http.Request) *httptest.ResponseRecorder {
	if s.cookie != "" {
		r.AddCookie(&http.Cookie{Name: "__Host-gatehouse_session", Value: s.cookie})
	}
	w := httptest.NewRecorder()
	s.mux.ServeHTTP(w, r)
	return w
}

// query is a request that is issued now under the given id.
func (s *server) query(id, attrs, children string) string {
	xml := strings.NewReplacer("_r1", id, "2026-03-01T12:00:00Z", s.now.Format(time.RFC3339)).Replace(requestXML(attrs, children))
	return "/saml/sso?" + redirectQueryOf(xml)
}

// posted takes the auto-post page apart: where it goes, the message, and RelayState with whether it is there.
func posted(t testing.TB, w *httptest.ResponseRecorder) (action, xml, relay string, hasRelay bool) {
	t.Helper()
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	page := w.Body.String()
	action = html.UnescapeString(between(page, `<form method="post" action="`, `"`))
	message, err := base64.StdEncoding.DecodeString(html.UnescapeString(between(page, `name="SAMLResponse" value="`, `"`)))
	if err != nil {
		t.Fatal(err)
	}
	hasRelay = strings.Contains(page, `name="RelayState"`)
	return action, string(message), html.UnescapeString(between(page, `name="RelayState" value="`, `"`)), hasRelay
}

func (s *server) events() (list []audit.Event) {
	s.t.Helper()
	s.check(s.store.View(context.Background(), func(tx store.Tx) error {
		return tx.Scan(store.Range{}, func(_, value []byte) error {
			if at := strings.Index(string(value), `{"seq"`); at >= 0 {
				var event audit.Event
				if json.Unmarshal(value[at:], &event) == nil {
					list = append(list, event)
				}
			}
			return nil
		})
	}))
	return list
}
