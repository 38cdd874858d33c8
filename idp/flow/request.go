package flow

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/grants"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
)

// Wish is what a person asks for: an app id, why (plain text of 1 to grants.MaxText characters), and for how long.
type Wish struct {
	App  string
	Why  string
	Span grants.Span
}

// CanAsk tells whether a visitor may ask for an app: it has approvers, and all that keeps the visitor out is that they are not
// among the permitted users.
func CanAsk(visitor *Facts, app *sp.App) bool {
	facts := at(visitor, app)
	step := Next(facts)
	return step.Kind == StepRefuse && step.Reason.Type == string(sp.RulePermitted) && askable(facts)
}

// askable is CanAsk for somebody who is refused because they are not permitted: would a grant let them in?
func askable(f *Facts) bool {
	policy := &f.App.Policy
	if len(policy.Approvers) == 0 || policy.PermittedUsers != sp.PermitPreauthorized || IsBuiltin(f.App.ID) {
		return false
	}
	granted := *f
	granted.Access = &grants.Access{Until: f.Now.Add(grants.MinSpan)}
	return Next(&granted).Kind != StepRefuse
}

// AskHref is where a person asks for an app.
func AskHref(app string) string { return "/ask/" + app }

// AppsToAskFor lists the apps that a visitor may ask for, by name. The records are read-only.
func (e *Engine) AppsToAskFor(ctx context.Context, visitor *Facts) ([]*sp.App, error) {
	var apps []*sp.App
	err := e.Store.View(ctx, func(tx store.Tx) error {
		apps = nil
		return e.facts.apps.Each(tx, sp.Apps, store.Page{Index: "askable", Value: sp.Askable}, func(app *sp.App) error {
			if CanAsk(visitor, app) {
				apps = append(apps, app)
			}
			return nil
		})
	})
	slices.SortFunc(apps, func(a, b *sp.App) int {
		return cmp.Or(strings.Compare(strings.ToLower(a.Definition.Name), strings.ToLower(b.Definition.Name)), strings.Compare(a.ID, b.ID))
	})
	return apps, err
}

// Ask stores the wish of the person who sends a request, with its audit entry. A refusal is a *web.Error whose Field is "app",
// "why", "for" or "until".
func (e *Engine) Ask(r *http.Request, wish Wish) (grants.Request, error) {
	var asked grants.Request
	why, err := plainText("why", wish.Why)
	if err == nil && why == "" {
		err = refusal(http.StatusBadRequest, "bad_value", "why", "Say why you need the app, so that the approver can decide.")
	}
	if err != nil {
		return asked, err
	}
	wish.Why = why
	err = e.Store.Update(r.Context(), func(tx store.Tx) error {
		visitor, err := e.here(tx, r)
		if err != nil {
			return err
		}
		if asked, err = e.wish(tx, visitor, wish); err != nil {
			return err
		}
		return e.tell(tx, r, visitor, audit.Event{
			Kind: "access.ask", User: asked.User, App: asked.App,
			Facts: map[string]string{"request": asked.ID, "wanted": asked.Wanted.String(), "why": asked.Why},
		})
	})
	return asked, err
}

func (e *Engine) wish(tx store.Tx, visitor *Facts, wish Wish) (grants.Request, error) {
	app, _, err := e.facts.apps.Get(tx, sp.Apps, wish.App)
	if err := absent(err); err != nil {
		return grants.Request{}, err
	}
	switch {
	case app == nil || IsBuiltin(app.ID) || app.State != sp.Active:
		return grants.Request{}, refusal(http.StatusNotFound, "not_found", "app", "There is no such app to ask for. Choose one from the list.")
	case CanAsk(visitor, app):
	case Opens(visitor, app):
		return grants.Request{}, refusal(http.StatusConflict, "permitted_already", "app", "You may use %s already: open it.", app.Definition.Name)
	default:
		return grants.Request{}, refusal(http.StatusForbidden, "cannot_ask", "app", "%s cannot be asked for now. Choose one from the list, or ask your administrator.", app.Definition.Name)
	}
	if _, err := wish.Span.End(visitor.Now); err != nil {
		return grants.Request{}, spanError(wish.Span, err)
	}
	if err := e.roomToAsk(tx, visitor, app); err != nil {
		return grants.Request{}, err
	}
	asked := grants.Request{
		ID: grants.NewRequestID(visitor.Now), User: visitor.User.ID, App: app.ID, Why: wish.Why, Asked: visitor.Now,
		Wanted: wish.Span, State: grants.Asked,
	}
	return asked, grants.Requests.Put(tx, &asked)
}

// roomToAsk refuses a second open request for an app, and more than a person may have open or make in a day.
func (e *Engine) roomToAsk(tx store.Tx, visitor *Facts, app *sp.App) error {
	user := visitor.User.ID
	same, _, err := grants.Requests.By(tx, "open", grants.Pair(user, app.ID))
	if err := absent(err); err != nil {
		return err
	}
	if same.ID != "" && same.StateAt(visitor.Now) == grants.Asked {
		return refusal(http.StatusConflict, "asked_already", "app", "You asked for %s already: wait for the answer, or withdraw that request first.", app.Definition.Name)
	}
	if same.ID != "" {
		if err := e.expire(tx, &same); err != nil {
			return err
		}
	}
	open, err := grants.Requests.Count(tx, store.Page{Index: "open_user", Value: user}, 0)
	if err != nil {
		return err
	}
	if open >= grants.MaxOpen {
		return refusal(http.StatusConflict, "too_many_requests", "app", "You have %d open requests, which is the most: wait for an answer, or withdraw one.", open)
	}
	today := 0
	err = grants.Requests.Each(tx, store.Page{Index: "user", Value: user, Reverse: true}, func(_ string, one *grants.Request) error {
		if one.Asked.Before(visitor.Now.Add(-24*time.Hour)) || today == grants.MaxDaily {
			return store.ErrStop
		}
		today++
		return nil
	})
	if err == nil && today >= grants.MaxDaily {
		err = refusal(http.StatusTooManyRequests, "too_many_requests", "app", "You asked %d times within a day, which is the most: try again tomorrow.", today)
	}
	return err
}

// TakeBack withdraws an open request of the person who sends a request, with its audit entry.
func (e *Engine) TakeBack(r *http.Request, id string) error {
	return e.Store.Update(r.Context(), func(tx store.Tx) error {
		visitor, err := e.here(tx, r)
		if err != nil {
			return err
		}
		request, err := requestOf(tx, id)
		if err != nil {
			return err
		}
		if request.User != visitor.User.ID {
			return noRequest()
		}
		if err := request.Close(grants.Withdrawn, visitor.User.ID, visitor.Now); err != nil {
			return closedError(err)
		}
		if err := grants.Requests.Put(tx, &request); err != nil {
			return err
		}
		return e.tell(tx, r, visitor, audit.Event{
			Kind: "access.withdraw", User: request.User, App: request.App, Facts: map[string]string{"request": request.ID},
		})
	})
}

// here reads, inside the caller's Update, who sends a request, and refuses one who may not be in the portal any more.
func (e *Engine) here(tx store.Tx, r *http.Request) (*Facts, error) {
	facts := &Facts{
		Request: &Request{Protocol: BuiltinProtocol, App: Portal}, Address: web.Of(r).Address, Now: e.Now(), Reachable: e.Reachable,
	}
	found := &seen{}
	if err := e.loadSession(tx, e.Cookies.Get(r, web.SessionCookie), facts, found); err != nil {
		return nil, err
	}
	if err := e.loadRecords(tx, facts, found); err != nil {
		return nil, err
	}
	if Next(facts).Kind != StepIssue {
		return nil, refusal(http.StatusForbidden, "not_signed_in", "", "You are not signed in any more, so nothing was changed. Sign in and try again.")
	}
	var err error
	facts.Granted, _, err = grants.Accesses.List(tx, store.Page{Index: "user", Value: facts.User.ID})
	return facts, err
}

// tell appends the audit entry of what the visitor did.
func (e *Engine) tell(tx store.Tx, r *http.Request, visitor *Facts, event audit.Event) error {
	event.Outcome, event.Actor, event.Address = audit.OK, visitor.User.ID, web.Of(r).AddressText()
	event.Facts["session"] = visitor.Session.Handle
	_, err := e.Audit.Append(tx, event)
	return err
}

func requestOf(tx store.Tx, id string) (grants.Request, error) {
	request, _, err := grants.Requests.Get(tx, id)
	if errors.Is(err, store.ErrNotFound) {
		return request, noRequest()
	}
	return request, err
}

func noRequest() error {
	return refusal(http.StatusNotFound, "not_found", "request", "There is no such request. Go back to the list and choose one.")
}

// plainText is what a person wrote for another to read: without blanks at its ends, at most grants.MaxText characters, and
// nothing in it that steers a terminal or turns the reading direction round.
func plainText(field, text string) (string, error) {
	text = strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n"))
	switch {
	case !utf8.ValidString(text) || strings.ContainsFunc(text, steers):
		return "", refusal(http.StatusBadRequest, "bad_value", field, "The text holds characters that cannot be shown: type it again.")
	case utf8.RuneCountInString(text) > grants.MaxText:
		return "", refusal(http.StatusBadRequest, "bad_value", field, "The text is too long: use at most %d characters.", grants.MaxText)
	}
	return text, nil
}

func steers(r rune) bool {
	return unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
}

// nameOf is the person's user name, or the id of one who is gone.
func nameOf(user *directory.User, id string) string {
	if user == nil {
		return id
	}
	return user.Name
}
