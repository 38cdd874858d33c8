package flow

import (
	"context"
	"errors"
	"slices"
	"time"

	"gatehouse/idp/audit"
	"gatehouse/idp/session"
	"gatehouse/sp"
	"gatehouse/store"
)

// Scope says what Withdraw takes back. User, Session or All say of which sessions; App narrows that down to an app's place in
// them, so that the sessions themselves go on, and alone means in every session.
type Scope struct {
	User    string // user id
	App     string // app id
	Session string // record id
	All     bool

	Told string    // app id of who asked for it, and so need not be told
	Due  time.Time // when the outbox begins to tell apps; zero: at once
}

// Withdraw ends sessions, or takes an app out of them, inside the caller's transaction: it is the one way to do so. What was granted
// in them ends too, and of a person, an app or all everything that was ever granted. Apps that can be told from server to server get a row in the outbox. It returns the sessions concerned as they were before. Waiting requests
// are left alone: Resume reads every fact again and refuses for the reason that holds then.
func Withdraw(tx store.Tx, scope Scope) ([]session.Session, error) {
	concerned, err := scope.sessions(tx)
	if err != nil {
		return nil, err
	}
	ways := make(map[string]sp.LogoutWay)
	for i := range concerned {
		if err := tellApps(tx, scope, &concerned[i], ways); err != nil {
			return nil, err
		}
		if scope.App == "" {
			err = session.Table.Delete(tx, concerned[i].ID)
		} else {
			err = leave(tx, concerned[i], scope.App)
		}
		if err != nil {
			return nil, err
		}
	}
	return concerned, endGrants(tx, scope, concerned)
}

func (s Scope) sessions(tx store.Tx) ([]session.Session, error) {
	page := store.Page{}
	switch {
	case s.Session != "":
		one, _, err := session.Table.Get(tx, s.Session)
		if one.ID == "" {
			return nil, absent(err)
		}
		return []session.Session{one}, err
	case s.User != "":
		page = store.Page{Index: "user", Value: s.User}
	case s.App == "" && !s.All:
		return nil, nil
	}
	var concerned []session.Session
	err := session.Table.Each(tx, page, func(_ string, one *session.Session) error {
		if s.App == "" || slices.ContainsFunc(one.Apps, reaches(s.App)) {
			concerned = append(concerned, *one)
		}
		return nil
	})
	return concerned, err
}

func leave(tx store.Tx, s session.Session, app string) error {
	s.Apps = slices.DeleteFunc(slices.Clone(s.Apps), reaches(app))
	return session.Table.Put(tx, &s)
}

func reaches(app string) func(session.AppReached) bool {
	return func(a session.AppReached) bool { return a.App == app }
}

// MakeRoom ends a person's surplus sessions before another one starts, each with its audit entry.
func (e *Engine) MakeRoom(tx store.Tx, user string) error {
	surplus, err := e.Sessions.Surplus(tx, user)
	if err != nil {
		return err
	}
	for i := range surplus {
		if _, err := Withdraw(tx, Scope{Session: surplus[i].ID}); err != nil {
			return err
		}
		_, err := e.Audit.Append(tx, audit.Event{
			Kind: "session.end", Outcome: audit.OK, Reason: "too_many_sessions", Actor: "system", User: user,
			Facts: map[string]string{"session": surplus[i].Handle},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// EndUnused ends the session of a secret through which nothing was reached: of a client that was refused.
func (e *Engine) EndUnused(ctx context.Context, secret string) error {
	return e.Store.Update(ctx, func(tx store.Tx) error {
		s, _, err := e.Sessions.Current(tx, secret)
		if errors.Is(err, session.ErrNone) || err == nil && len(s.Apps) > 0 {
			return nil
		}
		if err != nil {
			return err
		}
		_, err = Withdraw(tx, Scope{Session: s.ID})
		return err
	})
}
