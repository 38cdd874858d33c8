package saml

import (
	"crypto"
	"errors"
	"slices"
	"strings"
	"time"

	"gatehouse/idp/flow"
	"gatehouse/sp"
)

// Skew is how far a request's IssueInstant may lie from our clock, either way: three minutes for clocks that differ
// (IIP-G01) and two for the way through the browser.
const Skew = 5 * time.Minute

// Env is what Check knows beside request and app.
type Env struct {
	EntityID   string // ours
	Endpoint   string // the URL that the message was sent to, from the configured base URL and never from Host
	Now        time.Time
	WantSigned bool               // the organisation setting saml.want_signed_requests
	Keys       []crypto.Decrypter // ours, for a Subject that is encrypted
	Contexts   map[string]string  // the organisation's own authentication context classes, and what each stands for
	Upstreams  []string           // entity ids of identity providers that people can sign in at through us

	affiliation string // that the app belongs to
}

// Accepted is a checked request: all that flow and answer need, and nothing that was not checked. It is kept while the
// request waits for a step. The zero value with an ACS and no ID is an unsolicited start.
type Accepted struct {
	ID            string        `json:"id,omitempty"` // empty: unsolicited
	ACS           string        `json:"acs"`
	Artifact      bool          `json:"artifact,omitempty"`  // ACS gets an artifact instead of the answer
	ECP           bool          `json:"ecp,omitempty"`       // the client takes the answer to ACS
	Authentic     bool          `json:"authentic,omitempty"` // the app signed the request
	RelayState    string        `json:"relay_state,omitempty"`
	HasRelayState bool          `json:"has_relay_state,omitempty"`
	ForceAuthn    bool          `json:"force_authn,omitempty"`
	Passive       bool          `json:"passive,omitempty"`
	NameIDFormat  string        `json:"nameid_format"`
	Qualified     bool          `json:"qualified,omitempty"`    // the request named the SPNameQualifier
	Affiliation   string        `json:"affiliation,omitempty"`  // the request wants the name that its members share
	EncryptName   bool          `json:"encrypt_name,omitempty"` // the request wants an EncryptedID
	NoCreate      bool          `json:"no_create,omitempty"`    // no persistent name may be made for this request
	Context       ContextDemand `json:"context,omitzero"`
	Subject       *SubjectID    `json:"subject,omitempty"`
	SealedSubject bool          `json:"sealed_subject,omitempty"` // it came encrypted and is shown to nobody
	Attributes    *int          `json:"attributes,omitempty"`     // AttributeConsumingServiceIndex that the metadata knows
	ProxyCount    *int          `json:"proxy_count,omitempty"`    // how many identity providers may stand behind us; nil: any
	RequesterIDs  []string      `json:"requester_ids,omitempty"`  // whom the app asks for
	IDPs          []string      `json:"idps,omitempty"`           // where the person must have signed in, if not here

	Channel    []ChannelBinding `json:"channel,omitempty"`     // that app and client have named alike
	SessionKey bool             `json:"session_key,omitempty"` // the client will share a key with the app

	generatedKey string // the key, while it is answered: kept nowhere
}

// CheckMessage verifies and checks a decoded message for its app. ACS and RelayState of the result are set whenever the
// problem is nil or not local, so that a refusal can be sent.
func CheckMessage(m *Message, app *sp.App, env Env) (Accepted, *Problem) {
	settings := app.Definition.SAML
	if settings == nil || m.Request.Issuer != settings.Metadata.EntityID {
		return Accepted{}, unknownIssuer(m.Request.Issuer)
	}
	if problem := m.Verify(settings, env.WantSigned || settings.RequireSigned()); problem != nil {
		return Accepted{}, problem
	}
	env.affiliation = app.Policy.Affiliation
	return check(m, settings, env)
}

func unknownIssuer(issuer string) *Problem {
	return local(ReasonUnknownIssuer, "This app is not connected here. Ask your administrator to add it.").because("a connected app", issuer)
}

// metadataExpired: neither the keys nor the addresses of metadata past its end may be relied on, so nothing is sent there.
func metadataExpired(md *sp.Metadata) *Problem {
	return local(flow.ReasonMetadataExpired, "What Gatehouse knows about this app is out of date, so it cannot be opened safely. Ask your administrator to renew the app's metadata.").
		because("metadata that is valid now", "valid until "+md.ValidUntil.UTC().Format(time.RFC3339))
}

func check(m *Message, app *sp.SAML, env Env) (Accepted, *Problem) {
	r := m.Request
	acs, problem := chooseACS(r, &app.Metadata)
	if m.Binding == sp.BindingSOAP {
		acs, problem = choosePAOS(r, app)
	}
	if acs.Location == "" {
		return Accepted{}, problem
	}
	a := Accepted{ID: r.ID, ACS: acs.Location, Artifact: acs.Binding == sp.BindingArtifact, RelayState: m.RelayState, HasRelayState: m.HasRelayState, ForceAuthn: r.ForceAuthn, Passive: r.IsPassive, Subject: r.Subject}
	a.ECP, a.Authentic, a.SessionKey = m.Binding == sp.BindingSOAP, m.Signed, m.client.sessionKey
	a.Passive = a.Passive || a.ECP
	a.ForceAuthn = a.ForceAuthn && !a.ECP // such a client has just signed in
	if len(m.RelayState) > app.RelayStateLimit() {
		a.RelayState, a.HasRelayState = "", false // what is too long to accept is too long to echo
		return a, requester(ReasonRelayState, "", "The app sent a RelayState that is longer than it may be. Ask the app's administrator to shorten it; saml.relay_state_limit sets the limit.")
	}
	for _, rule := range []func() *Problem{
		func() *Problem { return checkVersion(r.Version) },
		func() *Problem { return r.invalid },
		func() *Problem { return m.client.invalid },
		func() *Problem { return problem },
		func() *Problem { return checkDestination(m, env.Endpoint) },
		func() *Problem { return checkAge(r.IssueInstant, env.Now) },
		func() *Problem { return a.checkChannel(m) },
		func() *Problem { return a.openSubject(m, env.Keys) },
		func() *Problem { return a.checkScoping(r.Scoping, &env) },
		func() *Problem { return a.checkNameID(r.NameIDPolicy, app, env.affiliation) },
		func() *Problem { return a.checkContext(r.AuthnContext, app, env.Contexts) },
	} {
		if problem := rule(); problem != nil {
			return a, problem
		}
	}
	a.Attributes = knownService(r.AttributeIndex, &app.Metadata)
	return a, nil
}

// chooseACS finds where the answer goes: only ever a location that the metadata lists for POST or Artifact, with the bytes that
// it lists (core 3.4.1). Without a wish it is one for POST. A problem that comes with a location may be answered there.
func chooseACS(r *AuthnRequest, md *sp.Metadata) (sp.Endpoint, *Problem) {
	fallback, ok := md.DefaultACS(sp.BindingPOST)
	if !ok || sp.CheckLocation(fallback.Location, true) != nil {
		fallback = sp.Endpoint{}
	}
	switch {
	case r.ACSIndex != nil && (r.ACSURL != "" || r.ProtocolBinding != ""):
		return orLocal(fallback, requester(ReasonInvalid, "", "The app asked for its address by index and by URL or binding at the same time. Ask the app's administrator to choose one."))
	case r.ACSIndex != nil:
		acs, found := md.ACSByIndex(*r.ACSIndex)
		if !found {
			return orLocal(fallback, requester(ReasonACS, StatusRequestUnsupported, "The app asked for an answer at an address whose index its metadata does not list. Import the app's current metadata."))
		}
		return usable(acs, fallback)
	case r.ACSURL != "":
		acs, found := md.ACSByURL(r.ACSURL, r.ProtocolBinding)
		if r.ProtocolBinding == "" {
			acs, found = md.ACSByURL(r.ACSURL, sp.BindingPOST)
		}
		if !found {
			acs, found = md.ACSByURL(r.ACSURL)
		}
		if !found {
			return sp.Endpoint{}, local(ReasonACS, "The app asked for an answer at an address that its metadata does not list. Import the app's current metadata, or correct the address in the app.").because(locations(md), r.ACSURL)
		}
		if r.ProtocolBinding != "" && r.ProtocolBinding != acs.Binding {
			return orLocal(fallback, unsupportedBinding(r.ProtocolBinding))
		}
		return usable(acs, fallback)
	case r.ProtocolBinding != "":
		acs, found := md.DefaultACS(r.ProtocolBinding)
		if !found {
			return orLocal(fallback, unsupportedBinding(r.ProtocolBinding))
		}
		return usable(acs, fallback)
	}
	return orLocal(fallback, nil)
}

// usable refuses a binding that cannot carry an answer: never one by Redirect (profiles 4.1.2).
func usable(acs, fallback sp.Endpoint) (sp.Endpoint, *Problem) {
	if acs.Binding != sp.BindingPOST && acs.Binding != sp.BindingArtifact {
		return orLocal(fallback, unsupportedBinding(acs.Binding))
	}
	if err := sp.CheckLocation(acs.Location, true); err != nil {
		return sp.Endpoint{}, noACS()
	}
	return acs, nil
}

func orLocal(acs sp.Endpoint, problem *Problem) (sp.Endpoint, *Problem) {
	if acs.Location == "" {
		return acs, noACS()
	}
	return acs, problem
}

func noACS() *Problem {
	return local(ReasonACS, "The app's metadata lists no address that an answer can be posted to. Import metadata with an HTTP-POST assertion consumer service.")
}

func unsupportedBinding(uri string) *Problem {
	return requester(ReasonBinding, StatusUnsupportedBinding, "The app asked for an answer by a binding that is not supported. Let it ask for HTTP-POST or HTTP-Artifact, as its metadata lists it.").because(sp.BindingPOST+" "+sp.BindingArtifact, uri)
}

func locations(md *sp.Metadata) string {
	var list []string
	for _, e := range md.ACS {
		list = append(list, e.Location)
	}
	return strings.Join(list, " ")
}

func checkVersion(version string) *Problem {
	if version == "2.0" {
		return nil
	}
	sub := StatusVersionTooHigh
	if strings.HasPrefix(version, "1.") || strings.HasPrefix(version, "0.") || version == "" {
		sub = StatusVersionTooLow
	}
	p := requester(ReasonVersion, sub, "The app speaks another version of SAML. It must use SAML 2.0.").because("2.0", version)
	p.Status = StatusVersionMismatch
	return p
}

// checkDestination: if there, it must be our endpoint; if the message is signed, it must be there (bindings 3.4.5.2, 3.5.5.2).
func checkDestination(m *Message, endpoint string) *Problem {
	switch {
	case m.Head.HasDestination && m.Head.Destination != endpoint:
		return requester(ReasonDestination, "", "The app addressed its message to another server or path. Correct the address in the app.").because(endpoint, m.Head.Destination)
	case m.Signed && !m.Head.HasDestination && m.Binding != sp.BindingSOAP:
		return requester(ReasonDestination, "", "The app signed its message without saying where it goes (Destination). Ask the app's administrator to set it.").because(endpoint, "")
	}
	return nil
}

func checkAge(issued, now time.Time) *Problem {
	if age := now.Sub(issued); age > Skew || age < -Skew {
		return requester(ReasonStale, "", "The app's request is too old, or the clocks differ. Open the app again; if it happens again, ask the administrators to set the clocks.").because(now.UTC().Format(time.RFC3339), issued.UTC().Format(time.RFC3339))
	}
	return nil
}

// openSubject decrypts the name of the person whom the request is about. Only of a signed request, and with one answer to
// whatever is wrong: anybody can send what he has seen encrypted.
func (a *Accepted) openSubject(m *Message, keys []crypto.Decrypter) *Problem {
	if m.Request.encrypted == nil {
		return nil
	}
	err := errors.New("the request is not signed")
	if m.Signed {
		a.Subject, err = m.Request.encrypted.openNameID(keys)
	}
	if err != nil {
		a.Subject = nil
		return requester(ReasonInvalid, "", "The app named a person in a way that cannot be read here. Let it sign its requests, and import this identity provider's current metadata in the app.").caused(err)
	}
	a.SealedSubject = true
	return nil
}

// checkNameID settles the format and refuses what cannot be honoured exactly (core 3.4.1.1).
func (a *Accepted) checkNameID(policy *NameIDPolicy, app *sp.SAML, affiliation string) *Problem {
	if policy == nil {
		policy = &NameIDPolicy{}
	}
	asked := policy.Format
	if a.EncryptName = asked == formatEncrypted && app.NameIDFormat() != sp.NameIDNone && NameRecipient(app) != nil; a.EncryptName {
		asked = "" // the format within is ours to choose
	}
	format, known := app.NameIDFormatFor(asked)
	if !known {
		return requester(ReasonNameID, StatusInvalidNameIDPolicy, "The app asked for a kind of name that is not supported. Let it ask for persistent, transient or emailAddress, or for none.").because(strings.Join(sp.KnownNameIDFormats(), " "), policy.Format)
	}
	if q := policy.SPNameQualifier; q != "" && q == affiliation && format == sp.NameIDPersistent {
		a.Affiliation = affiliation
	} else if q != "" && q != app.Metadata.EntityID {
		return requester(ReasonNameID, StatusInvalidNameIDPolicy, "The app asked for a name that belongs to another app. Ask its administrator to correct SPNameQualifier.").because(app.Metadata.EntityID, q)
	}
	a.NameIDFormat, a.Qualified, a.NoCreate = format, policy.SPNameQualifier != "", policy.NoCreate
	return nil
}

func (a *Accepted) checkContext(asked *RequestedContext, app *sp.SAML, own map[string]string) *Problem {
	demand, ok := demandOf(asked, own, app.Leniency() == sp.LenientStronger)
	if !ok {
		return requester(ReasonAuthnContext, StatusNoAuthnContext, "The app asked for a kind of sign-in that is not available here. Ask its administrator to ask for another authentication context.").because(knownClasses(), strings.Join(asked.Classes, " "))
	}
	a.Context = demand
	return nil
}

func knownClasses() string {
	var list []string
	for _, c := range contextClasses {
		list = append(list, c.uri)
	}
	return strings.Join(list, " ")
}

// knownService is the asked attribute set if the metadata lists it; an unknown index gets the default release.
func knownService(index *int, md *sp.Metadata) *int {
	if index == nil || !slices.ContainsFunc(md.AttributeServices, func(s sp.AttributeService) bool { return s.Index == *index }) {
		return nil
	}
	return index
}

// Unsolicited is the start without a request: the default address and the app's own choice of name (profiles 4.1.5).
func Unsolicited(app *sp.SAML, relayState string) (Accepted, *Problem) {
	acs, problem := chooseACS(&AuthnRequest{}, &app.Metadata)
	if problem != nil {
		return Accepted{}, problem
	}
	return Accepted{ACS: acs.Location, RelayState: relayState, HasRelayState: relayState != "", NameIDFormat: app.NameIDFormat()}, nil
}
