package sampleapps

import (
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

func TestStartRefusesWithoutIdentityProvider(t *testing.T) {
	if _, err := Start(t.Context(), Config{}); err == nil {
		t.Error("started without metadata")
	}
	if _, err := Start(t.Context(), Config{MetadataURL: "http://127.0.0.1:1/", Apps: []Spec{{Name: "a", Port: 70000}}}); err == nil {
		t.Error("started on a port that there is not")
	}
}

// TestTakenPort proves that an app finds another port when its own is taken.
func TestTakenPort(t *testing.T) {
	start := func(port int) *App {
		apps, err := Start(t.Context(), Config{MetadataURL: "http://127.0.0.1:1/", Apps: []Spec{{Name: "a", Port: port}}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(apps.Close)
		return apps.List()[0]
	}
	first := start(0)
	port, err := strconv.Atoi(first.base.Port())
	if err != nil {
		t.Fatal(err)
	}
	if second := start(port); second.URL() == first.URL() {
		t.Errorf("both are at %s", second.URL())
	}
}

// TestAppWithoutIdentityProvider proves that an app serves its pages and metadata before its identity provider is there.
func TestAppWithoutIdentityProvider(t *testing.T) {
	apps, err := Start(t.Context(), Config{MetadataURL: "http://127.0.0.1:1/metadata", Apps: []Spec{{Name: "Plain", Plain: true, Unsigned: true}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(apps.Close)
	app := apps.List()[0]
	for address, want := range map[string]int{app.URL(): 200, app.EntityID(): 200, app.SignInURL(): 502, app.URL() + "nothing": 404} {
		response, err := http.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s answers %d, want %d: %s", address, response.StatusCode, want, body)
		}
	}
	if text := string(app.Metadata()); strings.Contains(text, "<KeyDescriptor") || !strings.Contains(text, `AuthnRequestsSigned="false"`) {
		t.Errorf("metadata of a plain app: %s", text)
	}
}

func TestAnswerRefusesGarbage(t *testing.T) {
	idp := []byte(`<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="https://idp.example"></EntityDescriptor>`)
	apps, err := Start(t.Context(), Config{Metadata: idp})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(apps.Close)
	for _, text := range []string{"", "x", "PHg+"} {
		response, err := http.PostForm(apps.List()[0].URL()+"saml/acs", url.Values{"SAMLResponse": {text}})
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusForbidden {
			t.Errorf("%q answers %d", text, response.StatusCode)
		}
	}
}

func TestLocal(t *testing.T) {
	for target, want := range map[string]bool{"/": true, "/a?b": true, "": false, "//evil.example": false, "/\\evil.example": false,
		"https://evil.example": false, "/\t/evil.example": false} {
		if local(target) != want {
			t.Errorf("local(%q) is %v", target, !want)
		}
	}
}
