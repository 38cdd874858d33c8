package admin

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"gatehouse/idp/api"
	"gatehouse/idp/directory"
	"gatehouse/idp/web"
	"gatehouse/store"
	"gatehouse/templates"
)

const directoriesPath = "/admin/sources"

// directoryPages are the pages and posts of directory sources.
func (a *Admin) directoryPages() []web.Route {
	route := func(method, path string, need web.Permission, handle web.HandlerFunc) web.Route {
		return web.Route{Method: method, Path: path, Permission: need, MaxBody: maxForm, Handle: handle}
	}
	const one = directoriesPath + "/{directory}"
	return []web.Route{
		route(http.MethodGet, directoriesPath, SettingsRead, func(w http.ResponseWriter, r *http.Request) error {
			return a.directoriesPage(w, r, nil)
		}),
		route(http.MethodPost, directoriesPath, SettingsWrite, a.directoryAdd),
		route(http.MethodGet, one, SettingsRead, func(w http.ResponseWriter, r *http.Request) error {
			return a.directoryPage(w, r, templates.DirectoryPage{})
		}),
		route(http.MethodPost, one, SettingsWrite, a.directorySave),
		route(http.MethodPost, one+"/test", SettingsWrite, a.directoryTest),
		route(http.MethodPost, one+"/sync", SettingsWrite, a.directorySync),
		route(http.MethodPost, one+"/remove", SettingsWrite, a.directoryRemove),
	}
}

func directoryHref(name string) string { return directoriesPath + "/" + name }

func (a *Admin) directoriesPage(w http.ResponseWriter, r *http.Request, refused templates.Errors) error {
	list, err := a.Actions.DirectorySources(r.Context())
	if err != nil {
		return err
	}
	page := templates.DirectoriesPage{Shell: a.shell(r, "Directories", templates.SectionDirectories)}
	for i := range list.Items {
		s := &list.Items[i]
		page.Rows = append(page.Rows, templates.DirectoryRow{
			Name: s.Name, Href: directoryHref(s.Name), Kind: directoryKind(s.Kind), URL: directorySetting(s, "url"), People: peopleWord(s.People),
			Good: s.Good, State: directoryState(s), Error: s.Error,
		})
	}
	if may(r, SettingsWrite) {
		page.Form = templates.DirectoryForm{
			Action: directoriesPath, New: true, Name: r.PostForm.Get("name"), Kind: r.PostForm.Get("kind"), Errors: refused,
			Sets: directorySets(&api.DirectorySource{}, true, r),
		}
	}
	return web.Page(w, r, statusOf(refused), web.CSP{}, func(b *web.Buffer) error { return templates.Directories(b, page) })
}

func directoryKind(kind string) string {
	if kind == directory.KindAD {
		return "Active Directory"
	}
	return "LDAP"
}

func peopleWord(n int) string {
	if n >= 1000 {
		return "1,000 or more"
	}
	return strconv.Itoa(n)
}

func directoryState(s *api.DirectorySource) string {
	switch {
	case directorySetting(s, "state") == "paused":
		return "paused"
	case s.Failures > 0:
		return "failed"
	case s.Tried.IsZero():
		return "waiting"
	}
	return "active"
}

func directorySetting(s *api.DirectorySource, key string) string {
	for _, one := range s.Settings {
		if one.Key == key && !one.IsDefault {
			return one.Value
		}
	}
	return ""
}

func (a *Admin) directoryAdd(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	n := api.NewDirectorySource{Name: strings.TrimSpace(r.PostForm.Get("name")), Kind: r.PostForm.Get("kind"), Set: directoryValues(r, true), BindPassword: r.PostForm.Get("bind_password")}
	if _, err := a.Actions.AddDirectorySource(r.Context(), byOf(r), n); err != nil {
		errs, err := a.formErrors(r, err)
		if err != nil {
			return err
		}
		return a.directoriesPage(w, r, errs)
	}
	web.SeeOther(w, link(directoryHref(n.Name), "done", "added"))
	return nil
}

// directoryPage shows a source; page brings what a post answered.
func (a *Admin) directoryPage(w http.ResponseWriter, r *http.Request, page templates.DirectoryPage) error {
	s, err := a.Actions.DirectorySource(r.Context(), r.PathValue("directory"))
	if err != nil {
		return err
	}
	errs := page.Form.Errors
	page.Shell, page.Name, page.Facts = a.shell(r, s.Name, templates.SectionDirectories), s.Name, directoryFacts(&s)
	page.Form = templates.DirectoryForm{Name: s.Name, Kind: s.Kind, HasPassword: s.HasPassword, Sets: directorySets(&s, false, r), Errors: errs}
	if s.Error != "" {
		page.Warnings = append(page.Warnings, templates.Warning{Kind: "warn", Text: s.Error, Next: "Nobody was changed or disabled by that. It is tried again by itself."})
	}
	if s.Last != nil {
		page.Reasons = append(page.Reasons, s.Last.Reasons...)
	}
	if may(r, SettingsWrite) {
		base := directoryHref(s.Name)
		page.Form.Action, page.TestAction, page.SyncAction, page.RemoveAction = base, base+"/test", base+"/sync", base+"/remove"
	}
	return web.Page(w, r, statusOf(errs), web.CSP{}, func(b *web.Buffer) error { return templates.Directory(b, page) })
}

func directoryFacts(s *api.DirectorySource) []templates.Fact {
	facts := []templates.Fact{
		{Label: "Kind", Text: directoryKind(s.Kind)}, {Label: "Address", Text: directorySetting(s, "url"), Kind: "code"},
		{Label: "State", Text: directoryState(s), Kind: "state"}, {Label: "People here", Text: peopleWord(s.People)},
	}
	if s.Last != nil {
		facts = append(facts, templates.Fact{Label: "Last good run", Text: strconv.Itoa(s.Last.Found) + " found", Hint: strconv.Itoa(s.Last.Left) + " left out"})
	}
	return append(facts, timeFacts("Last good", s.Good, "Last tried", s.Tried, "Next", s.Next)...)
}

func (a *Admin) directorySave(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	change := api.DirectorySourceChange{Set: directoryValues(r, false), BindPassword: r.PostForm.Get("bind_password")}
	return a.directoryDone(w, r, "saved", func(ctx context.Context, name string) error {
		_, err := a.Actions.SetDirectorySource(ctx, byOf(r), name, change)
		return err
	})
}

// directoryDone does something to a source and shows it again, with what was refused.
func (a *Admin) directoryDone(w http.ResponseWriter, r *http.Request, notice string, do func(ctx context.Context, name string) error) error {
	name := r.PathValue("directory")
	if err := do(r.Context(), name); err != nil {
		errs, err := a.formErrors(r, err)
		if err != nil {
			return err
		}
		return a.directoryPage(w, r, templates.DirectoryPage{Form: templates.DirectoryForm{Errors: errs}})
	}
	web.SeeOther(w, link(directoryHref(name), "done", notice))
	return nil
}

func (a *Admin) directoryTest(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	page := templates.DirectoryPage{Tested: strings.TrimSpace(r.PostForm.Get("user"))}
	t, err := a.Actions.TestDirectorySource(r.Context(), r.PathValue("directory"), page.Tested)
	if err != nil {
		if page.Form.Errors, err = a.formErrors(r, err); err != nil {
			return err
		}
		for i := range page.Form.Errors {
			page.Form.Errors[i].Field = "user"
		}
		return a.directoryPage(w, r, page)
	}
	page.Found = testFacts(&t, page.Tested)
	return a.directoryPage(w, r, page)
}

func testFacts(t *api.SourceTest, asked string) []templates.Fact {
	switch {
	case !t.Found && asked == "":
		return []templates.Fact{{Label: "Answer", Text: "It answers, and the account may search."}}
	case !t.Found:
		return []templates.Fact{{Label: "Answer", Text: "It answers, and has nobody of that name."}}
	}
	facts := []templates.Fact{
		{Label: "Entry", Text: t.DN, Kind: "code"}, {Label: "Lasting id", Text: t.ID, Kind: "code"}, {Label: "User name", Text: t.Name}, {Label: "E-mail", Text: t.Email},
		{Label: "Display name", Text: t.DisplayName}, {Label: "Groups there", Tags: t.Groups}, {Label: "Profile here", Text: t.Profile},
		{Label: "Permission sets here", Tags: t.PermissionSets}, {Label: "Groups here", Tags: t.HereGroups},
	}
	if t.Problem != "" {
		facts = append(facts, templates.Fact{Label: "Cannot be a person here", Text: t.Problem})
	}
	return facts
}

// directorySync brings the people over, or shows what would change.
func (a *Admin) directorySync(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	web.TakeTime(w)
	ask := api.RunSync{DryRun: r.PostForm.Get("dry_run") != "", Force: r.PostForm.Get("force") != ""}
	report, err := a.Actions.SyncDirectorySource(r.Context(), byOf(r), r.PathValue("directory"), ask)
	page := templates.DirectoryPage{}
	if err != nil {
		public := asPublic(err)
		if page.Form.Errors, err = a.formErrors(r, err); err != nil {
			return err
		}
		page.CanForce = public != nil && strings.HasSuffix(public.Text, "force it.")
		return a.directoryPage(w, r, page)
	}
	words := []string{"Created", "Changed", "Disabled"}
	if ask.DryRun {
		words = []string{"Would be created", "Would be changed", "Would be disabled"}
	}
	page.Gone, page.Reasons = report.Gone, report.Reasons
	page.Report = []templates.Fact{
		{Label: "Found there", Text: strconv.Itoa(report.Found)}, {Label: words[0], Text: strconv.Itoa(report.Created)}, {Label: words[1], Text: strconv.Itoa(report.Changed)},
		{Label: words[2], Text: strconv.Itoa(report.Disabled)}, {Label: "Left out", Text: strconv.Itoa(report.Left)},
	}
	return a.directoryPage(w, r, page)
}

func (a *Admin) directoryRemove(w http.ResponseWriter, r *http.Request) error {
	if _, err := a.Actions.RemoveDirectorySource(r.Context(), byOf(r), r.PathValue("directory")); err != nil {
		return err
	}
	web.SeeOther(w, link(directoriesPath, "done", "removed"))
	return nil
}

// sumDirectories finds directories whose last run failed.
func sumDirectories(tx store.Tx, s *Summary) error {
	return directory.AllSources.Each(tx, store.Page{}, func(_ string, source *directory.Source) error {
		if source.Last.Failures > 0 && !source.Paused {
			s.Directories = append(s.Directories, source.Name)
		}
		return nil
	})
}

func directoryTasks(names []string) []templates.Task {
	var tasks []templates.Task
	for _, name := range names {
		tasks = append(tasks, templates.Task{
			Kind: "warn", Text: "People of the directory " + name + " could not be brought over.",
			Link: templates.Link{Label: "See why", Href: directoryHref(name)},
		})
	}
	return tasks
}
