package flow

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"gatehouse/idp/directory"
	"gatehouse/idp/grants"
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
	app, user, profile, settings, session, access, consent store.Revision
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
	if facts.Session != nil {
		facts.User, found.user, err = e.facts.users.Get(tx, directory.Users, facts.Session.User)
		if err := absent(err); err != nil {
			return err
		}
	}
	if e.Upstream != nil {
		if facts.Elsewhere, err = e.Upstream(tx, facts.Settings, facts.User); err != nil {
			return err
		}
	}
	if facts.User == nil {
		return nil
	}
	facts.Profile, found.profile, err = e.facts.profiles.Get(tx, directory.Profiles, facts.User.Profile)
	if err := absent(err); err != nil {
		return err
	}
	if err := e.loadFactors(tx, facts); err != nil {
		return err
	}
	return e.loadGrants(tx, facts, found)
}

// loadFactors reads how strongly the person can sign in. A decision to let in never rests on it, save for the grace, whose end does
// not move.
func (e *Engine) loadFactors(tx store.Tx, facts *Facts) (err error) {
	facts.Enrols = facts.Settings.EnrolsThemselves()
	if facts.Second, err = directory.HasSecond(tx, facts.User.ID); err != nil {
		return err
	}
	switch {
	case facts.Second:
		facts.Reachable = sp.High
	case !facts.Session.PutOff.IsZero():
		first, err := directory.FirstPutOff(tx, facts.User.ID)
		if err != nil {
			return err
		}
		facts.PutOff = first.Add(facts.Settings.MFAGrace)
	}
	return nil
}

// loadGrants reads what the person was given at the app, where the policy can make use of it.
func (e *Engine) loadGrants(tx store.Tx, facts *Facts, found *seen) error {
	if facts.App == nil {
		return nil
	}
	pair := grants.Pair(facts.User.ID, facts.App.ID)
	if facts.App.Policy.PermittedUsers == sp.PermitPreauthorized {
		access, revision, err := grants.Accesses.Get(tx, pair)
		if err := absent(err); err != nil {
			return err
		}
		if found.access = revision; revision != 0 {
			facts.Access = &access
		}
	}
	name := facts.Request.Protocol
	if name == "" && e.ProtocolOf != nil {
		name = e.ProtocolOf(facts.App)
	}
	if protocol := e.Protocols[name]; protocol != nil {
		facts.Asks = protocol.Asks(facts)
	}
	if len(facts.Asks) == 0 {
		return nil
	}
	consent, revision, err := grants.Consents.Get(tx, pair)
	if found.consent = revision; revision != 0 {
		facts.Consent = &consent
	}
	return absent(err)
}

// Supposition is a person at an app as nobody has sent a request for: the facts to explain a decision with.
type Supposition struct {
	User, App string // ids
	Address   netip.Addr
	At        time.Time
}

// Suppose reads, inside the caller's transaction, the same facts that a sign-on would rest on, as if the person had just
// signed in with the strongest method there is. User and App are nil when there is none with that id.
func (e *Engine) Suppose(tx store.Tx, s Supposition) (*Facts, error) {
	facts := &Facts{
		Request: &Request{App: s.App, Created: s.At}, Address: s.Address, Now: s.At, Reachable: e.Reachable,
		Session: &session.Session{User: s.User, Started: s.At, Seen: s.At, Ends: s.At.Add(time.Hour), Idle: s.At.Add(time.Hour)},
	}
	if err := e.loadRecords(tx, facts, &seen{}); err != nil {
		return facts, err
	}
	strongest, err := strongest(tx, facts)
	facts.Session.Level = session.Level(strongest)
	facts.Session.Methods = []session.Method{{Name: "assumed", At: s.At, Level: facts.Session.Level}}
	return facts, err
}

// strongest is the highest level of a sign-in that the person surely has: at another identity provider only where they came from one
// before, or have no other way in.
func strongest(tx store.Tx, facts *Facts) (sp.Level, error) {
	if facts.User == nil || facts.Reachable.AtLeast(facts.Elsewhere.Level) {
		return facts.Reachable, nil
	}
	if !facts.Elsewhere.Known {
		password, err := directory.HasPassword(tx, facts.User.ID)
		if err != nil || password || facts.User.Source != "" {
			return facts.Reachable, err
		}
	}
	return facts.Elsewhere.Level, nil
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
		{grants.Accesses.Revision, grantKey(facts, s.access), s.access},
		{grants.Consents.Revision, grantKey(facts, s.consent), s.consent},
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

// grantKey is empty for a grant that the decision did not rest on: one that comes meanwhile cannot make it wrong.
func grantKey(facts *Facts, seen store.Revision) string {
	if seen == 0 {
		return ""
	}
	return grants.Pair(facts.User.ID, facts.App.ID)
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
