package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"

	"gatehouse/store"
)

// The file as bbolt lays it out, version 2, in the byte order of the machines it runs on. Every page begins with a header:
// 8 bytes id, 2 flags, 2 count, 4 number of pages that continue it. The first two pages hold a meta each, written in turn;
// the one with the higher transaction number that matches its checksum is the state of the store.
const (
	headerBytes  = 16
	elementBytes = 16 // of a branch and of a leaf
	metaBytes    = 64 // with the checksum
	minPage      = 1 << 10
	maxPage      = 1 << 24

	magic   = 0xED0CDAED
	version = 2

	branchPage   = 0x01
	leafPage     = 0x02
	freelistPage = 0x10
	bucketFlag   = 0x01 // of a leaf element

	noFreelist = ^uint64(0)
)

var order = binary.NativeEndian

// meta is what one of the first two pages says.
type meta struct {
	pageSize int64
	root     uint64 // page of the bucket of buckets
	freelist uint64
	pages    uint64 // all pages have a lower number
	txid     uint64
}

// parseMeta reads the meta of a page; false when it is not one.
func parseMeta(page []byte) (meta, bool) {
	if len(page) < headerBytes+metaBytes {
		return meta{}, false
	}
	b := page[headerBytes:]
	sum := fnv.New64a()
	_, _ = sum.Write(b[:metaBytes-8])
	m := meta{
		pageSize: int64(order.Uint32(b[8:])), root: order.Uint64(b[16:]), freelist: order.Uint64(b[32:]),
		pages: order.Uint64(b[40:]), txid: order.Uint64(b[48:]),
	}
	return m, order.Uint32(b) == magic && order.Uint32(b[4:]) == version && sum.Sum64() == order.Uint64(b[56:]) &&
		m.pageSize >= minPage && m.pageSize <= maxPage
}

// readMetas returns the metas of a file that are whole. If the first is not, the second stands at one of the page sizes.
func readMetas(file io.ReaderAt) ([]meta, error) {
	var metas []meta
	page := make([]byte, headerBytes+metaBytes)
	read := func(offset int64) (bool, error) {
		n, err := file.ReadAt(page, offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		m, ok := parseMeta(page[:n])
		if ok {
			metas = append(metas, m)
		}
		return ok, nil
	}
	first, err := read(0)
	if err != nil {
		return nil, err
	}
	if first {
		_, err = read(metas[0].pageSize)
		return metas, err
	}
	for size := int64(minPage); size <= maxPage; size *= 2 {
		if ok, err := read(size); ok || err != nil {
			return metas, err
		}
	}
	return metas, nil
}

// inspect looks whether bbolt can map the file: it must be as long as its meta says, or reading it kills the process.
// Another process may be writing to it: one meta is whole at any time, and the file grows before its meta says so.
func inspect(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("not a file")
	}
	metas, err := readMetas(file)
	if err != nil {
		return err
	}
	if len(metas) == 0 {
		return damage("neither of its two first pages is whole")
	}
	if info, err = file.Stat(); err != nil {
		return err
	}
	return newest(metas).fits(info.Size())
}

func newest(metas []meta) meta {
	if len(metas) == 2 && metas[1].txid > metas[0].txid {
		return metas[1]
	}
	return metas[0]
}

func (m meta) fits(size int64) error {
	if m.pages > uint64(size/m.pageSize) {
		return damage("the file was cut short: it has %d bytes, its first page promises %d pages of %d", size, m.pages, m.pageSize)
	}
	if m.root < 2 || m.root >= m.pages || (m.freelist != noFreelist && (m.freelist < 2 || m.freelist >= m.pages)) {
		return damage("its first page points outside the file")
	}
	return nil
}

func damage(format string, values ...any) error {
	return fmt.Errorf("%w: %s", store.ErrCorrupt, fmt.Sprintf(format, values...))
}
