package saml

import (
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"net/http"

	"gatehouse/idp/audit"
	"gatehouse/idp/flow"
	"gatehouse/idp/session"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
)

// nidPath is where browsers carry messages about names.
const nidPath = "/saml/nid"

// nameEvent is the audit kind of everything about the names of people.
const nameEvent = "nameid"

func (h *Handlers) haltName(r *http.Request, app *sp.App, problem *Problem) error {
	return h.Engine.Halt(r, idOf(app), nameEvent, problem.reason())
}

// manageBrowser takes a ManageNameIDRequest that a browser carried. The person in the browser has no say: the signature counts.
func (h *Handlers) manageBrowser(w http.ResponseWriter, r *http.Request, m *Message, problem *Problem) error {
	app, problem, err := h.authentic(r.Context(), m, problem)
	if err != nil {
		return err
	}
	if problem == nil && m.Manage == nil {
		problem = wrongMessage(m.kind)
	}
	if problem == nil {
		if _, ok := app.Definition.SAML.NameEndpoint(sp.BindingRedirect, sp.BindingPOST); !ok {
			problem = local(ReasonInvalid, "The app wants to change a name, but its metadata does not say where the answer goes. Import metadata with a ManageNameIDService.")
		}
	}
	if problem != nil {
		return h.haltName(r, app, problem)
	}
	return h.manage(w, r, app, m, h.BaseURL+nidPath)
}

// manage does what a verified ManageNameIDRequest wants, and answers (profiles 4.5).
func (h *Handlers) manage(w http.ResponseWriter, r *http.Request, app *sp.App, m *Message, endpoint string) error {
	problem := h.checkAnswer(m, endpoint)
	if len(m.RelayState) > app.Definition.SAML.RelayStateLimit() {
		m.RelayState, m.HasRelayState = "", false // what is too long to accept is too long to echo
		problem = requester(ReasonRelayState, "", "The app sent a RelayState that is longer than it may be. Ask the app's administrator to shorten it; saml.relay_state_limit sets the limit.")
	}
	if problem == nil {
		var err error
		problem, err = h.unsealed(r.Context(), m.Manage.unseal)
		if err != nil {
			return err
		}
	}
	if problem == nil {
		err := h.change(r, app, m)
		if err != nil && !errors.As(err, &problem) {
			return err
		}
	}
	status, sub, err := h.told(r, app, problem)
	if err != nil {
		return err
	}
	return h.answerNames(w, r, app, m, &logoutMessage{Element: "ManageNameIDResponse", Status: status, SubStatus: sub})
}

// unsealed opens the encrypted parts of a message with our keys.
func (h *Handlers) unsealed(ctx context.Context, open func([]crypto.Decrypter) error) (*Problem, error) {
	keys, err := h.decrypters(ctx)
	if err != nil {
		return nil, err
	}
	if err := open(keys); err != nil {
		return requester(ReasonInvalid, "", "The app encrypted a name in its message so that it cannot be read here. Import this identity provider's current metadata in the app.").caused(err), nil
	}
	return nil, nil
}

// told is the status of an answer, with the reason of a refusal in the audit.
func (h *Handlers) told(r *http.Request, app *sp.App, problem *Problem) (status, sub string, err error) {
	if problem == nil {
		return StatusSuccess, "", nil
	}
	err = h.haltName(r, app, problem)
	var page *web.Error
	if errors.As(err, &page) && !problem.Local {
		return problem.Status, problem.SubStatus, nil
	}
	return "", "", err
}

// change writes what the app wants, with its audit entry. An error is a *Problem where the app is at fault.
func (h *Handlers) change(r *http.Request, app *sp.App, m *Message) error {
	settings, err := h.loadSettings(r.Context())
	if err != nil {
		return err
	}
	asked := m.Manage
	if app.State != sp.Active {
		return requester(ReasonSubject, StatusRequestDenied, "The app is blocked here, so it cannot change names.")
	}
	err = h.Store.Update(r.Context(), func(tx store.Tx) error {
		link, err := named(tx, app, h.entityID(settings), asked.Name)
		if err != nil {
			return err
		}
		if err := flow.Once(tx, onceName(app, asked.ID), h.Now().Add(2*Skew+logoutLifetime)); err != nil {
			return err
		}
		action := "new_id"
		if asked.Terminate {
			action = "terminate"
			link.end()
		} else {
			link.SPProvidedID = asked.NewID
		}
		if err := Links.Put(tx, link); err != nil {
			return err
		}
		return h.Engine.Append(tx, audit.Event{
			Kind: nameEvent, Outcome: audit.OK, Actor: app.ID, User: link.User, App: app.ID, Address: web.Of(r).AddressText(),
			Facts: map[string]string{"action": action, "request": cut(asked.ID)},
		})
	})
	if errors.Is(err, flow.ErrReplayed) {
		return refusal(err)
	}
	return err
}

// end ends a name for good: what comes after it is another.
func (l *Link) end() {
	l.Ended, l.Salt, l.SPProvidedID = true, rand.Text(), ""
}

// named finds the link that a name of an app means: by the value and all that is said with it (core 3.3.4), among the persistent
// names that are the app's own. A name that an affiliation shares is no single member's to change.
func named(tx store.Tx, app *sp.App, idp string, who *SubjectID) (*Link, error) {
	found, _, err := Links.List(tx, store.Page{Index: "name", Value: session.NameKey(app.ID, who.Value), Limit: 1})
	if err != nil {
		return nil, err
	}
	full := NameID{Value: who.Value, Format: sp.NameIDPersistent, NameQualifier: idp, SPNameQualifier: app.EntityID()}
	if len(found) == 0 || !who.matches(&full) || who.SPProvidedID != "" && who.SPProvidedID != found[0].SPProvidedID {
		return nil, requester(ReasonSubject, StatusUnknownPrincipal, "The app named somebody by a name that it was not given, or that has ended.")
	}
	return &found[0], nil
}

// answerNames sends an answer about names, by the binding of the request.
func (h *Handlers) answerNames(w http.ResponseWriter, r *http.Request, app *sp.App, m *Message, answer *logoutMessage) error {
	settings := app.Definition.SAML
	signing, entityID, err := h.logoutSigning(r.Context(), settings)
	if err != nil {
		return err
	}
	answer.ID, answer.Issuer, answer.Now, answer.InResponseTo = newID(), entityID, h.Now(), m.Head.ID
	if m.Binding == sp.BindingSOAP {
		signed, err := answer.build(signing, true)
		if err != nil {
			return err
		}
		return writeSOAP(w, signed)
	}
	endpoint, _ := settings.NameEndpoint(m.Binding, sp.BindingPOST, sp.BindingRedirect)
	answer.Destination = endpoint.AnswerLocation()
	return h.carry(w, r, app, signing, answer, &carriage{endpoint.Binding, answer.Destination, inResponse, m.RelayState, m.HasRelayState})
}

// unsupported answers a query that is not offered, to nobody but a sender whose signature verified.
func (h *Handlers) unsupported(w http.ResponseWriter, r *http.Request, app *sp.App, m *Message) error {
	problem := h.checkAnswer(m, h.BaseURL+soapPath)
	if problem == nil {
		problem = requester(ReasonInvalid, StatusRequestUnsupported, "The app asked something that is not offered here. What is offered is in the metadata.").because("", m.kind)
	}
	status, sub, err := h.told(r, app, problem)
	if err != nil {
		return err
	}
	return h.answerNames(w, r, app, m, &logoutMessage{Element: "Response", Status: status, SubStatus: sub})
}
