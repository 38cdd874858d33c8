package idptest

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"gatehouse/idp/api"
)

// TestSAMLUnsolicited is section 6 of the requirements: starts from the portal.
func TestSAMLUnsolicited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	t.Run("UNS-01 UNS-02 a tile leads into the app", func(t *testing.T) { w.tile(t) })
	t.Run("UNS-03 the default address for POST", func(t *testing.T) {
		sp := w.newSP(t, "marked")
		added := w.AddApp(t, metadataWith(sp, "", acsAt(bindingPost, "https://marked.example.org/other", 0, "")+acsAt(bindingRedirect, "https://marked.example.org/get", 1, "")+
			acsAt(bindingPost, sp.ACS[0], 2, `isDefault="true"`)), nil)
		w.check(t, w.ana(t).Get("/launch/"+added.ID), sp, Ask{}, issued())
	})
	t.Run("UNS-04 landing pages", func(t *testing.T) { w.landingPages(t) })
	t.Run("UNS-05 signed and encrypted as any answer", func(t *testing.T) {
		sp := w.newSP(t, "sealed")
		sp.Encrypt = true
		added := w.AddApp(t, sp.Metadata(), map[string]string{"saml.encrypt": "always"})
		r := w.check(t, w.ana(t).Get("/launch/"+added.ID), sp, Ask{}, issued())
		w.xmlsec(t, r.XML, "Response")
		w.open(t, r, sp)
	})
	t.Run("UNS-06 switched off", func(t *testing.T) { w.switchedOff(t) })
	t.Run("UNS-07 a link on another site", func(t *testing.T) { w.foreignLink(t) })
	t.Run("UNS-08 a link that names the app by its entity id", func(t *testing.T) { w.byEntityID(t) })
	t.Run("UNS-09 refusals stay here", func(t *testing.T) { w.launchRefusals(t) })
	t.Run("RSP-38 every click is a new answer", func(t *testing.T) {
		sp := w.newSP(t, "again")
		added := w.AddApp(t, sp.Metadata(), nil)
		w.check(t, w.ana(t).Get("/launch/"+added.ID), sp, Ask{}, issued())
		w.check(t, w.ana(t).Get("/launch/"+added.ID), sp, Ask{}, issued())
	})
	w.everything(t)
}

func (w *world) tile(t *testing.T) {
	sp := w.newSP(t, "tile")
	added := w.AddApp(t, sp.Metadata(), nil)
	if page := w.ana(t).Get("/"); !strings.Contains(page.Body, `href="/launch/`+added.ID+`"`) {
		t.Errorf("no tile:\n%s", page.Body)
	}
	for _, c := range []*Client{w.ana(t), nil} {
		page := (*Page)(nil)
		if c != nil {
			page = c.Get("/launch/" + added.ID)
		} else {
			c = w.browser(t)
			page = c.SignIn(c.Get("/launch/"+added.ID), "ana", Password)
		}
		r := w.check(t, page, sp, Ask{}, issued())
		if r.Root.SelectAttr("InResponseTo") != nil || r.Root.FindElement(pathData).SelectAttr("InResponseTo") != nil {
			t.Error("InResponseTo in an answer that nobody asked for")
		}
		w.xmlsec(t, r.XML, "Response", "Assertion")
	}
}

func (w *world) landingPages(t *testing.T) {
	sp := w.newSP(t, "landing")
	added := w.AddApp(t, sp.Metadata(), map[string]string{
		"saml.default_relay_state": "https://landing.example.org/home", "saml.allowed_relay_states": "https://landing.example.org,/reports/",
	})
	home := "https://landing.example.org/home"
	w.check(t, w.ana(t).Get("/launch/"+added.ID), sp, Ask{RelayState: &home}, issued())
	for _, good := range []string{home, "https://landing.example.org/deep?x=1&y=<2>", "/reports/7"} {
		w.check(t, w.ana(t).Get("/launch/"+added.ID+"?RelayState="+url.QueryEscape(good)), sp, Ask{RelayState: &good}, issued())
	}
	for _, bad := range []string{"https://evil.example/", "https://landing.example.org.evil.example/", "https://landing.example.org@evil.example/", "javascript:alert(1)", "/report", "//evil.example", "/reports/" + strings.Repeat("x", 1024)} {
		w.checkHere(t, w.ana(t).Get("/launch/"+added.ID+"?RelayState="+url.QueryEscape(bad)), "bad_relay_state")
	}
	plain := w.newSP(t, "no-landing")
	other := w.AddApp(t, plain.Metadata(), nil)
	w.checkHere(t, w.ana(t).Get("/launch/"+other.ID+"?RelayState=x"), "bad_relay_state")
}

// byEntityID: links with the parameters that Shibboleth takes lead into the app, and never elsewhere.
func (w *world) byEntityID(t *testing.T) {
	sp := w.newSP(t, "shibboleth")
	w.AddApp(t, sp.Metadata(), map[string]string{"saml.allowed_relay_states": "https://shibboleth.example.org"})
	link := func(pairs ...string) string {
		query := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			query.Set(pairs[i], pairs[i+1])
		}
		return "/saml/unsolicited?" + query.Encode()
	}
	deep := "https://shibboleth.example.org/deep?x=1&y=<2>"
	w.check(t, w.ana(t).Get(link("providerId", sp.EntityID)), sp, Ask{}, issued())
	w.check(t, w.ana(t).Get(link("providerId", sp.EntityID, "shire", sp.ACS[0], "target", deep, "time", "1")), sp, Ask{RelayState: &deep}, issued())
	w.checkHere(t, w.ana(t).Get(link("providerId", "https://unknown.example.org")), "unknown_issuer")
	w.checkHere(t, w.ana(t).Get(link()), "unknown_issuer")
	w.checkHere(t, w.ana(t).Get(link("providerId", sp.EntityID, "shire", "https://evil.example.org/acs")), "unregistered_acs")
	w.checkHere(t, w.ana(t).Get(link("providerId", sp.EntityID, "target", "https://evil.example.org/")), "bad_relay_state")
	r := w.ana(t).request(http.MethodGet, link("providerId", sp.EntityID), nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	if asked := w.ana(t).Do(r); asked.Status != http.StatusOK || strings.Contains(asked.Body, "SAMLResponse") || !strings.HasPrefix(asked.Action(), "/launch/") {
		t.Errorf("a link on another site gives %d:\n%s", asked.Status, asked.Body)
	}
}

func (w *world) switchedOff(t *testing.T) {
	off := map[string]string{"saml.allow_idp_initiated": "false", "start_url": "https://off.example.org/start"}
	added := w.AddApp(t, w.newSP(t, "off").Metadata(), off)
	page := w.ana(t).Get("/launch/" + added.ID)
	if page.Status != http.StatusSeeOther || page.Header.Get("Location") != off["start_url"] || strings.Contains(page.Body, "SAMLResponse") {
		t.Errorf("%d to %q:\n%s", page.Status, page.Header.Get("Location"), page.Body)
	}
	delete(off, "start_url")
	added = w.AddApp(t, w.newSP(t, "off-without").Metadata(), off)
	w.checkHere(t, w.ana(t).Get("/launch/"+added.ID), "no_start")
	if page := w.ana(t).Get("/"); strings.Contains(page.Body, added.ID) {
		t.Error("a tile that leads nowhere")
	}
}

// foreignLink: nobody is signed in to an app unawares.
func (w *world) foreignLink(t *testing.T) {
	sp := w.newSP(t, "foreign")
	added := w.AddApp(t, sp.Metadata(), nil)
	visit := func(method, site string) *Page {
		r := w.ana(t).request(method, "/launch/"+added.ID, nil)
		if site != "" {
			r.Header.Set("Sec-Fetch-Site", site)
		}
		return w.ana(t).Do(r)
	}
	for _, site := range []string{"", "none", "same-origin", "same-site"} {
		w.check(t, visit(http.MethodGet, site), sp, Ask{}, issued())
	}
	asked := visit(http.MethodGet, "cross-site")
	if _, posts := asked.LookupField("SAMLResponse"); posts || asked.Status != http.StatusOK || asked.Action() != "/launch/"+added.ID {
		t.Errorf("a link on another site gives %d:\n%s", asked.Status, asked.Body)
	}
	w.check(t, w.ana(t).Post(asked.Action(), nil), sp, Ask{}, issued())
	if page := visit(http.MethodPost, "cross-site"); page.Status != http.StatusForbidden || strings.Contains(page.Body, "SAMLResponse") {
		t.Errorf("a form on another site gives %d:\n%s", page.Status, page.Body)
	}
}

func (w *world) launchRefusals(t *testing.T) {
	launch := func(name string, settings map[string]string) (*Page, api.App) {
		added := w.AddApp(t, w.newSP(t, name).Metadata(), settings)
		return w.ana(t).Get("/launch/" + added.ID), added
	}
	page, _ := launch("nobody", map[string]string{"policy.permitted_users": "preauthorized"})
	w.checkHere(t, page, "permitted_users")
	page, _ = launch("elsewhere", map[string]string{"policy.ip_ranges": "192.0.2.0/24"})
	w.checkHere(t, page, "app_ip_ranges")
	w.setOrganisation(t, "signin.mfa_enrolment", "admin") // else ana would be asked to set one up
	page, _ = launch("strong", map[string]string{"policy.min_level": "high"})
	w.checkHere(t, page, "level_unreachable")
	page, _ = launch("keyless", map[string]string{"saml.encrypt": "always"})
	w.checkHere(t, page, "cannot_encrypt")
	_, app := launch("blocked", nil)
	if _, err := w.API.MoveApp(t.Context(), app.ID, "block"); err != nil {
		t.Fatal(err)
	}
	w.checkHere(t, w.ana(t).Get("/launch/"+app.ID), "app_blocked")
	w.checkHere(t, w.browser(t).Get("/launch/"+app.ID), "app_blocked")
	if _, err := w.API.RemoveApp(t.Context(), app.ID); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{app.ID, "app_nothing", "console", "portal"} {
		w.checkHere(t, w.ana(t).Get("/launch/"+id), "unknown_app")
	}
}
