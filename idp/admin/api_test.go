package admin

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatehouse/idp/api"
	"gatehouse/idp/web"
)

func allPermissions() []web.Permission {
	return []web.Permission{
		Overview, AppsRead, AppsRegister, AppsWrite, UsersRead, UsersWrite, UsersPassword, SessionsRead, SessionsEnd, AuditRead,
		SettingsRead, SettingsWrite, KeysRead, KeysWrite, AccessRead, AccessWrite,
		TokensRead, TokensWrite,
	}
}

func TestEveryRouteHasAPermission(t *testing.T) {
	w := newWorld(t)
	routes := w.admin.Routes()
	if len(routes) < 60 {
		t.Fatalf("only %d routes", len(routes))
	}
	seen := map[string]bool{}
	for _, route := range routes {
		name := route.Method + " " + route.Path
		if !slices.Contains(allPermissions(), route.Permission) {
			t.Errorf("%s needs %q", name, route.Permission)
		}
		if route.CrossSite || seen[name] || route.Handle == nil {
			t.Errorf("%s: cross-site %v, twice %v", name, route.CrossSite, seen[name])
		}
		if route.Errors != nil != strings.HasPrefix(route.Path, api.Root+"/") {
			t.Errorf("%s: API is %v", name, route.Errors != nil)
		}
		writes := strings.HasSuffix(string(route.Permission), ".read") || route.Permission == Overview
		if route.Method != http.MethodGet && writes {
			t.Errorf("%s changes something with the permission %s", name, route.Permission)
		}
		seen[name] = true
	}
}

func TestRoles(t *testing.T) {
	for _, c := range []struct {
		role string
		can  []web.Permission
	}{
		{RoleOwner, allPermissions()},
		{RoleAppAdmin, []web.Permission{Overview, AppsRead, AppsRegister, AppsWrite, UsersRead, SessionsRead, SessionsEnd, AuditRead, AccessRead, AccessWrite}},
		{RoleDeveloper, []web.Permission{Overview, AppsRead, AppsRegister}},
		{RoleApprover, []web.Permission{Overview, AppsRead}},
		{RoleHelpDesk, []web.Permission{Overview, UsersRead, UsersPassword, SessionsRead, SessionsEnd}},
		{RoleAuditor, []web.Permission{Overview, AppsRead, UsersRead, SessionsRead, AuditRead, SettingsRead, KeysRead, AccessRead}},
		{"", nil},
		{"Owner", nil},
		{"superuser", nil},
	} {
		for _, need := range allPermissions() {
			if got := Allows([]string{c.role}, need); got != slices.Contains(c.can, need) {
				t.Errorf("%s %s: %v", c.role, need, got)
			}
		}
		if got := IsAdmin([]string{c.role}); got != (c.can != nil) {
			t.Errorf("%s opens the console: %v", c.role, got)
		}
	}
	if Allows(nil, Overview) || Allows([]string{RoleOwner}, "") != true {
		t.Error("no role must hold nothing, an owner everything")
	}
}

// send makes one request and returns status and body.
func send(t *testing.T, server *httptest.Server, method, path, kind, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
	must(t, err)
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	client := *server.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	answer, err := client.Do(r)
	must(t, err)
	defer func() { _ = answer.Body.Close() }()
	content, err := io.ReadAll(answer.Body)
	must(t, err)
	if location := answer.Header.Get("Location"); location != "" {
		return answer.StatusCode, location
	}
	return answer.StatusCode, string(content)
}

func TestAPIErrors(t *testing.T) {
	w := newWorld(t)
	w.actor = w.person("ada", RoleOwner).Actor
	server := w.server()
	for _, c := range []struct {
		name, method, path, kind, body string
		status                         int
		reason, field                  string
	}{
		{"not found", "GET", "/apps/nope", "", "", 404, "not_found", "app"},
		{"not json", "POST", "/users", "text/plain", "{}", 415, "not_json", ""},
		{"broken json", "POST", "/users", "application/json", "{", 400, "bad_json", ""},
		{"two values", "POST", "/users", "application/json", `{"name":"a"}{}`, 400, "bad_json", ""},
		{"unknown field", "POST", "/users", "application/json", `{"nmae":"a"}`, 400, "bad_json", ""},
		{"wrong type", "POST", "/users", "application/json", `{"name":7}`, 400, "bad_json", ""},
		{"bad value", "POST", "/users", "application/json", `{"name":"a b","password":"short"}`, 400, "bad_value", "password"},
		{"too large", "POST", "/users", "application/json", `{"name":"` + strings.Repeat("a", 70<<10) + `"}`, 413, "too_large", ""},
		{"bad time", "GET", "/audit?since=yesterday", "", "", 400, "bad_value", "since"},
		{"bad address", "GET", "/explain?user=ada&app=console&ip=here", "", "", 400, "bad_value", "ip"},
		{"bad state", "GET", "/apps?state=asleep", "", "", 400, "bad_value", "state"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, body := send(t, server, c.method, api.Root+c.path, c.kind, c.body)
			var answer struct{ Error api.Error }
			if err := json.Unmarshal([]byte(body), &answer); err != nil {
				t.Fatalf("%v: %s", err, body)
			}
			if e := answer.Error; status != c.status || e.Reason != c.reason || e.Field != c.field || e.Text == "" || (e.Code == "") != (status == 404) {
				t.Errorf("got %d %+v", status, e)
			}
		})
	}
}

func TestAPIAsksTheRole(t *testing.T) {
	w := newWorld(t)
	server := w.server()
	w.actor = w.person("aud", RoleAuditor).Actor
	if status, body := send(t, server, "GET", api.Root+"/users", "", ""); status != 200 || !strings.Contains(body, `"items":[{"id":"usr_`) {
		t.Errorf("got %d %s", status, body)
	}
	if status, _ := send(t, server, "POST", api.Root+"/users", "application/json", `{"name":"eve"}`); status != 403 {
		t.Errorf("an auditor added a person: %d", status)
	}
	if list := w.entries("user.add"); len(list) != 1 {
		t.Errorf("%d people were added", len(list))
	}
}

// overSocket serves the socket of a data folder as the server does.
func (w *world) overSocket() *api.Client {
	w.t.Helper()
	dir := w.t.TempDir()
	listener, err := api.Listen(dir)
	must(w.t, err)
	mux := http.NewServeMux()
	for _, route := range w.admin.SocketRoutes() {
		mux.Handle(route.Method+" "+route.Path, w.admin.kit.Wrap(route))
	}
	server := &http.Server{Handler: mux, ConnContext: w.admin.PeerContext, ReadHeaderTimeout: time.Second}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	w.t.Cleanup(func() {
		must(w.t, server.Close())
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			w.t.Error(err)
		}
	})
	return api.OverSocket(dir)
}

func TestSocketIsTheOperator(t *testing.T) {
	w := newWorld(t)
	client := w.overSocket()
	ctx := t.Context()
	added, err := client.AddApp(ctx, api.NewApp{Metadata: metadataOf("https://a.example/md", "https://a.example/acs"), Name: "HR / Payroll"})
	must(t, err)
	for _, ref := range []string{"https://a.example/md", "HR / Payroll", added.App.ID} {
		if app, err := client.App(ctx, ref); err != nil || app.ID != added.App.ID {
			t.Errorf("%s: %v, %v", ref, app.ID, err)
		}
	}
	_, err = client.MoveApp(ctx, "https://a.example/md", "block")
	must(t, err)
	list, err := client.Audit(ctx, api.AuditQuery{App: "HR / Payroll"})
	if err != nil || len(list.Items) != 2 || list.Items[0].Kind != "app.block" || list.Items[0].Actor.ID != "uid "+strconv.Itoa(os.Geteuid()) {
		t.Errorf("%+v, %v", list.Items, err)
	}
	content, err := client.Metadata(ctx, "HR / Payroll")
	if err != nil || string(content) != "<EntityDescriptor app='"+added.App.ID+"'/>" {
		t.Errorf("%s, %v", content, err)
	}
	_, err = client.AddUser(ctx, api.NewUser{Name: "ana", Profile: "Nope"})
	var refused *api.Error
	if !errors.As(err, &refused) || refused.Status != 404 || refused.Field != "profile" {
		t.Errorf("got %#v", err)
	}
}

func TestSocketRoutesNeedTheSocket(t *testing.T) {
	w := newWorld(t)
	mux := http.NewServeMux()
	for _, route := range w.admin.SocketRoutes() {
		mux.Handle(route.Method+" "+route.Path, w.admin.kit.Wrap(route))
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	if status, body := send(t, server, "GET", api.Root+"/apps", "", ""); status != 403 || !strings.Contains(body, `"browser"`) {
		t.Errorf("over TCP: %d %s", status, body)
	}
}
