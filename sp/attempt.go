package sp

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"gatehouse/store"
)

// Attempt counts how often signed-in people came from an app that is not connected. It is text from outside and nothing else:
// no app is made of it.
type Attempt struct {
	Identifier string    `json:"identifier"` // an entity id or client id, at most 256 bytes of it
	Protocol   string    `json:"protocol"`
	Count      int       `json:"count"`
	First      time.Time `json:"first"`
	Last       time.Time `json:"last"`
	User       string    `json:"user"` // user id of the last one
}

// Bounds of what attempts may fill.
const (
	maxAttempts   = 200
	maxIdentifier = 256
	attemptsFor   = 90 * 24 * time.Hour
)

// Attempts is the table of attempts, at most 200.
var Attempts = &store.Table[Attempt]{
	Name:    "attempt",
	Version: 1,
	Key:     func(a *Attempt) string { return attemptKey(a.Protocol, a.Identifier) },
	Lists: map[string]func(*Attempt) []string{
		"last": func(a *Attempt) []string { return []string{a.Last.UTC().Format("20060102T150405.000000000")} },
	},
	Expires: func(a *Attempt) time.Time { return a.Last.Add(attemptsFor) },
}

func attemptKey(protocol, identifier string) string {
	sum := sha256.Sum256([]byte(protocol + "\x00" + identifier))
	return hex.EncodeToString(sum[:])
}

// CountAttempt counts one attempt of a signed-in person. A new identifier takes the place of the one that was tried longest
// ago when there are 200.
func CountAttempt(tx store.Tx, protocol, identifier, user string, now time.Time) error {
	identifier = strings.ToValidUTF8(identifier[:min(len(identifier), maxIdentifier)], "")
	attempt, _, err := Attempts.Get(tx, attemptKey(protocol, identifier))
	if errors.Is(err, store.ErrNotFound) {
		attempt = Attempt{Identifier: identifier, Protocol: protocol, First: now}
		err = makeRoom(tx)
	}
	if err != nil {
		return err
	}
	attempt.Count++
	attempt.Last, attempt.User = now, user
	return Attempts.Put(tx, &attempt)
}

func makeRoom(tx store.Tx) error {
	n, err := Attempts.Count(tx, store.Page{}, maxAttempts)
	if err != nil || n < maxAttempts {
		return err
	}
	oldest, _, err := Attempts.List(tx, store.Page{Index: "last", Limit: 1})
	if err != nil || len(oldest) == 0 {
		return err
	}
	return Attempts.Delete(tx, Attempts.Key(&oldest[0]))
}
