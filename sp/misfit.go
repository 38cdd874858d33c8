package sp

import (
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// kinds are the kinds of JSON values, in words.
var kinds = map[reflect.Kind]string{
	reflect.Slice: "a list", reflect.String: "a text", reflect.Bool: "true or false", reflect.Map: "an object", reflect.Struct: "an object",
	reflect.Int: "a whole number", reflect.Int64: "a whole number",
}

// Misfit says which member of a JSON text is of another kind than it has to be; empty: the text is no JSON at all, or not an object.
func Misfit(err error) string {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) || wrong.Field == "" {
		return ""
	}
	kind := kinds[wrong.Type.Kind()]
	if kind == "" {
		return ": " + wrong.Field + " is of the wrong kind"
	}
	return ": " + wrong.Field + " has to be " + kind
}

// Unreadable says, to follow the name of a text that should be JSON, why encoding/json did not take it.
func Unreadable(err error) string {
	var wrong *json.UnmarshalTypeError
	var moment *time.ParseError
	var broken *json.SyntaxError
	unknown, isUnknown := strings.CutPrefix(err.Error(), "json: unknown field ")
	switch {
	case isUnknown:
		return "has a member that is not known: " + unknown + ": correct its name, or leave it out"
	case errors.As(err, &moment):
		return "does not fit: " + strconv.QuoteToASCII(moment.Value) + " has to be a time, like 2026-01-31T08:00:00Z"
	case errors.As(err, &wrong) && wrong.Type.Kind() == reflect.Float64 && strings.HasPrefix(wrong.Value, "number "):
		return "holds a number that is too large: " + strings.TrimPrefix(wrong.Value, "number ")
	case errors.As(err, &wrong) && wrong.Field != "":
		return "does not fit" + Misfit(err)
	case errors.As(err, &wrong):
		return "has to be a JSON object, in curly brackets"
	case errors.Is(err, io.EOF):
		return "is empty: send a JSON object"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &broken) && strings.HasPrefix(err.Error(), "unexpected end"):
		return "cannot be read as JSON: it ends too early"
	case errors.As(err, &broken):
		return "cannot be read as JSON: see its byte " + strconv.FormatInt(broken.Offset, 10)
	}
	return "does not fit: one of its values is not of the kind that it has to be"
}
