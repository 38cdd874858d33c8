package oauth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/idp/federation"
	"gatehouse/idp/grants"
	"gatehouse/idp/outbound"
	"gatehouse/idp/upstream"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
)

// Relying is Gatehouse as the relying party of other OpenID providers, at which people sign in. All exported fields must be set.
type Relying struct {
	*Handlers
	Desk *upstream.Desk
	Seal func(context string, plaintext []byte) []byte
	Open func(context string, sealed []byte) ([]byte, error)
	Key  []byte // of nonces and PKCE verifiers, which are computed and so not kept

	keys keptAt[keptKeys] // of the providers; apps cannot push them out
}

// The paths of an upstream. Each has its own, so that an answer of one is never taken for that of another (RFC 9700, 4.4.2.2).
const (
	callbackPath     = "/login/upstream/{upstream}/callback"
	returnPath       = "/login/upstream/{upstream}/logout"
	backchannelPath  = "/login/upstream/{upstream}/backchannel"
	frontchannelPath = "/login/upstream/{upstream}/frontchannel"
)

func at(path, upstream string) string { return strings.Replace(path, "{upstream}", upstream, 1) }

// Routes are the paths that other providers send browsers to, or post to themselves.
func (h *Relying) Routes() []web.Route {
	return []web.Route{
		{Method: http.MethodGet, Path: callbackPath, Permission: web.Public, CrossSite: true, Handle: h.Engine.Bounded(h.callback)},
		{Method: http.MethodGet, Path: returnPath, Permission: web.Public, CrossSite: true, Handle: h.Engine.Bounded(h.returned)},
		{Method: http.MethodPost, Path: backchannelPath, Permission: web.Public, CrossSite: true, MaxBody: maxLogoutBody, Errors: Refuse, Handle: h.Engine.Bounded(h.told)},
		{Method: http.MethodGet, Path: frontchannelPath, Permission: web.Public, CrossSite: true, Errors: Refuse, Handle: h.Engine.Bounded(h.framed)},
	}
}

// derived is a value of an authorization request that only we can compute from its state.
func (h *Relying) derived(what, state string) string {
	mac := hmac.New(sha256.New, h.Key)
	mac.Write([]byte(what + "\x00" + state))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// AskUpstream sends the browser to a provider with an authorization request (OpenID Connect Core 1.0, 3.1.2.1; RFC 7636). State, nonce
// and verifier belong to the inquiry, and that to the browser.
func (h *Relying) AskUpstream(w http.ResponseWriter, r *http.Request, ask *upstream.Ask) error {
	settings, err := h.organisation(r.Context())
	if err != nil {
		return err
	}
	state := sp.RandomSecret()
	ask.Inquiry.ID = grants.Hash(state)
	if err := h.Desk.Keep(r.Context(), &ask.Inquiry); err != nil {
		return err
	}
	question := h.question(ask, state, settings.SessionLimit())
	if provider := ask.Upstream.OpenID; provider.Push || provider.Found.DemandsPush {
		if question, err = h.push(r.Context(), ask.Upstream, question); err != nil {
			return h.Desk.Disbelieve(r, ask.Upstream.Name, err)
		}
	}
	web.SeeOther(w, joined(ask.Upstream.Address(), question))
	return nil
}

// push sends a request ahead, from server to server, and gives what the browser takes along instead (RFC 9126, section 2).
func (h *Relying) push(ctx context.Context, u *federation.Upstream, question url.Values) (url.Values, error) {
	call := outbound.Call{URL: u.OpenID.Found.Push, Most: maxAnswer, Words: ofProvider, Form: question}
	if err := h.prove(ctx, u, &call); err != nil {
		return nil, err
	}
	reply, err := h.Fetch.Call(ctx, call)
	if err != nil {
		return nil, err
	}
	var got struct {
		given
		URI string `json:"request_uri"`
	}
	err = readJSON(&reply, &got)
	switch {
	case got.Error != "":
		return nil, errors.New("its endpoint for pushed requests says " + got.Error + ": " + got.Description)
	case reply.Status != http.StatusCreated && reply.Status != http.StatusOK:
		return nil, errors.New("its endpoint for pushed requests answers with status " + strconv.Itoa(reply.Status))
	case err != nil:
		return nil, err
	case got.URI == "" || len(got.URI) > maxRequestURI:
		return nil, errors.New("its endpoint for pushed requests gave no request_uri of at most 1,024 bytes")
	}
	return url.Values{"client_id": {u.OpenID.ClientID}, "request_uri": {got.URI}}, nil
}

// maxRequestURI bounds the name of a pushed request, in bytes.
const maxRequestURI = 1024

// question are the parameters. By max_age a provider must say when the person signed in; a sign-in that is older than a session of
// ours may be is made anew.
func (h *Relying) question(ask *upstream.Ask, state string, most time.Duration) url.Values {
	provider, challenge := ask.Upstream.OpenID, sha256.Sum256([]byte(h.derived("verifier", state)))
	values := url.Values{
		"response_type": {sp.ResponseCode}, "client_id": {provider.ClientID}, "redirect_uri": {h.BaseURL + at(callbackPath, ask.Upstream.Name)},
		"scope": {strings.Join(append([]string{"openid"}, provider.Scopes...), " ")}, "state": {state}, "nonce": {h.derived("nonce", state)},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
		"max_age": {strconv.Itoa(int(most.Seconds()))},
	}
	switch {
	case ask.Inquiry.Passive:
		values.Set("prompt", "none")
	case ask.Inquiry.Forced:
		values.Set("prompt", "login")
		values.Set("max_age", "0")
	}
	if classes := ask.Wished(); len(classes) > 0 {
		values.Set("acr_values", strings.Join(classes, " "))
	}
	if hint := ask.Request.LoginHint; hint != "" {
		values.Set("login_hint", hint)
	}
	return values
}

// given is what a token endpoint answers (RFC 6749, 5.1 and 5.2).
type given struct {
	IDToken     string `json:"id_token"`
	Access      string `json:"access_token"`
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

// ofProvider are for what the provider itself named.
var ofProvider = outbound.Words{Given: "what `gatehouse upstream test` says of the provider"}

// maxAnswer bounds what a provider answers, in bytes.
const maxAnswer = 128 << 10

// redeem exchanges a code for tokens, and proves who we are (OpenID Connect Core 1.0, 3.1.3).
func (h *Relying) redeem(ctx context.Context, ask *redemption) (*given, error) {
	provider := ask.upstream.OpenID
	call := outbound.Call{URL: provider.Found.Token, Most: maxAnswer, Words: ofProvider, Form: url.Values{
		"grant_type": {sp.GrantCode}, "code": {ask.code}, "redirect_uri": {h.BaseURL + at(callbackPath, ask.upstream.Name)}, "code_verifier": {h.derived("verifier", ask.state)},
	}}
	if err := h.prove(ctx, ask.upstream, &call); err != nil {
		return nil, err
	}
	reply, err := h.Fetch.Call(ctx, call)
	if err != nil {
		return nil, err
	}
	var got given
	if err := readJSON(&reply, &got); err != nil && reply.Status == http.StatusOK {
		return nil, err
	}
	switch {
	case got.Error != "":
		return nil, errors.New("its token endpoint says " + got.Error + ": " + got.Description)
	case reply.Status != http.StatusOK:
		return nil, errors.New("its token endpoint answers with status " + strconv.Itoa(reply.Status))
	case got.IDToken == "":
		return nil, errors.New("its token endpoint gave no ID token")
	}
	return &got, nil
}

// prove adds to a request what shows that it is ours.
func (h *Relying) prove(ctx context.Context, u *federation.Upstream, call *outbound.Call) error {
	provider := u.OpenID
	if provider.Auth == sp.AuthPrivateKeyJWT {
		assertion, err := h.assertion(ctx, provider.ClientID, provider.Issuer)
		call.Form.Set("client_id", provider.ClientID)
		call.Form.Set("client_assertion_type", assertionType)
		call.Form.Set("client_assertion", assertion)
		return err
	}
	secret, err := h.Open(u.SealContext(), provider.Secret)
	if err != nil {
		return err
	}
	if provider.Auth == sp.AuthSecretPost {
		call.Form.Set("client_id", provider.ClientID)
		call.Form.Set("client_secret", string(secret))
		return nil
	}
	pair := url.QueryEscape(provider.ClientID) + ":" + url.QueryEscape(string(secret)) // RFC 6749, 2.3.1
	call.Authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(pair))
	return nil
}

// assertion is a JWT of ours for a provider alone (RFC 7523, section 3), by a key that our JWKS publishes.
func (h *Relying) assertion(ctx context.Context, client, issuer string) (signed string, err error) {
	now := h.Now()
	err = h.Store.View(ctx, func(tx store.Tx) error {
		key, problem, err := h.keyFor(tx, sp.AlgorithmRS256)
		if problem != nil {
			return errors.New(problem.Text)
		}
		if err != nil {
			return err
		}
		signed, err = h.sign(key, typeAssertion, map[string]any{
			"iss": client, "sub": client, "aud": issuer, "jti": sp.RandomSecret(), "iat": now.Unix(), "exp": now.Add(logoutLifetime).Unix(),
		})
		return err
	})
	return signed, err
}

// typeAssertion keeps an assertion of ours from being taken for an ID token.
const typeAssertion = "client-authentication+jwt"

// algorithmsOf are those that a provider's ID tokens may be signed by: asymmetric ones alone, and none that it does not name.
func algorithmsOf(offered []string) []string {
	ours := clientAlgorithmNames()
	if len(offered) == 0 {
		return ours
	}
	return slices.DeleteFunc(ours, func(name string) bool { return !slices.Contains(offered, name) })
}
