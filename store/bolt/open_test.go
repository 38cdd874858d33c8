package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/store"
)

// written returns the path of a closed store of some 500 kB.
func written(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for part := range 5 {
		err := s.Update(t.Context(), func(tx store.Tx) error {
			for i := range 200 {
				if err := tx.Put(fmt.Appendf(nil, "%d-%06d", part, i), bytes.Repeat([]byte{'v'}, 400)); err != nil {
					return err
				}
			}
			return tx.Put(fmt.Appendf(nil, "%d-large", part), make([]byte, 20_000))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCreate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}
	if all, _ := os.ReadDir(filepath.Dir(path)); len(all) != 1 {
		t.Errorf("left in the folder: %v", all)
	}
	if _, err := Open(path, Options{}); !errors.Is(err, store.ErrBusy) || !strings.Contains(err.Error(), "another Gatehouse uses "+path) {
		t.Errorf("second open: %v", err)
	}
	if _, err := Open(filepath.Join(path, "x"), Options{}); err == nil {
		t.Error("a file in a file was opened")
	}
	if _, err := Open(filepath.Join(filepath.Dir(path), "none", "x"), Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}

// TestDamagedFile spoils a file in every way that is known to stop bbolt: each must end in a clear error.
func TestDamagedFile(t *testing.T) {
	path := written(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	scramble := func(pages ...int) []byte {
		b := bytes.Clone(whole)
		for _, p := range pages {
			for i := range 4096 {
				b[p*4096+i] = byte(i*7 + 13)
			}
		}
		return b
	}
	for name, content := range map[string][]byte{
		"empty": nil, "one byte": {1}, "text": bytes.Repeat([]byte("hello "), 10_000), "zeros": make([]byte, 1<<16),
		"two pages": whole[:8192], "100 pages": whole[:100*4096], "both metas": scramble(0, 1),
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Open(path, Options{})
			if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "gatehouse restore") {
				t.Errorf("open: %v", err)
			}
		})
	}
	for _, one := range [][]byte{scramble(0), scramble(1)} { // bbolt keeps two, so that one may be lost
		if err := os.WriteFile(path, one, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path, Options{})
		if err != nil {
			t.Fatalf("open with one meta: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestDamagedPages spoils one page after the other: whatever is hit, nothing panics and nobody gets a wrong value.
func TestDamagedPages(t *testing.T) {
	path := written(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	metas, err := readMetas(bytes.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	m := newest(metas)
	whole = whole[:int64(m.pages)*m.pageSize] // without what the file has in reserve
	found := 0
	for p := 2; p < int(m.pages); p++ {
		b := bytes.Clone(whole)
		for i := range 64 { // header and first entries
			b[p*4096+i] ^= byte(0xA5 + i)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		err := useDamaged(t, path)
		if err != nil && !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("page %d: %v", p, err)
		}
		if err != nil {
			found++
		}
	}
	if found < int(m.pages)/2 {
		t.Errorf("%d of %d damaged pages were noticed", found, m.pages)
	}
}

// useDamaged opens, checks, reads and writes a damaged store and returns the check's error.
func useDamaged(t *testing.T, path string) error {
	s, err := Open(path, Options{})
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	checked := s.Check(t.Context())
	err = s.View(t.Context(), func(tx store.Tx) error {
		for part := range 5 {
			value, err := tx.Get(fmt.Appendf(nil, "%d-%06d", part, 100))
			if err == nil && len(value) != 400 {
				t.Errorf("a wrong value of %d bytes", len(value))
			}
		}
		return tx.Scan(store.Range{Reverse: true}, func(_, _ []byte) error { return nil })
	})
	if err != nil && !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("view: %v", err)
	}
	err = s.Update(t.Context(), func(tx store.Tx) error {
		return errors.Join(tx.Put([]byte("2-000050"), nil), tx.Put([]byte("a"), nil), tx.Delete([]byte("4-000100")))
	})
	if err != nil && !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("update: %v", err)
	}
	return checked
}

func TestFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	s, err := Open(path, Options{MaxSize: 32 << 20})
	if err != nil {
		t.Fatal(err)
	}
	put := func(key string, size int) error {
		return s.Update(t.Context(), func(tx store.Tx) error { return tx.Put([]byte(key), make([]byte, size)) })
	}
	if err := put("a", 1<<20); err != nil {
		t.Fatal(err)
	}
	if err := put("b", 40<<20); !errors.Is(err, store.ErrBusy) || !strings.Contains(err.Error(), "free some disk space") {
		t.Errorf("update of a full store: %v", err)
	}
	if err := put("c", 1<<20); err != nil {
		t.Errorf("a small update afterwards: %v", err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("check: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	checkFile(t, path)
}

// TestCutWhileOpen takes the file away under an open store: reading must fail, not end the process.
func TestCutWhileOpen(t *testing.T) {
	path := written(t)
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 8192); err != nil {
		t.Fatal(err)
	}
	err = s.View(t.Context(), func(tx store.Tx) error { return tx.Scan(store.Range{}, func(_, _ []byte) error { return nil }) })
	if !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("view: %v", err)
	}
	if err := s.Check(t.Context()); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("check: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}
