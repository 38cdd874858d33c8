package idptest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/idp/api"
)

// TestLifecycle walks connected apps through their life over the wire.
func TestLifecycle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	t.Run("block, unblock, remove, install again", func(t *testing.T) { w.life(t) })
	t.Run("export and install", func(t *testing.T) { w.packages(t) })
	t.Run("a pending app", func(t *testing.T) { w.pendingApp(t) })
	t.Run("unknown apps", func(t *testing.T) { w.attempts(t) })
	t.Run("upper bounds and custom attributes", func(t *testing.T) { w.upperBounds(t) })
	t.Run("sessions of an app", func(t *testing.T) { w.appSessions(t) })
	w.everything(t)
}

// life: a blocked app leaves sessions and portal at once, a removed one keeps refusing, and the same entity id added again is
// another app with other names for people.
func (w *world) life(t *testing.T) {
	ctx := t.Context()
	sp := w.newSP(t, "life")
	app := w.AddApp(t, sp.Metadata(), map[string]string{"policy.consent": "always"})
	c := w.ana(t)
	page := c.Get("/launch/" + app.ID)
	first := w.check(t, c.Post("/consent", agreed(page)), sp, Ask{}, issued())
	reached := func() int {
		list, err := w.API.Sessions(ctx, "", app.ID)
		if err != nil {
			t.Fatal(err)
		}
		return len(list.Items)
	}
	if reached() != 1 {
		t.Fatalf("%d sessions reached the app", reached())
	}
	w.move(t, sp, "block")
	if reached() != 0 || strings.Contains(c.Get("/").Body, app.ID) {
		t.Error("a blocked app is still in a session or in the portal")
	}
	w.checkHere(t, c.Get("/launch/"+app.ID), "app_blocked")
	w.move(t, sp, "unblock")
	w.check(t, c.Get("/launch/"+app.ID), sp, Ask{}, issued()) // the consent is still there
	if _, err := w.API.RemoveApp(ctx, app.ID); err != nil {
		t.Fatal(err)
	}
	w.checkHere(t, c.Get("/launch/"+app.ID), "unknown_app")
	w.check(t, w.send(t, c, sp, Ask{}, false), sp, Ask{}, here("unknown_issuer"))
	if shown, err := w.API.App(ctx, app.ID); err != nil || shown.State != "removed" {
		t.Errorf("the tombstone: %+v, %v", shown.State, err)
	}
	if _, err := w.API.SetApp(ctx, app.ID, api.Change{Set: map[string]string{"description": "x"}}); err == nil {
		t.Error("a removed app can be changed")
	}
	again := w.AddApp(t, sp.Metadata(), map[string]string{"policy.consent": "always"})
	page = c.Get("/launch/" + again.ID)
	w.asks(t, page, "Your e-mail address") // no old consent
	second := w.check(t, c.Post("/consent", agreed(page)), sp, Ask{}, issued())
	const name = "./Assertion/Subject/NameID"
	if again.ID == app.ID || first.Text(name) == second.Text(name) || first.Text(name) == "" {
		t.Errorf("the same app again: %s %s, names %s %s", app.ID, again.ID, first.Text(name), second.Text(name))
	}
}

// packages: a definition travels without policy; upgrading keeps the policy; what cannot be read changes nothing.
func (w *world) packages(t *testing.T) {
	ctx := t.Context()
	sp := w.newSP(t, "traveller")
	sp.Encrypt = true
	app := w.AddApp(t, sp.Metadata(), map[string]string{
		"description": "From afar.", "saml.sign": "assertion", "saml.attributes": `[{"name":"mail","format":"basic","source":"email"}]`,
		"custom_attributes": `[{"name":"costCentre","source":"cost_centre"}]`, "policy.permitted_users": "preauthorized", "policy.users": "ana", "policy.min_level": "standard",
	})
	p, err := w.API.ExportApp(ctx, app.ID)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(p)
	if err != nil || strings.Contains(string(text), "policy") || strings.Contains(string(text), app.ID) || strings.Contains(string(text), "usr_") {
		t.Fatalf("the package says too much: %s", text)
	}
	other := Start(t, Options{})
	installed, err := other.API.AddApp(ctx, api.NewApp{Metadata: string(text)})
	if err != nil {
		t.Fatal(err)
	}
	if installed.App.ID == app.ID || installed.App.State != "active" || installed.App.Description != "From afar." {
		t.Errorf("installed as %+v", installed.App)
	}
	if back, err := other.API.ExportApp(ctx, installed.App.ID); err != nil || back.Metadata != p.Metadata || !maps.Equal(back.Settings, p.Settings) {
		t.Errorf("exported again: %+v, %v\nwant %+v", back, err, p)
	}
	if _, err := other.API.AddApp(ctx, api.NewApp{Metadata: string(text)}); err == nil || !strings.Contains(err.Error(), "connected already") {
		t.Errorf("installed twice: %v", err)
	}
	if _, err := other.API.SetApp(ctx, installed.App.ID, api.Change{Set: map[string]string{"policy.not_after": "2999-01-01", "saml.sign": "response"}}); err != nil {
		t.Fatal(err)
	}
	p.Settings["description"] = "Newer."
	delete(p.Settings, "custom_attributes")
	newer, _ := json.Marshal(p)
	upgraded, err := other.API.AddApp(ctx, api.NewApp{Metadata: string(newer), Replace: true})
	if err != nil || !upgraded.Replaced || upgraded.App.ID != installed.App.ID {
		t.Fatalf("%+v, %v", upgraded, err)
	}
	values := map[string]string{}
	for _, s := range upgraded.App.Settings {
		values[s.Key] = s.Value
	}
	if values["description"] != "Newer." || values["custom_attributes"] != "none" || values["saml.sign"] != "assertion" || !strings.HasPrefix(values["policy.not_after"], "2999") {
		t.Errorf("after the upgrade: %v", values)
	}
	if len(upgraded.Differences) != 3 {
		t.Errorf("differences: %+v", upgraded.Differences)
	}
	for name, bad := range map[string]string{
		"a newer format": strings.Replace(string(text), `"version":1`, `"version":2`, 1), "another format": strings.Replace(string(text), "gatehouse-app", "other", 1),
		"an unknown field": strings.Replace(string(text), `"version":1`, `"version":1,"secret":"x"`, 1), "a policy": strings.Replace(string(text), `"settings":{`, `"settings":{"policy.users":"ana",`, 1),
		"a bad value": strings.Replace(string(text), `"saml.sign":"assertion"`, `"saml.sign":"nothing"`, 1), "half": string(text[:len(text)/2]),
		"a key of ours": strings.Replace(string(text), `"settings":{`, `"settings":{"saml.signing_key":"k",`, 1), "two": string(text) + "{}", "bad metadata": strings.Replace(string(text), "EntityDescriptor ", "Entity ", 1),
	} {
		fresh := Start(t, Options{})
		_, err := fresh.API.AddApp(ctx, api.NewApp{Metadata: bad})
		if problem := (*api.Error)(nil); err == nil || !errors.As(err, &problem) || problem.Status != http.StatusBadRequest {
			t.Errorf("%s: %v", name, err)
		}
		if list, err := fresh.API.Apps(ctx, "active", ""); err != nil || len(list.Items) != 3 {
			t.Errorf("%s left %d apps", name, len(list.Items))
		}
	}
}

// pendingApp: what a developer registers opens for nobody until an administrator approves it.
func (w *world) pendingApp(t *testing.T) {
	sp := w.newSP(t, "waiting")
	w.AddPerson(t, "dev", "Employees", func(n *api.NewUser) { n.Roles = []string{"developer"} })
	dev := w.signedIn(t, "dev")
	page := dev.Post("/admin/apps/new", map[string][]string{"source": {"paste"}, "metadata": {string(sp.Metadata())}, "name": {"Waiting"}})
	if page.Status != http.StatusOK || !strings.Contains(page.Body, "waits for approval") {
		t.Fatalf("%d at %s:\n%s", page.Status, page.URL, page.Body)
	}
	id := strings.TrimPrefix(page.URL.Path, "/admin/apps/")
	w.checkHere(t, w.ana(t).Get("/launch/"+id), "app_pending")
	w.check(t, w.send(t, w.ana(t), sp, Ask{}, false), sp, Ask{}, here("unknown_issuer"))
	if page := dev.Post("/admin/apps/"+id+"/approve", nil); page.Status != http.StatusForbidden {
		t.Errorf("a developer approves: %d", page.Status)
	}
	if _, err := w.API.MoveApp(t.Context(), id, "approve"); err != nil {
		t.Fatal(err)
	}
	w.checkHere(t, w.ana(t).Get("/launch/"+id), "permitted_users") // nobody was chosen yet
	w.set(t, sp, "policy.profiles", "Employees")
	w.check(t, w.ana(t).Get("/launch/"+id), sp, Ask{}, issued())
}

// attempts: unknown issuers create nothing; those of signed-in people are counted, within bounds, as text.
func (w *world) attempts(t *testing.T) {
	ctx := t.Context()
	count := func() int {
		list, err := w.API.Attempts(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return len(list.Items)
	}
	before := count()
	stranger := w.newSP(t, "from-a-stranger")
	w.check(t, w.send(t, w.browser(t), stranger, Ask{}, false), stranger, Ask{}, here("unknown_issuer"))
	if count() != before {
		t.Error("a stranger was counted")
	}
	missed := w.newSP(t, "missed")
	missed.EntityID = "https://missed.example.org/?x=<script>alert(1)</script>"
	escaped := *missed
	escaped.EntityID = "https://missed.example.org/?x=&lt;script>alert(1)&lt;/script>"
	for range 2 {
		w.check(t, w.send(t, w.ana(t), &escaped, Ask{}, false), &escaped, Ask{}, here("unknown_issuer"))
	}
	list, err := w.API.Attempts(ctx)
	if err != nil || list.Items[0].Identifier != missed.EntityID || list.Items[0].Count != 2 || list.Items[0].User.Name != "ana" {
		t.Fatalf("%+v, %v", list.Items, err)
	}
	w.AddPerson(t, "ada", "Administrators", func(n *api.NewUser) { n.Roles = []string{"owner"} })
	if page := w.signedIn(t, "ada").Get("/admin/apps"); !strings.Contains(page.Body, "missed.example.org") || strings.Contains(page.Body, "<script>alert") {
		t.Error("the console does not show it, or not as text")
	}
	c := w.signedIn(t, "ana")
	w.clock.advance(time.Minute)
	defer w.clock.stand()()
	for i := range 220 {
		sp := *missed
		sp.EntityID = fmt.Sprintf("https://many-%d.example.org/%s", i, strings.Repeat("x", 500))
		w.send(t, c, &sp, Ask{}, false)
	}
	if n := count(); n < 20 || n > 100 {
		t.Errorf("one person in a hurry left %d rows", n)
	}
}

// upperBounds: what an administrator allows holds against every later definition.
func (w *world) upperBounds(t *testing.T) {
	ctx := t.Context()
	sp := w.newSP(t, "bounded")
	app := w.AddApp(t, sp.Metadata(), map[string]string{
		"saml.attributes":   `[{"name":"urn:a:mail","source":"email"},{"name":"urn:a:sn","source":"surname"}]`,
		"custom_attributes": `[{"name":"who","source":"user.name + '!'"},{"name":"cost centre","source":"given_name"}]`,
	})
	released := func() string {
		r := w.check(t, w.ana(t).Get("/launch/"+app.ID), sp, Ask{}, issued())
		var names []string
		for _, a := range r.Root.FindElements("./Assertion/AttributeStatement/Attribute") {
			format := a.SelectAttrValue("NameFormat", "")
			names = append(names, a.SelectAttrValue("Name", "")+"/"+format[strings.LastIndexByte(format, ':')+1:]+"="+a.FindElement("./AttributeValue").Text())
		}
		return strings.Join(names, " ")
	}
	if got := released(); got != "urn:a:mail/uri=ana@example.org urn:a:sn/uri=Sample who/basic=ana! cost centre/unspecified=ana" {
		t.Errorf("released %s", got)
	}
	w.set(t, sp, "policy.attributes", "mail,user.name + '!'")
	if got := released(); got != "urn:a:mail/uri=ana@example.org who/basic=ana!" {
		t.Errorf("within the bound: %s", got)
	}
	w.set(t, sp, "saml.attributes", `[{"name":"urn:a:sn","source":"surname"},{"name":"urn:a:mail","source":"email"}]`, "custom_attributes", `[{"name":"more","source":"username"}]`)
	if _, err := w.API.AddApp(ctx, api.NewApp{Metadata: string(sp.Metadata()), Replace: true}); err != nil {
		t.Fatal(err)
	}
	if got := released(); got != "urn:a:mail/uri=ana@example.org" {
		t.Errorf("after a newer definition: %s", got)
	}
	if _, err := w.API.SetApp(ctx, app.ID, api.Change{Set: map[string]string{"custom_attributes": `[{"name":"x","source":"user.name +"}]`}}); err == nil || !strings.Contains(err.Error(), "cannot be used") {
		t.Errorf("a source that does not work: %v", err)
	}
}

// appSessions: an app is taken out of one person's session, or of all, and the sessions go on.
func (w *world) appSessions(t *testing.T) {
	ctx := t.Context()
	sp := w.newSP(t, "revoked")
	app := w.AddApp(t, sp.Metadata(), nil)
	ana, bob := w.signedIn(t, "ana"), w.signedIn(t, "bob")
	for _, c := range []*Client{ana, bob} {
		w.check(t, c.Get("/launch/"+app.ID), sp, Ask{}, issued())
	}
	w.AddPerson(t, "abe", "Administrators", func(n *api.NewUser) { n.Roles = []string{"app_admin"} })
	admin := w.signedIn(t, "abe")
	tab := admin.Get("/admin/apps/" + app.ID + "/sessions")
	if !strings.Contains(tab.Body, ">ana<") || !strings.Contains(tab.Body, ">bob<") {
		t.Fatalf("the sessions are not listed:\n%s", tab.Body)
	}
	list, err := w.API.Sessions(ctx, "bob", app.ID)
	if err != nil || len(list.Items) != 1 {
		t.Fatal(list, err)
	}
	admin.Post("/admin/apps/"+app.ID+"/sessions/end", map[string][]string{"session": {list.Items[0].Handle}})
	if tab = admin.Get("/admin/apps/" + app.ID + "/sessions"); !strings.Contains(tab.Body, ">ana<") || strings.Contains(tab.Body, ">bob<") {
		t.Error("bob's place was not revoked, or ana's was")
	}
	if bob.Get("/account").URL.Path != "/account" {
		t.Error("bob's session has ended")
	}
	admin.Post("/admin/apps/"+app.ID+"/sessions/end-all", nil)
	if tab = admin.Get("/admin/apps/" + app.ID + "/sessions"); strings.Contains(tab.Body, ">ana<") || ana.Get("/account").URL.Path != "/account" {
		t.Error("ana's place was not revoked, or her session has ended")
	}
}
