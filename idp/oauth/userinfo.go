package oauth

import (
	"net/http"
	"strings"

	"gatehouse/certs"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
)

// bearerChallenge is what a bearer of no good token is told (RFC 6750, 3).
const bearerChallenge = `Bearer realm="Gatehouse"`

// bearer is the access token of a request: in the header, or in the body of a form, never in the query (RFC 6750, 2).
func bearer(r *http.Request) (string, *Problem, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	inHeader := strings.EqualFold(scheme, "Bearer") && token != ""
	inBody := ""
	if r.Method == http.MethodPost && r.Header.Get("Content-Type") != "" {
		values, problem, err := form(r)
		if problem != nil || err != nil {
			return "", problem, err
		}
		inBody = values.Get("access_token")
	}
	switch {
	case inHeader && inBody != "":
		return "", refuse(codeInvalidRequest, "two_tokens", "The access token is there twice: use the header or the body."), nil
	case inHeader:
		return token, nil, nil
	case inBody != "":
		return inBody, nil, nil
	}
	p := refuse(codeInvalidToken, "no_token", "The request holds no access token.")
	p.Status, p.Challenge = http.StatusUnauthorized, bearerChallenge
	return "", p, nil
}

// badToken is what a bearer of a token that is not good is told (RFC 6750, 3).
func badToken() *Problem {
	p := refuse(codeInvalidToken, "bad_token", "The access token is not good, has expired, or was revoked.")
	p.Status, p.Challenge = http.StatusUnauthorized, `Bearer realm="Gatehouse", error="invalid_token", error_description="`+p.Text+`"`
	return p
}

// userinfo tells an app about the person whose access token it shows (OpenID Connect Core 1.0, 5.3).
func (h *Handlers) userinfo(w http.ResponseWriter, r *http.Request) error {
	token, problem, err := bearer(r)
	if err != nil {
		return err
	}
	var answer *told
	if problem == nil {
		err = h.Store.View(r.Context(), func(tx store.Tx) (err error) {
			answer, problem, err = h.about(tx, token)
			return err
		})
	}
	if err != nil {
		return err
	}
	if problem != nil {
		return h.refused(w, r, "userinfo", nil, problem)
	}
	if answer.key == nil {
		web.WriteJSON(w, http.StatusOK, answer.claims)
		return nil
	}
	signed, err := h.sign(answer.key, typeUserInfo, answer.claims)
	if err != nil {
		return err
	}
	web.NoStore(w.Header())
	w.Header().Set("Content-Type", "application/jwt")
	_, err = w.Write([]byte(signed))
	return err
}

// told is an answer of userinfo.
type told struct {
	claims map[string]any
	key    *certs.Key // nil: it is not signed
}

// seal adds what a signed answer must say (OpenID Connect Core 1.0, 5.3.2), where the client registered for one.
func (h *Handlers) seal(tx store.Tx, app *sp.App, answer *told) (*Problem, error) {
	client := app.Definition.OAuth
	if !client.SignsUserInfo() {
		return nil, nil
	}
	var problem *Problem
	var err error
	answer.key, problem, err = h.keyFor(tx, client.UserInfoAlgorithm)
	answer.claims["iss"], answer.claims["aud"] = h.BaseURL, app.Credentials.ClientID
	return problem, err
}

func (h *Handlers) about(tx store.Tx, token string) (*told, *Problem, error) {
	f, err := h.find(tx, token)
	if err != nil || f == nil || f.kind != kindAccess {
		return nil, badToken(), err
	}
	facts, err := h.judge(tx, f)
	if err != nil || facts == nil {
		return nil, badToken(), err
	}
	if !openID(f.scopes) {
		p := refuse(codeInsufficientScope, "no_openid", "The access token does not cover who the person is: ask for the scope openid.")
		p.Status, p.Challenge = http.StatusForbidden, `Bearer realm="Gatehouse", error="insufficient_scope", scope="openid"`
		return nil, p, nil
	}
	t, err := h.tell(tx, facts)
	if err != nil {
		return nil, nil, err
	}
	var names []string
	if f.grant.Claims != nil {
		names = f.grant.Claims.UserInfo
	}
	if err := t.add(f.scopes, names); err != nil {
		return nil, nil, err
	}
	answer := &told{claims: t.told}
	answer.claims["sub"] = h.subject(facts.App, facts.User.ID)
	problem, err := h.seal(tx, facts.App, answer)
	return answer, problem, err
}
