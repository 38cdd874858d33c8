package sampleapps

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
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

// TestKeep proves that an app is the same after a restart, that its secrets are for its owner alone, and that it does not
// quietly move when somebody else has its port.
func TestKeep(t *testing.T) {
	file := filepath.Join(t.TempDir(), "apps.json")
	start := func() (*Apps, error) {
		return Start(t.Context(), Config{MetadataURL: "http://127.0.0.1:1/", Host: "127.0.0.1", Keep: file,
			Apps: []Spec{{Name: "a"}}, Clients: []ClientSpec{{Name: "b", Kind: KindGateway}}})
	}
	first, err := start()
	if err != nil {
		t.Fatal(err)
	}
	given := Credentials{ClientID: "id", Secret: "secret", Initial: "initial"}
	if err := first.Clients()[0].Connect(given); err != nil || first.List()[0].Kept() {
		t.Fatal(err, first.List()[0].Kept())
	}
	first.Close()
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("the file is %v: %v", info.Mode(), err)
	}
	again, err := start()
	if err != nil {
		t.Fatal(err)
	}
	app, client := again.List()[0], again.Clients()[0]
	if !bytes.Equal(app.Metadata(), first.List()[0].Metadata()) || !app.Kept() || client.URL() != first.Clients()[0].URL() || client.Credentials() != given {
		t.Errorf("after a restart: %s, %s %+v", app.Metadata(), client.URL(), client.Credentials())
	}
	again.Close()
	taken, err := net.Listen("tcp", app.base.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	if _, err := start(); err == nil || !strings.Contains(err.Error(), app.base.Port()+" is taken") {
		t.Errorf("with the port taken: %v", err)
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := start(); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("with a broken file: %v", err)
	}
}

// TestClientWithoutProvider proves that a client shows its pages before it is connected, and says why nothing goes on.
func TestClientWithoutProvider(t *testing.T) {
	apps, err := Start(t.Context(), Config{MetadataURL: "http://127.0.0.1:1/", Issuer: "http://127.0.0.1:1", Clients: DemoClients()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(apps.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	expect := func(address, want string, status int) {
		t.Helper()
		response, err := browser.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != status || !strings.Contains(string(body), want) {
			t.Errorf("%s answers %d, want %d and %q: %s", address, response.StatusCode, status, want, body)
		}
	}
	for _, client := range apps.Clients() {
		expect(client.URL(), "Not connected", http.StatusOK)
		expect(client.URL()+"signin", "This app has no client id yet.", http.StatusBadGateway)
		expect(client.URL()+"signin?iss=https://evil.example", "is not the provider that this app trusts", http.StatusBadGateway)
		expect(client.URL()+"callback?code=x&state=y", "belongs to no sign-in that began here", http.StatusOK)
		if err := client.Connect(Credentials{ClientID: "x", Secret: "y"}); err != nil {
			t.Fatal(err)
		}
	}
	orders := apps.Clients()[0].URL()
	expect(orders+"signin", "connection refused", http.StatusBadGateway)
	expect(orders+"api/orders", "connection refused", http.StatusBadGateway)
}

// TestSecretsAreCut proves that no page shows a secret, whichever way it was sent.
func TestSecretsAreCut(t *testing.T) {
	const secret = "a-very-long-secret-value"
	var all []fact
	for _, name := range secrets() {
		all = append(all, facts([]byte(url.Values{name: {secret}}.Encode()))...)
		all = append(all, facts([]byte(`{"`+name+`":"`+secret+`"}`))...)
	}
	all = append(all, authorization("Bearer "+secret)...)
	all = append(all, authorization("Basic "+secret)...)
	for _, one := range all {
		if strings.Contains(one.Value, secret) {
			t.Errorf("%s shows %s", one.Name, one.Value)
		}
	}
	if len(all) != 2*len(secrets())+2 {
		t.Errorf("read %v", all)
	}
}

// TestTokensOfTheStylesheet proves that the apps look like Gatehouse's own pages.
func TestTokensOfTheStylesheet(t *testing.T) {
	ours, err := files.ReadFile("sample.css")
	if err != nil {
		t.Fatal(err)
	}
	gatehouse, err := os.ReadFile("../../templates/assets/gatehouse.css")
	if err != nil {
		t.Fatal(err)
	}
	tokens, _, found := strings.Cut(string(gatehouse), "/* Ground rules */")
	_, tokens, begins := strings.Cut(tokens, ":root {")
	if !found || !begins || !strings.Contains(string(ours), strings.TrimSpace(tokens)) {
		t.Error("the tokens differ from those of templates/assets/gatehouse.css: copy them")
	}
}
