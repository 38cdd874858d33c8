package admin

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"gatehouse/idp/api"
	"gatehouse/idp/flow"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/templates"
)

func (a *Admin) appHead(app *api.App) templates.AppHead {
	return templates.AppHead{ID: app.ID, Name: app.Name, State: app.State, LogoURL: flow.LogoPath(app.ID, app.LogoURL), Base: appBase(app.ID), SAML: app.SAML != nil, OAuth: app.OAuth != nil}
}

// appPage is the overview of one app: what it is, what to look at, and what to enter at the other side.
func (a *Admin) appPage(w http.ResponseWriter, r *http.Request) error { return a.appOverview(w, r, "") }

// appOverview is that page; token is an initial access token that was just made, if any.
func (a *Admin) appOverview(w http.ResponseWriter, r *http.Request, token string) error {
	app, err := a.Actions.App(r.Context(), r.PathValue("app"))
	if err != nil {
		return worded(err)
	}
	page := templates.AppPage{
		Shell: a.shell(r, app.Name, templates.SectionApps), App: a.appHead(&app), Facts: appFacts(&app), Nobody: nobody(&app),
	}
	if !app.Builtin {
		usage, err := a.Actions.AppUsage(r.Context(), app.ID)
		if err != nil {
			return err
		}
		page.Facts = append(page.Facts, usageFacts(&usage)...)
	}
	for _, warning := range app.Warnings {
		if warning.Code != api.WarnNobody { // the page says that in its own words
			page.Warnings = append(page.Warnings, templateWarning(warning))
		}
	}
	if app.SAML != nil {
		entityID, err := a.Actions.EntityID(r.Context())
		if err != nil {
			return err
		}
		page.IdP, page.IdPLinks = a.idpFacts(entityID, "/saml/metadata/"+app.ID)
		page.IdPLinks[1].Href += "?app=" + app.ID // its own signing key's
		page.Launch = a.launchOf(&app)
	}
	if !app.Builtin {
		page.Export = page.App.Base + "/export"
	}
	if !app.Builtin && app.State != string(sp.Removed) && may(r, AppsRegister) {
		if app.OAuth == nil {
			page.Add = page.App.Base + "/client"
		} else if app.SAML == nil && app.OAuth.Parent == "" {
			page.AddSAML = page.App.Base + "/saml"
		}
	}
	if page.Origin = origin(&app); app.State == string(sp.Pending) && may(r, AppsWrite) {
		page.ApproveAction, page.Seen = page.App.Base+"/approve", app.Changed.Format(time.RFC3339Nano)
	}
	if mayRegister(&app) && (app.OAuth.Gateway || app.OAuth.Children > 0) {
		if page.Clients, err = a.clientsOf(r, &app, token); err != nil {
			return err
		}
	}
	page.OAuth, err = a.oauthFacts(r, &app)
	if err != nil {
		return err
	}
	return web.Page(w, r, http.StatusOK, web.CSP{}, func(b *web.Buffer) error { return templates.App(b, page) })
}

func templateWarning(w api.Warning) templates.Warning {
	kind := "warn"
	if w.Severity == "info" {
		kind = "info"
	}
	return templates.Warning{Kind: kind, Text: w.Text}
}

// launchOf is the address that starts the app from here, empty when that is switched off.
func (a *Admin) launchOf(app *api.App) string {
	for _, s := range app.Settings {
		if s.Key == "saml.allow_idp_initiated" && s.Value == "false" {
			return ""
		}
	}
	return a.Actions.BaseURL + "/launch/" + app.ID
}

func appFacts(app *api.App) []templates.Fact {
	facts := []templates.Fact{
		{Label: "State", Text: app.State, Kind: "state"},
		{Label: "Who may use it", Text: who(app), Href: appBase(app.ID) + "/access"},
	}
	if app.Description != "" {
		facts = append(facts, templates.Fact{Label: "Description", Text: app.Description})
	}
	if app.SAML != nil {
		facts = append(facts, samlFacts(app.SAML)...)
	}
	if app.ClientID != "" {
		facts = append(facts, templates.Fact{Label: "Client ID", Text: app.ClientID, Kind: "code", Hint: "The name of the app in OAuth and OpenID Connect. Secrets and addresses are under Credentials."})
	}
	if app.Builtin {
		facts = append(facts, templates.Fact{Label: "Kind", Text: "Part of Gatehouse", Hint: "It cannot be blocked or removed; its policy says who may use it."})
	}
	return append(facts,
		templates.Fact{Label: "ID", Text: app.ID, Kind: "code"},
		templates.Fact{Label: "Added", Time: app.Created}, templates.Fact{Label: "Changed", Time: app.Changed})
}

func samlFacts(m *api.SAML) []templates.Fact {
	facts := []templates.Fact{{Label: "Entity ID", Text: m.EntityID, Kind: "code"}}
	for _, e := range m.ACS {
		facts = append(facts, templates.Fact{Label: "Answers go to", Text: e.Location, Kind: "code", Hint: bindingName(e.Binding)})
	}
	for _, e := range m.SLO {
		facts = append(facts, templates.Fact{Label: "Logout goes to", Text: e.Location, Kind: "code", Hint: bindingName(e.Binding)})
	}
	for _, c := range m.Certificates {
		use := c.Use
		if use == "" {
			use = "signing and encryption"
		}
		hint := "SHA-256 " + c.Fingerprint
		if !c.NotAfter.IsZero() {
			hint = fmt.Sprintf("until %s · %s", c.NotAfter.UTC().Format("2 January 2006"), hint)
		}
		subject := c.Subject
		if subject == "" {
			subject = "a bare public key"
		}
		facts = append(facts, templates.Fact{Label: "Certificate for " + use, Text: subject, Hint: hint})
	}
	if len(m.NameIDFormats) > 0 {
		facts = append(facts, templates.Fact{Label: "NameID formats", Tags: shortNames(m.NameIDFormats)})
	}
	if len(m.Requested) > 0 {
		facts = append(facts, templates.Fact{Label: "Asks for", Tags: m.Requested})
	}
	if m.Source != "" {
		facts = append(facts, templates.Fact{Label: "Metadata source", Text: m.Source, Href: sourceHref(m.Source)})
	}
	facts = append(facts, timeFacts("Metadata valid until", m.ValidUntil)...)
	if m.SourceURL != "" {
		facts = append(facts, templates.Fact{Label: "Fetched from", Text: m.SourceURL, Kind: "code"})
	}
	return facts
}

func bindingName(uri string) string { return "binding " + uri[strings.LastIndexByte(uri, ':')+1:] }

func shortNames(uris []string) []string {
	short := make([]string, len(uris))
	for i, uri := range uris {
		short[i] = uri[strings.LastIndexByte(uri, ':')+1:]
	}
	return short
}

// idpFacts are what has to be entered at an app.
func (a *Admin) idpFacts(entityID, metadataPath string) ([]templates.Fact, []templates.Link) {
	base := a.Actions.BaseURL
	facts := []templates.Fact{
		{Label: "Metadata address", Text: base + metadataPath, Kind: "code", Hint: "Everything below is in it: give it where the app takes an address or a file."},
		{Label: "Entity ID", Text: entityID, Kind: "code"},
		{Label: "Sign-on address", Text: base + "/saml/sso", Kind: "code"},
	}
	return facts, []templates.Link{{Label: "Metadata", Href: metadataPath}, {Label: "Certificate", Href: "/saml/certificate.pem"}}
}

func (a *Admin) appDanger(w http.ResponseWriter, r *http.Request) error {
	app, err := a.Actions.App(r.Context(), r.PathValue("app"))
	if err != nil {
		return err
	}
	return a.appDangerPage(w, r, &app, nil)
}

func (a *Admin) appDangerPage(w http.ResponseWriter, r *http.Request, app *api.App, errs templates.Errors) error {
	page := templates.AppDangerPage{Shell: a.shell(r, app.Name, templates.SectionApps), App: a.appHead(app), Errors: errs}
	if may(r, AppsWrite) && !app.Builtin && app.State != string(sp.Removed) {
		page.RemoveAction = page.App.Base + "/remove"
		switch sp.State(app.State) {
		case sp.Active:
			page.BlockAction = page.App.Base + "/block"
		case sp.Blocked:
			page.UnblockAction = page.App.Base + "/unblock"
		case sp.Pending:
			page.ApproveHref = page.App.Base
		}
	}
	return web.Page(w, r, statusOf(errs), web.CSP{}, func(b *web.Buffer) error { return templates.AppDanger(b, page) })
}

// appMove is a post that walks an app's life.
func (a *Admin) appMove(action func(context.Context, By, string) (api.App, error), word string) web.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		app, err := action(r.Context(), byOf(r), r.PathValue("app"))
		if err != nil {
			return err
		}
		web.SeeOther(w, link(appBase(app.ID), "done", word))
		return nil
	}
}

// appApprove approves the app that the page showed.
func (a *Admin) appApprove(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	seen, err := time.Parse(time.RFC3339Nano, r.PostForm.Get("seen"))
	if err != nil {
		return changedMeanwhile("The app")
	}
	return a.appMove(func(ctx context.Context, by By, app string) (api.App, error) {
		return a.Actions.ApproveApp(ctx, by, app, api.ApproveApp{Seen: seen})
	}, "approved")(w, r)
}

// appRemove removes an app whose name was typed to confirm it.
func (a *Admin) appRemove(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	app, err := a.Actions.App(r.Context(), r.PathValue("app"))
	if err != nil {
		return err
	}
	if strings.TrimSpace(r.PostForm.Get("name")) != app.Name {
		return a.appDangerPage(w, r, &app, templates.Errors{{Field: "name", Text: "That is not the app's name: type it as it stands above."}})
	}
	if _, err := a.Actions.RemoveApp(r.Context(), byOf(r), app.ID); err != nil {
		return err
	}
	web.SeeOther(w, link("/admin/apps", "done", "removed"))
	return nil
}
