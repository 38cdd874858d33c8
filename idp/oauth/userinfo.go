package oauth

import (
	"net/http"
	"slices"
	"strings"

	"gatehouse/certs"
	"gatehouse/idp/grants"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
)

// bearerChallenge is what a bearer of no good token is told (RFC 6750, 3).
const bearerChallenge = `Bearer realm="Gatehouse"`

// dpopChallenge is the same for tokens that are bound to a key (RFC 9449, 7.1).
const dpopChallenge = `DPoP realm="Gatehouse"`

// presented is an access token that a request shows, and the key and certificate that it proves to have.
type presented struct {
	token       string
	has         possession
	certificate string
}

// presented reads the access token of a request: in the header, or in the body of a form, never in the query (RFC 6750, 2). One that
// is bound to a key comes in the header alone, with a proof (RFC 9449, 7.1).
func (h *Handlers) presented(r *http.Request) (presented, *Problem, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "DPoP") {
		shows, problem := h.proven(r, strings.TrimSpace(token))
		return shows, problem, nil
	}
	token, problem, err := bearer(r, scheme, token)
	return presented{token: token, certificate: certificateOf(r)}, problem, err
}

// proven reads a token that is shown with a proof.
func (h *Handlers) proven(r *http.Request, token string) (presented, *Problem) {
	has, problem := h.possessed(r, token)
	if problem == nil && (has.key == "" || token == "") {
		problem = badProof("dpop_missing", "A token that is shown as DPoP needs one DPoP proof.")
	}
	return presented{token, has, certificateOf(r)}, unproven(problem)
}

// unproven makes a problem, if there is one, the answer to a token without what it is bound to, and tells how it is shown (RFC 9449, 7.1).
func unproven(p *Problem) *Problem {
	if p == nil {
		return nil
	}
	p.Status, p.Challenge, p.Told = http.StatusUnauthorized, dpopChallenge, true
	p.Params = `, algs="` + strings.Join(clientAlgorithmNames(), " ") + `"`
	return p
}

func bearer(r *http.Request, scheme, token string) (string, *Problem, error) {
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
	return unauthorized(refuse(codeInvalidToken, "bad_token", "The access token is not good, has expired, or was revoked."))
}

// unauthorized makes a problem the answer to a token.
func unauthorized(p *Problem) *Problem {
	p.Status, p.Challenge, p.Told = http.StatusUnauthorized, bearerChallenge, true
	return p
}

// shown finds the access token that a request shows, and holds against it what the request proves to have: the one place where a
// bound token is kept from being a bearer token.
func (h *Handlers) shown(tx store.Tx, shows presented) (*found, *Problem, error) {
	f, err := h.find(tx, shows.token)
	if err != nil || f == nil || f.kind != kindAccess {
		return nil, badToken(), err
	}
	return f, h.turnsAway(shows, f.access), nil
}

// turnsAway refuses a token without what it is bound to (RFC 9449, 7.1; RFC 8705, 3), and one that is for somebody else (RFC 8707).
func (h *Handlers) turnsAway(shows presented, token *grants.AccessToken) *Problem {
	switch {
	case token.Key != shows.has.key:
		return unproven(refuse(codeInvalidToken, "bound_token", "The access token is bound to a key: show it as DPoP, with a proof of that key; one that is not bound as Bearer."))
	case token.Certificate != "" && token.Certificate != shows.certificate:
		problem := badToken()
		problem.Reason, problem.Text = "other_certificate", "The access token is bound to another client certificate than that of the request, or the request has none."
		return problem
	case !slices.Contains(h.audience(token.Resources), h.BaseURL):
		problem := badToken()
		problem.Reason, problem.Text = "other_audience", "The access token is for another resource than Gatehouse: ask for one without resource, or with the issuer as one of them."
		return problem
	}
	return nil
}

// userinfo tells an app about the person whose access token it shows (OpenID Connect Core 1.0, 5.3).
func (h *Handlers) userinfo(w http.ResponseWriter, r *http.Request) error {
	shows, problem, err := h.presented(r)
	if err != nil {
		return err
	}
	var answer *told
	if problem == nil {
		err = h.Store.View(r.Context(), func(tx store.Tx) (err error) {
			answer, problem, err = h.about(tx, shows)
			return err
		})
	}
	if problem == nil && err == nil && shows.has.key != "" {
		err = h.Store.Update(r.Context(), func(tx store.Tx) (err error) {
			problem, err = spend(tx, []single{shows.has.once})
			return err
		})
		problem = unproven(problem)
	}
	if err != nil {
		return err
	}
	if problem != nil {
		return h.refused(r, "userinfo", nil, problem)
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

func (h *Handlers) about(tx store.Tx, shows presented) (*told, *Problem, error) {
	f, problem, err := h.shown(tx, shows)
	if problem != nil || err != nil {
		return nil, problem, err
	}
	facts, problem, err := h.judge(tx, f)
	if problem != nil || err != nil {
		return nil, problem, err
	}
	if !openID(f.scopes) {
		p := refuse(codeInsufficientScope, "no_openid", "The access token does not cover who the person is: ask for the scope openid.")
		p.Status, p.Challenge, p.Told, p.Params = http.StatusForbidden, bearerChallenge, true, `, scope="openid"`
		if f.access.Key != "" {
			p.Challenge = dpopChallenge
		}
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
	problem, err = h.seal(tx, facts.App, answer)
	return answer, problem, err
}
