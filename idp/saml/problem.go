package saml

import "fmt"

// Problem is a refusal: typed for audit and traces, a sentence for the page, a SAML status for the service provider.
type Problem struct {
	Reason    string // one of the Reason constants
	Status    string // top-level status code
	SubStatus string // nested status code, may be empty
	Local     bool   // the service provider or its address is not verified: nothing may be sent there
	Text      string // what is wrong and what to do
	Expected  string // for the trace, may be empty
	Received  string // for the trace, may be empty
	Err       error  // for the log, may be nil
}

// Reasons of refusals.
const (
	ReasonMalformed     = "malformed_message"
	ReasonTooLarge      = "message_too_large"
	ReasonDuplicate     = "duplicate_parameter"
	ReasonWrongMessage  = "wrong_message"
	ReasonUnknownIssuer = "unknown_issuer"
	ReasonUnsigned      = "unsigned_request"
	ReasonBadSignature  = "bad_signature"
	ReasonAlgorithm     = "refused_algorithm"
	ReasonDestination   = "wrong_destination"
	ReasonVersion       = "wrong_version"
	ReasonStale         = "stale_request"
	ReasonACS           = "unregistered_acs"
	ReasonBinding       = "unsupported_binding"
	ReasonNameID        = "invalid_nameid_policy"
	ReasonAuthnContext  = "no_authn_context"
	ReasonSubject       = "unknown_principal"
	ReasonIDPList       = "no_supported_idp"
	ReasonInvalid       = "invalid_request"
	ReasonRelayState    = "relay_state_too_long"
	ReasonEncryption    = "cannot_encrypt"
	ReasonSigning       = "cannot_sign"
	ReasonAttributes    = "cannot_evaluate_attributes"
	ReasonMissing       = "missing_attributes"
	ReasonChannel       = "channel_bindings"
)

func (p *Problem) Error() string {
	if p.Err != nil {
		return fmt.Sprintf("%s: %s (%v)", p.Reason, p.Text, p.Err)
	}
	return p.Reason + ": " + p.Text
}

// Unwrap gives the internal cause.
func (p *Problem) Unwrap() error { return p.Err }

// local is a problem found before service provider and address are verified.
func local(reason, text string) *Problem {
	return &Problem{Reason: reason, Status: StatusRequester, Local: true, Text: text}
}

// requester is a problem that the service provider is told about.
func requester(reason, sub, text string) *Problem {
	return &Problem{Reason: reason, Status: StatusRequester, SubStatus: sub, Text: text}
}

// responder is a failure on our side that the service provider is told about.
func responder(reason, sub, text string) *Problem {
	return &Problem{Reason: reason, Status: StatusResponder, SubStatus: sub, Text: text}
}

// because completes a problem with what was expected and what came; both are cut to 256 bytes, for they are strangers' text.
func (p *Problem) because(expected, received string) *Problem {
	p.Expected, p.Received = cut(expected), cut(received)
	return p
}

func (p *Problem) caused(err error) *Problem {
	p.Err = err
	return p
}

// cut shortens strangers' text for a trace, never inside a character.
func cut(s string) string {
	const most = 256
	if len(s) <= most {
		return s
	}
	end := most
	for end > 0 && s[end]&0xC0 == 0x80 {
		end--
	}
	return s[:end] + "…"
}
