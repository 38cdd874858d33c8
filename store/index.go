package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// entry is one index key of a record; its value is the record's key.
type entry struct {
	key         []byte
	index, text string // of a unique entry, for the ConflictError; index is empty otherwise
}

func (t *Table[T]) entries(key string, record *T) []entry {
	var all []entry
	for index, value := range t.Unique {
		if text := value(record); text != "" {
			all = append(all, entry{t.uniqueKey(index, text), index, text})
		}
	}
	for index, values := range t.Lists {
		for _, text := range values(record) {
			all = append(all, entry{key: append(t.prefix('l'), index+"\x00"+text+"\x00"+key...), text: text})
		}
	}
	if t.Expires != nil {
		if at := t.Expires(record); !at.IsZero() {
			all = append(all, entry{key: append(append(t.prefix('x'), timeBytes(at)...), key...)})
		}
	}
	return all
}

func (t *Table[T]) hasIndexes() bool { return len(t.Unique)+len(t.Lists) > 0 || t.Expires != nil }

// reindex brings the index entries from those of the stored record, if any, to those of the new one.
func (t *Table[T]) reindex(tx Tx, key string, record *T) error {
	if !t.hasIndexes() {
		return nil
	}
	var before []entry
	old, _, err := t.Get(tx, key)
	if err == nil {
		before = t.entries(key, &old)
	} else if !errors.Is(err, ErrNotFound) {
		return err
	}
	after := t.entries(key, record)
	added := without(after, before)
	if err := t.checkEntries(tx, key, added); err != nil {
		return err
	}
	for _, e := range without(before, after) {
		if err := tx.Delete(e.key); err != nil {
			return err
		}
	}
	for _, e := range added {
		if err := tx.Put(e.key, []byte(key)); err != nil {
			return err
		}
	}
	return nil
}

// without returns the entries that others do not have; there are a handful.
func without(entries, others []entry) []entry {
	if len(others) == 0 {
		return entries
	}
	return slices.DeleteFunc(slices.Clone(entries), func(e entry) bool {
		return slices.ContainsFunc(others, func(other entry) bool { return bytes.Equal(e.key, other.key) })
	})
}

// checkEntries refuses values that cannot be indexed, and unique ones of another record: of several the first by name.
func (t *Table[T]) checkEntries(tx Tx, key string, added []entry) error {
	var conflict *ConflictError
	for _, e := range added {
		if err := checkText("indexed value", e.text); err != nil {
			return fmt.Errorf("%s: %w", t.Name, err)
		}
		if len(e.key) > MaxKey {
			return fmt.Errorf("%s: an indexed value and the key are together longer than %d bytes", t.Name, MaxKey)
		}
		if e.index == "" {
			continue
		}
		taken, err := t.taken(tx, key, e)
		if err != nil {
			return err
		}
		if taken && (conflict == nil || e.index < conflict.Index) {
			conflict = &ConflictError{t.Name, e.index, e.text}
		}
	}
	if conflict != nil {
		return conflict
	}
	return nil
}

// taken tells whether another record that exists has the unique entry.
func (t *Table[T]) taken(tx Tx, key string, e entry) (bool, error) {
	held, err := tx.Get(e.key)
	if err == nil && string(held) != key {
		_, err = tx.Get(t.recordKey(string(held)))
	} else if err == nil {
		return false, nil
	}
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// timeBytes sorts like the times between 1970 and 2262; others count as the nearer end.
func timeBytes(at time.Time) []byte {
	nano := uint64(0)
	if at.After(time.Unix(0, math.MaxInt64)) {
		nano = math.MaxInt64
	} else if at.Unix() >= 0 {
		nano = uint64(at.UnixNano())
	}
	return binary.BigEndian.AppendUint64(nil, nano)
}
