package idptest

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"gatehouse/idp/api"
)

// TestSAMLNames is section 5 of the requirements: name identifiers and attributes.
func TestSAMLNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	t.Run("persistent", func(t *testing.T) { w.persistentNames(t) })
	t.Run("NID-04 transient names last one session", func(t *testing.T) {
		sp := w.sp(t, "transient", map[string]string{"saml.nameid_format": "transient"})
		c := w.signedIn(t, "ana")
		a, again, b := w.issue(t, c, sp, Ask{}), w.issue(t, c, sp, Ask{}), w.issue(t, w.signedIn(t, "ana"), sp, Ask{})
		if a.Attr(pathNameID, "Format") != formatTransient || a.Text(pathNameID) == b.Text(pathNameID) || a.Text(pathNameID) != again.Text(pathNameID) {
			t.Errorf("names %q, %q and in another session %q", a.Text(pathNameID), again.Text(pathNameID), b.Text(pathNameID))
		}
		if n := len(a.Text(pathNameID)); n < 26 || n > 256 {
			t.Errorf("%d characters", n)
		}
	})
	t.Run("NID-06 emailAddress is the bare address", func(t *testing.T) {
		sp := w.sp(t, "mail", map[string]string{"saml.nameid_format": "emailAddress"})
		if r := w.issue(t, w.ana(t), sp, Ask{}); r.Text(pathNameID) != "ana@example.org" || r.Attr(pathNameID, "Format") != formatEmail {
			t.Errorf("%q of %s", r.Text(pathNameID), r.Attr(pathNameID, "Format"))
		}
	})
	t.Run("sources", func(t *testing.T) { w.nameSources(t) })
	t.Run("attributes", func(t *testing.T) { w.attributes(t) })
	t.Run("attribute formats", func(t *testing.T) { w.attributeFormats(t) })
	t.Run("attribute settings that are refused", func(t *testing.T) { w.badAttributes(t) })
	t.Run("ATT-11 only the values that are asked for", func(t *testing.T) { w.requestedValues(t) })
	t.Run("ATT-15 values that apps may cut are in the audit", func(t *testing.T) { w.longValues(t) })
	t.Run("ATT-14 no attribute profile is claimed", func(t *testing.T) {
		for _, claim := range []string{"AttributeProfile", "AttributeAuthorityDescriptor", "PDPDescriptor", "profiles:attribute"} {
			if strings.Contains(string(w.idp), claim) {
				t.Errorf("the metadata holds %s", claim)
			}
		}
		if !strings.Contains(string(w.idp), "IDPSSODescriptor") {
			t.Error("no metadata to look at")
		}
	})
	t.Run("ATT-16 values are inert", func(t *testing.T) { w.hostileValues(t) })
	w.everything(t)
}

func (w *world) persistentNames(t *testing.T) {
	one, two := w.sp(t, "one", nil), w.sp(t, "two", nil)
	name := func(t *testing.T, who string, sp *SP) string {
		return w.issue(t, w.signedIn(t, who), sp, Ask{}).Text(pathNameID)
	}
	w.AddPerson(t, "eve", "Employees")
	first := name(t, "eve", one)
	t.Run("NID-01 NID-02 opaque, pairwise, lower case", func(t *testing.T) {
		other := name(t, "eve", two)
		if first == other || first != strings.ToLower(first) || len(first) > 256 || len(first) < 26 || strings.Contains(first, "eve") {
			t.Errorf("names %q and %q", first, other)
		}
	})
	t.Run("NID-01 stable over sign-ins and a rename", func(t *testing.T) {
		again := name(t, "eve", one)
		if _, err := w.API.SetUser(t.Context(), "eve", api.Change{Set: map[string]string{"name": "eva", "email": "eva@example.org"}}); err != nil {
			t.Fatal(err)
		}
		if renamed := name(t, "eva", one); again != first || renamed != first {
			t.Errorf("%q became %q and %q", first, again, renamed)
		}
	})
	t.Run("NID-01 never given to another person of the same name", func(t *testing.T) {
		if err := w.API.RemoveUser(t.Context(), "eva"); err != nil {
			t.Fatal(err)
		}
		w.AddPerson(t, "eva", "Employees")
		if anew := name(t, "eva", one); anew == first {
			t.Errorf("the new eva is %q too", anew)
		}
	})
	t.Run("NID-03 qualifiers", func(t *testing.T) {
		r := w.issue(t, w.ana(t), one, Ask{})
		if r.Attr(pathNameID, "NameQualifier") != w.URL+"/saml/metadata" || r.Attr(pathNameID, "SPNameQualifier") != one.EntityID {
			t.Errorf("qualifiers %q and %q", r.Attr(pathNameID, "NameQualifier"), r.Attr(pathNameID, "SPNameQualifier"))
		}
	})
	t.Run("NID-01 an app that is installed anew gets new names", func(t *testing.T) {
		before := name(t, "ana", two)
		if _, err := w.API.RemoveApp(t.Context(), two.EntityID); err != nil {
			t.Fatal(err)
		}
		if after := name(t, "ana", w.sp(t, "two", nil)); after == before {
			t.Errorf("the new app knows ana by %q too", after)
		}
	})
}

func (w *world) nameSources(t *testing.T) {
	w.AddPerson(t, "fay", "Employees", func(n *api.NewUser) { n.Attributes = map[string][]string{"federation_id": {"FED-7"}} })
	sp := w.sp(t, "federated", map[string]string{"saml.nameid_format": "unspecified", "saml.nameid_source": "attribute:federation_id"})
	t.Run("NID-09 a federation id", func(t *testing.T) {
		if r := w.issue(t, w.signedIn(t, "fay"), sp, Ask{}); r.Text(pathNameID) != "FED-7" || r.Attr(pathNameID, "Format") != formatUnspecified {
			t.Errorf("%q of %s", r.Text(pathNameID), r.Attr(pathNameID, "Format"))
		}
	})
	mail := w.sp(t, "odd-mail", map[string]string{"saml.nameid_format": "emailAddress", "saml.nameid_source": "attribute:mailbox"})
	w.AddPerson(t, "han", "Employees", func(n *api.NewUser) { n.Attributes = map[string][]string{"mailbox": {"Han <han@example.org>"}} })
	han := w.signedIn(t, "han")
	invalid := there("invalid_nameid_policy", "Requester", "InvalidNameIDPolicy")
	for _, c := range []struct {
		name string
		c    *Client
		sp   *SP
	}{
		{"NID-09 a person without the attribute", w.ana(t), sp},
		{"NID-07 emailAddress for a person without one", w.ana(t), mail},
		{"NID-06 a display name is no address", han, mail},
	} {
		t.Run(c.name, func(t *testing.T) {
			ask := Ask{ID: newRequestID()}
			w.check(t, w.send(t, c.c, c.sp, ask, false), c.sp, ask, invalid)
		})
	}
}

func (w *world) attributes(t *testing.T) {
	if _, err := w.API.AddNamed(t.Context(), "groups", api.Named{Name: "a, b"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.API.AddNamed(t.Context(), "groups", api.Named{Name: "c"}); err != nil {
		t.Fatal(err)
	}
	w.AddPerson(t, "gus", "Employees", func(n *api.NewUser) {
		n.Groups, n.Surname, n.Attributes = []string{"a, b", "c"}, "", map[string][]string{"badge": {"1", "2"}}
	})
	gus := w.signedIn(t, "gus")
	r := w.issue(t, gus, w.sp(t, "default", nil), Ask{})
	t.Run("ATT-13 ATT-02 the default release", func(t *testing.T) {
		for name, want := range map[string][]string{oidUID: {"gus"}, oidMail: {"gus@example.org"}, oidName: {"The gus"}, oidGiven: {"gus"}} {
			if got := r.Attribute(name); !slices.Equal(got, want) {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		for _, a := range r.Root.FindElements("./Assertion/AttributeStatement/Attribute") {
			if a.SelectAttrValue("NameFormat", "") != "urn:oasis:names:tc:SAML:2.0:attrname-format:uri" || a.SelectAttrValue("FriendlyName", "") == "" {
				t.Errorf("attribute %v", a.Attr)
			}
		}
	})
	t.Run("ATT-04 one value for each group", func(t *testing.T) {
		got := r.Attribute(oidGroup)
		slices.Sort(got)
		if !slices.Equal(got, []string{"a, b", "c"}) {
			t.Errorf("groups %q", got)
		}
	})
	t.Run("ATT-06 what a person lacks is absent", func(t *testing.T) {
		if r.Root.FindElement("./Assertion/AttributeStatement/Attribute[@Name='urn:oid:2.5.4.4']") != nil {
			t.Error("an attribute without a value")
		}
	})
	t.Run("ATT-05 plain text values", func(t *testing.T) {
		for _, v := range r.Root.FindElements(".//AttributeValue") {
			if len(v.ChildElements()) > 0 {
				t.Errorf("a value with elements: %v", v)
			}
		}
	})
	t.Run("ATT-08 two sources of one name are merged", func(t *testing.T) {
		sp := w.sp(t, "merged", map[string]string{"saml.attributes": `[{"name":"id","format":"basic","source":"badge"},{"name":"id","format":"basic","source":"[user.name, '1']"}]`})
		r := w.issue(t, gus, sp, Ask{})
		if got := r.Attribute("id"); !slices.Equal(got, []string{"1", "2", "gus"}) || len(attributeNames(r)) != 1 {
			t.Errorf("%v with %q", attributeNames(r), got)
		}
	})
	t.Run("ATT-07 FriendlyName makes no difference", func(t *testing.T) {
		sp := w.sp(t, "friendly", map[string]string{"saml.attributes": `[{"name":"a","format":"basic","friendly_name":"x","source":"name"},{"name":"b","format":"basic","friendly_name":"x","source":"email"}]`})
		if got := attributeNames(w.issue(t, gus, sp, Ask{})); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("released %v", got)
		}
	})
	t.Run("ATT-09 released by app", func(t *testing.T) {
		sp := w.sp(t, "bounded", map[string]string{"policy.attributes": "name"})
		if got := w.issue(t, gus, sp, Ask{}).Attribute(oidMail); got != nil {
			t.Errorf("mail beyond the policy's bound: %q", got)
		}
		renamed := w.sp(t, "renamed", map[string]string{"policy.attributes": "name", "saml.attributes": `[{"name":"name","format":"basic","source":"email"}]`})
		if got := attributeNames(w.issue(t, gus, renamed, Ask{})); len(got) != 0 {
			t.Errorf("mail under an allowed name: %q", got)
		}
		named := w.sp(t, "bounded-nameid", map[string]string{"policy.attributes": "name", "saml.nameid_source": "email"})
		ask := Ask{ID: newRequestID()}
		w.check(t, w.send(t, gus, named, ask, false), named, ask, there("invalid_nameid_policy", "Requester", "InvalidNameIDPolicy"))
		if got := w.issue(t, gus, w.sp(t, "only-mail", map[string]string{"saml.attributes": `[{"name":"` + oidMail + `","source":"email"}]`}), Ask{}); !slices.Equal(attributeNames(got), []string{oidMail}) {
			t.Errorf("released %v", attributeNames(got))
		}
	})
	t.Run("REQ-65 a source that fails: no answer without it", func(t *testing.T) {
		sp := w.sp(t, "failing", map[string]string{"saml.attributes": `[{"name":"x","format":"basic","source":"user.groups[7]"}]`})
		ask := Ask{ID: newRequestID()}
		w.check(t, w.send(t, gus, sp, ask, false), sp, ask, there("cannot_evaluate_attributes", "Responder", ""))
	})
}

func (w *world) attributeFormats(t *testing.T) {
	for _, c := range []struct{ id, name, format, want string }{
		{"ATT-01 a name with spaces", "Größe in µm & <more>", "unspecified", "urn:oasis:names:tc:SAML:2.0:attrname-format:unspecified"},
		{"ATT-01 a format of somebody's own", "anything", "urn:example:format", "urn:example:format"},
		{"ATT-02 basic", "mail", "basic", "urn:oasis:names:tc:SAML:2.0:attrname-format:basic"},
		{"ATT-02 uri by default", "urn:x:mail", "", "urn:oasis:names:tc:SAML:2.0:attrname-format:uri"},
	} {
		t.Run(c.id, func(t *testing.T) {
			setting, err := json.Marshal([]map[string]string{{"name": c.name, "format": c.format, "source": "email"}})
			if err != nil {
				t.Fatal(err)
			}
			sp := w.sp(t, "format-"+strings.ToLower(newRequestID()[1:8]), map[string]string{"saml.attributes": string(setting)})
			a := w.issue(t, w.ana(t), sp, Ask{}).Root.FindElement("./Assertion/AttributeStatement/Attribute")
			if a == nil || a.SelectAttrValue("Name", "") != c.name || a.SelectAttrValue("NameFormat", "") != c.want {
				t.Errorf("released %v", a)
			}
		})
	}
}

func (w *world) badAttributes(t *testing.T) {
	sp := w.sp(t, "attributes", nil)
	for name, setting := range map[string]string{
		"ATT-03 a basic name that is no XML name": `[{"name":"1 x","format":"basic","source":"email"}]`,
		"ATT-03 a uri name with spaces":           `[{"name":"a b","format":"uri","source":"email"}]`,
		"ATT-03 a format that is no URI":          `[{"name":"a","format":"odd","source":"email"}]`,
		"ATT-03 no source":                        `[{"name":"a","format":"basic"}]`,
		"ATT-03 an expression that cannot work":   `[{"name":"a","format":"basic","source":"user.("}]`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := w.API.SetApp(t.Context(), sp.EntityID, api.Change{Set: map[string]string{"saml.attributes": setting}}); err == nil {
				t.Errorf("%s was taken", setting)
			}
		})
	}
}

// longValues arrive whole; more than 256 characters are noted with the sign-on.
func (w *world) longValues(t *testing.T) {
	sp := w.sp(t, "long", map[string]string{"saml.attributes": `[{"name":"short","format":"basic","source":"short"},{"name":"long","format":"basic","source":"long"}]`})
	short, long := strings.Repeat("ü", 256), strings.Repeat("ü", 257)
	w.AddPerson(t, "lou", "Employees", func(n *api.NewUser) { n.Attributes = map[string][]string{"short": {short}, "long": {"x", long}} })
	r := w.issue(t, w.signedIn(t, "lou"), sp, Ask{})
	if !slices.Equal(r.Attribute("short"), []string{short}) || !slices.Equal(r.Attribute("long"), []string{"x", long}) {
		t.Errorf("%q and %q arrived", r.Attribute("short"), r.Attribute("long"))
	}
	if entry := w.Audit(t)[0]; entry.Facts["response"] != r.Root.SelectAttrValue("ID", "") || entry.Facts["long_values"] != "long" {
		t.Errorf("the audit says %v", entry.Facts)
	}
}

// requestedValues: of a group list, an app that names values gets those that the person has, and never one that was not released.
func (w *world) requestedValues(t *testing.T) {
	sp := w.newSP(t, "values")
	asks := func(index, values string) string {
		return `<AttributeConsumingService index="` + index + `"><ServiceName xml:lang="en">s</ServiceName><RequestedAttribute Name="badge" NameFormat="urn:oasis:names:tc:SAML:2.0:attrname-format:basic">` + values +
			`</RequestedAttribute><RequestedAttribute Name="secret" NameFormat="urn:oasis:names:tc:SAML:2.0:attrname-format:basic"/></AttributeConsumingService>`
	}
	value := func(s string) string {
		return `<a:AttributeValue xmlns:a="urn:oasis:names:tc:SAML:2.0:assertion">` + s + `</a:AttributeValue>`
	}
	w.AddApp(t, metadataWith(sp, "", acsAt(bindingPost, sp.ACS[0], 0, "")+asks("1", value("blue")+value("green"))+asks("2", value("none"))+asks("3", "")),
		map[string]string{"saml.attributes": `[{"name":"badge","format":"basic","source":"badge"}]`})
	w.AddPerson(t, "val", "Employees", func(n *api.NewUser) { n.Attributes = map[string][]string{"badge": {"red", "blue"}, "secret": {"x"}} })
	val := w.signedIn(t, "val")
	for index, want := range map[string][]string{"1": {"blue"}, "2": nil, "3": {"red", "blue"}} {
		r := w.issue(t, val, sp, Ask{Attributes: `AttributeConsumingServiceIndex="` + index + `"`})
		if got := r.Attribute("badge"); !slices.Equal(got, want) || r.Attribute("secret") != nil {
			t.Errorf("set %s: %v with %q, want %q", index, attributeNames(r), got, want)
		}
	}
}

// hostileValues: markup in a value arrives as text; what XML cannot carry is never sent.
func (w *world) hostileValues(t *testing.T) {
	values := []string{`</saml:Attribute>`, `<!-- --> & "quotes" 'n' ]]>`, "a+b=c%20", "Ünïcode 漢字 🔑"}
	w.AddPerson(t, "mal", "Employees", func(n *api.NewUser) { n.Attributes = map[string][]string{"odd": values} })
	sp := w.sp(t, "odd", map[string]string{"saml.attributes": `[{"name":"odd","format":"basic","source":"odd"}]`})
	r := w.issue(t, w.signedIn(t, "mal"), sp, Ask{})
	got := r.Attribute("odd")
	slices.Sort(got)
	slices.Sort(values)
	if !slices.Equal(got, values) {
		t.Errorf("%q arrived, want %q", got, values)
	}
	w.xmlsec(t, r.XML, "Response", "Assertion")
	for _, control := range []string{"a\x00b", "a\x0bb", "a\x1bb", "a\uFFFEb"} {
		for _, key := range []string{"attributes.odd", "display_name"} {
			if _, err := w.API.SetUser(t.Context(), "mal", api.Change{Set: map[string]string{key: control}}); err == nil {
				t.Errorf("%s=%q was taken", key, control)
			}
		}
	}
}
