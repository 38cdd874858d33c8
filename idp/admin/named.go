package admin

import (
	"context"
	"net/http"
	"net/netip"
	"slices"

	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/sp"
	"gatehouse/store"
)

// named is what profiles, permission sets and groups have in common, as actions. The wire type of all three is api.Profile;
// the others leave IPRanges empty.
type named[T any] struct {
	all    *directory.Collection[T]
	kind   string // of events: "profile"
	policy func(*sp.Policy) []string
	wire   func(*T) api.Profile
	name   func(*T) *string
	ranges func(*T) *[]netip.Prefix // nil: it has none
}

var (
	profiles = named[directory.Profile]{directory.AllProfiles, "profile", func(p *sp.Policy) []string { return p.Profiles },
		func(p *directory.Profile) api.Profile {
			return api.Profile{ID: p.ID, Name: p.Name, IPRanges: texts(p.IPRanges)}
		},
		func(p *directory.Profile) *string { return &p.Name },
		func(p *directory.Profile) *[]netip.Prefix { return &p.IPRanges }}
	permissionSets = named[directory.PermissionSet]{directory.AllPermissionSets, "permission_set", func(p *sp.Policy) []string { return p.PermissionSets },
		func(p *directory.PermissionSet) api.Profile { return api.Profile{ID: p.ID, Name: p.Name} },
		func(p *directory.PermissionSet) *string { return &p.Name }, nil}
	groups = named[directory.Group]{directory.AllGroups, "group", func(p *sp.Policy) []string { return p.Groups },
		func(g *directory.Group) api.Profile { return api.Profile{ID: g.ID, Name: g.Name} },
		func(g *directory.Group) *string { return &g.Name }, nil}
)

func texts(ranges []netip.Prefix) []string {
	list := make([]string, len(ranges))
	for i, r := range ranges {
		list[i] = r.String()
	}
	return list
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
		if err := n.setRanges(&record, ask.IPRanges); err != nil {
			return audit.Event{}, err
		}
		*n.name(&record) = ask.Name
		record, err := n.all.Add(tx, record)
		if err != nil {
			return audit.Event{}, fieldOf("name", err)
		}
		wire, err = n.show(tx, &record)
		return n.event("add", wire), err
	})
	return wire, err
}

// set changes the name, and the ip_ranges of a profile.
func (n *named[T]) set(ctx context.Context, a *Actions, by By, ref string, values map[string]string) (api.Profile, error) {
	var wire api.Profile
	err := a.change(ctx, by, func(tx store.Tx) (audit.Event, error) {
		record, err := n.all.Resolve(tx, ref)
		if err != nil {
			return audit.Event{}, err
		}
		if err := n.apply(&record, values); err != nil {
			return audit.Event{}, err
		}
		if err := n.all.Set(tx, record); err != nil {
			return audit.Event{}, fieldOf("name", err)
		}
		wire, err = n.show(tx, &record)
		return n.event("set", wire), err
	})
	return wire, err
}

func (n *named[T]) apply(record *T, values map[string]string) error {
	if len(values) == 0 {
		return badValue("set", "Nothing was to be set: name at least one KEY=VALUE.")
	}
	for key, value := range values {
		switch {
		case key == "name":
			*n.name(record) = value
		case key == "ip_ranges" && n.ranges != nil:
			if value == sp.Undo {
				value = ""
			}
			if err := n.setRanges(record, splitList(value)); err != nil {
				return err
			}
		default:
			return badValue(key, "A %s has no %.60q: it has a name%s.", n.all.What, key, map[bool]string{true: " and ip_ranges"}[n.ranges != nil])
		}
	}
	return nil
}

func (n *named[T]) setRanges(record *T, list []string) error {
	if len(list) == 0 && n.ranges == nil {
		return nil
	}
	if n.ranges == nil {
		return badValue("ip_ranges", "A %s has no address ranges: set them on a profile or an app.", n.all.What)
	}
	ranges, err := parseRanges(list)
	*n.ranges(record) = ranges
	return err
}

func parseRanges(list []string) ([]netip.Prefix, error) {
	if len(list) > maxPage {
		return nil, badValue("ip_ranges", "These are more than %d ranges: join some.", maxPage)
	}
	ranges := make([]netip.Prefix, 0, len(list))
	for _, text := range list {
		r, err := netip.ParsePrefix(text)
		if address, addressErr := netip.ParseAddr(text); addressErr == nil && address.Zone() == "" {
			r, err = address.Unmap().Prefix(address.Unmap().BitLen())
		}
		if err != nil || r.Addr().Is4In6() {
			return nil, badValue("ip_ranges", "%.60q is not an address range: write it like 192.0.2.0/24, 2001:db8::/32 or 192.0.2.7.", text)
		}
		if r = r.Masked(); !slices.Contains(ranges, r) {
			ranges = append(ranges, r)
		}
	}
	return ranges, nil
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
