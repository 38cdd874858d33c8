package oauth

import (
	"sync"
	"time"
)

// throttle slows down whoever shows wrong secrets: guessing 256 bits is hopeless, but each try costs an audit entry. The zero
// value is ready; do not copy.
type throttle struct {
	mu     sync.Mutex
	minute time.Time
	wrong  map[string]int
}

// Bounds of wrong secrets: for one client from one network, and how many such pairs are counted, in a minute.
const (
	wrongPerMinute = 20
	maxCounted     = 10_000
)

// full tells whether there were too many wrong secrets in this minute.
func (t *throttle) full(key string, now time.Time) bool { return t.over(key, wrongPerMinute, now) }

// over is full with a bound of its own.
func (t *throttle) over(key string, limit int, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return now.Truncate(time.Minute).Equal(t.minute) && t.wrong[key] >= limit
}

// count counts a wrong secret.
func (t *throttle) count(key string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if minute := now.Truncate(time.Minute); !minute.Equal(t.minute) {
		t.minute, t.wrong = minute, map[string]int{}
	}
	if len(t.wrong) < maxCounted || t.wrong[key] > 0 {
		t.wrong[key]++
	}
}
