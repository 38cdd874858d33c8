package storetest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/store"
)

func testReadOnly(t *testing.T, s store.Store) {
	view(t, s, func(tx store.Tx) error {
		wantError(t, "put", tx.Put([]byte("a"), nil), store.ErrReadOnly)
		wantError(t, "delete", tx.Delete([]byte("a")), store.ErrReadOnly)
		return nil
	})
	own := errors.New("own")
	wantError(t, "view", s.View(t.Context(), func(store.Tx) error { return own }), own)
}

func testRollback(t *testing.T, s store.Store) {
	put(t, s, "a")
	own := errors.New("own")
	err := s.Update(t.Context(), func(tx store.Tx) error {
		return errors.Join(tx.Delete([]byte("a")), putAll(tx, "b"), own)
	})
	wantError(t, "update", err, own)
	view(t, s, func(tx store.Tx) error {
		found, err := scan(tx, store.Range{})
		want(t, "after the rollback", fmt.Sprint(found), "[a]")
		return err
	})
}

func testPanic(t *testing.T, s store.Store) {
	for name, run := range map[string]func(fn func(store.Tx) error) error{
		"update": func(fn func(store.Tx) error) error { return s.Update(t.Context(), fn) },
		"view":   func(fn func(store.Tx) error) error { return s.View(t.Context(), fn) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: the panic did not come through", name)
				}
			}()
			_ = run(func(tx store.Tx) error {
				_ = tx.Put([]byte("a"), nil)
				panic("own")
			})
		}()
	}
	put(t, s, "b")
	view(t, s, func(tx store.Tx) error {
		found, err := scan(tx, store.Range{})
		want(t, "after the panics", fmt.Sprint(found), "[b]")
		return err
	})
}

func testSnapshot(t *testing.T, s store.Store) {
	put(t, s, "a", "b")
	inside, written := make(chan struct{}), make(chan struct{})
	go func() {
		<-inside
		if err := s.Update(t.Context(), func(tx store.Tx) error { return errors.Join(tx.Delete([]byte("a")), putAll(tx, "c")) }); err != nil {
			t.Errorf("update: %v", err)
		}
		close(written)
	}()
	view(t, s, func(tx store.Tx) error {
		before, err := scan(tx, store.Range{})
		close(inside)
		<-written
		after, afterErr := scan(tx, store.Range{})
		want(t, "the same view later", fmt.Sprint(after), fmt.Sprint(before))
		return errors.Join(err, afterErr)
	})
	view(t, s, func(tx store.Tx) error {
		found, err := scan(tx, store.Range{})
		want(t, "the next view", fmt.Sprint(found), "[b c]")
		return err
	})
}

func testCancelled(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	run := func(store.Tx) error { t.Error("a function ran although its context was cancelled"); return nil }
	wantError(t, "view", s.View(ctx, run), context.Canceled)
	wantError(t, "update", s.Update(ctx, run), context.Canceled)

	ctx, cancel = context.WithCancel(t.Context()) // while it waits behind another
	inside, release, first := make(chan struct{}, 2), make(chan struct{}), make(chan error)
	go func() {
		first <- s.Update(t.Context(), func(tx store.Tx) error { inside <- struct{}{}; <-release; return putAll(tx, "a") })
	}()
	<-inside
	time.AfterFunc(10*time.Millisecond, cancel)
	time.AfterFunc(30*time.Millisecond, func() { close(release) })
	wantError(t, "waiting update", s.Update(ctx, func(tx store.Tx) error {
		<-ctx.Done() // a back end that runs both at once gets here
		return ctx.Err()
	}), context.Canceled)
	if err := <-first; err != nil {
		t.Errorf("the one before: %v", err)
	}
	put(t, s, "b")
}

func testClosed(t *testing.T, s store.Store) {
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	run := func(store.Tx) error { t.Error("a function ran in a closed store"); return nil }
	wantError(t, "view", s.View(t.Context(), run), store.ErrClosed)
	wantError(t, "update", s.Update(t.Context(), run), store.ErrClosed)
	wantError(t, "close", s.Close(), store.ErrClosed)
}

func testEnded(t *testing.T, s store.Store) {
	for _, run := range []func(fn func(store.Tx) error) error{
		func(fn func(store.Tx) error) error { return s.Update(t.Context(), fn) },
		func(fn func(store.Tx) error) error { return s.View(t.Context(), fn) },
	} {
		var kept store.Tx
		if err := run(func(tx store.Tx) error { kept = tx; return nil }); err != nil {
			t.Fatal(err)
		}
		_, err := kept.Get([]byte("a"))
		wantError(t, "get", err, store.ErrClosed)
		wantError(t, "put", kept.Put([]byte("a"), nil), store.ErrClosed)
		wantError(t, "delete", kept.Delete([]byte("a")), store.ErrClosed)
		wantError(t, "scan", kept.Scan(store.Range{}, func(_, _ []byte) error { return nil }), store.ErrClosed)
	}
}

func increment(tx store.Tx, key string) error {
	value, err := tx.Get([]byte(key))
	if errors.Is(err, store.ErrNotFound) {
		value, err = make([]byte, 8), nil
	}
	if err != nil {
		return err
	}
	return tx.Put([]byte(key), binary.BigEndian.AppendUint64(nil, binary.BigEndian.Uint64(value)+1))
}

func counter(t *testing.T, s store.Store, key string) int {
	t.Helper()
	n := 0
	view(t, s, func(tx store.Tx) error {
		value, err := tx.Get([]byte(key))
		if err == nil {
			n = int(binary.BigEndian.Uint64(value))
		}
		return err
	})
	return n
}

func testContention(t *testing.T, s store.Store) {
	const writers, each = 16, 20
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for range each {
				if err := s.Update(t.Context(), func(tx store.Tx) error { return increment(tx, "n") }); err != nil {
					t.Errorf("update: %v", err)
				}
				if err := s.View(t.Context(), func(tx store.Tx) error { _, err := tx.Get([]byte("n")); return err }); err != nil {
					t.Errorf("view: %v", err)
				}
			}
		})
	}
	group.Wait()
	want(t, "counter", counter(t, s, "n"), writers*each)
}

// testNeighbours runs functions that fail in every way beside others that must not notice.
func testNeighbours(t *testing.T, s store.Store) {
	const writers, each = 16, 12
	own := errors.New("own")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	var done atomic.Int64
	var group sync.WaitGroup
	for writer := range writers {
		group.Go(func() {
			for i := range each {
				switch (writer + i) % 4 {
				case 0:
					wantError(t, "failing", s.Update(t.Context(), func(tx store.Tx) error { return errors.Join(increment(tx, "n"), own) }), own)
				case 1:
					want(t, "panicking", panics(s, func(tx store.Tx) error { _ = increment(tx, "n"); panic("own") }), true)
				case 2:
					wantError(t, "cancelled", s.Update(gone, func(tx store.Tx) error { return increment(tx, "n") }), context.Canceled)
				default:
					if err := s.Update(t.Context(), func(tx store.Tx) error { return increment(tx, "n") }); err != nil {
						t.Errorf("neighbour: %v", err)
					}
					done.Add(1)
				}
			}
		})
	}
	group.Wait()
	want(t, "counter", counter(t, s, "n"), int(done.Load()))
}

func panics(s store.Store, fn func(store.Tx) error) (panicked bool) {
	defer func() { panicked = recover() != nil }()
	_ = s.Update(context.Background(), fn)
	return false
}

func testCloseWaits(t *testing.T, s store.Store) {
	inside, release := make(chan struct{}, 2), make(chan struct{})
	result := make(chan error)
	go func() {
		result <- s.Update(t.Context(), func(tx store.Tx) error { inside <- struct{}{}; <-release; return putAll(tx, "a") })
	}()
	<-inside
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	select {
	case <-closed:
		t.Error("Close returned while an update ran")
	case <-time.After(20 * time.Millisecond):
	}
	close(release)
	// Under Rerun the second run may find the store closed; the first must not.
	if err := <-result; err != nil && !errors.Is(err, store.ErrClosed) {
		t.Errorf("update: %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("close: %v", err)
	}
}
