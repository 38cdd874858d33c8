package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4/jwt"

	"gatehouse/idp/federation"
	"gatehouse/idp/flow"
	"gatehouse/idp/grants"
	"gatehouse/idp/outbound"
	"gatehouse/idp/session"
	"gatehouse/idp/upstream"
)

// redemption is a code on its way to the token endpoint.
type redemption struct {
	upstream    *federation.Upstream
	code, state string
}

// callback takes the answer that a provider sent the browser back with (OpenID Connect Core 1.0, 3.1.2.5). It counts in the browser
// that asked, and once, whatever comes of it.
func (h *Relying) callback(w http.ResponseWriter, r *http.Request) error {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || once(values) != nil {
		return h.Desk.Disbelieve(r, "", errors.New("its parameters are damaged, or there twice"))
	}
	q, err := h.Desk.Waiting(w, r, grants.Hash(values.Get("state")))
	if err != nil {
		return err
	}
	u, err := h.Desk.Named(r.Context(), q.Upstream)
	if err != nil {
		return err
	}
	if err := h.Desk.Spend(r, q); err != nil {
		return err
	}
	if err := ofUpstream(u, r.PathValue("upstream"), values); err != nil {
		return h.Desk.Disbelieve(r, u.Name, err)
	}
	if code := values.Get("error"); code != "" {
		return h.Desk.Decline(w, r, q, declined(u, code, values.Get("error_description")))
	}
	result, err := h.vouched(r.Context(), &redemption{u, values.Get("code"), values.Get("state")}, q.Forced)
	if err != nil {
		return h.Desk.Disbelieve(r, u.Name, err)
	}
	return h.Desk.Finish(w, r, u, q, result)
}

// ofUpstream tells, as an error, why an answer is not that of the provider that was asked: it came to another's address, or says
// itself that it is another's (RFC 9207, 2.4).
func ofUpstream(u *federation.Upstream, path string, values url.Values) error {
	iss := values.Get("iss")
	switch {
	case u.OpenID == nil || u.Name != path:
		return errors.New("it came to the address of another upstream: " + cut(path))
	case values.Has("iss") && iss != u.OpenID.Issuer:
		return errors.New("it is from another issuer: " + cut(iss))
	case !values.Has("iss") && u.OpenID.Found.NamesItself:
		return errors.New("it does not say whose it is (iss), though the provider always does")
	case !values.Has("error") && values.Get("code") == "":
		return errors.New("it holds no code")
	}
	return nil
}

// declined is why nobody was signed in (RFC 6749, 4.1.2.1; OpenID Connect Core 1.0, 3.1.2.6).
func declined(u *federation.Upstream, code, description string) flow.Reason {
	reason := flow.Reason{
		Type: upstream.ReasonRefused, Text: u.Title() + " did not sign you in. Open the app again, or choose another way to sign in.",
		Detail: cut(code + " " + description), Facts: map[string]string{"upstream": u.Name},
	}
	if slices.Contains([]string{codeLoginRequired, codeConsentRequired, "interaction_required", "account_selection_required"}, code) {
		reason.Type = flow.ReasonNoPassive
	}
	return reason
}

// vouched exchanges a code, and says whom the provider vouches for. Every error is for the audit.
func (h *Relying) vouched(ctx context.Context, ask *redemption, forced bool) (*upstream.Result, error) {
	got, err := h.redeem(ctx, ask)
	if err != nil {
		return nil, err
	}
	u := ask.upstream
	id, told, err := h.readIDToken(ctx, u.OpenID, got)
	if err != nil {
		return nil, err
	}
	if id.Nonce != h.derived("nonce", ask.state) {
		return nil, errors.New("its ID token is the answer to another request (nonce)")
	}
	if forced && id.SignedIn == nil {
		return nil, errors.New("it does not say when the person signed in (auth_time), though it was to ask again")
	}
	if err := h.complete(ctx, u.OpenID, got.Access, told); err != nil {
		return nil, err
	}
	result := &upstream.Result{Person: personOfToken(u, id.Subject, told), Classes: id.classes(), At: id.Issued.Time()}
	if id.SignedIn != nil {
		result.At = id.SignedIn.Time()
	}
	result.Broker.Known = session.AppReached{SessionIndex: id.Session, NameID: id.Subject, Protocol: Protocol}
	if len(got.IDToken) <= maxHint {
		result.Broker.Known.Hint = h.Seal(hintContext(u), []byte(got.IDToken))
	}
	return result, nil
}

// maxHint bounds the ID token that is shown again at sign-out, in an address.
const maxHint = 4 << 10

func hintContext(u *federation.Upstream) string { return u.SealContext() + ":hint" }

// complete adds what userinfo tells beyond the ID token, which counts where both speak (OpenID Connect Core 1.0, 5.3).
func (h *Relying) complete(ctx context.Context, provider *federation.OpenID, access string, told map[string]any) error {
	if provider.Found.UserInfo == "" || access == "" {
		return nil
	}
	reply, err := h.Fetch.Call(ctx, outbound.Call{URL: provider.Found.UserInfo, Authorization: "Bearer " + access, Most: maxAnswer, Words: ofProvider})
	if err != nil {
		return err
	}
	more, err := h.readInfo(ctx, provider, &reply)
	if err != nil {
		return err
	}
	if more["sub"] != told["sub"] { // 5.3.2: it may be about somebody else
		return errors.New("its userinfo endpoint speaks of somebody else (sub)")
	}
	switch { // what is verified is the address that it was said of
	case told["email"] == nil:
		delete(told, "email_verified")
	case more["email"] != told["email"]:
		delete(more, "email_verified")
	}
	for name, value := range more {
		if _, ok := told[name]; !ok {
			told[name] = value
		}
	}
	return nil
}

// readInfo reads what userinfo tells: JSON, or a JWT where the provider says that it signs what it tells (OpenID Connect Core 1.0, 5.3.2).
// An encrypted one is not taken. The type is that of any JWT, or a Gatehouse's own.
func (h *Relying) readInfo(ctx context.Context, provider *federation.OpenID, reply *outbound.Reply) (map[string]any, error) {
	more := map[string]any{}
	kind, _, _ := mime.ParseMediaType(reply.Type)
	switch {
	case reply.Status != http.StatusOK, kind != "application/jwt" && readJSON(reply, &more) != nil:
		return nil, errors.New("its userinfo endpoint does not answer as it should")
	case kind != "application/jwt":
		return more, nil
	case len(provider.Found.InfoSigned) == 0:
		return nil, errors.New("its userinfo endpoint answers with a JWT, of which it says nothing (userinfo_signing_alg_values_supported)")
	}
	var to struct {
		Issuer   string           `json:"iss"`
		Audience jwt.Audience     `json:"aud"`
		Expires  *jwt.NumericDate `json:"exp"`
	}
	if _, err := h.believed(ctx, provider, provider.Found.InfoSigned, string(reply.Body), []string{"", "jwt", typeUserInfo}, &to, &more); err != nil {
		return nil, fmt.Errorf("its userinfo endpoint: %w", err)
	}
	switch {
	case to.Issuer != provider.Issuer || !slices.Contains(to.Audience, provider.ClientID):
		return nil, errors.New("what its userinfo endpoint signed is not from it, or not for us (iss, aud)")
	case to.Expires != nil && !h.Now().Before(to.Expires.Time().Add(providerSkew)):
		return nil, errors.New("what its userinfo endpoint signed has expired")
	}
	return more, nil
}

// personOfToken is who the claims are about. An e-mail address that the provider did not verify is none.
func personOfToken(u *federation.Upstream, subject string, told map[string]any) upstream.Person {
	letters := func(name string) string { // "ana" and "ana " may be two people there
		value, _ := told[name].(string)
		return value
	}
	text := func(name string) string { return strings.TrimSpace(letters(name)) }
	p := upstream.Person{
		Lasting: subject, Username: letters("preferred_username"), DisplayName: text("name"), GivenName: text("given_name"), Surname: text("family_name"),
	}
	if verified := told["email_verified"]; verified == true || verified == "true" {
		p.Email = text("email")
	} else {
		p.Unverified = text("email") != ""
	}
	switch {
	case u.Attribute != "" && u.Attribute != "email":
		p.Identifier, p.Unverified = letters(u.Attribute), false
	case u.Match == federation.MatchEmail || u.Attribute != "":
		p.Identifier = p.Email
	default:
		p.Identifier, p.Unverified = p.Username, false
	}
	return p
}

func readJSON(reply *outbound.Reply, into any) error {
	if kind, _, err := mime.ParseMediaType(reply.Type); err != nil || kind != "application/json" {
		return errors.New("its answer is no JSON but " + cut(reply.Type))
	}
	if err := json.Unmarshal(reply.Body, into); err != nil {
		return errors.New("its answer cannot be read as JSON")
	}
	return nil
}
