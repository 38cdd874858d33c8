package idptest

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/idp/api"
)

// picture is a PNG of one pixel.
func picture(t *testing.T) []byte {
	t.Helper()
	png, err := base64.StdEncoding.DecodeString("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
	if err != nil {
		t.Fatal(err)
	}
	return png
}

var logoSource = regexp.MustCompile(`src="(/app-logo/[^"]+)"`)

// TestAppShown: how an app presents itself in its metadata is what people see, in their language, and from our own server.
func TestAppShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var asked atomic.Int32
	body := atomic.Pointer[[]byte]{}
	body.Store(new(picture(t)))
	remote := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Header.Get("Cookie") != "" || r.Header.Get("Referer") != "" {
			t.Errorf("the app's server is told %v", r.Header)
		}
		_, _ = out.Write(*body.Load())
	}))
	t.Cleanup(remote.Close)
	sp := w.newSP(t, "shown")
	said := func(element string, texts ...string) string {
		var b strings.Builder
		for i := 0; i < len(texts); i += 2 {
			b.WriteString(`<mdui:` + element + ` xml:lang="` + texts[i] + `">` + texts[i+1] + `</mdui:` + element + `>`)
		}
		return b.String()
	}
	app := w.AddApp(t, metadataWith(sp, "", `<Extensions><mdui:UIInfo xmlns:mdui="urn:oasis:names:tc:SAML:metadata:ui">`+
		said("DisplayName", "de", "Reisekosten &lt;b>", "en", "Travel", "fr", "Frais")+said("InformationURL", "de", "https://shown.example.org/de", "en", "https://shown.example.org/en")+
		said("PrivacyStatementURL", "en", "https://shown.example.org/privacy", "de", "javascript:alert(1)")+
		`<mdui:Logo height="64" width="64">`+remote.URL+`/logo.png</mdui:Logo></mdui:UIInfo></Extensions>`+acsAt(bindingPost, sp.ACS[0], 0, "")), nil)
	signInPage := func(language string) *Page {
		c := w.browser(t)
		c.Language = language
		return w.send(t, c, sp, Ask{ID: newRequestID()}, false)
	}
	t.Run("MDC-18 the name in the person's language, else in English", func(t *testing.T) {
		for language, want := range map[string]string{
			"de-AT,de;q=0.9,en;q=0.5": `<strong lang="de">Reisekosten &lt;b&gt;</strong>`, "fr": `<strong lang="fr">Frais</strong>`, "en-GB": ">Travel</strong>",
			"": "<strong>Travel</strong>", "ja": "<strong>Travel</strong>", ";;;=,x": "<strong>Travel</strong>", strings.Repeat("de,", 1000): "<strong>Travel</strong>",
		} {
			if page := signInPage(language); !strings.Contains(page.Body, want) {
				t.Errorf("%.30s: no %s in\n%s", language, want, page.Body)
			}
		}
	})
	t.Run("MDC-18 pages about the app and its privacy statement", func(t *testing.T) {
		page := signInPage("de")
		if !strings.Contains(page.Body, `href="https://shown.example.org/de"`) || !strings.Contains(page.Body, `href="https://shown.example.org/privacy"`) || strings.Contains(page.Body, "javascript:") {
			t.Errorf("the links of\n%s", page.Body)
		}
	})
	t.Run("MDC-18 the logo comes from here", func(t *testing.T) {
		page := signInPage("")
		if policy := page.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "img-src 'self';") {
			t.Errorf("the page may load pictures from elsewhere: %s", policy)
		}
		source := logoSource.FindStringSubmatch(page.Body)
		if source == nil {
			t.Fatalf("no logo on\n%s", page.Body)
		}
		for range 3 {
			if got := w.browser(t).Get(source[1]); got.Status != http.StatusOK || got.Header.Get("Content-Type") != "image/png" || got.Body != string(picture(t)) {
				t.Errorf("%d %s", got.Status, got.Header.Get("Content-Type"))
			}
		}
		if asked.Load() != 1 {
			t.Errorf("the app's server was asked %d times", asked.Load())
		}
		if portal := w.ana(t).Get("/"); !strings.Contains(portal.Body, source[0]) || strings.Contains(portal.Body, remote.URL) {
			t.Error("the tile has no logo, or the app's own")
		}
		if got := w.browser(t).Get("/app-logo/" + app.ID + "/0123456789abcdef"); got.Status != http.StatusNotFound {
			t.Errorf("another version: %d", got.Status)
		}
	})
	t.Run("MDC-18 what is no picture is never served", func(t *testing.T) { w.noPicture(t, app, &body, remote.URL) })
	t.Run("MDC-18 a name that an administrator gave stays", func(t *testing.T) {
		w.set(t, sp, "name", "Expenses")
		if page := signInPage("de"); !strings.Contains(page.Body, "<strong>Expenses</strong>") {
			t.Errorf("it is\n%s", page.Body)
		}
	})
}

// noPicture: scripts, huge files and private networks give the app's initials, and an old copy outlives a bad day.
func (w *world) noPicture(t *testing.T, app api.App, body *atomic.Pointer[[]byte], remote string) {
	logo := func(url string) *Page {
		if _, err := w.API.SetApp(t.Context(), app.ID, api.Change{Set: map[string]string{"logo_url": url}}); err != nil {
			t.Fatal(err)
		}
		return w.browser(t).Get(logoSource.FindStringSubmatch(w.ana(t).Get("/").Body)[1])
	}
	initials := func(name string, page *Page) {
		if page.Status != http.StatusOK || page.Header.Get("Content-Type") != "image/svg+xml" || !strings.Contains(page.Body, ">T<") || strings.Contains(page.Body, "script") || !strings.Contains(page.Header.Get("Content-Security-Policy"), "sandbox") {
			t.Errorf("%s: %d %v %s", name, page.Status, page.Header, page.Body)
		}
	}
	for name, content := range map[string]string{
		"svg": `<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`, "html": "<html><script>alert(1)</script>", "huge": string(picture(t)) + strings.Repeat("x", 300<<10), "empty": "",
	} {
		body.Store(new([]byte(content)))
		initials(name, logo(remote+"/"+name))
	}
	initials("a network that may not be fetched", logo("https://10.0.0.1/logo.png"))
	inline := "data:image/png;base64," + base64.StdEncoding.EncodeToString(picture(t))
	if page := logo(inline); page.Header.Get("Content-Type") != "image/png" || page.Body != string(picture(t)) {
		t.Errorf("a data address: %d %s", page.Status, page.Header.Get("Content-Type"))
	}
	initials("svg as data", logo("data:image/svg+xml;base64,"+base64.StdEncoding.EncodeToString([]byte("<svg/>"))))
	for _, bad := range []string{"data:text/html;base64,PGI+", "data:image/png,x", "data:image/png;base64,!", "data:image/png;base64," + strings.Repeat("A", 25<<10), "javascript:alert(1)"} {
		if _, err := w.API.SetApp(t.Context(), app.ID, api.Change{Set: map[string]string{"logo_url": bad}}); err == nil {
			t.Errorf("%.30s is taken", bad)
		}
	}
	body.Store(new(picture(t)))
	good := logo(remote + "/good")
	body.Store(new([]byte("an error page")))
	w.clock.advance(25 * time.Hour)
	w.person = w.signedIn(t, "ana")
	if again := logo(remote + "/good"); again.Body != good.Body || good.Header.Get("Content-Type") != "image/png" {
		t.Errorf("after a bad day: %d %s", again.Status, again.Header.Get("Content-Type"))
	}
}
