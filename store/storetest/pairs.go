package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"gatehouse/store"
)

func testPairs(t *testing.T, s store.Store) {
	update(t, s, func(tx store.Tx) error {
		_, err := tx.Get([]byte("a"))
		wantError(t, "get of an absent key", err, store.ErrNotFound)
		if err := tx.Delete([]byte("a")); err != nil {
			return fmt.Errorf("delete of an absent key: %w", err)
		}
		return errors.Join(putAll(tx, "a", "b"), tx.Put([]byte("empty"), nil))
	})
	update(t, s, func(tx store.Tx) error {
		return errors.Join(tx.Put([]byte("a"), []byte("new")), tx.Delete([]byte("b")))
	})
	view(t, s, func(tx store.Tx) error {
		value, err := tx.Get([]byte("a"))
		want(t, "replaced value", string(value), "new")
		_, gone := tx.Get([]byte("b"))
		wantError(t, "get of a deleted key", gone, store.ErrNotFound)
		empty, emptyErr := tx.Get([]byte("empty"))
		want(t, "length of an empty value", len(empty), 0)
		_, noKey := tx.Get(nil)
		wantError(t, "get of no key", noKey, store.ErrNotFound)
		return errors.Join(err, emptyErr)
	})
}

func testSizes(t *testing.T, s store.Store) {
	long := bytes.Repeat([]byte("k"), store.MaxKey)
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for name, key := range map[string][]byte{"nil": nil, "empty": {}, "too long": append(slices.Clone(long), 'k')} {
		if err := s.Update(t.Context(), func(tx store.Tx) error { return tx.Put(key, nil) }); err == nil {
			t.Errorf("a key that is %s was accepted", name)
		}
	}
	update(t, s, func(tx store.Tx) error {
		return errors.Join(tx.Put(long, []byte("long")), tx.Put([]byte("large"), large), tx.Delete(nil), tx.Delete(append(long, 'k')))
	})
	view(t, s, func(tx store.Tx) error {
		value, err := tx.Get(long)
		want(t, "value of the longest key", string(value), "long")
		got, largeErr := tx.Get([]byte("large"))
		want(t, "large value is the same", bytes.Equal(got, large), true)
		return errors.Join(err, largeErr)
	})
}

func testByteOrder(t *testing.T, s store.Store) {
	keys := []string{"a", "B", "b", "A", "ä", "z", "\x00", "\x00\x00", "\xff", "\xff\xff", "a\x00", "aa", "a b", "a-b", "a_b", "10", "9", "é"}
	put(t, s, keys...)
	slices.Sort(keys)
	view(t, s, func(tx store.Tx) error {
		found, err := scan(tx, store.Range{})
		want(t, "keys", fmt.Sprintf("%q", found), fmt.Sprintf("%q", keys))
		slices.Reverse(keys)
		back, backErr := scan(tx, store.Range{Reverse: true})
		want(t, "keys backwards", fmt.Sprintf("%q", back), fmt.Sprintf("%q", keys))
		return errors.Join(err, backErr)
	})
}

// ranges of the keys a, b, ba, bb, c, \xff, \xffa
var ranges = []struct {
	name string
	r    store.Range
	keys string
}{
	{"everything", between("", ""), "a b ba bb c \xff \xffa"},
	{"from a key", between("bb", ""), "bb c \xff \xffa"},
	{"from between keys", between("baa", ""), "bb c \xff \xffa"},
	{"up to a key", between("", "bb"), "a b ba"},
	{"up to between keys", between("", "baa"), "a b ba"},
	{"prefix", store.PrefixRange([]byte("b")), "b ba bb"},
	{"prefix of nothing", store.PrefixRange([]byte("bc")), ""},
	{"prefix that has no next", store.PrefixRange([]byte("\xff")), "\xff \xffa"},
	{"behind the end", between("\xffb", ""), ""},
	{"before the start", between("", "a"), ""},
	{"nothing between", between("b", "b"), ""},
	{"wrong way round", between("c", "b"), ""},
}

func testRanges(t *testing.T, s store.Store) {
	put(t, s, "a", "b", "ba", "bb", "c", "\xff", "\xffa")
	check := func(tx store.Tx) error {
		for _, c := range ranges {
			expected := strings.Fields(c.keys)
			found, err := scan(tx, c.r)
			if err != nil {
				return err
			}
			want(t, c.name, fmt.Sprintf("%q", found), fmt.Sprintf("%q", expected))
			slices.Reverse(expected)
			if found, err = scan(tx, reversed(c.r)); err != nil {
				return err
			}
			want(t, c.name+" backwards", fmt.Sprintf("%q", found), fmt.Sprintf("%q", expected))
		}
		return nil
	}
	view(t, s, check)
	update(t, s, check)
	update(t, s, func(tx store.Tx) error { // the same keys, half of them not committed
		if err := errors.Join(tx.Delete([]byte("b")), tx.Delete([]byte("\xffa")), tx.Delete([]byte("c"))); err != nil {
			return err
		}
		return errors.Join(putAll(tx, "b", "\xffa", "c"), check(tx))
	})
}

func testOwnWrites(t *testing.T, s store.Store) {
	put(t, s, "a", "c", "e", "g")
	update(t, s, func(tx store.Tx) error {
		if err := errors.Join(putAll(tx, "b", "f", "h"), tx.Put([]byte("c"), []byte("2")), tx.Delete([]byte("a")), tx.Delete([]byte("f")),
			tx.Delete([]byte("g"))); err != nil {
			return err
		}
		value, err := tx.Get([]byte("c"))
		want(t, "own value", string(value), "2")
		_, gone := tx.Get([]byte("a"))
		wantError(t, "own deletion", gone, store.ErrNotFound)
		found, scanErr := scan(tx, between("", ""))
		want(t, "scan", fmt.Sprint(found), "[b c=2 e h]")
		back, backErr := scan(tx, reversed(between("", "")))
		want(t, "scan backwards", fmt.Sprint(back), "[h e c=2 b]")
		return errors.Join(err, scanErr, backErr)
	})
	view(t, s, func(tx store.Tx) error {
		found, err := scan(tx, between("", ""))
		want(t, "after the commit", fmt.Sprint(found), "[b c=2 e h]")
		return err
	})
}

func testWriteInScan(t *testing.T, s store.Store) {
	put(t, s, "a", "c", "e")
	for _, r := range []store.Range{between("", ""), reversed(between("", ""))} {
		err := s.Update(t.Context(), func(tx store.Tx) error {
			seen := ""
			err := tx.Scan(r, func(key, _ []byte) error {
				seen += string(key)
				return errors.Join(tx.Put([]byte("b"), nil), tx.Put([]byte("d"), nil), tx.Put([]byte("f"), nil), tx.Put([]byte("0"), nil),
					tx.Delete([]byte("a")), tx.Delete([]byte("c")), tx.Put([]byte("e"), []byte("2")))
			})
			want(t, "number of keys seen", len(seen), 3)
			found, scanErr := scan(tx, between("", ""))
			want(t, "after the scan", fmt.Sprint(found), "[0= b= d= e=2 f=]")
			return errors.Join(err, scanErr, errFirstRun)
		})
		wantError(t, "update", err, errFirstRun)
	}
}

func testScanEnd(t *testing.T, s store.Store) {
	put(t, s, "a", "b", "c")
	other := errors.New("other")
	view(t, s, func(tx store.Tx) error {
		seen := 0
		wantError(t, "scan", tx.Scan(store.Range{}, func(_, _ []byte) error { seen++; return other }), other)
		want(t, "seen before another error", seen, 1)
		err := tx.Scan(store.Range{}, func(_, _ []byte) error {
			if seen++; seen == 3 {
				return fmt.Errorf("enough: %w", store.ErrStop)
			}
			return nil
		})
		want(t, "seen before ErrStop", seen, 3)
		return err
	})
}

func testLarge(t *testing.T, s store.Store) {
	const n = 3000
	update(t, s, func(tx store.Tx) error {
		for i := range n { // in an order that is not theirs
			if err := putAll(tx, fmt.Sprintf("%05d", i*7919%n)); err != nil {
				return err
			}
		}
		for i := 0; i < n; i += 3 {
			if err := tx.Delete(fmt.Appendf(nil, "%05d", i)); err != nil {
				return err
			}
		}
		found, err := scan(tx, between("", ""))
		want(t, "pairs inside", len(found), n*2/3)
		want(t, "in order", slices.IsSorted(found), true)
		return err
	})
	view(t, s, func(tx store.Tx) error {
		found, err := scan(tx, between("00100", "00200"))
		want(t, "pairs of a range", len(found), 67)
		return err
	})
}

func testCopies(t *testing.T, s store.Store) {
	update(t, s, func(tx store.Tx) error {
		key, value := []byte("key"), []byte("value")
		err := tx.Put(key, value)
		copy(key, "xxx")
		copy(value, "xxxxx")
		got, getErr := tx.Get([]byte("key"))
		want(t, "value after its source changed", string(got), "value")
		copy(got, "xxxxx")
		return errors.Join(err, getErr)
	})
	var kept [][]byte
	read := func(tx store.Tx) error {
		kept = nil
		value, err := tx.Get([]byte("key"))
		if err != nil {
			return err
		}
		kept = append(kept, value)
		return tx.Scan(store.Range{}, func(key, value []byte) error {
			_ = append(key, "tail"...)
			kept = append(kept, key, value)
			return nil
		})
	}
	for _, run := range []func(context.Context, func(store.Tx) error) error{
		s.View, func(ctx context.Context, fn func(store.Tx) error) error { return s.Update(ctx, fn) },
	} {
		for range 2 { // what the first round does to its copies must not show in the second
			if err := run(t.Context(), read); err != nil {
				t.Fatal(err)
			}
			want(t, "kept", fmt.Sprintf("%s", kept), "[value key value]")
			for _, b := range kept {
				clear(b)
			}
		}
	}
}
