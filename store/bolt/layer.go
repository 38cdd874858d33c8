package bolt

import (
	"bytes"
	"slices"
	"sort"

	"gatehouse/store"
)

// write is one pending change; a nil value deletes.
type write struct{ key, value []byte }

// layer holds pending writes in key order: a sorted slice, cut into runs so that an import of many thousand stays quick.
type layer struct {
	runs [][]write // none is empty, except that the first may be
}

const maxRun = 128

func (l *layer) empty() bool { return len(l.runs) == 0 || len(l.runs[0]) == 0 }

// reset empties the layer and keeps its first run's memory.
func (l *layer) reset() {
	if len(l.runs) == 0 {
		return
	}
	clear(l.runs[0])
	clear(l.runs[1:])
	l.runs[0] = l.runs[0][:0]
	l.runs = l.runs[:1]
}

// find returns the place of a key, or where it belongs. There must be a run.
func (l *layer) find(key []byte) (run, at int, found bool) {
	if len(l.runs) > 1 {
		run = max(sort.Search(len(l.runs), func(i int) bool { return bytes.Compare(l.runs[i][0].key, key) > 0 })-1, 0)
	}
	at, found = slices.BinarySearchFunc(l.runs[run], key, func(w write, key []byte) int { return bytes.Compare(w.key, key) })
	return run, at, found
}

// get returns the write of a key, nil when there is none.
func (l *layer) get(key []byte) *write {
	if l.empty() {
		return nil
	}
	if run, at, found := l.find(key); found {
		return &l.runs[run][at]
	}
	return nil
}

func (l *layer) put(w write) {
	if len(l.runs) == 0 {
		l.runs = append(l.runs, make([]write, 0, 8))
	}
	run, at, found := l.find(w.key)
	if found {
		l.runs[run][at] = w
		return
	}
	full := slices.Insert(l.runs[run], at, w)
	l.runs[run] = full
	if len(full) > maxRun {
		half := len(full) / 2
		l.runs[run] = full[:half:half]
		l.runs = slices.Insert(l.runs, run+1, slices.Clone(full[half:]))
	}
}

// cover takes over every change of the other layer.
func (l *layer) cover(other *layer) {
	for _, run := range other.runs {
		for _, w := range run {
			l.put(w)
		}
	}
}

// within returns a copy of the writes in a range, in key order.
func (l *layer) within(r store.Range) []write {
	if l.empty() {
		return nil
	}
	var all []write
	run, at, _ := l.find(r.From)
	for ; run < len(l.runs); run, at = run+1, 0 {
		for _, w := range l.runs[run][at:] {
			if !inRange(r, w.key) {
				return all
			}
			all = append(all, w)
		}
	}
	return all
}

// merge lays upper over lower; both are in key order.
func merge(upper, lower []write) []write {
	if len(upper) == 0 {
		return lower
	}
	all := make([]write, 0, len(upper)+len(lower))
	for _, w := range upper {
		for len(lower) > 0 && bytes.Compare(lower[0].key, w.key) < 0 {
			all, lower = append(all, lower[0]), lower[1:]
		}
		if len(lower) > 0 && bytes.Equal(lower[0].key, w.key) {
			lower = lower[1:]
		}
		all = append(all, w)
	}
	return append(all, lower...)
}
