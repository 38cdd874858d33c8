package portal

import (
	"net/http"

	"gatehouse/idp/flow"
	"gatehouse/idp/grants"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/templates"
)

// frame is the shell of a page with what waits for the person's answer.
func (h *Handlers) frame(r *http.Request, title, section string) (templates.Shell, flow.Inbox, error) {
	shell := h.shell(r, title, section)
	inbox, err := h.Engine.Inbox(r.Context(), web.Of(r).Actor.ID)
	shell.Approves, shell.Waiting = inbox.Approves, len(inbox.Waiting)
	if text := done[r.URL.Query().Get("done")]; text != "" {
		shell.Notice = &templates.Notice{Kind: "ok", Text: text}
	}
	return shell, inbox, err
}

// requests lists what waits for the person's answer.
func (h *Handlers) requests(w http.ResponseWriter, r *http.Request) error {
	return h.requestsPage(w, r, "", nil)
}

// requestsPage shows the inbox; problems are those of the form of one request, whose posted values are shown again.
func (h *Handlers) requestsPage(w http.ResponseWriter, r *http.Request, id string, problems templates.Errors) error {
	shell, inbox, err := h.frame(r, "Requests for you", templates.SectionPortal)
	if err != nil {
		return err
	}
	page := templates.RequestsPage{Shell: shell, Errors: problems}
	for i := range inbox.Waiting {
		row := waitingRow(&inbox.Waiting[i])
		if row.ID == id {
			row.Text, row.TextError = r.PostForm.Get("text"), problems.For("text"+row.Span.Suffix)
			row.Span.Chosen, row.Span.Until, row.Span.Errors = r.PostForm.Get("span"), r.PostForm.Get("until"), problems
		}
		page.Requests = append(page.Requests, row)
	}
	status := http.StatusOK
	if len(problems) > 0 {
		status = http.StatusUnprocessableEntity
	}
	return web.Page(w, r, status, web.CSP{}, func(b *web.Buffer) error { return templates.Requests(b, page) })
}

func waitingRow(one *flow.Waiting) templates.RequestRow {
	row := templates.RequestRow{
		ID: one.ID, Person: one.User, App: one.App.Definition.Name, LogoURL: flow.LogoPath(one.App.ID, one.App.Definition.LogoURL), Why: one.Why,
		Wanted: one.Wanted.String(), Asked: one.Asked, State: "waiting",
		ApproveAction: "/requests/" + one.ID + "/approve", DenyAction: "/requests/" + one.ID + "/deny",
		Span: wantedField(&one.Request),
	}
	if one.Person != nil {
		row.Person, row.PersonHint = one.Person.FullName(), one.Person.Name
		if one.Person.Email != "" {
			row.PersonHint += " · " + one.Person.Email
		}
	}
	return row
}

// wantedField offers what was asked for.
func wantedField(one *grants.Request) templates.SpanField {
	field := spanField("-"+one.ID, "date", "")
	if one.Wanted.For > 0 {
		field.Chosen = sp.FormatDuration(one.Wanted.For)
	} else {
		field.Until = one.Wanted.Until.UTC().Format("2006-01-02")
	}
	return field
}

// answer is the post of an approver.
func (h *Handlers) answer(approve bool) web.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := web.ParseForm(r); err != nil {
			return err
		}
		decision := flow.Decision{Request: r.PathValue("request"), Approve: approve, Text: r.PostForm.Get("text")}
		var err error
		word := "denied"
		if approve {
			word = "approved"
			decision.Span, err = spanOf(r.PostForm.Get("span"), r.PostForm.Get("until"))
		}
		if err == nil {
			_, err = h.Engine.DecideAs(r, decision)
		}
		if err == nil {
			web.SeeOther(w, "/requests?done="+word)
			return nil
		}
		problem, fits := formError(err, "-"+decision.Request)
		if !fits {
			return err
		}
		return h.requestsPage(w, r, decision.Request, templates.Errors{problem})
	}
}
