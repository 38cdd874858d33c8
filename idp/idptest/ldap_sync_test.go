package idptest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"gatehouse/idp/api"
)

// What happens to people of a directory happens to them here: they come, change, are called otherwise, and go, with their sessions.
func TestLDAPSync(t *testing.T) {
	t.Parallel()
	l, s := StartSlapd(t), Start(t, Options{})
	furnish(t, s)
	for _, uid := range []string{"mia", "ole", "pia"} {
		l.AddPerson(t, uid, uid+"s password")
	}
	l.AddPerson(t, "ada", "adas password there") // the name of somebody local
	l.SetGroup(t, "vpn", "mia", "ole")
	ldapSource(t, s, l, map[string]string{"page_size": "10"})
	plan := runSync(t, s, api.RunSync{DryRun: true})
	if plan.Found != 4 || plan.Created != 3 && plan.Changed != 3 && plan.Left != 1 {
		t.Errorf("the plan: %+v", plan)
	}
	report := runSync(t, s, api.RunSync{})
	if report.Left != 1 || !strings.Contains(report.Reasons[0], "uid=ada") || !strings.Contains(report.Reasons[0], "taken here by ada") {
		t.Errorf("the clash: %+v", report)
	}
	mia, pia := person(t, s, "mia"), person(t, s, "pia")
	if len(mia.PermissionSets) != 1 || len(pia.PermissionSets) != 0 || mia.Source != "corp" {
		t.Errorf("after the first run: %+v, %+v", mia, pia)
	}
	if again := runSync(t, s, api.RunSync{}); again.Created+again.Changed+again.Disabled != 0 {
		t.Errorf("a quiet run did something: %+v", again)
	}
	browser := s.NewClient(t)
	if page := browser.SignIn(browser.Get("/login"), "pia", "pias password"); page.URL.Path != "/" {
		t.Fatalf("pia: %d", page.Status)
	}
	// ole is called olaf from now on, another person is called ole, pia goes.
	l.Rename(t, "ole", "olaf")
	ole := person(t, s, "ole")
	l.AddPerson(t, "ole", "another password")
	l.Set(t, "olaf", "mail", "olaf@example.org")
	l.Remove(t, "pia")
	plan = runSync(t, s, api.RunSync{DryRun: true})
	if len(plan.Gone) != 1 || plan.Gone[0] != "pia" {
		t.Errorf("the plan: %+v", plan)
	}
	runSync(t, s, api.RunSync{})
	if olaf := person(t, s, "olaf"); olaf.ID != ole.ID || olaf.Email != "olaf@example.org" {
		t.Errorf("a rename made another person: %+v, was %+v", olaf, ole)
	}
	if other := person(t, s, "ole"); other.ID == ole.ID || other.Email != "ole@example.org" {
		t.Errorf("a name that was taken over stands for the old person: %+v", other)
	}
	if gone := person(t, s, "pia"); gone.Status != "disabled" || !gone.Gone {
		t.Errorf("who is gone there: %+v", gone)
	}
	if page := browser.Get("/"); page.URL.Path != "/login" {
		t.Errorf("the session of who is gone goes on at %s", page.URL)
	}
	entries, err := s.API.Audit(t.Context(), api.AuditQuery{User: pia.ID, Limit: 50})
	if err != nil || !hasEntry(entries.Items, "user.disable", "sessions", "1") {
		t.Errorf("the audit of who is gone: %+v, %v", entries, err)
	}
	// Whom an administrator disabled stays so; who is back there is back here.
	if _, err := s.API.EnableUser(t.Context(), "mia", false); err != nil {
		t.Fatal(err)
	}
	if page := tryLDAP(t, s, "mia", "mias password"); page.Status != http.StatusForbidden {
		t.Errorf("a disabled person signs in: %d", page.Status)
	}
}

func person(t testing.TB, s *Server, name string) api.User {
	t.Helper()
	user, err := s.API.User(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return user
}

func hasEntry(entries []api.AuditEntry, kind, fact, value string) bool {
	for _, e := range entries {
		if e.Kind == kind && e.Facts[fact] == value {
			return true
		}
	}
	return false
}

// Who signs in with a name that was somebody else's there is not that person, also before any run has seen the change.
func TestLDAPNameTakenOver(t *testing.T) {
	t.Parallel()
	l, s := StartSlapd(t), Start(t, Options{})
	furnish(t, s)
	l.AddPerson(t, "kim", "first password")
	ldapSource(t, s, l, nil)
	first := s.NewClient(t)
	if page := first.SignIn(first.Get("/login"), "kim", "first password"); page.URL.Path != "/" {
		t.Fatalf("kim: %d", page.Status)
	}
	before := person(t, s, "kim")
	l.Remove(t, "kim")
	l.AddPerson(t, "kim", "second password")
	if page := tryLDAP(t, s, "kim", "first password"); page.Status != http.StatusForbidden {
		t.Errorf("the old password: %d", page.Status)
	}
	if page := tryLDAP(t, s, "kim", "second password"); page.URL.Path != "/" {
		t.Fatalf("the new kim: %d\n%s", page.Status, page.Body)
	}
	after := person(t, s, "kim")
	if after.ID == before.ID {
		t.Fatal("another person has the account of the old one")
	}
	if old := person(t, s, before.ID); old.Status != "disabled" || !old.Gone || old.Name == "kim" || old.Email != "" {
		t.Errorf("the old one: %+v", old)
	}
	if page := first.Get("/"); page.URL.Path != "/login" {
		t.Errorf("the session of the old one goes on at %s", page.URL)
	}
}

// A run that would disable many people, or everybody, looks like a mistake: nothing is changed until it is forced.
func TestLDAPSyncRefuses(t *testing.T) {
	t.Parallel()
	l, s := StartSlapd(t), Start(t, Options{})
	furnish(t, s)
	l.Do(t, func(c *ldap.Conn) error {
		for i := range 40 {
			if err := c.Add(l.person(fmt.Sprintf("p%02d", i), "")); err != nil {
				return err
			}
		}
		return nil
	})
	ldapSource(t, s, l, map[string]string{"interval": "30d"})
	runSync(t, s, api.RunSync{})
	for i := range 11 {
		l.Remove(t, fmt.Sprintf("p%02d", i))
	}
	_, err := s.API.SyncDirectorySource(t.Context(), "corp", api.RunSync{})
	if err == nil || !strings.Contains(err.Error(), "11 of 40 people are gone") {
		t.Fatalf("11 of 40: %v", err)
	}
	if user := person(t, s, "p03"); user.Status != "active" {
		t.Error("a refused run disabled somebody")
	}
	entries, err := s.API.Audit(t.Context(), api.AuditQuery{Kind: "source.sync", Limit: 50})
	if err != nil || len(entries.Items) == 0 || entries.Items[0].Reason != "sync_refused" && entries.Items[len(entries.Items)-1].Reason != "sync_refused" {
		t.Errorf("the audit: %+v, %v", entries.Items, err)
	}
	if report := runSync(t, s, api.RunSync{Force: true}); report.Disabled != 11 {
		t.Errorf("forced: %+v", report)
	}
	if _, err := s.API.SetDirectorySource(t.Context(), "corp", api.DirectorySourceChange{Set: map[string]string{"user_filter": "(&(objectClass=device)(cn={name}))"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.API.SyncDirectorySource(t.Context(), "corp", api.RunSync{}); err == nil || !strings.Contains(err.Error(), "The search found nobody") {
		t.Errorf("nobody: %v", err)
	}
	if user := person(t, s, "p30"); user.Status != "active" {
		t.Error("an empty search disabled somebody")
	}
}
