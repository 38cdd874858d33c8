package store

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Sweeper is a table whose records expire.
type Sweeper interface {
	// Sweep deletes at most limit records that expired before now and returns how many it found.
	Sweep(tx Tx, now time.Time, limit int) (int, error)
}

// SweepAll sweeps every table to its end, at most limit records in one Update, so that no other update waits long. It
// returns how many expired records it found. A table that cannot be swept keeps none of the others from it.
func SweepAll(ctx context.Context, s Store, now time.Time, limit int, tables ...Sweeper) (int, error) {
	total := 0
	var errs []error
	for _, table := range tables {
		for more := true; more; {
			n := 0
			err := s.Update(ctx, func(tx Tx) (err error) {
				n, err = table.Sweep(tx, now, limit)
				return err
			})
			if err != nil {
				errs = append(errs, err)
				break
			}
			total += n
			more = limit > 0 && n == limit
		}
	}
	return total, errors.Join(errs...)
}

// Sweep deletes at most limit records that expired before now and returns how many it found. Call it in Update until
// it returns fewer than limit, or use SweepAll. A damaged record goes too: it cannot be read, and it is past its time.
func (t *Table[T]) Sweep(tx Tx, now time.Time, limit int) (int, error) {
	prefix := t.prefix('x')
	n := 0
	err := tx.Scan(Range{From: prefix, To: append(slices.Clone(prefix), timeBytes(now)...)}, func(entry, key []byte) error {
		err := t.Delete(tx, string(key))
		if errors.Is(err, ErrCorrupt) {
			err = tx.Delete(t.recordKey(string(key)))
		}
		if err == nil {
			err = tx.Delete(entry)
		}
		if n++; err == nil && n == limit {
			return ErrStop
		}
		return err
	})
	return n, err
}
