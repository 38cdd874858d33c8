package sp

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Values of the `saml.*` keys that other packages compare with.
const (
	DefaultsSaaS     = "saas"
	DefaultsSAML2Int = "saml2int"
	DefaultsCustom   = "custom"
	SignBoth         = "both"
	SignAssertion    = "assertion"
	SignResponse     = "response"
	EncryptAuto      = "auto"
	EncryptAlways    = "always"
	EncryptNever     = "never"
	DeniedToSP       = "sp"
	DeniedPage       = "page"
	LenientStronger  = "stronger-ok"
	LenientExact     = "exact"
	SourceOpaque     = "opaque"
	SourceEmail      = "email"
	SourceUsername   = "username"
	AlgorithmSHA1    = "rsa-sha1"
)

// NameID formats that Gatehouse issues (saml-core-2.0-os, 8.3).
const (
	NameIDEmail       = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
	NameIDUnspecified = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"
	NameIDPersistent  = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
	NameIDTransient   = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
)

// NameIDNone is the setting for answers without a NameID; no format on the wire.
const NameIDNone = "none"

// KnownNameIDFormats lists the formats that Gatehouse issues.
func KnownNameIDFormats() []string {
	return []string{NameIDPersistent, NameIDTransient, NameIDEmail, NameIDUnspecified}
}

// bundle is what `saml.defaults` puts in place of unset keys.
type bundle struct{ sign, encrypt, nameIDFormat, leniency string }

// bundle: saas signs both, because apps demand the one or the other and do not say; saml2int is the deployment profile
// of research federations (signed response, encrypted assertion, transient NameID, demands taken literally). custom has
// the values of saas and says that the keys were chosen one by one.
func (s *SAML) bundle() bundle {
	if s.Settings.Defaults == DefaultsSAML2Int {
		return bundle{SignResponse, EncryptAlways, NameIDTransient, LenientExact}
	}
	return bundle{SignBoth, EncryptAuto, NameIDPersistent, LenientStronger}
}

func (s *SAML) sign() string { return cmp.Or(s.Settings.Sign, s.bundle().sign) }

// Sign tells what to sign; at least one is true. An app whose metadata says WantAssertionsSigned gets a signed assertion
// whatever the setting (saml-metadata-2.0-os, 2.4.4).
func (s *SAML) Sign() (response, assertion bool) {
	sign := s.sign()
	return sign != SignAssertion, sign != SignResponse || s.Metadata.WantAssertionsSigned
}

// SignatureAlgorithm is the short name of the algorithm; empty: not set, so rsa-sha256 or what suits key and metadata.
func (s *SAML) SignatureAlgorithm() string { return s.Settings.SignatureAlgorithm }

// RequireSigned tells whether an unsigned request is refused: as set here, else as the metadata says.
func (s *SAML) RequireSigned() bool {
	if s.Settings.RequireSignedRequests != nil {
		return *s.Settings.RequireSignedRequests
	}
	return s.Metadata.AuthnRequestsSigned
}

// EncryptMode is EncryptAuto, EncryptAlways (an answer that cannot be encrypted is an error) or EncryptNever.
func (s *SAML) EncryptMode() string { return cmp.Or(s.Settings.Encrypt, s.bundle().encrypt) }

// NameIDFormat is the format URI for a request that asks for none: as set here, else the first of the metadata that
// Gatehouse knows, else the bundle's.
func (s *SAML) NameIDFormat() string {
	if format := longNameIDFormat(s.Settings.NameIDFormat); format != "" {
		return format
	}
	known := KnownNameIDFormats()
	for _, format := range s.Metadata.NameIDFormats {
		if slices.Contains(known, format) {
			return format
		}
	}
	return s.bundle().nameIDFormat
}

// NameIDFormatFor answers the Format of a NameIDPolicy: what is asked for, when Gatehouse knows it; NameIDFormat when the
// request leaves it open (absent or unspecified); false for any other (saml-core-2.0-os, 3.4.1.1).
func (s *SAML) NameIDFormatFor(asked string) (string, bool) {
	if asked == "" || asked == NameIDUnspecified {
		return s.NameIDFormat(), true
	}
	return asked, slices.Contains(KnownNameIDFormats(), asked)
}

// NameIDSource says what fills a NameID of this format: SourceOpaque, SourceEmail, SourceUsername or "attribute:NAME". A
// transient NameID is always made afresh.
func (s *SAML) NameIDSource(format string) string {
	switch {
	case format == NameIDTransient:
		return SourceOpaque
	case s.Settings.NameIDSource != "":
		return s.Settings.NameIDSource
	case format == NameIDEmail:
		return SourceEmail
	case format == NameIDUnspecified:
		return SourceUsername
	}
	return SourceOpaque
}

func longNameIDFormat(short string) string {
	for _, format := range append(KnownNameIDFormats(), NameIDNone) {
		if short != "" && shortNameIDFormat(format) == short {
			return format
		}
	}
	return ""
}

func shortNameIDFormat(format string) string { return format[strings.LastIndexByte(format, ':')+1:] }

// Attributes lists what to release: as set here (empty: nothing), else the default release and what the metadata's tags add; the
// bundle saml2int leaves it at the tags, as federations expect. Format is always filled.
func (s *SAML) Attributes() []Attribute {
	switch {
	case s.Settings.Attributes == nil && s.Settings.Defaults == DefaultsSAML2Int:
		return s.tagged()
	case s.Settings.Attributes == nil:
		list := defaultAttributes()
		for _, one := range s.tagged() {
			if !slices.Contains(list, one) {
				list = append(list, one)
			}
		}
		return list
	}
	list := slices.Clone(s.Settings.Attributes)
	for i := range list {
		list[i].Format = cmp.Or(list[i].Format, FormatURI)
	}
	return list
}

// Released lists all that a SAML app may be told, within the policy's upper bound: saml.attributes as far as saml.release goes, then
// the custom attributes, in the basic format where their name allows it.
func (a *App) Released() []Attribute {
	settings := a.Definition.SAML
	list := settings.Attributes()
	if release := settings.Release(); release != ReleaseAll {
		list = slices.DeleteFunc(list, func(one Attribute) bool { return !settings.asks(&one, release == ReleaseRequired) })
	}
	for _, custom := range a.Definition.CustomAttributes {
		format := FormatBasic
		if !xmlName(custom.Name) {
			format = FormatUnspecified
		}
		list = append(list, Attribute{Name: custom.Name, Format: format, Source: custom.Source})
	}
	return slices.DeleteFunc(list, func(one Attribute) bool { return !a.Policy.releases(&one) })
}

// releases tells whether the upper bound allows an attribute. It is judged by its source, because its names are the developer's
// to choose; the names of the default attributes stand for their sources.
func (p *Policy) releases(a *Attribute) bool { return p.AllowsSource(a.Source) }

// AllowsSource tells whether the upper bound on attributes allows what comes from a source.
func (p *Policy) AllowsSource(source string) bool {
	if p.Attributes == nil || slices.Contains(p.Attributes, source) {
		return true
	}
	return slices.ContainsFunc(defaultAttributes(), func(d Attribute) bool {
		return d.Source == source && (slices.Contains(p.Attributes, d.Name) || slices.Contains(p.Attributes, d.FriendlyName))
	})
}

// defaultAttributes is the release of a new app: the names that most service providers understand.
func defaultAttributes() []Attribute {
	return []Attribute{
		{"urn:oid:0.9.2342.19200300.100.1.1", FormatURI, "uid", "username"},
		{"urn:oid:0.9.2342.19200300.100.1.3", FormatURI, "mail", "email"},
		{"urn:oid:2.16.840.1.113730.3.1.241", FormatURI, "displayName", "display_name"},
		{"urn:oid:2.5.4.42", FormatURI, "givenName", "given_name"},
		{"urn:oid:2.5.4.4", FormatURI, "sn", "surname"},
		{"urn:oid:1.3.6.1.4.1.5923.1.5.1.1", FormatURI, "isMemberOf", "groups"},
	}
}

// AssertionLifetime is how long an assertion is good: 5 minutes unless set.
func (s *SAML) AssertionLifetime() time.Duration {
	if s.Settings.AssertionLifetime > 0 {
		return s.Settings.AssertionLifetime
	}
	return 5 * time.Minute
}

// IDPInitiatedAllowed tells whether the portal may open the app with an unsolicited response.
func (s *SAML) IDPInitiatedAllowed() bool {
	return s.Settings.AllowIDPInitiated == nil || *s.Settings.AllowIDPInitiated
}

// RelayStateLimit is the longest RelayState in bytes: 80 as the bindings say, or 1,024.
func (s *SAML) RelayStateLimit() int {
	if s.Settings.RelayStateLimit == "80" {
		return 80
	}
	return 1024
}

// RelayStateAllowed tells whether a launch link may carry this RelayState: none, the app's landing page, or one that
// begins with an allowed prefix. A prefix that is an address without path matches that host only.
func (s *SAML) RelayStateAllowed(state string) bool {
	if state == "" || state == s.Settings.DefaultRelayState {
		return true
	}
	return slices.ContainsFunc(s.Settings.AllowedRelayStates, func(prefix string) bool {
		rest, ok := strings.CutPrefix(state, prefix)
		_, host, isURL := strings.Cut(prefix, "://")
		if isURL && !strings.ContainsAny(host, "/?#") {
			return ok && (rest == "" || strings.ContainsRune("/?#", rune(rest[0])))
		}
		return ok
	})
}

// SLOEnabled tells whether the app takes part in single logout: its metadata has an endpoint, and it is not switched off.
func (s *SAML) SLOEnabled() bool { return s.Settings.SLO != "off" && len(s.Metadata.SLO) > 0 }

// ECPEnabled tells whether the app may be entered through the ECP profile.
func (s *SAML) ECPEnabled() bool { return s.Settings.ECP == "on" }

// DeniedAnswer is DeniedToSP or DeniedPage.
func (s *SAML) DeniedAnswer() string { return cmp.Or(s.Settings.DeniedAnswer, DeniedToSP) }

// Leniency is LenientStronger when a stronger sign-in satisfies an exact RequestedAuthnContext, else LenientExact.
func (s *SAML) Leniency() string { return cmp.Or(s.Settings.AuthnContextLeniency, s.bundle().leniency) }

// Cautions lists, in sentences, settings that are allowed and yet harm: weak algorithms, encryption without a key.
func (s *SAML) Cautions() []string {
	var list []string
	if s.Settings.SignatureAlgorithm == AlgorithmSHA1 {
		list = append(list, "Answers are signed with RSA-SHA1, which can be forged; use it only while the app knows no other.")
	}
	if strings.HasSuffix(s.Settings.EncryptionAlgorithm, "-cbc") {
		list = append(list, "Assertions are encrypted with AES-CBC, which does not detect changes; prefer a GCM algorithm.")
	}
	if (s.EncryptMode() == EncryptAlways || s.Settings.EncryptAttributes == "on") && len(s.Metadata.EncryptionKeys()) == 0 {
		list = append(list, "What the app is told must be encrypted, but its metadata has no encryption key: every sign-on will fail.")
	}
	if s.Settings.EncryptLogout == "on" && len(s.Metadata.EncryptionKeys()) == 0 {
		list = append(list, "Names in logout requests must be encrypted, but the app's metadata has no encryption key: the app will not be told when people sign out.")
	}
	if s.Settings.NameIDSource == SourceEmail && s.NameIDFormat() == NameIDPersistent {
		list = append(list, "A persistent NameID filled with the e-mail address is neither opaque nor stable.")
	}
	return list
}
