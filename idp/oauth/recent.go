package oauth

import "sync"

// maxRecent bounds each half of what is known of clients by id; more clients cost a look into the store now and then.
const maxRecent = 20_000

// recent is what was kept or asked for lately, at most two halves of maxRecent: when the newer one is full, the older one goes. So nothing
// of clients that are gone stays for ever. The zero value is ready; do not copy.
type recent[T any] struct {
	mu           sync.Mutex
	newer, older map[string]T
}

func (k *recent[T]) get(id string) (what T, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if what, ok = k.newer[id]; ok {
		return what, true
	}
	if what, ok = k.older[id]; ok {
		k.keep(id, what)
	}
	return what, ok
}

func (k *recent[T]) put(id string, what T) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keep(id, what)
}

func (k *recent[T]) keep(id string, what T) {
	if _, there := k.newer[id]; !there && len(k.newer) >= maxRecent {
		k.newer, k.older = nil, k.newer
	}
	if k.newer == nil {
		k.newer = map[string]T{}
	}
	k.newer[id] = what
}

func (k *recent[T]) forget(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.newer, id)
	delete(k.older, id)
}
