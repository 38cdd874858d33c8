package saml

import (
	"strings"

	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/sp"
)

// made are the values that exist only for one app or within the organisation's scope (saml-subject-id-attr-v1.0, eduPerson). Without
// a scope (saml.scope) there are none. The unique part of an identifier is opaque, lower case and never given to anybody else.
func (h *Handlers) made(pass *flow.Pass) func(string) ([]string, bool) {
	scope := scopeOf(pass.Settings)
	namer := &Namer{Key: h.NameIDKey}
	return func(source string) ([]string, bool) {
		var unscoped []string
		switch source {
		case sp.SourceSubjectID:
			unscoped = []string{namer.Opaque(pass.User.ID, "")}
		case sp.SourcePairwiseID:
			unscoped = []string{namer.Opaque(pass.User.ID, "pairwise-id "+pass.App.ID)} // ids hold no space, so it is no NameID of anybody
		case sp.SourcePrincipalName:
			unscoped = []string{pass.User.Name}
		case sp.SourceScopedAffiliation:
			unscoped = pass.User.Attributes["affiliation"]
		case sp.SourceHomeOrganisation:
			if scope == "" {
				return nil, true
			}
			return []string{scope}, true
		default:
			return nil, false
		}
		return scoped(unscoped, scope), true
	}
}

func scopeOf(settings *directory.Settings) string {
	if settings == nil || len(settings.Scopes) == 0 {
		return ""
	}
	return settings.Scopes[0]
}

// scoped puts the scope behind each value; one that holds an @ would name another scope and is left out.
func scoped(values []string, scope string) []string {
	var list []string
	for _, value := range values {
		if scope != "" && value != "" && !strings.Contains(value, "@") {
			list = append(list, value+"@"+scope)
		}
	}
	return list
}
