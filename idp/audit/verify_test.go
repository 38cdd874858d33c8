package audit_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"testing"
	"time"

	"gatehouse/idp/audit"
	"gatehouse/store"
	"gatehouse/store/bolt"
)

// framed is what somebody with the file and this source would write: any text under a right checksum.
func framed(key, body []byte) []byte {
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(crc32.Update(0, table, key), table, body)
	return append(binary.BigEndian.AppendUint32(nil, sum), body...)
}

// tampering is a way to change a chain whose entries have these keys and values, all of them with right checksums. At is the
// place of the entry that the report must name, counted in the slice.
var tampering = map[string]struct {
	at     int
	tamper func(tx store.Tx, k, v [][]byte) error
}{
	"changed": {6, func(tx store.Tx, k, v [][]byte) error {
		return tx.Put(k[5], framed(k[5], bytes.Replace(v[5][4:], []byte("192.0.2."), []byte("192.0.3."), 1)))
	}},
	"flipped": {4, func(tx store.Tx, k, v [][]byte) error {
		return tx.Put(k[4], append(v[4][:20:20], append([]byte{v[4][20] ^ 1}, v[4][21:]...)...))
	}},
	"removed":       {4, func(tx store.Tx, k, v [][]byte) error { return tx.Delete(k[4]) }},
	"first removed": {0, func(tx store.Tx, k, v [][]byte) error { return tx.Delete(k[0]) }},
	"last removed":  {9, func(tx store.Tx, k, v [][]byte) error { return tx.Delete(k[9]) }},
	"last changed": {10, func(tx store.Tx, k, v [][]byte) error {
		return tx.Put(k[9], framed(k[9], bytes.Replace(v[9][4:], []byte("192.0.2."), []byte("192.0.3."), 1)))
	}},
	"swapped": {4, func(tx store.Tx, k, v [][]byte) error {
		return errors.Join(tx.Put(k[4], framed(k[4], v[5][4:])), tx.Put(k[5], framed(k[5], v[4][4:])))
	}},
	"moved over":      {4, func(tx store.Tx, k, v [][]byte) error { return tx.Put(k[4], framed(k[4], v[7][4:])) }},
	"inserted behind": {10, func(tx store.Tx, k, v [][]byte) error { key := after(k[9]); return tx.Put(key, framed(key, v[9][4:])) }},
	"inserted between": {5, func(tx store.Tx, k, v [][]byte) error {
		key := append(bytes.Clone(k[4]), 1)
		return tx.Put(key, framed(key, v[4][4:]))
	}},
	"inserted in front": {0, func(tx store.Tx, k, v [][]byte) error {
		key := bytes.Clone(k[0])
		binary.BigEndian.PutUint64(key[len(key)-8:], 0)
		return tx.Put(key, framed(key, v[0][4:]))
	}},
	"head taken": {10, func(tx store.Tx, k, v [][]byte) error { return tx.Delete([]byte("audit\x00hn")) }},
	"all but heads gone": {0, func(tx store.Tx, k, v [][]byte) error {
		var errs []error
		for _, key := range k {
			errs = append(errs, tx.Delete(key))
		}
		return errors.Join(errs...)
	}},
}

func after(key []byte) []byte {
	key = bytes.Clone(key)
	binary.BigEndian.PutUint64(key[len(key)-8:], binary.BigEndian.Uint64(key[len(key)-8:])+1)
	return key
}

// TestVerifyFindsTampering: before retention took anything, and after.
func TestVerifyFindsTampering(t *testing.T) {
	for name, c := range tampering {
		for _, swept := range []int{0, 7} {
			k := newKit(t)
			start := k.now
			k.fill("n", 10+swept)
			k.sweep(start.Add(time.Duration(swept)*time.Second+time.Nanosecond), 100)
			if report := k.verify(""); report.Broken != 0 || report.First != uint64(1+swept) || report.Last != uint64(10+swept) || report.Count != 10 || len(report.Head) != 64 {
				t.Fatalf("whole chain: %+v", report)
			}
			k.update(func(tx store.Tx) error {
				keys, values, err := entries(tx)
				return errors.Join(err, c.tamper(tx, keys, values))
			})
			if report := k.verify(""); report.Broken != uint64(c.at+1+swept) || report.Problem == "" {
				t.Errorf("%s, %d swept: %+v, want %d", name, swept, report, c.at+1+swept)
			}
		}
	}
}

func entries(tx store.Tx) (keys, values [][]byte, err error) {
	err = tx.Scan(store.PrefixRange([]byte("audit\x00en\x00")), func(key, value []byte) error {
		keys, values = append(keys, bytes.Clone(key)), append(values, bytes.Clone(value))
		return nil
	})
	return keys, values, err
}

// TestKeptHead: who cuts entries off the end and writes a head that fits is found out by a head that was noted down; growing
// and retention do no harm to it.
func TestKeptHead(t *testing.T) {
	for _, swept := range []int{0, 7} {
		k := newKit(t)
		start := k.now
		k.fill("n", 10)
		var old []byte // the head mark of then
		k.update(func(tx store.Tx) (err error) { old, err = tx.Get([]byte("audit\x00hn")); return err })
		k.fill("n", 10)
		k.sweep(start.Add(time.Duration(swept)*time.Second+time.Nanosecond), 100)
		kept := k.verify("").Head
		if report := k.verify(kept); !report.Kept || report.Broken != 0 {
			t.Fatalf("the head itself: %+v", report)
		}
		k.fill("n", 3)
		if report := k.verify(kept); !report.Kept || report.Broken != 0 || report.Head == kept {
			t.Errorf("a chain that grew: %+v", report)
		}
		k.update(func(tx store.Tx) error {
			keys, _, err := entries(tx)
			for _, key := range keys[10-swept:] {
				err = errors.Join(err, tx.Delete(key))
			}
			return errors.Join(err, tx.Put([]byte("audit\x00hn"), old))
		})
		if report := k.verify(kept); report.Broken != 0 || report.Kept || report.Last != 10 {
			t.Errorf("cut off, %d swept: %+v", swept, report)
		}
	}
	k := newKit(t)
	k.fill("n", 10)
	kept := k.verify("").Head
	k.fill("n", 1)
	k.sweep(k.now, 100)
	if report := k.verify(kept); !report.Kept {
		t.Errorf("the last entry that retention took: %+v", report)
	}
	if report := k.verify(fmt.Sprintf("%064d", 0)); report.Kept {
		t.Errorf("no entry has the hash zero: %+v", report)
	}
}

// TestVerifyInBatches: what is wrong at the seam of two transactions is found too, and entries may come and go meanwhile.
func TestVerifyInBatches(t *testing.T) {
	if testing.Short() {
		t.Skip("40,000 entries")
	}
	k := newKit(t)
	start := k.now
	k.fill("n", 40_010)
	if report := k.verify(""); report.Broken != 0 || report.Count != 40_010 {
		t.Fatalf("%+v", report)
	}
	var foreign []byte
	k.update(func(tx store.Tx) error {
		keys, values, err := entries(tx)
		foreign = append(bytes.Clone(keys[19_999]), 7) // behind the last of the first batch
		return errors.Join(err, tx.Put(foreign, framed(foreign, values[0][4:])))
	})
	if report := k.verify(""); report.Broken != 20_001 {
		t.Errorf("an entry put in at the seam: %+v", report)
	}
	k.update(func(tx store.Tx) error { return tx.Delete(foreign) })
	busy := &meanwhile{Store: k.store, at: 2, do: func() {
		k.sweep(start.Add(30_000*time.Second), 40_000)
		k.fill("n", 5)
	}}
	reports, err := audit.Verify(context.Background(), busy, "")
	if err != nil || reports[0].Broken != 0 || reports[0].Last != 40_015 {
		t.Errorf("with retention and news meanwhile: %+v, %v", reports, err)
	}
}

// meanwhile does something before a certain View.
type meanwhile struct {
	store.Store
	at, seen int
	do       func()
}

func (m *meanwhile) View(ctx context.Context, fn func(store.Tx) error) error {
	if m.seen++; m.seen == m.at+1 {
		m.do()
	}
	return m.Store.View(ctx, fn)
}

// TestHeads are the ends, without reading between.
func TestHeads(t *testing.T) {
	k := newKit(t)
	start := k.now
	k.fill("n", 10)
	k.sweep(start.Add(4*time.Second+time.Nanosecond), 100)
	k.fill("m", 2)
	var heads []audit.Report
	k.update(func(tx store.Tx) (err error) { heads, err = audit.Heads(tx); return err })
	if len(heads) != 2 || heads[1].First != 5 || heads[1].Last != 10 || heads[1].Count != 6 || heads[0].Count != 2 {
		t.Errorf("%+v", heads)
	}
	if reports, err := audit.Verify(context.Background(), k.store, ""); err != nil || reports[0].Head != heads[0].Head || reports[1].Head != heads[1].Head {
		t.Errorf("%+v, %v", reports, err)
	}
}

// BenchmarkVerify is the time for one entry.
func BenchmarkVerify(b *testing.B) {
	s := benchStore(b)
	fillBench(b, s, b.N)
	b.ResetTimer()
	reports, err := audit.Verify(context.Background(), s, "")
	if err != nil || reports[0].Count != uint64(b.N) || reports[0].Broken != 0 {
		b.Fatalf("%+v, %v", reports, err)
	}
}

// BenchmarkRollUp is the time for one sign-on of 100,000 people at 50 apps.
func BenchmarkRollUp(b *testing.B) {
	s := benchStore(b)
	fillBench(b, s, b.N)
	timed := &timedStore{Store: s}
	b.ResetTimer()
	if n, err := audit.RollUp(context.Background(), timed); err != nil || n != b.N {
		b.Fatal(n, err)
	}
	b.ReportMetric(float64(timed.longest.Microseconds())/1000, "ms/longest-write")
}

// timedStore notes how long a function held the writer.
type timedStore struct {
	store.Store
	longest time.Duration
}

func (s *timedStore) Update(ctx context.Context, fn func(store.Tx) error, reads ...[]byte) error {
	return s.Store.Update(ctx, func(tx store.Tx) error {
		start := time.Now()
		defer func() { s.longest = max(s.longest, time.Since(start)) }()
		return fn(tx)
	}, reads...)
}

// BenchmarkUsageOf is one look at an app with 100,000 people.
func BenchmarkUsageOf(b *testing.B) {
	s := benchStore(b)
	fillBench(b, s, 100_000, 1)
	if _, err := audit.RollUp(context.Background(), s); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		err := s.View(context.Background(), func(tx store.Tx) error {
			usage, err := audit.UsageOf(tx, "app_0", benchStart.AddDate(0, 0, 80))
			if err == nil && usage.People90 != 100_000 {
				err = fmt.Errorf("%d people", usage.People90)
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

var benchStart = time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)

func benchStore(b *testing.B) store.Store {
	s, err := bolt.Open(filepath.Join(b.TempDir(), "db"), bolt.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s
}

// fillBench appends sign-ons over 80 days: of different people, at 50 apps unless told otherwise.
func fillBench(b *testing.B, s store.Store, n int, apps ...int) {
	b.Helper()
	now, spread := benchStart, append(apps, 50)[0]
	log := &audit.Log{Node: "n", Now: func() time.Time { return now }}
	for from := 0; from < n; from += 5000 {
		err := s.Update(context.Background(), func(tx store.Tx) error {
			for i := from; i < min(from+5000, n); i++ {
				now = benchStart.Add(time.Duration(float64(i) / float64(n) * float64(80*24*time.Hour)))
				user := fmt.Sprintf("usr_%026d", i%100_000)
				event := audit.Event{
					Kind: "signon", Outcome: audit.OK, Actor: user, User: user, App: fmt.Sprint("app_", i%spread), Address: "192.0.2.1",
					Facts: map[string]string{"protocol": "saml", "request": "_0123456789abcdef", "session": "ses_x", "start": "SP"},
				}
				if _, err := log.Append(tx, event); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
