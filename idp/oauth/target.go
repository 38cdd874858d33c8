package oauth

import (
	"slices"
	"strings"

	"gatehouse/sp"
)

// maxTargets is how many resources a request may name.
const maxTargets = 10

func badTarget(text string) *Problem { return refuse(codeInvalidTarget, "bad_target", text) }

// allowed are the resources that an app may ask tokens for: those that an administrator set, and Gatehouse itself.
func (h *Handlers) allowed(app *sp.App) []string {
	return append(slices.Clone(app.Policy.Resources), h.BaseURL)
}

// audience is what a token is for, by the resources that are kept of it: of none, Gatehouse itself.
func (h *Handlers) audience(kept []string) []string {
	if len(kept) == 0 {
		return []string{h.BaseURL}
	}
	return kept
}

// targets are the resources that a request asks for (RFC 8707, 2) as they are kept, all of them within a bound; nil: Gatehouse alone,
// which is for who asks for nothing.
func (h *Handlers) targets(asked, bound []string) ([]string, *Problem) {
	var kept []string
	for _, one := range asked {
		switch {
		case sp.CheckResource(one) != nil:
			return nil, badTarget("A resource must be an absolute URI without a fragment.").because("an absolute URI", one)
		case one == h.BaseURL+"/":
			one = h.BaseURL
		}
		if !slices.Contains(bound, one) {
			return nil, badTarget("This app may not ask tokens for this resource, or the person was not asked about it: an administrator sets oauth.resources, and the sign-in names it too.").because(cut(strings.Join(bound, " ")), one)
		}
		if !slices.Contains(kept, one) {
			kept = append(kept, one)
		}
	}
	if slices.Equal(kept, []string{h.BaseURL}) {
		return nil, nil
	}
	return kept, nil
}

// aimed are the resources of a token of a grant: those that the request asks for, else all of the grant, as far as the app may still
// have them.
func (h *Handlers) aimed(app *sp.App, asked, granted []string) ([]string, *Problem) {
	bound := within(h.audience(granted), h.allowed(app))
	switch {
	case len(bound) == 0:
		return nil, badTarget("The app may have tokens for none of the resources any more that were asked for (oauth.resources).").because(strings.Join(h.allowed(app), " "), strings.Join(granted, " "))
	case len(asked) == 0:
		asked = bound
	}
	return h.targets(asked, bound)
}

// audienceClaim is how an audience is written: one as a text, several as a list (RFC 7519, 4.1.3).
func audienceClaim(audience []string) any {
	if len(audience) == 1 {
		return audience[0]
	}
	return audience
}
