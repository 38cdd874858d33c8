package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"gatehouse/store"
)

// Log appends to the chain of one node. Events are numbered from 1 and each names the hash of the one before, so that an
// entry that was changed, taken out or put in is noticed by Verify.
type Log struct {
	Node string // 1 to 64 bytes without a zero byte; the same after a restart
	Key  []byte // makes codes that nobody can foretell; the same on every node and after a restart
	Now  func() time.Time
}

// Bounds of what strangers can put into one event; longer texts are cut.
const (
	maxText  = 1000 // bytes of Detail
	maxFact  = 400  // bytes of every other text
	maxFacts = 24
)

// Append numbers, dates and chains the event and stores it with its index entries. The returned event has its Code.
func (l *Log) Append(tx store.Tx, event Event) (Event, error) {
	if l.Node == "" || len(l.Node) > maxNode || strings.IndexByte(l.Node, 0) >= 0 {
		return Event{}, fmt.Errorf("audit: the node name must have 1 to %d bytes", maxNode)
	}
	last, err := readMark(tx, headKey(l.Node))
	if err != nil {
		return Event{}, fmt.Errorf("audit head: %w", err)
	}
	clip(&event)
	event.Node, event.Seq, event.Previous = l.Node, last.seq+1, hex.EncodeToString(last.hash[:])
	event.Time = l.Now().UTC().Round(0)
	ref := entryKey(l.Node, event.Seq)
	event.Code = l.code(l.Node, event.Seq)
	body, err := json.Marshal(&event)
	if err != nil {
		return Event{}, fmt.Errorf("audit: %w", err)
	}
	if err := tx.Put(ref, frame(ref, body)); err != nil {
		return Event{}, err
	}
	for _, key := range indexKeys(&event) {
		if err := tx.Put(key, ref); err != nil {
			return Event{}, err
		}
	}
	return event, writeMark(tx, headKey(l.Node), mark{seq: event.Seq, hash: sha256.Sum256(body)})
}

// clip bounds the texts of an event and makes them valid UTF-8.
func clip(event *Event) {
	event.Detail = clipText(event.Detail, maxText)
	for _, text := range []*string{&event.Kind, &event.Outcome, &event.Reason, &event.Actor, &event.Address} {
		*text = clipText(*text, maxFact)
	}
	for _, indexed := range []*string{&event.User, &event.App} {
		*indexed = clipText(strings.ReplaceAll(*indexed, "\x00", ""), maxFact)
	}
	clean := len(event.Facts) <= maxFacts
	for key, value := range event.Facts {
		clean = clean && len(key) <= maxFact && len(value) <= maxFact && utf8.ValidString(key) && utf8.ValidString(value)
	}
	if clean {
		return
	}
	facts := make(map[string]string, maxFacts)
	for key, value := range event.Facts {
		if len(facts) < maxFacts {
			facts[clipText(key, maxFact)] = clipText(value, maxFact)
		}
	}
	event.Facts = facts
}

func clipText(text string, limit int) string {
	if len(text) <= limit && utf8.ValidString(text) {
		return text
	}
	return strings.ToValidUTF8(text[:min(len(text), limit)], "")
}
