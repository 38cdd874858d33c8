package admin

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"gatehouse/idp/api"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/templates"
)

func (a *Admin) appSettings(w http.ResponseWriter, r *http.Request) error {
	app, err := a.Actions.App(r.Context(), r.PathValue("app"))
	if err != nil {
		return err
	}
	return a.appSettingsPage(w, r, &app, nil, nil)
}

func (a *Admin) appSettingsPage(w http.ResponseWriter, r *http.Request, app *api.App, posted map[string]string, errs templates.Errors) error {
	visible := visibleTo(byOf(r), *app)
	app = &visible
	page := templates.AppSettingsPage{Shell: a.shell(r, app.Name, templates.SectionApps), App: a.appHead(app), Action: appBase(app.ID) + "/settings"}
	page.Rows = settingRows(settingsOf(app, false), posted, errs)
	page.Notice = noticeOf(page.Notice, errs, page.Rows)
	if mayRegister(app) && !app.OAuth.Gateway && app.OAuth.Children == 0 && may(r, AppsWrite) {
		page.RegisterAction = page.App.Base + "/registration-token"
	}
	return web.Page(w, r, statusOf(errs), web.CSP{}, func(b *web.Buffer) error { return templates.AppSettings(b, page) })
}

func (a *Admin) appSettingsSave(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	app, err := a.Actions.App(r.Context(), r.PathValue("app"))
	if err != nil {
		return err
	}
	posted, changed := readSettings(r, settingsOf(&app, false))
	if len(changed) > 0 {
		set, err := a.Actions.SetApp(r.Context(), byOf(r), app.ID, changed)
		if err != nil {
			errs, err := a.formErrors(r, err)
			if err != nil {
				return err
			}
			return a.appSettingsPage(w, r, &app, posted, errs)
		}
		if set.OAuth != nil && set.OAuth.OlderSecrets > 0 && !set.OAuth.Lent.Equal(app.OAuth.Lent) { // the page says what that means
			web.SeeOther(w, link(appBase(app.ID)+"/credentials", "done", "saved")+"#lent")
			return nil
		}
	}
	web.SeeOther(w, link(appBase(app.ID)+"/settings", "done", "saved"))
	return nil
}

func (a *Admin) settings(w http.ResponseWriter, r *http.Request) error {
	return a.settingsPage(w, r, nil, nil)
}

func (a *Admin) settingsPage(w http.ResponseWriter, r *http.Request, posted map[string]string, errs templates.Errors) error {
	list, err := a.Actions.Settings(r.Context())
	if err != nil {
		return err
	}
	page := templates.SettingsPage{Shell: a.shell(r, "Settings", templates.SectionSettings), Action: "/admin/settings"}
	page.Rows = settingRows(withoutPicture(list.Items), posted, errs)
	page.Notice = noticeOf(page.Notice, errs, page.Rows)
	if may(r, SettingsWrite) {
		page.TestAction, page.TestTo = "/admin/settings/test-mail", web.Of(r).Actor.Email
	}
	return web.Page(w, r, statusOf(errs), web.CSP{}, func(b *web.Buffer) error { return templates.Settings(b, page) })
}

// testMail sends a mail at once; what goes wrong stands at the field.
func (a *Admin) testMail(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	if err := a.Actions.TestMail(r.Context(), byOf(r), strings.TrimSpace(r.PostForm.Get("to"))); err != nil {
		errs, err := a.formErrors(r, err)
		if err != nil {
			return err
		}
		return a.settingsPage(w, r, nil, errs)
	}
	web.SeeOther(w, link("/admin/settings", "done", "mailed"))
	return nil
}

func (a *Admin) settingsSave(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	list, err := a.Actions.Settings(r.Context())
	if err != nil {
		return err
	}
	posted, changed := readSettings(r, withoutPicture(list.Items))
	if len(changed) > 0 {
		if _, err := a.Actions.SetSettings(r.Context(), byOf(r), changed); err != nil {
			errs, err := a.formErrors(r, err)
			if err != nil {
				return err
			}
			return a.settingsPage(w, r, posted, errs)
		}
	}
	web.SeeOther(w, link("/admin/settings", "done", "saved"))
	return nil
}

// withoutPicture leaves out the logo, which a form of texts cannot carry: `gatehouse settings set logo=@FILE` sets it.
func withoutPicture(list []api.Setting) []api.Setting {
	var rest []api.Setting
	for _, s := range list {
		if s.Key != "logo" {
			rest = append(rest, s)
		}
	}
	return rest
}

// ownFields are the keys that have fields of their own on the page of an app's policy.
var ownFields = map[string]bool{
	"policy.permitted_users": true, "policy.profiles": true, "policy.permission_sets": true, "policy.groups": true, "policy.users": true,
}

// settingsOf are an app's settings that have a line in a form: those of its policy, or those of its definition.
func settingsOf(app *api.App, policy bool) []api.Setting {
	var list []api.Setting
	for _, s := range app.Settings {
		if strings.HasPrefix(s.Key, "policy.") == policy && !ownFields[s.Key] {
			list = append(list, s)
		}
	}
	return list
}

// settingRows are the lines of a settings form, those of a group together. Posted values, if any, are shown in the place of the
// stored ones.
func settingRows(list []api.Setting, posted map[string]string, errs templates.Errors) []templates.SettingRow {
	var rows []templates.SettingRow
	var order []string
	for i := range list {
		row := settingRow(&list[i], posted)
		row.Error = errs.For(row.Key)
		if !slices.Contains(order, row.Group) {
			order = append(order, row.Group)
		}
		rows = append(rows, row)
	}
	slices.SortStableFunc(rows, func(a, b templates.SettingRow) int {
		return slices.Index(order, a.Group) - slices.Index(order, b.Group)
	})
	return rows
}

func settingRow(s *api.Setting, posted map[string]string) templates.SettingRow {
	row := templates.SettingRow{
		Key: s.Key, Label: s.Label, Help: s.Help, Group: groupOf(s.Key), Kind: rowKind(s), Value: rowValue(s), Default: s.Default,
	}
	if s.IsDefault && s.Value != "" {
		row.Default = s.Value // what holds for this app, which may follow from its metadata
	}
	row.Default = inWords(s, row.Default)
	if value, ok := posted[s.Key]; ok {
		row.Value = value
	}
	if row.Kind == "choices" {
		row.Choices = settingChoices(s, lines(row.Value))
		if fromOptions(s, splitList(s.Default)) {
			row.Default = "the usual ones"
		}
		return row
	}
	for _, option := range s.Options {
		row.Options = append(row.Options, templates.Option{Value: option, Label: s.Words[option]})
	}
	return row
}

// inWords says a value, or each item of a list, as forms do.
func inWords(s *api.Setting, value string) string {
	if word, ok := map[string]string{"true": "Yes", "false": "No"}[value]; ok && s.Kind == string(sp.KindBool) {
		return word
	}
	if word, ok := s.Words[value]; ok {
		return word
	}
	if words := sp.DurationInWords(value); s.Kind == string(sp.KindDuration) && words != value {
		return words + " (" + value + ")" // and how the form takes it
	}
	return strings.ReplaceAll(value, ",", ", ")
}

// settingChoices are the items that a list can have, and those that it has whatever they are.
func settingChoices(s *api.Setting, chosen []string) []templates.Choice {
	all := slices.Clone(s.Options)
	for _, one := range chosen {
		if !slices.Contains(all, one) {
			all = append(all, one)
		}
	}
	list := make([]templates.Choice, len(all))
	for i, one := range all {
		list[i] = templates.Choice{ID: one, Name: cmp.Or(s.Words[one], one), Checked: slices.Contains(chosen, one)}
	}
	return list
}

// itemsOf are the items of a list out of a few: those of its default where that is one.
func itemsOf(s *api.Setting) []string {
	items := splitList(s.Value)
	if s.IsDefault && !fromOptions(s, items) {
		return nil
	}
	return items
}

func fromOptions(s *api.Setting, items []string) bool {
	return !slices.ContainsFunc(items, func(one string) bool { return !slices.Contains(s.Options, one) })
}

// rowValue is a value as the form shows it: nothing for a default that can be left empty, a list as lines.
func rowValue(s *api.Setting) string {
	switch {
	case rowKind(s) == "choices":
		return strings.Join(itemsOf(s), "\n")
	case s.IsDefault:
		return ""
	case s.Kind == string(sp.KindList):
		return strings.Join(splitList(s.Value), "\n")
	}
	return s.Value
}

func rowKind(s *api.Setting) string {
	switch kind := sp.Kind(s.Kind); kind {
	case sp.KindChoice:
		return "select"
	case sp.KindList:
		if len(s.Options) > 0 {
			return "choices"
		}
		return s.Kind
	case sp.KindBool, sp.KindDuration, sp.KindJSON:
		return s.Kind
	}
	return "text"
}

// keyGroups are the headings of keys on the pages of an app's policy and settings.
var keyGroups = map[string]string{
	"policy.approvers": "On request", "policy.consent": "Consent", "policy.ip_ranges": "Where from", "policy.ip_relaxation": "Where from",
	"policy.min_level": "How strongly signed in", "policy.on_low_level": "How strongly signed in", "policy.max_auth_age": "How strongly signed in",
	"policy.session_timeout": "For how long", "policy.refresh_token": "For how long", "policy.not_before": "When", "policy.not_after": "When",
	"policy.scopes": "What it gets at most", "policy.attributes": "What it gets at most",

	"oauth.grant_types": askedFor, "oauth.response_types": askedFor, "oauth.scopes": askedFor, "oauth.introspect": askedFor, "oauth.run_as": askedFor, "oauth.registration_approval": askedFor,
	"oauth.token_endpoint_auth_method": proof, "oauth.jwks": proof, "oauth.jwks_uri": proof, "oauth.require_pkce": proof,
	"oauth.require_pushed_authorization_requests": proof, "oauth.dpop_bound_access_tokens": proof,
	"oauth.id_token_signed_response_alg": tokens, "oauth.userinfo_signed_response_alg": tokens, "oauth.access_token_format": tokens, "oauth.access_token_lifetime": tokens,
	"oauth.subject_type": tokens, sectorKey: tokens, "oauth.post_logout_redirect_uris": signOut, "oauth.backchannel_logout_uri": signOut, "oauth.frontchannel_logout_uri": signOut,
}

// tlsKeys begin the keys of settings about client certificates.
const tlsKeys = "oauth.tls_"

// The groups of OAuth settings; those that have none stand under the protocol's name.
const (
	askedFor = "OAuth: what it may ask for"
	proof    = "OAuth: how it proves itself"
	tokens   = "OAuth: tokens"
	signOut  = "OAuth: signing out"
)

var groupNames = map[string]string{
	"saml": "SAML", "oauth": "OAuth and OpenID Connect", "policy": "Policy", "session": "Sessions", "throttle": "Sign-in limits", "signin": "Sign-in", "smtp": "E-mail", "audit": "Audit", "trace": "Audit",
}

func groupOf(key string) string {
	if name := keyGroups[key]; name != "" {
		return name
	}
	if strings.HasPrefix(key, tlsKeys) {
		return proof
	}
	prefix, _, found := strings.Cut(key, ".")
	if !found {
		return "General"
	}
	if name := groupNames[prefix]; name != "" {
		return name
	}
	return capital(prefix)
}

// readSettings reads a settings form: all that was posted, and what differs from what is stored.
func readSettings(r *http.Request, list []api.Setting) (posted, changed map[string]string) {
	posted, changed = map[string]string{}, map[string]string{}
	for i := range list {
		s := &list[i]
		if !r.PostForm.Has(s.Key) {
			continue
		}
		value := strings.TrimSpace(strings.ReplaceAll(strings.Join(r.PostForm[s.Key], "\n"), "\r\n", "\n"))
		posted[s.Key] = value
		if value == rowValue(s) || rowKind(s) == "choices" && sameItems(lines(value), itemsOf(s)) {
			continue
		}
		switch {
		case value == "" || rowKind(s) == "choices" && sameItems(lines(value), splitList(s.Default)):
			changed[s.Key] = sp.Undo
		case s.Kind == string(sp.KindList):
			changed[s.Key] = joinList(lines(value))
		default:
			changed[s.Key] = value
		}
	}
	return posted, changed
}

// sameItems tells whether two lists hold the same, in whatever order.
func sameItems(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// noticeOf says above the form what no row says.
func noticeOf(notice *templates.Notice, errs templates.Errors, rows []templates.SettingRow) *templates.Notice {
	if len(errs) == 0 {
		return notice
	}
	for _, row := range rows {
		if row.Error != "" {
			return &templates.Notice{Kind: "danger", Text: "Nothing was saved: one setting below needs another value."}
		}
	}
	return &templates.Notice{Kind: "danger", Text: errs[0].Text}
}
