package audit

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"gatehouse/store"
)

// Filter chooses events; empty fields choose all. User and App are ids and have an index; the rest is looked through.
type Filter struct {
	App     string
	User    string
	Actor   string
	Kind    string       // "user.add", or "user." for all that begin so
	Outcome string       // OK, Refused or Failed
	Reason  string       // the whole of it
	Code    string       // as NormaliseCode writes it
	Network netip.Prefix // of the address; the zero value: any
	Since   time.Time    // inclusive
	Until   time.Time    // exclusive
	Limit   int          // events in a page, 1 to 1,000; otherwise 100
	After   string       // the cursor of an earlier page
}

const (
	maxPage   = 1000
	maxLooked = 20_000           // entries that one call reads: then the page ends early, with a cursor
	clockBack = 10 * time.Minute // how far back a clock may have stepped between two entries without List missing any
)

// ErrCursor refuses an After that no List of these filters gave.
var ErrCursor = errors.New("the cursor is not one of this list; start again without it")

// List returns the matching events, newest first, and the cursor of the next page, empty at the end. A page may hold fewer
// events than Limit, even none, while the cursor says that there is more to look through.
func List(tx store.Tx, filter Filter) ([]Event, string, error) {
	if filter.Limit < 1 || filter.Limit > maxPage {
		filter.Limit = min(max(filter.Limit, 0), maxPage)
		if filter.Limit == 0 {
			filter.Limit = 100
		}
	}
	switch {
	case filter.User != "":
		return listIndex(tx, &filter, listPrefix('u', filter.User))
	case filter.App != "":
		return listIndex(tx, &filter, listPrefix('a', filter.App))
	}
	return listNodes(tx, &filter)
}

// Matches tells whether the filter chooses an event.
func (f *Filter) Matches(event *Event) bool {
	kind := f.Kind == "" || event.Kind == f.Kind || strings.HasSuffix(f.Kind, ".") && strings.HasPrefix(event.Kind, f.Kind)
	for _, pair := range [...][2]string{
		{f.App, event.App}, {f.User, event.User}, {f.Actor, event.Actor}, {f.Outcome, event.Outcome}, {f.Reason, event.Reason}, {f.Code, event.Code},
	} {
		if pair[0] != "" && pair[0] != pair[1] {
			return false
		}
	}
	return kind && !event.Time.Before(f.Since) && (f.Until.IsZero() || event.Time.Before(f.Until)) && f.within(event.Address)
}

// within tells whether an address lies in the network that is asked for.
func (f *Filter) within(address string) bool {
	if !f.Network.IsValid() {
		return true
	}
	parsed, err := netip.ParseAddr(address)
	return err == nil && f.Network.Contains(parsed.Unmap().WithZone(""))
}

// listIndex walks an index backwards; its keys are in the order of time.
func listIndex(tx store.Tx, filter *Filter, prefix []byte) ([]Event, string, error) {
	r := store.PrefixRange(prefix)
	r.Reverse = true
	if filter.After != "" {
		after, err := base64.RawURLEncoding.DecodeString(filter.After)
		if err != nil || len(after) > store.MaxKey || !bytes.HasPrefix(after, prefix) {
			return nil, "", ErrCursor
		}
		r.To = after
	}
	if filter.After == "" && !filter.Until.IsZero() {
		r.To = binary.BigEndian.AppendUint64(slices.Clone(prefix), timeNumber(filter.Until))
	}
	if !filter.Since.IsZero() {
		r.From = binary.BigEndian.AppendUint64(slices.Clone(prefix), timeNumber(filter.Since))
	}
	if r.To != nil && bytes.Compare(r.From, r.To) >= 0 {
		return nil, "", nil
	}
	var events []Event
	looked, next := 0, ""
	err := tx.Scan(r, func(key, ref []byte) error {
		event, err := readIndexed(tx, ref)
		if err != nil {
			return err
		}
		if filter.Matches(&event) {
			events = append(events, event)
		}
		if looked++; len(events) == filter.Limit || looked == maxLooked {
			next = base64.RawURLEncoding.EncodeToString(key)
			return store.ErrStop
		}
		return nil
	})
	return events, next, err
}

// listNodes walks the chains of all nodes backwards and merges them by time. The cursor is where each chain continues.
func listNodes(tx store.Tx, filter *Filter) ([]Event, string, error) {
	from, err := startOf(tx, filter)
	if err != nil {
		return nil, "", err
	}
	chains := make([][]Event, len(from))
	for i := range from {
		if chains[i], err = listChain(tx, filter, &from[i], maxLooked/len(from)); err != nil {
			return nil, "", err
		}
	}
	events := merge(chains, filter.Limit)
	for i, left := range chains {
		if len(left) > 0 {
			from[i].before = left[0].Seq + 1
		}
	}
	return events, cursorOf(from), nil
}

// merge takes up to limit events from the fronts of the chains, the newest front first, so that each chain stays in order
// even where its clock stepped back.
func merge(chains [][]Event, limit int) []Event {
	var events []Event
	for len(events) < limit {
		newest := -1
		for i, chain := range chains {
			if len(chain) > 0 && (newest < 0 || chain[0].Time.After(chains[newest][0].Time)) {
				newest = i
			}
		}
		if newest < 0 {
			break
		}
		events = append(events, chains[newest][0])
		chains[newest] = chains[newest][1:]
	}
	return events
}

// position is where the walk through one chain continues: before this number; 1 is the end.
type position struct {
	node   string
	before uint64
}

// listChain collects up to Limit matches of one chain and moves its position.
func listChain(tx store.Tx, filter *Filter, at *position, bound int) ([]Event, error) {
	var events []Event
	r := store.Range{From: entryPrefix(at.node), To: entryKey(at.node, at.before), Reverse: true}
	at.before = 1
	err := tx.Scan(r, func(key, value []byte) error {
		event, err := decodeEntry(key, value)
		if err != nil {
			return err
		}
		if event.Time.Before(filter.Since.Add(-clockBack)) {
			return store.ErrStop
		}
		if filter.Matches(&event) {
			events = append(events, event)
		}
		if bound--; len(events) == filter.Limit || bound <= 0 {
			at.before = event.Seq
			return store.ErrStop
		}
		return nil
	})
	return events, err
}

// Nodes lists the nodes that have a chain.
func Nodes(tx store.Tx) ([]string, error) {
	var nodes []string
	start := headKey("")
	err := tx.Scan(store.PrefixRange(start), func(key, _ []byte) error {
		nodes = append(nodes, string(key[len(start):]))
		return nil
	})
	return nodes, err
}

func startOf(tx store.Tx, filter *Filter) ([]position, error) {
	if filter.After != "" {
		return parseCursor(filter.After)
	}
	nodes, err := Nodes(tx)
	from := make([]position, 0, len(nodes))
	for _, node := range nodes {
		head, err := readMark(tx, headKey(node))
		if err != nil {
			return nil, err
		}
		before, err := endBefore(tx, node, head.seq, filter.Until)
		if err != nil {
			return nil, err
		}
		from = append(from, position{node, before})
	}
	return from, err
}

// endBefore is a number from which on all of a chain's entries are later than until; its clock may have stepped back a little.
// It is found by halving, so that a look far back does not read everything since.
func endBefore(tx store.Tx, node string, last uint64, until time.Time) (uint64, error) {
	if until.IsZero() {
		return last + 1, nil
	}
	tail, err := readMark(tx, tailKey(node))
	if err != nil {
		return 0, err
	}
	low, high := tail.seq+1, last+1 // entries below low are not all later, those from high on are
	for low < high {
		middle := low + (high-low)/2
		event, err := readEntry(tx, entryKey(node, middle))
		if err != nil {
			return last + 1, nil // a damaged chain is walked as far as it goes
		}
		if event.Time.After(until.Add(clockBack)) {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return high, nil
}

func cursorOf(from []position) string {
	var text []byte
	for _, p := range from {
		if p.before > 1 {
			text = binary.BigEndian.AppendUint64(append(text, byte(len(p.node))), p.before)
			text = append(text, p.node...)
		}
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func parseCursor(cursor string) ([]position, error) {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(cursor) > 4096 {
		return nil, ErrCursor
	}
	var from []position
	for len(text) > 0 {
		n := int(text[0])
		if len(text) < 9+n || n > maxNode {
			return nil, ErrCursor
		}
		from = append(from, position{string(text[9 : 9+n]), binary.BigEndian.Uint64(text[1:9])})
		text = text[9+n:]
	}
	return from, nil
}
