package sp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestSign(t *testing.T) {
	for _, tt := range []struct {
		defaults, sign      string
		want                bool
		response, assertion bool
	}{
		{"", "", false, true, true},
		{"saml2int", "", false, true, false},
		{"saml2int", "", true, true, true},
		{"custom", "", false, true, true},
		{"", "assertion", false, false, true},
		{"", "response", false, true, false},
		{"", "response", true, true, true},
		{"saml2int", "assertion", false, false, true},
	} {
		s := SAML{Settings: SAMLSettings{Defaults: tt.defaults, Sign: tt.sign}, Metadata: Metadata{WantAssertionsSigned: tt.want}}
		if response, assertion := s.Sign(); response != tt.response || assertion != tt.assertion {
			t.Errorf("%+v: %v %v", tt, response, assertion)
		}
	}
}

func TestRequireSigned(t *testing.T) {
	for _, tt := range []struct {
		set      *bool
		metadata bool
		want     bool
	}{{nil, false, false}, {nil, true, true}, {new(true), false, true}, {new(false), true, false}} {
		s := SAML{Settings: SAMLSettings{RequireSignedRequests: tt.set}, Metadata: Metadata{AuthnRequestsSigned: tt.metadata}}
		if s.RequireSigned() != tt.want {
			t.Errorf("%+v", tt)
		}
	}
}

func TestNameIDFormats(t *testing.T) {
	for _, tt := range []struct {
		defaults, set string
		metadata      []string
		asked, want   string
		ok            bool
	}{
		{"", "", nil, "", NameIDPersistent, true},
		{"saml2int", "", nil, "", NameIDTransient, true},
		{"", "", []string{"urn:x", NameIDEmail, NameIDTransient}, "", NameIDEmail, true},
		{"", "transient", []string{NameIDEmail}, NameIDUnspecified, NameIDTransient, true},
		{"", "transient", []string{NameIDEmail}, NameIDPersistent, NameIDPersistent, true},
		{"", "unspecified", nil, "", NameIDUnspecified, true},
		{"", "", nil, "urn:oasis:names:tc:SAML:2.0:nameid-format:unspecified", "", false},
		{"", "", nil, "urn:x", "", false},
		{"", "none", []string{NameIDEmail}, "", NameIDNone, true},
		{"", "none", nil, NameIDEmail, NameIDEmail, true},
		{"", "", nil, "none", "", false},
	} {
		s := SAML{Settings: SAMLSettings{Defaults: tt.defaults, NameIDFormat: tt.set}, Metadata: Metadata{NameIDFormats: tt.metadata}}
		got, ok := s.NameIDFormatFor(tt.asked)
		if ok != tt.ok || ok && got != tt.want {
			t.Errorf("%+v: %s %v", tt, got, ok)
		}
	}
}

func TestNameIDSource(t *testing.T) {
	var s SAML
	for format, want := range map[string]string{NameIDPersistent: "opaque", NameIDEmail: "email", NameIDUnspecified: "username", NameIDTransient: "opaque"} {
		if got := s.NameIDSource(format); got != want {
			t.Errorf("%s: %s", format, got)
		}
	}
	s.Settings.NameIDSource = "attribute:number"
	if s.NameIDSource(NameIDPersistent) != "attribute:number" || s.NameIDSource(NameIDTransient) != "opaque" {
		t.Error("a chosen source fills every format but transient")
	}
}

func TestDefaults(t *testing.T) {
	var s SAML
	if list := s.Attributes(); len(list) != 6 || list[5].FriendlyName != "isMemberOf" || list[0].Format != FormatURI {
		t.Errorf("%+v", list)
	}
	if s.AssertionLifetime() != 5*time.Minute || !s.IDPInitiatedAllowed() || s.RelayStateLimit() != 1024 || s.ECPEnabled() ||
		s.DeniedAnswer() != DeniedToSP || s.Leniency() != LenientStronger || s.EncryptMode() != EncryptAuto || s.SLOEnabled() {
		t.Error("a new app does not have the documented defaults")
	}
	s.Metadata.SLO = []Endpoint{{Binding: BindingSOAP, Location: "https://app.example.org/slo"}}
	s.Settings.Defaults = DefaultsSAML2Int
	if !s.SLOEnabled() || s.EncryptMode() != EncryptAlways || s.Leniency() != LenientExact {
		t.Error("saml2int")
	}
	s.Settings = SAMLSettings{SLO: "off", ECP: "on", RelayStateLimit: "80", AllowIDPInitiated: new(false), Attributes: []Attribute{{Name: "a", Source: "b"}}}
	if s.SLOEnabled() || !s.ECPEnabled() || s.RelayStateLimit() != 80 || s.IDPInitiatedAllowed() || s.Attributes()[0].Format != FormatURI {
		t.Error("the settings do not count")
	}
	s.Settings.Attributes = []Attribute{}
	if len(s.Attributes()) != 0 {
		t.Error("an empty release releases something")
	}
}

func TestCautions(t *testing.T) {
	s := SAML{Settings: SAMLSettings{SignatureAlgorithm: "rsa-sha1", EncryptionAlgorithm: "aes128-cbc", Encrypt: "always", NameIDSource: "email"}}
	if got := s.Cautions(); len(got) != 4 {
		t.Errorf("%q", got)
	}
	if got := (&SAML{}).Cautions(); got != nil {
		t.Errorf("%q", got)
	}
}

func TestRelayStateAllowed(t *testing.T) {
	s := SAML{Settings: SAMLSettings{DefaultRelayState: "home", AllowedRelayStates: []string{"https://app.example.org", "https://other.example/x/", "item-"}}}
	for state, want := range map[string]bool{
		"": true, "home": true, "home2": false, "item-7": true, "other": false,
		"https://app.example.org": true, "https://app.example.org/a": true, "https://app.example.org?x": true,
		"https://app.example.org.evil.example/": false, "https://app.example.org@evil.example/": false, "https://app.example.org:8443/": false,
		"https://other.example/x/y": true, "https://other.example/y": false,
	} {
		if s.RelayStateAllowed(state) != want {
			t.Errorf("%q: %v", state, !want)
		}
	}
}

func acs(binding, location string, index int, isDefault *bool) Endpoint {
	return Endpoint{Binding: binding, Location: location, Index: &index, IsDefault: isDefault}
}

func TestDefaultACS(t *testing.T) {
	for _, tt := range []struct {
		name     string
		acs      []Endpoint
		bindings []string
		want     string
	}{
		{"isDefault", []Endpoint{acs(BindingPOST, "a", 1, nil), acs(BindingPOST, "b", 2, new(true))}, nil, "b"},
		{"first of two defaults", []Endpoint{acs(BindingPOST, "a", 1, new(true)), acs(BindingPOST, "b", 2, new(true))}, nil, "a"},
		{"first that does not deny it", []Endpoint{acs(BindingPOST, "a", 1, new(false)), acs(BindingPOST, "b", 2, nil)}, nil, "b"},
		{"all deny it", []Endpoint{acs(BindingPOST, "a", 1, new(false)), acs(BindingPOST, "b", 2, new(false))}, nil, "a"},
		{"of the binding", []Endpoint{acs(BindingPOST, "a", 1, new(true)), acs(BindingArtifact, "b", 2, nil)}, []string{BindingArtifact}, "b"},
		{"default of a useless binding", []Endpoint{acs(BindingRedirect, "a", 1, new(true)), acs(BindingPOST, "b", 2, nil)}, []string{BindingPOST, BindingArtifact}, "b"},
		{"none of the binding", []Endpoint{acs(BindingPOST, "a", 1, nil)}, []string{BindingPAOS}, ""},
		{"none at all", nil, nil, ""},
	} {
		m := Metadata{ACS: tt.acs}
		if e, ok := m.DefaultACS(tt.bindings...); e.Location != tt.want || ok != (tt.want != "") {
			t.Errorf("%s: %q %v", tt.name, e.Location, ok)
		}
	}
}

func TestACSByURLAndIndex(t *testing.T) {
	const registered = "https://app.example.org/acs"
	m := Metadata{ACS: []Endpoint{acs(BindingArtifact, registered, 1, nil), acs(BindingPOST, registered, 7, nil)}}
	if e, ok := m.ACSByURL(registered, BindingPOST); !ok || *e.Index != 7 {
		t.Errorf("%+v", e)
	}
	for _, url := range []string{"", "https://app.example.org/ACS", "https://APP.example.org/acs", registered + "/", registered + "?x=1",
		"https://app.example.org/x/../acs", "https://app.example.org:443/acs", "https://app.example.org@evil.example/acs", registered + "%00"} {
		if _, ok := m.ACSByURL(url); ok {
			t.Errorf("%q is taken for %q", url, registered)
		}
	}
	if e, ok := m.ACSByIndex(7); !ok || e.Binding != BindingPOST {
		t.Errorf("%+v", e)
	}
	if _, ok := m.ACSByIndex(0); ok {
		t.Error("an index that is not there is found")
	}
}

func TestLifeCycle(t *testing.T) {
	type step func(*App) error
	steps := map[string]step{
		"approve": func(a *App) error { return a.Approve(noon) }, "block": func(a *App) error { return a.Block(noon) },
		"unblock": func(a *App) error { return a.Unblock(noon) }, "remove": func(a *App) error { return a.Remove(noon) },
	}
	allowed := map[State]map[string]State{
		Pending: {"approve": Active, "remove": Removed}, Active: {"block": Blocked, "remove": Removed},
		Blocked: {"unblock": Active, "remove": Removed}, Removed: {},
	}
	for from, to := range allowed {
		for name, do := range steps {
			a := sampleApp()
			a.State, a.Changed = from, time.Time{}
			err := do(&a)
			want, legal := to[name]
			var refused *StateError
			switch {
			case legal && (err != nil || a.State != want || !a.Changed.Equal(noon)):
				t.Errorf("%s %s: %v %s", name, from, err, a.State)
			case !legal && (!errors.As(err, &refused) || a.State != from || !strings.Contains(err.Error(), "cannot "+name)):
				t.Errorf("%s %s: %v %s", name, from, err, a.State)
			}
		}
	}
}

func TestNew(t *testing.T) {
	a := sampleApp()
	if a.State != Active || a.CreatedBy != "usr_ada" || a.Policy.PermittedUsers != PermitAll || a.Validate() != nil || !strings.HasPrefix(a.ID, "app_") {
		t.Errorf("%+v", a)
	}
	unnamed := New("", a.Definition, PermitPreauthorized, "", noon)
	if unnamed.Definition.Name != "Benefits" || unnamed.ID == a.ID {
		t.Errorf("%+v", unnamed)
	}
	a.Definition.Name, a.Definition.SAML.Metadata.DisplayName = "", strings.Repeat("ü", 150)
	if named := New("", a.Definition, PermitAll, "", noon); named.Validate() != nil {
		t.Errorf("a long display name makes a bad app: %v", named.Validate())
	}
}

func TestReplaceMetadata(t *testing.T) {
	a := sampleApp()
	if err := a.Set("saml.sign", "response"); err != nil {
		t.Fatal(err)
	}
	before := a
	next := a.Definition.SAML.Metadata
	next.WantAssertionsSigned = true
	if err := a.ReplaceMetadata(next, noon); err != nil || !a.Definition.SAML.Metadata.WantAssertionsSigned || a.Definition.SAML.Settings.Sign != "response" {
		t.Errorf("%v %+v", err, a.Definition.SAML)
	}
	if before.Definition.SAML.Metadata.WantAssertionsSigned {
		t.Error("a copy of the app changed too")
	}
	next.EntityID = "https://other.example.org"
	if a.ReplaceMetadata(next, noon) == nil {
		t.Error("metadata of another service provider is taken")
	}
	if err := a.Remove(noon); err != nil {
		t.Fatal(err)
	}
	if err := a.ReplaceMetadata(before.Definition.SAML.Metadata, noon); !errors.Is(err, ErrRemoved) {
		t.Error(err)
	}
	if err := a.Set("name", "x"); !errors.Is(err, ErrRemoved) {
		t.Error(err)
	}
}

func TestTitle(t *testing.T) {
	for want, m := range map[string]Metadata{
		"Wiki": {DisplayName: "Wiki", EntityID: "https://x.example"}, "x.example": {EntityID: "https://x.example:8443/sp"}, "urn:x:y": {EntityID: "urn:x:y"},
	} {
		if got := m.Title(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestUsesOfKeys(t *testing.T) {
	m := Metadata{Keys: []Key{{Use: ForSigning}, {Use: ForEncryption}, {Use: ForBoth}}}
	if len(m.SigningKeys()) != 2 || len(m.EncryptionKeys()) != 2 || len(m.Keys) != 3 {
		t.Error("a key without a use serves both")
	}
	for _, k := range []Key{{}, {Certificate: []byte("x")}, {PublicKey: []byte("x")}} {
		if _, err := k.Public(); err == nil {
			t.Errorf("%+v is a key", k)
		}
	}
	short, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(short.Public())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (&Key{PublicKey: der}).Public(); err == nil {
		t.Error("an EC key of 224 bits is taken")
	}
	if (&Key{PublicKey: []byte("x")}).Fingerprint() != "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881" {
		t.Error("the fingerprint is not the SHA-256")
	}
}
