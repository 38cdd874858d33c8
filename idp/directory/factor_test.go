package directory_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"gatehouse/certs"
	"gatehouse/idp/directory"
	"gatehouse/store"
)

// factorKit is a person, and what checks their second factors.
type factorKit struct {
	*kit
	factors *directory.SecondFactors
	ana     directory.User
}

func newFactorKit(t *testing.T) *factorKit {
	k := &factorKit{kit: newKit(t)}
	k.restart()
	var err error
	if k.ana, err = k.add("ana"); err != nil {
		t.Fatal(err)
	}
	return k
}

func (k *factorKit) restart() {
	sealer, err := certs.NewSealer(bytes.Repeat([]byte{7}, certs.KeySize))
	if err != nil {
		k.Fatal(err)
	}
	k.factors = directory.NewSecondFactors(k.store, func() time.Time { return k.now }, sealer, "https://id.example.org")
}

// enrol gives ana an authenticator app and returns its seed.
func (k *factorKit) enrol() string {
	k.Helper()
	offer, err := k.factors.OfferTOTP(&k.ana, "Example: Org")
	if err != nil {
		k.Fatal(err)
	}
	factor, err := k.factors.ConfirmTOTP(k.ana.ID, offer.Token, k.code(offer.Secret, 0), "Phone")
	if err != nil {
		k.Fatal(err)
	}
	k.update(func(tx store.Tx) error { _, err := directory.AddFactor(tx, factor); return err })
	return offer.Secret
}

func (k *factorKit) code(seed string, steps int) string {
	k.Helper()
	code, err := totp.GenerateCode(seed, k.now.Add(time.Duration(steps)*30*time.Second))
	if err != nil {
		k.Fatal(err)
	}
	return code
}

// try checks a code and commits.
func (k *factorKit) tryCode(code string) (directory.CodeResult, error) {
	k.Helper()
	result, err := k.factors.CheckCode(k.Context(), k.ana.ID, code)
	if err != nil {
		k.Fatal(err)
	}
	return result, k.kit.try(result.Commit)
}

func (k *factorKit) want(what, code string, reason directory.Reason) directory.CodeResult {
	k.Helper()
	result, err := k.tryCode(code)
	if err != nil || result.Reason != reason || result.OK() != (reason == "") {
		k.Errorf("%s: %q (%v), want %q", what, result.Reason, err, reason)
	}
	return result
}

func TestTOTPCodeIsTakenOnce(t *testing.T) {
	k := newFactorKit(t)
	seed := k.enrol()
	k.want("the code that confirmed", k.code(seed, 0), directory.UsedCode)
	k.now = k.now.Add(time.Minute)
	k.want("two steps back", k.code(seed, -2), directory.WrongCode)
	k.want("two steps ahead", k.code(seed, 2), directory.WrongCode)
	k.want("one step ahead, with a blank", k.code(seed, 1)[:3]+" "+k.code(seed, 1)[3:], "")
	k.want("again", k.code(seed, 1), directory.UsedCode)
	k.want("an older one that is in the window", k.code(seed, 0), directory.UsedCode)
	k.restart()
	k.want("after a restart", k.code(seed, 1), directory.UsedCode)
}

func TestTOTPCodeIsTakenOnceAtTheSameMoment(t *testing.T) {
	k := newFactorKit(t)
	seed := k.enrol()
	k.now = k.now.Add(time.Minute)
	code := k.code(seed, 0)
	var mu sync.Mutex
	var wait sync.WaitGroup
	taken := 0
	for range 4 {
		wait.Go(func() {
			result, err := k.factors.CheckCode(t.Context(), k.ana.ID, code)
			if err == nil {
				err = k.kit.try(result.Commit)
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil && result.OK():
				taken++
			case err != nil && !errors.Is(err, directory.ErrUsed):
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if taken != 1 {
		t.Errorf("taken %d times", taken)
	}
}

func TestOfferOfTOTP(t *testing.T) {
	k := newFactorKit(t)
	ben, err := k.add("ben")
	if err != nil {
		t.Fatal(err)
	}
	offer, err := k.factors.OfferTOTP(&k.ana, "Example: Org")
	if err != nil || !strings.HasPrefix(offer.URI, "otpauth://totp/Example%20%20Org:ana?") {
		t.Fatalf("%q: %v", offer.URI, err)
	}
	if !strings.HasPrefix(offer.QR, "M0 0h7v1h-7z") || offer.Size < 29 { // the corner of every QR code
		t.Errorf("no QR code: %d %.40s", offer.Size, offer.QR)
	}
	same, err := k.factors.SameTOTP(&k.ana, "Example: Org", offer.Token)
	if err != nil || same.URI != offer.URI || same.QR != offer.QR {
		t.Errorf("shown again: %q, %v", same.URI, err)
	}
	if strings.Contains(offer.Token, offer.Secret) {
		t.Error("the token shows the seed")
	}
	_, err = k.factors.ConfirmTOTP(ben.ID, offer.Token, k.code(offer.Secret, 0), "x")
	if !errors.Is(err, directory.ErrOffer) {
		t.Errorf("another person's offer: %v", err)
	}
	if _, err = k.factors.ConfirmTOTP(k.ana.ID, offer.Token, k.code(offer.Secret, 3), "x"); !errors.Is(err, directory.ErrWrongCode) {
		t.Errorf("a wrong code: %v", err)
	}
	k.now = k.now.Add(16 * time.Minute)
	if _, err = k.factors.ConfirmTOTP(k.ana.ID, offer.Token, k.code(offer.Secret, 0), "x"); !errors.Is(err, directory.ErrOffer) {
		t.Errorf("an old offer: %v", err)
	}
}

// TestWrongCodesWait: who guesses waits longer and longer, also over a restart, and only for that person.
func TestWrongCodesWait(t *testing.T) {
	k := newFactorKit(t)
	seed := k.enrol()
	k.now = k.now.Add(time.Minute)
	for range 5 {
		k.want("a guess", "000000", directory.WrongCode)
	}
	first := k.want("the right code, too early", k.code(seed, 0), directory.ThrottledFactor)
	k.restart()
	again := k.want("after a restart", k.code(seed, 0), directory.ThrottledFactor)
	if first.RetryAfter <= 0 || again.RetryAfter <= 0 {
		t.Errorf("waits of %s and %s", first.RetryAfter, again.RetryAfter)
	}
	k.now = k.now.Add(first.RetryAfter)
	k.want("a guess after the wait", "000001", directory.WrongCode)
	if longer := k.want("and at once another", "000002", directory.ThrottledFactor); longer.RetryAfter <= first.RetryAfter {
		t.Errorf("the wait does not grow: %s, then %s", first.RetryAfter, longer.RetryAfter)
	}
	k.now = k.now.Add(time.Hour)
	k.want("the owner", k.code(seed, 0), "")
	k.now = k.now.Add(time.Minute)
	for range 4 {
		k.want("forgotten by a success", "000000", directory.WrongCode)
	}
}

func TestRecoveryCodes(t *testing.T) {
	k := newFactorKit(t)
	k.enrol()
	fresh := func() (codes []string) {
		k.update(func(tx store.Tx) (err error) { codes, err = k.factors.NewRecoveryCodes(tx, k.ana.ID); return err })
		return codes
	}
	old := fresh()
	codes := fresh()
	k.want("of the earlier set", old[0], directory.WrongCode)
	if result := k.want("the first", strings.ToUpper(strings.ReplaceAll(codes[0], "-", " ")), ""); result.Kind != directory.FactorRecovery || result.Left != 9 {
		t.Errorf("%+v", result)
	}
	k.want("again", codes[0], directory.WrongCode)
	stored, err := json.Marshal(k.all())
	if err != nil || bytes.Contains(stored, []byte(strings.ReplaceAll(codes[1], "-", ""))) || bytes.Contains(stored, []byte(codes[1])) {
		t.Errorf("a code is stored in clear (%v)", err)
	}
}

func (k *factorKit) all() (all []directory.Factor) {
	k.Helper()
	err := k.store.View(k.Context(), func(tx store.Tx) (err error) { all, err = directory.FactorsOf(tx, k.ana.ID); return err })
	if err != nil {
		k.Fatal(err)
	}
	return all
}

func TestFactorsAreBoundAndGoWithThePerson(t *testing.T) {
	k := newFactorKit(t)
	seed := k.enrol()
	stored, err := json.Marshal(k.all())
	if err != nil || bytes.Contains(stored, []byte(seed)) {
		t.Errorf("the seed is stored in clear (%v)", err)
	}
	add := func(i int, name string) error {
		return k.kit.try(func(tx store.Tx) error {
			_, err := directory.AddFactor(tx, directory.Factor{User: k.ana.ID, Kind: directory.FactorPasskey, Name: name, PublicKey: &directory.PublicKey{ID: fmt.Append(nil, i)}})
			return err
		})
	}
	for i := range directory.MaxFactors - 1 {
		if err := add(i, "Key"); err != nil {
			t.Fatal(err)
		}
	}
	var input *directory.InputError
	if err := add(99, "Key"); !errors.As(err, &input) {
		t.Errorf("one too many: %v", err)
	}
	all := k.all()
	k.update(func(tx store.Tx) error { _, err := directory.RemoveFactor(tx, k.ana.ID, all[1].ID); return err })
	for _, name := range []string{"", "  ", strings.Repeat("x", 61), "a\u202eb"} {
		if err := add(98, name); !errors.As(err, &input) {
			t.Errorf("name %q: %v", name, err)
		}
	}
	var taken *store.ConflictError
	twice, err := strconv.Atoi(string(all[2].PublicKey.ID)) // the order is that of random ids
	if err != nil {
		t.Fatal(err)
	}
	if err := add(twice, "Key"); !errors.As(err, &taken) {
		t.Errorf("a credential twice: %v", err)
	}
	k.update(func(tx store.Tx) error { _, err := k.dir.RemoveUser(tx, k.ana.ID); return err })
	if left := k.all(); len(left) != 0 {
		t.Errorf("%d factors of nobody", len(left))
	}
}

// TestRecoveryCodesGoWithTheLastFactor: they stand in for a factor, and are none.
func TestRecoveryCodesGoWithTheLastFactor(t *testing.T) {
	k := newFactorKit(t)
	k.enrol()
	k.update(func(tx store.Tx) error { _, err := k.factors.NewRecoveryCodes(tx, k.ana.ID); return err })
	ben, err := k.add("ben")
	if err != nil {
		t.Fatal(err)
	}
	all := k.all()
	id := all[slices.IndexFunc(all, func(f directory.Factor) bool { return f.Kind == directory.FactorTOTP })].ID
	err = k.kit.try(func(tx store.Tx) error { _, err := directory.RemoveFactor(tx, ben.ID, id); return err })
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another person's factor: %v", err)
	}
	k.update(func(tx store.Tx) error { _, err := directory.RemoveFactor(tx, k.ana.ID, id); return err })
	if left := k.all(); len(left) != 0 {
		t.Errorf("left: %+v", left)
	}
}

func TestPasskeysNeedANameForTheServer(t *testing.T) {
	for url, want := range map[string]bool{
		"https://id.example.org": true, "http://localhost:8080": true, "http://127.0.0.1:8080": false, "https://[::1]:8443": false,
	} {
		if got := directory.NewSecondFactors(nil, time.Now, nil, url).Passkeys(); got != want {
			t.Errorf("%s: %t", url, got)
		}
	}
}
