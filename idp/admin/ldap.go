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
	"gatehouse/idp/directory"
	"gatehouse/sp"
	"gatehouse/store"
)

// ldapRows are the directories whose people sign in here. They say whose password is believed, so they are the owner's to change.
func (a *Admin) ldapRows() []row {
	do := a.Actions
	const one = "/sources/{source}"
	return []row{
		{Method: "GET", Path: "/sources", Permission: SettingsRead, Action: func(c *call) (any, error) { return do.DirectorySources(c.ctx()) }},
		{Method: "POST", Path: "/sources", Permission: SettingsWrite, MaxBody: 1 << 20, Status: 201, Action: with(func(c *call, n api.NewDirectorySource) (any, error) {
			return do.AddDirectorySource(c.ctx(), c.by(), n)
		})},
		{Method: "GET", Path: one, Permission: SettingsRead, Action: func(c *call) (any, error) { return do.DirectorySource(c.ctx(), c.path("source")) }},
		{Method: "PATCH", Path: one, Permission: SettingsWrite, MaxBody: 1 << 20, Action: with(func(c *call, change api.DirectorySourceChange) (any, error) {
			return do.SetDirectorySource(c.ctx(), c.by(), c.path("source"), change)
		})},
		{Method: "DELETE", Path: one, Permission: SettingsWrite, Action: func(c *call) (any, error) {
			return do.RemoveDirectorySource(c.ctx(), c.by(), c.path("source"))
		}},
		{Method: "POST", Path: one + "/test", Permission: SettingsWrite, Action: func(c *call) (any, error) {
			return do.TestDirectorySource(c.ctx(), c.path("source"), c.query("user"))
		}},
		{Method: "POST", Path: one + "/sync", Permission: SettingsWrite, Action: with(func(c *call, ask api.RunSync) (any, error) {
			return slow(func() (any, error) { return do.SyncDirectorySource(c.ctx(), c.by(), c.path("source"), ask) }), nil
		})},
	}
}

// DirectorySources lists the sources.
func (a *Actions) DirectorySources(ctx context.Context) (api.List[api.DirectorySource], error) {
	list := api.List[api.DirectorySource]{Items: []api.DirectorySource{}}
	err := a.view(ctx, func(tx store.Tx) error {
		list.Items = list.Items[:0]
		return directory.AllSources.Each(tx, store.Page{}, func(_ string, s *directory.Source) error {
			wire, err := wireLDAP(tx, s)
			list.Items = append(list.Items, wire)
			return err
		})
	})
	return list, err
}

// DirectorySource shows one source.
func (a *Actions) DirectorySource(ctx context.Context, name string) (api.DirectorySource, error) {
	var wire api.DirectorySource
	err := a.view(ctx, func(tx store.Tx) error {
		s, err := findLDAP(tx, name)
		if err == nil {
			wire, err = wireLDAP(tx, &s)
		}
		return err
	})
	return wire, err
}

func findLDAP(tx store.Tx, name string) (directory.Source, error) {
	s, _, err := directory.AllSources.Get(tx, name)
	if errors.Is(err, store.ErrNotFound) {
		err = unknown("source", name)
	}
	return s, err
}

// namings are the settings that name profiles, permission sets and groups; the store has ids.
var namings = []struct {
	key     string
	resolve func(tx store.Tx, ref string) (id, name string, err error)
}{
	{"profiles", func(tx store.Tx, ref string) (string, string, error) {
		p, err := directory.AllProfiles.Resolve(tx, ref)
		return p.ID, p.Name, err
	}},
	{"permission_sets", func(tx store.Tx, ref string) (string, string, error) {
		p, err := directory.AllPermissionSets.Resolve(tx, ref)
		return p.ID, p.Name, err
	}},
	{"groups", func(tx store.Tx, ref string) (string, string, error) {
		g, err := directory.AllGroups.Resolve(tx, ref)
		return g.ID, g.Name, err
	}},
}

func wireLDAP(tx store.Tx, s *directory.Source) (api.DirectorySource, error) {
	last := &s.Last
	wire := api.DirectorySource{
		Name: s.Name, Kind: s.Kind, HasPassword: len(s.Password) > 0, Created: s.Created, CreatedBy: s.CreatedBy,
		Tried: last.Tried, Good: last.Good, Next: last.Next, Failures: last.Failures, Error: last.Error,
	}
	if !last.Good.IsZero() {
		wire.Last = wireReport(&last.Report)
	}
	lists := map[string][]directory.Mapping{"profiles": s.Profiles, "permission_sets": s.PermissionSets, "groups": s.Groups}
	for _, setting := range s.SourceSettings() {
		shown := api.Setting{Key: setting.Key, Value: setting.Value, IsDefault: setting.IsDefault, Default: setting.Default}
		for _, naming := range namings {
			if naming.key == setting.Key {
				shown.Value = directory.FormatMappings(lists[setting.Key], func(id string) string {
					if _, name, err := naming.resolve(tx, id); err == nil {
						return name
					}
					return id // it is gone
				})
			}
		}
		if setting.Key == "profile" {
			ref, err := profileRef(tx, setting.Value)
			if err != nil {
				return wire, err
			}
			shown.Value = ref.Name
		}
		wire.Settings = append(wire.Settings, shown)
	}
	var err error
	wire.People, err = directory.Users.Count(tx, store.Page{Index: "source", Value: s.Name}, 1000)
	return wire, err
}

func wireReport(r *directory.Report) *api.SyncReport {
	return &api.SyncReport{Found: r.Found, Created: r.Created, Changed: r.Changed, Disabled: r.Disabled, Left: r.Left, Reasons: r.Reasons, Gone: r.Gone}
}

// byID replaces names of profiles, permission sets and groups by ids. Who is created needs a profile.
func byID(tx store.Tx, values map[string]string, current string) (map[string]string, error) {
	values = maps.Clone(values)
	if values == nil {
		values = map[string]string{}
	}
	named, given := values["profile"]
	if given && named == sp.Undo {
		named = ""
	}
	if given || current == "" {
		id, err := profileFor(tx, named)
		if err != nil {
			return nil, fieldOf("profile", err)
		}
		values["profile"] = id
	}
	for _, naming := range namings {
		value := values[naming.key]
		if value == "" || value == sp.Undo {
			continue
		}
		list, err := directory.ParseMappings(value, func(ref string) (string, error) {
			id, _, err := naming.resolve(tx, ref)
			return id, err
		})
		if err != nil {
			return nil, fieldOf(naming.key, err)
		}
		values[naming.key] = directory.FormatMappings(list, func(id string) string { return id })
	}
	return values, nil
}

// AddDirectorySource adds a source: its people may sign in from now on, and are brought over within a minute.
func (a *Actions) AddDirectorySource(ctx context.Context, by By, n api.NewDirectorySource) (api.DirectorySource, error) {
	if n.Kind == "" {
		n.Kind = directory.KindLDAP
	}
	return a.changeLDAP(ctx, by, "source.add", func(tx store.Tx) (s directory.Source, err error) {
		values, err := byID(tx, n.Set, "")
		if err != nil {
			return s, err
		}
		if s, err = directory.NewSource(n.Name, n.Kind, values, by.ID, a.Now()); err != nil {
			return s, err
		}
		if err := a.sealBind(&s, n.BindPassword); err != nil {
			return s, err
		}
		known, err := directory.AllSources.Count(tx, store.Page{}, directory.MaxSources)
		if err == nil && known == directory.MaxSources {
			err = refused(http.StatusConflict, "too_many", "name", "There are %d sources, and no more are taken: remove one first.", known)
		}
		if revision, missing := directory.AllSources.Revision(tx, s.Name); err == nil && revision != 0 {
			err = errors.Join(missing, refused(http.StatusConflict, "exists", "name", "There is a source %q already: choose another name.", s.Name))
		}
		return s, err
	})
}

func (a *Actions) sealBind(s *directory.Source, password string) error {
	switch {
	case len(password) > directory.MaxPassword:
		return badValue("bind_password", "The bind password is longer than %d bytes.", directory.MaxPassword)
	case password != "":
		s.Password = a.Seal(s.SealContext(), []byte(password))
	case s.BindDN != "" && len(s.Password) == 0:
		return badValue("bind_password", "Give the password of bind_dn: an empty one would be no sign-in at all.")
	}
	return nil
}

// SetDirectorySource changes a source: all of it, or nothing. What a bind password is sent to changes only together with it, so that
// nobody has it sent elsewhere.
func (a *Actions) SetDirectorySource(ctx context.Context, by By, name string, change api.DirectorySourceChange) (api.DirectorySource, error) {
	if len(change.Set) == 0 && change.BindPassword == "" {
		return api.DirectorySource{}, badValue("set", "Nothing was to be set: name at least one KEY=VALUE, or give a bind password.")
	}
	return a.changeLDAP(ctx, by, "source.set", func(tx store.Tx) (s directory.Source, err error) {
		if s, err = findLDAP(tx, name); err != nil {
			return s, err
		}
		values, err := byID(tx, change.Set, s.Profile)
		if err != nil {
			return s, err
		}
		before := s
		if err := s.Change(values); err != nil {
			return s, err
		}
		if len(s.Password) > 0 && change.BindPassword == "" && (before.URL != s.URL || before.CA != s.CA || before.Plain != s.Plain || before.BindDN != s.BindDN) {
			return s, badValue("bind_password", "Give the bind password again: it would be sent to another place from now on.")
		}
		if s.Paused && !before.Paused {
			if err := keepsOwnerBeside(tx, by, name); err != nil {
				return s, err
			}
		}
		s.Last.Next = a.Now()
		return s, a.sealBind(&s, change.BindPassword)
	})
}

// keepsOwnerBeside refuses to take a source away when every owner signs in through it. The unix socket is the way around.
func keepsOwnerBeside(tx store.Tx, by By, source string) error {
	if by.onSocket() {
		return nil
	}
	beside, err := directory.OwnerBeside(tx, source)
	if err == nil && !beside {
		err = refused(http.StatusConflict, "last_owner", "source", "Every owner signs in through %s: make somebody else an owner first.", source)
	}
	return err
}

// changeLDAP stores the source that fn has made or changed, with its event.
func (a *Actions) changeLDAP(ctx context.Context, by By, kind string, fn func(store.Tx) (directory.Source, error)) (api.DirectorySource, error) {
	var wire api.DirectorySource
	err := a.change(ctx, by, func(tx store.Tx) (audit.Event, error) {
		s, err := fn(tx)
		if err == nil {
			err = directory.AllSources.Put(tx, &s)
		}
		if err != nil {
			return audit.Event{}, err
		}
		wire, err = wireLDAP(tx, &s)
		facts := map[string]string{"source": s.Name, "kind": s.Kind}
		for _, setting := range wire.Settings {
			if !setting.IsDefault && setting.Key != "ca" {
				facts[setting.Key] = setting.Value
			}
		}
		return audit.Event{Kind: kind, Facts: facts}, err
	})
	return wire, err
}

// RemoveDirectorySource removes a source. Its people stay, with their sessions, and cannot sign in until each is given a password.
func (a *Actions) RemoveDirectorySource(ctx context.Context, by By, name string) (api.DirectorySource, error) {
	var wire api.DirectorySource
	err := a.change(ctx, by, func(tx store.Tx) (audit.Event, error) {
		s, err := findLDAP(tx, name)
		if err != nil {
			return audit.Event{}, err
		}
		if wire, err = wireLDAP(tx, &s); err != nil {
			return audit.Event{}, err
		}
		if err := keepsOwnerBeside(tx, by, name); err != nil {
			return audit.Event{}, err
		}
		event := audit.Event{Kind: "source.remove", Facts: map[string]string{"source": name, "people": strconv.Itoa(wire.People)}}
		return event, directory.AllSources.Delete(tx, name)
	})
	return wire, err
}

// TestDirectorySource asks a source whether it answers, and what it says about a user name.
func (a *Actions) TestDirectorySource(ctx context.Context, name, user string) (api.SourceTest, error) {
	var s directory.Source
	err := a.view(ctx, func(tx store.Tx) (err error) {
		s, err = findLDAP(tx, name)
		return err
	})
	if err != nil {
		return api.SourceTest{}, err
	}
	looked, err := a.Directory.LookUp(ctx, &s, user)
	if err != nil || looked == nil {
		return api.SourceTest{}, worded(err)
	}
	p := &looked.Person
	wire := api.SourceTest{
		Found: true, DN: p.DN, ID: p.ID, Name: p.Name, Email: p.Email, GivenName: p.GivenName, Surname: p.Surname, DisplayName: p.DisplayName,
		Attributes: p.Attributes, Groups: slices.Compact(slices.Sorted(slices.Values(p.Groups))), Problem: looked.Problem,
	}
	return wire, a.view(ctx, func(tx store.Tx) error {
		profile, err := profileRef(tx, looked.User.Profile)
		if err != nil {
			return err
		}
		wire.Profile = profile.Name
		if wire.PermissionSets, err = directory.AllPermissionSets.Names(tx, looked.User.PermissionSets); err == nil {
			wire.HereGroups, err = directory.AllGroups.Names(tx, looked.User.Groups)
		}
		return err
	})
}
