// Package bolt keeps a store.Store in one bbolt file.
//
// It owns the file: creating it whole or not at all, looking at it before bbolt maps it, checking it, and the writer,
// which puts the updates that wait while one fsync runs into the next transaction. It knows no table and no domain word,
// and nothing of bbolt leaves it. Read bolt.go, then writer.go.
package bolt

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"gatehouse/store"
)

// Options of a Store; the zero value is right for a server.
type Options struct {
	// MaxSize bounds the file in bytes: updates that would need more fail with store.ErrBusy. Zero: no bound.
	MaxSize int
}

// Store is a store.Store in one file. Its methods may be called from any goroutine.
type Store struct {
	db     *bbolt.DB
	path   string
	writer writer
}

// bucket holds every key.
var bucket = []byte("gatehouse")

// Path returns the file's name as Open was given it.
func (s *Store) Path() string { return s.path }

// View implements store.Store. fn must not call Update of the same store: a file that has to grow waits for every View.
func (s *Store) View(ctx context.Context, fn func(store.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	// A damaged file can lead bbolt outside its memory map; this turns the fault into a panic, which tx recovers.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	b, err := s.db.Begin(false)
	if err != nil {
		return s.beginError(err)
	}
	defer func() { _ = b.Rollback() }()
	t := &tx{ctx: ctx}
	if t.bucket, err = openBucket(b); err != nil {
		return err
	}
	defer t.end()
	return fn(t)
}

// Update implements store.Store. Everything is at hand here, so the names of the keys it will read are not used.
// A panic in fn is raised again in the caller's goroutine, as an error that holds the stack.
func (s *Store) Update(ctx context.Context, fn func(store.Tx) error, _ ...[]byte) error {
	return s.writer.update(ctx, fn)
}

// Close implements store.Store.
func (s *Store) Close() error {
	if !s.writer.close() {
		return store.ErrClosed
	}
	return s.db.Close()
}

func (s *Store) beginError(err error) error {
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return store.ErrClosed
	}
	return fmt.Errorf("%s: %w", s.path, err)
}

func openBucket(b *bbolt.Tx) (found *bbolt.Bucket, err error) {
	defer recoverDamage(&err)
	if found = b.Bucket(bucket); found == nil {
		return nil, fmt.Errorf("no bucket %q in the file: %w", bucket, store.ErrCorrupt)
	}
	return found, nil
}

// recoverDamage turns a panic inside bbolt, which is how it meets a damaged page, into store.ErrCorrupt.
func recoverDamage(err *error) {
	if cause := recover(); cause != nil {
		*err = fmt.Errorf("%w: %v", store.ErrCorrupt, cause)
	}
}
