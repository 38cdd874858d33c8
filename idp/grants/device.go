package grants

import (
	"crypto/rand"
	"strings"
	"time"

	"gatehouse/store"
)

// Device is the wait of a device without a browser for a person who confirms it elsewhere (RFC 8628): the device holds a device
// code, the person types the user code.
type Device struct {
	Hash      string        `json:"hash"` // of the device code
	Code      string        `json:"code"` // hash of the user code as NormalUserCode writes it
	App       string        `json:"app"`
	Scopes    []string      `json:"scopes"`
	Resources []string      `json:"resources,omitempty"`
	Texts     []string      `json:"texts"`   // what the person is asked to agree to
	Address   string        `json:"address"` // from where the device asked
	Network   string        `json:"network"` // in which that lies
	Asked     time.Time     `json:"asked"`
	Expires   time.Time     `json:"expires"`
	Interval  time.Duration `json:"interval"` // between two polls, at least
	Polled    time.Time     `json:"polled,omitzero"`
	Denied    string        `json:"denied,omitempty"` // why: a reason of flow
	Grant     *Grant        `json:"grant,omitempty"`  // of who confirmed; stored under its id when the device code is redeemed
	Redeemed  time.Time     `json:"redeemed,omitzero"`
}

// Bounds of devices that wait.
const (
	DeviceLifetime       = 10 * time.Minute
	DeviceInterval       = 5 * time.Second // RFC 8628, 3.5, which also gives what a slow_down adds
	MaxDevicesPerNetwork = 200
)

// Waits tells whether a person can still say yes or no.
func (d *Device) Waits(now time.Time) bool {
	return d.Grant == nil && d.Denied == "" && now.Before(d.Expires)
}

// Devices is the table of those. A device code is known for a day after its time, so that a replay is noticed.
var Devices = &store.Table[Device]{
	Name:    "device",
	Version: 1,
	Key:     func(d *Device) string { return d.Hash },
	Unique:  map[string]func(*Device) string{"code": func(d *Device) string { return d.Code }},
	Lists: map[string]func(*Device) []string{
		"network": func(d *Device) []string {
			if d.Grant != nil || d.Denied != "" {
				return nil
			}
			return filled(d.Network)
		},
		"pair": func(d *Device) []string {
			if d.Grant == nil || !d.Redeemed.IsZero() {
				return nil
			}
			return onTheWay(d.Grant)
		},
	},
	Expires: func(d *Device) time.Time {
		if d.Redeemed.IsZero() {
			return d.Expires.Add(DeviceLifetime)
		}
		return d.Expires.Add(replayFor)
	},
}

// userAlphabet has no vowels, so that no words come about, and nothing that is taken for another sign (RFC 8628, 6.1).
const userAlphabet = "BCDFGHJKLMNPQRSTVWXZ"

const userCodeLength = 8 // signs: 34 bits

// NewUserCode makes a user code as it is shown: XXXX-XXXX.
func NewUserCode() string {
	var b strings.Builder
	for _, sign := range rand.Text() + rand.Text() + rand.Text() + rand.Text() {
		if !strings.ContainsRune(userAlphabet, sign) {
			continue // rand.Text draws each of its 32 signs alike
		}
		if b.Len() == userCodeLength/2 {
			b.WriteByte('-')
		}
		if b.WriteRune(sign); b.Len() > userCodeLength {
			break
		}
	}
	return b.String()
}

// NormalUserCode writes a user code as it is shown, however it was typed; empty: it cannot be one.
func NormalUserCode(typed string) string {
	signs := make([]rune, 0, userCodeLength)
	for _, sign := range strings.ToUpper(typed) {
		switch {
		case strings.ContainsRune(userAlphabet, sign) && len(signs) < userCodeLength:
			signs = append(signs, sign)
		case sign == ' ' || sign == '-' || sign == '.' || sign == '–' || sign == '\t':
		default:
			return ""
		}
	}
	if len(signs) < userCodeLength {
		return ""
	}
	return string(signs[:userCodeLength/2]) + "-" + string(signs[userCodeLength/2:])
}
