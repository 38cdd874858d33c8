package idptest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/idp/api"
	"gatehouse/sp"
	"gatehouse/store"
)

// keyWorld is a server with two apps that keep the metadata that they fetched last, as service providers do.
type keyWorld struct {
	*world
	first, next string // ids of keys
	a, b        *keyApp
}

type keyApp struct {
	*SP
	id     string
	stored []byte
}

func newKeyWorld(t *testing.T) *keyWorld {
	w := &keyWorld{world: newWorld(t)}
	w.a, w.b = w.app(t, "app-a"), w.app(t, "app-b")
	w.first = w.keys(t)[0].ID
	return w
}

// app registers a service provider, which gets the metadata from a person at first.
func (w *keyWorld) app(t *testing.T, name string) *keyApp {
	sp := w.newSP(t, name)
	return &keyApp{SP: sp, id: w.AddApp(t, sp.Metadata(), map[string]string{"name": name}).ID, stored: w.idp}
}

func (w *keyWorld) keys(t *testing.T) []api.Key {
	t.Helper()
	list, err := w.API.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

func (w *keyWorld) stage(t *testing.T, algorithm string) string {
	t.Helper()
	key, err := w.API.StageKey(t.Context(), api.NewKey{Algorithm: algorithm})
	if err != nil || key.State != "next" {
		t.Fatal(key, err)
	}
	return key.ID
}

func (w *keyWorld) activate(t *testing.T, key string, apps ...string) {
	t.Helper()
	if _, err := w.API.ActivateKey(t.Context(), key, api.Activation{Apps: apps}); err != nil {
		t.Fatal(err)
	}
}

// fetch is what an app does now and then.
func (w *keyWorld) fetch(t *testing.T, app *keyApp) *Page {
	t.Helper()
	page := w.browser(t).Get("/saml/metadata/" + app.id)
	if page.Status != http.StatusOK {
		t.Fatalf("%d: %s", page.Status, page.Body)
	}
	app.stored = []byte(page.Body)
	return page
}

// signsIn signs ana in at an app, which believes the keys of the metadata that it keeps. It returns the id of the key.
func (w *keyWorld) signsIn(t *testing.T, app *keyApp) string {
	t.Helper()
	r := w.send(t, w.ana(t), app.SP, Ask{ID: newRequestID()}, false).Response(t)
	if top, _ := r.Status(); top != "Success" {
		t.Fatalf("status %s", top)
	}
	der, err := base64.StdEncoding.DecodeString(r.Text(".//X509Certificate"))
	if err != nil {
		t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if !slices.Contains(PEMCertificates(t, app.stored), string(certificate)) {
		t.Errorf("%s refuses the answer: it is signed with a key that the app does not have", app.EntityID)
	}
	if signed, err := w.xml.Verify(r.XML, certificate); err != nil || !slices.Equal(signed, []string{"Response", "Assertion"}) {
		t.Errorf("xmlsec1 verifies %v: %v", signed, err)
	}
	for _, key := range w.keys(t) {
		if key.Fingerprint == fingerprintOf(der) {
			return key.ID
		}
	}
	return "a key that is not ours"
}

// signers are the ids of the keys that sign for the two apps.
func (w *keyWorld) signers(t *testing.T, a, b string) {
	t.Helper()
	if got := w.signsIn(t, w.a); got != a {
		t.Errorf("app-a's answer is signed by %s, want %s", got, a)
	}
	if got := w.signsIn(t, w.b); got != b {
		t.Errorf("app-b's answer is signed by %s, want %s", got, b)
	}
}

// readiness is what is known of the apps beside a key, by the name of the app.
func (w *keyWorld) readiness(t *testing.T, key string) map[string]api.KeyApp {
	t.Helper()
	list, err := w.API.KeyApps(t.Context(), key, "")
	if err != nil {
		t.Fatal(err)
	}
	apps := map[string]api.KeyApp{}
	for _, one := range list.Items {
		apps[one.App.Name] = one
	}
	return apps
}

// published counts the certificates of our metadata, which must be valid and signed.
func (w *keyWorld) published(t *testing.T) int {
	t.Helper()
	doc := []byte(w.browser(t).Get("/saml/metadata").Body)
	if err := w.xml.Validate(doc); err != nil {
		t.Error(err)
	}
	return len(PEMCertificates(t, doc))
}

// TestKeyRollover walks through a rollover with one app after the other. No sign-on fails on the way.
func TestKeyRollover(t *testing.T) {
	t.Parallel()
	w := newKeyWorld(t)
	t.Run("MDP-10 staged: published at once, signing nothing", func(t *testing.T) {
		w.next = w.stage(t, "")
		if n := w.published(t); n != 2 {
			t.Errorf("%d keys are published", n)
		}
		w.signers(t, w.first, w.first)
	})
	t.Run("MDP-11 who has fetched it is seen, the others are unknown", func(t *testing.T) {
		w.fetch(t, w.a)
		apps := w.readiness(t, w.next)
		if apps["app-a"].State != "fetched" || apps["app-a"].Fetched.IsZero() || apps["app-b"].State != "unknown" || !apps["app-b"].Fetched.IsZero() {
			t.Errorf("%+v", apps)
		}
		if key := w.keys(t)[1]; key.Fetched != 1 || key.Unknown != 1 || key.Signs != 0 {
			t.Errorf("%+v", key)
		}
	})
	t.Run("MDP-11 activated for one app", func(t *testing.T) {
		w.activate(t, w.next, "app-a")
		w.signers(t, w.next, w.first)
		if events := w.Audit(t)[:4]; !slices.ContainsFunc(events, func(e api.AuditEntry) bool { return e.Kind == "app.set" && e.App.ID == w.a.id }) ||
			!slices.ContainsFunc(events, func(e api.AuditEntry) bool { return e.Kind == "key.activate" && e.Facts["key"] == w.next }) {
			t.Errorf("not in the audit: %+v", events)
		}
		_, err := w.API.RetireKey(t.Context(), w.next)
		if err == nil || !strings.Contains(err.Error(), "app-a") {
			t.Errorf("a key that signs for an app was retired: %v", err)
		}
	})
	t.Run("MDP-11 activated for all", func(t *testing.T) {
		w.fetch(t, w.b)
		w.activate(t, w.next)
		w.signers(t, w.next, w.next)
		if apps := w.readiness(t, w.next); apps["app-a"].Set || apps["app-b"].State != "fetched" {
			t.Errorf("%+v", apps)
		}
	})
	t.Run("MDP-10 retired: out of the metadata, its private key destroyed", func(t *testing.T) {
		if _, err := w.API.RetireKey(t.Context(), w.first); err != nil {
			t.Fatal(err)
		}
		if n := w.published(t); n != 1 {
			t.Errorf("%d keys are published", n)
		}
		w.signers(t, w.next, w.next)
		if _, err := w.API.ActivateKey(t.Context(), w.first, api.Activation{}); err == nil {
			t.Error("a retired key was activated")
		}
	})
}

// TestECKey: an EC key signs, beside the RSA key, for the apps that declare it.
func TestECKey(t *testing.T) {
	t.Parallel()
	w := newKeyWorld(t)
	const ecdsa256 = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
	sp := w.newSP(t, "app-ec")
	w.AddApp(t, metadataWith(sp, "", `<Extensions xmlns:alg="urn:oasis:names:tc:SAML:metadata:algsupport"><alg:SigningMethod Algorithm="`+ecdsa256+`"/></Extensions>`+
		acsAt(bindingPost, sp.ACS[0], 0, "")), map[string]string{"name": "app-ec"})
	app := &keyApp{SP: sp, stored: w.idp}
	t.Run("CRY-17 no key of ours fits: refused here, and the admin is told", func(t *testing.T) {
		w.checkHere(t, w.send(t, w.ana(t), sp, Ask{ID: newRequestID()}, false), "cannot_sign")
		shown, err := w.API.App(t.Context(), "app-ec")
		if err != nil || !slices.ContainsFunc(shown.Warnings, func(w api.Warning) bool { return w.Code == "cannot_sign" }) {
			t.Errorf("%+v %v", shown.Warnings, err)
		}
	})
	ec := w.stage(t, "ecdsa")
	t.Run("CRY-17 an EC key does not replace the RSA key", func(t *testing.T) {
		w.activate(t, ec)
		if keys := w.keys(t); keys[0].State != "active" || keys[1].State != "active" || keys[1].Signs != 1 || keys[0].Signs != 2 {
			t.Errorf("%+v", keys)
		}
	})
	t.Run("CRY-02 CRY-17 RSA+EC of ours, EC alone listed: EC", func(t *testing.T) {
		app.stored = []byte(w.browser(t).Get("/saml/metadata").Body)
		if got := w.signsIn(t, app); got != ec {
			t.Errorf("signed by %s", got)
		}
		w.signers(t, w.first, w.first)
	})
	t.Run("CRY-02 an app that is set to the EC key", func(t *testing.T) {
		w.fetch(t, w.b)
		w.activate(t, ec, "app-b")
		w.signers(t, w.first, ec)
		doc := w.fetch(t, w.b).Body
		if signed, err := w.xml.Verify([]byte(doc), []byte(PEMCertificates(t, []byte(doc))[0])); err != nil || !slices.Equal(signed, []string{"EntityDescriptor"}) {
			t.Errorf("its metadata, signed with EC: %v %v", signed, err)
		}
		pem := w.browser(t).Get("/saml/certificate.pem?app=" + w.b.id).Body
		if pem != PEMCertificates(t, []byte(doc))[0] {
			t.Error("the certificate to hand out is another")
		}
	})
	t.Run("CRY-17 a key of the wrong kind is refused", func(t *testing.T) {
		_, err := w.API.ActivateKey(t.Context(), w.first, api.Activation{Apps: []string{"app-a", "app-ec"}})
		if err == nil || !strings.Contains(err.Error(), "app-ec") {
			t.Errorf("%v", err)
		}
		if apps := w.readiness(t, w.first); apps["app-a"].Set || !apps["app-ec"].Unfit {
			t.Errorf("a part of it was done: %+v", apps)
		}
	})
	t.Run("CRY-02 a newer EC key for all: an app that would fall back to RSA stays set to it", func(t *testing.T) {
		newer := w.stage(t, "ecdsa")
		w.fetch(t, w.b)
		w.activate(t, newer, "app-b")
		w.activate(t, newer)
		w.signers(t, w.first, newer)
		if apps := w.readiness(t, newer); !apps["app-b"].Set || apps["app-ec"].Set || !apps["app-ec"].Signs {
			t.Errorf("%+v", apps)
		}
		ec = newer
	})
	t.Run("CRY-17 the RSA key rolls over, the EC key stays", func(t *testing.T) {
		rsa := w.stage(t, "rsa")
		w.fetch(t, w.a)
		w.activate(t, rsa)
		w.signers(t, rsa, ec)
		states := map[string]string{}
		for _, key := range w.keys(t) {
			states[key.ID] = key.State
		}
		if states[w.first] != "retiring" || states[ec] != "active" || states[rsa] != "active" {
			t.Errorf("%v", states)
		}
	})
}

// TestFetchRecords: one record per app, written when it says something new.
func TestFetchRecords(t *testing.T) {
	t.Parallel()
	w := newKeyWorld(t)
	last := func() time.Time { return w.readiness(t, w.first)["app-a"].Fetched }
	first := w.fetch(t, w.a)
	at := last()
	again := w.browser(t)
	request := again.request(http.MethodGet, "/saml/metadata/"+w.a.id, nil)
	request.Header.Set("If-None-Match", first.Header.Get("ETag"))
	w.clock.advance(time.Hour)
	if page := again.Do(request); page.Status != http.StatusNotModified {
		t.Errorf("%d", page.Status)
	}
	w.fetch(t, w.a)
	if !last().Equal(at) {
		t.Error("the same was written twice in a day")
	}
	w.clock.advance(24 * time.Hour)
	w.fetch(t, w.a)
	if last().Equal(at) {
		t.Error("a fetch a day later was not written")
	}
	before := len(w.Audit(t))
	for _, path := range []string{"/saml/metadata/app_nothing", "/saml/metadata/portal", "/saml/metadata/" + url.PathEscape("x\x00y")} {
		if page := w.browser(t).Get(path); page.Status != http.StatusNotFound && page.Status != http.StatusBadRequest {
			t.Errorf("%s: %d", path, page.Status)
		}
	}
	if _, err := w.API.Metadata(t.Context(), w.b.id); err != nil || !w.readiness(t, w.first)["app-b"].Fetched.IsZero() {
		t.Errorf("what an administrator reads counts as fetched by the app: %v", err)
	}
	if _, err := w.API.RemoveApp(t.Context(), w.a.id); err != nil {
		t.Fatal(err)
	}
	if page := w.browser(t).Get("/saml/metadata/" + w.a.id); page.Status != http.StatusNotFound {
		t.Errorf("a removed app: %d", page.Status)
	}
	if err := w.Store.View(t.Context(), func(tx store.Tx) error {
		if n, err := sp.Fetches.Count(tx, store.Page{}, 0); err != nil || n != 0 {
			t.Errorf("%d records are left (%v)", n, err)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if n := len(w.Audit(t)); n > before+5 {
		t.Errorf("fetches left %d audit entries", n-before)
	}
}

func fingerprintOf(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// TestMellonKeyRollover is MDP-11 with a service provider that nobody here wrote: mod_auth_mellon with the metadata of the
// staged key lets people in before, between and after.
func TestMellonKeyRollover(t *testing.T) {
	t.Parallel()
	w := newPeerWorld(t)
	list, err := w.API.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	key, err := w.API.StageKey(t.Context(), api.NewKey{})
	if err != nil {
		t.Fatal(err)
	}
	peer := StartMellon(t, MellonOptions{IDPMetadata: []byte(w.NewClient(t).Get("/saml/metadata").Body), NameIDFormat: persistentFormat})
	w.AddApp(t, peer.Metadata, map[string]string{"name": "mellon", "saml.allowed_relay_states": peer.SecretURL})
	w.AddApp(t, NewSP(t, "other").Metadata(), map[string]string{"name": "other"})
	enters := func(when string) {
		t.Helper()
		person := MellonPerson([]byte(w.person(t, &wire{}, peer.SecretURL)))
		if person["urn:oid:0.9.2342.19200300.100.1.1"] != "ana" {
			t.Errorf("%s nobody gets in: %v\n%s", when, person, peer.Log())
		}
	}
	for _, step := range []struct {
		when string
		do   func() (api.Key, error)
	}{
		{"once the key is staged", func() (api.Key, error) { return w.API.Key(t.Context(), key.ID) }},
		{"once it is active for this app", func() (api.Key, error) {
			return w.API.ActivateKey(t.Context(), key.ID, api.Activation{Apps: []string{"mellon"}})
		}},
		{"once it is active for all", func() (api.Key, error) { return w.API.ActivateKey(t.Context(), key.ID, api.Activation{}) }},
		{"once the old key is retired", func() (api.Key, error) { return w.API.RetireKey(t.Context(), list.Items[0].ID) }},
	} {
		if _, err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.when, err)
		}
		enters(step.when)
	}
}
