package admin

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"gatehouse/idp/api"
	"gatehouse/idp/grants"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
	"gatehouse/templates"
)

// requestPages are the pages and posts of requests for access, of one app or of all.
func (a *Admin) requestPages() []web.Route {
	post := func(path string, handle web.HandlerFunc) web.Route {
		return web.Route{Method: http.MethodPost, Path: "/admin" + path, Permission: AccessWrite, Handle: handle}
	}
	return []web.Route{
		{Method: http.MethodGet, Path: "/admin/requests", Permission: AccessRead, Handle: a.requests},
		{Method: http.MethodGet, Path: "/admin/apps/{app}/requests", Permission: AccessRead, Handle: a.requests},
		post("/requests/{request}/approve", a.requestAnswer(true)),
		post("/requests/{request}/deny", a.requestAnswer(false)),
		post("/grants/revoke", a.grantRevoke),
	}
}

// cardRows is how many requests with their forms a page shows at once.
const cardRows = 25

// requests shows requests and access on request, of the path's app or of all.
func (a *Admin) requests(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	return a.requestsPage(w, r, r.PathValue("app"), templates.AccessPage{View: query.Get("view")}, query.Get("after"))
}

func (a *Admin) requestsPage(w http.ResponseWriter, r *http.Request, ref string, page templates.AccessPage, after string) error {
	ask := api.RequestQuery{After: after, Limit: pageRows}
	page.Base, page.Shell = "/admin/requests", a.shell(r, "Requests", templates.SectionRequests)
	if ref != "" {
		app, err := a.Actions.App(r.Context(), ref)
		if err != nil {
			return err
		}
		page.Shell, page.App = a.shell(r, app.Name, templates.SectionApps), a.appHead(&app)
		page.Base, page.Back, ask.App = page.App.Base+"/requests", app.ID, app.ID
	}
	var next string
	var err error
	switch page.View {
	case "now":
		next, err = a.grantRows(r, &page, ask)
	case "all":
		next, err = a.requestRowsOf(r, &page, ask)
	default:
		page.View, ask.State, ask.Limit = "waiting", string(grants.Asked), cardRows
		next, err = a.requestRowsOf(r, &page, ask)
	}
	if err != nil {
		return err
	}
	page.Pager = pager(page.Base, after, next, []string{"view", page.View})
	return web.Page(w, r, statusOf(page.Errors), web.CSP{}, func(b *web.Buffer) error { return templates.Access(b, page) })
}

func (a *Admin) grantRows(r *http.Request, page *templates.AccessPage, ask api.RequestQuery) (string, error) {
	list, err := a.Actions.Grants(r.Context(), ask)
	if may(r, AccessWrite) {
		page.RevokeAction = "/admin/grants/revoke"
	}
	for _, g := range list.Items {
		page.Grants = append(page.Grants, templates.GrantRow{
			User: g.User.ID, App: g.App.ID, Person: g.User.Name, PersonHref: userHref(g.User), AppName: g.App.Name, AppHref: appBase(g.App.ID),
			From: g.From, Until: g.Until, By: actorWords(g.By.Name),
		})
	}
	return list.Next, err
}

func (a *Admin) requestRowsOf(r *http.Request, page *templates.AccessPage, ask api.RequestQuery) (string, error) {
	list, err := a.Actions.Requests(r.Context(), ask)
	for i := range list.Items {
		page.Requests = append(page.Requests, requestRow(r, &list.Items[i], page))
	}
	return list.Next, err
}

// userHref leads to a person who is still there.
func userHref(user api.Ref) string {
	if user.ID == user.Name {
		return ""
	}
	return "/admin/users/" + user.ID
}

// requestRow is a request with the form to answer it, for those who may; what was posted for it and refused is shown again.
func requestRow(r *http.Request, one *api.AccessRequest, page *templates.AccessPage) templates.RequestRow {
	row := templates.RequestRow{
		ID: one.ID, Person: one.User.Name, PersonHref: userHref(one.User), App: one.App.Name, AppHref: appBase(one.App.ID), Why: one.Why,
		Wanted: wanted(one), Asked: one.Asked, State: one.State, Decided: one.Decided, By: actorWords(one.By.Name), Answer: one.Answer, Until: one.Until,
		Back: page.Back, Span: templates.SpanField{Suffix: "-" + one.ID, Options: spans, Chosen: one.WantedFor},
	}
	if one.State != string(grants.Asked) {
		return row
	}
	row.State = "waiting"
	if one.WantedFor == "" {
		row.Span.Chosen, row.Span.Until = "date", one.WantedUntil.UTC().Format(time.DateOnly)
	}
	switch {
	case one.User.ID == web.Of(r).Actor.ID:
		row.Note = "This is your own request: somebody else has to answer it."
	case may(r, AccessWrite):
		row.ApproveAction, row.DenyAction = "/admin/requests/"+one.ID+"/approve", "/admin/requests/"+one.ID+"/deny"
	}
	if r.Method == http.MethodPost && r.PathValue("request") == one.ID {
		row.Text, row.TextError = r.PostForm.Get("text"), page.Errors.For("text-"+one.ID)
		row.Span.Chosen, row.Span.Until, row.Span.Errors = r.PostForm.Get("span"), r.PostForm.Get("until"), page.Errors
	}
	return row
}

// spans are the times that the form of an answer offers.
var spans = []templates.Option{
	{Value: "1d", Label: "1 day"}, {Value: "7d", Label: "7 days"}, {Value: "30d", Label: "30 days"}, {Value: "90d", Label: "90 days"},
	{Value: "date", Label: "Until a date"},
}

func wanted(one *api.AccessRequest) string {
	for _, span := range spans {
		if span.Value == one.WantedFor {
			return "for " + strings.ToLower(span.Label)
		}
	}
	if one.WantedFor != "" {
		return "for " + sp.DurationInWords(one.WantedFor)
	}
	return grants.Span{Until: one.WantedUntil}.String()
}

// requestAnswer is the post of an answer; a refusal that concerns a field shows the page with the form again.
func (a *Admin) requestAnswer(approve bool) web.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := parseForm(r); err != nil {
			return err
		}
		id, back := r.PathValue("request"), r.PostForm.Get("back")
		answer, action, word := api.Answer{}, a.Actions.DenyRequest, "denied"
		var err error
		if approve {
			action, word = a.Actions.ApproveRequest, "granted"
			answer, err = spanOf(r.PostForm.Get("span"), r.PostForm.Get("until"))
		}
		if err == nil {
			answer.Text = r.PostForm.Get("text")
			_, err = action(r.Context(), byOf(r), id, answer)
		}
		if err == nil {
			web.SeeOther(w, link(requestsAt(back), "done", word))
			return nil
		}
		public := asPublic(err)
		field, known := "", false
		if public != nil {
			field, known = map[string]string{"for": "span", "until": "until", "text": "text"}[public.Field]
		}
		if !known || public.Status != http.StatusBadRequest {
			return err
		}
		page := templates.AccessPage{Errors: templates.Errors{{Field: field + "-" + id, Text: public.Text}}}
		return a.requestsPage(w, r, back, page, "")
	}
}

// requestsAt is the page that a form was on: of an app, or of all.
func requestsAt(app string) string {
	if !looksLikeID(app, "app_") {
		return "/admin/requests"
	}
	return appBase(app) + "/requests"
}

// spanOf is the time that a posted form gives: one of the offered ones, or until the end of a day of UTC.
func spanOf(choice, date string) (api.Answer, error) {
	if choice != "date" {
		return api.Answer{For: choice}, nil
	}
	day, err := time.Parse(time.DateOnly, strings.TrimSpace(date))
	if err != nil {
		return api.Answer{}, badValue("until", "Give the date until which the access lasts.")
	}
	return api.Answer{Until: grants.EndOfDay(day)}, nil
}

func (a *Admin) grantRevoke(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	revoke := api.RevokeGrant{User: r.PostForm.Get("user"), App: r.PostForm.Get("app")}
	if _, err := a.Actions.RevokeGrant(r.Context(), byOf(r), revoke); err != nil {
		return err
	}
	web.SeeOther(w, link(requestsAt(r.PostForm.Get("back")), "view", "now", "done", "revoked"))
	return nil
}

// requestTask tells whoever may look at requests that some wait; nil when none does.
func (a *Admin) requestTask(r *http.Request) ([]templates.Task, error) {
	if !may(r, AccessRead) {
		return nil, nil
	}
	n, err := a.Actions.openRequests(r.Context())
	if err != nil || n == 0 {
		return nil, err
	}
	text := fmt.Sprintf("%d requests for access wait for an answer.", n)
	if n == 1 {
		text = "A request for access waits for an answer."
	}
	return []templates.Task{{Kind: "info", Text: text, Link: templates.Link{Label: "Look at them", Href: "/admin/requests"}}}, nil
}

// openRequests counts the requests that wait for an answer.
func (a *Actions) openRequests(ctx context.Context) (int, error) {
	n := 0
	err := a.view(ctx, func(tx store.Tx) (err error) {
		n, err = grants.Requests.Count(tx, store.Page{Index: "due"}, 0)
		return err
	})
	return n, err
}
