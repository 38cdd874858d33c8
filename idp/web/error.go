package web

import (
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"gatehouse/templates"
)

// Error is an error with public words. Anything that is not one is answered as a bare 500 with the request id.
type Error struct {
	Status     int
	Reason     string // typed, as in the audit: "bad_request", "unknown_app", …
	Heading    string // empty: derived from the status
	Text       string // what happened and what to do, for the person at the screen
	Code       string // of the audit entry, if there is one
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

// BadRequest is a 400 with the sentence shown to the sender.
func BadRequest(reason, text string) *Error {
	return &Error{Status: http.StatusBadRequest, Reason: reason, Text: text}
}

// NotFound is a 404 with the sentence shown to the sender.
func NotFound(text string) *Error {
	return &Error{Status: http.StatusNotFound, Reason: "not_found", Text: text}
}

// Public500 finds the public part of err; an error without one becomes a plain 500.
func Public500(err error) *Error {
	var public *Error
	if errors.As(err, &public) {
		return public
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return &Error{Status: http.StatusRequestEntityTooLarge, Reason: "too_large", Text: "What was sent is too large. Send less and try again."}
	}
	var network net.Error
	if errors.As(err, &network) && network.Timeout() || errors.Is(err, io.ErrUnexpectedEOF) {
		return &Error{Status: http.StatusRequestTimeout, Reason: "incomplete", Text: "What was sent did not arrive whole. Check your connection and try again."}
	}
	return &Error{Status: http.StatusInternalServerError, Reason: "internal", Text: "Something went wrong on our side and nothing was changed. Try again; if it happens again, tell your administrator the code below."}
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
