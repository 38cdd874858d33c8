package signin

import (
	"errors"
	"time"

	"gatehouse/idp/directory"
)

// What people read when their directory does not answer, or has them and they cannot be taken over. While one does not answer, a
// wrong name or password reads the same, so that nobody learns who is in which.
const (
	downText       = "The directory of your organisation does not answer now. Try again in a few minutes. If your password is not from there, check your user name and your password."
	notAdoptedText = "Your account could not be set up here. Ask your administrator, who finds the reason in the audit."
	downRetry      = 30 * time.Second
)

// notAdopted tells whether a right password is of somebody who cannot become one of ours, and makes that the result.
func (h *Handlers) notAdopted(result *directory.Result, err error) bool {
	var refused *directory.AdoptError
	if !errors.As(err, &refused) {
		return false
	}
	result.Reason, result.User = directory.NotAdopted, directory.User{}
	result.Detail = refused.Source + ": " + refused.Error()
	return true
}
