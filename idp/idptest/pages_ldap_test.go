package idptest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/idp/api"
)

// TestDirectoryPages walks through the pages of directory sources and of the import of people.
func TestDirectoryPages(t *testing.T) {
	t.Parallel()
	l, s := StartSlapd(t), Start(t, Options{})
	furnish(t, s)
	for _, uid := range []string{"mia", "ole", "ada"} {
		l.AddPerson(t, uid, uid+"s password")
	}
	l.SetGroup(t, "vpn", "mia")
	ldapSource(t, s, l, nil)
	runSync(t, s, api.RunSync{})
	g := newGallery(t)
	g.Open(s.URL)
	g.signIn("ada", Password)
	g.WaitFor("#tiles")
	g.visit("directories", s.URL+"/admin/sources")
	g.visit("directory", s.URL+"/admin/sources/corp")
	g.Type("#f-user", "mia")
	g.Click("form[action$='/test'] button")
	g.WaitFor("[role=status] dl.facts")
	g.look("directory-tested")
	g.Click("form[action$='/sync'] button[name=dry_run]")
	g.WaitFor("section:has(form[action$='/sync']) [role=status] dl.facts")
	g.look("directory-plan")
	g.visit("user-of-directory", s.URL+"/admin/users/"+person(t, s, "mia").ID)
	g.visit("import", s.URL+"/admin/user-imports")
	file := filepath.Join(t.TempDir(), "people.csv")
	writeCSV := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	writeCSV("name,email,groups\nzoe,zoe@example.org,\nyan,yan@example.org,Nowhere\n")
	g.Upload("#f-file", file)
	g.Expect("422")
	g.Click("form.form button.primary")
	g.WaitFor(".notice.danger")
	g.look("import-refused")
	writeCSV("name,email,display_name\nzoe,zoe@example.org,=cmd|' /C calc'!A0\nben,,Benedict\n" + strings.Repeat("x", 60) + ",,A long one\n")
	g.Upload("#f-file", file)
	g.Click("form.form button.primary")
	g.WaitFor("table.list")
	g.look("import-preview")
	g.Click("button[name=import]")
	g.WaitFor("a.primary[href='/admin/users']")
	g.look("import-done")
	if zoe := person(t, s, "zoe"); zoe.DisplayName != "=cmd|' /C calc'!A0" {
		t.Errorf("zoe: %+v", zoe)
	}
}
