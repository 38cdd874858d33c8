package sp

import (
	"errors"
	"fmt"
	"time"
)

// ErrRemoved refuses to change an app that was removed.
var ErrRemoved = errors.New("the app was removed; add it again as a new app")

// StateError refuses a step of the life cycle that does not exist.
type StateError struct {
	From   State
	Action string // approve, block, unblock, remove
}

func (e *StateError) Error() string {
	hint := map[State]string{
		Pending: "it waits for approval: approve or remove it",
		Active:  "it is active already",
		Blocked: "it is blocked: unblock or remove it",
		Removed: "it was removed: add it again as a new app",
	}[e.From]
	return fmt.Sprintf("cannot %s the app: %s", e.Action, hint)
}

// New makes an active app. The caller says who may enter (PermitAll, PermitPreauthorized): there is no silent choice.
// An empty name becomes what the metadata calls the service provider. Check the result with Validate.
func New(name string, def Definition, permitted, by string, now time.Time) App {
	if name != "" {
		def.Name = name
	}
	if def.Name == "" && def.SAML != nil {
		def.Name = clip(def.SAML.Metadata.Title(), maxName)
	}
	app := App{
		ID: NewID(), State: Active, Created: now, CreatedBy: by, Changed: now,
		Definition: def, Policy: Policy{PermittedUsers: permitted},
	}
	if def.OAuth != nil {
		app.Credentials.ClientID = NewClientID()
	}
	return app
}

// Approve makes a pending app active.
func (a *App) Approve(now time.Time) error {
	err := a.move("approve", Pending, Active, now)
	if err == nil {
		a.Approved = now
	}
	return err
}

// Block shuts an active app. Ending its sessions and grants is the caller's, in the same transaction.
func (a *App) Block(now time.Time) error { return a.move("block", Active, Blocked, now) }

// Unblock opens a blocked app again.
func (a *App) Unblock(now time.Time) error { return a.move("unblock", Blocked, Active, now) }

// BlockWith shuts a client because its gateway is shut; UnblockWith opens it again, if nothing else shut it.
func (a *App) BlockWith(parent string, now time.Time) error {
	a.BlockedWith = parent
	return a.Block(now)
}

// UnblockWith opens a client that BlockWith shut.
func (a *App) UnblockWith(now time.Time) error {
	a.BlockedWith = ""
	return a.Unblock(now)
}

// Remove leaves a tombstone, whatever the state was: its entity id is free for a new app.
func (a *App) Remove(now time.Time) error { return a.move("remove", a.State, Removed, now) }

func (a *App) move(action string, from, to State, now time.Time) error {
	if a.State != from || a.State == Removed {
		return &StateError{From: a.State, Action: action}
	}
	a.State, a.Changed = to, now
	return nil
}

// ReplaceMetadata upgrades the definition to newer metadata of the same service provider. Local settings and policy stay.
func (a *App) ReplaceMetadata(m Metadata, now time.Time) error {
	switch {
	case a.State == Removed:
		return ErrRemoved
	case a.Definition.SAML == nil:
		return errors.New("the app does not use SAML; add the metadata as a new app")
	case a.EntityID() != m.EntityID:
		return fmt.Errorf("the metadata is of %q, the app is %q; add it as a new app", m.EntityID, a.EntityID())
	}
	next := *a.Definition.SAML
	next.Metadata = m
	a.Definition.SAML, a.Changed = &next, now
	return nil
}
