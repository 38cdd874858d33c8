package flow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/grants"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
)

// Decision is an approver's word on a request. A Span that says nothing grants what was wanted; Text is plain text of at most
// grants.MaxText characters and may be empty.
type Decision struct {
	Request string // id
	Approve bool
	Span    grants.Span
	Text    string
	By      string // user id, or who acts on the socket
}

// DecideAs is Decide for the person who sends a request, who must be an approver of the app at this moment.
func (e *Engine) DecideAs(r *http.Request, answer Decision) (grants.Request, error) {
	var request grants.Request
	err := e.Store.Update(r.Context(), func(tx store.Tx) error {
		visitor, err := e.here(tx, r)
		if err != nil {
			return err
		}
		answer.By = visitor.User.ID
		if err := e.mayAnswer(tx, answer); err != nil {
			return err
		}
		var event audit.Event
		if request, event, err = e.Decide(tx, answer); err != nil {
			return err
		}
		return e.tell(tx, r, visitor, event)
	})
	return request, err
}

func (e *Engine) mayAnswer(tx store.Tx, answer Decision) error {
	request, err := requestOf(tx, answer.Request)
	if err != nil || request.User == answer.By {
		return err // Decide says why not
	}
	app, _, err := e.facts.apps.Get(tx, sp.Apps, request.App)
	if err := absent(err); err != nil {
		return err
	}
	if app == nil || !slices.Contains(app.Policy.Approvers, answer.By) {
		return refusal(http.StatusForbidden, "not_approver", "request", "You do not answer requests for this app, so nothing was changed. Ask an administrator if you should.")
	}
	return nil
}

// Decide decides an open request inside the caller's transaction, and returns it with the event that tells of it: on a yes the
// grant is stored and holds at the person's next request. Whether By may answer at all is the caller's to check, but nobody
// answers their own request. A refusal is a *web.Error whose Field is "request", "for", "until" or "text".
func (e *Engine) Decide(tx store.Tx, answer Decision) (grants.Request, audit.Event, error) {
	request, err := requestOf(tx, answer.Request)
	if err != nil {
		return request, audit.Event{}, err
	}
	if request.User == answer.By {
		return request, audit.Event{}, refusal(http.StatusForbidden, "own_request", "request", "This is your own request: another approver has to answer it.")
	}
	if request.Answer, err = plainText("text", answer.Text); err != nil {
		return request, audit.Event{}, err
	}
	event := audit.Event{Kind: "access.deny", User: request.User, App: request.App, Facts: map[string]string{"request": request.ID}}
	if request.Answer != "" {
		event.Facts["text"] = request.Answer
	}
	state := grants.Denied
	if answer.Approve {
		state, event.Kind = grants.Approved, "access.approve"
	}
	if err := request.Close(state, answer.By, e.Now()); err != nil {
		return request, event, closedError(err)
	}
	if answer.Approve {
		if err := e.grant(tx, &request, answer.Span); err != nil {
			return request, event, err
		}
		event.Facts["until"] = request.Until.UTC().Format(time.RFC3339)
	}
	return request, event, grants.Requests.Put(tx, &request)
}

// grant stores the access that an approved request gives.
func (e *Engine) grant(tx store.Tx, request *grants.Request, span grants.Span) error {
	if span.IsZero() {
		span = request.Wanted
	}
	until, err := span.End(request.Decided)
	if err != nil {
		return spanError(span, err)
	}
	if err := e.canBeGranted(tx, request); err != nil {
		return err
	}
	before, _, err := grants.Accesses.Get(tx, grants.Pair(request.User, request.App))
	if err := absent(err); err != nil {
		return err
	}
	if before.User != "" && !before.Until.After(request.Decided) {
		if err := e.end(tx, &before); err != nil { // the job has not come to it yet
			return err
		}
	}
	request.Until = until
	return grants.Accesses.Put(tx, &grants.Access{
		User: request.User, App: request.App, From: request.Decided, Until: until, By: request.By, Request: request.ID,
	})
}

// canBeGranted refuses a grant that would let nobody in, or in nowhere.
func (e *Engine) canBeGranted(tx store.Tx, request *grants.Request) error {
	app, _, err := e.facts.apps.Get(tx, sp.Apps, request.App)
	if err := absent(err); err != nil {
		return err
	}
	if app == nil || app.State != sp.Active {
		return refusal(http.StatusConflict, "app_not_active", "request", "The app is not open now, so nobody can be let in: have it unblocked first, or deny the request.")
	}
	user, _, err := e.facts.users.Get(tx, directory.Users, request.User)
	if err := absent(err); err != nil {
		return err
	}
	if user == nil || user.Disabled {
		return refusal(http.StatusConflict, "user_not_active", "request", "The account of %s is not active, so it cannot be let in: have it enabled first, or deny the request.", nameOf(user, request.User))
	}
	return nil
}

// Revoke ends somebody's access on request before its time, inside the caller's transaction, and returns it with the event that
// tells of it. A *web.Error says that there is none.
func (e *Engine) Revoke(tx store.Tx, user, app string) (grants.Access, audit.Event, error) {
	access, _, err := grants.Accesses.Get(tx, grants.Pair(user, app))
	if err := absent(err); err != nil {
		return access, audit.Event{}, err
	}
	if access.User == "" || !access.Until.After(e.Now()) {
		return access, audit.Event{}, refusal(http.StatusNotFound, "not_found", "user", "This person has no access to the app on request: list the grants to see who has.")
	}
	left, err := e.takeAway(tx, &access)
	return access, audit.Event{
		Kind: "access.revoke", User: user, App: app,
		Facts: map[string]string{"request": access.Request, "until": access.Until.UTC().Format(time.RFC3339), "sessions": strconv.Itoa(left)},
	}, err
}

// takeAway removes a grant, and the app from the person's sessions unless something else permits them. It returns from how many.
func (e *Engine) takeAway(tx store.Tx, access *grants.Access) (int, error) {
	if err := grants.Accesses.Delete(tx, grants.Pair(access.User, access.App)); err != nil {
		return 0, err
	}
	facts, err := e.Suppose(tx, Supposition{User: access.User, App: access.App, At: e.Now()})
	if err != nil || facts.App != nil && facts.User != nil && permitted(facts) {
		return 0, err
	}
	left, err := Withdraw(tx, Scope{User: access.User, App: access.App})
	return len(left), err
}

func permitted(f *Facts) bool {
	return slices.Contains(f.App.Policy.Decide(Access(f)).Rules, sp.Weighed{Rule: sp.RulePermitted, Outcome: sp.Allow})
}

// Inbox is what waits for an approver.
type Inbox struct {
	Asking   bool // there are apps that can be asked for
	Approves bool // the person answers for an app
	Waiting  []Waiting
}

// Waiting is an open request with the app and the person, both read-only; Person is nil when the person is gone.
type Waiting struct {
	grants.Request
	App    *sp.App
	Person *directory.User
}

// InboxLimit is how many requests an Inbox holds at most.
const InboxLimit = 100

// Inbox lists the open requests for the apps that a person answers for, the oldest first, without their own.
func (e *Engine) Inbox(ctx context.Context, user string) (Inbox, error) {
	var inbox Inbox
	err := e.Store.View(ctx, func(tx store.Tx) error {
		inbox = Inbox{}
		n, err := sp.Apps.Count(tx, store.Page{Index: "approver"}, 1)
		if inbox.Asking = n > 0; err != nil || n == 0 {
			return err
		}
		return e.facts.apps.Each(tx, sp.Apps, store.Page{Index: "approver", Value: user}, func(app *sp.App) error {
			inbox.Approves = true
			return e.waitFor(tx, app, user, &inbox)
		})
	})
	slices.SortFunc(inbox.Waiting, func(a, b Waiting) int { return strings.Compare(a.ID, b.ID) })
	inbox.Waiting = inbox.Waiting[:min(len(inbox.Waiting), InboxLimit)]
	return inbox, err
}

func (e *Engine) waitFor(tx store.Tx, app *sp.App, user string, inbox *Inbox) error {
	n := 0
	return grants.Requests.Each(tx, store.Page{Index: "open_app", Value: app.ID}, func(_ string, one *grants.Request) error {
		if n == InboxLimit {
			return store.ErrStop
		}
		if one.User == user || one.StateAt(e.Now()) != grants.Asked {
			return nil
		}
		person, _, err := e.facts.users.Get(tx, directory.Users, one.User)
		if err := absent(err); err != nil {
			return err
		}
		inbox.Waiting = append(inbox.Waiting, Waiting{Request: *one, App: app, Person: person})
		n++
		return nil
	})
}

// endBatch bounds one Update of EndDue, so that sign-ons do not wait behind it.
const endBatch = 100

// EndDue removes access that has ended and closes requests that nobody answered in time, each with an audit entry.
func (e *Engine) EndDue(ctx context.Context) error {
	for more := true; more; {
		err := e.Store.Update(ctx, func(tx store.Tx) error {
			now := e.Now()
			ended, err := due(tx, grants.Accesses, "until", func(a *grants.Access) bool { return !a.Until.After(now) }, e.end)
			if err != nil {
				return err
			}
			expired, err := due(tx, grants.Requests, "due", func(r *grants.Request) bool { return !r.Due().After(now) }, e.expire)
			more = ended == endBatch || expired == endBatch
			return err
		})
		if err != nil {
			return fmt.Errorf("ending access on request: %w", err)
		}
	}
	return nil
}

// due calls fn for the first records of an index in the order of time, as long as they are over, at most endBatch of them.
func due[T any](tx store.Tx, table *store.Table[T], index string, over func(*T) bool, fn func(store.Tx, *T) error) (int, error) {
	var all []T
	err := table.Each(tx, store.Page{Index: index}, func(_ string, one *T) error {
		if len(all) == endBatch || !over(one) {
			return store.ErrStop
		}
		all = append(all, *one)
		return nil
	})
	for i := range all {
		err = cmp.Or(err, fn(tx, &all[i]))
	}
	return len(all), err
}

// end removes a grant whose time is over, with its audit entry.
func (e *Engine) end(tx store.Tx, access *grants.Access) error {
	left, err := e.takeAway(tx, access)
	if err != nil {
		return err
	}
	_, err = e.Audit.Append(tx, audit.Event{
		Kind: "access.end", Outcome: audit.OK, Actor: "system", User: access.User, App: access.App,
		Facts: map[string]string{"request": access.Request, "until": access.Until.UTC().Format(time.RFC3339), "sessions": strconv.Itoa(left)},
	})
	return err
}

// expire closes a request that nobody answered in time, with its audit entry.
func (e *Engine) expire(tx store.Tx, request *grants.Request) error {
	if err := request.Close(grants.Expired, "system", request.Due()); err != nil {
		return err
	}
	if err := grants.Requests.Put(tx, request); err != nil {
		return err
	}
	_, err := e.Audit.Append(tx, audit.Event{
		Kind: "access.expire", Outcome: audit.OK, Actor: "system", User: request.User, App: request.App, Facts: map[string]string{"request": request.ID},
	})
	return err
}

func refusal(status int, reason, field, format string, args ...any) error {
	return &web.Error{Status: status, Reason: reason, Field: field, Text: fmt.Sprintf(format, args...)}
}

func spanError(span grants.Span, err error) error {
	field := "for"
	if !span.Until.IsZero() {
		field = "until"
	}
	text := err.Error()
	return refusal(http.StatusBadRequest, "bad_value", field, "%s%s.", strings.ToUpper(text[:1]), text[1:])
}

// closedError words that a request cannot be answered or withdrawn any more.
func closedError(err error) error {
	var closed *grants.ClosedError
	if !errors.As(err, &closed) {
		return err
	}
	return refusal(http.StatusConflict, "answered_already", "request", "This request %s, so nothing was changed.", map[grants.State]string{
		grants.Approved: "was approved already", grants.Denied: "was denied already",
		grants.Withdrawn: "was withdrawn by who asked", grants.Expired: "expired, because nobody answered it in time",
	}[closed.State])
}
