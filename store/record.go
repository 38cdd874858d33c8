package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
)

// A stored value: 8 bytes revision, 4 bytes CRC-32C over key, version and JSON, 2 bytes schema version, JSON.
const headerSize = 14

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (t *Table[T]) encode(key []byte, record *T) ([]byte, error) {
	body, err := json.Marshal(record)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.Name, err)
	}
	value := make([]byte, headerSize, headerSize+len(body))
	binary.BigEndian.PutUint64(value, max(rand.Uint64(), 1))
	binary.BigEndian.PutUint16(value[12:], uint16(t.Version))
	value = append(value, body...)
	binary.BigEndian.PutUint32(value[8:], checksum(key, value))
	return value, nil
}

func (t *Table[T]) decode(key, value []byte, record *T) (Revision, error) {
	if !intact(key, value) {
		return 0, t.failed(t.nameOf(key), ErrCorrupt)
	}
	if version := int(binary.BigEndian.Uint16(value[12:])); version > t.Version {
		return 0, t.failed(t.nameOf(key), ErrNewer)
	}
	if err := json.Unmarshal(value[headerSize:], record); err != nil {
		return 0, t.failed(t.nameOf(key), fmt.Errorf("%w: %v", ErrCorrupt, err))
	}
	return Revision(binary.BigEndian.Uint64(value)), nil
}

// nameOf is the record's key in its full key.
func (t *Table[T]) nameOf(full []byte) string { return string(full[len(t.Name)+2:]) }

// intact tells whether a stored value is whole and belongs under its key.
func intact(key, value []byte) bool {
	return len(value) >= headerSize && checksum(key, value) == binary.BigEndian.Uint32(value[8:])
}

// CheckValue finds damage in a value that a Table stored as a record, whatever its type; of other values it knows nothing.
func CheckValue(key, value []byte) error {
	name, rest, ok := bytes.Cut(key, []byte{0})
	if !ok || len(rest) == 0 || rest[0] != 'r' || intact(key, value) {
		return nil
	}
	return fmt.Errorf("%s %q: %w", name, rest[1:], ErrCorrupt)
}

// checksum covers the key, so that a value under the wrong key is noticed, the revision, the version and the JSON.
func checksum(key, value []byte) uint32 {
	sum := crc32.Update(0, castagnoli, key)
	sum = crc32.Update(sum, castagnoli, value[:8])
	return crc32.Update(sum, castagnoli, value[12:])
}

// schemaName takes the place of a table's name in the keys that hold the tables' versions.
const schemaName = "schema"

// Check is what Prepare needs of a table, whatever its record type.
type Check interface {
	schema() (name string, version int)
	rebuild(ctx context.Context, s Store) error
}

func (t *Table[T]) schema() (string, int) { return t.Name, t.Version }

// Prepare refuses a store whose tables were written by a newer Gatehouse (ErrNewer) and records this one's versions.
// What an older one wrote is entered in the indexes that came since. Call it once after opening, with every table.
func Prepare(ctx context.Context, s Store, tables ...Check) error {
	err := s.Update(ctx, func(tx Tx) error {
		for _, table := range tables {
			if err := prepare(tx, table); err != nil {
				return err
			}
		}
		return nil
	})
	for _, table := range tables {
		if err == nil {
			err = table.rebuild(ctx, s)
		}
	}
	return err
}

func prepare(tx Tx, table Check) error {
	name, version := table.schema()
	key := []byte(schemaName + "\x00v" + name)
	value, err := tx.Get(key)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if err == nil && len(value) == 2 {
		if found := int(binary.BigEndian.Uint16(value)); found > version {
			return fmt.Errorf("table %s has schema version %d, this Gatehouse knows %d: %w", name, found, version, ErrNewer)
		} else if found == version {
			return nil
		}
	}
	return tx.Put(key, binary.BigEndian.AppendUint16(nil, uint16(version)))
}
