package saml

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"

	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/outbound"
	"gatehouse/idp/session"
	"gatehouse/sp"
	"gatehouse/store"
)

// OutboxKind is the kind of the outbox rows that tell apps of changed names.
const OutboxKind = "nameid"

// renewed is the payload of such a row.
type renewed struct {
	User string `json:"user"`
	App  string `json:"app"`
	Old  NameID `json:"old"`
	New  string `json:"new,omitempty"` // empty: the old one ends
}

// RenewName gives a person a new persistent name at an app, or ends the old one, inside the caller's transaction. The app is told
// after the commit, if its metadata has a service for that and the old name can still be made; false: it is not.
func (h *Handlers) RenewName(tx store.Tx, app *sp.App, user *directory.User, end bool) (told bool, err error) {
	link, _, err := Links.Get(tx, linkKey(user.ID, app.ID))
	if err == nil && link.Ended {
		err = store.ErrNotFound
	}
	if err != nil {
		return false, err
	}
	row := renewed{User: user.ID, App: app.ID}
	if row.Old, err = h.nameOf(tx, app, user, &link); err != nil {
		return false, err
	}
	known := session.NameKey(app.ID, row.Old.Value) == link.Name
	if end {
		link.end()
	} else {
		link.Salt = rand.Text()
		row.New = (&Namer{Key: h.NameIDKey, Link: &link}).persistent(user.ID, app.ID)
		link.Name = session.NameKey(app.ID, row.New)
	}
	if err := Links.Put(tx, &link); err != nil {
		return false, err
	}
	if _, ok := app.Definition.SAML.NameEndpoint(sp.BindingSOAP); !ok || !known {
		return false, nil
	}
	payload, err := json.Marshal(&row)
	if err != nil {
		return false, err
	}
	return true, outbound.Enqueue(tx, &outbound.Row{ID: OutboxKind + "/" + rand.Text(), Kind: OutboxKind, Payload: payload})
}

// nameOf is the persistent name as the app was told it; the zero value where it cannot be made any more.
func (h *Handlers) nameOf(tx store.Tx, app *sp.App, user *directory.User, link *Link) (NameID, error) {
	settings, _, err := h.settings.Get(tx, directory.SettingsTable, directory.SettingsKey)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return NameID{}, err
	}
	namer := &Namer{Key: h.NameIDKey, Claims: h.Claims, Link: link}
	id, _ := namer.NameID(h.entityID(settings), app, user, &Accepted{NameIDFormat: sp.NameIDPersistent})
	return id, nil
}

// NameSender tells apps of changed names: the outbox calls it.
type NameSender struct{ Handlers *Handlers }

// Send tells one app by SOAP (profiles 4.5), and returns nil only when it confirmed.
func (s *NameSender) Send(ctx context.Context, payload []byte) error {
	var row renewed
	if err := json.Unmarshal(payload, &row); err != nil {
		return err
	}
	h := s.Handlers
	app, err := h.Engine.AppOf(ctx, row.App)
	if err != nil || app == nil || app.Definition.SAML == nil {
		return err // it cannot be told any more
	}
	settings := app.Definition.SAML
	endpoint, ok := settings.NameEndpoint(sp.BindingSOAP)
	if !ok {
		return nil
	}
	if settings.Metadata.Expired(h.Now()) {
		return metadataExpired(&settings.Metadata)
	}
	signing, entityID, err := h.logoutSigning(ctx, settings)
	if err != nil {
		return err
	}
	message := &logoutMessage{Element: "ManageNameIDRequest", ID: newID(), Issuer: entityID, Destination: endpoint.Location, Now: h.Now(), Body: row.body()}
	m, err := h.askSOAP(ctx, settings, endpoint.Location, message, signing)
	if err != nil {
		return err
	}
	return m.Managed.answers(settings, message.ID)
}

func (r *renewed) body() []byte {
	doc := r.Old.appendTo([]byte(`<saml:NameID xmlns:saml="` + nsAssertion + `"`))
	if r.New == "" {
		return append(doc, `<samlp:Terminate></samlp:Terminate>`...)
	}
	return append(appendText(append(doc, `<samlp:NewID>`...), r.New), `</samlp:NewID>`...)
}

// GaveUp notes that an app could not be told: it knows the person by a name that is no longer sent.
func (s *NameSender) GaveUp(tx store.Tx, payload []byte, cause error) error {
	var row renewed
	if err := json.Unmarshal(payload, &row); err != nil {
		return err
	}
	_, err := s.Handlers.Engine.Audit.Append(tx, audit.Event{
		Kind: nameEvent, Outcome: audit.Failed, Reason: "app_not_told", Actor: "system", User: row.User, App: row.App, Detail: cut(cause.Error()),
	})
	return err
}
