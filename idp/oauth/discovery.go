package oauth

import (
	"net/http"
	"slices"

	"gatehouse/sp"
	"gatehouse/store"
)

// metadata is what a client can find out by itself (OpenID Connect Discovery 1.0, section 3; RFC 8414, section 2).
type metadata struct {
	Issuer                string   `json:"issuer"`
	Authorization         string   `json:"authorization_endpoint"`
	Token                 string   `json:"token_endpoint"`
	UserInfo              string   `json:"userinfo_endpoint"`
	JWKS                  string   `json:"jwks_uri"`
	Introspection         string   `json:"introspection_endpoint"`
	Revocation            string   `json:"revocation_endpoint"`
	EndSession            string   `json:"end_session_endpoint"`
	Registration          string   `json:"registration_endpoint"`
	Device                string   `json:"device_authorization_endpoint"`
	PushedRequests        string   `json:"pushed_authorization_request_endpoint"`
	Scopes                []string `json:"scopes_supported"`
	ResponseTypes         []string `json:"response_types_supported"`
	ResponseModes         []string `json:"response_modes_supported"`
	GrantTypes            []string `json:"grant_types_supported"`
	Classes               []string `json:"acr_values_supported"`
	SubjectTypes          []string `json:"subject_types_supported"`
	IDTokenAlgorithms     []string `json:"id_token_signing_alg_values_supported"`
	UserInfoAlgorithms    []string `json:"userinfo_signing_alg_values_supported"`
	TokenAuthMethods      []string `json:"token_endpoint_auth_methods_supported"`
	IntrospectAuthMethods []string `json:"introspection_endpoint_auth_methods_supported"`
	RevocationAuthMethods []string `json:"revocation_endpoint_auth_methods_supported"`
	AssertionAlgorithms   []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	IntrospectAlgorithms  []string `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	RevocationAlgorithms  []string `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	ObjectAlgorithms      []string `json:"request_object_signing_alg_values_supported"`
	ProofAlgorithms       []string `json:"dpop_signing_alg_values_supported"`
	DisplayValues         []string `json:"display_values_supported"`
	ClaimTypes            []string `json:"claim_types_supported"`
	Claims                []string `json:"claims_supported"`
	ChallengeMethods      []string `json:"code_challenge_methods_supported"`
	Prompts               []string `json:"prompt_values_supported"`
	ClaimsParameter       bool     `json:"claims_parameter_supported"`
	RequestParameter      bool     `json:"request_parameter_supported"`
	RequestURIParameter   bool     `json:"request_uri_parameter_supported"`
	IssParameter          bool     `json:"authorization_response_iss_parameter_supported"`
	BackLogout            bool     `json:"backchannel_logout_supported"`
	BackLogoutSession     bool     `json:"backchannel_logout_session_supported"`
	FrontLogout           bool     `json:"frontchannel_logout_supported"`
	FrontLogoutSession    bool     `json:"frontchannel_logout_session_supported"`
	ClientDocuments       bool     `json:"client_id_metadata_document_supported"`
	BoundTokens           bool     `json:"tls_client_certificate_bound_access_tokens"`
	Aliases               *aliases `json:"mtls_endpoint_aliases,omitempty"`
}

// discovery answers both well-known addresses with the same document: what it says holds for either protocol.
func (h *Handlers) discovery(w http.ResponseWriter, r *http.Request) error {
	settings, err := h.organisation(r.Context())
	if err != nil {
		return err
	}
	m := h.metadata()
	m.ClientDocuments = settings.ClientDocuments
	m.GrantTypes = slices.DeleteFunc(m.GrantTypes, func(name string) bool { return !settings.Grants(name) })
	err = h.Store.View(r.Context(), func(tx store.Tx) error {
		m.IDTokenAlgorithms, m.Scopes = []string{sp.AlgorithmRS256}, append(sp.StandardScopes(), sp.APIScopes()...)
		keys, _, err := h.Keys.Published(tx)
		if err != nil {
			return err
		}
		for _, key := range keys {
			if algorithm := algorithmOf(key); slices.Contains(algorithms, algorithm) && !slices.Contains(m.IDTokenAlgorithms, string(algorithm)) {
				m.IDTokenAlgorithms = append(m.IDTokenAlgorithms, string(algorithm))
			}
		}
		return sp.Scopes.Each(tx, store.Page{}, func(_ string, scope *sp.Scope) error {
			if scope.Listed {
				m.Scopes = append(m.Scopes, scope.Name)
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	m.UserInfoAlgorithms = append([]string{sp.AlgorithmNone}, m.IDTokenAlgorithms...)
	return publish(w, "application/json", m)
}

func (h *Handlers) metadata() *metadata {
	proven, signed := append([]string{sp.AuthSecretBasic, sp.AuthSecretPost, sp.AuthPrivateKeyJWT}, h.MTLS.methods()...), clientAlgorithmNames()
	orNone := append(slices.Clone(proven), sp.AuthNone)
	m := &metadata{
		Issuer: h.BaseURL, Authorization: h.BaseURL + authorizePath, Token: h.BaseURL + tokenPath, UserInfo: h.BaseURL + userinfoPath,
		JWKS: h.BaseURL + jwksPath, Introspection: h.BaseURL + introspectPath, Revocation: h.BaseURL + revokePath, EndSession: h.BaseURL + logoutPath, PushedRequests: h.BaseURL + parPath,
		Registration:  h.BaseURL + registerPath,
		Device:        h.BaseURL + devicePath,
		ResponseTypes: []string{sp.ResponseCode}, ResponseModes: []string{modeQuery, modeFragment, modeFormPost},
		Classes: classes(), SubjectTypes: []string{sp.SubjectPublic, sp.SubjectPairwise},
		TokenAuthMethods: orNone, IntrospectAuthMethods: proven, RevocationAuthMethods: orNone,
		AssertionAlgorithms: signed, IntrospectAlgorithms: signed, RevocationAlgorithms: signed, ObjectAlgorithms: signed, ProofAlgorithms: signed, RequestParameter: true,
		DisplayValues: []string{"page", "popup"}, ClaimTypes: []string{"normal"}, Claims: []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "acr", "amr", "nonce", "sid"},
		ChallengeMethods: []string{"S256"}, Prompts: []string{"none", "login", "consent", "select_account"},
		ClaimsParameter: true, IssParameter: true, BackLogout: true, BackLogoutSession: true, FrontLogout: true, FrontLogoutSession: true,
		BoundTokens: h.MTLS.On, Aliases: h.MTLS.aliases(),
	}
	for _, one := range h.methods() {
		m.GrantTypes = append(m.GrantTypes, one.name)
	}
	for _, one := range standardClaims {
		m.Claims = append(m.Claims, one.name)
	}
	return m
}
