package admin

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"gatehouse/idp/api"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
	"gatehouse/templates"
)

// clientKinds are the kinds of OAuth clients that the forms offer.
var clientKinds = []struct{ kind, label, hint string }{
	{templates.ClientWeb, "Web app", "Signs people in by OpenID Connect on its server, where it keeps a secret."},
	{templates.ClientPublic, "Single-page or mobile app", "Runs in a browser, on a phone or a computer, and keeps no secret: PKCE."},
	{templates.ClientService, "Service", "Calls APIs by itself, with nobody signing in: client credentials."},
	{templates.ClientGateway, "API gateway", "Asks whether tokens are good, and registers clients of its own."},
}

// kindLinks are the cards that choose what a form adds; base is the form's address, and saml offers that kind too.
func kindLinks(base, chosen string, saml bool) []templates.KindLink {
	var links []templates.KindLink
	if saml {
		links = append(links, templates.KindLink{Label: "SAML app", Hint: "Has SAML metadata: a file, text or an address.", Href: base, Here: chosen == ""})
	}
	for _, k := range clientKinds {
		links = append(links, templates.KindLink{Label: k.label, Hint: k.hint, Href: link(base, "kind", k.kind), Here: chosen == k.kind})
	}
	return links
}

// kindOf is the kind that a form is about; empty: none of these.
func kindOf(kind string) string {
	for _, k := range clientKinds {
		if k.kind == kind {
			return kind
		}
	}
	return ""
}

// clientForm is an empty form, with the scopes that most apps of the kind want.
func (a *Admin) clientForm(r *http.Request, kind string) (templates.ClientForm, error) {
	form := templates.ClientForm{Kind: kind, Limited: !may(r, AppsWrite)}
	var usual []string
	if kind == templates.ClientWeb || kind == templates.ClientPublic {
		usual = []string{sp.ScopeOpenID, sp.ScopeProfile, sp.ScopeEmail}
	}
	return form, a.fillScopes(r, &form, usual)
}

func (a *Admin) fillScopes(r *http.Request, form *templates.ClientForm, chosen []string) error {
	return a.Actions.view(r.Context(), func(tx store.Tx) error {
		options, words, err := sp.ScopeOptions(tx)
		form.Scopes = settingChoices(&api.Setting{Options: options, Words: words}, chosen)
		return err
	})
}

// readClientForm reads what was posted: the form to show again, and what to ask for.
func (a *Admin) readClientForm(r *http.Request, name string) (templates.ClientForm, api.NewApp, error) {
	post := r.PostForm
	form := templates.ClientForm{
		Kind: kindOf(post.Get("kind")), RedirectURIs: post.Get("redirect_uris"), LoginURI: strings.TrimSpace(post.Get("initiate_login_uri")),
		Installed: post.Get("installed") == "true", RunAs: strings.TrimSpace(post.Get("run_as")), Approval: post.Get("approval") == "required",
		Limited: !may(r, AppsWrite),
	}
	if err := a.fillScopes(r, &form, post["scopes"]); err != nil {
		return form, api.NewApp{}, err
	}
	metadata := sp.Registration{
		ClientName: name, RedirectURIs: lines(form.RedirectURIs), Scope: strings.Join(post["scopes"], " "), InitiateLoginURI: form.LoginURI,
	}
	ask := api.NewApp{Set: map[string]string{}}
	switch form.Kind {
	case templates.ClientPublic:
		metadata.AuthMethod = sp.AuthNone
		if form.Installed {
			metadata.ApplicationType = sp.TypeNative
		}
	case templates.ClientService:
		metadata.GrantTypes = []string{sp.GrantClientCredentials}
		setFilled(ask.Set, "oauth.run_as", form.RunAs)
	case templates.ClientGateway:
		metadata.GrantTypes = []string{sp.GrantClientCredentials}
		if !form.Limited {
			ask.Set["oauth.introspect"] = sp.IntrospectChild
		}
		if form.Approval {
			ask.Set["oauth.registration_approval"] = "required"
		}
	}
	encoded, err := json.Marshal(&metadata)
	ask.OAuth = string(encoded)
	return form, ask, err
}

func setFilled(values map[string]string, key, value string) {
	if value != "" {
		values[key] = value
	}
}

// clientErrors puts a refusal at the field that it is about; an error that is none is returned.
func (a *Admin) clientErrors(r *http.Request, form *templates.ClientForm, err error) error {
	errs, err := a.formErrors(r, err)
	if err != nil {
		return err
	}
	for _, prefix := range []string{"oauth.", "policy."} {
		errs[0].Field = strings.TrimPrefix(errs[0].Field, prefix)
	}
	shown := map[string][]string{
		templates.ClientWeb: {"redirect_uris", "initiate_login_uri"}, templates.ClientPublic: {"redirect_uris", "initiate_login_uri"}, templates.ClientService: {"run_as"},
	}[form.Kind]
	if !slices.Contains(append(shown, "name", "scopes", "profiles", "permitted_users"), errs[0].Field) {
		errs[0].Field = ""
	}
	form.Errors = errs
	return nil
}

// clientAdd adds an OAuth client from the form on the page that adds apps.
func (a *Admin) clientAdd(w http.ResponseWriter, r *http.Request) error {
	page := templates.AppNewPage{Name: strings.TrimSpace(r.PostForm.Get("name")), Permitted: permittedOf(r)}
	form, ask, err := a.readClientForm(r, page.Name)
	if err != nil {
		return err
	}
	chosen := r.PostForm["profiles"]
	page.Client = &form
	if may(r, AppsWrite) {
		ask.Set["policy.permitted_users"], ask.Set["policy.profiles"] = page.Permitted, joinList(chosen)
	}
	if page.Name == "" {
		form.Errors = templates.Errors{{Field: "name", Text: "Give the app a name, as people see it."}}
	} else {
		added, err := a.Actions.AddApp(r.Context(), byOf(r), ask)
		if err == nil {
			return a.clientAdded(w, r, &added)
		}
		if err := a.clientErrors(r, &form, err); err != nil {
			return err
		}
	}
	page.Errors = form.Errors
	return a.appNewPage(w, r, page, chosen)
}

// clientAdded shows the client id, and the secret this once.
func (a *Admin) clientAdded(w http.ResponseWriter, r *http.Request, added *api.AddedApp) error {
	page := templates.AppCredentialsPage{Secret: added.ClientSecret, IsNew: true}
	if r.PostForm.Get("kind") == templates.ClientGateway && may(r, AppsWrite) {
		page.Next = templates.Link{Label: "Next: let it register clients", Href: appBase(added.App.ID) + "#clients"}
	}
	web.NoStore(w.Header())
	return a.credentialsPage(w, r, &added.App, page)
}

// appClientNew is the page that gives a SAML app a client id.
func (a *Admin) appClientNew(w http.ResponseWriter, r *http.Request) error {
	app, err := a.Actions.App(r.Context(), r.PathValue("app"))
	if err != nil {
		return worded(err)
	}
	kind := kindOf(r.URL.Query().Get("kind"))
	if kind == "" {
		kind = templates.ClientWeb
	}
	form, err := a.clientForm(r, kind)
	if err != nil {
		return err
	}
	return a.appClientPage(w, r, &app, form)
}

func (a *Admin) appClientPage(w http.ResponseWriter, r *http.Request, app *api.App, form templates.ClientForm) error {
	page := templates.AppClientPage{Shell: a.shell(r, app.Name, templates.SectionApps), App: a.appHead(app), Client: form}
	page.Action = page.App.Base + "/client"
	page.Kinds = kindLinks(page.Action, form.Kind, false)
	return web.Page(w, r, statusOf(form.Errors), web.CSP{}, func(b *web.Buffer) error { return templates.AppClient(b, page) })
}

// appClientAdd gives a SAML app a client id.
func (a *Admin) appClientAdd(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	app, err := a.Actions.App(r.Context(), r.PathValue("app"))
	if err != nil {
		return worded(err)
	}
	form, ask, err := a.readClientForm(r, "")
	if err != nil {
		return err
	}
	if form.Kind == "" {
		return badValue("kind", "Say what kind of client it is: go back and choose one.")
	}
	ask.To = app.ID
	added, err := a.Actions.AddApp(r.Context(), byOf(r), ask)
	if err == nil {
		return a.clientAdded(w, r, &added)
	}
	if err := a.clientErrors(r, &form, err); err != nil {
		return err
	}
	return a.appClientPage(w, r, &app, form)
}
