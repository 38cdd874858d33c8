package session

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gatehouse/store"
)

// ErrNone says that a browser has no session: unknown, ended or expired. It wraps store.ErrNotFound.
var ErrNone = fmt.Errorf("no session: %w", store.ErrNotFound)

// Bounds. At a bound the oldest makes room.
const (
	maxApps    = 200
	maxFrom    = 20 // sessions at upstreams
	maxPerUser = 100
	maxAgent   = 200 // bytes of the browser's name that are kept

	touchEvery = time.Minute
	// maxAhead is how far Seen may lie in the future: further and the clock was set back, which must not prolong anything.
	maxAhead = 5 * time.Minute
	// secretSize is the length of a cookie secret: 256 bits in base64.
	secretSize = 43
)

// Keeper starts, finds, raises and ends sessions inside the caller's transactions. Do not copy.
type Keeper struct {
	Now func() time.Time

	cache store.Cache[Session]
}

// Limits are how long a session lives unused and in all, as it starts.
type Limits struct{ Idle, Max time.Duration }

// Opening is what a new session begins with.
type Opening struct {
	User    string
	Methods []Method // they make the level
	Address string
	Agent   string
	Client  bool // not a browser
	Limits  Limits
}

// Start opens a session and returns the secret for the cookie, which is stored nowhere. End the person's Surplus before.
func (k *Keeper) Start(tx store.Tx, o Opening) (string, Session, error) {
	now := k.Now()
	secret := newSecret()
	s := Session{
		ID: idOf(secret), Handle: "ses_" + strings.ToLower(rand.Text()), User: o.User, Client: o.Client, Level: LevelOf(o.Methods), Methods: o.Methods,
		Started: now, Seen: now, Ends: now.Add(o.Limits.Max), IdleFor: o.Limits.Idle,
		Address: o.Address, Agent: strings.ToValidUTF8(o.Agent[:min(len(o.Agent), maxAgent)], ""),
	}
	s.Idle = s.idleAt(now)
	for _, method := range o.Methods {
		s.came(method)
	}
	return secret, s, Table.Put(tx, &s)
}

// Surplus are the person's sessions that must end before another one starts: those of clients that are not browsers first, then the
// longest unused. Ending them, so that apps are told, is for flow.
func (k *Keeper) Surplus(tx store.Tx, user string) ([]Session, error) {
	page := store.Page{Index: "user", Value: user}
	n, err := Table.Count(tx, page, maxPerUser)
	if err != nil || n < maxPerUser {
		return nil, err
	}
	all, _, err := Table.List(tx, page)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b Session) int {
		if a.Client != b.Client {
			if a.Client {
				return -1
			}
			return 1
		}
		return a.Seen.Compare(b.Seen)
	})
	return all[:len(all)-maxPerUser+1], nil
}

// Current returns the live session of a cookie's secret, and its revision; ErrNone when there is none. It is called by every
// request, so decoded sessions are kept: what the returned one refers to is read-only.
func (k *Keeper) Current(tx store.Tx, secret string) (Session, store.Revision, error) {
	if len(secret) != secretSize {
		return Session{}, 0, ErrNone
	}
	s, revision, err := k.cache.Get(tx, Table, idOf(secret))
	if errors.Is(err, store.ErrNotFound) {
		return Session{}, 0, ErrNone
	}
	if err != nil {
		return Session{}, 0, err
	}
	if !k.counts(s) {
		return Session{}, 0, ErrNone
	}
	return *s, revision, nil
}

// counts tells whether a session is live. One that was seen far in the future does not count: the clock was set back.
func (k *Keeper) counts(s *Session) bool {
	now := k.Now()
	return s.Live(now) && !s.Seen.After(now.Add(maxAhead))
}

func (k *Keeper) live(tx store.Tx, id string) (Session, store.Revision, error) {
	s, revision, err := Table.Get(tx, id)
	if errors.Is(err, store.ErrNotFound) {
		return Session{}, 0, ErrNone
	}
	if err != nil {
		return Session{}, 0, err
	}
	if !k.counts(&s) {
		return Session{}, 0, ErrNone
	}
	return s, revision, nil
}

// Raise records a further or repeated credential check: the session gets a new id and secret and the level that its methods
// now make, and keeps its handle, apps and end. What another identity provider vouches for, with its limits, is replaced by a first
// factor of ours and replaces them all; only second factors of ours stand beside it. The old secret is worth nothing from the
// commit on. ErrNone when the session has ended meanwhile.
func (k *Keeper) Raise(tx store.Tx, old Session, method Method) (string, Session, error) {
	s, _, err := k.live(tx, old.ID)
	if err != nil {
		return "", Session{}, err
	}
	if err := Table.Delete(tx, s.ID); err != nil {
		return "", Session{}, err
	}
	now := k.Now()
	secret := newSecret()
	s.came(method)
	s.Methods = append(slices.DeleteFunc(slices.Clone(s.Methods), func(m Method) bool {
		return m.Name == method.Name || method.From != nil || m.From != nil && !method.Second()
	}), method)
	s.ID, s.Level, s.Seen, s.Idle = idOf(secret), LevelOf(s.Methods), now, s.idleAt(now)
	return secret, s, Table.Put(tx, &s)
}

// PutOff notes that the person put off setting up a second factor while this session lasts. ErrNone when it has ended.
func (k *Keeper) PutOff(tx store.Tx, id string) error {
	s, _, err := k.live(tx, id)
	if err != nil {
		return err
	}
	s.PutOff = k.Now()
	return Table.Put(tx, &s)
}

// ListByUser returns the user's live sessions, the newest first.
func (k *Keeper) ListByUser(tx store.Tx, user string) ([]Session, error) {
	all, _, err := Table.List(tx, store.Page{Index: "user", Value: user})
	now := k.Now()
	all = slices.DeleteFunc(all, func(s Session) bool { return !s.Live(now) })
	slices.SortFunc(all, func(a, b Session) int { return b.Started.Compare(a.Started) })
	return all, err
}

// ByHandle returns the live session that a handle names, ErrNone when there is none.
func (k *Keeper) ByHandle(tx store.Tx, handle string) (Session, error) {
	s, _, err := Table.By(tx, "handle", handle)
	if errors.Is(err, store.ErrNotFound) || err == nil && !s.Live(k.Now()) {
		return Session{}, ErrNone
	}
	return s, err
}

// AddApp notes that an app was reached through the session, which is the one stored now. It writes nothing when the app is
// known with the same name and the session was seen in the last minute. Another name for the same app is another entry: the app may
// ask to sign out under either.
func (k *Keeper) AddApp(tx store.Tx, s *Session, reached AppReached) error {
	i := slices.IndexFunc(s.Apps, func(a AppReached) bool {
		return a.App == reached.App && a.SessionIndex == reached.SessionIndex && a.sameName(&reached)
	})
	if i >= 0 && !k.NeedsTouch(s) {
		return nil
	}
	changed := *s
	changed.Apps = slices.Clone(s.Apps)
	switch {
	case i >= 0:
		changed.Apps[i] = reached
	case len(changed.Apps) >= maxApps:
		changed.Apps = append(slices.Delete(changed.Apps, 0, len(changed.Apps)-maxApps+1), reached)
		changed.Dropped = true
	default:
		changed.Apps = append(changed.Apps, reached)
	}
	k.see(&changed)
	return Table.Put(tx, &changed)
}

// NeedsTouch tells whether the session was last seen a minute ago or more.
func (k *Keeper) NeedsTouch(s *Session) bool { return k.Now().Sub(s.Seen) >= touchEvery }

// Touch moves the idle limit of the session with this ID; it writes at most once a minute, and never for an ended session.
func (k *Keeper) Touch(tx store.Tx, id string) error {
	s, _, err := k.live(tx, id)
	if errors.Is(err, ErrNone) {
		return nil
	}
	if err != nil || !k.NeedsTouch(&s) {
		return err
	}
	k.see(&s)
	return Table.Put(tx, &s)
}

func (k *Keeper) see(s *Session) {
	if now := k.Now(); now.After(s.Seen) {
		s.Seen, s.Idle = now, s.idleAt(now)
	}
}

func newSecret() string {
	var random [32]byte
	rand.Read(random[:])
	return base64.RawURLEncoding.EncodeToString(random[:])
}

func idOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
