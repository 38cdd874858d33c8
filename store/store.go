// Package store is the contract between Gatehouse and the database it lives in: a small, ordered, transactional
// key-value store, and Table, which lays typed records over it.
//
// It owns transactions, record encoding (revision, checksum, JSON), indexes, paging and expiry. It knows no domain
// word and no back end. Read store.go for the contract, then table.go for what every other package uses.
package store

import (
	"context"
	"errors"
)

// Store runs functions in serialisable transactions. A function may run more than once, so it must touch nothing
// but its Tx and variables that it sets afresh on every run.
type Store interface {
	// View runs fn on a consistent snapshot. Writes through its Tx fail with ErrReadOnly.
	View(ctx context.Context, fn func(Tx) error) error
	// Update runs fn and commits what it wrote if it returns nil; once Update has returned nil the writes survive a
	// crash of the process or the machine. Any error from fn is returned as it is and nothing is written. The keys
	// that fn will read may be named, so that a remote back end can fetch them in one exchange.
	Update(ctx context.Context, fn func(Tx) error, reads ...[]byte) error
	// Close waits for running transactions; every later call, another Close too, fails with ErrClosed.
	Close() error
}

// Tx is one transaction. Keys are ordered by their bytes. Values handed out are copies; values handed in are copied.
type Tx interface {
	// Get returns the value, or ErrNotFound.
	Get(key []byte) ([]byte, error)
	// Put writes the value, replacing one that exists. Keys are 1 to MaxKey bytes long, values up to MaxValue.
	Put(key, value []byte) error
	// Delete removes the key; an absent key is no error.
	Delete(key []byte) error
	// Scan calls fn for each pair in the range, in order. It shows the state at its call, the transaction's own writes
	// before it included; fn may write to the transaction, which the scan does not see. ErrStop from fn ends the scan without an error, any other error ends
	// it with that error.
	Scan(r Range, fn func(key, value []byte) error) error
}

// Range is the keys from From (inclusive) up to To (exclusive); a nil To has no end. Reverse goes from high to low.
type Range struct {
	From, To []byte
	Reverse  bool
}

// MaxKey is the longest key in bytes: below bbolt's 32,768 and what PostgreSQL's btree indexes.
const MaxKey = 2048

// MaxValue is the longest value in bytes.
const MaxValue = 64 << 20

var (
	// ErrNotFound says that no record has that key or index value.
	ErrNotFound = errors.New("not found")
	// ErrExists says that another record already has a value that must be unique. Returned as *ConflictError.
	ErrExists = errors.New("already exists")
	// ErrCorrupt says that a stored value does not match its checksum or that the store cannot be read.
	ErrCorrupt = errors.New("the stored data is damaged")
	// ErrNewer says that the data was written by a newer Gatehouse.
	ErrNewer = errors.New("written by a newer version of Gatehouse")
	// ErrReadOnly says that a write was tried inside View.
	ErrReadOnly = errors.New("write in a read-only transaction")
	// ErrClosed says that the store was closed.
	ErrClosed = errors.New("the store is closed")
	// ErrBusy says that the back end cannot take the transaction now; trying again later may work.
	ErrBusy = errors.New("the store is busy")
	// ErrCursor says that Page.After did not come from this list.
	ErrCursor = errors.New("the cursor is not one of this list")
	// ErrStop ends a scan early.
	ErrStop = errors.New("stop")
)

// PrefixRange is the range of every key that begins with prefix.
func PrefixRange(prefix []byte) Range {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] < 0xff {
			end[i]++
			return Range{From: prefix, To: end[:i+1]}
		}
	}
	return Range{From: prefix}
}
