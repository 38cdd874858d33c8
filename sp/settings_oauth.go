package sp

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// client finds the OAuth settings of an app; lookup has made sure that they exist.
func client(a *App) *OAuth { return a.Definition.OAuth }

func oauthSettings() []Setting {
	return []Setting{
		eachOf(list("oauth.redirect_uris", "Redirect URIs", "Where answers may go; a request must name one of them, letter by letter.",
			func(a *App) *[]string { return &client(a).RedirectURIs }), isPrintable),
		several("oauth.grant_types", "Grant types", "What the app may ask tokens by.", []string{GrantCode, GrantRefresh},
			[]string{GrantCode, GrantRefresh, GrantClientCredentials, GrantJWTBearer, GrantDevice, GrantTokenExchange, GrantPassword},
			func(a *App) *[]string { return &client(a).GrantTypes }),
		several("oauth.response_types", "Response types", "What a sign-in may be answered with: a code.", []string{ResponseCode},
			[]string{ResponseCode}, func(a *App) *[]string { return &client(a).ResponseTypes }),
		scopeList("oauth.scopes", "What the app may ask for. The policy may allow less.", strings.Join(StandardScopes(), ","),
			func(a *App) *[]string { return &client(a).Scopes }),
		choice("oauth.token_endpoint_auth_method", "Client authentication", "How the app proves itself to Gatehouse.",
			[]string{AuthSecretBasic, AuthSecretPost, AuthPrivateKeyJWT, AuthTLS, AuthSelfSignedTLS, AuthNone}, func(a *App) *string { return &client(a).AuthMethod }),
		choice("oauth.application_type", "Application type", "What is installed may come back to any port of its own machine.",
			[]string{TypeWeb, TypeNative}, func(a *App) *string { return &client(a).ApplicationType }),
		keySet(),
		address("oauth.jwks_uri", "Keys address", "Where the app publishes its keys.", func(a *App) *string { return &client(a).JWKSURI }),
		eachOf(list("oauth.post_logout_redirect_uris", "After signing out", "Where a person may be sent back to once signed out.",
			func(a *App) *[]string { return &client(a).PostLogoutRedirectURIs }), isAddress),
		address("oauth.backchannel_logout_uri", "Back-channel logout", "Where the app takes logout tokens.",
			func(a *App) *string { return &client(a).BackChannelLogoutURI }),
		address("oauth.frontchannel_logout_uri", "Front-channel logout", "What signs a person out of the app in a frame.",
			func(a *App) *string { return &client(a).FrontChannelLogoutURI }),
		choice("oauth.subject_type", "Subject", "By what identifier the app knows a person.",
			[]string{SubjectPublic, SubjectPairwise}, func(a *App) *string { return &client(a).SubjectType }),
		checked("oauth.sector_identifier_uri", "Sector", "For apps of several hosts that know a person by one identifier: an https address that lists all their redirect URIs. It is read when it or a redirect URI is set.",
			func(a *App) *string { return &client(a).SectorURI }, checkSecure),
		address("oauth.initiate_login_uri", "Login start", "Where the tile leads, so that the app begins the sign-in.",
			func(a *App) *string { return &client(a).InitiateLoginURI }),
	}
}

func oauthTokenSettings() []Setting {
	return []Setting{
		choice("oauth.id_token_signed_response_alg", "Signature algorithm", "Of ID tokens, and of access tokens that are JWTs. ES256 needs an active ECDSA key.",
			[]string{AlgorithmRS256, AlgorithmES256}, func(a *App) *string { return &client(a).IDTokenAlgorithm }),
		choice("oauth.userinfo_signed_response_alg", "Userinfo signature", "In which form the app gets what it asks about a person.",
			[]string{AlgorithmNone, AlgorithmRS256, AlgorithmES256}, func(a *App) *string { return &client(a).UserInfoAlgorithm }),
		flag("oauth.require_pkce", "Require PKCE", "A code works only for whoever asked for it. Always for apps without a secret.", "true",
			func(a *App) **bool { return &client(a).RequirePKCE }),
		flag("oauth.require_pushed_authorization_requests", "Require pushed requests", "A sign-in begins with what the app itself sent ahead (PAR), never with what a browser brings.", "false",
			func(a *App) **bool { return &client(a).RequirePAR }),
		flag("oauth.dpop_bound_access_tokens", "Bound tokens", "A token works only for whoever has the app's key (DPoP). Without it, apps that send a proof get bound tokens all the same.", "false",
			func(a *App) **bool { return &client(a).RequireDPoP }),
		text("oauth.run_as", "Run as", "The person as whom the app acts by its own credentials alone (client_credentials).",
			func(a *App) *string { return &a.Policy.RunAs }),
		eachOf(list("oauth.resources", "Resources", "Addresses of the APIs that the app may ask tokens for (RFC 8707), letter by letter. Gatehouse itself always is one.",
			func(a *App) *[]string { return &a.Policy.Resources }), CheckResource),
		choice("oauth.access_token_format", "Access tokens", "A gateway that verifies a JWT by itself cannot see that it was revoked.",
			[]string{TokenOpaque, TokenJWT}, func(a *App) *string { return &client(a).AccessTokenFormat }),
		span("oauth.access_token_lifetime", "Access token lifetime", "How long an access token is good.", "10m",
			time.Minute, 24*time.Hour, func(a *App) *time.Duration { return &client(a).AccessTokenLifetime }),
		span("oauth.id_token_lifetime", "ID token lifetime", "How long the app may take an ID token for fresh.", "10m",
			time.Minute, 12*time.Hour, func(a *App) *time.Duration { return &client(a).IDTokenLifetime }),
		choice("oauth.introspect", "Introspection", "Whose tokens the app may ask about.",
			[]string{IntrospectOwn, IntrospectChild, IntrospectAll}, func(a *App) *string { return &a.Policy.Introspect }),
		choice("oauth.registration_approval", "Clients under it", "What becomes of a client that the app registers.",
			[]string{"none", "required"}, func(a *App) *string { return &a.Policy.RegistrationApproval }),
	}
}

// eachOf is a list whose every item must pass.
func eachOf(s Setting, check func(string) error) Setting {
	plain := s.set
	s.set = func(a *App, v string) error {
		items, err := parseList(v)
		for i := 0; err == nil && i < len(items); i++ {
			if err = check(items[i]); err != nil {
				err = fmt.Errorf("%q %w", clip(items[i], 200), err)
			}
		}
		if err != nil {
			return err
		}
		return plain(a, v)
	}
	return s
}

// several is a list of words out of a few; unset stands for usual.
func several(key, label, help string, usual, options []string, field func(*App) *[]string) Setting {
	s := eachOf(list(key, label, help, field), func(item string) error {
		if !slices.Contains(options, item) {
			return errors.New("is not allowed; choose " + orList(options))
		}
		return nil
	})
	s.Default, s.Options = strings.Join(usual, ","), options
	return s
}

func scopeList(key, help, def string, field func(*App) *[]string) Setting {
	s := eachOf(list(key, "Scopes", help, field), func(item string) error {
		if !isScope(item) {
			return errors.New("is no scope: use letters, digits and signs without spaces, at most 200")
		}
		return nil
	})
	s.Default = def
	return s
}

// isPrintable leaves the rest to checkClient, which knows the application type.
func isPrintable(item string) error {
	if !printable(item) {
		return errors.New("is no address")
	}
	return nil
}

// CheckResource refuses what cannot name a resource (RFC 8707, section 2): it must be an absolute URI without a fragment.
func CheckResource(item string) error {
	u, err := url.Parse(item)
	if err != nil || u.Scheme == "" || u.Host == "" && u.Opaque == "" || strings.Contains(item, "#") || len(item) > MaxLocation || !printable(item) || strings.Contains(item, " ") {
		return errors.New("is no absolute URI without a fragment, like https://orders.example.org")
	}
	return nil
}

func checkSecure(item string) error {
	if err := CheckAddress(item); err != nil || strings.HasPrefix(item, "https://") {
		return err
	}
	return errors.New("must begin with https://")
}

func isAddress(item string) error { return CheckAddress(item) }

// checkClient is what only holds between several of a client's settings.
func (a *App) checkClient() error {
	o := a.Definition.OAuth
	for _, uri := range o.RedirectURIs {
		if err := checkRedirect(uri, o.ApplicationType); err != nil {
			return &SettingError{"oauth.redirect_uris", fmt.Sprintf("%q %v", clip(uri, 200), err)}
		}
	}
	switch {
	case a.Credentials.ClientID == "":
		return errors.New("the app has no client id; add it again")
	case o.Allows(GrantCode) && len(o.RedirectURIs) == 0:
		return &SettingError{"oauth.redirect_uris", "needs an address for the authorization code to go to: name one, or leave authorization_code out of oauth.grant_types"}
	case o.Allows(GrantClientCredentials) && o.Public():
		return &SettingError{"oauth.grant_types", "client_credentials is for apps that can keep a secret: choose another oauth.token_endpoint_auth_method"}
	case o.AuthMethod == AuthPrivateKeyJWT && !o.hasKeys():
		return &SettingError{"oauth.jwks", "private_key_jwt needs the app's keys: set oauth.jwks or oauth.jwks_uri (in client metadata jwks or jwks_uri)"}
	case o.JWKS != nil && o.JWKSURI != "":
		return &SettingError{"oauth.jwks_uri", "keys come from oauth.jwks or from here: unset one of the two"}
	}
	if _, one := o.Sector(); o.Subject() == SubjectPairwise && !one {
		return &SettingError{"oauth.subject_type", "pairwise needs redirect URIs of one host, or oauth.sector_identifier_uri"}
	}
	return o.checkCertificates()
}
