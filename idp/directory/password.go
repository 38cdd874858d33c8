package directory

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"gatehouse/store"
)

// Bounds of passwords: characters from below, bytes from above.
const (
	MinPassword = 8
	MaxPassword = 1024
)

// ErrBusy says that too many passwords wait to be checked; a second later it may work. It counts as no failure.
var ErrBusy = errors.New("too many sign-ins at this moment")

// cost is what an argon2id hash takes: memory in KiB, passes, lanes.
type cost struct {
	memory, time uint32
	threads      uint8
}

// current is the cost of new hashes (design, section 6). A password with another one is hashed again when it is next used.
var current = cost{memory: 19 * 1024, time: 2, threads: 1}

const saltSize, hashSize = 16, 32

// phc is a parsed hash: $argon2id$v=19$m=…,t=…,p=…$SALT$HASH.
type phc struct {
	cost
	salt, hash []byte
}

func (p *phc) String() string {
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s",
		argon2.Version, p.memory, p.time, p.threads, encode(p.salt), encode(p.hash))
}

var errHash = errors.New("the password hash is not argon2id in PHC form")

// parsePHC reads a hash; costs that would stop the server are refused.
func parsePHC(text string) (*phc, error) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return nil, errHash
	}
	p := &phc{}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.time, &p.threads); err != nil {
		return nil, errHash
	}
	var saltErr, hashErr error
	p.salt, saltErr = base64.RawStdEncoding.DecodeString(parts[4])
	p.hash, hashErr = base64.RawStdEncoding.DecodeString(parts[5])
	fits := p.memory >= 8 && p.memory <= 256*1024 && p.time >= 1 && p.time <= 16 && p.threads >= 1 && p.threads <= 16 &&
		len(p.salt) >= 8 && len(p.salt) <= 64 && len(p.hash) >= 16 && len(p.hash) <= 64
	if saltErr != nil || hashErr != nil || !fits {
		return nil, errHash
	}
	return p, nil
}

// dummy is a hash of the current cost that no password has: the work for people who do not exist.
func dummy() *phc {
	p := &phc{cost: current, salt: make([]byte, saltSize), hash: make([]byte, hashSize)}
	rand.Read(p.salt)
	rand.Read(p.hash)
	return p
}

// hasher runs argon2id for a bounded number at once; a bounded number more wait.
type hasher struct {
	slots   chan struct{}
	waiting *atomic.Int64
	runs    *atomic.Int64
}

// waitingPerSlot bounds the queue: at about 25 ms a hash, some two seconds of waiting.
const waitingPerSlot = 80

func newHasher(slots int) hasher {
	return hasher{slots: make(chan struct{}, slots), waiting: new(atomic.Int64), runs: new(atomic.Int64)}
}

// sum hashes the password as p was hashed.
func (h *hasher) sum(ctx context.Context, p *phc, password string) ([]byte, error) {
	defer h.waiting.Add(-1)
	if h.waiting.Add(1) > int64((waitingPerSlot+1)*cap(h.slots)) {
		return nil, ErrBusy
	}
	select {
	case h.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-h.slots }()
	h.runs.Add(1)
	text := []byte(norm.NFC.String(password))
	return argon2.IDKey(text, p.salt, p.time, p.memory, p.threads, uint32(len(p.hash))), nil
}

func (h *hasher) verify(ctx context.Context, p *phc, password string) (bool, error) {
	sum, err := h.sum(ctx, p, password)
	return err == nil && subtle.ConstantTimeCompare(sum, p.hash) == 1, err
}

func (h *hasher) make(ctx context.Context, password string) (string, error) {
	p := dummy()
	sum, err := h.sum(ctx, p, password)
	if err != nil {
		return "", err
	}
	p.hash = sum
	return p.String(), nil
}

// CheckPassword refuses a new password of a person that is too short, too long, known to everybody, or easy to guess because it
// is a name. What it refuses is an *InputError.
func (d *Directory) CheckPassword(ctx context.Context, password string, user *User) error {
	switch {
	case utf8.RuneCountInString(password) < MinPassword:
		return refuse("The password is too short: use at least %d characters", MinPassword)
	case len(password) > MaxPassword:
		return refuse("The password is too long: use at most %d bytes", MaxPassword)
	}
	var settings Settings
	err := d.store.View(ctx, func(tx store.Tx) (err error) {
		settings, _, err = LoadSettings(tx)
		return err
	})
	if err != nil {
		return err
	}
	mailbox, _, _ := strings.Cut(user.Email, "@")
	for _, word := range []string{user.Name, user.DisplayName, user.Email, mailbox, user.GivenName + user.Surname, settings.Name, "gatehouse"} {
		if word != "" && plain(password) == plain(word) {
			return refuse("The password is your name or your organisation's: choose one that nobody can guess")
		}
	}
	if d.Breached == nil {
		return nil
	}
	known, err := d.Breached.Holds(password)
	if err == nil && known {
		err = refuse("This password is on a list of stolen ones, so others try it: choose another")
	}
	return err
}

// plain is a text without what does not make it harder to guess.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, Normalise(text))
}

// HashPassword checks a new password of a person and hashes it for SetPassword. It takes some 25 ms of a core: call it outside
// transactions.
func (d *Directory) HashPassword(ctx context.Context, password string, user *User) (string, error) {
	if err := d.CheckPassword(ctx, password, user); err != nil {
		return "", err
	}
	return d.hasher.make(ctx, password)
}
