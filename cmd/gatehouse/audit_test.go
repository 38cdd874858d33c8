package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/idp/api"
)

// output is what a command that goes on has printed so far.
type output struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.String()
}

// TestFollow: a live server's new entries come once each, in their order, through the filter, until the command is stopped.
func TestFollow(t *testing.T) {
	dir := t.TempDir()
	serving, stopServer := context.WithCancel(t.Context())
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- serve(serving, serveOptions{data: dir, listen: "127.0.0.1:0", privateListen: "off"}, io.Discard, func(url string) { ready <- url })
	}()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	defer func() { stopServer(); <-ended }()
	client := api.OverSocket(dir)
	add := func(kind, name string) {
		t.Helper()
		if _, err := client.AddNamed(t.Context(), kind, api.Named{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	add("groups", "before")
	following, interrupt := context.WithCancel(t.Context())
	var out output
	code := make(chan int, 1)
	go func() {
		words := []string{"audit", "list", "--follow", "--kind", "group.", "--output", "json", "--data", dir}
		code <- run(following, words, streams{strings.NewReader(""), &out, &out}, func(string) (string, bool) { return "", false })
	}()
	printed := func(name string) bool { return strings.Contains(out.String(), fmt.Sprintf(`"name":"%s"`, name)) }
	deadline := time.Now().Add(time.Minute)
	wait := func(name string) {
		t.Helper()
		for !printed(name) && time.Now().Before(deadline) {
			time.Sleep(pollEvery / 10)
		}
		if !printed(name) {
			t.Fatalf("%s is not printed:\n%s", name, out.String())
		}
	}
	for i := 0; !printed(fmt.Sprint("early ", max(i-1, 0))) && time.Now().Before(deadline); i++ { // until the command has asked where it begins
		add("groups", fmt.Sprint("early ", i))
		time.Sleep(pollEvery * 3 / 2)
	}
	for i := range 3 {
		add("groups", fmt.Sprint("group ", i))
		add("permission-sets", fmt.Sprint("set ", i))
		time.Sleep(pollEvery * 3 / 5)
	}
	wait("group 2")
	for i := range 2 { // asked again, and again: nothing comes twice
		add("groups", fmt.Sprint("late ", i))
		wait(fmt.Sprint("late ", i))
	}
	interrupt()
	if got := <-code; got != exitOK {
		t.Errorf("exit %d", got)
	}
	lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(out.String()), "\n"), func(line string) bool {
		return strings.Contains(line, `"name":"early `) || strings.Contains(line, `"name":"late `)
	})
	if len(lines) != 3 {
		t.Fatalf("%d lines:\n%s", len(lines), out.String())
	}
	for i, line := range lines {
		if !strings.Contains(line, fmt.Sprintf(`"name":"group %d"`, i)) || !strings.Contains(line, `"kind":"group.add"`) {
			t.Errorf("line %d: %s", i, line)
		}
	}
}

// TestTraceSaysWhatToDo: beside the reason of a refusal stands what to change.
func TestTraceSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	serving, stopServer := context.WithCancel(t.Context())
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- serve(serving, serveOptions{data: dir, listen: "127.0.0.1:0", privateListen: "off"}, io.Discard, func(url string) { ready <- url })
	}()
	defer func() { stopServer(); <-ended }()
	answer, err := http.PostForm(<-ready+"/oauth/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {"nobody"}})
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	list, err := api.OverSocket(dir).Audit(t.Context(), api.AuditQuery{Kind: "token", Limit: 1})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("%v %+v", err, list)
	}
	code, out, errs := command(t, nil, "trace", list.Items[0].Code, "--data", dir)
	if code != exitOK || !strings.Contains(out, "what to do  Correct the client id in the app (gatehouse app show APP tells it)") || !strings.Contains(out, "unknown_client") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
}

func TestBrokenChainsAreNamed(t *testing.T) {
	answer := api.AuditVerification{Chains: []api.AuditChain{{Node: "a"}, {Node: "b", Broken: 17, Problem: "entry 17 is missing"}}}
	if err := broken(&answer); err == nil || !strings.Contains(err.Error(), "the audit of node b is not whole: at entry 17: entry 17 is missing") {
		t.Error(err)
	}
	if err := broken(&api.AuditVerification{Problem: "No entry has it."}); err == nil || err.Error() != "No entry has it." {
		t.Error(err)
	}
	if err := broken(&api.AuditVerification{Whole: true, Chains: answer.Chains[:1]}); err != nil {
		t.Error(err)
	}
}

// TestFollowerPrintsLateEntries: an entry of another node that carries an earlier time is not lost.
func TestFollowerPrintsLateEntries(t *testing.T) {
	start := time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)
	entry := func(code string, second int) api.AuditEntry {
		return api.AuditEntry{Code: code, Time: start.Add(time.Duration(second) * time.Second)}
	}
	f := follower{start: "a", printed: map[string]time.Time{}}
	q := api.AuditQuery{Since: start}
	got := ""
	for _, page := range [][]api.AuditEntry{
		{entry("a", 0)},
		{entry("c", 12), entry("a", 0)},
		{entry("c", 12), entry("b", 5)},
		{entry("d", 40), entry("c", 12), entry("b", 5)},
		{entry("d", 40)},
	} {
		for _, e := range f.from(page, &q) {
			got += e.Code
		}
	}
	if got != "cbd" || !q.Since.Equal(start.Add(30*time.Second)) || len(f.printed) != 1 {
		t.Errorf("printed %q, asks since %s, remembers %d", got, q.Since, len(f.printed))
	}
}
