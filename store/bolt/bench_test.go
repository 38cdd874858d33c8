package bolt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"gatehouse/store"
)

const people = 10_000

func benchStore(b *testing.B) *Store {
	b.Helper()
	s, err := Open(filepath.Join(b.TempDir(), "gatehouse.db"), Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	err = s.Update(b.Context(), func(tx store.Tx) error {
		for i := range people {
			if err := tx.Put(sessionKey(i), bytes.Repeat([]byte{'s'}, 400)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func sessionKey(i int) []byte {
	return fmt.Appendf(nil, "session\x00r%016x", uint64(i)*0x9E3779B97F4A7C15)
}

// cpu is what the process used so far.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkUpdate writes what a sign-on does: an audit entry, its index, the request id, the session.
func BenchmarkUpdate(b *testing.B) {
	for _, writers := range []int{1, 8, 64} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) {
			s := benchStore(b)
			var seq atomic.Uint64
			b.ReportAllocs()
			before, first := cpu(), commits(b, s)
			b.ResetTimer()
			var group sync.WaitGroup
			for range writers {
				group.Go(func() {
					for {
						n := seq.Add(1)
						if n > uint64(b.N) {
							return
						}
						if err := s.Update(b.Context(), func(tx store.Tx) error { return signOn(tx, n) }); err != nil {
							b.Error(err)
						}
					}
				})
			}
			group.Wait()
			b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-µs/op")
			b.ReportMetric(float64(b.N)/float64(commits(b, s)-first), "batch")
		})
	}
}

// commits is the number of the last one.
func commits(b *testing.B, s *Store) (n int) {
	b.Helper()
	err := s.db.View(func(tx *bbolt.Tx) error { n = tx.ID(); return nil })
	if err != nil {
		b.Fatal(err)
	}
	return n
}

func signOn(tx store.Tx, n uint64) error {
	session := sessionKey(rand.IntN(people))
	value, err := tx.Get(session)
	if err != nil {
		return err
	}
	request := fmt.Appendf(nil, "answered\x00r%016x", rand.Uint64())
	if _, err := tx.Get(request); err != store.ErrNotFound {
		return fmt.Errorf("request: %w", err)
	}
	_, _ = tx.Get([]byte("audit\x00h1"))
	seq := binary.BigEndian.AppendUint64([]byte("audit\x00e1\x00"), n)
	for _, w := range []write{{session, value}, {request, make([]byte, 60)}, {seq, make([]byte, 400)}, {[]byte("audit\x00h1"), seq}} {
		if err := tx.Put(w.key, w.value); err != nil {
			return err
		}
	}
	return nil
}

func BenchmarkView(b *testing.B) {
	s := benchStore(b)
	b.ReportAllocs()
	before := cpu()
	b.ResetTimer()
	for b.Loop() {
		err := s.View(b.Context(), func(tx store.Tx) error {
			for range 5 {
				if _, err := tx.Get(sessionKey(rand.IntN(people))); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpu()-before).Nanoseconds())/1000/float64(b.N), "cpu-µs/op")
}
