// Package session owns browser sessions: the record, its assurance level and age, and the apps it reached.
//
// It must not know HTTP, protocols or policies: cookies are written by idp/web's callers, and what a session is good
// for is decided in idp/flow. The cookie holds a random secret; the store knows only its SHA-256.
package session

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"gatehouse/store"
)

// Level is how strongly the person signed in: low, standard or high (the words of sp.Level).
type Level string

// Method is one credential that was checked, and when.
type Method struct {
	Name  string    `json:"name"` // one of the Method… constants, or that of an upstream
	At    time.Time `json:"at"`
	Level Level     `json:"level,omitempty"` // what an upstream's word is worth; empty: as the name says
	From  *Brokered `json:"from,omitempty"`  // another identity provider that vouches for it
}

// Brokered is what an upstream identity provider said with a sign-in that Gatehouse passes on.
type Brokered struct {
	Upstream    string    `json:"upstream"`              // its entity id
	Class       string    `json:"class,omitempty"`       // how the person signed in there
	Authorities []string  `json:"authorities,omitempty"` // behind it
	Count       *int      `json:"count,omitempty"`       // how often the sign-in may be passed on; nil: it does not say
	Audiences   []string  `json:"audiences,omitempty"`   // to whom alone; empty: to all
	Ends        time.Time `json:"ends,omitzero"`         // of the session there
	// Known is by what name and session the person is known there; without a name: it did not say.
	Known AppReached `json:"known,omitzero"`
}

// upstreamMark is before the entity id of an identity provider where an AppReached has the id of an app.
const upstreamMark = "idp:"

// UpstreamID stands for an identity provider that a person came from, where sign-out speaks of apps.
func UpstreamID(entityID string) string { return upstreamMark + entityID }

// UpstreamOf is the entity id behind an UpstreamID; false: it is an app's id.
func UpstreamOf(id string) (entityID string, ok bool) { return strings.CutPrefix(id, upstreamMark) }

// Broker is where the person signed in, if that was at another identity provider; a second factor of ours may have come to it.
func (s *Session) Broker() *Brokered {
	for _, m := range s.Methods {
		if m.From != nil {
			return m.From
		}
	}
	return nil
}

// AppReached is an app that got an assertion or token from the session; logout needs it.
type AppReached struct {
	App             string    `json:"app"`
	SessionIndex    string    `json:"session_index,omitempty"`
	NameID          string    `json:"name_id,omitempty"`
	NameIDFormat    string    `json:"name_id_format,omitempty"`
	NameQualifier   string    `json:"name_qualifier,omitempty"`
	SPNameQualifier string    `json:"sp_name_qualifier,omitempty"`
	SPProvidedID    string    `json:"sp_provided_id,omitempty"`
	At              time.Time `json:"at"`
	Protocol        string    `json:"protocol,omitempty"` // by which it was reached; empty: SAML
	Hint            []byte    `json:"hint,omitempty"`     // sealed: what an upstream is shown when the person leaves
}

// sameName tells whether the app knows the person by the same name as before.
func (a *AppReached) sameName(b *AppReached) bool {
	return a.NameID == b.NameID && a.NameIDFormat == b.NameIDFormat && a.NameQualifier == b.NameQualifier && a.SPNameQualifier == b.SPNameQualifier && a.SPProvidedID == b.SPProvidedID
}

// NameKey is the value of the index "name" of Table: sessions in which an app knows somebody by this name. Names may be long and
// are personal, so it holds a hash.
func NameKey(app, nameID string) string {
	sum := sha256.Sum256([]byte(nameID))
	return app + ":" + hex.EncodeToString(sum[:12])
}

// names are the values of the index "name".
func (s *Session) names() []string {
	var keys []string
	for _, reached := range s.Places() {
		if reached.NameID != "" {
			keys = append(keys, NameKey(reached.App, reached.NameID))
		}
	}
	return keys
}

// Session is the record of one signed-in browser. ID is the hex SHA-256 of the cookie's secret. Handle is a random name
// that is safe to show (lists, audit, SessionIndex derivation) and survives a raise.
type Session struct {
	ID      string        `json:"id"`
	Handle  string        `json:"handle"`
	User    string        `json:"user"`
	Level   Level         `json:"level"`
	Methods []Method      `json:"methods"`
	Started time.Time     `json:"started"`
	Seen    time.Time     `json:"seen"`     // coarse: written at most once a minute
	Ends    time.Time     `json:"ends"`     // absolute; never moved later
	Idle    time.Time     `json:"idle"`     // ends earlier when not used until then; never after Ends
	IdleFor time.Duration `json:"idle_for"` // how long it may stay unused
	Address string        `json:"address"`
	Agent   string        `json:"agent,omitempty"`
	Client  bool          `json:"client,omitempty"` // of a client that is not a browser
	PutOff  time.Time     `json:"put_off,omitzero"` // when the person put off setting up a second factor
	Apps    []AppReached  `json:"apps,omitempty"`
	From    []AppReached  `json:"from,omitempty"`    // upstreams that the person came from, which sign-out concerns too
	Dropped bool          `json:"dropped,omitempty"` // there were too many apps: the first ones are not in Apps any more
}

// Places are the apps and the upstreams that know of the session.
func (s *Session) Places() []AppReached {
	if len(s.From) == 0 {
		return s.Apps
	}
	return slices.Concat(s.Apps, s.From)
}

// came notes where a sign-in comes from, if it comes from elsewhere. A session there is not over because another one began.
func (s *Session) came(method Method) {
	if method.From == nil || method.From.Known.App == "" {
		return
	}
	known := method.From.Known
	s.From = slices.DeleteFunc(slices.Clone(s.From), func(a AppReached) bool {
		return a.App == known.App && a.SessionIndex == known.SessionIndex && a.sameName(&known)
	})
	if s.From = append(s.From, known); len(s.From) > maxFrom {
		s.From = s.From[1:]
	}
}

// indexes are the values of the index "index": the session indexes that apps were given, and that upstreams gave.
func (s *Session) indexes() []string {
	var list []string
	for _, reached := range s.Places() {
		if index := reached.SessionIndex; index != "" && !slices.Contains(list, index) {
			list = append(list, index)
		}
	}
	return list
}

// AuthAt is when the newest credential was checked: the AuthnInstant.
func (s *Session) AuthAt() time.Time {
	var newest time.Time
	for _, m := range s.Methods {
		if m.At.After(newest) {
			newest = m.At
		}
	}
	return newest
}

// Live tells whether the session still counts at the given moment.
func (s *Session) Live(now time.Time) bool { return now.Before(s.Ends) && now.Before(s.Idle) }

// idleAt is when the session ends if it is last used at the given moment.
func (s *Session) idleAt(now time.Time) time.Time {
	if idle := now.Add(s.IdleFor); idle.Before(s.Ends) {
		return idle
	}
	return s.Ends
}

// Table holds the sessions. Those that ended by idling are swept too, so that a clock set back cannot revive them.
var Table = &store.Table[Session]{
	Name:    "session",
	Version: 1,
	Key:     func(s *Session) string { return s.ID },
	Lists: map[string]func(*Session) []string{
		"user":  func(s *Session) []string { return []string{s.User} },
		"name":  (*Session).names,
		"index": (*Session).indexes,
	},
	Unique:  map[string]func(*Session) string{"handle": func(s *Session) string { return s.Handle }},
	Expires: func(s *Session) time.Time { return s.Idle },
}
