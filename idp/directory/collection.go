package directory

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"gatehouse/store"
)

// Collection is what profiles, permission sets and groups have in common: an id, a unique name, and people who hold them.
type Collection[T any] struct {
	Table  *store.Table[T]
	What   string // for sentences: "profile"
	prefix string // of ids
	index  string // of Users
	parts  func(*T) (id, name *string)
}

// The collections of the directory.
var (
	AllProfiles = &Collection[Profile]{Profiles, "profile", "prf_", "profile",
		func(p *Profile) (*string, *string) { return &p.ID, &p.Name }}
	AllPermissionSets = &Collection[PermissionSet]{PermissionSets, "permission set", "pms_", "permission_set",
		func(p *PermissionSet) (*string, *string) { return &p.ID, &p.Name }}
	AllGroups = &Collection[Group]{Groups, "group", "grp_", "group",
		func(g *Group) (*string, *string) { return &g.ID, &g.Name }}
)

// HeldError refuses to remove a profile, permission set or group that people hold. Count stops at 1,000.
type HeldError struct {
	What, Name string
	Count      int
}

func (e *HeldError) Error() string {
	count := fmt.Sprint(e.Count)
	if e.Count >= maxCounted {
		count = fmt.Sprintf("%d or more", maxCounted)
	}
	return fmt.Sprintf("the %s %q is held by %s people: take it from them first", e.What, e.Name, count)
}

const maxCounted = 1000

// Add stores a new record and fills in its id. A taken name gives a *store.ConflictError.
func (c *Collection[T]) Add(tx store.Tx, record T) (T, error) {
	id, name := c.parts(&record)
	*id = c.prefix + strings.ToLower(rand.Text())
	if err := c.check(*name); err != nil {
		return record, err
	}
	return record, c.Table.Put(tx, &record)
}

// Set replaces a record that exists, its name included.
func (c *Collection[T]) Set(tx store.Tx, record T) error {
	id, name := c.parts(&record)
	if _, _, err := c.Table.Get(tx, *id); err != nil {
		return err
	}
	if err := c.check(*name); err != nil {
		return err
	}
	return c.Table.Put(tx, &record)
}

// Rename gives a record another name.
func (c *Collection[T]) Rename(tx store.Tx, id, name string) (T, error) {
	record, _, err := c.Table.Get(tx, id)
	if err != nil {
		return record, err
	}
	_, to := c.parts(&record)
	*to = name
	return record, c.Set(tx, record)
}

// Remove deletes a record that nobody holds, else refuses with a *HeldError. Apps that name its id in their policy let
// nobody in by it any more; the id is never used again.
func (c *Collection[T]) Remove(tx store.Tx, id string) (T, error) {
	record, _, err := c.Table.Get(tx, id)
	if err != nil {
		return record, err
	}
	n, err := c.Held(tx, id)
	if err != nil {
		return record, err
	}
	if n > 0 {
		_, name := c.parts(&record)
		return record, &HeldError{c.What, *name, n}
	}
	return record, c.Table.Delete(tx, id)
}

// Held counts the people who hold a record, up to 1,000.
func (c *Collection[T]) Held(tx store.Tx, id string) (int, error) {
	return Users.Count(tx, store.Page{Index: c.index, Value: id}, maxCounted)
}

// List returns records in the order of their names, and the cursor of the next page. Limit 0 means all.
func (c *Collection[T]) List(tx store.Tx, after string, limit int) ([]T, string, error) {
	return c.Table.List(tx, store.Page{Index: "name", After: after, Limit: limit})
}

// Resolve finds a record by id or name; the error names what is missing and wraps store.ErrNotFound.
func (c *Collection[T]) Resolve(tx store.Tx, nameOrID string) (T, error) {
	if strings.HasPrefix(nameOrID, c.prefix) {
		if record, _, err := c.Table.Get(tx, nameOrID); !errors.Is(err, store.ErrNotFound) {
			return record, err
		}
	}
	record, _, err := c.Table.By(tx, "name", Normalise(nameOrID))
	if errors.Is(err, store.ErrNotFound) {
		err = &MissingError{c.What, nameOrID}
	}
	return record, err
}

// IDs resolves a list of ids or names.
func (c *Collection[T]) IDs(tx store.Tx, namesOrIDs []string) ([]string, error) {
	var ids []string
	for _, one := range namesOrIDs {
		record, err := c.Resolve(tx, one)
		if err != nil {
			return nil, err
		}
		id, _ := c.parts(&record)
		ids = append(ids, *id)
	}
	return ids, nil
}

// Names returns the names of records by their ids, leaving out those that are gone.
func (c *Collection[T]) Names(tx store.Tx, ids []string) ([]string, error) {
	names := make([]string, 0, len(ids))
	for _, id := range ids {
		record, _, err := c.Table.Get(tx, id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		_, name := c.parts(&record)
		names = append(names, *name)
	}
	return names, nil
}

func (c *Collection[T]) check(name string) error {
	if err := checkLabel(c.What+" name", name); err != nil {
		return err
	}
	if strings.HasPrefix(Normalise(name), c.prefix) {
		return refuse("A %s name must not begin with %s: ids look so", c.What, c.prefix)
	}
	return nil
}

// exist refuses ids that no record has.
func (c *Collection[T]) exist(tx store.Tx, ids []string) error {
	for _, id := range ids {
		revision, err := c.Table.Revision(tx, id)
		if err != nil {
			return err
		}
		if revision == 0 {
			return &MissingError{c.What, id}
		}
	}
	return nil
}

// MissingError says that there is no such person, profile, permission set or group. It wraps store.ErrNotFound.
type MissingError struct{ What, Name string }

func (e *MissingError) Error() string { return fmt.Sprintf("there is no %s %.80q", e.What, e.Name) }

// Unwrap makes errors.Is(err, store.ErrNotFound) true.
func (e *MissingError) Unwrap() error { return store.ErrNotFound }
