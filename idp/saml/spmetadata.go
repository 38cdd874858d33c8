package saml

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"time"

	"gatehouse/sp"
)

const spMetadataPath = "/saml/sp-metadata"

// spMetadata describes us as a service provider, for identity providers that people shall sign in at.
func (h *Handlers) spMetadata(w http.ResponseWriter, r *http.Request) error {
	settings, err := h.loadSettings(r.Context())
	if err != nil {
		return err
	}
	signing, problem, err := h.ownSigning(r.Context())
	if err != nil {
		return err
	}
	if problem != nil {
		return problem
	}
	keys, _, err := h.signers(r.Context(), nil)
	if err != nil {
		return err
	}
	validUntil := h.Now().UTC().Truncate(metadataStep(settings.MetadataLifetime())).Add(settings.MetadataLifetime())
	doc, err := describeSP(h.entityID(settings), h.BaseURL, validUntil, h.keys.of(keys), &signing)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/samlmetadata+xml")
	_, err = w.Write(doc)
	return err
}

func describeSP(entityID, base string, validUntil time.Time, keys []*Credential, signing *Signing) ([]byte, error) {
	if !writable(entityID) || !writable(base) {
		return nil, errUnwritable
	}
	body := append([]byte{}, `<md:SPSSODescriptor AuthnRequestsSigned="true" WantAssertionsSigned="true" protocolSupportEnumeration="`+nsProtocol+`">`...)
	for _, key := range keys {
		body = append(body, `<md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="`+nsDSig+`"><ds:X509Data><ds:X509Certificate>`...)
		body = base64.StdEncoding.AppendEncode(body, key.Certificate)
		body = append(body, `</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>`...)
	}
	body = appendDecryption(body, keys)
	for _, service := range []struct{ binding, path string }{{sp.BindingRedirect, sloPath}, {sp.BindingPOST, sloPath}, {sp.BindingSOAP, soapPath}} {
		body = appendAttr(append(body, `<md:SingleLogoutService`...), "Binding", service.binding)
		body = append(appendAttr(body, "Location", base+service.path), `></md:SingleLogoutService>`...)
	}
	for _, format := range []string{sp.NameIDPersistent, sp.NameIDEmail, sp.NameIDUnspecified} {
		body = append(append(append(body, `<md:NameIDFormat>`...), format...), `</md:NameIDFormat>`...)
	}
	body = append(body, `<md:AssertionConsumerService Binding="`+sp.BindingPOST+`"`...)
	body = append(appendAttr(body, "Location", base+acsPath), ` index="0" isDefault="true"></md:AssertionConsumerService></md:SPSSODescriptor>`...)

	sum := sha256.Sum256(append([]byte(validUntil.Format(time.RFC3339)), body...))
	id := "_" + hex.EncodeToString(sum[:20])
	doc := append([]byte{}, `<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" ID="`+id+`"`...)
	doc = append(appendTime(appendAttr(doc, "entityID", entityID), "validUntil", validUntil), '>')
	at := len(doc)
	doc = append(append(doc, body...), `</md:EntityDescriptor>`...)
	return signing.signInto(doc, 0, at, id)
}
