package admin

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/idp/session"
	"gatehouse/store"
)

// Sessions lists live sessions, of a person or that reached an app where given, at most 1,000.
func (a *Actions) Sessions(ctx context.Context, user, app string) (api.List[api.Session], error) {
	list := api.List[api.Session]{Items: []api.Session{}}
	err := a.view(ctx, func(tx store.Tx) error {
		list.Items = []api.Session{}
		page := store.Page{}
		if user != "" {
			found, err := directory.ResolveUser(tx, user)
			if err != nil {
				return err
			}
			page = store.Page{Index: "user", Value: found.ID}
		}
		appID, err := optionalApp(tx, app)
		if err != nil {
			return err
		}
		return session.Table.Each(tx, page, func(_ string, s *session.Session) error {
			if !s.Live(a.Now()) || appID != "" && !reached(s, appID) {
				return nil
			}
			wire, err := wireSession(tx, s)
			if list.Items = append(list.Items, wire); err == nil && len(list.Items) == maxPage {
				err = store.ErrStop
			}
			return err
		})
	})
	return list, err
}

func optionalApp(tx store.Tx, ref string) (string, error) {
	if ref == "" {
		return "", nil
	}
	app, err := findApp(tx, ref)
	return app.ID, err
}

func reached(s *session.Session, app string) bool {
	for _, a := range s.Apps {
		if a.App == app {
			return true
		}
	}
	return false
}

// EndSessions ends the sessions of a person, one session, or all; with App it takes the app out of them, or of every session,
// and they go on. A person's and a single session are for those who look after people, an app's for those who look after apps.
func (a *Actions) EndSessions(ctx context.Context, by By, ask api.EndSessions) (api.Count, error) {
	if err := mayEnd(by, ask); err != nil {
		return api.Count{}, err
	}
	var count api.Count
	err := a.change(ctx, by, func(tx store.Tx) (audit.Event, error) {
		scope, event, err := a.scope(tx, by, ask)
		if err != nil {
			return event, err
		}
		ended, err := flow.Withdraw(tx, scope)
		count = api.Count{Count: len(ended)}
		event.Facts["sessions"] = strconv.Itoa(count.Count)
		return event, err
	})
	return count, err
}

func mayEnd(by By, ask api.EndSessions) error {
	given := 0
	for _, one := range []bool{ask.User != "", ask.Session != "", ask.All, ask.App != "" && ask.User == "" && ask.Session == ""} {
		if one {
			given++
		}
	}
	switch {
	case given != 1:
		return badValue("user", "Say which sessions to end: a person's, one by its handle, an app's, or all.")
	case by.all(), ask.App != "" && by.allows(AppsWrite), (ask.User != "" || ask.Session != "") && by.allows(UsersPassword):
		return nil
	}
	return refused(http.StatusForbidden, "needs_owner", "", "Your role may not end these sessions: ask an owner.")
}

// scope turns the wish into what is to be withdrawn, with the event that tells of it.
func (a *Actions) scope(tx store.Tx, by By, ask api.EndSessions) (flow.Scope, audit.Event, error) {
	scope, event := flow.Scope{All: ask.All}, audit.Event{Kind: "session.end", Facts: map[string]string{}}
	if ask.All {
		event.Facts["all"] = "true"
	}
	if ask.App != "" {
		app, err := findApp(tx, ask.App)
		if err != nil {
			return scope, event, err
		}
		scope.App, event.App = app.ID, app.ID
	}
	user := ask.User
	if ask.Session != "" {
		s, err := a.Keeper.ByHandle(tx, ask.Session)
		if errors.Is(err, store.ErrNotFound) {
			return scope, event, unknown("session", ask.Session)
		}
		if err != nil {
			return scope, event, err
		}
		user, scope.Session, event.Facts["session"] = s.User, s.ID, ask.Session
	}
	if user == "" {
		return scope, event, nil
	}
	found, err := directory.ResolveUser(tx, user)
	if err != nil {
		return scope, event, err
	}
	if event.User = found.ID; scope.Session == "" {
		scope.User = found.ID
	}
	return scope, event, mayHandle(by, &found)
}

func wireSession(tx store.Tx, s *session.Session) (api.Session, error) {
	wire := api.Session{
		Handle: s.Handle, Level: string(s.Level), Started: s.Started, Seen: s.Seen, Ends: s.Ends,
		Address: s.Address, Agent: s.Agent, Apps: make([]api.Ref, 0, len(s.Apps)),
	}
	var err error
	if wire.User, err = userRef(tx, s.User); err != nil {
		return wire, err
	}
	for _, app := range s.Apps {
		ref, err := appRef(tx, app.App)
		if err != nil {
			return wire, err
		}
		wire.Apps = append(wire.Apps, ref)
	}
	return wire, nil
}
