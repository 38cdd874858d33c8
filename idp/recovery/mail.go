package recovery

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"time"

	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/outbound"
	"gatehouse/store"
)

// MailKind is the kind of the outbox rows of mails.
const MailKind = "mail"

// PasswordContext is what the mail server's password is sealed for.
const PasswordContext = "smtp.password"

// noticeLife is how long a notice is worth sending.
const noticeLife = 24 * time.Hour

// mailed is the payload of such a row, sealed: a letter may hold a link.
type mailed struct {
	User    string           `json:"user"`
	Message outbound.Message `json:"message"`
	Until   time.Time        `json:"until"` // worth nothing afterwards
}

// Notify tells a person about their account, if the organisation sends notices and the person has an address.
func (d *Desk) Notify(tx store.Tx, user *directory.User, l Letter) error {
	settings, _, err := directory.LoadSettings(tx)
	if err != nil || !settings.SendsNotices() {
		return err
	}
	_, err = d.send(tx, user, l, d.Now().Add(noticeLife))
	return err
}

// send puts a letter into the outbox and tells whether it will go; it needs a mail server and an address.
func (d *Desk) send(tx store.Tx, user *directory.User, l Letter, until time.Time) (bool, error) {
	settings, _, err := directory.LoadSettings(tx)
	if err != nil || !settings.SendsMail() || user.Email == "" {
		return false, err
	}
	message, err := l.message(user.Email, &settings)
	if err != nil {
		return false, err
	}
	payload, err := json.Marshal(mailed{user.ID, message, until})
	if err != nil {
		return false, err
	}
	row := outbound.Row{ID: MailKind + "/" + rand.Text(), Kind: MailKind, Payload: d.Seal(MailKind, payload)}
	return true, outbound.Enqueue(tx, &row)
}

// errTooLate says that a mail was not sent in the time in which it was worth something.
var errTooLate = errors.New("the mail is too old to be of use, so it was dropped")

// Send hands one mail to the mail server: the outbox calls it. Each failure is in the audit, within the bounds for strangers.
func (d *Desk) Send(ctx context.Context, payload []byte) error {
	m, err := d.unseal(payload)
	if err != nil {
		return err
	}
	if !d.Now().Before(m.Until) {
		return d.failed(ctx, m, "too_late", errTooLate)
	}
	account, err := d.account(ctx)
	if err != nil {
		return err
	}
	if err := d.Mailer.Deliver(ctx, account, m.Message); err != nil {
		return errors.Join(err, d.failed(ctx, m, "not_sent", err))
	}
	return nil
}

func (d *Desk) unseal(payload []byte) (m mailed, err error) {
	plain, err := d.Open(MailKind, payload)
	if err == nil {
		err = json.Unmarshal(plain, &m)
	}
	return m, err
}

func (d *Desk) failed(ctx context.Context, m mailed, reason string, cause error) error {
	return d.Engine.Note(context.WithoutCancel(ctx), audit.Event{
		Kind: "mail.send", Outcome: audit.Failed, Reason: reason, Actor: "system", User: m.User,
		Detail: Short(cause), Facts: map[string]string{"subject": m.Message.Subject},
	}, nothing)
}

// GaveUp notes that a mail will not be tried again.
func (d *Desk) GaveUp(tx store.Tx, payload []byte, cause error) error {
	m, err := d.unseal(payload)
	if err != nil {
		return err
	}
	return d.Engine.Append(tx, audit.Event{
		Kind: "mail.send", Outcome: audit.Failed, Reason: "gave_up", Actor: "system", User: m.User,
		Detail: Short(cause), Facts: map[string]string{"subject": m.Message.Subject},
	})
}

// Short is an error for the audit.
func Short(err error) string {
	text := err.Error()
	return text[:min(len(text), 300)]
}

// errNoServer refuses to send without a mail server.
var errNoServer = errors.New("no mail server is set up: set smtp.url and smtp.from")

// account is the mail server with its password.
func (d *Desk) account(ctx context.Context) (outbound.Account, error) {
	var settings directory.Settings
	err := d.Store.View(ctx, func(tx store.Tx) (err error) {
		settings, _, err = directory.LoadSettings(tx)
		return err
	})
	if err == nil && !settings.SendsMail() {
		err = errNoServer
	}
	account := outbound.Account{URL: settings.SMTP.URL, From: settings.SMTP.From, Name: settings.Sender()}
	if err != nil || len(settings.SMTP.Password) == 0 {
		return account, err
	}
	password, err := d.Open(PasswordContext, settings.SMTP.Password)
	account.Password = string(password)
	return account, err
}

// Test sends a mail at once, past the outbox, so that an administrator sees at once what is wrong.
func (d *Desk) Test(ctx context.Context, to string) error {
	account, err := d.account(ctx)
	if err != nil {
		return err
	}
	message, err := trial().message(to, &directory.Settings{Name: account.Name})
	if err != nil {
		return err
	}
	return d.Mailer.Deliver(ctx, account, message)
}
