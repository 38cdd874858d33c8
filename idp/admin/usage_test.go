package admin

import (
	"strings"
	"testing"
	"time"

	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/grants"
	"gatehouse/store"
)

// uses appends a sign-on so many days ago, and counts it; with a reason it was refused.
func (w *world) uses(user, app string, daysAgo int, reason string) {
	w.t.Helper()
	w.at(testNow.AddDate(0, 0, -daysAgo))
	event := audit.Event{Kind: "signon", Outcome: audit.OK, User: user, App: app}
	if reason != "" {
		event.Outcome, event.Reason = audit.Refused, reason
	}
	w.happens(event)
	w.at(testNow)
	_, err := audit.RollUp(w.t.Context(), w.store)
	must(w.t, err)
}

// ago runs something as if it were so many days ago.
func (w *world) ago(days int, do func()) {
	now := w.Actions.Now
	w.Actions.Now = func() time.Time { return testNow.AddDate(0, 0, -days) }
	do()
	w.Actions.Now = now
}

func TestUsageOfApps(t *testing.T) {
	w := newWorld(t)
	ana := w.person("ana")
	var wiki, old, fresh, gone string
	w.ago(300, func() { wiki, old, gone = w.app("wiki"), w.app("old"), w.app("gone") })
	fresh = w.app("fresh")
	_, err := w.RemoveApp(t.Context(), socket, gone)
	must(t, err)
	w.uses(ana.ID, wiki, 1, "")
	w.uses(ana.ID, wiki, 0, "app_ip_ranges")
	w.uses(ana.ID, old, 91, "")

	shown, err := w.AppUsage(t.Context(), "wiki")
	if err != nil || shown.Unused || shown.People30 != 1 || shown.SignOns != 1 || shown.Refused != 1 || len(shown.Days) != 30 ||
		shown.Days[28].SignOns != 1 || shown.Days[29].Refused != 1 || shown.Reasons[0].Reason != "app_ip_ranges" {
		t.Errorf("%+v, %v", shown, err)
	}
	_, err = w.AppUsage(t.Context(), "nothing")
	refusal(t, err, 404, "not_found", "app")

	unused := map[string]bool{}
	for after := ""; ; {
		list, err := w.Usage(t.Context(), after, 2)
		must(t, err)
		for _, app := range list.Items {
			unused[app.App.ID] = app.Unused
		}
		if after = list.Next; after == "" {
			break
		}
	}
	if len(unused) != 3 || unused[wiki] || !unused[old] || !unused[fresh] {
		t.Errorf("%v", unused)
	}
	_, err = w.Usage(t.Context(), "?", 0)
	refusal(t, err, 400, "bad_value", "after")
	ids, n, err := w.appsByUse(t.Context())
	if err != nil || n != 2 || strings.Join(ids, " ") != strings.Join([]string{fresh, old, wiki}, " ") {
		t.Errorf("%v, %d unused, %v", ids, n, err)
	}
	summary, err := w.Summary(t.Context())
	if err != nil || len(summary.Unused) != 1 || summary.Unused[0].ID != old {
		t.Errorf("to do: %+v, %v", summary.Unused, err)
	}
}

// grantsOf follows the pages of the unused grants, as kind and name.
func (w *world) grantsOf(app string) string {
	w.t.Helper()
	var all []string
	for after := ""; ; {
		list, err := w.UnusedGrants(w.t.Context(), app, after)
		must(w.t, err)
		for _, g := range list.Items {
			all = append(all, g.Kind+" "+g.User.Name+" "+g.App.Name)
		}
		if after = list.Next; after == "" {
			return strings.Join(all, ", ")
		}
	}
}

func TestUnusedGrants(t *testing.T) {
	w := newWorld(t)
	people := map[string]string{}
	var wiki, mail string
	w.ago(200, func() {
		for _, name := range []string{"ana", "ben", "eva"} {
			people[name] = w.person(name).ID
			must(t, w.store.Update(t.Context(), func(tx store.Tx) error {
				user, _, err := directory.Users.Get(tx, people[name])
				must(t, err)
				user.Created = w.Actions.Now() // the directory has a clock of its own
				return directory.Users.Put(tx, &user)
			}))
		}
		wiki, mail = w.app("wiki"), w.app("mail")
	})
	people["new"] = w.person("new").ID
	_, err := w.SetApp(t.Context(), socket, wiki, map[string]string{"policy.permitted_users": "preauthorized", "policy.users": "ana,ben,new"})
	must(t, err)
	past := func(days int) time.Time { return testNow.AddDate(0, 0, -days) }
	must(t, w.store.Update(t.Context(), func(tx store.Tx) error {
		for _, access := range []grants.Access{
			{User: people["eva"], App: wiki, From: past(100), Until: testNow.Add(time.Hour)},
			{User: people["ben"], App: mail, From: past(100), Until: past(1)}, // over
			{User: people["ana"], App: mail, From: past(89), Until: testNow.Add(time.Hour)},
		} {
			if err := grants.Accesses.Put(tx, &access); err != nil {
				return err
			}
		}
		for user, given := range map[string]time.Time{"eva": past(120), "ana": past(120), "ben": past(10)} {
			if err := grants.Consents.Put(tx, &grants.Consent{User: people[user], App: mail, Given: given}); err != nil {
				return err
			}
		}
		return nil
	}))
	w.uses(people["ana"], mail, 3, "")
	w.uses(people["ana"], wiki, 91, "")
	w.uses(people["ben"], wiki, 89, "")
	if got := w.grantsOf(""); got != "named ana wiki, access eva wiki, consent eva mail" {
		t.Error(got)
	}
	if got := w.grantsOf("mail"); got != "consent eva mail" {
		t.Error(got)
	}
	for _, after := range []string{"?", "9", "0?", "2AAAA"} {
		_, err = w.UnusedGrants(t.Context(), "", after)
		refusal(t, err, 400, "bad_value", "after")
	}
}

// TestUnusedGrantsInPages: more than one call looks through are all found, once.
func TestUnusedGrantsInPages(t *testing.T) {
	w := newWorld(t)
	mail := w.app("mail")
	must(t, w.store.Update(t.Context(), func(tx store.Tx) error {
		for i := range 2500 {
			consent := grants.Consent{User: "usr_" + strings.Repeat("a", i%50) + "_" + time.Duration(i).String(), App: mail, Given: testNow.AddDate(-1, 0, 0)}
			if err := grants.Consents.Put(tx, &consent); err != nil {
				return err
			}
		}
		return nil
	}))
	if list, err := w.UnusedGrants(t.Context(), "", ""); err != nil || len(list.Items) > 1000 || list.Next == "" {
		t.Errorf("one call looks through %d grants, %v", len(list.Items), err)
	}
	for _, app := range []string{"", "mail"} {
		if n := strings.Count(w.grantsOf(app), "consent "); n != 2500 {
			t.Errorf("%q: %d grants", app, n)
		}
	}
}

func TestUsagePages(t *testing.T) {
	w := newWorld(t)
	var apps []string
	w.ago(300, func() {
		for _, name := range []string{"wiki", "mail", "pay", "books", "rooms"} {
			apps = append(apps, w.app(name))
		}
	})
	ada := w.person("ada", RoleOwner)
	w.uses(ada.ID, apps[0], 2, "")
	w.uses(ada.ID, apps[0], 2, "app_ip_ranges")
	w.actor = ada.Actor
	server := w.server()
	check := func(path string, wants ...string) {
		t.Helper()
		status, body := send(t, server, "GET", path, "", "")
		for _, want := range wants {
			if status != 200 || !strings.Contains(body, want) {
				t.Errorf("%s: %d, no %q", path, status, want)
			}
		}
	}
	check("/admin/apps/"+apps[0]+"/activity", `<rect class="bar-fill"`, "29 Jan 2027: 1 sign-on, 1 refused", "<code>app_ip_ranges</code>", `<th scope="row">29 January 2027</th><td>1</td><td>1</td>`)
	check("/admin/apps/"+apps[0], "1 person in 30 days")
	check("/admin/apps/"+apps[1]+"/activity", "Last used", "never")
	check("/admin/apps/console/activity", "Latest activity")
	check("/admin/apps/console", "Part of Gatehouse")
	_, err := w.AppUsage(t.Context(), "console")
	refusal(t, err, 409, "builtin", "app")
	check("/admin/usage", "4 apps unused.", "Everybody who was let in by name uses what they have.")
	check("/admin/", "Nobody uses 4 apps", `href="/admin/usage"`)
	_, err = w.BlockApp(t.Context(), socket, apps[1])
	must(t, err)
	check("/admin/", "Nobody uses pay", "/admin/apps/"+apps[2]+"/activity")
	check("/api/v1/usage", `"unused":true`, `"people_30_days":1`)
	check("/api/v1/apps/wiki/usage", `"sign_ons_30_days":1`, `"reasons":[{"reason":"app_ip_ranges","count":1}]`)
	w.actor = w.person("dev", RoleDeveloper).Actor
	check("/admin/usage", "Sign-ons, 30 days")
	for path, want := range map[string]int{"/api/v1/usage/grants": 403, "/api/v1/audit/verify": 403, "/admin/audit/verify": 403, "/api/v1/audit/export": 403} {
		if status, _ := send(t, server, "GET", path, "", ""); status != want {
			t.Errorf("%s: %d", path, status)
		}
	}
	var report api.AppUsage
	if report, err = w.AppUsage(t.Context(), apps[0]); err != nil || report.People90 != 1 {
		t.Errorf("%+v, %v", report, err)
	}
}
