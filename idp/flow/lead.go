package flow

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"slices"
	"strings"

	"gatehouse/idp/outbound"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
)

// errGone says that there is no such sign-out, or that it is another browser's.
func errGone() error {
	return &web.Error{
		Status: http.StatusNotFound, Reason: "no_logout", Heading: "This sign-out is over",
		Text: "You are signed out here. To be sure about your apps, close all browser windows.",
	}
}

// Leaving returns a sign-out of this browser, which is claimed by the first one that opens it.
func (e *Engine) Leaving(w http.ResponseWriter, r *http.Request, id string) (*Logout, error) {
	var logout Logout
	err := e.Store.View(r.Context(), func(tx store.Tx) (err error) {
		logout, _, err = Logouts.Get(tx, id)
		return absent(err)
	})
	if err != nil {
		return nil, err
	}
	if logout.ID == "" || !e.Now().Before(logout.Expires) {
		return nil, errGone()
	}
	browser := e.Browser(w, r)
	if logout.Browser == "" {
		err = e.changeLogout(r.Context(), id, func(stored *Logout) {
			if stored.Browser == "" {
				stored.Browser = browser
			}
			logout = *stored
		})
	}
	if err == nil && logout.Browser != browser {
		err = errGone()
	}
	return &logout, err
}

func (e *Engine) changeLogout(ctx context.Context, id string, change func(*Logout)) error {
	err := e.Store.Update(ctx, func(tx store.Tx) error {
		logout, _, err := Logouts.Get(tx, id)
		if err != nil {
			return err
		}
		change(&logout)
		return Logouts.Put(tx, &logout)
	})
	if errors.Is(err, store.ErrNotFound) {
		return errGone()
	}
	return err
}

// Frames are the addresses that tell apps when one page of ours shows them in frames: all at once, before the browser is led to the
// others, for one of those may not send it back.
func (e *Engine) Frames(ctx context.Context, logout *Logout) ([]string, error) {
	var addresses []string
	for i := range logout.Leaving {
		one := &logout.Leaving[i]
		if !one.framed() {
			continue
		}
		app, err := e.PartyOf(ctx, one.Reached.App)
		if err != nil {
			return nil, err
		}
		if app == nil {
			continue
		}
		if address := e.leaverOf(app, &one.Reached).Frame(app, &one.Reached); address != "" {
			addresses = append(addresses, address)
		}
	}
	return addresses, nil
}

// toldFrames notes that the page with the frames was shown; false: there was none. Nothing comes back from a frame, so that is all
// that can be known.
func (l *Logout) toldFrames() bool {
	told := false
	for i := range l.Leaving {
		if one := &l.Leaving[i]; one.framed() {
			one.State, told = LeaveTold, true
		}
	}
	return told
}

// NextApp is the app that the browser is led to next; nil: all are asked.
func (e *Engine) NextApp(ctx context.Context, logout *Logout) (*sp.App, error) {
	i := logout.next()
	if i < 0 {
		return nil, nil
	}
	return e.PartyOf(ctx, logout.Leaving[i].Reached.App)
}

// LeadOn sends the browser to the next app. One that was asked and did not answer counts as failed, unless its answer still comes.
// With skip the next app is not asked at all, because the browser cannot reach it.
func (e *Engine) LeadOn(w http.ResponseWriter, r *http.Request, id string, skip bool) error {
	if _, err := e.Leaving(w, r, id); err != nil {
		return err
	}
	var chosen *Leaving
	message := "_" + strings.ToLower(rand.Text())
	err := e.changeLogout(r.Context(), id, func(logout *Logout) {
		if chosen = nil; logout.toldFrames() {
			return
		}
		for i := range logout.Leaving {
			if logout.Leaving[i].State == LeaveAsked {
				logout.Leaving[i].State = LeaveFailed
			}
		}
		i := logout.next()
		switch {
		case i >= 0 && skip:
			logout.Leaving[i].State = LeaveFailed
		case i >= 0:
			logout.Leaving[i].State, logout.Leaving[i].Message = LeaveAsked, message
			chosen = &logout.Leaving[i]
		}
	})
	if err != nil {
		return err
	}
	if chosen != nil {
		app, err := e.PartyOf(r.Context(), chosen.Reached.App)
		if err != nil {
			return err
		}
		if app != nil && app.BrowserWay(chosen.Reached.Protocol) == sp.LogoutFront {
			err := e.leaverOf(app, &chosen.Reached).Lead(w, r, app, &chosen.Reached, message)
			if err == nil {
				return nil
			}
			// An app that cannot be asked must not keep the others from being told.
			if _, _, err := e.Left(r.Context(), message, app.ID, false); err != nil {
				return err
			}
		}
	}
	web.SeeOther(w, "/logout/"+id) // nobody to ask, or not any more
	return nil
}

// Asked tells whether a message of ours with an id went to a party of a running sign-out.
func Asked(tx store.Tx, message, party string) (bool, error) {
	found, _, err := Logouts.List(tx, store.Page{Index: "message", Value: message, Limit: 1})
	if err != nil || len(found) == 0 {
		return false, err
	}
	return slices.ContainsFunc(found[0].Leaving, func(one Leaving) bool { return one.Message == message && one.Reached.App == party }), nil
}

// Left notes an app's verified answer to the message of an id, and returns the id of the sign-out; false: nobody asked this app.
func (e *Engine) Left(ctx context.Context, message, app string, confirmed bool) (string, bool, error) {
	var id string
	err := e.Store.Update(ctx, func(tx store.Tx) error {
		id = ""
		found, _, err := Logouts.List(tx, store.Page{Index: "message", Value: message, Limit: 1})
		if err != nil || len(found) == 0 {
			return err
		}
		logout := &found[0]
		for i := range logout.Leaving {
			one := &logout.Leaving[i]
			if one.Message != message || one.Reached.App != app || one.State == LeaveOut {
				continue
			}
			one.State = LeaveFailed
			if confirmed {
				one.State = LeaveOut
				if err := outbound.Rows.Delete(tx, rowOf(one.Session, &one.Reached)); err != nil { // it may have been told both ways
					return err
				}
			}
			id = logout.ID
		}
		if id == "" {
			return nil
		}
		return Logouts.Put(tx, logout)
	})
	return id, id != "", err
}
