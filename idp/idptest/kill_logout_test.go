package idptest

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/beevik/etree"
)

// Rounds of killing, and sessions that are ended in each.
const (
	killLogoutRounds   = 4
	killLogoutSessions = 24
)

// slowLogout is the server of an app that takes its time, and counts a logout only when its answer could be given. Of each round it
// answers some, and leaves the others to wait for the kill.
type slowLogout struct {
	mu   sync.Mutex
	told map[string]bool // by session index
	left int             // how many are still answered; less than none: all
	held int             // how many wait
}

func (l *slowLogout) serve(t *testing.T, sp *SP) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		doc := etree.NewDocument()
		if _, err := doc.ReadFrom(r.Body); err != nil {
			return // the server was killed while it spoke
		}
		select {
		case <-time.After(150 * time.Millisecond):
		case <-r.Context().Done():
			return
		}
		request := doc.FindElement("./Envelope/Body/LogoutRequest")
		if !l.answers(request.FindElement("./SessionIndex").Text()) {
			<-r.Context().Done()
			return
		}
		fmt.Fprint(w, inEnvelope(sp.SignXML(sp.LogoutAnswer("", request.SelectAttrValue("ID", ""), ""))))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// answers notes that a session's logout arrived, unless it is to wait.
func (l *slowLogout) answers(index string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left == 0 {
		l.held++
		return false
	}
	l.left--
	l.told[index] = true
	return true
}

// only lets it answer so many from now on.
func (l *slowLogout) only(left int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left, l.held = left, 0
}

func (l *slowLogout) holds() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held > 0
}

func (l *slowLogout) missing(indexes []string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, index := range indexes {
		if !l.told[index] {
			n++
		}
	}
	return n
}

// soFar are the sessions whose logout arrived.
func (l *slowLogout) soFar() map[string]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.told)
}

// reached is a session that an app knows.
type reached struct {
	cookie   *http.Cookie
	index    string
	answered bool // the browser was told that it is over
}

// TestKillUnderLogout kills the server in the middle of many sign-outs. A session that was answered as ended must be over after the
// restart, and the app of every session that is over must be told, if need be by the server that follows.
func TestKillUnderLogout(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start := func() *Process { return StartBinary(t, dir, "--allow-fetch", "127.0.0.0/8") }
	p := start()
	p.AddPerson(t, "ana", "Employees")
	sp := NewSP(t, "slow")
	app := &slowLogout{told: map[string]bool{}}
	sp.SLO = []sloService{at(bindingSOAP, app.serve(t, sp))}
	added := p.AddApp(t, sp.Metadata(), nil)
	var over []string
	answers, untold := 0, 0
	for range killLogoutRounds {
		sessions := make([]*reached, killLogoutSessions)
		for i := range sessions {
			c := p.SignedIn(t, "ana")
			sessions[i] = &reached{cookie: c.SessionCookie(), index: c.Get("/launch/"+added.ID).Response(t).Attr("./Assertion/AuthnStatement", "SessionIndex")}
		}
		app.only(killLogoutSessions / 3)
		endAndKill(t, p, app, sessions)
		checkFile(t, dir)
		atKill := slowLogout{told: app.soFar()}
		app.only(-1)
		var ended []string
		p = start()
		for _, one := range sessions {
			browser := p.NewClient(t)
			browser.AddCookie(one.cookie)
			alive := browser.Get("/account").URL.Path == "/account"
			switch {
			case alive && one.answered:
				t.Error("a session that was answered as ended is alive")
			case !alive:
				ended = append(ended, one.index)
			}
			if one.answered {
				answers++
			}
		}
		untold += atKill.missing(ended)
		over = append(over, ended...)
	}
	deadline := time.Now().Add(2 * patience) // what was being told at the kill is told again half a minute later
	for app.missing(over) > 0 && time.Now().Before(deadline) {
		time.Sleep(100 * time.Millisecond)
	}
	t.Logf("%d sessions over, %d answered, %d of them told by the server that followed", len(over), answers, untold)
	if left := app.missing(over); left > 0 {
		t.Errorf("the app was never told of %d of %d sessions", left, len(over))
	}
	if untold == 0 || answers == 0 {
		t.Error("the kills hit nothing")
	}
}

// endAndKill ends all sessions at once, and kills the server somewhere in between: some browsers have an answer, others wait for it.
func endAndKill(t *testing.T, p *Process, app *slowLogout, sessions []*reached) {
	t.Helper()
	client := &http.Client{Timeout: patience}
	var wait sync.WaitGroup
	var answered atomic.Int64
	for i, one := range sessions {
		wait.Go(func() {
			time.Sleep(time.Duration(i) * 15 * time.Millisecond)
			r, err := http.NewRequest(http.MethodPost, p.URL+"/logout", strings.NewReader(""))
			if err != nil {
				return
			}
			r.Header.Set("Sec-Fetch-Site", "same-origin")
			r.AddCookie(one.cookie)
			response, err := client.Do(r)
			if err != nil {
				return // killed before
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			one.answered = err == nil && response.StatusCode == http.StatusOK && strings.Contains(string(body), "You are signed out")
			if one.answered {
				answered.Add(1)
			}
		})
	}
	eventually(t, "no browser is answered while another waits", func() bool { return answered.Load() > 0 && app.holds() })
	time.Sleep(rand.N(200 * time.Millisecond))
	p.Kill()
	wait.Wait()
}
