package admin

import (
	"net/http"
	"strings"

	"gatehouse/idp/api"
	"gatehouse/idp/web"
	"gatehouse/sp"
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

func (c *access) empty() bool {
	return c.permitted == sp.PermitPreauthorized && len(c.profiles)+len(c.permissionSets)+len(c.groups)+len(c.users) == 0
}

func (a *Admin) appAccess(w http.ResponseWriter, r *http.Request) error {
	app, err := a.Actions.App(r.Context(), r.PathValue("app"))
	if err != nil {
		return err
	}
	return a.appAccessPage(w, r, &app, accessOf(&app), templates.AppAccessPage{})
}

func (a *Admin) appAccessPage(w http.ResponseWriter, r *http.Request, app *api.App, chosen access, page templates.AppAccessPage) error {
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
	return web.Page(w, r, statusOf(page.Errors), web.CSP{}, func(b *web.Buffer) error { return templates.AppAccess(b, page) })
}

// appAccessSave stores who may use an app; lists that leave nobody are asked about first.
func (a *Admin) appAccessSave(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	app, err := a.Actions.App(r.Context(), r.PathValue("app"))
	if err != nil {
		return err
	}
	form := r.PostForm
	chosen := access{permittedOf(r), form["profiles"], form["permission_sets"], form["groups"], lines(form.Get("users"))}
	if chosen.empty() && form.Get("confirm") != "empty" {
		return a.appAccessPage(w, r, &app, chosen, templates.AppAccessPage{AskEmpty: true})
	}
	_, err = a.Actions.SetApp(r.Context(), byOf(r), app.ID, map[string]string{
		"policy.permitted_users": chosen.permitted, "policy.profiles": joinList(chosen.profiles),
		"policy.permission_sets": joinList(chosen.permissionSets), "policy.groups": joinList(chosen.groups),
		"policy.users": joinList(chosen.users),
	})
	if err != nil {
		errs, err := formErrors(err)
		if err != nil {
			return err
		}
		errs[0].Field = strings.TrimPrefix(errs[0].Field, "policy.")
		return a.appAccessPage(w, r, &app, chosen, templates.AppAccessPage{Errors: errs})
	}
	web.SeeOther(w, link(appBase(app.ID)+"/access", "done", "saved"))
	return nil
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
