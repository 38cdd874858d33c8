package web

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"gatehouse/templates"
)

// Error is an error with public words. Anything that is not one is answered as a bare 500 with the request id.
type Error struct {
	Status     int
	Reason     string // typed, as in the audit: "bad_request", "unknown_app", …
	Type       string // what the protocol of the route calls it; empty: its form says it by the status
	Heading    string // empty: derived from the status
	Text       string // what happened and what to do, for the person at the screen
	Code       string // of the audit entry, if there is one
	Quiet      bool   // a step of a protocol and no event: not noted, not logged, and without a code
	Field      string // of an API request, the value that was wrong
	RetryAfter time.Duration
	Challenge  string           // of a 401 or 403 to a program: the WWW-Authenticate header
	Links      []templates.Link // ways on, before the one to the apps; of a page
	Err        error            // for the log only
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Reason + ": " + e.Err.Error()
	}
	return e.Reason + ": " + e.Text
}

// Unwrap gives the internal cause.
func (e *Error) Unwrap() error { return e.Err }

// Form writes errors as whoever calls a route reads them. What is not their words, such as Retry-After, is set before; the code, which
// may be empty, leads an administrator to what happened.
type Form func(w http.ResponseWriter, e *Error, code string)

// AsJSON is the form of Gatehouse's own API.
func AsJSON(w http.ResponseWriter, e *Error, code string) {
	WriteJSON(w, e.Status, errorBody{Error: errorDetail{e.Reason, e.Text, code, e.Field}})
}

// BadRequest is a 400 with the sentence shown to the sender.
func BadRequest(reason, text string) *Error {
	return &Error{Status: http.StatusBadRequest, Reason: reason, Text: text}
}

// NotFound is a 404 with the sentence shown to the sender.
func NotFound(text string) *Error {
	return &Error{Status: http.StatusNotFound, Reason: "not_found", Text: text}
}

// Incomplete tells whether err says that a body did not come in whole: it is too large, or was cut off. What there is of it counts for
// nothing, and the error is answered as it is.
func Incomplete(err error) bool { return unread(err) != nil }

func unread(err error) *Error {
	var tooLarge *http.MaxBytesError
	var network net.Error
	switch {
	case errors.As(err, &tooLarge):
		return &Error{Status: http.StatusRequestEntityTooLarge, Reason: "too_large", Text: "What was sent is too large: at most " + bytesText(tooLarge.Limit) + " are taken here. Send less and try again."}
	case errors.As(err, &network) && network.Timeout(), errors.Is(err, io.ErrUnexpectedEOF):
		return &Error{Status: http.StatusRequestTimeout, Reason: "incomplete", Text: "What was sent did not arrive whole. Check your connection and try again."}
	}
	return nil
}

// publicPart finds the public part of err; an error without one becomes a plain 500.
func publicPart(err error) *Error {
	var public *Error
	if errors.As(err, &public) {
		return public
	}
	if public = unread(err); public != nil {
		return public
	}
	return &Error{Status: http.StatusInternalServerError, Reason: "internal", Text: "Something went wrong on our side and nothing was changed. Try again; if it happens again, tell your administrator the code."}
}

// bytesText is a bound in words.
func bytesText(n int64) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return strconv.FormatInt(n>>20, 10) + " MiB"
	case n >= 1<<10 && n%(1<<10) == 0:
		return strconv.FormatInt(n>>10, 10) + " KiB"
	}
	return strconv.FormatInt(n, 10) + " bytes"
}

func (e *Error) heading() string {
	switch {
	case e.Heading != "":
		return e.Heading
	case e.Status == http.StatusNotFound:
		return "Page not found"
	case e.Status == http.StatusForbidden:
		return "Not allowed"
	case e.Status == http.StatusTooManyRequests:
		return "Too many tries"
	case e.Status >= 500:
		return "Something went wrong"
	}
	return "That did not work"
}

type errorBody struct {
	Error errorDetail `json:"error"`
}

type errorDetail struct {
	Reason string `json:"reason"`
	Text   string `json:"text"`
	Code   string `json:"code,omitempty"`
	Field  string `json:"field,omitempty"`
}
