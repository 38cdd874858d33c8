package sp

// approvers are the values of the index "approver" of Apps: who may grant access to the app on request, while it is active.
func (a *App) approvers() []string {
	if a.State != Active {
		return nil
	}
	return a.Policy.Approvers
}

// Askable is the one value of the index "askable" of Apps: active apps that somebody answers for.
const Askable = "yes"

func (a *App) askable() []string {
	if len(a.approvers()) == 0 {
		return nil
	}
	return []string{Askable}
}
