package admin

import (
	"errors"
	"net/http"
	"strings"

	"gatehouse/idp/api"
	"gatehouse/idp/directory"
	"gatehouse/idp/grants"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
)

func unknown(noun, ref string) *web.Error {
	return refused(http.StatusNotFound, "not_found", noun, "There is no %s %.80q: check the spelling, or list them to see what there is.", noun, ref)
}

// findApp finds an app by id, else by unique name, else by entity id or client id. Removed apps are found by id only.
func findApp(tx store.Tx, ref string) (sp.App, error) {
	app, _, err := sp.Apps.Get(tx, ref)
	if err == nil || !errors.Is(err, store.ErrNotFound) {
		return app, err
	}
	named, err := appsNamed(tx, ref)
	switch {
	case err != nil:
		return app, err
	case len(named) == 1:
		return named[0], nil
	case len(named) > 1:
		return app, refused(http.StatusConflict, "ambiguous", "app", "Several apps are called %q: use the id, %s or %s.", ref, named[0].ID, named[1].ID)
	}
	if app, _, err = sp.Apps.By(tx, "entity_id", ref); errors.Is(err, store.ErrNotFound) {
		app, _, err = sp.Apps.By(tx, "client_id", ref)
	}
	if errors.Is(err, store.ErrNotFound) {
		return app, unknown("app", ref)
	}
	return app, err
}

// appsNamed lists the apps of a name, without removed ones.
func appsNamed(tx store.Tx, name string) ([]sp.App, error) {
	if name == "" || strings.Contains(name, "\x00") {
		return nil, nil
	}
	var named []sp.App
	err := sp.Apps.Each(tx, store.Page{Index: "name", Value: strings.ToLower(name)}, func(_ string, app *sp.App) error {
		if app.State != sp.Removed {
			named = append(named, *app)
		}
		return nil
	})
	return named, err
}

// refTo names a record for display; one that is gone keeps its id as its name.
func refTo[T any](tx store.Tx, table *store.Table[T], id string, name func(*T) string) (api.Ref, error) {
	if id == "" {
		return api.Ref{}, nil
	}
	record, _, err := table.Get(tx, id)
	if errors.Is(err, store.ErrNotFound) {
		return api.Ref{ID: id, Name: id}, nil
	}
	return api.Ref{ID: id, Name: name(&record)}, err
}

func userRef(tx store.Tx, id string) (api.Ref, error) {
	return refTo(tx, directory.Users, id, func(u *directory.User) string { return u.Name })
}

// tokenActor is how a token is written where actors are named: "token NAME".
const tokenActor = "token "

// actorRef names who did something: a token by its name, everybody else as userRef does.
func actorRef(tx store.Tx, id string) (api.Ref, error) {
	if grants.IsAPIToken(id) {
		return refTo(tx, grants.APITokens, id, func(t *grants.APIToken) string { return tokenActor + t.Name })
	}
	if looksLikeID(id, "app_") { // an OAuth client acts by itself
		return appRef(tx, id)
	}
	return userRef(tx, id)
}

func appRef(tx store.Tx, id string) (api.Ref, error) {
	return refTo(tx, sp.Apps, id, func(a *sp.App) string { return a.Definition.Name })
}

func profileRef(tx store.Tx, id string) (api.Ref, error) {
	return refTo(tx, directory.Profiles, id, func(p *directory.Profile) string { return p.Name })
}

func setRef(tx store.Tx, id string) (api.Ref, error) {
	return refTo(tx, directory.PermissionSets, id, func(p *directory.PermissionSet) string { return p.Name })
}

func groupRef(tx store.Tx, id string) (api.Ref, error) {
	return refTo(tx, directory.Groups, id, func(g *directory.Group) string { return g.Name })
}

// refsTo names several.
func refsTo(tx store.Tx, list []string, one func(store.Tx, string) (api.Ref, error)) ([]api.Ref, error) {
	refs := make([]api.Ref, 0, len(list))
	for _, id := range list {
		ref, err := one(tx, id)
		if err != nil {
			return nil, err
		}
		refs = append(refs, ref)
	}
	return refs, nil
}
