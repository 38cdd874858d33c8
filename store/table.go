package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Table lays records of type T over a Tx. The zero value of the optional fields means: no index, no expiry.
//
// Keys on disk: NAME 0 'r' KEY for records, NAME 0 'u' INDEX 0 VALUE for unique indexes, NAME 0 'l' INDEX 0 VALUE 0 KEY
// for list indexes, NAME 0 'x' TIME KEY for expiry. Names, record keys and index values must not hold a zero byte.
type Table[T any] struct {
	Name    string // short, stable, unique in the store
	Version int    // schema version; a value with a higher one is refused with ErrNewer
	Key     func(*T) string
	Unique  map[string]func(*T) string   // an empty value is not indexed
	Lists   map[string]func(*T) []string // each value finds the record by List
	Expires func(*T) time.Time           // zero: never; Sweep deletes afterwards
}

// Revision identifies one write of one record; it changes on every Put. Zero stands for an absent record.
type Revision uint64

// ConflictError tells which unique index of which table refused a Put. It wraps ErrExists.
type ConflictError struct{ Table, Index, Value string }

func (e *ConflictError) Error() string {
	return fmt.Sprintf("%s: %s %q %v", e.Table, e.Index, e.Value, ErrExists)
}

// Unwrap makes errors.Is(err, ErrExists) true.
func (e *ConflictError) Unwrap() error { return ErrExists }

// Get returns the record and its revision, or ErrNotFound with revision zero.
func (t *Table[T]) Get(tx Tx, key string) (T, Revision, error) {
	var record T
	if key == "" {
		return record, 0, t.failed(key, ErrNotFound)
	}
	full := t.recordKey(key)
	value, err := tx.Get(full)
	if err != nil {
		return record, 0, t.failed(key, err)
	}
	revision, err := t.decode(full, value, &record)
	return record, revision, err
}

// Revision returns the revision of a record without decoding it, zero when it is absent.
func (t *Table[T]) Revision(tx Tx, key string) (Revision, error) {
	if key == "" {
		return 0, nil
	}
	value, err := tx.Get(t.recordKey(key))
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, t.failed(key, err)
	}
	if len(value) < headerSize {
		return 0, t.failed(key, ErrCorrupt)
	}
	return Revision(binary.BigEndian.Uint64(value)), nil
}

// By returns the record that a unique index names, or ErrNotFound.
func (t *Table[T]) By(tx Tx, index, value string) (T, Revision, error) {
	key, err := t.keyBy(tx, index, value)
	if err != nil {
		var none T
		return none, 0, err
	}
	return t.Get(tx, key)
}

// Put writes the record and its index entries. A unique value held by another record gives a *ConflictError. Put checks
// before it writes, so that after an error the transaction may go on.
func (t *Table[T]) Put(tx Tx, record *T) error {
	key := t.Key(record)
	if err := checkText("key", key); err != nil || key == "" {
		return errors.Join(fmt.Errorf("%s: a record needs a key", t.Name), err)
	}
	full := t.recordKey(key)
	value, err := t.encode(full, record)
	if err != nil {
		return err
	}
	if err := t.reindex(tx, key, record); err != nil {
		return err
	}
	return tx.Put(full, value)
}

// Delete removes the record and its index entries; an absent record is no error.
func (t *Table[T]) Delete(tx Tx, key string) error {
	old, _, err := t.Get(tx, key)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range t.entries(key, &old) {
		if err := tx.Delete(e.key); err != nil {
			return err
		}
	}
	return tx.Delete(t.recordKey(key))
}

// Page asks for a part of a table, ordered by key, or by an index when Index is set.
type Page struct {
	Index   string // a list or unique index; empty: the table's keys
	Value   string // with Index: only records with exactly this value
	Prefix  string // with no Index: keys that begin so; with an Index: values that begin so
	After   string // a cursor from an earlier call
	Limit   int    // 0: everything
	Reverse bool   // from high to low
}

// List returns the records of a page and the cursor of the next one, empty at the end.
func (t *Table[T]) List(tx Tx, page Page) ([]T, string, error) {
	var records []T
	var last, next string
	err := t.Each(tx, page, func(cursor string, record *T) error {
		if page.Limit > 0 && len(records) == page.Limit {
			next = last
			return ErrStop
		}
		records, last = append(records, *record), cursor
		return nil
	})
	return records, next, err
}

// Each calls fn for the records of a page with the cursor that continues behind each; Limit is left to fn, which ends
// the walk with ErrStop. fn may write: through an index it then gets each record as it is by then, unless it is gone.
func (t *Table[T]) Each(tx Tx, page Page, fn func(cursor string, record *T) error) error {
	r, err := t.pageRange(page)
	if err != nil {
		return err
	}
	return tx.Scan(r, func(key, value []byte) error {
		var record T
		var err error
		if page.Index == "" {
			_, err = t.decode(key, value, &record)
		} else {
			record, _, err = t.Get(tx, string(value))
		}
		if page.Index != "" && errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return fn(string(key), &record)
	})
}

// Count returns how many records a page's range holds, at most limit (0: no limit), without decoding them.
func (t *Table[T]) Count(tx Tx, page Page, limit int) (int, error) {
	r, err := t.pageRange(page)
	if err != nil {
		return 0, err
	}
	n := 0
	err = tx.Scan(r, func(_, _ []byte) error {
		if n++; limit > 0 && n == limit {
			return ErrStop
		}
		return nil
	})
	return n, err
}

func (t *Table[T]) prefix(kind byte) []byte { return append([]byte(t.Name), 0, kind) }

func (t *Table[T]) recordKey(key string) []byte {
	full := make([]byte, 0, len(t.Name)+2+len(key))
	return append(append(append(full, t.Name...), 0, 'r'), key...)
}

func (t *Table[T]) uniqueKey(index, value string) []byte {
	return append(t.prefix('u'), index+"\x00"+value...)
}

func (t *Table[T]) keyBy(tx Tx, index, value string) (string, error) {
	if _, ok := t.Unique[index]; !ok {
		return "", fmt.Errorf("%s has no unique index %q", t.Name, index)
	}
	if value == "" || checkText(index, value) != nil {
		return "", t.failed(value, ErrNotFound)
	}
	key, err := tx.Get(t.uniqueKey(index, value))
	if err != nil {
		return "", t.failed(value, err)
	}
	return string(key), nil
}

func checkText(what, text string) error {
	if strings.IndexByte(text, 0) >= 0 || len(text) > MaxKey/2 {
		return fmt.Errorf("the %s is longer than %d bytes or holds a zero byte", what, MaxKey/2)
	}
	return nil
}

// failed names the record; the text is made only when somebody asks for it.
func (t *Table[T]) failed(key string, err error) error { return &recordError{t.Name, key, err} }

type recordError struct {
	table, key string
	err        error
}

func (e *recordError) Error() string { return fmt.Sprintf("%s %q: %v", e.table, e.key, e.err) }

func (e *recordError) Unwrap() error { return e.err }

func (t *Table[T]) pageRange(page Page) (Range, error) {
	prefix := t.prefix('r')
	_, unique := t.Unique[page.Index]
	_, list := t.Lists[page.Index]
	switch {
	case page.Index == "":
		prefix = append(prefix, page.Prefix...)
	case unique && page.Value != "":
		return Range{}, fmt.Errorf("%s: use By for one value of a unique index", t.Name)
	case unique:
		prefix = append(t.prefix('u'), page.Index+"\x00"+page.Prefix...)
	case list && page.Value != "":
		prefix = append(t.prefix('l'), page.Index+"\x00"+page.Value+"\x00"...)
	case list:
		prefix = append(t.prefix('l'), page.Index+"\x00"+page.Prefix...)
	default:
		return Range{}, fmt.Errorf("%s has no index %q", t.Name, page.Index)
	}
	if strings.IndexByte(page.Value, 0) >= 0 || strings.IndexByte(page.Prefix, 0) >= 0 {
		return Range{From: prefix, To: prefix}, nil // no record has it
	}
	r := PrefixRange(prefix)
	r.Reverse = page.Reverse
	if page.After == "" {
		return r, nil
	}
	if !strings.HasPrefix(page.After, string(prefix)) {
		return Range{}, fmt.Errorf("%s: %w", t.Name, ErrCursor)
	}
	if page.Reverse {
		r.To = []byte(page.After)
	} else {
		r.From = append([]byte(page.After), 0)
	}
	return r, nil
}
