package oauth

import (
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gatehouse/idp/web"
)

// maxParameter bounds one parameter, in bytes.
const maxParameter = 8 << 10

// form reads the parameters of a POST from its body alone: nothing from the query counts (RFC 6749, 3.2), and nothing may be
// there twice. The error is the connection's.
func form(r *http.Request) (url.Values, *Problem, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, refuse(codeInvalidRequest, "not_a_form", "Send the parameters in the body, as application/x-www-form-urlencoded.").because("application/x-www-form-urlencoded", r.Header.Get("Content-Type")), nil
	}
	if err := r.ParseForm(); err != nil {
		if web.Public500(err).Status < http.StatusInternalServerError {
			return nil, nil, err // too large, or cut off
		}
		return nil, refuse(codeInvalidRequest, "bad_form", "The body cannot be read as a form."), nil
	}
	return r.PostForm, once(r.PostForm), nil
}

// once refuses a parameter that is there twice, or too long.
func once(values url.Values) *Problem {
	for name, list := range values {
		if len(list) > 1 {
			return refuse(codeInvalidRequest, "repeated_parameter", "A parameter is there more than once.").because("once", name)
		}
		if len(list[0]) > maxParameter {
			return refuse(codeInvalidRequest, "long_parameter", "A parameter is longer than 8,192 bytes.").because("at most 8192 bytes", name)
		}
	}
	return nil
}

// params are the parameters of an authorization request as they count: from the query or the body. Pushed requests and request
// objects (RFC 9126, RFC 9101) take their place here: what follows knows only the result.
func (h *Handlers) params(r *http.Request) (url.Values, *Problem, error) {
	if r.Method == http.MethodPost {
		return form(r)
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return values, refuse(codeInvalidRequest, "bad_query", "The address of this sign-in is damaged. Go back to the app and start again."), nil
	}
	return values, once(values), nil
}

// pushed refuses what params does not resolve yet (OpenID Connect Core 1.0, 3.1.2.6).
func pushed(values url.Values) *Problem {
	switch {
	case values.Has("request"):
		return refuse(codeRequestUnsupported, "request_object", "Gatehouse takes no request objects: send the parameters themselves.")
	case values.Has("request_uri"):
		return refuse(codeURIUnsupported, "request_uri", "Gatehouse fetches no request objects: send the parameters themselves.")
	}
	return nil
}

// words splits a list of words, without repetitions.
func words(text string) []string {
	var list []string
	for word := range strings.FieldsSeq(text) {
		if !slices.Contains(list, word) {
			list = append(list, word)
		}
	}
	return list
}
