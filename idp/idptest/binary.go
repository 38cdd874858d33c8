package idptest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/idp/api"
)

// Binary builds cmd/gatehouse once per test process and returns its path, which TestMain removes.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := builtBinary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var builtBinary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp(runFolder, "gatehouse-binary-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "gatehouse")
	out, err := exec.Command("go", "build", "-o", path, "gatehouse/cmd/gatehouse").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building the binary: %w\n%s", err, out)
	}
	return path, nil
})

// runFolder is the folder of this test process, which TestMain makes and removes.
var runFolder string

// Process is a Gatehouse in a process of its own, as it runs in production.
type Process struct {
	Server
	PID    int
	Start  time.Duration // from exec to the ready line
	Output string        // what it printed before the ready line
	cmd    *exec.Cmd
	logs   lockedBuffer
	ended  chan error
}

// StartBinary runs `gatehouse serve` on a folder and waits for its ready line. Its port is free for another start on the same one.
func StartBinary(t testing.TB, dir string, flags ...string) *Process {
	t.Helper()
	return startCommand(t, dir, append([]string{"serve", "--data", dir, "--listen", loopback(freePort(t)), "--private-listen", "off"}, flags...)...)
}

// Profiled is a free address for a server's --private-listen where GATEHOUSE_PROFILE names a folder, for Profile; else "off".
func Profiled(t testing.TB) string {
	t.Helper()
	if os.Getenv("GATEHOUSE_PROFILE") == "" {
		return "off"
	}
	return loopback(freePort(t))
}

// Profile writes what the processor of a server does during the next seconds into that folder, as a file for `go tool pprof`, and
// returns a function that waits for the end. Without a folder it does nothing.
func Profile(t testing.TB, private, name string, seconds int) (wait func()) {
	t.Helper()
	if private == "off" {
		return func() {}
	}
	done := make(chan error, 1)
	go func() {
		response, err := http.Get(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", private, seconds))
		if err == nil {
			defer response.Body.Close()
			var all []byte
			if all, err = io.ReadAll(response.Body); err == nil {
				err = os.WriteFile(filepath.Join(os.Getenv("GATEHOUSE_PROFILE"), strings.ReplaceAll(name, "/", "_")+".pprof"), all, 0o600)
			}
		}
		done <- err
	}()
	return func() {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// StartDemo runs `gatehouse demo` on a folder and an address, and waits for its ready line.
func StartDemo(t testing.TB, dir, listen string) *Process {
	t.Helper()
	return startCommand(t, dir, "demo", "--data", dir, "--listen", listen)
}

func startCommand(t testing.TB, dir string, args ...string) *Process {
	t.Helper()
	p := &Process{ended: make(chan error, 1), cmd: exec.Command(Binary(t), args...)}
	p.cmd.Stderr = &p.logs
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); p.URL == "" && lines.Scan(); {
		if url, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
			p.URL = url
		} else {
			p.Output += lines.Text() + "\n"
		}
	}
	p.Start = time.Since(began)
	p.PID, p.Dir, p.API = p.cmd.Process.Pid, dir, api.OverSocket(dir)
	go func() { p.ended <- p.cmd.Wait() }()
	t.Cleanup(p.Kill)
	if p.URL == "" {
		t.Fatalf("the server did not get ready: %v\n%s", <-p.ended, p.logs.String())
	}
	return p
}

// lockedBuffer is read while the process still writes into it.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.String()
}

// Kill ends the process as a power cut does (SIGKILL) and waits until it is gone.
func (p *Process) Kill() {
	if p.cmd.Process.Kill() == nil {
		<-p.ended
		p.ended <- nil
	}
}

// Terminate asks the process to stop (SIGTERM) and returns how it ended.
func (p *Process) Terminate(ctx context.Context) error {
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	select {
	case err := <-p.ended:
		p.ended <- err
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// CPU is the processor time that the process has used so far, user and system, from /proc/PID/stat (in clock ticks of 10 ms).
func (p *Process) CPU(t testing.TB) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// Memory is the process's anonymous resident memory (RssAnon) in bytes.
func (p *Process) Memory(t testing.TB) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("no RssAnon in /proc")
	return 0
}
