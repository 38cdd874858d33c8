package store

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"
)

func TestPrefixRange(t *testing.T) {
	for _, c := range []struct{ prefix, to string }{
		{"a", "b"}, {"ab", "ac"}, {"a\xff", "b"}, {"a\xff\xff", "b"}, {"a\x00", "a\x01"}, {"", ""}, {"\xff", ""}, {"\xff\xff", ""},
	} {
		prefix := []byte(c.prefix)
		r := PrefixRange(prefix)
		if string(r.From) != c.prefix || string(r.To) != c.to || (c.to == "") != (r.To == nil) || string(prefix) != c.prefix {
			t.Errorf("%q: %q to %q, want up to %q", c.prefix, r.From, r.To, c.to)
		}
	}
}

func TestTimeBytes(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var all [][]byte
	for _, at := range []time.Time{at.AddDate(-100, 0, 0), time.Unix(0, 1), at, at.Add(1), at.AddDate(200, 0, 0), at.AddDate(5000, 0, 0)} {
		all = append(all, timeBytes(at))
	}
	if !slices.IsSortedFunc(all, bytes.Compare) || len(slices.CompactFunc(all, bytes.Equal)) != 6 {
		t.Errorf("not in order: %x", all)
	}
}

func TestCheckValue(t *testing.T) {
	table := &Table[struct{ A int }]{Name: "t", Version: 1}
	key := table.recordKey("k")
	value, err := table.encode(key, &struct{ A int }{1})
	if err != nil {
		t.Fatal(err)
	}
	damaged := slices.Clone(value)
	damaged[len(damaged)-1] ^= 1
	for _, c := range []struct {
		name, key string
		value     []byte
		want      error
	}{
		{"whole", string(key), value, nil},
		{"flipped bit", string(key), damaged, ErrCorrupt},
		{"under another key", string(key) + "2", value, ErrCorrupt},
		{"short", string(key), value[:10], ErrCorrupt},
		{"index", "t\x00ui\x00v", []byte("k"), nil},
		{"schema version", "schema\x00vt", []byte{0, 1}, nil},
		{"no table", "t", nil, nil},
		{"nothing behind the name", "t\x00", nil, nil},
	} {
		if err := CheckValue([]byte(c.key), c.value); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}
