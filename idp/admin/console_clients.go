package admin

import (
	"net/http"

	"gatehouse/idp/api"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/templates"
)

// clientRows is how many of the clients under an app its page shows.
const clientRows = 20

// appRegistrationToken makes the initial access token, and answers with the page that shows it this once.
func (a *Admin) appRegistrationToken(w http.ResponseWriter, r *http.Request) error {
	made, err := a.Actions.RegistrationToken(r.Context(), byOf(r), r.PathValue("app"))
	if err != nil {
		return err
	}
	web.NoStore(w.Header())
	return a.appOverview(w, r, made.Token)
}

// mayRegister tells whether clients can stand under an app.
func mayRegister(app *api.App) bool {
	return app.OAuth != nil && app.OAuth.Parent == "" && app.State != string(sp.Removed)
}

// clientsOf are the clients under an app.
func (a *Admin) clientsOf(r *http.Request, app *api.App, token string) (*templates.Clients, error) {
	shown := &templates.Clients{
		Here: appBase(app.ID), Made: app.OAuth.RegistrationToken, Token: token, Endpoint: a.Actions.BaseURL + "/oauth/register", Count: app.OAuth.Children,
		AllHref: link("/admin/apps", "parent", app.ID),
	}
	if may(r, AppsWrite) {
		shown.Action = appBase(app.ID) + "/registration-token"
	}
	list, err := a.Actions.Apps(r.Context(), AppFilter{Parent: app.ID, Limit: clientRows})
	for i := range list.Items {
		shown.Rows = append(shown.Rows, appRow(&list.Items[i]))
	}
	return shown, err
}

// origin says in words how a client came that nobody added; empty: somebody did.
func origin(app *api.App) string {
	host := (&sp.Credentials{ClientID: app.ClientID}).DocumentHost()
	switch {
	case host != "":
		return "From the document at " + host
	case app.CreatedBy == sp.OpenParent:
		return "Registered itself"
	case looksLikeID(app.CreatedBy, "app_"):
		return "Registered itself, by a token of another app"
	}
	return ""
}

// oauthFacts are what an app is as an OAuth client.
func (a *Admin) oauthFacts(r *http.Request, app *api.App) ([]templates.Fact, error) {
	if app.OAuth == nil {
		return nil, nil
	}
	var facts []templates.Fact
	switch app.OAuth.Parent {
	case "":
	case sp.OpenParent:
		facts = append(facts, templates.Fact{Label: "How it came", Text: origin(app), Hint: "Nobody answers for it: look closely before you approve it."})
	default:
		parent, err := a.Actions.App(r.Context(), app.OAuth.Parent)
		if err != nil {
			return nil, err
		}
		facts = append(facts, templates.Fact{Label: "How it came", Text: origin(app)}, templates.Fact{Label: "Registered under", Text: parent.Name, Href: appBase(parent.ID)})
	}
	if app.State == string(sp.Pending) { // what whoever approves it has to look at
		facts = append(facts, wordedFacts(settingsByKey(app), "oauth.redirect_uris", "oauth.scopes", "oauth.grant_types")...)
	}
	return facts, nil
}
