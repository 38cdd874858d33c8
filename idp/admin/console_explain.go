package admin

import (
	"net/http"
	"net/netip"
	"strings"
	"time"

	"gatehouse/idp/api"
	"gatehouse/idp/web"
	"gatehouse/templates"
)

// explainPage explains one decision. The form is a GET, so that an explanation can be linked to.
func (a *Admin) explainPage(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	page := templates.ExplainPage{
		Shell: a.shell(r, "Explain", templates.SectionExplain),
		User:  strings.TrimSpace(query.Get("user")), App: strings.TrimSpace(query.Get("app")), IP: strings.TrimSpace(query.Get("ip")), At: strings.TrimSpace(query.Get("at")),
	}
	if page.User != "" && page.App != "" {
		answer, err := a.explained(r, &page)
		if page.Errors, err = a.formErrors(r, err); err != nil {
			return err
		}
		if len(page.Errors) == 0 {
			page.Outcome, page.Text = answer.Outcome, answer.Text
			for _, rule := range answer.Rules {
				page.Rules = append(page.Rules, templates.RuleRow(rule))
			}
		}
	}
	return web.Page(w, r, statusOf(page.Errors), web.CSP{}, func(b *web.Buffer) error { return templates.Explain(b, page) })
}

func (a *Admin) explained(r *http.Request, page *templates.ExplainPage) (api.Explanation, error) {
	address, at := web.Of(r).Address, time.Time{}
	var err error
	if page.IP != "" {
		if address, err = netip.ParseAddr(page.IP); err != nil {
			return api.Explanation{}, badValue("ip", "%.60q is not an IP address: write it like 192.0.2.7.", page.IP)
		}
	}
	if page.At != "" {
		if at, err = time.Parse(time.RFC3339, page.At); err != nil {
			return api.Explanation{}, badValue("at", "%.60q is not a time: write it like 2027-01-31T18:00:00Z.", page.At)
		}
	}
	return a.Actions.Explain(r.Context(), page.User, page.App, address.Unmap(), at)
}

// appPeople lists who can open an app from the address of whoever looks.
func (a *Admin) appPeople(w http.ResponseWriter, r *http.Request) error {
	app, err := a.Actions.App(r.Context(), r.PathValue("app"))
	if err != nil {
		return err
	}
	after := r.URL.Query().Get("after")
	list, err := a.Actions.WhoOpens(r.Context(), app.ID, Reach{Address: web.Of(r).Address, After: after})
	if err != nil {
		return err
	}
	page := templates.AppPeoplePage{Shell: a.shell(r, app.Name, templates.SectionApps), App: a.appHead(&app)}
	for i := range list.Items {
		row := reachRow(&list.Items[i])
		row.Name, row.NameHref = list.Items[i].User.Name, "/admin/users/"+list.Items[i].User.ID
		page.Rows = append(page.Rows, row)
	}
	if list.Next != "" {
		page.Pager.NextHref = link(page.App.Base+"/people", "after", list.Next)
	}
	if after != "" {
		page.Pager.FirstHref = page.App.Base + "/people"
	}
	return web.Page(w, r, http.StatusOK, web.CSP{}, func(b *web.Buffer) error { return templates.AppPeople(b, page) })
}

func reachRow(one *api.Reach) templates.ReachRow {
	return templates.ReachRow{
		Through: one.Through, Until: one.Until, Outcome: one.Outcome, Text: one.Text,
		ExplainTo: link("/admin/explain", "user", one.User.Name, "app", one.App.ID),
	}
}

// userReach adds the apps that permit a person.
func (a *Admin) userReach(r *http.Request, user *api.User, page *templates.UserPage) error {
	list, err := a.Actions.WhatOpens(r.Context(), user.ID, Reach{Address: web.Of(r).Address, Limit: pageRows})
	for i := range list.Items {
		row := reachRow(&list.Items[i])
		row.Name, row.NameHref = list.Items[i].App.Name, appBase(list.Items[i].App.ID)
		page.Reach = append(page.Reach, row)
	}
	page.ReachMore = list.Next != ""
	return err
}
