package scim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"gatehouse/idp/directory"
	"gatehouse/idp/web"
	"gatehouse/store"
)

// The error types of RFC 7644, table 9.
const (
	invalidFilter = "invalidFilter"
	tooMany       = "tooMany"
	uniqueness    = "uniqueness"
	mutability    = "mutability"
	invalidSyntax = "invalidSyntax"
	invalidPath   = "invalidPath"
	noTarget      = "noTarget"
	invalidValue  = "invalidValue"
)

func refuse(kind, format string, args ...any) *web.Error {
	return &web.Error{Status: http.StatusBadRequest, Reason: kind, Text: fmt.Sprintf(format, args...)}
}

func forbidden(format string, args ...any) *web.Error {
	return &web.Error{Status: http.StatusForbidden, Reason: "forbidden", Text: fmt.Sprintf(format, args...)}
}

func missing(what, id string) *web.Error {
	return &web.Error{Status: http.StatusNotFound, Reason: "not_found", Text: fmt.Sprintf("There is no %s %.80q.", what, id)}
}

// Problem writes an error as RFC 7644, 3.12 wants it; the code finds the audit entry.
func Problem(w http.ResponseWriter, e *web.Error, code string) {
	body := object{"schemas": []any{"urn:ietf:params:scim:api:messages:2.0:Error"}, "status": strconv.Itoa(e.Status), "detail": e.Text}
	if code != "" {
		body["detail"] = e.Text + " (code " + code + ")"
	}
	if slices.Contains([]string{invalidFilter, tooMany, uniqueness, mutability, invalidSyntax, invalidPath, noTarget, invalidValue}, e.Reason) {
		body["scimType"] = e.Reason
	}
	writeJSON(w, e.Status, body)
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", Media)
	web.NoStore(w.Header())
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the client has gone away: nothing is left to tell it
}

// worded gives the errors of the packages below their form here; what it does not know stays internal.
func worded(err error) error {
	var taken *store.ConflictError
	var person *directory.TakenError
	var input *directory.InputError
	var absent *directory.MissingError
	conflict := func(text string) error {
		return &web.Error{Status: http.StatusConflict, Reason: uniqueness, Text: text}
	}
	switch {
	case errors.As(err, &taken):
		names := map[string]string{"user name": "userName", "user email": "e-mail address", "group name": "displayName"}
		what := names[taken.Table+" "+taken.Index]
		if what == "" {
			what = "externalId"
		}
		return conflict(fmt.Sprintf("The %s %q is taken.", what, strings.TrimPrefix(taken.Value, "/")))
	case errors.As(err, &person):
		return conflict(person.Text + ".")
	case errors.As(err, &input):
		return refuse(invalidValue, "%s.", input.Text)
	case errors.As(err, &absent):
		return refuse(invalidValue, "There is no %s %.80q.", absent.What, absent.Name)
	}
	return err
}
