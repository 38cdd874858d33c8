package saml

import (
	"context"

	"gatehouse/idp/federation"
	"gatehouse/idp/flow"
	"gatehouse/idp/session"
	"gatehouse/sp"
	"gatehouse/store"
)

// authentic finds the app that a message other than an AuthnRequest is from, and demands its signature.
func (h *Handlers) authentic(ctx context.Context, m *Message, problem *Problem) (*sp.App, *Problem, error) {
	if problem != nil {
		return nil, problem, nil
	}
	if m.Request != nil {
		return nil, wrongMessage("AuthnRequest"), nil
	}
	app, err := h.sender(ctx, m)
	if err != nil {
		return nil, nil, err
	}
	if app == nil || app.State == sp.Pending {
		return nil, unknownIssuer(m.Head.Issuer), nil
	}
	if md := &app.Definition.SAML.Metadata; md.Expired(h.Now()) {
		return app, metadataExpired(md), nil
	}
	return app, m.Verify(app.Definition.SAML, true), nil
}

// idOf is the app's id for the audit; an upstream has none.
func idOf(app *sp.App) string {
	if app == nil {
		return ""
	}
	if _, upstream := session.UpstreamOf(app.ID); upstream {
		return ""
	}
	return app.ID
}

// sender finds who a message is from: an app or, where it is about a sign-out, an upstream. One that is both is taken for the one
// that the message concerns.
func (h *Handlers) sender(ctx context.Context, m *Message) (*sp.App, error) {
	app, err := h.appOf(ctx, m.Head.Issuer)
	if err != nil || m.Logout == nil && m.LoggedOut == nil {
		return app, err
	}
	err = h.Store.View(ctx, func(tx store.Tx) error {
		party, err := federation.Party(tx, m.Head.Issuer)
		if err != nil || party == nil {
			return err
		}
		if app == nil || app.State == sp.Pending {
			app = party
			return nil
		}
		concerned, err := concerns(tx, party.ID, m)
		if concerned {
			app = party
		}
		return err
	})
	return app, err
}

// concerns tells whether a sign-out message is about somebody who came from an upstream, or answers what that was told.
func concerns(tx store.Tx, upstream string, m *Message) (bool, error) {
	if m.LoggedOut != nil {
		return flow.Asked(tx, m.LoggedOut.InResponseTo, upstream)
	}
	if m.Logout.Name == nil {
		return false, nil
	}
	n, err := session.Table.Count(tx, store.Page{Index: "name", Value: session.NameKey(upstream, m.Logout.Name.Value)}, 1)
	return n > 0, err
}

// startOf says in the audit who wanted the sign-out.
func startOf(app *sp.App) string {
	if entityID, upstream := session.UpstreamOf(app.ID); upstream {
		return "upstream " + cut(entityID)
	}
	return "SP"
}
