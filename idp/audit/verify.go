package audit

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"gatehouse/store"
)

// verifyBatch bounds the entries that one read transaction checks, so that none keeps old pages of the store alive for long.
const verifyBatch = 20_000

// Report is what is known of one node's chain: of Heads its ends, of Verify also whether it is whole.
type Report struct {
	Node        string
	First, Last uint64 // numbers of the oldest and the newest entry; zero when there are none
	Count       uint64 // entries from First to Last; of Verify those that are whole
	Head        string // hash of the last entry: kept elsewhere, it proves that nobody rewrote the whole chain
	Kept        bool   // of Verify: an entry, or the last one that retention removed, has the hash that was kept
	Broken      uint64 // number of the first entry that does not fit; zero: the chain is whole
	Problem     string // what is wrong with it
}

func (r Report) broken(seq uint64, problem string) Report {
	r.Broken, r.Problem = seq, problem
	return r
}

// Heads lists the chains with their ends, without looking at the entries between.
func Heads(tx store.Tx) ([]Report, error) {
	nodes, err := chains(tx)
	if err != nil {
		return nil, err
	}
	reports := make([]Report, 0, len(nodes))
	for _, node := range nodes {
		tail, head, problem := ends(tx, node)
		report := Report{Node: node, First: tail.seq + 1, Last: head.seq, Count: head.seq - tail.seq, Head: hex.EncodeToString(head.hash[:])}
		if problem != "" || head.seq < tail.seq {
			report = Report{Node: node}.broken(tail.seq+1, problem)
		} else if report.Count == 0 {
			report.First, report.Last = 0, 0
		}
		reports = append(reports, report)
	}
	return reports, nil
}

// ends reads the two marks of a chain; the problem is empty when both are whole.
func ends(tx store.Tx, node string) (tail, head mark, problem string) {
	tail, err := readMark(tx, tailKey(node))
	if err != nil {
		return tail, head, "the mark of the last removed entry is damaged"
	}
	if head, err = readMark(tx, headKey(node)); err != nil {
		return tail, head, "the head of the chain is damaged"
	}
	return tail, head, ""
}

// chains lists the nodes of which there is anything at all: a chain whose head was removed is found by its entries.
func chains(tx store.Tx) ([]string, error) {
	nodes, err := Nodes(tx)
	if err != nil {
		return nil, err
	}
	start := []byte(prefix + "e")
	for r := store.PrefixRange(start); ; {
		node := ""
		err := tx.Scan(r, func(key, _ []byte) error {
			name, _, _ := bytes.Cut(key[len(start):], []byte{0})
			node = string(name)
			return store.ErrStop
		})
		if err != nil || node == "" {
			slices.Sort(nodes)
			return slices.Compact(nodes), err
		}
		nodes = append(nodes, node)
		r.From = store.PrefixRange(entryPrefix(node)).To
	}
}

// Verify reads every chain from what retention left to its head, in batches, so that it may run beside a server at work. The
// error is only that of the store or the context; a broken chain is in its report, the entries behind the break are not read.
// Kept is the hash of a head that was noted down earlier, in hexadecimal, or empty.
func Verify(ctx context.Context, s store.Store, kept string) ([]Report, error) {
	var nodes []string
	err := s.View(ctx, func(tx store.Tx) (err error) {
		nodes, err = chains(tx)
		return err
	})
	reports := make([]Report, 0, len(nodes))
	for _, node := range nodes {
		w := walk{report: Report{Node: node}, kept: strings.ToLower(kept)}
		for err == nil && !w.done {
			next := w // View may run its function again: it starts from w each time
			err = s.View(ctx, func(tx store.Tx) error {
				next = w
				return next.step(tx, verifyBatch)
			})
			if err == nil {
				err = ctx.Err()
			}
			w = next
		}
		reports = append(reports, w.report)
	}
	return reports, err
}

// walk is how far the verification of one chain has come.
type walk struct {
	report Report
	kept   string // the hash to look for
	at     mark
	done   bool
}

// step checks up to limit more entries.
func (w *walk) step(tx store.Tx, limit int) error {
	tail, head, problem := ends(tx, w.report.Node)
	if problem != "" {
		w.fail(tail.seq+1, problem)
		return nil
	}
	if tail.seq > w.at.seq || w.report.Count == 0 { // the start, or retention came past since the last step
		w.move(tail)
	}
	read := 0
	r := store.PrefixRange(entryPrefix(w.report.Node))
	if w.at.seq > tail.seq {
		r.From = append(entryKey(w.report.Node, w.at.seq), 0) // the very next key, were it a foreign one
	}
	err := tx.Scan(r, func(key, value []byte) error {
		if read == limit {
			return store.ErrStop
		}
		read++
		at := w.at
		if problem := at.next(w.report.Node, key, value); problem != "" {
			w.fail(w.at.seq+1, problem)
			return store.ErrStop
		}
		w.move(at)
		w.pass()
		return nil
	})
	if err != nil || w.done || read == limit {
		return err
	}
	if w.done = true; w.at != head {
		w.fail(w.at.seq+1, fmt.Sprintf("the chain ends at %d, its head says %d", w.at.seq, head.seq))
	}
	w.report.Head = hex.EncodeToString(head.hash[:])
	return nil
}

func (w *walk) move(to mark) {
	w.at = to
	w.report.Kept = w.report.Kept || to.seq > 0 && w.kept == hex.EncodeToString(to.hash[:])
}

// pass counts an entry that is whole.
func (w *walk) pass() {
	if w.report.First == 0 {
		w.report.First = w.at.seq
	}
	w.report.Last = w.at.seq
	w.report.Count++
}

func (w *walk) fail(seq uint64, problem string) {
	w.report, w.done = w.report.broken(seq, problem), true
}
