package admin

import (
	"context"
	"net/netip"
	"time"

	"gatehouse/idp/api"
	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/sp"
	"gatehouse/store"
)

// Explain tells whether a person would get into an app and why, as if they had just signed in with the strongest method
// there is. Without a valid address every rule about addresses refuses; a zero time is now.
func (a *Actions) Explain(ctx context.Context, user, app string, address netip.Addr, at time.Time) (api.Explanation, error) {
	if at.IsZero() {
		at = a.Now()
	}
	var answer api.Explanation
	err := a.view(ctx, func(tx store.Tx) error {
		found, err := directory.ResolveUser(tx, user)
		if err != nil {
			return fieldOf("user", err)
		}
		opened, err := findApp(tx, app)
		if err != nil {
			return err
		}
		facts, err := a.Engine.Suppose(tx, flow.Supposition{User: found.ID, App: opened.ID, Address: address, At: at})
		answer = explain(facts)
		return err
	})
	return answer, err
}

func explain(facts *flow.Facts) api.Explanation {
	step := flow.Next(facts)
	answer := api.Explanation{
		User:    api.Ref{ID: facts.User.ID, Name: facts.User.Name},
		App:     api.Ref{ID: facts.App.ID, Name: facts.App.Definition.Name},
		Outcome: string(sp.Refuse), Reason: step.Reason.Type, Text: step.Reason.Text, At: facts.Now,
	}
	if facts.Address.IsValid() {
		answer.Address = facts.Address.String()
	}
	switch step.Kind {
	case flow.StepIssue:
		answer.Outcome, answer.Text = string(sp.Allow), facts.User.Name+" would get in."
	case flow.StepSignIn, flow.StepFactor:
		answer.Outcome, answer.Text = string(sp.StepUp), facts.User.Name+" would be asked for a stronger sign-in first."
		answer.Reason = string(step.Verdict.Rule)
	case flow.StepEnrol:
		answer.Outcome, answer.Text = string(sp.StepUp), facts.User.Name+" has no second factor and would be asked to set one up first."
		answer.Reason = string(step.Verdict.Rule)
	}
	if step.Kind == flow.StepConsent {
		answer.Outcome, answer.Reason = string(sp.StepUp), "consent"
		answer.Text = facts.User.Name + " would be asked to agree to what the app is told, and then get in."
	}
	if rule := step.Verdict.Rule; !facts.Address.IsValid() && (rule == sp.RuleAppAddress || rule == sp.RuleProfileAddr) {
		answer.Text = "That depends on the address: give the one that " + facts.User.Name + " would come from."
	}
	answer.Rules = weighed(facts)
	return answer
}

// weighed are all rules with what they weighed and, where they do not allow, what would change that.
func weighed(facts *flow.Facts) []api.Weighed {
	policy, access := &facts.App.Policy, flow.Access(facts)
	rules := []api.Weighed{}
	for _, w := range policy.Decide(access).Rules {
		rule := api.Weighed{Rule: string(w.Rule), Outcome: string(w.Outcome), Detail: policy.Inputs(access, w.Rule)}
		if w.Outcome != sp.Allow {
			rule.Remedy = policy.Remedy(access, w.Rule)
		}
		rules = append(rules, rule)
	}
	return rules
}
