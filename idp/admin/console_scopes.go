package admin

import (
	"net/http"
	"strconv"
	"strings"

	"gatehouse/idp/api"
	"gatehouse/idp/web"
	"gatehouse/templates"
)

const scopesPath = "/admin/scopes"

func (a *Admin) scopePages() []web.Route {
	post := func(path string, handle web.HandlerFunc) web.Route {
		return web.Route{Method: http.MethodPost, Path: scopesPath + path, Permission: AppsWrite, Handle: handle}
	}
	return []web.Route{
		{Method: http.MethodGet, Path: scopesPath, Permission: AppsRead, Handle: func(w http.ResponseWriter, r *http.Request) error {
			return a.scopesPage(w, r, templates.ScopeRow{}, nil)
		}},
		post("", a.scopeAdd),
		post("/set", a.scopeSet),
		post("/remove", a.scopeRemove),
	}
}

func (a *Admin) scopesPage(w http.ResponseWriter, r *http.Request, added templates.ScopeRow, errs templates.Errors) error {
	list, err := a.Actions.Scopes(r.Context())
	if err != nil {
		return err
	}
	page := templates.ScopesPage{Shell: a.shell(r, "Scopes", templates.SectionScopes), Added: added, Errors: errs}
	if may(r, AppsWrite) {
		page.AddAction, page.SetAction, page.RemoveAction = scopesPath, scopesPath+"/set", scopesPath+"/remove"
	}
	for _, one := range list.Items {
		row := templates.ScopeRow{Name: one.Name, Description: one.Description, Listed: one.Listed}
		for _, app := range one.Apps {
			row.Apps = append(row.Apps, templates.Link{Label: app.Name, Href: appBase(app.ID)})
		}
		page.Rows = append(page.Rows, row)
	}
	return web.Page(w, r, statusOf(errs), web.CSP{}, func(b *web.Buffer) error { return templates.Scopes(b, page) })
}

// scopeFields are what the forms post.
func scopeFields(r *http.Request) templates.ScopeRow {
	form := r.PostForm
	return templates.ScopeRow{Name: strings.TrimSpace(form.Get("name")), Description: strings.TrimSpace(form.Get("description")), Listed: form.Get("listed") == "true"}
}

func (a *Admin) scopeAdd(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	row := scopeFields(r)
	_, err := a.Actions.AddScope(r.Context(), byOf(r), api.NewScope{Name: row.Name, Description: row.Description, Listed: row.Listed})
	return a.scopeDone(w, r, "added", row, err)
}

func (a *Admin) scopeSet(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	row := scopeFields(r)
	_, err := a.Actions.SetScope(r.Context(), byOf(r), row.Name, map[string]string{"description": row.Description, "listed": strconv.FormatBool(row.Listed)})
	return a.scopeDone(w, r, "saved", templates.ScopeRow{}, err)
}

func (a *Admin) scopeRemove(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	_, err := a.Actions.RemoveScope(r.Context(), byOf(r), r.PostForm.Get("name"))
	return a.scopeDone(w, r, "removed", templates.ScopeRow{}, err)
}

// scopeDone leads back to the list, or shows on it why nothing was changed.
func (a *Admin) scopeDone(w http.ResponseWriter, r *http.Request, word string, added templates.ScopeRow, err error) error {
	if err == nil {
		web.SeeOther(w, link(scopesPath, "done", word))
		return nil
	}
	errs, err := a.formErrors(r, err)
	if err != nil {
		return err
	}
	if added.Name == "" {
		errs[0].Field = "" // the field in question is not one of the form above
	}
	return a.scopesPage(w, r, added, errs)
}
