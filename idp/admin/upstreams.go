package admin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatehouse/idp/api"
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
		{Method: "POST", Path: one + "/refresh", Permission: SettingsWrite, Action: func(c *call) (any, error) {
			return do.RefreshUpstream(c.ctx(), c.by(), c.path("upstream"))
		}},
		{Method: "POST", Path: one + "/test", Permission: SettingsWrite, Action: func(c *call) (any, error) {
			return do.TestUpstream(c.ctx(), c.path("upstream"))
		}},
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
			wire, err := a.wireUpstream(tx, u)
			list.Items = append(list.Items, wire)
			return err
		})
	})
	return list, err
}

// Upstream shows one upstream.
func (a *Actions) Upstream(ctx context.Context, name string) (api.Upstream, error) {
	var wire api.Upstream
	err := a.view(ctx, func(tx store.Tx) error {
		u, err := findUpstream(tx, name)
		if err == nil {
			wire, err = a.wireUpstream(tx, &u)
		}
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

// wireUpstream shows an upstream with its profile by name.
func (a *Actions) wireUpstream(tx store.Tx, u *federation.Upstream) (api.Upstream, error) {
	p, look := &u.Provider, &u.Look
	wire := api.Upstream{
		Name: u.Name, Title: u.Title(), Kind: api.UpstreamSAML, EntityID: u.ID(), SSO: u.Address(), ValidUntil: p.ValidUntil, Created: u.Created, CreatedBy: u.CreatedBy,
		From: look.URL, Tried: look.Tried, Good: look.Good, Failures: look.Failures, Reason: look.Code, Error: look.Error,
	}
	if look.URL != "" {
		wire.Next = look.Next
	}
	if party := u.Party().Definition.SAML; party != nil && len(party.Metadata.SLO) > 0 {
		wire.SLO = party.Metadata.SLO[0].Location
	}
	if o := u.OpenID; o != nil {
		wire.Kind, wire.SLO = api.UpstreamOIDC, o.Found.EndSession
		ours := a.oursOf(u.Name)
		ours.HasSecret, ours.SecretGiven = len(o.Secret) > 0, o.Given
		wire.Ours = &ours
	}
	keys := p.SigningKeys()
	for i := range keys {
		wire.Keys = append(wire.Keys, "sha256:"+keys[i].Fingerprint())
	}
	profile, err := profileRef(tx, u.Profile)
	for _, key := range u.Keys() {
		value := u.Setting(key)
		if key == "profile" {
			value = profile.Name
		}
		wire.Settings = append(wire.Settings, api.Setting{Key: key, Value: value, IsDefault: u.IsDefault(key)})
	}
	wire.Warnings = a.upstreamWarnings(u)
	return wire, err
}

// oursOf are our addresses towards an OpenID provider, by the name that it has here.
func (a *Actions) oursOf(name string) api.Ours {
	base := a.BaseURL + "/login/upstream/" + name
	return api.Ours{RedirectURI: base + "/callback", PostLogoutURI: base + "/logout", BackChannelLogoutURI: base + "/backchannel", FrontChannelLogoutURI: base + "/frontchannel", JWKSURI: a.BaseURL + "/oauth/jwks"}
}

// upstreamWarnings tells what will keep people out before long, or weakens the trust.
func (a *Actions) upstreamWarnings(u *federation.Upstream) []api.Warning {
	warn := func(code, text string, values ...any) api.Warning {
		return api.Warning{Code: code, Severity: string(metadata.Caution), Text: fmt.Sprintf(text, values...)}
	}
	var list []api.Warning
	switch end := u.Provider.ValidUntil; {
	case u.Provider.Expired(a.Now()):
		list = append(list, warn("metadata_expired", "Its metadata %s, so nobody can sign in there: give newer metadata.", ends(end, a.Now())))
	case !end.IsZero() && end.Before(a.Now().Add(soon)) && (u.Look.URL == "" || u.Look.Failures > 0):
		list = append(list, warn("metadata_ends", "Its metadata %s, and then nobody can sign in there: give newer metadata.", ends(end, a.Now())))
	}
	for _, c := range a.endingOf(u.Party()) {
		list = append(list, warn("certificate_ends", "Its certificate %.80q %s: it will sign with another one, so see that its metadata is newer by then.", c.subject, ends(c.notAfter, a.Now())))
	}
	if u.Look.Failures > 0 {
		list = append(list, warn("metadata_fails", "Looking at what it says of itself failed: %s", u.Look.Error))
	}
	return list
}

// soon is how long before the end of metadata there is a warning, where nothing will replace it by itself.
const soon = 14 * 24 * time.Hour
