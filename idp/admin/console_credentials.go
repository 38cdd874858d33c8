package admin

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"gatehouse/idp/api"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/templates"
)

// credentialPages are those about what an app proves itself by.
func (a *Admin) credentialPages() []web.Route {
	get := func(path string, need web.Permission, handle web.HandlerFunc) web.Route {
		return web.Route{Method: http.MethodGet, Path: "/admin/apps/{app}" + path, Permission: need, Handle: handle}
	}
	post := func(path string, need web.Permission, handle web.HandlerFunc) web.Route {
		return web.Route{Method: http.MethodPost, Path: "/admin/apps/{app}" + path, Permission: need, Handle: handle}
	}
	return []web.Route{
		get("/client", AppsRegister, a.appClientNew),
		post("/client", AppsRegister, a.appClientAdd),
		get("/saml", AppsRegister, a.appSAMLNew),
		post("/saml", AppsRegister, a.appSAMLAdd),
		get("/credentials", AppsRead, a.appCredentials),
		post("/credentials/rotate", AppsRegister, a.appSecret(api.RotateSecret{})),
		post("/credentials/replace", AppsRegister, a.appSecret(api.RotateSecret{Replace: true})),
		post("/credentials/end-old", AppsRegister, a.appSecret(api.RotateSecret{EndOld: true})),
	}
}

func (a *Admin) appCredentials(w http.ResponseWriter, r *http.Request) error {
	app, err := a.clientAt(r)
	if err != nil {
		return err
	}
	return a.credentialsPage(w, r, &app, templates.AppCredentialsPage{})
}

// clientAt is the OAuth client that a page is about.
func (a *Admin) clientAt(r *http.Request) (api.App, error) {
	app, err := a.Actions.App(r.Context(), r.PathValue("app"))
	if err == nil && app.OAuth == nil {
		err = refused(http.StatusNotFound, "no_client", "app", "%s has no client ID: add OpenID Connect or OAuth to it on its overview.", app.Name)
	}
	return app, worded(err)
}

// credentialsPage shows an app's credentials; page says what was made just now, if anything was.
func (a *Admin) credentialsPage(w http.ResponseWriter, r *http.Request, app *api.App, page templates.AppCredentialsPage) error {
	visible := visibleTo(byOf(r), *app)
	app = &visible
	set := settingsByKey(app)
	page.Shell, page.App = a.shell(r, app.Name, templates.SectionApps), a.appHead(app)
	page.Here = page.App.Base + "/credentials"
	page.Client, page.Endpoints = a.clientFacts(app, set)
	client := &sp.OAuth{AuthMethod: set["oauth.token_endpoint_auth_method"].Value}
	if app.OAuth.OlderSecrets > 0 {
		page.Lent = app.OAuth.Lent
	}
	page.Public, page.HasSecret = client.Public(), client.HasSecret()
	for _, one := range slices.Backward(app.OAuth.Secrets) {
		page.Seen = strings.TrimSpace(page.Seen + " " + one.ID)
		page.Secrets = append(page.Secrets, templates.SecretRow{ID: one.ID, Created: one.Created, Used: one.LastUsed})
	}
	proofs := []string{"oauth.token_endpoint_auth_method"}
	for _, s := range app.Settings {
		if strings.HasPrefix(s.Key, tlsKeys) && !s.IsDefault {
			proofs = append(proofs, s.Key)
		}
	}
	page.Proof = append(wordedFacts(set, proofs...), clientKeyFacts(set)...)
	page.Settings = wordedFacts(set, "oauth.redirect_uris", "oauth.scopes", "oauth.grant_types", "oauth.run_as", "oauth.access_token_format", "oauth.access_token_lifetime", "oauth.introspect")
	if may(r, AppsRegister) && app.State != string(sp.Removed) {
		page.SettingsHref = page.App.Base + "/settings"
		if page.HasSecret {
			page.RotateAction = page.Here + "/rotate"
			page.EndAction = page.Here + "/end-old"
			page.ReplaceAction = page.Here + "/replace"
		}
	}
	return web.Page(w, r, http.StatusOK, web.CSP{}, func(b *web.Buffer) error { return templates.AppCredentials(b, page) })
}

// settingsByKey are an app's settings as they are shown to people.
func settingsByKey(app *api.App) map[string]*api.Setting {
	set := make(map[string]*api.Setting, len(app.Settings))
	for i := range app.Settings {
		set[app.Settings[i].Key] = &app.Settings[i]
	}
	return set
}

// wordedFacts are settings in words; those that may not be read are left out.
func wordedFacts(set map[string]*api.Setting, keys ...string) []templates.Fact {
	var facts []templates.Fact
	for _, key := range keys {
		s := set[key]
		switch {
		case s == nil || s.IsDefault && (s.Value == "none" || s.Value == ""):
		case s.Kind == string(sp.KindList):
			fact := templates.Fact{Label: s.Label}
			for _, one := range splitList(s.Value) {
				fact.Tags = append(fact.Tags, inWords(s, one))
			}
			facts = append(facts, fact)
		default:
			facts = append(facts, templates.Fact{Label: s.Label, Text: inWords(s, s.Value)})
		}
	}
	return facts
}

// clientFacts are what has to be entered at an app, and the single addresses of what it may use.
func (a *Admin) clientFacts(app *api.App, set map[string]*api.Setting) (client, endpoints []templates.Fact) {
	base := a.Actions.BaseURL
	client = []templates.Fact{
		{Label: "Client ID", Text: app.ClientID, Kind: "code", Hint: "The name of the app here. It is no secret."},
		{Label: "Discovery address", Text: base + "/.well-known/openid-configuration", Kind: "code", Hint: "Most software finds everything else there by itself."},
		{Label: "Issuer", Text: base, Kind: "code"},
	}
	grants := splitList(set["oauth.grant_types"].Value)
	for _, one := range []struct {
		label, path string
		use         bool
	}{
		{"Authorization", "/oauth/authorize", slices.Contains(grants, sp.GrantCode)},
		{"Pushed requests", "/oauth/par", slices.Contains(grants, sp.GrantCode)},
		{"Device authorization", "/oauth/device", slices.Contains(grants, sp.GrantDevice)},
		{"Token", "/oauth/token", true},
		{"Userinfo", "/oauth/userinfo", slices.Contains(grants, sp.GrantCode) || slices.Contains(grants, sp.GrantDevice)},
		{"Sign-out", "/oauth/logout", slices.Contains(grants, sp.GrantCode)},
		{"Introspection", "/oauth/introspect", set["oauth.token_endpoint_auth_method"].Value != sp.AuthNone},
		{"Revocation", "/oauth/revoke", true},
		{"Keys (JWKS)", "/oauth/jwks", true},
	} {
		if one.use {
			endpoints = append(endpoints, templates.Fact{Label: one.label, Text: base + one.path, Kind: "code"})
		}
	}
	return client, endpoints
}

// clientKeyFacts are the public keys that an app registered, or where it publishes them.
func clientKeyFacts(set map[string]*api.Setting) []templates.Fact {
	var facts []templates.Fact
	if s := set["oauth.jwks_uri"]; s != nil && !s.IsDefault {
		facts = append(facts, templates.Fact{Label: s.Label, Text: s.Value, Kind: "code", Hint: s.Help})
	}
	var known struct {
		Keys []struct{ Kty, Kid, Use, Alg, Crv string }
	}
	if s := set["oauth.jwks"]; s != nil && !s.IsDefault && json.Unmarshal([]byte(s.Value), &known) == nil {
		for _, key := range known.Keys {
			facts = append(facts, templates.Fact{Label: "Key", Text: strings.Join(strings.Fields(key.Kty+" "+key.Crv+" "+key.Alg+" "+key.Use+" "+key.Kid), " · ")})
		}
	}
	return facts
}

// appSecret makes a secret beside those that the page showed, and answers with the page that shows it this once; or it ends the older one.
func (a *Admin) appSecret(ask api.RotateSecret) web.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := parseForm(r); err != nil {
			return err
		}
		ask := ask
		ask.Seen = strings.Fields(r.PostForm.Get("seen"))
		made, err := a.Actions.RotateSecret(r.Context(), byOf(r), r.PathValue("app"), ask)
		if err != nil {
			return worded(err)
		}
		if ask.EndOld {
			web.SeeOther(w, link(appBase(made.ID)+"/credentials", "done", "secret_ended"))
			return nil
		}
		app, err := a.Actions.App(r.Context(), made.ID)
		if err != nil {
			return worded(err)
		}
		web.NoStore(w.Header())
		return a.credentialsPage(w, r, &app, templates.AppCredentialsPage{Secret: made.ClientSecret})
	}
}
