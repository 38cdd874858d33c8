package admin

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"gatehouse/idp/api"
	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/idp/session"
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
		facts, err := a.factsFor(tx, user, app)
		if err != nil {
			return err
		}
		facts.Address, facts.Now = address, at
		facts.Session = freshSession(facts.User.ID, a.Reachable, at)
		answer = explain(facts)
		return nil
	})
	return answer, err
}

func (a *Actions) factsFor(tx store.Tx, userRef, appRef string) (*flow.Facts, error) {
	user, err := directory.ResolveUser(tx, userRef)
	if err != nil {
		return nil, fieldOf("user", err)
	}
	app, err := findApp(tx, appRef)
	if err != nil {
		return nil, err
	}
	profile, _, err := directory.Profiles.Get(tx, user.Profile)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	return &flow.Facts{Request: &flow.Request{App: app.ID}, App: &app, User: &user, Profile: &profile, Reachable: a.Reachable}, nil
}

// freshSession is what a person would have who signs in at that moment.
func freshSession(user string, level sp.Level, at time.Time) *session.Session {
	return &session.Session{
		User: user, Level: session.Level(level), Started: at, Seen: at, Ends: at.Add(time.Hour), Idle: at.Add(time.Hour),
		Methods: []session.Method{{Name: "assumed", At: at}},
	}
}

func explain(facts *flow.Facts) api.Explanation {
	step := flow.Next(facts)
	answer := api.Explanation{
		User:    api.Ref{ID: facts.User.ID, Name: facts.User.Name},
		App:     api.Ref{ID: facts.App.ID, Name: facts.App.Definition.Name},
		Outcome: string(sp.Refuse), Reason: step.Reason.Type, Text: step.Reason.Text, At: facts.Now, Rules: []api.Weighed{},
	}
	if facts.Address.IsValid() {
		answer.Address = facts.Address.String()
	}
	switch step.Kind {
	case flow.StepIssue:
		answer.Outcome, answer.Text = string(sp.Allow), facts.User.Name+" would get in."
	case flow.StepSignIn:
		answer.Outcome, answer.Text = string(sp.StepUp), facts.User.Name+" would be asked for a stronger sign-in first."
		answer.Reason = string(step.Verdict.Rule)
	}
	if rule := step.Verdict.Rule; !facts.Address.IsValid() && (rule == sp.RuleAppAddress || rule == sp.RuleProfileAddr) {
		answer.Text = "That depends on the address: give the one that " + facts.User.Name + " would come from."
	}
	for _, w := range step.Verdict.Rules {
		answer.Rules = append(answer.Rules, api.Weighed{Rule: string(w.Rule), Outcome: string(w.Outcome), Detail: w.Detail})
	}
	return answer
}
