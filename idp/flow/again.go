package flow

import (
	"net/netip"
	"time"

	"gatehouse/idp/session"
	"gatehouse/sp"
	"gatehouse/store"
)

// Standing is what a token stands for: a person at an app who was let in before, and may still be there or not.
type Standing struct {
	User, App string // ids
	Level     sp.Level
	AuthAt    time.Time // of the newest check of the sign-in that it rests on
	HighAt    time.Time // since when that proves level high; zero: since AuthAt, if it does
	PutOff    time.Time // when the person put off a second factor then; zero: they did not
	Address   netip.Addr
	Strict    bool        // no relaxation of addresses counts
	Refresh   *sp.Refresh // of a refresh token, or an access token that came from one
}

// Reconsider decides again, inside the caller's transaction, whether somebody may be at an app: by the same facts and the same
// Next as a sign-on. Nobody is at hand, so anything but StepIssue is a refusal; its reason is in the step.
func (e *Engine) Reconsider(tx store.Tx, s Standing) (*Facts, Step, error) {
	now := e.Now()
	facts := &Facts{
		Request: &Request{App: s.App, Protocol: tokenProtocol, Passive: true}, Address: s.Address, Now: now, Reachable: sp.Low, Refresh: s.Refresh, Strict: s.Strict,
		Session: &session.Session{
			User: s.User, Level: session.Level(s.Level), PutOff: s.PutOff, Started: s.AuthAt, Seen: now, Ends: now.Add(time.Hour), Idle: now.Add(time.Hour),
		},
	}
	facts.Session.Methods = s.methods()
	if err := e.loadRecords(tx, facts, &seen{}); err != nil {
		return nil, Step{}, err
	}
	step := Next(facts)
	if step.Kind != StepRefuse && step.Kind != StepIssue || step.Reason.Type == ReasonNoPassive || step.Reason.Type == ReasonLevel {
		step = refusedStep(facts, step)
	}
	return facts, step, nil
}

// methods prove what the sign-in proved, each as late as it did.
func (s *Standing) methods() []session.Method {
	newest := session.Method{Name: tokenProtocol, At: s.AuthAt, Level: session.Level(s.Level)}
	if s.Level != sp.High || s.HighAt.IsZero() {
		return []session.Method{newest}
	}
	newest.Level = session.Standard
	return []session.Method{newest, {Name: tokenProtocol, At: s.HighAt, Level: session.High}}
}

// tokenProtocol is nobody's: a token asks no consent.
const tokenProtocol = "token"

// refusedStep names the rule that asks for a step which nobody is there to take.
func refusedStep(f *Facts, step Step) Step {
	if step.Verdict.Rule == "" || f.User == nil {
		return refuse(string(sp.RuleUserActive), ruleTexts[sp.RuleUserActive])
	}
	return Step{Kind: StepRefuse, Reason: ruleReason(f, step.Verdict), Verdict: step.Verdict}
}
