package admin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/idp/federation"
	"gatehouse/idp/flow"
	"gatehouse/sp"
	"gatehouse/store"
)

// AppFilter chooses apps for a list. An empty State means all but the removed ones.
type AppFilter struct {
	State string
	// Parent is the app under which they registered, or sp.OpenParent; empty: any.
	Parent string
	Ref    string // only the app that an id, a name or an entity id stands for
	After  string
	Limit  int // 1 to 1,000; otherwise 1,000
}

const maxPage = 1000

// Apps lists apps by id.
func (a *Actions) Apps(ctx context.Context, filter AppFilter) (api.List[api.App], error) {
	var list api.List[api.App]
	err := a.view(ctx, func(tx store.Tx) error {
		records, next, err := listApps(tx, filter)
		list = api.List[api.App]{Items: make([]api.App, 0, len(records)), Next: next}
		for i := range records {
			list.Items = append(list.Items, wireApp(&records[i]))
		}
		return err
	})
	return list, err
}

func listApps(tx store.Tx, filter AppFilter) ([]sp.App, string, error) {
	if filter.Ref != "" {
		app, err := findApp(tx, filter.Ref)
		if err != nil {
			return nil, "", err
		}
		return []sp.App{app}, "", nil
	}
	if filter.Parent != "" {
		return listChildren(tx, filter)
	}
	page := store.Page{After: filter.After, Limit: pageSize(filter.Limit)}
	if filter.State == "" {
		records, next, err := sp.Apps.List(tx, page)
		return slices.DeleteFunc(records, func(app sp.App) bool { return app.State == sp.Removed }), next, err
	}
	if !slices.Contains([]sp.State{sp.Pending, sp.Active, sp.Blocked, sp.Removed}, sp.State(filter.State)) {
		return nil, "", badValue("state", "There is no state %.40q: choose pending, active, blocked or removed.", filter.State)
	}
	page.Index, page.Value = "state", filter.State
	return sp.Apps.List(tx, page)
}

// listChildren lists the clients under an app, in one state or in any.
func listChildren(tx store.Tx, filter AppFilter) ([]sp.App, string, error) {
	if filter.Parent != sp.OpenParent {
		parent, err := findApp(tx, filter.Parent)
		if err != nil {
			return nil, "", err
		}
		filter.Parent = parent.ID
	}
	records, next, err := sp.Apps.List(tx, store.Page{After: filter.After, Limit: pageSize(filter.Limit), Index: "parent", Value: filter.Parent})
	return slices.DeleteFunc(records, func(app sp.App) bool { return filter.State != "" && string(app.State) != filter.State }), next, err
}

func pageSize(limit int) int {
	if limit < 1 || limit > maxPage {
		return maxPage
	}
	return limit
}

// App shows one app with its metadata, settings and warnings.
func (a *Actions) App(ctx context.Context, ref string) (api.App, error) {
	var shown api.App
	err := a.view(ctx, func(tx store.Tx) error {
		app, err := findApp(tx, ref)
		if err != nil {
			return err
		}
		shown, err = a.show(tx, &app)
		return err
	})
	return shown, err
}

// SetApp changes settings of an app: all of them, or none.
func (a *Actions) SetApp(ctx context.Context, by By, ref string, values map[string]string) (api.App, error) {
	if len(values) == 0 {
		return api.App{}, badValue("set", "Nothing was to be set: name at least one KEY=VALUE.")
	}
	var seen sector
	if setsSector(values) {
		var err error
		seen, err = a.vouched(ctx, func(tx store.Tx) (before, after sp.App, err error) {
			if before, err = findApp(tx, ref); err == nil {
				after = before
				err = a.set(tx, by, &after, values)
			}
			return before, after, err
		})
		if err != nil {
			return api.App{}, err
		}
	}
	return a.changeApp(ctx, by, ref, "app.set", func(tx store.Tx, app *sp.App) (map[string]string, error) {
		before, open := *app, !app.Policy.LetsNobodyIn()
		if err := a.set(tx, by, app, values); err != nil {
			return nil, err
		}
		if err := inSector(&before, app, seen); err != nil {
			return nil, err
		}
		if open && app.Policy.LetsNobodyIn() && !by.Force && !by.Empty {
			return nil, refused(http.StatusConflict, "lets_nobody_in", "policy.permitted_users", "After this nobody could enter %s, so nothing was changed: choose who may, or confirm that nobody may (on the command line with --force).", app.Definition.Name)
		}
		app.Changed = a.Now()
		return describe(values), nil
	})
}

// set makes an app what the values say, as far as that is the actor's to say.
func (a *Actions) set(tx store.Tx, by By, app *sp.App, values map[string]string) error {
	if err := mayAskOf(by, app, values); err != nil {
		return err
	}
	before := *app
	if err := a.apply(tx, app, values); err != nil {
		return err
	}
	if err := mustConfirm(&before, app, values); err != nil {
		return err
	}
	return mayChangeApp(by, &before, app)
}

// BlockApp shuts an app: its place in every session ends in the same transaction.
func (a *Actions) BlockApp(ctx context.Context, by By, ref string) (api.App, error) {
	return a.endApp(ctx, by, ref, "app.block", "blocked", (*sp.App).Block)
}

// RemoveApp removes an app and leaves its tombstone; its entity id is free again.
func (a *Actions) RemoveApp(ctx context.Context, by By, ref string) (api.App, error) {
	return a.endApp(ctx, by, ref, "app.remove", "removed", (*sp.App).Remove)
}

// UnblockApp opens a blocked app again.
func (a *Actions) UnblockApp(ctx context.Context, by By, ref string) (api.App, error) {
	return a.changeApp(ctx, by, ref, "app.unblock", func(tx store.Tx, app *sp.App) (map[string]string, error) {
		if err := mayOpen(tx, app); err != nil {
			return nil, err
		}
		if err := app.UnblockWith(a.Now()); err != nil {
			return nil, err
		}
		followed, err := a.withChildren(tx, by, app)
		return map[string]string{"clients": strconv.Itoa(followed)}, err
	})
}

// ApproveApp makes a pending app active: the one that was looked at, for a client that waits can change what it says of itself.
func (a *Actions) ApproveApp(ctx context.Context, by By, ref string, ask api.ApproveApp) (api.App, error) {
	return a.changeApp(ctx, by, ref, "app.approve", func(tx store.Tx, app *sp.App) (map[string]string, error) {
		if !ask.Seen.IsZero() && !ask.Seen.Equal(app.Changed) {
			return nil, changedMeanwhile(app.Definition.Name)
		}
		if err := mayOpen(tx, app); err != nil {
			return nil, err
		}
		return nil, app.Approve(a.Now())
	})
}

func changedMeanwhile(app string) error {
	return refused(http.StatusConflict, "changed_meanwhile", "seen", "%s is not what you looked at any more, so it was not approved: look at it again, where its answers go to above all.", app)
}

func (a *Actions) endApp(ctx context.Context, by By, ref, kind, word string, move func(*sp.App, time.Time) error) (api.App, error) {
	return a.changeApp(ctx, by, ref, kind, func(tx store.Tx, app *sp.App) (map[string]string, error) {
		if flow.IsBuiltin(app.ID) {
			return nil, refused(http.StatusConflict, "builtin", "app", "%s is part of Gatehouse and cannot be %s: set who may use it instead.", app.Definition.Name, word)
		}
		if err := move(app, a.Now()); err != nil {
			return nil, err
		}
		left, err := flow.Withdraw(tx, flow.Scope{App: app.ID})
		if err == nil && app.State == sp.Removed {
			err = errors.Join(flow.Forget(tx, flow.Scope{App: app.ID}), sp.Fetches.Delete(tx, app.ID), sp.Logos.Delete(tx, app.ID), federation.Track(tx, app, 0, a.Now()))
		}
		if err != nil {
			return nil, err
		}
		followed, err := a.withChildren(tx, by, app)
		return map[string]string{"sessions": strconv.Itoa(len(left)), "clients": strconv.Itoa(followed)}, err
	})
}

// changeApp changes one app in one transaction with its event; fn returns the event's facts.
func (a *Actions) changeApp(ctx context.Context, by By, ref, kind string, fn func(store.Tx, *sp.App) (map[string]string, error)) (api.App, error) {
	var shown api.App
	err := a.change(ctx, by, func(tx store.Tx) (audit.Event, error) {
		app, err := findApp(tx, ref)
		if err != nil {
			return audit.Event{}, err
		}
		before := app
		facts, err := fn(tx, &app)
		if err != nil {
			return audit.Event{}, err
		}
		if err := mayChangeApp(by, &before, &app); err != nil {
			return audit.Event{}, err
		}
		app.Lend(&before, a.Now())
		if err := sp.Apps.Put(tx, &app); err != nil {
			return audit.Event{}, err
		}
		shown, err = a.show(tx, &app)
		return audit.Event{Kind: kind, App: app.ID, Facts: facts}, err
	})
	return shown, err
}
