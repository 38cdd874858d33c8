package flow

import (
	"net/http"

	"gatehouse/idp/audit"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
)

// HaltUnknown ends a request of an app that is not connected: as Halt does, and where somebody is signed in the attempt is
// counted, in the same transaction, so that an administrator sees what people miss. Strangers add nothing.
func (e *Engine) HaltUnknown(r *http.Request, protocol, identifier string, reason Reason) error {
	visitor, err := e.Visitor(r)
	if err != nil {
		return err
	}
	if visitor.Session == nil || visitor.User == nil {
		return e.Halt(r, "", "signon", reason)
	}
	event := audit.Event{
		Kind: "signon", Outcome: audit.Refused, Reason: reason.Type, Actor: visitor.User.ID, User: visitor.User.ID,
		Address: web.Of(r).AddressText(), Detail: reason.Detail, Facts: reason.Facts,
	}
	if !e.Strangers.Single(event) { // folded: one person must not fill the list, nor write without end
		return &web.Error{Status: http.StatusBadRequest, Reason: reason.Type, Text: reason.Text, Code: web.Of(r).ID, Err: reason.Err}
	}
	var stored audit.Event
	err = e.Store.Update(r.Context(), func(tx store.Tx) error {
		if err := sp.CountAttempt(tx, protocol, identifier, visitor.User.ID, e.Now()); err != nil {
			return err
		}
		var err error
		stored, err = e.Audit.Append(tx, event)
		return err
	})
	if err != nil {
		return err
	}
	return &web.Error{Status: http.StatusBadRequest, Reason: reason.Type, Text: reason.Text, Code: stored.Code, Err: reason.Err}
}
