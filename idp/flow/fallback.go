package flow

import (
	"context"

	"gatehouse/sp"
)

// turnToBrowser leaves to the browser the apps that did not confirm from server to server and can be told that way too. Their outbox
// rows stay until one of the two has worked.
func (e *Engine) turnToBrowser(ctx context.Context, logout *Logout) error {
	for i := range logout.Leaving {
		one := &logout.Leaving[i]
		if one.Way != sp.LogoutBack || one.State != LeaveFailed {
			continue
		}
		app, err := e.AppOf(ctx, one.Reached.App)
		if err != nil {
			return err
		}
		if app == nil {
			continue
		}
		if way := app.BrowserWay(one.Reached.Protocol); way != sp.LogoutNone {
			one.Way, one.State = way, LeaveWaiting
		}
	}
	return nil
}
