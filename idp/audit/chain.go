package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"gatehouse/store"
)

// maxNode is the longest node name in bytes.
const maxNode = 64

// next moves the mark to the entry if it fits behind it, else says why not.
func (m *mark) next(node string, key, value []byte) string {
	if len(key) != len(prefix)+len(node)+10 { // kind, name, zero byte, number
		return "something that is no entry was put in"
	}
	seq := binary.BigEndian.Uint64(key[len(key)-8:])
	if seq != m.seq+1 {
		return fmt.Sprintf("entry %d is missing", m.seq+1)
	}
	body, err := unframe(key, value)
	if err != nil {
		return "the entry is damaged"
	}
	var link struct { // the rest of an Event is not looked at: this is done a million times
		Seq      uint64 `json:"seq"`
		Node     string `json:"node"`
		Previous string `json:"previous"`
	}
	if err := json.Unmarshal(body, &link); err != nil {
		return "the entry is damaged"
	}
	if link.Seq != seq || link.Node != node {
		return "the entry was moved"
	}
	if link.Previous != hex.EncodeToString(m.hash[:]) {
		return fmt.Sprintf("the entry does not follow the one before: entry %d or %d was changed", m.seq, seq)
	}
	m.seq, m.hash = seq, sha256.Sum256(body)
	return ""
}

// Sweep removes at most limit of a node's oldest entries that are older than before, keeps the mark by which the rest still
// verifies, and returns how many it removed. Call it in Update until it returns fewer than limit. The newest entry stays, and
// so do those that RollUp has not counted.
func Sweep(tx store.Tx, node string, before time.Time, limit int) (int, error) {
	at, err := readMark(tx, tailKey(node))
	if err != nil {
		return 0, fmt.Errorf("audit tail: %w", err)
	}
	head, err := readMark(tx, headKey(node))
	if err != nil {
		return 0, fmt.Errorf("audit head: %w", err)
	}
	done, err := countedTo(tx, node)
	if err != nil {
		return 0, err
	}
	removed := 0
	r := store.Range{From: entryPrefix(node), To: entryKey(node, min(head.seq, done+1))}
	err = tx.Scan(r, func(key, value []byte) error {
		event, err := decodeEntry(key, value)
		if err != nil {
			return err
		}
		if removed == limit || !event.Time.Before(before) {
			return store.ErrStop
		}
		if problem := at.next(node, key, value); problem != "" {
			return fmt.Errorf("audit entry %d is kept, the chain is broken there: %s: %w", event.Seq, problem, store.ErrCorrupt)
		}
		removed++
		return remove(tx, key, &event)
	})
	if err != nil || removed == 0 {
		return 0, err
	}
	return removed, writeMark(tx, tailKey(node), at)
}

func remove(tx store.Tx, key []byte, event *Event) error {
	for _, index := range indexKeys(event) {
		if err := tx.Delete(index); err != nil {
			return err
		}
	}
	return tx.Delete(key)
}
