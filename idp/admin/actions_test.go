package admin

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/idp/session"
	"gatehouse/sp"
	"gatehouse/store"
)

func TestAddAppInThreeForms(t *testing.T) {
	w := newWorld(t)
	for name, ask := range map[string]api.NewApp{
		"metadata":  {Metadata: metadataOf("https://a.example/md", "https://a.example/acs")},
		"entity id": {EntityID: "https://b.example/md", ACS: "https://b.example/acs", Name: "Bee"},
	} {
		added, err := w.AddApp(t.Context(), socket, ask)
		if err != nil || added.App.State != "active" || added.App.PermittedUsers != "all" || added.App.CreatedBy != "uid 0" {
			t.Errorf("%s: %+v, %v", name, added.App, err)
		}
	}
	if list := w.entries("app.add"); len(list) != 2 || list[0].Actor.ID != "uid 0" || list[0].Outcome != audit.OK {
		t.Errorf("audit: %+v", list)
	}
	for name, c := range map[string]struct {
		ask    api.NewApp
		status int
		reason string
		field  string
	}{
		"nothing":    {api.NewApp{}, 400, "bad_value", "metadata"},
		"two forms":  {api.NewApp{Metadata: "<a/>", URL: "https://x.example/"}, 400, "bad_value", "metadata"},
		"no xml":     {api.NewApp{Metadata: "hello"}, 400, "bad_value", "metadata"},
		"taken":      {api.NewApp{EntityID: "https://b.example/md", ACS: "https://b.example/acs"}, 409, "exists", "entity_id"},
		"setting":    {api.NewApp{EntityID: "https://c.example/md", ACS: "https://c.example/acs", Set: map[string]string{"saml.sgn": "both"}}, 400, "bad_value", "saml.sgn"},
		"profile":    {api.NewApp{EntityID: "https://c.example/md", ACS: "https://c.example/acs", Set: map[string]string{"policy.profiles": "Nope"}}, 404, "not_found", "policy.profiles"},
		"own":        {api.NewApp{EntityID: "https://id.example.org/saml/metadata", ACS: "https://c.example/acs"}, 400, "bad_value", "metadata"},
		"unfetched":  {api.NewApp{URL: "http://127.0.0.1:1/"}, 400, "bad_value", "url"},
		"no private": {api.NewApp{URL: "https://10.0.0.1/"}, 400, "bad_value", "url"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.AddApp(t.Context(), socket, c.ask)
			refusal(t, err, c.status, c.reason, c.field)
		})
	}
	if list := w.entries("app.add"); len(list) != 2 {
		t.Errorf("a refused app left an audit entry: %+v", list)
	}
}

func TestReplaceKeepsPolicyAndSettings(t *testing.T) {
	w := newWorld(t)
	id := w.app("benefits")
	_, err := w.AddUser(t.Context(), socket, api.NewUser{Name: "ana"})
	must(t, err)
	_, err = w.SetApp(t.Context(), socket, id, map[string]string{"policy.permitted_users": "preauthorized", "policy.profiles": "standard", "saml.sign": "response"})
	must(t, err)
	newer := api.NewApp{Metadata: metadataOf("https://benefits.example/md", "https://benefits.example/acs2"), Replace: true}
	preview, err := w.PreviewApp(t.Context(), socket, newer)
	if err != nil || !preview.Replaced || len(preview.Differences) != 2 {
		t.Fatalf("%+v, %v", preview.Differences, err)
	}
	if app, err := w.App(t.Context(), id); err != nil || app.SAML.ACS[0].Location != "https://benefits.example/acs" {
		t.Fatalf("a preview changed the app: %+v, %v", app.SAML, err)
	}
	replaced, err := w.AddApp(t.Context(), socket, newer)
	must(t, err)
	values := map[string]string{}
	for _, s := range replaced.App.Settings {
		values[s.Key] = s.Value
	}
	if replaced.App.ID != id || replaced.App.SAML.ACS[0].Location != "https://benefits.example/acs2" ||
		values["policy.profiles"] != "Standard" || values["saml.sign"] != "response" || values["name"] != "benefits" {
		t.Errorf("%+v %v", replaced.App, values)
	}
	if list := w.entries("app.replace"); len(list) != 1 || list[0].Facts["changes"] != "2" {
		t.Errorf("audit: %+v", list)
	}
}

func TestAppReferences(t *testing.T) {
	w := newWorld(t)
	id := w.app("benefits")
	for _, ref := range []string{id, "Benefits", "https://benefits.example/md"} {
		if app, err := w.App(t.Context(), ref); err != nil || app.ID != id {
			t.Errorf("%s: %v, %v", ref, app.ID, err)
		}
	}
	_, err := w.AddApp(t.Context(), socket, api.NewApp{EntityID: "https://other.example/md", ACS: "https://other.example/acs", Name: "benefits"})
	must(t, err)
	_, err = w.App(t.Context(), "benefits")
	refusal(t, err, 409, "ambiguous", "app")
	_, err = w.App(t.Context(), "nope\x00")
	refusal(t, err, 404, "not_found", "app")
	_, err = w.RemoveApp(t.Context(), socket, id)
	must(t, err)
	if app, err := w.App(t.Context(), "benefits"); err != nil || app.ID == id {
		t.Errorf("a removed app is in the way: %v, %v", app.ID, err)
	}
}

func TestBlockEndsThePlaceInSessionsOnce(t *testing.T) {
	w := newWorld(t)
	id, other := w.app("benefits"), w.app("payroll")
	ana := w.person("ana")
	s := w.signIn(ana.ID, id, other)
	var group sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		group.Go(func() { _, errs[i] = w.BlockApp(t.Context(), socket, id) })
	}
	group.Wait()
	done := slices.DeleteFunc(slices.Clone(errs), func(err error) bool { return err != nil })
	if len(done) != 1 || len(w.entries("app.block")) != 1 {
		t.Fatalf("%d blocks succeeded, %d entries: %v", len(done), len(w.entries("app.block")), errs)
	}
	for _, err := range errs {
		if err != nil {
			refusal(t, err, 409, "wrong_state", "state")
		}
	}
	must(t, w.store.View(t.Context(), func(tx store.Tx) error {
		left, _, err := session.Table.Get(tx, s.ID)
		if len(left.Apps) != 1 || left.Apps[0].App != other {
			t.Errorf("the session still has %+v", left.Apps)
		}
		return err
	}))
	app, err := w.UnblockApp(t.Context(), socket, id)
	if err != nil || app.State != "active" {
		t.Errorf("%v, %v", app.State, err)
	}
}

func TestBuiltinAppsStay(t *testing.T) {
	w := newWorld(t)
	for _, id := range []string{flow.Portal, flow.Account, flow.Console} {
		_, err := w.BlockApp(t.Context(), socket, id)
		refusal(t, err, 409, "builtin", "app")
		_, err = w.RemoveApp(t.Context(), socket, id)
		refusal(t, err, 409, "builtin", "app")
	}
}

func TestUserLife(t *testing.T) {
	w := newWorld(t)
	ana := w.person("ana")
	w.signIn(ana.ID)
	w.signIn(ana.ID)
	shown, err := w.DisableUser(t.Context(), socket, "ANA")
	if err != nil || shown.Status != "disabled" {
		t.Fatalf("%+v, %v", shown, err)
	}
	if sessions, err := w.Sessions(t.Context(), "ana", ""); err != nil || len(sessions.Items) != 0 {
		t.Errorf("sessions are left: %+v, %v", sessions, err)
	}
	if list := w.entries("user.disable"); len(list) != 1 || list[0].Facts["sessions"] != "2" || list[0].User.ID != ana.ID {
		t.Errorf("audit: %+v", list)
	}
	_, err = w.EnableUser(t.Context(), socket, ana.ID)
	must(t, err)
	w.signIn(ana.ID)
	_, err = w.ResetPassword(t.Context(), socket, "ana", "correct horse battery")
	must(t, err)
	if n := len(w.entries("user.password")); n != 1 {
		t.Errorf("%d entries", n)
	}
	_, err = w.ResetPassword(t.Context(), socket, "ana", "short")
	refusal(t, err, 400, "bad_value", "password")
	_, err = w.RemoveUser(t.Context(), socket, "ana")
	must(t, err)
	_, err = w.User(t.Context(), "ana")
	refusal(t, err, 404, "not_found", "person")
	if list := w.entries("user.remove"); len(list) != 1 || list[0].User.ID != ana.ID || list[0].Facts["name"] != "ana" {
		t.Errorf("audit: %+v", list)
	}
}

func TestSetUser(t *testing.T) {
	w := newWorld(t)
	w.person("ana")
	for kind, n := range map[*named[directory.Group]]string{&groups: "Head office"} {
		_, err := kind.add(t.Context(), w.Actions, socket, api.Named{Name: n})
		must(t, err)
	}
	user, err := w.SetUser(t.Context(), socket, "ana", map[string]string{
		"email": "ana@example.org", "groups": "head OFFICE", "attributes.department": "Sales, Europe", "roles": "auditor,help_desk",
	})
	if err != nil || user.Email != "ana@example.org" || user.Groups[0].Name != "Head office" || len(user.Roles) != 2 ||
		!slices.Equal(user.Attributes["department"], []string{"Sales", "Europe"}) {
		t.Fatalf("%+v, %v", user, err)
	}
	for key, c := range map[string]struct {
		value, reason string
		status        int
	}{
		"shoe_size": {"42", "bad_value", 400},
		"groups":    {"Nope", "not_found", 404},
		"profile":   {"Nope", "not_found", 404},
	} {
		_, err := w.SetUser(t.Context(), socket, "ana", map[string]string{key: c.value, "surname": "Changed"})
		refusal(t, err, c.status, c.reason, key)
	}
	if user, err = w.User(t.Context(), "ana"); err != nil || user.Surname != "" {
		t.Errorf("a refused change left a trace: %+v, %v", user, err)
	}
}

func TestOwnersProtectThemselves(t *testing.T) {
	w := newWorld(t)
	ada := w.person("ada", RoleOwner)
	for name, change := range map[string]func(By) error{
		"disable": func(by By) error { _, err := w.DisableUser(t.Context(), by, "ada"); return err },
		"remove":  func(by By) error { _, err := w.RemoveUser(t.Context(), by, "ada"); return err },
		"demote": func(by By) error {
			_, err := w.SetUser(t.Context(), by, "ada", map[string]string{"roles": "auditor"})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) { refusal(t, change(socket), 409, "last_owner", "roles") })
	}
	w.person("eve", RoleOwner)
	_, err := w.DisableUser(t.Context(), ada, "ada")
	refusal(t, err, 409, "locks_out_author", "")
	_, err = w.SetUser(t.Context(), ada, "ada", map[string]string{"roles": ""})
	refusal(t, err, 409, "locks_out_author", "")
	helper := w.person("hal", RoleHelpDesk)
	_, err = w.ResetPassword(t.Context(), helper, "ada", "correct horse battery")
	refusal(t, err, 403, "needs_owner", "roles")
	ada.Force = true
	_, err = w.DisableUser(t.Context(), ada, "ada")
	must(t, err)
}

func TestPolicyMayNotShutItsAuthorOut(t *testing.T) {
	w := newWorld(t)
	ada := w.person("ada", RoleOwner)
	shut := map[string]string{"policy.permitted_users": sp.PermitPreauthorized}
	_, err := w.SetApp(t.Context(), ada, flow.Console, shut)
	refusal(t, err, 409, "lets_nobody_in", "policy.permitted_users")
	confirmed := ada
	confirmed.Empty = true
	_, err = w.SetApp(t.Context(), confirmed, flow.Console, shut)
	refusal(t, err, 409, "locks_out_author", "")
	_, err = profiles.set(t.Context(), w.Actions, ada, "Standard", map[string]string{"ip_ranges": "10.0.0.0/8"})
	refusal(t, err, 409, "locks_out_author", "")
	_, err = w.SetApp(t.Context(), ada, flow.Console, map[string]string{"policy.permitted_users": sp.PermitPreauthorized, "policy.users": "ada"})
	must(t, err)
	forced := socket
	forced.Force = true
	_, err = w.SetApp(t.Context(), forced, flow.Console, map[string]string{"policy.users": ""})
	must(t, err) // the socket is the way back in
}

func TestNamedCollections(t *testing.T) {
	w := newWorld(t)
	profile, err := profiles.add(t.Context(), w.Actions, socket, api.Named{Name: "Employees", Limits: map[string]string{"ip_ranges": "192.0.2.7,2001:db8::1/32"}})
	if err != nil || profile.Limits["ip_ranges"] != "192.0.2.7/32,2001:db8::/32" {
		t.Fatalf("%+v, %v", profile, err)
	}
	_, err = profiles.add(t.Context(), w.Actions, socket, api.Named{Name: "employees"})
	refusal(t, err, 409, "exists", "name")
	_, err = groups.add(t.Context(), w.Actions, socket, api.Named{Name: "g", Limits: map[string]string{"ip_ranges": "192.0.2.7"}})
	refusal(t, err, 400, "bad_value", "ip_ranges")
	_, err = profiles.set(t.Context(), w.Actions, socket, "employees", map[string]string{"ip_ranges": "10.0.0.0/99"})
	refusal(t, err, 400, "bad_value", "ip_ranges")
	id := w.app("benefits")
	_, err = w.SetApp(t.Context(), socket, id, map[string]string{"policy.profiles": "Employees"})
	must(t, err)
	_, err = profiles.remove(t.Context(), w.Actions, socket, "Employees")
	refusal(t, err, 409, "held", "")
	_, err = w.SetApp(t.Context(), socket, id, map[string]string{"policy.profiles": sp.Undo})
	must(t, err)
	_, err = w.AddUser(t.Context(), socket, api.NewUser{Name: "ana", Profile: "Employees"})
	must(t, err)
	_, err = profiles.remove(t.Context(), w.Actions, socket, "Employees")
	refusal(t, err, 409, "held", "")
	_, err = w.RemoveUser(t.Context(), socket, "ana")
	must(t, err)
	_, err = profiles.remove(t.Context(), w.Actions, socket, "Employees")
	must(t, err)
}

func TestSessionsEnd(t *testing.T) {
	w := newWorld(t)
	id := w.app("benefits")
	ana, ben := w.person("ana"), w.person("ben")
	w.signIn(ana.ID, id)
	w.signIn(ana.ID)
	one := w.signIn(ben.ID, id)
	for _, c := range []struct {
		ask  api.EndSessions
		want int
	}{
		{api.EndSessions{Session: one.Handle}, 1},
		{api.EndSessions{App: "benefits", User: "ben"}, 0},
		{api.EndSessions{App: "benefits"}, 1}, // ana's session goes on without it
		{api.EndSessions{App: "benefits"}, 0},
		{api.EndSessions{User: "ana"}, 2},
		{api.EndSessions{All: true}, 0},
	} {
		if count, err := w.EndSessions(t.Context(), socket, c.ask); err != nil || count.Count != c.want {
			t.Errorf("%+v: %d, %v", c.ask, count.Count, err)
		}
	}
	_, err := w.EndSessions(t.Context(), socket, api.EndSessions{})
	refusal(t, err, 400, "bad_value", "user")
	_, err = w.EndSessions(t.Context(), socket, api.EndSessions{Session: one.Handle})
	refusal(t, err, 404, "not_found", "session")
}

func TestExplain(t *testing.T) {
	w := newWorld(t)
	id := w.app("benefits")
	ana := w.person("ana")
	e, err := w.Explain(t.Context(), "ana", id, ana.Address, testNow)
	if err != nil || e.Outcome != "allow" || len(e.Rules) != 10 {
		t.Fatalf("%+v, %v", e, err)
	}
	_, err = w.SetApp(t.Context(), socket, id, map[string]string{"policy.ip_ranges": "198.51.100.0/24"})
	must(t, err)
	if e, err = w.Explain(t.Context(), "ana", id, ana.Address, testNow); err != nil || e.Outcome != "refuse" || e.Reason != "app_ip_ranges" || e.Rules[5].Remedy == "" {
		t.Errorf("%+v, %v", e, err)
	}
	_, err = w.BlockApp(t.Context(), socket, id)
	must(t, err)
	if e, err = w.Explain(t.Context(), "ana", id, ana.Address, testNow); err != nil || e.Reason != flow.ReasonAppBlocked {
		t.Errorf("%+v, %v", e, err)
	}
	_, err = w.Explain(t.Context(), "nobody", id, ana.Address, testNow)
	refusal(t, err, 404, "not_found", "user")
}

func TestSettingsAndKeys(t *testing.T) {
	w := newWorld(t)
	_, err := w.SetSettings(t.Context(), socket, map[string]string{"name": "Acme", "session.idle": "never"})
	refusal(t, err, 400, "bad_value", "session.idle")
	list, err := w.SetSettings(t.Context(), socket, map[string]string{"name": "Acme", "session.idle": "1h"})
	if err != nil || list.Items[0].Value != "Acme" {
		t.Fatalf("%+v, %v", list, err)
	}
	key, err := w.StageKey(t.Context(), socket, api.NewKey{})
	if err != nil || key.State != "next" || len(key.Fingerprint) != 64 {
		t.Fatalf("%+v, %v", key, err)
	}
	active, err := w.ActivateKey(t.Context(), socket, key.ID, api.Activation{})
	if err != nil || active.State != "active" {
		t.Fatalf("%+v, %v", active, err)
	}
	_, err = w.RetireKey(t.Context(), socket, key.ID)
	refusal(t, err, 409, "wrong_state", "key")
	_, err = w.RetireKey(t.Context(), socket, "key_none")
	refusal(t, err, 404, "not_found", "key")
	_, err = w.SetApp(t.Context(), socket, w.app("benefits"), map[string]string{"saml.signing_key": "key_none"})
	refusal(t, err, 404, "not_found", "saml.signing_key")
}

func TestAuditOfWhatIsGone(t *testing.T) {
	w := newWorld(t)
	ana := w.person("ana")
	_, err := w.RemoveUser(t.Context(), socket, "ana")
	must(t, err)
	list, err := w.AuditEntries(t.Context(), api.AuditQuery{User: ana.ID})
	if err != nil || len(list.Items) != 2 || list.Items[0].User.Name != ana.ID {
		t.Fatalf("%+v, %v", list.Items, err)
	}
	entry, err := w.Trace(t.Context(), strings.ToLower(list.Items[0].Code))
	if err != nil || entry.Kind != "user.remove" {
		t.Errorf("%+v, %v", entry, err)
	}
	_, err = w.Trace(t.Context(), "nothing")
	refusal(t, err, 404, "not_found", "code")
	_, err = w.AuditEntries(t.Context(), api.AuditQuery{After: "!"})
	refusal(t, err, 400, "bad_value", "after")
}
