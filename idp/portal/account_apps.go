package portal

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"gatehouse/idp/audit"
	"gatehouse/idp/flow"
	"gatehouse/idp/grants"
	"gatehouse/idp/session"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
	"gatehouse/templates"
)

// accountApps are the apps that know the person now: those of the live sessions, those that may be told something because the person
// agreed, and those that were opened on request.
func (h *Handlers) accountApps(tx store.Tx, user string, sessions []session.Session) ([]templates.AccountApp, error) {
	found := map[string]*templates.AccountApp{}
	of := func(app string) *templates.AccountApp {
		if found[app] == nil {
			found[app] = &templates.AccountApp{ID: app}
		}
		return found[app]
	}
	for i := range sessions {
		for _, reached := range sessions[i].Apps {
			if one := of(reached.App); reached.At.After(one.Opened) {
				one.Opened = reached.At
			}
		}
	}
	mine := store.Page{Index: "user", Value: user}
	err := grants.Consents.Each(tx, mine, func(_ string, c *grants.Consent) error {
		one := of(c.App)
		one.Told, one.Agreed = c.Names, c.Given
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = grants.Accesses.Each(tx, mine, func(_ string, a *grants.Access) error {
		if a.Until.After(h.Kit.Now()) {
			of(a.App).Until = a.Until
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := h.eachGrant(tx, user, "", func(g *grants.Grant) { addGrant(of(g.App), g) }); err != nil {
		return nil, err
	}
	return named(tx, found)
}

// eachGrant visits what a person gave to apps, or to one of them, that still gives tokens (OAuth 2.0).
func (h *Handlers) eachGrant(tx store.Tx, user, app string, visit func(*grants.Grant)) error {
	page := grants.PageOfPerson(user)
	if app != "" {
		page = grants.PageOfBoth(user, app)
	}
	return grants.AllGrants.Each(tx, page, func(_ string, g *grants.Grant) error {
		open, err := g.Open(tx, h.Kit.Now())
		if open {
			visit(g)
		}
		return err
	})
}

// addGrant adds a grant to what is shown of its app.
func addGrant(one *templates.AccountApp, g *grants.Grant) {
	for _, scope := range g.Scopes {
		if !slices.Contains(one.Scopes, scope) {
			one.Scopes = append(one.Scopes, scope)
		}
	}
	if one.Since.IsZero() || g.Created.Before(one.Since) {
		one.Since = g.Created
	}
	if g.Used.After(one.Used) {
		one.Used = g.Used
	}
}

// named are the apps in the order of their names, without those that are gone.
func named(tx store.Tx, found map[string]*templates.AccountApp) ([]templates.AccountApp, error) {
	var apps []templates.AccountApp
	for id, one := range found {
		app, _, err := sp.Apps.Get(tx, id)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		if err == nil && app.State != sp.Removed {
			one.Name, one.LogoURL = app.Definition.Name, app.Definition.LogoURL
			if one.Scopes, err = beside(tx, one.Scopes, one.Told); err != nil {
				return nil, err
			}
			apps = append(apps, *one)
		}
	}
	slices.SortFunc(apps, func(a, b templates.AccountApp) int {
		return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
	})
	return apps, nil
}

// beside are what scopes let an app do, in the words of the consent page, as far as the person has not read it in what was agreed to.
func beside(tx store.Tx, scopes, told []string) ([]string, error) {
	texts, err := sp.ScopeTexts(tx, scopes)
	return slices.DeleteFunc(texts, func(text string) bool { return slices.Contains(told, text) }), err
}

// withdrawApp takes back what the person gave an app: the consent, access on request, its tokens, and the app's place in every session.
func (h *Handlers) withdrawApp(w http.ResponseWriter, r *http.Request) error {
	app := r.PostFormValue("app")
	if app == "" {
		return web.BadRequest("no_such_app", "Say which app it is about: open your account and choose it there.")
	}
	err := h.Store.Update(r.Context(), func(tx store.Tx) error {
		if err := h.withdrawConsent(tx, r, app); err != nil {
			return err
		}
		if err := h.giveUpAccess(tx, r, app); err != nil {
			return err
		}
		n := 0
		if err := h.eachGrant(tx, web.Of(r).Actor.ID, app, func(*grants.Grant) { n++ }); err != nil {
			return err
		}
		left, err := flow.Withdraw(tx, flow.Scope{User: web.Of(r).Actor.ID, App: app})
		if err != nil || len(left)+n == 0 {
			return err
		}
		return h.noteOwn(tx, r, audit.Event{Kind: "app.leave", App: app, Facts: map[string]string{"grants": strconv.Itoa(n)}})
	})
	if err != nil {
		return err
	}
	web.SeeOther(w, "/account?done=withdrawn#apps")
	return nil
}

func (h *Handlers) withdrawConsent(tx store.Tx, r *http.Request, app string) error {
	pair := grants.Pair(web.Of(r).Actor.ID, app)
	consent, _, err := grants.Consents.Get(tx, pair)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := grants.Consents.Delete(tx, pair); err != nil {
		return err
	}
	return h.noteOwn(tx, r, audit.Event{Kind: "consent.withdraw", App: app, Facts: map[string]string{"names": strings.Join(consent.Names, ", ")}})
}

func (h *Handlers) giveUpAccess(tx store.Tx, r *http.Request, app string) error {
	user := web.Of(r).Actor.ID
	if revision, err := grants.Accesses.Revision(tx, grants.Pair(user, app)); err != nil || revision == 0 {
		return err
	}
	_, event, err := h.Engine.Revoke(tx, user, app)
	var over *web.Error
	if errors.As(err, &over) { // it ended by itself meanwhile
		return nil
	}
	if err != nil {
		return err
	}
	return h.noteOwn(tx, r, event)
}

// noteOwn appends an event of something that a person did to their own account.
func (h *Handlers) noteOwn(tx store.Tx, r *http.Request, event audit.Event) error {
	actor := web.Of(r).Actor.ID
	event.Outcome, event.Actor, event.User, event.Address = audit.OK, actor, actor, web.Of(r).AddressText()
	_, err := h.Audit.Append(tx, event)
	return err
}

// consentsPage is how many entries one page of the history holds.
const consentsPage = 50

// consents is what the person agreed to and took back, the newest first.
func (h *Handlers) consents(w http.ResponseWriter, r *http.Request) error {
	shell, _, err := h.frame(r, "What you agreed to", templates.SectionAccount)
	if err != nil {
		return err
	}
	page := templates.ConsentsPage{Shell: shell}
	after := r.URL.Query().Get("after")
	err = h.Store.View(r.Context(), func(tx store.Tx) error {
		page.Rows = nil
		events, next, err := audit.List(tx, audit.Filter{User: web.Of(r).Actor.ID, Kind: "consent.", Limit: consentsPage, After: after})
		if err != nil {
			return err
		}
		if after != "" {
			page.Pager.FirstHref = "/account/consents"
		}
		if next != "" {
			page.Pager.NextHref = "/account/consents?after=" + next
		}
		for i := range events {
			row, err := consentRow(tx, &events[i])
			if err != nil {
				return err
			}
			page.Rows = append(page.Rows, row)
		}
		return nil
	})
	if errors.Is(err, audit.ErrCursor) {
		web.SeeOther(w, "/account/consents")
		return nil
	}
	if err != nil {
		return err
	}
	return web.Page(w, r, http.StatusOK, web.CSP{}, func(b *web.Buffer) error { return templates.Consents(b, page) })
}

func consentRow(tx store.Tx, event *audit.Event) (templates.ConsentRow, error) {
	row := templates.ConsentRow{App: "an app that is gone", At: event.Time, Withdrawn: event.Kind == "consent.withdraw"}
	for name := range strings.SplitSeq(event.Facts["names"], ", ") {
		row.Names = append(row.Names, name)
	}
	app, _, err := sp.Apps.Get(tx, event.App)
	if errors.Is(err, store.ErrNotFound) {
		return row, nil
	}
	if err == nil && app.State != sp.Removed {
		row.App = app.Definition.Name
	}
	return row, err
}
