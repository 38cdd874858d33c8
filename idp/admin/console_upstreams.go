package admin

import (
	"net/http"
	"slices"
	"strings"

	"gatehouse/idp/api"
	"gatehouse/idp/federation"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
	"gatehouse/templates"
)

const upstreamsPath = "/admin/upstreams"

// upstreamPages are the pages and posts of upstreams.
func (a *Admin) upstreamPages() []web.Route {
	route := func(method, path string, need web.Permission, handle web.HandlerFunc) web.Route {
		return web.Route{Method: method, Path: path, Permission: need, MaxBody: maxForm, Handle: handle}
	}
	const one = upstreamsPath + "/{upstream}"
	return []web.Route{
		route(http.MethodGet, upstreamsPath, SettingsRead, func(w http.ResponseWriter, r *http.Request) error {
			return a.upstreamsPage(w, r, templates.UpstreamForm{OpenID: r.URL.Query().Get("kind") == api.UpstreamOIDC, Values: map[string]string{"level": "low"}})
		}),
		route(http.MethodPost, upstreamsPath, SettingsWrite, a.upstreamAdd),
		route(http.MethodGet, one, SettingsRead, func(w http.ResponseWriter, r *http.Request) error { return a.upstreamPage(w, r, nil, nil) }),
		route(http.MethodPost, one, SettingsWrite, a.upstreamSave),
		route(http.MethodPost, one+"/refresh", SettingsWrite, a.upstreamRefresh),
		route(http.MethodPost, one+"/test", SettingsWrite, a.upstreamTest),
		route(http.MethodPost, one+"/remove", SettingsWrite, a.upstreamRemove),
	}
}

func upstreamHref(name string) string { return upstreamsPath + "/" + name }

func (a *Admin) upstreamsPage(w http.ResponseWriter, r *http.Request, form templates.UpstreamForm) error {
	list, err := a.Actions.Upstreams(r.Context())
	if err != nil {
		return err
	}
	page := templates.UpstreamsPage{Shell: a.shell(r, "Sign-in elsewhere", templates.SectionUpstreams), OurMetadata: a.Actions.BaseURL + "/saml/sp-metadata", Form: form}
	if form.OpenID {
		page.Ours = oursFacts(a.Actions.oursOf("NAME"))
	}
	for i := range list.Items {
		u := &list.Items[i]
		row := templates.UpstreamRow{Title: u.Title, Name: u.Name, Href: upstreamHref(u.Name), EntityID: u.EntityID, Kind: speaks(u.Kind), State: upstreamState(u)}
		if len(u.Warnings) > 0 {
			row.Warning = u.Warnings[0].Text
		}
		page.Rows = append(page.Rows, row)
	}
	if may(r, SettingsWrite) {
		page.Form.Action = upstreamsPath
	}
	page.Form.Options = upstreamOptions()
	return web.Page(w, r, statusOf(form.Errors), web.CSP{}, func(b *web.Buffer) error { return templates.Upstreams(b, page) })
}

func speaks(kind string) string {
	if kind == api.UpstreamOIDC {
		return "OpenID Connect"
	}
	return "SAML"
}

func upstreamState(u *api.Upstream) string {
	switch {
	case valueOf(u.Settings, "state") == "off":
		return "off"
	case slices.ContainsFunc(u.Warnings, func(w api.Warning) bool { return w.Code == "metadata_expired" }), u.Failures > 0:
		return "failed"
	}
	return "active"
}

func valueOf(settings []api.Setting, key string) string {
	for _, one := range settings {
		if one.Key == key {
			return one.Value
		}
	}
	return ""
}

// upstreamOptions are the choices of an upstream's settings, in words.
func upstreamOptions() map[string][]templates.Option {
	return map[string][]templates.Option{
		"match": {
			{Value: federation.MatchEmail, Label: "Their e-mail address"}, {Value: federation.MatchUsername, Label: "Their user name"},
			{Value: federation.MatchLink, Label: "The name by which they came first (makes people)"},
		},
		"create":       {{Value: "false", Label: "Are refused"}, {Value: "true", Label: "Are made at their first sign-in"}},
		"level":        {{Value: "low", Label: "Low: any sign-in"}, {Value: "standard", Label: "Standard: one factor, such as a password"}, {Value: "high", Label: "High: two factors, or a passkey"}},
		"admins":       {{Value: "false", Label: "Sign in here, never there"}, {Value: "true", Label: "May sign in there too"}},
		"requester_id": {{Value: "on", Label: "Is told"}, {Value: "off", Label: "Is not told"}},
		"token_endpoint_auth_method": {
			{Value: "client_secret_basic", Label: "The secret, in a header (client_secret_basic)"}, {Value: "client_secret_post", Label: "The secret, in the body (client_secret_post)"},
			{Value: "private_key_jwt", Label: "Its own key (private_key_jwt)"},
		},
		"require_pushed_authorization_requests": {{Value: "false", Label: "Only where the provider demands it of everybody"}, {Value: "true", Label: "Always"}},
		"state":                                 {{Value: "on", Label: "On"}, {Value: "off", Label: "Off: nobody signs in there"}},
	}
}

// posted are the fields of an upstream's form.
func posted(r *http.Request) map[string]string {
	values := map[string]string{}
	for _, key := range append(federation.UpstreamKeys(), "name", "metadata", "metadata_url", "issuer") {
		if r.PostForm.Has(key) {
			values[key] = strings.TrimSpace(r.PostForm.Get(key))
		}
	}
	return values
}

// settingsIn are the settings among the fields. An empty profile, or no certificates, means that what is set stays.
func settingsIn(values map[string]string) map[string]string {
	set := map[string]string{}
	for _, key := range federation.UpstreamKeys() {
		if value, ok := values[key]; ok && (value != "" || key != "metadata_keys" && key != "profile") {
			set[key] = value
		}
	}
	return set
}

// upstreamAdd adds an upstream and leads to its page.
func (a *Admin) upstreamAdd(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	form := templates.UpstreamForm{Values: posted(r), OpenID: r.PostForm.Get("kind") == api.UpstreamOIDC}
	v := form.Values
	n := api.NewUpstream{Name: v["name"], Metadata: v["metadata"], URL: v["metadata_url"], Set: settingsIn(v)}
	if form.OpenID {
		n.Issuer, n.Secret = v["issuer"], r.PostForm.Get("client_secret")
		if n.Issuer == "" {
			form.Errors = templates.Errors{{Field: "issuer", Text: "Give the issuer, such as https://login.example.org."}}
			return a.upstreamsPage(w, r, form)
		}
	}
	u, err := a.Actions.AddUpstream(r.Context(), byOf(r), n)
	if err != nil {
		if form.Errors, err = a.formErrors(r, err); err != nil {
			return err
		}
		return a.upstreamsPage(w, r, form)
	}
	web.SeeOther(w, link(upstreamHref(u.Name), "done", "added"))
	return nil
}

// upstreamPage shows an upstream, with what a test found and what was refused, if anything.
func (a *Admin) upstreamPage(w http.ResponseWriter, r *http.Request, test *api.UpstreamTest, refused templates.Errors) error {
	u, err := a.Actions.Upstream(r.Context(), r.PathValue("upstream"))
	if err != nil {
		return err
	}
	page := templates.UpstreamPage{
		Shell: a.shell(r, u.Title, templates.SectionUpstreams), Title: u.Title, Name: u.Name, Facts: upstreamFacts(&u),
		Form: templates.UpstreamForm{Values: map[string]string{}, Options: upstreamOptions(), Errors: refused, OpenID: u.Ours != nil, Secret: u.Ours != nil && u.Ours.HasSecret},
	}
	if u.Ours != nil {
		page.Ours = oursFacts(*u.Ours)
	}
	for _, s := range u.Settings {
		page.Form.Values[s.Key] = s.Value
	}
	delete(page.Form.Values, "metadata_keys") // fingerprints
	if refused != nil {
		for key, value := range posted(r) {
			page.Form.Values[key] = value
		}
	}
	all, err := profiles.list(r.Context(), a.Actions, "", "", 0)
	if err != nil {
		return err
	}
	page.Form.Options["profile"] = []templates.Option{{Label: "The standard one"}}
	if valueOf(u.Settings, "profile") != "" { // an empty one would leave what is set
		page.Form.Options["profile"][0].Value = sp.Undo
	}
	for _, one := range all.Items {
		page.Form.Options["profile"] = append(page.Form.Options["profile"], templates.Option{Value: one.Name})
	}
	for _, warning := range u.Warnings {
		page.Warnings = append(page.Warnings, templates.Warning{Kind: "warn", Text: warning.Text})
	}
	if test != nil {
		for _, c := range test.Checks {
			kind := map[string]string{api.CheckGood: "ok", api.CheckWarn: "warn", api.CheckBad: "danger"}[c.Outcome]
			page.Checks = append(page.Checks, templates.Warning{Kind: kind, Text: c.Text, Next: sentenceCase(c.What)})
		}
	}
	if base := upstreamHref(u.Name); may(r, SettingsWrite) {
		page.Form.Action, page.TestAction, page.RemoveAction = base, base+"/test", base+"/remove"
		if u.From != "" {
			page.RefreshAction = base + "/refresh"
		}
	}
	return web.Page(w, r, statusOf(refused), web.CSP{}, func(b *web.Buffer) error { return templates.Upstream(b, page) })
}

func sentenceCase(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

func upstreamFacts(u *api.Upstream) []templates.Fact {
	if u.Ours != nil {
		return providerFacts(u)
	}
	facts := []templates.Fact{
		{Label: "Entity ID", Text: u.EntityID, Kind: "code"}, {Label: "Signs in at", Text: u.SSO, Kind: "code"},
		{Label: "Is told of sign-outs at", Text: u.SLO, Kind: "code"}, {Label: "May sign with", Tags: u.Keys},
	}
	if u.SLO == "" {
		facts[2] = templates.Fact{Label: "Is told of sign-outs at", Text: "it takes none", Kind: "missing"}
	}
	if u.From == "" {
		facts = append(facts, templates.Fact{Label: "Newer metadata", Text: "nobody looks for it", Kind: "missing"})
	} else {
		facts = append(facts, templates.Fact{Label: "Newer metadata", Text: u.From, Kind: "code"})
	}
	if keys := valueOf(u.Settings, "metadata_keys"); keys != "" {
		facts = append(facts, templates.Fact{Label: "Pinned keys of its metadata", Tags: strings.Split(keys, ",")})
	}
	return append(facts, timeFacts("Last good", u.Good, "Next look", u.Next, "Valid until", u.ValidUntil)...)
}

// oursFacts are the addresses that are registered at an OpenID provider.
func oursFacts(ours api.Ours) []templates.Fact {
	return []templates.Fact{
		{Label: "Redirect URI", Text: ours.RedirectURI, Kind: "code", Hint: "Also called callback URL. Nobody signs in without it."},
		{Label: "Post-logout redirect URI", Text: ours.PostLogoutURI, Kind: "code", Hint: "Where people come back to when they have signed out there."},
		{Label: "Back-channel logout URI", Text: ours.BackChannelLogoutURI, Kind: "code", Hint: "There the provider tells Gatehouse that somebody signed out, which ends their session here."},
		{Label: "Front-channel logout URI", Text: ours.FrontChannelLogoutURI, Kind: "code", Hint: "The same for a provider that has no back channel; its session must be required there (iss and sid)."},
		{Label: "Keys (JWKS)", Text: ours.JWKSURI, Kind: "code", Hint: "Only where Gatehouse proves itself by its key and not by a secret."},
	}
}

// providerFacts are what an OpenID provider says of itself.
func providerFacts(u *api.Upstream) []templates.Fact {
	leave := templates.Fact{Label: "Is told of sign-outs at", Text: u.SLO, Kind: "code"}
	if u.SLO == "" {
		leave.Text, leave.Kind = "it takes none", "missing"
	}
	return append([]templates.Fact{
		{Label: "Issuer", Text: u.EntityID, Kind: "code"}, {Label: "Signs in at", Text: u.SSO, Kind: "code"}, leave,
	}, timeFacts("Client secret given", u.Ours.SecretGiven, "Last good", u.Good, "Next look", u.Next)...)
}

func (a *Admin) upstreamSave(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	v := posted(r)
	return a.upstreamDone(w, r, "saved", func(name string) error {
		_, err := a.Actions.SetUpstream(r.Context(), byOf(r), name, api.UpstreamChange{Metadata: v["metadata"], URL: v["metadata_url"], Secret: r.PostForm.Get("client_secret"), Set: settingsIn(v)})
		return err
	})
}

func (a *Admin) upstreamRefresh(w http.ResponseWriter, r *http.Request) error {
	return a.upstreamDone(w, r, "looked", func(name string) error {
		_, err := a.Actions.RefreshUpstream(r.Context(), byOf(r), name)
		return err
	})
}

// upstreamDone does something to an upstream and shows it again, with what was refused.
func (a *Admin) upstreamDone(w http.ResponseWriter, r *http.Request, notice string, do func(name string) error) error {
	name := r.PathValue("upstream")
	if err := do(name); err != nil {
		errs, err := a.formErrors(r, err)
		if err != nil {
			return err
		}
		return a.upstreamPage(w, r, nil, errs)
	}
	web.SeeOther(w, link(upstreamHref(name), "done", notice))
	return nil
}

// upstreamTest shows what a test finds, on the page itself: it changes nothing.
func (a *Admin) upstreamTest(w http.ResponseWriter, r *http.Request) error {
	test, err := a.Actions.TestUpstream(r.Context(), r.PathValue("upstream"))
	if err != nil {
		return err
	}
	return a.upstreamPage(w, r, &test, nil)
}

func (a *Admin) upstreamRemove(w http.ResponseWriter, r *http.Request) error {
	if _, err := a.Actions.RemoveUpstream(r.Context(), byOf(r), r.PathValue("upstream")); err != nil {
		return err
	}
	web.SeeOther(w, link(upstreamsPath, "done", "removed"))
	return nil
}

// sumUpstreams finds the upstreams that want attention.
func (a *Actions) sumUpstreams(tx store.Tx, s *Summary) error {
	return federation.Upstreams.Each(tx, store.Page{}, func(_ string, u *federation.Upstream) error {
		wire, err := a.wireUpstream(tx, u)
		if err == nil && !u.Off && len(wire.Warnings) > 0 {
			s.Upstreams = append(s.Upstreams, wire)
		}
		return err
	})
}

func upstreamTasks(list []api.Upstream) []templates.Task {
	var tasks []templates.Task
	for i := range list {
		u := &list[i]
		tasks = append(tasks, templates.Task{Kind: "warn", Text: u.Title + ": " + u.Warnings[0].Text, Link: templates.Link{Label: "Look at it", Href: upstreamHref(u.Name)}})
	}
	return tasks
}
