package oauth

import (
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gatehouse/idp/flow"
	"gatehouse/idp/web"
	"gatehouse/sp"
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
		if web.Incomplete(err) {
			return nil, nil, err
		}
		return nil, refuse(codeInvalidRequest, "bad_form", "The body cannot be read as a form: encode it as application/x-www-form-urlencoded."), nil
	}
	return r.PostForm, once(r.PostForm), nil
}

// parameter names a parameter in a sentence, unless the name is none that a specification has: that would be a stranger's own words.
func parameter(name string) string {
	if len(name) > 40 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return "A parameter"
	}
	return "The parameter " + name
}

// once refuses a parameter that is there twice, or too long. Resources may be several (RFC 8707, 2).
func once(values url.Values) *Problem {
	for name, list := range values {
		if len(list) > 1 && (name != "resource" || len(list) > maxTargets) {
			return refuse(codeInvalidRequest, "repeated_parameter", parameter(name)+" was sent more than once: send it once.").because("once", name)
		}
		if slices.ContainsFunc(list, func(one string) bool { return len(one) > maxParameter }) {
			return refuse(codeInvalidRequest, "long_parameter", parameter(name)+" is longer than 8,192 bytes: send less.").because("at most 8192 bytes", name)
		}
	}
	return nil
}

// params are the parameters of an authorization request as they count: from the query or the body, or what those refer to. What
// follows knows only the result, save that the request_uri of a pushed request stays in it.
func (h *Handlers) params(r *http.Request) (url.Values, *Problem, error) {
	values, problem, err := sent(r)
	if problem != nil || err != nil {
		return values, problem, err
	}
	return h.resolved(r.Context(), values)
}

func sent(r *http.Request) (url.Values, *Problem, error) {
	if r.Method == http.MethodPost {
		return form(r)
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return values, refuse(codeInvalidRequest, "bad_query", "The address of this sign-in is damaged. Go back to the app and start again."), nil
	}
	return values, once(values), nil
}

// readPushed refuses a request_uri that names nothing pushed (OpenID Connect Core 1.0, 3.1.2.6), and what was not pushed although
// the app must (RFC 9126, 6).
func readPushed(app *sp.App, values url.Values, _ *asked, _ *flow.Request) *Problem {
	pushed := strings.HasPrefix(values.Get("request_uri"), pushedPrefix)
	switch {
	case values.Has("request_uri") && !pushed:
		return refuse(codeURIUnsupported, "request_uri", "Gatehouse fetches no request objects: push the request, or send it as request.")
	case !pushed && app.Definition.OAuth.NeedsPAR():
		return refuse(codeInvalidRequest, "not_pushed", "This app must push its requests (oauth.require_pushed_authorization_requests).")
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
