package admin

import (
	"context"
	"errors"
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

// EndSessions ends the sessions of a person, those that reached an app, one, or all.
func (a *Actions) EndSessions(ctx context.Context, by By, ask api.EndSessions) (api.Count, error) {
	given := 0
	for _, one := range []bool{ask.User != "", ask.App != "", ask.Session != "", ask.All} {
		if one {
			given++
		}
	}
	if given != 1 {
		return api.Count{}, badValue("user", "Say which sessions to end: a person's, an app's, one by its handle, or all.")
	}
	var count api.Count
	err := a.change(ctx, by, func(tx store.Tx) (audit.Event, error) {
		scopes, event, err := a.scopes(tx, by, ask)
		if err != nil {
			return event, err
		}
		count = api.Count{}
		for _, scope := range scopes {
			ended, err := flow.Withdraw(tx, scope)
			if err != nil {
				return event, err
			}
			count.Count += len(ended)
		}
		event.Facts["sessions"] = strconv.Itoa(count.Count)
		return event, nil
	})
	return count, err
}

// scopes turns the wish into what is to be withdrawn, with the event that tells of it.
func (a *Actions) scopes(tx store.Tx, by By, ask api.EndSessions) ([]flow.Scope, audit.Event, error) {
	event := audit.Event{Kind: "session.end", Facts: map[string]string{}}
	switch {
	case ask.User != "":
		user, err := directory.ResolveUser(tx, ask.User)
		event.User = user.ID
		if err == nil {
			err = mayHandle(by, &user)
		}
		return []flow.Scope{{User: user.ID}}, event, err
	case ask.App != "":
		app, err := findApp(tx, ask.App)
		if err != nil {
			return nil, event, err
		}
		event.App = app.ID
		var scopes []flow.Scope
		err = session.Table.Each(tx, store.Page{}, func(_ string, s *session.Session) error {
			if reached(s, app.ID) {
				scopes = append(scopes, flow.Scope{Session: s.ID})
			}
			return nil
		})
		return scopes, event, err
	case ask.Session != "":
		return a.sessionScope(tx, by, ask.Session, event)
	}
	event.Facts["all"] = "true"
	return []flow.Scope{{All: true}}, event, nil
}

func (a *Actions) sessionScope(tx store.Tx, by By, handle string, event audit.Event) ([]flow.Scope, audit.Event, error) {
	s, err := a.Keeper.ByHandle(tx, handle)
	if errors.Is(err, store.ErrNotFound) {
		return nil, event, unknown("session", handle)
	}
	if err != nil {
		return nil, event, err
	}
	user, err := directory.ResolveUser(tx, s.User)
	if err == nil {
		err = mayHandle(by, &user)
	}
	event.User, event.Facts["session"] = s.User, handle
	return []flow.Scope{{Session: s.ID}}, event, err
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
