package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gatehouse/certs"
	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/federation"
	"gatehouse/idp/flow"
	"gatehouse/idp/outbound"
	"gatehouse/idp/recovery"
	"gatehouse/idp/session"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/sp/metadata"
	"gatehouse/store"
)

// Fetcher gets what lies at an address that a person typed in. Its errors are worded for that person.
type Fetcher interface {
	Fetch(ctx context.Context, ask outbound.Ask) ([]byte, error)
}

// IDPMetadata makes the identity provider's own metadata, with an app id the one with that app's keys, and tells which of the
// published keys signs for an app (empty: none can).
type IDPMetadata interface {
	IDPMetadata(ctx context.Context, app string) ([]byte, error)
	SignerOf(app *sp.SAML, published []*certs.Key) string
}

// RenewName gives a person a new persistent name at an app, or ends the old one, and has the app told; false: it cannot be told.
// Without a name it is store.ErrNotFound.
type RenewName func(tx store.Tx, app *sp.App, user *directory.User, end bool) (told bool, err error)

// Actions are the operations, one method each: everything is parsed and checked first, then one Update makes the change and
// appends its audit event. Who may call what is the route table's. Errors for the caller are *web.Error. All fields must be
// set, except CheckSource.
type Actions struct {
	Store        store.Store
	Directory    *directory.Directory
	Factors      *directory.SecondFactors
	Keeper       *session.Keeper
	Audit        *audit.Log
	Keyring      *certs.Keyring
	Fetcher      Fetcher
	Sources      *federation.Keeper
	Metadata     IDPMetadata
	ProviderKeys func(ctx context.Context, provider *federation.OpenID) (int, error) // see Deps
	CheckSource  func(source string) error                                           // of a released attribute: is it a name or a sound expression?
	CheckSector  func(ctx context.Context, uri string, redirects []string) error     // does a sector_identifier_uri name them all?
	RenewName    RenewName
	Desk         *recovery.Desk
	Seal         func(context string, plain []byte) []byte // of bind passwords
	BaseURL      string                                    // public origin
	Engine       *flow.Engine
	Now          func() time.Time
}

// By is who acts, from where: a person, an app for a person, "uid N" on the unix socket, or an API token with its scopes.
type By struct {
	web.Actor
	Address netip.Addr
	Force   bool // make the change even if it shuts its author out, or an app's policy lets nobody in afterwards
	Empty   bool // make it even if an app's policy lets nobody in afterwards
}

// onSocket tells whether the actor came through the unix socket, which roles and lock-out rules do not bind.
func (b By) onSocket() bool { return strings.HasPrefix(b.ID, socketActor) }

const socketActor = "uid "

// isToken tells whether a program acts with a token, which enters no console and so cannot be shut out of it.
func (b By) isToken() bool { return len(b.Scopes) > 0 || b.App != "" }

// allows tells whether the actor's roles or scopes hold a permission.
func (b By) allows(need web.Permission) bool { return Holds(&b.Actor, need) }

// change runs fn in one Update and appends the event that it returns. A change after which its author could no longer enter
// the console is refused. fn may run more than once.
func (a *Actions) change(ctx context.Context, by By, fn func(tx store.Tx) (audit.Event, error)) error {
	return worded(a.Store.Update(ctx, func(tx store.Tx) error {
		event, err := fn(tx)
		if err != nil {
			return err
		}
		if err := a.keepsAuthor(tx, by); err != nil {
			return err
		}
		return a.note(tx, by, event)
	}))
}

// note appends an event of something that was done.
func (a *Actions) note(tx store.Tx, by By, event audit.Event) error {
	event.Actor, event.Outcome, event.Facts = by.ID, audit.OK, by.Sign(event.Facts)
	if by.Address.IsValid() {
		event.Address = by.Address.String()
	}
	_, err := a.Audit.Append(tx, event)
	return err
}

// view runs fn in one View.
func (a *Actions) view(ctx context.Context, fn func(tx store.Tx) error) error {
	return worded(a.Store.View(ctx, fn))
}

// keepsAuthor refuses a change that would keep its author out of the console, unless it is forced. A session that the change
// itself ended is no lock-out: the author can sign in again.
func (a *Actions) keepsAuthor(tx store.Tx, by By) error {
	if by.onSocket() || by.isToken() || by.Force {
		return nil
	}
	user, err := directory.ResolveUser(tx, by.ID)
	if errors.Is(err, store.ErrNotFound) {
		return lockOut("removed")
	}
	if err != nil {
		return err
	}
	facts, err := a.Engine.Suppose(tx, flow.Supposition{User: user.ID, App: flow.Console, Address: by.Address, At: a.Now()})
	if err != nil {
		return err
	}
	if current, _, err := session.Table.Get(tx, by.Session); err == nil {
		facts.Session = &current
	} else if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	step := flow.Next(facts)
	if !IsAdmin(user.Roles) {
		return lockOut("role")
	}
	if step.Kind == flow.StepRefuse {
		return lockOut(step.Reason.Type)
	}
	return nil
}

// lockOut says why the author would be outside.
func lockOut(why string) error {
	return &web.Error{
		Status: http.StatusConflict, Reason: "locks_out_author", Err: errors.New(why),
		Text: "This would shut you yourself out of the console, so nothing was changed. Have somebody else do it, or force it.",
	}
}

// refused is a 4xx that the caller can do something about.
func refused(status int, reason, field, format string, args ...any) *web.Error {
	return &web.Error{Status: status, Reason: reason, Field: field, Text: fmt.Sprintf(format, args...)}
}

func badValue(field, format string, args ...any) *web.Error {
	return refused(http.StatusBadRequest, "bad_value", field, format, args...)
}

// worded gives the errors of the packages below their public form; what it does not know stays internal.
func worded(err error) error {
	var public *web.Error
	var setting *sp.SettingError
	var state *sp.StateError
	var parse *metadata.Error
	var taken *store.ConflictError
	var fetched *federation.Error
	var field *directory.FieldError
	var source *directory.SourceError
	var unsafe *directory.RefusedError
	var input *directory.InputError
	var missing *directory.MissingError
	var held *directory.HeldError
	var person *directory.TakenError
	var owner *directory.OwnerError
	switch {
	case err == nil, errors.As(err, &public):
		return err
	case errors.As(err, &setting):
		return badValue(setting.Key, "%s %s", setting.Key, ended(setting.Reason))
	case errors.As(err, &state):
		return refused(http.StatusConflict, "wrong_state", "state", "%s", sentence(state.Error()))
	case errors.Is(err, sp.ErrRemoved):
		return refused(http.StatusConflict, "removed", "", "%s", sentence(err.Error()))
	case errors.As(err, &field):
		return badValue(field.Field, "%s", ended(field.Error()))
	case errors.As(err, &source), errors.As(err, &unsafe):
		return refused(http.StatusConflict, "source_failed", "source", "%s", sentence(err.Error()))
	case errors.As(err, &input):
		return badValue("", "%s", sentence(input.Text))
	case errors.As(err, &missing):
		return unknown(missing.What, missing.Name)
	case errors.As(err, &person):
		return refused(http.StatusConflict, "exists", person.Field, "%s", sentence(person.Text))
	case errors.As(err, &owner):
		return refused(http.StatusConflict, "last_owner", "roles", "%s", owner.Error())
	case errors.As(err, &held):
		return refused(http.StatusConflict, "held", "", "%s", sentence(held.Error()))
	case errors.As(err, &parse):
		public := badValue("metadata", "The metadata cannot be used: %s", ended(parse.Error()))
		public.Err = parse // pages show the line
		return public
	case errors.As(err, &fetched):
		return wordedSource(fetched)
	case errors.As(err, &taken):
		return refused(http.StatusConflict, "exists", taken.Index, "The %s %q is taken: choose another.", strings.ReplaceAll(taken.Index, "_", " "), taken.Value)
	case errors.Is(err, certs.ErrNoKey):
		return refused(http.StatusNotFound, "not_found", "key", "%s", sentence(err.Error()))
	case errors.Is(err, certs.ErrKeyState):
		return refused(http.StatusConflict, "wrong_state", "key", "%s", sentence(err.Error()))
	case errors.Is(err, audit.ErrCursor), errors.Is(err, store.ErrCursor):
		return badValue("after", "The cursor is not one of this list; start again without it.")
	case errors.Is(err, store.ErrBusy):
		return &web.Error{Status: http.StatusServiceUnavailable, Reason: "busy", RetryAfter: time.Second, Err: err, Text: "The store is busy, so nothing was changed. Try again in a moment."}
	}
	return err
}

// asPublic is the public form of an error, nil when it has none.
func asPublic(err error) *web.Error {
	var public *web.Error
	if errors.As(worded(err), &public) {
		return public
	}
	return nil
}

// sentence begins with a capital and ends with a full stop, or a question mark that is there.
func sentence(s string) string { return ended(capital(s)) }

func capital(s string) string {
	if s == "" {
		return s
	}
	first, width := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + s[width:]
}

func ended(s string) string {
	if strings.HasSuffix(s, "?") || strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}
