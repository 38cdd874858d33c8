package admin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/store"
)

// UserFilter chooses people for a list: those whose user name or e-mail begins with Search, or who hold a profile,
// permission set or group (an id, in Index terms of directory.Users).
type UserFilter struct {
	Search string
	Ref    string // only the person that an id or a name stands for
	Index  string // "profile", "permission_set" or "group"
	Value  string
	After  string
	Limit  int // 1 to 1,000; otherwise 1,000
}

// Users lists people.
func (a *Actions) Users(ctx context.Context, filter UserFilter) (api.List[api.User], error) {
	list := api.List[api.User]{Items: []api.User{}}
	err := a.view(ctx, func(tx store.Tx) error {
		records, next, err := listUsers(tx, filter)
		if err != nil {
			return err
		}
		list = api.List[api.User]{Items: make([]api.User, 0, len(records)), Next: next}
		for i := range records {
			wire, err := wireUser(tx, &records[i])
			if err != nil {
				return err
			}
			list.Items = append(list.Items, wire)
		}
		return nil
	})
	return list, err
}

func listUsers(tx store.Tx, filter UserFilter) ([]directory.User, string, error) {
	switch {
	case filter.Ref != "":
		user, err := directory.ResolveUser(tx, filter.Ref)
		return []directory.User{user}, "", err
	case filter.Index != "":
		return directory.Users.List(tx, store.Page{Index: filter.Index, Value: filter.Value, After: filter.After, Limit: pageSize(filter.Limit)})
	}
	return directory.Search(tx, filter.Search, filter.After, pageSize(filter.Limit))
}

// User shows one person.
func (a *Actions) User(ctx context.Context, ref string) (api.User, error) {
	var shown api.User
	err := a.view(ctx, func(tx store.Tx) error {
		user, err := directory.ResolveUser(tx, ref)
		if err != nil {
			return err
		}
		if shown, err = wireUser(tx, &user); err != nil {
			return err
		}
		shown.Factors, err = wireFactors(tx, user.ID)
		return err
	})
	return shown, err
}

// AddUser adds a person. Without a profile the one named Standard is given, or the only one there is.
func (a *Actions) AddUser(ctx context.Context, by By, n api.NewUser) (api.User, error) {
	hash, err := a.hash(ctx, n.Password, &directory.User{Name: n.Name, Email: n.Email, DisplayName: n.DisplayName, GivenName: n.GivenName, Surname: n.Surname})
	if err != nil {
		return api.User{}, err
	}
	var shown api.User
	err = a.change(ctx, by, func(tx store.Tx) (audit.Event, error) {
		user, err := a.addUser(tx, by, n, hash)
		if err != nil {
			return audit.Event{}, err
		}
		shown, err = wireUser(tx, &user)
		return audit.Event{Kind: "user.add", User: user.ID, Facts: map[string]string{"name": user.Name}}, err
	})
	return shown, err
}

// addUser stores a new person, with a password unless the hash is empty.
func (a *Actions) addUser(tx store.Tx, by By, n api.NewUser, hash string) (directory.User, error) {
	user, err := newUser(tx, n)
	if err != nil {
		return user, err
	}
	if err := mayHandle(by, &user); err != nil {
		return user, err
	}
	if user, err = a.Directory.AddUser(tx, user); err != nil || hash == "" {
		return user, err
	}
	return user, a.Directory.SetPassword(tx, user.ID, hash)
}

// hash checks and hashes a person's password outside any transaction; an empty one stays empty.
func (a *Actions) hash(ctx context.Context, password string, user *directory.User) (string, error) {
	if password == "" {
		return "", nil
	}
	hash, err := a.Directory.HashPassword(ctx, password, user)
	return hash, fieldOf("password", err)
}

func newUser(tx store.Tx, n api.NewUser) (directory.User, error) {
	user := directory.User{
		Name: n.Name, Email: n.Email, DisplayName: n.DisplayName, GivenName: n.GivenName, Surname: n.Surname,
		Roles: n.Roles, Attributes: n.Attributes,
	}
	var err error
	if user.Profile, err = profileFor(tx, n.Profile); err != nil {
		return user, fieldOf("profile", err)
	}
	if user.PermissionSets, err = directory.AllPermissionSets.IDs(tx, n.PermissionSets); err != nil {
		return user, fieldOf("permission_sets", err)
	}
	user.Groups, err = directory.AllGroups.IDs(tx, n.Groups)
	return user, fieldOf("groups", err)
}

// profileFor finds the named profile, or for no name the one of people for whom nobody chose one.
func profileFor(tx store.Tx, ref string) (string, error) {
	if ref != "" {
		profile, err := directory.AllProfiles.Resolve(tx, ref)
		return profile.ID, err
	}
	return directory.StandardProfile(tx)
}

// EnableUser lets a person sign in again.
func (a *Actions) EnableUser(ctx context.Context, by By, ref string) (api.User, error) {
	return a.changeUser(ctx, by, ref, "user.enable", func(tx store.Tx, user *directory.User) (map[string]string, error) {
		changed, err := a.Directory.Enable(tx, user.ID)
		*user = changed
		return nil, err
	})
}

// DisableUser keeps a person from signing in and ends their sessions.
func (a *Actions) DisableUser(ctx context.Context, by By, ref string) (api.User, error) {
	return a.changeUser(ctx, by, ref, "user.disable", func(tx store.Tx, user *directory.User) (map[string]string, error) {
		changed, err := a.Directory.Disable(tx, user.ID)
		if err != nil {
			return nil, err
		}
		*user = changed
		return endSessions(tx, user.ID)
	})
}

// ResetPassword sets a person's password and ends their sessions.
func (a *Actions) ResetPassword(ctx context.Context, by By, ref, password string) (api.User, error) {
	if password == "" {
		return api.User{}, badValue("password", "Give the new password.")
	}
	var whose directory.User
	err := a.view(ctx, func(tx store.Tx) (err error) {
		whose, err = directory.ResolveUser(tx, ref)
		return err
	})
	if err != nil {
		return api.User{}, err
	}
	hash, err := a.hash(ctx, password, &whose)
	if err != nil {
		return api.User{}, err
	}
	return a.changeUser(ctx, by, whose.ID, "user.password", func(tx store.Tx, user *directory.User) (map[string]string, error) {
		if user.ID == by.ID {
			return nil, refused(http.StatusConflict, "own_password", "password", "Change your own password on your account page, which asks for the present one.")
		}
		if err := a.Directory.SetPassword(tx, user.ID, hash); err != nil {
			return nil, fieldOf("password", err)
		}
		if err := a.passwordChanged(tx, user); err != nil {
			return nil, err
		}
		return endSessions(tx, user.ID)
	})
}

// RemoveUser removes a person and ends their sessions.
func (a *Actions) RemoveUser(ctx context.Context, by By, ref string) (api.User, error) {
	return a.changeUser(ctx, by, ref, "user.remove", func(tx store.Tx, user *directory.User) (map[string]string, error) {
		facts, err := endSessions(tx, user.ID)
		if err != nil {
			return nil, err
		}
		if err := flow.Forget(tx, flow.Scope{User: user.ID}); err != nil {
			return nil, err
		}
		facts["name"] = user.Name
		_, err = a.Directory.RemoveUser(tx, user.ID)
		return facts, err
	})
}

func endSessions(tx store.Tx, user string) (map[string]string, error) {
	ended, err := flow.Withdraw(tx, flow.Scope{User: user})
	return map[string]string{"sessions": strconv.Itoa(len(ended))}, err
}

// changeUser changes one person in one transaction with its event; fn returns the event's facts.
func (a *Actions) changeUser(ctx context.Context, by By, ref, kind string, fn func(store.Tx, *directory.User) (map[string]string, error)) (api.User, error) {
	var shown api.User
	err := a.change(ctx, by, func(tx store.Tx) (audit.Event, error) {
		user, err := directory.ResolveUser(tx, ref)
		if err != nil {
			return audit.Event{}, err
		}
		before := user
		if err := mayHandle(by, &before); err != nil {
			return audit.Event{}, err
		}
		facts, err := fn(tx, &user)
		if err != nil {
			return audit.Event{}, err
		}
		if !by.all() && !slices.Equal(before.Roles, user.Roles) {
			return audit.Event{}, refused(http.StatusForbidden, "needs_owner", "roles", "Only an owner gives or takes roles: ask one.")
		}
		shown, err = wireUser(tx, &user)
		return audit.Event{Kind: kind, User: user.ID, Facts: facts}, err
	})
	return shown, err
}

func wireUser(tx store.Tx, user *directory.User) (api.User, error) {
	wire := api.User{
		ID: user.ID, Name: user.Name, DisplayName: user.DisplayName, Email: user.Email, GivenName: user.GivenName,
		Surname: user.Surname, Status: "active", Roles: slices.Clone(user.Roles), Attributes: user.Attributes,
		Created: user.Created, Changed: user.Changed, Source: user.Source, ExternalID: user.ExternalID, Gone: user.Gone,
	}
	if user.Disabled {
		wire.Status = "disabled"
	}
	if wire.Roles == nil {
		wire.Roles = []string{}
	}
	var errs [4]error
	wire.Profile, errs[0] = profileRef(tx, user.Profile)
	wire.PermissionSets, errs[1] = refsTo(tx, user.PermissionSets, setRef)
	wire.Groups, errs[2] = refsTo(tx, user.Groups, groupRef)
	wire.LastSignIn, errs[3] = directory.LastSignIn(tx, user.ID)
	return wire, errors.Join(errs[:]...)
}
