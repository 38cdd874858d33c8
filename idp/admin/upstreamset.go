package admin

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strings"
	"time"

	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/idp/federation"
	"gatehouse/sp"
	"gatehouse/sp/metadata"
	"gatehouse/store"
)

// provider reads an upstream's metadata: given, or at an address and then signed by a pinned key where there are any.
func (a *Actions) provider(ctx context.Context, text, url string, pinned []sp.Key) (federation.Fetched, error) {
	switch {
	case (text == "") == (url == ""):
		return federation.Fetched{}, badValue("metadata", "Give the identity provider's metadata, or the address where it is.")
	case url != "":
		found, err := a.Sources.FetchProvider(ctx, federation.Looked{URL: url}, pinned)
		return found, worded(err)
	}
	own, err := a.EntityID(ctx)
	if err != nil {
		return federation.Fetched{}, err
	}
	p, err := metadata.ParseProvider([]byte(text), metadata.Options{Now: a.Now(), OwnEntityID: own})
	return federation.Fetched{Provider: p}, worded(err)
}

// pinnedKeys reads the keys that a change pins; else those that are pinned stay.
func pinnedKeys(values map[string]string, current []sp.Key) ([]sp.Key, error) {
	text, given := values["metadata_keys"]
	if !given || text == sp.Undo || text == "" {
		if given {
			current = nil
		}
		return current, nil
	}
	keys, err := metadata.PinnedKeys([]byte(text))
	if err != nil {
		return nil, badValue("metadata_keys", "metadata_keys %s", ended(err.Error()))
	}
	return keys, nil
}

// profiled replaces the profile's name by its id; who is created needs one.
func profiled(tx store.Tx, values map[string]string, current string) (map[string]string, error) {
	named, given := values["profile"]
	if !given && (current != "" || values["create"] != "true") {
		return values, nil
	}
	if named == sp.Undo {
		named = ""
	}
	id, err := profileFor(tx, named)
	if err != nil {
		return nil, fieldOf("profile", err)
	}
	values = maps.Clone(values)
	values["profile"] = id
	return values, nil
}

// discover looks at a new upstream: at its metadata, or at what the issuer says of itself.
func (a *Actions) discover(ctx context.Context, n *api.NewUpstream) (federation.Fetched, error) {
	if n.Issuer == "" && n.Secret == "" {
		pinned, err := pinnedKeys(n.Set, nil)
		if err != nil {
			return federation.Fetched{}, err
		}
		return a.provider(ctx, n.Metadata, n.URL, pinned)
	}
	if n.Metadata != "" || n.URL != "" {
		return federation.Fetched{}, badValue("issuer", "Give either SAML metadata or the issuer of an OpenID provider.")
	}
	provider, err := federation.NewOpenID(n.Issuer)
	if err != nil {
		return federation.Fetched{}, worded(err)
	}
	if err := a.sealSecret(&federation.Upstream{Name: n.Name, OpenID: provider}, n.Secret); err != nil {
		return federation.Fetched{}, err
	}
	found, err := a.Sources.FetchOpenID(ctx, provider, federation.Looked{})
	if err != nil {
		return found, refused(http.StatusUnprocessableEntity, "no_provider", "issuer", "%s", plainText(err))
	}
	return found, nil
}

// sealSecret keeps the secret that a provider gave us; an empty one changes nothing.
func (a *Actions) sealSecret(u *federation.Upstream, secret string) error {
	switch {
	case secret == "":
		return nil
	case u.OpenID == nil:
		return badValue("client_secret", "Only OpenID providers give a secret: leave it out.")
	case len(secret) > 1024:
		return badValue("client_secret", "The secret is longer than 1,024 bytes.")
	}
	u.OpenID.Secret, u.OpenID.Given = a.Seal(u.SealContext(), []byte(secret)), a.Now()
	return nil
}

// AddUpstream adds an upstream: its people may sign in from now on.
func (a *Actions) AddUpstream(ctx context.Context, by By, n api.NewUpstream) (api.Upstream, error) {
	found, err := a.discover(ctx, &n)
	if err != nil {
		return api.Upstream{}, err
	}
	var u federation.Upstream
	return a.changeUpstream(ctx, by, "upstream.add", &u, func(tx store.Tx) error {
		values, err := profiled(tx, n.Set, "")
		if err != nil {
			return err
		}
		if u, err = federation.NewUpstream(n.Name, &found, values, by.ID, a.Now()); err != nil {
			return worded(err)
		}
		return vacant(tx, federation.Upstreams, u.Name, "an upstream", federation.MaxUpstreams)
	})
}

// vacant demands that a name is free and that there is room for one more; what has its article.
func vacant[T any](tx store.Tx, table *store.Table[T], name, what string, most int) error {
	known, err := table.Count(tx, store.Page{}, most)
	if err != nil {
		return err
	}
	if known == most {
		return refused(http.StatusConflict, "too_many", "name", "There are %d already, and no more are taken: remove one first.", known)
	}
	revision, err := table.Revision(tx, name)
	if err == nil && revision != 0 {
		err = refused(http.StatusConflict, "exists", "name", "There is %s %q already: choose another name.", what, name)
	}
	return err
}

// SetUpstream changes an upstream: all of it, or nothing. Newer metadata must be of the same identity provider.
func (a *Actions) SetUpstream(ctx context.Context, by By, name string, change api.UpstreamChange) (api.Upstream, error) {
	newer := change.Metadata != "" || change.URL != ""
	if len(change.Set) == 0 && !newer && change.Secret == "" {
		return api.Upstream{}, badValue("set", "Nothing was to be set: name at least one KEY=VALUE, or give newer metadata or a client secret.")
	}
	var found federation.Fetched
	if newer {
		var err error
		if found, err = a.newer(ctx, name, &change); err != nil {
			return api.Upstream{}, err
		}
	}
	var u federation.Upstream
	return a.changeUpstream(ctx, by, "upstream.set", &u, func(tx store.Tx) (err error) {
		if u, err = findUpstream(tx, name); err != nil {
			return err
		}
		if newer {
			if found.Provider.EntityID != u.Provider.EntityID {
				return badValue("metadata", "This is the metadata of another identity provider, %.200s: add it as an upstream of its own.", found.Provider.EntityID)
			}
			u.Provider, u.Look = found.Provider, found.Look
		}
		if err := a.sealSecret(&u, change.Secret); err != nil {
			return err
		}
		values, err := profiled(tx, change.Set, u.Profile)
		if err != nil {
			return err
		}
		return worded(u.Change(values))
	})
}

// newer reads the metadata of a change, by the keys that will be pinned afterwards.
func (a *Actions) newer(ctx context.Context, name string, change *api.UpstreamChange) (federation.Fetched, error) {
	var u federation.Upstream
	err := a.view(ctx, func(tx store.Tx) (err error) {
		u, err = findUpstream(tx, name)
		return err
	})
	if err != nil {
		return federation.Fetched{}, err
	}
	if u.OpenID != nil {
		return federation.Fetched{}, badValue("metadata", "An OpenID provider has no SAML metadata: its issuer is looked at by itself, or by `gatehouse upstream refresh %s`.", name)
	}
	pinned, err := pinnedKeys(change.Set, u.Pinned)
	if err != nil {
		return federation.Fetched{}, err
	}
	return a.provider(ctx, change.Metadata, change.URL, pinned)
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
		if err != nil {
			return audit.Event{}, err
		}
		wire, err = a.wireUpstream(tx, u)
		facts := factsOf(wire.Settings, "upstream", u.Name)
		facts["entity_id"], facts["metadata_url"], facts["keys"] = u.ID(), u.Look.URL, strings.Join(wire.Keys, " ")
		if u.OpenID != nil && !u.OpenID.Given.IsZero() {
			facts["client_secret"] = "given " + u.OpenID.Given.UTC().Format(time.RFC3339)
		}
		return audit.Event{Kind: kind, Facts: facts}, err
	})
	return wire, err
}

// factsOf are what an audit entry says of something with settings.
func factsOf(settings []api.Setting, what, name string) map[string]string {
	facts := map[string]string{what: name}
	for _, s := range settings {
		facts[s.Key] = s.Value
	}
	return facts
}

// RefreshUpstream looks for newer metadata of an upstream, now.
func (a *Actions) RefreshUpstream(ctx context.Context, by By, name string) (api.Upstream, error) {
	if err := a.Sources.RefreshUpstream(ctx, name, by.ID); err != nil {
		return api.Upstream{}, worded(err)
	}
	return a.Upstream(ctx, name)
}

// RemoveUpstream removes an upstream. Who came from there stays, and signs in otherwise from now on.
func (a *Actions) RemoveUpstream(ctx context.Context, by By, name string) (api.Upstream, error) {
	var wire api.Upstream
	err := a.change(ctx, by, func(tx store.Tx) (audit.Event, error) {
		u, err := findUpstream(tx, name)
		if err != nil {
			return audit.Event{}, err
		}
		if wire, err = a.wireUpstream(tx, &u); err != nil {
			return audit.Event{}, err
		}
		event := audit.Event{Kind: "upstream.remove", Facts: map[string]string{"upstream": name, "entity_id": u.ID()}}
		return event, federation.Upstreams.Delete(tx, name)
	})
	return wire, err
}
