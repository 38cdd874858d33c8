package admin

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gatehouse/idp/api"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/templates"
)

// consoleRoutes is every page and post of the console.
func (a *Admin) consoleRoutes() []web.Route {
	get := func(path string, need web.Permission, handle web.HandlerFunc) web.Route {
		return web.Route{Method: http.MethodGet, Path: "/admin" + path, Permission: need, Handle: handle}
	}
	post := func(path string, need web.Permission, handle web.HandlerFunc) web.Route {
		return web.Route{Method: http.MethodPost, Path: "/admin" + path, Permission: need, MaxBody: maxForm, Handle: handle}
	}
	routes := []web.Route{
		get("", Overview, a.toOverview),
		get("/", Overview, a.overview),

		get("/apps", AppsRead, a.appList),
		get("/apps/new", AppsRegister, a.appNew),
		post("/apps/new", AppsRegister, a.appAdd),
		get("/apps/{app}", AppsRead, a.appPage),
		get("/apps/{app}/access", AppsRead, a.appAccess),
		post("/apps/{app}/access", AppsWrite, a.appAccessSave),
		get("/apps/{app}/people", UsersRead, a.appPeople),
		get("/apps/{app}/settings", AppsRead, a.appSettings),
		post("/apps/{app}/settings", AppsRegister, a.appSettingsSave),
		get("/apps/{app}/metadata", AppsRead, a.appMetadata),
		post("/apps/{app}/metadata", AppsRegister, a.appMetadataSave),
		get("/apps/{app}/export", AppsRead, a.appExport),
		get("/apps/{app}/sessions", SessionsRead, a.appSessions),
		post("/apps/{app}/sessions/end", SessionsEnd, a.appEndSessions(true)),
		post("/apps/{app}/sessions/end-all", SessionsEnd, a.appEndSessions(false)),
		get("/apps/{app}/activity", AuditRead, a.appActivity),
		get("/apps/{app}/danger", AppsRead, a.appDanger),
		post("/apps/{app}/block", AppsWrite, a.appMove(a.Actions.BlockApp, "blocked")),
		post("/apps/{app}/unblock", AppsWrite, a.appMove(a.Actions.UnblockApp, "unblocked")),
		post("/apps/{app}/approve", AppsWrite, a.appApprove),
		post("/apps/{app}/remove", AppsWrite, a.appRemove),
		post("/apps/{app}/registration-token", AppsWrite, a.appRegistrationToken),

		get("/users", UsersRead, a.userList),
		get("/users/new", UsersWrite, a.userNew),
		post("/users/new", UsersWrite, a.userAdd),
		get("/users/{user}", UsersRead, a.userPage),
		post("/users/{user}", UsersWrite, a.userSave),
		post("/users/{user}/disable", UsersWrite, a.userMove(a.Actions.DisableUser, "disabled")),
		post("/users/{user}/enable", UsersWrite, a.userMove(a.Actions.EnableUser, "enabled")),
		post("/users/{user}/password", UsersPassword, a.userPassword),
		post("/users/{user}/reset-mfa", UsersPassword, a.userMove(a.Actions.ResetMFA, "factors")),
		post("/users/{user}/invite", UsersWrite, a.userInvite),
		post("/users/{user}/sessions/end", SessionsEnd, a.userEndSession),
		post("/users/{user}/sessions/end-all", SessionsEnd, a.userEndSessions),

		get("/explain", UsersRead, a.explainPage),
		get("/usage", AppsRead, a.usagePage),
		get("/audit", AuditRead, a.auditPage),
		get("/audit/export", AuditRead, a.auditDownload),
		get("/audit/verify", AuditRead, a.auditVerifyPage),
		get("/audit/{code}", AuditRead, a.trace),
		get("/settings", SettingsRead, a.settings),
		post("/settings", SettingsWrite, a.settingsSave),
		post("/settings/test-mail", SettingsWrite, a.testMail),
	}
	routes = append(routes, a.credentialPages()...)
	routes = append(routes, a.holdingPages()...)
	routes = append(routes, a.requestPages()...)
	routes = append(routes, a.keyPages()...)
	routes = append(routes, a.sourcePages()...)
	routes = append(routes, a.upstreamPages()...)
	routes = append(routes, a.directoryPages()...)
	routes = append(routes, a.importPages()...)
	routes = append(routes, a.tokenPages()...)
	routes = append(routes, a.scopePages()...)
	for _, list := range a.namedLists() {
		routes = append(routes,
			get(list.path, UsersRead, list.page),
			post(list.path, UsersWrite, list.add),
			post(list.path+"/rename", UsersWrite, list.rename),
			post(list.path+"/limits", UsersWrite, list.limits),
			post(list.path+"/remove", UsersWrite, list.remove),
		)
	}
	return routes
}

// maxForm holds 1 MiB of metadata, pasted into a form that is sent in parts, and the rest of the form.
const maxForm = maxMetadata + 128<<10

// done are the notices after a redirect; only its key travels, so that no link can put words on a page.
var done = map[string]string{
	"added":     "Added.",
	"saved":     "Saved. It holds from now on.",
	"replaced":  "The metadata is replaced. Access rules and settings are as they were.",
	"connected": "Connected. Choose who may use it.",
	"fetched":   "Fetched. Apps that follow it are up to date.",
	"looked":    "Looked. What is newer is below, or in use.",
	"dismissed": "Left as it is. It is asked about again when it changes.",
	"blocked":   "Blocked. Nobody can enter, and its tile is gone.",
	"unblocked": "Unblocked. The people whom its policy permits can enter again.",
	"approved":  "Approved. The people whom its policy permits can enter.",
	"removed":   "Removed.",
	"mailed":    "The mail server took the mail. Look whether it arrives.",
	"disabled":  "Disabled. All sessions have ended.",
	"enabled":   "Enabled.",
	"password":  "The password is set. All sessions have ended.",
	"factors":   "The ways to sign in are removed. All sessions have ended.",
	"ended":     "Signed out.",
	"revoked":   "Revoked.",
	"staged":    "Staged. It is in the metadata from now on and signs nothing yet.",
	"activated": "Activated. It signs from now on.",
	"retired":   "Retired. Its private part is destroyed.",
	"granted":   "Approved. The person can open the app now.",
	"denied":    "Denied. The person sees the answer.",

	"saml_added":     "Added. The app speaks SAML too, and its metadata stands on a page of its own.",
	"secret_ended":   "Removed. The older secret is good no longer.",
	"tokens_revoked": "Revoked. The tokens are good no longer, and the app is told where it can be.",
}

// unsaved is the notice of a page whose form was sent when nobody was signed in any more.
const unsaved = "unsaved"

// FormPage is the page of the console at the base URL that a form was sent from, for somebody who has to sign in again: it says there
// that nothing was saved. What the browser says of another site, or of pages that are not the console's, leads to the overview.
func FormPage(r *http.Request, base string) string {
	from, err := url.Parse(r.Referer())
	if err != nil || len(r.Referer()) > maxReferer || from.Scheme+"://"+from.Host != base || !strings.HasPrefix(from.EscapedPath(), "/admin/") {
		from = &url.URL{Path: "/admin/"}
	}
	query := from.Query()
	query.Set("done", unsaved)
	return web.LocalPath(from.EscapedPath()+"?"+query.Encode(), "/admin/")
}

const maxReferer = 2000

// shell is the frame of a console page.
func (a *Admin) shell(r *http.Request, title, section string) templates.Shell {
	shell := a.kit.Shell(r, title)
	actor := web.Of(r).Actor
	shell.Person = &templates.Person{ID: actor.ID, Name: actor.Name, DisplayName: actor.DisplayName, Email: actor.Email}
	shell.IsAdmin, shell.Section = true, section
	if text := done[r.URL.Query().Get("done")]; text != "" {
		shell.Notice = &templates.Notice{Kind: "ok", Text: text}
	}
	if r.URL.Query().Get("done") == unsaved {
		shell.Notice = &templates.Notice{Kind: "warn", Text: "Your session had ended, so the change was not saved. Make it once more."}
	}
	return shell
}

// may tells whether the person who looks at a page could use what needs a permission, so that buttons which only lead to a
// refusal are not shown. The route table decides, not this.
func may(r *http.Request, need web.Permission) bool { return Allows(web.Of(r).Actor.Roles, need) }

// formErrors makes an action's refusal part of the form that caused it; other errors go on to the error page.
func (a *Admin) formErrors(r *http.Request, err error) (templates.Errors, error) {
	if err == nil {
		return nil, nil
	}
	public := a.onForm(r, err)
	if public == nil {
		return nil, err
	}
	return templates.Errors{{Field: public.Field, Text: capital(public.Text)}}, nil
}

// onForm is a refusal that a form shows again, with the audit entry that it leaves on an error page and in the API; nil: none.
func (a *Admin) onForm(r *http.Request, err error) *web.Error {
	public := asPublic(err)
	if public == nil || public.Status >= http.StatusInternalServerError {
		return nil
	}
	if public.Code == "" {
		a.kit.Record(r, public)
	}
	labelled := *public
	labelled.Text = inLabels(public.Text)
	return &labelled
}

// inLabels calls settings in a sentence as forms do, in the place of their keys.
func inLabels(text string) string {
	all := sp.Settings()
	slices.SortFunc(all, func(a, b sp.Setting) int { return len(b.Key) - len(a.Key) })
	var pairs []string
	for _, s := range all {
		if strings.Contains(s.Key, ".") {
			pairs = append(pairs, s.Key, "“"+s.Label+"”")
		}
	}
	text = strings.NewReplacer(pairs...).Replace(text)
	return strings.Replace(text, "” \"", "”: \"", 1) // a label, and the value in question
}

// statusOf is the status of a form's page: 422 when it is shown again because of errors.
func statusOf(errs templates.Errors) int {
	if len(errs) > 0 {
		return http.StatusUnprocessableEntity
	}
	return http.StatusOK
}

// parseForm reads a posted form, in parts or not, within the route's bound.
func parseForm(r *http.Request) error {
	err := r.ParseMultipartForm(maxForm)
	if errors.Is(err, http.ErrNotMultipart) {
		err = nil
	}
	var tooLarge *http.MaxBytesError
	if err != nil && !errors.As(err, &tooLarge) {
		return web.BadRequest("bad_form", "The form did not arrive whole. Go back, reload the page and send it again.")
	}
	return err
}

// choices are the lines of a checkbox list over named records.
func choices(list []api.Profile, chosen func(api.Profile) bool) []templates.Choice {
	all := make([]templates.Choice, len(list))
	for i, one := range list {
		all[i] = templates.Choice{ID: one.ID, Name: one.Name, Hint: people(one.Members), Checked: chosen(one)}
	}
	return all
}

// isIn chooses the records whose id or name a list holds.
func isIn(list []string) func(api.Profile) bool {
	return func(p api.Profile) bool { return slices.Contains(list, p.ID) || slices.Contains(list, p.Name) }
}

// link makes the address of the same page with other values of its query; empty ones are left out.
func link(path string, pairs ...string) string {
	values := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			values.Set(pairs[i], pairs[i+1])
		}
	}
	if len(values) == 0 {
		return path
	}
	return path + "?" + values.Encode()
}

func (a *Admin) toOverview(w http.ResponseWriter, _ *http.Request) error {
	web.SeeOther(w, "/admin/")
	return nil
}
