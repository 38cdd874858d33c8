package recovery

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/idp/web"
	"gatehouse/store"
)

// Found is a link that works.
type Found struct {
	directory.Link
	Person directory.User // the zero value for a set-up link
}

// Look finds the link of a secret and uses nothing up: mail scanners open links too. The error of one that does not work is a
// page, with an audit entry.
func (d *Desk) Look(r *http.Request, secret string) (*Found, error) {
	found := &Found{}
	err := d.Store.View(r.Context(), func(tx store.Tx) (err error) {
		found.Link, found.Person, err = d.Directory.FindLink(tx, secret)
		return err
	})
	if errors.Is(err, directory.ErrLink) {
		return nil, d.dead(r)
	}
	return found, err
}

// dead is the page of a link that does not work. It does not say why: whoever holds it may be a stranger.
func (d *Desk) dead(r *http.Request) error {
	var owned bool
	err := d.Store.View(r.Context(), func(tx store.Tx) (err error) {
		owned, err = directory.HasOwner(tx)
		return err
	})
	if err != nil {
		return err
	}
	text := "This link does not work any more: each works once and for a limited time, and a newer one replaces it. "
	if owned { // before that there is nobody to sign in, nor to ask
		text += "If you have used it, sign in. If not, ask your administrator to send you another."
	} else {
		text += "Ask for a new one."
	}
	err = d.Engine.Halt(r, "", "link.use", flow.Reason{Type: "link_over", Text: text})
	var public *web.Error
	if errors.As(err, &public) {
		public.Status, public.Heading = http.StatusGone, "This link is over"
	}
	return err
}

// Use sets the password of a link's person, which uses the link up, and ends their sessions, in one Update. It is ErrLink in the
// form of a page when the link was used or ended meanwhile.
func (d *Desk) Use(r *http.Request, secret, hash string) error {
	browser := Browser{web.Of(r).AddressText(), r.UserAgent()}
	err := d.Store.Update(r.Context(), func(tx store.Tx) error {
		link, user, err := d.Directory.FindLink(tx, secret)
		if err == nil && link.Purpose == directory.PurposeSetUp {
			err = directory.ErrLink
		}
		if err != nil {
			return err
		}
		if err := d.Directory.SetPassword(tx, user.ID, hash); err != nil {
			return err
		}
		ended, err := flow.Withdraw(tx, flow.Scope{User: user.ID})
		if err != nil {
			return err
		}
		if link.Purpose == directory.PurposeReset {
			if err := d.Notify(tx, &user, linkUsed(browser, d.Now())); err != nil {
				return err
			}
		}
		return d.note(tx, audit.Event{
			Kind: "link.use", Actor: user.ID, User: user.ID, Address: browser.Address,
			Facts: map[string]string{"purpose": string(link.Purpose), "sessions": strconv.Itoa(len(ended))},
		})
	})
	if errors.Is(err, directory.ErrLink) {
		return d.dead(r)
	}
	return err
}

// SetUp makes the first owner, who has the password of the hash, and with it the link useless.
func (d *Desk) SetUp(r *http.Request, secret string, owner directory.User, hash string) error {
	err := d.Store.Update(r.Context(), func(tx store.Tx) error {
		link, _, err := d.Directory.FindLink(tx, secret)
		if err == nil && link.Purpose != directory.PurposeSetUp {
			err = directory.ErrLink
		}
		if err != nil {
			return err
		}
		if owner.Profile, err = directory.StandardProfile(tx); err != nil {
			return err
		}
		owner.Roles = []string{directory.RoleOwner}
		added, err := d.Directory.AddUser(tx, owner)
		if err != nil {
			return err
		}
		if err := errors.Join(d.Directory.SetPassword(tx, added.ID, hash), directory.EndLink(tx, "")); err != nil {
			return err
		}
		return d.note(tx, audit.Event{
			Kind: "user.add", Actor: added.ID, User: added.ID, Address: web.Of(r).AddressText(),
			Facts: map[string]string{"name": added.Name, "through": string(directory.PurposeSetUp)},
		})
	})
	if errors.Is(err, directory.ErrLink) {
		return d.dead(r)
	}
	return err
}

// SetUpLink makes the link by which the first owner comes to be; it is empty once there is one. The link of an earlier start
// works no more.
func (d *Desk) SetUpLink(ctx context.Context) (address string, expires time.Time, err error) {
	err = d.Store.Update(ctx, func(tx store.Tx) error {
		address = ""
		owned, err := directory.HasOwner(tx)
		if err != nil || owned {
			return err
		}
		secret, link, err := d.Directory.NewLink(tx, directory.PurposeSetUp, "", "system")
		if err != nil {
			return err
		}
		address, expires = d.address(secret), link.Expires
		return d.note(tx, audit.Event{Kind: "link.make", Actor: "system", Facts: map[string]string{"purpose": string(link.Purpose)}})
	})
	if err != nil {
		err = fmt.Errorf("making the set-up link: %w", err)
	}
	return address, expires, err
}

// Invitation is a link to hand over.
type Invitation struct {
	Address string
	Expires time.Time
	Mailed  bool
}

// Invite makes the link by which a person chooses the first password, and mails it where that is possible. The audit entry is the
// caller's.
func (d *Desk) Invite(tx store.Tx, user *directory.User, by string) (Invitation, error) {
	secret, link, err := d.Directory.NewLink(tx, directory.PurposeInvite, user.ID, by)
	if err != nil {
		return Invitation{}, err
	}
	invitation := Invitation{Address: d.address(secret), Expires: link.Expires}
	invitation.Mailed, err = d.send(tx, user, invite(user, invitation.Address, link.Expires), link.Expires)
	return invitation, err
}
