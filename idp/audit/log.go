package audit

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
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
	if event.Code, err = freshCode(tx); err != nil {
		return Event{}, err
	}
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

// ByCode returns the event of a code as a person may have typed it, or store.ErrNotFound.
func ByCode(tx store.Tx, code string) (Event, error) {
	ref, err := tx.Get(codeKey(NormaliseCode(code)))
	if err != nil {
		return Event{}, fmt.Errorf("no audit entry has the code %.20q: %w", code, err)
	}
	return readEntry(tx, ref)
}

// alphabet is Crockford's base32: no I, L, O, U, so that codes survive being read aloud.
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// NormaliseCode writes a code as it is stored: upper case, grouped, with the digits that I, L and O are mistaken for.
func NormaliseCode(code string) string {
	if len(code) > 64 {
		return code[:64] // no code is that long: not found
	}
	plain := strings.NewReplacer("-", "", " ", "", "O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(code))
	if len(plain) != 8 {
		return plain
	}
	return plain[:4] + "-" + plain[4:]
}

// freshCode makes a code of 40 random bits that no entry has.
func freshCode(tx store.Tx) (string, error) {
	for range 8 {
		code := newCode()
		_, err := tx.Get(codeKey(code))
		if errors.Is(err, store.ErrNotFound) {
			return code, nil
		}
		if err != nil {
			return "", err
		}
	}
	return "", errors.New("audit: no free code found") // one in 2^80 with a million entries
}

func newCode() string {
	var random [8]byte
	rand.Read(random[:])
	code := make([]byte, 0, 9)
	for i, b := range random {
		if i == 4 {
			code = append(code, '-')
		}
		code = append(code, alphabet[b&31])
	}
	return string(code)
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
