package metadata

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"gatehouse/sp"
)

// Write makes the metadata document of a service provider, from which Parse understands the same again. Where it was fetched
// from is not part of it. The error is only that of a key which cannot be read.
func Write(m *sp.Metadata) ([]byte, error) {
	w := &writer{}
	w.open("EntityDescriptor", "xmlns", nsMetadata, "xmlns:ds", nsDSig, "xmlns:ds11", nsDSig11, "xmlns:xenc11", nsXMLEnc11,
		"xmlns:alg", nsAlgSup, "xmlns:mdui", nsMDUI, "xmlns:mdattr", nsMDAttr, "xmlns:saml", nsSAML, "entityID", m.EntityID, "validUntil", instant(m.ValidUntil))
	w.tags(m.EntityAttributes)
	w.open("SPSSODescriptor", "protocolSupportEnumeration", nsProtocol, "AuthnRequestsSigned", flag(&m.AuthnRequestsSigned), "WantAssertionsSigned", flag(&m.WantAssertionsSigned))
	w.extensions(m)
	for i := range m.Keys {
		if err := w.key(&m.Keys[i]); err != nil {
			return nil, fmt.Errorf("key %d of %s: %w", i+1, m.EntityID, err)
		}
	}
	for i := range m.SLO {
		w.endpoint("SingleLogoutService", &m.SLO[i])
	}
	for i := range m.ManageNameID {
		w.endpoint("ManageNameIDService", &m.ManageNameID[i])
	}
	for _, format := range m.NameIDFormats {
		w.text("NameIDFormat", format)
	}
	for i := range m.ACS {
		w.endpoint("AssertionConsumerService", &m.ACS[i])
	}
	for i := range m.AttributeServices {
		w.attributeService(&m.AttributeServices[i])
	}
	w.close("SPSSODescriptor")
	if m.Contact != "" {
		w.open("ContactPerson", "contactType", "support")
		w.text("EmailAddress", "mailto:"+m.Contact)
		w.close("ContactPerson")
	}
	w.close("EntityDescriptor")
	return []byte(w.String()), nil
}

// writer writes elements; attributes come in pairs, and those without a value are left out.
type writer struct{ strings.Builder }

func (w *writer) tag(name string, attributes []string, end string) {
	w.WriteString("<" + name)
	for i := 0; i+1 < len(attributes); i += 2 {
		if attributes[i+1] != "" {
			w.WriteString(" " + attributes[i] + `="`)
			w.escape(attributes[i+1])
			w.WriteString(`"`)
		}
	}
	w.WriteString(end)
}

func (w *writer) open(name string, attributes ...string)  { w.tag(name, attributes, ">\n") }
func (w *writer) empty(name string, attributes ...string) { w.tag(name, attributes, "/>\n") }
func (w *writer) close(name string)                       { w.WriteString("</" + name + ">\n") }

func (w *writer) text(name, value string, attributes ...string) {
	w.tag(name, attributes, ">")
	w.escape(value)
	w.close(name)
}

func (w *writer) escape(text string) { _ = xml.EscapeText(w, []byte(text)) } // a Builder takes everything

func instant(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339Nano)
}

func flag(value *bool) string {
	if value == nil {
		return ""
	}
	return strconv.FormatBool(*value)
}

func (w *writer) extensions(m *sp.Metadata) {
	w.open("Extensions")
	for _, algorithm := range m.DigestMethods {
		w.empty("alg:DigestMethod", "Algorithm", algorithm)
	}
	for _, algorithm := range m.SigningMethods {
		w.empty("alg:SigningMethod", "Algorithm", algorithm)
	}
	w.open("mdui:UIInfo")
	w.localized("mdui:DisplayName", m.DisplayName, m.Names)
	w.localized("mdui:Description", m.Description, nil)
	w.localized("mdui:InformationURL", m.InformationURL, m.InformationURLs)
	w.localized("mdui:PrivacyStatementURL", m.PrivacyURL, m.PrivacyURLs)
	if m.LogoURL != "" {
		w.text("mdui:Logo", m.LogoURL, "height", "64", "width", "64")
	}
	w.close("mdui:UIInfo")
	w.close("Extensions")
}

// localized writes a text in its languages, or the one that there is as English.
func (w *writer) localized(name, text string, languages []sp.Localized) {
	if text != "" && len(languages) == 0 {
		languages = []sp.Localized{{Lang: "en", Text: text}}
	}
	for _, one := range languages {
		w.text(name, one.Text, "xml:lang", one.Lang)
	}
}

func (w *writer) endpoint(name string, e *sp.Endpoint) {
	index := ""
	if e.Index != nil {
		index = strconv.Itoa(*e.Index)
	}
	w.empty(name, "Binding", e.Binding, "Location", e.Location, "ResponseLocation", e.ResponseLocation, "index", index, "isDefault", flag(e.IsDefault))
}

func (w *writer) attributeService(s *sp.AttributeService) {
	w.open("AttributeConsumingService", "index", strconv.Itoa(s.Index), "isDefault", flag(s.IsDefault))
	if s.Name != "" {
		w.text("ServiceName", s.Name, "xml:lang", "en")
	}
	for i := range s.Requested {
		a := &s.Requested[i]
		w.open("RequestedAttribute", "Name", a.Name, "NameFormat", a.NameFormat, "FriendlyName", a.FriendlyName, "isRequired", flag(&a.Required))
		for _, value := range a.Values {
			w.text("saml:AttributeValue", value)
		}
		w.close("RequestedAttribute")
	}
	w.close("AttributeConsumingService")
}

func (w *writer) key(k *sp.Key) error {
	w.open("KeyDescriptor", "use", string(k.Use))
	w.open("ds:KeyInfo")
	if len(k.Certificate) > 0 {
		w.open("ds:X509Data")
		w.text("ds:X509Certificate", base64.StdEncoding.EncodeToString(k.Certificate))
		w.close("ds:X509Data")
	} else if err := w.keyValue(k); err != nil {
		return err
	}
	w.close("ds:KeyInfo")
	for _, method := range k.EncryptionMethods {
		w.open("EncryptionMethod", "Algorithm", method.Algorithm)
		if method.Digest != "" {
			w.empty("ds:DigestMethod", "Algorithm", method.Digest)
		}
		if method.MGF != "" {
			w.empty("xenc11:MGF", "Algorithm", method.MGF)
		}
		w.close("EncryptionMethod")
	}
	w.close("KeyDescriptor")
	return nil
}

// keyValue writes a bare key (xmldsig-core1, 4.5.2).
func (w *writer) keyValue(k *sp.Key) error {
	public, err := k.Public()
	if err != nil {
		return err
	}
	w.open("ds:KeyValue")
	switch key := public.(type) {
	case *rsa.PublicKey:
		w.open("ds:RSAKeyValue")
		w.text("ds:Modulus", base64.StdEncoding.EncodeToString(key.N.Bytes()))
		w.text("ds:Exponent", base64.StdEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()))
		w.close("ds:RSAKeyValue")
	case *ecdsa.PublicKey:
		point, err := key.Bytes()
		if err != nil {
			return err
		}
		w.open("ds11:ECKeyValue")
		w.empty("ds11:NamedCurve", "URI", curves[key.Curve.Params().Name])
		w.text("ds11:PublicKey", base64.StdEncoding.EncodeToString(point))
		w.close("ds11:ECKeyValue")
	}
	w.close("ds:KeyValue")
	return nil
}

// curves are the names of elliptic curves in XML Signature (RFC 9231, 2.3.6).
var curves = map[string]string{
	"P-256": "urn:oid:1.2.840.10045.3.1.7", "P-384": "urn:oid:1.3.132.0.34", "P-521": "urn:oid:1.3.132.0.35",
}

func (w *writer) tags(tags []sp.EntityAttribute) {
	if len(tags) == 0 {
		return
	}
	w.open("Extensions")
	w.open("mdattr:EntityAttributes")
	for _, tag := range tags {
		w.open("saml:Attribute", "Name", tag.Name, "NameFormat", sp.FormatURI)
		for _, value := range tag.Values {
			w.text("saml:AttributeValue", value)
		}
		w.close("saml:Attribute")
	}
	w.close("mdattr:EntityAttributes")
	w.close("Extensions")
}
