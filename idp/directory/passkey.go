package directory

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"gatehouse/store"
)

// ChallengeLife is how long a challenge can be answered.
const ChallengeLife = 5 * time.Minute

// maxAnswer bounds what a browser answers, in bytes: attestations of some authenticators hold certificates.
const maxAnswer = 32 << 10

// relyingParty is the WebAuthn relying party of a base URL: its id is the host. Browsers refuse IP addresses, so there is none there.
func relyingParty(baseURL string) *webauthn.WebAuthn {
	base, err := url.Parse(baseURL)
	if err != nil {
		return nil
	}
	if _, err := netip.ParseAddr(base.Hostname()); err == nil {
		return nil
	}
	rp, err := webauthn.New(&webauthn.Config{RPID: base.Hostname(), RPDisplayName: "Gatehouse", RPOrigins: []string{base.Scheme + "://" + base.Host}})
	if err != nil {
		return nil
	}
	return rp
}

// Passkeys tells whether passkeys work at this server's address.
func (s *SecondFactors) Passkeys() bool { return s.rp != nil }

// Challenge is one ceremony: Options are for the browser's navigator.credentials, Token comes back with its answer. It is kept
// nowhere; the token seals it to one purpose, one browser and five minutes, and the answer's Once lets it be used one time.
type Challenge struct{ Options, Token string }

// challenge is what the token seals.
type challenge struct {
	Session webauthn.SessionData `json:"session"`
	Browser string               `json:"browser"`
	Expires time.Time            `json:"expires"`
}

// The purposes of challenges, which keep one from being answered for another.
const (
	toSignIn   = "webauthn-sign-in"
	toConfirm  = "webauthn-confirm"
	toRegister = "webauthn-register"
)

// SignInChallenge asks for any passkey of this server, with user verification: the person need not say who they are.
func (s *SecondFactors) SignInChallenge(browser string) (Challenge, error) {
	options, session, err := s.rp.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return Challenge{}, err
	}
	return s.seal(toSignIn, browser, options, session)
}

// ConfirmChallenge asks a person for one of their passkeys or security keys as a second factor.
func (s *SecondFactors) ConfirmChallenge(user *User, factors []Factor, browser string) (Challenge, error) {
	options, session, err := s.rp.BeginLogin(&owner{user, factors}, webauthn.WithUserVerification(protocol.VerificationPreferred))
	if err != nil {
		return Challenge{}, err
	}
	return s.seal(toConfirm, browser, options, session)
}

// RegisterChallenge asks for a new passkey or security key of a person, other than those that they have.
func (s *SecondFactors) RegisterChallenge(user *User, factors []Factor, browser, organisation string) (Challenge, error) {
	o := &owner{user, factors}
	options, session, err := s.rp.BeginRegistration(o,
		webauthn.WithRegistrationRelyingPartyName(organisation),
		webauthn.WithExclusions(webauthn.Credentials(o.WebAuthnCredentials()).CredentialDescriptors()),
		webauthn.WithAuthenticatorSelection(protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementPreferred, UserVerification: protocol.VerificationPreferred,
		}),
		webauthn.WithConveyancePreference(protocol.PreferNoAttestation),
	)
	if err != nil {
		return Challenge{}, err
	}
	return s.seal(toRegister, browser, options, session)
}

func (s *SecondFactors) seal(purpose, browser string, options any, session *webauthn.SessionData) (Challenge, error) {
	shown, err := json.Marshal(options)
	if err != nil {
		return Challenge{}, err
	}
	kept, err := json.Marshal(challenge{*session, browser, s.now().Add(ChallengeLife)})
	return Challenge{string(shown), base64.RawURLEncoding.EncodeToString(s.sealer.Seal(purpose, kept))}, err
}

func (s *SecondFactors) open(purpose, browser, token string) (*challenge, error) {
	sealed, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return nil, err
	}
	plain, err := s.sealer.Open(purpose, sealed)
	if err != nil {
		return nil, err
	}
	var c challenge
	if err := json.Unmarshal(plain, &c); err != nil {
		return nil, err
	}
	if browser == "" || c.Browser != browser || !s.now().Before(c.Expires) {
		return nil, errors.New("another browser's challenge, or over its time")
	}
	return &c, nil
}

// once names a challenge, for the record that it was used.
func (c *challenge) once() string {
	sum := sha256.Sum256([]byte(c.Session.Challenge))
	return "webauthn " + hex.EncodeToString(sum[:])
}

// Answer is what a browser sent back for a challenge: the fields of our form.
type Answer struct{ Token, Response string }

// PasskeyResult is the outcome of a ceremony. Mark Once until Until and Commit in the transaction that acts on it.
type PasskeyResult struct {
	User     User   // whose passkey it is; the zero value unless OK
	Account  string // id of the person that was tried, for the audit; empty if unknown
	Factor   string // id
	Verified bool   // the authenticator verified the person, by PIN or biometrics
	Reason   Reason // empty: the answer is right
	Detail   string // for the audit
	Once     string
	Until    time.Time

	at  time.Time
	key PublicKey
}

// OK tells whether the answer is right.
func (r *PasskeyResult) OK() bool { return r.Reason == "" && r.User.ID != "" }

// CheckSignIn checks the answer to a SignInChallenge. The error is only the context's or the store's.
func (s *SecondFactors) CheckSignIn(ctx context.Context, browser string, answer Answer) (PasskeyResult, error) {
	return s.check(ctx, toSignIn, browser, answer, func(tx store.Tx, given *protocol.ParsedCredentialAssertionData) (*owner, error) {
		factor, _, err := Factors.By(tx, "credential", credentialKey(given.RawID))
		if err != nil || string(given.Response.UserHandle) != factor.User {
			return nil, errors.Join(err, store.ErrNotFound)
		}
		return ownerOf(tx, factor.User)
	})
}

// left tells whether the source of a person is removed or paused, so that nobody says any more whether they are still there.
func left(tx store.Tx, user *User) (bool, error) {
	if user.Source == "" {
		return false, nil
	}
	source, _, err := AllSources.Get(tx, user.Source)
	if errors.Is(err, store.ErrNotFound) {
		return true, nil
	}
	return source.Paused, err
}

// CheckConfirm checks a person's answer to a ConfirmChallenge.
func (s *SecondFactors) CheckConfirm(ctx context.Context, user, browser string, answer Answer) (PasskeyResult, error) {
	return s.check(ctx, toConfirm, browser, answer, func(tx store.Tx, _ *protocol.ParsedCredentialAssertionData) (*owner, error) {
		return ownerOf(tx, user)
	})
}

func (s *SecondFactors) check(ctx context.Context, purpose, browser string, answer Answer, find func(store.Tx, *protocol.ParsedCredentialAssertionData) (*owner, error)) (PasskeyResult, error) {
	result := PasskeyResult{at: s.now()}
	c, given, ok := s.read(purpose, browser, answer, &result)
	if !ok {
		return result, nil
	}
	var o *owner
	var lost bool
	err := s.store.View(ctx, func(tx store.Tx) (err error) {
		if o, err = find(tx, given); err == nil {
			lost, err = left(tx, o.user)
		}
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		result.Reason = UnknownPasskey
		return result, nil
	}
	if err != nil {
		return result, err
	}
	result.Account = o.user.ID
	c.Session.UserID = o.WebAuthnID()
	credential, err := s.rp.ValidateLogin(o, c.Session, given)
	switch {
	case err != nil:
		result.Reason, result.Detail = BadPasskey, detailOf(err)
	case credential.Authenticator.CloneWarning:
		result.Reason, result.Factor = ClonedPasskey, o.factorOf(credential.ID)
	case o.user.Disabled:
		result.Reason = Disabled
	case lost && purpose == toSignIn:
		result.Reason = SourceLeft
	default:
		result.User, result.Factor, result.key = *o.user, o.factorOf(credential.ID), publicKeyOf(credential)
		result.Verified = given.Response.AuthenticatorData.Flags.HasUserVerified()
	}
	return result, nil
}

// read opens the token and parses the answer.
func (s *SecondFactors) read(purpose, browser string, answer Answer, result *PasskeyResult) (*challenge, *protocol.ParsedCredentialAssertionData, bool) {
	if s.rp == nil {
		result.Reason = BadPasskey
		return nil, nil, false
	}
	c, err := s.open(purpose, browser, answer.Token)
	if err != nil {
		result.Reason = ExpiredChallenge
		return nil, nil, false
	}
	result.Once, result.Until = c.once(), c.Expires
	if len(answer.Response) > maxAnswer {
		result.Reason = BadPasskey
		return nil, nil, false
	}
	given, err := protocol.ParseCredentialRequestResponseBytes([]byte(answer.Response))
	if err != nil {
		result.Reason, result.Detail = BadPasskey, detailOf(err)
		return nil, nil, false
	}
	return c, given, true
}

// Commit stores that the passkey was used. ErrChanged: the person or the passkey is gone, or the person disabled; ErrUsed: the
// authenticator's counter moved on meanwhile.
func (r *PasskeyResult) Commit(tx store.Tx) error {
	if !r.OK() {
		return nil
	}
	user, _, err := Users.Get(tx, r.User.ID)
	if errors.Is(err, store.ErrNotFound) || err == nil && user.Disabled {
		return ErrChanged
	}
	if err != nil {
		return err
	}
	factor, err := FactorOf(tx, r.User.ID, r.Factor)
	if errors.Is(err, store.ErrNotFound) {
		return ErrChanged
	}
	if err != nil {
		return err
	}
	if stored := factor.PublicKey.SignCount; stored > 0 && r.key.SignCount <= stored {
		return ErrUsed
	}
	factor.PublicKey.SignCount, factor.PublicKey.Flags, factor.LastUsed = r.key.SignCount, r.key.Flags, r.at
	return Factors.Put(tx, &factor)
}

// Registered is a new passkey; store it with AddFactor and mark Once until Until in the same transaction.
type Registered struct {
	Factor   Factor
	Verified bool // the authenticator verified the person
	Once     string
	Until    time.Time
}

// ErrRegister says that a browser's answer makes no passkey; it wraps why.
var ErrRegister = errors.New("the answer makes no passkey")

// Register checks the answer to a RegisterChallenge. Its errors wrap ErrRegister, or ErrOffer when the challenge is over.
func (s *SecondFactors) Register(user *User, factors []Factor, browser, name string, answer Answer) (Registered, error) {
	if s.rp == nil || len(answer.Response) > maxAnswer {
		return Registered{}, ErrRegister
	}
	c, err := s.open(toRegister, browser, answer.Token)
	if err != nil {
		return Registered{}, ErrOffer
	}
	given, err := protocol.ParseCredentialCreationResponseBytes([]byte(answer.Response))
	if err != nil {
		return Registered{}, errors.Join(ErrRegister, errors.New(detailOf(err)))
	}
	credential, err := s.rp.CreateCredential(&owner{user, factors}, c.Session, given)
	if err != nil {
		return Registered{}, errors.Join(ErrRegister, errors.New(detailOf(err)))
	}
	key := publicKeyOf(credential)
	return Registered{
		Factor:   Factor{User: user.ID, Kind: FactorPasskey, Name: name, Created: s.now(), PublicKey: &key},
		Verified: credential.Flags.UserVerified, Once: c.once(), Until: c.Expires,
	}, nil
}

// owner shows a person and their passkeys to the library. The user handle is the user id, which is random.
type owner struct {
	user    *User
	factors []Factor
}

func ownerOf(tx store.Tx, id string) (*owner, error) {
	user, _, err := Users.Get(tx, id)
	if err != nil {
		return nil, err
	}
	factors, err := FactorsOf(tx, id)
	return &owner{&user, factors}, err
}

func (o *owner) factorOf(credential []byte) string {
	for i := range o.factors {
		if key := o.factors[i].PublicKey; key != nil && bytes.Equal(key.ID, credential) {
			return o.factors[i].ID
		}
	}
	return ""
}

// WebAuthnID is the user handle.
func (o *owner) WebAuthnID() []byte { return []byte(o.user.ID) }

// WebAuthnName is what authenticators list the passkey under.
func (o *owner) WebAuthnName() string { return o.user.Name }

// WebAuthnDisplayName is the person's name.
func (o *owner) WebAuthnDisplayName() string { return or(o.user.DisplayName, o.user.Name) }

// WebAuthnCredentials are the person's passkeys.
func (o *owner) WebAuthnCredentials() []webauthn.Credential {
	var list []webauthn.Credential
	for i := range o.factors {
		key := o.factors[i].PublicKey
		if key == nil {
			continue
		}
		credential := webauthn.Credential{
			ID: key.ID, PublicKey: key.Key, Flags: webauthn.NewCredentialFlags(protocol.AuthenticatorFlags(key.Flags)),
			Authenticator: webauthn.Authenticator{AAGUID: key.AAGUID, SignCount: key.SignCount},
		}
		for _, transport := range key.Transports {
			credential.Transport = append(credential.Transport, protocol.AuthenticatorTransport(transport))
		}
		list = append(list, credential)
	}
	return list
}

func publicKeyOf(c *webauthn.Credential) PublicKey {
	key := PublicKey{
		ID: c.ID, Key: c.PublicKey, Flags: byte(c.Flags.ProtocolValue()), SignCount: c.Authenticator.SignCount, AAGUID: c.Authenticator.AAGUID,
	}
	for _, transport := range c.Transport {
		key.Transports = append(key.Transports, string(transport))
	}
	return key
}

// detailOf is what the library says about an answer, for the audit: it holds no secrets.
func detailOf(err error) string {
	text := err.Error()
	var known *protocol.Error
	if errors.As(err, &known) {
		text = known.Details + " " + known.DevInfo
	}
	return strings.ToValidUTF8(text[:min(len(text), 300)], "")
}
