package admin

import (
	"context"
	"errors"

	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/store"
)

// AuditEntries lists audit entries, newest first. App and user are references; those of records that are gone are ids.
func (a *Actions) AuditEntries(ctx context.Context, q api.AuditQuery) (api.List[api.AuditEntry], error) {
	list := api.List[api.AuditEntry]{Items: []api.AuditEntry{}}
	err := a.view(ctx, func(tx store.Tx) error {
		filter := audit.Filter{Kind: q.Kind, Outcome: q.Outcome, Since: q.Since, Limit: q.Limit, After: q.After}
		var err error
		if filter.App, err = auditApp(tx, q.App); err != nil {
			return err
		}
		if filter.User, err = auditUser(tx, q.User); err != nil {
			return err
		}
		events, next, err := audit.List(tx, filter)
		if err != nil {
			return err
		}
		list = api.List[api.AuditEntry]{Items: make([]api.AuditEntry, 0, len(events)), Next: next}
		for i := range events {
			wire, err := wireEvent(tx, &events[i])
			if err != nil {
				return err
			}
			list.Items = append(list.Items, wire)
		}
		return nil
	})
	return list, err
}

// auditApp lets an id of an app that is gone through, so that its past can be read.
func auditApp(tx store.Tx, ref string) (string, error) {
	if ref == "" {
		return "", nil
	}
	app, err := findApp(tx, ref)
	if public := asPublic(err); public != nil && public.Reason == "not_found" && looksLikeID(ref, "app_") {
		return ref, nil
	}
	return app.ID, err
}

func auditUser(tx store.Tx, ref string) (string, error) {
	if ref == "" {
		return "", nil
	}
	user, err := directory.ResolveUser(tx, ref)
	if errors.Is(err, store.ErrNotFound) && looksLikeID(ref, "usr_") {
		return ref, nil
	}
	return user.ID, err
}

func looksLikeID(ref, prefix string) bool {
	return len(ref) == len(prefix)+26 && ref[:len(prefix)] == prefix
}

// Trace finds the entry of a code.
func (a *Actions) Trace(ctx context.Context, code string) (api.AuditEntry, error) {
	var wire api.AuditEntry
	err := a.view(ctx, func(tx store.Tx) error {
		event, err := a.Audit.ByCode(tx, code)
		if errors.Is(err, store.ErrNotFound) {
			return refused(404, "not_found", "code", "No audit entry has the code %.40q: check it, or list the audit around the time it happened.", code)
		}
		if err != nil {
			return err
		}
		wire, err = wireEvent(tx, &event)
		return err
	})
	return wire, err
}

func wireEvent(tx store.Tx, e *audit.Event) (api.AuditEntry, error) {
	wire := api.AuditEntry{
		Seq: e.Seq, Time: e.Time, Kind: e.Kind, Outcome: e.Outcome, Reason: e.Reason, Code: e.Code, Address: e.Address,
		Detail: e.Detail, Facts: e.Facts, Count: e.Count, Node: e.Node,
	}
	var errs [3]error
	wire.Actor, errs[0] = userRef(tx, e.Actor)
	wire.User, errs[1] = userRef(tx, e.User)
	wire.App, errs[2] = appRef(tx, e.App)
	return wire, errors.Join(errs[:]...)
}
