package flow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/session"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
)

// Engine walks requests along the road. All fields must be set before the first request.
type Engine struct {
	Store     store.Store
	Sessions  *session.Keeper
	Audit     *audit.Log
	Strangers *audit.Limiter // bounds what refusals before sign-in may write
	Cookies   web.Cookies
	Protocols map[string]Protocol
	Leavers   map[string]Leaver // by protocol
	// ProtocolOf names the protocol that an app would be entered by, for decisions that are only supposed and to sign out of it; nil: none.
	ProtocolOf func(*sp.App) string
	Reachable  sp.Level // the highest level that the configured sign-in methods give
	// Upstream tells what signing in at other identity providers can do, for a person or nil for nobody yet; nil: there are none.
	Upstream func(store.Tx, *directory.Settings, *directory.User) (Elsewhere, error)
	// Party finds another identity provider that people came from by its entity id, as sign-out sees it, or nil; nil: there are none.
	Party func(tx store.Tx, entityID string) (*sp.App, error)
	// Caller finds the person for whom an app calls Gatehouse's own API with an access token; its errors are those of Bearer.
	Caller func(*http.Request) (web.Actor, error)
	Now    func() time.Time

	facts   factCache
	waiting waitingCount
}

// Begin takes a fresh request along the road: it ends at once when no step is missing, else it is stored and the browser is
// sent to the step. The address of the request is filled in here.
func (e *Engine) Begin(w http.ResponseWriter, r *http.Request, request Request) error {
	e.stamp(r, &request)
	return e.walk(w, r, &request, "")
}

// Reject ends a fresh request that the protocol itself must refuse: the app and its reply address are verified, so the
// refusal travels to the app.
func (e *Engine) Reject(w http.ResponseWriter, r *http.Request, request Request, reason Reason) error {
	e.stamp(r, &request)
	return e.retry(w, r, &request, func(facts *Facts, seen *seen) error {
		return e.finish(w, r, facts, seen, Step{Kind: StepRefuse, Reason: reason})
	})
}

// Resume takes a waiting request further: GET /flow/{id}.
func (e *Engine) Resume(w http.ResponseWriter, r *http.Request, token string) error {
	request, err := e.Waiting(w, r, token)
	if err != nil {
		return err
	}
	return e.walk(w, r, request, token)
}

// Consenting returns the facts of a waiting request whose next step is the person's consent; nil when it is another step.
func (e *Engine) Consenting(w http.ResponseWriter, r *http.Request, token string) (*Facts, error) {
	request, err := e.Waiting(w, r, token)
	if err != nil {
		return nil, err
	}
	facts, _, err := e.load(r, request)
	if err != nil || Next(facts).Kind != StepConsent {
		return nil, err
	}
	return facts, nil
}

// Cancel ends a waiting request because the person gave up; the app is told where its protocol allows it.
func (e *Engine) Cancel(w http.ResponseWriter, r *http.Request, token string) error {
	return e.Decline(w, r, token, Reason{Type: ReasonCancelled, Text: "The sign-in was cancelled. Open the app again when you want to use it."})
}

// Decline ends a waiting request because a step of it cannot be done; the app is told where its protocol allows it.
func (e *Engine) Decline(w http.ResponseWriter, r *http.Request, token string, reason Reason) error {
	request, err := e.Waiting(w, r, token)
	if err != nil {
		return err
	}
	return e.retry(w, r, request, func(facts *Facts, seen *seen) error {
		return e.finish(w, r, facts, seen, Step{Kind: StepRefuse, Reason: reason})
	})
}

// Admit decides on a visit to a built-in app without ending in an answer: nil facts mean that the person was sent to a step
// (or refused) and the response is written.
func (e *Engine) Admit(w http.ResponseWriter, r *http.Request, request Request) (*Facts, error) {
	e.stamp(r, &request)
	facts, _, err := e.load(r, &request)
	if err != nil {
		return nil, err
	}
	if Next(facts).Kind == StepIssue {
		return facts, e.touch(r.Context(), facts)
	}
	return nil, e.walk(w, r, &request, "")
}

func (e *Engine) stamp(r *http.Request, request *Request) {
	request.Address = web.Of(r).AddressText()
	request.Created = e.Now()
	request.Expires = request.Created.Add(Lifetime)
}

// walk asks Next and acts on it. The token is empty for a request that is not stored.
func (e *Engine) walk(w http.ResponseWriter, r *http.Request, request *Request, token string) error {
	return e.retry(w, r, request, func(facts *Facts, seen *seen) error {
		step := Next(facts)
		switch {
		case step.Blind && e.blind(r) && request.Protocol != BuiltinProtocol:
			return e.bounce(w, r, request)
		case step.Kind == StepIssue || step.Kind == StepRefuse:
			return e.finish(w, r, facts, seen, step)
		}
		return e.wait(w, r, request, token, step)
	})
}

// ErrChanged says that a fact changed between the decision and the finishing transaction. An Answer's Commit returns it
// for facts that only its protocol knows, such as the signing key; the request is then decided again.
var ErrChanged = errors.New("a fact changed since the decision")

// retry reads the facts and lets act decide on them, again when they change under it, three times in all.
func (e *Engine) retry(w http.ResponseWriter, r *http.Request, request *Request, act func(*Facts, *seen) error) error {
	for range 3 {
		facts, seen, err := e.load(r, request)
		if err != nil {
			return err
		}
		if err := act(facts, seen); !errors.Is(err, ErrChanged) {
			return err
		}
	}
	return &web.Error{
		Status: http.StatusServiceUnavailable, Reason: ReasonBusy, RetryAfter: time.Second,
		Text: "Your account or this app is being changed at this moment. Wait a second and try again.",
	}
}

// touch notes that the session is in use, at most once a minute.
func (e *Engine) touch(ctx context.Context, facts *Facts) error {
	if !e.Sessions.NeedsTouch(facts.Session) {
		return nil
	}
	return e.Store.Update(ctx, func(tx store.Tx) error {
		return e.Sessions.Touch(tx, facts.Session.ID)
	})
}

// Halt writes the audit entry of a request that is refused before there is a verified app to answer to, and returns the error
// page with its code.
func (e *Engine) Halt(r *http.Request, app, kind string, reason Reason) error {
	event := audit.Event{
		Kind: kind, Outcome: audit.Refused, Reason: reason.Type, App: app,
		Address: web.Of(r).AddressText(), Detail: reason.Detail, Facts: reason.Facts,
	}
	code, err := e.record(r.Context(), event)
	if err != nil {
		return err
	}
	return &web.Error{Status: http.StatusBadRequest, Reason: reason.Type, Text: reason.Text, Code: cmp.Or(code, web.Of(r).ID), Err: reason.Err}
}

// Bounded turns away a network from which too much was refused within the minute, for what needs no step by a person: other
// servers' messages, and sign-outs. What is taken never counts.
func (e *Engine) Bounded(handle web.HandlerFunc) web.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if wait, flood := e.Strangers.Flood(web.Of(r).AddressText()); flood {
			return &web.Error{
				Status: http.StatusTooManyRequests, Reason: "too_many_refused", RetryAfter: wait,
				Text: "Too many messages from this network were refused. Wait a minute, and correct what sends them.",
			}
		}
		return handle(w, r)
	}
}

// Record writes the audit entry of a request that was refused outside the road: cross-site, too large, not allowed, failed. A
// failing audit is logged with the request, whose own answer must not wait for it.
func (e *Engine) Record(r *http.Request, refused *web.Error) string {
	info := web.Of(r)
	event := audit.Event{
		Kind: "request", Outcome: audit.Refused, Reason: refused.Reason, Actor: info.Actor.ID,
		Address: info.AddressText(), Facts: map[string]string{"method": r.Method, "path": r.URL.Path, "request": info.ID},
	}
	if refused.Status >= http.StatusInternalServerError {
		event.Outcome = audit.Failed
	}
	if refused.Field != "" {
		event.Facts["field"] = refused.Field
	}
	info.Actor.Sign(event.Facts)
	code, err := e.record(r.Context(), event)
	if err != nil {
		refused.Err = errors.Join(refused.Err, err)
	}
	return code
}

// Note writes the audit entry of something that was refused to a stranger, within the bounds for strangers, and in the same
// transaction what else follows from it.
func (e *Engine) Note(ctx context.Context, event audit.Event, also func(store.Tx) error) error {
	single := e.Strangers.Single(event)
	return e.Store.Update(ctx, func(tx store.Tx) error {
		if err := also(tx); err != nil || !single {
			return err
		}
		_, err := e.Audit.Append(tx, event)
		return err
	})
}

// Append writes an audit entry inside the caller's transaction; one of a refusal is bounded as those of strangers are.
func (e *Engine) Append(tx store.Tx, event audit.Event) error {
	_, err := e.Traced(tx, event)
	return err
}

// Traced is Append with the code of the entry, empty when it was folded.
func (e *Engine) Traced(tx store.Tx, event audit.Event) (string, error) {
	if event.Outcome != audit.OK && !e.Strangers.Single(event) {
		return "", nil
	}
	stored, err := e.Audit.Append(tx, event)
	return stored.Code, err
}

// Refused writes the audit entry of what was refused to a client, within the bounds for strangers, and returns its code.
func (e *Engine) Refused(ctx context.Context, event audit.Event) (string, error) {
	return e.record(ctx, event)
}

// record appends a refusal, singly or folded into a counted entry; the code is empty when it was folded. A sender who goes
// away does not take the entry along.
func (e *Engine) record(ctx context.Context, event audit.Event) (string, error) {
	if !e.Strangers.Single(event) {
		return "", nil
	}
	var stored audit.Event
	err := e.Store.Update(context.WithoutCancel(ctx), func(tx store.Tx) (err error) {
		stored, err = e.Audit.Append(tx, event)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("audit of a refusal: %w", err)
	}
	return stored.Code, nil
}
