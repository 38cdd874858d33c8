package idptest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"gatehouse/idp/api"
)

// TestSAMLMetadataIn holds the rows of section 12 about what is read from one app's metadata, shown by how the app is answered.
func TestSAMLMetadataIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	t.Run("MDC-10 unknown extensions, roles and attributes are ignored", func(t *testing.T) {
		sp := w.newSP(t, "odd")
		document := fmt.Sprintf(`<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" xmlns:x="urn:odd" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" x:a="1" entityID="%s"><Extensions><x:odd x:b="2"><x:deep/></x:odd></Extensions>
			<RoleDescriptor xsi:type="x:Role" protocolSupportEnumeration="urn:odd"/><SPSSODescriptor x:c="3" protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"><Extensions><x:odd/></Extensions>%s</SPSSODescriptor>
			<AttributeAuthorityDescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"><AttributeService Binding="urn:oasis:names:tc:SAML:2.0:bindings:SOAP" Location="https://odd.example.org/aa"/></AttributeAuthorityDescriptor></EntityDescriptor>`,
			sp.EntityID, acsAt(bindingPost, sp.ACS[0], 0, `x:d="4"`))
		w.AddApp(t, []byte(document), nil)
		w.issue(t, w.ana(t), sp, Ask{})
	})
	t.Run("MDC-12 of several roles the one of SAML 2.0", func(t *testing.T) {
		for _, order := range [][]string{{"1.1", "2.0"}, {"2.0", "1.1"}} {
			sp := w.newSP(t, "roles-"+order[0][:1])
			roles := ""
			for _, version := range order {
				location := sp.ACS[0]
				if version == "1.1" {
					location = "https://old.example.org/acs"
				}
				roles += `<SPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:` + version + `:protocol">` + acsAt(bindingPost, location, 0, `isDefault="true"`) + `</SPSSODescriptor>`
			}
			w.AddApp(t, []byte(`<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="`+sp.EntityID+`">`+roles+`</EntityDescriptor>`), nil)
			w.issue(t, w.ana(t), sp, Ask{})
			ask := Ask{ID: newRequestID(), Attributes: `AssertionConsumerServiceURL="https://old.example.org/acs"`}
			w.check(t, w.send(t, w.ana(t), sp, ask, false), sp, ask, here("unregistered_acs"))
		}
	})
	t.Run("MDC-18 the name of MDUI, in English, and inert", func(t *testing.T) { w.shownName(t) })
	t.Run("MDC-28 encryption that is required, and no key for it", func(t *testing.T) {
		sp := w.newSP(t, "keyless")
		added, err := w.API.AddApp(t.Context(), api.NewApp{Metadata: string(sp.Metadata()), Set: map[string]string{"saml.encrypt": "always"}})
		if err != nil {
			t.Fatal(err)
		}
		shown, err := w.API.App(t.Context(), added.App.ID)
		for _, warnings := range [][]api.Warning{added.Warnings, shown.Warnings} {
			if err != nil || !slices.ContainsFunc(warnings, func(x api.Warning) bool { return strings.Contains(x.Text, "no encryption key") }) {
				t.Errorf("warnings %+v, %v", warnings, err)
			}
		}
	})
	t.Run("MDC-29 an app that was typed in equals one with metadata", func(t *testing.T) { w.typedIn(t) })
	w.everything(t)
}

// shownName: people read the app's own name for itself where they sign in, agree and open it; never markup.
func (w *world) shownName(t *testing.T) {
	sp := w.newSP(t, "named")
	names := `<Extensions><ui:UIInfo xmlns:ui="urn:oasis:names:tc:SAML:metadata:ui"><ui:DisplayName xml:lang="de">Unser Wiki</ui:DisplayName><ui:DisplayName xml:lang="en">Wiki &lt;script&gt;alert(1)&lt;/script&gt;</ui:DisplayName></ui:UIInfo></Extensions>`
	app := w.AddApp(t, metadataWith(sp, "", names+acsAt(bindingPost, sp.ACS[0], 0, "")), map[string]string{"policy.consent": "always"})
	consent := w.send(t, w.ana(t), sp, Ask{}, false)
	w.asks(t, consent)
	link := w.ana(t).request(http.MethodGet, "/launch/"+app.ID, nil)
	link.Header.Set("Sec-Fetch-Site", "cross-site")
	for place, page := range map[string]*Page{
		"sign-in": w.send(t, w.browser(t), sp, Ask{}, false), "consent": consent, "portal": w.ana(t).Get("/"), "a link elsewhere": w.ana(t).Do(link),
	} {
		if !strings.Contains(page.Body, "Wiki &lt;script&gt;alert(1)&lt;/script&gt;") || strings.Contains(page.Body, "<script>alert(1)") || strings.Contains(page.Body, "Unser Wiki") {
			t.Errorf("%s:\n%s", place, page.Body)
		}
	}
}

// typedIn compares an app by entity id and address with one by the metadata that says the same.
func (w *world) typedIn(t *testing.T) {
	typed, described := w.newSP(t, "typed"), w.newSP(t, "described")
	if _, err := w.API.AddApp(t.Context(), api.NewApp{EntityID: typed.EntityID, ACS: typed.ACS[0], Name: "one of two"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.API.AddApp(t.Context(), api.NewApp{Metadata: string(metadataWith(described, "", acsAt(bindingPost, described.ACS[0], 0, ""))), Name: "one of two"}); err != nil {
		t.Fatal(err)
	}
	settings := func(sp *SP) map[string]api.Setting {
		app, err := w.API.App(t.Context(), sp.EntityID)
		if err != nil {
			t.Fatal(err)
		}
		by := map[string]api.Setting{}
		for _, s := range app.Settings {
			by[s.Key] = s
		}
		return by
	}
	one, other := settings(typed), settings(described)
	if len(one) < 20 || len(one) != len(other) {
		t.Errorf("%d and %d settings", len(one), len(other))
	}
	for key, setting := range one {
		if setting.Value != other[key].Value {
			t.Errorf("%s is %q and %q", key, setting.Value, other[key].Value)
		}
	}
	for _, sp := range []*SP{typed, described} {
		w.issue(t, w.ana(t), sp, Ask{})
		ask := Ask{ID: newRequestID(), Attributes: `AssertionConsumerServiceURL="https://elsewhere.example"`}
		w.check(t, w.send(t, w.ana(t), sp, ask, false), sp, ask, here("unregistered_acs"))
	}
}
