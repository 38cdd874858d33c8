package idptest

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"gatehouse/idp/api"
)

// ldapSource is a source of a Slapd, with groups that stand for things here.
func ldapSource(t testing.TB, s *Server, l *Slapd, set map[string]string) {
	t.Helper()
	for kind, name := range map[string]string{"profiles": "Standard", "permission-sets": "VPN", "groups": "Engineers"} {
		if _, err := s.API.AddNamed(t.Context(), kind, api.Named{Name: name}); err != nil {
			var refused *api.Error
			if !errors.As(err, &refused) || refused.Reason != "exists" {
				t.Fatal(err)
			}
		}
	}
	n := api.NewDirectorySource{Name: "corp", BindPassword: SlapdPassword, Set: map[string]string{
		"url": l.LDAPS, "ca": l.CA, "bind_dn": SlapdAdmin, "base_dn": "ou=people," + SlapdBase, "group_base": "ou=groups," + SlapdBase,
		"attributes": "department=departmentNumber", "permission_sets": "vpn=VPN", "groups": `["cn=eng,ou=groups,dc=example,dc=org=Engineers"]`, "profile": "Standard",
	}}
	for key, value := range set {
		n.Set[key] = value
	}
	if _, err := s.API.AddDirectorySource(t.Context(), n); err != nil {
		t.Fatal(err)
	}
}

func runSync(t testing.TB, s *Server, ask api.RunSync) api.SyncReport {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		report, err := s.API.SyncDirectorySource(t.Context(), "corp", ask)
		if err == nil {
			return report
		}
		if !strings.Contains(err.Error(), "brought over at this moment") || time.Now().After(deadline) { // by the server itself
			t.Fatal(err)
		}
	}
}

func tryLDAP(t testing.TB, s *Server, name, password string) *Page {
	t.Helper()
	c := s.NewClient(t)
	return c.SignIn(c.Get("/login"), name, password)
}

// A person of a directory signs in with the password there, and becomes a person here at once; wrong and empty ones do not, and what
// looks like a filter is a name that nobody has.
func TestLDAPSignIn(t *testing.T) {
	t.Parallel()
	l, s := StartSlapd(t), Start(t, Options{})
	furnish(t, s)
	l.AddPerson(t, "mia", "mias password")
	l.SetGroup(t, "vpn", "mia")
	l.SetGroup(t, "eng", "mia")
	ldapSource(t, s, l, nil)
	for _, wrong := range []struct{ name, password string }{
		{"mia", "wrong"}, {"nobody", "mias password"}, {"*", "mias password"}, {"mia)(uid=*", "mias password"}, {"mi*", "mias password"},
		{"mia)(|(uid=*))", "mias password"}, {`mi\61`, "mias password"}, {"mia\x00", "mias password"}, {"mia", " "}, {"mia", strings.Repeat("x", 2000)},
	} {
		if page := tryLDAP(t, s, wrong.name, wrong.password); page.Status != http.StatusForbidden || !strings.Contains(page.Body, "The user name or the password is wrong") {
			t.Errorf("%q with %.20q: %d at %s", wrong.name, wrong.password, page.Status, page.URL)
		}
	}
	if page := tryLDAP(t, s, "mia", ""); page.Status != http.StatusUnprocessableEntity {
		t.Errorf("an empty password: %d", page.Status)
	}
	if list, err := s.API.Users(t.Context(), "mia", ""); err != nil || len(list.Items) != 0 {
		t.Fatalf("before the sign-in: %v, %v", list, err)
	}
	if page := tryLDAP(t, s, "Mia", "mias password"); page.Status != http.StatusOK || page.URL.Path != "/" {
		t.Fatalf("sign-in rests at %s with %d:\n%s", page.URL, page.Status, page.Body)
	}
	user, err := s.API.User(t.Context(), "mia")
	if err != nil {
		t.Fatal(err)
	}
	if user.Source != "corp" || user.ExternalID == "" || user.Email != "mia@example.org" || user.DisplayName != "mia of Example" || user.Profile.Name != "Standard" ||
		len(user.PermissionSets) != 1 || user.PermissionSets[0].Name != "VPN" || len(user.Groups) != 1 || user.Groups[0].Name != "Engineers" || user.Attributes["department"][0] != "7" {
		t.Errorf("the person: %+v", user)
	}
	// By the e-mail address, and with what changed there meanwhile.
	l.Set(t, "mia", "displayName", "Mia Major")
	l.SetGroup(t, "vpn")
	if page := tryLDAP(t, s, "mia@example.org", "mias password"); page.URL.Path != "/" {
		t.Fatalf("by address: %d:\n%s", page.Status, page.Body)
	}
	if user, err = s.API.User(t.Context(), "mia"); err != nil || user.DisplayName != "Mia Major" || len(user.PermissionSets) != 0 {
		t.Errorf("after the change there: %+v, %v", user, err)
	}
	// There is no password of hers here.
	if _, err := s.API.ResetPassword(t.Context(), "mia", "another password"); err == nil || !strings.Contains(err.Error(), "the password of the directory corp") {
		t.Errorf("a local password: %v", err)
	}
	if _, err := s.API.SetUser(t.Context(), "mia", api.Change{Set: map[string]string{"email": "x@example.org"}}); err == nil || !strings.Contains(err.Error(), "change names and the e-mail address there") {
		t.Errorf("another address: %v", err)
	}
	mia := s.NewClient(t)
	mia.SignIn(mia.Get("/login"), "mia", "mias password")
	if page := mia.Get("/account"); !strings.Contains(page.Body, "in the directory corp") || strings.Contains(page.Body, "/account/password") {
		t.Error("the account page offers to change a password that is not here")
	}
	change := url.Values{"current": {"mias password"}, "new": {"another password"}, "repeat": {"another password"}}
	if page := mia.Post("/account/password", change); page.Status != http.StatusConflict || !strings.Contains(page.Body, "the password of the directory corp") {
		t.Errorf("a change of it: %d\n%s", page.Status, page.Body)
	}
	if page := tryLDAP(t, s, "ada", Password); page.URL.Path != "/" {
		t.Errorf("a local person: %d", page.Status)
	}
	// Without the directory she cannot sign in, until she is given a password and is one of ours.
	if _, err := s.API.RemoveDirectorySource(t.Context(), "corp"); err != nil {
		t.Fatal(err)
	}
	if page := tryLDAP(t, s, "mia", "mias password"); page.Status != http.StatusForbidden {
		t.Errorf("after the end of the directory: %d", page.Status)
	}
	if _, err := s.API.ResetPassword(t.Context(), "mia", "another password"); err != nil {
		t.Fatal(err)
	}
	if page := tryLDAP(t, s, "mia", "another password"); page.URL.Path != "/" {
		t.Errorf("as one of ours: %d", page.Status)
	}
}
