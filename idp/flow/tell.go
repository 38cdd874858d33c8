package flow

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"gatehouse/idp/audit"
	"gatehouse/idp/outbound"
	"gatehouse/idp/session"
	"gatehouse/sp"
	"gatehouse/store"
)

// Leaver is what a protocol does to end a person's session at an app.
type Leaver interface {
	// Tell tells an app from server to server, and returns nil only when the app confirmed.
	Tell(ctx context.Context, app *sp.App, left *session.AppReached) error
	// Lead sends the browser to the app with a message of the given id; the app's answer comes back to Engine.Left.
	Lead(w http.ResponseWriter, r *http.Request, app *sp.App, left *session.AppReached, message string) error
	// Frame is an address that ends the session at the app when a page of ours shows it in a frame; empty: it has none.
	Frame(app *sp.App, left *session.AppReached) string
	// Answer tells the app that asked for the sign-out how it went.
	Answer(w http.ResponseWriter, r *http.Request, logout *Logout) error
}

// OutboxKind is the kind of the outbox rows that Withdraw writes.
const OutboxKind = "logout"

// told is the payload of such a row.
type told struct {
	User    string             `json:"user"`
	Session string             `json:"session"` // handle
	Reached session.AppReached `json:"reached"`
}

// tellApps writes an outbox row for each app of a session that can be told from server to server.
func tellApps(tx store.Tx, scope Scope, s *session.Session, ways map[string]sp.LogoutWay) error {
	for i := range s.Apps {
		reached := s.Apps[i]
		if scope.App != "" && reached.App != scope.App || reached.App == scope.Told {
			continue
		}
		way, err := wayOf(tx, &reached, ways)
		if err != nil {
			return err
		}
		if way != sp.LogoutBack {
			continue
		}
		payload, err := json.Marshal(told{s.User, s.Handle, reached})
		if err != nil {
			return err
		}
		if err := outbound.Enqueue(tx, &outbound.Row{ID: rowOf(s.Handle, &reached), Kind: OutboxKind, Payload: payload, Due: scope.Due}); err != nil {
			return err
		}
	}
	return nil
}

func rowOf(handle string, reached *session.AppReached) string {
	return OutboxKind + "/" + handle + "/" + session.NameKey(reached.App, reached.NameID) + "/" + reached.SessionIndex
}

// PartyOf is who takes part in a sign-out under an id of session.AppReached: an app, or an upstream. Nil: there is no such one any more.
func (e *Engine) PartyOf(ctx context.Context, id string) (*sp.App, error) {
	entityID, ok := session.UpstreamOf(id)
	if !ok {
		return e.AppOf(ctx, id)
	}
	var party *sp.App
	err := e.Store.View(ctx, func(tx store.Tx) (err error) {
		party, err = e.Party(tx, entityID)
		return err
	})
	return party, err
}

// wayOf remembers how each app is told: a block may concern 100,000 sessions of one app.
func wayOf(tx store.Tx, reached *session.AppReached, ways map[string]sp.LogoutWay) (sp.LogoutWay, error) {
	id := reached.Protocol + ":" + reached.App
	if way, ok := ways[id]; ok {
		return way, nil
	}
	app, _, err := sp.Apps.Get(tx, reached.App)
	if err = absent(err); err != nil {
		return "", err
	}
	ways[id] = app.LogoutWay(reached.Protocol)
	return ways[id], nil
}

// Send tells one app that a session ended: the outbox calls it.
func (e *Engine) Send(ctx context.Context, payload []byte) error {
	var row told
	if err := json.Unmarshal(payload, &row); err != nil {
		return err
	}
	app, err := e.PartyOf(ctx, row.Reached.App)
	if err != nil || app == nil || app.LogoutWay(row.Reached.Protocol) != sp.LogoutBack {
		return err // it cannot be told any more
	}
	return e.tellLeft(ctx, app, &row.Reached)
}

func (e *Engine) tellLeft(ctx context.Context, app *sp.App, left *session.AppReached) error {
	leaver := e.leaverOf(app, left)
	if leaver == nil {
		return fmt.Errorf("nobody tells apps like %s that a session ended", app.ID)
	}
	return leaver.Tell(ctx, app, left)
}

// leaverOf is the protocol by which the app got the session.
func (e *Engine) leaverOf(app *sp.App, left *session.AppReached) Leaver {
	if left.Protocol != "" {
		return e.Leavers[left.Protocol]
	}
	return e.Leavers[e.ProtocolOf(app)]
}

// GaveUp notes that an app could not be told, which an administrator may have to make up for.
func (e *Engine) GaveUp(tx store.Tx, payload []byte, cause error) error {
	var row told
	if err := json.Unmarshal(payload, &row); err != nil {
		return err
	}
	_, err := e.Audit.Append(tx, audit.Event{
		Kind: "logout.tell", Outcome: audit.Failed, Reason: "app_not_told", Actor: "system", User: row.User, App: row.Reached.App,
		Detail: short(cause), Facts: map[string]string{"session": row.Session},
	})
	return err
}

func short(err error) string {
	text := err.Error()
	return text[:min(len(text), 300)]
}
