package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// rebuildBatch is how many records one transaction of a rebuild enters.
const rebuildBatch = 500

// layout names the version and the indexes of a table; empty: it has none.
func (t *Table[T]) layout() string {
	names := make([]string, 0, len(t.Unique)+len(t.Lists)+1)
	for _, name := range slices.Sorted(maps.Keys(t.Unique)) {
		names = append(names, "u:"+name)
	}
	for _, name := range slices.Sorted(maps.Keys(t.Lists)) {
		names = append(names, "l:"+name)
	}
	if t.Expires != nil {
		names = append(names, "x")
	}
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("%d %s", t.Version, strings.Join(names, " "))
}

// rebuild enters every record in the indexes that the table got since the store was written: a new index, or a higher version, is
// all that a table needs for that. It may be cut off and begun again. Entries of indexes that are gone stay, and are never read.
func (t *Table[T]) rebuild(ctx context.Context, s Store) error {
	layout, key := t.layout(), []byte(schemaName+"\x00i"+t.Name)
	var known string
	err := s.View(ctx, func(tx Tx) error {
		value, err := tx.Get(key)
		if errors.Is(err, ErrNotFound) {
			err = nil
		}
		known = string(value)
		return err
	})
	if err != nil || known == layout {
		return err
	}
	for after, more := "", true; more; {
		last, n := "", 0
		err := s.Update(ctx, func(tx Tx) (err error) {
			last, n, err = t.enter(tx, after)
			return err
		})
		if err != nil {
			return err
		}
		after, more = last, n == rebuildBatch
	}
	return s.Update(ctx, func(tx Tx) error { return tx.Put(key, []byte(layout)) })
}

// enter adds the missing index entries of a batch of records, and returns the cursor behind it and its size. A damaged record is left
// to the check of the store.
func (t *Table[T]) enter(tx Tx, after string) (last string, n int, err error) {
	r, err := t.pageRange(Page{After: after})
	if err != nil {
		return "", 0, err
	}
	err = tx.Scan(r, func(full, value []byte) error {
		if n == rebuildBatch {
			return ErrStop
		}
		last, n = string(full), n+1
		var record T
		if _, err := t.decode(full, value, &record); err != nil {
			if errors.Is(err, ErrCorrupt) {
				return nil
			}
			return err
		}
		return t.addEntries(tx, t.nameOf(full), &record)
	})
	return last, n, err
}

func (t *Table[T]) addEntries(tx Tx, key string, record *T) error {
	entries := t.entries(key, record)
	if err := t.checkEntries(tx, key, entries); err != nil {
		return err
	}
	for _, e := range entries {
		if err := tx.Put(e.key, []byte(key)); err != nil {
			return err
		}
	}
	return nil
}
