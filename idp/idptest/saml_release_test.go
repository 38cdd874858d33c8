package idptest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gatehouse/idp/api"
)

const (
	subjectIDName  = "urn:oasis:names:tc:SAML:attribute:subject-id"
	pairwiseIDName = "urn:oasis:names:tc:SAML:attribute:pairwise-id"
	eppnName       = "urn:oid:1.3.6.1.4.1.5923.1.1.1.6"
	affiliationOID = "urn:oid:1.3.6.1.4.1.5923.1.1.1.9"
	homeOID        = "urn:oid:1.3.6.1.4.1.25178.1.2.9"
)

// tagged is a service provider whose metadata has entity attributes, and asks for attributes.
func (w *world) tagged(t *testing.T, name string, tags map[string]string, requested string, settings map[string]string) *SP {
	t.Helper()
	sp := w.newSP(t, name)
	var b strings.Builder
	for tag, value := range tags {
		fmt.Fprintf(&b, `<saml:Attribute Name="%s"><saml:AttributeValue> %s </saml:AttributeValue></saml:Attribute>`, tag, value)
	}
	metadata := string(metadataWith(sp, "", acsAt(bindingPost, sp.ACS[0], 0, "")+requested))
	extensions := `<Extensions><mdattr:EntityAttributes xmlns:mdattr="urn:oasis:names:tc:SAML:metadata:attribute" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion">` + b.String() + `</mdattr:EntityAttributes></Extensions>`
	w.AddApp(t, []byte(strings.Replace(metadata, "<SPSSODescriptor", extensions+"<SPSSODescriptor", 1)), settings)
	return sp
}

var scopedID = regexp.MustCompile(`^[a-z0-9][a-z0-9=-]{0,126}@example\.org$`)

// released signs a person on and gives the names of what the app is told.
func (w *world) released(t *testing.T, c *Client, sp *SP) (*Response, []string) {
	t.Helper()
	r := w.issue(t, c, sp, Ask{})
	names := attributeNames(r)
	slices.Sort(names)
	return r, names
}

func TestSAMLRelease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.AddPerson(t, "gus", "Employees")
	if _, err := w.API.SetUser(t.Context(), "gus", api.Change{Set: map[string]string{"attributes": `{"affiliation":["member","staff"]}`}}); err != nil {
		t.Fatal(err)
	}
	gus := w.signedIn(t, "gus")
	federated := map[string]string{"saml.defaults": "saml2int", "saml.encrypt": "never"}
	needs := func(what string) map[string]string {
		return map[string]string{"urn:oasis:names:tc:SAML:profiles:subject-id:req": what}
	}
	t.Run("NID-15 no scope: left out", func(t *testing.T) {
		if _, names := w.released(t, gus, w.tagged(t, "scopeless", needs("subject-id"), "", federated)); len(names) != 0 {
			t.Errorf("released %v", names)
		}
	})
	if _, err := w.API.SetSettings(t.Context(), api.Change{Set: map[string]string{"saml.scope": "example.org"}}); err != nil {
		t.Fatal(err)
	}
	t.Run("NID-14 subject-id:req", func(t *testing.T) {
		for what, want := range map[string][]string{"none": nil, "any": {pairwiseIDName}, "subject-id": {subjectIDName}, "pairwise-id": {pairwiseIDName}} {
			if _, names := w.released(t, gus, w.tagged(t, "needs-"+what, needs(what), "", federated)); !slices.Equal(names, want) {
				t.Errorf("%s: released %v", what, names)
			}
		}
	})
	t.Run("NID-12 NID-13 NID-16 identifiers", func(t *testing.T) {
		one, two := w.tagged(t, "id-one", needs("subject-id"), "", federated), w.tagged(t, "id-two", needs("subject-id"), "", federated)
		a, b := w.issue(t, gus, one, Ask{}).Attribute(subjectIDName), w.issue(t, gus, two, Ask{}).Attribute(subjectIDName)
		if len(a) != 1 || !slices.Equal(a, b) || !scopedID.MatchString(a[0]) {
			t.Errorf("subject-id %v and %v", a, b)
		}
		three, four := w.tagged(t, "id-three", needs("pairwise-id"), "", federated), w.tagged(t, "id-four", needs("pairwise-id"), "", federated)
		c, d := w.issue(t, gus, three, Ask{}).Attribute(pairwiseIDName), w.issue(t, gus, four, Ask{}).Attribute(pairwiseIDName)
		if len(c) != 1 || len(d) != 1 || c[0] == d[0] || !scopedID.MatchString(c[0]) || c[0] == a[0] {
			t.Errorf("pairwise-id %v and %v", c, d)
		}
		if _, err := w.API.SetUser(t.Context(), "gus", api.Change{Set: map[string]string{"name": "gustav"}}); err != nil {
			t.Fatal(err)
		}
		if after := w.issue(t, gus, one, Ask{}).Attribute(subjectIDName); !slices.Equal(after, a) {
			t.Errorf("renamed: %v, was %v", after, a)
		}
		if !strings.Contains(gus.Get("/saml/metadata").Body, `regexp="false">example.org<`) {
			t.Error("the scope is not in the metadata")
		}
	})
	t.Run("ATT-10 ATT-13 MDC-17 entity categories", func(t *testing.T) { w.categories(t, gus, federated) })
	t.Run("ATT-11 what the metadata asks for", func(t *testing.T) {
		asks := `<AttributeConsumingService index="1"><ServiceName xml:lang="en">x</ServiceName><RequestedAttribute Name="` + oidMail + `" isRequired="true"/><RequestedAttribute Name="urn:oid:2.5.4.42"/><RequestedAttribute Name="urn:oid:9.9.9"/></AttributeConsumingService>`
		for release, want := range map[string][]string{"requested": {oidMail, "urn:oid:2.5.4.42"}, "required": {oidMail}} {
			sp := w.tagged(t, "asks-"+release, nil, asks, map[string]string{"saml.release": release})
			if _, names := w.released(t, gus, sp); !slices.Equal(names, want) {
				t.Errorf("%s: released %v", release, names)
			}
		}
		conduct := w.tagged(t, "conduct", map[string]string{"http://macedir.org/entity-category": "https://refeds.org/category/code-of-conduct/v2"}, asks, federated)
		if _, names := w.released(t, gus, conduct); !slices.Equal(names, []string{oidMail}) {
			t.Errorf("a code of conduct releases %v", names)
		}
	})
	t.Run("ATT-10 the administrator's bound holds against tags", func(t *testing.T) {
		sp := w.tagged(t, "held-back", needs("subject-id"), "", map[string]string{"saml.defaults": "saml2int", "saml.encrypt": "never", "policy.attributes": "email"})
		if _, names := w.released(t, gus, sp); len(names) != 0 {
			t.Errorf("released %v", names)
		}
	})
	w.everything(t)
}

func (w *world) categories(t *testing.T, gus *Client, federated map[string]string) {
	category := func(uri string) map[string]string {
		return map[string]string{"http://macedir.org/entity-category": uri}
	}
	if _, names := w.released(t, gus, w.tagged(t, "untagged", nil, "", federated)); len(names) != 0 {
		t.Errorf("without a category: %v", names)
	}
	person := []string{oidMail, "urn:oid:2.16.840.1.113730.3.1.241", "urn:oid:2.5.4.4", "urn:oid:2.5.4.42"}
	for name, row := range map[string]struct {
		uri  string
		want []string
	}{
		"research":     {"http://refeds.org/category/research-and-scholarship", append([]string{eppnName, affiliationOID}, person...)},
		"anonymous":    {"https://refeds.org/category/anonymous", []string{affiliationOID, homeOID}},
		"pseudonymous": {"https://refeds.org/category/pseudonymous", []string{pairwiseIDName, affiliationOID, homeOID}},
		"personalized": {"https://refeds.org/category/personalized", append([]string{subjectIDName, affiliationOID, homeOID}, person...)},
		"unheard-of":   {"https://example.org/category", nil},
	} {
		r, names := w.released(t, gus, w.tagged(t, name, category(row.uri), "", federated))
		slices.Sort(row.want)
		if !slices.Equal(names, row.want) {
			t.Errorf("%s releases %v, want %v", name, names, row.want)
		}
		if values := r.Attribute(affiliationOID); row.want != nil && !slices.Equal(values, []string{"member@example.org", "staff@example.org"}) {
			t.Errorf("%s: affiliations %v", name, values)
		}
	}
}
