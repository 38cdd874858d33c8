package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"gatehouse/store"
)

// tx is one transaction: what its function wrote, over what the functions before it in the batch wrote, over the file.
// A View has the file only.
type tx struct {
	ctx        context.Context
	bucket     *bbolt.Bucket
	cursor     *bbolt.Cursor // for Get; made by the first one
	own, batch *layer        // nil in View
	ended      bool
}

func (t *tx) end() { t.ended = true }

// Get implements store.Tx.
func (t *tx) Get(key []byte) ([]byte, error) {
	if t.ended {
		return nil, store.ErrClosed
	}
	if t.own != nil {
		w := t.own.get(key)
		if w == nil {
			w = t.batch.get(key)
		}
		if w != nil && w.value == nil {
			return nil, store.ErrNotFound
		}
		if w != nil {
			return append([]byte{}, w.value...), nil
		}
	}
	return t.stored(key)
}

func (t *tx) stored(key []byte) (value []byte, err error) {
	defer recoverDamage(&err)
	if t.cursor == nil {
		t.cursor = t.bucket.Cursor()
	}
	found, inFile := t.cursor.Seek(key)
	if found == nil || !bytes.Equal(found, key) {
		return nil, store.ErrNotFound
	}
	return append([]byte{}, inFile...), nil
}

// Put implements store.Tx.
func (t *tx) Put(key, value []byte) error {
	if err := t.writable(); err != nil {
		return err
	}
	if len(key) == 0 || len(key) > store.MaxKey {
		return fmt.Errorf("a key must be 1 to %d bytes long, this one is %d", store.MaxKey, len(key))
	}
	if len(value) > store.MaxValue {
		return fmt.Errorf("a value must be at most %d bytes long, this one is %d", store.MaxValue, len(value))
	}
	both := make([]byte, len(key)+len(value))
	copy(both[copy(both, key):], value)
	t.own.put(write{both[:len(key):len(key)], both[len(key):]})
	return nil
}

// Delete implements store.Tx.
func (t *tx) Delete(key []byte) error {
	if err := t.writable(); err != nil {
		return err
	}
	if len(key) > 0 && len(key) <= store.MaxKey {
		t.own.put(write{key: bytes.Clone(key)})
	}
	return nil
}

func (t *tx) writable() error {
	if t.ended {
		return store.ErrClosed
	}
	if t.own == nil {
		return store.ErrReadOnly
	}
	return nil
}

// Scan implements store.Tx. It shows the state at its call, whatever fn writes.
func (t *tx) Scan(r store.Range, fn func(key, value []byte) error) error {
	if t.ended {
		return store.ErrClosed
	}
	s := scan{r: r, cursor: t.bucket.Cursor()}
	if t.own != nil {
		s.pending = merge(t.own.within(r), t.batch.within(r))
	}
	if r.Reverse {
		slices.Reverse(s.pending)
	}
	if err := s.start(); err != nil {
		return err
	}
	for n := 0; ; n++ {
		if n%64 == 0 && t.ctx.Err() != nil {
			return t.ctx.Err()
		}
		w, err := s.next()
		if err != nil || w.key == nil {
			return err
		}
		both := make([]byte, len(w.key)+len(w.value))
		copy(both[copy(both, w.key):], w.value)
		if err := fn(both[:len(w.key):len(w.key)], both[len(w.key):]); err != nil {
			if errors.Is(err, store.ErrStop) {
				return nil
			}
			return err
		}
	}
}

// scan walks a range of the file and the writes over it, side by side.
type scan struct {
	r       store.Range
	cursor  *bbolt.Cursor
	inFile  write   // the file's next pair; its key is nil at the end
	pending []write // in the order of the scan
}

func (s *scan) start() (err error) {
	defer recoverDamage(&err)
	switch {
	case !s.r.Reverse:
		s.inFile.key, s.inFile.value = s.cursor.Seek(s.r.From)
	case s.r.To == nil:
		s.inFile.key, s.inFile.value = s.cursor.Last()
	default:
		if key, _ := s.cursor.Seek(s.r.To); key == nil {
			s.inFile.key, s.inFile.value = s.cursor.Last()
		} else {
			s.inFile.key, s.inFile.value = s.cursor.Prev()
		}
	}
	s.bound()
	return nil
}

func (s *scan) step() (err error) {
	defer recoverDamage(&err)
	if s.r.Reverse {
		s.inFile.key, s.inFile.value = s.cursor.Prev()
	} else {
		s.inFile.key, s.inFile.value = s.cursor.Next()
	}
	s.bound()
	return nil
}

func (s *scan) bound() {
	if s.inFile.key != nil && !inRange(s.r, s.inFile.key) {
		s.inFile.key = nil
	}
}

// next returns the next pair that is not deleted, a nil key at the end.
func (s *scan) next() (write, error) {
	for {
		order := s.compare()
		at := s.inFile
		if order <= 0 && s.inFile.key != nil {
			if err := s.step(); err != nil {
				return write{}, err
			}
		}
		if order < 0 || (order == 0 && len(s.pending) == 0) {
			return at, nil
		}
		w := s.pending[0]
		s.pending = s.pending[1:]
		if w.value != nil {
			return w, nil
		}
	}
}

// compare tells which comes first: negative the file's pair, positive the pending write, zero both at once, or neither.
func (s *scan) compare() int {
	switch {
	case s.inFile.key == nil && len(s.pending) == 0:
		return 0
	case s.inFile.key == nil:
		return 1
	case len(s.pending) == 0:
		return -1
	case s.r.Reverse:
		return bytes.Compare(s.pending[0].key, s.inFile.key)
	default:
		return bytes.Compare(s.inFile.key, s.pending[0].key)
	}
}

func inRange(r store.Range, key []byte) bool {
	return bytes.Compare(key, r.From) >= 0 && (r.To == nil || bytes.Compare(key, r.To) < 0)
}
