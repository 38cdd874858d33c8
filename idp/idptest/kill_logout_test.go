package idptest

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/beevik/etree"
)

// Rounds of killing, and sessions that are ended in each.
const (
	killLogoutRounds   = 4
	killLogoutSessions = 24
)

// slowLogout is the server of an app that takes its time, and counts a logout only when its answer could be given.
type slowLogout struct {
	mu   sync.Mutex
	told map[string]bool // by session index
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
		l.mu.Lock()
		l.told[request.FindElement("./SessionIndex").Text()] = true
		l.mu.Unlock()
		fmt.Fprint(w, inEnvelope(sp.SignXML(sp.LogoutAnswer("", request.SelectAttrValue("ID", ""), ""))))
	}))
	t.Cleanup(server.Close)
	return server.URL
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

// reached is a session that an app knows.
type reached struct {
	cookie   *http.Cookie
	index    string
	answered bool // the browser was told that it is over
}

// TestKillUnderLogout kills the server in the middle of many sign-outs. A session that was answered as ended must be over after the
// restart, and the app of every session that is over must be told, if need be by the server that follows.
func TestKillUnderLogout(t *testing.T) {
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
		endAndKill(p, sessions)
		checkFile(t, dir)
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
		untold += app.missing(ended)
		over = append(over, ended...)
	}
	deadline := time.Now().Add(40 * time.Second)
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

// endAndKill ends all sessions at once, and kills the server somewhere in between.
func endAndKill(p *Process, sessions []*reached) {
	client := &http.Client{Timeout: 10 * time.Second}
	var wait sync.WaitGroup
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
		})
	}
	time.Sleep(200*time.Millisecond + rand.N(200*time.Millisecond))
	p.Kill()
	wait.Wait()
}
