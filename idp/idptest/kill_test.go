package idptest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"gatehouse/idp/api"
	"gatehouse/store/bolt"
)

const killRounds = 20

// TestKillUnderLoad kills the server twenty times while sixteen connections sign on. Every answer that a client received
// must have its audit entry after the restart, the session must live on, and the file must pass every check.
func TestKillUnderLoad(t *testing.T) {
	dir := t.TempDir()
	p := StartBinary(t, dir)
	p.AddPerson(t, "ana", "Employees")
	sp := NewSP(t, "load")
	p.AddApp(t, sp.Metadata(), nil)
	cookie := p.SignedIn(t, "ana").SessionCookie()
	answered := map[string]bool{}
	for round := range killRounds {
		for _, id := range loadAndKill(t, p, &Load{Server: &p.Server, SP: sp, Cookie: cookie}) {
			answered[id] = true
		}
		checkFile(t, dir)
		p = StartBinary(t, dir)
		if took := p.Start - p.waited(t); took > 2*time.Second || p.CPU(t) > 2*time.Second {
			t.Errorf("round %d: the restart took %v, %v of them without a processor: 2 s are the bound", round, p.Start, p.Start-took)
		}
	}
	browser := p.NewClient(t)
	browser.AddCookie(cookie)
	if rest := browser.Get("/"); rest.URL.Path != "/" {
		t.Errorf("the session did not survive: the portal rests at %s", rest.URL)
	}
	total := len(answered)
	missing := missingFromAudit(t, &p.Server, answered)
	t.Logf("%d answers over %d kills, %d without an audit entry", total, killRounds, missing)
	if missing > 0 || total < killRounds {
		t.Errorf("%d of %d answers have no audit entry", missing, total)
	}
}

// loadAndKill returns the request ids of the answers that arrived before the kill, which comes a while after the first.
func loadAndKill(t *testing.T, p *Process, load *Load) []string {
	t.Helper()
	var mu sync.Mutex
	var ids []string
	answered := make(chan struct{}, 1)
	load.Answered = func(id string) {
		mu.Lock()
		defer mu.Unlock()
		ids = append(ids, id)
		select {
		case answered <- struct{}{}:
		default:
		}
	}
	go func() {
		select {
		case <-answered:
			time.Sleep(200*time.Millisecond + rand.N(300*time.Millisecond))
		case <-time.After(patience):
		}
		p.Kill()
	}()
	load.Run(16, 2*patience) // until the kill
	p.Kill()
	return ids
}

// waited is how long the threads of a process have waited for a processor that others used (Linux's /proc/PID/schedstat).
func (p *Process) waited(t *testing.T) (all time.Duration) {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.PID))
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		if errors.Is(err, syscall.ESRCH) || errors.Is(err, fs.ErrNotExist) {
			continue // it has ended
		}
		var ran, waited time.Duration
		if _, scanErr := fmt.Sscan(string(text), &ran, &waited); err != nil || scanErr != nil {
			t.Fatalf("%s: %q %v", thread, text, err)
		}
		all += waited
	}
	return all
}

func checkFile(t *testing.T, dir string) {
	t.Helper()
	s, err := bolt.Open(filepath.Join(dir, "gatehouse.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Check(context.Background()); err != nil {
		t.Fatalf("after the kill: %v", err)
	}
}

// missingFromAudit counts the request ids that no entry of an issued sign-on names.
func missingFromAudit(t *testing.T, s *Server, ids map[string]bool) int {
	t.Helper()
	left := len(ids)
	query := api.AuditQuery{Kind: "signon", Limit: 1000}
	for {
		page, err := s.API.Audit(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range page.Items {
			if id := entry.Facts["request"]; entry.Outcome == "ok" && ids[id] {
				delete(ids, id)
				left--
			}
		}
		if page.Next == "" {
			return left
		}
		query.After = page.Next
	}
}
