package oauth

import (
	"hash/maphash"
	"strconv"
	"sync"
	"time"

	"gatehouse/sp"
)

// throttle counts what strangers do in a minute that costs something: wrong secrets, of which each is an audit entry, registrations,
// fetches. The zero value is ready; do not copy.
type throttle struct {
	mu      sync.Mutex
	minute  time.Time
	counted map[string]int
	seed    maphash.Seed // of this minute
}

// Bounds of counting: wrong secrets of one client from one network, how many keys are counted by themselves in a minute, and by how many
// counters those that come after them are counted together: a flood slows down whoever is new in it, never nobody.
const (
	wrongPerMinute = 20
	maxCounted     = 10_000
	shared         = 1_000
)

// full tells whether there were too many wrong secrets in this minute.
func (t *throttle) full(key string, now time.Time) bool { return t.over(key, now, wrongPerMinute) }

// over tells whether at least so many were counted in this minute.
func (t *throttle) over(key string, now time.Time, limit int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return now.Truncate(time.Minute).Equal(t.minute) && t.counted[t.counter(key)] >= limit
}

// count counts one more.
func (t *throttle) count(key string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if minute := now.Truncate(time.Minute); !minute.Equal(t.minute) {
		t.minute, t.counted, t.seed = minute, map[string]int{}, maphash.MakeSeed()
	}
	t.counted[t.counter(key)]++
}

// What clients that anybody can say they are may leave to wait in a minute, in all: devices, and pushed requests. Single networks are
// bounded by what waits of them.
const (
	devicesPerMinute = 1_000
	pushedPerMinute  = 3_000
)

// left does what leaves something to wait for a client, unless too much was left in this minute; only what was left counts.
func (h *Handlers) left(client *sp.OAuth, what string, limit int, do func() (*Problem, error)) (*Problem, error) {
	if client.Public() && h.newcomers.over(what, h.Now(), limit) {
		return tryLater("too_many_"+what, "Too many requests wait just now. Try again in a minute.", time.Minute), nil
	}
	problem, err := do()
	if client.Public() && problem == nil && err == nil {
		h.newcomers.count(what, h.Now())
	}
	return problem, err
}

// counter is the key under which something is counted in this minute.
func (t *throttle) counter(key string) string {
	if t.counted[key] > 0 || len(t.counted) < maxCounted {
		return key
	}
	return "shared " + strconv.FormatUint(maphash.String(t.seed, key)%shared, 10)
}
