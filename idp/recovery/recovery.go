// Package recovery owns what Gatehouse writes to people by mail, and the one-time links by which they set it up, accept an
// invitation or choose another password.
//
// A link never signs anybody in: it sets a password, and the person then signs in as always, with every further factor. The
// package must not know pages: signin shows them. Read links.go for the links, forgotten.go for a forgotten password,
// letters.go for the words, mail.go for how they leave.
package recovery

import (
	"time"

	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/idp/outbound"
	"gatehouse/idp/web"
	"gatehouse/store"
)

// Desk makes and honours links, and writes to people. All fields must be set.
type Desk struct {
	Store     store.Store
	Directory *directory.Directory
	Engine    *flow.Engine
	Mailer    *outbound.Mailer
	Seal      func(context string, plaintext []byte) []byte // for what waits in the outbox, and the mail server's password
	Open      func(context string, sealed []byte) ([]byte, error)
	BaseURL   string // public origin
	Now       func() time.Time
}

// LinkPath is where a one-time link leads; its secret is the query's `key`, which no log and no audit entry holds.
const LinkPath = "/link"

func (d *Desk) address(secret string) string { return d.BaseURL + LinkPath + "?key=" + secret }

// Browser is what a notice says about who acted.
type Browser struct {
	Address string
	Agent   string
}

func (b Browser) words() string {
	name := "Browser: " + web.Device(b.Agent) + "."
	if b.Address == "" {
		return name
	}
	return name + " Address: " + b.Address + "."
}

// note appends an event of something that was done.
func (d *Desk) note(tx store.Tx, event audit.Event) error {
	event.Outcome = audit.OK
	_, err := d.Engine.Audit.Append(tx, event)
	return err
}
