package directory

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"gatehouse/store"
)

// Purpose says what a one-time link lets its bearer do, once.
type Purpose string

// The purposes.
const (
	PurposeSetUp  Purpose = "setup"  // make the first owner
	PurposeInvite Purpose = "invite" // choose the first password
	PurposeReset  Purpose = "reset"  // choose another password
)

// Lifetime is for how long a link can be used.
func (p Purpose) Lifetime() time.Duration {
	switch p {
	case PurposeInvite:
		return 7 * day
	case PurposeSetUp:
		return day
	}
	return 30 * time.Minute
}

// Link is a one-time link. The secret in it is stored nowhere: ID is its hex SHA-256.
type Link struct {
	ID      string    `json:"id"`
	Purpose Purpose   `json:"purpose"`
	User    string    `json:"user,omitempty"` // user id; none of a set-up link
	By      string    `json:"by,omitempty"`   // who invited
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
}

// Links is the table of one-time links. A person has at most one.
var Links = &store.Table[Link]{
	Name:    "link",
	Version: 1,
	Key:     func(l *Link) string { return l.ID },
	Unique:  map[string]func(*Link) string{"whose": func(l *Link) string { return whose(l.User) }},
	Expires: func(l *Link) time.Time { return l.Expires },
}

const linkSecret = 43 // 256 bits in base64

func whose(user string) string {
	if user == "" {
		return string(PurposeSetUp)
	}
	return user
}

// ErrLink says that a one-time link does not work: it was never made, was used, is too old, or something ended it. It wraps
// store.ErrNotFound.
var ErrLink = fmt.Errorf("no such one-time link: %w", store.ErrNotFound)

// NewLink makes a link for a person, or for nobody to set up, and returns its secret. The one before works no more.
func (d *Directory) NewLink(tx store.Tx, purpose Purpose, user, by string) (secret string, link Link, err error) {
	if err := EndLink(tx, user); err != nil {
		return "", link, err
	}
	var random [32]byte
	rand.Read(random[:])
	secret = base64.RawURLEncoding.EncodeToString(random[:])
	now := d.now()
	link = Link{ID: linkID(secret), Purpose: purpose, User: user, By: by, Created: now, Expires: now.Add(purpose.Lifetime())}
	return secret, link, Links.Put(tx, &link)
}

func linkOf(tx store.Tx, user string) (Link, error) {
	link, _, err := Links.By(tx, "whose", whose(user))
	if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	return link, err
}

// FindLink returns the link of a secret, if it works, and whose it is; else ErrLink. It uses nothing up.
func (d *Directory) FindLink(tx store.Tx, secret string) (Link, User, error) {
	var user User
	if len(secret) != linkSecret {
		return Link{}, user, ErrLink
	}
	link, _, err := Links.Get(tx, linkID(secret))
	switch now := d.now(); {
	case errors.Is(err, store.ErrNotFound):
		return link, user, ErrLink
	case err != nil:
		return link, user, err
	case !now.Before(link.Expires), now.Before(link.Created.Add(-time.Minute)): // or the clock was set back
		return link, user, ErrLink
	case link.Purpose == PurposeSetUp:
		owned, err := HasOwner(tx)
		if err == nil && owned {
			err = ErrLink
		}
		return link, user, err
	}
	user, _, err = Users.Get(tx, link.User)
	if errors.Is(err, store.ErrNotFound) || err == nil && user.Disabled {
		err = ErrLink
	}
	return link, user, err
}

// EndLink makes a person's link useless, or with no person the one to set up.
func EndLink(tx store.Tx, user string) error {
	link, err := linkOf(tx, user)
	if err != nil || link.ID == "" {
		return err
	}
	return Links.Delete(tx, link.ID)
}

// Invited tells whether a person has an invitation that is open, and until when.
func (d *Directory) Invited(tx store.Tx, user string) (until time.Time, err error) {
	link, err := linkOf(tx, user)
	if err == nil && link.Purpose == PurposeInvite && d.now().Before(link.Expires) {
		until = link.Expires
	}
	return until, err
}

// HasPassword tells whether a person has a password here.
func HasPassword(tx store.Tx, user string) (bool, error) {
	revision, err := Credentials.Revision(tx, user)
	return revision != 0, err
}

func linkID(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
