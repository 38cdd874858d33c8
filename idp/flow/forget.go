package flow

import (
	"context"
	"fmt"

	"gatehouse/idp/grants"
	"gatehouse/store"
)

// forgetBatch is how many records one transaction forgets: a person or app may have a hundred thousand, and every sign-on waits
// for the one writer.
const forgetBatch = 200

// Forget removes what a person or an app was granted and what is still asked for, because the one or the other is removed for
// good. What is too much for one transaction is left to ForgetRest: nothing of it can be used, because ids are never used again.
func Forget(tx store.Tx, scope Scope) error {
	gone := grants.Gone{Index: "user", ID: scope.User}
	if scope.App != "" {
		gone = grants.Gone{Index: "app", ID: scope.App}
	}
	n, err := forget(tx, gone)
	if err != nil || n < forgetBatch {
		return err
	}
	return grants.AllGone.Put(tx, &gone)
}

// ForgetRest goes on with what Forget left, a batch a transaction. Call it now and then.
func (e *Engine) ForgetRest(ctx context.Context) error {
	for {
		more := false
		err := e.Store.View(ctx, func(tx store.Tx) error { // most of the time there is nothing, and nobody waits for that
			n, err := grants.AllGone.Count(tx, store.Page{}, 1)
			more = n > 0
			return err
		})
		if err == nil && !more {
			return nil
		}
		if err == nil {
			err = e.forgetSome(ctx)
		}
		if err != nil {
			return fmt.Errorf("forgetting what the removed were granted: %w", err)
		}
	}
}

// forgetSome goes on with the first that Forget left.
func (e *Engine) forgetSome(ctx context.Context) error {
	return e.Store.Update(ctx, func(tx store.Tx) error {
		left, _, err := grants.AllGone.List(tx, store.Page{Limit: 1})
		if err != nil || len(left) == 0 {
			return err
		}
		n, err := forget(tx, left[0])
		if err == nil && n < forgetBatch {
			err = grants.AllGone.Delete(tx, grants.AllGone.Key(&left[0]))
		}
		return err
	})
}

// forget deletes at most a batch and returns how many that were.
func forget(tx store.Tx, gone grants.Gone) (int, error) {
	n := 0
	page := store.Page{Index: gone.Index, Value: gone.ID}
	if err := forgetIn(tx, grants.Consents, page, &n); err != nil {
		return n, err
	}
	if err := forgetIn(tx, grants.Accesses, page, &n); err != nil {
		return n, err
	}
	page.Index = "open_" + gone.Index
	err := forgetIn(tx, grants.Requests, page, &n)
	return n, err
}

func forgetIn[T any](tx store.Tx, table *store.Table[T], page store.Page, n *int) error {
	return table.Each(tx, page, func(_ string, record *T) error {
		if *n == forgetBatch {
			return store.ErrStop
		}
		*n++
		return table.Delete(tx, table.Key(record))
	})
}
