package admin

import (
	"net/http"
	"strings"

	"gatehouse/idp/api"
	"gatehouse/idp/web"
	"gatehouse/templates"
)

// holdingPages are those about what people gave to apps that still gives tokens.
func (a *Admin) holdingPages() []web.Route {
	row := func(method, path string, need web.Permission, handle web.HandlerFunc) web.Route {
		return web.Route{Method: method, Path: "/admin" + path, Permission: need, Handle: handle}
	}
	return []web.Route{
		row(http.MethodGet, "/apps/{app}/tokens", SessionsRead, a.appTokens),
		row(http.MethodPost, "/apps/{app}/tokens/revoke", SessionsEnd, a.appRevokeTokens(true)),
		row(http.MethodPost, "/apps/{app}/tokens/revoke-all", SessionsEnd, a.appRevokeTokens(false)),
		row(http.MethodPost, "/users/{user}/tokens/revoke", SessionsEnd, a.userRevokeTokens),
	}
}

// appTokens lists who gave an app something that still gives tokens, or looks one person up.
func (a *Admin) appTokens(w http.ResponseWriter, r *http.Request) error {
	app, err := a.clientAt(r)
	if err != nil {
		return err
	}
	query := r.URL.Query()
	page := templates.AppTokensPage{Shell: a.shell(r, app.Name, templates.SectionApps), App: a.appHead(&app), User: strings.TrimSpace(query.Get("user"))}
	base := page.App.Base + "/tokens"
	list, err := a.Actions.Holdings(r.Context(), api.RequestQuery{App: app.ID, User: page.User, After: query.Get("after"), Limit: pageRows})
	if page.Errors, err = a.formErrors(r, err); err != nil {
		return err
	}
	for i := range list.Items {
		one := &list.Items[i]
		row := holdingRow(one)
		row.ID, row.Name, row.Href = one.User.ID, one.User.Name, "/admin/users/"+one.User.ID
		page.Rows = append(page.Rows, row)
	}
	if list.Next != "" {
		page.Pager.NextHref = link(base, "user", page.User, "after", list.Next)
	}
	if query.Get("after") != "" {
		page.Pager.FirstHref = base
	}
	if may(r, SessionsEnd) {
		page.RevokeAction = base + "/revoke"
		if may(r, AppsWrite) {
			page.RevokeAllAction = base + "/revoke-all"
		}
	}
	return web.Page(w, r, statusOf(page.Errors), web.CSP{}, func(b *web.Buffer) error { return templates.AppTokens(b, page) })
}

func holdingRow(one *api.Holding) templates.HoldingRow {
	return templates.HoldingRow{Count: one.Count, Scopes: one.Scopes, Offline: one.Refresh, Since: one.Since, Used: one.Used}
}

// appRevokeTokens ends what one person gave the app, or all that anybody did.
func (a *Admin) appRevokeTokens(one bool) web.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := parseForm(r); err != nil {
			return err
		}
		ask := api.RevokeTokens{App: r.PathValue("app")}
		if one {
			if ask.User = r.PostForm.Get("user"); ask.User == "" {
				return badValue("user", "Say whose tokens to revoke.")
			}
		}
		revoked, err := a.Actions.RevokeTokens(r.Context(), byOf(r), ask)
		if err != nil {
			return err
		}
		web.SeeOther(w, link(appBase(revoked.App.ID)+"/tokens", "done", "tokens_revoked"))
		return nil
	}
}

// userHoldings adds the apps that hold tokens of a person.
func (a *Admin) userHoldings(r *http.Request, user *api.User, page *templates.UserPage) error {
	if !may(r, SessionsRead) {
		return nil
	}
	list, err := a.Actions.Holdings(r.Context(), api.RequestQuery{User: user.ID, Limit: pageRows})
	for i := range list.Items {
		one := &list.Items[i]
		row := holdingRow(one)
		row.ID, row.Name = one.App.ID, one.App.Name
		if may(r, AppsRead) {
			row.Href = appBase(one.App.ID)
		}
		page.Holdings = append(page.Holdings, row)
	}
	page.HoldingsMore = list.Next != ""
	if may(r, SessionsEnd) {
		page.RevokeAction = "/admin/users/" + user.ID + "/tokens/revoke"
	}
	return err
}

func (a *Admin) userRevokeTokens(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	revoked, err := a.Actions.RevokeTokens(r.Context(), byOf(r), api.RevokeTokens{App: r.PostForm.Get("app"), User: r.PathValue("user")})
	if err != nil {
		return err
	}
	web.SeeOther(w, link("/admin/users/"+revoked.User.ID, "done", "tokens_revoked"))
	return nil
}
