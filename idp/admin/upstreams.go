package admin

import (
	"context"
	"errors"
	"maps"
	"net/http"

	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/idp/federation"
	"gatehouse/sp/metadata"
	"gatehouse/store"
)

// upstreamRows are the identity providers where people may sign in. They decide who is believed to be whom, so they are the
// owner's to change.
func (a *Admin) upstreamRows() []row {
	do := a.Actions
	const one = "/upstreams/{upstream}"
	return []row{
		{Method: "GET", Path: "/upstreams", Permission: SettingsRead, Action: func(c *call) (any, error) { return do.Upstreams(c.ctx()) }},
		{Method: "POST", Path: "/upstreams", Permission: SettingsWrite, MaxBody: 1 << 20, Status: 201, Action: with(func(c *call, n api.NewUpstream) (any, error) {
			return do.AddUpstream(c.ctx(), c.by(), n)
		})},
		{Method: "GET", Path: one, Permission: SettingsRead, Action: func(c *call) (any, error) { return do.Upstream(c.ctx(), c.path("upstream")) }},
		{Method: "PATCH", Path: one, Permission: SettingsWrite, MaxBody: 1 << 20, Action: with(func(c *call, change api.UpstreamChange) (any, error) {
			return do.SetUpstream(c.ctx(), c.by(), c.path("upstream"), change)
		})},
		{Method: "DELETE", Path: one, Permission: SettingsWrite, Action: func(c *call) (any, error) {
			return do.RemoveUpstream(c.ctx(), c.by(), c.path("upstream"))
		}},
	}
}

// Upstreams lists the upstreams.
func (a *Actions) Upstreams(ctx context.Context) (api.List[api.Upstream], error) {
	list := api.List[api.Upstream]{Items: []api.Upstream{}}
	err := a.view(ctx, func(tx store.Tx) error {
		list.Items = list.Items[:0]
		return federation.Upstreams.Each(tx, store.Page{}, func(_ string, u *federation.Upstream) error {
			list.Items = append(list.Items, wireUpstream(u))
			return nil
		})
	})
	return list, err
}

// Upstream shows one upstream.
func (a *Actions) Upstream(ctx context.Context, name string) (api.Upstream, error) {
	var wire api.Upstream
	err := a.view(ctx, func(tx store.Tx) error {
		u, err := findUpstream(tx, name)
		wire = wireUpstream(&u)
		return err
	})
	return wire, err
}

func findUpstream(tx store.Tx, name string) (federation.Upstream, error) {
	u, _, err := federation.Upstreams.Get(tx, name)
	if errors.Is(err, store.ErrNotFound) {
		err = unknown("upstream", name)
	}
	return u, err
}

func wireUpstream(u *federation.Upstream) api.Upstream {
	wire := api.Upstream{
		Name: u.Name, EntityID: u.Provider.EntityID, SSO: u.Provider.Redirect(), ValidUntil: u.Provider.ValidUntil,
		Created: u.Created, CreatedBy: u.CreatedBy,
	}
	keys := u.Provider.SigningKeys()
	for i := range keys {
		wire.Keys = append(wire.Keys, "sha256:"+keys[i].Fingerprint())
	}
	for _, key := range federation.UpstreamKeys() {
		wire.Settings = append(wire.Settings, api.Setting{Key: key, Value: u.Setting(key)})
	}
	return wire
}

// provider reads an upstream's metadata.
func (a *Actions) provider(ctx context.Context, text string) (metadata.Provider, error) {
	own, err := a.EntityID(ctx)
	if err != nil {
		return metadata.Provider{}, err
	}
	p, err := metadata.ParseProvider([]byte(text), metadata.Options{Now: a.Now(), OwnEntityID: own})
	return p, worded(err)
}

// profiled replaces the profile's name by its id; who is created needs one.
func profiled(tx store.Tx, values map[string]string, current string) (map[string]string, error) {
	named, given := values["profile"]
	if !given && (current != "" || values["create"] != "true") {
		return values, nil
	}
	id, err := profileFor(tx, named)
	if err != nil {
		return nil, fieldOf("profile", err)
	}
	values = maps.Clone(values)
	values["profile"] = id
	return values, nil
}

// AddUpstream adds an upstream: its people may sign in from now on.
func (a *Actions) AddUpstream(ctx context.Context, by By, n api.NewUpstream) (api.Upstream, error) {
	provider, err := a.provider(ctx, n.Metadata)
	if err != nil {
		return api.Upstream{}, err
	}
	var u federation.Upstream
	return a.changeUpstream(ctx, by, "upstream.add", &u, func(tx store.Tx) error {
		values, err := profiled(tx, n.Set, "")
		if err != nil {
			return err
		}
		if u, err = federation.NewUpstream(n.Name, provider, values, by.ID, a.Now()); err != nil {
			return worded(err)
		}
		known, err := federation.Upstreams.Count(tx, store.Page{}, federation.MaxUpstreams)
		if err != nil {
			return err
		}
		if known == federation.MaxUpstreams {
			return refused(http.StatusConflict, "too_many", "name", "There are %d upstreams, and no more are taken: remove one first.", known)
		}
		revision, err := federation.Upstreams.Revision(tx, u.Name)
		if err == nil && revision != 0 {
			err = refused(http.StatusConflict, "exists", "name", "There is an upstream %q already: choose another name.", u.Name)
		}
		return err
	})
}

// SetUpstream changes an upstream: all of it, or nothing. Newer metadata must be of the same identity provider.
func (a *Actions) SetUpstream(ctx context.Context, by By, name string, change api.UpstreamChange) (api.Upstream, error) {
	if len(change.Set) == 0 && change.Metadata == "" {
		return api.Upstream{}, badValue("set", "Nothing was to be set: name at least one KEY=VALUE, or give newer metadata.")
	}
	var provider metadata.Provider
	if change.Metadata != "" {
		var err error
		if provider, err = a.provider(ctx, change.Metadata); err != nil {
			return api.Upstream{}, err
		}
	}
	var u federation.Upstream
	return a.changeUpstream(ctx, by, "upstream.set", &u, func(tx store.Tx) (err error) {
		if u, err = findUpstream(tx, name); err != nil {
			return err
		}
		if change.Metadata != "" {
			if provider.EntityID != u.Provider.EntityID {
				return badValue("metadata", "This is the metadata of another identity provider, %.200s: add it as an upstream of its own.", provider.EntityID)
			}
			u.Provider = provider
		}
		values, err := profiled(tx, change.Set, u.Profile)
		if err != nil {
			return err
		}
		return worded(u.Change(values))
	})
}

// changeUpstream stores an upstream that fn has read or made, with its event.
func (a *Actions) changeUpstream(ctx context.Context, by By, kind string, u *federation.Upstream, fn func(store.Tx) error) (api.Upstream, error) {
	var wire api.Upstream
	err := a.change(ctx, by, func(tx store.Tx) (audit.Event, error) {
		if err := fn(tx); err != nil {
			return audit.Event{}, err
		}
		err := federation.Upstreams.Put(tx, u)
		var taken *store.ConflictError
		if errors.As(err, &taken) {
			return audit.Event{}, refused(http.StatusConflict, "exists", "metadata", "There is an upstream of this identity provider already: change that one.")
		}
		wire = wireUpstream(u)
		facts := map[string]string{"upstream": u.Name, "entity_id": u.Provider.EntityID}
		for _, s := range wire.Settings {
			facts[s.Key] = s.Value
		}
		return audit.Event{Kind: kind, Facts: facts}, err
	})
	return wire, err
}

// RemoveUpstream removes an upstream. Who came from there stays, and signs in otherwise from now on.
func (a *Actions) RemoveUpstream(ctx context.Context, by By, name string) (api.Upstream, error) {
	var wire api.Upstream
	err := a.change(ctx, by, func(tx store.Tx) (audit.Event, error) {
		u, err := findUpstream(tx, name)
		if err != nil {
			return audit.Event{}, err
		}
		wire = wireUpstream(&u)
		event := audit.Event{Kind: "upstream.remove", Facts: map[string]string{"upstream": name, "entity_id": u.Provider.EntityID}}
		return event, federation.Upstreams.Delete(tx, name)
	})
	return wire, err
}
