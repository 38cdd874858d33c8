// Package upstream owns what every sign-in at another identity provider has in common, whatever protocol that speaks: the question
// that waits for its answer, who the person is here, and how the sign-in ends.
//
// It must not know the messages of a protocol, and believes nobody: a protocol verifies an answer first, and says then, as a Person,
// what the upstream says. Read inquiry.go for what waits, person.go for who somebody is here, finish.go for the ends.
package upstream

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"gatehouse/idp/directory"
	"gatehouse/idp/federation"
	"gatehouse/idp/flow"
	"gatehouse/idp/session"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
)

// Desk sends people to upstreams and takes them in again. All fields must be set. Safe for concurrent use; do not copy.
type Desk struct {
	Engine *flow.Engine
	Store  store.Store
	Now    func() time.Time
	// Enter starts or raises the browser's session for a person whom who finds in the same transaction.
	Enter func(w http.ResponseWriter, r *http.Request, method session.Method, who func(store.Tx) (directory.User, error)) error
	// AddUser makes a person whom an upstream vouches for.
	AddUser func(store.Tx, directory.User) (directory.User, error)
	// Allowed tells why an app does not take a sign-in at an upstream for this request; nil: it does.
	Allowed func(u *federation.Upstream, request *flow.Request) (*flow.Reason, error)
	// Askers send the browser to upstreams, by Upstream.Protocol.
	Askers map[string]Asker
}

// Asker sends the browser to an upstream with a question of a protocol's.
type Asker interface {
	AskUpstream(w http.ResponseWriter, r *http.Request, ask *Ask) error
}

// Ask is a wish to have a person sign in at an upstream.
type Ask struct {
	Upstream *federation.Upstream
	Request  *flow.Request // what it is for
	Policy   sp.Level      // the least that the app's policy takes, from whomever
	Inquiry  Inquiry       // without an ID
}

// Reasons of sign-ins elsewhere that came to nothing.
const (
	ReasonAnswer  = "upstream_answer"  // it is not believed
	ReasonRefused = "upstream_refused" // the upstream did not sign the person in
	ReasonSilent  = "upstream_silent"  // its servers do not answer ours, or with more than is taken
)

// Reach tells how strongly the upstreams could sign a person in; here says that people may sign in without them too. With nobody there
// is no level.
func Reach(tx store.Tx, user *directory.User, here bool, now time.Time) (flow.Elsewhere, error) {
	offered, err := federation.Offered(tx, now)
	reach := flow.Elsewhere{Alone: len(offered) == 1 && !here, Known: !here}
	if err != nil || user == nil || len(offered) == 0 {
		return reach, err
	}
	links, _, err := Links.List(tx, store.Page{Index: "user", Value: user.ID})
	for i := range offered {
		u := &offered[i]
		linked := slices.ContainsFunc(links, func(l Link) bool { return u.Match == federation.MatchLink && strings.HasPrefix(l.Key, u.Name+":") })
		level := u.Highest()
		if !brings(u, user, linked) || !level.AtLeast(reach.Level) {
			continue
		}
		if level != reach.Level {
			reach.Level, reach.Known = level, !here
		}
		reach.Known = reach.Known || linked
	}
	return reach, err
}

// brings tells whether an upstream could sign a person in.
func brings(u *federation.Upstream, user *directory.User, linked bool) bool {
	switch {
	case len(user.Roles) > 0 && !u.Admins:
		return false
	case u.Match == federation.MatchEmail:
		return user.Email != "" && u.Vouches(directory.Normalise(user.Email))
	}
	return u.Match == federation.MatchUsername || linked
}

// Named is an upstream that people may sign in at; the error is a page.
func (d *Desk) Named(ctx context.Context, name string) (*federation.Upstream, error) {
	var u federation.Upstream
	err := d.Store.View(ctx, func(tx store.Tx) (err error) {
		u, _, err = federation.Upstreams.Get(tx, name)
		return err
	})
	if errors.Is(err, store.ErrNotFound) || err == nil && !u.Usable(d.Now()) {
		return nil, web.NotFound("You cannot sign in there at this time. Go back and choose another way, or ask your administrator.")
	}
	return &u, err
}

// Ask sends the browser to an upstream: for a waiting request, or for a visit to a path of ours. again says that somebody is
// signed in and has to prove it once more.
func (d *Desk) Ask(w http.ResponseWriter, r *http.Request, name string, request *flow.Request, token, next string, again bool) error {
	u, err := d.Named(r.Context(), name)
	if err != nil {
		return err
	}
	refused, err := d.Allowed(u, request)
	if err != nil {
		return err
	}
	if refused != nil {
		return d.Engine.Decline(w, r, token, *refused)
	}
	app, err := d.Engine.AppOf(r.Context(), request.App)
	if err != nil {
		return err
	}
	policy := sp.Low
	if app != nil {
		policy = app.Policy.MinLevel
	}
	return d.Askers[u.Protocol()].AskUpstream(w, r, &Ask{Upstream: u, Request: request, Policy: policy, Inquiry: Inquiry{
		Upstream: u.Name, Browser: d.Engine.Browser(w, r), Flow: token, Next: next, Passive: request.Passive,
		Forced: again || !request.Demand.AuthAfter.IsZero(), Address: web.Of(r).AddressText(), Made: d.Now(),
	}})
}

// Classes are the ways to sign in there that must be asked for to reach what the request demands; none: any way does.
func (a *Ask) Classes() []string { return a.reaching(a.Request.Demand.MinLevel) }

// Wished are the Classes where an upstream that can do none of them signs the person in all the same: those that the app's policy needs
// count too, for what is missing can be made up here.
func (a *Ask) Wished() []string {
	if need := a.Policy; !a.Request.Demand.MinLevel.AtLeast(need) {
		return a.reaching(need)
	}
	return a.Classes()
}

func (a *Ask) reaching(level sp.Level) []string {
	if level != "" && !a.Upstream.Level.AtLeast(level) {
		return a.Upstream.Classes(level)
	}
	return nil
}
