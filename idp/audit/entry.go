package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"gatehouse/store"
)

// Keys on disk, under "audit" 0:
//
//	'e' NODE 0 SEQ            the entry: frame of its JSON
//	'h' NODE, 't' NODE        head: number and hash of the last entry; tail: of the last one that retention removed
//	'a' APP 0 TIME SEQ NODE   → entry key, and 'u' USER … likewise: newest last
//
// These are not a store.Table because an entry is written in every sign-on: compact index values, no read before a write.
const prefix = "audit\x00"

func entryPrefix(node string) []byte { return append([]byte(prefix+"e"), node+"\x00"...) }

func entryKey(node string, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(entryPrefix(node), seq)
}

func headKey(node string) []byte { return []byte(prefix + "h" + node) }
func tailKey(node string) []byte { return []byte(prefix + "t" + node) }

func listPrefix(kind byte, value string) []byte {
	return append(append([]byte(prefix), kind), value+"\x00"...)
}

func listKey(kind byte, value string, event *Event) []byte {
	key := make([]byte, 0, len(prefix)+1+len(value)+1+16+len(event.Node))
	key = append(append(append(append(key, prefix...), kind), value...), 0)
	key = binary.BigEndian.AppendUint64(key, timeNumber(event.Time))
	key = binary.BigEndian.AppendUint64(key, event.Seq)
	return append(key, event.Node...)
}

func timeNumber(at time.Time) uint64 { return uint64(max(at.UnixNano(), 0)) }

// indexKeys are the keys that lead to an entry.
func indexKeys(event *Event) [][]byte {
	keys := make([][]byte, 0, 2)
	if event.App != "" {
		keys = append(keys, listKey('a', event.App, event))
	}
	if event.User != "" {
		keys = append(keys, listKey('u', event.User, event))
	}
	return keys
}

// A stored value is 4 bytes CRC-32C over key and body, then the body: what a disk flips is noticed at once, what a person
// changes by the chain.
const frameSize = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func sum(key, body []byte) uint32 {
	return crc32.Update(crc32.Update(0, castagnoli, key), castagnoli, body)
}

func frame(key, body []byte) []byte {
	value := make([]byte, frameSize, frameSize+len(body))
	binary.BigEndian.PutUint32(value, sum(key, body))
	return append(value, body...)
}

func unframe(key, value []byte) ([]byte, error) {
	if len(value) < frameSize || binary.BigEndian.Uint32(value) != sum(key, value[frameSize:]) {
		return nil, fmt.Errorf("audit entry %x: %w", key, store.ErrCorrupt)
	}
	return value[frameSize:], nil
}

func decodeEntry(key, value []byte) (Event, error) {
	var event Event
	body, err := unframe(key, value)
	if err != nil {
		return event, err
	}
	if err := json.Unmarshal(body, &event); err != nil {
		return event, fmt.Errorf("audit entry %x: %w: %v", key, store.ErrCorrupt, err)
	}
	return event, nil
}

func readEntry(tx store.Tx, ref []byte) (Event, error) {
	value, err := tx.Get(ref)
	if err != nil {
		return Event{}, err
	}
	return decodeEntry(ref, value)
}

// readIndexed follows an index entry; one that leads nowhere is damage.
func readIndexed(tx store.Tx, ref []byte) (Event, error) {
	event, err := readEntry(tx, ref)
	if errors.Is(err, store.ErrNotFound) {
		return event, fmt.Errorf("audit entry %x is indexed but missing: %w", ref, store.ErrCorrupt)
	}
	return event, err
}

// mark is the number of an entry and the hash of its JSON; the zero mark stands before the first one.
type mark struct {
	seq  uint64
	hash [sha256.Size]byte
}

func readMark(tx store.Tx, key []byte) (mark, error) {
	var m mark
	value, err := tx.Get(key)
	if errors.Is(err, store.ErrNotFound) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	body, err := unframe(key, value)
	if err != nil {
		return m, err
	}
	if len(body) != 8+sha256.Size {
		return m, store.ErrCorrupt
	}
	m.seq = binary.BigEndian.Uint64(body)
	copy(m.hash[:], body[8:])
	return m, nil
}

func writeMark(tx store.Tx, key []byte, m mark) error {
	body := binary.BigEndian.AppendUint64(make([]byte, 0, 8+sha256.Size), m.seq)
	return tx.Put(key, frame(key, append(body, m.hash[:]...)))
}
