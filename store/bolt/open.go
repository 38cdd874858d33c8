package bolt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"gatehouse/store"
)

const (
	lockTimeout = time.Second
	// mapSize is the address space, not memory, that a file may grow into before bbolt must map it again, for which it
	// waits until every View has ended.
	mapSize = 1 << 30
)

// Open opens the file, or creates it with mode 0600 when there is none. A damaged file gives store.ErrCorrupt, one that
// another process has open store.ErrBusy.
func Open(path string, opts Options) (*Store, error) {
	switch err := inspect(path); {
	case errors.Is(err, fs.ErrNotExist):
		if err := create(path); err != nil {
			return nil, fmt.Errorf("create %s: %w", path, err)
		}
	case err != nil:
		return nil, openError(path, err)
	}
	db, err := open(path, opts)
	if err != nil {
		return nil, openError(path, err)
	}
	s := &Store{db: db, path: path}
	s.writer.start(s)
	if err := s.View(context.Background(), func(store.Tx) error { return nil }); err != nil {
		return nil, errors.Join(openError(path, err), db.Close())
	}
	return s, nil
}

func openError(path string, err error) error {
	if errors.Is(err, berrors.ErrTimeout) {
		return fmt.Errorf("another Gatehouse uses %s; stop it or give this one a data folder of its own: %w", path, store.ErrBusy)
	}
	if errors.Is(err, store.ErrCorrupt) {
		return fmt.Errorf("%s cannot be used; put a backup in its place with `gatehouse restore`: %w", path, err)
	}
	return fmt.Errorf("open %s: %w", path, err)
}

// open is bbolt.Open that meets damage with an error and leaves nothing open behind it.
func open(path string, opts Options) (db *bbolt.DB, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	var file *os.File
	defer func() {
		if err != nil && file != nil {
			_ = file.Close() // a panic leaves it open and locked; twice does no harm
		}
	}()
	defer recoverDamage(&err)
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:         lockTimeout,
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: mapSize,
		MaxSize:         opts.MaxSize,
		NoStatistics:    true,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			var err error
			file, err = os.OpenFile(name, flag, mode)
			return file, err
		},
	})
	if errors.Is(err, berrors.ErrInvalid) || errors.Is(err, berrors.ErrChecksum) || errors.Is(err, berrors.ErrVersionMismatch) {
		err = fmt.Errorf("%w: %v", store.ErrCorrupt, err)
	}
	return db, err
}

// create makes the file under another name and links it into place whole, so that a crash leaves no half of one, and of
// two processes that start at once both use the same.
func create(path string) error {
	temp, err := os.MkdirTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(temp) }()
	fresh := filepath.Join(temp, "store")
	db, err := open(fresh, Options{})
	if err != nil {
		return err
	}
	err = db.Update(func(b *bbolt.Tx) error {
		_, err := b.CreateBucket(bucket)
		return err
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err := os.Link(fresh, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes the name of a new file survive a power cut.
func syncFolder(name string) error {
	folder, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
