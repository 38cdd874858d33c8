package sp

// approvers are the values of the index "approver" of Apps: who may grant access to the app on request, while it is active. It
// leads from a person to the apps that they answer for, and without a value to all apps that can be asked for.
func (a *App) approvers() []string {
	if a.State != Active {
		return nil
	}
	return a.Policy.Approvers
}
