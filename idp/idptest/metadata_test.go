package idptest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/idp/api"
)

// TestMetadataIn holds the rows of section 12 that show at a sign-on: the end of metadata, newer metadata without a restart, and a
// rollover of an app's keys. What a source or an address may send is in the tests of idp/federation.
func TestMetadataIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	t.Run("the end of metadata", func(t *testing.T) { w.endOfMetadata(t) })
	t.Run("newer metadata", func(t *testing.T) { w.newerMetadata(t) })
	t.Run("MDC-18 names and logos of metadata", func(t *testing.T) { w.userInterface(t) })
	t.Run("a signed source", func(t *testing.T) { w.signedSource(t) })
}

// lasting is the metadata of an app with attributes of its root or its role, and keys.
func lasting(sp *SP, root, role string, keys ...*SP) string {
	content := ""
	for _, key := range keys {
		content += keyDescriptor("signing", key.DER, "")
	}
	text := string(metadataWith(sp, role, content+acsAt(bindingPost, sp.ACS[0], 0, "")))
	return strings.Replace(text, "<EntityDescriptor ", "<EntityDescriptor "+root+" ", 1)
}

func (w *world) validUntil(d time.Duration) string {
	return `validUntil="` + w.clock.now().Add(d).UTC().Format(time.RFC3339) + `"`
}

func (w *world) endOfMetadata(t *testing.T) {
	whole, role := w.newSP(t, "whole"), w.newSP(t, "role")
	added := w.AddApp(t, []byte(lasting(whole, w.validUntil(time.Hour), "")), nil)
	w.AddApp(t, []byte(lasting(role, w.validUntil(24*time.Hour), w.validUntil(time.Hour))), nil)
	both := func(name string, want outcome) (rows []row) {
		for _, sp := range []*SP{whole, role} {
			rows = append(rows, row{name: name + ", " + hostOf(sp.EntityID), sp: sp, want: want})
		}
		return rows
	}
	w.rows(t, both("MDC-04 before the end", issued()))
	w.clock.advance(time.Hour)
	w.rows(t, both("MDC-09 past the end, within the skew", issued()))
	w.clock.advance(2 * time.Minute)
	w.rows(t, both("MDC-04 MDC-08 past the end of the document or of the role", here("metadata_expired")))
	w.rows(t, []row{{name: "MDC-04 nobody signed in, by POST", sp: whole, post: true, stranger: true, want: here("metadata_expired")}})
	t.Run("MDC-04 from the portal", func(t *testing.T) {
		w.checkHere(t, w.ana(t).Get("/launch/"+added.ID), "metadata_expired")
	})
	t.Run("MDC-04 the app's page says so", func(t *testing.T) {
		app, err := w.API.App(t.Context(), added.ID)
		if err != nil || !strings.Contains(fmt.Sprint(app.Warnings), "nobody can sign on") {
			t.Errorf("%v %v", err, app.Warnings)
		}
	})
	if _, err := w.API.AddApp(t.Context(), api.NewApp{Metadata: lasting(whole, w.validUntil(time.Hour), ""), Replace: true}); err != nil {
		t.Fatal(err)
	}
	w.rows(t, []row{{name: "MDC-04 renewed", sp: whole, want: issued()}})
}

// userInterface: people see the name, whatever is in it, and the logo as a picture.
func (w *world) userInterface(t *testing.T) {
	sp := w.newSP(t, "mdui")
	w.AddApp(t, metadataWith(sp, "", `<Extensions><mdui:UIInfo xmlns:mdui="urn:oasis:names:tc:SAML:metadata:ui"><mdui:DisplayName xml:lang="de">Reisekosten</mdui:DisplayName><mdui:DisplayName xml:lang="en">Travel &lt;script>alert(1)&lt;/script></mdui:DisplayName>`+
		`<mdui:Logo height="64" width="64">https://mdui.example.org/logo.png</mdui:Logo></mdui:UIInfo></Extensions>`+acsAt(bindingPost, sp.ACS[0], 0, "")), nil)
	pages := map[string]*Page{"sign-in": w.send(t, w.browser(t), sp, Ask{ID: newRequestID()}, false), "portal": w.ana(t).Get("/")}
	for name, page := range pages {
		if !strings.Contains(page.Body, "Travel &lt;script&gt;alert(1)") || strings.Contains(page.Body, "<script>alert(1)") {
			t.Errorf("%s: the name is not there, or not inert:\n%s", name, page.Body)
		}
	}
	for name, page := range pages {
		if !strings.Contains(page.Body, `src="/app-logo/`) || strings.Contains(page.Body, "https://mdui.example.org/logo.png") {
			t.Errorf("%s: no logo, or one from the app's own server", name)
		}
	}
}

// published serves one text, which a test changes.
func published(t *testing.T) (string, *atomic.Pointer[string]) {
	var text atomic.Pointer[string]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(*text.Load())) }))
	t.Cleanup(server.Close)
	return server.URL, &text
}

func (w *world) newerMetadata(t *testing.T) {
	url, text := published(t)
	first, second := *spIdentity(), *NewSP(t, "second")
	base := w.newSP(t, "rolling")
	for _, sp := range []*SP{&first, &second} {
		sp.EntityID, sp.ACS, sp.Signed = base.EntityID, base.ACS, true
	}
	publish := func(t *testing.T, keys ...*SP) {
		t.Helper()
		text.Store(new(lasting(base, "", `AuthnRequestsSigned="true"`, keys...)))
	}
	publish(t, &first)
	added, err := w.API.AddApp(t.Context(), api.NewApp{URL: url, Set: map[string]string{"saml.metadata_refresh": "automatic"}})
	if err != nil {
		t.Fatal(err)
	}
	answer := func(t *testing.T, word string) api.AppMetadata {
		t.Helper()
		seen, err := w.API.AppMetadata(t.Context(), added.App.ID)
		if err != nil {
			t.Fatal(err)
		}
		m, err := w.API.AnswerAppMetadata(t.Context(), added.App.ID, word, seen.Version)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	w.rows(t, []row{
		{name: "MDC-13 the key in use", sp: &first, want: issued()},
		{name: "MDC-13 a key that is not published yet", sp: &second, want: here("bad_signature")},
	})
	publish(t, &first, &second)
	answer(t, "refresh")
	w.rows(t, []row{
		{name: "MDC-03 MDC-13 both keys while both are published: the old one", sp: &first, want: issued()},
		{name: "MDC-03 MDC-13 both keys while both are published: the new one", sp: &second, want: issued()},
	})
	if _, err := w.API.SetApp(t.Context(), added.App.ID, api.Change{Set: map[string]string{"saml.metadata_refresh": "review"}}); err != nil {
		t.Fatal(err)
	}
	publish(t, &second)
	t.Run("MDC-25 a difference waits", func(t *testing.T) {
		if m := answer(t, "refresh"); len(m.Waiting) != 1 || m.Waiting[0].Field != "key" || m.Since.IsZero() {
			t.Errorf("%+v", m)
		}
	})
	w.rows(t, []row{{name: "MDC-25 the old key until somebody says yes", sp: &first, want: issued()}})
	answer(t, "approve")
	w.rows(t, []row{
		{name: "MDC-13 the old key is gone", sp: &first, want: here("bad_signature")},
		{name: "MDC-13 the new key stays", sp: &second, want: issued()},
	})
}

// signedSource connects an app of a signed aggregate, and signs on there.
func (w *world) signedSource(t *testing.T) {
	signer, dir := NewSP(t, "federation"), t.TempDir()
	aggregate(t, filepath.Join(dir, "all.xml"), 300, signer)
	web := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(web.Close)
	n := api.NewMetadataSource{Name: "all", Kind: "aggregate", Set: map[string]string{"url": web.URL + "/all.xml", "keys": certificatePEM(signer)}}
	if _, err := w.API.AddMetadataSource(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	source, err := w.API.RefreshMetadataSource(t.Context(), "all")
	if err != nil || source.Providers != 300 || source.Left != 0 {
		t.Fatalf("%v %+v", err, source)
	}
	sp := w.newSP(t, "sp00299")
	sp.EntityID, sp.ACS = "https://sp00299.example.org/shibboleth", []string{"https://sp00299.example.org/acs/0"}
	w.rows(t, []row{{name: "MDC-24 known to a source is not connected", sp: sp, want: here("unknown_issuer")}})
	if _, err := w.API.AddApp(t.Context(), api.NewApp{EntityID: sp.EntityID, Source: "all", Set: map[string]string{"saml.encrypt": "never"}}); err != nil {
		t.Fatal(err)
	}
	w.rows(t, []row{{name: "MDC-01 MDC-05 connected from the source", sp: sp, want: issued()}})
	t.Run("MDC-05 changed after signing", func(t *testing.T) {
		all, err := os.ReadFile(filepath.Join(dir, "all.xml"))
		if err != nil {
			t.Fatal(err)
		}
		changed := strings.ReplaceAll(string(all), "https://sp00299.example.org/acs/0", "https://evil.example.org/acs")
		if err := os.WriteFile(filepath.Join(dir, "all.xml"), []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := w.API.RefreshMetadataSource(t.Context(), "all"); err == nil || !strings.Contains(err.Error(), "changed after it was signed") {
			t.Error(err)
		}
	})
	w.rows(t, []row{{name: "MDC-05 what was known goes on", sp: sp, want: issued()}})
}
