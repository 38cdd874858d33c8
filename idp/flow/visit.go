package flow

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/grants"
	"gatehouse/idp/session"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
)

// Visitor returns the facts about whoever sends a request, for pages that show what the person may do. Session and User are
// nil when nobody is signed in; there is no app.
func (e *Engine) Visitor(r *http.Request) (*Facts, error) {
	facts, _, err := e.load(r, &Request{})
	if err != nil || facts.User == nil {
		return facts, err
	}
	err = e.Store.View(r.Context(), func(tx store.Tx) (err error) {
		facts.Granted, _, err = grants.Accesses.List(tx, store.Page{Index: "user", Value: facts.User.ID})
		return err
	})
	return facts, err
}

// at are the visitor's facts at an app.
func at(visitor *Facts, app *sp.App) *Facts {
	facts := *visitor
	facts.App = app
	for i := range visitor.Granted {
		if visitor.Granted[i].App == app.ID {
			facts.Access = &visitor.Granted[i]
		}
	}
	return &facts
}

// Opens tells whether a click on an app would lead the visitor into it, perhaps over a stronger sign-in.
func Opens(visitor *Facts, app *sp.App) bool {
	return Next(at(visitor, app)).Kind != StepRefuse
}

// Candidates are the ids of the active apps whose policy names a person, or permits everybody, and of those that they were granted
// on request: sorted, each once, without the built-in ones. Whether one opens is for Next to say.
func (e *Engine) Candidates(tx store.Tx, user *directory.User) ([]string, error) {
	var ids []string
	person := person(user)
	for _, audience := range person.Audiences() {
		err := e.facts.apps.Each(tx, sp.Apps, store.Page{Index: "audience", Value: audience}, func(app *sp.App) error {
			ids = append(ids, app.ID)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	err := grants.Accesses.Each(tx, store.Page{Index: "user", Value: user.ID}, func(_ string, access *grants.Access) error {
		ids = append(ids, access.App)
		return nil
	})
	ids = slices.DeleteFunc(ids, IsBuiltin)
	slices.Sort(ids)
	return slices.Compact(ids), err
}

// AppsFor lists the active apps that a click of the visitor would lead into, perhaps over a stronger sign-in. The records are
// read-only.
func (e *Engine) AppsFor(ctx context.Context, visitor *Facts) ([]*sp.App, error) {
	var apps []*sp.App
	err := e.Store.View(ctx, func(tx store.Tx) error {
		apps = nil
		ids, err := e.Candidates(tx, visitor.User)
		if err != nil {
			return err
		}
		for _, id := range ids {
			app, _, err := e.facts.apps.Get(tx, sp.Apps, id)
			if err := absent(err); err != nil {
				return err
			}
			if app != nil && Opens(visitor, app) {
				apps = append(apps, app)
			}
		}
		return nil
	})
	return apps, err
}

// FreshFor is how old a sign-in may be to change the ways to sign in.
const FreshFor = 10 * time.Minute

// Fresh returns the facts of a person who proved within FreshFor who they are, as strongly as they can, and who may use the account
// page from where they are. Else it sends the browser to the step that is missing and then to path, and returns nil.
func (e *Engine) Fresh(w http.ResponseWriter, r *http.Request, path string) (*Facts, error) {
	visitor, err := e.Visitor(r)
	if err != nil {
		return nil, err
	}
	request := Visit(Account, path)
	if visitor.Session == nil || visitor.User == nil {
		return nil, e.wait(w, r, &request, "", Step{Kind: StepSignIn})
	}
	app, err := e.AppOf(r.Context(), Account)
	if err != nil {
		return nil, err
	}
	if step := Next(at(visitor, app)); step.Kind == StepRefuse {
		return nil, e.Halt(r, Account, "factor", step.Reason)
	}
	need := sp.Verdict{Need: sp.Standard, AuthAfter: visitor.Now.Add(-FreshFor)}
	if visitor.Second {
		need.Need = sp.High
	}
	if !visitor.Session.ProvedAt(session.Level(need.Need)).Before(need.AuthAfter) {
		return visitor, nil
	}
	visitor.Request = &request
	return nil, e.wait(w, r, &request, "", stepUp(visitor, need))
}

// Enters tells whether the visitor may be in an app right now, without any further step.
func Enters(visitor *Facts, app *sp.App) bool {
	return Next(at(visitor, app)).Kind == StepIssue
}

// Forbid writes the audit entry of a signed-in person who lacks a permission, and returns the error page.
func (e *Engine) Forbid(r *http.Request, app, permission string) error {
	actor := web.Of(r).Actor
	code, err := e.record(r.Context(), audit.Event{
		Kind: "permission", Outcome: audit.Refused, Reason: "no_permission", Actor: actor.ID, User: actor.ID, App: app,
		Address: web.Of(r).AddressText(), Facts: actor.Sign(map[string]string{"needs": permission, "path": r.URL.Path}),
	})
	if err != nil {
		return err
	}
	return &web.Error{
		Status: http.StatusForbidden, Reason: "no_permission", Code: cmp.Or(code, web.Of(r).ID),
		Text: "Your role does not allow this. Ask an owner of this Gatehouse if you need it.",
	}
}
