package api

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestNobodyAnswers(t *testing.T) {
	dir := t.TempDir()
	for _, where := range []string{dir, dir + "/missing", deep(t)} {
		_, err := OverSocket(where).Version(t.Context())
		var known *Error
		if !errors.As(err, &known) || known.Reason != Unreachable || known.Status != 0 {
			t.Fatalf("got %#v", err)
		}
		if want := "no Gatehouse runs with --data " + where + ": start it with `gatehouse serve --data"; !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %q", err)
		}
	}
}

func TestOverNetworkRefuses(t *testing.T) {
	for _, c := range []struct{ server, token, want string }{
		{"login.example.org", "t", "not a base URL"},
		{"https://user@login.example.org", "t", "not a base URL"},
		{"http://login.example.org", "t", "https://"},
		{"ftp://login.example.org", "t", "https://"},
		{"https://login.example.org", "", "GATEHOUSE_TOKEN"},
	} {
		if _, err := OverNetwork(c.server, c.token); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v", c.server, err)
		}
	}
}

func client(t *testing.T, handler http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	c, err := OverNetwork(server.URL, "secret-token")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestErrorsBecomeSentences(t *testing.T) {
	for name, c := range map[string]struct {
		status       int
		body         string
		reason, text string
	}{
		"refusal":  {409, `{"error":{"reason":"exists","text":"Taken. Choose another.","field":"name"}}`, "exists", "Taken. Choose another."},
		"internal": {500, `{"error":{"reason":"internal","text":"Broken.","code":"ABC"}}`, "internal", "Broken. (code ABC)"},
		"stranger": {502, `<html>`, "unexpected_answer", "The server answered 502 Bad Gateway, which is not what Gatehouse says: check that the address is Gatehouse's base URL."},
		"redirect": {303, ``, "unexpected_answer", "The server answered 303 See Other, which is not what Gatehouse says: check that the address is Gatehouse's base URL."},
	} {
		t.Run(name, func(t *testing.T) {
			api := client(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "/login")
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body))
			})
			_, err := api.Version(t.Context())
			var known *Error
			if !errors.As(err, &known) || known.Status != c.status || known.Reason != c.reason || err.Error() != c.text {
				t.Errorf("got %#v", err)
			}
		})
	}
}

func TestReferencesWithSlashesAreAskedForFirst(t *testing.T) {
	var asked []string
	api := client(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.RequestURI())
		if r.Header.Get("Authorization") != "Bearer secret-token" {
			t.Error("no token")
		}
		if r.URL.Query().Has("ref") {
			_, _ = w.Write([]byte(`{"items":[{"id":"app_1"}]}`))
			return
		}
		_, _ = w.Write([]byte(`{"id":"app_1","state":"blocked"}`))
	})
	app, err := api.MoveApp(t.Context(), "https://sp.example/md", "block")
	if err != nil || app.State != "blocked" {
		t.Fatal(app, err)
	}
	if _, err := api.App(t.Context(), "Your Benefits"); err != nil {
		t.Fatal(err)
	}
	want := "GET /api/v1/apps?ref=https%3A%2F%2Fsp.example%2Fmd, POST /api/v1/apps/app_1/block, GET /api/v1/apps/Your%20Benefits"
	if got := strings.Join(asked, ", "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAnswerOfAnotherVersion(t *testing.T) {
	api := client(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`[1]`)) })
	if _, err := api.Version(t.Context()); err == nil || !strings.Contains(err.Error(), "same version") {
		t.Errorf("got %v", err)
	}
}
