package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"gatehouse/store"
)

// A code is the number of its entry, encrypted: 40 bits under a Feistel network of four rounds (Luby and Rackoff 1988), keyed
// with Log.Key and the node. So no two entries of a node have the same, a code tells nothing about how many there are, and no
// index is written for it.
const (
	codeBits = 40
	halfBits = codeBits / 2
	halfMask = 1<<halfBits - 1
	rounds   = 4
)

// alphabet is Crockford's base32: no I, L, O, U, so that codes survive being read aloud.
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// ByCode returns the event of a code as a person may have typed it, or store.ErrNotFound.
func (l *Log) ByCode(tx store.Tx, code string) (Event, error) {
	missing := fmt.Errorf("no audit entry has the code %.20q: %w", code, store.ErrNotFound)
	number, ok := parseCode(NormaliseCode(code))
	if !ok {
		return Event{}, missing
	}
	nodes, err := Nodes(tx)
	if err != nil {
		return Event{}, err
	}
	for _, node := range nodes {
		event, err := readEntry(tx, entryKey(node, l.numberOf(node, number)))
		if !errors.Is(err, store.ErrNotFound) {
			return event, err
		}
	}
	return Event{}, missing
}

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

func (l *Log) code(node string, seq uint64) string {
	left, right := seq>>halfBits&halfMask, seq&halfMask
	for round := range rounds {
		left, right = right, left^l.mix(node, round, right)
	}
	number := left<<halfBits | right
	code := make([]byte, 0, 9)
	for shift := codeBits - 5; shift >= 0; shift -= 5 {
		if len(code) == 4 {
			code = append(code, '-')
		}
		code = append(code, alphabet[number>>shift&31])
	}
	return string(code)
}

// numberOf undoes code.
func (l *Log) numberOf(node string, number uint64) uint64 {
	left, right := number>>halfBits, number&halfMask
	for round := rounds - 1; round >= 0; round-- {
		left, right = right^l.mix(node, round, left), left
	}
	return left<<halfBits | right
}

// mix is the round function.
func (l *Log) mix(node string, round int, half uint64) uint64 {
	text := make([]byte, 0, 160)
	text = append(append(append(text, l.Key...), byte(round)), node...)
	sum := sha256.Sum256(binary.BigEndian.AppendUint32(text, uint32(half)))
	return binary.BigEndian.Uint64(sum[:]) & halfMask
}

// parseCode reads the number that a normalised code stands for.
func parseCode(code string) (uint64, bool) {
	if len(code) != 9 || code[4] != '-' {
		return 0, false
	}
	var number uint64
	for _, letter := range []byte(code[:4] + code[5:]) {
		digit := strings.IndexByte(alphabet, letter)
		if digit < 0 {
			return 0, false
		}
		number = number<<5 | uint64(digit)
	}
	return number, true
}
