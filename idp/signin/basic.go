package signin

import (
	"errors"
	"net/http"
	"time"

	"gatehouse/idp/directory"
	"gatehouse/idp/web"
)

// clientSession is how long the session of a client that is not a browser lives: each request brings the password again.
const clientSession = time.Hour

// ofClient stands in the place of the old cookie's secret for a client that has none and gets none. No secret looks like it.
const ofClient = "client"

// basicChallenge is RFC 7617, 2 and 2.1. A request without credentials is the first step of it, and no event.
const basicChallenge = `Basic realm="Gatehouse", charset="UTF-8"`

// Basic signs a client in that is not a browser, by the name and password of its Authorization header, under the same throttle as
// the page. It returns the secret of a session of its own, or says what is wrong as a *web.Error: 401 when the header is missing or
// wrong.
func (h *Handlers) Basic(r *http.Request) (string, error) {
	name, password, ok := r.BasicAuth()
	if !ok || name == "" || password == "" {
		return "", &web.Error{Status: http.StatusUnauthorized, Reason: "no_credentials", Challenge: basicChallenge, Quiet: true, Text: "Send a user name and a password (HTTP Basic)."}
	}
	if err := h.needPasswords(r); err != nil {
		return "", err
	}
	result, err := h.Directory.Authenticate(r.Context(), name, password, web.Of(r).Address)
	if errors.Is(err, directory.ErrBusy) {
		return "", &web.Error{Status: http.StatusServiceUnavailable, Reason: "busy", Text: "Many people are signing in at this moment. Try again in a few seconds."}
	}
	if err != nil {
		return "", err
	}
	if !result.OK() {
		if err := h.noteRefusal(r, &result); err != nil {
			return "", err
		}
		if result.Throttled() {
			return "", &web.Error{Status: http.StatusTooManyRequests, Reason: string(result.Reason), RetryAfter: result.RetryAfter, Text: "Too many tries. Wait a moment, then try again."}
		}
		if result.Down {
			return "", &web.Error{Status: http.StatusServiceUnavailable, Reason: string(result.Reason), RetryAfter: downRetry, Text: downText}
		}
		return "", &web.Error{Status: http.StatusUnauthorized, Reason: string(result.Reason), Challenge: basicChallenge, Text: "The user name or the password is wrong. Check both and try again."}
	}
	secret, _, err := h.open(r, &result, ofClient)
	if h.notAdopted(&result, err) {
		return "", errors.Join(h.noteRefusal(r, &result), &web.Error{Status: http.StatusForbidden, Reason: string(result.Reason), Text: notAdoptedText})
	}
	if errors.Is(err, directory.ErrChanged) {
		return "", &web.Error{Status: http.StatusConflict, Reason: "changed", Text: "Your account was changed at this moment. Sign in again."}
	}
	return secret, err
}
