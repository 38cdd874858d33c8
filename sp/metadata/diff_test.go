package metadata

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"gatehouse/sp"
)

func TestDiff(t *testing.T) {
	before := parse(t, "multi-acs.xml").Metadata
	if got := Diff(before, parse(t, "multi-acs.xml").Metadata); got != nil {
		t.Errorf("equal metadata differ: %v", got)
	}
	after := parse(t, "multi-acs.xml").Metadata
	after.ACS = after.ACS[:5]
	after.WantAssertionsSigned = true
	slices.Reverse(after.NameIDFormats)
	want := []Change{
		{"acs", "https://multi.example.org/acs/seven-again by HTTP-POST, index 7, default true", ""},
		{"nameid_format_order", strings.Join(before.NameIDFormats, "; "), strings.Join(after.NameIDFormats, "; ")},
		{"want_assertions_signed", "false", "true"},
	}
	if got := Diff(before, after); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q", got)
	}
}

// TestDiffSeesEveryField changes each field of the record on its own.
func TestDiffSeesEveryField(t *testing.T) {
	shib, library := parse(t, "shibboleth.xml").Metadata, parse(t, "requested-attributes.xml").Metadata
	full := shib
	full.AttributeServices, full.NameIDFormats = library.AttributeServices, []string{sp.NameIDPersistent}
	full.EntityAttributes = []sp.EntityAttribute{{Name: "urn:x", Values: []string{"a"}}}
	full.ValidUntil, full.AuthnRequestsSigned, full.WantAssertionsSigned = now, true, true
	full.DisplayName, full.Description, full.InformationURL = "a", "b", "c"
	full.ManageNameID = full.SLO
	full.Names, full.InformationURLs, full.PrivacyURLs = []sp.Localized{{Lang: "de", Text: "h"}}, []sp.Localized{{Lang: "de", Text: "i"}}, []sp.Localized{{Lang: "de", Text: "j"}}
	full.PrivacyURL = "k"
	full.LogoURL, full.Contact, full.SourceURL, full.Source = "d", "e", "f", "g"
	for i := range reflect.TypeFor[sp.Metadata]().NumField() {
		changed := full
		field := reflect.ValueOf(&changed).Elem().Field(i)
		if field.IsZero() {
			t.Errorf("%s is not filled", reflect.TypeFor[sp.Metadata]().Field(i).Name)
		}
		field.SetZero()
		if len(Diff(full, changed)) == 0 {
			t.Errorf("a change of %s is not seen", reflect.TypeFor[sp.Metadata]().Field(i).Name)
		}
	}
}

// TestDiffSeesEveryLeaf changes each value inside of the lists, and their order: what an administrator is not shown must not come
// with a yes, nor by itself.
func TestDiffSeesEveryLeaf(t *testing.T) {
	full := func() sp.Metadata {
		return sp.Metadata{
			EntityID: "e", ValidUntil: now, NameIDFormats: []string{"a", "b"}, DigestMethods: []string{"a", "b"}, SigningMethods: []string{"a", "b"},
			ACS:          []sp.Endpoint{{Binding: sp.BindingPOST, Location: "l", ResponseLocation: "r", Index: new(1), IsDefault: new(true)}, {Binding: sp.BindingPOST, Location: "m"}},
			SLO:          []sp.Endpoint{{Binding: "b", Location: "l", ResponseLocation: "r", Index: new(1), IsDefault: new(true)}, {Binding: "b", Location: "m"}},
			ManageNameID: []sp.Endpoint{{Binding: "b", Location: "l", ResponseLocation: "r", Index: new(1), IsDefault: new(true)}, {Binding: "b", Location: "m"}},
			Keys: []sp.Key{
				{Use: sp.ForSigning, Certificate: []byte("c"), EncryptionMethods: []sp.EncryptionMethod{{Algorithm: "a", Digest: "d", MGF: "m"}, {Algorithm: "b"}}},
				{PublicKey: []byte("p")},
			},
			AttributeServices: []sp.AttributeService{
				{Index: 1, IsDefault: new(true), Name: "n", Requested: []sp.RequestedAttribute{{Name: "a", NameFormat: "f", FriendlyName: "x", Required: true, Values: []string{"v", "w"}}, {Name: "b"}}},
				{Index: 2, Name: "empty"},
			},
			EntityAttributes: []sp.EntityAttribute{{Name: "a", Values: []string{"v", "w"}}, {Name: "b", Values: []string{"v"}}},
		}
	}
	leaves := 0
	var walk func(path string, at func(*sp.Metadata) reflect.Value)
	changed := func(path string, change func(reflect.Value), at func(*sp.Metadata) reflect.Value) {
		md := full()
		change(at(&md))
		if leaves++; len(Diff(full(), md)) == 0 {
			t.Errorf("a change of %s is not seen", path)
		}
	}
	walk = func(path string, at func(*sp.Metadata) reflect.Value) {
		md := full()
		switch v := at(&md); {
		case v.IsZero():
		case v.Type() == reflect.TypeFor[[]byte](), v.Kind() == reflect.Pointer:
			changed(path, reflect.Value.SetZero, at)
		case v.Kind() == reflect.Struct && v.Type() == reflect.TypeOf(now):
			changed(path, reflect.Value.SetZero, at)
		case v.Kind() == reflect.Struct:
			for i := range v.NumField() {
				walk(path+"."+v.Type().Field(i).Name, func(md *sp.Metadata) reflect.Value { return at(md).Field(i) })
			}
		case v.Kind() == reflect.Slice:
			for i := range v.Len() {
				walk(path+"[]", func(md *sp.Metadata) reflect.Value { return at(md).Index(i) })
			}
			if v.Len() > 1 && !strings.HasSuffix(path, "EntityAttributes") && !strings.HasPrefix(path, "metadata.EntityAttributes[]") { // sets
				changed(path+" order", func(v reflect.Value) { reflect.Swapper(v.Interface())(0, 1) }, at)
			}
		case v.Kind() == reflect.String && v.Type() == reflect.TypeFor[sp.KeyUse]():
			changed(path, func(v reflect.Value) { v.SetString(string(sp.ForEncryption)) }, at)
		case v.Kind() == reflect.String:
			changed(path, func(v reflect.Value) { v.SetString(v.String() + "x") }, at)
		case v.Kind() == reflect.Bool:
			changed(path, func(v reflect.Value) { v.SetBool(!v.Bool()) }, at)
		case v.Kind() == reflect.Int:
			changed(path, func(v reflect.Value) { v.SetInt(v.Int() + 1) }, at)
		}
	}
	walk("metadata", func(md *sp.Metadata) reflect.Value { return reflect.ValueOf(md).Elem() })
	if leaves < 50 {
		t.Errorf("%d leaves", leaves)
	}
	for name, pair := range map[string][2]sp.Metadata{
		"values that hold a comma": {attributeOf("a", "v, w"), attributeOf("a", "v", "w")},
		"another binding's end":    {{ACS: []sp.Endpoint{{Binding: sp.BindingPOST}}}, {ACS: []sp.Endpoint{{Binding: "urn:x:HTTP-POST"}}}},
		"the same once more":       {{ACS: []sp.Endpoint{{Location: "l"}, {Location: "l"}}}, {ACS: []sp.Endpoint{{Location: "l"}}}},
	} {
		if len(Diff(pair[0], pair[1])) == 0 {
			t.Errorf("%s are not told apart", name)
		}
	}
}

func attributeOf(name string, values ...string) sp.Metadata {
	return sp.Metadata{AttributeServices: []sp.AttributeService{{Requested: []sp.RequestedAttribute{{Name: name, Values: values}}}}}
}
