package oauth

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"gatehouse/idp/audit"
	"gatehouse/idp/flow"
	"gatehouse/idp/grants"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
)

// overNow is what the bearer of a token is told that the policy takes no longer. Of one that rests on a sign-in that was too weak or
// is too old, which sign-in would do (RFC 9470, 3).
func overNow(step flow.Step) *Problem {
	if step.Verdict.Outcome != sp.StepUp {
		return unauthorized(denied(codeInvalidToken, step))
	}
	p := unauthorized(denied(codeInsufficientSignIn, step))
	if need := step.Verdict.Need; need != "" {
		p.Params = `, acr_values="` + classOf(need, nil) + `"`
	}
	return p
}

// ResourcePath is where clients find out which tokens our API takes (RFC 9728, 3).
const ResourcePath = "/.well-known/oauth-protected-resource"

// resource is RFC 9728, 2: the API and SCIM are one resource, called as the issuer is.
type resource struct {
	Resource   string   `json:"resource"`
	Name       string   `json:"resource_name"`
	Servers    []string `json:"authorization_servers"`
	Scopes     []string `json:"scopes_supported"`
	Methods    []string `json:"bearer_methods_supported"`
	Algorithms []string `json:"dpop_signing_alg_values_supported"`
}

func (h *Handlers) resource(w http.ResponseWriter, _ *http.Request) error {
	return publish(w, "application/json", resource{
		Resource: h.BaseURL, Name: "Gatehouse", Servers: []string{h.BaseURL}, Scopes: sp.APIScopes(),
		Methods: []string{"header"}, Algorithms: clientAlgorithmNames(),
	})
}

// Caller is the person for whom an app calls Gatehouse's own API with an access token, within the scopes of the API that the token
// has. The policy of the app is asked about this call, from where it comes; and that of the console, unless an administrator named
// the person for an app that acts alone. An error is a *web.Error, audited within the bounds for strangers.
func (h *Handlers) Caller(r *http.Request) (web.Actor, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	shows, problem := presented{token: strings.TrimSpace(token), certificate: certificateOf(r)}, (*Problem)(nil)
	if strings.EqualFold(scheme, "DPoP") {
		shows, problem = h.proven(r, shows.token)
	}
	var f *found
	var facts *flow.Facts
	if problem == nil {
		err := h.Store.View(r.Context(), func(tx store.Tx) (err error) {
			f, facts, problem, err = h.calls(tx, shows, web.Of(r).AddressText())
			return err
		})
		if err != nil {
			return web.Actor{}, err
		}
	}
	if problem == nil {
		var err error
		if problem, err = h.called(r, f, shows); err != nil {
			return web.Actor{}, err
		}
	}
	if problem != nil {
		return web.Actor{}, h.turnAway(r, f, problem)
	}
	return web.Actor{
		ID: facts.User.ID, Name: facts.User.Name, DisplayName: facts.User.DisplayName, Email: facts.User.Email, Roles: facts.User.Roles,
		Scopes: within(f.scopes, sp.APIScopes()), App: facts.App.ID, Grant: f.grant.ID,
	}, nil
}

// calls finds and judges the token of a call.
func (h *Handlers) calls(tx store.Tx, shows presented, from string) (*found, *flow.Facts, *Problem, error) {
	f, problem, err := h.shown(tx, shows)
	if problem != nil || err != nil {
		return f, nil, problem, err
	}
	f.from = from
	facts, problem, err := h.judge(tx, f)
	if problem != nil || err != nil || f.grant.Type == sp.GrantClientCredentials {
		return f, facts, problem, err
	}
	console := standing(f.grant, from, nil)
	console.App = flow.Console
	_, step, err := h.Engine.Reconsider(tx, console)
	if err == nil && step.Kind != flow.StepIssue {
		problem = overNow(step)
	}
	return f, facts, problem, err
}

// called notes what a call leaves behind: that its proof was used, and within an hour that its grant was.
func (h *Handlers) called(r *http.Request, f *found, shows presented) (problem *Problem, err error) {
	now := h.Now()
	if stale := !f.own && f.grant.Unused(now); !stale && shows.has.key == "" {
		return nil, nil
	}
	err = h.Store.Update(r.Context(), func(tx store.Tx) (err error) {
		problem = nil
		if shows.has.key != "" {
			if problem, err = spend(tx, []single{shows.has.once}); problem != nil || err != nil {
				return err
			}
		}
		g, _, err := grants.AllGrants.Get(tx, f.grant.ID)
		if errors.Is(err, store.ErrNotFound) { // it lies in the token
			return nil
		}
		if err != nil || g.Dead != "" || !g.Unused(now) {
			return err
		}
		g.Used = now
		return grants.AllGrants.Put(tx, &g)
	})
	return unproven(problem), err
}

// turnAway writes the entry of a call that is refused; one that was folded into a counted entry is answered with a wait.
func (h *Handlers) turnAway(r *http.Request, f *found, problem *Problem) error {
	event := audit.Event{Kind: "api", Address: web.Of(r).AddressText(), Facts: map[string]string{"method": r.Method, "path": r.URL.Path}}
	if f != nil {
		event.App, event.User, event.Actor, event.Facts["grant"] = f.grant.App, f.grant.User, f.grant.User, f.grant.ID
	}
	problem.describe(&event)
	code, err := h.Engine.Refused(r.Context(), event)
	if err != nil {
		return err
	}
	if code == "" {
		return &web.Error{
			Status: http.StatusTooManyRequests, Reason: "too_many", RetryAfter: time.Minute, Code: web.Of(r).ID,
			Text: "Too many tokens of this address were refused. Wait a minute, then use a good one.",
		}
	}
	refused := problem.public() // whose text has no code in it
	refused.Code = code
	return refused
}
