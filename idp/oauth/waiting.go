package oauth

import (
	"context"
	"errors"

	"gatehouse/idp/audit"
	"gatehouse/sp"
	"gatehouse/store"
)

// ForgetWaiting deletes the clients that registered under none and that no administrator let in for sp.WaitsFor. They never held
// anything; one that is still wanted registers again.
func (h *Handlers) ForgetWaiting(ctx context.Context) error {
	before := h.Now().Add(-sp.WaitsFor)
	return h.Store.Update(ctx, func(tx store.Tx) error {
		return sp.Apps.Each(tx, store.Page{Index: "waiting", Value: sp.OpenParent}, func(_ string, app *sp.App) error {
			if app.Created.After(before) {
				return nil
			}
			return errors.Join(sp.Apps.Delete(tx, app.ID), sp.Logos.Delete(tx, app.ID), h.Engine.Append(tx, audit.Event{
				Kind: "client.remove", Outcome: audit.OK, Actor: "system", App: app.ID,
				Facts: map[string]string{"name": app.Definition.Name, "client_id": app.Credentials.ClientID, "parent": app.Parent, "reason": "not_approved"},
			}))
		})
	})
}
