package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// serve answers every request on the socket of dir with the peer's user id as the server's version.
func serve(t *testing.T, dir string) net.Listener {
	t.Helper()
	l, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		ConnContext: ConnContext, ReadHeaderTimeout: time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if FromBrowser(r) {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			uid, ok := Peer(r.Context())
			_ = json.NewEncoder(w).Encode(Version{Version: fmt.Sprint(uid, ok)})
		}),
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		<-done
	})
	return l
}

func deep(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep-folder/", 20))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestSocketKnowsItsPeer(t *testing.T) {
	for name, dir := range map[string]string{"short": t.TempDir(), "deep": deep(t)} {
		t.Run(name, func(t *testing.T) {
			serve(t, dir)
			version, err := OverSocket(dir).Version(t.Context())
			if want := fmt.Sprint(os.Geteuid(), true); err != nil || version.Version != want {
				t.Errorf("got %q, %v, want %q", version.Version, err, want)
			}
			info, err := os.Stat(filepath.Join(dir, SocketName))
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
		})
	}
}

func TestListenRefusesASecondServer(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir)
	if _, err := Listen(dir); !errors.Is(err, ErrRunning) {
		t.Fatalf("got %v", err)
	}
	if _, err := OverSocket(dir).Version(t.Context()); err != nil {
		t.Errorf("the first server no longer answers: %v", err)
	}
}

func TestListenReplacesAStaleSocketOnly(t *testing.T) {
	dir := t.TempDir()
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, SocketName), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(filepath.Join(dir, SocketName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket's file is left behind: %v", err)
	}
	file := filepath.Join(dir, SocketName)
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(dir); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("got %v", err)
	}
	if kept, err := os.ReadFile(file); string(kept) != "mine" {
		t.Errorf("the file was touched: %v", err)
	}
}

func TestSocketRefusesBrowsers(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir)
	for name, change := range map[string]func(*http.Request){
		"origin":  func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
		"referer": func(r *http.Request) { r.Header.Set("Referer", "https://evil.example/") },
		"fetch":   func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "none") },
		"host":    func(r *http.Request) { r.Host = "evil.example" },
	} {
		t.Run(name, func(t *testing.T) {
			c := OverSocket(dir)
			r, err := c.request(t.Context(), http.MethodGet, "/version", nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			change(r)
			answer, err := c.http.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = answer.Body.Close() }()
			if answer.StatusCode != http.StatusForbidden {
				t.Errorf("got %d", answer.StatusCode)
			}
		})
	}
}

func TestPeerOfAnotherConnection(t *testing.T) {
	if _, ok := Peer(ConnContext(context.Background(), &net.TCPConn{})); ok {
		t.Error("a TCP connection has no peer credentials")
	}
}
