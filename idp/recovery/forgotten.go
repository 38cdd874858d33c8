package recovery

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"

	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/outbound"
	"gatehouse/store"
)

// RecoveryKind is the kind of the outbox rows that forgotten passwords leave.
const RecoveryKind = "recovery"

// wish is the payload of such a row: what somebody typed in, and from where.
type wish struct {
	Name    string `json:"name"`
	Address string `json:"address"`
}

// maxTyped bounds what is kept of what somebody typed in.
const maxTyped = 254

// Forgotten notes that somebody has forgotten the password of a name or an e-mail address. It does the same work whoever is meant,
// and whether anybody is: who that is, is looked up behind it, so that nothing can be told from the answer or from its time.
func (d *Desk) Forgotten(ctx context.Context, name, address string) error {
	payload, err := json.Marshal(wish{name[:min(len(name), maxTyped)], address})
	if err != nil {
		return err
	}
	row := outbound.Row{ID: RecoveryKind + "/" + rand.Text(), Kind: RecoveryKind, Payload: d.Seal(RecoveryKind, payload)}
	return d.Store.Update(ctx, func(tx store.Tx) error { return outbound.Enqueue(tx, &row) })
}

// wishes is the outbox's sender for forgotten passwords.
type wishes struct{ *Desk }

// Wishes sends what Forgotten noted.
func (d *Desk) Wishes() outbound.Sender { return wishes{d} }

// Send finds the person and writes the letter, in one Update with its audit entry.
func (w wishes) Send(ctx context.Context, payload []byte) error {
	plain, err := w.Open(RecoveryKind, payload)
	if err != nil {
		return err
	}
	var asked wish
	if err := json.Unmarshal(plain, &asked); err != nil {
		return err
	}
	event := audit.Event{Kind: "link.ask", Address: asked.Address}
	var user directory.User
	err = w.Store.View(ctx, func(tx store.Tx) (err error) {
		user, err = directory.Named(tx, asked.Name)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		event.Outcome, event.Reason = audit.Refused, string(directory.UnknownUser)
		return w.Engine.Note(ctx, event, nothing)
	}
	if err != nil {
		return err
	}
	event.User = user.ID
	if event.Reason = w.silent(&user); event.Reason != "" {
		event.Outcome = audit.Refused
		return w.Engine.Note(ctx, event, nothing)
	}
	return w.Store.Update(ctx, func(tx store.Tx) error { return w.answer(tx, user.ID, event) })
}

func nothing(store.Tx) error { return nil }

// silent is why a person gets no letter; empty: they do.
func (d *Desk) silent(user *directory.User) string {
	switch {
	case user.Disabled:
		return string(directory.Disabled)
	case user.Email == "":
		return "no_email"
	case !d.Directory.MayWrite(user.ID):
		return string(directory.ThrottledAccount)
	}
	return ""
}

// answer writes the letter: with a link to choose another password, with a new invitation, or with where the password is kept.
func (d *Desk) answer(tx store.Tx, id string, event audit.Event) error {
	user, _, err := directory.Users.Get(tx, id)
	if err != nil {
		return err
	}
	has, err := directory.HasPassword(tx, id)
	if err != nil {
		return err
	}
	invited, err := d.Directory.Invited(tx, id)
	if err != nil {
		return err
	}
	switch {
	case has:
		event.Facts = map[string]string{"purpose": string(directory.PurposeReset)}
		err = d.reset(tx, &user)
	case !invited.IsZero():
		event.Facts = map[string]string{"purpose": string(directory.PurposeInvite)}
		_, err = d.Invite(tx, &user, "system")
	default:
		event.Reason = "password_elsewhere"
		_, err = d.send(tx, &user, keptElsewhere(), d.Now().Add(noticeLife))
	}
	if err != nil {
		return err
	}
	return d.note(tx, event)
}

func (d *Desk) reset(tx store.Tx, user *directory.User) error {
	secret, link, err := d.Directory.NewLink(tx, directory.PurposeReset, user.ID, "system")
	if err != nil {
		return err
	}
	_, err = d.send(tx, user, reset(user, d.address(secret)), link.Expires)
	return err
}

// GaveUp has nothing to tell: the store could not be written for hours.
func (wishes) GaveUp(store.Tx, []byte, error) error { return nil }
