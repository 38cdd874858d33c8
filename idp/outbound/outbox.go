package outbound

import (
	"context"
	"fmt"
	"sync"
	"time"

	"gatehouse/store"
)

// Row is one message that must leave after the change that wrote it is committed. It says what is to be sent and to whom, not the
// message itself, which is made fresh for each try.
type Row struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind"` // key of Outbox.Senders
	Payload []byte    `json:"payload"`
	Due     time.Time `json:"due"` // zero: at once
	Tries   int       `json:"tries"`
}

// Rows is the table of what waits to be sent.
var Rows = &store.Table[Row]{
	Name:    "outbox",
	Version: 1,
	Key:     func(r *Row) string { return r.ID },
	Lists: map[string]func(*Row) []string{
		"due": func(r *Row) []string { return []string{r.Due.UTC().Format("20060102T150405.000000000")} },
	},
}

// Bounds of the outbox.
const (
	batch  = 50
	atOnce = 8                // sent in parallel
	lease  = 30 * time.Second // how long a try may take before another node takes over
)

// pauses are the waits after each failed try; after the last one the row is given up.
func pauses() []time.Duration {
	return []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour}
}

// Enqueue writes a row inside the change's transaction.
func Enqueue(tx store.Tx, row *Row) error { return Rows.Put(tx, row) }

// Sender sends what rows of one kind ask for. Send runs outside any transaction and may be repeated; GaveUp runs in the
// transaction that removes the row for good.
type Sender interface {
	Send(ctx context.Context, payload []byte) error
	GaveUp(tx store.Tx, payload []byte, cause error) error
}

// Outbox sends rows. All fields must be set.
type Outbox struct {
	Store   store.Store
	Now     func() time.Time
	Senders map[string]Sender
}

// SendDue sends what is due, until nothing is. Call it every second; other nodes may do the same.
func (o *Outbox) SendDue(ctx context.Context) error {
	for n := batch; n == batch && ctx.Err() == nil; {
		rows, err := o.claim(ctx)
		if err != nil {
			return err
		}
		n = len(rows)
		if err := o.sendAll(ctx, rows); err != nil {
			return err
		}
	}
	return nil
}

// claim takes due rows for this node by moving their time ahead. It writes nothing when nothing is due.
func (o *Outbox) claim(ctx context.Context) (claimed []Row, err error) {
	var due []Row
	err = o.Store.View(ctx, func(tx store.Tx) (err error) {
		due, err = o.due(tx)
		return err
	})
	if err != nil || len(due) == 0 {
		return nil, err
	}
	err = o.Store.Update(ctx, func(tx store.Tx) error {
		if claimed, err = o.due(tx); err != nil {
			return err
		}
		for i := range claimed {
			claimed[i].Due = o.Now().Add(lease)
			claimed[i].Tries++
			if err := Rows.Put(tx, &claimed[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return claimed, err
}

func (o *Outbox) due(tx store.Tx) ([]Row, error) {
	rows, _, err := Rows.List(tx, store.Page{Index: "due", Limit: batch})
	now := o.Now()
	for i := range rows {
		if rows[i].Due.After(now) {
			return rows[:i], err
		}
	}
	return rows, err
}

func (o *Outbox) sendAll(ctx context.Context, rows []Row) error {
	failures := make([]error, len(rows))
	slots := make(chan struct{}, atOnce)
	var sending sync.WaitGroup
	for i := range rows {
		slots <- struct{}{}
		sending.Go(func() {
			failures[i] = o.send(ctx, &rows[i])
			<-slots
		})
	}
	sending.Wait()
	return o.Store.Update(ctx, func(tx store.Tx) error {
		for i := range rows {
			if err := o.settle(tx, rows[i], failures[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (o *Outbox) send(ctx context.Context, row *Row) error {
	sender := o.Senders[row.Kind]
	if sender == nil {
		return fmt.Errorf("nobody sends rows of kind %q", row.Kind)
	}
	ctx, cancel := context.WithTimeout(ctx, lease/2)
	defer cancel()
	return sender.Send(ctx, row.Payload)
}

// settle removes what was sent, or sets the time of the next try.
func (o *Outbox) settle(tx store.Tx, row Row, failure error) error {
	waits := pauses()
	switch {
	case failure == nil:
		return Rows.Delete(tx, row.ID)
	case row.Tries <= len(waits):
		row.Due = o.Now().Add(waits[row.Tries-1])
		return Rows.Put(tx, &row)
	}
	if sender := o.Senders[row.Kind]; sender != nil {
		if err := sender.GaveUp(tx, row.Payload, failure); err != nil {
			return err
		}
	}
	return Rows.Delete(tx, row.ID)
}
