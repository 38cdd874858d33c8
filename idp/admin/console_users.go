package admin

import (
	"fmt"
	"net/http"
	"strings"

	"gatehouse/idp/api"
	"gatehouse/idp/directory"
	"gatehouse/idp/web"
	"gatehouse/templates"
)

// holders are the filters by which the lists of profiles, permission sets and groups lead to their people.
var holders = []struct{ field, index, noun string }{
	{"profile", "profile", "profile"}, {"permission_set", "permission_set", "permission set"}, {"group", "group", "group"},
}

func (a *Admin) userList(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	page := templates.UsersPage{
		Shell: a.shell(r, "Users", templates.SectionUsers), Query: strings.TrimSpace(query.Get("q")), Status: query.Get("status"),
	}
	filter := UserFilter{Search: page.Query, After: query.Get("after"), Limit: pageRows}
	pairs := []string{"q", page.Query, "status", page.Status}
	for _, h := range holders {
		if id := query.Get(h.field); id != "" {
			filter.Index, filter.Value = h.index, id
			page.Filter, page.Clear = h.noun+" "+a.nameOf(r, h.field, id), "/admin/users"
			page.Hidden = []templates.Field{{Name: h.field, Value: id}}
			pairs = append(pairs, h.field, id)
		}
	}
	list, err := a.Actions.Users(r.Context(), filter)
	if err != nil {
		return err
	}
	for i := range list.Items {
		if user := &list.Items[i]; page.Status == "" || user.Status == page.Status {
			page.Users = append(page.Users, userRow(user))
		}
	}
	page.Pager = pager("/admin/users", filter.After, list.Next, pairs)
	if may(r, UsersWrite) {
		page.NewHref, page.ImportHref = "/admin/users/new", importPath
	}
	return web.Page(w, r, http.StatusOK, web.CSP{}, func(b *web.Buffer) error { return templates.Users(b, page) })
}

func (a *Admin) nameOf(r *http.Request, field, id string) string {
	var found api.Profile
	var err error
	switch field {
	case "profile":
		found, err = profiles.get(r.Context(), a.Actions, id)
	case "permission_set":
		found, err = permissionSets.get(r.Context(), a.Actions, id)
	default:
		found, err = groups.get(r.Context(), a.Actions, id)
	}
	if err != nil {
		return id // it is gone; the list is empty and says so
	}
	return found.Name
}

func pager(path, after, next string, pairs []string) templates.Pager {
	var p templates.Pager
	if after != "" {
		p.FirstHref = link(path, pairs...)
	}
	if next != "" {
		p.NextHref = link(path, append(pairs, "after", next)...)
	}
	return p
}

func userRow(u *api.User) templates.UserRow {
	return templates.UserRow{
		Name: u.Name, DisplayName: u.DisplayName, Email: u.Email, Href: "/admin/users/" + u.ID, Profile: u.Profile.Name,
		Status: u.Status, Roles: u.Roles, LastSignIn: u.LastSignIn,
	}
}

// userForm fills the form of a person: the lists to choose from, and what is chosen (ids or names).
func (a *Admin) userForm(r *http.Request, n api.NewUser, attributes string) (templates.UserForm, error) {
	ctx := r.Context()
	form := templates.UserForm{
		Name: n.Name, DisplayName: n.DisplayName, Email: n.Email, GivenName: n.GivenName, Surname: n.Surname, Attributes: attributes,
	}
	allProfiles, err := profiles.list(ctx, a.Actions, "", "", 0)
	if err != nil {
		return form, err
	}
	allSets, err := permissionSets.list(ctx, a.Actions, "", "", 0)
	if err != nil {
		return form, err
	}
	allGroups, err := groups.list(ctx, a.Actions, "", "", 0)
	if err != nil {
		return form, err
	}
	form.Profiles = choices(allProfiles.Items, isIn([]string{n.Profile}))
	form.PermissionSets = choices(allSets.Items, isIn(n.PermissionSets))
	form.Groups = choices(allGroups.Items, isIn(n.Groups))
	for _, role := range Roles() {
		form.Roles = append(form.Roles, choices([]api.Profile{{ID: role, Name: strings.ReplaceAll(role, "_", " ")}}, isIn(n.Roles))...)
		form.Roles[len(form.Roles)-1].Hint = ""
	}
	return form, nil
}

// readUser reads the form of a person.
func readUser(r *http.Request) (api.NewUser, string, templates.Errors) {
	form := r.PostForm
	n := api.NewUser{
		Name: strings.TrimSpace(form.Get("name")), DisplayName: strings.TrimSpace(form.Get("display_name")),
		Email: strings.TrimSpace(form.Get("email")), GivenName: strings.TrimSpace(form.Get("given_name")),
		Surname: strings.TrimSpace(form.Get("surname")), Profile: form.Get("profile"),
		PermissionSets: form["permission_sets"], Groups: form["groups"], Roles: form["roles"],
		Attributes: map[string][]string{},
	}
	for _, line := range lines(form.Get("attributes")) {
		name, value, found := strings.Cut(line, "=")
		if !found || strings.TrimSpace(name) == "" {
			return n, form.Get("attributes"), templates.Errors{{Field: "attributes", Text: "Write each attribute as name=value, one per line."}}
		}
		name = strings.TrimSpace(name)
		n.Attributes[name] = append(n.Attributes[name], strings.TrimSpace(value))
	}
	return n, form.Get("attributes"), nil
}

var passwordRules = fmt.Sprintf("At least %d characters. A sentence is easy to remember and hard to guess.", directory.MinPassword)

func (a *Admin) userNew(w http.ResponseWriter, r *http.Request) error {
	return a.userNewPage(w, r, api.NewUser{}, "", nil)
}

func (a *Admin) userNewPage(w http.ResponseWriter, r *http.Request, n api.NewUser, attributes string, errs templates.Errors) error {
	form, err := a.userForm(r, n, attributes)
	if err != nil {
		return err
	}
	form.Action, form.Errors = "/admin/users/new", errs
	page := templates.UserNewPage{
		Shell: a.shell(r, "Add a user", templates.SectionUsers), UserForm: form, PasswordRules: passwordRules, Cancel: "/admin/users",
	}
	return web.Page(w, r, statusOf(errs), web.CSP{}, func(b *web.Buffer) error { return templates.UserNew(b, page) })
}

func (a *Admin) userAdd(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	n, attributes, errs := readUser(r)
	if len(errs) > 0 {
		return a.userNewPage(w, r, n, attributes, errs)
	}
	if r.PostForm.Has("invite") {
		invited, err := a.Actions.InviteUser(r.Context(), byOf(r), n)
		if err == nil {
			return a.showInvitation(w, r, &invited)
		}
		return a.userRefused(w, r, n, attributes, err)
	}
	ask := n
	ask.Password = r.PostForm.Get("password")
	added, err := a.Actions.AddUser(r.Context(), byOf(r), ask)
	if err != nil {
		return a.userRefused(w, r, n, attributes, err)
	}
	web.SeeOther(w, link("/admin/users/"+added.ID, "done", "added"))
	return nil
}

// userRefused shows the form of a new person again with what was wrong.
func (a *Admin) userRefused(w http.ResponseWriter, r *http.Request, n api.NewUser, attributes string, err error) error {
	errs, err := a.formErrors(r, err)
	if err != nil {
		return err
	}
	return a.userNewPage(w, r, n, attributes, errs)
}
