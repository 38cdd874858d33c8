package flow

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"gatehouse/idp/audit"
	"gatehouse/idp/session"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
	"gatehouse/templates"
)

// finish ends the road in one Update: if nothing that the decision rests on has changed, it runs the answer's commit, marks
// the request as answered, adds the app to the session, appends the audit entry and removes the waiting request. Only after
// the commit is the answer written.
func (e *Engine) finish(w http.ResponseWriter, r *http.Request, facts *Facts, seen *seen, step Step) error {
	protocol := e.Protocols[facts.Request.Protocol]
	if protocol == nil {
		return fmt.Errorf("no protocol %q", facts.Request.Protocol)
	}
	pass := e.pass(facts, step)
	answer, err := e.ask(r, protocol, pass, step)
	if err != nil {
		return err
	}
	err = e.Store.Update(r.Context(), func(tx store.Tx) error {
		return e.commit(tx, pass, seen, answer)
	})
	switch {
	case errors.Is(err, ErrReplayed):
		return e.replayed(r, pass)
	case err != nil:
		return err
	}
	return answer.Write(w, r)
}

// ask has the protocol build its answer. A protocol that cannot issue (no NameID of the asked format, no key to encrypt to)
// says so with a *Reason error, and refuses instead.
func (e *Engine) ask(r *http.Request, protocol Protocol, pass *Pass, step Step) (Answer, error) {
	if step.Kind == StepIssue {
		answer, err := protocol.Issue(r.Context(), pass)
		var cannot *CannotIssue
		if !errors.As(err, &cannot) {
			return answer, err
		}
		step.Reason = cannot.Reason
		pass.Event.Outcome, pass.Reached = audit.Refused, nil
	}
	e.describe(pass.Event, step.Reason)
	return protocol.Refuse(r.Context(), pass, step.Reason)
}

// CannotIssue is what Protocol.Issue returns when it must refuse after all, with the reason to refuse for.
type CannotIssue struct{ Reason Reason }

func (e *CannotIssue) Error() string { return e.Reason.Type }

func (e *Engine) pass(facts *Facts, step Step) *Pass {
	event := &audit.Event{
		Kind: "signon", Outcome: audit.OK, App: facts.Request.App, Address: facts.Address.String(),
		Facts: map[string]string{"protocol": facts.Request.Protocol, "start": facts.Request.Start},
	}
	pass := &Pass{Facts: facts, Verdict: step.Verdict, Event: event}
	if facts.User != nil {
		event.User, event.Actor = facts.User.ID, facts.User.ID
	}
	if facts.Session != nil {
		event.Facts["session"] = facts.Session.Handle
	}
	if step.Kind == StepIssue {
		pass.Reached = &session.AppReached{App: facts.Request.App, At: facts.Now}
		return pass
	}
	event.Outcome = audit.Refused
	if len(step.Verdict.Rules) > 0 {
		event.Facts[RulesFact] = RulesOf(step.Verdict)
	}
	return pass
}

// RulesFact is the fact of a refusal's audit entry that lists every rule weighed with its outcome, in their order.
const RulesFact = "rules"

// RulesOf writes the rules of a verdict as RulesFact holds them.
func RulesOf(verdict sp.Verdict) string {
	texts := make([]string, len(verdict.Rules))
	for i, weighed := range verdict.Rules {
		texts[i] = string(weighed.Rule) + " " + string(weighed.Outcome)
	}
	return strings.Join(texts, ", ")
}

func (e *Engine) describe(event *audit.Event, reason Reason) {
	event.Reason, event.Detail = reason.Type, reason.Detail
	for key, value := range reason.Facts {
		event.Facts[key] = value
	}
}

// ErrReplayed says that a message was acted on before.
var ErrReplayed = errors.New("the message was acted on before")

func (e *Engine) commit(tx store.Tx, pass *Pass, seen *seen, answer Answer) error {
	current, err := seen.unchanged(tx, pass.Facts)
	if err != nil {
		return err
	}
	if err := Once(tx, pass.Request.Once, pass.Request.OnceUntil); err != nil {
		return err
	}
	if answer.Commit != nil {
		if err := answer.Commit(tx); err != nil {
			return err
		}
	}
	if pass.Reached != nil {
		if err := e.Sessions.AddApp(tx, current, *pass.Reached); err != nil {
			return err
		}
	}
	if err := e.appendEvent(tx, pass); err != nil {
		return err
	}
	if pass.Request.ID == "" {
		return nil
	}
	return Requests.Delete(tx, pass.Request.ID)
}

// appendEvent writes the audit entry; those of refusals are bounded.
func (e *Engine) appendEvent(tx store.Tx, pass *Pass) (err error) {
	pass.Event.Code, err = e.Traced(tx, *pass.Event)
	return err
}

// Once marks a message as acted on, inside the transaction that acts; an empty name marks nothing. ErrReplayed: it was marked before.
func Once(tx store.Tx, name string, until time.Time) error {
	if name == "" {
		return nil
	}
	revision, err := AnsweredOnce.Revision(tx, name)
	if err != nil {
		return err
	}
	if revision != 0 {
		return ErrReplayed
	}
	return AnsweredOnce.Put(tx, &Answered{Name: name, Until: until})
}

func (e *Engine) replayed(r *http.Request, pass *Pass) error {
	return e.Halt(r, pass.Request.App, "signon", Reason{
		Type: ReasonReplay,
		Text: "This sign-in was answered already. Go back to the app and start again there.",
	})
}

// Page is the answer of a refusal that stays here, as every protocol words it: a page with the reason and the audit code.
// Status is 403. Who may ask for the app finds the way there.
func Page(pass *Pass, reason Reason) Answer {
	return Answer{Write: func(http.ResponseWriter, *http.Request) error {
		refused := &web.Error{
			Status: http.StatusForbidden, Reason: reason.Type, Text: reason.Text, Code: pass.Event.Code, Err: reason.Err,
			Heading: "You cannot open this app",
		}
		if reason.Type == string(sp.RulePermitted) && askable(pass.Facts) {
			refused.Links = []templates.Link{{Label: "Ask for access", Href: AskHref(pass.App.ID)}}
		}
		return refused
	}}
}
