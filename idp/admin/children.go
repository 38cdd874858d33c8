package admin

import (
	"context"
	"errors"
	"net/http"

	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/idp/flow"
	"gatehouse/sp"
	"gatehouse/store"
)

// RegistrationToken makes the initial access token by which clients register under an app; the one before is good no longer. What
// registered by it stays.
func (a *Actions) RegistrationToken(ctx context.Context, by By, ref string) (api.RegistrationToken, error) {
	var answer api.RegistrationToken
	_, err := a.changeApp(ctx, by, ref, "app.registration_token", func(_ store.Tx, app *sp.App) (map[string]string, error) {
		switch {
		case app.State == sp.Removed:
			return nil, sp.ErrRemoved
		case app.Definition.OAuth == nil:
			return nil, refused(http.StatusConflict, "no_client", "app", "%s has no client id, so no clients can stand under it: give it one first (app add --oauth FILE --to APP).", app.Definition.Name)
		case app.Parent != "":
			return nil, refused(http.StatusConflict, "is_child", "app", "%s registered by itself, and clients like it register none: choose an app that an administrator added.", app.Definition.Name)
		}
		facts := map[string]string{"action": "generate"}
		if app.Credentials.Initial != nil {
			facts["action"] = "regenerate"
		}
		answer = api.RegistrationToken{ID: app.ID, ClientID: app.Credentials.ClientID, Token: app.NewInitialToken(a.Now()), Endpoint: a.BaseURL + "/oauth/register"}
		app.Changed = a.Now()
		return facts, nil
	})
	return answer, err
}

// children are the clients under an app that are not removed.
func children(tx store.Tx, parent string) ([]sp.App, error) {
	var found []sp.App
	err := sp.Apps.Each(tx, store.Page{Index: "parent", Value: parent}, func(_ string, app *sp.App) error {
		found = append(found, *app)
		return nil
	})
	return found, err
}

// withChildren makes a gateway's clients follow it in the same transaction: a block shuts those that are active and ends what they
// hold, an unblock opens those that it shut, a removal removes all. It returns how many followed.
func (a *Actions) withChildren(tx store.Tx, by By, parent *sp.App) (int, error) {
	all, err := children(tx, parent.ID)
	if err != nil {
		return 0, err
	}
	var ended []string
	followed := 0
	for i := range all {
		before, child := all[i], &all[i]
		kind, err := a.follow(parent, child)
		if err != nil {
			return 0, err
		}
		if kind == "" {
			continue
		}
		if err := mayChangeApp(by, &before, child); err != nil {
			return 0, err
		}
		followed++
		if child.State != sp.Active {
			ended = append(ended, child.ID)
		}
		if err := a.storeChild(tx, by, parent, child, kind); err != nil {
			return 0, err
		}
	}
	_, err = flow.WithdrawApps(tx, ended)
	return followed, err
}

// follow moves one client as its gateway was moved, and returns the kind of the event; empty: it stays as it is.
func (a *Actions) follow(parent, child *sp.App) (string, error) {
	switch {
	case parent.State == sp.Removed:
		return "app.remove", child.Remove(a.Now())
	case parent.State == sp.Blocked && child.State == sp.Active:
		return "app.block", child.BlockWith(parent.ID, a.Now())
	case parent.State == sp.Active && child.State == sp.Blocked && child.BlockedWith == parent.ID:
		return "app.unblock", child.UnblockWith(a.Now())
	}
	return "", nil
}

func (a *Actions) storeChild(tx store.Tx, by By, parent, child *sp.App, kind string) error {
	if child.State == sp.Removed {
		if err := errors.Join(flow.Forget(tx, flow.Scope{App: child.ID}), sp.Logos.Delete(tx, child.ID)); err != nil {
			return err
		}
	}
	if err := sp.Apps.Put(tx, child); err != nil {
		return err
	}
	return a.note(tx, by, audit.Event{Kind: kind, App: child.ID, Facts: map[string]string{"with": parent.ID}})
}

// mayOpen refuses to open a client whose gateway is shut.
func mayOpen(tx store.Tx, app *sp.App) error {
	if app.Parent == "" || app.Parent == sp.OpenParent {
		return nil
	}
	parent, _, err := sp.Apps.Get(tx, app.Parent)
	if err == nil && parent.State == sp.Blocked {
		return refused(http.StatusConflict, "parent_blocked", "state", "%s registered under %s, which is blocked: unblock that first.", app.Definition.Name, parent.Definition.Name)
	}
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}
