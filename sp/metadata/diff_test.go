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
		{"nameid_format_order", strings.Join(before.NameIDFormats, ", "), strings.Join(after.NameIDFormats, ", ")},
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
