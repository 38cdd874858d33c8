package sp

import (
	"slices"

	"gatehouse/store"
)

// optionWords say in plain words what each value of a choice does, for forms. A key's words stand for lists of words too.
var optionWords = map[string]map[string]string{
	"saml.defaults": {DefaultsSaaS: "What most cloud apps expect", DefaultsSAML2Int: "The SAML2Int profile, strict", DefaultsCustom: "None: every key for itself"},
	"saml.sign":     {SignBoth: "The answer and the assertion in it", SignAssertion: "The assertion alone", SignResponse: "The answer alone"},
	"saml.signature_algorithm": {
		"rsa-sha256": "RSA with SHA-256", "rsa-sha384": "RSA with SHA-384", "rsa-sha512": "RSA with SHA-512", "rsa-pss-sha256": "RSA-PSS with SHA-256",
		"ecdsa-sha256": "ECDSA with SHA-256", "ecdsa-sha384": "ECDSA with SHA-384", "ecdsa-sha512": "ECDSA with SHA-512", AlgorithmSHA1: "RSA with SHA-1, which is broken",
	},
	"saml.encrypt":              {EncryptAuto: "When the metadata has a key for it", EncryptAlways: "Always", EncryptNever: "Never"},
	"saml.encrypt_attributes":   onOff,
	"saml.encrypt_logout":       onOff,
	"saml.encryption_algorithm": {"aes256-gcm": "AES-256 GCM", "aes128-gcm": "AES-128 GCM", "aes256-cbc": "AES-256 CBC, for old apps", "aes128-cbc": "AES-128 CBC, for old apps"},
	"saml.key_transport":        {"rsa-oaep-mgf1p": "RSA-OAEP with SHA-1 masks, as most apps read", "rsa-oaep": "RSA-OAEP with SHA-256"},
	"saml.nameid_format": {
		"emailAddress": "E-mail address", "transient": "Another one at each sign-on", "unspecified": "Unspecified", "persistent": "The same for ever, opaque", NameIDNone: "None unless asked for",
	},
	"saml.release":                  {ReleaseAll: "All of them", ReleaseRequested: "What the metadata requests", ReleaseRequired: "What the metadata requires"},
	"saml.missing_attributes":       {MissingRelease: "Gets in without it", MissingRefuse: "Is refused"},
	"saml.empty_values":             {EmptyOmit: "Leave them out", EmptySend: "Send them empty"},
	"saml.slo":                      {"auto": "When the metadata has an address for it", "off": "No"},
	"saml.ecp":                      onOff,
	"saml.relay_state_limit":        {"lenient": "1,024 bytes", "80": "80 bytes"},
	"saml.denied_answer":            {DeniedToSP: "Tell the app", DeniedPage: "Show a page here"},
	"saml.authn_context_leniency":   {LenientStronger: "Yes, stronger is fine", LenientExact: "No, exactly what was asked"},
	"saml.authenticating_authority": onOff,
	"saml.send_consent":             onOff,
	"saml.metadata_refresh":         {RefreshReview: "Wait for a yes", RefreshAutomatic: "Take it", RefreshOff: "Do not look"},

	"oauth.grant_types": {
		GrantCode: "Sign people in by a code (authorization code)", GrantRefresh: "Renew tokens (refresh token)", GrantClientCredentials: "Act by its own credentials (client credentials)",
		GrantJWTBearer: "Act for a person by a signed assertion (JWT bearer)", GrantDevice: "Sign people in on a device without a browser", GrantTokenExchange: "Exchange tokens for narrower ones",
		GrantPassword: "Take people's passwords: legacy, where the organisation allows it",
	},
	"oauth.response_types": {ResponseCode: "A code"},
	"oauth.token_endpoint_auth_method": {
		AuthSecretBasic: "A secret, in the header", AuthSecretPost: "A secret, in the body", AuthPrivateKeyJWT: "A key of its own (private_key_jwt)",
		AuthTLS: "A certificate of an authority (tls_client_auth)", AuthSelfSignedTLS: "A self-signed certificate (self_signed_tls_client_auth)", AuthNone: "Not at all: it cannot keep a secret",
	},
	"oauth.application_type":             {TypeWeb: "On a server or in a browser", TypeNative: "Installed on a phone or a computer"},
	"oauth.subject_type":                 {SubjectPublic: "The same in every app", SubjectPairwise: "Another one in each app (pairwise)"},
	"oauth.id_token_signed_response_alg": {AlgorithmRS256: "RS256 (RSA)", AlgorithmES256: "ES256 (ECDSA)"},
	"oauth.userinfo_signed_response_alg": {AlgorithmNone: "Plain JSON", AlgorithmRS256: "A JWT, signed by RS256 (RSA)", AlgorithmES256: "A JWT, signed by ES256 (ECDSA)"},
	"oauth.access_token_format":          {TokenOpaque: "Opaque: looked up here each time", TokenJWT: "A JWT: gateways verify it by themselves"},
	"oauth.introspect":                   {IntrospectOwn: "Its own", IntrospectChild: "Its own, and those of clients under it", IntrospectAll: "All of this organisation"},
	"oauth.registration_approval":        {"none": "Can be used at once", "required": "Wait for an administrator"},

	"policy.consent":         {"auto": "Where people authorise an OAuth app themselves", ConsentAlways: "Always", "never": "Never"},
	"policy.ip_relaxation":   {"enforce": "Always count", "relax_refresh": "Do not count when a token is renewed", "relax_with_mfa": "Do not count with a second factor", "relax": "Never count"},
	"policy.min_level":       {string(Low): "Any sign-in", string(Standard): "One factor, such as a password", string(High): "Two factors, or a passkey"},
	"policy.on_low_level":    {"raise": "Ask for more", OnLowBlock: "Refuse", OnLowGrace: "Ask for more, and let people put it off for a while"},
	"policy.permitted_users": {PermitAll: "Everybody", PermitPreauthorized: "Only the lists below"},
}

var onOff = map[string]string{"on": "Yes", "off": "No"}

// scopeWords say what the scopes of Gatehouse's own give an app.
var scopeWords = map[string]string{
	ScopeOpenID: "sign people in (OpenID Connect)", ScopeProfile: "their names", ScopeEmail: "their e-mail address", ScopeAddress: "their postal address", ScopePhone: "their telephone number",
	ScopeGroups: "the groups they are in", ScopeOffline: "go on while they are away (refresh tokens)",
	ScopeFull: "all that they may do", "directory.read": "read people and groups here", "directory.write": "change people and groups here (SCIM)",
	"apps.read": "read apps here", "apps.write": "change apps here", "audit.read": "read the audit here",
}

// ScopeOptions are the scopes that an app can get, those that administrators defined last, each with what it gives.
func ScopeOptions(tx store.Tx) ([]string, map[string]string, error) {
	options, words := slices.DeleteFunc(OwnScopes(), func(one string) bool { return one == ScopeRefresh }), map[string]string{}
	for _, one := range options {
		words[one] = one + ": " + scopeWords[one]
	}
	err := Scopes.Each(tx, store.Page{}, func(_ string, s *Scope) error {
		options, words[s.Name] = append(options, s.Name), s.Name+": "+s.Text
		return nil
	})
	return options, words, err
}

// inWords gives each setting the words of its options.
func inWords(list []Setting) []Setting {
	for i := range list {
		list[i].Words = optionWords[list[i].Key]
	}
	return list
}
