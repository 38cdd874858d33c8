package admin

import (
	"fmt"
	"strings"
	"testing"

	"gatehouse/idp/api"
)

func (w *world) importCSV(text string, dry bool) (api.Imported, error) {
	return w.ImportUsers(w.t.Context(), socket, api.Import{CSV: text, DryRun: dry})
}

// The file as a whole is refused with what to do; nothing is in the store afterwards.
func TestImportRefusesFiles(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "The file is empty"}, {"blank", " \n\n", "The file is empty"}, {"no name column", "email\na@example.org\n", "the column name is missing"},
		{"unknown column", "name,password\nana,secret\n", `there is no column "password"`}, {"roles", "name,roles\nana,owner\n", `there is no column "roles"`},
		{"twice", "name,email,email\n", `"email" is there twice`}, {"wide characters", "\xff\xfen\x00a\x00", "CSV UTF-8"}, {"latin 1", "name,surname\nana,Mu\xf1oz\n", "Line 2 is not UTF-8"},
		{"binary", "PK\x03\x04\x00\x00", "no CSV text"}, {"too large", "name\n" + strings.Repeat("x", maxImport), "larger than 16 MiB"},
		{"too many", "name\n" + strings.Repeat("a\n", maxImportRows+1), "more than 50000 people"}, {"quote in the header", "\"name\n", "Line 1 cannot be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := w.importCSV(c.text, false); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// One wrong line, and nobody is added: each error has the number of its line.
func TestImportIsWholeOrNothing(t *testing.T) {
	w := newWorld(t)
	_, err := w.AddUser(t.Context(), socket, api.NewUser{Name: "boss", Roles: []string{RoleOwner}})
	must(t, err)
	text := "\ufeffname;email;profile;groups;disabled\r\nana;ana@example.org;;;\r\nbea;bea@example.org\r\n;x@example.org;;;\r\n" +
		"cia;;Nowhere;;\r\ndia;no address;;;\r\neva;eva@example.org;;Nobody;\r\nANA;;;;\r\nfay;ana@example.org;;;\r\ngil;;;;perhaps\r\nboss;;;;yes\r\nh\u200bi;;;;\r\n"
	for _, dry := range []bool{true, false} {
		done, err := w.importCSV(text, dry)
		must(t, err)
		got := map[int]string{}
		for _, problem := range done.Errors {
			got[problem.Line] = problem.Text
		}
		for line, want := range map[int]string{
			3: "2 columns, and the first line names 5", 4: "user name is missing", 5: `no profile "Nowhere"`, 6: "is not an e-mail address", 7: `no group "Nobody"`, 8: "is on line 2 already",
			9: "is on line 2 already", 10: "true or false", 11: "role in the console", 12: "invisible character",
		} {
			if !strings.Contains(got[line], want) {
				t.Errorf("line %d: %q, want %q", line, got[line], want)
			}
		}
		if len(got) != 10 || done.Created != 0 {
			t.Errorf("%d errors, %d created", len(got), done.Created)
		}
	}
	if entries := w.entries("user.import"); len(entries) != 2 || entries[0].Reason != "bad_lines" || entries[0].Facts["line"] != "3" {
		t.Errorf("the audit: %+v", entries)
	}
	if _, err := w.User(t.Context(), "ana"); err == nil {
		t.Error("a line before the errors was taken")
	}
}

func TestImportReadsOnAfterAQuoteOnlyWhereItIsClosed(t *testing.T) {
	w := newWorld(t)
	_, err := profiles.add(t.Context(), w.Actions, socket, api.Named{Name: "Standard"})
	must(t, err)
	done, err := w.importCSV("name,display_name\nana,\"Ana\nbea,Bea\n", true)
	must(t, err)
	if len(done.Errors) != 1 || done.Errors[0].Line != 2 || !strings.Contains(done.Errors[0].Text, "quotation mark") {
		t.Errorf("errors: %+v", done.Errors)
	}
	done, err = w.importCSV("name,display_name\nana,\"Almeida, Ana\"\n", false)
	must(t, err)
	if user, err := w.User(t.Context(), "ana"); err != nil || user.DisplayName != "Almeida, Ana" || done.Created != 1 {
		t.Errorf("%+v, %v", user, err)
	}
}

// Who is there already is changed: an empty cell leaves a value, `default` empties it, and who is disabled is signed out.
func TestImportChanges(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"Standard", "Staff"} {
		_, err := profiles.add(t.Context(), w.Actions, socket, api.Named{Name: name})
		must(t, err)
	}
	_, err := groups.add(t.Context(), w.Actions, socket, api.Named{Name: "Readers"})
	must(t, err)
	done, err := w.importCSV("name,email,profile,groups,attributes.department\nana,ana@example.org,Staff,Readers,Sales\nben,ben@example.org,,,\n", false)
	must(t, err)
	if done.Created != 2 {
		t.Errorf("%+v", done)
	}
	again, err := w.importCSV("name,email,profile,groups,attributes.department\nana,ana@example.org,Staff,Readers,Sales\nben,ben@example.org,,,\n", true)
	must(t, err)
	if again.Unchanged != 2 || len(again.Rows) != 0 {
		t.Errorf("the same file again: %+v", again)
	}
	plan, err := w.importCSV("NAME,email,groups,disabled\nAna,,default,\nben,b2@example.org,,true\n", true)
	must(t, err)
	if plan.Changed != 1 || plan.Disabled != 1 || len(plan.Rows) != 2 || plan.Rows[1].Action != "disable" || plan.Rows[1].Line != 3 {
		t.Errorf("the plan: %+v", plan)
	}
	if user, err := w.User(t.Context(), "ben"); err != nil || user.Status != "active" {
		t.Errorf("a dry run disabled somebody: %+v, %v", user, err)
	}
	_, err = w.importCSV("NAME,email,groups,disabled\nAna,,default,\nben,b2@example.org,,true\n", false)
	must(t, err)
	ana, err := w.User(t.Context(), "ana")
	must(t, err)
	ben, err := w.User(t.Context(), "ben")
	must(t, err)
	if ana.Email != "ana@example.org" || len(ana.Groups) != 0 || ana.Attributes["department"][0] != "Sales" || ana.Profile.Name != "Staff" {
		t.Errorf("ana: %+v", ana)
	}
	if ben.Status != "disabled" || ben.Email != "b2@example.org" {
		t.Errorf("ben: %+v", ben)
	}
	if n := len(w.entries("user.disable")); n != 1 {
		t.Errorf("%d entries of who was disabled", n)
	}
}

// More people than one transaction takes are all in afterwards, each with an audit entry.
func TestImportInBatches(t *testing.T) {
	w := newWorld(t)
	_, err := profiles.add(t.Context(), w.Actions, socket, api.Named{Name: "Standard"})
	must(t, err)
	var text strings.Builder
	text.WriteString("name\n")
	for i := range importBatch + 20 {
		fmt.Fprintf(&text, "p%04d\n", i)
	}
	done, err := w.importCSV(text.String(), false)
	must(t, err)
	if done.Created != importBatch+20 {
		t.Errorf("%+v", done)
	}
	if last, err := w.User(t.Context(), fmt.Sprintf("p%04d", importBatch+19)); err != nil {
		t.Errorf("%+v, %v", last, err)
	}
}
