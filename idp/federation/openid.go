package federation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/idp/outbound"
	"gatehouse/idp/session"
	"gatehouse/sp"
)

// ProtocolOpenID is the protocol of upstreams that are OpenID providers, under the name that sign-out knows it by.
const ProtocolOpenID = "oauth"

// AMR is before the methods of an ID token's amr where they stand among classes.
const AMR = "amr:"

// OpenID is an upstream that is an OpenID provider, and as which client it knows us.
type OpenID struct {
	Issuer   string     `json:"issuer"`
	ClientID string     `json:"client_id"`
	Secret   []byte     `json:"secret,omitempty"` // sealed
	Given    time.Time  `json:"given,omitzero"`   // when we got that secret
	Auth     string     `json:"auth"`             // how we prove ourselves: one of sp's names of token_endpoint_auth_method
	Scopes   []string   `json:"scopes"`           // asked for beside openid
	Push     bool       `json:"push,omitempty"`   // requests are pushed (RFC 9126), also where the provider does not demand it of everybody
	Found    Discovered `json:"found"`
}

// Discovered is what is used of a provider's own description (OpenID Connect Discovery 1.0, section 3).
type Discovered struct {
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	UserInfo      string   `json:"userinfo_endpoint,omitempty"`
	JWKSURI       string   `json:"jwks_uri"`
	EndSession    string   `json:"end_session_endpoint,omitempty"`
	Push          string   `json:"pushed_authorization_request_endpoint,omitempty"`
	DemandsPush   bool     `json:"require_pushed_authorization_requests,omitempty"`
	Algorithms    []string `json:"id_token_signing_alg_values_supported,omitempty"`
	InfoSigned    []string `json:"userinfo_signing_alg_values_supported,omitempty"` // none: it tells claims in plain JSON
	AuthMethods   []string `json:"token_endpoint_auth_methods_supported,omitempty"`
	NamesItself   bool     `json:"authorization_response_iss_parameter_supported,omitempty"` // RFC 9207
	TellsLogout   bool     `json:"backchannel_logout_supported,omitempty"`
}

// maxDiscovery bounds a provider's description, in bytes.
const maxDiscovery = 256 << 10

// SealContext names the secret of an upstream when it is sealed.
func (u *Upstream) SealContext() string { return "upstream:" + u.Name }

// NewOpenID is a provider that is not discovered yet. The issuer is an address without query and fragment.
func NewOpenID(issuer string) (*OpenID, error) {
	if err := checkURL(issuer); err != nil || strings.ContainsAny(issuer, "?#") {
		return nil, &sp.SettingError{Key: "issuer", Reason: "must be an address like https://login.example.org, as the provider calls itself"}
	}
	return &OpenID{Issuer: issuer, Auth: sp.AuthSecretBasic, Scopes: []string{"profile", "email"}}, nil
}

// DiscoveryURL is where an issuer describes itself.
func DiscoveryURL(issuer string) string {
	return strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
}

// FetchOpenID gets what a provider says of itself now. Every error is worded.
func (k *Keeper) FetchOpenID(ctx context.Context, provider *OpenID, look Looked) (Fetched, error) {
	if strings.TrimSuffix(provider.Issuer, "/") == k.BaseURL {
		return Fetched{}, &Error{Code: CodeOtherEntity, Text: "This is Gatehouse itself: give the issuer of another provider."}
	}
	var body bytes.Buffer
	look.URL = DiscoveryURL(provider.Issuer)
	got, err := k.Fetch.Get(ctx, outbound.Ask{URL: look.URL, ETag: look.ETag, LastModified: look.LastModified, Accept: "application/json", Most: maxDiscovery, Words: outbound.Words{Given: "the issuer"}}, &body)
	if err != nil {
		return Fetched{}, typed(err)
	}
	found := Fetched{OpenID: new(*provider), Look: look, Same: got.NotModified}
	found.Look.Tried = k.Now()
	if got.NotModified {
		return found, nil
	}
	if found.OpenID.Found, err = parseDiscovery(provider.Issuer, body.Bytes()); err != nil {
		return Fetched{}, err
	}
	found.Look.ETag, found.Look.LastModified = got.ETag, got.LastModified
	found.Look.fetched(k.Now(), longestPeriod)
	return found, nil
}

func parseDiscovery(issuer string, text []byte) (Discovered, error) {
	var document struct {
		Issuer string `json:"issuer"`
		Discovered
		Types []string `json:"response_types_supported"`
	}
	d := &document.Discovered
	if err := json.Unmarshal(text, &document); err != nil {
		return *d, &Error{Code: CodeMetadata, Text: "The address does not hold the JSON by which an OpenID provider describes itself: check the issuer.", Err: err}
	}
	if document.Issuer != issuer { // letter by letter (section 4.3)
		return *d, &Error{Code: CodeOtherEntity, Text: "The provider there calls itself " + clip(document.Issuer) + ", not " + clip(issuer) + ": give the issuer exactly as it does, slashes too."}
	}
	if len(document.Types) > 0 && !slices.Contains(document.Types, "code") {
		return *d, &Error{Code: CodeMetadata, Text: "The provider does not offer the authorization code flow (response_types_supported): switch it on there."}
	}
	for _, endpoint := range []struct{ name, address string }{
		{"authorization_endpoint", d.Authorization}, {"token_endpoint", d.Token}, {"jwks_uri", d.JWKSURI}, {"userinfo_endpoint", d.UserInfo}, {"end_session_endpoint", d.EndSession},
		{"pushed_authorization_request_endpoint", d.Push},
	} {
		optional := slices.Contains([]string{"userinfo_endpoint", "end_session_endpoint", "pushed_authorization_request_endpoint"}, endpoint.name)
		if endpoint.address == "" && optional {
			continue
		}
		if err := checkEndpoint(issuer, endpoint.address); err != nil {
			return *d, &Error{Code: CodeMetadata, Text: "The provider's " + endpoint.name + " " + err.Error() + ".", Err: err}
		}
	}
	if d.DemandsPush && d.Push == "" {
		return *d, &Error{Code: CodeMetadata, Text: "The provider demands pushed requests, but names no pushed_authorization_request_endpoint."}
	}
	return *d, nil
}

// checkEndpoint: nothing less than the issuer's own protection, and nothing that a browser would run.
func checkEndpoint(issuer, address string) error {
	u, err := url.Parse(address)
	plain := strings.HasPrefix(issuer, "http://")
	if err != nil || u.Scheme != "https" && !(plain && u.Scheme == "http") || u.Hostname() == "" || u.User != nil || u.Fragment != "" || len(address) > 1024 {
		return errors.New("must be an https address without user and fragment")
	}
	return nil
}

// openIDParty is the provider as sign-out sees it: the browser is led to its end_session_endpoint.
func (u *Upstream) openIDParty() *sp.App {
	o := u.OpenID
	return &sp.App{ID: session.UpstreamID(o.Issuer), State: sp.Active, Credentials: sp.Credentials{ClientID: o.ClientID},
		Definition: sp.Definition{Name: u.Title(), OAuth: &sp.OAuth{EndSession: o.Found.EndSession}}}
}

// setting is a value of the settings that only OpenID providers have.
func (o *OpenID) setting(key string) string {
	if o == nil {
		return ""
	}
	switch key {
	case "client_id":
		return o.ClientID
	case "scopes":
		return strings.Join(o.Scopes, ",")
	case "token_endpoint_auth_method":
		return o.Auth
	case "require_pushed_authorization_requests":
		return strconv.FormatBool(o.Push)
	}
	return ""
}

func (o *OpenID) set(key, value string) (err error) {
	if value == sp.Undo {
		value = map[string]string{"scopes": "profile,email", "token_endpoint_auth_method": sp.AuthSecretBasic, "require_pushed_authorization_requests": "false"}[key]
	}
	switch key {
	case "client_id":
		o.ClientID, err = value, shortText(value, 256)
	case "scopes":
		o.Scopes, err = parseScopes(value)
	case "token_endpoint_auth_method":
		o.Auth, err = value, oneOf(value, sp.AuthSecretBasic, sp.AuthSecretPost, sp.AuthPrivateKeyJWT)
	case "require_pushed_authorization_requests":
		if o.Push, err = value == "true", oneOf(value, "false", "true"); o.Push && o.Found.Push == "" {
			err = errors.New("must be false: the provider names no pushed_authorization_request_endpoint")
		}
	}
	return err
}

func parseScopes(value string) ([]string, error) {
	list := strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })
	list = slices.DeleteFunc(list, func(scope string) bool { return scope == "openid" })
	bad := func(scope string) bool {
		return len(scope) > 200 || strings.ContainsFunc(scope, func(r rune) bool { return r < '!' || r > '~' || r == '"' || r == '\\' }) // RFC 6749, 3.3
	}
	if len(list) > 20 || slices.ContainsFunc(list, bad) {
		return nil, errors.New("must be a list of at most 20 scopes, such as profile,email")
	}
	return list, nil
}

// complete tells what is missing for a sign-in there; nil for one that speaks SAML.
func (o *OpenID) complete() error {
	switch {
	case o == nil:
		return nil
	case o.ClientID == "":
		return &sp.SettingError{Key: "client_id", Reason: "must be the name by which the provider knows Gatehouse: register it there first"}
	case len(o.Secret) == 0 && o.Auth != sp.AuthPrivateKeyJWT:
		return &sp.SettingError{Key: "client_secret", Reason: "must be the secret that the provider gave, unless token_endpoint_auth_method is " + sp.AuthPrivateKeyJWT}
	}
	return nil
}

// Differs names what is not the same in another description.
func (d *Discovered) Differs(other *Discovered) []string {
	var changed []string
	for _, one := range []struct{ name, before, after string }{
		{"authorization_endpoint", d.Authorization, other.Authorization}, {"token_endpoint", d.Token, other.Token}, {"jwks_uri", d.JWKSURI, other.JWKSURI},
		{"userinfo_endpoint", d.UserInfo, other.UserInfo}, {"end_session_endpoint", d.EndSession, other.EndSession},
		{"pushed_authorization_request_endpoint", d.Push, other.Push},
		{"algorithms", strings.Join(d.Algorithms, " "), strings.Join(other.Algorithms, " ")},
	} {
		if one.before != one.after {
			changed = append(changed, one.name)
		}
	}
	return changed
}
