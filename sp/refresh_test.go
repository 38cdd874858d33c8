package sp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"reflect"
	"slices"
	"testing"
)

func TestWidens(t *testing.T) {
	at := func(location string) []Endpoint {
		return []Endpoint{{Binding: BindingPOST, Location: "https://app.example" + location}}
	}
	tagged := func(name string, values ...string) []EntityAttribute {
		return []EntityAttribute{{Name: name, Values: values}}
	}
	old, err := rsa.GenerateKey(rand.Reader, StrongRSABits)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := func(use KeyUse, public crypto.PublicKey) []Key {
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		return []Key{{Use: use, PublicKey: der}}
	}
	key := of(ForEncryption, old.Public())
	base := func(change func(*Metadata)) *Metadata {
		m := &Metadata{ACS: at("/acs"), SLO: at("/slo"), ManageNameID: at("/nid"), Keys: key, EntityAttributes: tagged(EntityCategory, "a", "b")}
		change(m)
		return m
	}
	for _, c := range []struct {
		name   string
		change func(*Metadata)
		want   bool
	}{
		{"nothing", func(*Metadata) {}, false},
		{"another path", func(m *Metadata) { m.ACS = at("/other") }, false},
		{"an answer to another host", func(m *Metadata) { m.ACS = at(".evil/acs") }, true},
		{"another port", func(m *Metadata) { m.ACS = at(":8443/acs") }, true},
		{"a logout to another host", func(m *Metadata) { m.SLO = at(".evil/slo") }, true},
		{"a logout's response to another host", func(m *Metadata) { m.SLO[0].ResponseLocation = "https://evil.example/" }, true},
		{"names to another host", func(m *Metadata) { m.ManageNameID = at(".evil/nid") }, true},
		{"a category more", func(m *Metadata) { m.EntityAttributes = tagged(EntityCategory, "a", "b", "c") }, true},
		{"a category less", func(m *Metadata) { m.EntityAttributes = tagged(EntityCategory, "b") }, false},
		{"an identifier", func(m *Metadata) { m.EntityAttributes = tagged(SubjectIDNeeded, "subject-id") }, true},
		{"another key to encrypt to", func(m *Metadata) { m.Keys = of(ForBoth, old.Public()) }, false},
		{"no key to encrypt to", func(m *Metadata) { m.Keys = of(ForSigning, old.Public()) }, true},
		{"a key that cannot be encrypted to", func(m *Metadata) { m.Keys = of(ForBoth, curve.Public()) }, true},
	} {
		if got := Widens(base(func(*Metadata) {}), base(c.change)); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	none := base(func(m *Metadata) { m.EntityAttributes = append(m.EntityAttributes, tagged(SubjectIDNeeded, "none")...) })
	if !Widens(none, base(func(*Metadata) {})) {
		t.Error("that identifiers are wanted again is not seen")
	}
}

// An attribute may be given in several elements: that no identifier is wanted counts wherever it stands.
func TestTagsInSeveralElements(t *testing.T) {
	app := &SAML{Settings: SAMLSettings{Defaults: DefaultsSAML2Int}, Metadata: Metadata{EntityAttributes: []EntityAttribute{
		{Name: EntityCategory, Values: []string{"https://example.org/other"}}, {Name: SubjectIDNeeded, Values: []string{"any"}},
		{Name: EntityCategory, Values: []string{"https://refeds.org/category/personalized"}}, {Name: SubjectIDNeeded, Values: []string{"none"}},
	}}}
	list := app.Attributes()
	if slices.Contains(list, subjectID()) || slices.Contains(list, pairwiseID()) || !slices.Contains(list, homeOrganisation()) {
		t.Errorf("%v", list)
	}
}

// TestOfPolicy sets every setting to values that it may take: what changes the policy is an administrator's.
func TestOfPolicy(t *testing.T) {
	seen := 0
	for _, s := range Settings() {
		for _, value := range append(slices.Clone(s.Options), "https://x.example/", "x", "1h", "1", "true", "2027-01-31", "192.0.2.0/24", "lifetime:1h") {
			app := App{Definition: Definition{SAML: &SAML{}, OAuth: &OAuth{}}}
			if s.set(&app, value) == nil && !reflect.DeepEqual(app.Policy, Policy{}) {
				if seen++; !OfPolicy(s.Key) {
					t.Errorf("%s=%s changes the policy", s.Key, value)
				}
			}
		}
	}
	if seen < 20 || OfPolicy("saml.sign") {
		t.Errorf("%d values", seen)
	}
}
