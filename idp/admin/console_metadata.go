package admin

import (
	"net/http"

	"gatehouse/idp/api"
	"gatehouse/idp/web"
	"gatehouse/templates"
)

func (a *Admin) appMetadata(w http.ResponseWriter, r *http.Request) error {
	app, err := a.Actions.App(r.Context(), r.PathValue("app"))
	if err != nil {
		return err
	}
	return a.appMetadataPage(w, r, &app, templates.AppMetadataPage{})
}

func (a *Admin) appMetadataPage(w http.ResponseWriter, r *http.Request, app *api.App, page templates.AppMetadataPage) error {
	page.Shell, page.App = a.shell(r, app.Name, templates.SectionApps), a.appHead(app)
	page.Action = page.App.Base + "/metadata"
	if app.SAML != nil {
		page.Facts = samlFacts(app.SAML)
		if !page.Review {
			var err error
			if page.Follow, err = a.followPart(r, app); err != nil {
				return err
			}
		}
	}
	status := statusOf(page.Errors)
	if page.Problem != nil {
		status = http.StatusUnprocessableEntity
	}
	return web.Page(w, r, status, web.CSP{}, func(b *web.Buffer) error { return templates.AppMetadata(b, page) })
}

// appMetadataSave first shows what newer metadata would change, and stores it once that is confirmed.
func (a *Admin) appMetadataSave(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	app, err := a.Actions.App(r.Context(), r.PathValue("app"))
	if err != nil {
		return err
	}
	form, ask, err := readMetadataForm(r)
	if err != nil {
		return err
	}
	page := templates.AppMetadataPage{MetadataForm: form}
	if len(form.Errors) > 0 {
		return a.appMetadataPage(w, r, &app, page)
	}
	confirmed := r.PostForm.Get("confirm") == "replace"
	outcome, text, err := a.Actions.Upgrade(r.Context(), byOf(r), app.ID, ask, r.PostForm.Get("from"), confirmed)
	if err != nil {
		if err := a.formProblem(r, &page.MetadataForm, err); err != nil {
			return err
		}
		return a.appMetadataPage(w, r, &app, page)
	}
	if confirmed && outcome.ClientSecret != "" {
		web.NoStore(w.Header())
		return a.credentialsPage(w, r, &outcome.App, templates.AppCredentialsPage{Secret: outcome.ClientSecret})
	}
	if confirmed {
		web.SeeOther(w, link(appBase(app.ID)+"/metadata", "done", "replaced"))
		return nil
	}
	page.Review, page.Pasted, page.From = true, text, ask.URL
	for _, warning := range outcome.Warnings {
		page.Warnings = append(page.Warnings, templateWarning(warning))
	}
	for _, d := range outcome.Differences {
		page.Diff = append(page.Diff, templates.DiffRow(d))
	}
	return a.appMetadataPage(w, r, &app, page)
}
