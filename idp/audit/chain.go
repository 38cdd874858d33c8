package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"

	"gatehouse/store"
)

// maxNode is the longest node name in bytes.
const maxNode = 64

// Report is what Verify found in one node's chain.
type Report struct {
	Node        string
	First, Last uint64 // numbers of the entries that were read; zero when there are none
	Head        string // hash of the last entry: kept elsewhere, it proves that nobody rewrote the whole chain
	Broken      uint64 // number of the first entry that does not fit; zero: the chain is whole
	Problem     string // what is wrong with it
}

// Verify reads a node's whole chain, from what retention left to the head. The error is only that of the store; a broken
// chain is in the report.
func Verify(tx store.Tx, node string) (Report, error) {
	report := Report{Node: node}
	at, err := readMark(tx, tailKey(node))
	if err != nil {
		return report.broken(at.seq+1, "the mark of the last removed entry is damaged"), nil
	}
	head, err := readMark(tx, headKey(node))
	if err != nil {
		return report.broken(at.seq+1, "the head of the chain is damaged"), nil
	}
	report.Head = hex.EncodeToString(head.hash[:])
	err = tx.Scan(store.PrefixRange(entryPrefix(node)), func(key, value []byte) error {
		problem := at.next(node, key, value)
		if problem != "" {
			report = report.broken(at.seq+1, problem)
			return store.ErrStop
		}
		if report.First == 0 {
			report.First = at.seq
		}
		report.Last = at.seq
		return nil
	})
	if err == nil && report.Broken == 0 && at != head {
		report = report.broken(at.seq+1, fmt.Sprintf("the chain ends at %d, its head says %d", at.seq, head.seq))
	}
	return report, err
}

func (r Report) broken(seq uint64, problem string) Report {
	r.Broken, r.Problem = seq, problem
	return r
}

// next moves the mark to the entry if it fits behind it, else says why not.
func (m *mark) next(node string, key, value []byte) string {
	seq := binary.BigEndian.Uint64(key[len(key)-8:])
	if seq != m.seq+1 {
		return fmt.Sprintf("entry %d is missing", m.seq+1)
	}
	event, err := decodeEntry(key, value)
	if err != nil {
		return "the entry is damaged"
	}
	if event.Seq != seq || event.Node != node {
		return "the entry was moved"
	}
	if event.Previous != hex.EncodeToString(m.hash[:]) {
		return fmt.Sprintf("the entry does not follow the one before: entry %d or %d was changed", m.seq, seq)
	}
	m.seq, m.hash = seq, sha256.Sum256(value[frameSize:])
	return ""
}

// Sweep removes at most limit of a node's oldest entries that are older than before, keeps the mark by which the rest still
// verifies, and returns how many it removed. Call it in Update until it returns fewer than limit. The newest entry stays.
func Sweep(tx store.Tx, node string, before time.Time, limit int) (int, error) {
	at, err := readMark(tx, tailKey(node))
	if err != nil {
		return 0, fmt.Errorf("audit tail: %w", err)
	}
	head, err := readMark(tx, headKey(node))
	if err != nil {
		return 0, fmt.Errorf("audit head: %w", err)
	}
	removed := 0
	r := store.Range{From: entryPrefix(node), To: entryKey(node, head.seq)}
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
