package certs

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"gatehouse/store"
)

// How many days before its end a certificate is warned about.
const (
	WarnEarly = 90
	WarnSoon  = 30
	WarnNow   = 7
)

const day = 24 * time.Hour

// Threshold is the nearest of the three thresholds that a certificate has passed; zero: it is not due, or has ended.
func Threshold(notAfter, now time.Time) int {
	left := notAfter.Sub(now)
	if left <= 0 {
		return 0
	}
	for _, days := range []int{WarnNow, WarnSoon, WarnEarly} {
		if left <= time.Duration(days)*day {
			return days
		}
	}
	return 0
}

// Notice remembers the thresholds that were told of one certificate of one holder, an app or a key of ours.
type Notice struct {
	Holder      string    `json:"holder"` // id
	Certificate string    `json:"certificate"`
	NotAfter    time.Time `json:"not_after"`
	Told        []int     `json:"told"`
}

// Notices holds the notices until their certificates have ended.
var Notices = &store.Table[Notice]{
	Name: "certificate_notice", Version: 1,
	Key:     func(n *Notice) string { return noticeKey(n.Holder, n.Certificate) },
	Expires: func(n *Notice) time.Time { return n.NotAfter.Add(day) },
}

func noticeKey(holder, fingerprint string) string { return holder + "/" + fingerprint }

// Due returns the threshold that is to be told now of a certificate (DER), zero when there is none or it was told.
func Due(tx store.Tx, holder string, certificate []byte, notAfter, now time.Time) (int, error) {
	days := Threshold(notAfter, now)
	if days == 0 {
		return 0, nil
	}
	notice, _, err := Notices.Get(tx, noticeKey(holder, Fingerprint(certificate)))
	if errors.Is(err, store.ErrNotFound) {
		return days, nil
	}
	if err != nil || slices.Contains(notice.Told, days) {
		return 0, err
	}
	return days, nil
}

// Told remembers that a threshold was told. Call it in the transaction that tells it.
func Told(tx store.Tx, holder string, certificate []byte, notAfter time.Time, days int) error {
	fingerprint := Fingerprint(certificate)
	notice, _, err := Notices.Get(tx, noticeKey(holder, fingerprint))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	notice.Holder, notice.Certificate, notice.NotAfter = holder, fingerprint, notAfter
	notice.Told = append(notice.Told, days)
	return Notices.Put(tx, &notice)
}

// Fingerprint is the SHA-256 of a certificate (DER), in hex.
func Fingerprint(certificate []byte) string {
	sum := sha256.Sum256(certificate)
	return hex.EncodeToString(sum[:])
}
