package flow

import (
	"context"
	"errors"
	"net/http"

	"gatehouse/idp/directory"
	"gatehouse/idp/session"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
)

// factCache keeps decoded records; each is used only while its revision is the stored one. Records are read-only.
type factCache struct {
	apps     store.Cache[sp.App]
	users    store.Cache[directory.User]
	profiles store.Cache[directory.Profile]
	settings store.Cache[directory.Settings]
}

// seen are the revisions of the records that a decision rests on.
type seen struct {
	app, user, profile, settings, session store.Revision
}

// load reads the facts of a request in one View.
func (e *Engine) load(r *http.Request, request *Request) (*Facts, *seen, error) {
	var facts *Facts
	var found *seen
	secret := e.Cookies.Get(r, web.SessionCookie)
	err := e.Store.View(r.Context(), func(tx store.Tx) error {
		facts = &Facts{Request: request, Address: web.Of(r).Address, Now: e.Now(), Reachable: e.Reachable}
		found = &seen{}
		if err := e.loadSession(tx, secret, facts, found); err != nil {
			return err
		}
		return e.loadRecords(tx, facts, found)
	})
	return facts, found, err
}

func (e *Engine) loadSession(tx store.Tx, secret string, facts *Facts, found *seen) error {
	if secret == "" {
		return nil
	}
	current, revision, err := e.Sessions.Current(tx, secret)
	if err != nil {
		return absent(err)
	}
	facts.Session, found.session = &current, revision
	return nil
}

func (e *Engine) loadRecords(tx store.Tx, facts *Facts, found *seen) (err error) {
	facts.App, found.app, err = e.facts.apps.Get(tx, sp.Apps, facts.Request.App)
	if err := absent(err); err != nil {
		return err
	}
	facts.Settings, found.settings, err = e.facts.settings.Get(tx, directory.SettingsTable, directory.SettingsKey)
	if err := absent(err); err != nil {
		return err
	}
	if facts.Settings == nil {
		facts.Settings = &directory.Settings{} // every default
	}
	if facts.Session == nil {
		return nil
	}
	facts.User, found.user, err = e.facts.users.Get(tx, directory.Users, facts.Session.User)
	if err := absent(err); err != nil || facts.User == nil {
		return err
	}
	facts.Profile, found.profile, err = e.facts.profiles.Get(tx, directory.Profiles, facts.User.Profile)
	return absent(err)
}

// unchanged compares, inside the finishing transaction, what the decision rested on with what is stored now. The session
// is compared by what Next reads of it, because other tabs may add apps to it meanwhile; the current one is returned.
func (s *seen) unchanged(tx store.Tx, facts *Facts) (*session.Session, error) {
	for _, check := range []struct {
		revision func(store.Tx, string) (store.Revision, error)
		key      string
		was      store.Revision
	}{
		{sp.Apps.Revision, facts.Request.App, s.app},
		{directory.SettingsTable.Revision, directory.SettingsKey, s.settings},
		{directory.Users.Revision, userKey(facts), s.user},
		{directory.Profiles.Revision, profileKey(facts), s.profile},
	} {
		if is, err := check.revision(tx, check.key); err != nil || is != check.was {
			return nil, errors.Join(err, ErrChanged)
		}
	}
	return s.sameSession(tx, facts)
}

func (s *seen) sameSession(tx store.Tx, facts *Facts) (*session.Session, error) {
	if facts.Session == nil {
		return nil, nil
	}
	if is, err := session.Table.Revision(tx, facts.Session.ID); err != nil || is == s.session {
		return facts.Session, err
	}
	current, _, err := session.Table.Get(tx, facts.Session.ID)
	if err := absent(err); err != nil {
		return nil, err
	}
	if current.ID == "" || current.Level != facts.Session.Level || !current.AuthAt().Equal(facts.Session.AuthAt()) {
		return nil, ErrChanged
	}
	return &current, nil
}

func userKey(facts *Facts) string {
	if facts.Session == nil {
		return ""
	}
	return facts.Session.User
}

func profileKey(facts *Facts) string {
	if facts.User == nil {
		return ""
	}
	return facts.User.Profile
}

// absent lets a missing record be a nil fact.
func absent(err error) error {
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, session.ErrNone) {
		return nil
	}
	return err
}

// AppOf reads one app for a handler that only has its id; nil when there is none.
func (e *Engine) AppOf(ctx context.Context, id string) (*sp.App, error) {
	var app *sp.App
	err := e.Store.View(ctx, func(tx store.Tx) (err error) {
		app, _, err = e.facts.apps.Get(tx, sp.Apps, id)
		return absent(err)
	})
	return app, err
}
