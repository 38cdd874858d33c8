package admin

import (
	"net/http"
	"reflect"
	"slices"

	"gatehouse/idp/api"
	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/sp"
	"gatehouse/store"
)

// The route table says which role may call an action at all. What depends on whom or what it is about stands here: mayHandle
// for people, mayChangeApp for apps, and every change passes one of them.

// all tells whether the actor may do everything: an owner in person, or who came through the socket.
func (b By) all() bool { return b.onSocket() || !b.isToken() && slices.Contains(b.Roles, RoleOwner) }

// mayHandle keeps people without the owner role from taking over those who hold one, and from handing roles out; and an app from
// taking over the account that it acts for.
func mayHandle(by By, user *directory.User) error {
	if by.all() || len(user.Roles) == 0 || user.ID == by.ID && !by.isToken() {
		return nil
	}
	return refused(http.StatusForbidden, "needs_owner", "roles", "%s has a role, so only an owner may do this: ask one.", user.Name)
}

// mayLimit keeps a token from shutting those out who hold a role, or letting them in from elsewhere, by the limits of their profile.
func mayLimit(tx store.Tx, by By, profile string) error {
	if by.all() {
		return nil
	}
	for _, role := range Roles() {
		err := directory.Users.Each(tx, store.Page{Index: "role", Value: role}, func(_ string, user *directory.User) error {
			if user.Profile != profile {
				return nil
			}
			return refused(http.StatusForbidden, "needs_owner", "profile", "%s has a role and this profile, so only an owner may set its limits: ask one.", user.Name)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// mayAskOf refuses what mayChangeApp would, before names in the values are looked up, so that a developer cannot find out who
// exists. App is nil for a new one.
func mayAskOf(by By, app *sp.App, values map[string]string) error {
	if by.all() || by.allows(AppsWrite) {
		return nil
	}
	if app != nil && app.CreatedBy != by.ID {
		return notYours(app)
	}
	for key := range values {
		if sp.OfPolicy(key) {
			return needsAppAdmin()
		}
	}
	return nil
}

func notYours(app *sp.App) error {
	return refused(http.StatusForbidden, "not_yours", "app", "Somebody else registered %s: ask them, or an app administrator, to change it.", app.Definition.Name)
}

func needsAppAdmin() error {
	return refused(http.StatusForbidden, "needs_app_admin", "", "Who may enter an app, and whether it is open, is for an app administrator to say: ask one.")
}

// visibleTo leaves the people whom an app's policy names out for those who may not read about people.
func visibleTo(by By, app api.App) api.App {
	if !by.onSocket() && !by.allows(UsersRead) {
		app.Settings = slices.DeleteFunc(slices.Clone(app.Settings), func(s api.Setting) bool {
			return s.Key == "policy.users" || s.Key == "policy.approvers" || s.Key == "oauth.run_as"
		})
	}
	return app
}

// onlyEnds tells whether a change only shuts an app or removes it.
func onlyEnds(before, after *sp.App) bool {
	return before.ID != "" && before.State != after.State && (after.State == sp.Blocked || after.State == sp.Removed)
}

// mayChangeApp keeps the built-in apps, through which an organisation's owners get in, and those with scopes of Gatehouse's API, which
// lend owners' power to a program as API tokens do, to the owners; and a developer to the definition of the apps that they registered.
// Before is the zero value for a new app.
func mayChangeApp(by By, before, after *sp.App) error {
	switch {
	case by.all():
		return nil
	case flow.IsBuiltin(after.ID):
		return refused(http.StatusForbidden, "needs_owner", "app", "%s is part of Gatehouse, so only an owner may change it: ask one.", after.Definition.Name)
	case (before.ReachesAPI() || after.ReachesAPI()) && !onlyEnds(before, after):
		return refused(http.StatusForbidden, "needs_owner", "oauth.scopes", "%s acts in Gatehouse itself by its scopes, so only an owner may change it: ask one. You can block it.", after.Definition.Name)
	case by.allows(AppsWrite):
		return nil
	case after.CreatedBy != by.ID:
		return notYours(after)
	case before.ID == "" && after.State == sp.Pending && reflect.DeepEqual(after.Policy, sp.Policy{PermittedUsers: sp.PermitPreauthorized}):
		return nil
	case before.ID == "" || before.State != after.State || !reflect.DeepEqual(before.Policy, after.Policy):
		return needsAppAdmin()
	case before.State != sp.Pending:
		return mayGrow(before, after)
	}
	return nil
}

// mustConfirm keeps an owner who lends an app scopes of Gatehouse's API from lending with them what somebody else chose before: as whom
// the app acts by itself, or that it speaks for people who are not asked. Values are what the owner names in the same change.
func mustConfirm(before, after *sp.App, values map[string]string) error {
	if before.ID == "" || before.ReachesAPI() || !after.ReachesAPI() {
		return nil
	}
	for key, set := range map[string]bool{"oauth.run_as": after.Policy.RunAs != "", "oauth.grant_types": new(sp.OAuth).Unattended(after.Definition.OAuth.GrantTypes) != ""} {
		if _, named := values[key]; set && !named {
			return refused(http.StatusConflict, "confirm_"+key[len("oauth."):], key, "%s is to act in Gatehouse itself, and %s was set before, maybe by somebody who may not allow that: look at it, and set it in the same change, or clear it first.", after.Definition.Name, key)
		}
	}
	return nil
}

// mayGrow keeps developers from giving an app that was approved what lets it act for people who are not asked, or do all that they
// may: by then nobody would look at it any more.
func mayGrow(before, after *sp.App) error {
	if before.Definition.SAML == nil && after.Definition.SAML != nil {
		return refused(http.StatusForbidden, "needs_app_admin", "metadata", "SAML tells an app about people who are not asked, so an app administrator has to add it to one that is open: ask one.")
	}
	had, has := before.Definition.OAuth, after.Definition.OAuth
	if has == nil {
		return nil
	}
	var scopes []string
	if had == nil {
		had = &sp.OAuth{}
	} else {
		scopes = before.AllowedScopes()
	}
	if kind := had.Unattended(has.GrantTypes); kind != "" {
		return refused(http.StatusForbidden, "needs_app_admin", "oauth.grant_types", "%s gets tokens for people who are not asked, so an app administrator has to allow it: ask one.", kind)
	}
	if slices.Contains(after.AllowedScopes(), sp.ScopeFull) && !slices.Contains(scopes, sp.ScopeFull) {
		return refused(http.StatusForbidden, "needs_app_admin", "oauth.scopes", "%s lets an app do all that a person may, so an app administrator has to allow it: ask one.", sp.ScopeFull)
	}
	return nil
}
