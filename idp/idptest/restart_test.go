package idptest

import (
	"encoding/json"
	"net/http"
	"testing"

	"gatehouse/idp/api"
)

// TestRestart stops the real process and starts it again on the same folder: everything is as it was, and people are still
// signed in.
func TestRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := StartBinary(t, dir)
	sp := NewSP(t, "wiki")
	for name, profile := range map[string]string{"ana": "Employees", "ben": "Contractors"} {
		p.AddPerson(t, name, profile)
	}
	p.AddPerson(t, "ada", "Administrators", func(n *api.NewUser) { n.Roles = []string{"owner"} }) // else each start makes a set-up link
	app := p.AddApp(t, sp.Metadata(), map[string]string{
		"policy.permitted_users": "preauthorized", "policy.profiles": "Employees", "saml.sign": "assertion", "policy.max_auth_age": "4h",
	})
	if _, err := p.API.SetSettings(t.Context(), api.Change{Set: map[string]string{"name": "Example Organisation", "session.max": "12h"}}); err != nil {
		t.Fatal(err)
	}
	metadata := p.NewClient(t).Get("/saml/metadata").Body
	browser := p.SignedIn(t, "ana")
	first := browser.Get("/launch/" + app.ID).Response(t)
	before := everything(t, &p.Server)
	if err := p.Terminate(t.Context()); err != nil {
		t.Fatalf("the server ended with: %v", err)
	}
	p = StartBinary(t, dir, "--base-url", p.URL, "--listen", p.URL[len("http://"):])
	if after := everything(t, &p.Server); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	if got := p.NewClient(t).Get("/saml/metadata").Body; keysOf(t, got) != keysOf(t, metadata) {
		t.Errorf("the metadata publishes another key:\n%s\n%s", metadata, got)
	}
	second := browser.Get("/launch/" + app.ID).Response(t)
	if err := second.Verify([]byte(metadata)); err != nil {
		t.Error(err)
	}
	const nameID = "./Assertion/Subject/NameID"
	if second.Text(nameID) != first.Text(nameID) || first.Text(nameID) == "" {
		t.Errorf("the app knew %q and now knows %q", first.Text(nameID), second.Text(nameID))
	}
	refused := p.SignedIn(t, "ben").Get("/launch/" + app.ID)
	if _, answered := refused.LookupField("SAMLResponse"); answered || refused.Status != http.StatusForbidden {
		t.Errorf("ben, who does not hold the profile, gets %d:\n%s", refused.Status, refused.Body)
	}
}

// TestLogoutAfterRestart: what apps were told of a session outlives the process, so that logout still reaches them all.
func TestLogoutAfterRestart(t *testing.T) {
	t.Parallel()
	t.Run("SES-03 logout is complete after a restart", func(t *testing.T) {
		dir := t.TempDir()
		p := StartBinary(t, dir)
		p.AddPerson(t, "ana", "Employees")
		apps, told, browser := []*SP{NewSP(t, "asks"), NewSP(t, "hears")}, []*Response(nil), p.SignedIn(t, "ana")
		for i, sp := range apps {
			sp.SLO = front([]string{"asks", "hears"}[i])
			told = append(told, browser.Get("/launch/"+p.AddApp(t, sp.Metadata(), nil).ID).Response(t))
		}
		if err := p.Terminate(t.Context()); err != nil {
			t.Fatal(err)
		}
		p = StartBinary(t, dir, "--base-url", p.URL, "--listen", p.URL[len("http://"):])
		slo, leave := p.URL+"/saml/slo", leaveOf(told[0])
		hub := browser.Get(apps[0].redirectTo(slo, "SAMLRequest", apps[0].Logout(slo, leave), nil, true))
		link := nextLink.FindStringSubmatch(hub.Body)
		if link == nil {
			t.Fatalf("the other app is not told (%d):\n%s", hub.Status, hub.Body)
		}
		request := carried(t, browser.Get(link[1]))
		isFor(t, request.Element, told[1])
		end := carried(t, browser.Get(apps[1].redirectTo(slo, "SAMLResponse", apps[1].LogoutAnswer(slo, request.SelectAttrValue("ID", ""), ""), nil, true)))
		if end.status() != "Success" || end.SelectAttrValue("InResponseTo", "") != leave.ID || browser.Get("/account").URL.Path != "/login" {
			t.Errorf("the app that asked is told %s", end.status())
		}
	})
}

// everything is what an administrator can see, as text.
func everything(t *testing.T, s *Server) string {
	t.Helper()
	ctx := t.Context()
	seen := map[string]any{}
	note := func(name string, value any, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		seen[name] = value
	}
	apps, err := s.API.Apps(ctx, "", "")
	note("apps", apps, err)
	for _, one := range apps.Items {
		app, err := s.API.App(ctx, one.ID)
		note("app "+one.ID, app, err)
	}
	users, err := s.API.Users(ctx, "", "")
	note("users", users, err)
	for _, kind := range []string{"profiles", "permission-sets", "groups"} {
		list, err := s.API.NamedList(ctx, kind, "")
		note(kind, list, err)
	}
	settings, err := s.API.Settings(ctx)
	note("settings", settings, err)
	keys, err := s.API.Keys(ctx)
	note("keys", keys, err)
	sessions, err := s.API.Sessions(ctx, "", "")
	note("sessions", sessions, err)
	if len(sessions.Items) == 0 {
		t.Error("nobody is signed in")
	}
	audit, err := s.API.Audit(ctx, api.AuditQuery{Limit: 1000})
	note("audit", audit, err)
	text, err := json.MarshalIndent(seen, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// keysOf are the certificates that metadata publishes; the rest of it, such as its validity, moves on.
func keysOf(t *testing.T, metadata string) string {
	t.Helper()
	text, err := json.Marshal(PEMCertificates(t, []byte(metadata)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
