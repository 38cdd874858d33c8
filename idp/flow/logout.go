package flow

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"gatehouse/idp/audit"
	"gatehouse/idp/outbound"
	"gatehouse/idp/session"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
)

// LeaveState is how far an app's sign-out is.
type LeaveState string

// Waiting and asked are on the way; the others are results: out is what the app confirmed, told one that was told in a way which
// brings no answer, untold one that cannot be told.
const (
	LeaveWaiting LeaveState = "waiting"
	LeaveAsked   LeaveState = "asked"
	LeaveOut     LeaveState = "out"
	LeaveTold    LeaveState = "told"
	LeaveFailed  LeaveState = "failed"
	LeaveUntold  LeaveState = "untold"
)

// Leaving is one app's part in a sign-out.
type Leaving struct {
	Reached session.AppReached `json:"reached"`
	Session string             `json:"session"` // handle
	Way     sp.LogoutWay       `json:"way"`
	State   LeaveState         `json:"state"`
	Message string             `json:"message,omitempty"` // id of the message that the browser carried there
}

// Logout is a sign-out whose session has ended, and whose apps are being told. It is a record only while the browser is led from
// app to app; its ID names it and is no secret, for it belongs to the browser that opens it first.
type Logout struct {
	ID       string    `json:"id"`
	Browser  string    `json:"browser,omitempty"` // hash of the browser cookie
	User     string    `json:"user,omitempty"`
	App      string    `json:"app,omitempty"`      // who asked, an app or an upstream; empty: the person
	Protocol string    `json:"protocol,omitempty"` // how App is answered; empty: nobody waits for an answer
	Payload  []byte    `json:"payload,omitempty"`  // the protocol's own
	Leaving  []Leaving `json:"leaving,omitempty"`
	Dropped  bool      `json:"dropped,omitempty"` // the session had reached more apps than are remembered
	Noted    bool      `json:"noted,omitempty"`   // the result is in the audit
	Expires  time.Time `json:"expires"`
}

// Logouts holds the sign-outs that lead a browser about.
var Logouts = &store.Table[Logout]{
	Name:    "logout",
	Version: 1,
	Key:     func(l *Logout) string { return l.ID },
	Lists: map[string]func(*Logout) []string{"message": func(l *Logout) []string {
		var ids []string
		for i := range l.Leaving {
			if id := l.Leaving[i].Message; id != "" {
				ids = append(ids, id)
			}
		}
		return ids
	}},
	Expires: func(l *Logout) time.Time { return l.Expires },
}

// Complete tells whether every app confirmed.
func (l *Logout) Complete() bool {
	return !l.Dropped && !slices.ContainsFunc(l.Leaving, func(one Leaving) bool { return one.State != LeaveOut })
}

// next is the app that the browser must still be led to, -1: none.
func (l *Logout) next() int {
	return slices.IndexFunc(l.Leaving, func(one Leaving) bool { return one.State == LeaveWaiting && one.Way == sp.LogoutFront })
}

// framed tells whether an app must still be told in a frame.
func (one *Leaving) framed() bool { return one.State == LeaveWaiting && one.Way == sp.LogoutFrame }

// leads tells whether the browser is still needed.
func (l *Logout) leads() bool {
	return l.next() >= 0 || slices.ContainsFunc(l.Leaving, func(one Leaving) bool { return one.framed() })
}

// SignOut is a wish to end sessions, by the person or by an app for them.
type SignOut struct {
	Sessions  func(store.Tx) ([]session.Session, error) // which; called in the transaction that ends them
	App       string
	Protocol  string
	Payload   []byte
	NoBrowser bool   // what only a browser could tell is not told
	Once      string // as of a Request
	OnceUntil time.Time
	Event     audit.Event
}

// tellWithin bounds how long a sign-out waits for apps that are told from server to server.
const tellWithin = 5 * time.Second

// SignOut ends the sessions first, whatever the apps do then, and tells those that can be told from server to server. What is
// left is for the browser: the Logout is stored if there is such an app. ErrReplayed: the wish was fulfilled before.
func (e *Engine) SignOut(ctx context.Context, ask SignOut) (*Logout, error) {
	logout := &Logout{App: ask.App, Protocol: ask.Protocol, Payload: ask.Payload}
	err := e.Store.Update(ctx, func(tx store.Tx) error {
		logout.Leaving, logout.Dropped = nil, false
		return e.signOut(tx, &ask, logout)
	})
	if err != nil {
		return nil, err
	}
	e.tellAll(ctx, logout)
	if !ask.NoBrowser {
		if err := e.turnToBrowser(ctx, logout); err != nil {
			return nil, err
		}
	}
	return logout, e.keepLogout(ctx, logout, !ask.NoBrowser)
}

func (e *Engine) signOut(tx store.Tx, ask *SignOut, logout *Logout) error {
	if err := Once(tx, ask.Once, ask.OnceUntil); err != nil {
		return err
	}
	sessions, err := ask.Sessions(tx)
	if err != nil {
		return err
	}
	ways := make(map[string]sp.LogoutWay)
	event := ask.Event
	event.Facts = map[string]string{"sessions": strconv.Itoa(len(sessions))}
	for key, value := range ask.Event.Facts {
		event.Facts[key] = value
	}
	var handles []string
	for i := range sessions {
		s := &sessions[i]
		if _, err := Withdraw(tx, Scope{Session: s.ID, Told: ask.App, Due: e.Now().Add(2 * tellWithin)}); err != nil {
			return err
		}
		if err := logout.add(tx, s, ways); err != nil {
			return err
		}
		logout.User, event.User = s.User, s.User
		logout.Dropped = logout.Dropped || s.Dropped
		handles = append(handles, s.Handle)
	}
	for i := range sessions { // last, so that apps are told before the way back may be lost
		if err := e.addUpstreams(tx, &sessions[i], logout); err != nil {
			return err
		}
	}
	if event.Facts["session"] = strings.Join(handles, " "); len(handles) > 20 {
		event.Facts["session"] = strings.Join(handles[:20], " ") + " …"
	}
	if event.Actor == "" {
		event.Actor = event.User
	}
	event.Facts["apps"] = strconv.Itoa(len(logout.Leaving))
	_, err = e.Audit.Append(tx, event)
	return err
}

// add lists the apps of a session that must be told, all but the one that asked.
func (l *Logout) add(tx store.Tx, s *session.Session, ways map[string]sp.LogoutWay) error {
	for i := range s.Apps {
		if s.Apps[i].App == l.App {
			continue
		}
		way, err := wayOf(tx, &s.Apps[i], ways)
		if err != nil {
			return err
		}
		one := Leaving{Reached: s.Apps[i], Session: s.Handle, Way: way, State: LeaveWaiting}
		if way == sp.LogoutNone {
			one.State = LeaveUntold
		}
		l.Leaving = append(l.Leaving, one)
	}
	return nil
}

// addUpstreams lists the upstreams that the person came from, all but the one that asked.
func (e *Engine) addUpstreams(tx store.Tx, s *session.Session, l *Logout) error {
	for _, from := range s.From {
		entityID, _ := session.UpstreamOf(from.App)
		if from.App == l.App {
			continue
		}
		one := Leaving{Reached: from, Session: s.Handle, Way: sp.LogoutNone, State: LeaveUntold}
		party, err := e.Party(tx, entityID)
		if err != nil {
			return err
		}
		if party != nil && from.NameID != "" && party.LogoutWay(from.Protocol) != sp.LogoutNone { // else it would not know whose session ends
			one.Way, one.State = party.LogoutWay(from.Protocol), LeaveWaiting
		}
		l.Leaving = append(l.Leaving, one)
	}
	return nil
}

// tellAll tells apps from server to server, in parallel and within bounds. Those that do not confirm in time stay in the outbox.
func (e *Engine) tellAll(ctx context.Context, logout *Logout) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellWithin)
	defer cancel()
	slots := make(chan struct{}, 8)
	var telling sync.WaitGroup
	for i := range logout.Leaving {
		one := &logout.Leaving[i]
		if one.Way != sp.LogoutBack {
			continue
		}
		telling.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			one.State = LeaveFailed
			app, err := e.PartyOf(ctx, one.Reached.App)
			if err == nil && app != nil && e.tellLeft(ctx, app, &one.Reached) == nil {
				one.State = LeaveOut
			}
		})
	}
	telling.Wait()
}

// keepLogout takes what was told out of the outbox, and stores the sign-out where the browser has to be led about.
func (e *Engine) keepLogout(ctx context.Context, logout *Logout, browser bool) error {
	done := slices.ContainsFunc(logout.Leaving, func(one Leaving) bool { return one.Way == sp.LogoutBack && one.State == LeaveOut })
	leads := browser && logout.leads()
	if !done && !leads {
		return nil
	}
	if leads {
		logout.ID, logout.Expires = strings.ToLower(rand.Text()), e.Now().Add(Lifetime)
	}
	return e.Store.Update(ctx, func(tx store.Tx) error {
		for i := range logout.Leaving {
			if one := &logout.Leaving[i]; one.Way == sp.LogoutBack && one.State == LeaveOut {
				if err := outbound.Rows.Delete(tx, rowOf(one.Session, &one.Reached)); err != nil {
					return err
				}
			}
		}
		if !leads {
			return nil
		}
		return Logouts.Put(tx, logout)
	})
}

// Leave signs out in the browser: the session ends, apps are told, and the browser is led to those that need it.
func (e *Engine) Leave(w http.ResponseWriter, r *http.Request, ask SignOut, result func(*Logout) error) error {
	ask.Event.Address = web.Of(r).AddressText()
	logout, err := e.SignOut(r.Context(), ask)
	if err != nil {
		return err
	}
	if err := e.clearEnded(w, r); err != nil {
		return err
	}
	if logout.ID != "" {
		web.SeeOther(w, "/logout/"+logout.ID)
		return nil
	}
	return e.Conclude(w, r, logout, result)
}

// clearEnded takes the cookie away when its session is over: an app may have ended another one of the person's.
func (e *Engine) clearEnded(w http.ResponseWriter, r *http.Request) error {
	secret := e.Cookies.Get(r, web.SessionCookie)
	if secret == "" {
		return nil
	}
	err := e.Store.View(r.Context(), func(tx store.Tx) error {
		_, _, err := e.Sessions.Current(tx, secret)
		return err
	})
	if errors.Is(err, session.ErrNone) {
		e.Cookies.Clear(w, web.SessionCookie)
		return nil
	}
	return err
}

// Conclude notes the result once and answers the app that asked, or shows the result to the person.
func (e *Engine) Conclude(w http.ResponseWriter, r *http.Request, logout *Logout, result func(*Logout) error) error {
	if len(logout.Leaving) > 0 && !logout.Noted {
		if err := e.noteResult(r, logout); err != nil {
			return err
		}
	}
	if leaver := e.Leavers[logout.Protocol]; leaver != nil {
		return leaver.Answer(w, r, logout)
	}
	return result(logout)
}

// noteResult writes the result to the audit, once, from what is stored now: an answer may have come since the page was read.
func (e *Engine) noteResult(r *http.Request, logout *Logout) error {
	return e.Store.Update(r.Context(), func(tx store.Tx) error {
		if logout.ID != "" {
			stored, _, err := Logouts.Get(tx, logout.ID)
			if err != nil {
				return absent(err)
			}
			*logout = stored
			if stored.Noted {
				return nil
			}
			logout.Noted = true
			if err := Logouts.Put(tx, logout); err != nil {
				return err
			}
		}
		_, err := e.Audit.Append(tx, resultEvent(r, logout))
		return err
	})
}

func resultEvent(r *http.Request, logout *Logout) audit.Event {
	event := audit.Event{
		Kind: "signout.result", Outcome: audit.OK, Actor: logout.User, User: logout.User,
		Address: web.Of(r).AddressText(), Facts: map[string]string{},
	}
	if _, upstream := session.UpstreamOf(logout.App); !upstream {
		event.App = logout.App
	}
	for i := range logout.Leaving {
		one := &logout.Leaving[i]
		state := string(one.State)
		if one.State == LeaveAsked || one.State == LeaveWaiting {
			state = string(LeaveFailed)
		}
		event.Facts[state] = strings.TrimSpace(event.Facts[state] + " " + one.Reached.App)
	}
	if !logout.Complete() {
		event.Outcome, event.Reason = audit.Failed, "partial_logout"
	}
	return event
}
