package bolt

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"gatehouse/store"
	"gatehouse/store/storetest"
)

// openTest opens a store in a temporary folder; at the end of the test the file must pass our check and bbolt's.
func openTest(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "gatehouse.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Errorf("close: %v", err)
		}
		checkFile(t, s.Path())
	})
	return s
}

func checkFile(t *testing.T, path string) {
	t.Helper()
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatalf("open again: %v", err)
	}
	defer func() { _ = s.Close() }()
	if err := s.Check(context.Background()); err != nil { // the test's context has ended
		t.Errorf("check: %v", err)
	}
	err = s.db.View(func(b *bbolt.Tx) error {
		var all []error
		for err := range b.Check() {
			all = append(all, err)
		}
		return errors.Join(all...)
	})
	if err != nil {
		t.Errorf("bbolt's check: %v", err)
	}
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return openTest(t) })
}
