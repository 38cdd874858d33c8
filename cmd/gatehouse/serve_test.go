package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// served is a data folder that a server has run on, cleanly stopped.
func served(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	running(t, dir)()
	return dir
}

// running starts a server on a data folder and returns the function that stops it; the test stops it in any case.
func running(t *testing.T, dir string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan string, 1), make(chan error, 1)
	options := serveOptions{data: dir, listen: "127.0.0.1:0", privateListen: "off"}
	go func() { ended <- serve(ctx, options, io.Discard, func(url string) { ready <- url }) }()
	select {
	case err := <-ended:
		cancel()
		t.Fatal(err)
	case <-ready:
	}
	stopped := false
	stop = func() {
		cancel()
		if stopped {
			return
		}
		stopped = true
		if err := <-ended; err != nil {
			t.Errorf("the server ended with: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// refusesToServe demands that `gatehouse serve` ends at once with one sentence on stderr and nothing on stdout.
func refusesToServe(t *testing.T, code int, sentence string, flags ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second) // it ends at once, on a machine with much to do too
	defer cancel()
	var out, errs bytes.Buffer
	args := append([]string{"serve", "--listen", "127.0.0.1:0", "--private-listen", "off"}, flags...)
	got := run(ctx, args, streams{strings.NewReader(""), &out, &errs}, func(string) (string, bool) { return "", false })
	text := errs.String()
	if got != code || out.String() != "" || !strings.HasPrefix(text, "gatehouse: ") || strings.Count(text, "\n") != 1 || !strings.Contains(text, sentence) {
		t.Errorf("exit %d, want %d and %q\n%s%s", got, code, sentence, &out, text)
	}
}

// TestServeRefusesPlainHTTP: people's passwords do not travel in the clear, except on this machine.
func TestServeRefusesPlainHTTP(t *testing.T) {
	const plain = "is plain http for a host that is not loopback: use https"
	for _, base := range []string{"http://id.example.org", "http://192.0.2.1:8080", "http://0.0.0.0", "http://localhost.example.org", "http://127.0.0.1.example.org", "http://id.example.org/"} {
		dir := filepath.Join(t.TempDir(), "data")
		refusesToServe(t, exitUsage, plain, "--data", dir, "--base-url", base)
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: the folder was made all the same", base)
		}
	}
	for base, sentence := range map[string]string{
		"id.example.org": "is no URL", "ftp://id.example.org": "is no URL", "https://": "is no URL",
		"https://id.example.org/sso": "must be an origin alone", "https://id.example.org?x": "must be an origin alone", "https://a@id.example.org": "must be an origin alone",
	} {
		refusesToServe(t, exitUsage, sentence, "--data", filepath.Join(t.TempDir(), "data"), "--base-url", base)
	}
	for listen, sentence := range map[string]string{"0.0.0.0:0": "say with --base-url", ":0": "say with --base-url", "[::]:0": "say with --base-url", "8080": "is no address: write it like 127.0.0.1:8080"} {
		refusesToServe(t, exitUsage, sentence, "--data", filepath.Join(t.TempDir(), "data"), "--listen", listen)
	}
}

// TestServeKeepsDataTogether takes a piece of the folder away or spoils it: one sentence says so, and nothing is made anew.
func TestServeKeepsDataTogether(t *testing.T) {
	write := func(t *testing.T, path string, content []byte) {
		t.Helper()
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, one := range map[string]struct {
		harm     func(t *testing.T, key, database string)
		sentence string
		missing  string // what must not be there afterwards either
	}{
		"lost key": {func(t *testing.T, key, _ string) {
			if err := os.Remove(key); err != nil {
				t.Fatal(err)
			}
		}, "put the file back from where you keep it; a new one could not open what is sealed", "seal.key"},
		"another key": {func(t *testing.T, key, _ string) {
			write(t, key, []byte(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))+"\n"))
		}, "is not the one of this store", ""},
		"no key": {func(t *testing.T, key, _ string) { write(t, key, []byte("hello\n")) }, "seal.key is not a sealing key: it must hold 32 bytes in base64 on one line", ""},
		"open key": {func(t *testing.T, key, _ string) {
			if err := os.Chmod(key, 0o644); err != nil {
				t.Fatal(err)
			}
		}, "run chmod 600 on it", ""},
		"lost database": {func(t *testing.T, _, database string) {
			if err := os.Remove(database); err != nil {
				t.Fatal(err)
			}
		}, "gatehouse.db is missing although its sealing key is there: put the database back from a backup, or remove seal.key to begin anew", "gatehouse.db"},
		"damaged database": {func(t *testing.T, _, database string) { write(t, database, bytes.Repeat([]byte("hello "), 10_000)) }, "gatehouse.db cannot be used; put a backup in its place", ""},
		"empty database":   {func(t *testing.T, _, database string) { write(t, database, nil) }, "gatehouse.db cannot be used; put a backup in its place", ""},
		"cut database": {func(t *testing.T, _, database string) {
			if err := os.Truncate(database, 8192); err != nil {
				t.Fatal(err)
			}
		}, "gatehouse.db cannot be used; put a backup in its place", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := served(t)
			one.harm(t, filepath.Join(dir, "seal.key"), filepath.Join(dir, "gatehouse.db"))
			for range 2 {
				refusesToServe(t, exitRefused, one.sentence, "--data", dir)
			}
			if one.missing == "" {
				return
			}
			if _, err := os.Stat(filepath.Join(dir, one.missing)); err == nil {
				t.Errorf("%s was made anew", one.missing)
			}
		})
	}
}

// TestServeBeginsAnew: with both gone the folder is a new one, and a clean stop leaves what the next start needs.
func TestServeBeginsAnew(t *testing.T) {
	dir := served(t)
	running(t, dir)()
	for _, name := range []string{"gatehouse.db", "seal.key"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	running(t, dir)()
}

// TestServeIsAlone: a second server on the folder, or on the port, is refused and the first one is not disturbed.
func TestServeIsAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	running(t, dir)
	refusesToServe(t, exitRefused, "another Gatehouse uses "+filepath.Join(dir, "gatehouse.db")+"; stop it or give this one a data folder of its own", "--data", dir)
	if code, _, errs := command(t, nil, "user", "list", "--data", dir); code != exitOK {
		t.Errorf("the first server does not answer any more: exit %d: %s", code, errs)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	refusesToServe(t, exitRefused, "cannot listen on "+address, "--data", filepath.Join(t.TempDir(), "other"), "--listen", address)
}

// TestServeRefusesCertificatesFromNowhere: what would take a stranger's word for a certificate, or could not work, is said at once.
func TestServeRefusesCertificatesFromNowhere(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for sentence, flags := range map[string][]string{
		"--mtls-listen needs --tls-cert":                 {"--mtls-listen", "127.0.0.1:0"},
		"--client-cert-header needs --trusted-proxy":     {"--client-cert-header", "Client-Cert"},
		"--client-ca and --mtls-url need":                {"--client-ca", empty},
		"holds no certificate in PEM":                    {"--client-ca", empty, "--trusted-proxy", "10.0.0.1/32", "--client-cert-header", "Client-Cert"},
		"--client-ca cannot be read":                     {"--client-ca", empty + ".absent", "--trusted-proxy", "10.0.0.1/32", "--client-cert-header", "Client-Cert"},
		"for client certificates must begin with https:": {"--mtls-url", "http://127.0.0.1:9", "--trusted-proxy", "10.0.0.1/32", "--client-cert-header", "Client-Cert"},
	} {
		code := exitUsage
		if strings.HasPrefix(sentence, "for client") {
			code = exitRefused
		}
		refusesToServe(t, code, sentence, append([]string{"--data", filepath.Join(t.TempDir(), "data")}, flags...)...)
	}
}

// TestDemoStaysADemo: people whose password everybody knows come neither into a folder that is in use, nor from a demo's to the network.
func TestDemoStaysADemo(t *testing.T) {
	used, played := t.TempDir(), t.TempDir()
	for path := range map[string]bool{filepath.Join(used, "gatehouse.db"): true, filepath.Join(played, "gatehouse.db"): true, filepath.Join(played, "sampleapps.json"): true} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := demo(t.Context(), "127.0.0.1:0", used, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "is no demo") {
		t.Errorf("a demo in a folder that is in use: %v", err)
	}
	if err := demoFolder(played); err != nil {
		t.Errorf("a demo goes on: %v", err)
	}
	const sentence = "is the folder of a demo"
	refusesToServe(t, exitRefused, sentence, "--data", played, "--listen", "0.0.0.0:0", "--base-url", "https://id.example.org")
	refusesToServe(t, exitRefused, sentence, "--data", played, "--listen", "127.0.0.1:0", "--base-url", "https://id.example.org")
	refusesToServe(t, exitRefused, "cannot be used", "--data", played, "--listen", "127.0.0.1:0")
}
