package directory

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"gatehouse/store"
)

// Reason says, for the audit alone, why a sign-in failed. To the person wrong, unknown and disabled look the same.
type Reason string

// The reasons. A throttled attempt did not have its password checked: Result.RetryAfter says when to try again.
const (
	WrongPassword    Reason = "wrong_password"
	UnknownUser      Reason = "unknown_user"
	Disabled         Reason = "disabled"
	ThrottledAccount Reason = "throttled_account"
	ThrottledAddress Reason = "throttled_address"
	SourceDown       Reason = "source_down"    // a directory that may have the person did not answer: nothing was counted
	Ambiguous        Reason = "ambiguous_name" // it has several entries of that name, or one without a lasting id
	NotAdopted       Reason = "not_adopted"    // it has the person, who cannot become one of ours: see AdoptError
)

// ErrChanged says that the person or the password was changed while the sign-in was under way: sign in again.
var ErrChanged = errors.New("the account was changed during the sign-in")

// maxKnown is how many networks a person is known from.
const maxKnown = 5

// Result is the outcome of Authenticate. Commit it in the transaction that starts the session or appends the audit entry.
type Result struct {
	User       User   // who signed in; the zero value unless OK. Of a source's new people it is there after Commit
	Account    string // id of the person that was tried, for the audit; empty if there is none
	Reason     Reason // empty: the password is right
	RetryAfter time.Duration
	Down       bool   // a directory does not answer, which the page may say whoever was asked for
	Detail     string // for the audit: what went wrong with a directory

	at         time.Time
	account    string // key of the throttle
	network    string
	known      bool // tried from a network that the person signed in from before
	credential store.Revision
	upgraded   string // a hash at the current cost, when the stored one has another
	vouched    *vouched
}

// OK tells whether the password is right and the person may sign in.
func (r *Result) OK() bool { return r.Reason == "" && (r.User.ID != "" || r.vouched != nil) }

// Throttled tells whether the attempt came too early; the page may say so.
func (r *Result) Throttled() bool {
	return r.Reason == ThrottledAccount || r.Reason == ThrottledAddress
}

// attempt is what one View tells about a sign-in.
type attempt struct {
	user       User
	activity   Activity
	hash       *phc
	credential store.Revision
	settings   Settings
	sources    []Source // that may have the person, in the order in which they are asked
	held       bool     // there are sources, so that failures take their time
}

// Authenticate checks a password. Whether the name exists or not, one hash is computed and the answer is the same. Failures
// are throttled in two ways: per network and minute, and per account by growing waits that end by themselves. An attempt from
// a network that the person is known from has a count of its own, so that strangers cannot keep the owner out. The error is
// only ErrBusy, the context's or the store's.
func (d *Directory) Authenticate(ctx context.Context, name, password string, address netip.Addr) (Result, error) {
	start := time.Now()
	a, err := d.look(ctx, name)
	if err != nil {
		return Result{}, err
	}
	result := Result{Account: a.user.ID, at: d.now(), network: network(address), credential: a.credential}
	result.known = slices.Contains(a.activity.Known, result.network)
	result.account = accountKey(name)
	if a.user.ID != "" {
		result.account = accountKey(a.user.Name) // found by e-mail address: the tally is still one
	}
	if d.throttled(a, &result) {
		return result, nil
	}
	if err := d.judge(ctx, a, name, password, &result); err != nil {
		d.uncount(&result, false)
		return Result{}, err
	}
	switch {
	case result.OK():
		d.uncount(&result, true)
	case result.Reason == SourceDown:
		d.uncount(&result, false)
	}
	if a.held && !result.OK() {
		result.Down = result.Down || d.LDAP.anyDown(d.now())
		hold(ctx, start)
	}
	return result, ctx.Err()
}

// judge checks the password, here or at a source, and fills in the result.
func (d *Directory) judge(ctx context.Context, a *attempt, name, password string, result *Result) error {
	right, err := d.checkPassword(ctx, a, password, result)
	switch {
	case err != nil:
		return err
	case len(a.sources) > 0:
		return d.judgeAtSource(ctx, a, name, password, result)
	case a.user.ID == "":
		result.Reason = UnknownUser
	case a.user.Disabled:
		result.Reason = Disabled
	case !right:
		result.Reason = WrongPassword
	default:
		result.User = a.user
	}
	return nil
}

func (d *Directory) look(ctx context.Context, name string) (*attempt, error) {
	var a *attempt
	err := d.store.View(ctx, func(tx store.Tx) (err error) {
		a = &attempt{}
		if a.settings, _, err = LoadSettings(tx); err != nil || len(name) > maxName {
			return err
		}
		if a.user, err = Named(tx, name); errors.Is(err, store.ErrNotFound) {
			return d.readSources(tx, a)
		} else if err != nil {
			return err
		}
		if err := d.readSources(tx, a); err != nil {
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

// Named finds who signs in by user name or by e-mail address; no address is another person's user name.
func Named(tx store.Tx, name string) (User, error) {
	user, _, err := Users.By(tx, "name", Normalise(name))
	if !errors.Is(err, store.ErrNotFound) || !strings.Contains(name, "@") {
		return user, err
	}
	user, _, err = Users.By(tx, "email", Normalise(name))
	return user, err
}

// checkPassword runs exactly one hash, whoever is asked for, and a second one when a right password's is to be upgraded.
func (d *Directory) checkPassword(ctx context.Context, a *attempt, password string, result *Result) (bool, error) {
	if len(password) > MaxPassword {
		return false, nil
	}
	hash := a.hash
	if hash == nil {
		hash = dummy()
	}
	right, err := d.hasher.verify(ctx, hash, password)
	if err != nil || !right || a.hash == nil {
		return false, err
	}
	if hash.cost != current && !a.user.Disabled {
		result.upgraded, err = d.hasher.make(ctx, password)
	}
	return true, err
}

// throttled counts the attempt, or refuses it.
func (d *Directory) throttled(a *attempt, result *Result) bool {
	stored := tally{}
	if !result.known {
		stored = tally{a.activity.Failures, a.activity.LastFailure}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	wait := d.networks.tryNetwork(result.network, a.settings.AddressLimit(), result.at)
	if wait > 0 {
		result.Reason, result.RetryAfter = ThrottledAddress, wait
		return true
	}
	if wait = d.accounts.tryAccount(result.tallied(), stored, a.settings.AccountLimit(), result.at); wait > 0 {
		result.Reason, result.RetryAfter = ThrottledAccount, wait
		return true
	}
	return false
}

// uncount takes an attempt back that was no failure; a success forgets the account's failures too.
func (d *Directory) uncount(result *Result, success bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.networks.takeBack(result.network)
	if success {
		d.accounts.forget(result.account)
		d.accounts.forget(result.tallied())
		return
	}
	d.accounts.takeBack(result.tallied())
}

// accountKey is the same for names that exist and names that do not.
func accountKey(name string) string {
	sum := sha256.Sum256([]byte(Normalise(name[:min(len(name), maxName)])))
	return string(sum[:])
}

// tallied is the key under which the attempt counts: apart for a network that the person is known from.
func (r *Result) tallied() string {
	if r.known {
		return r.account + r.network
	}
	return r.account
}

// Commit stores what follows from the attempt. After a success: the time, the end of earlier failures, the network and an
// upgraded hash, or ErrChanged if the person was disabled or the password changed meanwhile. After a failure: one more, so
// that a restart does not forget it. Throttled attempts and unknown names write nothing.
func (r *Result) Commit(tx store.Tx) error {
	switch {
	case r.OK():
		return r.commitSuccess(tx)
	case r.Account == "" || r.Throttled() || r.known || r.Reason == SourceDown:
		return nil
	}
	if revision, err := Users.Revision(tx, r.Account); err != nil || revision == 0 {
		return err
	}
	activity, err := activityOf(tx, r.Account)
	if err != nil {
		return err
	}
	if r.at.Sub(activity.LastFailure) >= forgetting {
		activity.Failures = 0
	}
	activity.Failures++
	activity.LastFailure = r.at
	return Activities.Put(tx, &activity)
}

func (r *Result) commitSuccess(tx store.Tx) error {
	if r.vouched != nil {
		var err error
		if r.User, err = r.vouched.adopt(tx); err != nil {
			return err
		}
		r.Account = r.User.ID
	}
	user, _, err := Users.Get(tx, r.Account)
	if errors.Is(err, store.ErrNotFound) {
		return ErrChanged
	}
	if err != nil {
		return err
	}
	credential, revision, err := Credentials.Get(tx, r.Account)
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
	activity, err := activityOf(tx, r.Account)
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

// SignedIn notes a sign-in that another identity provider vouched for.
func SignedIn(tx store.Tx, user string, at time.Time) error {
	activity, err := activityOf(tx, user)
	if err != nil {
		return err
	}
	activity.LastSignIn = at
	return Activities.Put(tx, &activity)
}
