package idptest

import (
	"crypto/rand"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/idp/api"
)

const loadClients = 64

// TestChangesUnderLoad changes what lets a person in while 64 clients sign on, and demands two things: in the order of
// commits, which the audit's numbers are, no sign-on stands behind the change; and no request that was sent after the change
// was acknowledged is answered with an assertion.
func TestChangesUnderLoad(t *testing.T) {
	s := Start(t, Options{})
	for _, c := range []struct {
		name, kind string // of the audit entry
		change     func(t *testing.T, user api.User, app api.App) error
	}{
		{"the policy", "app.set", func(t *testing.T, _ api.User, app api.App) error {
			_, err := s.API.SetApp(t.Context(), app.ID, api.Change{Set: map[string]string{"policy.permitted_users": "preauthorized"}, Force: true})
			return err
		}},
		{"the person", "user.disable", func(t *testing.T, user api.User, _ api.App) error {
			_, err := s.API.EnableUser(t.Context(), user.ID, false)
			return err
		}},
		{"the app", "app.block", func(t *testing.T, _ api.User, app api.App) error {
			_, err := s.API.MoveApp(t.Context(), app.ID, "block")
			return err
		}},
		{"the profile's addresses", "profile.set", func(t *testing.T, user api.User, _ api.App) error {
			_, err := s.API.SetNamed(t.Context(), "profiles", user.Profile.ID, api.Change{Set: map[string]string{"ip_ranges": "192.0.2.0/24"}})
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := "load-" + strings.ToLower(rand.Text()[:6])
			user := s.AddPerson(t, name, "Profile of "+name)
			sp := NewSP(t, name)
			app := s.AddApp(t, sp.Metadata(), nil)
			load := &signOns{server: s, sp: sp, cookie: s.SignedIn(t, name).SessionCookie()}
			changed := load.around(func() error { return c.change(t, user, app) })
			if load.failed != nil || changed.err != nil {
				t.Fatal(load.failed, changed.err)
			}
			if load.issued < loadClients || load.refused < loadClients {
				t.Errorf("%d issued, %d refused: too few to say anything", load.issued, load.refused)
			}
			if load.late > 0 {
				t.Errorf("%d of the requests sent after the change was acknowledged got an assertion", load.late)
			}
			before, after := s.order(t, c.kind, user.ID, app.ID)
			if after > 0 || before < load.issued {
				t.Errorf("%d sign-ons were committed before the change and %d after it; %d were answered", before, after, load.issued)
			}
			t.Logf("%d answers with an assertion, %d without; 0 of them late, %d committed before the change, %d after", load.issued, load.refused, before, after)
		})
	}
}

// signOns are clients that sign on again and again while something changes.
type signOns struct {
	server *Server
	sp     *SP
	cookie *http.Cookie

	mu                    sync.Mutex
	acknowledged          time.Time
	issued, refused, late int
	failed                error
}

type changeResult struct{ err error }

// around runs the clients, makes the change in their midst, and lets them go on for a while.
func (l *signOns) around(change func() error) changeResult {
	var clients sync.WaitGroup
	stop := make(chan struct{})
	for range loadClients {
		clients.Go(func() { l.loop(stop) })
	}
	l.until(func() bool { return l.issued >= 2*loadClients })
	err := change()
	l.mu.Lock()
	l.acknowledged = time.Now()
	l.mu.Unlock()
	l.until(func() bool { return l.refused >= 2*loadClients })
	close(stop)
	clients.Wait()
	return changeResult{err}
}

// until waits for a count.
func (l *signOns) until(enough func() bool) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		l.mu.Lock()
		done := enough() || l.failed != nil
		l.mu.Unlock()
		if done {
			return
		}
	}
}

func (l *signOns) loop(stop chan struct{}) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}, Timeout: patience}
	defer client.CloseIdleConnections()
	for {
		select {
		case <-stop:
			return
		default:
		}
		sent := time.Now()
		issued, err := l.once(client)
		l.mu.Lock()
		switch {
		case err != nil:
			l.failed = err
		case issued:
			l.issued++
			if !l.acknowledged.IsZero() && sent.After(l.acknowledged) {
				l.late++
			}
		default:
			l.refused++
		}
		l.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// once sends one request and tells whether the answer carries an assertion.
func (l *signOns) once(client *http.Client) (bool, error) {
	r, err := http.NewRequest(http.MethodGet, l.sp.RedirectURL(l.server.URL+"/saml/sso", Ask{ID: newRequestID()}), nil)
	if err != nil {
		return false, err
	}
	r.AddCookie(l.cookie)
	response, err := client.Do(r)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	body := new(strings.Builder)
	if _, err := io.Copy(body, response.Body); err != nil {
		return false, err
	}
	page := Page{Status: response.StatusCode, Body: body.String()}
	message, err := base64.StdEncoding.DecodeString(page.Field("SAMLResponse"))
	if err != nil || response.StatusCode >= 500 {
		return false, notAnAnswer(response.Status + "\n" + page.Body)
	}
	return strings.Contains(string(message), "<saml:Assertion"), nil
}

// order counts the sign-ons of a person that were committed before and after the newest entry of a kind.
func (s *Server) order(t *testing.T, kind, user, app string) (before, after int) {
	t.Helper()
	newest, err := s.API.Audit(t.Context(), api.AuditQuery{Kind: kind, Limit: 1})
	if err != nil || len(newest.Items) != 1 {
		t.Fatalf("no %s in the audit: %v", kind, err)
	}
	for cursor := ""; ; {
		list, err := s.API.Audit(t.Context(), api.AuditQuery{User: user, Kind: "signon", Outcome: "ok", App: app, After: cursor, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list.Items {
			if e.Seq > newest.Items[0].Seq {
				after++
			} else {
				before++
			}
		}
		if cursor = list.Next; cursor == "" {
			return before, after
		}
	}
}

// TestOrderNotices proves that a sign-on behind a change would be seen.
func TestOrderNotices(t *testing.T) {
	s := Start(t, Options{})
	user := s.AddPerson(t, "ana", "Employees")
	sp := NewSP(t, "wiki")
	app := s.AddApp(t, sp.Metadata(), nil)
	c := s.SignedIn(t, "ana")
	c.Get("/launch/" + app.ID)
	if _, err := s.API.SetApp(t.Context(), app.ID, api.Change{Set: map[string]string{"description": "x"}}); err != nil {
		t.Fatal(err)
	}
	c.Get("/launch/" + app.ID)
	c.Get("/launch/" + app.ID)
	if before, after := s.order(t, "app.set", user.ID, app.ID); before != 1 || after != 2 {
		t.Errorf("%d before and %d after, want 1 and 2", before, after)
	}
}
