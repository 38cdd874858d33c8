// Package storetest is the conformance suite that every store.Store passes.
//
// It owns what the contract in store/store.go means, case by case. It knows no back end: a bug in one becomes a case for
// all. Read storetest.go for the list, then the file of the case that failed.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"gatehouse/store"
)

// Run runs the suite. open returns a store that is empty; the suite closes it, so closing it again must do no harm.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	cases := []struct {
		name string
		test func(t *testing.T, s store.Store)
	}{
		{"get, put, delete", testPairs},
		{"sizes", testSizes},
		{"order of bytes", testByteOrder},
		{"ranges", testRanges},
		{"own writes", testOwnWrites},
		{"writing while scanning", testWriteInScan},
		{"end of a scan", testScanEnd},
		{"large transaction", testLarge},
		{"values are copies", testCopies},
		{"read only", testReadOnly},
		{"rollback", testRollback},
		{"panic", testPanic},
		{"snapshot", testSnapshot},
		{"cancelled", testCancelled},
		{"closed", testClosed},
		{"transaction that ended", testEnded},
		{"contention", testContention},
		{"neighbours", testNeighbours},
		{"close waits", testCloseWaits},
		{"records", testRecords},
		{"unique index", testUnique},
		{"list index", testLists},
		{"paging", testPaging},
		{"writing while listing", testWriteInEach},
		{"expiry", testExpiry},
		{"schema version", testSchema},
		{"new indexes", testRebuild},
		{"damage", testDamage},
		{"cache", testCache},
	}
	for _, wrap := range []struct {
		name string
		with func(store.Store) store.Store
	}{{"once", func(s store.Store) store.Store { return s }}, {"rerun", Rerun}} {
		t.Run(wrap.name, func(t *testing.T) {
			for _, c := range cases {
				t.Run(c.name, func(t *testing.T) {
					s := wrap.with(open(t))
					c.test(t, s)
					if err := s.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
						t.Errorf("close: %v", err)
					}
				})
			}
		})
	}
}

// Rerun returns a store that runs every function of Update twice: what the first run wrote is taken back. So a function
// that keeps something from its first run, which a back end may do at any time, shows.
func Rerun(s store.Store) store.Store { return rerun{s} }

type rerun struct{ store.Store }

var errFirstRun = errors.New("first run")

func (r rerun) Update(ctx context.Context, fn func(store.Tx) error, reads ...[]byte) error {
	err := r.Store.Update(ctx, func(tx store.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return errFirstRun
	}, reads...)
	if !errors.Is(err, errFirstRun) {
		return err
	}
	return r.Store.Update(ctx, fn, reads...)
}

func update(t *testing.T, s store.Store, fn func(tx store.Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), fn); err != nil {
		t.Fatalf("update: %v", err)
	}
}

func view(t *testing.T, s store.Store, fn func(tx store.Tx) error) {
	t.Helper()
	if err := s.View(t.Context(), fn); err != nil {
		t.Fatalf("view: %v", err)
	}
}

// put stores each text under itself.
func put(t *testing.T, s store.Store, keys ...string) {
	t.Helper()
	update(t, s, func(tx store.Tx) error { return putAll(tx, keys...) })
}

func putAll(tx store.Tx, keys ...string) error {
	for _, key := range keys {
		if err := tx.Put([]byte(key), []byte(key)); err != nil {
			return err
		}
	}
	return nil
}

// scan returns the pairs of a range as KEY=VALUE, or KEY alone where both are the same.
func scan(tx store.Tx, r store.Range) ([]string, error) {
	var found []string
	err := tx.Scan(r, func(key, value []byte) error {
		if bytes.Equal(key, value) {
			found = append(found, string(key))
		} else {
			found = append(found, fmt.Sprintf("%s=%s", key, value))
		}
		return nil
	})
	return found, err
}

func between(from, to string) store.Range {
	r := store.Range{From: []byte(from)}
	if to != "" {
		r.To = []byte(to)
	}
	return r
}

func reversed(r store.Range) store.Range {
	r.Reverse = true
	return r
}

func want[T comparable](t *testing.T, what string, got, expected T) {
	t.Helper()
	if got != expected {
		t.Errorf("%s: got %v, want %v", what, got, expected)
	}
}

func wantError(t *testing.T, what string, err, expected error) {
	t.Helper()
	if !errors.Is(err, expected) {
		t.Errorf("%s: got error %v, want %v", what, err, expected)
	}
}
