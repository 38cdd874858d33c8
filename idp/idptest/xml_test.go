package idptest

import (
	"bytes"
	"slices"
	"testing"
)

// messages makes a response of the stand-in and returns it with its own key.
func messages(t *testing.T, encrypted bool) (response []byte, idpKey, spKey Key) {
	t.Helper()
	idp := newStandIn(t)
	spKey = NewKey(t, "sp")
	idp.trust(t, []byte(`<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="https://sp.example"><SPSSODescriptor `+
		`protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"><AssertionConsumerService index="0" `+
		`Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="https://sp.example/acs"/></SPSSODescriptor></EntityDescriptor>`))
	if encrypted {
		idp.encrypt(t, spKey.Certificate)
	}
	if _, err := get(idp.URL + "/launch"); err != nil {
		t.Fatal(err)
	}
	return idp.lastXML, idp.key, spKey
}

func TestValidateRefuses(t *testing.T) {
	tools := NewXML(t)
	response, _, _ := messages(t, false)
	if err := tools.Validate(response); err != nil {
		t.Errorf("a good response is refused: %v\n%s", err, response)
	}
	for name, change := range map[string][2]string{
		"unknown attribute": {`Version="2.0"`, `Version="2.0" Color="blue"`},
		"no version":        {`Version="2.0"`, ``},
		"bad time":          {`IssueInstant="2`, `IssueInstant="x2`},
		"wrong element":     {`StatusCode`, `StatusKode`},
		"inside signature":  {`DigestValue>`, `DigestWert>`},
	} {
		bad := bytes.ReplaceAll(response, []byte(change[0]), []byte(change[1]))
		if bytes.Equal(bad, response) {
			t.Fatalf("%s: nothing was changed in %s", name, response)
		}
		if tools.Validate(bad) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if tools.Validate([]byte("<a/>")) == nil || tools.Validate([]byte("<a")) == nil {
		t.Error("what is not SAML is accepted")
	}
}

func TestVerifyRefuses(t *testing.T) {
	tools := NewXML(t)
	response, key, other := messages(t, false)
	signed, err := tools.Verify(response, key.Certificate)
	if err != nil || !slices.Equal(signed, []string{"Response", "Assertion"}) {
		t.Fatalf("signed are %v: %v", signed, err)
	}
	if _, err := tools.Verify(response, other.Certificate); err == nil {
		t.Error("another certificate verifies")
	}
	if _, err := tools.Verify(bytes.Replace(response, []byte(">ana<"), []byte(">ada<"), 1), key.Certificate); err == nil {
		t.Error("a changed name verifies")
	}
}

func TestDecrypt(t *testing.T) {
	tools := NewXML(t)
	response, key, spKey := messages(t, true)
	if err := tools.Validate(response); err != nil {
		t.Error(err)
	}
	assertion, err := tools.Decrypt(response, spKey.Private)
	if err != nil {
		t.Fatal(err)
	}
	if err := tools.Validate(assertion); err != nil {
		t.Error(err)
	}
	if signed, err := tools.Verify(assertion, key.Certificate); err != nil || !slices.Equal(signed, []string{"Assertion"}) {
		t.Errorf("signed are %v: %v", signed, err)
	}
	if _, err := tools.Decrypt(response, key.Private); err == nil {
		t.Error("another key decrypts")
	}
}
