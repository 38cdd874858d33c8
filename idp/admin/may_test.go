package admin

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"gatehouse/idp/api"
	"gatehouse/idp/flow"
	"gatehouse/idp/web"
	"gatehouse/sp"
)

// TestBuiltinAppsAreForOwners: an app administrator could otherwise shut the owners out of the console.
func TestBuiltinAppsAreForOwners(t *testing.T) {
	w := newWorld(t)
	owner, appAdmin := w.person("ada", RoleOwner), w.person("abe", RoleAppAdmin)
	for _, id := range []string{flow.Portal, flow.Account, flow.Console} {
		_, err := w.SetApp(t.Context(), appAdmin, id, map[string]string{"policy.min_level": "low"})
		refusal(t, err, 403, "needs_owner", "app")
		_, err = w.BlockApp(t.Context(), appAdmin, id)
		refusal(t, err, 409, "builtin", "app")
		_, err = w.SetApp(t.Context(), owner, id, map[string]string{"policy.min_level": "low"})
		must(t, err)
	}
	id := w.app("benefits")
	_, err := w.SetApp(t.Context(), appAdmin, id, map[string]string{"policy.min_level": "low"})
	must(t, err)
}

// TestDevelopersRegister: what a developer adds waits for approval; of their own app they change the definition alone.
func TestDevelopersRegister(t *testing.T) {
	w := newWorld(t)
	dev, other, appAdmin := w.person("dev", RoleDeveloper), w.person("eve", RoleDeveloper), w.person("abe", RoleAppAdmin)
	added, err := w.AddApp(t.Context(), dev, api.NewApp{Metadata: metadataOf("https://a.example/md", "https://a.example/acs"), Name: "a"})
	if must(t, err); added.App.State != string(sp.Pending) || added.App.PermittedUsers != sp.PermitPreauthorized {
		t.Fatalf("added as %+v", added.App)
	}
	id := added.App.ID
	_, err = w.AddApp(t.Context(), dev, api.NewApp{Metadata: metadataOf("https://b.example/md", "https://b.example/acs"), Set: map[string]string{"policy.permitted_users": "all"}})
	refusal(t, err, 403, "needs_app_admin", "")
	_, err = w.SetApp(t.Context(), dev, id, map[string]string{"description": "Mine.", "saml.sign": "assertion"})
	must(t, err)
	for _, forbidden := range []map[string]string{{"policy.permitted_users": "all"}, {"description": "x", "policy.min_level": "low", "policy.not_after": "2999-01-01"}} {
		_, err = w.SetApp(t.Context(), dev, id, forbidden)
		refusal(t, err, 403, "needs_app_admin", "")
	}
	_, err = w.SetApp(t.Context(), other, id, map[string]string{"description": "Not mine."})
	refusal(t, err, 403, "not_yours", "app")
	_, _, err = w.Upgrade(t.Context(), other, id, api.NewApp{Metadata: metadataOf("https://a.example/md", "https://evil.example/acs")}, "", true)
	refusal(t, err, 403, "not_yours", "app")
	_, err = w.ApproveApp(t.Context(), dev, id, api.ApproveApp{})
	refusal(t, err, 403, "needs_app_admin", "")
	_, err = w.RemoveApp(t.Context(), dev, id)
	refusal(t, err, 403, "needs_app_admin", "")
	if shown, err := w.App(t.Context(), id); err != nil || shown.State != string(sp.Pending) || shown.Description != "Mine." {
		t.Errorf("%+v, %v", shown, err)
	}
	_, err = w.ApproveApp(t.Context(), appAdmin, id, api.ApproveApp{})
	must(t, err)
	_, _, err = w.Upgrade(t.Context(), dev, id, api.NewApp{Metadata: metadataOf("https://a.example/md", "https://a.example/other")}, "", true)
	must(t, err)
	if shown, err := w.App(t.Context(), id); err != nil || shown.State != string(sp.Active) {
		t.Errorf("after an upgrade: %+v, %v", shown, err)
	}
}

// TestDevelopersGrow: of an app that was approved, a developer makes none that acts for people who are not asked, or on Gatehouse.
func TestDevelopersGrow(t *testing.T) {
	w := newWorld(t)
	dev, appAdmin := w.person("dev", RoleDeveloper), w.person("abe", RoleAppAdmin)
	added, err := w.AddApp(t.Context(), dev, api.NewApp{OAuth: `{"client_name":"mine","redirect_uris":["https://mine.example/cb"]}`})
	must(t, err)
	id, jwt := added.App.ID, map[string]string{"oauth.grant_types": "authorization_code," + sp.GrantJWTBearer}
	_, err = w.ApproveApp(t.Context(), appAdmin, id, api.ApproveApp{})
	must(t, err)
	_, err = w.SetApp(t.Context(), dev, id, jwt)
	refusal(t, err, 403, "needs_app_admin", "oauth.grant_types")
	_, err = w.SetApp(t.Context(), dev, id, map[string]string{"oauth.scopes": "openid,full"})
	refusal(t, err, 403, "needs_app_admin", "oauth.scopes")
	_, err = w.SetApp(t.Context(), dev, id, map[string]string{"oauth.scopes": "openid,email", "oauth.grant_types": "authorization_code," + sp.GrantDevice})
	must(t, err)
	_, err = w.SetApp(t.Context(), appAdmin, id, jwt)
	must(t, err)
	_, err = w.SetApp(t.Context(), dev, id, map[string]string{"description": "Mine."})
	must(t, err)
	saml, err := w.AddApp(t.Context(), dev, api.NewApp{Metadata: metadataOf("https://a.example/md", "https://a.example/acs"), Name: "a"})
	must(t, err)
	_, err = w.ApproveApp(t.Context(), appAdmin, saml.App.ID, api.ApproveApp{})
	must(t, err)
	_, err = w.AddApp(t.Context(), dev, api.NewApp{To: saml.App.ID, OAuth: `{"grant_types":["` + sp.GrantJWTBearer + `"]}`})
	refusal(t, err, 403, "needs_app_admin", "oauth.grant_types")
}

// TestWhoEndsSessions: those who look after people end a person's, those who look after apps an app's, nobody but an owner all.
func TestWhoEndsSessions(t *testing.T) {
	w := newWorld(t)
	id := w.app("benefits")
	owner, helpDesk, appAdmin, ana := w.person("ada", RoleOwner), w.person("hal", RoleHelpDesk), w.person("abe", RoleAppAdmin), w.person("ana")
	s := w.signIn(ana.ID, id)
	ownerSession := w.signIn(owner.ID, id)
	for _, c := range []struct {
		by  By
		ask api.EndSessions
		ok  bool
	}{
		{helpDesk, api.EndSessions{All: true}, false},
		{appAdmin, api.EndSessions{All: true}, false},
		{helpDesk, api.EndSessions{App: "benefits"}, false},
		{appAdmin, api.EndSessions{User: "ana"}, false},
		{appAdmin, api.EndSessions{Session: s.Handle}, false},
		{helpDesk, api.EndSessions{User: "ada"}, false},
		{helpDesk, api.EndSessions{Session: ownerSession.Handle}, false},
		{helpDesk, api.EndSessions{App: "benefits", User: "ada"}, false},
		{appAdmin, api.EndSessions{App: "benefits", Session: s.Handle}, true},
		{appAdmin, api.EndSessions{App: "benefits"}, true},
		{helpDesk, api.EndSessions{Session: s.Handle}, true},
		{helpDesk, api.EndSessions{User: "ana"}, true},
		{owner, api.EndSessions{All: true}, true},
	} {
		_, err := w.EndSessions(t.Context(), c.by, c.ask)
		if c.ok {
			must(t, err)
		} else if public := asPublic(err); public == nil || public.Status != 403 || public.Reason != "needs_owner" {
			t.Errorf("%s %+v: %v", c.by.Name, c.ask, err)
		}
	}
}

// TestOwnPassword: a session that was left open must not become a password.
func TestOwnPassword(t *testing.T) {
	w := newWorld(t)
	owner, helpDesk := w.person("ada", RoleOwner), w.person("hal", RoleHelpDesk)
	_, err := w.ResetPassword(t.Context(), owner, "ada", "a whole new password")
	refusal(t, err, 409, "own_password", "password")
	_, err = w.ResetPassword(t.Context(), helpDesk, "hal", "a whole new password")
	refusal(t, err, 409, "own_password", "password")
	_, err = w.ResetPassword(t.Context(), owner, "hal", "a whole new password")
	must(t, err)
	_, err = w.ResetPassword(t.Context(), socket, "ada", "a whole new password")
	must(t, err)
}

// TestNamesOfOthers: nobody gets a name or an address that is, or looks like, another person's.
func TestNamesOfOthers(t *testing.T) {
	w := newWorld(t)
	_, err := w.AddUser(t.Context(), socket, api.NewUser{Name: "ana", Email: "ana@example.org"})
	must(t, err)
	for _, c := range []struct {
		user          api.NewUser
		status        int
		reason, field string
	}{
		{api.NewUser{Name: "\u0430n\u0430"}, 400, "bad_value", ""},       // two scripts
		{api.NewUser{Name: "\u0430\u043f\u0430"}, 409, "exists", "name"}, // Cyrillic alone
		{api.NewUser{Name: "\u03b1\u03b7\u03b1"}, 409, "exists", "name"}, // Greek alone
		{api.NewUser{Name: "ANA"}, 409, "exists", "name"},
		{api.NewUser{Name: "ben", Email: "Ana@Example.org"}, 409, "exists", "email"},
		{api.NewUser{Name: "ana@example.org"}, 409, "exists", "name"},
		{api.NewUser{Name: "ana@example.net", Email: "ana"}, 400, "bad_value", ""},
	} {
		_, err := w.AddUser(t.Context(), socket, c.user)
		refusal(t, err, c.status, c.reason, c.field)
	}
	_, err = w.AddUser(t.Context(), socket, api.NewUser{Name: "anna", Email: "anna@example.org"})
	must(t, err)
	_, err = w.AddUser(t.Context(), socket, api.NewUser{Name: "\u043e\u043b\u0435\u0433"})
	must(t, err)
	_, err = w.SetUser(t.Context(), socket, "anna", map[string]string{"email": "ana@example.org"})
	refusal(t, err, 409, "exists", "email")
	_, err = w.SetUser(t.Context(), socket, "anna", map[string]string{"name": "ana@example.org"})
	refusal(t, err, 409, "exists", "name")
	_, err = w.SetUser(t.Context(), socket, "ana", map[string]string{"name": "ana@example.org"})
	must(t, err) // her own address
}

func TestOnlyOwnersHandRolesOut(t *testing.T) {
	w := newWorld(t)
	w.person("ana")
	hal := w.person("hal", RoleHelpDesk)
	for who, roles := range map[string]string{"hal": "help_desk,owner", "ana": "auditor"} {
		_, err := w.SetUser(t.Context(), hal, who, map[string]string{"roles": roles})
		refusal(t, err, 403, "needs_owner", "roles")
	}
	_, err := w.SetUser(t.Context(), hal, "hal", map[string]string{"surname": "Hall"})
	must(t, err)
}

func TestPeopleAreShownOnlyToThoseWhoMayReadAboutThem(t *testing.T) {
	w := newWorld(t)
	w.person("zacharias")
	id := w.app("benefits")
	_, err := w.SetApp(t.Context(), socket, id, map[string]string{"policy.permitted_users": "preauthorized", "policy.users": "zacharias"})
	must(t, err)
	w.app("payroll")
	confirmed := socket
	confirmed.Empty = true
	_, err = w.SetApp(t.Context(), confirmed, "payroll", map[string]string{"policy.permitted_users": "preauthorized"})
	must(t, err)
	server := w.server()
	for _, role := range Roles() {
		w.actor = w.person("the-"+role, role).Actor
		apps, people := Allows([]string{role}, AppsRead), Allows([]string{role}, UsersRead)
		for _, c := range []struct {
			path, text string
			want       bool
		}{
			{api.Root + "/explain?user=zacharias&app=benefits", "would get in", people},
			{api.Root + "/apps/" + id, "zacharias", apps && people},
			{"/admin/apps/" + id + "/access", "zacharias", apps && people},
			{"/admin/", ">Sessions<", Allows([]string{role}, SessionsRead)},
			{"/admin/", "Nobody may use payroll", apps},
		} {
			if _, body := send(t, server, "GET", c.path, "", ""); strings.Contains(body, c.text) != c.want {
				t.Errorf("%s %s: %q is shown: %v", role, c.path, c.text, !c.want)
			}
		}
	}
}

// TestDevelopersLearnNothing: a value that they may not set is not looked up, so it tells nobody who exists; and the people whom
// a policy names are not in any answer that they get.
func TestDevelopersLearnNothing(t *testing.T) {
	w := newWorld(t)
	dev, ana := w.person("dev", RoleDeveloper), w.person("ana")
	document := metadataOf("https://a.example/md", "https://a.example/acs")
	added, err := w.AddApp(t.Context(), dev, api.NewApp{Metadata: document, Name: "a"})
	must(t, err)
	id := added.App.ID
	for _, name := range []string{ana.Name, "nobody"} {
		_, err := w.SetApp(t.Context(), dev, id, map[string]string{"policy.users": name})
		refusal(t, err, 403, "needs_app_admin", "")
		_, err = w.PreviewApp(t.Context(), dev, api.NewApp{Metadata: document, Replace: true, Set: map[string]string{"policy.users": name}})
		refusal(t, err, 403, "needs_app_admin", "")
	}
	_, err = w.SetApp(t.Context(), socket, id, map[string]string{"policy.users": ana.Name, "policy.approvers": ana.Name})
	must(t, err)
	shown, err := w.SetApp(t.Context(), dev, id, map[string]string{"description": "Mine."})
	must(t, err)
	if text := fmt.Sprint(visibleTo(dev, shown)); strings.Contains(text, ana.Name) {
		t.Errorf("a developer is told who may enter: %s", text)
	}
	if text := fmt.Sprint(visibleTo(w.person("ada", RoleOwner), shown)); !strings.Contains(text, ana.Name) {
		t.Errorf("an owner is not told who may enter: %s", text)
	}
}

// TestUpgradesKeepTheStricter: a newer definition does not turn off what protects the app, unless that is asked for by name.
func TestUpgradesKeepTheStricter(t *testing.T) {
	w := newWorld(t)
	strict := map[string]string{"saml.require_signed_requests": "true", "saml.signature_algorithm": "rsa-sha512"}
	added, err := w.AddApp(t.Context(), socket, api.NewApp{Metadata: metadataOf("https://a.example/md", "https://a.example/acs"), Name: "a", Set: strict})
	must(t, err)
	exported, err := w.ExportApp(t.Context(), added.App.ID)
	must(t, err)
	exported.Settings["saml.signature_algorithm"] = "rsa-sha1"
	delete(exported.Settings, "saml.require_signed_requests")
	text, err := json.Marshal(exported)
	must(t, err)
	values := func(app api.App) (string, string) {
		list := map[string]string{}
		for _, s := range app.Settings {
			list[s.Key] = s.Value
		}
		return list["saml.require_signed_requests"], list["saml.signature_algorithm"]
	}
	upgraded, err := w.AddApp(t.Context(), socket, api.NewApp{Metadata: string(text), Replace: true})
	must(t, err)
	if signed, algorithm := values(upgraded.App); signed != "true" || algorithm != "rsa-sha512" {
		t.Errorf("lowered to %q, %q", signed, algorithm)
	}
	if text := fmt.Sprint(upgraded.Warnings); strings.Count(text, "kept_stricter") != 2 {
		t.Errorf("warnings: %s", text)
	}
	upgraded, err = w.AddApp(t.Context(), socket, api.NewApp{Metadata: string(text), Replace: true, Set: map[string]string{"saml.require_signed_requests": "false"}})
	must(t, err)
	if signed, _ := values(upgraded.App); signed != "false" {
		t.Errorf("asked for by name, and still %q", signed)
	}
}

// TestPackageBringsNoPolicy: which apps may compare people is an administrator's word, and no package's, neither to say nor to undo.
func TestPackageBringsNoPolicy(t *testing.T) {
	w := newWorld(t)
	added, err := w.AddApp(t.Context(), socket, api.NewApp{Metadata: metadataOf("https://a.example/md", "https://a.example/acs"), Set: map[string]string{
		"saml.affiliation": "https://group.example", "saml.may_map_to": "https://b.example/md"}})
	must(t, err)
	exported, err := w.ExportApp(t.Context(), added.App.ID)
	must(t, err)
	for key := range exported.Settings {
		if sp.OfPolicy(key) {
			t.Errorf("%s is in the package", key)
		}
	}
	text, err := json.Marshal(exported)
	must(t, err)
	upgraded, err := w.AddApp(t.Context(), socket, api.NewApp{Metadata: string(text), Replace: true})
	must(t, err)
	values := map[string]string{}
	for _, s := range upgraded.App.Settings {
		values[s.Key] = s.Value
	}
	if values["saml.affiliation"] != "https://group.example" || values["saml.may_map_to"] != "https://b.example/md" {
		t.Errorf("after the upgrade: %v", values)
	}
	for _, key := range []string{"saml.affiliation", "saml.may_map_to"} {
		exported.Settings[key] = "https://evil.example/md"
		text, err := json.Marshal(exported)
		must(t, err)
		_, err = w.AddApp(t.Context(), socket, api.NewApp{Metadata: string(text), Replace: true})
		refusal(t, err, 400, "bad_value", "metadata")
		delete(exported.Settings, key)
		_, err = w.SetApp(t.Context(), w.person("d"+key[5:8], RoleDeveloper), added.App.ID, map[string]string{key: "x"})
		refusal(t, err, 403, "not_yours", "app")
	}
}

// TestOwnersLendWhatTheySee: as whom an app acts, and that it speaks for people unasked, does not come along with scopes of the API
// unseen: an app administrator may have set it for just that.
func TestOwnersLendWhatTheySee(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner, appAdmin := w.person("ada", RoleOwner), w.person("abe", RoleAppAdmin)
	lend := map[string]string{"oauth.scopes": sp.ScopeDirectoryWrite}
	for key, value := range map[string]string{"oauth.run_as": "ada", "oauth.grant_types": sp.GrantJWTBearer} {
		added, err := w.AddApp(t.Context(), appAdmin, api.NewApp{OAuth: `{"client_name":"trap","grant_types":["client_credentials"],"jwks_uri":"https://trap.example/keys"}`, Set: map[string]string{key: value}})
		must(t, err)
		_, err = w.SetApp(t.Context(), owner, added.App.ID, lend)
		refusal(t, err, 409, "confirm_"+strings.TrimPrefix(key, "oauth."), key)
		_, err = w.SetApp(t.Context(), owner, added.App.ID, map[string]string{"oauth.scopes": lend["oauth.scopes"], key: value})
		must(t, err)
	}
	lent, err := w.AddApp(t.Context(), owner, api.NewApp{OAuth: `{"client_name":"lent","grant_types":["client_credentials"],"scope":"directory.write"}`})
	must(t, err)
	exported, err := w.ExportApp(t.Context(), lent.App.ID)
	must(t, err)
	text, err := json.Marshal(exported)
	must(t, err)
	trap, err := w.AddApp(t.Context(), appAdmin, api.NewApp{OAuth: `{"client_name":"upgraded","grant_types":["client_credentials"]}`, Set: map[string]string{"oauth.run_as": "ada"}})
	must(t, err)
	_, err = w.AddApp(t.Context(), owner, api.NewApp{Metadata: string(text), Replace: true, To: trap.App.ID})
	refusal(t, err, 409, "confirm_run_as", "oauth.run_as")
	added, err := w.AddApp(t.Context(), appAdmin, api.NewApp{OAuth: `{"client_name":"bound","grant_types":["client_credentials"]}`, Set: map[string]string{"oauth.run_as": "ada", "policy.scopes": "openid"}})
	must(t, err)
	_, err = w.SetApp(t.Context(), owner, added.App.ID, lend)
	must(t, err) // the bound still keeps it out
	_, err = w.SetApp(t.Context(), owner, added.App.ID, map[string]string{"policy.scopes": sp.Undo})
	refusal(t, err, 409, "confirm_run_as", "oauth.run_as")
	_, err = w.SetApp(t.Context(), owner, added.App.ID, map[string]string{"oauth.run_as": sp.Undo})
	must(t, err)
	_, err = w.SetApp(t.Context(), owner, added.App.ID, map[string]string{"policy.scopes": sp.Undo})
	must(t, err)
}

// TestTokensShutNoAdministratorOut: a token sets no limits of a profile that somebody with a role has, which would keep them out or let
// them in from anywhere.
func TestTokensShutNoAdministratorOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.person("ada", RoleOwner)
	token := By{Actor: web.Actor{ID: "tok_hr", Name: "hr", Scopes: []string{sp.ScopeDirectoryWrite}}}
	app := By{Actor: web.Actor{ID: owner.ID, Name: "ada", Roles: owner.Roles, App: "app_x", Scopes: []string{sp.ScopeDirectoryWrite}}}
	_, err := profiles.add(t.Context(), w.Actions, token, api.Named{Name: "Interns"})
	must(t, err)
	limits := map[string]string{"ip_ranges": "10.0.0.0/8"}
	for _, by := range []By{token, app} {
		_, err = profiles.set(t.Context(), w.Actions, by, "Standard", limits)
		refusal(t, err, 403, "needs_owner", "profile")
		_, err = profiles.set(t.Context(), w.Actions, by, "Interns", limits)
		must(t, err)
		_, err = profiles.set(t.Context(), w.Actions, by, "Standard", map[string]string{"name": "Standard"})
		must(t, err)
	}
	owner.Force = true
	_, err = profiles.set(t.Context(), w.Actions, owner, "Standard", limits)
	must(t, err)
}
