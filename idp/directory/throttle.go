package directory

import (
	"net/netip"
	"time"
)

// Back-off of an account after too many failures in a row: it doubles with each further one, and is forgotten after a day.
const (
	firstWait  = 15 * time.Second
	longestOne = 15 * time.Minute
	forgetting = 24 * time.Hour

	maxTallies = 50_000 // per throttle; beyond it an arbitrary one makes room
)

// tally counts failures: in a row for an account, in one minute for a network.
type tally struct {
	failures int
	last     time.Time
}

// throttle keeps tallies in memory, under its owner's lock. An attempt is counted as a failure before its password is checked,
// so that many at once do not slip through, and is taken back when it succeeds.
type throttle struct{ tallies map[string]tally }

func (t *throttle) put(key string, value tally) {
	if t.tallies == nil {
		t.tallies = map[string]tally{}
	}
	if _, ok := t.tallies[key]; !ok && len(t.tallies) >= maxTallies {
		for other := range t.tallies {
			delete(t.tallies, other)
			break
		}
	}
	t.tallies[key] = value
}

// tryAccount counts an attempt at an account, or says how long to wait. Stored is what the store knows of it, from before a
// restart or from other nodes.
func (t *throttle) tryAccount(key string, stored tally, limit int, now time.Time) time.Duration {
	known := t.tallies[key]
	if stored.failures > known.failures {
		known = stored
	}
	if known.last.After(now) { // the clock was set back: wait no longer than was meant
		known.last = now
		t.put(key, known)
	}
	if now.Sub(known.last) >= forgetting {
		known = tally{}
	}
	if left := backOff(known.failures, limit) - now.Sub(known.last); left > 0 && known.failures > 0 {
		return left
	}
	t.put(key, tally{known.failures + 1, now})
	return 0
}

// backOff is how long an account waits after so many failures in a row.
func backOff(failures, limit int) time.Duration {
	if failures < limit {
		return 0
	}
	return min(firstWait<<min(failures-limit, 10), longestOne)
}

// tryNetwork counts an attempt from a network, or says how long to wait: until the minute is over.
func (t *throttle) tryNetwork(key string, limit int, now time.Time) time.Duration {
	minute := now.Truncate(time.Minute)
	known := t.tallies[key]
	if !known.last.Equal(minute) {
		known = tally{last: minute}
	}
	if known.failures >= limit {
		return minute.Add(time.Minute).Sub(now)
	}
	known.failures++
	t.put(key, known)
	return 0
}

// takeBack uncounts an attempt that was no failure.
func (t *throttle) takeBack(key string) {
	if known, ok := t.tallies[key]; ok && known.failures > 0 {
		known.failures--
		t.tallies[key] = known
	}
}

func (t *throttle) forget(key string) { delete(t.tallies, key) }

// network is what counts as one address: an IPv4 address, or the /64 that one IPv6 subscriber has.
func network(address netip.Addr) string {
	address = address.Unmap().WithZone("")
	if !address.Is6() {
		return address.String()
	}
	prefix, err := address.Prefix(64)
	if err != nil {
		return address.String()
	}
	return prefix.String()
}

// What may ask for mail, and get it.
const (
	recoveriesPerNetwork = 20  // a minute
	recoveriesInAll      = 600 // a minute
	quickLetters         = 2   // to one person, before pauses begin
)

// TryRecovery counts a wish for mail from a network, or says how long to wait. It is the same whoever is meant.
func (d *Directory) TryRecovery(address netip.Addr) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	if wait := d.recoveries.tryNetwork(network(address), recoveriesPerNetwork, now); wait > 0 {
		return wait
	}
	return d.recoveries.tryNetwork("all", recoveriesInAll, now)
}

// MayWrite counts a mail to a person that a stranger may have asked for, and tells whether it may be sent: pauses grow to
// longestOne, which is less than a link lives, so that a usable one is in the mailbox at any time.
func (d *Directory) MayWrite(user string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.letters.tryAccount(user, tally{}, quickLetters, d.now()) == 0
}
