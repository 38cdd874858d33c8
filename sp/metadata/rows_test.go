package metadata

import (
	"reflect"
	"strings"
	"testing"

	"gatehouse/sp"
)

const protocols = `protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"`

// described is an entity with this content.
func described(content string) []byte {
	return []byte(`<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" xmlns:odd="urn:odd" entityID="https://rows.example/sp" odd:a="1">` + content + `</EntityDescriptor>`)
}

func post(location, more string) string {
	return `<AssertionConsumerService Binding="` + sp.BindingPOST + `" Location="` + location + `" ` + more + `/>`
}

// TestRows holds what one entity's metadata means to saml-requirements.md, section 12.
func TestRows(t *testing.T) {
	read := func(t *testing.T, content string) sp.SAML {
		t.Helper()
		r, err := Parse(described(content), Options{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		return sp.SAML{Metadata: r.Metadata}
	}
	plain := post("https://rows.example/acs", `index="0"`)
	t.Run("MDC-10 unknown extensions, roles and attributes are ignored", func(t *testing.T) {
		s := read(t, `<Extensions><odd:E odd:x="y"><odd:F/></odd:E></Extensions><AttributeAuthorityDescriptor `+protocols+`/>`+
			`<RoleDescriptor xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="odd:Role" `+protocols+`/>`+
			`<SPSSODescriptor odd:b="2" `+protocols+`><Extensions><odd:G/></Extensions>`+plain+`<odd:Service/></SPSSODescriptor><AdditionalMetadataLocation namespace="urn:odd">https://x.example</AdditionalMetadataLocation>`)
		if len(s.Metadata.ACS) != 1 {
			t.Errorf("%+v", s.Metadata)
		}
	})
	t.Run("MDC-12 of several roles the one that speaks SAML 2.0", func(t *testing.T) {
		s := read(t, `<SPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:1.1:protocol">`+post("https://rows.example/old", `index="0"`)+
			`</SPSSODescriptor><SPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:1.1:protocol urn:oasis:names:tc:SAML:2.0:protocol">`+plain+`</SPSSODescriptor>`)
		if acs, _ := s.Metadata.DefaultACS(sp.BindingPOST); acs.Location != "https://rows.example/acs" || len(s.Metadata.ACS) != 1 {
			t.Errorf("%+v", s.Metadata.ACS)
		}
	})
	t.Run("MDC-14 every ACS with index, isDefault and binding", func(t *testing.T) {
		s := read(t, `<SPSSODescriptor `+protocols+`>`+post("https://rows.example/a", `index="7" isDefault="false"`)+post("https://rows.example/b", `index="3"`)+
			`<AssertionConsumerService Binding="`+sp.BindingArtifact+`" Location="https://rows.example/c" index="65535" isDefault="true"/></SPSSODescriptor>`)
		m := &s.Metadata
		byIndex, _ := m.ACSByIndex(3)
		fallback, _ := m.DefaultACS(sp.BindingPOST)
		if len(m.ACS) != 3 || *m.ACS[0].Index != 7 || *m.ACS[0].IsDefault || m.ACS[1].IsDefault != nil || m.ACS[2].Binding != sp.BindingArtifact || !*m.ACS[2].IsDefault ||
			byIndex.Location != "https://rows.example/b" || fallback.Location != "https://rows.example/b" {
			t.Errorf("%+v", m.ACS)
		}
	})
	t.Run("MDC-16 NameIDFormat, AttributeConsumingService and the wishes about signatures change what is done", func(t *testing.T) {
		without := read(t, `<SPSSODescriptor `+protocols+`>`+plain+`</SPSSODescriptor>`)
		with := read(t, `<SPSSODescriptor AuthnRequestsSigned="1" WantAssertionsSigned="true" `+protocols+`><NameIDFormat>urn:odd</NameIDFormat><NameIDFormat>`+sp.NameIDTransient+`</NameIDFormat><NameIDFormat>`+sp.NameIDEmail+`</NameIDFormat>`+plain+
			`<AttributeConsumingService index="1"><ServiceName xml:lang="en">s</ServiceName><RequestedAttribute Name="urn:oid:1" isRequired="true"/></AttributeConsumingService></SPSSODescriptor>`)
		without.Settings.Sign, with.Settings.Sign = sp.SignResponse, sp.SignResponse
		_, signs := without.Sign()
		_, signsToo := with.Sign()
		if without.NameIDFormat() != sp.NameIDPersistent || with.NameIDFormat() != sp.NameIDTransient || without.RequireSigned() || !with.RequireSigned() || signs || !signsToo ||
			len(with.Metadata.AttributeServices) != 1 || !with.Metadata.AttributeServices[0].Requested[0].Required {
			t.Errorf("%+v", with)
		}
	})
	t.Run("MDC-28 encryption that cannot be is flagged", func(t *testing.T) {
		s := read(t, `<SPSSODescriptor `+protocols+`>`+plain+`</SPSSODescriptor>`)
		s.Settings.Encrypt = sp.EncryptAlways
		if cautions := strings.Join(s.Cautions(), " "); !strings.Contains(cautions, "no encryption key") {
			t.Errorf("%q", cautions)
		}
	})
	t.Run("MDC-29 an app without metadata is what metadata of it would be", func(t *testing.T) {
		built, err := Build("https://rows.example/sp", "https://rows.example/acs", Options{})
		if err != nil {
			t.Fatal(err)
		}
		document, err := Write(&built)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(document, Options{Now: now})
		if err != nil || !reflect.DeepEqual(again.Metadata, built) {
			t.Errorf("%v\n%+v\n%+v", err, again.Metadata, built)
		}
	})
}
