package idptest

import (
	"net/url"
	"strings"
	"testing"

	"gatehouse/cmd/sampleapps"
)

// TestMellonLogout signs out of service providers that nobody here wrote: each way round, by SOAP and through the browser.
func TestMellonLogout(t *testing.T) {
	t.Parallel()
	w := newPeerWorld(t)
	soap := StartMellon(t, MellonOptions{IDPMetadata: w.metadata, NameIDFormat: persistentFormat})
	front := StartMellon(t, MellonOptions{IDPMetadata: w.metadata, NameIDFormat: transientFormat, NoSOAP: true})
	w.AddApp(t, soap.Metadata, map[string]string{"name": "soap"})
	w.AddApp(t, front.Metadata, map[string]string{"name": "front"})
	in := func() (*visitor, *wire) {
		seen := &wire{}
		v := newVisitor(t)
		v.Transport = seen
		_, page := v.open(soap.SecretURL)
		_, fields := formOf(page)
		fields.Set("name", "ana")
		fields.Set("password", Password)
		v.rest(v.PostForm(w.URL+"/login", fields))
		for _, peer := range []*Mellon{soap, front} {
			if _, page := v.open(peer.SecretURL); MellonPerson([]byte(page))["NAME_ID"] == "" {
				t.Fatalf("not signed in at %s:\n%s", peer.URL, page)
			}
		}
		return v, seen
	}
	out := func(v *visitor) {
		t.Helper()
		for _, peer := range []*Mellon{soap, front} {
			if _, page := v.open(peer.SecretURL); !strings.Contains(page, `name="password"`) {
				t.Errorf("%s still knows somebody:\n%s\n%s", peer.URL, page, peer.Log())
			}
		}
	}
	t.Run("from one app", func(t *testing.T) {
		v, _ := in()
		status, page := v.open(front.LogoutURL + "?ReturnTo=" + url.QueryEscape(front.URL+"/"))
		if status != 200 || !strings.Contains(page, "public page") {
			t.Fatalf("it ends with %d:\n%s\n%s", status, page, front.Log())
		}
		out(v)
	})
	t.Run("from the portal", func(t *testing.T) {
		v, seen := in()
		_, page := v.rest(v.PostForm(w.URL+"/logout", nil))
		link := nextLink.FindStringSubmatch(page)
		if link == nil {
			t.Fatalf("no app is told through the browser:\n%s", page)
		}
		_, page = v.open(w.URL + link[1])
		if !strings.Contains(page, "<h1>You are signed out</h1>") || strings.Count(page, "signed out</span>") != 2 {
			t.Errorf("it ends with:\n%s\n%s", page, front.Log())
		}
		for _, query := range seen.queries {
			if message := inflate(t, query); strings.Contains(string(message), "LogoutRequest") {
				checkMessages(t, w.tools, message)
			}
		}
		out(v)
	})
	t.Run("by an administrator", func(t *testing.T) {
		v, _ := in()
		if _, err := w.API.MoveApp(t.Context(), "soap", "block"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "mod_auth_mellon still knows somebody", func() bool {
			_, page := v.open(soap.SecretURL)
			return MellonPerson([]byte(page))["NAME_ID"] == ""
		})
	})
}

// TestLogoutWithADeadApp: a browser that cannot reach one of the apps comes back all the same, and the app that asked learns the truth.
func TestLogoutWithADeadApp(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	s.AddPerson(t, "ana", "Employees")
	start := func(name string) *sampleapps.Apps {
		apps, err := sampleapps.Start(t.Context(), sampleapps.Config{MetadataURL: s.URL + "/saml/metadata", Apps: []sampleapps.Spec{{Name: name, Accent: "#333"}}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(apps.Close)
		s.AddApp(t, apps.List()[0].Metadata(), map[string]string{"name": name})
		return apps
	}
	asks, dead := start("Asks"), start("Dead")
	b := NewBrowser(t)
	b.Open(s.URL)
	b.WaitFor("#f-name")
	b.signIn("ana", Password)
	b.clickTile("Dead")
	b.WaitFor("#nameid")
	b.Open(s.URL)
	b.clickTile("Asks")
	b.WaitFor("#nameid")
	dead.Close()
	b.Expect("ERR_CONNECTION_REFUSED")
	b.Expect("net::ERR_")
	b.Click("form button")
	b.WaitFor("#notice")
	if notice := b.Text("#notice"); !strings.HasPrefix(b.URL(), asks.List()[0].URL()) || notice != "You are signed out here. Some of your other apps did not confirm." {
		t.Errorf("at %s: %q", b.URL(), notice)
	}
}

// TestMellonArtifact signs on at mod_auth_mellon, which exchanges an artifact for the answer.
func TestMellonArtifact(t *testing.T) {
	t.Parallel()
	w := newPeerWorld(t)
	peer := StartMellon(t, MellonOptions{IDPMetadata: w.metadata, NameIDFormat: persistentFormat, Artifact: true})
	w.AddApp(t, peer.Metadata, map[string]string{"name": "mellon"})
	seen := &wire{}
	person := MellonPerson([]byte(w.person(t, seen, peer.SecretURL)))
	if person["urn:oid:0.9.2342.19200300.100.1.1"] != "ana" || len(seen.responses) != 0 {
		t.Errorf("the protected page shows %v, and the browser carried %d answers\n%s", person, len(seen.responses), peer.Log())
	}
}
