package idptest

import (
	"slices"
	"testing"

	"gatehouse/idp/api"
)

// TestSAMLMissing: attributes that a person lacks, and values that are empty or nil.
func TestSAMLMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.AddPerson(t, "gus", "Employees")
	if _, err := w.API.SetUser(t.Context(), "gus", api.Change{Set: map[string]string{"given_name": ""}}); err != nil {
		t.Fatal(err)
	}
	gus := w.signedIn(t, "gus")
	const givenName = "urn:oid:2.5.4.42"
	asks := `<AttributeConsumingService index="1"><ServiceName xml:lang="en">x</ServiceName><RequestedAttribute Name="` + oidMail + `" isRequired="true"/><RequestedAttribute Name="` + givenName + `" isRequired="true"/></AttributeConsumingService>`
	refuse := map[string]string{"saml.missing_attributes": "refuse"}
	t.Run("REQ-58 a required attribute that is missing: the rest is released, and the audit says so", func(t *testing.T) {
		sp := w.tagged(t, "lenient", nil, asks, nil)
		if _, names := w.released(t, gus, sp); !slices.Contains(names, oidMail) || slices.Contains(names, givenName) {
			t.Errorf("released %v", names)
		}
		if entry := w.newest(t, "signon"); entry.Outcome != "ok" || entry.Facts["missing"] != givenName {
			t.Errorf("audit %+v", entry)
		}
	})
	t.Run("REQ-58 or the person is refused, by setting", func(t *testing.T) {
		sp := w.tagged(t, "strict", nil, asks, refuse)
		ask := Ask{ID: newRequestID()}
		w.check(t, w.send(t, gus, sp, ask, false), sp, ask, there("missing_attributes", "Responder", ""))
		if entry := w.newest(t, "signon"); entry.Outcome != "refused" || entry.Facts["expected"] != givenName {
			t.Errorf("audit %+v", entry)
		}
		w.issue(t, w.ana(t), sp, Ask{})
	})
	t.Run("NID-15 an identifier that cannot be made refuses, by setting", func(t *testing.T) {
		sp := w.tagged(t, "scoped", map[string]string{"urn:oasis:names:tc:SAML:profiles:subject-id:req": "subject-id"}, "", refuse)
		ask := Ask{ID: newRequestID()}
		w.check(t, w.send(t, gus, sp, ask, false), sp, ask, there("missing_attributes", "Responder", ""))
		w.settings(t, "saml.scope", "example.org")
		w.issue(t, gus, sp, Ask{})
	})
	t.Run("ATT-06 empty, nil and absent values", func(t *testing.T) { w.emptyValues(t, gus) })
	w.everything(t)
}

func (w *world) emptyValues(t *testing.T, gus *Client) {
	values := `[{"name":"urn:x:empty","source":"user.name == 'gus' ? '' : 'x'"},{"name":"urn:x:null","source":"dyn(null)"},{"name":"urn:x:none","source":"[]"},{"name":"urn:x:two","source":"['', 'b']"},{"name":"urn:x:absent","source":"givenName"}]`
	told := func(sp *SP) map[string][]string {
		found := map[string][]string{}
		r := w.issue(t, gus, sp, Ask{})
		w.xmlsec(t, r.XML, "Response", "Assertion")
		for _, a := range r.Root.FindElements(".//AttributeStatement/Attribute") {
			for _, v := range a.ChildElements() {
				text := v.Text()
				if v.SelectAttrValue("xsi:nil", "") == "true" {
					text += "(nil)"
				}
				found[a.SelectAttrValue("Name", "")] = append(found[a.SelectAttrValue("Name", "")], text)
			}
		}
		return found
	}
	sp := w.newSP(t, "empties")
	w.AddApp(t, sp.Metadata(), map[string]string{"saml.attributes": values})
	if got := told(sp); len(got) != 1 || !slices.Equal(got["urn:x:two"], []string{"b"}) {
		t.Errorf("by default: %v", got)
	}
	w.set(t, sp, "saml.empty_values", "send")
	got := told(sp)
	if len(got) != 3 || !slices.Equal(got["urn:x:empty"], []string{""}) || !slices.Equal(got["urn:x:null"], []string{"(nil)"}) || !slices.Equal(got["urn:x:two"], []string{"", "b"}) {
		t.Errorf("by setting: %v", got)
	}
}
