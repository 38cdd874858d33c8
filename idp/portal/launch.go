package portal

import (
	"net/http"

	"gatehouse/idp/flow"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/templates"
)

// launch opens an app from a link of our own. A link on another website gets a page with a button, so that nobody is
// signed in to an app unawares (login CSRF).
func (h *Handlers) launch(w http.ResponseWriter, r *http.Request) error {
	if r.Header.Get("Sec-Fetch-Site") != "cross-site" {
		return h.launchNow(w, r)
	}
	app, err := h.Engine.AppOf(r.Context(), r.PathValue("app"))
	if err != nil {
		return err
	}
	if app == nil || flow.IsBuiltin(app.ID) || app.State == sp.Removed {
		return h.unknown(r)
	}
	page := templates.ConfirmPage{
		Shell: h.Kit.Shell(r, "Open "+app.Definition.Name), Question: "Open " + app.Definition.Name + "?",
		Detail: "Another website asks to open this app with your account. Go on only if you expected that.",
		Action: r.URL.RequestURI(), Button: "Open " + app.Definition.Name,
		Cancel: templates.Link{Label: "Go to your apps", Href: "/"},
	}
	var csp web.CSP
	if startsAtApp(app) {
		csp.FormAction = "'self' " + web.FormActionFor(h.start(app)) // the post is redirected there
	}
	return web.Page(w, r, http.StatusOK, csp, func(b *web.Buffer) error { return templates.Confirm(b, page) })
}

// startsAtApp tells whether the app cannot be opened by an answer it did not ask for.
func startsAtApp(app *sp.App) bool {
	return app.Definition.SAML == nil || !app.Definition.SAML.IDPInitiatedAllowed()
}

func (h *Handlers) launchNow(w http.ResponseWriter, r *http.Request) error {
	app, err := h.Engine.AppOf(r.Context(), r.PathValue("app"))
	if err != nil {
		return err
	}
	if app == nil || flow.IsBuiltin(app.ID) || app.State == sp.Removed {
		return h.unknown(r)
	}
	if startsAtApp(app) {
		return h.startAtApp(w, r, app)
	}
	request, err := h.SAML.Launch(app, r.URL.Query().Get("RelayState"))
	if err != nil {
		return h.Engine.Halt(r, app.ID, "signon", flow.Reason{Type: "bad_relay_state", Text: err.Error(), Err: err})
	}
	return h.Engine.Begin(w, r, request)
}

// startAtApp sends the browser to the app's own start page, which an administrator registered.
func (h *Handlers) startAtApp(w http.ResponseWriter, r *http.Request, app *sp.App) error {
	if app.State != sp.Active {
		return h.unknown(r)
	}
	start := h.start(app)
	if start == "" {
		return h.Engine.Halt(r, app.ID, "signon", flow.Reason{
			Type: "no_start", Text: app.Definition.Name + " cannot be opened from here. Open it at its own address; it will send you here to sign in.",
		})
	}
	web.SeeOther(w, start)
	return nil
}

// start is where an app is opened at its own address.
func (h *Handlers) start(app *sp.App) string {
	if begins := h.Begins(app); begins != "" {
		return begins
	}
	return app.Definition.StartURL
}

func (h *Handlers) unknown(r *http.Request) error {
	return h.Engine.Halt(r, "", "signon", flow.Reason{
		Type: flow.ReasonUnknownApp, Text: "There is no such app here. Go to your apps and choose one.",
	})
}
