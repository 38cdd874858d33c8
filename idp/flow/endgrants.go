package flow

import (
	"context"
	"fmt"

	"gatehouse/idp/grants"
	"gatehouse/idp/session"
	"gatehouse/store"
)

// EndGrants ends whatever a person gave to apps, in the transaction that makes it doubtful, such as a change of password.
func EndGrants(tx store.Tx, user string) error { return grants.EndEra(tx, grants.OfUser(user)) }

// endGrants ends what was granted: by the times of a person, an app or all, however much that is, or one by one.
func endGrants(tx store.Tx, scope Scope, concerned []session.Session) error {
	switch {
	case scope.Session != "":
		for i := range concerned {
			if err := killAll(tx, store.Page{Index: "session", Value: concerned[i].Handle}, scope.App, "signed_out"); err != nil {
				return err
			}
		}
		return nil
	case scope.User != "" && scope.App != "":
		if err := grants.KillOnTheWay(tx, scope.User, scope.App, "withdrawn"); err != nil {
			return err
		}
		return killAll(tx, store.Page{Index: "pair", Value: grants.Pair(scope.User, scope.App)}, "", "withdrawn")
	case scope.User != "":
		return grants.EndEra(tx, grants.OfUser(scope.User))
	case scope.App != "":
		return grants.EndEra(tx, grants.OfApp(scope.App))
	case scope.All:
		return grants.EndEra(tx, grants.OfAll)
	}
	return nil
}

// killAll ends the grants of a page, or those of one app in it.
func killAll(tx store.Tx, page store.Page, app, reason string) error {
	return grants.AllGrants.Each(tx, page, func(_ string, g *grants.Grant) error {
		if app != "" && g.App != app {
			return nil
		}
		return grants.Kill(tx, g, reason)
	})
}

// ClearGrants deletes what is left of grants whose times were ended, a batch a transaction. Call it now and then.
func (e *Engine) ClearGrants(ctx context.Context) error {
	for more := true; more; {
		err := e.Store.Update(ctx, func(tx store.Tx) error {
			n, err := grants.Clear(tx, forgetBatch)
			more = n > 0
			return err
		})
		if err != nil {
			return fmt.Errorf("deleting what was granted and has ended: %w", err)
		}
	}
	return nil
}
