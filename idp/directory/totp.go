package directory

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"strings"
	"time"

	"github.com/boombuler/barcode/qr"
	"github.com/pquerna/otp/totp"
)

// The parameters that every authenticator app knows (RFC 6238): six digits of SHA-1, a step of 30 seconds, and a code may be of the
// step before or after.
const (
	totpStep   = 30
	totpWindow = 1
	totpBytes  = 20
)

// enrolFor is how long an offered seed can be confirmed.
const enrolFor = 15 * time.Minute

// TOTPOffer is a seed for an authenticator app that counts only once ConfirmTOTP has seen a code of it. Show it, store it nowhere.
type TOTPOffer struct {
	Secret string // base32, to type in
	URI    string // otpauth://…
	QR     string // the URI as a QR code: the dark squares as an SVG path, one unit each
	Size   int    // of the QR code's side, in units
	Token  string // sealed, for ConfirmTOTP
}

// offered is what the token of an offer seals.
type offered struct {
	Factor  string    `json:"factor"` // the id that the factor will have
	User    string    `json:"user"`
	Secret  string    `json:"secret"`
	Expires time.Time `json:"expires"`
}

const offerContext = "totp-offer"

// OfferTOTP makes a seed for a person; issuer and name are what the app will show.
func (s *SecondFactors) OfferTOTP(user *User, issuer string) (TOTPOffer, error) {
	seed := make([]byte, totpBytes)
	rand.Read(seed) // never fails (crypto/rand)
	offer, err := drawTOTP(user, issuer, seed)
	if err != nil {
		return offer, err
	}
	token, err := json.Marshal(offered{newFactorID(), user.ID, offer.Secret, s.now().Add(enrolFor)})
	offer.Token = base64.RawURLEncoding.EncodeToString(s.sealer.Seal(offerContext, token))
	return offer, err
}

// SameTOTP is an offer once more, for a page that is shown again; ErrOffer when it is over.
func (s *SecondFactors) SameTOTP(user *User, issuer, token string) (TOTPOffer, error) {
	o, err := s.openOffer(user.ID, token)
	if err != nil {
		return TOTPOffer{}, err
	}
	seed, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(o.Secret)
	if err != nil {
		return TOTPOffer{}, err
	}
	offer, err := drawTOTP(user, issuer, seed)
	offer.Token = token
	return offer, err
}

func drawTOTP(user *User, issuer string, seed []byte) (TOTPOffer, error) {
	key, err := totp.Generate(totp.GenerateOpts{Issuer: strings.ReplaceAll(issuer, ":", " "), AccountName: user.Name, Secret: seed})
	if err != nil {
		return TOTPOffer{}, fmt.Errorf("make a TOTP seed: %w", err)
	}
	picture, err := qr.Encode(key.URL(), qr.M, qr.Auto)
	if err != nil {
		return TOTPOffer{}, fmt.Errorf("draw a QR code: %w", err)
	}
	return TOTPOffer{Secret: key.Secret(), URI: key.URL(), QR: pathOf(picture), Size: picture.Bounds().Dx()}, nil
}

// pathOf draws the dark squares of a picture, the runs of a row in one go.
func pathOf(picture image.Image) string {
	var path strings.Builder
	bounds := picture.Bounds()
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			from := x
			for x < bounds.Max.X && isDark(picture.At(x, y)) {
				x++
			}
			if x > from {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", from, y, x-from, x-from)
			}
		}
	}
	return path.String()
}

func isDark(c color.Color) bool { return color.GrayModel.Convert(c).(color.Gray).Y < 128 }

// ErrOffer says that an offer is over its time, or not this person's: make another one.
var ErrOffer = errors.New("the offered seed has expired")

// ErrWrongCode says that a code does not belong to the offered seed.
var ErrWrongCode = errors.New("the code does not belong to the seed")

// ConfirmTOTP makes the factor of an offer after a code of it was seen; store it with AddFactor. The same offer always makes the
// same factor. ErrOffer, ErrWrongCode.
func (s *SecondFactors) ConfirmTOTP(user, token, code, name string) (Factor, error) {
	o, err := s.openOffer(user, token)
	if err != nil {
		return Factor{}, err
	}
	step, found := stepOf(o.Secret, plainCode(code), s.now())
	if !found {
		return Factor{}, ErrWrongCode
	}
	factor := s.totpFactor(o.Factor, user, o.Secret, name)
	factor.Step, factor.LastUsed = step, s.now()
	return factor, nil
}

// GivenTOTP makes a factor whose seed an administrator hands over; nobody confirms it.
func (s *SecondFactors) GivenTOTP(user *User, issuer, name string) (Factor, string, error) {
	offer, err := s.OfferTOTP(user, issuer)
	if err != nil {
		return Factor{}, "", err
	}
	return s.totpFactor(newFactorID(), user.ID, offer.Secret, name), offer.URI, nil
}

func (s *SecondFactors) totpFactor(id, user, secret, name string) Factor {
	return Factor{ID: id, User: user, Kind: FactorTOTP, Name: name, Created: s.now(), Seed: s.sealer.Seal("totp:"+id, []byte(secret))}
}

func (s *SecondFactors) openOffer(user, token string) (offered, error) {
	var o offered
	sealed, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return o, ErrOffer
	}
	plain, err := s.sealer.Open(offerContext, sealed)
	if err != nil || json.Unmarshal(plain, &o) != nil || o.User != user || !s.now().Before(o.Expires) {
		return o, ErrOffer
	}
	return o, nil
}

func (s *SecondFactors) openSeed(factor *Factor) (string, error) {
	secret, err := s.sealer.Open("totp:"+factor.ID, factor.Seed)
	return string(secret), err
}

// stepOf finds the step of time that a code belongs to, within the window.
func stepOf(secret, code string, at time.Time) (int64, bool) {
	var step int64
	found := false
	for skew := int64(-totpWindow); skew <= totpWindow; skew++ {
		moment := at.Add(time.Duration(skew) * totpStep * time.Second)
		want, err := totp.GenerateCode(secret, moment)
		if err == nil && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			step, found = moment.Unix()/totpStep, true
		}
	}
	return step, found
}
