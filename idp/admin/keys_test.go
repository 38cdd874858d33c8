package admin

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"gatehouse/certs"
	"gatehouse/idp/api"
	"gatehouse/sp"
	"gatehouse/store"
)

func (w *world) stage(algorithm string) string {
	w.t.Helper()
	key, err := w.StageKey(w.t.Context(), socket, api.NewKey{Algorithm: algorithm})
	must(w.t, err)
	return key.ID
}

func (w *world) signingKey(app string) string {
	w.t.Helper()
	shown, err := w.App(w.t.Context(), app)
	must(w.t, err)
	for _, s := range shown.Settings {
		if s.Key == "saml.signing_key" && !s.IsDefault {
			return s.Value
		}
	}
	return ""
}

func TestActivateForSome(t *testing.T) {
	w := newWorld(t)
	a, b := w.app("a"), w.app("b")
	first, next := w.stage(""), w.stage("")
	_, err := w.ActivateKey(t.Context(), socket, first, api.Activation{})
	must(t, err)
	before := len(w.entries("app.set"))
	_, err = w.ActivateKey(t.Context(), socket, next, api.Activation{Apps: []string{a, "nobody"}})
	refusal(t, err, 404, "not_found", "app")
	if w.signingKey(a) != "" || len(w.entries("app.set")) != before {
		t.Error("a part of what was refused was done")
	}
	key, err := w.ActivateKey(t.Context(), socket, next, api.Activation{Apps: []string{a, "b", a}})
	if err != nil || key.State != "next" || key.Signs != 2 || len(key.SetApps) != 2 {
		t.Errorf("%+v %v", key, err)
	}
	if n := len(w.entries("app.set")); n != before+2 {
		t.Errorf("%d entries for two apps", n-before)
	}
	_, err = w.RetireKey(t.Context(), socket, next)
	refusal(t, err, 409, "key_in_use", "key")
	if !strings.Contains(err.Error()+asPublic(err).Text, "a and b") {
		t.Errorf("%v names no app", err)
	}
	_, err = w.RemoveApp(t.Context(), socket, b)
	must(t, err)
	_, err = w.ActivateKey(t.Context(), socket, first, api.Activation{Apps: []string{a}})
	must(t, err)
	if _, err = w.RetireKey(t.Context(), socket, next); err != nil {
		t.Errorf("a key that nobody is set to stays: %v", err)
	}
	for _, ref := range []string{b, "console"} {
		_, err = w.ActivateKey(t.Context(), socket, first, api.Activation{Apps: []string{ref}})
		refusal(t, err, 400, "bad_value", "apps")
	}
	_, err = w.ActivateKey(t.Context(), socket, next, api.Activation{Apps: []string{a}})
	refusal(t, err, 404, "not_found", "key")
	_, err = w.ActivateKey(t.Context(), socket, first, api.Activation{Apps: make([]string, maxPinned+1)})
	refusal(t, err, 400, "bad_value", "apps")
	_, err = w.ActivateKey(t.Context(), socket, first, api.Activation{Apps: []string{}})
	refusal(t, err, 400, "bad_value", "apps")
	_, err = w.StageKey(t.Context(), socket, api.NewKey{Algorithm: "dsa"})
	refusal(t, err, 400, "bad_value", "algorithm")
}

func TestKeysInTheConsole(t *testing.T) {
	w := newWorld(t)
	a := w.app("benefits")
	first := w.stage("")
	_, err := w.ActivateKey(t.Context(), socket, first, api.Activation{})
	must(t, err)
	w.actor = w.person("ada", RoleOwner).Actor
	server := w.server()
	status, location := post(t, server, "/admin/keys", "algorithm", "ecdsa")
	if status != 303 || !strings.HasSuffix(location, "?done=staged") {
		t.Fatalf("%d %s", status, location)
	}
	page := strings.TrimSuffix(location, "?done=staged")
	for _, c := range []struct {
		name, path string
		form       []string
		status     int
		want       string
	}{
		{"an unknown algorithm", "/admin/keys", []string{"algorithm", "dsa"}, 422, "no key algorithm"},
		{"nothing chosen", page + "/activate", nil, 422, "Choose at least one app"},
		{"an unknown app", page + "/activate", []string{"app", "nope"}, 422, "There is no app"},
		{"one app", page + "/activate", []string{"app", a}, 303, "done=activated"},
		{"retire without a word", page + "/retire", nil, 422, "Type the word retire"},
		{"retire in use", page + "/retire", []string{"confirm", "retire"}, 422, "signs for benefits"},
		{"all", page + "/activate", []string{"all", "1", "app", a}, 303, "done=activated"},
		{"twice", page + "/activate", []string{"all", "1"}, 422, "is active"},
		{"an unknown key", "/admin/keys/key_none/activate", []string{"all", "1"}, 404, "no signing key"},
	} {
		if status, answer := post(t, server, c.path, c.form...); status != c.status || !strings.Contains(answer, c.want) {
			t.Errorf("%s: %d %.2000s", c.name, status, answer)
		}
	}
	w.actor = w.person("max", RoleAuditor).Actor
	for _, path := range []string{"/admin/keys", page} {
		status, body := send(t, server, "GET", path, "", "")
		if status != 200 || strings.Contains(body, `action="/admin/keys`) {
			t.Errorf("an auditor sees forms: %d %s", status, body)
		}
	}
	for _, path := range []string{"/admin/keys", page + "/activate", page + "/retire"} {
		if status, _ := post(t, server, path, "all", "1", "confirm", "retire"); status != 403 {
			t.Errorf("an auditor posts to %s: %d", path, status)
		}
	}
	w.actor = w.person("dev", RoleDeveloper).Actor
	if status, _ := send(t, server, "GET", "/admin/keys", "", ""); status != 403 {
		t.Errorf("a developer reads the keys: %d", status)
	}
}

func TestKeyAppsInPages(t *testing.T) {
	w := newWorld(t)
	for i := range 5 {
		w.app(fmt.Sprintf("app%d", 4-i))
	}
	key := w.stage("")
	var names []string
	for after := ""; ; {
		list, err := w.KeyApps(t.Context(), key, after, 2)
		must(t, err)
		for _, one := range list.Items {
			names = append(names, one.App.Name)
		}
		if after = list.Next; after == "" {
			break
		}
	}
	if got := strings.Join(names, " "); got != "app0 app1 app2 app3 app4" {
		t.Error(got)
	}
}

// certificateUntil is a certificate that ends then.
func certificateUntil(t *testing.T, end time.Time) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sp"}, NotBefore: end.AddDate(-1, 0, 0), NotAfter: end}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	return der
}

// More apps than one read and one transaction hold are all announced, once.
func TestAnnounceManyEnds(t *testing.T) {
	w := newWorld(t)
	const many = announceWalk + announceBatch + 7
	der := certificateUntil(t, testNow.Add(20*24*time.Hour))
	must(t, w.store.Update(t.Context(), func(tx store.Tx) error {
		for i := range many {
			app := sp.App{ID: fmt.Sprintf("app_%04d", i), State: sp.Active, Definition: sp.Definition{Name: "x", SAML: &sp.SAML{
				Metadata: sp.Metadata{EntityID: fmt.Sprintf("https://x%d.example", i), Keys: []sp.Key{{Certificate: der}, {Certificate: []byte("none")}}}}}}
			if i == 0 {
				app.State = sp.Pending
			}
			if err := sp.Apps.Put(tx, &app); err != nil {
				return err
			}
		}
		return nil
	}))
	for range 2 {
		must(t, w.AnnounceExpiring(t.Context()))
		must(t, w.store.View(t.Context(), func(tx store.Tx) error {
			n, err := certs.Notices.Count(tx, store.Page{}, 0)
			if n != many-1 {
				t.Errorf("%d certificates were announced, want %d", n, many-1)
			}
			return err
		}))
	}
	app, err := w.AuditEntries(t.Context(), api.AuditQuery{App: "app_0007"})
	if err != nil || len(app.Items) != 1 || app.Items[0].Facts["within_days"] != "30" || app.Items[0].Actor.ID != "system" {
		t.Errorf("%+v %v", app.Items, err)
	}
}

// What ends is a to-do from 90 days before, more urgent as it comes nearer, and stays one afterwards.
func TestEndsAreToDos(t *testing.T) {
	for days, want := range map[int]string{91: "", 89: "info", 29: "warn", 6: "danger", -1: "danger"} {
		w := newWorld(t)
		id := w.app("benefits")
		must(t, w.store.Update(t.Context(), func(tx store.Tx) error {
			app, _, err := sp.Apps.Get(tx, id)
			if err != nil {
				return err
			}
			app.Definition.SAML.Metadata.Keys = []sp.Key{{Certificate: certificateUntil(t, testNow.Add(time.Duration(days)*24*time.Hour))}}
			return sp.Apps.Put(tx, &app)
		}))
		summary, err := w.Summary(t.Context())
		must(t, err)
		got := ""
		for _, task := range endingTasks(summary.Ending, testNow) {
			got = task.Kind
		}
		if got != want {
			t.Errorf("%d days before: %q, want %q", days, got, want)
		}
		shown, err := w.App(t.Context(), id)
		must(t, err)
		warned := false
		for _, warning := range shown.Warnings {
			warned = warned || warning.Code == "certificate_ends"
		}
		if warned != (want != "") {
			t.Errorf("%d days before: warned %v", days, warned)
		}
	}
}
