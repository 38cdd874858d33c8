package admin

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"gatehouse/idp/api"
	"gatehouse/idp/flow"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/sp/metadata"
	"gatehouse/templates"
)

// pageRows is how many lines a list of the console shows at once.
const pageRows = 100

// appList shows the apps in the order of their names. All of them are read, because what is looked for may be anywhere.
func (a *Admin) appList(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	state, text := query.Get("state"), strings.TrimSpace(query.Get("q"))
	parent := query.Get("parent")
	apps, err := a.allApps(r.Context(), AppFilter{State: state, Parent: parent}, text)
	if err != nil {
		return worded(err)
	}
	page := templates.AppsPage{Shell: a.shell(r, "Apps", templates.SectionApps), Query: text, State: state, States: states(), Parent: parent}
	from, err := strconv.Atoi(query.Get("from"))
	if err != nil || from < 0 || from >= len(apps) {
		from = 0
	}
	to := min(from+pageRows, len(apps))
	for i := range apps[from:to] {
		page.Apps = append(page.Apps, appRow(&apps[from+i]))
	}
	if len(apps) > pageRows {
		page.Pager = templates.Pager{From: from + 1, To: to, Total: len(apps)}
	}
	at := func(row int) string {
		return link("/admin/apps", "q", text, "state", state, "parent", parent, "from", strconv.Itoa(row))
	}
	if from > 0 {
		page.Pager.PrevHref = at(max(0, from-pageRows))
	}
	if to < len(apps) {
		page.Pager.NextHref = at(to)
	}
	if may(r, AuditRead) && text == "" && state == "" && parent == "" {
		if page.Attempts, err = a.attemptRows(r.Context()); err != nil {
			return err
		}
	}
	if may(r, AppsRegister) {
		page.NewHref = "/admin/apps/new"
	}
	return web.Page(w, r, http.StatusOK, web.CSP{}, func(b *web.Buffer) error { return templates.Apps(b, page) })
}

func (a *Admin) attemptRows(ctx context.Context) ([]templates.AttemptRow, error) {
	list, err := a.Actions.Attempts(ctx)
	var rows []templates.AttemptRow
	for _, one := range list.Items {
		row := templates.AttemptRow{
			Identifier: one.Identifier, Count: one.Count, Last: one.Last, Who: one.User.Name, WhoHref: "/admin/users/" + one.User.ID,
		}
		for _, name := range one.Sources {
			row.Sources = append(row.Sources, templates.Link{Label: name, Href: link(sourceHref(name), "q", one.Identifier)})
		}
		rows = append(rows, row)
	}
	return rows, err
}

// allApps are the apps in a state that contain a text, by name.
func (a *Admin) allApps(ctx context.Context, filter AppFilter, text string) ([]api.App, error) {
	var all []api.App
	for {
		list, err := a.Actions.Apps(ctx, filter)
		if err != nil {
			return nil, err
		}
		for i := range list.Items {
			if contains(&list.Items[i], text) {
				all = append(all, list.Items[i])
			}
		}
		if list.Next == "" {
			break
		}
		filter.After = list.Next
	}
	slices.SortFunc(all, func(a, b api.App) int {
		return cmp.Or(cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

func states() []templates.Option {
	var all []templates.Option
	for _, s := range []sp.State{sp.Active, sp.Pending, sp.Blocked, sp.Removed} {
		all = append(all, templates.Option{Value: string(s)})
	}
	return all
}

func contains(app *api.App, text string) bool {
	return strings.Contains(strings.ToLower(app.Name+"\n"+app.EntityID+"\n"+app.ClientID+"\n"+app.Description), strings.ToLower(text))
}

func appRow(app *api.App) templates.AppRow {
	row := templates.AppRow{
		Name: app.Name, Href: appBase(app.ID), EntityID: cmp.Or(app.EntityID, app.ClientID), Origin: origin(app), State: app.State, LogoURL: flow.LogoPath(app.ID, app.LogoURL),
		Who: who(app), Changed: app.Changed,
	}
	if app.Builtin {
		row.EntityID = "part of Gatehouse"
	}
	if nobody(app) {
		row.Warnings = 1
	}
	return row
}

func nobody(app *api.App) bool {
	onRequest := slices.ContainsFunc(app.Settings, func(s api.Setting) bool { return s.Key == "policy.approvers" && !s.IsDefault })
	return app.PermittedUsers == sp.PermitPreauthorized && app.Permitted == 0 && !onRequest
}

// who says in words who may use an app.
func who(app *api.App) string {
	switch {
	case nobody(app):
		return "Nobody"
	case app.PermittedUsers == sp.PermitPreauthorized:
		return "Chosen people"
	case app.ID == flow.Console:
		return "People with a role"
	}
	return "Everybody"
}

func appBase(id string) string { return "/admin/apps/" + id }

func (a *Admin) appNew(w http.ResponseWriter, r *http.Request) error {
	page := templates.AppNewPage{}
	if kind := kindOf(r.URL.Query().Get("kind")); kind != "" {
		form, err := a.clientForm(r, kind)
		if err != nil {
			return err
		}
		page.Client = &form
	}
	return a.appNewPage(w, r, page, nil)
}

func (a *Admin) appNewPage(w http.ResponseWriter, r *http.Request, page templates.AppNewPage, chosen []string) error {
	var all api.List[api.Profile]
	if page.Pending = !may(r, AppsWrite); !page.Pending {
		var err error
		if all, err = profiles.list(r.Context(), a.Actions, "", "", 0); err != nil {
			return err
		}
	}
	page.Shell, page.Action, page.Cancel = a.shell(r, "Add an app", templates.SectionApps), "/admin/apps/new", "/admin/apps"
	page.Profiles = choices(all.Items, isIn(chosen))
	kind := ""
	if page.Client != nil {
		kind = page.Client.Kind
	}
	page.Kinds = kindLinks(page.Action, kind, true)
	status := statusOf(page.Errors)
	if page.Problem != nil {
		status = http.StatusUnprocessableEntity
	}
	return web.Page(w, r, status, web.CSP{}, func(b *web.Buffer) error { return templates.AppNew(b, page) })
}

// appAdd adds an app from the form: an OAuth client, or metadata by file, paste or address, and who may use it.
func (a *Admin) appAdd(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	if kindOf(r.PostForm.Get("kind")) != "" {
		return a.clientAdd(w, r)
	}
	form, ask, err := readMetadataForm(r)
	if err != nil {
		return err
	}
	chosen := r.PostForm["profiles"]
	page := templates.AppNewPage{MetadataForm: form, Name: r.PostForm.Get("name"), Permitted: permittedOf(r)}
	if len(page.Errors) > 0 {
		return a.appNewPage(w, r, page, chosen)
	}
	ask.Name = page.Name
	if may(r, AppsWrite) {
		ask.Set = map[string]string{"policy.permitted_users": page.Permitted, "policy.profiles": joinList(chosen)}
	}
	added, err := a.Actions.AddApp(r.Context(), byOf(r), ask)
	if err != nil {
		if err := a.formProblem(r, &page.MetadataForm, err); err != nil {
			return err
		}
		return a.appNewPage(w, r, page, chosen)
	}
	if added.ClientID != "" { // from a package
		return a.clientAdded(w, r, &added)
	}
	web.SeeOther(w, link(appBase(added.App.ID), "done", "added"))
	return nil
}

func permittedOf(r *http.Request) string {
	if r.PostForm.Get("permitted_users") == sp.PermitAll {
		return sp.PermitAll
	}
	return sp.PermitPreauthorized
}

// readMetadataForm reads what the metadata forms share: what to show again, and what to ask the action.
func readMetadataForm(r *http.Request) (templates.MetadataForm, api.NewApp, error) {
	form := templates.MetadataForm{Source: r.PostForm.Get("source"), Pasted: r.PostForm.Get("metadata"), URL: strings.TrimSpace(r.PostForm.Get("url"))}
	missing := func(field, text string) (templates.MetadataForm, api.NewApp, error) {
		form.Errors = templates.Errors{{Field: field, Text: text}}
		return form, api.NewApp{}, nil
	}
	switch form.Source {
	case "paste":
		if strings.TrimSpace(form.Pasted) == "" {
			return missing("metadata", "Paste the metadata.")
		}
		return form, api.NewApp{Metadata: form.Pasted}, nil
	case "url":
		if form.URL == "" {
			return missing("url", "Give the address of the metadata.")
		}
		return form, api.NewApp{URL: form.URL}, nil
	}
	file, _, err := r.FormFile("file")
	if err != nil {
		return missing("file", "Choose the metadata file.")
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, maxMetadata+1))
	if err == nil && len(content) == 0 {
		return missing("file", "The file is empty: choose the metadata file.")
	}
	return form, api.NewApp{Metadata: string(content)}, err
}

// formProblem puts a refusal where the metadata form shows it; an error that is none is returned.
func (a *Admin) formProblem(r *http.Request, form *templates.MetadataForm, err error) error {
	public := a.onForm(r, err)
	if public == nil {
		return err
	}
	var parse *metadata.Error
	switch {
	case errors.As(err, &parse):
		form.Problem = &templates.MetadataProblem{Line: parse.Line, Reason: sentence(parse.Reason)}
	case public.Field == "metadata" || public.Field == "entity_id":
		form.Problem = &templates.MetadataProblem{Reason: public.Text}
	default:
		form.Errors = templates.Errors{{Field: strings.TrimPrefix(public.Field, "policy."), Text: public.Text}}
	}
	return nil
}
