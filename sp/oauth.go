package sp

import (
	"cmp"
	"encoding/json"
	"net/url"
	"slices"
	"time"
)

// OAuth is what a client registered (RFC 7591, OpenID Connect Dynamic Client Registration 1.0): the `oauth.*` keys of the design's
// app key table that are the developer's. A zero value means the documented default.
type OAuth struct {
	RedirectURIs           []string        `json:"redirect_uris,omitempty"`
	GrantTypes             []string        `json:"grant_types,omitempty"`
	ResponseTypes          []string        `json:"response_types,omitempty"`
	Scopes                 []string        `json:"scopes,omitempty"`
	AuthMethod             string          `json:"token_endpoint_auth_method,omitempty"`
	ApplicationType        string          `json:"application_type,omitempty"`
	JWKS                   json.RawMessage `json:"jwks,omitempty"`
	JWKSURI                string          `json:"jwks_uri,omitempty"`
	PostLogoutRedirectURIs []string        `json:"post_logout_redirect_uris,omitempty"`
	BackChannelLogoutURI   string          `json:"backchannel_logout_uri,omitempty"`
	FrontChannelLogoutURI  string          `json:"frontchannel_logout_uri,omitempty"`
	SubjectType            string          `json:"subject_type,omitempty"`
	SectorURI              string          `json:"sector_identifier_uri,omitempty"` // of clients that registered themselves: what is there was checked
	InitiateLoginURI       string          `json:"initiate_login_uri,omitempty"`
	IDTokenAlgorithm       string          `json:"id_token_signed_response_alg,omitempty"`
	UserInfoAlgorithm      string          `json:"userinfo_signed_response_alg,omitempty"`
	RequirePKCE            *bool           `json:"require_pkce,omitempty"`                               // nil: true
	RequirePAR             *bool           `json:"require_pushed_authorization_requests,omitempty"`      // nil: false
	RequireDPoP            *bool           `json:"dpop_bound_access_tokens,omitempty"`                   // nil: false
	BindCertificates       *bool           `json:"tls_client_certificate_bound_access_tokens,omitempty"` // nil: false
	AccessTokenFormat      string          `json:"access_token_format,omitempty"`
	AccessTokenLifetime    time.Duration   `json:"access_token_lifetime,omitempty"` // 0: 10 minutes
	IDTokenLifetime        time.Duration   `json:"id_token_lifetime,omitempty"`     // 0: 10 minutes
	EndSession             string          `json:"-"`                               // of no app: of a provider that people came from, where the browser signs out there
	TLSSubject
}

// Grant types (RFC 6749, 7523, 8628, 8693).
const (
	GrantCode              = "authorization_code"
	GrantRefresh           = "refresh_token"
	GrantClientCredentials = "client_credentials"
	GrantJWTBearer         = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	GrantDevice            = "urn:ietf:params:oauth:grant-type:device_code"
	GrantPassword          = "password" // legacy: where the organisation allows it
	GrantTokenExchange     = "urn:ietf:params:oauth:grant-type:token-exchange"
)

// Ways of client authentication (RFC 7591, section 2; RFC 8705).
const (
	AuthNone          = "none"
	AuthSecretBasic   = "client_secret_basic"
	AuthSecretPost    = "client_secret_post"
	AuthPrivateKeyJWT = "private_key_jwt"
	AuthTLS           = "tls_client_auth"
	AuthSelfSignedTLS = "self_signed_tls_client_auth"
)

// Values of the other `oauth.*` keys that other packages compare with.
const (
	ResponseCode    = "code"
	TypeWeb         = "web"
	TypeNative      = "native"
	SubjectPublic   = "public"
	SubjectPairwise = "pairwise"
	TokenOpaque     = "opaque"
	TokenJWT        = "jwt"
	AlgorithmRS256  = "RS256"
	AlgorithmES256  = "ES256"
	AlgorithmNone   = "none"
	IntrospectOwn   = "own"
	IntrospectChild = "children"
	IntrospectAll   = "all"
)

// Method is how the client authenticates: a secret in the header unless it says otherwise.
func (o *OAuth) Method() string { return cmp.Or(o.AuthMethod, AuthSecretBasic) }

// Public tells whether the client cannot keep a secret, so that anybody can pretend to be it.
func (o *OAuth) Public() bool { return o.Method() == AuthNone }

// LacksKeys tells whether the client may act for people by assertions, and has no keys that could have signed one (RFC 7523).
func (o *OAuth) LacksKeys() bool {
	return o.Allows(GrantJWTBearer) && !o.hasKeys()
}

func (o *OAuth) hasKeys() bool {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	return o.JWKSURI != "" || json.Unmarshal(o.JWKS, &set) == nil && len(set.Keys) > 0
}

// HasSecret tells whether the client authenticates by a secret.
func (o *OAuth) HasSecret() bool {
	return o.Method() == AuthSecretBasic || o.Method() == AuthSecretPost
}

// ShowsCertificate tells whether the client authenticates by a client certificate (RFC 8705, section 2).
func (o *OAuth) ShowsCertificate() bool {
	return o.Method() == AuthTLS || o.Method() == AuthSelfSignedTLS
}

// BindsCertificates tells whether every token of the client must be bound to a client certificate (RFC 8705, 3.4).
func (o *OAuth) BindsCertificates() bool { return o.BindCertificates != nil && *o.BindCertificates }

// Grants lists what the client may ask tokens by: a code and its refresh unless it says otherwise.
func (o *OAuth) Grants() []string {
	if o.GrantTypes == nil {
		return []string{GrantCode, GrantRefresh}
	}
	return o.GrantTypes
}

// Allows tells whether the client may use a grant type.
func (o *OAuth) Allows(grantType string) bool { return slices.Contains(o.Grants(), grantType) }

// Opens tells whether a person can enter the app with a browser. Others get tokens by themselves, for a device, or of another's token.
func (a *App) Opens() bool {
	return a.Definition.OAuth == nil || a.Definition.SAML != nil || a.Definition.OAuth.Allows(GrantCode)
}

// Unattended is the first of some grant types that gets tokens for people whom Gatehouse does not ask, and that the client may not use
// by now; empty: there is none. Whoever gives a client one of these answers for everybody whom its policy permits.
func (o *OAuth) Unattended(grantTypes []string) string {
	for _, one := range grantTypes {
		if (one == GrantJWTBearer || one == GrantPassword) && !o.Allows(one) {
			return one
		}
	}
	return ""
}

// Responds tells whether the client may ask for a response type.
func (o *OAuth) Responds(responseType string) bool {
	if o.ResponseTypes == nil {
		return responseType == ResponseCode
	}
	return slices.Contains(o.ResponseTypes, responseType)
}

// NeedsPKCE tells whether a code must be bound to a verifier (RFC 7636): always for public clients.
func (o *OAuth) NeedsPKCE() bool {
	return o.Public() || o.RequirePKCE == nil || *o.RequirePKCE
}

// NeedsPAR tells whether the client must push its authorization requests (RFC 9126, section 6).
func (o *OAuth) NeedsPAR() bool { return o.RequirePAR != nil && *o.RequirePAR }

// NeedsDPoP tells whether every token of the client must be bound to a key (RFC 9449, section 5.2).
func (o *OAuth) NeedsDPoP() bool { return o.RequireDPoP != nil && *o.RequireDPoP }

// Subject is SubjectPublic or SubjectPairwise (OpenID Connect Core 1.0, section 8).
func (o *OAuth) Subject() string { return cmp.Or(o.SubjectType, SubjectPublic) }

// Sector is what pairwise subjects are made for: the host of the sector_identifier_uri, else the one host of the redirect URIs (OpenID
// Connect Core 1.0, 8.1). Empty is a sector of the client's own: a person's machine, where native apps get their answers, is nobody's
// host, or all of them would know a person by one name. False: there are several.
func (o *OAuth) Sector() (sector string, one bool) {
	if u, err := url.Parse(o.SectorURI); err == nil && u.Host != "" {
		return u.Host, true
	}
	for i, uri := range o.RedirectURIs {
		u, err := url.Parse(uri)
		if err != nil {
			return "", false
		}
		host := u.Host
		if Loopback(u.Hostname()) {
			host = ""
		}
		if i > 0 && host != sector {
			return "", false
		}
		sector = host
	}
	return sector, true
}

// SigningAlgorithm is AlgorithmRS256 or AlgorithmES256: of ID tokens, and of access tokens that are JWTs.
func (o *OAuth) SigningAlgorithm() string { return cmp.Or(o.IDTokenAlgorithm, AlgorithmRS256) }

// SignsUserInfo tells whether userinfo comes as a JWT, signed by UserInfoAlgorithm (OpenID Connect Core 1.0, 5.3.2).
func (o *OAuth) SignsUserInfo() bool {
	return o.UserInfoAlgorithm != "" && o.UserInfoAlgorithm != AlgorithmNone
}

// JWTAccess tells whether access tokens are JWTs (RFC 9068), which a gateway verifies by itself.
func (o *OAuth) JWTAccess() bool { return o.AccessTokenFormat == TokenJWT }

// defaultLifetime is that of access tokens and of ID tokens.
const defaultLifetime = 10 * time.Minute

// AccessLifetime is how long an access token is good: 10 minutes unless set.
func (o *OAuth) AccessLifetime() time.Duration { return cmp.Or(o.AccessTokenLifetime, defaultLifetime) }

// IDLifetime is how long the client may take an ID token for fresh: 10 minutes unless set.
func (o *OAuth) IDLifetime() time.Duration { return cmp.Or(o.IDTokenLifetime, defaultLifetime) }

// webOrigins are the origins of pages that may call the token endpoint from a script: those of a public client's redirect URIs.
func (a *App) webOrigins() []string {
	o := a.Definition.OAuth
	if o == nil || !o.Public() || a.State != Active {
		return nil
	}
	var origins []string
	for _, one := range o.RedirectURIs {
		if u, err := url.Parse(one); err == nil && (u.Scheme == "https" || u.Scheme == "http") && !slices.Contains(origins, u.Scheme+"://"+u.Host) {
			origins = append(origins, u.Scheme+"://"+u.Host)
		}
	}
	return origins
}

// parents are the index values under which the clients of a gateway stand.
func (a *App) parents() []string {
	if a.State == Removed || a.Parent == "" {
		return nil
	}
	return []string{a.Parent}
}

// waiting are the index values of a client that registered under none and that no administrator ever let in: all of those together,
// and those of its network.
func (a *App) waiting() []string {
	if a.State != Pending || a.Parent != OpenParent || !a.Approved.IsZero() {
		return nil
	}
	return []string{OpenParent, a.Network}
}
