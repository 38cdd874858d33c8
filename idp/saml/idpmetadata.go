package saml

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strconv"
	"time"

	"gatehouse/idp/directory"
	"gatehouse/sp"
)

// Description is what our metadata says about this identity provider (metadata 2.4.3).
type Description struct {
	EntityID    string
	SSO         string        // URL of the endpoint for both bindings
	SLO         string        // URL of single logout for both bindings of browsers
	NID         string        // URL of name management for both bindings of browsers
	SOAP        string        // URL of single logout and name management from server to server
	Artifact    string        // URL of artifact resolution
	ECP         string        // URL for clients that are not browsers, empty: not offered
	WantSigned  bool          // WantAuthnRequestsSigned
	Lifetime    time.Duration // of the document: saml.metadata_lifetime
	Name        string        // of the organisation
	URL         string        // of the organisation
	Logo        Picture       // may be empty
	Contact     string        // e-mail address for support, may be empty
	Security    string        // e-mail address for security incidents, may be empty
	Scopes      []string      // domains that the organisation's scoped attributes may name
	Discovery   directory.Discovery
	Information string        // URL of a page about this service, may be empty
	Privacy     string        // URL of the privacy statement, may be empty
	Error       string        // errorURL, may be empty
	Credentials []*Credential // what signs: active, next and retiring, the active first
	Sign        *Signing      // signs the document itself
	Now         time.Time
}

// Picture is an image at an https URL with its size in pixels; the zero Picture is none.
type Picture struct {
	URL           string
	Width, Height int
}

// Metadata writes the signed EntityDescriptor. Polls within a twelfth of the lifetime (about a day of two weeks) get the
// same dates and id, so that a document changes only when something in it does.
func Metadata(d *Description) ([]byte, error) {
	said := []string{d.EntityID, d.SSO, d.Name, d.URL, d.Logo.URL, d.Contact, d.Security, d.Information, d.Privacy, d.Error}
	for _, s := range slices.Concat(said, d.Scopes, d.Discovery.Categories, d.Discovery.Supported, d.Discovery.Assurance, d.Discovery.Networks, d.Discovery.Domains, d.Discovery.Places) {
		if !writable(s) {
			return nil, errUnwritable
		}
	}
	validUntil := d.Now.UTC().Truncate(metadataStep(d.Lifetime)).Add(d.Lifetime)
	body := d.appendBody(make([]byte, 0, 12<<10))
	sum := sha256.Sum256(append([]byte(validUntil.Format(time.RFC3339)), body...))
	id := "_" + hex.EncodeToString(sum[:20])

	doc := append(make([]byte, 0, len(body)+6<<10), `<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" ID="`+id+`" cacheDuration="PT1H"`...)
	doc = appendTime(appendAttr(doc, "entityID", d.EntityID), "validUntil", validUntil)
	doc = append(doc, '>')
	signatureAt := len(doc)
	doc = append(append(doc, body...), `</md:EntityDescriptor>`...)
	return d.Sign.signInto(doc, 0, signatureAt, id)
}

// metadataStep is how long the document's dates stay as they are.
func metadataStep(lifetime time.Duration) time.Duration { return max(lifetime/12, time.Hour) }

func (d *Description) appendBody(doc []byte) []byte {
	doc = append(doc, `<md:Extensions>`...)
	doc = d.appendAlgorithms(doc)
	doc = append(d.appendEntityAttributes(doc), `</md:Extensions>`...)
	doc = append(doc, `<md:IDPSSODescriptor WantAuthnRequestsSigned="`...)
	if d.WantSigned {
		doc = append(doc, "true"...)
	} else {
		doc = append(doc, "false"...)
	}
	doc = append(doc, '"')
	if d.Error != "" {
		doc = appendAttr(doc, "errorURL", d.Error)
	}
	doc = append(doc, ` protocolSupportEnumeration="`+nsProtocol+`">`...)
	doc = d.appendUI(doc)
	for _, key := range d.Credentials {
		doc = append(doc, `<md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="`+nsDSig+`"><ds:X509Data><ds:X509Certificate>`...)
		doc = base64.StdEncoding.AppendEncode(doc, key.Certificate)
		doc = append(doc, `</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>`...)
	}
	doc = appendDecryption(doc, d.Credentials)
	doc = appendAttr(append(doc, `<md:ArtifactResolutionService`...), "Binding", sp.BindingSOAP)
	doc = append(appendAttr(doc, "Location", d.Artifact), ` index="0" isDefault="true"></md:ArtifactResolutionService>`...)
	for _, service := range []struct{ binding, location string }{{sp.BindingRedirect, d.SLO}, {sp.BindingPOST, d.SLO}, {sp.BindingSOAP, d.SOAP}} {
		doc = appendAttr(append(doc, `<md:SingleLogoutService`...), "Binding", service.binding)
		doc = append(appendAttr(doc, "Location", service.location), `></md:SingleLogoutService>`...)
	}
	for _, service := range []struct{ binding, location string }{{sp.BindingRedirect, d.NID}, {sp.BindingPOST, d.NID}, {sp.BindingSOAP, d.SOAP}} {
		doc = appendAttr(append(doc, `<md:ManageNameIDService`...), "Binding", service.binding)
		doc = append(appendAttr(doc, "Location", service.location), `></md:ManageNameIDService>`...)
	}
	for _, format := range sp.KnownNameIDFormats() {
		doc = append(append(append(doc, `<md:NameIDFormat>`...), format...), `</md:NameIDFormat>`...)
	}
	for _, service := range []struct{ binding, location string }{{sp.BindingRedirect, d.SSO}, {sp.BindingPOST, d.SSO}, {sp.BindingSOAP, d.ECP}} {
		if service.location == "" {
			continue
		}
		doc = appendAttr(append(doc, `<md:SingleSignOnService`...), "Binding", service.binding)
		doc = append(appendAttr(doc, "Location", service.location), `></md:SingleSignOnService>`...)
	}
	doc = append(doc, `</md:IDPSSODescriptor>`...)
	return d.appendPeople(doc)
}

// appendDecryption lists the keys that may be encrypted to, with the methods that are accepted (metadata 2.4.1.1).
func appendDecryption(doc []byte, credentials []*Credential) []byte {
	for _, key := range credentials {
		if kindOf(key.signer.Public()) != keyRSA {
			continue
		}
		doc = append(doc, `<md:KeyDescriptor use="encryption"><ds:KeyInfo xmlns:ds="`+nsDSig+`"><ds:X509Data><ds:X509Certificate>`...)
		doc = base64.StdEncoding.AppendEncode(doc, key.Certificate)
		doc = append(doc, `</ds:X509Certificate></ds:X509Data></ds:KeyInfo>`...)
		for _, c := range blockCiphers {
			if !c.legacy {
				doc = append(appendAttr(append(doc, `<md:EncryptionMethod`...), "Algorithm", c.uri), `></md:EncryptionMethod>`...)
			}
		}
		for _, uri := range []string{oaepMGF1P, oaep11} {
			doc = append(appendAttr(append(doc, `<md:EncryptionMethod`...), "Algorithm", uri), `></md:EncryptionMethod>`...)
		}
		doc = append(doc, `</md:KeyDescriptor>`...)
	}
	return doc
}

// appendAlgorithms lists what is accepted and used (sstc-saml-metadata-algsupport): the runtime tables themselves.
func (d *Description) appendAlgorithms(doc []byte) []byte {
	const open = ` xmlns:alg="urn:oasis:names:tc:SAML:metadata:algsupport"`
	for _, digest := range digests {
		doc = append(appendAttr(append(doc, `<alg:DigestMethod`+open...), "Algorithm", digest.uri), `></alg:DigestMethod>`...)
	}
	for _, a := range algorithms {
		if a.name != sp.AlgorithmSHA1 {
			doc = append(appendAttr(append(doc, `<alg:SigningMethod`+open...), "Algorithm", a.uri), `></alg:SigningMethod>`...)
		}
	}
	return doc
}

// appendUI writes the extensions of the role: the scopes that we may name (shibmd), and how to show us to people (MDUI).
func (d *Description) appendUI(doc []byte) []byte {
	hints := d.appendHints(nil)
	if d.Name == "" && len(d.Scopes) == 0 && len(hints) == 0 {
		return doc
	}
	doc = append(doc, `<md:Extensions>`...)
	for _, scope := range d.Scopes {
		doc = append(doc, `<shibmd:Scope xmlns:shibmd="urn:mace:shibboleth:metadata:1.0" regexp="false">`...)
		doc = append(appendText(doc, scope), `</shibmd:Scope>`...)
	}
	if d.Name != "" {
		doc = append(doc, `<mdui:UIInfo xmlns:mdui="urn:oasis:names:tc:SAML:metadata:ui">`...)
		doc = appendEnglish(doc, "mdui:DisplayName", d.Name)
		doc = appendEnglish(doc, "mdui:InformationURL", d.Information)
		doc = appendEnglish(doc, "mdui:PrivacyStatementURL", d.Privacy)
		doc = append(d.Logo.append(doc), `</mdui:UIInfo>`...)
	}
	doc = append(doc, hints...)
	return append(doc, `</md:Extensions>`...)
}

func (p *Picture) append(doc []byte) []byte {
	if p.URL == "" {
		return doc
	}
	doc = append(doc, `<mdui:Logo height="`+strconv.Itoa(p.Height)+`" width="`+strconv.Itoa(p.Width)+`">`...)
	return append(appendText(doc, p.URL), `</mdui:Logo>`...)
}

// appendEnglish writes a localised element in English, nothing for an empty text.
func appendEnglish(doc []byte, name, text string) []byte {
	if text == "" {
		return doc
	}
	doc = append(doc, `<`+name+` xml:lang="en">`...)
	return append(appendText(doc, text), `</`+name+`>`...)
}

// securityOpen begins a security contact as REFEDS defines it, to which a given name belongs.
const securityOpen = `<md:ContactPerson xmlns:remd="http://refeds.org/metadata" contactType="other" remd:contactType="http://refeds.org/metadata/contactType/security"><md:GivenName>Security</md:GivenName>`

func (d *Description) appendPeople(doc []byte) []byte {
	if d.Name != "" && d.URL != "" {
		doc = appendEnglish(append(doc, `<md:Organization>`...), "md:OrganizationName", d.Name)
		doc = appendEnglish(doc, "md:OrganizationDisplayName", d.Name)
		doc = append(appendEnglish(doc, "md:OrganizationURL", d.URL), `</md:Organization>`...)
	}
	doc = appendContact(doc, `<md:ContactPerson contactType="technical">`, d.Contact)
	doc = appendContact(doc, `<md:ContactPerson contactType="support">`, d.Contact)
	return appendContact(doc, securityOpen, d.Security)
}

// appendContact writes a contact, nothing for what is no e-mail address.
func appendContact(doc []byte, open, address string) []byte {
	if !isAddress(address) {
		return doc
	}
	doc = append(append(doc, open...), `<md:EmailAddress>mailto:`...)
	return append(appendText(doc, address), `</md:EmailAddress></md:ContactPerson>`...)
}
