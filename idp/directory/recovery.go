package directory

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"gatehouse/store"
)

// recoveryCodes is how many a set has.
const recoveryCodes = 10

// NewRecoveryCodes replaces the recovery codes of a person by a fresh set and returns it: they are stored as hashes alone. A code
// has 80 random bits, so that a plain hash keeps it.
func (s *SecondFactors) NewRecoveryCodes(tx store.Tx, user string) ([]string, error) {
	old, err := FactorsOf(tx, user)
	if err != nil {
		return nil, err
	}
	for i := range old {
		if old[i].Kind == FactorRecovery {
			if err := Factors.Delete(tx, old[i].ID); err != nil {
				return nil, err
			}
		}
	}
	factor := Factor{User: user, Kind: FactorRecovery, Name: "Recovery codes", Created: s.now()}
	codes := make([]string, recoveryCodes)
	for i := range codes {
		plain := strings.ToLower(rand.Text()[:16])
		codes[i] = plain[:4] + "-" + plain[4:8] + "-" + plain[8:12] + "-" + plain[12:]
		factor.Codes = append(factor.Codes, codeHash(plain))
	}
	_, err = AddFactor(tx, factor)
	return codes, err
}

// HasRecovery tells whether a person has a set of recovery codes, used up or not.
func HasRecovery(factors []Factor) bool {
	return slices.ContainsFunc(factors, func(f Factor) bool { return f.Kind == FactorRecovery })
}

func codeHash(plain string) string {
	sum := sha256.Sum256([]byte(plain))
	return hex.EncodeToString(sum[:])
}

func containsHash(hashes []string, hash string) bool {
	found := 0
	for _, one := range hashes {
		found |= subtle.ConstantTimeCompare([]byte(one), []byte(hash))
	}
	return found == 1
}

func withoutHash(hashes []string, hash string) []string {
	return slices.DeleteFunc(slices.Clone(hashes), func(one string) bool { return one == hash })
}

// PutOff notes that a person puts off setting up a second factor, and returns when they did so first: the grace counts from then.
func PutOff(tx store.Tx, user string, now time.Time) (time.Time, error) {
	activity, err := activityOf(tx, user)
	if err != nil || !activity.PutOff.IsZero() {
		return activity.PutOff, err
	}
	activity.PutOff = now
	return now, Activities.Put(tx, &activity)
}

// FirstPutOff is when a person first put off setting up a second factor; zero: never.
func FirstPutOff(tx store.Tx, user string) (time.Time, error) {
	activity, err := activityOf(tx, user)
	return activity.PutOff, err
}
