package directory

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"gatehouse/store"
)

// Sealer encrypts what the store must not hold in clear; the context keeps a sealed value from being used elsewhere.
type Sealer interface {
	Seal(context string, plaintext []byte) []byte
	Open(context string, sealed []byte) ([]byte, error)
}

// Reasons of second factors and passkeys, for the audit; the first three are the person's mistakes.
const (
	WrongCode        Reason = "wrong_code"
	UsedCode         Reason = "used_code"
	ThrottledFactor  Reason = "throttled_factor"
	ExpiredChallenge Reason = "expired_challenge"
	UnknownPasskey   Reason = "unknown_passkey"
	BadPasskey       Reason = "bad_passkey"
	ClonedPasskey    Reason = "sign_count"
	SourceLeft       Reason = "source_left" // the person's source is removed or paused
)

// SecondFactors checks and makes second factors and passkeys, as Directory does passwords. Make it with NewSecondFactors; safe for
// concurrent use.
type SecondFactors struct {
	store  store.Store
	now    func() time.Time
	sealer Sealer
	rp     *webauthn.WebAuthn // nil: passkeys cannot work at this address

	mu    sync.Mutex // guards codes
	codes throttle   // by person: wrong codes
}

// NewSecondFactors makes SecondFactors for the server at a base URL.
func NewSecondFactors(s store.Store, now func() time.Time, sealer Sealer, baseURL string) *SecondFactors {
	return &SecondFactors{store: s, now: now, sealer: sealer, rp: relyingParty(baseURL)}
}

// codeLimit is how many codes in a row may be wrong before a person has to wait. Only who knows the password comes to try one.
const codeLimit = 5

// CodeResult is the outcome of CheckCode. Commit it in the transaction that raises the session or appends the audit entry.
type CodeResult struct {
	Kind       FactorKind // of the factor that took the code
	Factor     string     // its id
	Left       int        // recovery codes that remain afterwards
	Reason     Reason     // empty: the code is right
	RetryAfter time.Duration

	user string
	step int64
	hash string
	at   time.Time
}

// OK tells whether the code is right.
func (r *CodeResult) OK() bool { return r.Reason == "" && r.Factor != "" }

// CheckCode checks a code of an authenticator app or a recovery code against every factor of a person. Attempts are counted before
// they are checked, and too many wrong ones in a row wait longer and longer. The error is only the context's or the store's.
func (s *SecondFactors) CheckCode(ctx context.Context, user, code string) (CodeResult, error) {
	result := CodeResult{user: user, at: s.now(), Reason: WrongCode}
	var factors []Factor
	var activity Activity
	err := s.store.View(ctx, func(tx store.Tx) (err error) {
		if factors, err = FactorsOf(tx, user); err != nil {
			return err
		}
		activity, err = activityOf(tx, user)
		return err
	})
	if err != nil || s.throttled(&result, activity) {
		return result, err
	}
	code = plainCode(code)
	for i := range factors {
		if err := s.match(&factors[i], code, &result); err != nil {
			return result, err
		}
		if result.OK() {
			s.mu.Lock()
			s.codes.forget(user)
			s.mu.Unlock()
			return result, nil
		}
	}
	return result, nil
}

func (s *SecondFactors) throttled(result *CodeResult, activity Activity) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	wait := s.codes.tryAccount(result.user, tally{activity.WrongCodes, activity.LastWrongCode}, codeLimit, result.at)
	if wait > 0 {
		result.Reason, result.RetryAfter = ThrottledFactor, wait
	}
	return wait > 0
}

// match looks whether one factor takes the code.
func (s *SecondFactors) match(factor *Factor, code string, result *CodeResult) error {
	switch factor.Kind {
	case FactorTOTP:
		seed, err := s.openSeed(factor)
		if err != nil {
			return err
		}
		step, found := stepOf(seed, code, result.at)
		switch {
		case found && step <= factor.Step:
			result.Reason = UsedCode
		case found:
			result.Kind, result.Factor, result.step, result.Reason = factor.Kind, factor.ID, step, ""
		}
	case FactorRecovery:
		if hash := codeHash(code); containsHash(factor.Codes, hash) {
			result.Kind, result.Factor, result.hash, result.Reason = factor.Kind, factor.ID, hash, ""
			result.Left = len(factor.Codes) - 1
		}
	}
	return nil
}

// ErrUsed says that the code was used by somebody else at the same moment, or its factor removed.
var ErrUsed = errors.New("the code is used already")

// Commit uses the code up, or counts a wrong one, so that a restart does not forget it. ErrUsed: another one was faster.
func (r *CodeResult) Commit(tx store.Tx) error {
	if r.Reason == ThrottledFactor {
		return nil
	}
	activity, err := activityOf(tx, r.user)
	if err != nil {
		return err
	}
	if !r.OK() {
		if r.at.Sub(activity.LastWrongCode) >= forgetting {
			activity.WrongCodes = 0
		}
		activity.WrongCodes++
		activity.LastWrongCode = r.at
		return Activities.Put(tx, &activity)
	}
	if err := r.use(tx); err != nil || activity.WrongCodes == 0 {
		return err
	}
	activity.WrongCodes, activity.LastWrongCode = 0, time.Time{}
	return Activities.Put(tx, &activity)
}

func (r *CodeResult) use(tx store.Tx) error {
	factor, _, err := Factors.Get(tx, r.Factor)
	if errors.Is(err, store.ErrNotFound) {
		return ErrUsed
	}
	if err != nil {
		return err
	}
	switch {
	case factor.Kind == FactorTOTP && r.step > factor.Step:
		factor.Step = r.step
	case factor.Kind == FactorRecovery && containsHash(factor.Codes, r.hash):
		factor.Codes = withoutHash(factor.Codes, r.hash)
	default:
		return ErrUsed
	}
	factor.LastUsed = r.at
	return Factors.Put(tx, &factor)
}

// plainCode drops what people type between the groups of a code.
func plainCode(code string) string {
	if len(code) > maxName {
		return ""
	}
	return strings.ToLower(strings.NewReplacer(" ", "", "-", "", "\t", "", "\u00a0", "").Replace(code))
}
