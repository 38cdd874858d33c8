package admin

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/grants"
	"gatehouse/store"
)

// AuditEntries lists audit entries, newest first. References to records that are gone are ids.
func (a *Actions) AuditEntries(ctx context.Context, q api.AuditQuery) (api.List[api.AuditEntry], error) {
	return a.auditPage(ctx, q, refs{})
}

// auditPage is one page; names that were looked up once are taken from known.
func (a *Actions) auditPage(ctx context.Context, q api.AuditQuery, known refs) (api.List[api.AuditEntry], error) {
	list := api.List[api.AuditEntry]{Items: []api.AuditEntry{}}
	err := a.view(ctx, func(tx store.Tx) error {
		filter, err := auditFilter(tx, &q)
		if err != nil {
			return err
		}
		events, next, err := a.auditEvents(tx, filter)
		if err != nil {
			return err
		}
		list = api.List[api.AuditEntry]{Items: make([]api.AuditEntry, 0, len(events)), Next: next}
		for i := range events {
			wire, err := known.event(tx, &events[i])
			if err != nil {
				return err
			}
			list.Items = append(list.Items, wire)
		}
		return nil
	})
	return list, err
}

// auditEvents are those of a list, or the one of a code.
func (a *Actions) auditEvents(tx store.Tx, filter audit.Filter) ([]audit.Event, string, error) {
	if filter.Code == "" {
		return audit.List(tx, filter)
	}
	event, err := a.Audit.ByCode(tx, filter.Code)
	if errors.Is(err, store.ErrNotFound) || err == nil && !filter.Matches(&event) {
		return nil, "", nil
	}
	return []audit.Event{event}, "", err
}

// auditFilter resolves the names in a query.
func auditFilter(tx store.Tx, q *api.AuditQuery) (audit.Filter, error) {
	filter := audit.Filter{
		Kind: q.Kind, Outcome: q.Outcome, Reason: q.Reason, Code: audit.NormaliseCode(q.Code), Since: q.Since, Until: q.Until,
		Limit: q.Limit, After: q.After,
	}
	if !slices.Contains([]string{"", audit.OK, audit.Refused, audit.Failed}, q.Outcome) {
		return filter, badValue("outcome", "There is no outcome %.40q: choose ok, refused or failed.", q.Outcome)
	}
	var errs [4]error
	filter.App, errs[0] = auditApp(tx, q.App)
	filter.User, errs[1] = auditUser(tx, q.User)
	filter.Actor, errs[2] = auditActor(tx, q.Actor)
	filter.Network, errs[3] = network(q.Address)
	return filter, cmp.Or(errs[:]...)
}

// network reads an address or a range of them.
func network(text string) (netip.Prefix, error) {
	if text == "" {
		return netip.Prefix{}, nil
	}
	if address, err := netip.ParseAddr(text); err == nil {
		address = address.Unmap().WithZone("")
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return prefix, badValue("address", "%.60q is no address: write one like 192.0.2.7, or a network like 192.0.2.0/24.", text)
	}
	return prefix.Masked(), nil
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

// auditActor takes people, and who else acts: the socket's users, tokens and the server itself.
func auditActor(tx store.Tx, ref string) (string, error) {
	if strings.HasPrefix(ref, socketActor) || ref == "system" || grants.IsAPIToken(ref) {
		return ref, nil
	}
	if name, ok := strings.CutPrefix(ref, tokenActor); ok {
		token, err := grants.ResolveAPIToken(tx, name)
		if errors.Is(err, store.ErrNotFound) {
			err = unknown("token", name)
		}
		return token.ID, fieldOf("actor", err)
	}
	id, err := auditUser(tx, ref)
	return id, fieldOf("actor", err)
}

func looksLikeID(ref, prefix string) bool {
	return len(ref) == len(prefix)+26 && ref[:len(prefix)] == prefix
}

// Trace finds the entry of a code, with what to do about it.
func (a *Actions) Trace(ctx context.Context, code string) (api.AuditEntry, error) {
	var wire api.AuditEntry
	err := a.view(ctx, func(tx store.Tx) error {
		event, err := a.Audit.ByCode(tx, code)
		if errors.Is(err, store.ErrNotFound) {
			return refused(404, "not_found", "code", "No audit entry has the code %.40q: check it, look for it in the log of the server, or list the audit around the time it happened.", code)
		}
		if err != nil {
			return err
		}
		wire, err = refs{}.event(tx, &event)
		wire.Remedy = Remedy(event.Reason)
		return err
	})
	return wire, err
}

// refs are names that were looked up, by kind and id: refs{} for one page, one map for all pages of an export.
type refs map[string]api.Ref

// maxRefs bounds what a long export remembers.
const maxRefs = 10_000

func (r refs) event(tx store.Tx, e *audit.Event) (api.AuditEntry, error) {
	wire := api.AuditEntry{
		Seq: e.Seq, Time: e.Time, Kind: e.Kind, Outcome: e.Outcome, Reason: e.Reason, Code: e.Code, Address: e.Address,
		Detail: e.Detail, Facts: e.Facts, Count: e.Count, Node: e.Node,
	}
	var errs [3]error
	wire.Actor, errs[0] = r.find(tx, "actor ", e.Actor, actorRef)
	wire.User, errs[1] = r.find(tx, "user ", e.User, userRef)
	wire.App, errs[2] = r.find(tx, "app ", e.App, appRef)
	return wire, errors.Join(errs[:]...)
}

func (r refs) find(tx store.Tx, kind, id string, look func(store.Tx, string) (api.Ref, error)) (api.Ref, error) {
	if ref, known := r[kind+id]; known {
		return ref, nil
	}
	ref, err := look(tx, id)
	if err == nil {
		if len(r) >= maxRefs {
			clear(r)
		}
		r[kind+id] = ref
	}
	return ref, err
}
