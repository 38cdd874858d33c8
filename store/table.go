package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
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
		return record, 0, fmt.Errorf("%s: %w", t.Name, ErrNotFound)
	}
	full := t.recordKey(key)
	value, err := tx.Get(full)
	if err != nil {
		return record, 0, fmt.Errorf("%s %q: %w", t.Name, key, err)
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
		return 0, err
	}
	if len(value) < headerSize {
		return 0, fmt.Errorf("%s %q: %w", t.Name, key, ErrCorrupt)
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

// Put writes the record and its index entries. A unique value held by another record gives a *ConflictError.
func (t *Table[T]) Put(tx Tx, record *T) error {
	key := t.Key(record)
	if err := t.checkText("key", key); err != nil || key == "" {
		return errors.Join(fmt.Errorf("%s: a record needs a key", t.Name), err)
	}
	if err := t.unindexOld(tx, key, record); err != nil {
		return err
	}
	if err := t.index(tx, key, record); err != nil {
		return err
	}
	full := t.recordKey(key)
	value, err := t.encode(full, record)
	if err != nil {
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
	for _, entry := range t.entries(key, &old) {
		if err := tx.Delete(entry.key); err != nil {
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
	next := ""
	err := t.Each(tx, page, func(cursor string, record *T) error {
		if page.Limit > 0 && len(records) == page.Limit {
			return ErrStop
		}
		records = append(records, *record)
		next = cursor
		return nil
	})
	if page.Limit == 0 || len(records) < page.Limit {
		next = ""
	}
	return records, next, err
}

// Each calls fn for the records of a page with the cursor that continues behind each; Limit is left to fn, which ends
// the walk with ErrStop.
func (t *Table[T]) Each(tx Tx, page Page, fn func(cursor string, record *T) error) error {
	r, err := t.pageRange(page)
	if err != nil {
		return err
	}
	return tx.Scan(r, func(key, value []byte) error {
		var record T
		if page.Index == "" {
			_, err = t.decode(key, value, &record)
		} else {
			record, _, err = t.Get(tx, string(value))
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

// Sweep deletes at most limit records that expired before now and returns how many it deleted. Call it in Update until
// it returns fewer than limit.
func (t *Table[T]) Sweep(tx Tx, now time.Time, limit int) (int, error) {
	prefix := t.prefix('x')
	var keys []string
	err := tx.Scan(Range{From: prefix, To: append(slices.Clone(prefix), timeBytes(now)...)}, func(_, value []byte) error {
		if keys = append(keys, string(value)); len(keys) == limit {
			return ErrStop
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, key := range keys {
		if err := t.Delete(tx, key); err != nil {
			return 0, err
		}
	}
	return len(keys), nil
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
	if value == "" || strings.IndexByte(value, 0) >= 0 || len(value) > MaxKey/2 {
		return "", fmt.Errorf("%s by %s: %w", t.Name, index, ErrNotFound)
	}
	key, err := tx.Get(t.uniqueKey(index, value))
	if err != nil {
		return "", fmt.Errorf("%s by %s %q: %w", t.Name, index, value, err)
	}
	return string(key), nil
}

func (t *Table[T]) checkText(what, text string) error {
	if strings.IndexByte(text, 0) >= 0 || len(text) > MaxKey/2 {
		return fmt.Errorf("%s: the %s is longer than %d bytes or holds a zero byte", t.Name, what, MaxKey/2)
	}
	return nil
}

// entry is one index key of a record; value is the record's key.
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

// unindexOld removes the index entries of the record that Put replaces, where they differ from the new ones.
func (t *Table[T]) unindexOld(tx Tx, key string, record *T) error {
	if !t.hasIndexes() {
		return nil
	}
	old, _, err := t.Get(tx, key)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	keep := map[string]bool{}
	for _, e := range t.entries(key, record) {
		keep[string(e.key)] = true
	}
	for _, e := range t.entries(key, &old) {
		if !keep[string(e.key)] {
			if err := tx.Delete(e.key); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *Table[T]) index(tx Tx, key string, record *T) error {
	for _, e := range t.entries(key, record) {
		if err := t.checkText("indexed value", e.text); err != nil {
			return err
		}
		held, err := tx.Get(e.key)
		switch {
		case err == nil && string(held) == key:
			continue
		case err == nil && e.index != "":
			return &ConflictError{t.Name, e.index, e.text}
		case err != nil && !errors.Is(err, ErrNotFound):
			return err
		}
		if err := tx.Put(e.key, []byte(key)); err != nil {
			return err
		}
	}
	return nil
}

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
	r := PrefixRange(prefix)
	r.Reverse = page.Reverse
	if page.After == "" {
		return r, nil
	}
	if !strings.HasPrefix(page.After, string(prefix)) {
		return Range{}, fmt.Errorf("%s: the cursor is not one of this list", t.Name)
	}
	if page.Reverse {
		r.To = []byte(page.After)
	} else {
		r.From = append([]byte(page.After), 0)
	}
	return r, nil
}
