package saml

import (
	"slices"
	"strings"
)

// checkScoping: an IDPList must name us, or an identity provider that people can sign in at through us.
func (a *Accepted) checkScoping(scoping *Scoping, env *Env) *Problem {
	if scoping == nil {
		return nil
	}
	a.ProxyCount = scoping.ProxyCount
	strange := func(id string) bool { return id == "" || len(id) > maxTextLength || !writable(id) }
	if len(scoping.RequesterIDs) <= maxListEntries && !slices.ContainsFunc(scoping.RequesterIDs, strange) {
		a.RequesterIDs = scoping.RequesterIDs
	}
	if !scoping.HasIDPList || slices.Contains(scoping.IDPs, env.EntityID) {
		return nil
	}
	for _, id := range env.Upstreams {
		if slices.Contains(scoping.IDPs, id) {
			a.IDPs = append(a.IDPs, id)
		}
	}
	if len(a.IDPs) > 0 {
		return nil
	}
	return requester(ReasonIDPList, StatusNoSupportedIDP, "The app accepts only other sign-in services. Add this one's entity id to its list.").because(env.EntityID, strings.Join(scoping.IDPs, " "))
}
