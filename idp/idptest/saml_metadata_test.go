package idptest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"

	"gatehouse/idp/api"
)

// ourMetadata is the identity provider's metadata as an app reads it.
type ourMetadata struct {
	raw  []byte
	root *etree.Element
	role *etree.Element
	page *Page
}

func (w *world) ourMetadata(t *testing.T, address string) *ourMetadata {
	t.Helper()
	page := w.browser(t).Get(address)
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes([]byte(page.Body)); err != nil || page.Status != http.StatusOK {
		t.Fatalf("%d %v: %s", page.Status, err, page.Body)
	}
	return &ourMetadata{[]byte(page.Body), doc.Root(), doc.Root().FindElement("./IDPSSODescriptor"), page}
}

func (m *ourMetadata) attr(name string) string { return m.root.SelectAttrValue(name, "") }

// texts are the contents of the elements at a path, or their attribute where one is named.
func (m *ourMetadata) texts(path, attribute string) []string {
	var list []string
	for _, e := range m.root.FindElements(path) {
		if attribute != "" {
			list = append(list, e.SelectAttrValue(attribute, ""))
		} else {
			list = append(list, e.Text())
		}
	}
	return list
}

func (w *world) settings(t *testing.T, pairs ...string) {
	t.Helper()
	change := api.Change{Set: map[string]string{}}
	for i := 0; i+1 < len(pairs); i += 2 {
		change.Set[pairs[i]] = pairs[i+1]
	}
	if _, err := w.API.SetSettings(t.Context(), change); err != nil {
		t.Fatal(err)
	}
}

// TestSAMLMetadataOut is section 11 of the requirements. MDP-10 and MDP-11 are in keys_test.go, MDP-13's logo, which needs
// https, in idp/saml; MDP-18 and MDP-23 are in discovery_test.go.
func TestSAMLMetadataOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.settings(t, "name", `Acme & "Sons" <Ltd>`, "support_contact", "help@example.org", "saml.scope", "example.org,Example.COM", "saml.information_url", "https://example.org/about?a=1&b=2",
		"saml.privacy_url", "https://example.org/privacy", "saml.security_contact", "cert@example.org")
	m := w.ourMetadata(t, "/saml/metadata")
	w.metadataDocument(t, m)
	w.metadataDates(t, m)
	w.metadataRole(t, m)
	w.metadataWords(t, m)
	t.Run("MDP-07 WantAuthnRequestsSigned mirrors what is enforced", func(t *testing.T) { w.wantSigned(t) })
	t.Run("MDP-08 the endpoints are live", func(t *testing.T) { w.endpoints(t, m) })
	t.Run("MDP-09 each NameID format is issued", func(t *testing.T) { w.formats(t, m) })
	t.Run("MDP-15 errorURL", func(t *testing.T) { w.errorURL(t, m) })
	t.Run("MDP-22 an app's metadata names the issuer of its answers", func(t *testing.T) {
		sp := w.newSP(t, "variant")
		app := w.AddApp(t, sp.Metadata(), nil)
		own := w.ourMetadata(t, "/saml/metadata/"+app.ID)
		if issuer := w.issue(t, w.ana(t), sp, Ask{}).Text("./Issuer"); issuer != own.attr("entityID") || issuer != m.attr("entityID") {
			t.Errorf("issuer %q, metadata %q and %q", issuer, own.attr("entityID"), m.attr("entityID"))
		}
	})
	t.Run("settings that metadata cannot hold are refused", func(t *testing.T) { w.badMetadataSettings(t) })
}

func (w *world) metadataDocument(t *testing.T, m *ourMetadata) {
	t.Run("MDP-01 valid by schema, a short entity id", func(t *testing.T) {
		if err := w.xml.Validate(m.raw); err != nil {
			t.Error(err)
		}
		if id := m.attr("entityID"); id == "" || len(id) > 256 {
			t.Errorf("entity id %q", id)
		}
	})
	t.Run("MDP-02 media type, ETag, 304", func(t *testing.T) {
		tag := m.page.Header.Get("ETag")
		if kind := m.page.Header.Get("Content-Type"); kind != "application/samlmetadata+xml" || tag == "" || !strings.Contains(m.page.Header.Get("Cache-Control"), "max-age") {
			t.Errorf("%v", m.page.Header)
		}
		c := w.browser(t)
		r := c.request(http.MethodGet, "/saml/metadata", nil)
		r.Header.Set("If-None-Match", tag)
		if page := c.Do(r); page.Status != http.StatusNotModified || page.Body != "" {
			t.Errorf("%d %.40s", page.Status, page.Body)
		}
	})
	t.Run("MDP-03 at the entity id", func(t *testing.T) {
		if other := w.ourMetadata(t, m.attr("entityID")); string(other.raw) != string(m.raw) {
			t.Error("another document is at the entity id")
		}
	})
	t.Run("MDP-04 MDP-24 signed at the root, and so after a download", func(t *testing.T) {
		w.xmlsec(t, m.raw, "EntityDescriptor")
		if !strings.HasPrefix(string(m.raw), "<md:EntityDescriptor ") {
			t.Errorf("begins with %q", m.raw[:20])
		}
	})
	t.Run("MDP-19 MDP-21 no registration info, no other role", func(t *testing.T) {
		var tags []string
		for _, e := range m.root.ChildElements() {
			tags = append(tags, e.Tag)
		}
		if want := []string{"Signature", "Extensions", "IDPSSODescriptor", "Organization", "ContactPerson", "ContactPerson", "ContactPerson"}; !slices.Equal(tags, want) {
			t.Errorf("%v, want %v", tags, want)
		}
		for _, e := range m.root.FindElements("./Extensions/*") {
			if e.NamespaceURI() != "urn:oasis:names:tc:SAML:metadata:algsupport" {
				t.Errorf("the extension %s", e.Tag)
			}
		}
	})
}

// encryptionKeys: names may be encrypted to us with GCM and OAEP alone.
func (w *world) encryptionKeys(t *testing.T, m *ourMetadata) {
	if uses := m.texts("./IDPSSODescriptor/KeyDescriptor", "use"); !slices.Equal(uses, []string{"signing", "encryption"}) {
		t.Errorf("keys for %v", uses)
	}
	for _, method := range m.texts("./IDPSSODescriptor/KeyDescriptor/EncryptionMethod", "Algorithm") {
		if !strings.Contains(method, "-gcm") && !strings.Contains(method, "rsa-oaep") {
			t.Errorf("offers %s", method)
		}
	}
}

func (w *world) metadataDates(t *testing.T, m *ourMetadata) {
	t.Run("MDP-05 validUntil, cacheDuration, stable across polls", func(t *testing.T) {
		until, err := time.Parse(time.RFC3339, m.attr("validUntil"))
		if left := until.Sub(w.clock.now()); err != nil || left > 14*24*time.Hour || left < 12*24*time.Hour || m.attr("cacheDuration") != "PT1H" {
			t.Errorf("%v %v %s", left, err, m.attr("cacheDuration"))
		}
		if again := w.ourMetadata(t, "/saml/metadata"); string(again.raw) != string(m.raw) {
			t.Error("two polls differ")
		}
		w.clock.advance(30 * time.Hour)
		defer w.clock.advance(-30 * time.Hour)
		later, err := time.Parse(time.RFC3339, w.ourMetadata(t, "/saml/metadata").attr("validUntil"))
		if err != nil || !later.After(until) {
			t.Errorf("not refreshed long before its end: %v, then %v", until, later)
		}
	})
}

func (w *world) metadataRole(t *testing.T, m *ourMetadata) {
	t.Run("MDP-06 the protocol", func(t *testing.T) {
		if got := m.role.SelectAttrValue("protocolSupportEnumeration", ""); got != "urn:oasis:names:tc:SAML:2.0:protocol" {
			t.Error(got)
		}
	})
	t.Run("MDP-10 the key for encryption has its methods", func(t *testing.T) { w.encryptionKeys(t, m) })
	t.Run("MDP-12 algorithms: what is accepted and used", func(t *testing.T) {
		const more, enc = "http://www.w3.org/2001/04/xmldsig-more#", "http://www.w3.org/2001/04/xmlenc#"
		signing := []string{more + "rsa-sha256", more + "rsa-sha384", more + "rsa-sha512", "http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1", more + "ecdsa-sha256", more + "ecdsa-sha384", more + "ecdsa-sha512"}
		if got := m.texts("./Extensions/SigningMethod", "Algorithm"); !slices.Equal(got, signing) {
			t.Errorf("%v", got)
		}
		if got := m.texts("./Extensions/DigestMethod", "Algorithm"); !slices.Equal(got, []string{enc + "sha256", enc + "sha512", more + "sha384"}) {
			t.Errorf("%v", got)
		}
	})
	t.Run("MDP-14 shibmd:Scope", func(t *testing.T) {
		if got := m.texts("./IDPSSODescriptor/Extensions/Scope", ""); !slices.Equal(got, []string{"example.org", "example.com"}) {
			t.Errorf("%v", got)
		}
		for _, e := range m.root.FindElements("./IDPSSODescriptor/Extensions/Scope") {
			if e.NamespaceURI() != "urn:mace:shibboleth:metadata:1.0" || e.SelectAttrValue("regexp", "") != "false" {
				t.Errorf("%+v", e)
			}
		}
	})
	t.Run("MDP-20 no attributes are listed, because they depend on the app", func(t *testing.T) {
		if got := m.texts("./IDPSSODescriptor/Attribute", "Name"); len(got) > 0 {
			t.Errorf("%v", got)
		}
	})
}

func (w *world) metadataWords(t *testing.T, m *ourMetadata) {
	check := func(t *testing.T, path, attribute string, want ...string) {
		t.Helper()
		if got := m.texts(path, attribute); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	const name = `Acme & "Sons" <Ltd>`
	t.Run("MDP-13 MDUI", func(t *testing.T) {
		const ui = "./IDPSSODescriptor/Extensions/UIInfo/"
		check(t, ui+"DisplayName", "", name)
		check(t, ui+"InformationURL", "", "https://example.org/about?a=1&b=2")
		check(t, ui+"PrivacyStatementURL", "", "https://example.org/privacy")
		check(t, ui+"*", "lang", "en", "en", "en")
	})
	t.Run("MDP-16 contacts: technical, support, security", func(t *testing.T) {
		check(t, "./ContactPerson", "contactType", "technical", "support", "other")
		check(t, "./ContactPerson/EmailAddress", "", "mailto:help@example.org", "mailto:help@example.org", "mailto:cert@example.org")
		security := m.root.FindElements("./ContactPerson")[2]
		if got := security.SelectAttrValue("remd:contactType", ""); got != "http://refeds.org/metadata/contactType/security" {
			t.Error(got)
		}
	})
	t.Run("MDP-17 Organization", func(t *testing.T) {
		check(t, "./Organization/OrganizationName", "", name)
		check(t, "./Organization/OrganizationDisplayName", "", name)
		check(t, "./Organization/OrganizationURL", "", w.URL+"/")
	})
}

// wantSigned switches the setting: metadata and what happens to an unsigned request change together.
func (w *world) wantSigned(t *testing.T) {
	sp := w.sp(t, "unsigned", nil)
	for _, want := range []string{"true", "false"} {
		w.settings(t, "saml.want_signed_requests", want)
		if got := w.ourMetadata(t, "/saml/metadata").role.SelectAttrValue("WantAuthnRequestsSigned", ""); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		page := w.send(t, w.ana(t), sp, Ask{ID: newRequestID()}, false)
		if _, answered := page.LookupField("SAMLResponse"); answered == (want == "true") {
			t.Errorf("set to %s, an unsigned request is answered: %v", want, answered)
		}
	}
}

// endpoints: a sign-on goes through each of the sign-on service's addresses, and no other endpoint is missing.
func (w *world) endpoints(t *testing.T, m *ourMetadata) {
	sp := w.sp(t, "probing", nil)
	var bindings []string
	for _, e := range m.root.FindElements("./IDPSSODescriptor/SingleSignOnService") {
		binding := e.SelectAttrValue("Binding", "")
		bindings = append(bindings, binding)
		if location := e.SelectAttrValue("Location", ""); location != w.sso && strings.HasPrefix(binding, "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-") {
			t.Errorf("%s at %s", binding, location)
		}
	}
	for binding, post := range map[string]bool{bindingRedirect: false, bindingPost: true} {
		if !slices.Contains(bindings, binding) {
			t.Errorf("%s is not offered", binding)
		}
		ask := Ask{ID: newRequestID()}
		w.check(t, w.send(t, w.ana(t), sp, ask, post), sp, ask, issued())
	}
	for _, e := range m.role.ChildElements() {
		location := e.SelectAttrValue("Location", "")
		if location == "" {
			continue
		}
		binding := e.SelectAttrValue("Binding", "")
		method := http.MethodPost
		if binding == bindingRedirect {
			method = http.MethodGet
		}
		status := w.probe(t, method, location)
		fault := strings.HasSuffix(binding, ":SOAP") && status == http.StatusInternalServerError // SOAP 1.1, section 6.2
		if status == http.StatusNotFound || status == http.StatusMethodNotAllowed || status >= 500 && !fault {
			t.Errorf("%s by %s at %s: %d", e.Tag, binding, location, status)
		}
	}
}

// probe sends nothing to an endpoint and returns the status of its answer.
func (w *world) probe(t *testing.T, method, location string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, location, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := manyHops{&w.address}.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	return answer.StatusCode
}

// formats: each published format is issued where an app is set to it.
func (w *world) formats(t *testing.T, m *ourMetadata) {
	sp := w.sp(t, "formats", nil)
	published := m.texts("./IDPSSODescriptor/NameIDFormat", "")
	if len(published) != 4 {
		t.Errorf("%v", published)
	}
	for _, format := range published {
		w.set(t, sp, "saml.nameid_format", format[strings.LastIndexByte(format, ':')+1:])
		for _, ask := range []Ask{{}, policy(`Format="` + format + `"`)} {
			if got := w.issue(t, w.ana(t), sp, ask).Attr("./Assertion/Subject/NameID", "Format"); got != format {
				t.Errorf("%s, want %s", got, format)
			}
		}
	}
}

// errorURL answers with a page whatever is in its placeholders, and no link can put words on it.
func (w *world) errorURL(t *testing.T, m *ourMetadata) {
	address := m.role.SelectAttrValue("errorURL", "")
	if !strings.HasPrefix(address, w.URL+"/") || !strings.Contains(address, "code=ERRORURL_CODE") {
		t.Fatalf("errorURL %q", address)
	}
	sp := w.sp(t, "failing", map[string]string{"name": "Failing App"})
	filled := strings.NewReplacer("ERRORURL_CODE", "AUTHORIZATION_FAILURE", "ERRORURL_TS", "1784000000", "ERRORURL_RP", url.QueryEscape(sp.EntityID), "ERRORURL_TID", "abc-123", "ERRORURL_CTX", "x").Replace(address)
	hostile := strings.NewReplacer("ERRORURL_CODE", "<b>", "ERRORURL_TS", "9999999999999999999", "ERRORURL_RP", url.QueryEscape("https://evil.example/call-me"), "ERRORURL_TID", url.QueryEscape("Call evil"), "ERRORURL_CTX", url.QueryEscape("<script>evil")).Replace(address)
	for address, want := range map[string]string{address: "Something went wrong at the app", filled: "The app is Failing App.", hostile: "Something went wrong at the app", w.URL + "/saml/error": "Something went wrong at the app"} {
		page := w.browser(t).Get(address)
		if page.Status != http.StatusOK || !strings.HasPrefix(page.Header.Get("Content-Type"), "text/html") || !strings.Contains(page.Body, want) {
			t.Errorf("%s: %d %s", address, page.Status, page.Body)
		}
		if strings.Contains(page.Body, "evil") || strings.Contains(page.Body, "ERRORURL") {
			t.Errorf("%s puts words on the page:\n%s", address, page.Body)
		}
	}
	if page := w.browser(t).Get(filled); !strings.Contains(page.Body, "abc-123") || !strings.Contains(page.Body, "14 July 2026") {
		t.Errorf("what the app said is not there:\n%s", page.Body)
	}
}

func (w *world) badMetadataSettings(t *testing.T) {
	for key, values := range map[string][]string{
		"saml.scope":            {"localhost", "*.example.org", "example..org", "a b.org", "example.org,", "192.0.2.7", strings.Repeat("a", 64) + ".org"},
		"saml.information_url":  {"http://example.org/", "javascript:alert(1)", "example.org", "https://user@example.org/", "https://a b/"},
		"saml.privacy_url":      {"ftp://example.org/"},
		"saml.security_contact": {"nobody", "A <a@example.org>", "mailto:a@example.org"},
	} {
		for _, value := range values {
			if _, err := w.API.SetSettings(t.Context(), api.Change{Set: map[string]string{key: value}}); err == nil || !strings.Contains(err.Error(), key) {
				t.Errorf("%s=%s: %v", key, value, err)
			}
		}
	}
	w.settings(t, "saml.scope", "default", "support_contact", "default", "saml.security_contact", "default", "saml.information_url", "default")
	m := w.ourMetadata(t, "/saml/metadata")
	if err := w.xml.Validate(m.raw); err != nil {
		t.Error(err)
	}
	if len(m.root.FindElements(".//Scope")) > 0 || len(m.root.FindElements(".//ContactPerson")) > 0 {
		t.Errorf("%s", m.raw)
	}
}
