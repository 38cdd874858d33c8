package sp

// The index "audience" of Apps leads from a person to the active apps that may permit them, so that a portal does not look at
// thousands of others. It only narrows down: whether an app opens is Decide's to say. It must name whatever permittedBy names.

const everybody = "*"

// audience are the index values of an app: whom its policy names, if it is active.
func (a *App) audience() []string {
	switch {
	case a.State != Active:
		return nil
	case a.Policy.PermittedUsers == PermitAll:
		return []string{everybody}
	case a.Policy.PermittedUsers != PermitPreauthorized:
		return nil
	}
	return audiences(a.Policy.Users, a.Policy.Profiles, a.Policy.PermissionSets, a.Policy.Groups)
}

// Audiences are the values of the index "audience" under which the apps stand that may permit a person; what was granted on
// request comes beside them.
func (p *Person) Audiences() []string {
	return append(audiences([]string{p.ID}, []string{p.Profile}, p.PermissionSets, p.Groups), everybody)
}

func audiences(users, profiles, permissionSets, groups []string) []string {
	var values []string
	for _, kind := range []struct {
		letter string
		ids    []string
	}{{"u", users}, {"p", profiles}, {"s", permissionSets}, {"g", groups}} {
		for _, id := range kind.ids {
			values = append(values, kind.letter+id)
		}
	}
	return values
}
