// Package saml owns SAML 2.0 in and out: it reads requests, checks them, and builds signed responses and metadata.
//
// It must not decide who may enter (idp/flow does), fetch anything, or read a value from a message before that message
// passed the gate; of a signed POST message it reads only what the signature covers. Messages are written directly as
// exclusive-canonical bytes, so that what is hashed is what is sent. Read gate.go and decode.go for the way in, verify.go
// and check.go for what is demanded, build.go and sign.go for the way out.
package saml

// Namespaces of the messages.
const (
	nsProtocol  = "urn:oasis:names:tc:SAML:2.0:protocol"
	nsAssertion = "urn:oasis:names:tc:SAML:2.0:assertion"
	nsDSig      = "http://www.w3.org/2000/09/xmldsig#"
	nsExcC14N   = "http://www.w3.org/2001/10/xml-exc-c14n#"
	nsXML       = "http://www.w3.org/XML/1998/namespace"
)

// Status codes (core 3.2.2.2): the first four are top-level, the others nested.
const (
	StatusSuccess         = "urn:oasis:names:tc:SAML:2.0:status:Success"
	StatusRequester       = "urn:oasis:names:tc:SAML:2.0:status:Requester"
	StatusResponder       = "urn:oasis:names:tc:SAML:2.0:status:Responder"
	StatusVersionMismatch = "urn:oasis:names:tc:SAML:2.0:status:VersionMismatch"

	StatusAuthnFailed         = "urn:oasis:names:tc:SAML:2.0:status:AuthnFailed"
	StatusInvalidNameIDPolicy = "urn:oasis:names:tc:SAML:2.0:status:InvalidNameIDPolicy"
	StatusNoAuthnContext      = "urn:oasis:names:tc:SAML:2.0:status:NoAuthnContext"
	StatusNoPassive           = "urn:oasis:names:tc:SAML:2.0:status:NoPassive"
	StatusNoSupportedIDP      = "urn:oasis:names:tc:SAML:2.0:status:NoSupportedIDP"
	StatusProxyCountExceeded  = "urn:oasis:names:tc:SAML:2.0:status:ProxyCountExceeded"
	StatusPartialLogout       = "urn:oasis:names:tc:SAML:2.0:status:PartialLogout"
	StatusRequestDenied       = "urn:oasis:names:tc:SAML:2.0:status:RequestDenied"
	StatusRequestUnsupported  = "urn:oasis:names:tc:SAML:2.0:status:RequestUnsupported"
	StatusVersionTooHigh      = "urn:oasis:names:tc:SAML:2.0:status:RequestVersionTooHigh"
	StatusVersionTooLow       = "urn:oasis:names:tc:SAML:2.0:status:RequestVersionTooLow"
	StatusUnknownPrincipal    = "urn:oasis:names:tc:SAML:2.0:status:UnknownPrincipal"
	StatusUnsupportedBinding  = "urn:oasis:names:tc:SAML:2.0:status:UnsupportedBinding"
)

// formatEncrypted asks for an EncryptedID and leaves open what it holds (core 3.4.1.1).
const formatEncrypted = "urn:oasis:names:tc:SAML:2.0:nameid-format:encrypted"

// formatEntity is the Format of an Issuer (core 8.3.6), the only one allowed there.
const formatEntity = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity"
