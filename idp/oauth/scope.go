package oauth

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"gatehouse/idp/directory"
	"gatehouse/sp"
	"gatehouse/store"
)

func standardTexts(scopes []string) []string {
	texts := make([]string, len(scopes))
	for i, scope := range scopes {
		texts[i] = sp.ScopeText(scope, "")
	}
	return texts
}

// readScopes narrows what is asked for to what the app may have, and looks up what that means for people. Scopes that nobody
// allows are left out (OpenID Connect Core 1.0, 3.1.2.1), as long as something is left.
func (h *Handlers) readScopes(ctx context.Context, app *sp.App, values url.Values, a *asked) (*Problem, error) {
	var problem *Problem
	if a.Scopes, problem = scopesFor(app, values.Get("scope"), app.AllowedScopes()); problem != nil {
		return problem, nil
	}
	if !app.Definition.OAuth.Allows(sp.GrantRefresh) {
		a.Scopes = slices.DeleteFunc(a.Scopes, func(s string) bool { return s == sp.ScopeOffline })
	}
	err := h.Store.View(ctx, func(tx store.Tx) (err error) {
		a.Texts, err = sp.ScopeTexts(tx, a.Scopes)
		return err
	})
	a.Texts = append(append(a.Texts, claimTexts(a)...), attributeTexts(app, a)...)
	return nil, err
}

// scopesFor are the asked scopes within a bound; of a request that names none, those of the bound that are not about people.
func scopesFor(app *sp.App, text string, bound []string) ([]string, *Problem) {
	scopes := words(text)
	if i := slices.Index(scopes, sp.ScopeRefresh); i >= 0 {
		scopes[i] = sp.ScopeOffline
	}
	if len(scopes) == 0 {
		scopes = slices.DeleteFunc(slices.Clone(bound), func(s string) bool { return slices.Contains(sp.StandardScopes(), s) })
	}
	if scopes = within(scopes, bound); len(scopes) == 0 {
		return nil, refuse(codeInvalidScope, "scope_not_allowed", "No scope that is asked for is allowed to this app here. Name some in scope that are, or ask its administrator to extend oauth.scopes or policy.scopes; those about a person, such as openid, need one who signs in.").because(cut(strings.Join(app.AllowedScopes(), " ")), text)
	}
	return scopes, nil
}

// lent are the scopes that a person can give: those of Gatehouse's own API as far as they may do all of that themselves.
func (h *Handlers) lent(user *directory.User, scopes []string) []string {
	return slices.DeleteFunc(slices.Clone(scopes), func(one string) bool { return sp.IsAPIScope(one) && !h.Lends(user.Roles, one) })
}

// asks are what a person is asked to agree to, of texts that begin with those of the scopes.
func (h *Handlers) asks(user *directory.User, scopes, texts []string) []string {
	var kept []string
	for i, text := range texts {
		if i >= len(scopes) || len(h.lent(user, scopes[i:i+1])) > 0 {
			kept = append(kept, text)
		}
	}
	return kept
}

func cannotLend() *Problem {
	return refuse(codeAccessDenied, "not_yours_to_give", "The app asks for what only administrators can let it do in Gatehouse. Ask one of them to connect it.")
}

func offline(scopes []string) bool { return slices.Contains(scopes, sp.ScopeOffline) }

func openID(scopes []string) bool { return slices.Contains(scopes, sp.ScopeOpenID) }
