// Package sp owns connected apps: the App record (definition, policy, credentials), its settings keys, its life cycle
// and Policy.Decide, the one rule book of who may enter.
//
// It must not know protocols, HTTP, sessions or people beyond the plain values of Access. Read app.go for the record,
// policy.go for the decision, settings.go for the keys of `gatehouse app set`.
package sp

import (
	"crypto/rand"
	"strings"
	"time"

	"gatehouse/store"
)

// State is where an app is in its life.
type State string

// The life cycle: pending → active → blocked → removed. A removed app stays as a tombstone without its entity id.
const (
	Pending State = "pending"
	Active  State = "active"
	Blocked State = "blocked"
	Removed State = "removed"
)

// App is the record of a connected app: what its developer defined, what an admin allows, and its secrets. Upgrading the
// definition never touches policy or credentials.
type App struct {
	ID         string     `json:"id"`
	State      State      `json:"state"`
	Created    time.Time  `json:"created"`
	CreatedBy  string     `json:"created_by"`
	Changed    time.Time  `json:"changed"`
	Definition Definition `json:"definition"`
	Policy     Policy     `json:"policy"`

	Credentials Credentials `json:"credentials,omitzero"`
	Parent      string      `json:"parent,omitempty"`       // app id of the gateway that registered it, or OpenParent
	BlockedWith string      `json:"blocked_with,omitempty"` // app id of the gateway whose block shut it too
	Approved    time.Time   `json:"approved,omitzero"`      // when an administrator let it in that had waited
	Network     string      `json:"network,omitempty"`      // from where a client registered under OpenParent
	Lent        time.Time   `json:"lent,omitzero"`          // since when it has the last of its scopes of Gatehouse's own API
	Keyed       time.Time   `json:"keyed,omitzero"`         // when its registered keys (oauth.jwks) changed last; zero: before that was noted

	Document *Registration `json:"document,omitempty"` // of a client whose id is an address: what it said there last
}

// Definition is the developer's part of an app.
type Definition struct {
	Name           string `json:"name"`
	Description    string `json:"description,omitempty"`
	LogoURL        string `json:"logo_url,omitempty"`
	StartURL       string `json:"start_url,omitempty"`
	MobileStartURL string `json:"mobile_start_url,omitempty"`
	Platform       string `json:"platform,omitempty"`
	Contact        string `json:"contact,omitempty"`
	PrivacyURL     string `json:"privacy_url,omitempty"`
	TermsURL       string `json:"terms_url,omitempty"`

	CustomAttributes []CustomAttribute `json:"custom_attributes,omitempty"`
	SAML             *SAML             `json:"saml,omitempty"`
	OAuth            *OAuth            `json:"oauth,omitempty"`
}

// CustomAttribute is an attribute of the developer's making, told to the app whatever its protocol. Source is the name of a user
// attribute or a CEL expression over `user`.
type CustomAttribute struct {
	Name   string `json:"name"`
	Source string `json:"source"`
}

// SAML is what the app's metadata says, and the local settings that go beyond it. Replacing the metadata keeps Settings.
type SAML struct {
	Metadata Metadata     `json:"metadata"`
	Settings SAMLSettings `json:"settings"`
}

// Metadata is the part of a SAML 2.0 SPSSODescriptor that Gatehouse acts on (saml-metadata-2.0-os, 2.4.4).
type Metadata struct {
	EntityID             string             `json:"entity_id"`
	ValidUntil           time.Time          `json:"valid_until,omitzero"`
	ACS                  []Endpoint         `json:"acs"`
	SLO                  []Endpoint         `json:"slo,omitempty"`
	ManageNameID         []Endpoint         `json:"manage_name_id,omitempty"`
	Keys                 []Key              `json:"keys,omitempty"`
	NameIDFormats        []string           `json:"nameid_formats,omitempty"`
	AttributeServices    []AttributeService `json:"attribute_services,omitempty"`
	AuthnRequestsSigned  bool               `json:"authn_requests_signed,omitempty"`
	WantAssertionsSigned bool               `json:"want_assertions_signed,omitempty"`
	DigestMethods        []string           `json:"digest_methods,omitempty"`
	SigningMethods       []string           `json:"signing_methods,omitempty"`
	EntityAttributes     []EntityAttribute  `json:"entity_attributes,omitempty"`
	DisplayName          string             `json:"display_name,omitempty"`
	Names                []Localized        `json:"names,omitempty"` // DisplayName, where there is more than one language
	Description          string             `json:"description,omitempty"`
	InformationURL       string             `json:"information_url,omitempty"`
	InformationURLs      []Localized        `json:"information_urls,omitempty"`
	PrivacyURL           string             `json:"privacy_url,omitempty"`
	PrivacyURLs          []Localized        `json:"privacy_urls,omitempty"`
	LogoURL              string             `json:"logo_url,omitempty"`
	Contact              string             `json:"contact,omitempty"`
	SourceURL            string             `json:"source_url,omitempty"` // where it was fetched, empty for an upload
	Source               string             `json:"source,omitempty"`     // the metadata source it came from, and follows
}

// Endpoint is an assertion consumer or logout service. Location is compared octet by octet and never normalised.
type Endpoint struct {
	Binding          string `json:"binding"`
	Location         string `json:"location"`
	ResponseLocation string `json:"response_location,omitempty"`
	Index            *int   `json:"index,omitempty"`      // of an assertion consumer service
	IsDefault        *bool  `json:"is_default,omitempty"` // nil: the metadata does not say
}

// KeyUse says what a key of the app is for; empty means both (metadata 2.4.1.1).
type KeyUse string

// The uses that metadata knows.
const (
	ForSigning    KeyUse = "signing"
	ForEncryption KeyUse = "encryption"
	ForBoth       KeyUse = ""
)

// Key is a public key of the app: Certificate (DER) when the metadata gave one, else PublicKey (PKIX DER).
type Key struct {
	Use               KeyUse             `json:"use,omitempty"`
	Certificate       []byte             `json:"certificate,omitempty"`
	PublicKey         []byte             `json:"public_key,omitempty"`
	EncryptionMethods []EncryptionMethod `json:"encryption_methods,omitempty"`
}

// EncryptionMethod is an algorithm URI that the app declares for a key; Digest and MGF are set for RSA-OAEP.
type EncryptionMethod struct {
	Algorithm string `json:"algorithm"`
	Digest    string `json:"digest,omitempty"`
	MGF       string `json:"mgf,omitempty"`
}

// AttributeService is an AttributeConsumingService of the metadata.
type AttributeService struct {
	Index     int                  `json:"index"`
	IsDefault *bool                `json:"is_default,omitempty"`
	Name      string               `json:"name,omitempty"`
	Requested []RequestedAttribute `json:"requested,omitempty"`
}

// RequestedAttribute is one attribute that an AttributeService asks for.
type RequestedAttribute struct {
	Name         string   `json:"name"`
	NameFormat   string   `json:"name_format,omitempty"`
	FriendlyName string   `json:"friendly_name,omitempty"`
	Required     bool     `json:"required,omitempty"`
	Values       []string `json:"values,omitempty"`
}

// SAMLSettings are the `saml.*` keys of the design's app key table. A zero value means the documented default.
type SAMLSettings struct {
	Defaults              string        `json:"defaults,omitempty"`
	Sign                  string        `json:"sign,omitempty"`
	SignatureAlgorithm    string        `json:"signature_algorithm,omitempty"`
	SigningKey            string        `json:"signing_key,omitempty"`
	RequireSignedRequests *bool         `json:"require_signed_requests,omitempty"` // nil: as the metadata says
	Encrypt               string        `json:"encrypt,omitempty"`
	EncryptionAlgorithm   string        `json:"encryption_algorithm,omitempty"`
	KeyTransport          string        `json:"key_transport,omitempty"`
	NameIDFormat          string        `json:"nameid_format,omitempty"`
	NameIDSource          string        `json:"nameid_source,omitempty"`
	Attributes            []Attribute   `json:"attributes,omitzero"` // nil: the default release; empty: nothing
	Release               string        `json:"release,omitempty"`
	MissingAttributes     string        `json:"missing_attributes,omitempty"`
	EmptyValues           string        `json:"empty_values,omitempty"`
	SendConsent           string        `json:"send_consent,omitempty"`
	SLO                   string        `json:"slo,omitempty"`
	ECP                   string        `json:"ecp,omitempty"`
	AllowIDPInitiated     *bool         `json:"allow_idp_initiated,omitempty"` // nil: true
	DefaultRelayState     string        `json:"default_relay_state,omitempty"`
	AllowedRelayStates    []string      `json:"allowed_relay_states,omitempty"`
	RelayStateLimit       string        `json:"relay_state_limit,omitempty"`
	DeniedAnswer          string        `json:"denied_answer,omitempty"`
	AuthnContextLeniency  string        `json:"authn_context_leniency,omitempty"`
	AssertionLifetime     time.Duration `json:"assertion_lifetime,omitempty"` // 0: 5 minutes
	SessionLifetime       time.Duration `json:"session_lifetime,omitempty"`   // 0: no SessionNotOnOrAfter
	OneTimeUse            bool          `json:"one_time_use,omitempty"`

	EncryptAttributes       string `json:"encrypt_attributes,omitempty"`       // empty: off
	EncryptLogout           string `json:"encrypt_logout,omitempty"`           // empty: off
	AuthenticatingAuthority string `json:"authenticating_authority,omitempty"` // empty: on
	MetadataRefresh         string `json:"metadata_refresh,omitempty"`         // review, automatic, off; empty: review
}

// Attribute is one released attribute. Source is the name of a user attribute or a CEL expression over `user`.
type Attribute struct {
	Name         string `json:"name"`
	Format       string `json:"format,omitempty"` // empty: the uri format
	FriendlyName string `json:"friendly_name,omitempty"`
	Source       string `json:"source"`
}

// SAML 2.0 binding URIs (saml-bindings-2.0-os, section 3).
const (
	BindingRedirect = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
	BindingPOST     = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
	BindingArtifact = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Artifact"
	BindingSOAP     = "urn:oasis:names:tc:SAML:2.0:bindings:SOAP"
	BindingPAOS     = "urn:oasis:names:tc:SAML:2.0:bindings:PAOS"
)

// EntityID is the app's SAML entity id, empty for an app without SAML.
func (a *App) EntityID() string {
	if a.Definition.SAML == nil {
		return ""
	}
	return a.Definition.SAML.Metadata.EntityID
}

// Apps is the table of connected apps. Removed apps keep their record but leave the entity id and name free.
var Apps = appsTable()

func appsTable() *store.Table[App] {
	return &store.Table[App]{
		Name:    "app",
		Version: 1,
		Key:     func(a *App) string { return a.ID },
		Unique: map[string]func(*App) string{
			"entity_id": func(a *App) string {
				if a.State == Removed {
					return ""
				}
				return a.EntityID()
			},
			"client_id": func(a *App) string {
				if a.State == Removed {
					return ""
				}
				return a.Credentials.ClientID
			},
		},
		Lists: map[string]func(*App) []string{
			"state":       func(a *App) []string { return []string{string(a.State)} },
			"name":        func(a *App) []string { return []string{strings.ToLower(a.Definition.Name)} },
			"audience":    (*App).audience,
			"approver":    (*App).approvers,
			"askable":     (*App).askable,
			"signing_key": (*App).signingKeys,
			"origin":      (*App).origin,
			"web_origin":  (*App).webOrigins,
			"parent":      (*App).parents,
			"waiting":     (*App).waiting,
		},
	}
}

// NewID makes an app id: "app_" and 26 lower-case base32 characters (130 random bits).
func NewID() string { return "app_" + strings.ToLower(rand.Text()) }
