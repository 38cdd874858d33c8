package admin

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"gatehouse/idp/api"
	"gatehouse/idp/web"
	"gatehouse/templates"
)

func (a *Admin) userPage(w http.ResponseWriter, r *http.Request) error {
	user, err := a.Actions.User(r.Context(), r.PathValue("user"))
	if err != nil {
		return err
	}
	return a.showUser(w, r, &user, asForm(&user), attributeLines(user.Attributes), nil)
}

// asForm is a person as the form posts one.
func asForm(u *api.User) api.NewUser {
	n := api.NewUser{
		Name: u.Name, DisplayName: u.DisplayName, Email: u.Email, GivenName: u.GivenName, Surname: u.Surname,
		Profile: u.Profile.ID, Roles: u.Roles,
	}
	for _, s := range u.PermissionSets {
		n.PermissionSets = append(n.PermissionSets, s.ID)
	}
	for _, g := range u.Groups {
		n.Groups = append(n.Groups, g.ID)
	}
	return n
}

func attributeLines(attributes map[string][]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		for _, value := range attributes[name] {
			b.WriteString(name + "=" + value + "\n")
		}
	}
	return b.String()
}

// showUser shows a person with the form as given, which is what was posted when that was refused.
func (a *Admin) showUser(w http.ResponseWriter, r *http.Request, user *api.User, n api.NewUser, attributes string, errs templates.Errors) error {
	return a.showInvited(w, r, user, n, attributes, errs, nil)
}

// showInvited is showUser with an invitation that was made just now.
func (a *Admin) showInvited(w http.ResponseWriter, r *http.Request, user *api.User, n api.NewUser, attributes string, errs templates.Errors, invitation *templates.Invitation) error {
	form, err := a.userForm(r, n, attributes)
	if err != nil {
		return err
	}
	form.Errors = errs
	title := user.DisplayName
	if title == "" {
		title = user.Name
	}
	page := templates.UserPage{
		Shell: a.shell(r, title, templates.SectionUsers), UserForm: form, Status: user.Status, PasswordRules: passwordRules,
		Facts: []templates.Fact{
			{Label: "User ID", Text: user.ID, Kind: "code"}, {Label: "Added", Time: user.Created},
			{Label: "Changed", Time: user.Changed}, {Label: "Last sign-in", Time: user.LastSignIn},
		},
	}
	for _, f := range user.Factors {
		page.Factors = append(page.Factors, templates.FactorRow{ID: f.ID, Kind: f.Kind, Name: f.Name, Created: f.Created, Used: f.LastUsed, Left: f.Left})
	}
	page.Invitation = invitation
	if err := a.userActions(r, user, &page); err != nil {
		return err
	}
	if err := a.userSource(r, user, &page); err != nil {
		return err
	}
	if err := a.userPast(r, user, &page); err != nil {
		return err
	}
	if err := a.userHoldings(r, user, &page); err != nil {
		return err
	}
	if err := a.userReach(r, user, &page); err != nil {
		return err
	}
	return web.Page(w, r, statusOf(errs), web.CSP{}, func(b *web.Buffer) error { return templates.User(b, page) })
}

// userActions shows the forms that the person who looks may post.
func (a *Admin) userActions(r *http.Request, user *api.User, page *templates.UserPage) error {
	base := "/admin/users/" + user.ID
	if may(r, UsersWrite) {
		page.Action = base
		if user.Status == "active" {
			page.DisableAction = base + "/disable"
		} else {
			page.EnableAction = base + "/enable"
		}
	}
	if may(r, UsersPassword) {
		page.ResetAction = base + "/password"
		if len(user.Factors) > 0 {
			page.FactorsAction = base + "/reset-mfa"
		}
	}
	if may(r, SessionsEnd) {
		page.EndAction, page.EndAllAction = base+"/sessions/end", base+"/sessions/end-all"
	}
	if !may(r, UsersWrite) || user.Status != "active" {
		return nil
	}
	has, err := a.Actions.HasPassword(r.Context(), user.ID)
	if !has {
		page.InviteAction = base + "/invite"
	}
	return err
}

// userInvite shows the new invitation on the person's page: it is not stored, so it cannot be shown again.
func (a *Admin) userInvite(w http.ResponseWriter, r *http.Request) error {
	invited, err := a.Actions.Invite(r.Context(), byOf(r), r.PathValue("user"))
	if err != nil {
		return err
	}
	return a.showInvitation(w, r, &invited)
}

func (a *Admin) showInvitation(w http.ResponseWriter, r *http.Request, invited *api.Invitation) error {
	user := &invited.User
	return a.showInvited(w, r, user, asForm(user), attributeLines(user.Attributes), nil,
		&templates.Invitation{Link: invited.URL, Expires: invited.Expires, Mailed: invited.Mailed})
}

// userSource shows the directory that a person comes from, where also the password is kept.
func (a *Admin) userSource(r *http.Request, user *api.User, page *templates.UserPage) error {
	if user.Source == "" {
		return nil
	}
	fact := templates.Fact{Label: "Directory", Text: user.Source, Hint: "Known there by " + user.ExternalID + "."}
	_, err := a.Actions.DirectorySource(r.Context(), user.Source)
	switch public := asPublic(err); {
	case err == nil:
		page.Source, page.ResetAction, page.InviteAction = user.Source, "", ""
		if may(r, SettingsRead) {
			fact.Href = directoryHref(user.Source)
		}
	case public == nil || public.Status != http.StatusNotFound:
		return err
	default:
		fact.Hint = "It was removed: set a password, and the person is one of ours."
	}
	if user.Gone {
		fact.Hint = "It has the person no more, so the account is disabled."
	}
	page.Facts = append(page.Facts, fact)
	return nil
}

// userPast adds the sessions and the latest audit entries, where the person who looks may see them.
func (a *Admin) userPast(r *http.Request, user *api.User, page *templates.UserPage) error {
	if may(r, SessionsRead) {
		sessions, err := a.Actions.Sessions(r.Context(), user.ID, "")
		if err != nil {
			return err
		}
		for _, s := range sessions.Items {
			page.Sessions = append(page.Sessions, templates.SessionRow{
				Handle: s.Handle, Device: web.Device(s.Agent), Address: s.Address, Level: s.Level, Started: s.Started, Seen: s.Seen,
			})
		}
	}
	if may(r, AuditRead) {
		events, err := a.Actions.AuditEntries(r.Context(), api.AuditQuery{User: user.ID, Limit: 20})
		if err != nil {
			return err
		}
		page.Events = eventRows(events.Items)
	}
	return nil
}

// userSave stores the form of a person.
func (a *Admin) userSave(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	user, err := a.Actions.User(r.Context(), r.PathValue("user"))
	if err != nil {
		return err
	}
	n, attributes, errs := readUser(r)
	if len(errs) > 0 {
		return a.showUser(w, r, &user, n, attributes, errs)
	}
	encoded, err := json.Marshal(n.Attributes)
	if err != nil {
		return err
	}
	_, err = a.Actions.SetUser(r.Context(), byOf(r), user.ID, map[string]string{
		"name": n.Name, "display_name": n.DisplayName, "email": n.Email, "given_name": n.GivenName, "surname": n.Surname,
		"profile": n.Profile, "permission_sets": joinList(n.PermissionSets), "groups": joinList(n.Groups),
		"roles": joinList(n.Roles), "attributes": string(encoded),
	})
	if err != nil {
		if errs, err = a.formErrors(r, err); err != nil {
			return err
		}
		return a.showUser(w, r, &user, n, attributes, errs)
	}
	web.SeeOther(w, link("/admin/users/"+user.ID, "done", "saved"))
	return nil
}

// userMove is a post that disables or enables a person.
func (a *Admin) userMove(action func(context.Context, By, string) (api.User, error), word string) web.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		user, err := action(r.Context(), byOf(r), r.PathValue("user"))
		if err != nil {
			return err
		}
		web.SeeOther(w, link("/admin/users/"+user.ID, "done", word))
		return nil
	}
}

func (a *Admin) userPassword(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	user, err := a.Actions.User(r.Context(), r.PathValue("user"))
	if err != nil {
		return err
	}
	if _, err := a.Actions.ResetPassword(r.Context(), byOf(r), user.ID, r.PostForm.Get("password")); err != nil {
		errs, err := a.formErrors(r, err)
		if err != nil {
			return err
		}
		return a.showUser(w, r, &user, asForm(&user), attributeLines(user.Attributes), errs)
	}
	web.SeeOther(w, link("/admin/users/"+user.ID, "done", "password"))
	return nil
}

func (a *Admin) userEndSession(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	return a.endSessions(w, r, api.EndSessions{Session: r.PostForm.Get("session")})
}

func (a *Admin) userEndSessions(w http.ResponseWriter, r *http.Request) error {
	return a.endSessions(w, r, api.EndSessions{User: r.PathValue("user")})
}

func (a *Admin) endSessions(w http.ResponseWriter, r *http.Request, ask api.EndSessions) error {
	if _, err := a.Actions.EndSessions(r.Context(), byOf(r), ask); err != nil {
		return err
	}
	web.SeeOther(w, link("/admin/users/"+r.PathValue("user"), "done", "ended"))
	return nil
}
