package flow

import (
	"gatehouse/store"
)

// Device is a device without a browser that waits for the answer to a request (RFC 8628). A person confirms it each time,
// whatever they agreed to before: whoever started it may be somebody else.
type Device struct {
	Code      string `json:"code"`                // that the device shows
	Address   string `json:"address"`             // from where it asked
	Confirmed string `json:"confirmed,omitempty"` // user id of who did
}

// Confirm notes, inside the caller's transaction, that the person confirmed the device of a waiting request. One that is gone by
// now stays gone.
func (e *Engine) Confirm(tx store.Tx, facts *Facts) error {
	request, _, err := Requests.Get(tx, facts.Request.ID)
	if err := absent(err); err != nil || request.Device == nil {
		return err
	}
	request.Device.Confirmed = facts.User.ID
	return Requests.Put(tx, &request)
}
