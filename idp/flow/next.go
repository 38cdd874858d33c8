package flow

import (
	"time"

	"gatehouse/idp/directory"
	"gatehouse/idp/session"
	"gatehouse/sp"
)

// StepKind is what has to happen next.
type StepKind string

// The steps. Only Issue and Refuse end the road.
const (
	StepSignIn  StepKind = "sign_in"
	StepFactor  StepKind = "second_factor" // the first one is there
	StepEnrol   StepKind = "enrolment"     // the person has to set up a second factor
	StepConsent StepKind = "consent"
	StepIssue   StepKind = "issue"
	StepRefuse  StepKind = "refuse"
)

// Step is Next's answer. Reason is set for StepRefuse; Verdict once the policy was asked; Blind says that the step holds
// only because no session was seen, so that a request without cookies may come out otherwise.
type Step struct {
	Kind    StepKind
	Reason  Reason
	Verdict sp.Verdict
	Blind   bool
}

// Next decides. It is the only decision of the product, pure, and asked again whenever a fact changes.
func Next(f *Facts) Step {
	if step, ends := appStep(f.App, f.Now); ends {
		return step
	}
	if f.Session == nil || f.User == nil || !f.Session.Live(f.Now) {
		step := interact(f, Step{Kind: StepSignIn, Blind: true})
		step.Blind = true
		return step
	}
	if f.Request.Subject != "" && f.Request.Subject != f.User.ID {
		return refuse(ReasonWrongSubject, "The app asked for another person than the one who is signed in here. Sign out and open the app again.")
	}
	verdict := f.App.Policy.Decide(Access(f))
	switch {
	case verdict.Outcome == sp.StepUp:
		return stepUp(f, verdict)
	case verdict.Outcome == sp.Refuse:
		return Step{Kind: StepRefuse, Reason: ruleReason(f, verdict), Verdict: verdict}
	case len(f.Asks) > 0 && !consented(f):
		return interact(f, Step{Kind: StepConsent, Verdict: verdict})
	}
	return Step{Kind: StepIssue, Verdict: verdict}
}

// consented tells whether the person agreed to all that is asked for, not before the request says so.
func consented(f *Facts) bool {
	if f.Request.Device != nil {
		return f.Request.Device.Confirmed == f.User.ID
	}
	return f.Consent != nil && f.Consent.Covers(f.Asks) && !f.Consent.Given.Before(f.Request.ConsentAfter)
}

// appStep ends the road for an app that nobody may enter, before anybody is asked to sign in.
func appStep(app *sp.App, now time.Time) (Step, bool) {
	switch {
	case app == nil || app.State == sp.Removed:
		return refuse(ReasonUnknownApp, "This app is not connected here. Ask your administrator to add it."), true
	case app.State == sp.Blocked:
		return refuse(ReasonAppBlocked, "This app is blocked by your administrator. Ask them if you need it."), true
	case app.State != sp.Active:
		return refuse(ReasonAppPending, "This app waits for your administrator's approval. Try again later."), true
	case app.Definition.SAML != nil && app.Definition.OAuth == nil && app.Definition.SAML.Metadata.Expired(now):
		step := refuse(ReasonMetadataExpired, "What Gatehouse knows about this app is out of date, so it cannot be opened safely. Ask your administrator to renew the app's metadata.")
		step.Reason.Detail = "the app's metadata was valid until " + app.Definition.SAML.Metadata.ValidUntil.UTC().Format(time.RFC3339)
		return step, true
	}
	return Step{}, false
}

// stepUp asks for what is missing of the stronger or fresher sign-in that the verdict needs: the credentials again, the second factor
// alone, or to set one up. It refuses when the person cannot give it.
func stepUp(f *Facts, verdict sp.Verdict) Step {
	step := Step{Kind: StepSignIn, Verdict: verdict}
	elsewhere := f.Elsewhere.Level != "" && f.Elsewhere.Level.AtLeast(verdict.Need)
	switch reachable := f.Reachable.AtLeast(verdict.Need) || elsewhere && !signedInFor(f); {
	case !reachable && verdict.Rule == sp.RuleProfileAddr: // a factor that is set up from there would prove nothing
		return Step{Kind: StepRefuse, Reason: ruleReason(f, verdict), Verdict: verdict}
	case !reachable && !f.Enrols:
		step = refuse(ReasonLevel, levelText(elsewhere))
		step.Verdict = verdict
		return step
	case !f.Session.Begun(verdict.AuthAfter):
	case f.Second:
		step.Kind = StepFactor
	case !reachable:
		step.Kind = StepEnrol
	}
	return interact(f, step)
}

// signedInFor tells whether the person signed in for this very request: what they could have chosen then, and did not, or what was too
// weak, is not asked of them again, or they would be asked for ever. A visit to a page of ours is another request after each sign-in.
func signedInFor(f *Facts) bool {
	since := f.Request.Created
	if f.Request.Protocol == BuiltinProtocol {
		since = since.Add(-visitSignIn)
	}
	return !f.Session.AuthAt().Before(since)
}

// visitSignIn is how long after a sign-in the visit that it was for comes at the latest.
const visitSignIn = time.Minute

func levelText(elsewhere bool) string {
	if elsewhere {
		return "This app needs a stronger sign-in than the one you just made. Open the app again and sign in with a second factor at another organisation, or ask your administrator to set one up for you here."
	}
	return "This app needs a stronger sign-in than your account is set up for. Ask your administrator to set up a second factor for you."
}

// interact is the step itself, or the refusal when the request forbids every page (IsPassive, prompt=none).
func interact(f *Facts, step Step) Step {
	if !f.Request.Passive || f.Elsewhere.Alone && step.Kind == StepSignIn {
		return step
	}
	refused := refuse(ReasonNoPassive, "The app asked to sign you in without showing a page, and that is not possible now. Open the app again.")
	refused.Verdict = step.Verdict
	return refused
}

func refuse(reason, text string) Step {
	return Step{Kind: StepRefuse, Reason: Reason{Type: reason, Text: text}}
}

// Access is what the policy weighs of the facts; Session and User must be there.
func Access(f *Facts) sp.Access {
	a := sp.Access{
		State:   f.App.State,
		Person:  person(f.User),
		Session: sp.Evidence{Level: sp.Level(f.Session.Level), AuthAt: f.Session.AuthAt(), HighAt: f.Session.ProvedAt(session.High)},
		Grace:   !f.Second && f.Now.Before(f.PutOff),
		Asked:   sp.Demand(f.Request.Demand),
		Refresh: f.Refresh,
		Strict:  f.Strict,
		Address: f.Address,
		Now:     f.Now,
	}
	if f.Profile != nil {
		a.ProfileRanges = f.Profile.IPRanges
		if f.Profile.LoginHours != nil {
			a.Hours = f.Profile.LoginHours
		}
	}
	if f.Access != nil {
		a.Granted = f.Access.Until
	}
	return a
}

func person(u *directory.User) sp.Person {
	return sp.Person{ID: u.ID, Active: !u.Disabled, Profile: u.Profile, PermissionSets: u.PermissionSets, Groups: u.Groups}
}

// ruleReason words the policy's refusal for the person; the rules themselves go to the audit.
func ruleReason(f *Facts, verdict sp.Verdict) Reason {
	reason := Reason{
		Type: string(verdict.Rule), Text: ruleTexts[verdict.Rule], Detail: f.App.Policy.Inputs(Access(f), verdict.Rule),
	}
	if verdict.Rule == sp.RulePermitted && askable(f) {
		reason.Text = "You are not among the people who may use this app. Choose “Ask for an app” in Gatehouse to ask for access."
	}
	return reason
}

var ruleTexts = map[sp.Rule]string{
	sp.RuleAppState:      "This app cannot be used now. Ask your administrator.",
	sp.RuleUserActive:    "Your account is disabled. Ask your administrator to enable it.",
	sp.RuleWindow:        "This app is not open at this time. Ask your administrator when it is.",
	sp.RuleHours:         "Your account cannot be used at this time of the week. Try again in your working hours, or ask your administrator.",
	sp.RulePermitted:     "You are not among the people who may use this app. Ask your administrator for access.",
	sp.RuleAppAddress:    "This app cannot be used from your network. Connect to your organisation's network and try again.",
	sp.RuleProfileAddr:   "Your account cannot be used from your network. Connect to your organisation's network and try again.",
	sp.RuleRefresh:       "This app has to ask you to sign in again. Open it again.",
	sp.RuleLevel:         "This app needs a stronger sign-in than yours. Sign out, sign in with a second factor and try again.",
	sp.RuleAuthFreshness: "This app needs a more recent sign-in. Sign out and open the app again.",
}
