package portal

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/idp/grants"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
	"gatehouse/templates"
)

// askRoutes are the paths of requests for access.
func (h *Handlers) askRoutes() []web.Route {
	return []web.Route{
		{Method: http.MethodGet, Path: "/ask", Permission: web.SignedIn, Handle: h.ask},
		{Method: http.MethodGet, Path: "/ask/{app}", Permission: web.SignedIn, Handle: h.askApp},
		{Method: http.MethodPost, Path: "/ask/{app}", Permission: web.SignedIn, Handle: h.askSend},
		{Method: http.MethodGet, Path: "/requests", Permission: web.SignedIn, Handle: h.requests},
		{Method: http.MethodPost, Path: "/requests/{request}/withdraw", Permission: web.SignedIn, Handle: h.withdraw},
		{Method: http.MethodPost, Path: "/requests/{request}/approve", Permission: web.SignedIn, Handle: h.answer(true)},
		{Method: http.MethodPost, Path: "/requests/{request}/deny", Permission: web.SignedIn, Handle: h.answer(false)},
	}
}

// done are the notices after a redirect; only its key travels, so that no link can put words on a page.
var done = map[string]string{
	"asked":     "Your request is sent. The answer appears here, and the app among yours once it is approved.",
	"withdrawn": "Your request is withdrawn.",
	"approved":  "Approved. The person can open the app now.",
	"denied":    "Denied. The person sees your answer.",
}

// ask lists the apps that the person may ask for, and what they asked for.
func (h *Handlers) ask(w http.ResponseWriter, r *http.Request) error {
	shell, _, err := h.frame(r, "Ask for an app", templates.SectionPortal)
	if err != nil {
		return err
	}
	page := templates.AskPage{Shell: shell, Query: strings.TrimSpace(r.URL.Query().Get("q"))}
	facts, err := h.Engine.Visitor(r)
	if err != nil {
		return err
	}
	apps, err := h.Engine.AppsToAskFor(r.Context(), facts)
	if err != nil {
		return err
	}
	if page.Own, err = h.ownRequests(r); err != nil {
		return err
	}
	waits := map[string]bool{}
	for _, one := range page.Own {
		waits[one.AppHref] = one.WithdrawAction != ""
	}
	for _, app := range apps {
		if tile := askTile(r, app); matches(app, tile.Name, page.Query) && !waits[tile.Href] {
			page.Tiles = append(page.Tiles, tile)
		}
	}
	return web.Page(w, r, http.StatusOK, web.CSP{}, func(b *web.Buffer) error { return templates.Ask(b, page) })
}

func askTile(r *http.Request, app *sp.App) templates.Tile {
	t := tile(r, app)
	t.Href = flow.AskHref(app.ID)
	return t
}

// ownShown is how many closed requests of their own a person sees, beside all open ones.
const ownShown = 20

// ownRequests are the person's requests: the open ones, then the others, each the newest first. AppHref is where one asks again.
func (h *Handlers) ownRequests(r *http.Request) ([]templates.RequestRow, error) {
	var rows []templates.RequestRow
	now, actor := h.Kit.Now(), web.Of(r).Actor.ID
	err := h.Store.View(r.Context(), func(tx store.Tx) error {
		rows = nil
		add := func(open bool, most int) func(string, *grants.Request) error {
			n := 0
			return func(_ string, one *grants.Request) error {
				switch {
				case (one.StateAt(now) == grants.Asked) != open:
					return nil
				case n == most:
					return store.ErrStop
				}
				n++
				row, err := ownRow(tx, one, now)
				rows = append(rows, row)
				return err
			}
		}
		err := grants.Requests.Each(tx, store.Page{Index: "open_user", Value: actor, Reverse: true}, add(true, grants.MaxOpen))
		if err != nil {
			return err
		}
		return grants.Requests.Each(tx, store.Page{Index: "user", Value: actor, Reverse: true}, add(false, ownShown))
	})
	return rows, err
}

func ownRow(tx store.Tx, one *grants.Request, now time.Time) (templates.RequestRow, error) {
	row := templates.RequestRow{
		ID: one.ID, App: one.App, AppHref: flow.AskHref(one.App), Why: one.Why, Wanted: one.Wanted.String(), Asked: one.Asked,
		State: string(one.StateAt(now)), Decided: one.Decided, Answer: one.Answer, Until: one.Until,
	}
	switch one.StateAt(now) {
	case grants.Asked:
		row.State, row.WithdrawAction = "waiting", "/requests/"+one.ID+"/withdraw"
	case grants.Approved, grants.Denied:
		by, _, err := directory.Users.Get(tx, one.By)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return row, err
		}
		if row.By = by.FullName(); by.ID == "" {
			row.By = "an administrator" // on the socket, or gone
		}
	}
	app, _, err := sp.Apps.Get(tx, one.App)
	if errors.Is(err, store.ErrNotFound) {
		return row, nil
	}
	row.App, row.LogoURL = app.Definition.Name, flow.LogoPath(app.ID, app.Definition.LogoURL)
	return row, err
}

// askApp shows the form for one app, or says why there is none.
func (h *Handlers) askApp(w http.ResponseWriter, r *http.Request) error {
	return h.askPage(w, r, templates.AskAppPage{Span: spanField("", "7d", "")})
}

func (h *Handlers) askPage(w http.ResponseWriter, r *http.Request, page templates.AskAppPage) error {
	facts, err := h.Engine.Visitor(r)
	if err != nil {
		return err
	}
	app, err := h.Engine.AppOf(r.Context(), r.PathValue("app"))
	switch {
	case err != nil:
		return err
	case app != nil && app.State == sp.Active && flow.Opens(facts, app):
		web.SeeOther(w, "/")
		return nil
	case app == nil || flow.IsBuiltin(app.ID) || app.State != sp.Active || len(app.Policy.Approvers) == 0: // its name is not for everybody
		return web.NotFound("There is no such app to ask for. Choose one from the list under “Ask for an app”.")
	case !flow.CanAsk(facts, app):
		return &web.Error{
			Status: http.StatusForbidden, Reason: "cannot_ask", Text: app.Definition.Name + " cannot be asked for now. Choose another app, or ask your administrator.",
			Links: []templates.Link{{Label: "Ask for another app", Href: "/ask"}},
		}
	}
	if page.Shell, _, err = h.frame(r, "Ask for "+app.Definition.Name, templates.SectionPortal); err != nil {
		return err
	}
	page.App, page.Action, page.Most = askTile(r, app), flow.AskHref(app.ID), grants.MaxText
	status := http.StatusOK
	if len(page.Errors) > 0 {
		status = http.StatusUnprocessableEntity
	}
	return web.Page(w, r, status, web.CSP{}, func(b *web.Buffer) error { return templates.AskApp(b, page) })
}

// askSend stores the request, or shows the form again with what was wrong.
func (h *Handlers) askSend(w http.ResponseWriter, r *http.Request) error {
	if err := web.ParseForm(r); err != nil {
		return err
	}
	form := r.PostForm
	span, err := spanOf(form.Get("span"), form.Get("until"))
	if err == nil {
		_, err = h.Engine.Ask(r, flow.Wish{App: r.PathValue("app"), Why: form.Get("why"), Span: span})
	}
	if err == nil {
		web.SeeOther(w, "/ask?done=asked")
		return nil
	}
	problem, fits := formError(err, "")
	if !fits {
		return err
	}
	page := templates.AskAppPage{Why: form.Get("why"), Span: spanField("", form.Get("span"), form.Get("until")), Errors: templates.Errors{problem}}
	page.Span.Errors = page.Errors
	return h.askPage(w, r, page)
}

func (h *Handlers) withdraw(w http.ResponseWriter, r *http.Request) error {
	if err := h.Engine.TakeBack(r, r.PathValue("request")); err != nil {
		return err
	}
	web.SeeOther(w, "/ask?done=withdrawn")
	return nil
}

// spans are the times that forms offer.
var spans = []templates.Option{
	{Value: "1d", Label: "1 day"}, {Value: "7d", Label: "7 days"}, {Value: "30d", Label: "30 days"}, {Value: "90d", Label: "90 days"},
	{Value: "date", Label: "Until a date"},
}

func spanField(suffix, chosen, until string) templates.SpanField {
	return templates.SpanField{Suffix: suffix, Options: spans, Chosen: chosen, Until: until}
}

// spanOf reads a posted time: one of the offered ones, or until the end of a day of UTC.
func spanOf(choice, date string) (grants.Span, error) {
	if choice == "date" {
		day, err := time.Parse(time.DateOnly, strings.TrimSpace(date))
		if err != nil {
			return grants.Span{}, &web.Error{Status: http.StatusBadRequest, Reason: "bad_value", Field: "until", Text: "Give the date until which the access lasts."}
		}
		return grants.Span{Until: grants.EndOfDay(day)}, nil
	}
	length, err := sp.ParseDuration(choice)
	if err != nil || !slices.ContainsFunc(spans, func(o templates.Option) bool { return o.Value == choice }) {
		return grants.Span{}, &web.Error{Status: http.StatusBadRequest, Reason: "bad_value", Field: "for", Text: "Choose for how long you want it."}
	}
	return grants.Span{For: length}, nil
}

// formError makes a refusal that is about a field of a form part of that form. Suffix is as in templates.SpanField.
func formError(err error, suffix string) (templates.FieldError, bool) {
	var public *web.Error
	if !errors.As(err, &public) || public.Status != http.StatusBadRequest && public.Status != http.StatusConflict {
		return templates.FieldError{}, false
	}
	names := map[string]string{"for": "span" + suffix, "until": "until" + suffix, "text": "text" + suffix, "why": "why", "app": ""}
	name, known := names[public.Field]
	return templates.FieldError{Field: name, Text: public.Text}, known
}
