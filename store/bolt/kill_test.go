package bolt

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/store"
)

const killedFile = "GATEHOUSE_TEST_KILLED_FILE" // tells this binary to be the child of TestKill

func TestMain(m *testing.M) {
	if path := os.Getenv(killedFile); path != "" {
		if err := writeUntilKilled(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// writeUntilKilled prints every key once its update was acknowledged.
func writeUntilKilled(path string) error {
	s, err := Open(path, Options{})
	if err != nil {
		return err
	}
	round := time.Now().UnixNano()
	var group sync.WaitGroup
	for writer := range 16 {
		group.Go(func() {
			for n := 0; ; n++ {
				key := fmt.Sprintf("%d-%02d-%06d", round, writer, n)
				if err := s.Update(context.Background(), func(tx store.Tx) error { return tx.Put([]byte(key), []byte(key)) }); err != nil {
					fmt.Fprintln(os.Stderr, err)
					return
				}
				_, _ = os.Stdout.WriteString(key + "\n") // one write: no line of another between
			}
		})
	}
	group.Wait()
	return nil
}

func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	var acknowledged []string
	for range 5 {
		acknowledged = append(acknowledged, killOne(t, path)...)
		s, err := Open(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		err = s.View(t.Context(), func(tx store.Tx) error {
			for _, key := range acknowledged {
				if _, err := tx.Get([]byte(key)); err != nil {
					t.Errorf("acknowledged key %s: %v", key, err)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		checkFile(t, path)
	}
	t.Logf("%d acknowledged updates", len(acknowledged))
}

// killOne lets a child write for a random time and returns what it acknowledged.
func killOne(t *testing.T, path string) []string {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), killedFile+"="+path)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	var keys []string
	for {
		line, err := lines.ReadString('\n')
		if err != nil { // a line cut short was not acknowledged in full
			break
		}
		if keys = append(keys, strings.TrimSpace(line)); len(keys) == 1 {
			time.AfterFunc(time.Duration(rand.IntN(150))*time.Millisecond, func() { _ = child.Process.Kill() })
		}
	}
	_ = child.Wait() // killed
	if len(keys) == 0 {
		t.Fatal("the child acknowledged nothing")
	}
	return keys
}
