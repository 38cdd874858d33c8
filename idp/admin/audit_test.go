package admin

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/store"
)

// happens appends entries as they stand.
func (w *world) happens(events ...audit.Event) {
	w.t.Helper()
	must(w.t, w.store.Update(w.t.Context(), func(tx store.Tx) error {
		for _, event := range events {
			if _, err := w.Audit.Append(tx, event); err != nil {
				return err
			}
		}
		return nil
	}))
}

// at moves the clock of the audit.
func (w *world) at(now time.Time) { w.Audit.Now = func() time.Time { return now } }

func TestAuditFilters(t *testing.T) {
	w := newWorld(t)
	ada := w.person("ada", RoleOwner)
	app := w.app("benefits")
	w.happens(
		audit.Event{Kind: "signon", Outcome: audit.OK, Actor: ada.ID, User: ada.ID, App: app, Address: "192.0.2.7"},
		audit.Event{Kind: "signon", Outcome: audit.Refused, Reason: "permitted_users", Actor: ada.ID, User: ada.ID, App: app, Address: "192.0.2.200"},
		audit.Event{Kind: "signon", Outcome: audit.Refused, Reason: "replay", Actor: "system", App: app, Address: "2001:db8::1"},
	)
	w.at(testNow.Add(time.Hour))
	w.happens(audit.Event{Kind: "signout", Outcome: audit.OK, Actor: ada.ID, User: ada.ID, Address: "192.0.2.7"})
	code := w.entries("signout")[0].Code
	for name, c := range map[string]struct {
		q    api.AuditQuery
		want int
	}{
		"user's name":      {api.AuditQuery{User: "ada", Kind: "signon"}, 2},
		"actor's name":     {api.AuditQuery{Actor: "ada"}, 3},
		"system":           {api.AuditQuery{Actor: "system"}, 1},
		"socket":           {api.AuditQuery{Actor: "uid 0"}, 2},
		"reason":           {api.AuditQuery{Reason: "permitted_users", App: "benefits"}, 1},
		"address":          {api.AuditQuery{Address: "192.0.2.7"}, 2},
		"network":          {api.AuditQuery{Address: "192.0.2.0/25"}, 2},
		"network by host":  {api.AuditQuery{Address: "192.0.2.77/24"}, 3},
		"IPv6":             {api.AuditQuery{Address: "2001:db8::/32"}, 1},
		"mapped":           {api.AuditQuery{Address: "::ffff:192.0.2.200"}, 1},
		"until":            {api.AuditQuery{Kind: "signout", Until: testNow.Add(time.Hour)}, 0},
		"until after":      {api.AuditQuery{Kind: "signout", Until: testNow.Add(time.Hour + 1)}, 1},
		"code":             {api.AuditQuery{Code: strings.ToLower(strings.ReplaceAll(code, "-", " "))}, 1},
		"code and another": {api.AuditQuery{Code: code, Kind: "signon"}, 0},
		"no code":          {api.AuditQuery{Code: "0000-0000"}, 0},
	} {
		list, err := w.AuditEntries(t.Context(), c.q)
		if err != nil || len(list.Items) != c.want {
			t.Errorf("%s: %d entries (%v), want %d", name, len(list.Items), err, c.want)
		}
	}
	for field, q := range map[string]api.AuditQuery{"address": {Address: "192.0.2"}, "outcome": {Outcome: "fine"}, "after": {After: "?"}} {
		_, err := w.AuditEntries(t.Context(), q)
		refusal(t, err, 400, "bad_value", field)
	}
	_, err := w.AuditEntries(t.Context(), api.AuditQuery{Actor: "nobody"})
	refusal(t, err, 404, "not_found", "actor")
}

// TestExport: both formats hold every entry once, the export is audited first, and what is wrong is said before anything is sent.
func TestExport(t *testing.T) {
	w := newWorld(t)
	ada := w.person("ada", RoleAuditor)
	for range 2300 {
		w.happens(audit.Event{Kind: "signon", Outcome: audit.OK, Actor: ada.ID, User: ada.ID})
	}
	var lines, table bytes.Buffer
	must(t, w.ExportAudit(t.Context(), ada, api.AuditQuery{User: "ada", Kind: "signon"}, "jsonl", &lines))
	must(t, w.ExportAudit(t.Context(), ada, api.AuditQuery{User: "ada", Kind: "signon", Limit: 3, After: "?"}, "csv", &table))
	seen := map[uint64]bool{}
	for d := json.NewDecoder(&lines); ; {
		var e api.AuditEntry
		err := d.Decode(&e)
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		if seen[e.Seq] || e.User.Name != "ada" || e.Kind != "signon" {
			t.Fatalf("%+v", e)
		}
		seen[e.Seq] = true
	}
	rows, err := csv.NewReader(&table).ReadAll()
	if err != nil || len(seen) != 2300 || len(rows) != 2301 || !slices.Equal(rows[0], csvColumns) || rows[1][10] != "ada" {
		t.Errorf("%d lines, %d rows, %v", len(seen), len(rows), err)
	}
	exports := w.entries("audit.export")
	if len(exports) != 2 || exports[0].Actor.ID != ada.ID || exports[1].Facts["format"] != "jsonl" || exports[0].Facts["filter_kind"] != "signon" || exports[0].User.ID != ada.ID {
		t.Errorf("%+v", exports)
	}
	refusal(t, w.ExportAudit(t.Context(), ada, api.AuditQuery{}, "xml", io.Discard), 400, "bad_value", "format")
	refusal(t, w.ExportAudit(t.Context(), ada, api.AuditQuery{Address: "x"}, "csv", io.Discard), 400, "bad_value", "address")
	if left := w.entries("audit.export"); len(left) != 2 {
		t.Errorf("a refused export left an entry: %+v", left)
	}
}

// TestCSVIsNoFormula: what strangers write does not become a formula in a spreadsheet.
func TestCSVIsNoFormula(t *testing.T) {
	w := newWorld(t)
	for _, evil := range []string{`=HYPERLINK("https://x.example")`, "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1"} {
		w.happens(audit.Event{Kind: "request", Outcome: audit.Refused, Reason: evil, Actor: evil, Address: evil, Detail: evil, Facts: map[string]string{evil: evil}})
	}
	var table bytes.Buffer
	must(t, w.ExportAudit(t.Context(), socket, api.AuditQuery{}, "csv", &table))
	rows, err := csv.NewReader(&table).ReadAll()
	must(t, err)
	defused := 0
	for _, row := range rows {
		for _, cell := range row {
			if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
				t.Errorf("%q", cell)
			}
			if strings.HasPrefix(cell, "'") {
				defused++
			}
		}
	}
	if defused != 6*5 {
		t.Errorf("%d cells are defused", defused)
	}
	var none bytes.Buffer
	must(t, w.ExportAudit(t.Context(), socket, api.AuditQuery{Kind: "nothing"}, "csv", &none))
	if none.String() != strings.Join(csvColumns, ",")+"\n" {
		t.Errorf("%q", none.String())
	}
}

// TestExportOverHTTP: a file with a name for who may read the audit; an export that breaks off does not look whole.
func TestExportOverHTTP(t *testing.T) {
	w := newWorld(t)
	server := w.server()
	w.actor = w.person("hal", RoleHelpDesk).Actor
	if status, _ := send(t, server, "GET", "/admin/audit/export?format=csv", "", ""); status != http.StatusForbidden {
		t.Errorf("a help desk exports: %d", status)
	}
	w.actor = w.person("eve", RoleAuditor).Actor
	for range 2500 {
		w.happens(audit.Event{Kind: "signon", Outcome: audit.OK, Detail: strings.Repeat("x", 500)})
	}
	for _, path := range []string{"/admin/audit/export?format=csv&kind=signon", "/api/v1/audit/export?kind=signon"} {
		answer, err := server.Client().Get(server.URL + path)
		must(t, err)
		body, err := io.ReadAll(answer.Body)
		if err != nil || bytes.Count(body, []byte("\n")) < 2500 || !strings.HasPrefix(answer.Header.Get("Content-Disposition"), "attachment; filename=audit-2027-01-31-120000.") {
			t.Errorf("%s: %d bytes, %v, %v", path, len(body), err, answer.Header)
		}
	}
	for _, path := range []string{"/admin/audit/export?format=xml", "/api/v1/audit/export?address=x"} {
		if status, body := send(t, server, "GET", path, "", ""); status != http.StatusBadRequest || strings.Contains(body, "attachment") {
			t.Errorf("%s: %d %.200s", path, status, body)
		}
	}
	w.damage(1200)
	answer, err := server.Client().Get(server.URL + "/admin/audit/export?format=csv")
	must(t, err)
	if body, err := io.ReadAll(answer.Body); err == nil || len(body) == 0 {
		t.Errorf("an export that broke off looks whole: %d bytes, %v", len(body), err)
	}
	client, err := api.OverNetwork(server.URL, "token")
	must(t, err)
	var broken *api.Error
	if err := client.ExportAudit(t.Context(), api.AuditQuery{}, "jsonl", io.Discard); !errors.As(err, &broken) || broken.Reason != "broken_off" {
		t.Errorf("the client takes a part for the whole: %v", err)
	}
}

// damage flips a bit of an entry's stored bytes.
func (w *world) damage(seq int) {
	w.t.Helper()
	must(w.t, w.store.Update(w.t.Context(), func(tx store.Tx) error {
		n := 0
		return tx.Scan(store.PrefixRange([]byte("audit\x00etest\x00")), func(key, value []byte) error {
			if n++; n < seq {
				return nil
			}
			value[20] ^= 1
			return errors.Join(tx.Put(key, value), store.ErrStop)
		})
	}))
}

func TestVerifyAction(t *testing.T) {
	w := newWorld(t)
	w.actor = w.person("eve", RoleAuditor).Actor
	for i := range 30 {
		w.happens(audit.Event{Kind: "signon", Outcome: audit.OK, Detail: fmt.Sprint(i)})
	}
	first, err := w.VerifyAudit(t.Context(), "")
	if err != nil || !first.Whole || len(first.Chains) != 1 || first.Chains[0].Last != 31 {
		t.Fatalf("%+v, %v", first, err)
	}
	head := first.Chains[0].Head
	if again, err := w.VerifyAudit(t.Context(), " "+strings.ToUpper(head)); err != nil || !again.Whole {
		t.Errorf("the kept head: %+v, %v", again, err)
	}
	if other, err := w.VerifyAudit(t.Context(), strings.Repeat("ab", 32)); err != nil || other.Whole || other.Problem == "" {
		t.Errorf("another head: %+v, %v", other, err)
	}
	_, err = w.VerifyAudit(t.Context(), "abc")
	refusal(t, err, 400, "bad_value", "head")
	ended, stop := context.WithCancel(t.Context())
	stop()
	if _, err := w.VerifyAudit(ended, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("after its time: %v", err)
	}
	server := w.server()
	check := func(path, want string) {
		t.Helper()
		if status, body := send(t, server, "GET", path, "", ""); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d, no %q in %.3000s", path, status, want, body)
		}
	}
	check("/admin/audit", head)
	check("/admin/audit/verify", "The audit is whole.")
	check("/admin/audit/verify?head="+head, "the head that was kept is among them")
	check("/admin/audit/verify?head="+strings.Repeat("ab", 32), "No entry has the head that was kept")
	check("/api/v1/audit/verify", `"whole":true`)
	w.damage(17)
	check("/admin/audit/verify", "At entry 17: the entry is damaged.")
	check("/api/v1/audit/verify", `"broken":17`)
}

// TestTraceSaysWhatToDo: whoever looks up a refusal reads what to change, on the page too.
func TestTraceSaysWhatToDo(t *testing.T) {
	w := newWorld(t)
	w.actor = w.person("ada", RoleOwner).Actor
	w.happens(audit.Event{Kind: "token", Outcome: audit.Refused, Reason: "wrong_secret", Actor: "system"}, audit.Event{Kind: "signon", Outcome: audit.Refused, Reason: "min_level", Actor: "system"})
	for kind, want := range map[string]string{
		"token":  "Give the app its present secret, or make a new one: gatehouse app rotate-secret APP.",
		"signon": "Sign in more strongly, or lower policy.min_level.",
	} {
		code := w.entries(kind)[0].Code
		if found, err := w.Trace(t.Context(), code); err != nil || found.Remedy != want {
			t.Errorf("%s: %q, %v", kind, found.Remedy, err)
		}
		if _, page := send(t, w.server(), "GET", "/admin/audit/"+code, "", ""); !strings.Contains(page, "What to do") || !strings.Contains(page, want) {
			t.Errorf("%s: the page does not say it:\n%s", kind, page)
		}
	}
	if added, err := w.Trace(t.Context(), w.entries("user.add")[0].Code); err != nil || added.Remedy != "" {
		t.Errorf("what went well has a remedy: %q, %v", added.Remedy, err)
	}
}

// TestRefusalsInWords: what is often refused or fails reads as a sentence when it did.
func TestRefusalsInWords(t *testing.T) {
	for kind, want := range map[string]string{
		"introspect": "Check of an OAuth token refused", "userinfo": "Request for a person’s claims refused", "token.revoke": "Revocation of an OAuth token refused",
		"client.register": "Registration of a client refused", "user.import": "Import of people from a file refused", "link.use": "Use of a one-time link refused",
	} {
		if got := eventText(&api.AuditEntry{Kind: kind, Outcome: audit.Refused}); got != want {
			t.Errorf("%s: %q", kind, got)
		}
	}
}
