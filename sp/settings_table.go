package sp

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The app key table of the design page, in its order. A function per group; each entry says where its value lives.

func definitionSettings() []Setting {
	return []Setting{
		{Key: "name", Label: "Name", Help: "What people see on the tile and on the sign-in page.", Kind: KindText,
			Default: "as the metadata says", get: func(a *App) string { return a.Definition.Name }, set: setName},
		text("description", "Description", "One sentence under the name.",
			func(a *App) *string { return &a.Definition.Description }),
		picture("logo_url", "Logo", "An https address of a PNG, JPEG, GIF or WebP picture. It is copied, and shown from here.",
			func(a *App) *string { return &a.Definition.LogoURL }),
		address("start_url", "Start URL", "Where the tile goes when the app may not be started from here.",
			func(a *App) *string { return &a.Definition.StartURL }),
		address("mobile_start_url", "Mobile start URL", "The same on a phone.",
			func(a *App) *string { return &a.Definition.MobileStartURL }),
		text("platform", "Platform", "What the app runs on, for the records.",
			func(a *App) *string { return &a.Definition.Platform }),
		text("contact", "Contact", "Whom to ask about the app.",
			func(a *App) *string { return &a.Definition.Contact }),
		address("privacy_url", "Privacy statement", "A link for people who are about to enter. Unset: what SAML metadata says.",
			func(a *App) *string { return &a.Definition.PrivacyURL }),
		address("terms_url", "Terms of service", "A link for people who are about to enter.",
			func(a *App) *string { return &a.Definition.TermsURL }),
		customAttributes(),
	}
}

// customAttributes is told beside saml.attributes, and in ID tokens.
func customAttributes() Setting {
	return Setting{Key: "custom_attributes", Label: "Custom attributes", Kind: KindJSON, Default: "none",
		Help: "JSON array of {name, source}: attributes of your own making, at most 128.",
		get: func(a *App) string {
			if len(a.Definition.CustomAttributes) == 0 {
				return ""
			}
			return formatJSON(a.Definition.CustomAttributes)
		},
		set: func(a *App, v string) error {
			parsed, err := parseCustomAttributes(v)
			if err == nil {
				a.Definition.CustomAttributes = parsed
			}
			return err
		}}
}

func setName(a *App, v string) error {
	v = strings.TrimSpace(v)
	if v == "" && a.Definition.SAML != nil {
		v = clip(a.Definition.SAML.Metadata.Title(), maxName)
	}
	if v == "" || utf8.RuneCountInString(v) > maxName || !printable(v) {
		return errors.New("must be one line of 1 to 100 characters")
	}
	if strings.ContainsFunc(v, Unseen) {
		return errors.New(unseenText)
	}
	a.Definition.Name = v
	return nil
}

// local finds the SAML settings of an app; lookup has made sure that they exist.
func local(a *App) *SAMLSettings { return &a.Definition.SAML.Settings }

func samlSettings() []Setting {
	return []Setting{
		choice("saml.defaults", "Starting point", "Bundle of defaults: what the keys below mean while they are unset.",
			[]string{DefaultsSaaS, DefaultsSAML2Int, DefaultsCustom}, func(a *App) *string { return &local(a).Defaults }),
		choice("saml.sign", "Sign", "What carries our signature. Some apps demand the one, some the other.",
			[]string{SignBoth, SignAssertion, SignResponse}, func(a *App) *string { return &local(a).Sign }).
			or(func(a *App) string { return a.Definition.SAML.sign() }),
		choice("saml.signature_algorithm", "Signature algorithm", "SHA-1 is broken: only for an app that knows no other.",
			[]string{"rsa-sha256", "rsa-sha384", "rsa-sha512", "rsa-pss-sha256", "ecdsa-sha256", "ecdsa-sha384", "ecdsa-sha512", AlgorithmSHA1},
			func(a *App) *string { return &local(a).SignatureAlgorithm }),
		signingKey(),
		flag("saml.require_signed_requests", "Require signed requests", "Refuse a sign-on request without a good signature.",
			"as the metadata says", func(a *App) **bool { return &local(a).RequireSignedRequests }).
			or(func(a *App) string { return strconv.FormatBool(a.Definition.SAML.RequireSigned()) }),
		choice("saml.encrypt", "Encrypt", "Whether the app alone can read an answer.",
			[]string{EncryptAuto, EncryptAlways, EncryptNever}, func(a *App) *string { return &local(a).Encrypt }).
			or(func(a *App) string { return a.Definition.SAML.EncryptMode() }),
		choice("saml.encrypt_attributes", "Encrypt attributes", "Encrypt each attribute by itself too, for an app that hands answers on.",
			[]string{"off", "on"}, func(a *App) *string { return &local(a).EncryptAttributes }),
		choice("saml.encrypt_logout", "Encrypt names at sign-out", "Encrypt the name in our logout requests to the app's key. Many apps that read encrypted answers do not read this.",
			[]string{"off", "on"}, func(a *App) *string { return &local(a).EncryptLogout }),
		choice("saml.encryption_algorithm", "Encryption algorithm", "Unset: what the metadata declares.",
			[]string{"aes256-gcm", "aes128-gcm", "aes256-cbc", "aes128-cbc"},
			func(a *App) *string { return &local(a).EncryptionAlgorithm }),
		choice("saml.key_transport", "Key transport", "How the content key is wrapped. Unset: what the metadata declares.",
			[]string{"rsa-oaep-mgf1p", "rsa-oaep"}, func(a *App) *string { return &local(a).KeyTransport }),
		choice("saml.nameid_format", "NameID format", "Unset: as the request or the metadata asks.",
			[]string{"emailAddress", "transient", "unspecified", "persistent", NameIDNone},
			func(a *App) *string { return &local(a).NameIDFormat }).
			or(func(a *App) string { return shortNameIDFormat(a.Definition.SAML.NameIDFormat()) }),
		nameIDSource(),
		attributes(),
		choice("saml.release", "Release", "All of these, or only those that the metadata requests, or requires.",
			[]string{ReleaseAll, ReleaseRequested, ReleaseRequired}, func(a *App) *string { return &local(a).Release }),
		choice("saml.missing_attributes", "Missing attributes", "Whether a person who lacks an attribute that the metadata requires gets in without it, or is refused.",
			[]string{MissingRelease, MissingRefuse}, func(a *App) *string { return &local(a).MissingAttributes }),
		choice("saml.empty_values", "Empty values", "Leave out what an expression gives as an empty text or as null, or send it as an empty or as a nil value.",
			[]string{EmptyOmit, EmptySend}, func(a *App) *string { return &local(a).EmptyValues }),
	}
}

// samlNameSettings are kept with the policy: they join what apps know of people, which is not the developer's to decide.
func samlNameSettings() []Setting {
	return []Setting{
		text("saml.affiliation", "Affiliation", "Entity id of a group of apps that may know people by the same persistent names, when they ask for that; or the group's own metadata, which must list the app.",
			func(a *App) *string { return &a.Policy.Affiliation }),
		list("saml.may_map_to", "May map names to", "Ids or entity ids of apps whose persistent names of people this app may ask for, encrypted to them.",
			func(a *App) *[]string { return &a.Policy.MayMapTo }),
	}
}

func samlAnswerSettings() []Setting {
	return []Setting{
		choice("saml.slo", "Single logout", "Whether the app is told when a person signs out.", []string{"auto", "off"},
			func(a *App) *string { return &local(a).SLO }),
		choice("saml.ecp", "ECP", "Sign-on of clients that are not browsers.", []string{"off", "on"},
			func(a *App) *string { return &local(a).ECP }),
		flag("saml.allow_idp_initiated", "Start from the portal", "Open the app with an answer it did not ask for.", "true",
			func(a *App) **bool { return &local(a).AllowIDPInitiated }),
		text("saml.default_relay_state", "Landing page", "RelayState of a start from the portal.",
			func(a *App) *string { return &local(a).DefaultRelayState }),
		list("saml.allowed_relay_states", "Allowed landing pages", "Prefixes that a launch link may ask for.",
			func(a *App) *[]string { return &local(a).AllowedRelayStates }),
		choice("saml.relay_state_limit", "RelayState limit", "The standard's 80 bytes, or the 1,024 that real apps need.",
			[]string{"lenient", "80"}, func(a *App) *string { return &local(a).RelayStateLimit }),
		choice("saml.denied_answer", "When refused", "Tell the app (a SAML status) or show a page here.",
			[]string{DeniedToSP, DeniedPage}, func(a *App) *string { return &local(a).DeniedAnswer }),
		choice("saml.authn_context_leniency", "Stronger sign-in", "Whether a stronger sign-in satisfies an exact demand.",
			[]string{LenientStronger, LenientExact}, func(a *App) *string { return &local(a).AuthnContextLeniency }).
			or(func(a *App) string { return a.Definition.SAML.Leniency() }),
		span("saml.assertion_lifetime", "Assertion lifetime", "How long the app may accept an answer.", "5m",
			30*time.Second, 24*time.Hour, func(a *App) *time.Duration { return &local(a).AssertionLifetime }),
		span("saml.session_lifetime", "Session lifetime", "The SessionNotOnOrAfter that the app is told.", "none",
			time.Minute, 365*24*time.Hour, func(a *App) *time.Duration { return &local(a).SessionLifetime }),
		oneTimeUse(),
		choice("saml.authenticating_authority", "Name the other identity provider", "Tell the app where people signed in, when that was not here.",
			[]string{"on", "off"}, func(a *App) *string { return &local(a).AuthenticatingAuthority }),
		choice("saml.send_consent", "Tell about consent", "Say in the answer whether the person agreed to what the app is told.",
			[]string{"off", "on"}, func(a *App) *string { return &local(a).SendConsent }),
		choice("saml.metadata_refresh", "Newer metadata", "When there is newer metadata where this one came from: wait for a yes, take it, or do not look.",
			[]string{RefreshReview, RefreshAutomatic, RefreshOff}, func(a *App) *string { return &local(a).MetadataRefresh }),
	}
}

// or gives the value that holds while the setting is unset, where that depends on the app.
func (s Setting) or(fallback func(*App) string) Setting {
	s.fallback = fallback
	return s
}

func signingKey() Setting {
	s := text("saml.signing_key", "Signing key", "The active one, or the id of a key (`gatehouse key list`).",
		func(a *App) *string { return &local(a).SigningKey })
	s.Default = "active"
	set := s.set
	s.set = func(a *App, v string) error {
		if v == "active" {
			v = ""
		}
		if strings.ContainsAny(v, " ,") {
			return errors.New("must be active or the id of one key")
		}
		return set(a, v)
	}
	return s
}

func nameIDSource() Setting {
	return Setting{Key: "saml.nameid_source", Label: "NameID source", Kind: KindText,
		Help:    "opaque, email, username or attribute:NAME. Unset: what suits the format.",
		Default: "opaque for persistent, email for emailAddress, username for unspecified",
		get:     func(a *App) string { return local(a).NameIDSource },
		set: func(a *App, v string) error {
			name, custom := strings.CutPrefix(v, "attribute:")
			switch {
			case v == "", v == SourceOpaque, v == SourceEmail, v == SourceUsername:
			case custom && name != "" && len(name) <= maxItem && printable(name) && !strings.Contains(name, " "):
			default:
				return fmt.Errorf("%q is not allowed; choose opaque, email, username or attribute:NAME", v)
			}
			local(a).NameIDSource = v
			return nil
		}}
}

func attributes() Setting {
	return Setting{Key: "saml.attributes", Label: "Attributes", Kind: KindJSON,
		Help:    "JSON array of {name, format, friendly_name, source}; [] releases nothing.",
		Default: formatAttributes(defaultAttributes()),
		get: func(a *App) string {
			if local(a).Attributes == nil {
				return ""
			}
			return formatAttributes(local(a).Attributes)
		},
		set: func(a *App, v string) error {
			if v == "" {
				local(a).Attributes = nil
				return nil
			}
			parsed, err := parseAttributes(v)
			if err != nil {
				return err
			}
			local(a).Attributes = parsed
			return nil
		}}
}

func oneTimeUse() Setting {
	return Setting{Key: "saml.one_time_use", Label: "One-time use", Help: "Tell the app not to keep the assertion.",
		Kind: KindBool, Default: "false",
		get: func(a *App) string {
			if local(a).OneTimeUse {
				return "true"
			}
			return ""
		},
		set: func(a *App, v string) error {
			if v == "" {
				local(a).OneTimeUse = false
				return nil
			}
			on, err := parseBool(v)
			if err == nil {
				local(a).OneTimeUse = on
			}
			return err
		}}
}
