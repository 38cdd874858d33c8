package admin

import (
	"maps"
	"net/http"
	"strings"

	"gatehouse/idp/api"
	"gatehouse/idp/web"
	"gatehouse/templates"
)

// access is who may use an app, as the form shows it: names in lists.
type access struct {
	permitted                               string
	profiles, permissionSets, groups, users []string
}

func accessOf(app *api.App) access {
	values := map[string][]string{}
	for _, s := range app.Settings {
		if !s.IsDefault {
			values[s.Key] = splitList(s.Value)
		}
	}
	return access{app.PermittedUsers, values["policy.profiles"], values["policy.permission_sets"], values["policy.groups"], values["policy.users"]}
}

// appAccess names people and counts members, so reading about apps is not enough for it.
func (a *Admin) appAccess(w http.ResponseWriter, r *http.Request) error {
	if !may(r, UsersRead) {
		return refused(http.StatusForbidden, "no_permission", "", "This page names people, which your role does not let you read about. Ask an owner of this Gatehouse if you need it.")
	}
	app, err := a.Actions.App(r.Context(), r.PathValue("app"))
	if err != nil {
		return err
	}
	return a.appAccessPage(w, r, &app, accessOf(&app), nil, templates.AppAccessPage{})
}

// appAccessPage is the one screen of an app's policy. Posted values, if any, are shown in the place of the stored ones.
func (a *Admin) appAccessPage(w http.ResponseWriter, r *http.Request, app *api.App, chosen access, posted map[string]string, page templates.AppAccessPage) error {
	ctx := r.Context()
	allProfiles, err := profiles.list(ctx, a.Actions, "", "", 0)
	if err != nil {
		return err
	}
	allSets, err := permissionSets.list(ctx, a.Actions, "", "", 0)
	if err != nil {
		return err
	}
	allGroups, err := groups.list(ctx, a.Actions, "", "", 0)
	if err != nil {
		return err
	}
	page.Shell, page.App = a.shell(r, app.Name, templates.SectionApps), a.appHead(app)
	page.Action, page.Nobody = page.App.Base+"/access", nobody(app)
	page.Permitted, page.Users = chosen.permitted, strings.Join(chosen.users, "\n")
	page.Profiles = choices(allProfiles.Items, isIn(chosen.profiles))
	page.PermissionSets = choices(allSets.Items, isIn(chosen.permissionSets))
	page.Groups = choices(allGroups.Items, isIn(chosen.groups))
	page.Rows = settingRows(settingsOf(app, true), posted, page.Errors)
	return web.Page(w, r, statusOf(page.Errors), web.CSP{}, func(b *web.Buffer) error { return templates.AppAccess(b, page) })
}

// appAccessSave stores an app's policy, all of it or nothing; one that lets nobody in is asked about first.
func (a *Admin) appAccessSave(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	app, err := a.Actions.App(r.Context(), r.PathValue("app"))
	if err != nil {
		return err
	}
	form, by := r.PostForm, byOf(r)
	by.Empty = form.Get("confirm") == "empty"
	chosen := access{permittedOf(r), form["profiles"], form["permission_sets"], form["groups"], lines(form.Get("users"))}
	posted, changed := readSettings(r, settingsOf(&app, true))
	maps.Copy(changed, map[string]string{
		"policy.permitted_users": chosen.permitted, "policy.profiles": joinList(chosen.profiles),
		"policy.permission_sets": joinList(chosen.permissionSets), "policy.groups": joinList(chosen.groups),
		"policy.users": joinList(chosen.users),
	})
	if _, err = a.Actions.SetApp(r.Context(), by, app.ID, changed); err == nil {
		web.SeeOther(w, link(appBase(app.ID)+"/access", "done", "saved"))
		return nil
	}
	if public := asPublic(err); public != nil && public.Reason == "lets_nobody_in" {
		return a.appAccessPage(w, r, &app, chosen, posted, templates.AppAccessPage{AskEmpty: true})
	}
	errs, err := a.formErrors(r, err)
	if err != nil {
		return err
	}
	if ownFields[errs[0].Field] {
		errs[0].Field = strings.TrimPrefix(errs[0].Field, "policy.")
	}
	return a.appAccessPage(w, r, &app, chosen, posted, templates.AppAccessPage{Errors: errs})
}

// lines are the lines of a text area without blanks.
func lines(text string) []string {
	var all []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return all
}
