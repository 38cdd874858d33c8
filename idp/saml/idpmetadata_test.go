package saml

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"gatehouse/idp/claims"
	"gatehouse/idp/directory"
	"gatehouse/sp"
)

func testDescription(now time.Time) *Description {
	return &Description{
		EntityID: testEnv.EntityID, SSO: testEnv.Endpoint, SLO: "https://idp.example/saml/slo", SOAP: "https://idp.example/saml/soap", Lifetime: 14 * 24 * time.Hour, Name: `Ana & <Sons>`, URL: "https://example.org/", Logo: Picture{"https://example.org/logo.png", 120, 40},
		Contact: "help@example.org", Security: "cert@example.org", Scopes: []string{"example.org", "example.com"}, Information: "https://example.org/about", Privacy: "https://example.org/privacy?a&b", Error: "https://idp.example/saml/error?code=ERRORURL_CODE&ts=ERRORURL_TS",
		Credentials: []*Credential{rsaPair().credential(), otherPair().credential(), ecPair().credential()},
		Sign:        signing(rsaPair(), "rsa-sha256", true, false), Now: now,
	}
}

func TestMetadata(t *testing.T) {
	doc, err := Metadata(testDescription(testNow))
	if err != nil {
		t.Fatal(err)
	}
	validateSchema(t, doc)
	xmlsecVerify(t, doc, "urn:oasis:names:tc:SAML:2.0:metadata:EntityDescriptor", rsaPair())
	for text, count := range map[string]int{
		`<md:KeyDescriptor use="signing">`: 3, `<md:KeyDescriptor use="encryption">`: 2, "<md:SingleLogoutService": 3, "<md:SingleSignOnService": 2, "<md:NameIDFormat>": 4, `WantAuthnRequestsSigned="false"`: 1, "rsa-sha1": 0,
		`entityID="https://idp.example/saml/metadata"`: 1, "Ana &amp; &lt;Sons&gt;": 3, "mailto:help@example.org": 2, "<alg:SigningMethod": 7,
		`regexp="false">example.com<`: 1, "mailto:cert@example.org": 1, `height="40" width="120"`: 1, "privacy?a&amp;b<": 1, `errorURL="https://idp.example/saml/error?code=ERRORURL_CODE&amp;ts=ERRORURL_TS"`: 1,
	} {
		if n := bytes.Count(doc, []byte(text)); n != count {
			t.Errorf("%s: %d, want %d", text, n, count)
		}
	}
}

// Polls within a day get the same bytes: signatures with RSA PKCS #1 are deterministic too.
func TestMetadataStable(t *testing.T) {
	morning := testNow.Truncate(28 * time.Hour)
	first, _ := Metadata(testDescription(morning))
	second, _ := Metadata(testDescription(morning.Add(27 * time.Hour)))
	third, _ := Metadata(testDescription(morning.Add(29 * time.Hour)))
	if !bytes.Equal(first, second) || bytes.Equal(first, third) {
		t.Error("the document changes when it should not, or does not when it should")
	}
	d := testDescription(morning)
	d.WantSigned = true
	changed, _ := Metadata(d)
	if !bytes.Contains(changed, []byte(`WantAuthnRequestsSigned="true"`)) {
		t.Error("the switch is not mirrored")
	}
	if between(string(changed), `ID="`, `"`) == between(string(first), `ID="`, `"`) {
		t.Error("other content under the same ID")
	}
}

func TestMetadataBare(t *testing.T) {
	d := testDescription(testNow)
	d.Name, d.URL, d.Logo, d.Contact, d.Security, d.Scopes, d.Error = "", "", Picture{}, "not an address", "", nil, ""
	doc, err := Metadata(d)
	if err != nil {
		t.Fatal(err)
	}
	validateSchema(t, doc)
	d.Name = "\x00"
	if _, err := Metadata(d); !errors.Is(err, errUnwritable) {
		t.Errorf("%v", err)
	}
}

func testNamer() *Namer { return &Namer{Key: bytes.Repeat([]byte{7}, 32), Claims: &evaluator} }

func TestNameID(t *testing.T) {
	namer := testNamer()
	for _, test := range []struct {
		name, format, source string
		user                 *directory.User
		want                 string // "?": anything; empty: InvalidNameIDPolicy
	}{
		{"persistent", sp.NameIDPersistent, "", testUser, namer.Opaque("usr_1", "app_1")},
		{"email", sp.NameIDEmail, "", testUser, "ana@example.org"},
		{"email missing", sp.NameIDEmail, "", &directory.User{ID: "u"}, ""},
		{"email with a name", sp.NameIDEmail, "", &directory.User{ID: "u", Email: "Ana <ana@example.org>"}, ""},
		{"username", sp.NameIDUnspecified, "", testUser, "ana"},
		{"attribute", sp.NameIDPersistent, "attribute:fed", &directory.User{ID: "u", Attributes: map[string][]string{"fed": {"f1", "f2"}}}, "f1"},
		{"attribute missing", sp.NameIDPersistent, "attribute:fed", testUser, ""},
		{"too long", sp.NameIDUnspecified, "", &directory.User{ID: "u", Name: strings.Repeat("x", 257)}, ""},
		{"transient", sp.NameIDTransient, "", testUser, "?"},
	} {
		app := testApp()
		app.Definition.SAML.Settings.NameIDSource = test.source
		id, problem := namer.NameID(testEnv.EntityID, app, test.user, &Accepted{NameIDFormat: test.format})
		switch {
		case test.want == "" && outcome(problem) != "Requester/InvalidNameIDPolicy":
			t.Errorf("%s: %v %v", test.name, id, problem)
		case test.want != "" && (problem != nil || test.want != "?" && id.Value != test.want || id.Format != test.format):
			t.Errorf("%s: %v %v", test.name, id, problem)
		}
	}
}

// Persistent names are pairwise, stable, lower case and short; transient ones never repeat (NID-01 to -04).
func TestOpaque(t *testing.T) {
	namer := testNamer()
	a := namer.Opaque("usr_1", "app_1")
	if a != namer.Opaque("usr_1", "app_1") || a == namer.Opaque("usr_1", "app_2") || a == namer.Opaque("usr_2", "app_1") || a != strings.ToLower(a) || len(a) != 52 {
		t.Error(a)
	}
	other := &Namer{Key: bytes.Repeat([]byte{8}, 32)}
	if a == other.Opaque("usr_1", "app_1") {
		t.Error("the key does not matter")
	}
	first, _ := namer.NameID("e", testApp(), testUser, &Accepted{NameIDFormat: sp.NameIDTransient})
	second, _ := namer.NameID("e", testApp(), testUser, &Accepted{NameIDFormat: sp.NameIDTransient})
	if first.Value == second.Value || len(first.Value) < 30 {
		t.Error(first.Value)
	}
}

func TestSubjectMatches(t *testing.T) {
	name := &NameID{Value: "x", Format: sp.NameIDPersistent, NameQualifier: "idp", SPNameQualifier: "sp"}
	for _, test := range []struct {
		subject SubjectID
		want    bool
	}{
		{SubjectID{Value: "x"}, true}, {SubjectID{Value: "x", Format: sp.NameIDPersistent, NameQualifier: "idp", SPNameQualifier: "sp"}, true},
		{SubjectID{Value: "y"}, false}, {SubjectID{Value: "x", Format: sp.NameIDEmail}, false}, {SubjectID{Value: "x", SPNameQualifier: "other"}, false}, {SubjectID{Value: "x", NameQualifier: "other"}, false},
	} {
		if test.subject.matches(name) != test.want {
			t.Errorf("%+v", test.subject)
		}
	}
}

func names(list []AttributeValues) string {
	var out []string
	for _, a := range list {
		out = append(out, a.FriendlyName+"="+strings.Join(a.Values, "|"))
	}
	return strings.Join(out, " ")
}

func TestReleaseTo(t *testing.T) {
	groups := []string{"g1", "g2", "g3"}
	user := &claims.Person{ID: "u", Name: "ana", Email: "a@x", Held: func() (claims.Held, error) { return claims.Held{Groups: groups}, nil }}
	for _, test := range []struct {
		name    string
		change  func(*sp.App)
		service *int
		want    string
	}{
		{"bound by friendly name and source", func(a *sp.App) { a.Policy.Attributes = []string{"uid", "email"} }, nil, "uid=ana mail=a@x"},
		{"bound to nothing", func(a *sp.App) { a.Policy.Attributes = []string{} }, nil, ""},
		{"merged", func(a *sp.App) {
			a.Definition.SAML.Settings.Attributes = []sp.Attribute{{Name: "x", FriendlyName: "f", Source: "username"}, {Name: "x", Source: "email"}, {Name: "x", Source: "username"}}
		}, nil, "f=ana|a@x"},
		{"attribute set", func(a *sp.App) {
			a.Definition.SAML.Metadata.AttributeServices = []sp.AttributeService{{Index: 1, Requested: []sp.RequestedAttribute{{Name: "urn:oid:0.9.2342.19200300.100.1.3"}}},
				{Index: 2, Requested: []sp.RequestedAttribute{{Name: "urn:oid:1.3.6.1.4.1.5923.1.5.1.1", Values: []string{"g2", "g9"}}}}}
		}, ptr(2), "isMemberOf=g2"},
	} {
		app := testApp()
		test.change(app)
		got, problem := ReleaseTo(app, user, test.service, &evaluator)
		if problem != nil || names(got) != test.want {
			t.Errorf("%s: %q, want %q (%v)", test.name, names(got), test.want, problem)
		}
	}
	broken := testApp()
	broken.Definition.SAML.Settings.Attributes = []sp.Attribute{{Name: "x", Source: "user.("}}
	if _, problem := ReleaseTo(broken, user, nil, &evaluator); outcome(problem) != "Responder" {
		t.Errorf("%v", problem)
	}
	if strings.Join(groups, "") != "g1g2g3" {
		t.Error("the user record was changed")
	}
}
