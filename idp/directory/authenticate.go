package directory

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/netip"
	"slices"
	"time"

	"gatehouse/store"
)

// Why a sign-in failed, for the audit alone. To the person wrong, unknown and disabled look the same.
const (
	WrongPassword    = "wrong_password"
	UnknownUser      = "unknown_user"
	Disabled         = "disabled"
	ThrottledAccount = "throttled_account"
	ThrottledAddress = "throttled_address"
)

// Refused is the error of a sign-in that failed. Commit it in the transaction that appends the audit entry.
type Refused struct {
	Reason     string        // one of the constants above
	User       string        // id of the person that was tried, for the audit; empty if there is none
	RetryAfter time.Duration // above zero: throttled, the password was not looked at; the page may say so

	at    time.Time
	known bool
}

func (e *Refused) Error() string { return "sign-in refused: " + e.Reason }

// ErrChanged says that the person or the password was changed while the sign-in was under way: sign in again.
var ErrChanged = errors.New("the account was changed during the sign-in")

// maxKnown is how many networks a person is known from.
const maxKnown = 5

// Result is a sign-in whose password is right. Commit it in the transaction that starts the session.
type Result struct {
	User User

	at         time.Time
	network    string
	credential store.Revision
	upgraded   string // a hash at the current cost, when the stored one has another
}

// attempt is one sign-in under way: who it is for, as one View tells, and how it is counted.
type attempt struct {
	user       User
	activity   Activity
	hash       *phc
	credential store.Revision
	settings   Settings

	at      time.Time
	network string
	known   bool   // from a network that the person signed in from before
	account string // key of the throttle
}

// Authenticate checks a password. Whether the name exists or not, one hash is computed and the answer is the same. Failures
// are throttled in two ways: per network and minute, and per account by growing waits that end by themselves. An attempt from
// a network that the person is known from has a count of its own, so that strangers cannot keep the owner out. The error is
// *Refused, ErrBusy, the context's or the store's.
func (d *Directory) Authenticate(ctx context.Context, name, password string, address netip.Addr) (*Result, error) {
	a, err := d.look(ctx, name)
	if err != nil {
		return nil, err
	}
	a.at, a.network, a.account = d.now(), network(address), accountKey(name)
	a.known = slices.Contains(a.activity.Known, a.network)
	if reason, wait := d.throttled(a); wait > 0 {
		return nil, a.refused(reason, wait)
	}
	result, right, err := d.checkPassword(ctx, a, password)
	if err != nil {
		d.uncount(a, false)
		return nil, err
	}
	switch {
	case a.user.ID == "":
		return nil, a.refused(UnknownUser, 0)
	case a.user.Disabled:
		return nil, a.refused(Disabled, 0)
	case !right:
		return nil, a.refused(WrongPassword, 0)
	}
	d.uncount(a, true)
	return result, nil
}

func (a *attempt) refused(reason string, wait time.Duration) *Refused {
	return &Refused{Reason: reason, User: a.user.ID, RetryAfter: wait, at: a.at, known: a.known}
}

func (d *Directory) look(ctx context.Context, name string) (*attempt, error) {
	var a *attempt
	err := d.store.View(ctx, func(tx store.Tx) (err error) {
		a = &attempt{}
		if a.settings, err = GetSettings(tx); err != nil || len(name) > maxName {
			return err
		}
		if a.user, _, err = Users.By(tx, "name", Normalise(name)); errors.Is(err, store.ErrNotFound) {
			return nil
		} else if err != nil {
			return err
		}
		if a.activity, err = activityOf(tx, a.user.ID); err != nil {
			return err
		}
		credential, revision, err := Credentials.Get(tx, a.user.ID)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err == nil {
			a.credential = revision
			a.hash, err = parsePHC(credential.Password)
		}
		return err
	})
	return a, err
}

// checkPassword runs exactly one hash, whoever is asked for, and a second one when a right password's is to be upgraded.
func (d *Directory) checkPassword(ctx context.Context, a *attempt, password string) (*Result, bool, error) {
	if len(password) > MaxPassword {
		return nil, false, nil
	}
	hash := a.hash
	if hash == nil {
		hash = dummy()
	}
	right, err := d.hasher.verify(ctx, hash, password)
	if err != nil || !right || a.hash == nil {
		return nil, false, err
	}
	result := &Result{User: a.user, at: a.at, network: a.network, credential: a.credential}
	if hash.cost != current && !a.user.Disabled {
		result.upgraded, err = d.hasher.make(ctx, password)
	}
	return result, true, err
}

// throttled counts the attempt, or says why and how long to wait.
func (d *Directory) throttled(a *attempt) (string, time.Duration) {
	stored := tally{}
	if !a.known {
		stored = tally{a.activity.Failures, a.activity.LastFailure}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if wait := d.networks.tryNetwork(a.network, a.settings.ThrottleAddress, a.at); wait > 0 {
		return ThrottledAddress, wait
	}
	return ThrottledAccount, d.accounts.tryAccount(a.tallied(), stored, a.settings.ThrottleAccount, a.at)
}

// uncount takes an attempt back that was no failure; a success forgets the account's failures too.
func (d *Directory) uncount(a *attempt, success bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.networks.takeBack(a.network)
	if success {
		d.accounts.forget(a.account)
		d.accounts.forget(a.tallied())
		return
	}
	d.accounts.takeBack(a.tallied())
}

// accountKey is the same for names that exist and names that do not.
func accountKey(name string) string {
	sum := sha256.Sum256([]byte(Normalise(name[:min(len(name), maxName)])))
	return string(sum[:])
}

// tallied is the key under which the attempt counts: apart for a network that the person is known from.
func (a *attempt) tallied() string {
	if a.known {
		return a.account + a.network
	}
	return a.account
}

// Commit notes the failure, so that a restart does not forget it. Throttled attempts, those from a network that the person is
// known from, and unknown names write nothing: memory alone counts them.
func (e *Refused) Commit(tx store.Tx) error {
	if e.User == "" || e.RetryAfter > 0 || e.known {
		return nil
	}
	if revision, err := Users.Revision(tx, e.User); err != nil || revision == 0 {
		return err
	}
	activity, err := activityOf(tx, e.User)
	if err != nil {
		return err
	}
	if e.at.Sub(activity.LastFailure) >= forgetting {
		activity.Failures = 0
	}
	activity.Failures++
	activity.LastFailure = e.at
	return Activities.Put(tx, &activity)
}

// Commit stores the time, the network and an upgraded hash, and ends earlier failures; ErrChanged if the person was disabled
// or removed or the password changed meanwhile.
func (r *Result) Commit(tx store.Tx) error {
	user, _, err := Users.Get(tx, r.User.ID)
	if errors.Is(err, store.ErrNotFound) {
		return ErrChanged
	}
	if err != nil {
		return err
	}
	credential, revision, err := Credentials.Get(tx, r.User.ID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if user.Disabled || revision != r.credential {
		return ErrChanged
	}
	if r.upgraded != "" {
		credential.Password = r.upgraded
		if err := Credentials.Put(tx, &credential); err != nil {
			return err
		}
	}
	activity, err := activityOf(tx, r.User.ID)
	if err != nil {
		return err
	}
	activity.LastSignIn, activity.Failures, activity.LastFailure = r.at, 0, time.Time{}
	known := slices.DeleteFunc(activity.Known, func(n string) bool { return n == r.network })
	activity.Known = append(known[max(0, len(known)-maxKnown+1):], r.network)
	return Activities.Put(tx, &activity)
}

func activityOf(tx store.Tx, user string) (Activity, error) {
	activity, _, err := Activities.Get(tx, user)
	if errors.Is(err, store.ErrNotFound) {
		return Activity{User: user}, nil
	}
	return activity, err
}

// LastSignIn is when a person last signed in, zero if never.
func LastSignIn(tx store.Tx, user string) (time.Time, error) {
	activity, err := activityOf(tx, user)
	return activity.LastSignIn, err
}
