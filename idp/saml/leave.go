package saml

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"gatehouse/idp/flow"
	"gatehouse/idp/session"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/templates"
)

// SOAPClient posts envelopes to other servers.
type SOAPClient interface {
	PostSOAP(ctx context.Context, address string, envelope []byte) ([]byte, error)
}

// Tell ends a person's session at an app by SOAP (profiles 4.4.3.3).
func (h *Handlers) Tell(ctx context.Context, app *sp.App, left *session.AppReached) error {
	settings := app.Definition.SAML
	endpoint, ok := h.logoutEndpoint(settings, sp.BindingSOAP)
	if !ok {
		return errors.New("the app has no logout service for SOAP that may be relied on")
	}
	message, signing, err := h.logoutRequest(ctx, settings, left, newID(), endpoint.Location)
	if err != nil {
		return err
	}
	m, err := h.askSOAP(ctx, settings, endpoint.Location, message, signing)
	if err != nil {
		return err
	}
	return m.LoggedOut.answers(settings, message.ID)
}

// askSOAP sends a request of ours from server to server; the answer that it returns is authentic, but may be to another message.
func (h *Handlers) askSOAP(ctx context.Context, settings *sp.SAML, location string, message *logoutMessage, signing *Signing) (*Message, error) {
	signed, err := message.build(signing, true)
	if err != nil {
		return nil, err
	}
	answer, err := h.SOAP.PostSOAP(ctx, location, wrapSOAP(signed))
	if err != nil {
		return nil, err
	}
	m, fault, problem := decodeSOAP(string(answer), inResponse, noHeaders)
	if fault != nil {
		return nil, errors.New("its answer is not the SOAP that was expected")
	}
	if problem == nil {
		// Over TLS the app's server is known by its certificate; a signature that is there must verify all the same.
		problem = m.Verify(settings, !strings.HasPrefix(location, "https:"))
	}
	if problem == nil {
		problem = h.checkAnswer(m, "")
	}
	if problem != nil {
		return nil, problem
	}
	return m, nil
}

// answers tells whether this is the app's yes to our message; nil is an answer of another kind.
func (l *LogoutResponse) answers(settings *sp.SAML, message string) error {
	switch {
	case l == nil || l.Issuer != settings.Metadata.EntityID || l.InResponseTo != message:
		return errors.New("its answer is to another message, or another app's")
	case !l.confirms():
		return fmt.Errorf("it answered %s %s", cut(l.Status), cut(l.SubStatus))
	}
	return nil
}

// logoutEndpoint is where an app takes logout messages; none past the end of its metadata.
func (h *Handlers) logoutEndpoint(settings *sp.SAML, bindings ...string) (sp.Endpoint, bool) {
	if settings.Metadata.Expired(h.Now()) {
		return sp.Endpoint{}, false
	}
	return settings.LogoutEndpoint(bindings...)
}

// logoutRequest says to an app exactly what it was told of the person and the session: never in clear what saml.encrypt_logout hides.
func (h *Handlers) logoutRequest(ctx context.Context, settings *sp.SAML, left *session.AppReached, id, destination string) (*logoutMessage, *Signing, error) {
	var to *Recipient
	if settings.Settings.EncryptLogout == "on" {
		if to = NameRecipient(settings); to == nil {
			return nil, nil, errors.New("the app has no key that the name could be encrypted to")
		}
	}
	signing, entityID, err := h.logoutSigning(ctx, settings)
	return &logoutMessage{
		NameTo: to, ID: id, Issuer: entityID, Destination: destination, Now: h.Now(), SessionIndex: left.SessionIndex,
		Name: NameID{Value: left.NameID, Format: left.NameIDFormat, NameQualifier: left.NameQualifier, SPNameQualifier: left.SPNameQualifier, SPProvidedID: left.SPProvidedID},
	}, signing, err
}

func (h *Handlers) logoutSigning(ctx context.Context, settings *sp.SAML) (*Signing, string, error) {
	organisation, err := h.loadSettings(ctx)
	if err != nil {
		return nil, "", err
	}
	signing, _, problem, err := h.signing(ctx, settings)
	if err == nil && problem != nil {
		err = problem
	}
	return &signing, h.entityID(organisation), err
}

// Lead sends the browser to an app with a LogoutRequest (profiles 4.4.3.3).
func (h *Handlers) Lead(w http.ResponseWriter, r *http.Request, app *sp.App, left *session.AppReached, id string) error {
	settings := app.Definition.SAML
	endpoint, ok := h.logoutEndpoint(settings, sp.BindingRedirect, sp.BindingPOST)
	if !ok {
		return errors.New("the app has no logout service for browsers that may be relied on")
	}
	message, signing, err := h.logoutRequest(r.Context(), settings, left, id, endpoint.Location)
	if err != nil {
		return err
	}
	return h.carry(w, r, app, signing, message, &carriage{binding: endpoint.Binding, location: endpoint.Location, parameter: inRequest})
}

// Answer tells the app that asked how the sign-out went. Nothing counts but what the apps confirmed.
func (h *Handlers) Answer(w http.ResponseWriter, r *http.Request, logout *flow.Logout) error {
	how := new(asker)
	if err := json.Unmarshal(logout.Payload, how); err != nil {
		return err
	}
	app, err := h.Engine.PartyOf(r.Context(), logout.App)
	if err != nil {
		return err
	}
	sub := ""
	if !logout.Complete() {
		sub = StatusPartialLogout
	}
	sent, err := h.answerLogout(w, r, app, how, StatusSuccess, sub)
	if err != nil || sent {
		return err
	}
	return h.Result(w, r, logout)
}

// Frame is none: a SAML app is led to in the window, and answers.
func (h *Handlers) Frame(*sp.App, *session.AppReached) string { return "" }

// carriage is how a message travels through the browser.
type carriage struct {
	binding, location, parameter, relayState string
	hasRelayState                            bool
}

// answerLogout sends a LogoutResponse, by the binding of the request where the app has it; false: the app has no address for it.
func (h *Handlers) answerLogout(w http.ResponseWriter, r *http.Request, app *sp.App, how *asker, status, sub string) (bool, error) {
	if app == nil || app.Definition.SAML == nil {
		return false, nil
	}
	settings := app.Definition.SAML
	signing, entityID, err := h.logoutSigning(r.Context(), settings)
	if err != nil {
		return false, err
	}
	message := &logoutMessage{ID: newID(), Issuer: entityID, Now: h.Now(), InResponseTo: how.ID, Status: status, SubStatus: sub}
	if how.Binding == sp.BindingSOAP {
		signed, err := message.build(signing, true)
		if err != nil {
			return false, err
		}
		return true, writeSOAP(w, signed)
	}
	other := sp.BindingPOST
	if how.Binding == other {
		other = sp.BindingRedirect
	}
	endpoint, ok := h.logoutEndpoint(settings, how.Binding, other)
	if !ok {
		return false, nil
	}
	message.Destination = endpoint.AnswerLocation()
	return true, h.carry(w, r, app, signing, message, &carriage{endpoint.Binding, message.Destination, inResponse, how.RelayState, how.HasRelayState})
}

// carry sends a message through the browser: by a redirect with a signed query, or by a form with a signed message in it.
func (h *Handlers) carry(w http.ResponseWriter, r *http.Request, app *sp.App, signing *Signing, message *logoutMessage, by *carriage) error {
	doc, err := message.build(signing, by.binding == sp.BindingPOST)
	if err != nil {
		return err
	}
	if by.binding == sp.BindingRedirect {
		location, err := signing.redirectURL(by.location, by.parameter, doc, by.relayState, by.hasRelayState)
		if err != nil {
			return err
		}
		web.SeeOther(w, location)
		return nil
	}
	page := templates.AutoPostPage{
		Action: by.location, App: app.Definition.Name,
		Fields: []templates.Field{{Name: by.parameter, Value: base64.StdEncoding.EncodeToString(doc)}},
	}
	if by.hasRelayState {
		page.Fields = append(page.Fields, templates.Field{Name: "RelayState", Value: by.relayState})
	}
	return web.AutoPost(w, r, h.BaseURL, &page)
}
