package store

import (
	"encoding/binary"
	"errors"
	"sync"
)

// maxCached bounds a Cache: at about 2 KiB a decoded record some 8 MiB.
const maxCached = 4096

// Cache keeps decoded records of one table. It never serves a stale one: every Get reads the stored value and uses the
// decoded record only if the revision is the same. The zero value is ready to use.
type Cache[T any] struct {
	mu      sync.RWMutex
	records map[string]cached[T]
}

type cached[T any] struct {
	revision Revision
	record   *T
}

// Get is Table.Get without the decoding where possible. The record is shared: treat it as read-only.
func (c *Cache[T]) Get(tx Tx, table *Table[T], key string) (*T, Revision, error) {
	if key == "" {
		return nil, 0, table.failed(key, ErrNotFound)
	}
	full := table.recordKey(key)
	value, err := tx.Get(full)
	if err != nil {
		return nil, 0, table.failed(key, err)
	}
	if len(value) >= headerSize {
		revision := Revision(binary.BigEndian.Uint64(value))
		if record := c.find(key, revision); record != nil && intact(full, value) {
			return record, revision, nil
		}
	}
	record := new(T)
	revision, err := table.decode(full, value, record)
	if err != nil {
		return nil, 0, err
	}
	c.keep(key, revision, record)
	return record, revision, nil
}

func (c *Cache[T]) find(key string, revision Revision) *T {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if hit, ok := c.records[key]; ok && hit.revision == revision {
		return hit.record
	}
	return nil
}

// keep stores a decoded record; when the cache is full an arbitrary one makes room.
func (c *Cache[T]) keep(key string, revision Revision, record *T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.records == nil {
		c.records = make(map[string]cached[T])
	}
	if _, ok := c.records[key]; !ok && len(c.records) >= maxCached {
		for other := range c.records {
			delete(c.records, other)
			break
		}
	}
	c.records[key] = cached[T]{revision, record}
}

// Each is Table.Each over shared, read-only records.
func (c *Cache[T]) Each(tx Tx, table *Table[T], page Page, fn func(record *T) error) error {
	r, err := table.pageRange(page)
	if err != nil {
		return err
	}
	prefix := len(table.prefix('r'))
	return tx.Scan(r, func(key, value []byte) error {
		name := string(value)
		if page.Index == "" {
			name = string(key[prefix:])
		}
		record, _, err := c.Get(tx, table, name)
		if errors.Is(err, ErrNotFound) { // deleted by fn
			return nil
		}
		if err != nil {
			return err
		}
		return fn(record)
	})
}
