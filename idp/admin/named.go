package admin

import (
	"context"
	"maps"
	"net/http"
	"slices"

	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/sp"
	"gatehouse/store"
)

// named is what profiles, permission sets and groups have in common, as actions. The wire type of all three is api.Profile;
// the others have no limits.
type named[T any] struct {
	all    *directory.Collection[T]
	kind   string // of events: "profile"
	policy func(*sp.Policy) []string
	wire   func(*T) api.Profile
	name   func(*T) *string
	limit  func(record *T, key, value string) error // nil: it has none
}

var (
	profiles = named[directory.Profile]{directory.AllProfiles, "profile", func(p *sp.Policy) []string { return p.Profiles },
		wireProfile, func(p *directory.Profile) *string { return &p.Name }, (*directory.Profile).SetLimit}
	permissionSets = named[directory.PermissionSet]{directory.AllPermissionSets, "permission_set", func(p *sp.Policy) []string { return p.PermissionSets },
		func(p *directory.PermissionSet) api.Profile { return api.Profile{ID: p.ID, Name: p.Name} },
		func(p *directory.PermissionSet) *string { return &p.Name }, nil}
	groups = named[directory.Group]{directory.AllGroups, "group", func(p *sp.Policy) []string { return p.Groups },
		func(g *directory.Group) api.Profile { return api.Profile{ID: g.ID, Name: g.Name} },
		func(g *directory.Group) *string { return &g.Name }, nil}
)

func wireProfile(p *directory.Profile) api.Profile {
	wire := api.Profile{ID: p.ID, Name: p.Name, Limits: map[string]string{}}
	for _, limit := range p.Limits() {
		if !limit.IsDefault {
			wire.Limits[limit.Key] = limit.Value
		}
	}
	return wire
}

// list lists all by name, with how many people hold each.
func (n *named[T]) list(ctx context.Context, a *Actions, ref, after string, limit int) (api.List[api.Profile], error) {
	list := api.List[api.Profile]{Items: []api.Profile{}}
	err := a.view(ctx, func(tx store.Tx) error {
		var records []T
		var next string
		var err error
		if ref != "" {
			one, findErr := n.all.Resolve(tx, ref)
			records, err = []T{one}, findErr
		} else {
			records, next, err = n.all.List(tx, after, pageSize(limit))
		}
		if err != nil {
			return err
		}
		list = api.List[api.Profile]{Items: make([]api.Profile, 0, len(records)), Next: next}
		for i := range records {
			wire, err := n.show(tx, &records[i])
			if err != nil {
				return err
			}
			list.Items = append(list.Items, wire)
		}
		return nil
	})
	return list, err
}

func (n *named[T]) show(tx store.Tx, record *T) (api.Profile, error) {
	wire := n.wire(record)
	var err error
	wire.Members, err = n.all.Held(tx, wire.ID)
	return wire, err
}

func (n *named[T]) get(ctx context.Context, a *Actions, ref string) (api.Profile, error) {
	var wire api.Profile
	err := a.view(ctx, func(tx store.Tx) error {
		record, err := n.all.Resolve(tx, ref)
		if err != nil {
			return err
		}
		wire, err = n.show(tx, &record)
		return err
	})
	return wire, err
}

func (n *named[T]) add(ctx context.Context, a *Actions, by By, ask api.Named) (api.Profile, error) {
	var wire api.Profile
	err := a.change(ctx, by, func(tx store.Tx) (audit.Event, error) {
		var record T
		*n.name(&record) = ask.Name
		if err := n.apply(&record, ask.Limits); err != nil {
			return audit.Event{}, err
		}
		record, err := n.all.Add(tx, record)
		if err != nil {
			return audit.Event{}, fieldOf("name", err)
		}
		wire, err = n.show(tx, &record)
		return n.event("add", wire), err
	})
	return wire, err
}

// set changes the name, and the limits of a profile.
func (n *named[T]) set(ctx context.Context, a *Actions, by By, ref string, values map[string]string) (api.Profile, error) {
	var wire api.Profile
	err := a.change(ctx, by, func(tx store.Tx) (audit.Event, error) {
		record, err := n.all.Resolve(tx, ref)
		if err != nil {
			return audit.Event{}, err
		}
		if len(values) == 0 {
			return audit.Event{}, badValue("set", "Nothing was to be set: name at least one KEY=VALUE.")
		}
		if err := n.apply(&record, values); err != nil {
			return audit.Event{}, err
		}
		if _, renamed := values["name"]; n.limit != nil && (len(values) > 1 || !renamed) {
			if err := mayLimit(tx, by, n.wire(&record).ID); err != nil {
				return audit.Event{}, err
			}
		}
		if err := n.all.Set(tx, record); err != nil {
			return audit.Event{}, fieldOf("name", err)
		}
		wire, err = n.show(tx, &record)
		event := n.event("set", wire)
		maps.Copy(event.Facts, describe(values))
		return event, err
	})
	return wire, err
}

func (n *named[T]) apply(record *T, values map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(values)) {
		switch {
		case key == "name":
			*n.name(record) = values[key]
		case n.limit == nil:
			return badValue(key, "A %s has no %.60q: it has a name.", n.all.What, key)
		default:
			if err := n.limit(record, key, values[key]); err != nil {
				return fieldOf(key, err)
			}
		}
	}
	return nil
}

// remove removes one that nobody holds and no app's policy names.
func (n *named[T]) remove(ctx context.Context, a *Actions, by By, ref string) (api.Profile, error) {
	var wire api.Profile
	err := a.change(ctx, by, func(tx store.Tx) (audit.Event, error) {
		record, err := n.all.Resolve(tx, ref)
		if err != nil {
			return audit.Event{}, err
		}
		wire = n.wire(&record)
		using, err := n.apps(tx, wire.ID)
		if err != nil {
			return audit.Event{}, err
		}
		if len(using) > 0 {
			return audit.Event{}, refused(http.StatusConflict, "held", "", "The app %q names the %s %q in its policy: take it out there first.", using[0], n.all.What, wire.Name)
		}
		if _, err := n.all.Remove(tx, wire.ID); err != nil {
			return audit.Event{}, err
		}
		return n.event("remove", wire), nil
	})
	return wire, err
}

// apps lists the names of the apps whose policy names a record.
func (n *named[T]) apps(tx store.Tx, id string) ([]string, error) {
	var names []string
	err := sp.Apps.Each(tx, store.Page{}, func(_ string, app *sp.App) error {
		if app.State != sp.Removed && slices.Contains(n.policy(&app.Policy), id) {
			names = append(names, app.Definition.Name)
		}
		return nil
	})
	return names, err
}

func (n *named[T]) event(action string, wire api.Profile) audit.Event {
	return audit.Event{Kind: n.kind + "." + action, Facts: map[string]string{"id": wire.ID, "name": wire.Name}}
}
