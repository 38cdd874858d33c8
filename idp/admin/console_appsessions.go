package admin

import (
	"encoding/json"
	"net/http"

	"gatehouse/idp/api"
	"gatehouse/idp/web"
	"gatehouse/templates"
)

func (a *Admin) appSessions(w http.ResponseWriter, r *http.Request) error {
	app, err := a.Actions.App(r.Context(), r.PathValue("app"))
	if err != nil {
		return err
	}
	list, err := a.Actions.Sessions(r.Context(), "", app.ID)
	if err != nil {
		return err
	}
	page := templates.AppSessionsPage{Shell: a.shell(r, app.Name, templates.SectionApps), App: a.appHead(&app)}
	if may(r, SessionsEnd) {
		page.EndAction, page.EndAllAction = page.App.Base+"/sessions/end", page.App.Base+"/sessions/end-all"
	}
	for i := range list.Items {
		s := &list.Items[i]
		page.Rows = append(page.Rows, templates.AppSessionRow{
			SessionRow: templates.SessionRow{
				Handle: s.Handle, Device: web.Device(s.Agent), Address: s.Address, Level: s.Level, Started: s.Started, Seen: s.Seen,
			},
			Person: s.User.Name, PersonHref: "/admin/users/" + s.User.ID,
		})
	}
	return web.Page(w, r, http.StatusOK, web.CSP{}, func(b *web.Buffer) error { return templates.AppSessions(b, page) })
}

// appEndSessions takes the app out of one session, or of all where the form names none.
func (a *Admin) appEndSessions(one bool) web.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := parseForm(r); err != nil {
			return err
		}
		ask := api.EndSessions{App: r.PathValue("app")}
		if one {
			ask.Session = r.PostForm.Get("session")
			if ask.Session == "" {
				return badValue("session", "Say which session to revoke.")
			}
		}
		if _, err := a.Actions.EndSessions(r.Context(), byOf(r), ask); err != nil {
			return err
		}
		web.SeeOther(w, link(appBase(ask.App)+"/sessions", "done", "revoked"))
		return nil
	}
}

// appExport hands out the app's package as a file.
func (a *Admin) appExport(w http.ResponseWriter, r *http.Request) error {
	p, err := a.Actions.ExportApp(r.Context(), r.PathValue("app"))
	if err != nil {
		return err
	}
	content, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	web.NoStore(w.Header())
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Disposition", `attachment; filename="app.gatehouse.json"`)
	_, err = w.Write(content)
	return err
}
