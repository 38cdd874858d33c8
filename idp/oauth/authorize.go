package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/idp/flow"
	"gatehouse/idp/grants"
	"gatehouse/idp/web"
	"gatehouse/sp"
)

// asked is an authorization request that was checked: all that a waiting flow keeps of it.
type asked struct {
	Redirect  string         `json:"redirect"`
	Mode      string         `json:"mode"`
	State     string         `json:"state,omitempty"`
	HasState  bool           `json:"has_state,omitempty"`
	Scopes    []string       `json:"scopes"`
	Resources []string       `json:"resources,omitempty"`
	Texts     []string       `json:"texts"` // what the person is asked to agree to
	Claims    *grants.Claims `json:"claims,omitempty"`
	Challenge string         `json:"challenge,omitempty"`
	Nonce     string         `json:"nonce,omitempty"`
	Key       string         `json:"jkt,omitempty"`     // dpop_jkt
	Subject   string         `json:"subject,omitempty"` // the `sub` that it must be, if the request says so
	Classes   []string       `json:"classes,omitempty"` // of acr_values, those that Gatehouse knows
}

// maxAsked bounds what a waiting flow keeps of a request, in bytes: the longest state, and some more. So many of them may wait that
// the disk is filled by their size.
const maxAsked = 12 << 10

// The ways of an answer (OAuth 2.0 Multiple Response Types, Form Post Response Mode).
const (
	modeQuery    = "query"
	modeFragment = "fragment"
	modeFormPost = "form_post"
)

// authorize takes an authorization request to the road, or ends it: here with a page until client and redirect URI are known to
// belong together, at the client after that (RFC 9700, 4.1 and 4.11).
func (h *Handlers) authorize(w http.ResponseWriter, r *http.Request) error {
	values, problem, err := h.params(r)
	if err != nil {
		return err
	}
	app, unknown, err := h.recipient(r, values, problem)
	if err != nil {
		return err
	}
	if unknown != nil {
		return h.halt(r, app, values.Get("client_id"), unknown)
	}
	a := &asked{Redirect: values.Get("redirect_uri"), State: values.Get("state"), HasState: values.Has("state"), Mode: modeQuery}
	request := flow.Request{Protocol: Protocol, App: app.ID, Start: "OauthAuthorize", Redirects: true}
	if problem == nil {
		problem, err = h.read(r, app, values, a, &request)
	}
	if err != nil {
		return err
	}
	if request.Payload, err = json.Marshal(a); err != nil {
		return err
	}
	if problem == nil && len(request.Payload)+len(request.LoginHint) > maxAsked {
		problem = refuse(codeInvalidRequest, "long_request", "The request is longer than 12,288 bytes: send less in state, nonce and login_hint.")
	}
	if problem != nil {
		return h.Engine.Reject(w, r, request, problem.reason())
	}
	return h.Engine.Begin(w, r, request)
}

// recipient finds the client, and holds the redirect URI against its registration. What it returns as a problem is for a page.
func (h *Handlers) recipient(r *http.Request, values url.Values, damaged *Problem) (*sp.App, *Problem, error) {
	if damaged != nil && (len(values) == 0 || len(values["client_id"]) > 1 || len(values["redirect_uri"]) > 1) {
		return nil, damaged, nil
	}
	id := values.Get("client_id")
	app, problem, err := h.clientIn(r, id)
	if problem != nil || err != nil {
		return app, problem, err
	}
	redirect := values.Get("redirect_uri")
	switch {
	case id == "":
		return nil, refuse("", "no_client_id", "The app did not say which one it is (client_id). Tell its administrator."), nil
	case app == nil:
		return nil, refuse("", flow.ReasonUnknownApp, "This app is not connected here. Ask your administrator to add it.").because("a registered client id", id), nil
	case app.State == sp.Pending: // its redirect URIs are a stranger's word until then
		return app, refuse("", flow.ReasonAppPending, "This app waits for your administrator's approval. Try again later."), nil
	case redirect == "" && damaged != nil:
		return app, damaged, nil
	case redirect == "":
		return app, refuse("", "no_redirect_uri", "The app did not say where to go afterwards (redirect_uri). Tell its administrator."), nil
	case !app.Definition.OAuth.Redirects(redirect):
		p := refuse("", "bad_redirect_uri", "The app wants to go to an address that is not registered for it, so nothing was sent. Tell its administrator.")
		return app, p.because(strings.Join(app.Definition.OAuth.RedirectURIs, " "), redirect), nil
	case web.SameOrigin(redirect, h.BaseURL):
		return app, refuse("", "sent_to_us", "The app wants its answer sent to Gatehouse itself, so nothing was sent. Tell its administrator.").because("", redirect), nil
	}
	return app, nil, nil
}

// halt ends a request with a page, and counts what signed-in people miss.
func (h *Handlers) halt(r *http.Request, app *sp.App, id string, problem *Problem) error {
	switch {
	case app != nil:
		return h.Engine.Halt(r, app.ID, "signon", problem.reason())
	case problem.Reason == flow.ReasonUnknownApp:
		return h.Engine.HaltUnknown(r, Protocol, id, problem.reason())
	}
	return h.Engine.Halt(r, "", "signon", problem.reason())
}

// read checks the rest of a request, whose problems the client is told (RFC 6749, 4.1.2.1). Parameters that it does not know it
// ignores.
func (h *Handlers) read(r *http.Request, app *sp.App, values url.Values, a *asked, request *flow.Request) (*Problem, error) {
	for _, step := range []func(*sp.App, url.Values, *asked, *flow.Request) *Problem{readMode, readPushed, readType, readPKCE, readKey, h.readPrompt, h.readClaims, h.readTargets} {
		if problem := step(app, values, a, request); problem != nil {
			return problem, nil
		}
	}
	settings, err := h.organisation(r.Context())
	if err != nil {
		return nil, err
	}
	if !settings.Grants(sp.GrantCode) {
		return switchedOff(sp.GrantCode), nil
	}
	request.LoginHint, a.Nonce = values.Get("login_hint"), values.Get("nonce")
	if problem, err := h.readHint(r.Context(), app, values, a); problem != nil || err != nil {
		return problem, err
	}
	return h.readScopes(r.Context(), app, values, a)
}

// readMode comes first, because it says how everything else is answered.
func readMode(_ *sp.App, values url.Values, a *asked, _ *flow.Request) *Problem {
	switch mode := values.Get("response_mode"); mode {
	case "":
	case modeQuery, modeFragment:
		a.Mode = mode
	case modeFormPost:
		if !strings.HasPrefix(a.Redirect, "http") {
			return refuse(codeInvalidRequest, "bad_response_mode", "A form cannot be posted to this redirect URI: use another response_mode.")
		}
		a.Mode = mode
	default:
		return refuse(codeInvalidRequest, "bad_response_mode", "This response_mode is not offered: use query, fragment or form_post.").because("query, fragment or form_post", mode)
	}
	return nil
}

func readType(app *sp.App, values url.Values, _ *asked, _ *flow.Request) *Problem {
	client, kind := app.Definition.OAuth, values.Get("response_type")
	switch {
	case kind == "":
		return refuse(codeInvalidRequest, "no_response_type", "The request names no response_type: send response_type=code.")
	case kind != sp.ResponseCode:
		return refuse(codeUnsupportedResponse, "bad_response_type", "This response_type is not offered: send response_type=code.").because(sp.ResponseCode, kind)
	case !client.Responds(kind) || !client.Allows(sp.GrantCode):
		return refuse(codeUnauthorizedClient, "grant_type_not_allowed", "This app may not sign people in: allow authorization_code in its oauth.grant_types.")
	}
	return nil
}

// readPKCE takes S256 and nothing else (RFC 7636, 4.3; RFC 9700, 2.1.1).
func readPKCE(app *sp.App, values url.Values, a *asked, _ *flow.Request) *Problem {
	challenge, method := values.Get("code_challenge"), values.Get("code_challenge_method")
	switch {
	case challenge == "" && method == "" && !app.Definition.OAuth.NeedsPKCE():
		return nil
	case challenge == "":
		return refuse(codeInvalidRequest, "no_code_challenge", "This app must use PKCE: send a code_challenge with code_challenge_method=S256.")
	case method != "S256":
		return refuse(codeInvalidRequest, "bad_code_challenge_method", "Only code_challenge_method=S256 is offered.").because("S256", method)
	case !isVerifier(challenge, 43):
		return refuse(codeInvalidRequest, "bad_code_challenge", "The code_challenge is not a SHA-256 in base64url: it has 43 characters.")
	}
	a.Challenge = challenge
	return nil
}

// readKey reads the thumbprint of the key that the code is to be bound to (RFC 9449, 10).
func readKey(_ *sp.App, values url.Values, a *asked, _ *flow.Request) *Problem {
	if a.Key = values.Get("dpop_jkt"); a.Key != "" && !isVerifier(a.Key, 43) {
		return refuse(codeInvalidRequest, "bad_dpop_jkt", "The dpop_jkt is not the SHA-256 thumbprint of a key in base64url: it has 43 characters.")
	}
	return nil
}

// readTargets reads what the tokens are to be for (RFC 8707, 2.1).
func (h *Handlers) readTargets(app *sp.App, values url.Values, a *asked, _ *flow.Request) (problem *Problem) {
	a.Resources, problem = h.targets(values["resource"], h.allowed(app))
	return problem
}

// isVerifier tells whether a text has the form of a code verifier or challenge of at most limit characters (RFC 7636, 4.1).
func isVerifier(s string, limit int) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-._~", rune(c)) {
			return false
		}
	}
	return len(s) >= 43 && len(s) <= limit
}

// readPrompt reads prompt, max_age and acr_values (OpenID Connect Core 1.0, 3.1.2.1).
func (h *Handlers) readPrompt(_ *sp.App, values url.Values, a *asked, request *flow.Request) *Problem {
	prompts := words(values.Get("prompt"))
	for _, prompt := range prompts {
		switch prompt {
		case "none":
			request.Passive = true
		case "login", "select_account": // the sign-in page offers to change the account
			request.Demand.AuthAfter = h.Now()
		case "consent":
			request.ConsentAfter = h.Now()
		default:
			return refuse(codeInvalidRequest, "bad_prompt", "This prompt is not known: use none, login, consent or select_account.").because("none, login, consent or select_account", prompt)
		}
	}
	if request.Passive && len(prompts) > 1 {
		return refuse(codeInvalidRequest, "bad_prompt", "The prompt none stands alone.")
	}
	if age := values.Get("max_age"); age != "" {
		seconds, err := strconv.ParseUint(age, 10, 31)
		if err != nil {
			return refuse(codeInvalidRequest, "bad_max_age", "The max_age is no number of seconds.").because("a number of seconds", age)
		}
		if after := h.Now().Add(-time.Duration(seconds) * time.Second); after.After(request.Demand.AuthAfter) {
			request.Demand.AuthAfter = after
		}
	}
	a.demand(words(values.Get("acr_values")), request)
	return nil
}

// demand asks for a sign-in that is as strong as the weakest of the classes that are asked for; unknown ones ask nothing.
func (a *asked) demand(classes []string, request *flow.Request) {
	for _, class := range classes {
		level, known := levelOf(class)
		if !known {
			continue
		}
		if len(a.Classes) == 0 || request.Demand.MinLevel.AtLeast(level) {
			request.Demand.MinLevel = level
		}
		a.Classes = append(a.Classes, class)
	}
}

// readHint takes the subject of an ID token that we issued to this client; it may be long expired (OpenID Connect Core 1.0, 3.1.2.1).
func (h *Handlers) readHint(ctx context.Context, app *sp.App, values url.Values, a *asked) (*Problem, error) {
	hint := values.Get("id_token_hint")
	if hint == "" {
		return nil, nil
	}
	subject, err := h.hinted(ctx, app, hint)
	switch {
	case errors.Is(err, errNotOurs):
		return refuse(codeInvalidRequest, "bad_id_token_hint", "The id_token_hint is no ID token that was issued to this app."), nil
	case err != nil:
		return nil, err
	case a.Subject != "" && a.Subject != subject:
		return refuse(codeInvalidRequest, "two_subjects", "The id_token_hint and the claims parameter name different people."), nil
	}
	a.Subject = subject
	return nil, nil
}

// stillRegistered: a request may have waited while the app was changed.
func (a *asked) stillRegistered(app *sp.App) bool {
	return app != nil && app.Definition.OAuth != nil && app.Definition.OAuth.Redirects(a.Redirect) && (a.Challenge != "" || !app.Definition.OAuth.NeedsPKCE())
}

// granted are the scopes that are asked for, as far as the app may have them by now.
func (a *asked) granted(app *sp.App) []string { return within(a.Scopes, app.AllowedScopes()) }

func within(scopes, bound []string) []string {
	return slices.DeleteFunc(slices.Clone(scopes), func(one string) bool { return !slices.Contains(bound, one) })
}
