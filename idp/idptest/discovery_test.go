package idptest

import (
	"slices"
	"strings"
	"testing"

	"gatehouse/idp/api"
)

// TestDiscovery: what the organisation says of itself to federations and discovery services.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const research, hide = "http://refeds.org/category/research-and-scholarship", "http://refeds.org/category/hide-from-discovery"
	w.settings(t, "name", "Acme", "saml.entity_categories", hide, "saml.supported_categories", research+", https://refeds.org/category/pseudonymous",
		"saml.assurance_certifications", "https://refeds.org/sirtfi", "saml.ip_hints", "192.0.2.1/24,2001:db8::/32", "saml.domain_hints", "Example.ORG",
		"saml.geolocation_hints", `["geo:52.52,13.40","geo:-33.86,151.2,30"]`)
	m := w.ourMetadata(t, "/saml/metadata")
	claims := func(name string) []string {
		return m.texts("./Extensions/EntityAttributes/Attribute[@Name='"+name+"']/AttributeValue", "")
	}
	t.Run("MDP-18 ATT-12 entity attributes", func(t *testing.T) {
		for name, want := range map[string][]string{
			"http://macedir.org/entity-category-support":                {research, "https://refeds.org/category/pseudonymous"},
			"urn:oasis:names:tc:SAML:attribute:assurance-certification": {"https://refeds.org/sirtfi"},
		} {
			if got := claims(name); !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", name, got, want)
			}
		}
		if err := w.xml.Validate(m.raw); err != nil {
			t.Error(err)
		}
		w.xmlsec(t, m.raw, "EntityDescriptor")
	})
	t.Run("MDP-23 DSC-02 hints for discovery services", func(t *testing.T) {
		for element, want := range map[string][]string{
			"IPHint": {"192.0.2.0/24", "2001:db8::/32"}, "DomainHint": {"example.org"}, "GeolocationHint": {"geo:52.52,13.40", "geo:-33.86,151.2,30"},
		} {
			if got := m.texts("./IDPSSODescriptor/Extensions/DiscoHints/"+element, ""); !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", element, got, want)
			}
		}
	})
	t.Run("DSC-03 a name to choose, and hiding from the choice", func(t *testing.T) {
		if names := m.texts("./IDPSSODescriptor/Extensions/UIInfo/DisplayName", ""); !slices.Equal(names, []string{"Acme"}) {
			t.Errorf("names %v", names)
		}
		if got := claims("http://macedir.org/entity-category"); !slices.Equal(got, []string{hide}) {
			t.Errorf("categories %v", got)
		}
		if strings.Contains(string(w.ourMetadata(t, "/saml/sp-metadata").raw), "idpdisc") {
			t.Error("as a service provider it names a discovery service that it does not ask")
		}
	})
	t.Run("nothing is claimed by default", func(t *testing.T) {
		for _, key := range []string{"saml.entity_categories", "saml.supported_categories", "saml.assurance_certifications", "saml.ip_hints", "saml.domain_hints", "saml.geolocation_hints"} {
			w.settings(t, key, "default")
		}
		if m := w.ourMetadata(t, "/saml/metadata"); strings.Contains(string(m.raw), "EntityAttributes") || strings.Contains(string(m.raw), "DiscoHints") {
			t.Error("it is")
		}
	})
	t.Run("what metadata cannot hold is refused", func(t *testing.T) {
		for key, value := range map[string]string{
			"saml.entity_categories": "research", "saml.ip_hints": "192.0.2.1", "saml.domain_hints": "*.example.org", "saml.geolocation_hints": "geo:52.52,13.40",
		} {
			if _, err := w.API.SetSettings(t.Context(), api.Change{Set: map[string]string{key: value}}); err == nil || !strings.Contains(err.Error(), "such as") {
				t.Errorf("%s=%s: %v", key, value, err)
			}
		}
	})
}
