package sp

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Registration is client metadata as clients write it (RFC 7591, section 2; OpenID Connect Dynamic Client Registration 1.0, section
// 2). Of a client that registers itself, what is not here is ignored.
type Registration struct {
	ClientName             string          `json:"client_name,omitempty"`
	ClientURI              string          `json:"client_uri,omitempty"`
	LogoURI                string          `json:"logo_uri,omitempty"`
	PolicyURI              string          `json:"policy_uri,omitempty"`
	TermsURI               string          `json:"tos_uri,omitempty"`
	Contacts               []string        `json:"contacts,omitempty"`
	RedirectURIs           []string        `json:"redirect_uris,omitempty"`
	GrantTypes             []string        `json:"grant_types,omitempty"`
	ResponseTypes          []string        `json:"response_types,omitempty"`
	Scope                  string          `json:"scope,omitempty"`
	AuthMethod             string          `json:"token_endpoint_auth_method,omitempty"`
	ApplicationType        string          `json:"application_type,omitempty"`
	JWKS                   json.RawMessage `json:"jwks,omitempty"`
	JWKSURI                string          `json:"jwks_uri,omitempty"`
	PostLogoutRedirectURIs []string        `json:"post_logout_redirect_uris,omitempty"`
	BackChannelLogoutURI   string          `json:"backchannel_logout_uri,omitempty"`
	FrontChannelLogoutURI  string          `json:"frontchannel_logout_uri,omitempty"`
	SubjectType            string          `json:"subject_type,omitempty"`
	SectorURI              string          `json:"sector_identifier_uri,omitempty"`
	InitiateLoginURI       string          `json:"initiate_login_uri,omitempty"`
	IDTokenAlgorithm       string          `json:"id_token_signed_response_alg,omitempty"`
	UserInfoAlgorithm      string          `json:"userinfo_signed_response_alg,omitempty"`
	RequirePAR             bool            `json:"require_pushed_authorization_requests,omitempty"`
	RequireDPoP            bool            `json:"dpop_bound_access_tokens,omitempty"`
	BindCertificates       bool            `json:"tls_client_certificate_bound_access_tokens,omitempty"`
	TLSSubject
}

// ReadRegistration reads client metadata; it says nothing about whether the values are good.
func ReadRegistration(text []byte) (*Registration, error) {
	var r Registration
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, errors.New("is not the JSON of client metadata (RFC 7591)" + Misfit(err) + ", like {\"client_name\":\"Orders\",\"redirect_uris\":[\"https://orders.example.org/cb\"]}")
	}
	return &r, nil
}

// ReadAdministered is ReadRegistration for an administrator, who is told of what would not count rather than wonder about it later.
func ReadAdministered(text []byte) (*Registration, error) {
	r, err := ReadRegistration(text)
	if err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		switch {
		case name == "client_id" || name == "client_secret":
			return nil, fmt.Errorf("has a %s, but Gatehouse chooses the client id and the secret, and shows them once the client is added: leave it out", name)
		case !isMember(name):
			return nil, fmt.Errorf("has a member %q, which Gatehouse does not know%s: correct its name, or leave it out", clip(name, 100), nearMember(name))
		}
	}
	return r, nil
}

// isMember tells whether Registration has a member of that name, as package json finds it.
func isMember(name string) bool {
	return slices.ContainsFunc(memberNames(), func(known string) bool { return strings.EqualFold(known, name) })
}

func nearMember(name string) string {
	for _, known := range memberNames() {
		if len(name) < 100 && distance(known, name) <= 3 {
			return " (did you mean " + known + "?)"
		}
	}
	return ""
}

func memberNames() []string {
	var names []string
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Registration]()) {
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// Settings are the values that the metadata names, as Apply takes them.
func (r *Registration) Settings() map[string]string {
	values := map[string]string{}
	for key, value := range map[string]string{
		"name": r.ClientName, "start_url": r.ClientURI, "logo_url": r.LogoURI, "privacy_url": r.PolicyURI, "terms_url": r.TermsURI, "contact": strings.Join(r.Contacts, ", "),
		"oauth.redirect_uris": formatList(r.RedirectURIs), "oauth.grant_types": formatList(r.GrantTypes), "oauth.response_types": formatList(r.ResponseTypes),
		"oauth.scopes": formatList(strings.Fields(r.Scope)), "oauth.token_endpoint_auth_method": r.AuthMethod, "oauth.application_type": r.ApplicationType,
		"oauth.jwks": string(r.JWKS), "oauth.jwks_uri": r.JWKSURI, "oauth.post_logout_redirect_uris": formatList(r.PostLogoutRedirectURIs),
		"oauth.backchannel_logout_uri": r.BackChannelLogoutURI, "oauth.frontchannel_logout_uri": r.FrontChannelLogoutURI, "oauth.subject_type": r.SubjectType,
		"oauth.sector_identifier_uri": r.SectorURI, "oauth.initiate_login_uri": r.InitiateLoginURI, "oauth.id_token_signed_response_alg": r.IDTokenAlgorithm,
		"oauth.userinfo_signed_response_alg": r.UserInfoAlgorithm,
		"oauth.tls_client_auth_subject_dn":   r.DN, "oauth.tls_client_auth_san_dns": r.DNS, "oauth.tls_client_auth_san_uri": r.URI,
		"oauth.tls_client_auth_san_ip": r.IP, "oauth.tls_client_auth_san_email": r.Email,
	} {
		if value != "" {
			values[key] = value
		}
	}
	if r.RequirePAR {
		values["oauth.require_pushed_authorization_requests"] = "true"
	}
	if r.RequireDPoP {
		values["oauth.dpop_bound_access_tokens"] = "true"
	}
	if r.BindCertificates {
		values["oauth.tls_client_certificate_bound_access_tokens"] = "true"
	}
	return values
}
