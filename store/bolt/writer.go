package bolt

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"gatehouse/store"
)

const (
	// maxBatch bounds the functions in one commit, and so how long the first of them waits for the last.
	maxBatch = 128
	// gather is how long a commit waits for others to join it, where the one before had several: a commit costs the same
	// for one as for ten.
	gather = time.Millisecond
	// fill is how full a page is left that is cut in two. Audit entries, a fifth of a page each and always added at the end, would
	// leave pages half empty at bbolt's 0.5; keys that come at random would cut pages more often at 0.9.
	fill = 0.7
)

// writer groups commits. The caller that finds nobody writing leads: it runs the functions that wait, its own first,
// commits them together, and hands the lead to the first that came meanwhile. So an update that is alone waits for
// nobody and changes no goroutine, and while one fsync runs the next batch gathers.
type writer struct {
	store *Store

	mu      sync.Mutex
	queue   []*request
	last    int        // functions in the last batch
	leading bool       // somebody leads, or was told to
	idle    *sync.Cond // nobody leads
	closed  bool
	failed  error // the disk failed; no update can be trusted any more

	merged layer // the leader's: what the functions of the batch wrote
}

// request is one call of Update.
type request struct {
	ctx      context.Context
	fn       func(store.Tx) error
	leads    bool          // told to lead; guarded by writer.mu
	wake     chan struct{} // done, or told to lead
	err      error
	panicked bool // err is to be raised again
}

var errNotReturned = errors.New("a transaction function ended its goroutine")

func (w *writer) start(s *Store) {
	w.store = s
	w.idle = sync.NewCond(&w.mu)
}

// close waits for every update that was accepted; it reports false when the writer was closed before.
func (w *writer) close() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := !w.closed
	w.closed = true
	for w.leading {
		w.idle.Wait()
	}
	return first
}

func (w *writer) update(ctx context.Context, fn func(store.Tx) error) error {
	r := &request{ctx: ctx, fn: fn}
	leads, err := w.enter(r)
	if err != nil {
		return err
	}
	if leads || w.wait(r) {
		w.lead(r)
	}
	if r.panicked {
		panic(r.err)
	}
	return r.err
}

// enter queues the request and tells whether its caller must lead.
func (w *writer) enter(r *request) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false, store.ErrClosed
	}
	if w.failed != nil {
		return false, w.failed
	}
	w.queue = append(w.queue, r)
	if w.leading {
		r.wake = make(chan struct{}, 1)
		return false, nil
	}
	w.leading = true
	return true, nil
}

// wait returns when the request is done or given up, false, or when its caller must lead, true.
func (w *writer) wait(r *request) bool {
	select {
	case <-r.wake:
		return r.leads
	case <-r.ctx.Done():
	}
	if w.leave(r) {
		r.err = r.ctx.Err()
		return false
	}
	<-r.wake
	return r.leads
}

// leave takes a request out of the queue, unless its turn has come.
func (w *writer) leave(r *request) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := slices.Index(w.queue, r)
	if at < 0 || r.leads {
		return false
	}
	w.queue = slices.Delete(w.queue, at, at+1)
	return true
}

func (w *writer) lead(r *request) {
	w.gather()
	batch := w.take()
	defer w.finish(r, batch)
	w.run(batch)
}

// gather lets others come first: who is alone waits for nobody, else those who are ready to run, and where the last batch had
// several, those who come within a moment.
func (w *writer) gather() {
	w.mu.Lock()
	busy := w.last > 1 && len(w.queue) < maxBatch/2
	w.mu.Unlock()
	if busy {
		time.Sleep(gather)
		return
	}
	runtime.Gosched()
}

func (w *writer) take() []*request {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(w.queue), maxBatch)
	w.last = n
	batch := slices.Clone(w.queue[:n])
	w.queue = slices.Delete(w.queue, 0, n)
	return batch
}

// finish hands on the lead and wakes the others of the batch.
func (w *writer) finish(leader *request, batch []*request) {
	w.mu.Lock()
	var next *request
	if len(w.queue) > 0 {
		next = w.queue[0]
		next.leads = true
	} else {
		w.leading = false
		w.idle.Broadcast()
	}
	w.mu.Unlock()
	if next != nil {
		next.wake <- struct{}{}
	}
	for _, r := range batch {
		if r != leader {
			r.wake <- struct{}{}
		}
	}
}

// run runs and commits a batch. What goes wrong with the commit goes to everyone in it: even an error that a function
// returned may rest on what a function before it wrote.
func (w *writer) run(batch []*request) {
	err := errNotReturned
	defer func() {
		for _, r := range batch {
			if err != nil && !r.panicked {
				r.err = err
			}
		}
	}()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	err = w.transact(batch)
}

func (w *writer) transact(batch []*request) error {
	if w.failed != nil { // only a leader sets it
		return w.failed
	}
	b, err := w.store.db.Begin(true)
	if err != nil {
		return w.store.beginError(err)
	}
	defer func() { _ = b.Rollback() }()
	inFile, err := openBucket(b)
	if err != nil {
		return err
	}
	w.merged.reset()
	for _, r := range batch {
		w.call(r, inFile)
	}
	if w.merged.empty() {
		return nil
	}
	return w.commitError(commit(b, inFile, &w.merged))
}

// call runs one function and keeps what it wrote if it returns nil.
func (w *writer) call(r *request, inFile *bbolt.Bucket) {
	if r.err = r.ctx.Err(); r.err != nil {
		return
	}
	t := &tx{ctx: r.ctx, bucket: inFile, own: &layer{}, batch: &w.merged}
	defer func() {
		t.end()
		if cause := recover(); cause != nil {
			r.panicked = true
			r.err = panicError(cause)
		}
	}()
	if r.err = r.fn(t); r.err == nil {
		w.merged.cover(t.own)
	}
}

func panicError(cause any) error {
	if err, ok := cause.(error); ok {
		return fmt.Errorf("panic in a transaction: %w\n\n%s", err, debug.Stack())
	}
	return fmt.Errorf("panic in a transaction: %v\n\n%s", cause, debug.Stack())
}

func commit(b *bbolt.Tx, inFile *bbolt.Bucket, writes *layer) (err error) {
	defer recoverDamage(&err)
	inFile.FillPercent = fill
	for _, run := range writes.runs {
		for _, w := range run {
			if w.value == nil {
				err = inFile.Delete(w.key)
			} else {
				err = inFile.Put(w.key, w.value)
			}
			if err != nil {
				return err
			}
		}
	}
	return b.Commit()
}

// commitError tells a full disk, after which the store goes on, from one that failed: then nobody knows what it keeps of
// the writes before, and no update is taken until the file was opened anew.
func (w *writer) commitError(err error) error {
	switch {
	case err == nil, errors.Is(err, store.ErrCorrupt):
		return err
	case errors.Is(err, berrors.ErrMaxSizeReached), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return fmt.Errorf("%s cannot grow; free some disk space: %w: %w", w.store.path, store.ErrBusy, err)
	}
	err = fmt.Errorf("%s: the disk failed, restart Gatehouse: %w", w.store.path, err)
	w.mu.Lock()
	w.failed = err
	w.mu.Unlock()
	return err
}
