package idptest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gatehouse/cmd/sampleapps"
)

// TestBrowserSignsIn drives a sample app in Chromium through the stand-in, on a desktop and on a phone.
func TestBrowserSignsIn(t *testing.T) {
	idp := newStandIn(t)
	apps, err := sampleapps.Start(t.Context(), sampleapps.Config{MetadataURL: idp.URL + "/metadata"})
	if err != nil {
		t.Fatal(err)
	}
	app := apps.List()[0]
	idp.trust(t, app.Metadata())
	b := NewBrowser(t)
	b.Expect("Content-Security-Policy") // crewjam's page as identity provider has an outdated one
	b.Open(app.URL())
	b.Screenshot("sample-app-signed-out")
	b.Click("#signin")
	b.WaitFor("#nameid")
	if name := b.Text("#nameid"); name != "ana" || b.URL() != app.URL() {
		t.Errorf("signed in as %q at %s", name, b.URL())
	}
	b.Screenshot("sample-app")
	b.Phone()
	b.Dark(true)
	if wide := b.Wide(); wide > 0 {
		t.Errorf("the page scrolls sideways by %d pixels on a phone", wide)
	}
	b.Screenshot("sample-app-phone-dark")
	b.Click("form button")
	b.WaitFor("#signin")
}

// TestBrowserNoticesProblems proves that a page's errors would fail a test.
func TestBrowserNoticesProblems(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Security-Policy", "default-src 'self'; script-src 'nonce-good'")
		fmt.Fprint(w, `<!DOCTYPE html><title>bad</title><link rel="icon" href="data:,"><p style="color:red">text</p><img src="/missing.png">`+
			`<script>1</script><script nonce="good">console.error("said", 1); throw new Error("thrown")</script>`)
	}))
	t.Cleanup(server.Close)
	b := NewBrowser(t)
	b.Open(server.URL)
	want := []string{"content security policy: style-src-attr", "content security policy: script-src", "404", "console: said 1", "thrown"}
	eventually(t, fmt.Sprintf("not each of %q is noticed", want), func() bool { return containsAll(b.Problems(), want) })
	for _, part := range append(want, "content security policy", "Content Security Policy") { // also what comes later about the same
		b.Expect(part)
	}
}

// containsAll tells whether each part is in one of texts.
func containsAll(texts, parts []string) bool {
	all := strings.Join(texts, "\n")
	for _, part := range parts {
		if !strings.Contains(all, part) {
			return false
		}
	}
	return true
}
