package saml

// Names of the entity attributes that an identity provider publishes (sstc-metadata-attr, entity-category, SAML assurance).
const (
	entityCategory        = "http://macedir.org/entity-category"
	entityCategorySupport = "http://macedir.org/entity-category-support"
	assuranceProfile      = "urn:oasis:names:tc:SAML:attribute:assurance-certification"
)

// appendEntityAttributes writes what the organisation claims of itself, nothing if it claims nothing.
func (d *Description) appendEntityAttributes(doc []byte) []byte {
	claims := d.Discovery
	if len(claims.Categories)+len(claims.Supported)+len(claims.Assurance) == 0 {
		return doc
	}
	doc = append(doc, `<mdattr:EntityAttributes xmlns:mdattr="urn:oasis:names:tc:SAML:metadata:attribute">`...)
	for _, claim := range []struct {
		name   string
		values []string
	}{{entityCategory, claims.Categories}, {entityCategorySupport, claims.Supported}, {assuranceProfile, claims.Assurance}} {
		if len(claim.values) == 0 {
			continue
		}
		doc = appendAttr(append(doc, `<saml:Attribute xmlns:saml="`+nsAssertion+`"`...), "Name", claim.name)
		doc = append(doc, ` NameFormat="urn:oasis:names:tc:SAML:2.0:attrname-format:uri">`...)
		for _, value := range claim.values {
			doc = append(appendText(append(doc, `<saml:AttributeValue>`...), value), `</saml:AttributeValue>`...)
		}
		doc = append(doc, `</saml:Attribute>`...)
	}
	return append(doc, `</mdattr:EntityAttributes>`...)
}

// appendHints writes where the organisation's people are, for discovery services (sstc-saml-metadata-ui, 2.2); nothing without any.
func (d *Description) appendHints(doc []byte) []byte {
	hints := d.Discovery
	if len(hints.Networks)+len(hints.Domains)+len(hints.Places) == 0 {
		return doc
	}
	doc = append(doc, `<mdui:DiscoHints xmlns:mdui="urn:oasis:names:tc:SAML:metadata:ui">`...)
	for _, hint := range []struct {
		element string
		values  []string
	}{{"mdui:IPHint", hints.Networks}, {"mdui:DomainHint", hints.Domains}, {"mdui:GeolocationHint", hints.Places}} {
		for _, value := range hint.values {
			doc = append(appendText(append(doc, `<`+hint.element+`>`...), value), `</`+hint.element+`>`...)
		}
	}
	return append(doc, `</mdui:DiscoHints>`...)
}
