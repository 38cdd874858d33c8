package api

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Error is a refusal of the server, or a failure to reach it. Text is one sentence or two that say what to do.
type Error struct {
	Status int    `json:"-"` // of the HTTP answer; 0: there was none
	Reason string `json:"reason"`
	Text   string `json:"text"`
	Field  string `json:"field,omitempty"` // the value that was wrong
	Code   string `json:"code,omitempty"`  // finds the audit entry or the log line
	Err    error  `json:"-"`
}

// Unreachable is the Reason of an Error that came from no server.
const Unreachable = "unreachable"

func (e *Error) Error() string {
	if e.Status >= http.StatusInternalServerError && e.Code != "" {
		return strings.TrimSpace(e.Text) + " (code " + e.Code + ")"
	}
	return e.Text
}

// Unwrap gives the cause of a failed connection.
func (e *Error) Unwrap() error { return e.Err }

// errorBody is how an Error travels.
type errorBody struct {
	Error Error `json:"error"`
}

const maxErrorBody = 64 << 10

// readError makes an Error of an answer that is not a success, whoever wrote it.
func readError(response *http.Response) *Error {
	var body errorBody
	err := json.NewDecoder(io.LimitReader(response.Body, maxErrorBody)).Decode(&body)
	if err != nil || body.Error.Text == "" {
		body.Error = Error{
			Reason: "unexpected_answer",
			Text:   fmt.Sprintf("The server answered %s, which is not what Gatehouse says: check that the address is Gatehouse's base URL.", response.Status),
		}
	}
	body.Error.Status = response.StatusCode
	return &body.Error
}
