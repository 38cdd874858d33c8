package bolt

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"

	"go.etcd.io/bbolt"

	"gatehouse/store"
)

// Check reads the whole file as it is at one moment: every page is reachable once or free, keys are in order, and stored
// values match their checksums as far as store.CheckValue knows them. It takes no lock that a reader or writer waits
// for, and reads the file rather than the memory map, so that no damage can end the process. Damage is store.ErrCorrupt.
func (s *Store) Check(ctx context.Context) error {
	file, err := os.Open(s.path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	// The snapshot of an open transaction keeps its pages from being written again; its meta page may be by the third
	// commit after it.
	for range 100 {
		b, err := s.db.Begin(false)
		if err != nil {
			return s.beginError(err)
		}
		err = checkSnapshot(ctx, file, b)
		if err := b.Rollback(); err != nil {
			return err
		}
		if err != errPassed {
			return s.checkError(err)
		}
	}
	return fmt.Errorf("check %s: %w", s.path, store.ErrBusy)
}

func (s *Store) checkError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("check %s: %w", s.path, err)
}

var errPassed = fmt.Errorf("the snapshot's first page was written again: %w", store.ErrBusy)

func checkSnapshot(ctx context.Context, file *os.File, b *bbolt.Tx) error {
	metas, err := readMetas(file)
	if err != nil {
		return err
	}
	for _, m := range metas {
		if m.txid == uint64(b.ID()) {
			info, err := file.Stat()
			if err != nil {
				return err
			}
			if err := m.fits(info.Size()); err != nil {
				return err
			}
			c := &checker{ctx: ctx, file: file, meta: m, seen: make([]bool, m.pages)}
			return c.all()
		}
	}
	if len(metas) == 0 {
		return damage("neither of its two first pages is whole")
	}
	return errPassed
}

// maxDepth bounds the tree: with two keys a page, more than any file can hold.
const maxDepth = 64

// checker walks the pages of one snapshot.
type checker struct {
	ctx  context.Context
	file io.ReaderAt
	meta meta
	seen []bool
}

func (c *checker) all() error {
	c.seen[0], c.seen[1] = true, true
	if err := c.tree(c.meta.root, true); err != nil {
		return err
	}
	if c.meta.freelist == noFreelist {
		return nil
	}
	if err := c.free(); err != nil {
		return err
	}
	for id, seen := range c.seen {
		if !seen {
			return damage("page %d is neither used nor free", id)
		}
	}
	return nil
}

// tree checks a bucket from its root page; the bucket of buckets holds only buckets.
func (c *checker) tree(root uint64, ofBuckets bool) error {
	w := &walk{checker: c, ofBuckets: ofBuckets}
	return w.page(root, nil, 0)
}

// load reads a page with the pages that continue it and marks them as seen.
func (c *checker) load(id uint64) (page, error) {
	if err := c.ctx.Err(); err != nil {
		return nil, err
	}
	if id < 2 || id >= c.meta.pages {
		return nil, damage("a page points to page %d, the file has %d", id, c.meta.pages)
	}
	header := make([]byte, headerBytes)
	if _, err := c.file.ReadAt(header, int64(id)*c.meta.pageSize); err != nil {
		return nil, fmt.Errorf("page %d: %w", id, err)
	}
	p := page(header)
	if p.id() != id || p.overflow() >= c.meta.pages-id {
		return nil, damage("page %d is not itself", id)
	}
	for at := id; at <= id+p.overflow(); at++ {
		if c.seen[at] {
			return nil, damage("page %d is used twice", at)
		}
		c.seen[at] = true
	}
	p = make(page, (p.overflow()+1)*uint64(c.meta.pageSize))
	if _, err := c.file.ReadAt(p, int64(id)*c.meta.pageSize); err != nil {
		return nil, fmt.Errorf("page %d: %w", id, err)
	}
	return p, nil
}

// free marks the pages of the free list.
func (c *checker) free() error {
	p, err := c.load(c.meta.freelist)
	if err != nil {
		return err
	}
	if p.flags() != freelistPage {
		return damage("page %d is not the list of free pages", c.meta.freelist)
	}
	count, ids := uint64(p.count()), p[headerBytes:]
	if count == 0xFFFF { // more than fit: the first number tells how many
		count, ids = order.Uint64(ids), ids[8:]
	}
	if count > uint64(len(ids)/8) {
		return damage("the list of free pages is longer than its page")
	}
	for i := range count {
		id := order.Uint64(ids[i*8:])
		if id >= c.meta.pages || c.seen[id] {
			return damage("page %d is listed as free, but it is used, listed twice or outside the file", id)
		}
		c.seen[id] = true
	}
	return nil
}

// walk goes through one bucket's tree in key order.
type walk struct {
	*checker
	ofBuckets bool
	last      []byte // the key before
}

func (w *walk) page(id uint64, from []byte, depth int) error {
	if depth > maxDepth {
		return damage("page %d is deeper than any tree", id)
	}
	p, err := w.load(id)
	if err != nil {
		return err
	}
	if flags := p.flags(); flags != branchPage && flags != leafPage {
		return damage("page %d is not part of a tree", id)
	}
	for i := range p.count() {
		e, err := p.element(i)
		if err != nil {
			return err
		}
		if i == 0 && bytes.Compare(e.key, from) < 0 {
			return damage("page %d begins before its place", id)
		}
		if p.flags() == branchPage {
			err = w.page(e.child, e.key, depth+1)
		} else {
			err = w.leaf(e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) leaf(e element) error {
	if len(e.key) == 0 || (w.last != nil && bytes.Compare(w.last, e.key) >= 0) {
		return damage("key %q is out of order", e.key)
	}
	w.last = e.key
	if w.ofBuckets != (e.flags == bucketFlag) {
		return damage("key %q is of the wrong kind", e.key)
	}
	if !w.ofBuckets {
		return store.CheckValue(e.key, e.value)
	}
	if len(e.value) < 16 {
		return damage("bucket %q is cut short", e.key)
	}
	root := order.Uint64(e.value)
	if root == 0 { // held in the bucket of buckets itself, while it is small
		return w.inline(e.value[16:])
	}
	return w.tree(root, false)
}

func (w *walk) inline(p page) error {
	if len(p) < headerBytes {
		return damage("a bucket is cut short")
	}
	inner := &walk{checker: w.checker}
	for i := range p.count() {
		e, err := p.element(i)
		if err == nil {
			err = inner.leaf(e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// page is one page of the file, with those that continue it.
type page []byte

func (p page) id() uint64       { return order.Uint64(p) }
func (p page) flags() uint16    { return order.Uint16(p[8:]) }
func (p page) count() int       { return int(order.Uint16(p[10:])) }
func (p page) overflow() uint64 { return uint64(order.Uint32(p[12:])) }

// element is one entry of a branch, with child, or of a leaf, with flags and value.
type element struct {
	key, value []byte
	child      uint64
	flags      uint32
}

func (p page) element(i int) (element, error) {
	at := uint64(headerBytes + i*elementBytes)
	if at+elementBytes > uint64(len(p)) {
		return element{}, damage("page %d has more entries than room", p.id())
	}
	head := p[at:]
	var e element
	var start, keyLength, valueLength uint64
	if p.flags() == branchPage {
		start, keyLength, e.child = uint64(order.Uint32(head)), uint64(order.Uint32(head[4:])), order.Uint64(head[8:])
	} else {
		e.flags = order.Uint32(head)
		start, keyLength, valueLength = uint64(order.Uint32(head[4:])), uint64(order.Uint32(head[8:])), uint64(order.Uint32(head[12:]))
	}
	start += at
	if start+keyLength+valueLength > uint64(len(p)) {
		return element{}, damage("page %d has an entry that does not end in it", p.id())
	}
	e.key = p[start : start+keyLength]
	e.value = p[start+keyLength : start+keyLength+valueLength]
	return e, nil
}
