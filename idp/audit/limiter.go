package audit

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"gatehouse/store"
)

// What refusals before sign-in may write in a minute (design, step 12).
const (
	singlePerAddress = 60
	singleInAll      = 600
	floodPerAddress  = 600
	maxNetworks      = 10_000 // that are counted; further ones are not
	maxAppFolds      = 100    // kinds of refusal that name their app; further ones are counted without
	maxFolds         = 1000   // kinds of refusal that are counted apart; further ones share one entry
)

// Limiter bounds what strangers can make the log write: refusals before sign-in are entries of their own up to a number per
// minute, and are then counted into one entry per minute and reason. Safe for concurrent use; do not copy.
type Limiter struct {
	Now func() time.Time

	mu        sync.Mutex
	minute    time.Time
	inAll     int
	byAddress map[string]int // by network or user
	refused   map[string]int // by network, all of them
	folds     map[fold]int
}

// fold is what the refusals of one counted entry have in common: and the app and the person they were about, if any.
type fold struct {
	minute             time.Time
	kind, reason, more string
	app, user          string
}

// turn begins a new minute. The lock is held.
func (l *Limiter) turn() {
	if minute := l.Now().UTC().Truncate(time.Minute); !minute.Equal(l.minute) {
		l.minute, l.inAll, l.byAddress, l.refused = minute, 0, map[string]int{}, map[string]int{}
	}
}

// Flood tells whether so much from a network was refused in this minute that nothing more of it is looked at, and for how long.
func (l *Limiter) Flood(address string) (time.Duration, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn()
	return l.minute.Add(time.Minute).Sub(l.Now()), l.refused[Network(address)] >= floodPerAddress
}

// Single counts a refusal and tells whether it may have an entry of its own; otherwise it is part of a counted one. What
// concerns a person is counted by that person, so that the noise of strangers never hides it.
func (l *Limiter) Single(event Event) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn()
	from, strange := "user "+event.User, event.User == ""
	if strange {
		from = Network(event.Address)
	}
	if _, known := l.refused[from]; strange && (known || len(l.refused) < maxNetworks) {
		l.refused[from]++
	}
	if l.byAddress[from] < singlePerAddress && (!strange || l.inAll < singleInAll) {
		l.byAddress[from]++
		if strange {
			l.inAll++
		}
		return true
	}
	l.count(fold{minute: l.minute, kind: event.Kind, reason: event.Reason, app: event.App, user: event.User}, 1)
	return false
}

func (l *Limiter) count(f fold, n int) {
	if l.folds == nil {
		l.folds = map[fold]int{}
	}
	if _, known := l.folds[f]; !known && len(l.folds) >= maxAppFolds {
		f.app = ""
	}
	if _, known := l.folds[f]; !known && len(l.folds) >= maxFolds {
		f.kind, f.reason, f.more, f.user = "signon", "", "of several reasons", ""
	}
	l.folds[f] += n
}

// Flush appends the counted entries of the minutes that are over, or of all at the end. Call it about once a minute and when
// the server stops; after an error nothing is lost and the next call tries again.
func (l *Limiter) Flush(ctx context.Context, s store.Store, log *Log, all bool) error {
	folds := l.take(all)
	if len(folds) == 0 {
		return nil
	}
	err := s.Update(ctx, func(tx store.Tx) error {
		for f, n := range folds {
			if _, err := log.Append(tx, f.event(n)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		for f, n := range folds {
			l.count(f, n)
		}
	}
	return err
}

func (l *Limiter) take(all bool) map[fold]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	current := l.Now().UTC().Truncate(time.Minute)
	taken := map[fold]int{}
	for f, n := range l.folds {
		if all || !f.minute.Equal(current) {
			taken[f] = n
			delete(l.folds, f)
		}
	}
	return taken
}

func (f fold) event(n int) Event {
	return Event{
		Kind: f.kind, Outcome: Refused, Reason: f.reason, Actor: "system", App: f.app, User: f.user, Count: n, Detail: f.more,
		Facts: map[string]string{"minute": f.minute.Format(time.RFC3339)},
	}
}

// Network is what counts as one address: an IPv4 address, or the /64 that one IPv6 subscriber has.
func Network(address string) string {
	parsed, err := netip.ParseAddr(address)
	if err != nil || parsed.Unmap().Is4() {
		return address
	}
	prefix, err := parsed.WithZone("").Prefix(64)
	if err != nil {
		return address
	}
	return prefix.String()
}
