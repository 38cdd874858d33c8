package admin

import (
	"net/http"
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
	page := templates.AppSettingsPage{Shell: a.shell(r, app.Name, templates.SectionApps), App: a.appHead(app), Action: appBase(app.ID) + "/settings"}
	page.Rows = settingRows(settingsOf(app, false), posted, errs)
	page.Notice = noticeOf(page.Notice, errs, page.Rows)
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
		if _, err := a.Actions.SetApp(r.Context(), byOf(r), app.ID, changed); err != nil {
			errs, err := a.formErrors(r, err)
			if err != nil {
				return err
			}
			return a.appSettingsPage(w, r, &app, posted, errs)
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

// settingRows are the lines of a settings form. Posted values, if any, are shown in the place of the stored ones.
func settingRows(list []api.Setting, posted map[string]string, errs templates.Errors) []templates.SettingRow {
	var rows []templates.SettingRow
	for _, s := range list {
		row := templates.SettingRow{
			Key: s.Key, Label: s.Label, Help: s.Help, Group: groupOf(s.Key), Kind: rowKind(s.Kind), Value: rowValue(&s),
			Default: s.Default, Error: errs.For(s.Key),
		}
		if s.IsDefault && s.Value != "" {
			row.Default = s.Value // what holds for this app, which may follow from its metadata
		}
		if word, ok := map[string]string{"true": "Yes", "false": "No"}[row.Default]; ok && s.Kind == string(sp.KindBool) {
			row.Default = word
		}
		if value, ok := posted[s.Key]; ok {
			row.Value = value
		}
		for _, option := range s.Options {
			row.Options = append(row.Options, templates.Option{Value: option})
		}
		rows = append(rows, row)
	}
	return rows
}

// rowValue is a value as the form shows it: nothing for a default, a list as lines.
func rowValue(s *api.Setting) string {
	if s.IsDefault {
		return ""
	}
	if s.Kind == string(sp.KindList) {
		return strings.Join(splitList(s.Value), "\n")
	}
	return s.Value
}

func rowKind(kind string) string {
	switch sp.Kind(kind) {
	case sp.KindChoice:
		return "select"
	case sp.KindBool, sp.KindDuration, sp.KindList, sp.KindJSON:
		return kind
	}
	return "text"
}

// policyGroups are the headings on the page of an app's policy.
var policyGroups = map[string]string{
	"policy.approvers": "On request", "policy.consent": "Consent", "policy.ip_ranges": "Where from", "policy.ip_relaxation": "Where from",
	"policy.min_level": "How strongly signed in", "policy.on_low_level": "How strongly signed in", "policy.max_auth_age": "How strongly signed in",
	"policy.session_timeout": "For how long", "policy.refresh_token": "For how long", "policy.not_before": "When", "policy.not_after": "When",
	"policy.scopes": "What it gets at most", "policy.attributes": "What it gets at most",
}

var groupNames = map[string]string{
	"saml": "SAML", "oauth": "OAuth and OpenID Connect", "policy": "Policy", "session": "Sessions", "throttle": "Sign-in limits", "signin": "Sign-in", "smtp": "E-mail", "audit": "Audit", "trace": "Audit",
}

func groupOf(key string) string {
	if name := policyGroups[key]; name != "" {
		return name
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
	for _, s := range list {
		if !r.PostForm.Has(s.Key) {
			continue
		}
		value := strings.TrimSpace(strings.ReplaceAll(r.PostForm.Get(s.Key), "\r\n", "\n"))
		posted[s.Key] = value
		if value == rowValue(&s) {
			continue
		}
		switch {
		case value == "":
			changed[s.Key] = sp.Undo
		case s.Kind == string(sp.KindList):
			changed[s.Key] = joinList(lines(value))
		default:
			changed[s.Key] = value
		}
	}
	return posted, changed
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
