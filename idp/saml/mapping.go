package saml

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
)

// mapName tells an app what another app calls a person, sealed to that other app (core 3.8).
func (h *Handlers) mapName(w http.ResponseWriter, r *http.Request, app *sp.App, m *Message) error {
	answer := &logoutMessage{Element: "NameIDMappingResponse"}
	problem := h.checkAnswer(m, h.BaseURL+soapPath)
	var err error
	if problem == nil {
		problem, err = h.unsealed(r.Context(), m.Mapping.unseal)
	}
	if problem == nil && err == nil {
		answer.Body, err = h.mapped(r, app, m.Mapping)
		if errors.As(err, &problem) {
			err = nil
		}
	}
	if err == nil {
		answer.Status, answer.SubStatus, err = h.told(r, app, problem)
	}
	if err != nil {
		return err
	}
	return h.answerNames(w, r, app, m, answer)
}

// mapped is the EncryptedID of the person for the other app. Who may not ask learns nothing about the person.
func (h *Handlers) mapped(r *http.Request, app *sp.App, asked *MappingRequest) ([]byte, error) {
	other, err := h.appOf(r.Context(), asked.Policy.SPNameQualifier)
	if err != nil {
		return nil, err
	}
	if !mayMap(app, other) {
		return nil, requester(ReasonSubject, StatusRequestDenied, "The app may not ask for the names that other apps know. Ask your administrator to allow the pair (saml.may_map_to).").because("an app within saml.may_map_to", asked.Policy.SPNameQualifier)
	}
	to := NameRecipient(other.Definition.SAML)
	switch format := asked.Policy.Format; {
	case to == nil:
		return nil, responder(ReasonEncryption, StatusRequestDenied, "The other app has no key that its name could be encrypted to.")
	case format != "" && format != sp.NameIDUnspecified && format != sp.NameIDPersistent && format != formatEncrypted:
		return nil, requester(ReasonNameID, StatusInvalidNameIDPolicy, "Only persistent names are mapped.").because(sp.NameIDPersistent, format)
	}
	id, user, err := h.nameAt(r.Context(), app, other, asked.Name)
	if err != nil {
		return nil, err
	}
	sealed, err := id.encryptedID(to, declareAssertion)
	if err != nil {
		return nil, err
	}
	event := audit.Event{
		Kind: nameEvent, Outcome: audit.OK, Actor: app.ID, User: user, App: app.ID, Address: web.Of(r).AddressText(),
		Facts: map[string]string{"action": "map", "for": other.ID, "request": cut(asked.ID)},
	}
	err = h.Store.Update(r.Context(), func(tx store.Tx) error {
		if err := flow.Once(tx, onceName(app, asked.ID), h.Now().Add(2*Skew+logoutLifetime)); err != nil {
			return err
		}
		return h.Engine.Append(tx, event)
	})
	if errors.Is(err, flow.ErrReplayed) {
		return nil, requester(flow.ReasonReplay, "", "The app sent the same message twice. Let it ask anew.")
	}
	return sealed, err
}

// mayMap: only pairs that an administrator allowed, by what cannot be given to another app. Names of apps can.
func mayMap(app, other *sp.App) bool {
	return other != nil && app.State == sp.Active && other.State == sp.Active &&
		(slices.Contains(app.Policy.MayMapTo, other.ID) || slices.Contains(app.Policy.MayMapTo, other.EntityID()))
}

// nameAt is the persistent name that another app already knows a person by; mapping introduces nobody.
func (h *Handlers) nameAt(ctx context.Context, app, other *sp.App, who *SubjectID) (id NameID, userID string, err error) {
	settings, err := h.loadSettings(ctx)
	if err != nil {
		return NameID{}, "", err
	}
	var user directory.User
	var link Link
	err = h.Store.View(ctx, func(tx store.Tx) error {
		asking, err := named(tx, app, h.entityID(settings), who)
		if err != nil {
			return err
		}
		if user, _, err = directory.Users.Get(tx, asking.User); err != nil {
			return err
		}
		link, _, err = Links.Get(tx, linkKey(asking.User, other.ID))
		return err
	})
	if errors.Is(err, store.ErrNotFound) || err == nil && (link.Ended || user.Disabled) {
		return NameID{}, "", requester(ReasonSubject, StatusUnknownPrincipal, "The other app does not know the person.")
	}
	if err != nil {
		return NameID{}, "", err
	}
	namer := &Namer{Key: h.NameIDKey, Claims: h.Claims, Link: &link}
	id, problem := namer.NameID(h.entityID(settings), other, &user, &Accepted{NameIDFormat: sp.NameIDPersistent})
	if problem != nil {
		return NameID{}, "", problem
	}
	return id, user.ID, nil
}
