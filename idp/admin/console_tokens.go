package admin

import (
	"net/http"
	"slices"
	"strings"

	"gatehouse/idp/api"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/templates"
)

const tokensPath = "/admin/tokens"

// tokenPages are the page and posts of API tokens.
func (a *Admin) tokenPages() []web.Route {
	return []web.Route{
		{Method: http.MethodGet, Path: tokensPath, Permission: TokensRead, Handle: func(w http.ResponseWriter, r *http.Request) error {
			return a.tokensPage(w, r, templates.TokensPage{Expires: "90d"})
		}},
		{Method: http.MethodPost, Path: tokensPath, Permission: TokensWrite, Handle: a.tokenAdd},
		{Method: http.MethodPost, Path: tokensPath + "/revoke", Permission: TokensWrite, Handle: a.tokenRevoke},
	}
}

func (a *Admin) tokensPage(w http.ResponseWriter, r *http.Request, page templates.TokensPage) error {
	list, err := a.Actions.Tokens(r.Context())
	if err != nil {
		return err
	}
	page.Shell, page.SCIM = a.shell(r, "API tokens", templates.SectionTokens), a.Actions.BaseURL+"/scim/v2"
	for _, t := range list.Items {
		page.Rows = append(page.Rows, templates.TokenRow{
			ID: t.ID, Name: t.Name, State: t.State, Scopes: t.Scopes, Addresses: strings.Join(t.Addresses, ", "), Creator: t.Creator.Name,
			Expires: t.Expires, LastUsed: t.LastUsed, LastFrom: t.LastFrom,
		})
	}
	for _, scope := range sp.APIScopes() {
		page.Scopes = append(page.Scopes, templates.Choice{ID: scope, Name: scope, Hint: scopeHints[scope], Checked: slices.Contains(r.PostForm["scope"], scope)})
	}
	page.AddAction, page.RevokeAction = tokensPath, tokensPath+"/revoke"
	return web.Page(w, r, statusOf(page.Errors), web.CSP{}, func(b *web.Buffer) error { return templates.Tokens(b, page) })
}

var scopeHints = map[string]string{
	sp.ScopeDirectoryRead:  "read people and groups, by API and SCIM",
	sp.ScopeDirectoryWrite: "also change them, but no roles",
	sp.ScopeAppsRead:       "read apps",
	sp.ScopeAppsWrite:      "also change apps and who may use them",
	sp.ScopeAuditRead:      "read the audit",
}

// tokenAdd makes a token and shows its secret on the page, which no browser keeps.
func (a *Admin) tokenAdd(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	page := templates.TokensPage{Name: strings.TrimSpace(r.PostForm.Get("name")), Expires: strings.TrimSpace(r.PostForm.Get("expires")), Addresses: r.PostForm.Get("addresses")}
	token, err := a.Actions.AddToken(r.Context(), byOf(r), api.NewToken{
		Name: page.Name, Scopes: r.PostForm["scope"], Expires: page.Expires, Addresses: strings.Fields(strings.ReplaceAll(page.Addresses, ",", " ")),
	})
	if err != nil {
		if page.Errors, err = a.formErrors(r, err); err != nil {
			return err
		}
		return a.tokensPage(w, r, page)
	}
	r.PostForm.Del("scope")
	return a.tokensPage(w, r, templates.TokensPage{Expires: "90d", Secret: token.Secret, SecretOf: token.Name})
}

func (a *Admin) tokenRevoke(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	if _, err := a.Actions.RevokeToken(r.Context(), byOf(r), r.PostForm.Get("token")); err != nil {
		return err
	}
	web.SeeOther(w, link(tokensPath, "done", "revoked"))
	return nil
}
