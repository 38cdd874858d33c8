package audit

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"gatehouse/store"
)

// rollUpBatch bounds the entries that one transaction counts, and so how long sign-ons may wait for it.
const rollUpBatch = 500

// RollUp counts the entries of all nodes' chains that are not counted yet, and returns how many it read. Entries are read and
// added up in a View; the Update that follows only writes the sums, and the position with them, if no other node has counted
// the same entries meanwhile: each entry counts exactly once, whatever is stopped when.
func RollUp(ctx context.Context, s store.Store) (int, error) {
	var nodes []string
	err := s.View(ctx, func(tx store.Tx) (err error) {
		nodes, err = Nodes(tx)
		return err
	})
	if err != nil {
		return 0, err
	}
	total := 0
	for _, node := range nodes {
		for n := rollUpBatch; n == rollUpBatch; total += n {
			if n, err = rollUpPart(ctx, s, node, rollUpBatch); err != nil {
				return total, err
			}
		}
	}
	return total, nil
}

// rollUpPart counts up to limit entries of one chain.
func rollUpPart(ctx context.Context, s store.Store, node string, limit int) (int, error) {
	var part *tally
	err := s.View(ctx, func(tx store.Tx) (err error) {
		part, err = read(tx, node, limit)
		return err
	})
	if err != nil || part.read == 0 {
		return 0, err
	}
	return part.read, s.Update(ctx, func(tx store.Tx) error { return part.write(tx, node) })
}

// tally is the sum of some entries of one chain, from one number to another.
type tally struct {
	from, to uint64
	read     int
	apps     map[string]time.Time    // app → last use
	days     map[[2]string]*dayTally // app, day →
	people   map[[2]string]string    // app, user → latest day
}

type dayTally struct {
	signOns int
	refused map[string]int
}

func read(tx store.Tx, node string, limit int) (*tally, error) {
	at, err := countedTo(tx, node)
	if err != nil {
		return nil, err
	}
	t := &tally{
		from: at, to: at, apps: map[string]time.Time{}, days: map[[2]string]*dayTally{}, people: map[[2]string]string{},
	}
	r := store.PrefixRange(entryPrefix(node))
	r.From = entryKey(node, at+1)
	return t, tx.Scan(r, func(key, value []byte) error {
		event, err := decodeEntry(key, value)
		if err == nil { // a damaged entry cannot be counted; Verify names it
			t.count(&event)
		}
		t.to = binary.BigEndian.Uint64(key[len(key)-8:])
		if t.read++; t.read == limit {
			return store.ErrStop
		}
		return nil
	})
}

// countedTo is the number of the last entry of a chain that is counted.
func countedTo(tx store.Tx, node string) (uint64, error) {
	at, _, err := Counted.Get(tx, node)
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	return at.Seq, err
}

// count adds one entry, if it is a sign-on to a known app. A token is a use of its app without anybody signing on.
func (t *tally) count(e *Event) {
	switch {
	case e.App == "":
		return
	case e.Kind == "token" && e.Outcome == OK:
		t.touch(e)
		return
	case e.Kind != "signon" || e.Outcome != OK && e.Outcome != Refused:
		return
	}
	day := t.day(e.App, dayOf(e.Time))
	if e.Outcome == Refused {
		day.refused[e.Reason] += max(e.Count, 1)
		return
	}
	day.signOns += max(e.Count, 1)
	t.touch(e)
	who := [2]string{e.App, e.User}
	if on := dayOf(e.Time); e.User != "" && on > t.people[who] {
		t.people[who] = on
	}
}

func (t *tally) touch(e *Event) {
	if e.Time.After(t.apps[e.App]) {
		t.apps[e.App] = e.Time
	}
}

func (t *tally) day(app, day string) *dayTally {
	key := [2]string{app, day}
	if t.days[key] == nil {
		t.days[key] = &dayTally{refused: map[string]int{}}
	}
	return t.days[key]
}

// write adds the sums to the records, unless somebody else counted these entries.
func (t *tally) write(tx store.Tx, node string) error {
	at, err := countedTo(tx, node)
	if err != nil || at != t.from {
		return err
	}
	moved := map[[2]string]int{} // app, day → people that came or went
	for who, day := range t.people {
		if err := movePerson(tx, who[0], who[1], day, moved); err != nil {
			return err
		}
	}
	for key := range t.days {
		moved[key] += 0
	}
	for key, people := range moved {
		if err := t.writeDay(tx, key, people); err != nil {
			return err
		}
	}
	for app, last := range t.apps {
		if err := touchApp(tx, app, last); err != nil {
			return err
		}
	}
	return Counted.Put(tx, &counted{Node: node, Seq: t.to})
}

// movePerson moves a person's last use to a later day, and notes from which day to which.
func movePerson(tx store.Tx, app, user, day string, moved map[[2]string]int) error {
	before, err := lastDay(tx, app, user)
	if err != nil || before >= day {
		return err
	}
	if before != "" {
		moved[[2]string{app, before}]--
	}
	moved[[2]string{app, day}]++
	return PersonUses.Put(tx, &PersonUse{User: user, App: app, Day: day})
}

// writeDay adds to the record of one day. One that has expired since is not made again only for people to leave it.
func (t *tally) writeDay(tx store.Tx, key [2]string, people int) error {
	day, _, err := UsageDays.Get(tx, usageKey(key[0], key[1]))
	if errors.Is(err, store.ErrNotFound) {
		if t.days[key] == nil && people <= 0 {
			return nil
		}
		day, err = UsageDay{App: key[0], Day: key[1]}, nil
	}
	if err != nil {
		return err
	}
	day.People = max(day.People+people, 0)
	if sum := t.days[key]; sum != nil {
		day.SignOns += sum.signOns
		for reason, n := range sum.refused {
			if day.Refused == nil {
				day.Refused = map[string]int{}
			}
			day.Refused[reasonOf(day.Refused, reason)] += n
		}
	}
	return UsageDays.Put(tx, &day)
}

func touchApp(tx store.Tx, app string, last time.Time) error {
	use, _, err := AppUses.Get(tx, app)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if !last.After(use.Last) {
		return nil
	}
	return AppUses.Put(tx, &AppUse{App: app, Last: last})
}
