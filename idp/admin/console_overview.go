package admin

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"gatehouse/idp/api"
	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/idp/session"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
	"gatehouse/templates"
)

// Summary is the state of things at one glance.
type Summary struct {
	Apps, Blocked, Pending, People, Sessions int
	Nobody                                   []api.Ref      // active apps that nobody may use
	Ending                                   []ending       // certificates of apps, one per app, that end within 90 days
	EndingKeys                               []ending       // likewise of our own keys
	Newer                                    []api.Ref      // apps whose newer metadata waits for a yes
	Expired                                  []api.Ref      // active apps whose metadata is past its end, or within three days of it
	Failing                                  []string       // metadata sources that cannot be fetched
	Upstreams                                []api.Upstream // that want attention
	Directories                              []string       // that did not answer when they were last asked
	Unused                                   []api.Ref      // active apps that nobody used for 90 days, or ever, new ones excepted
}

// Summary counts connected apps, people and sessions and finds what wants attention.
func (a *Actions) Summary(ctx context.Context) (Summary, error) {
	var s Summary
	err := a.view(ctx, func(tx store.Tx) error {
		s = Summary{}
		err := sp.Apps.Each(tx, store.Page{}, func(_ string, app *sp.App) error {
			a.sum(&s, app)
			return a.sumUnused(tx, &s, app)
		})
		if err != nil {
			return err
		}
		if s.EndingKeys, err = a.endingKeys(tx); err != nil {
			return err
		}
		if err := errors.Join(sumMetadata(tx, &s), a.sumUpstreams(tx, &s), sumDirectories(tx, &s)); err != nil {
			return err
		}
		if s.People, err = directory.Users.Count(tx, store.Page{}, 0); err != nil {
			return err
		}
		s.Sessions, err = session.Table.Count(tx, store.Page{}, 0)
		return err
	})
	return s, err
}

func (a *Actions) sum(s *Summary, app *sp.App) {
	if flow.IsBuiltin(app.ID) {
		return
	}
	ref := api.Ref{ID: app.ID, Name: app.Definition.Name}
	switch app.State {
	case sp.Pending:
		s.Pending++
	case sp.Blocked:
		s.Blocked++
	case sp.Active:
		s.Apps++
		if app.Policy.LetsNobodyIn() {
			s.Nobody = append(s.Nobody, ref)
		}
		if len(a.endingMetadata(app)) > 0 {
			s.Expired = append(s.Expired, ref)
		}
		if at := a.firstEnd(app); !at.IsZero() {
			s.Ending = append(s.Ending, ending{ref, at})
		}
	}
}

func (a *Admin) overview(w http.ResponseWriter, r *http.Request) error {
	s, err := a.Actions.Summary(r.Context())
	if err != nil {
		return err
	}
	page := templates.OverviewPage{Shell: a.shell(r, "Overview", templates.SectionOverview)}
	waiting, err := a.requestTask(r)
	if err != nil {
		return err
	}
	page.Tasks = append(page.Tasks, waiting...)
	if s.Apps+s.Pending+s.Blocked == 0 && may(r, AppsRegister) {
		page.Tasks = append(page.Tasks, templates.Task{Kind: "info", Text: "No app is connected yet.", Link: templates.Link{Label: "Add the first app", Href: "/admin/apps/new"}})
	}
	if may(r, AppsRead) {
		page.Tasks = append(page.Tasks, tasks(&s)...)
		page.Tasks = append(page.Tasks, endingTasks(s.Ending, a.Actions.Now())...)
		page.Counts = append(page.Counts, templates.Count{Label: "Active apps", Value: s.Apps, Href: link("/admin/apps", "state", string(sp.Active))})
		if s.Blocked > 0 {
			page.Counts = append(page.Counts, templates.Count{Label: "Blocked apps", Value: s.Blocked, Href: link("/admin/apps", "state", string(sp.Blocked))})
		}
	}
	if may(r, SettingsRead) {
		page.Tasks = append(page.Tasks, upstreamTasks(s.Upstreams)...)
		page.Tasks = append(page.Tasks, directoryTasks(s.Directories)...)
	}
	if may(r, KeysRead) {
		page.Tasks = append(page.Tasks, endingKeyTasks(s.EndingKeys, a.Actions.Now())...)
	}
	if may(r, UsersRead) {
		page.Counts = append(page.Counts, templates.Count{Label: "People", Value: s.People, Href: "/admin/users"})
	}
	if may(r, SessionsRead) {
		page.Counts = append(page.Counts, templates.Count{Label: "Sessions", Value: s.Sessions, Hint: "signed-in browsers"})
	}
	if may(r, AuditRead) {
		list, err := a.Actions.AuditEntries(r.Context(), api.AuditQuery{Limit: 10})
		if err != nil {
			return err
		}
		page.Events = eventRows(list.Items)
	}
	return web.Page(w, r, http.StatusOK, web.CSP{}, func(b *web.Buffer) error { return templates.Overview(b, page) })
}

func tasks(s *Summary) []templates.Task {
	var list []templates.Task
	if s.Pending > 0 {
		text := "1 app waits for approval."
		if s.Pending > 1 {
			text = strconv.Itoa(s.Pending) + " apps wait for approval."
		}
		list = append(list, templates.Task{Kind: "warn", Text: text, Link: templates.Link{Label: "Look at them", Href: link("/admin/apps", "state", string(sp.Pending))}})
	}
	for _, app := range s.Nobody {
		list = append(list, templates.Task{Kind: "warn", Text: "Nobody may use " + app.Name + ".", Link: templates.Link{Label: "Choose who may", Href: appBase(app.ID) + "/access"}})
	}
	list = append(list, metadataTasks(s)...)
	return append(list, unusedTasks(s.Unused)...)
}
