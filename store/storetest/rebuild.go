package storetest

import (
	"errors"
	"fmt"
	"testing"

	"gatehouse/store"
)

// testRebuild: records of an older Gatehouse are found by the indexes that came since, and change with them from then on.
func testRebuild(t *testing.T, s store.Store) {
	plain := &store.Table[person]{Name: "person", Version: 2, Key: people.Key}
	const many = 1203
	if err := store.Prepare(t.Context(), s, plain); err != nil {
		t.Fatal(err)
	}
	update(t, s, func(tx store.Tx) error {
		for i := range many {
			p := person{ID: fmt.Sprintf("p%05d", i), Name: fmt.Sprintf("name %d", i), Groups: []string{"g", fmt.Sprint(i % 2)}}
			if err := plain.Put(tx, &p); err != nil {
				return err
			}
		}
		return nil
	})
	if err := store.Prepare(t.Context(), s, people); err != nil {
		t.Fatal(err)
	}
	counts := func(group string, want int) {
		t.Helper()
		view(t, s, func(tx store.Tx) error {
			if n, err := people.Count(tx, store.Page{Index: "group", Value: group}, 0); err != nil || n != want {
				t.Errorf("%d in %s, %v; want %d", n, group, err, want)
			}
			return nil
		})
	}
	counts("g", many)
	counts("1", many/2)
	view(t, s, func(tx store.Tx) error {
		if p, _, err := people.By(tx, "name", "name 1202"); err != nil || p.ID != "p01202" {
			t.Errorf("%+v %v", p, err)
		}
		return nil
	})
	putPeople(t, s, person{ID: "p00001", Name: "other"})
	update(t, s, func(tx store.Tx) error { return people.Delete(tx, "p00003") })
	counts("1", many/2-2)
	update(t, s, func(tx store.Tx) error { return tx.Delete([]byte("person\x00lgroup\x00g\x00p00000")) })
	if err := store.Prepare(t.Context(), s, people); err != nil {
		t.Fatal(err)
	}
	counts("g", many-3) // the same indexes are not built twice
	twice := *people
	twice.Unique = map[string]func(*person) string{"name": people.Unique["name"], "kind": func(*person) string { return "person" }}
	var conflict *store.ConflictError
	if err := store.Prepare(t.Context(), s, &twice); !errors.As(err, &conflict) || conflict.Index != "kind" {
		t.Errorf("two records under one unique value: %v", err)
	}
}
