package bolt

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"go.etcd.io/bbolt"

	"gatehouse/store"
)

// TestGrouping holds the first update until others wait: they must share one commit, in which each sees those before.
func TestGrouping(t *testing.T) {
	s := openTest(t)
	before := lastCommit(t, s)
	inside, release := make(chan struct{}), make(chan struct{})
	var group sync.WaitGroup
	update := func(fn func(tx store.Tx) error, want error) {
		group.Go(func() {
			if err := s.Update(t.Context(), fn); !errors.Is(err, want) {
				t.Errorf("update: %v, want %v", err, want)
			}
		})
	}
	update(func(tx store.Tx) error { close(inside); <-release; return tx.Put([]byte("first"), nil) }, nil)
	<-inside
	own, seen := errors.New("own"), 0
	for i := range 20 {
		if i%5 == 4 {
			update(func(tx store.Tx) error { _ = tx.Put([]byte("failed"), nil); return own }, own)
			continue
		}
		update(func(tx store.Tx) error {
			n := 0
			err := tx.Scan(store.PrefixRange([]byte("k")), func(_, _ []byte) error { n++; return nil })
			seen = max(seen, n)
			return errors.Join(err, tx.Put(fmt.Appendf(nil, "k%d", i), nil))
		}, nil)
	}
	for waiting := 0; waiting < 20; runtime.Gosched() {
		s.writer.mu.Lock()
		waiting = len(s.writer.queue)
		s.writer.mu.Unlock()
	}
	close(release)
	group.Wait()
	if n := lastCommit(t, s) - before; n != 2 {
		t.Errorf("%d commits, want 2", n)
	}
	if seen != 15 {
		t.Errorf("the last of the batch saw %d writes, want 15", seen)
	}
	err := s.View(t.Context(), func(tx store.Tx) error {
		_, err := tx.Get([]byte("failed"))
		return err
	})
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("what a failing function wrote: %v", err)
	}
}

func lastCommit(t *testing.T, s *Store) (n int) {
	t.Helper()
	if err := s.db.View(func(b *bbolt.Tx) error { n = b.ID(); return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestPagesAreFilled writes what sign-ons do, mostly audit entries at the end of the others, and keys that come at random: neither may
// leave pages half empty.
func TestPagesAreFilled(t *testing.T) {
	signOn := func(n int) []write {
		entry := fmt.Appendf(nil, "audit-e%09d", n)
		return []write{
			{fmt.Appendf(nil, "answered%x", sha256.Sum256(entry)), make([]byte, 135)},
			{entry, make([]byte, 823)},
			{[]byte("audit-h"), make([]byte, 44)},
			{fmt.Appendf(nil, "audit-u%040d", n), make([]byte, 20)},
		}
	}
	token := func(n int) []write {
		return []write{{fmt.Appendf(nil, "token%x", sha256.Sum256(fmt.Append(nil, n))), make([]byte, 300)}}
	}
	for name, writes := range map[string]func(n int) []write{"sign-ons": signOn, "tokens": token} {
		t.Run(name, func(t *testing.T) {
			s := openTest(t)
			const all, batch = 1000, 5
			for from := 0; from < all; from += batch {
				err := s.Update(t.Context(), func(tx store.Tx) (err error) {
					for n := from; n < from+batch; n++ {
						for _, w := range writes(n) {
							err = errors.Join(err, tx.Put(w.key, w.value))
						}
					}
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			if use := leafUse(t, s); use < 60 {
				t.Errorf("leaf pages are %d %% full, want 60", use)
			}
		})
	}
}

// leafUse is how much of the leaf pages is in use, in per cent.
func leafUse(t *testing.T, s *Store) (use int) {
	t.Helper()
	err := s.db.View(func(b *bbolt.Tx) error {
		stats := b.Bucket(bucket).Stats()
		use = stats.LeafInuse * 100 / stats.LeafAlloc
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return use
}

// TestGoexit ends the goroutine that leads, as t.Fatal in a function does: the store must go on.
func TestGoexit(t *testing.T) {
	s := openTest(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Update(context.Background(), func(tx store.Tx) error {
			_ = tx.Put([]byte("a"), nil)
			runtime.Goexit()
			return nil
		})
	}()
	<-done
	err := s.Update(t.Context(), func(tx store.Tx) error {
		if _, err := tx.Get([]byte("a")); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("what it wrote: %v", err)
		}
		return tx.Put([]byte("b"), nil)
	})
	if err != nil {
		t.Error(err)
	}
}

// TestCheckWhileWriting checks in the background of many commits.
func TestCheckWhileWriting(t *testing.T) {
	s := openTest(t)
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for writer := range 4 {
		group.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				key := fmt.Appendf(nil, "%d-%03d", writer, n%300)
				if err := s.Update(t.Context(), func(tx store.Tx) error { return tx.Put(key, make([]byte, 300+n%100)) }); err != nil {
					t.Errorf("update: %v", err)
				}
			}
		})
	}
	for end := lastCommit(t, s) + 200; lastCommit(t, s) < end && !t.Failed(); {
		if err := s.Check(t.Context()); err != nil {
			t.Errorf("check: %v", err)
		}
	}
	stop()
	group.Wait()
	if err := s.Check(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled check: %v", err)
	}
}
