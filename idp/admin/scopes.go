package admin

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/sp"
	"gatehouse/store"
)

// maxScopes bounds the scopes of an organisation.
const maxScopes = 1000

// scopeRows are the scopes that administrators define for gateways and APIs.
func (a *Admin) scopeRows() []row {
	do := a.Actions
	const one = "/scopes/{scope}"
	return []row{
		{Method: "GET", Path: "/scopes", Permission: AppsRead, Action: func(c *call) (any, error) { return do.Scopes(c.ctx()) }},
		{Method: "POST", Path: "/scopes", Permission: AppsWrite, Status: 201, Action: with(func(c *call, n api.NewScope) (any, error) { return do.AddScope(c.ctx(), c.by(), n) })},
		{Method: "GET", Path: one, Permission: AppsRead, Action: func(c *call) (any, error) { return do.Scope(c.ctx(), c.path("scope")) }},
		{Method: "PATCH", Path: one, Permission: AppsWrite, Action: with(func(c *call, change api.Change) (any, error) {
			return do.SetScope(c.ctx(), c.forced(change), c.path("scope"), change.Set)
		})},
		{Method: "DELETE", Path: one, Permission: AppsWrite, Action: func(c *call) (any, error) { return do.RemoveScope(c.ctx(), c.by(), c.path("scope")) }},
	}
}

// Scopes lists the scopes by name, with the apps that name each.
func (a *Actions) Scopes(ctx context.Context) (api.List[api.Scope], error) {
	list := api.List[api.Scope]{Items: []api.Scope{}}
	err := a.view(ctx, func(tx store.Tx) error {
		list.Items = list.Items[:0]
		using, err := scopeApps(tx)
		if err != nil {
			return err
		}
		return sp.Scopes.Each(tx, store.Page{}, func(_ string, s *sp.Scope) error {
			list.Items = append(list.Items, wireScope(s, using))
			return nil
		})
	})
	return list, err
}

// Scope shows one scope.
func (a *Actions) Scope(ctx context.Context, name string) (api.Scope, error) {
	var wire api.Scope
	err := a.view(ctx, func(tx store.Tx) error {
		s, err := findScope(tx, name)
		if err == nil {
			wire, err = showScope(tx, &s)
		}
		return err
	})
	return wire, err
}

// AddScope adds a scope; no two have the same description, because people could not tell them apart.
func (a *Actions) AddScope(ctx context.Context, by By, n api.NewScope) (api.Scope, error) {
	s := sp.Scope{Name: n.Name, Text: n.Description, Listed: n.Listed, Created: a.Now()}
	return a.changeScope(ctx, by, "scope.add", func(tx store.Tx) (*sp.Scope, map[string]string, error) {
		return &s, map[string]string{"description": s.Text, "listed": strconv.FormatBool(s.Listed)}, roomForScope(tx, n.Name)
	})
}

func roomForScope(tx store.Tx, name string) error {
	_, _, err := sp.Scopes.Get(tx, name)
	if err == nil {
		return refused(http.StatusConflict, "exists", "name", "There is a scope %q already: change it instead.", name)
	}
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	count, err := sp.Scopes.Count(tx, store.Page{}, maxScopes)
	if err == nil && count >= maxScopes {
		return refused(http.StatusConflict, "too_many", "name", "There are 1,000 scopes already: remove one first.")
	}
	return err
}

// SetScope changes the description, or whether discovery lists the scope.
func (a *Actions) SetScope(ctx context.Context, by By, name string, values map[string]string) (api.Scope, error) {
	return a.changeScope(ctx, by, "scope.set", func(tx store.Tx) (*sp.Scope, map[string]string, error) {
		s, err := findScope(tx, name)
		if err == nil && len(values) == 0 {
			err = badValue("set", "Nothing was to be set: name at least one KEY=VALUE.")
		}
		for _, key := range slices.Sorted(maps.Keys(values)) {
			if err == nil {
				err = setScope(&s, key, values[key])
			}
		}
		return &s, describe(values), err
	})
}

func setScope(s *sp.Scope, key, value string) error {
	switch {
	case key == "description":
		s.Text = value
	case key == "listed" && (value == "true" || value == "false" || value == sp.Undo):
		s.Listed = value == "true"
	case key == "listed":
		return badValue(key, "listed is true or false, not %.40q.", value)
	case key == "name":
		return badValue(key, "The name of a scope never changes, because apps and gateways write it: add another.")
	default:
		return badValue(key, "A scope has no %.60q: it has description and listed.", key)
	}
	return nil
}

// changeScope stores a scope that is sound, with its event.
func (a *Actions) changeScope(ctx context.Context, by By, kind string, fn func(store.Tx) (*sp.Scope, map[string]string, error)) (api.Scope, error) {
	var wire api.Scope
	err := a.change(ctx, by, func(tx store.Tx) (audit.Event, error) {
		s, facts, err := fn(tx)
		if err == nil {
			err = s.Validate()
		}
		if err == nil {
			err = ownText(tx, s)
		}
		if err != nil {
			return audit.Event{}, err
		}
		if err := sp.Scopes.Put(tx, s); err != nil {
			return audit.Event{}, err
		}
		facts["scope"] = s.Name
		wire, err = showScope(tx, s)
		return audit.Event{Kind: kind, Facts: facts}, err
	})
	return wire, err
}

func ownText(tx store.Tx, s *sp.Scope) error {
	return sp.Scopes.Each(tx, store.Page{}, func(_ string, other *sp.Scope) error {
		if other.Name != s.Name && other.Text == s.Text {
			return refused(http.StatusConflict, "exists", "description", "The scope %q has this description already, and people could not tell the two apart.", other.Name)
		}
		return nil
	})
}

// RemoveScope removes a scope that no app names.
func (a *Actions) RemoveScope(ctx context.Context, by By, name string) (api.Scope, error) {
	var wire api.Scope
	err := a.change(ctx, by, func(tx store.Tx) (audit.Event, error) {
		s, err := findScope(tx, name)
		if err == nil {
			wire, err = showScope(tx, &s)
		}
		switch {
		case err != nil:
			return audit.Event{}, err
		case len(wire.Apps) > 0:
			return audit.Event{}, refused(http.StatusConflict, "held", "", "The app %q names the scope %s: take it out there first (oauth.scopes, policy.scopes).", wire.Apps[0].Name, s.Name)
		}
		return audit.Event{Kind: "scope.remove", Facts: map[string]string{"scope": s.Name}}, sp.Scopes.Delete(tx, s.Name)
	})
	return wire, err
}

func findScope(tx store.Tx, name string) (sp.Scope, error) {
	s, _, err := sp.Scopes.Get(tx, name)
	if errors.Is(err, store.ErrNotFound) {
		return s, unknown("scope", name)
	}
	return s, err
}

func showScope(tx store.Tx, s *sp.Scope) (api.Scope, error) {
	using, err := scopeApps(tx)
	return wireScope(s, using), err
}

func wireScope(s *sp.Scope, using map[string][]api.Ref) api.Scope {
	apps := using[s.Name]
	if apps == nil {
		apps = []api.Ref{}
	}
	return api.Scope{Name: s.Name, Description: s.Text, Listed: s.Listed, Created: s.Created, Apps: apps}
}

// scopeApps are the apps that name each scope, as their developer's wish or in their policy.
func scopeApps(tx store.Tx) (map[string][]api.Ref, error) {
	using := map[string][]api.Ref{}
	err := sp.Apps.Each(tx, store.Page{}, func(_ string, app *sp.App) error {
		if app.State == sp.Removed || app.Definition.OAuth == nil {
			return nil
		}
		named := slices.Concat(app.Definition.OAuth.Scopes, app.Policy.Scopes)
		slices.Sort(named)
		for _, scope := range slices.Compact(named) {
			using[scope] = append(using[scope], api.Ref{ID: app.ID, Name: app.Definition.Name})
		}
		return nil
	})
	return using, err
}
