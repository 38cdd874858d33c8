package saml

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"gatehouse/idp/flow"
	"gatehouse/idp/session"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
	"gatehouse/templates"
)

// Issue builds the signed answer for a person whom flow let in. Whatever makes a truthful, protected answer impossible is a
// *flow.CannotIssue.
func (h *Handlers) Issue(ctx context.Context, pass *flow.Pass) (flow.Answer, error) {
	asked, err := payload(pass)
	if err != nil {
		return flow.Answer{}, err
	}
	link, problem, err := h.link(ctx, pass, asked)
	if err != nil {
		return flow.Answer{}, err
	}
	var st *Statement
	if problem == nil {
		st, problem = h.statement(ctx, pass, asked, link)
	}
	if problem != nil {
		return flow.Answer{}, &flow.CannotIssue{Reason: problem.reason()}
	}
	to, problem := RecipientFor(pass.App.Definition.SAML)
	if problem == nil {
		problem = st.shareKey(asked, to)
	}
	if problem != nil {
		return flow.Answer{}, &flow.CannotIssue{Reason: problem.reason()}
	}
	signing, revision, problem, err := h.signing(ctx, pass.App.Definition.SAML)
	if err != nil {
		return flow.Answer{}, err
	}
	if problem != nil {
		return flow.Answer{}, &flow.CannotIssue{Reason: problem.reason()}
	}
	response, err := Build(st, &signing, to)
	if err != nil {
		p := responder(ReasonAttributes, "", "What this app needs to know about you holds characters that cannot be sent. Ask your administrator to correct your account.").caused(err)
		return flow.Answer{}, &flow.CannotIssue{Reason: p.reason()}
	}
	describe(pass, asked, &signing, to, &response)
	pass.Event.Facts["assertion"] = response.AssertionID
	pass.Event.Facts["nameid_format"], pass.Event.Facts["class"] = st.NameID.Format, st.Class
	if names := longValued(st.Attributes); names != "" {
		pass.Event.Facts["long_values"] = names
	}
	reach(pass.Reached, st)
	answer := h.answer(pass, asked, response.XML, revision)
	if link == nil {
		return answer, nil
	}
	withKey := answer.Commit
	answer.Commit = func(tx store.Tx) error {
		if err := withKey(tx); err != nil {
			return err
		}
		return link.commit(tx, st.NameID.Value)
	}
	return answer, nil
}

// reach notes what a LogoutRequest must say of this answer, exactly.
func reach(reached *session.AppReached, st *Statement) {
	reached.SessionIndex, reached.NameID, reached.NameIDFormat = st.SessionIndex, st.NameID.Value, st.NameID.Format
	reached.NameQualifier, reached.SPNameQualifier, reached.SPProvidedID = st.NameID.NameQualifier, st.NameID.SPNameQualifier, st.NameID.SPProvidedID
}

// statement gathers what the answer says.
func (h *Handlers) statement(ctx context.Context, pass *flow.Pass, asked *Accepted, link *linked) (*Statement, *Problem) {
	app, settings := pass.App, pass.App.Definition.SAML
	if problem := stillRegistered(app, asked); problem != nil {
		return nil, problem
	}
	evidence := Evidence{Level: sp.Level(pass.Session.Level)}
	for _, method := range pass.Session.Methods {
		evidence.Methods = append(evidence.Methods, method.Name)
	}
	broker := pass.Session.Broker()
	if problem := mayPassOn(broker, asked, settings.Metadata.EntityID); problem != nil {
		return nil, problem
	}
	evidence.Methods = append(evidence.Methods, brokeredMethods(broker)...)
	class, ok := asked.Context.Class(evidence)
	if !ok {
		return nil, responder(ReasonAuthnContext, StatusNoAuthnContext, "This app asks for another kind of sign-in than yours. Ask your administrator to relax saml.authn_context_leniency, or to change what the app asks for.")
	}
	person := h.person(ctx, pass)
	entityID := h.entityID(pass.Settings)
	id, problem := h.nameID(pass, asked, entityID, link)
	if problem != nil {
		return nil, problem
	}
	attributes, problem := ReleaseTo(app, person, asked.Attributes, h.Claims)
	if problem != nil {
		return nil, problem
	}
	if names := missing(&settings.Metadata, asked.Attributes, attributes); len(names) > 0 {
		if settings.Settings.MissingAttributes == sp.MissingRefuse {
			return nil, errMissing(names)
		}
		pass.Event.Facts["missing"] = cut(strings.Join(names, " "))
	}
	st := &Statement{
		Issuer: entityID, Audience: settings.Metadata.EntityID, Recipient: asked.ACS, InResponseTo: asked.ID, NameID: id,
		Now: pass.Now, Lifetime: settings.AssertionLifetime(), AuthnInstant: pass.Session.AuthAt(), SessionIndex: sessionIndex(pass),
		SessionEnds: sessionEnds(pass), Class: class, Attributes: attributes, OneTimeUse: settings.Settings.OneTimeUse,
		Consent: consentOf(pass), Channel: asked.Channel,
	}
	st.passOn(broker, settings.Settings.AuthenticatingAuthority != "off")
	return st, st.seal(asked, settings)
}

// Identifiers of consent (core 8.4).
const (
	consentUnspecified = "urn:oasis:names:tc:SAML:2.0:consent:unspecified"
	consentPrior       = "urn:oasis:names:tc:SAML:2.0:consent:prior"
	consentNow         = "urn:oasis:names:tc:SAML:2.0:consent:current-explicit"
)

// consentOf says what the person agreed to, for an app that is set to be told: now, within this request, or some time before.
func consentOf(pass *flow.Pass) string {
	switch {
	case pass.App.Definition.SAML.Settings.SendConsent != "on":
		return ""
	case pass.Consent == nil || len(pass.Asks) == 0:
		return consentUnspecified
	case !pass.Request.Created.IsZero() && !pass.Consent.Given.Before(pass.Request.Created):
		return consentNow
	}
	return consentPrior
}

// nameID names the person, and refuses to answer about another one than the request demands. A transient name lasts as long
// as the session.
func (h *Handlers) nameID(pass *flow.Pass, asked *Accepted, entityID string, link *linked) (NameID, *Problem) {
	namer := &Namer{Key: h.NameIDKey, Claims: h.Claims}
	if link != nil {
		namer.Link = &link.Link
	}
	id, problem := namer.NameID(entityID, pass.App, pass.User, asked)
	if problem != nil {
		return NameID{}, problem
	}
	for i := range pass.Session.Apps {
		if known := &pass.Session.Apps[i]; known.App == pass.App.ID && id.Format == sp.NameIDTransient && known.NameIDFormat == id.Format {
			id.Value = known.NameID
		}
	}
	if asked.Subject != nil && !asked.Subject.matches(&id) {
		return NameID{}, responder(ReasonSubject, StatusUnknownPrincipal, "The app asked for another person than the one who is signed in here. Sign out and open the app again.")
	}
	return id, nil
}

// sessionIndex names the session to this app alone: random, and the same for every answer within the session.
func sessionIndex(pass *flow.Pass) string {
	for i := range pass.Session.Apps {
		if known := &pass.Session.Apps[i]; known.App == pass.App.ID && known.SessionIndex != "" {
			return known.SessionIndex
		}
	}
	return newID()
}

// sessionEnds is the earliest of the app's session lifetime, the session timeout of its policy, else of the person's profile,
// and our own session, which the organisation limits; zero when nothing but the organisation sets one.
func sessionEnds(pass *flow.Pass) time.Time {
	lifetime := pass.App.Definition.SAML.Settings.SessionLifetime
	if limit := pass.SessionTimeout(); limit > 0 && (lifetime == 0 || limit < lifetime) {
		lifetime = limit
	}
	if lifetime <= 0 {
		return time.Time{}
	}
	if ends := pass.Now.Add(lifetime); ends.Before(pass.Session.Ends) {
		return ends
	}
	return pass.Session.Ends
}

// Refuse tells the service provider why not, or the person, where there is nobody to tell or the app's setting says so.
func (h *Handlers) Refuse(ctx context.Context, pass *flow.Pass, reason flow.Reason) (flow.Answer, error) {
	asked, err := payload(pass)
	if err != nil {
		return flow.Answer{}, err
	}
	status, sub := statusOf(notByPage(asked, reason))
	if status == "" || asked.ID == "" || stillRegistered(pass.App, asked) != nil || staysHere(pass, asked, reason) {
		return flow.Page(pass, reason), nil
	}
	signing, revision, problem, err := h.signing(ctx, pass.App.Definition.SAML)
	if err != nil {
		return flow.Answer{}, err
	}
	if problem != nil {
		return flow.Page(pass, reason), nil
	}
	refusal := Refusal{
		Issuer: h.entityID(pass.Settings), Recipient: asked.ACS, InResponseTo: asked.ID, Now: pass.Now,
		Status: status, SubStatus: sub, Message: reason.Text,
	}
	response, err := BuildRefusal(&refusal, &signing)
	if err != nil {
		return flow.Answer{}, err
	}
	describe(pass, asked, &signing, nil, &response)
	pass.Event.Facts["status"] = strings.TrimSpace(status + " " + sub)
	return h.answer(pass, asked, response.XML, revision), nil
}

// staysHere: a denial that the app's setting keeps on a page of ours. A passive request never gets a page.
func staysHere(pass *flow.Pass, asked *Accepted, reason flow.Reason) bool {
	return !asked.Passive && reason.Status == "" && !reason.SignIn && reason.Type != flow.ReasonCancelled && pass.App.Definition.SAML.DeniedAnswer() == sp.DeniedPage
}

// statusOf is the pair of status codes for a reason; empty: the service provider is not told.
func statusOf(reason flow.Reason) (status, sub string) {
	if reason.Status != "" {
		status, sub, _ = strings.Cut(reason.Status, " ")
		return status, sub
	}
	switch reason.Type {
	case flow.ReasonUnknownApp, flow.ReasonAppPending, flow.ReasonMetadataExpired:
		return "", ""
	case flow.ReasonNoPassive:
		return StatusResponder, StatusNoPassive
	case flow.ReasonWrongSubject:
		return StatusResponder, StatusUnknownPrincipal
	case flow.ReasonLevel, string(sp.RuleLevel):
		return StatusResponder, StatusNoAuthnContext
	case flow.ReasonCancelled, string(sp.RuleUserActive):
		return StatusResponder, StatusAuthnFailed
	}
	if reason.SignIn {
		return StatusResponder, StatusAuthnFailed
	}
	return StatusResponder, StatusRequestDenied
}

// stillRegistered: a request may have waited while the app's metadata was replaced.
func stillRegistered(app *sp.App, asked *Accepted) *Problem {
	if app != nil && app.Definition.SAML != nil {
		if _, ok := app.Definition.SAML.Metadata.ACSByURL(asked.ACS, asked.binding()); ok {
			return nil
		}
	}
	return local(ReasonACS, "The app's address was changed while you signed in. Open the app again.")
}

func payload(pass *flow.Pass) (*Accepted, error) {
	asked := new(Accepted)
	return asked, json.Unmarshal(pass.Request.Payload, asked)
}

// describe adds the facts that an admin needs to follow an answer; never a name identifier.
func describe(pass *flow.Pass, asked *Accepted, signing *Signing, to *Recipient, response *Response) {
	facts := pass.Event.Facts
	facts["request"], facts["response"], facts["acs"] = cut(asked.ID), response.ID, asked.ACS
	facts["signature"], facts["key"] = signing.algorithm.name, signing.key.ID
	if to != nil {
		facts["encryption"] = to.cipher.name
	}
	if len(asked.Channel) > 0 {
		facts["channel"] = cut(bindingTypes(asked.Channel))
	}
}

// answer posts a message to the app's address through the browser, or an artifact that the app exchanges for it, once it is
// committed with the key that signed it.
func (h *Handlers) answer(pass *flow.Pass, asked *Accepted, xml []byte, revision store.Revision) flow.Answer {
	field := templates.Field{Name: inResponse, Value: base64.StdEncoding.EncodeToString(xml)}
	var kept *Artifact
	if asked.Artifact {
		kept, field = h.newArtifact(pass, xml)
	}
	page := templates.AutoPostPage{Action: asked.ACS, App: pass.App.Definition.Name, Fields: []templates.Field{field}}
	if asked.HasRelayState {
		page.Fields = append(page.Fields, templates.Field{Name: "RelayState", Value: asked.RelayState})
	}
	return flow.Answer{
		Commit: func(tx store.Tx) error {
			is, err := h.Keys.Revision(tx)
			switch {
			case err != nil:
				return err
			case is != revision:
				return flow.ErrChanged
			case kept != nil:
				return Artifacts.Put(tx, kept)
			}
			return nil
		},
		Write: func(w http.ResponseWriter, r *http.Request) error {
			if asked.ECP {
				return writeECP(w, asked, xml)
			}
			return web.AutoPost(w, r, h.BaseURL, &page)
		},
	}
}
