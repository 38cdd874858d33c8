package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/store"
)

type person struct {
	ID     string
	Name   string
	Groups []string
	Until  time.Time
}

func peopleTable(version int) *store.Table[person] {
	return &store.Table[person]{
		Name: "person", Version: version,
		Key:     func(p *person) string { return p.ID },
		Unique:  map[string]func(*person) string{"name": func(p *person) string { return p.Name }},
		Lists:   map[string]func(*person) []string{"group": func(p *person) []string { return p.Groups }},
		Expires: func(p *person) time.Time { return p.Until },
	}
}

var people = peopleTable(2)

func putPeople(t *testing.T, s store.Store, all ...person) {
	t.Helper()
	update(t, s, func(tx store.Tx) error {
		for _, p := range all {
			if err := people.Put(tx, &p); err != nil {
				return err
			}
		}
		return nil
	})
}

// list returns the keys of a page.
func list(tx store.Tx, page store.Page) (string, string, error) {
	found, next, err := people.List(tx, page)
	var ids []string
	for _, p := range found {
		ids = append(ids, p.ID)
	}
	return strings.Join(ids, " "), next, err
}

func wantList(t *testing.T, tx store.Tx, page store.Page, expected string) {
	t.Helper()
	got, _, err := list(tx, page)
	if err != nil {
		t.Errorf("%+v: %v", page, err)
	}
	want(t, fmt.Sprintf("%+v", page), got, expected)
	page.Reverse = true
	got, _, err = list(tx, page)
	if err != nil {
		t.Errorf("%+v: %v", page, err)
	}
	ids := strings.Fields(expected)
	slices.Reverse(ids)
	want(t, fmt.Sprintf("%+v", page), got, strings.Join(ids, " "))
}

// wantEmpty checks that nothing is left but the given keys' number.
func wantPairs(t *testing.T, s store.Store, n int) {
	t.Helper()
	view(t, s, func(tx store.Tx) error {
		found, err := scan(tx, store.Range{})
		if len(found) != n {
			t.Errorf("got %d pairs, want %d: %q", len(found), n, found)
		}
		return err
	})
}

func testRecords(t *testing.T, s store.Store) {
	var first store.Revision
	putPeople(t, s, person{ID: "1", Name: "ann", Groups: []string{"a"}})
	view(t, s, func(tx store.Tx) error {
		p, revision, err := people.Get(tx, "1")
		want(t, "name", p.Name, "ann")
		first = revision
		same, sameErr := people.Revision(tx, "1")
		want(t, "revision", same, revision)
		absent, absentErr := people.Revision(tx, "2")
		want(t, "revision of an absent record", absent, 0)
		for _, key := range []string{"", "2", "1\x00", strings.Repeat("k", store.MaxKey*2)} {
			_, none, err := people.Get(tx, key)
			wantError(t, "get of an absent record", err, store.ErrNotFound)
			want(t, "its revision", none, 0)
		}
		return errors.Join(err, sameErr, absentErr)
	})
	putPeople(t, s, person{ID: "1", Name: "ann", Groups: []string{"a"}})
	view(t, s, func(tx store.Tx) error {
		_, revision, err := people.Get(tx, "1")
		want(t, "revision changed by a put", revision != first, true)
		return err
	})
	for _, p := range []person{{}, {ID: "a\x00b"}, {ID: strings.Repeat("k", store.MaxKey)}, {ID: "2", Name: "a\x00b"}, {ID: "2", Groups: []string{"a\x00b"}},
		{ID: strings.Repeat("k", store.MaxKey/2), Groups: []string{strings.Repeat("g", store.MaxKey/2)}}} {
		if err := s.Update(t.Context(), func(tx store.Tx) error { return people.Put(tx, &p) }); err == nil {
			t.Errorf("%.20q was accepted", fmt.Sprint(p))
		}
	}
	update(t, s, func(tx store.Tx) error {
		return errors.Join(people.Delete(tx, "1"), people.Delete(tx, "1"), people.Delete(tx, "2"))
	})
	wantPairs(t, s, 0)
}

func testUnique(t *testing.T, s store.Store) {
	putPeople(t, s, person{ID: "1", Name: "ann"}, person{ID: "2", Name: "bob"}, person{ID: "3"}, person{ID: "4"})
	var conflict *store.ConflictError
	err := s.Update(t.Context(), func(tx store.Tx) error { return people.Put(tx, &person{ID: "2", Name: "ann"}) })
	wantError(t, "put", err, store.ErrExists)
	if !errors.As(err, &conflict) || *conflict != (store.ConflictError{Table: "person", Index: "name", Value: "ann"}) {
		t.Errorf("conflict: %#v", err)
	}
	update(t, s, func(tx store.Tx) error { // a refused put leaves nothing behind
		wantError(t, "put", people.Put(tx, &person{ID: "2", Name: "ann", Groups: []string{"g"}}), store.ErrExists)
		return nil
	})
	view(t, s, func(tx store.Tx) error {
		p, _, err := people.By(tx, "name", "bob")
		want(t, "by name", p.ID, "2")
		for _, name := range []string{"", "eve", "an", "ann\x00", strings.Repeat("n", store.MaxKey*2)} {
			_, _, err := people.By(tx, "name", name)
			wantError(t, "by another name", err, store.ErrNotFound)
		}
		wantList(t, tx, store.Page{Index: "group"}, "")
		wantList(t, tx, store.Page{Index: "name"}, "1 2")
		wantList(t, tx, store.Page{Index: "name", Prefix: "b"}, "2")
		return err
	})
	putPeople(t, s, person{ID: "1", Name: "eve"}, person{ID: "2", Name: "ann"}) // a name that became free
	update(t, s, func(tx store.Tx) error { return people.Delete(tx, "1") })
	putPeople(t, s, person{ID: "3", Name: "eve"})
	view(t, s, func(tx store.Tx) error {
		_, _, gone := people.By(tx, "name", "bob")
		wantError(t, "by the old name", gone, store.ErrNotFound)
		p, _, err := people.By(tx, "name", "eve")
		want(t, "by name", p.ID, "3")
		return err
	})
}

func testLists(t *testing.T, s store.Store) {
	putPeople(t, s,
		person{ID: "1", Groups: []string{"a", "b"}}, person{ID: "2", Groups: []string{"a", "a"}}, person{ID: "3", Groups: []string{"ab"}}, person{ID: "4"})
	view(t, s, func(tx store.Tx) error {
		wantList(t, tx, store.Page{}, "1 2 3 4")
		wantList(t, tx, store.Page{Index: "group"}, "1 2 3 1")
		wantList(t, tx, store.Page{Index: "group", Value: "a"}, "1 2")
		wantList(t, tx, store.Page{Index: "group", Value: "b"}, "1")
		wantList(t, tx, store.Page{Index: "group", Prefix: "a"}, "1 2 3")
		wantList(t, tx, store.Page{Index: "group", Value: "a\x001"}, "")
		_, _, err := people.List(tx, store.Page{Index: "none"})
		want(t, "an index that is not there is refused", err != nil, true)
		return nil
	})
	putPeople(t, s, person{ID: "1", Groups: []string{"b", "c"}})
	update(t, s, func(tx store.Tx) error { return people.Delete(tx, "2") })
	view(t, s, func(tx store.Tx) error {
		wantList(t, tx, store.Page{Index: "group", Value: "a"}, "")
		wantList(t, tx, store.Page{Index: "group", Value: "c"}, "1")
		n, err := people.Count(tx, store.Page{Index: "group", Value: "b"}, 0)
		want(t, "count", n, 1)
		most, mostErr := people.Count(tx, store.Page{}, 2)
		want(t, "count up to a limit", most, 2)
		return errors.Join(err, mostErr)
	})
}

func testPaging(t *testing.T, s store.Store) {
	var all []string
	for i := range 12 {
		id := fmt.Sprintf("%02d", i)
		all = append(all, id)
		putPeople(t, s, person{ID: id, Name: "n" + id, Groups: []string{"g"}})
	}
	putPeople(t, s, person{ID: "x", Name: "x", Groups: []string{"h"}})
	pages := []store.Page{{Prefix: "0"}, {Prefix: "1"}, {Index: "group", Value: "g"}, {Index: "group", Prefix: "g"}, {Index: "name", Prefix: "n"}}
	view(t, s, func(tx store.Tx) error {
		for _, page := range pages {
			for limit := 1; limit <= 13; limit++ {
				for _, page.Reverse = range []bool{false, true} {
					page.Limit = limit
					testPages(t, tx, page, all)
				}
			}
		}
		_, next, err := people.List(tx, store.Page{Index: "name", Limit: 1})
		_, _, wrong := people.List(tx, store.Page{Index: "group", After: next})
		wantError(t, "a cursor of another list", wrong, store.ErrCursor)
		return err
	})
}

func testPages(t *testing.T, tx store.Tx, page store.Page, all []string) {
	t.Helper()
	expected := slices.DeleteFunc(slices.Clone(all), func(id string) bool { return page.Index == "" && !strings.HasPrefix(id, page.Prefix) })
	if page.Reverse {
		slices.Reverse(expected)
	}
	for len(expected) > 0 {
		got, next, err := list(tx, page)
		if err != nil {
			t.Fatalf("%+v: %v", page, err)
		}
		part := expected[:min(page.Limit, len(expected))]
		expected = expected[len(part):]
		want(t, fmt.Sprintf("%+v", page), got, strings.Join(part, " "))
		want(t, "a cursor unless at the end", next != "", len(expected) > 0)
		page.After = next
	}
}

func testWriteInEach(t *testing.T, s store.Store) {
	putPeople(t, s, person{ID: "1", Groups: []string{"a", "b"}}, person{ID: "2", Groups: []string{"a"}}, person{ID: "3", Groups: []string{"c"}})
	update(t, s, func(tx store.Tx) error {
		seen := ""
		err := people.Each(tx, store.Page{Index: "group"}, func(_ string, p *person) error {
			seen += p.ID
			return people.Delete(tx, p.ID)
		})
		want(t, "seen", seen, "123")
		return err
	})
	wantPairs(t, s, 0)
}

func testExpiry(t *testing.T, s store.Store) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 7 {
		putPeople(t, s, person{ID: fmt.Sprint(i), Groups: []string{"g"}, Until: start.Add(time.Duration(i) * time.Hour)})
	}
	putPeople(t, s, person{ID: "always"}, person{ID: "far", Until: start.AddDate(500, 0, 0)}, person{ID: "6", Until: start.Add(48 * time.Hour)},
		person{ID: "0", Until: time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)})
	sweep := func(now time.Time) int {
		n, err := store.SweepAll(t.Context(), s, now, 2, people)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	want(t, "swept at the start", sweep(start), 1)
	want(t, "swept at the very time", sweep(start.Add(time.Hour)), 0)
	want(t, "swept after five hours", sweep(start.Add(5*time.Hour+time.Second)), 5)
	view(t, s, func(tx store.Tx) error {
		wantList(t, tx, store.Page{}, "6 always far")
		wantList(t, tx, store.Page{Index: "group"}, "")
		return nil
	})
	want(t, "swept after three days", sweep(start.Add(72*time.Hour)), 1)
	wantPairs(t, s, 3) // always, far and when far ends
}

func testSchema(t *testing.T, s store.Store) {
	if err := store.Prepare(t.Context(), s, people); err != nil {
		t.Fatal(err)
	}
	putPeople(t, s, person{ID: "1"})
	older := peopleTable(1)
	wantError(t, "prepare by an older one", store.Prepare(t.Context(), s, older), store.ErrNewer)
	view(t, s, func(tx store.Tx) error {
		_, _, err := older.Get(tx, "1")
		wantError(t, "get by an older one", err, store.ErrNewer)
		return nil
	})
	if err := store.Prepare(t.Context(), s, peopleTable(3)); err != nil {
		t.Fatal(err)
	}
	wantError(t, "prepare by one that is older now", store.Prepare(t.Context(), s, people), store.ErrNewer)
}

// rawRecord returns the key and value under which a person is stored.
func rawRecord(tx store.Tx, id string) (key, value []byte, err error) {
	key = []byte("person\x00r" + id)
	value, err = tx.Get(key)
	return key, value, err
}

func testDamage(t *testing.T, s store.Store) {
	until := time.Unix(1000, 0)
	putPeople(t, s, person{ID: "1", Name: "ann", Until: until}, person{ID: "2"})
	var whole []byte
	view(t, s, func(tx store.Tx) (err error) { _, whole, err = rawRecord(tx, "1"); return err })
	spoil := func(value []byte) {
		update(t, s, func(tx store.Tx) error { return tx.Put([]byte("person\x00r1"), value) })
		view(t, s, func(tx store.Tx) error {
			_, _, err := people.Get(tx, "1")
			wantError(t, fmt.Sprintf("get of %q", value), err, store.ErrCorrupt)
			_, _, err = people.By(tx, "name", "ann")
			wantError(t, "by name", err, store.ErrCorrupt)
			_, _, err = people.List(tx, store.Page{})
			wantError(t, "list", err, store.ErrCorrupt)
			return nil
		})
		wantError(t, "check", store.CheckValue([]byte("person\x00r1"), value), store.ErrCorrupt)
	}
	for bit := 0; bit < len(whole)*8; bit += 61 {
		flipped := slices.Clone(whole)
		flipped[bit/8] ^= 1 << (bit % 8)
		spoil(flipped)
	}
	spoil(nil)
	spoil(whole[:len(whole)-1])
	view(t, s, func(tx store.Tx) error { _, other, err := rawRecord(tx, "2"); whole = other; return err })
	spoil(whole) // another record's value
	if _, err := store.SweepAll(t.Context(), s, until.Add(time.Hour), 10, people); err != nil {
		t.Errorf("sweep of a damaged record: %v", err)
	}
	putPeople(t, s, person{ID: "3", Name: "ann"}) // the name is free again
}

func testCache(t *testing.T, s store.Store) {
	var cache store.Cache[person]
	names := func() (all []string) {
		view(t, s, func(tx store.Tx) error {
			return cache.Each(tx, people, store.Page{}, func(p *person) error { all = append(all, p.Name); return nil })
		})
		return all
	}
	putPeople(t, s, person{ID: "1", Name: "ann"}, person{ID: "2", Name: "bob"})
	want(t, "names", fmt.Sprint(names()), "[ann bob]")
	putPeople(t, s, person{ID: "1", Name: "eve"})
	want(t, "names after a change", fmt.Sprint(names()), "[eve bob]")
	view(t, s, func(tx store.Tx) error {
		first, revision, err := cache.Get(tx, people, "1")
		again, same, againErr := cache.Get(tx, people, "1")
		want(t, "the record is shared", first == again && revision == same, true)
		_, _, absent := cache.Get(tx, people, "3")
		wantError(t, "get of an absent record", absent, store.ErrNotFound)
		return errors.Join(err, againErr)
	})
	update(t, s, func(tx store.Tx) error {
		key, value, err := rawRecord(tx, "1")
		value[len(value)-2] ^= 1
		return errors.Join(err, tx.Put(key, value))
	})
	view(t, s, func(tx store.Tx) error {
		_, _, err := cache.Get(tx, people, "1")
		wantError(t, "get of a damaged record that is cached", err, store.ErrCorrupt)
		return nil
	})
	update(t, s, func(tx store.Tx) error { return tx.Delete([]byte("person\x00r1")) })
	want(t, "names after a deletion", fmt.Sprint(names()), "[bob]")
}
