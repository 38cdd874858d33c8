package oauth

import (
	"net/http"
	"strings"
	"time"

	"gatehouse/idp/flow"
	"gatehouse/idp/web"
)

// Codes that clients are told (RFC 6749, 4.1.2.1 and 5.2; OpenID Connect Core 1.0, 3.1.2.6; RFC 6750, 3.1; RFC 8707; RFC 9101; RFC 9449, 12.2; RFC 9470).
const (
	codeInvalidRequest       = "invalid_request"
	codeInvalidClient        = "invalid_client"
	codeInvalidGrant         = "invalid_grant"
	codeInvalidScope         = "invalid_scope"
	codeInvalidTarget        = "invalid_target"
	codeInvalidToken         = "invalid_token"
	codeInsufficientScope    = "insufficient_scope"
	codeInsufficientSignIn   = "insufficient_user_authentication"
	codeUnauthorizedClient   = "unauthorized_client"
	codeUnsupportedGrantType = "unsupported_grant_type"
	codeUnsupportedResponse  = "unsupported_response_type"
	codeUnsupportedTokenType = "unsupported_token_type"
	codeAccessDenied         = "access_denied"
	codeLoginRequired        = "login_required"
	codeConsentRequired      = "consent_required"
	codeUnmetAuthentication  = "unmet_authentication_requirements"
	codeRequestUnsupported   = "request_not_supported"
	codeURIUnsupported       = "request_uri_not_supported"
	codeInvalidObject        = "invalid_request_object"
	codeInvalidProof         = "invalid_dpop_proof"
	codeServerError          = "server_error"
	codeTryLater             = "temporarily_unavailable"
)

// Problem is why a request is refused. Code is for the client's program, Reason for audit and traces, Text for people.
type Problem struct {
	Code, Reason, Text string
	Status             int    // 0: 400
	Challenge          string // of a 401 or 403: how the WWW-Authenticate header begins
	Told               bool   // the header says the error too
	Params             string // of the header, after the error
	Expected, Received string // for the admin
	Trace              string // code of the audit entry
	RetryAfter         time.Duration
	Rules              string // what the policy weighed, of a refusal of its
	Quiet              bool   // part of the protocol, and no audit entry
}

func refuse(code, reason, text string) *Problem {
	return &Problem{Code: code, Reason: reason, Text: text}
}

// because says what was expected and what came; neither may be a secret.
func (p *Problem) because(expected, received string) *Problem {
	p.Expected, p.Received = expected, cut(received)
	return p
}

const maxFact = 300

// cut bounds what a stranger can write into the audit.
func cut(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), maxFact)], "")
}

// errorBody is RFC 6749, 5.2.
type errorBody struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

// public is the problem as the kit answers it.
func (p *Problem) public() *web.Error {
	status := p.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	return &web.Error{
		Status: status, Reason: p.Reason, Type: p.Code, Text: p.Text, Code: p.Trace, Quiet: p.Quiet, Challenge: p.authenticate(), RetryAfter: p.RetryAfter,
	}
}

// Refuse is the form of errors at the endpoints of programs (RFC 6749, 5.2; RFC 7591, 3.2.2).
func Refuse(w http.ResponseWriter, e *web.Error, code string) {
	kind := e.Type
	switch {
	case kind != "":
	case e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable:
		kind = codeTryLater
	case e.Status >= http.StatusInternalServerError:
		kind = codeServerError
	default:
		kind = codeInvalidRequest
	}
	web.WriteJSON(w, e.Status, errorBody{kind, describe(e.Text, code)})
}

// authenticate is the WWW-Authenticate header, in the words of the body.
func (p *Problem) authenticate() string {
	if !p.Told {
		return p.Challenge
	}
	return p.Challenge + `, error="` + p.Code + `", error_description="` + describe(p.Text, p.Trace) + `"` + p.Params
}

// tryLater is what somebody is told who asks for more than there is room for now.
func tryLater(reason, text string, wait time.Duration) *Problem {
	p := refuse(codeTryLater, reason, text)
	p.Status, p.RetryAfter = http.StatusTooManyRequests, wait
	return p
}

// describe is a text as an error_description may hold it: ASCII without quotes and backslashes, with the code of the audit entry.
func describe(text, trace string) string {
	if trace != "" {
		text += " [" + trace + "]"
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '“' || r == '”' || r == '"':
			return '\''
		case r < ' ' || r > '~' || r == '\\':
			return -1
		}
		return r
	}, text)
}

// reason is the problem in flow's words.
func (p *Problem) reason() flow.Reason {
	reason := flow.Reason{Type: p.Reason, Text: p.Text, Status: p.Code}
	if p.Expected != "" || p.Received != "" {
		reason.Facts = map[string]string{"expected": p.Expected, "received": p.Received}
	}
	return reason
}

// denied is what a client is told when the policy refuses a token to it; who it was about is not said.
func denied(code string, step flow.Step) *Problem {
	p := refuse(code, step.Reason.Type, step.Reason.Text)
	p.Expected, p.Rules = step.Reason.Detail, flow.RulesOf(step.Verdict)
	return p
}
