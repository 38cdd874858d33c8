package admin

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"gatehouse/idp/api"
	"gatehouse/idp/directory"
	"gatehouse/store"
)

const urlEncoded = "application/x-www-form-urlencoded"

func post(t *testing.T, server *httptest.Server, path string, pairs ...string) (int, string) {
	t.Helper()
	values := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	return send(t, server, "POST", path, urlEncoded, values.Encode())
}

// upload posts a form in parts, with a file if one is given.
func upload(t *testing.T, server *httptest.Server, path, file string, pairs ...string) (int, string) {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for i := 0; i+1 < len(pairs); i += 2 {
		must(t, form.WriteField(pairs[i], pairs[i+1]))
	}
	if file != "" {
		part, err := form.CreateFormFile("file", "metadata.xml")
		must(t, err)
		_, err = part.Write([]byte(file))
		must(t, err)
	}
	must(t, form.Close())
	return send(t, server, "POST", path, form.FormDataContentType(), body.String())
}

func TestEveryPageRenders(t *testing.T) {
	w := newWorld(t)
	ada := w.person("ada", RoleOwner)
	id := w.app("benefits")
	w.signIn(ada.ID, id)
	_, err := w.AddApp(t.Context(), socket, api.NewApp{OAuth: `{"redirect_uris":["https://benefits.example/cb"]}`, To: id})
	must(t, err)
	key, err := w.StageKey(t.Context(), socket, api.NewKey{})
	must(t, err)
	_, err = w.SetApp(t.Context(), socket, id, map[string]string{"description": "<script>alert(1)</script>"})
	must(t, err)
	code := w.entries("app.set")[0].Code
	w.actor = ada.Actor
	server := w.server()
	paths := strings.NewReplacer("{app}", id, "{user}", ada.ID, "{code}", code, "{key}", key.ID, "{source}", "edu", "{upstream}", "uni", "{directory}", "corp")
	w.unsignedSource("edu")(metadataOf("https://s.example/&lt;script>alert(1)&lt;/script>", "https://s.example/acs"))
	_, err = w.AddUpstream(t.Context(), socket, api.NewUpstream{Name: "uni", Metadata: providerMetadata(t), Set: map[string]string{"label": "<script>alert(1)</script>"}})
	must(t, err)
	_, err = w.AddDirectorySource(t.Context(), socket, api.NewDirectorySource{Name: "corp", Set: map[string]string{"url": "ldaps://ldap.example.org", "base_dn": `o=\<script\>alert(1)\</script\>`}})
	must(t, err)
	for _, route := range w.admin.consoleRoutes() {
		if route.Method != http.MethodGet || route.Path == "/admin" || strings.HasSuffix(route.Path, "/export") { // a file
			continue
		}
		status, body := send(t, server, "GET", paths.Replace(route.Path), "", "")
		if status != 200 || !strings.Contains(body, "<h1>") && !strings.HasSuffix(route.Path, "/export") {
			t.Errorf("%s: %d %.300s", route.Path, status, body)
		}
		if strings.Contains(body, "<script>alert") {
			t.Errorf("%s: text is not escaped", route.Path)
		}
	}
	for _, path := range []string{"/admin/apps/console", "/admin/apps/console/metadata", "/admin/apps?q=ben&state=active", "/admin/users?q=a", "/admin/audit?app=benefits&since=7d"} {
		if status, body := send(t, server, "GET", path, "", ""); status != 200 {
			t.Errorf("%s: %d %.200s", path, status, body)
		}
	}
}

func TestConsoleShowsOnlyWhatARoleMay(t *testing.T) {
	w := newWorld(t)
	ana := w.person("ana")
	w.actor = w.person("hal", RoleHelpDesk).Actor
	server := w.server()
	status, body := send(t, server, "GET", "/admin/users/"+ana.ID, "", "")
	if status != 200 || !strings.Contains(body, "/password\"") || strings.Contains(body, "/disable\"") {
		t.Errorf("%d: %s", status, body)
	}
	if status, _ := post(t, server, "/admin/users/"+ana.ID+"/disable"); status != 403 {
		t.Errorf("the help desk disabled a person: %d", status)
	}
}

func TestUploadMetadataInThreeWays(t *testing.T) {
	w := newWorld(t)
	w.actor = w.person("ada", RoleOwner).Actor
	server := w.server()
	lent := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		_, _ = out.Write([]byte(metadataOf("https://c.example/md", "https://c.example/acs")))
	}))
	t.Cleanup(lent.Close)
	profile := w.profileID()
	for name, c := range map[string]struct {
		file string
		form []string
	}{
		"file":  {metadataOf("https://a.example/md", "https://a.example/acs"), []string{"source", "file", "profiles", profile}},
		"paste": {"", []string{"source", "paste", "metadata", metadataOf("https://b.example/md", "https://b.example/acs")}},
		"url":   {"", []string{"source", "url", "url", lent.URL, "permitted_users", "all", "name", "Sea"}},
	} {
		status, location := upload(t, server, "/admin/apps/new", c.file, c.form...)
		if status != 303 || !strings.HasPrefix(location, "/admin/apps/app_") || !strings.HasSuffix(location, "?done=added") {
			t.Errorf("%s: %d %.400s", name, status, location)
		}
	}
	for ref, want := range map[string]string{"https://a.example/md": "preauthorized", "https://b.example/md": "preauthorized", "Sea": "all"} {
		if app, err := w.App(t.Context(), ref); err != nil || app.PermittedUsers != want {
			t.Errorf("%s: %q, %v", ref, app.PermittedUsers, err)
		}
	}
	if app, err := w.App(t.Context(), "https://a.example/md"); err != nil || app.Permitted != 1 {
		t.Errorf("the profile was not stored: %+v, %v", app, err)
	}
}

// profileID is the id of the standard profile.
func (w *world) profileID() string {
	w.t.Helper()
	profile, err := profiles.get(w.t.Context(), w.Actions, "Standard")
	must(w.t, err)
	return profile.ID
}

func TestBadMetadataIsShownInTheForm(t *testing.T) {
	w := newWorld(t)
	w.actor = w.person("ada", RoleOwner).Actor
	server := w.server()
	for name, c := range map[string]struct {
		file, want string
		form       []string
	}{
		"nothing chosen": {"", "Choose the metadata file.", nil},
		"empty paste":    {"", "Paste the metadata.", []string{"source", "paste"}},
		"not xml":        {"", ": line 1", []string{"source", "paste", "metadata", "hello"}},
		"broken":         {"<EntityDescriptor>\n<oops\n", "line", []string{"source", "file"}},
		"private":        {"", "private network", []string{"source", "url", "url", "https://10.0.0.1/"}},
		"escaped":        {"", "&lt;script&gt;", []string{"source", "paste", "metadata", "<script>alert(1)</script>"}},
	} {
		status, body := upload(t, server, "/admin/apps/new", c.file, c.form...)
		if status != 422 || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	huge := metadataOf("https://a.example/md", "https://a.example/acs") + strings.Repeat(" ", maxForm)
	if status, body := upload(t, server, "/admin/apps/new", huge, "source", "file"); status != 413 {
		t.Errorf("huge: %d %.300s", status, body)
	}
	if n := len(w.entries("app.add")); n != 0 {
		t.Errorf("%d apps were added", n)
	}
}

func TestEmptyingAccessIsAskedFirst(t *testing.T) {
	w := newWorld(t)
	w.actor = w.person("ada", RoleOwner).Actor
	id := w.app("benefits")
	server := w.server()
	path := "/admin/apps/" + id + "/access"
	status, location := post(t, server, path, "permitted_users", "preauthorized", "users", "ada\r\n")
	if status != 303 {
		t.Fatalf("%d %s", status, location)
	}
	if status, body := post(t, server, path, "permitted_users", "preauthorized"); status != 200 || !strings.Contains(body, `name="confirm"`) {
		t.Errorf("%d %s", status, body)
	}
	if app, err := w.App(t.Context(), id); err != nil || app.Permitted != 1 {
		t.Fatalf("stored without asking: %+v, %v", app, err)
	}
	if status, body := post(t, server, path, "permitted_users", "preauthorized", "confirm", "empty"); status != 303 {
		t.Errorf("%d %s", status, body)
	}
	if app, err := w.App(t.Context(), id); err != nil || app.Permitted != 0 || len(app.Warnings) == 0 {
		t.Errorf("%+v, %v", app, err)
	}
	if status, body := post(t, server, path, "permitted_users", "preauthorized", "users", "nobody-like-this"); status != 422 || !strings.Contains(body, "nobody-like-this") {
		t.Errorf("%d %s", status, body)
	}
}

func TestReplaceIsReviewedFirst(t *testing.T) {
	w := newWorld(t)
	w.actor = w.person("ada", RoleOwner).Actor
	id := w.app("benefits")
	server := w.server()
	path, newer := "/admin/apps/"+id+"/metadata", metadataOf("https://benefits.example/md", "https://benefits.example/new")
	status, body := upload(t, server, path, newer, "source", "file")
	if status != 200 || !strings.Contains(body, "https://benefits.example/new") || !strings.Contains(body, `value="replace"`) {
		t.Fatalf("%d %s", status, body)
	}
	if n := len(w.entries("app.replace")); n != 0 {
		t.Fatal("stored without asking")
	}
	if status, body = upload(t, server, path, "", "source", "paste", "metadata", newer, "confirm", "replace"); status != 303 {
		t.Errorf("%d %s", status, body)
	}
	other := metadataOf("https://other.example/md", "https://other.example/acs")
	if status, body = upload(t, server, path, other, "source", "file"); status != 422 || !strings.Contains(body, "add it as a new app") {
		t.Errorf("%d %s", status, body)
	}
}

func TestPeopleInTheConsole(t *testing.T) {
	w := newWorld(t)
	w.actor = w.person("ada", RoleOwner).Actor
	server := w.server()
	form := []string{"name", "ana", "email", "ana@example.org", "profile", w.profileID(), "attributes", "department=Sales\r\ndepartment=Europe", "password", "correct horse battery"}
	status, location := post(t, server, "/admin/users/new", form...)
	if status != 303 {
		t.Fatalf("%d %s", status, location)
	}
	path, _, _ := strings.Cut(location, "?")
	if status, body := post(t, server, path, "name", "ana", "profile", w.profileID(), "email", "no address"); status != 422 || !strings.Contains(body, "no address") {
		t.Errorf("%d %s", status, body)
	}
	if status, body := post(t, server, path, "name", "ana", "profile", w.profileID(), "given_name", "Ana", "attributes", "oops"); status != 422 {
		t.Errorf("%d %s", status, body)
	}
	if status, body := post(t, server, path, "name", "ana", "profile", w.profileID(), "given_name", "Ana", "roles", "auditor"); status != 303 {
		t.Errorf("%d %s", status, body)
	}
	ana, err := w.User(t.Context(), "ana")
	if err != nil || ana.GivenName != "Ana" || ana.Email != "" || len(ana.Attributes) != 0 || ana.Roles[0] != "auditor" {
		t.Errorf("%+v, %v", ana, err)
	}
	for _, step := range []string{"/disable", "/enable", "/sessions/end-all"} {
		if status, body := post(t, server, path+step); status != 303 {
			t.Errorf("%s: %d %s", step, status, body)
		}
	}
	if status, _ := post(t, server, path+"/password", "password", "short"); status != 422 {
		t.Errorf("a short password: %d", status)
	}
}

func TestNamedListsInTheConsole(t *testing.T) {
	w := newWorld(t)
	w.actor = w.person("ada", RoleOwner).Actor
	server := w.server()
	for _, path := range []string{"/admin/profiles", "/admin/permission-sets", "/admin/groups"} {
		if status, body := post(t, server, path, "name", "Sales"); status != 303 {
			t.Errorf("%s: %d %s", path, status, body)
		}
		if status, body := post(t, server, path, "name", "sales"); status != 422 || !strings.Contains(body, "taken") {
			t.Errorf("%s twice: %d %s", path, status, body)
		}
	}
	group, err := groups.get(t.Context(), w.Actions, "Sales")
	must(t, err)
	if status, body := post(t, server, "/admin/groups/rename", "id", group.ID, "name", "Sellers"); status != 303 {
		t.Errorf("%d %s", status, body)
	}
	if status, body := post(t, server, "/admin/groups/remove", "id", group.ID); status != 303 {
		t.Errorf("%d %s", status, body)
	}
	_, err = groups.get(t.Context(), w.Actions, group.ID)
	refusal(t, err, 404, "not_found", "group")
}

func TestRemovingAnAppWantsItsName(t *testing.T) {
	w := newWorld(t)
	w.actor = w.person("ada", RoleOwner).Actor
	id := w.app("benefits")
	server := w.server()
	if status, _ := post(t, server, "/admin/apps/"+id+"/remove", "name", "benefit"); status != 422 {
		t.Errorf("removed by a wrong name: %d", status)
	}
	if status, location := post(t, server, "/admin/apps/"+id+"/remove", "name", "benefits"); status != 303 || location != "/admin/apps?done=removed" {
		t.Errorf("%d %s", status, location)
	}
	var list api.List[api.App]
	list, err := w.Apps(t.Context(), AppFilter{State: "removed"})
	if err != nil || len(list.Items) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestEveryOrganisationSettingIsExplained(t *testing.T) {
	list, err := newWorld(t).Settings(t.Context())
	must(t, err)
	for _, s := range list.Items {
		if s.Label == "" || s.Help == "" || s.Default == "" || s.Kind == "" {
			t.Errorf("%+v", s)
		}
	}
}

func TestAppsAreListedByName(t *testing.T) {
	w := newWorld(t)
	w.actor = w.person("ada", RoleOwner).Actor
	for _, name := range []string{"zebra", "Mango", "apple"} {
		w.app(name)
	}
	_, body := send(t, w.server(), "GET", "/admin/apps", "", "")
	apple, mango, zebra := strings.Index(body, ">apple<"), strings.Index(body, ">Mango<"), strings.Index(body, ">zebra<")
	if apple < 0 || mango < apple || zebra < mango {
		t.Errorf("apple, Mango and zebra stand at %d, %d and %d", apple, mango, zebra)
	}
}

// TestFailingDirectoryIsToDo: a directory that does not answer is on the overview until it does or is paused.
func TestFailingDirectoryIsToDo(t *testing.T) {
	w := newWorld(t)
	source := directory.Source{Name: "corp", URL: "ldaps://ldap.example.org", Last: directory.Synced{Failures: 1}}
	for _, paused := range []bool{false, true} {
		source.Paused = paused
		must(t, w.store.Update(t.Context(), func(tx store.Tx) error { return directory.AllSources.Put(tx, &source) }))
		s, err := w.Summary(t.Context())
		must(t, err)
		if tasks := directoryTasks(s.Directories); len(tasks) != map[bool]int{false: 1, true: 0}[paused] {
			t.Errorf("paused %t: %+v", paused, tasks)
		}
	}
}

// TestKindsAreToldApart: one kind of entries has one meaning, so that a filter or an export never mixes two.
func TestKindsAreToldApart(t *testing.T) {
	meant := map[string]string{}
	for _, k := range kinds {
		if other, again := meant[k.kind]; again {
			t.Errorf("%s means %q and %q", k.kind, other, k.text)
		}
		meant[k.kind] = k.text
	}
}
