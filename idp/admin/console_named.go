package admin

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"gatehouse/idp/api"
	"gatehouse/idp/directory"
	"gatehouse/idp/web"
	"gatehouse/store"
	"gatehouse/templates"
)

// namedList is the page of profiles, permission sets or groups.
type namedList struct {
	admin            *Admin
	path, section    string
	one, many, title string
	what, filter     string // in a sentence; the field of the users' list that finds their people
	list             func(ctx context.Context) (api.List[api.Profile], error)
	addOne           func(ctx context.Context, by By, name string) error
	setOne           func(ctx context.Context, by By, id string, values map[string]string) error
	removeOne        func(ctx context.Context, by By, id string) error
	apps             func(tx store.Tx, id string) ([]string, error)
	limited          bool // they have limits
}

func (a *Admin) namedLists() []*namedList {
	return []*namedList{
		listOf(a, &profiles, namedList{
			path: "/profiles", section: templates.SectionProfiles, one: "profile", many: "profiles", title: "Profiles", filter: "profile",
			what: "Everybody has exactly one profile. It can limit the addresses they come from, and apps can permit it.",
		}),
		listOf(a, &permissionSets, namedList{
			path: "/permission-sets", section: templates.SectionPermissionSets, one: "permission set", many: "permission sets",
			title: "Permission sets", filter: "permission_set", what: "People hold any number of permission sets, and apps can permit them.",
		}),
		listOf(a, &groups, namedList{
			path: "/groups", section: templates.SectionGroups, one: "group", many: "groups", title: "Groups", filter: "group",
			what: "Apps are told the names of a person's groups, and can permit them.",
		}),
	}
}

func listOf[T any](a *Admin, n *named[T], page namedList) *namedList {
	do := a.Actions
	page.admin = a
	page.list = func(ctx context.Context) (api.List[api.Profile], error) { return n.list(ctx, do, "", "", 0) }
	page.addOne = func(ctx context.Context, by By, name string) error {
		_, err := n.add(ctx, do, by, api.Named{Name: name})
		return err
	}
	page.setOne = func(ctx context.Context, by By, id string, values map[string]string) error {
		_, err := n.set(ctx, do, by, id, values)
		return err
	}
	page.removeOne = func(ctx context.Context, by By, id string) error {
		_, err := n.remove(ctx, do, by, id)
		return err
	}
	page.apps, page.limited = n.apps, n.limit != nil
	return &page
}

func (l *namedList) page(w http.ResponseWriter, r *http.Request) error { return l.show(w, r, "", nil) }

func (l *namedList) show(w http.ResponseWriter, r *http.Request, added string, errs templates.Errors) error {
	list, err := l.list(r.Context())
	if err != nil {
		return err
	}
	page := templates.NamedListPage{
		Shell: l.admin.shell(r, l.title, l.section), One: l.one, Many: l.many, What: l.what, AddName: added, Errors: errs,
		Query: strings.TrimSpace(r.URL.Query().Get("q")),
	}
	if may(r, UsersWrite) {
		page.AddAction, page.RenameAction, page.RemoveAction = "/admin"+l.path, "/admin"+l.path+"/rename", "/admin"+l.path+"/remove"
		page.LimitsAction = "/admin" + l.path + "/limits"
	}
	for _, one := range list.Items {
		if strings.Contains(directory.Normalise(one.Name), directory.Normalise(page.Query)) {
			page.Rows = append(page.Rows, l.row(one))
		}
	}
	if err := l.countApps(r.Context(), page.Rows); err != nil {
		return err
	}
	return web.Page(w, r, statusOf(errs), web.CSP{}, func(b *web.Buffer) error { return templates.NamedList(b, page) })
}

func (l *namedList) row(one api.Profile) templates.NamedRow {
	row := templates.NamedRow{ID: one.ID, Name: one.Name, Members: one.Members, MembersHref: link("/admin/users", l.filter, one.ID)}
	for _, limit := range profileLimits {
		if l.limited {
			limit.Value = one.Limits[limit.Key]
			row.Limits = append(row.Limits, limit)
		}
	}
	return row
}

var profileLimits = []templates.Limit{
	{Key: "ip_ranges", Label: "Address ranges", Hint: "Addresses or CIDR ranges, with commas; empty: anywhere."},
	{Key: "login_hours", Label: "Login hours", Hint: "Like mon-fri 08:00-18:00 Europe/Berlin; empty: at any time."},
	{Key: "session_timeout", Label: "Session timeout of apps", Hint: "Like 2h, for apps that set none."},
	{Key: "session.idle", Label: "Session here, unused", Hint: "Like 1h; empty: as the organisation."},
	{Key: "session.max", Label: "Session here, in all", Hint: "Like 10h; empty: as the organisation."},
}

func (l *namedList) countApps(ctx context.Context, rows []templates.NamedRow) error {
	return l.admin.Actions.view(ctx, func(tx store.Tx) error {
		for i := range rows {
			names, err := l.apps(tx, rows[i].ID)
			if err != nil {
				return err
			}
			rows[i].Apps = len(names)
		}
		return nil
	})
}

// post runs one action of the page; a refusal is shown on it.
func (l *namedList) post(w http.ResponseWriter, r *http.Request, word string, action func(ctx context.Context, by By) error) error {
	if err := parseForm(r); err != nil {
		return err
	}
	err := action(r.Context(), byOf(r))
	if err == nil {
		web.SeeOther(w, link("/admin"+l.path, "done", word))
		return nil
	}
	errs, err := l.admin.formErrors(r, err)
	if err != nil {
		return err
	}
	added := ""
	if word == "added" {
		added = r.PostForm.Get("name")
	} else {
		errs = slices.Clone(errs)
		errs[0].Field = "" // the name in question is not the one of the form above
	}
	return l.show(w, r, added, errs)
}

func (l *namedList) add(w http.ResponseWriter, r *http.Request) error {
	return l.post(w, r, "added", func(ctx context.Context, by By) error {
		return l.addOne(ctx, by, strings.TrimSpace(r.PostForm.Get("name")))
	})
}

func (l *namedList) rename(w http.ResponseWriter, r *http.Request) error {
	return l.post(w, r, "saved", func(ctx context.Context, by By) error {
		return l.setOne(ctx, by, r.PostForm.Get("id"), map[string]string{"name": strings.TrimSpace(r.PostForm.Get("name"))})
	})
}

func (l *namedList) limits(w http.ResponseWriter, r *http.Request) error {
	return l.post(w, r, "saved", func(ctx context.Context, by By) error {
		values := map[string]string{}
		for _, limit := range profileLimits {
			values[limit.Key] = strings.TrimSpace(r.PostForm.Get(limit.Key))
		}
		return l.setOne(ctx, by, r.PostForm.Get("id"), values)
	})
}

func (l *namedList) remove(w http.ResponseWriter, r *http.Request) error {
	return l.post(w, r, "removed", func(ctx context.Context, by By) error { return l.removeOne(ctx, by, r.PostForm.Get("id")) })
}

func people(n int) string {
	if n == 1 {
		return "1 person"
	}
	return fmt.Sprintf("%d people", n)
}
