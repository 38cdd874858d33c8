package admin

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"gatehouse/idp/api"
	"gatehouse/idp/flow"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
	"gatehouse/templates"
)

// shownGrants is how many unused grants a page lists.
const shownGrants = 50

// appActivity shows how an app is used and what happened there.
func (a *Admin) appActivity(w http.ResponseWriter, r *http.Request) error {
	app, err := a.Actions.App(r.Context(), r.PathValue("app"))
	if err != nil {
		return err
	}
	list, err := a.Actions.AuditEntries(r.Context(), api.AuditQuery{App: app.ID, Limit: 50})
	if err != nil {
		return err
	}
	page := templates.AppActivityPage{
		Shell: a.shell(r, app.Name, templates.SectionApps), App: a.appHead(&app), Events: eventRows(list.Items),
		AllHref: link("/admin/audit", "app", app.ID),
	}
	if !app.Builtin {
		if err := a.appUsage(r.Context(), app.ID, &page); err != nil {
			return err
		}
	}
	return web.Page(w, r, http.StatusOK, web.CSP{}, func(b *web.Buffer) error { return templates.AppActivity(b, page) })
}

// appUsage adds how an app is used to its page.
func (a *Admin) appUsage(ctx context.Context, app string, page *templates.AppActivityPage) error {
	usage, err := a.Actions.AppUsage(ctx, app)
	if err != nil {
		return err
	}
	page.Counts, page.Chart, page.Facts, page.Reasons = usageCounts(&usage), usageChart(&usage), usageFacts(&usage)[:1], reasonShares(&usage)
	page.Grants, page.MoreGrants, err = a.unusedGrants(ctx, app)
	return err
}

// usageFacts are the last use, and who uses the app.
func usageFacts(u *api.AppUsage) []templates.Fact {
	last := templates.Fact{Label: "Last used", Time: u.LastUsed}
	if u.LastUsed.IsZero() {
		last = templates.Fact{Label: "Last used", Text: "never", Kind: "missing"}
	}
	if u.Unused && !u.LastUsed.IsZero() {
		last.Hint = "Nobody has used the app for 90 days."
	}
	return []templates.Fact{last, {Label: "Used by", Text: people(u.People30) + " in 30 days", Hint: people(u.People90) + " in 90 days"}}
}

func usageCounts(u *api.AppUsage) []templates.Count {
	return []templates.Count{
		{Label: "People", Value: u.People30, Hint: "in 30 days"}, {Label: "People", Value: u.People90, Hint: "in 90 days"},
		{Label: "Sign-ons", Value: u.SignOns, Hint: "in 30 days"}, {Label: "Refused", Value: u.Refused, Hint: "in 30 days"},
	}
}

func usageChart(u *api.AppUsage) templates.BarChart {
	chart := templates.BarChart{Title: "Per day, 30 days"}
	for _, d := range u.Days {
		if day, err := time.Parse(time.DateOnly, d.Day); err == nil {
			chart.Bars = append(chart.Bars, templates.Bar{Day: day, SignOns: d.SignOns, Refused: d.Refused})
		}
	}
	return chart
}

// reasonShares are the refusals by reason, each with the way to its entries.
func reasonShares(u *api.AppUsage) []templates.Share {
	var shares []templates.Share
	for _, reason := range u.Reasons {
		shares = append(shares, templates.Share{
			Label: reason.Reason, Count: reason.Count, Percent: max(reason.Count*100/u.Reasons[0].Count, 1),
			Href: link("/admin/audit", "app", u.App.ID, "outcome", "refused", "reason", reason.Reason, "since", "30d"),
		})
	}
	return shares
}

// unusedGrants are the first unused grants of one app or of all, and whether there may be more.
func (a *Admin) unusedGrants(ctx context.Context, app string) ([]templates.IdleGrantRow, bool, error) {
	list, err := a.Actions.UnusedGrants(ctx, app, "")
	if err != nil {
		return nil, false, err
	}
	more := list.Next != "" || len(list.Items) > shownGrants
	var rows []templates.IdleGrantRow
	for _, g := range list.Items[:min(len(list.Items), shownGrants)] {
		rows = append(rows, templates.IdleGrantRow{
			User: g.User.Name, UserHref: "/admin/users/" + g.User.ID, App: g.App.Name, AppHref: appBase(g.App.ID) + "/access",
			Kind: grantWords(&g), Since: g.Since,
		})
	}
	return rows, more, nil
}

func grantWords(g *api.UnusedGrant) string {
	switch g.Kind {
	case "named":
		return "named in the policy"
	case "access":
		return "on request, until " + g.Until.UTC().Format("2 January 2006")
	}
	return g.Kind
}

// usagePage lists the apps by their last use.
func (a *Admin) usagePage(w http.ResponseWriter, r *http.Request) error {
	ids, unused, err := a.Actions.appsByUse(r.Context())
	if err != nil {
		return err
	}
	page := templates.UsagePage{Shell: a.shell(r, "Usage", templates.SectionOverview), Unused: unused, Shown: may(r, AuditRead)}
	from, err := strconv.Atoi(r.URL.Query().Get("from"))
	if err != nil || from < 0 || from >= len(ids) {
		from = 0
	}
	to := min(from+pageRows, len(ids))
	for _, id := range ids[from:to] {
		usage, err := a.Actions.AppUsage(r.Context(), id)
		if err != nil {
			return err
		}
		page.Apps = append(page.Apps, usageRow(&usage))
	}
	if len(ids) > pageRows {
		page.Pager = templates.Pager{From: from + 1, To: to, Total: len(ids)}
	}
	if from > 0 {
		page.Pager.PrevHref = link("/admin/usage", "from", strconv.Itoa(max(0, from-pageRows)))
	}
	if to < len(ids) {
		page.Pager.NextHref = link("/admin/usage", "from", strconv.Itoa(to))
	}
	if page.Shown {
		if page.Grants, page.More, err = a.unusedGrants(r.Context(), ""); err != nil {
			return err
		}
	}
	return web.Page(w, r, http.StatusOK, web.CSP{}, func(b *web.Buffer) error { return templates.Usage(b, page) })
}

func usageRow(u *api.AppUsage) templates.UsageRow {
	return templates.UsageRow{
		Name: u.App.Name, Href: appBase(u.App.ID) + "/activity", State: u.State, Unused: u.Unused, LastUsed: u.LastUsed,
		People30: u.People30, People90: u.People90, SignOns: u.SignOns, Refused: u.Refused,
	}
}

// sumUnused notes an active app that people may use and nobody does, once they have had a week to.
func (a *Actions) sumUnused(tx store.Tx, s *Summary, app *sp.App) error {
	if app.State != sp.Active || flow.IsBuiltin(app.ID) || app.Policy.LetsNobodyIn() || app.Created.After(a.Now().Add(-newApp)) {
		return nil
	}
	last, err := lastUse(tx, app.ID)
	if err == nil && a.unused(last) {
		s.Unused = append(s.Unused, api.Ref{ID: app.ID, Name: app.Definition.Name})
	}
	return err
}

// unusedTasks name a few unused apps, and count many.
func unusedTasks(unused []api.Ref) []templates.Task {
	var list []templates.Task
	for _, app := range unused {
		list = append(list, templates.Task{
			Kind: "info", Text: "Nobody uses " + app.Name + ": not for 90 days, or never.",
			Link: templates.Link{Label: "Look at its use", Href: appBase(app.ID) + "/activity"},
		})
	}
	if len(list) <= 3 {
		return list
	}
	return []templates.Task{{
		Kind: "info", Text: fmt.Sprintf("Nobody uses %d apps: not for 90 days, or never.", len(unused)),
		Link: templates.Link{Label: "Look at their use", Href: "/admin/usage"},
	}}
}
