package admin

import (
	"net/http"
	"strings"

	"gatehouse/idp/api"
	"gatehouse/idp/flow"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
	"gatehouse/templates"
)

// joined is the OAuth client that is to speak SAML too: one app, with one policy and one tile.
func joined(tx store.Tx, n api.NewApp) (sp.App, error) {
	app, err := findApp(tx, n.To)
	switch name := app.Definition.Name; {
	case err != nil:
		return app, err
	case n.Replace:
		return app, badValue("to", "No app has this entity id, so nothing is replaced: leave that out (--replace) to give %s SAML beside what it has.", name)
	case app.State == sp.Removed:
		return app, sp.ErrRemoved
	case flow.IsBuiltin(app.ID):
		return app, refused(http.StatusConflict, "builtin", "app", "%s is part of Gatehouse and speaks no SAML.", name)
	case app.Parent != "":
		return app, refused(http.StatusConflict, "is_child", "app", "%s registered by itself and says itself what it is, without SAML: add an app of its own for that.", name)
	case app.Definition.SAML != nil:
		return app, refused(http.StatusConflict, "exists", "metadata", "%s has SAML already, as %.200q: replace its metadata instead.", name, app.EntityID())
	case strings.HasPrefix(strings.TrimSpace(n.Metadata), "{"):
		return app, badValue("metadata", "A package is a whole app: give the SAML metadata alone, or install it as a new app.")
	}
	return app, nil
}

// appSAMLNew is the page that gives an OAuth client SAML.
func (a *Admin) appSAMLNew(w http.ResponseWriter, r *http.Request) error {
	app, err := a.Actions.App(r.Context(), r.PathValue("app"))
	if err != nil {
		return worded(err)
	}
	return a.appSAMLPage(w, r, &app, templates.AppSAMLPage{})
}

func (a *Admin) appSAMLPage(w http.ResponseWriter, r *http.Request, app *api.App, page templates.AppSAMLPage) error {
	page.Shell, page.App = a.shell(r, app.Name, templates.SectionApps), a.appHead(app)
	page.Action, page.Alone = page.App.Base+"/saml", true
	status := statusOf(page.Errors)
	if page.Problem != nil {
		status = http.StatusUnprocessableEntity
	}
	return web.Page(w, r, status, web.CSP{}, func(b *web.Buffer) error { return templates.AppSAML(b, page) })
}

// appSAMLAdd gives an OAuth client SAML.
func (a *Admin) appSAMLAdd(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	app, err := a.Actions.App(r.Context(), r.PathValue("app"))
	if err != nil {
		return worded(err)
	}
	form, ask, err := readMetadataForm(r)
	if err != nil {
		return err
	}
	page := templates.AppSAMLPage{MetadataForm: form}
	if len(form.Errors) > 0 {
		return a.appSAMLPage(w, r, &app, page)
	}
	ask.To = app.ID
	if _, err := a.Actions.AddApp(r.Context(), byOf(r), ask); err != nil {
		if err := a.formProblem(r, &page.MetadataForm, err); err != nil {
			return err
		}
		return a.appSAMLPage(w, r, &app, page)
	}
	web.SeeOther(w, link(appBase(app.ID), "done", "saml_added"))
	return nil
}
