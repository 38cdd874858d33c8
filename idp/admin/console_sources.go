package admin

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"gatehouse/idp/api"
	"gatehouse/idp/federation"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/templates"
)

const sourcesPath = "/admin/metadata-sources"

// sourcePages are the pages and posts of metadata sources, and the answers to newer metadata of an app.
func (a *Admin) sourcePages() []web.Route {
	route := func(method, path string, need web.Permission, handle web.HandlerFunc) web.Route {
		return web.Route{Method: method, Path: path, Permission: need, MaxBody: maxForm, Handle: handle}
	}
	const one = sourcesPath + "/{source}"
	return []web.Route{
		route(http.MethodGet, sourcesPath, AppsRead, func(w http.ResponseWriter, r *http.Request) error {
			return a.sourcesPage(w, r, templates.SourceForm{})
		}),
		route(http.MethodPost, sourcesPath, SettingsWrite, a.sourceAdd),
		route(http.MethodGet, one, AppsRead, func(w http.ResponseWriter, r *http.Request) error { return a.sourcePage(w, r, nil) }),
		route(http.MethodPost, one, SettingsWrite, a.sourceSave),
		route(http.MethodPost, one+"/refresh", AppsWrite, a.sourceRefresh),
		route(http.MethodPost, one+"/remove", SettingsWrite, a.sourceRemove),
		route(http.MethodPost, one+"/connect", AppsRegister, a.sourceConnect),
		route(http.MethodPost, "/admin/apps/{app}/metadata/"+answerApprove, AppsRegister, a.appMetadataAnswer(answerApprove, "replaced")),
		route(http.MethodPost, "/admin/apps/{app}/metadata/"+answerDismiss, AppsRegister, a.appMetadataAnswer(answerDismiss, "dismissed")),
		route(http.MethodPost, "/admin/apps/{app}/metadata/"+answerRefresh, AppsRegister, a.appMetadataAnswer(answerRefresh, "looked")),
	}
}

func sourceHref(name string) string { return sourcesPath + "/" + name }

func kindWord(kind string) string {
	if kind == federation.MDQ {
		return "MDQ server"
	}
	return "Aggregate"
}

func settingOf(s *api.MetadataSource, key string) string {
	return valueOf(s.Settings, key)
}

func (a *Admin) sourcesPage(w http.ResponseWriter, r *http.Request, form templates.SourceForm) error {
	list, err := a.Actions.MetadataSources(r.Context())
	if err != nil {
		return err
	}
	page := templates.SourcesPage{Shell: a.shell(r, "Metadata sources", templates.SectionSources), Form: form}
	for i := range list.Items {
		s := &list.Items[i]
		page.Rows = append(page.Rows, templates.SourceRow{
			Name: s.Name, Href: sourceHref(s.Name), Kind: kindWord(s.Kind), URL: settingOf(s, "url"), Providers: s.Providers, Apps: s.Apps,
			Good: s.Good, State: sourceState(s), Error: s.Error,
		})
	}
	if may(r, SettingsWrite) {
		page.Form.Action = sourcesPath
	}
	page.Form.Apply = applyOptions()
	return web.Page(w, r, statusOf(form.Errors), web.CSP{}, func(b *web.Buffer) error { return templates.Sources(b, page) })
}

func applyOptions() []templates.Option {
	return []templates.Option{{Value: sp.RefreshReview, Label: "Wait for a yes"}, {Value: sp.RefreshAutomatic, Label: "Take it by itself"}}
}

func sourceState(s *api.MetadataSource) string {
	switch {
	case settingOf(s, "state") == "paused":
		return "paused"
	case s.Failures > 0:
		return "failed"
	case s.Tried.IsZero():
		return "waiting"
	}
	return "active"
}

// sourceAdd adds a source and leads to its page.
func (a *Admin) sourceAdd(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	form := templates.SourceForm{
		Name: strings.TrimSpace(r.PostForm.Get("name")), Kind: r.PostForm.Get("kind"), URL: strings.TrimSpace(r.PostForm.Get("url")),
		Keys: r.PostForm.Get("keys"), Applies: r.PostForm.Get("apply"),
	}
	values := map[string]string{"url": form.URL, "keys": form.Keys, "apply": form.Applies}
	_, err := a.Actions.AddMetadataSource(r.Context(), byOf(r), api.NewMetadataSource{Name: form.Name, Kind: form.Kind, Set: values})
	if err != nil {
		if form.Errors, err = a.formErrors(r, err); err != nil {
			return err
		}
		return a.sourcesPage(w, r, form)
	}
	web.SeeOther(w, link(sourceHref(form.Name), "done", "added"))
	return nil
}

// sourcePage shows a source; posted is the form that was refused, if one was.
func (a *Admin) sourcePage(w http.ResponseWriter, r *http.Request, refused templates.Errors) error {
	s, err := a.Actions.MetadataSource(r.Context(), r.PathValue("source"))
	if err != nil {
		return err
	}
	query := r.URL.Query()
	page := templates.SourcePage{
		Shell: a.shell(r, s.Name, templates.SectionSources), Name: s.Name, Facts: sourceFacts(&s), Reasons: s.Reasons, InUse: s.Apps > 0,
		Query: strings.TrimSpace(query.Get("q")), Form: sourceForm(&s),
	}
	page.Form.Errors = refused
	if refused != nil && r.PostForm.Has("url") {
		f := &page.Form
		f.URL, f.Keys, f.Applies = r.PostForm.Get("url"), r.PostForm.Get("keys"), r.PostForm.Get("apply")
		f.MaxValidity, f.Refresh, f.State = r.PostForm.Get("max_validity"), r.PostForm.Get("refresh"), r.PostForm.Get("state")
	}
	if s.Error != "" {
		page.Warnings = append(page.Warnings, templates.Warning{Kind: "warn", Text: s.Error, Next: "What was fetched before stays in use until its end."})
	}
	list, err := a.Actions.SourceEntities(r.Context(), s.Name, page.Query, query.Get("after"), pageRows)
	if err != nil {
		return err
	}
	for _, e := range list.Items {
		row := templates.EntityRow{Name: e.Name, EntityID: e.EntityID}
		if e.App != "" {
			row.AppHref = appBase(e.App)
		}
		page.Entities = append(page.Entities, row)
	}
	page.Pager = pager(sourceHref(s.Name), query.Get("after"), list.Next, []string{"q", page.Query})
	offerSource(r, &page)
	return web.Page(w, r, statusOf(refused), web.CSP{}, func(b *web.Buffer) error { return templates.Source(b, page) })
}

// offerSource fills in what the person who looks may do.
func offerSource(r *http.Request, page *templates.SourcePage) {
	base := sourceHref(page.Name)
	if may(r, SettingsWrite) {
		page.Form.Action, page.RemoveAction = base, base+"/remove"
	}
	if may(r, AppsWrite) {
		page.RefreshAction = base + "/refresh"
	}
	if may(r, AppsRegister) {
		page.ConnectAction = base + "/connect"
	}
}

func sourceForm(s *api.MetadataSource) templates.SourceForm {
	form := templates.SourceForm{
		Name: s.Name, Kind: s.Kind, URL: settingOf(s, "url"), Apply: applyOptions(), Applies: settingOf(s, "apply"), MaxValidity: settingOf(s, "max_validity"),
		Refresh: settingOf(s, "refresh"), State: settingOf(s, "state"), States: []templates.Option{{Value: "active", Label: "Active"}, {Value: "paused", Label: "Paused"}},
		OnDemand: settingOf(s, "on_demand"),
	}
	if s.Kind == federation.MDQ {
		form.OnDemands = []templates.Option{{Value: "false", Label: "Do not ask about them"}, {Value: "true", Label: "Ask this server whether it knows them"}}
	}
	return form
}

func sourceFacts(s *api.MetadataSource) []templates.Fact {
	facts := []templates.Fact{
		{Label: "Kind", Text: kindWord(s.Kind)}, {Label: "Address", Text: settingOf(s, "url"), Kind: "code"},
		{Label: "Service providers", Text: strconv.Itoa(s.Providers), Hint: strconv.Itoa(s.Entities) + " entities in all, " + strconv.Itoa(s.Left) + " cannot be used"},
		{Label: "Connected apps", Text: strconv.Itoa(s.Apps)},
	}
	if keys := settingOf(s, "keys"); keys != "" {
		facts = append(facts, templates.Fact{Label: "Pinned keys", Tags: strings.Split(keys, ",")})
	} else {
		facts = append(facts, templates.Fact{Label: "Pinned keys", Text: "none: the address alone is believed", Kind: "missing"})
	}
	return append(facts, timeFacts("Last good", s.Good, "Last tried", s.Tried, "Next", s.Next, "Valid until", s.ValidUntil)...)
}

// timeFacts are labels and times in turn; unset ones are left out.
func timeFacts(pairs ...any) []templates.Fact {
	var facts []templates.Fact
	for i := 0; i+1 < len(pairs); i += 2 {
		label, named := pairs[i].(string)
		if at, ok := pairs[i+1].(time.Time); named && ok && !at.IsZero() {
			facts = append(facts, templates.Fact{Label: label, Time: at})
		}
	}
	return facts
}

func (a *Admin) sourceSave(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	values := map[string]string{}
	for _, key := range federation.SettingKeys() {
		value := strings.TrimSpace(r.PostForm.Get(key))
		if r.PostForm.Has(key) && (value != "" || key != "keys") { // empty: the pinned ones stay
			values[key] = value
		}
	}
	return a.sourceDone(w, r, "saved", func(name string) error {
		_, err := a.Actions.SetMetadataSource(r.Context(), byOf(r), name, values)
		return err
	})
}

func (a *Admin) sourceRefresh(w http.ResponseWriter, r *http.Request) error {
	return a.sourceDone(w, r, "fetched", func(name string) error {
		_, err := a.Actions.RefreshMetadataSource(r.Context(), byOf(r), name)
		return err
	})
}

// sourceDone does something to a source and shows it again, with what was refused.
func (a *Admin) sourceDone(w http.ResponseWriter, r *http.Request, notice string, do func(name string) error) error {
	name := r.PathValue("source")
	if err := do(name); err != nil {
		errs, err := a.formErrors(r, err)
		if err != nil {
			return err
		}
		return a.sourcePage(w, r, errs)
	}
	web.SeeOther(w, link(sourceHref(name), "done", notice))
	return nil
}

func (a *Admin) sourceRemove(w http.ResponseWriter, r *http.Request) error {
	if _, err := a.Actions.RemoveMetadataSource(r.Context(), byOf(r), r.PathValue("source")); err != nil {
		return err
	}
	web.SeeOther(w, link(sourcesPath, "done", "removed"))
	return nil
}

// sourceConnect connects a service provider of a source, for nobody yet, and leads to the page that says for whom.
func (a *Admin) sourceConnect(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	ask := api.NewApp{EntityID: strings.TrimSpace(r.PostForm.Get("entity_id")), Source: r.PathValue("source")}
	if may(r, AppsWrite) {
		ask.Set = map[string]string{"policy.permitted_users": sp.PermitPreauthorized}
	}
	added, err := a.Actions.AddApp(r.Context(), byOf(r), ask)
	if err != nil {
		errs, err := a.formErrors(r, err)
		if err != nil {
			return err
		}
		return a.sourcePage(w, r, errs)
	}
	web.SeeOther(w, link(appBase(added.App.ID)+"/access", "done", "connected"))
	return nil
}

// appMetadataAnswer is a yes or no to newer metadata, or a look for it.
func (a *Admin) appMetadataAnswer(answer, notice string) web.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := parseForm(r); err != nil {
			return err
		}
		app, err := a.Actions.App(r.Context(), r.PathValue("app"))
		if err != nil {
			return err
		}
		if _, err := a.Actions.AnswerAppMetadata(r.Context(), byOf(r), app.ID, answer, r.PostForm.Get("version")); err != nil {
			page := templates.AppMetadataPage{}
			if page.Errors, err = a.formErrors(r, err); err != nil {
				return err
			}
			return a.appMetadataPage(w, r, &app, page)
		}
		web.SeeOther(w, link(appBase(app.ID)+"/metadata", "done", notice))
		return nil
	}
}

// followPart is where an app's metadata comes from and what waits.
func (a *Admin) followPart(r *http.Request, app *api.App) (templates.FollowPart, error) {
	m, err := a.Actions.AppMetadata(r.Context(), app.ID)
	if err != nil || m.From == "" {
		return templates.FollowPart{}, err
	}
	part := templates.FollowPart{Warning: m.Error, Since: m.Since, Version: m.Version, Facts: []templates.Fact{{Label: "Address", Text: m.From, Kind: "code"}}}
	if app.SAML != nil && app.SAML.Source != "" {
		part.Facts[0] = templates.Fact{Label: "Source", Text: m.From, Href: sourceHref(m.From)}
	}
	modes := map[string]string{sp.RefreshReview: "waits for a yes", sp.RefreshAutomatic: "is taken by itself", sp.RefreshOff: "is not looked for"}
	part.Facts = append(part.Facts, templates.Fact{Label: "Newer metadata", Text: modes[m.Mode], Href: appBase(app.ID) + "/settings"})
	part.Facts = append(part.Facts, timeFacts("Last good", m.Good, "Next look", m.Next)...)
	for _, d := range m.Waiting {
		part.Diff = append(part.Diff, templates.DiffRow(d))
	}
	if may(r, AppsRegister) {
		base := appBase(app.ID) + "/metadata/"
		part.ApproveAction, part.DismissAction = base+answerApprove, base+answerDismiss
		if part.Facts[0].Href == "" || may(r, AppsWrite) { // a source is fetched as a whole
			part.RefreshAction = base + answerRefresh
		}
	}
	return part, nil
}
